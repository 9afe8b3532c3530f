/* The text of a table: separators, cells, the header. */
#include "datasets/import/pipeline/csv.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "datasets/import/pipeline/csv_own.h"
#include "datasets/import/pipeline/files.h"

enum { MAX_TABLE_BYTES = 256 << 20 };

/* ---- Cells ------------------------------------------------------------------------------------------- */

static bool ends_cell(char c, char delimiter)
{
    return !c || c == '\n' || c == delimiter || (delimiter == ' ' && c == '\t');
}

/* The next line that holds something, or the end of the text. */
static char *skip_empty(char *p, int64_t *line)
{
    for (;;) {
        size_t blank = strspn(p, " \t\r");
        if (*p && p[blank] != '\n' && p[blank] != '#' && p[blank]) return p;
        p += strcspn(p, "\n");
        if (!*p) return p;
        p++;
        ++*line;
    }
}

/* Of a line: a tab if it has one, else a semicolon, a comma, blanks; not looked for within quotes. */
static char find_delimiter(const char *p)
{
    bool quoted = false, tab = false, semicolon = false, comma = false;
    for (; *p && (quoted || *p != '\n'); p++) {
        if (*p == '"') quoted = !quoted;
        if (quoted) continue;
        tab = tab || *p == '\t';
        semicolon = semicolon || *p == ';';
        comma = comma || *p == ',';
    }
    return tab ? '\t' : semicolon ? ';' : comma ? ',' : ' ';
}

/* Takes the next cell from *at, ending it with 0; *last tells that the row ended behind it. NULL for a
 * quote that is not closed. */
static const char *take_cell(char **at, char delimiter, int64_t *line, bool *last)
{
    char *p = *at, *start, *end;
    p += strspn(p, delimiter == '\t' ? " " : " \t");
    start = p;
    if (*p == '"') {
        char *write = ++start;
        for (p = start;; p++) {
            if (!*p) return NULL;
            if (*p == '"' && p[1] != '"') break;
            if (*p == '"') p++;
            *line += *p == '\n';
            *write++ = *p;
        }
        end = write;
        while (!ends_cell(*p, delimiter)) p++;
    } else {
        while (!ends_cell(*p, delimiter)) p++;
        end = p;
        while (end > start && strchr(" \t\r", end[-1])) end--;
    }
    if (delimiter == ' ') {
        char *next = p + strspn(p, " \t\r");
        if (!*next || *next == '\n') p = next;
    }
    *last = !*p || *p == '\n';
    *line += *p == '\n';
    *at = *p ? p + 1 : p;
    *end = 0;
    return start;
}

static vg_status cut_cells(vg__csv *csv)
{
    int64_t room = 1, cells = 0, line = 1;
    char *p = csv->text + (strncmp(csv->text, "\xef\xbb\xbf", 3) == 0 ? 3 : 0);
    p = skip_empty(p, &line);
    const char delimiter = find_delimiter(p);
    for (const char *c = p; *c; c++) room += ends_cell(*c, delimiter);
    csv->cell = malloc((size_t)room * sizeof *csv->cell);
    if (!csv->cell) return vg_fail(VG_ERR_MEMORY, "%s: no memory for %lld cells", csv->path, (long long)room);
    for (; *p; p = skip_empty(p, &line)) {
        const int64_t begin = line;
        int columns = 0;
        for (bool last = false; !last; columns++) {
            const char *cell = take_cell(&p, delimiter, &line, &last);
            if (!cell)
                return vg_fail(VG_ERR_FORMAT, "%s: line %lld: a \" is not closed", csv->path,
                               (long long)begin);
            csv->cell[cells++] = cell;
        }
        if (csv->columns == 0) csv->columns = columns;
        if (columns != csv->columns)
            return vg_fail(VG_ERR_FORMAT, "%s: line %lld has %d cells where the first has %d", csv->path,
                           (long long)begin, columns, csv->columns);
    }
    if (csv->columns < 2)
        return vg_fail(VG_ERR_FORMAT, "%s: needs at least two columns, one of them naming the record",
                       csv->path);
    csv->rows = cells / csv->columns;
    return VG_OK;
}

/* ---- The header -------------------------------------------------------------------------------------- */

/* Whether the text is one of the words, which are separated by blanks, but for capitals, '_', '-', blanks and
 * an "id" at its end. */
static bool is_word(const char *text, const char *words)
{
    char plain[32];
    size_t length = 0;
    for (; *text; text++) {
        if (strchr("_- ", *text)) continue;
        if (length + 1 == sizeof plain) return false;
        plain[length++] = (char)tolower((unsigned char)*text);
    }
    plain[length] = 0;
    if (length > 2 && strcmp(plain + length - 2, "id") == 0) plain[length -= 2] = 0;
    for (const char *p = words; length && *p; p += strspn(p, " ")) {
        size_t word = strcspn(p, " ");
        if (word == length && strncmp(p, plain, length) == 0) return true;
        p += word;
    }
    return false;
}

static bool is_record(const char *name)
{
    return is_word(name, "record recordname recording recordingname");
}

static bool is_file(const char *name)
{
    return is_word(name, "file filename filepath path ecgfile filenamelr filenamehr");
}

static bool is_subject(const char *name)
{
    return is_word(name, "subject subj patient person participant proband volunteer");
}

bool vg__csv_is_key(const vg__csv *csv, int column)
{
    if (!csv->header || is_record(csv->header[csv->record])) return column == csv->record;
    return is_file(csv->header[column]);
}

bool vg__csv_is_name(const vg__csv *csv, int column)
{
    if (!csv->header) return column == csv->record;
    const char *name = csv->header[column];
    return is_record(name) || is_file(name) || is_subject(name);
}

int vg__csv_column(const vg__csv *csv, const char *name)
{
    for (int i = 0; csv->header && i < csv->columns; i++)
        if (strcasecmp(csv->header[i], name) == 0) return i;
    return -1;
}

/* The names of the header, for messages; cut to `size`. */
static void list_names(const vg__csv *csv, char *text, size_t size)
{
    size_t used = 0;
    text[0] = 0;
    for (int i = 0; i < csv->columns && used < size; i++)
        used += (size_t)snprintf(text + used, size - used, "%s%s", i ? ", " : "", csv->header[i]);
}

/* Which columns name what, and the header taken from the rows. */
static vg_status find_columns(vg__csv *csv, bool subjects)
{
    int record = -1, file = -1, subject = -1;
    char names[400];
    for (int i = csv->columns; i-- > 0;) {
        if (is_record(csv->cell[i])) record = i;
        if (is_file(csv->cell[i])) file = i;
        if (is_subject(csv->cell[i])) subject = i;
    }
    csv->subject = 1;
    if (record < 0 && file < 0 && subject < 0) return VG_OK;
    csv->header = malloc((size_t)csv->columns * sizeof *csv->header);
    if (!csv->header) return vg_fail(VG_ERR_MEMORY, "%s: no memory for its first line", csv->path);
    memcpy(csv->header, csv->cell, (size_t)csv->columns * sizeof *csv->header);
    csv->rows--;
    memmove(csv->cell, csv->cell + csv->columns, (size_t)(csv->rows * csv->columns) * sizeof *csv->cell);
    csv->record = record >= 0 ? record : file;
    csv->subject = subject;
    list_names(csv, names, sizeof names);
    if (csv->record < 0)
        return vg_fail(VG_ERR_FORMAT,
                       "%s: none of its columns (%s) names the record; call it record, file, filename or "
                       "path",
                       csv->path, names);
    if (subjects && subject < 0)
        return vg_fail(VG_ERR_FORMAT,
                       "%s: none of its columns (%s) names the subject; call it subject, patient_id, person "
                       "or participant",
                       csv->path, names);
    return VG_OK;
}

/* "1003.0", as programs write whole numbers of a column in which some are missing. */
static void make_whole(const char *cell)
{
    size_t digits = strspn(cell, "0123456789");
    if (digits > 0 && cell[digits] == '.' && cell[digits + 1] == '0' &&
        !cell[digits + 1 + strspn(cell + digits + 1, "0")])
        ((char *)cell)[digits] = 0; /* it lies in csv->text */
}

static vg_status read_table(const char *path, bool subjects, vg__csv *csv)
{
    vg_status status = VG_OK;
    int64_t size = 0;
    *csv = (vg__csv){.path = strdup(path)};
    if (!csv->path) {
        status = vg_fail(VG_ERR_MEMORY, "%s: no memory to read it", path);
        goto out;
    }
    VG_TRY_OUT(vg__file_read(path, MAX_TABLE_BYTES, &csv->text, &size));
    if (memchr(csv->text, 0, (size_t)size)) {
        status = vg_fail(VG_ERR_FORMAT, "%s: is not a text file", path);
        goto out;
    }
    VG_TRY_OUT(cut_cells(csv));
    VG_TRY_OUT(find_columns(csv, subjects));
    if (subjects)
        for (int64_t i = 0; i < csv->rows; i++) make_whole(csv->cell[i * csv->columns + csv->subject]);
    VG_TRY_OUT(vg__csv_index(csv, subjects));
out:
    if (status != VG_OK) vg__csv_free(csv);
    return status;
}

vg_status vg__csv_read(const char *path, vg__csv *csv)
{
    return read_table(path, true, csv);
}

vg_status vg__csv_read_labels(const char *path, vg__csv *csv)
{
    return read_table(path, false, csv);
}

void vg__csv_free(vg__csv *csv)
{
    free(csv->path);
    free(csv->text);
    free(csv->parts);
    free(csv->cell);
    free(csv->header);
    free(csv->key);
    free(csv->used);
    if (csv->use) {
        free(csv->use->first_record);
        free(csv->use->first_missing);
        free(csv->use->first_unclear);
        free(csv->use);
    }
    *csv = (vg__csv){0};
}
