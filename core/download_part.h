/* A file while it is fetched: PATH.part, which becomes PATH when it is whole. Internal to the downloads. */
#ifndef VAGUS_CORE_DOWNLOAD_PART_H
#define VAGUS_CORE_DOWNLOAD_PART_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/sha256.h"

typedef struct vg__part {
    char *path;  /* PATH.part; NULL when closed */
    char *whole; /* PATH */
    int descriptor;
    int64_t size;    /* bytes in it */
    vg_sha256 *hash; /* of those bytes */
} vg__part;

/* Opens what an earlier attempt left, or an empty file; the folder is made. */
VG_NODISCARD vg_status vg__part_open(const char *path, vg__part *part);

/* An error says how much is kept. */
VG_NODISCARD vg_status vg__part_append(vg__part *part, const void *bytes, size_t count);
VG_NODISCARD vg_status vg__part_empty(vg__part *part);

/* Whether the bytes so far have this sum; NULL: true. */
VG_NODISCARD vg_status vg__part_matches(const vg__part *part, const char *sha256, bool *same);

/* Gives the file its name. Closed in every case. */
VG_NODISCARD vg_status vg__part_finish(vg__part *part);

/* Leaves it for a later attempt, or removes it. A closed one ({0}) is fine. */
void vg__part_close(vg__part *part, bool keep);

/* Bytes that can still be written into the folder of `path`; -1 when that cannot be told. And the error of
 * there being too few of them. */
int64_t vg__room_for(const char *path);
VG_NODISCARD vg_status vg__no_room(const char *path, int64_t needed, int64_t room);

#endif
