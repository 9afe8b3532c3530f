/* Names into meaning: fields in file names, CSV files of labels and subjects, texts into numbers. Internal to
 * import/; no samples here. */
#ifndef VAGUS_DATASETS_IMPORT_PIPELINE_TABLE_H
#define VAGUS_DATASETS_IMPORT_PIPELINE_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/status.h"

enum { VG__FIELD_SIZE = 128 };

/* The fields of a file name. */
typedef struct vg__fields {
    char subject[VG__FIELD_SIZE], session[VG__FIELD_SIZE], trial[VG__FIELD_SIZE], stimulus[VG__FIELD_SIZE],
        record[VG__FIELD_SIZE];
} vg__fields;

/* Checks a pattern without a name: VG_ERR_CONFIG for an unknown or unclosed field. */
VG_NODISCARD vg_status vg__pattern_check(const char *pattern);

/* Whether the name fits; its fields are filled in then (those that the pattern lacks stay as they are). A
 * field takes at least one character and as few as possible. */
bool vg__pattern_match(const char *pattern, const char *name, vg__fields *fields);

/* The field's text by its name ("trial"), NULL for an unknown name. */
char *vg__fields_get(vg__fields *fields, const char *name);

/* A CSV file: cells by row and column, all texts; the rows sorted by their first cell. */
typedef struct vg__csv {
    char *text;
    const char **cell; /* [rows * columns] */
    int64_t rows;
    int columns;
    const char **header; /* [columns], NULL when the file has none */
} vg__csv;

/* Reads `path`: cells separated by ',' ('"' around a cell that holds one), blanks around cells dropped, empty
 * lines and lines beginning with '#' skipped. A first line whose first cell is "record" is the header. Every
 * row must have as many cells as the first; a first cell that occurs twice is an error. */
VG_NODISCARD vg_status vg__csv_read(const char *path, vg__csv *csv);
void vg__csv_free(vg__csv *csv);

/* The row of a record, or -1. */
int64_t vg__csv_find(const vg__csv *csv, const char *record);

/* The columns of ratings that the options ask for. */
typedef struct vg__rating {
    char name[VG__FIELD_SIZE];
    char field[VG__FIELD_SIZE]; /* of the file name; "" when it comes from the labels file */
    int column;                 /* of the labels file; -1 otherwise */
    char **text;                /* [pairs] what is mapped ... */
    double *number;             /* ... to what */
    int pairs;
    bool numbered; /* the texts were numbered by us, in alphabetical order */
} vg__rating;

typedef struct vg__ratings {
    vg__rating *rating;
    int count;
    vg__csv labels;
} vg__ratings;

/* From the options `rating`, `labels` and `label_names`. Texts of a labels column without a mapping are
 * numbered 0, 1, ... in alphabetical order unless all of them are numbers. */
VG_NODISCARD vg_status vg__ratings_read(const char *rating, const char *labels, const char *label_names,
                                        vg__ratings *ratings);
void vg__ratings_free(vg__ratings *ratings);

/* The numbers of one record: values[ratings->count], NaN where nothing is known. VG_ERR_DATA for a text
 * without a number. */
VG_NODISCARD vg_status vg__ratings_look_up(const vg__ratings *ratings, vg__fields *fields, double *values);

/* The mapping as text, "N=0 A=1", for a note in the store; "" for plain numbers. free() it. */
char *vg__rating_describe(const vg__rating *rating);

#endif
