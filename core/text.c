#include "core/text.h"

#include <math.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Makes room for `count` more bytes and the closing zero; false when memory ran out, now or before. */
static bool reserve(vg_text *text, size_t count)
{
    size_t needed, capacity = text->capacity ? text->capacity : 256;
    if (text->failed || __builtin_add_overflow(text->length, count, &needed) || needed >= SIZE_MAX / 4) {
        text->failed = true;
        return false;
    }
    if (needed < text->capacity) return true;
    while (capacity <= needed) capacity *= 2;
    char *grown = realloc(text->data, capacity);
    if (!grown) {
        text->failed = true;
        return false;
    }
    text->data = grown;
    text->capacity = capacity;
    return true;
}

void vg_text_append(vg_text *text, const char *bytes, size_t count)
{
    if (!reserve(text, count)) return;
    if (count) memcpy(text->data + text->length, bytes, count);
    text->length += count;
    text->data[text->length] = 0;
}

void vg_text_add_field(vg_text *text, const char *field)
{
    if (!strpbrk(field, ",\"\r\n")) {
        vg_text_append(text, field, strlen(field));
        return;
    }
    vg_text_append(text, "\"", 1);
    for (; *field; field++) vg_text_append(text, *field == '"' ? "\"\"" : field, *field == '"' ? 2 : 1);
    vg_text_append(text, "\"", 1);
}

void vg_text_add(vg_text *text, const char *format, ...)
{
    va_list arguments, again;
    va_start(arguments, format);
    va_copy(again, arguments);
    int count = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    if (count < 0) {
        text->failed = true;
    } else if (reserve(text, (size_t)count)) {
        vsnprintf(text->data + text->length, (size_t)count + 1, format, again);
        text->length += (size_t)count;
    }
    va_end(again);
}

vg_status vg_text_take(vg_text *text, char **out)
{
    vg_text_append(text, "", 0); /* a text to which nothing was added becomes "" */
    if (text->failed) {
        size_t length = text->length;
        vg_text_free(text);
        return vg_fail(VG_ERR_MEMORY, "out of memory while composing a text of %zu bytes", length);
    }
    *out = text->data;
    *text = (vg_text){0};
    return VG_OK;
}

void vg_text_free(vg_text *text)
{
    free(text->data);
    *text = (vg_text){0};
}

vg_status vg_text_copy(const char *text, char **out)
{
    if (!text) {
        *out = NULL;
        return VG_OK;
    }
    size_t size = strlen(text) + 1;
    char *copy = malloc(size);
    if (!copy) return vg_fail(VG_ERR_MEMORY, "out of memory while copying a text of %zu bytes", size);
    memcpy(copy, text, size);
    *out = copy;
    return VG_OK;
}

/* YAML 1.1 readers (PyYAML) take "1e-05" for a string: a real number has a point there. So one is put in. */
const char *vg_double_text(double value, char out[VG_DOUBLE_TEXT])
{
    if (isnan(value) || isinf(value)) {
        snprintf(out, VG_DOUBLE_TEXT, "%s", isnan(value) ? ".nan" : value > 0 ? ".inf" : "-.inf");
        return out;
    }
    char digits[32];
    for (int precision = 1; precision <= 17; precision++) {
        snprintf(digits, sizeof digits, "%.*g", precision, value);
        if (strtod(digits, NULL) == value) break;
    }
    char *exponent = strchr(digits, 'e');
    bool whole = !strchr(digits, '.');
    if (exponent)
        snprintf(out, VG_DOUBLE_TEXT, "%.*s%s%s", (int)(exponent - digits), digits, whole ? ".0" : "",
                 exponent);
    else
        snprintf(out, VG_DOUBLE_TEXT, "%s%s", digits, whole ? ".0" : "");
    return out;
}

/* How many bytes follow the lead byte, and the smallest code point that needs that many; -1 for a byte that
 * leads nothing. */
static int utf8_follow(unsigned char lead, uint32_t *bits, uint32_t *least)
{
    static const struct {
        unsigned char mask, lead;
        uint32_t least;
    } forms[] = {{0x80, 0x00, 0}, {0xe0, 0xc0, 0x80}, {0xf0, 0xe0, 0x800}, {0xf8, 0xf0, 0x10000}};
    for (int i = 0; i < 4; i++)
        if ((lead & forms[i].mask) == forms[i].lead) {
            *bits = lead & (unsigned char)~forms[i].mask;
            *least = forms[i].least;
            return i;
        }
    return -1;
}

bool vg_text_is_utf8(const char *bytes, size_t count, size_t *bad)
{
    const unsigned char *at = (const unsigned char *)bytes;
    for (size_t i = 0; i < count;) {
        uint32_t code = 0, least = 0;
        int follow = utf8_follow(at[i], &code, &least);
        bool good = follow >= 0 && (size_t)follow < count - i;
        for (int k = 1; good && k <= follow; k++) {
            good = (at[i + (size_t)k] & 0xc0) == 0x80;
            code = code << 6 | (at[i + (size_t)k] & 0x3fu);
        }
        if (!good || code < least || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff)) {
            if (bad) *bad = i;
            return false;
        }
        i += (size_t)follow + 1;
    }
    return true;
}

enum { LONGEST_NAME = 80 }; /* beyond it a name is not worth comparing */

size_t vg_text_distance(const char *a, const char *b)
{
    size_t rows = strlen(a), columns = strlen(b);
    if (rows > LONGEST_NAME || columns > LONGEST_NAME)
        return !strcmp(a, b) ? 0 : rows > columns ? rows : columns;
    size_t table[3][LONGEST_NAME + 1]; /* the row before last, the last, this one (Damerau) */
    for (size_t j = 0; j <= columns; j++) table[1][j] = j;
    for (size_t i = 1; i <= rows; i++) {
        table[2][0] = i;
        for (size_t j = 1; j <= columns; j++) {
            size_t best = table[1][j - 1] + (a[i - 1] != b[j - 1]);
            if (table[1][j] + 1 < best) best = table[1][j] + 1;
            if (table[2][j - 1] + 1 < best) best = table[2][j - 1] + 1;
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] && table[0][j - 2] + 1 < best)
                best = table[0][j - 2] + 1;
            table[2][j] = best;
        }
        memcpy(table[0], table[1], sizeof table[0]);
        memcpy(table[1], table[2], sizeof table[1]);
    }
    return table[1][columns];
}

size_t vg_text_nearest(const char *name, const char *const *names, size_t count)
{
    size_t nearest = count, least = SIZE_MAX;
    for (size_t i = 0; i < count; i++) {
        size_t distance = vg_text_distance(name, names[i]), longer = strlen(name), length = strlen(names[i]);
        if (length > longer) longer = length;
        size_t allowed = longer / 3 > 1 ? longer / 3 : 1;
        if (distance <= allowed && distance < longer && distance < least) {
            least = distance;
            nearest = i;
        }
    }
    return nearest;
}
