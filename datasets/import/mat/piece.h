/* The tagged pieces that an array of a MAT file is made of: numbers and texts. Internal to import/mat/. */
#ifndef VAGUS_DATASETS_IMPORT_MAT_PIECE_H
#define VAGUS_DATASETS_IMPORT_MAT_PIECE_H

#include "datasets/import/mat/mat.h"

/* Types of a piece, as the format numbers them. */
enum {
    VG__MAT_INT8 = 1,
    VG__MAT_UINT8,
    VG__MAT_INT16,
    VG__MAT_UINT16,
    VG__MAT_INT32,
    VG__MAT_UINT32,
    VG__MAT_SINGLE,
    VG__MAT_DOUBLE = 9,
    VG__MAT_INT64 = 12,
    VG__MAT_UINT64,
    VG__MAT_MATRIX,
    VG__MAT_UTF8 = 16,
    VG__MAT_UTF16,
    VG__MAT_UTF32
};
enum { VG__MAT_TAG = 8, VG__MAT_SMALL = 4 };

/* A piece whose tag was read; content of at most four bytes may lie in the tag itself. */
typedef struct vg__mat_piece {
    uint32_t type;
    int64_t size, padding;
    bool small;
    unsigned char content[VG__MAT_SMALL];
} vg__mat_piece;

/* What one load may still take. */
typedef struct vg__mat_limits {
    int64_t bytes, arrays;
    const char *skip;
} vg__mat_limits;

/* Errors that name file and path. */
vg_status vg__mat_wrong(vg__mat_stream *stream, const char *what);
vg_status vg__mat_no_memory(vg__mat_stream *stream);

/* Four bytes in the file's order. */
uint32_t vg__mat_word(const vg__mat_stream *stream, const unsigned char *bytes);

/* Bytes of a number of this type; 0 for a type that is none of numbers or characters. */
int vg__mat_width(uint32_t type);

/* The next tag. Its content and padding are taken off `left` at once. */
VG_NODISCARD vg_status vg__mat_read_tag(vg__mat_stream *stream, int64_t *left, vg__mat_piece *piece);

/* The content as it stands, piece->size bytes. */
VG_NODISCARD vg_status vg__mat_take_piece(vg__mat_stream *stream, vg__mat_piece *piece, void *bytes);

/* The content as numbers, count times their width bytes; *out is the caller's to free. The memory grows as
 * they come, so that a size that lies costs no more than the bytes that are there. */
VG_NODISCARD vg_status vg__mat_read_numbers(vg__mat_stream *stream, vg__mat_piece *piece, int64_t count,
                                            vg__mat_limits *limits, double **out);

/* The content as value->text: a row of characters, or the rows of a matrix of them, one below the other
 * without the blanks behind. */
VG_NODISCARD vg_status vg__mat_read_text(vg__mat_stream *stream, vg__mat_piece *piece, vg__mat_limits *limits,
                                         vg__mat_value *value);

#endif
