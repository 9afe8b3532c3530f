/* One file on its way: what a transfer over libcurl and the list of all files know of each other. Internal to
 * the downloads: download_transfer.c speaks to libcurl, download.c decides what is fetched, tried again and
 * given up. */
#ifndef VAGUS_CORE_DOWNLOAD_TRANSFER_H
#define VAGUS_CORE_DOWNLOAD_TRANSFER_H

#include "core/download.h"
#include "core/download_part.h"
#include "core/progress.h"

enum { VG__TRANSFERS = 16 }; /* at once, at most */

typedef struct vg__downloads vg__downloads;

typedef enum vg__ending {
    VG__ENDING_WHOLE,  /* as far as the server is concerned */
    VG__ENDING_OURS,   /* by an error of ours: `status`, `cause` */
    VG__ENDING_PASSES, /* what is worth another attempt */
    VG__ENDING_STAYS
} vg__ending;

typedef struct vg__transfer {
    vg__downloads *all;
    vg_download *file; /* NULL: free */
    void *easy;        /* libcurl's */
    vg__part part;
    bool running;          /* handed to libcurl; else it waits until `again` */
    bool begun;            /* the answer was looked at */
    bool cleared;          /* its bytes were thrown away once, to begin anew */
    int attempts;          /* without a new byte */
    int64_t start;         /* bytes there when this attempt began */
    int64_t first, remain; /* which byte the answer begins with, how many it has; -1: unknown */
    double again, heard;   /* when the next attempt begins; when the last byte came */

    /* Of the attempt that ended. */
    vg__ending ending;
    bool useless;     /* the answer cannot be put behind what is there */
    bool unreachable; /* nothing has answered */
    bool missing;     /* the server, or the folder, has no such file */
    long code;        /* HTTP's */
    double wished;    /* seconds after which the server wants to be asked again; 0: it said nothing */
    vg_status status;
    char cause[1024], words[256]; /* ours; libcurl's */
} vg__transfer;

struct vg__downloads {
    const vg_download_options *options;
    vg_download_report report;
    vg_progress progress;
    void *multi; /* libcurl's */
    vg__transfer slot[VG__TRANSFERS];
    int64_t count, started, bytes_there;
    vg_status status; /* of the first file that failed, and its cause */
    char *cause;
    bool over; /* nothing more can come */
    double began;
    char text[200]; /* of the line of progress */
};

double vg__transfer_now(void); /* seconds */

/* libcurl's handles for options->at_once transfers. Closed whatever the status. */
VG_NODISCARD vg_status vg__transfers_open(vg__downloads *all);
void vg__transfers_close(vg__downloads *all);

/* Begins an attempt at the file, at the end of its part. */
void vg__transfer_start(vg__transfer *t);

/* Lets libcurl work; `ended` is called for each attempt that ended, and may free the place. True if any did.
 */
bool vg__transfers_drive(vg__downloads *all, void (*ended)(vg__transfer *t));

/* Until something comes, or a moment has passed. */
void vg__transfers_wait(vg__downloads *all);

#endif
