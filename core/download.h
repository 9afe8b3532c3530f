/* Downloads: files from addresses, several at once, that can be interrupted and resumed.
 *
 * A file is PATH.part while it is fetched and gets its name when it is complete and has its checksum; what is
 * so already is not fetched again. An interrupted one goes on where it stopped if the server can. Errors that
 * pass (a connection cut or silent, a server's 5xx or 429) are tried again after pauses that double; those
 * that stay (404, a wrong checksum, a full disk) end the file, or everything. Proxies are those of
 * http_proxy, https_proxy and no_proxy. Addresses are http, https or file; redirects lead to http and https
 * only. */
#ifndef VAGUS_CORE_DOWNLOAD_H
#define VAGUS_CORE_DOWNLOAD_H

#include <stdbool.h>
#include <stdint.h>

#include "core/status.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct vg_download {
    const char *url, *path;
    const char *sha256; /* 64 hexadecimal digits; NULL: not checked, and taken for complete if it is there */
    bool present;       /* set: it was there already */
} vg_download;

typedef struct vg_download_options {
    const char *what;       /* for the line of progress; a static string */
    int at_once;            /* transfers */
    int attempts;           /* without a new byte, before a file is given up */
    double pause;           /* seconds before the second attempt; doubles up to a minute */
    double silence;         /* seconds without a byte after which a connection is given up */
    int64_t limit;          /* a file that is larger is refused; 0: none */
    int64_t expected_bytes; /* about how much all files are together, for the disk; 0: unknown */
} vg_download_options;

typedef struct vg_download_report {
    int64_t fetched, present, failed; /* files */
    int64_t bytes;                    /* that came over the network */
} vg_download_report;

VG_API vg_download_options vg_download_default_options(void);

/* Fetches all of them; a file that cannot be had does not keep the others from coming, unless nothing can be
 * reached at all or the disk is full. The error is that of the first file. ERR_PREEMPTED when a stop was
 * requested (core/signals.h): what is there is kept. `report` may be NULL and is filled in either case. */
VG_NODISCARD VG_API vg_status vg_download_all(vg_download *files, int64_t count,
                                              const vg_download_options *options, vg_download_report *report);

#ifdef __cplusplus
}
#endif
#endif
