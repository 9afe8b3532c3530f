/* Names into meaning: fields in file names, texts into numbers. Internal to import/; no samples here. */
#ifndef VAGUS_DATASETS_IMPORT_PIPELINE_TABLE_H
#define VAGUS_DATASETS_IMPORT_PIPELINE_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/status.h"
#include "datasets/import/pipeline/csv.h"

enum { VG__FIELD_SIZE = 128 };

/* The fields of a file name, and what is known of the record beside. */
typedef struct vg__fields {
    char subject[VG__FIELD_SIZE], session[VG__FIELD_SIZE], trial[VG__FIELD_SIZE], stimulus[VG__FIELD_SIZE],
        record[VG__FIELD_SIZE];
    const char *const *labels; /* its row of the labels file; NULL: it has none */
} vg__fields;

/* Checks a pattern without a name: VG_ERR_CONFIG for an unknown or unclosed field. */
VG_NODISCARD vg_status vg__pattern_check(const char *pattern);

/* Whether the name fits; its fields are filled in then (those that the pattern lacks stay as they are). A
 * field takes at least one character and as few as possible. */
bool vg__pattern_match(const char *pattern, const char *name, vg__fields *fields);

/* The field's text by its name ("trial"), NULL for an unknown name. */
char *vg__fields_get(vg__fields *fields, const char *name);

/* The columns of ratings that the options ask for. */
typedef struct vg__rating {
    char name[VG__FIELD_SIZE];
    char field[VG__FIELD_SIZE]; /* of the file name; "" when it comes from the labels file */
    int column;                 /* of the labels file; -1 otherwise */
    char **text;                /* [pairs] what is mapped ... */
    double *number;             /* ... to what */
    int pairs;
    bool numbered; /* the texts were numbered by us, in alphabetical order */
    int64_t known; /* leads that had a number, counted by vg__ratings_look_up() */
} vg__rating;

typedef struct vg__ratings {
    vg__rating *rating;
    int count;
    vg__csv labels;
} vg__ratings;

/* From the options `rating`, `labels` and `label_names`. Of a labels file with a header those columns are
 * taken that `label_names` and `rating` ("NAME@COLUMN") name, or all when neither names any; without one
 * `label_names` names all. Texts of a labels column without a mapping are numbered 0, 1, ... in alphabetical
 * order unless all of them are numbers. A mapped text is a whole cell, or "contains WORD", or "else". */
VG_NODISCARD vg_status vg__ratings_read(const char *rating, const char *labels, const char *label_names,
                                        vg__ratings *ratings);
void vg__ratings_free(vg__ratings *ratings);

/* The numbers of one record: values[ratings->count], NaN where nothing is known. VG_ERR_DATA for a text
 * without a number. */
VG_NODISCARD vg_status vg__ratings_look_up(const vg__ratings *ratings, vg__fields *fields, double *values);

/* The mapping as text, "N=0 A=1", for a note in the store; "" for plain numbers. free() it. */
char *vg__rating_describe(const vg__rating *rating);

#endif
