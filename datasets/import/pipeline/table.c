#include "datasets/import/pipeline/table.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_RATING_COLUMNS = 64, MAX_PAIRS = 1000 };

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
        return vg_fail(VG_ERR_CONFIG,
                       "the rating %s has more than %d different texts; leave it out "
                       "(--label-names names the columns that are wanted) or map them (--rating)",
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
    *out = NULL;
    if (ratings->count >= MAX_RATING_COLUMNS)
        return vg_fail(VG_ERR_CONFIG, "more than %d columns of ratings", MAX_RATING_COLUMNS);
    vg__rating *grown = realloc(ratings->rating, (size_t)(ratings->count + 1) * sizeof *grown);
    if (!grown) return vg_fail(VG_ERR_MEMORY, "no memory for a column of ratings");
    ratings->rating = grown;
    grown[ratings->count] = (vg__rating){.column = -1};
    *out = &grown[ratings->count++];
    return VG_OK;
}

/* One entry of the option: NAME[@FIELD][:pairs]. */
static vg_status read_entry(vg__ratings *ratings, const char *p, const char *end)
{
    vg__rating *rating;
    VG_TRY(new_rating(ratings, &rating));
    const char *colon = memchr(p, ':', (size_t)(end - p)), *name_end = colon ? colon : end;
    const char *at = memchr(p, '@', (size_t)(name_end - p));
    if (!copy_word(p, at ? at : name_end, rating->name) ||
        (at && !copy_word(at + 1, name_end, rating->field)))
        return vg_fail(VG_ERR_CONFIG, "the rating \"%.*s\" is not NAME[@FIELD][:TEXT=NUMBER,...]",
                       (int)(end - p), p);
    if (!at) strcpy(rating->field, "trial");
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

/* Makes a column of the labels file a rating: the one of this name, or a new one. */
static vg_status take_column(vg__ratings *ratings, const char *name, int column)
{
    vg__rating *rating = find_rating(ratings, name);
    if (!rating) {
        VG_TRY(new_rating(ratings, &rating));
        strcpy(rating->name, name);
    }
    if (rating->column >= 0 && rating->column != column)
        return vg_fail(VG_ERR_CONFIG, "the rating %s is named twice", name);
    rating->column = column;
    rating->field[0] = 0;
    return rating->pairs == 0 ? number_texts(&ratings->labels, rating) : VG_OK;
}

/* "NAME@COLUMN" of the option `rating`. *taken: how many there are. */
static vg_status take_mentioned(const char *labels, vg__ratings *ratings, int *taken)
{
    vg__fields known;
    *taken = 0;
    for (int i = 0; i < ratings->count; i++) {
        vg__rating *rating = &ratings->rating[i];
        if (vg__fields_get(&known, rating->field)) continue;
        int column = vg__csv_column(&ratings->labels, rating->field);
        if (column < 0)
            return vg_fail(VG_ERR_CONFIG,
                           "the rating %s takes a field \"%s\"; known are subject, session, trial, stimulus, "
                           "record%s%s",
                           rating->name, rating->field, *labels ? " and the columns of " : "",
                           *labels ? labels : "; --labels names a file with more");
        rating->column = column;
        rating->field[0] = 0;
        if (rating->pairs == 0) VG_TRY(number_texts(&ratings->labels, rating));
        ++*taken;
    }
    return VG_OK;
}

/* The columns that the option label_names asks for: in their order where the file has no header, by its
 * header otherwise. */
static vg_status take_named(const char *path, const char *names, vg__ratings *ratings)
{
    const vg__csv *csv = &ratings->labels;
    int column = 0;
    for (const char *p = names; *p;) {
        char name[VG__FIELD_SIZE];
        const char *end = p + strcspn(p, ",");
        column = csv->header ? -1 : column + 1;
        if (column >= csv->columns)
            return vg_fail(VG_ERR_CONFIG, "%s: more names than its %d columns of labels", path,
                           csv->columns - 1);
        if (!copy_word(p, end, name))
            return vg_fail(VG_ERR_CONFIG, "%s: --label-names has an empty or too long name", path);
        if (csv->header && (column = vg__csv_column(csv, name)) < 0)
            return vg_fail(VG_ERR_CONFIG, "%s: --label-names: its first line names no column \"%s\"", path,
                           name);
        VG_TRY(take_column(ratings, name, column));
        p = *end ? end + 1 : end;
    }
    if (!csv->header && column + 1 < csv->columns)
        return vg_fail(VG_ERR_CONFIG, "%s: no name for its column %d", path, column + 2);
    return VG_OK;
}

static vg_status read_labels(const char *path, const char *names, vg__ratings *ratings)
{
    vg__csv *csv = &ratings->labels;
    int taken;
    VG_TRY(vg__csv_read_labels(path, csv));
    VG_TRY(take_mentioned(path, ratings, &taken));
    if (*names) return take_named(path, names, ratings);
    if (!csv->header)
        return vg_fail(
            VG_ERR_CONFIG,
            "%s: no column of its first line is called record, file, filename or path, so it is no "
            "header, and the names of its %d columns of labels must be given (--label-names)",
            path, csv->columns - 1);
    for (int column = 0; column < csv->columns; column++) {
        char name[VG__FIELD_SIZE];
        const char *text = csv->header[column];
        if (vg__csv_is_name(csv, column)) continue;
        /* Who picks columns by "@" wants those; of the others then only one whose own texts are mapped. */
        if (taken > 0 && !find_rating(ratings, text)) continue;
        if (!copy_word(text, text + strlen(text), name))
            return vg_fail(VG_ERR_CONFIG, "%s: no name for its column %d", path, column + 1);
        vg__rating *rating = find_rating(ratings, name);
        if (!rating || rating->column < 0) VG_TRY(take_column(ratings, name, column));
    }
    return VG_OK;
}

vg_status vg__ratings_read(const char *rating, const char *labels, const char *label_names,
                           vg__ratings *ratings)
{
    vg_status status = VG_OK;
    int taken;
    *ratings = (vg__ratings){0};
    for (const char *p = rating; *p;) {
        const char *end = p + strcspn(p, ";");
        VG_TRY_OUT(read_entry(ratings, p, end));
        p = *end ? end + 1 : end;
    }
    for (int i = 0; i < ratings->count; i++) {
        if (find_rating(ratings, ratings->rating[i].name) == &ratings->rating[i]) continue;
        status = vg_fail(VG_ERR_CONFIG, "the rating %s is named twice", ratings->rating[i].name);
        goto out;
    }
    status = *labels ? read_labels(labels, label_names, ratings) : take_mentioned("", ratings, &taken);
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

/* Whether the word stands in a list of words, such as "{'NORM': 100.0, 'SR': 0.0}" or "NORM|SR". */
static bool has_word(const char *text, const char *word)
{
    static const char between[] = " \t\r\n,;:|'\"[]{}";
    const size_t length = strlen(word);
    for (const char *p = text; length && (p = strstr(p, word)); p++)
        if ((p == text || strchr(between, p[-1])) && strchr(between, p[length])) return true;
    return false;
}

/* What the text is mapped to: by itself, else by the first word that it contains, else by "else". -1:
 * nothing. */
static int find_pair(const vg__rating *rating, const char *text)
{
    static const char contains[] = "contains ";
    const size_t length = sizeof contains - 1;
    int word = -1, other = -1;
    for (int k = rating->pairs; k-- > 0;) {
        const char *known = rating->text[k];
        if (strcmp(known, text) == 0) return k;
        if (strcmp(known, "else") == 0) other = k;
        if (strncmp(known, contains, length) == 0 && has_word(text, known + length)) word = k;
    }
    return word >= 0 ? word : other;
}

static vg_status text_to_number(const vg__rating *rating, const char *text, double *value)
{
    *value = NAN;
    if (!*text) return VG_OK;
    int pair = find_pair(rating, text);
    if (pair >= 0) {
        *value = rating->number[pair];
        return VG_OK;
    }
    if (rating->pairs == 0 && as_number(text, value)) return VG_OK;
    return vg_fail(VG_ERR_DATA, "the rating %s has no number for \"%s\"", rating->name, text);
}

vg_status vg__ratings_look_up(const vg__ratings *ratings, vg__fields *fields, double *values)
{
    for (int i = 0; i < ratings->count; i++) {
        vg__rating *rating = &ratings->rating[i];
        const char *text = "";
        if (rating->column < 0)
            text = vg__fields_get(fields, rating->field);
        else if (fields->labels)
            text = fields->labels[rating->column];
        VG_TRY(text_to_number(rating, text, &values[i]));
        rating->known += !isnan(values[i]);
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
