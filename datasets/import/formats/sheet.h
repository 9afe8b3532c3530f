/* A text file of columns: one row at a time, cells by number. The delimiter, a line of names and a line of
 * units are found out. Internal to import/. */
#ifndef VAGUS_DATASETS_IMPORT_FORMATS_SHEET_H
#define VAGUS_DATASETS_IMPORT_FORMATS_SHEET_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "core/status.h"

enum { VG__SHEET_COLUMNS = 1024, VG__SHEET_LINE = 1 << 16, VG__SHEET_NAME = 64 };

typedef struct vg__sheet {
    const char *path;
    FILE *file;
    char *line;     /* the row at hand, cut into cells */
    int64_t number; /* of that line, from 1 */
    char delimiter; /* ' ' stands for any blanks */
    bool named;     /* it has a line of names */
    bool waiting;   /* the row at hand was read while the file was opened */
    int columns;    /* of the first line */
    int cells;      /* of the row at hand */
    char *cell[VG__SHEET_COLUMNS];
    char name[VG__SHEET_COLUMNS][VG__SHEET_NAME]; /* without a unit in brackets or behind "_" */
    char unit[VG__SHEET_COLUMNS][VG__SHEET_NAME]; /* "" where the file does not say */
    int64_t first_day;                            /* of the first time that had a date; 0: none had */
} vg__sheet;

/* Opens a file and reads its first lines. `delimiter` 0: found out from the first line, which is cut at tabs
 * if it has any, else at semicolons, commas, blanks. Lines that begin with '#' or '%' and empty ones are
 * skipped. A first line in which not every cell is a number names the columns; one more such line gives their
 * units, and so does "name [unit]", "name (unit)" or "name_unit". The sheet is large: keep it on the heap.
 * vg__sheet_close() also after an error. */
VG_NODISCARD vg_status vg__sheet_open(const char *path, char delimiter, vg__sheet *sheet);
void vg__sheet_close(vg__sheet *sheet);

/* The column of this name (capitals do not matter; with its "_unit" or without), or of this number, counted
 * from 1. VG_ERR_FORMAT lists the columns there are. */
VG_NODISCARD vg_status vg__sheet_find(const vg__sheet *sheet, const char *name, int *column);

/* Goes to the next row; *more false at the end of the file. VG_ERR_FORMAT for a row that is wider than the
 * first line, but for empty cells. */
VG_NODISCARD vg_status vg__sheet_next(vg__sheet *sheet, bool *more);

/* Whether a text of the sheet is a number, and which; an empty one and the like are NaN. */
bool vg__sheet_number(const vg__sheet *sheet, const char *text, double *value);

/* The number in a cell of the row: NaN for an empty one, "NaN", "NA", "null" and "-". Where commas do not
 * separate cells, one stands for the decimal point too. VG_ERR_FORMAT tells line and column. */
VG_NODISCARD vg_status vg__sheet_value(const vg__sheet *sheet, int column, double *value);

/* The time in a cell, in its own unit; "1:02:03.5" is in seconds, and so is "2026-11-23T08:56:14.5Z" (or with
 * a blank, "+01:00", or no zone), from the beginning of the first day that was read. */
VG_NODISCARD vg_status vg__sheet_time(vg__sheet *sheet, int column, double *value);

/* "ecg", or "column 3". */
const char *vg__sheet_column(const vg__sheet *sheet, int column, char text[VG__SHEET_NAME]);

#endif
