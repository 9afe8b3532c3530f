/* MAT files of level 5 (MATLAB 5 to 7.2, also SciPy's savemat): variables, cells, structs, numbers, texts,
 * packed or not, in either order of bytes. Internal to import/.
 *
 * Read by our own code. With matio 1.5.23, of 3015 copies of an 1808-byte file with one byte changed 44 made
 * it allocate more than 512 MiB at once and 12 gave cells whose sizes promise more than there is, so whoever
 * uses it reads past the end (November 2026); it also loads a variable as a whole, and DREAMER's only one
 * unpacks to some 2 GB. Here memory grows with the bytes that come, and a large container is read one element
 * at a time. */
#ifndef VAGUS_DATASETS_IMPORT_MAT_MAT_H
#define VAGUS_DATASETS_IMPORT_MAT_MAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/status.h"
#include "datasets/import/mat/stream.h"

enum { VG__MAT_RANK = 8, VG__MAT_NAME = 64 };

typedef enum vg__mat_kind {
    VG__MAT_NUMBERS, /* of any numeric class, and logical values; of complex ones the real part */
    VG__MAT_TEXT,
    VG__MAT_CELL,
    VG__MAT_STRUCT,
    VG__MAT_OTHER, /* skipped: sparse, objects, functions, and fields that were not asked for */
} vg__mat_kind;

/* An array and all below it. MATLAB's order: the first dimension is the fastest. */
typedef struct vg__mat_value {
    vg__mat_kind kind;
    char path[VG__MAT_PATH]; /* "DREAMER.Data{3}.ECG": for messages */
    int rank;
    int64_t dims[VG__MAT_RANK];
    int64_t rows, columns, count; /* dims[0]; the product of the others; of all */
    double *numbers;              /* [count] */
    char *text;                   /* UTF-8; rows of a matrix of characters end in '\n' but for the last */
    struct vg__mat_value *child;  /* cell: [count]; struct: [count * fields], a struct's fields together */
    int64_t children;
    char (*field)[VG__MAT_NAME]; /* [fields], of a struct */
    int fields;
} vg__mat_value;

typedef struct vg__mat vg__mat;

/* Opens the file and finds its variables. VG_ERR_UNSUPPORTED tells level 4 and 7.3 (HDF5) by name. Damage
 * behind the first variable is told by whoever asks for what it hides. */
VG_NODISCARD vg_status vg__mat_open(const char *path, vg__mat **out);
void vg__mat_close(vg__mat *mat); /* NULL is fine */

/* Whether there is a variable of this name, in any case of letters; and all names, "a, b, c", for messages.
 */
bool vg__mat_has(const vg__mat *mat, const char *name);
const char *vg__mat_names(const vg__mat *mat);

/* Reads what stands at `place`, "s.b{2}.c", counted from 1; at most 1 GiB. The caller frees *value, which is
 * empty after an error. */
VG_NODISCARD vg_status vg__mat_load(vg__mat *mat, const char *place, vg__mat_value *value);

/* Kind and dimensions alone of what stands there; nothing to free. */
VG_NODISCARD vg_status vg__mat_peek(vg__mat *mat, const char *place, vg__mat_value *value);

/* Reads the elements of the cell or struct array at `place` one by one; `index` counts from 0. Fields named
 * in `skip` (separated by blanks, at any depth; "" = none) come as VG__MAT_OTHER. An error of `visit` ends it
 * and is returned. */
typedef vg_status (*vg__mat_visit)(void *context, int64_t index, const vg__mat_value *element);
VG_NODISCARD vg_status vg__mat_each(vg__mat *mat, const char *place, const char *skip, vg__mat_visit visit,
                                    void *context);
void vg__mat_free(vg__mat_value *value);

/* A field of the first element of a struct, in any case of letters; NULL when it has none or is no struct. */
const vg__mat_value *vg__mat_field(const vg__mat_value *value, const char *name);

/* The number of an array of one; NaN for anything else. */
double vg__mat_number(const vg__mat_value *value);

/* "numbers [500 x 17]", "a cell [1 x 20]", "nothing" for NULL; in `text`. */
enum { VG__MAT_WORDS = 96 };
const char *vg__mat_describe(const vg__mat_value *value, char text[VG__MAT_WORDS]);

/* The variables, among those read so far, whose checksum did not fit what was unpacked, "a, b"; "" when all
 * did. */
const char *vg__mat_unsound(const vg__mat *mat);

#endif
