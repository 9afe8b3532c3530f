/* The bytes of one top-level element of a MAT file, level 5, in the order they stand, unpacked where they are
 * packed. Internal to import/mat/. */
#ifndef VAGUS_DATASETS_IMPORT_MAT_STREAM_H
#define VAGUS_DATASETS_IMPORT_MAT_STREAM_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "core/status.h"

enum { VG__MAT_PATH = 160 };

typedef struct vg__mat_stream vg__mat_stream;

/* Begins at byte `offset` of `file`, an element's content of `size` bytes. `name` is the file's, for
 * messages; `swap`: the numbers stand in the other order of bytes than this machine's. */
VG_NODISCARD vg_status vg__mat_stream_open(FILE *file, const char *name, int64_t offset, int64_t size,
                                           bool packed, bool swap, vg__mat_stream **out);
void vg__mat_stream_close(vg__mat_stream *stream);

/* Where in the variable the reading stands, "joined_data{3}": part of every message; the owner may write it.
 */
char *vg__mat_stream_path(vg__mat_stream *stream);
const char *vg__mat_stream_file(const vg__mat_stream *stream);
bool vg__mat_stream_swapped(const vg__mat_stream *stream);

/* The next `size` bytes, or past them. VG_ERR_FORMAT: the file ends before, or its packing is damaged. */
VG_NODISCARD vg_status vg__mat_take(vg__mat_stream *stream, void *bytes, int64_t size);
VG_NODISCARD vg_status vg__mat_skip(vg__mat_stream *stream, int64_t size);

/* Unpacks what is left and says whether the packed content has the checksum that stands behind it. True for
 * plain elements, which have none. */
bool vg__mat_stream_sound(vg__mat_stream *stream);

#endif
