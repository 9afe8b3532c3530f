/* The only file that knows cJSON, and it only parses: what cJSON writes rounds integers and spells NaN "null"
 * or not depending on its version, so the writer is ours. */
#include "core/json.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "core/file.h"

/* Writing. */

vg_json_writer vg_json_writer_make(bool indented)
{
    return (vg_json_writer){.indented = indented};
}

static void put_quoted(vg_text *text, const char *string)
{
    vg_text_append(text, "\"", 1);
    for (const char *at = string; *at; at++) {
        if (*at == '"' || *at == '\\')
            vg_text_add(text, "\\%c", *at);
        else if (*at == '\n')
            vg_text_add(text, "\\n");
        else if (*at == '\t')
            vg_text_add(text, "\\t");
        else if ((unsigned char)*at < 0x20 || *at == 0x7f)
            vg_text_add(text, "\\u%04x", (unsigned)*at);
        else
            vg_text_append(text, at, 1);
    }
    vg_text_append(text, "\"", 1);
}

static void new_line(vg_json_writer *json)
{
    if (json->indented) vg_text_add(&json->text, "\n%*s", 2 * json->depth, "");
}

/* What comes before any value: a comma, the line, the key. */
static void begin_value(vg_json_writer *json, const char *key)
{
    if (!json->depth) {
        VG_ASSERT(!key && !json->text.length);
        return;
    }
    VG_ASSERT((key != NULL) == (json->closing[json->depth - 1] == '}'));
    if (json->filled[json->depth - 1]) vg_text_add(&json->text, json->indented ? "," : ", ");
    json->filled[json->depth - 1] = true;
    new_line(json);
    if (!key) return;
    put_quoted(&json->text, key);
    vg_text_add(&json->text, ": ");
}

static void begin(vg_json_writer *json, const char *key, char opening, char closing)
{
    begin_value(json, key);
    VG_ASSERT(json->depth < VG_JSON_DEPTH);
    vg_text_append(&json->text, &opening, 1);
    json->closing[json->depth] = closing;
    json->filled[json->depth++] = false;
}

void vg_json_begin_object(vg_json_writer *json, const char *key)
{
    begin(json, key, '{', '}');
}

void vg_json_begin_array(vg_json_writer *json, const char *key)
{
    begin(json, key, '[', ']');
}

void vg_json_end(vg_json_writer *json)
{
    VG_ASSERT(json->depth > 0);
    json->depth--;
    if (json->filled[json->depth]) new_line(json);
    vg_text_append(&json->text, &json->closing[json->depth], 1);
}

void vg_json_put_null(vg_json_writer *json, const char *key)
{
    begin_value(json, key);
    vg_text_add(&json->text, "null");
}

void vg_json_put_string(vg_json_writer *json, const char *key, const char *value)
{
    if (!value) {
        vg_json_put_null(json, key);
        return;
    }
    begin_value(json, key);
    /* A file name may be any bytes; JSON may not. */
    put_quoted(&json->text, vg_text_is_utf8(value, strlen(value), NULL) ? value : "(not UTF-8)");
}

void vg_json_put_int(vg_json_writer *json, const char *key, int64_t value)
{
    begin_value(json, key);
    vg_text_add(&json->text, "%" PRId64, value);
}

void vg_json_put_uint64(vg_json_writer *json, const char *key, uint64_t value)
{
    begin_value(json, key);
    vg_text_add(&json->text, value > UINT64_C(1) << 53 ? "\"%" PRIu64 "\"" : "%" PRIu64, value);
}

static void put_number(vg_text *text, double value)
{
    char digits[VG_DOUBLE_TEXT];
    vg_text_add(text, "%s", isfinite(value) ? vg_double_text(value, digits) : "null");
}

void vg_json_put_double(vg_json_writer *json, const char *key, double value)
{
    begin_value(json, key);
    put_number(&json->text, value);
}

void vg_json_put_bool(vg_json_writer *json, const char *key, bool value)
{
    begin_value(json, key);
    vg_text_add(&json->text, value ? "true" : "false");
}

void vg_json_put_doubles(vg_json_writer *json, const char *key, const double *values, size_t count)
{
    begin_value(json, key);
    vg_text_add(&json->text, "[");
    for (size_t i = 0; i < count; i++) {
        vg_text_add(&json->text, i ? ", " : "");
        put_number(&json->text, values[i]);
    }
    vg_text_add(&json->text, "]");
}

vg_status vg_json_take(vg_json_writer *json, char **text)
{
    VG_ASSERT(!json->depth);
    return vg_text_take(&json->text, text);
}

void vg_json_writer_free(vg_json_writer *json)
{
    vg_text_free(&json->text);
}

/* The text with its newline, handed to `put`. */
static vg_status finish(vg_json_writer *json, const char *path,
                        vg_status (*put)(const char *path, const void *bytes, size_t size))
{
    char *text;
    vg_text_append(&json->text, "\n", 1);
    VG_TRY(vg_json_take(json, &text));
    vg_status status = put(path, text, strlen(text));
    free(text);
    return status;
}

vg_status vg_json_write(vg_json_writer *json, const char *path)
{
    return finish(json, path, vg_file_write);
}

vg_status vg_json_append(vg_json_writer *json, const char *path)
{
    VG_ASSERT(!json->indented);
    return finish(json, path, vg_file_append);
}

/* Reading. A vg_json_value is a cJSON item by another name. */

struct vg_json {
    char *name;
    cJSON *root;
};

static const cJSON *item(const vg_json_value *value)
{
    return (const cJSON *)value;
}

static int line_of(const char *text, size_t offset)
{
    int line = 1;
    for (size_t i = 0; i < offset; i++) line += text[i] == '\n';
    return line;
}

/* cJSON would end a string at an escaped zero byte, which can make two names one. */
static bool has_escaped_zero(const char *text, size_t length, size_t *offset)
{
    for (size_t i = 0; i + 1 < length; i++) {
        if (text[i] != '\\') continue;
        if (length - i >= 6 && !memcmp(text + i, "\\u0000", 6)) {
            *offset = i;
            return true;
        }
        i++;
    }
    return false;
}

static int by_key(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Looks for a key given twice in any object; the depth is bounded by cJSON's own limit of 1000. */
static vg_status refuse_duplicates(const vg_json *json, const cJSON *value)
{
    vg_status status = VG_OK;
    const char **keys = NULL;
    size_t count = 0, used = 0;
    for (const cJSON *child = value->child; child; child = child->next) {
        count++;
        if (child->child) VG_TRY(refuse_duplicates(json, child));
    }
    if (!cJSON_IsObject(value) || count < 2) return VG_OK;
    keys = malloc(count * sizeof *keys);
    if (!keys) return vg_fail(VG_ERR_MEMORY, "out of memory while reading %s", json->name);
    for (const cJSON *child = value->child; child; child = child->next) keys[used++] = child->string;
    qsort(keys, count, sizeof *keys, by_key);
    for (size_t i = 1; i < count && status == VG_OK; i++)
        if (!strcmp(keys[i - 1], keys[i]))
            status = vg_fail(VG_ERR_FORMAT, "%s: the key \"%.200s\" is given twice", json->name, keys[i]);
    free(keys);
    return status;
}

static vg_status parse(vg_json *json, const char *text, size_t length)
{
    size_t bad = 0;
    if (!vg_text_is_utf8(text, length, &bad))
        return vg_fail(VG_ERR_FORMAT, "%s:%d: not UTF-8 text (byte %zu)", json->name, line_of(text, bad),
                       bad);
    if (has_escaped_zero(text, length, &bad))
        return vg_fail(VG_ERR_FORMAT, "%s:%d: a text contains a zero byte (byte %zu)", json->name,
                       line_of(text, bad), bad);
    const char *end = text;
    json->root = cJSON_ParseWithLengthOpts(text, length, &end, 0);
    size_t offset = (size_t)(end - text);
    if (!json->root)
        return vg_fail(VG_ERR_FORMAT, "%s:%d: not valid JSON at byte %zu of %zu", json->name,
                       line_of(text, offset), offset, length);
    while (offset < length && strchr(" \t\r\n", text[offset]) && text[offset]) offset++;
    if (offset < length)
        return vg_fail(VG_ERR_FORMAT, "%s:%d: text after the end of the JSON value (byte %zu)", json->name,
                       line_of(text, offset), offset);
    return refuse_duplicates(json, json->root);
}

vg_status vg_json_parse(const char *text, size_t length, const char *name, vg_json **out)
{
    vg_status status = VG_OK;
    vg_json *json = calloc(1, sizeof *json);
    if (!json) return vg_fail(VG_ERR_MEMORY, "out of memory while reading %s", name);
    VG_TRY_OUT(vg_text_copy(name, &json->name));
    VG_TRY_OUT(parse(json, text, length));
    *out = json;
    json = NULL;
out:
    vg_json_destroy(json);
    return status;
}

vg_status vg_json_read(const char *path, vg_json **out)
{
    char *text;
    size_t length;
    VG_TRY(vg_file_read(path, VG_JSON_LIMIT, &text, &length));
    vg_status status = vg_json_parse(text, length, path, out);
    free(text);
    return status;
}

void vg_json_destroy(vg_json *json)
{
    if (!json) return;
    cJSON_Delete(json->root);
    free(json->name);
    free(json);
}

const vg_json_value *vg_json_root(const vg_json *json)
{
    return (const vg_json_value *)json->root;
}

vg_json_kind vg_json_kind_of(const vg_json_value *value)
{
    const cJSON *it = item(value);
    if (cJSON_IsBool(it)) return VG_JSON_BOOL;
    if (cJSON_IsNumber(it)) return VG_JSON_NUMBER;
    if (cJSON_IsString(it)) return VG_JSON_STRING;
    if (cJSON_IsArray(it)) return VG_JSON_ARRAY;
    if (cJSON_IsObject(it)) return VG_JSON_OBJECT;
    return VG_JSON_NULL;
}

const vg_json_value *vg_json_first(const vg_json_value *value)
{
    return (const vg_json_value *)item(value)->child;
}

const vg_json_value *vg_json_next(const vg_json_value *value)
{
    return (const vg_json_value *)item(value)->next;
}

const char *vg_json_key(const vg_json_value *value)
{
    return item(value)->string;
}

size_t vg_json_count(const vg_json_value *value)
{
    size_t count = 0;
    for (const cJSON *child = item(value)->child; child; child = child->next) count++;
    return count;
}

const char *vg_json_text(const vg_json_value *value)
{
    return cJSON_IsString(item(value)) ? item(value)->valuestring : NULL;
}

double vg_json_number(const vg_json_value *value)
{
    return cJSON_IsNumber(item(value)) ? item(value)->valuedouble : NAN;
}

const vg_json_value *vg_json_find(const vg_json_value *object, const char *key)
{
    return (const vg_json_value *)cJSON_GetObjectItemCaseSensitive(item(object), key);
}

static const char *kind_name(vg_json_kind kind)
{
    static const char *const names[] = {"null",     "true or false", "a number",
                                        "a string", "an array",      "an object"};
    return names[kind];
}

static vg_status find_member(const vg_json *json, const vg_json_value *object, const char *key,
                             const vg_json_value **out)
{
    *out = vg_json_find(object ? object : vg_json_root(json), key);
    if (!*out) return vg_fail(VG_ERR_FORMAT, "%s: the key \"%s\" is missing", json->name, key);
    return VG_OK;
}

vg_status vg_json_get(const vg_json *json, const vg_json_value *object, const char *key, vg_json_kind kind,
                      const vg_json_value **out)
{
    const vg_json_value *value;
    VG_TRY(find_member(json, object, key, &value));
    if (vg_json_kind_of(value) != kind)
        return vg_fail(VG_ERR_FORMAT, "%s: \"%s\" must be %s, not %s", json->name, key, kind_name(kind),
                       kind_name(vg_json_kind_of(value)));
    *out = value;
    return VG_OK;
}

static const double exact_limit = 9007199254740992.0; /* 2^53 */

vg_status vg_json_get_int(const vg_json *json, const vg_json_value *object, const char *key, int64_t *out)
{
    const vg_json_value *value;
    VG_TRY(vg_json_get(json, object, key, VG_JSON_NUMBER, &value));
    double number = vg_json_number(value);
    if (!(fabs(number) <= exact_limit) || number != floor(number))
        return vg_fail(VG_ERR_FORMAT, "%s: \"%s\" must be a whole number within 2^53, not %.17g", json->name,
                       key, number);
    *out = (int64_t)number;
    return VG_OK;
}

vg_status vg_json_get_uint64(const vg_json *json, const vg_json_value *object, const char *key, uint64_t *out)
{
    const vg_json_value *value;
    VG_TRY(find_member(json, object, key, &value));
    const char *text = vg_json_text(value);
    if (text) {
        size_t digits = strspn(text, "0123456789");
        errno = 0;
        unsigned long long whole = strtoull(text, NULL, 10);
        if (!digits || text[digits] || errno == ERANGE)
            return vg_fail(VG_ERR_FORMAT, "%s: \"%s\" must be a whole number of 64 bits, not \"%.60s\"",
                           json->name, key, text);
        *out = whole;
        return VG_OK;
    }
    int64_t number;
    VG_TRY(vg_json_get_int(json, object, key, &number));
    if (number < 0) return vg_fail(VG_ERR_FORMAT, "%s: \"%s\" must not be negative", json->name, key);
    *out = (uint64_t)number;
    return VG_OK;
}

vg_status vg_json_get_double(const vg_json *json, const vg_json_value *object, const char *key, double *out)
{
    const vg_json_value *value;
    VG_TRY(find_member(json, object, key, &value));
    if (vg_json_kind_of(value) != VG_JSON_NULL)
        VG_TRY(vg_json_get(json, object, key, VG_JSON_NUMBER, &value));
    *out = vg_json_number(value);
    return VG_OK;
}

vg_status vg_json_get_bool(const vg_json *json, const vg_json_value *object, const char *key, bool *out)
{
    const vg_json_value *value;
    VG_TRY(vg_json_get(json, object, key, VG_JSON_BOOL, &value));
    *out = cJSON_IsTrue(item(value));
    return VG_OK;
}

vg_status vg_json_get_string(const vg_json *json, const vg_json_value *object, const char *key,
                             const char **out)
{
    const vg_json_value *value;
    VG_TRY(vg_json_get(json, object, key, VG_JSON_STRING, &value));
    *out = vg_json_text(value);
    return VG_OK;
}
