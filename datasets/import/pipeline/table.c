#include "datasets/import/pipeline/table.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "datasets/import/pipeline/files.h"

enum { MAX_TABLE_BYTES = 256 << 20, MAX_RATING_COLUMNS = 64, MAX_PAIRS = 1000 };

/* ---- Fields of a file name ------------------------------------------------------------------------- */

char *vg__fields_get(vg__fields *fields, const char *name)
{
    if (strcmp(name, "subject") == 0) return fields->subject;
    if (strcmp(name, "session") == 0) return fields->session;
    if (strcmp(name, "trial") == 0) return fields->trial;
    if (strcmp(name, "stimulus") == 0) return fields->stimulus;
    if (strcmp(name, "record") == 0) return fields->record;
    return NULL;
}

/* The field that begins at pattern ("{name}"): its name, and what follows it; false when it has no end. */
static bool field_at(const char *pattern, char name[VG__FIELD_SIZE], const char **rest)
{
    const char *end = strchr(pattern, '}');
    if (!end || end - pattern - 1 >= VG__FIELD_SIZE) return false;
    memcpy(name, pattern + 1, (size_t)(end - pattern - 1));
    name[end - pattern - 1] = 0;
    *rest = end + 1;
    return true;
}

vg_status vg__pattern_check(const char *pattern)
{
    vg__fields fields;
    for (const char *p = pattern; *p;) {
        char name[VG__FIELD_SIZE];
        if (*p != '{') {
            p++;
            continue;
        }
        if (!field_at(p, name, &p))
            return vg_fail(VG_ERR_CONFIG, "the pattern \"%s\" has a { without a }", pattern);
        if (name[0] && !vg__fields_get(&fields, name))
            return vg_fail(
                VG_ERR_CONFIG,
                "the pattern \"%s\" has a field {%s}; known are subject, session, trial, stimulus, "
                "record and {} for anything",
                pattern, name);
        if (*p == '{')
            return vg_fail(VG_ERR_CONFIG, "the pattern \"%s\" has two fields with nothing between them",
                           pattern);
    }
    return VG_OK;
}

bool vg__pattern_match(const char *pattern, const char *name, vg__fields *fields)
{
    while (*pattern && *pattern != '{')
        if (*pattern++ != *name++) return false;
    if (!*pattern) return !*name;
    char field[VG__FIELD_SIZE];
    const char *rest;
    if (!field_at(pattern, field, &rest)) return false;
    for (size_t length = 1; length < VG__FIELD_SIZE && name[length - 1]; length++) {
        if (!vg__pattern_match(rest, name + length, fields)) continue;
        char *into = vg__fields_get(fields, field);
        if (into) {
            memcpy(into, name, length);
            into[length] = 0;
        }
        return true;
    }
    return false;
}

/* ---- CSV ------------------------------------------------------------------------------------------- */

static int by_first_cell(const void *left, const void *right)
{
    return strcmp(**(const char **const *)left, **(const char **const *)right);
}

/* Takes the next cell from *at, ending it with 0; *last tells that the line ended behind it. NULL for a
 * quote that is not closed. */
static const char *take_cell(char **at, bool *last)
{
    char *p = *at;
    p += strspn(p, " \t");
    char *start = p, *end;
    if (*p == '"') {
        char *write = ++start;
        for (p = start;; p++) {
            if (!*p || *p == '\n') return NULL;
            if (*p == '"' && p[1] != '"') break;
            if (*p == '"') p++;
            *write++ = *p;
        }
        end = write;
        p++;
        p += strcspn(p, ",\n");
    } else {
        p += strcspn(p, ",\n");
        end = p;
        while (end > start && strchr(" \t\r", end[-1])) end--;
    }
    *last = *p != ',';
    *at = *p ? p + 1 : p;
    *end = 0;
    return start;
}

static vg_status sort_rows(const char *path, vg__csv *csv)
{
    vg_status status = VG_OK;
    size_t row_size = (size_t)csv->columns * sizeof *csv->cell;
    const char ***rows = malloc((size_t)(csv->rows + 1) * sizeof *rows);
    const char **sorted = malloc((size_t)(csv->rows + 1) * row_size);
    if (!rows || !sorted) {
        status = vg_fail(VG_ERR_MEMORY, "%s: no memory for %lld rows", path, (long long)csv->rows);
        goto out;
    }
    for (int64_t i = 0; i < csv->rows; i++) rows[i] = csv->cell + i * csv->columns;
    qsort(rows, (size_t)csv->rows, sizeof *rows, by_first_cell);
    for (int64_t i = 0; i < csv->rows; i++) {
        memcpy(sorted + i * csv->columns, rows[i], row_size);
        if (i > 0 && strcmp(*rows[i], *rows[i - 1]) == 0) {
            status = vg_fail(VG_ERR_FORMAT, "%s: \"%s\" stands in two rows", path, *rows[i]);
            goto out;
        }
    }
    free(csv->cell);
    csv->cell = sorted;
    sorted = NULL;
out:
    free(rows);
    free(sorted);
    return status;
}

vg_status vg__csv_read(const char *path, vg__csv *csv)
{
    vg_status status = VG_OK;
    int64_t size = 0, lines = 1, cells = 0, line = 0;
    *csv = (vg__csv){0};
    VG_TRY_OUT(vg__file_read(path, MAX_TABLE_BYTES, &csv->text, &size));
    if (memchr(csv->text, 0, (size_t)size)) {
        status = vg_fail(VG_ERR_FORMAT, "%s: is not a text file", path);
        goto out;
    }
    for (char *p = csv->text; *p; p++) lines += *p == '\n' || *p == ',';
    csv->cell = malloc((size_t)lines * sizeof *csv->cell);
    if (!csv->cell) {
        status = vg_fail(VG_ERR_MEMORY, "%s: no memory for %lld cells", path, (long long)lines);
        goto out;
    }
    for (char *p = csv->text; *p;) {
        line++;
        size_t blank = strspn(p, " \t\r");
        if (p[blank] == '\n' || p[blank] == '#' || !p[blank]) {
            p += strcspn(p, "\n");
            if (*p) p++;
            continue;
        }
        int columns = 0;
        for (bool last = false; !last; columns++) {
            const char *cell = take_cell(&p, &last);
            if (!cell) {
                status = vg_fail(VG_ERR_FORMAT, "%s: line %lld: a \" is not closed", path, (long long)line);
                goto out;
            }
            csv->cell[cells++] = cell;
        }
        if (csv->columns == 0) csv->columns = columns;
        if (columns != csv->columns) {
            status = vg_fail(VG_ERR_FORMAT, "%s: line %lld has %d cells where the first has %d", path,
                             (long long)line, columns, csv->columns);
            goto out;
        }
    }
    if (csv->columns < 2) {
        status = vg_fail(VG_ERR_FORMAT, "%s: needs at least two columns, the first naming the record", path);
        goto out;
    }
    csv->rows = cells / csv->columns;
    if (strcmp(csv->cell[0], "record") == 0) {
        csv->header = malloc((size_t)csv->columns * sizeof *csv->header);
        if (!csv->header) {
            status = vg_fail(VG_ERR_MEMORY, "%s: no memory for its first line", path);
            goto out;
        }
        memcpy(csv->header, csv->cell, (size_t)csv->columns * sizeof *csv->header);
        csv->rows--;
        memmove(csv->cell, csv->cell + csv->columns, (size_t)(csv->rows * csv->columns) * sizeof *csv->cell);
    }
    VG_TRY_OUT(sort_rows(path, csv));
out:
    if (status != VG_OK) vg__csv_free(csv);
    return status;
}

void vg__csv_free(vg__csv *csv)
{
    free(csv->text);
    free(csv->cell);
    free(csv->header);
    *csv = (vg__csv){0};
}

int64_t vg__csv_find(const vg__csv *csv, const char *record)
{
    int64_t low = 0, high = csv->rows - 1;
    while (low <= high) {
        int64_t middle = low + (high - low) / 2;
        int order = strcmp(record, csv->cell[middle * csv->columns]);
        if (order == 0) return middle;
        if (order < 0)
            high = middle - 1;
        else
            low = middle + 1;
    }
    return -1;
}

/* ---- Ratings --------------------------------------------------------------------------------------- */

static bool as_number(const char *text, double *number)
{
    char *end;
    *number = strtod(text, &end);
    return end != text && !*end && isfinite(*number);
}

/* Copies [start, end) without blanks around it; false when empty or too long. */
static bool copy_word(const char *start, const char *end, char out[VG__FIELD_SIZE])
{
    while (start < end && strchr(" \t", *start)) start++;
    while (end > start && strchr(" \t", end[-1])) end--;
    if (end == start || end - start >= VG__FIELD_SIZE) return false;
    memcpy(out, start, (size_t)(end - start));
    out[end - start] = 0;
    return true;
}

static vg_status add_pair(vg__rating *rating, const char *text, double number)
{
    if (rating->pairs >= MAX_PAIRS)
        return vg_fail(VG_ERR_CONFIG, "the rating %s has more than %d different texts; give numbers instead",
                       rating->name, MAX_PAIRS);
    char **texts = realloc(rating->text, (size_t)(rating->pairs + 1) * sizeof *texts);
    if (texts) rating->text = texts;
    double *numbers = realloc(rating->number, (size_t)(rating->pairs + 1) * sizeof *numbers);
    if (numbers) rating->number = numbers;
    char *copy = strdup(text);
    if (!texts || !numbers || !copy) {
        free(copy);
        return vg_fail(VG_ERR_MEMORY, "no memory for the rating %s", rating->name);
    }
    rating->text[rating->pairs] = copy;
    rating->number[rating->pairs++] = number;
    return VG_OK;
}

/* "TEXT=NUMBER,TEXT=NUMBER" up to `end`. */
static vg_status read_pairs(vg__rating *rating, const char *p, const char *end)
{
    while (p < end) {
        const char *stop = p;
        while (stop < end && *stop != ',') stop++;
        const char *equal = stop;
        while (equal > p && *equal != '=') equal--;
        char text[VG__FIELD_SIZE], digits[VG__FIELD_SIZE];
        double number;
        if (equal == p || !copy_word(p, equal, text) || !copy_word(equal + 1, stop, digits) ||
            !as_number(digits, &number))
            return vg_fail(VG_ERR_CONFIG, "the rating %s: \"%.*s\" is not TEXT=NUMBER", rating->name,
                           (int)(stop - p), p);
        VG_TRY(add_pair(rating, text, number));
        p = stop + (stop < end);
    }
    return VG_OK;
}

static vg_status new_rating(vg__ratings *ratings, vg__rating **out)
{
    if (ratings->count >= MAX_RATING_COLUMNS)
        return vg_fail(VG_ERR_CONFIG, "more than %d columns of ratings", MAX_RATING_COLUMNS);
    vg__rating *grown = realloc(ratings->rating, (size_t)(ratings->count + 1) * sizeof *grown);
    if (!grown) return vg_fail(VG_ERR_MEMORY, "no memory for a column of ratings");
    ratings->rating = grown;
    *out = &grown[ratings->count++];
    **out = (vg__rating){.column = -1};
    return VG_OK;
}

/* One entry of the option: NAME[@FIELD][:pairs]. */
static vg_status read_entry(vg__ratings *ratings, const char *p, const char *end)
{
    vg__fields known;
    vg__rating *rating;
    VG_TRY(new_rating(ratings, &rating));
    const char *colon = memchr(p, ':', (size_t)(end - p)), *name_end = colon ? colon : end;
    const char *at = memchr(p, '@', (size_t)(name_end - p));
    if (!copy_word(p, at ? at : name_end, rating->name) ||
        (at && !copy_word(at + 1, name_end, rating->field)))
        return vg_fail(VG_ERR_CONFIG, "the rating \"%.*s\" is not NAME[@FIELD][:TEXT=NUMBER,...]",
                       (int)(end - p), p);
    if (!at) strcpy(rating->field, "trial");
    if (!vg__fields_get(&known, rating->field))
        return vg_fail(
            VG_ERR_CONFIG,
            "the rating %s takes a field \"%s\"; known are subject, session, trial, stimulus, record",
            rating->name, rating->field);
    return colon ? read_pairs(rating, colon + 1, end) : VG_OK;
}

static vg__rating *find_rating(vg__ratings *ratings, const char *name)
{
    for (int i = 0; i < ratings->count; i++)
        if (strcmp(ratings->rating[i].name, name) == 0) return &ratings->rating[i];
    return NULL;
}

static int by_text(const void *left, const void *right)
{
    return strcmp(*(const char *const *)left, *(const char *const *)right);
}

/* Numbers the texts of a column in alphabetical order, unless all are numbers (or empty). */
static vg_status number_texts(const vg__csv *csv, vg__rating *rating)
{
    vg_status status = VG_OK;
    bool numbers = true;
    double number;
    const char **texts = malloc((size_t)(csv->rows + 1) * sizeof *texts);
    if (!texts) return vg_fail(VG_ERR_MEMORY, "no memory for the rating %s", rating->name);
    for (int64_t i = 0; i < csv->rows; i++) {
        texts[i] = csv->cell[i * csv->columns + rating->column];
        numbers = numbers && (!*texts[i] || as_number(texts[i], &number));
    }
    if (numbers) goto out;
    rating->numbered = true;
    qsort(texts, (size_t)csv->rows, sizeof *texts, by_text);
    for (int64_t i = 0; i < csv->rows; i++) {
        bool known = i > 0 && strcmp(texts[i], texts[i - 1]) == 0;
        if (*texts[i] && !known) VG_TRY_OUT(add_pair(rating, texts[i], rating->pairs));
    }
out:
    free(texts);
    return status;
}

/* The columns of the labels file: named by its header or the option label_names. */
static vg_status read_labels(const char *path, const char *names, vg__ratings *ratings)
{
    vg__csv *csv = &ratings->labels;
    VG_TRY(vg__csv_read(path, csv));
    if (!csv->header && !*names)
        return vg_fail(VG_ERR_CONFIG,
                       "%s: its first line does not begin with \"record\", so the names of its %d columns of "
                       "labels must be given (label_names)",
                       path, csv->columns - 1);
    const char *p = names;
    for (int column = 1; column < csv->columns; column++) {
        char name[VG__FIELD_SIZE];
        const char *start = csv->header && !*names ? csv->header[column] : p;
        const char *end = start + (start == p ? strcspn(start, ",") : strlen(start));
        if (!copy_word(start, end, name))
            return vg_fail(VG_ERR_CONFIG, "%s: no name for its column %d", path, column + 1);
        if (start == p) p = *end ? end + 1 : end;
        vg__rating *rating = find_rating(ratings, name);
        if (!rating) {
            VG_TRY(new_rating(ratings, &rating));
            strcpy(rating->name, name);
        }
        rating->column = column;
        rating->field[0] = 0;
        if (rating->pairs == 0) VG_TRY(number_texts(csv, rating));
    }
    if (*p)
        return vg_fail(VG_ERR_CONFIG, "%s: more names than its %d columns of labels", path, csv->columns - 1);
    return VG_OK;
}

vg_status vg__ratings_read(const char *rating, const char *labels, const char *label_names,
                           vg__ratings *ratings)
{
    vg_status status = VG_OK;
    *ratings = (vg__ratings){0};
    for (const char *p = rating; *p;) {
        const char *end = p + strcspn(p, ";");
        VG_TRY_OUT(read_entry(ratings, p, end));
        p = *end ? end + 1 : end;
    }
    if (*labels) VG_TRY_OUT(read_labels(labels, label_names, ratings));
    for (int i = 0; i < ratings->count; i++) {
        if (find_rating(ratings, ratings->rating[i].name) == &ratings->rating[i]) continue;
        status = vg_fail(VG_ERR_CONFIG, "the rating %s is named twice", ratings->rating[i].name);
        goto out;
    }
out:
    if (status != VG_OK) vg__ratings_free(ratings);
    return status;
}

void vg__ratings_free(vg__ratings *ratings)
{
    for (int i = 0; i < ratings->count; i++) {
        for (int k = 0; k < ratings->rating[i].pairs; k++) free(ratings->rating[i].text[k]);
        free(ratings->rating[i].text);
        free(ratings->rating[i].number);
    }
    free(ratings->rating);
    vg__csv_free(&ratings->labels);
    *ratings = (vg__ratings){0};
}

static vg_status text_to_number(const vg__rating *rating, const char *text, double *value)
{
    *value = NAN;
    if (!*text) return VG_OK;
    for (int k = 0; k < rating->pairs; k++) {
        if (strcmp(rating->text[k], text) != 0) continue;
        *value = rating->number[k];
        return VG_OK;
    }
    if (rating->pairs == 0 && as_number(text, value)) return VG_OK;
    return vg_fail(VG_ERR_DATA, "the rating %s has no number for \"%s\"", rating->name, text);
}

vg_status vg__ratings_look_up(const vg__ratings *ratings, vg__fields *fields, double *values)
{
    int64_t row = ratings->labels.rows ? vg__csv_find(&ratings->labels, fields->record) : -1;
    for (int i = 0; i < ratings->count; i++) {
        const vg__rating *rating = &ratings->rating[i];
        const char *text = "";
        if (rating->column < 0)
            text = vg__fields_get(fields, rating->field);
        else if (row >= 0)
            text = ratings->labels.cell[row * ratings->labels.columns + rating->column];
        VG_TRY(text_to_number(rating, text, &values[i]));
    }
    return VG_OK;
}

char *vg__rating_describe(const vg__rating *rating)
{
    size_t size = 1;
    for (int k = 0; k < rating->pairs; k++) size += strlen(rating->text[k]) + 32;
    char *text = calloc(size, 1), *end = text;
    for (int k = 0; text && k < rating->pairs; k++)
        end += snprintf(end, size - (size_t)(end - text), "%s%s=%g", k ? " " : "", rating->text[k],
                        rating->number[k]);
    return text;
}
