/* Which row of a table is about which record, and how many have none. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/hash.h"
#include "datasets/import/pipeline/csv_own.h"
#include "datasets/import/pipeline/files.h"

/* ---- Keys -------------------------------------------------------------------------------------------- */

/* How long the text is without a file's ending: up to five letters and digits behind the last point, a letter
 * first, so that "rec.2" has none. */
static size_t stem_length(const char *text)
{
    const char *name = vg__file_name(text), *point = strrchr(name, '.');
    size_t length = point ? strlen(point + 1) : 0;
    if (!point || point == name || length < 1 || length > 5 || !isalpha((unsigned char)point[1]))
        return strlen(text);
    for (const char *c = point + 1; *c; c++)
        if (!isalnum((unsigned char)*c)) return strlen(text);
    return (size_t)(point - text);
}

static int by_text(const void *left, const void *right)
{
    const vg__csv_key *a = left, *b = right;
    int order = strcmp(a->text, b->text);
    if (order == 0) order = b->whole - a->whole;
    return order ? order : (a->row > b->row) - (a->row < b->row);
}

static bool rows_agree(const vg__csv *csv, bool subjects, int64_t a, int64_t b)
{
    const char *const *left = csv->cell + a * csv->columns, *const *right = csv->cell + b * csv->columns;
    if (a == b) return true;
    if (subjects) return strcmp(left[csv->subject], right[csv->subject]) == 0;
    for (int i = 0; i < csv->columns; i++)
        if (!vg__csv_is_name(csv, i) && strcmp(left[i], right[i]) != 0) return false;
    return true;
}

/* Leaves one key of each text. A whole cell goes before parts of other cells. */
static vg_status join_keys(vg__csv *csv, bool subjects)
{
    int64_t kept = 0;
    for (int64_t i = 0, next; i < csv->keys; i = next) {
        vg__csv_key *key = &csv->key[kept++];
        *key = csv->key[i];
        for (next = i + 1; next < csv->keys && strcmp(csv->key[next].text, key->text) == 0; next++) {
            const vg__csv_key *other = &csv->key[next];
            bool agree = rows_agree(csv, subjects, key->row, other->row);
            if (key->whole && other->whole && !agree)
                return vg_fail(VG_ERR_FORMAT, "%s: \"%s\" stands in two rows that differ%s%s%s%s", csv->path,
                               key->text, subjects ? ": subject " : "",
                               subjects ? csv->cell[key->row * csv->columns + csv->subject] : "",
                               subjects ? " and " : "",
                               subjects ? csv->cell[other->row * csv->columns + csv->subject] : "");
            if (key->whole && other->whole && other->row != key->row) csv->used[other->row] = true;
            if (!key->whole && !agree) key->clash = true;
        }
    }
    csv->keys = kept;
    return VG_OK;
}

static void add_key(vg__csv *csv, const char *text, int64_t row, bool whole)
{
    if (*text) csv->key[csv->keys++] = (vg__csv_key){.text = text, .row = row, .whole = whole};
}

vg_status vg__csv_index(vg__csv *csv, bool subjects)
{
    int64_t cells = 0;
    size_t bytes = 1;
    for (int column = 0; column < csv->columns; column++) {
        if (!vg__csv_is_key(csv, column)) continue;
        cells += csv->rows;
        for (int64_t row = 0; row < csv->rows; row++)
            bytes += strlen(csv->cell[row * csv->columns + column]) + 1;
    }
    csv->key = malloc(((size_t)cells * 4 + 1) * sizeof *csv->key);
    csv->used = calloc((size_t)csv->rows + 1, sizeof *csv->used);
    csv->parts = malloc(bytes);
    csv->use = calloc(1, sizeof *csv->use);
    if (!csv->key || !csv->used || !csv->parts || !csv->use)
        return vg_fail(VG_ERR_MEMORY, "%s: no memory for %lld rows", csv->path, (long long)csv->rows);
    char *part = csv->parts;
    for (int64_t row = 0; row < csv->rows; row++) {
        csv->used[row] = subjects && !*csv->cell[row * csv->columns + csv->subject];
        for (int column = 0; column < csv->columns && !csv->used[row]; column++) {
            const char *cell = csv->cell[row * csv->columns + column];
            if (!vg__csv_is_key(csv, column)) continue;
            while (strncmp(cell, "./", 2) == 0) cell += 2;
            add_key(csv, cell, row, true);
            if (strchr(cell, '/')) add_key(csv, vg__file_name(cell), row, false);
            size_t length = stem_length(cell);
            if (!cell[length]) continue;
            memcpy(part, cell, length);
            part[length] = 0;
            add_key(csv, part, row, false);
            if (strchr(part, '/')) add_key(csv, vg__file_name(part), row, false);
            part += length + 1;
        }
    }
    qsort(csv->key, (size_t)csv->keys, sizeof *csv->key, by_text);
    return join_keys(csv, subjects);
}

/* ---- Records ----------------------------------------------------------------------------------------- */

static const vg__csv_key *find_key(const vg__csv *csv, const char *text)
{
    const vg__csv_key wanted = {.text = text};
    int64_t low = 0, high = csv->keys - 1;
    while (low <= high) {
        int64_t middle = low + (high - low) / 2;
        int order = strcmp(wanted.text, csv->key[middle].text);
        if (order == 0) return &csv->key[middle];
        if (order < 0)
            high = middle - 1;
        else
            low = middle + 1;
    }
    return NULL;
}

/* One way to call the record: true when that is settled. */
static bool try_name(const vg__csv *csv, const char *name, int64_t *row, bool *unclear)
{
    const vg__csv_key *key = *name ? find_key(csv, name) : NULL;
    if (!key) return false;
    if (key->clash)
        *unclear = true;
    else
        *row = key->row;
    return !key->clash;
}

/* From the longest end of the path to the file's own name; between them, the record's name. */
static int64_t find_row(const vg__csv *csv, const char *record, const char *file, bool *unclear)
{
    int64_t row = -1;
    char whole[4096], stem[4096];
    snprintf(whole, sizeof whole, "%s", file);
    /* "file.mat:place" is in a file of many recordings. */
    char *name = whole + (vg__file_name(whole) - whole);
    name[strcspn(name, ":")] = 0;
    snprintf(stem, sizeof stem, "%.*s", (int)stem_length(whole), whole);
    for (const char *p = whole; p < name; p += strcspn(p, "/") + 1)
        if (try_name(csv, p, &row, unclear) || try_name(csv, stem + (p - whole), &row, unclear)) return row;
    const char *const names[] = {record, vg__file_name(record), name, stem + (name - whole)};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (try_name(csv, names[i], &row, unclear)) break;
    return row;
}

static void keep_first(char **first, const char *record, const char *file)
{
    char text[400];
    if (*first) return;
    snprintf(text, sizeof text, "\"%.100s\" (%.250s)", record, file);
    *first = strdup(text); /* without memory the message says less */
}

int64_t vg__csv_match(const vg__csv *csv, const char *record, const char *file)
{
    const uint64_t hash =
        vg_hash_add(vg_hash_add(VG_HASH_NOTHING, record, strlen(record) + 1), file, strlen(file));
    bool unclear = false;
    vg__csv_use *use = csv->use;
    if (use->records > 0 && hash == use->last) return use->last_row;
    int64_t row = find_row(csv, record, file, &unclear);
    use->last = hash;
    use->last_row = row;
    use->records++;
    keep_first(&use->first_record, record, file);
    if (row >= 0) {
        csv->used[row] = true;
        return row;
    }
    if (unclear) {
        use->unclear++;
        keep_first(&use->first_unclear, record, file);
    } else {
        use->missing++;
        keep_first(&use->first_missing, record, file);
    }
    return -1;
}

vg_status vg__csv_check(const vg__csv *csv, const char *option, const char *loss, char *warning, size_t size)
{
    int64_t unused = 0, first = -1;
    const vg__csv_use *use = csv->use;
    *warning = 0;
    if (!use || use->records == 0) return VG_OK;
    for (int64_t row = 0; row < csv->rows; row++) {
        if (csv->used[row]) continue;
        if (unused++ == 0) first = row;
    }
    const char *first_row = first < 0 ? "" : csv->cell[first * csv->columns + csv->record];
    if (use->unclear > 0)
        return vg_fail(VG_ERR_CONFIG,
                       "%s %s: several of its rows, which differ, could be the record %s (%lld such "
                       "records); give the path to the file in the table",
                       option, csv->path, use->first_unclear ? use->first_unclear : "?",
                       (long long)use->unclear);
    if (use->missing == use->records)
        return vg_fail(VG_ERR_CONFIG,
                       "%s %s: none of its %lld rows names one of the %lld records. The first row names "
                       "\"%.200s\", the first record is %s; a row may give the record's name, its file's "
                       "name or the path to it",
                       option, csv->path, (long long)csv->rows, (long long)use->records, first_row,
                       use->first_record ? use->first_record : "?");
    if (use->missing == 0) return VG_OK;
    int used = snprintf(warning, size, "%s %.300s: %lld of %lld records are not in it, the first %s; %s",
                        option, csv->path, (long long)use->missing, (long long)use->records,
                        use->first_missing ? use->first_missing : "?", loss);
    if (unused > 0 && used > 0 && (size_t)used < size)
        snprintf(warning + used, size - (size_t)used,
                 ". %lld of its %lld rows match no record, the first \"%.200s\"", (long long)unused,
                 (long long)csv->rows, first_row);
    return VG_OK;
}
