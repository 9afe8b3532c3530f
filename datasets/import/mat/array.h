/* Arrays of a MAT file out of a stream of bytes. What mat.c and array.c share; internal to import/mat/. */
#ifndef VAGUS_DATASETS_IMPORT_MAT_ARRAY_H
#define VAGUS_DATASETS_IMPORT_MAT_ARRAY_H

#include "datasets/import/mat/piece.h"

/* An array whose size, name and fields were read, but none of its content yet. */
typedef struct vg__mat_head {
    vg__mat_value value; /* kind, size, fields; owned by whoever reads the head until moved on */
    int class_number;
    int64_t left; /* bytes of the array that were not read yet */
    char name[VG__MAT_NAME];
} vg__mat_head;

/* Reads the head of the array that begins here; the stream's path names it in errors. `left`: bytes that
 * stand around it (INT64_MAX: unknown), reduced by the array's. */
VG_NODISCARD vg_status vg__mat_read_head(vg__mat_stream *stream, int64_t *left, vg__mat_head *head);

/* Reads the content behind a head into *value, which takes over the head's fields; free it in every case. */
VG_NODISCARD vg_status vg__mat_read_rest(vg__mat_stream *stream, vg__mat_head *head, vg__mat_limits *limits,
                                         vg__mat_value *value);

/* Whether the limits say that a field of this name is not read. */
bool vg__mat_skipped(const vg__mat_limits *limits, const char *field);

/* Lengthens the stream's path by child `index` of a container ("{3}", ".name", "(2).name"). Returns where it
 * was cut before, for vg__mat_leave(). */
size_t vg__mat_enter(vg__mat_stream *stream, const vg__mat_value *parent, int64_t index);
void vg__mat_leave(vg__mat_stream *stream, size_t length);

#endif
