/* Tables that somebody wrote about recordings, a row for each: whose it is, how it was rated. Which column
 * names the record, and which row is about which record, is found out and counted: a table that fits nothing
 * must never pass for one that fits. Internal to import/. */
#ifndef VAGUS_DATASETS_IMPORT_PIPELINE_CSV_H
#define VAGUS_DATASETS_IMPORT_PIPELINE_CSV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/status.h"

/* What a row may be asked for by, see vg__csv_match(). */
typedef struct vg__csv_key {
    const char *text;
    int64_t row;
    bool whole; /* the cell as it stands, not a part of it */
    bool clash; /* parts of cells of rows that say different things */
} vg__csv_key;

/* How a table was used. */
typedef struct vg__csv_use {
    int64_t records, missing, unclear; /* asked for; without a row; with several rows that may be meant */
    char *first_record, *first_missing, *first_unclear;
    uint64_t last; /* the record asked for last, and its row: its leads come one by one and count as one */
    int64_t last_row;
} vg__csv_use;

typedef struct vg__csv {
    char *path, *text, *parts;
    const char **cell; /* [rows * columns], in the order of the file */
    int64_t rows;
    int columns;
    const char **header; /* [columns], NULL when the file has none */
    int record, subject; /* columns; -1: none. Several may name the record when those are files */
    vg__csv_key *key;    /* [keys], sorted by text, each text once */
    int64_t keys;
    bool *used; /* [rows] a record asked for it */
    vg__csv_use *use;
} vg__csv;

/* Reads a table of subjects. Cells are separated by tabs if the first line has any, else by semicolons,
 * commas or blanks; '"' stands round a cell that holds a separator or a line's end; blanks round cells are
 * dropped, empty lines and those beginning with '#' skipped. Every row must have as many cells as the first.
 * A first line with a name of a record's or a subject's column (record, file, filename, path, ...; subject,
 * patient, person, participant, ...; capitals, '_' and "_id" do not matter) is the header and says which is
 * which; without one the record comes first, the subject second. A record in two rows with different subjects
 * is an error. "1003.0" is read as 1003, and a row without a subject says nothing. */
VG_NODISCARD vg_status vg__csv_read(const char *path, vg__csv *csv);

/* The same for a table of labels, where all cells of rows about one record must agree. */
VG_NODISCARD vg_status vg__csv_read_labels(const char *path, vg__csv *csv);
void vg__csv_free(vg__csv *csv);

/* The column of the header with this name (capitals do not matter), -1: none. */
int vg__csv_column(const vg__csv *csv, const char *name);

/* Whether the column names records or subjects, so holds no label. */
bool vg__csv_is_name(const vg__csv *csv, int column);

/* The row of a record, or -1. A cell may hold the end of the path to its file, the record's name, or the
 * file's name, each with or without an ending, and may itself be a longer path: "records500/00000/00001_hr",
 * "00001_hr.dat" and "00001_hr" all mean the record 00001_hr. What is counted, is counted here. */
int64_t vg__csv_match(const vg__csv *csv, const char *record, const char *file);

/* What came of it, when every record was asked for. ERR_CONFIG: no row fits any record, or a record can be
 * more than one row; otherwise `warning` is "" or says which records and rows have no other. `option` is the
 * one that named the table ("--subjects"), `loss` what the records without a row lack. */
VG_NODISCARD vg_status vg__csv_check(const vg__csv *csv, const char *option, const char *loss, char *warning,
                                     size_t size);

#endif
