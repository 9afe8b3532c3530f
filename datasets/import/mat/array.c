#include "datasets/import/mat/array.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* Classes of arrays, as the format numbers them. */
enum { CELL = 1, STRUCT, OBJECT, CHARACTER, SPARSE, FIRST_NUMERIC, FUNCTION = 16, OPAQUE };

enum { MAX_FIELDS = 1000, MAX_DEPTH = 12 };
static const int64_t MAX_COUNT = (int64_t)1 << 40;

/* ---- The head -------------------------------------------------------------------------------------- */

static vg_status read_dims(vg__mat_stream *s, int64_t *left, vg__mat_value *value)
{
    vg__mat_piece p;
    unsigned char bytes[4 * VG__MAT_RANK];
    VG_TRY(vg__mat_read_tag(s, left, &p));
    if ((p.type != VG__MAT_INT32 && p.type != VG__MAT_UINT32) || p.size < 8 ||
        p.size > (int64_t)sizeof bytes || p.size % 4)
        return vg__mat_wrong(s, "its dimensions are not two to eight whole numbers");
    VG_TRY(vg__mat_take_piece(s, &p, bytes));
    value->rank = (int)(p.size / 4);
    value->count = 1;
    for (int i = 0; i < value->rank; i++) {
        value->dims[i] = (int32_t)vg__mat_word(s, bytes + 4 * i);
        if (value->dims[i] < 0) return vg__mat_wrong(s, "a dimension below zero");
        if (value->dims[i] > 0 && value->count > MAX_COUNT / value->dims[i])
            return vg__mat_wrong(s, "its dimensions are beyond all bounds");
        value->count *= value->dims[i];
    }
    value->rows = value->dims[0];
    value->columns = 1;
    for (int i = 1; i < value->rank; i++) value->columns *= value->count > 0 ? value->dims[i] : 1;
    if (value->count == 0) value->columns = 0;
    return VG_OK;
}

static vg_status read_name(vg__mat_stream *s, int64_t *left, char name[VG__MAT_NAME])
{
    vg__mat_piece p;
    VG_TRY(vg__mat_read_tag(s, left, &p));
    if (vg__mat_width(p.type) != 1 || p.size >= VG__MAT_NAME) return vg__mat_wrong(s, "a name that is none");
    VG_TRY(vg__mat_take_piece(s, &p, name));
    name[p.size] = 0;
    return VG_OK;
}

static vg_status read_fields(vg__mat_stream *s, int64_t *left, vg__mat_value *value)
{
    vg_status status = VG_OK;
    vg__mat_piece p;
    unsigned char four[VG__MAT_SMALL] = {0};
    char *names = NULL;
    VG_TRY(vg__mat_read_tag(s, left, &p));
    if (p.size != 4) return vg__mat_wrong(s, "the length of its fields' names is missing");
    VG_TRY(vg__mat_take_piece(s, &p, four));
    int64_t length = vg__mat_word(s, four);
    VG_TRY(vg__mat_read_tag(s, left, &p));
    if (length < 1 || length > VG__MAT_NAME || p.size % length || p.size / length > MAX_FIELDS)
        return vg__mat_wrong(s, "its fields' names fill no whole number of places");
    value->fields = (int)(p.size / length);
    names = malloc((size_t)p.size + 1);
    value->field = calloc((size_t)value->fields + 1, sizeof *value->field);
    if (!names || !value->field) {
        status = vg__mat_no_memory(s);
        goto out;
    }
    VG_TRY_OUT(vg__mat_take_piece(s, &p, names));
    for (int i = 0; i < value->fields; i++) {
        memcpy(value->field[i], names + i * length, (size_t)length);
        value->field[i][length < VG__MAT_NAME ? length : VG__MAT_NAME - 1] = 0;
    }
out:
    free(names);
    return status;
}

vg_status vg__mat_read_head(vg__mat_stream *s, int64_t *left, vg__mat_head *head)
{
    vg__mat_piece p;
    unsigned char flags[VG__MAT_TAG];
    vg__mat_value *value = &head->value;
    memset(head, 0, sizeof *head);
    value->kind = VG__MAT_OTHER;
    snprintf(value->path, sizeof value->path, "%s", vg__mat_stream_path(s));
    VG_TRY(vg__mat_read_tag(s, left, &p));
    if (p.type != VG__MAT_MATRIX) return vg__mat_wrong(s, "no array stands where one must");
    head->left = p.size;
    if (p.size == 0) { /* an empty array is written so within cells */
        value->kind = VG__MAT_NUMBERS;
        value->rank = 2;
        head->class_number = FIRST_NUMERIC;
        return VG_OK;
    }
    VG_TRY(vg__mat_read_tag(s, &head->left, &p));
    if (p.size != VG__MAT_TAG || p.small) return vg__mat_wrong(s, "its flags are missing");
    VG_TRY(vg__mat_take_piece(s, &p, flags));
    head->class_number = (int)(vg__mat_word(s, flags) & 255);
    if (head->class_number < CELL || head->class_number > OPAQUE)
        return vg__mat_wrong(s, "an array of no known class");
    if (head->class_number == OPAQUE) return VG_OK; /* has neither size nor name */
    VG_TRY(read_dims(s, &head->left, value));
    VG_TRY(read_name(s, &head->left, head->name));
    if (head->class_number == STRUCT) VG_TRY(read_fields(s, &head->left, value));
    value->kind = head->class_number == CELL                                             ? VG__MAT_CELL
                  : head->class_number == STRUCT                                         ? VG__MAT_STRUCT
                  : head->class_number == CHARACTER                                      ? VG__MAT_TEXT
                  : head->class_number >= FIRST_NUMERIC && head->class_number < FUNCTION ? VG__MAT_NUMBERS
                                                                                         : VG__MAT_OTHER;
    return VG_OK;
}

/* ---- The content ----------------------------------------------------------------------------------- */

size_t vg__mat_enter(vg__mat_stream *stream, const vg__mat_value *parent, int64_t index)
{
    char *path = vg__mat_stream_path(stream);
    size_t length = strlen(path), room = VG__MAT_PATH - length;
    if (parent->kind == VG__MAT_CELL)
        snprintf(path + length, room, "{%lld}", (long long)index + 1);
    else if (parent->count == 1)
        snprintf(path + length, room, ".%s", parent->field[index]);
    else
        snprintf(path + length, room, "(%lld).%s", (long long)(index / parent->fields) + 1,
                 parent->field[index % parent->fields]);
    return length;
}

void vg__mat_leave(vg__mat_stream *stream, size_t length)
{
    vg__mat_stream_path(stream)[length] = 0;
}

bool vg__mat_skipped(const vg__mat_limits *limits, const char *field)
{
    const char *words = limits->skip;
    size_t length = strlen(field);
    while (*words) {
        size_t n = strcspn(words, " ");
        if (n == length && strncasecmp(words, field, n) == 0) return true;
        words += n + strspn(words + n, " ");
    }
    return false;
}

static vg_status read_array(vg__mat_stream *s, vg__mat_head *head, vg__mat_limits *limits, int depth,
                            vg__mat_value *value);

/* The arrays of a cell or struct, one behind the other. */
static vg_status read_children(vg__mat_stream *s, vg__mat_head *head, vg__mat_limits *limits, int depth,
                               vg__mat_value *value)
{
    int64_t count = value->kind == VG__MAT_CELL ? value->count : value->count * value->fields, room = 0;
    if (depth >= MAX_DEPTH) return vg__mat_wrong(s, "cells and structs too deep within one another");
    if (count > head->left / VG__MAT_TAG) return vg__mat_wrong(s, "more elements than its bytes can hold");
    limits->arrays -= count;
    if (limits->arrays < 0) return vg__mat_wrong(s, "more arrays than an importer takes at once");
    while (value->children < count) {
        if (value->children == room) { /* grows as they come, like numbers */
            room = room == 0 ? (count < 64 ? count : 64) : (2 * room < count ? 2 * room : count);
            vg__mat_value *grown = realloc(value->child, (size_t)room * sizeof *grown);
            if (!grown) return vg__mat_no_memory(s);
            value->child = grown;
        }
        vg__mat_head child;
        int64_t i = value->children;
        size_t length = vg__mat_enter(s, value, i);
        vg_status status = vg__mat_read_head(s, &head->left, &child);
        if (status == VG_OK && value->kind == VG__MAT_STRUCT &&
            vg__mat_skipped(limits, value->field[i % value->fields]))
            child.value.kind = VG__MAT_OTHER;
        value->child[i] = (vg__mat_value){.kind = VG__MAT_OTHER};
        value->children++;
        if (status == VG_OK) status = read_array(s, &child, limits, depth + 1, &value->child[i]);
        free(child.value.field);
        VG_TRY(status);
        vg__mat_leave(s, length);
    }
    return VG_OK;
}

static vg_status read_array(vg__mat_stream *s, vg__mat_head *head, vg__mat_limits *limits, int depth,
                            vg__mat_value *value)
{
    vg__mat_piece p;
    *value = head->value;
    head->value.field = NULL;
    if (value->kind == VG__MAT_CELL || value->kind == VG__MAT_STRUCT)
        VG_TRY(read_children(s, head, limits, depth, value));
    if (value->kind == VG__MAT_TEXT || (value->kind == VG__MAT_NUMBERS && value->count > 0)) {
        VG_TRY(vg__mat_read_tag(s, &head->left, &p));
        if (value->kind == VG__MAT_TEXT) {
            VG_TRY(vg__mat_read_text(s, &p, limits, value));
        } else {
            int width = vg__mat_width(p.type);
            if (width == 0 || p.type >= VG__MAT_UTF8) return vg__mat_wrong(s, "numbers of no known type");
            if (p.size != value->count * width) {
                return vg_fail(VG_ERR_FORMAT, "%s: %s: damaged: %lld numbers of %d bytes in %lld bytes",
                               vg__mat_stream_file(s), vg__mat_stream_path(s), (long long)value->count, width,
                               (long long)p.size);
            }
            VG_TRY(vg__mat_read_numbers(s, &p, value->count, limits, &value->numbers));
        }
    }
    return vg__mat_skip(s, head->left); /* imaginary parts, and all of what is not read */
}

vg_status vg__mat_read_rest(vg__mat_stream *stream, vg__mat_head *head, vg__mat_limits *limits,
                            vg__mat_value *value)
{
    return read_array(stream, head, limits, 0, value);
}

void vg__mat_free(vg__mat_value *value)
{
    for (int64_t i = 0; i < value->children; i++) vg__mat_free(&value->child[i]);
    free(value->child);
    free(value->numbers);
    free(value->text);
    free(value->field);
    *value = (vg__mat_value){.kind = VG__MAT_OTHER};
}

/* ---- Values ---------------------------------------------------------------------------------------- */

const vg__mat_value *vg__mat_field(const vg__mat_value *value, const char *name)
{
    if (!value || value->kind != VG__MAT_STRUCT) return NULL;
    for (int i = 0; i < value->fields && i < value->children; i++)
        if (strcasecmp(value->field[i], name) == 0) return &value->child[i];
    return NULL;
}

double vg__mat_number(const vg__mat_value *value)
{
    return value && value->kind == VG__MAT_NUMBERS && value->count == 1 ? value->numbers[0] : NAN;
}

const char *vg__mat_describe(const vg__mat_value *value, char text[VG__MAT_WORDS])
{
    static const char *const kinds[] = {"numbers", "a text", "a cell", "a struct", "nothing readable"};
    if (!value) return "nothing";
    int used = snprintf(text, VG__MAT_WORDS, "%s", kinds[value->kind]);
    for (int i = 0; i < value->rank && value->kind != VG__MAT_OTHER && used < VG__MAT_WORDS; i++)
        used += snprintf(text + used, (size_t)(VG__MAT_WORDS - used), "%s%lld%s", i ? " x " : " [",
                         (long long)value->dims[i], i + 1 == value->rank ? "]" : "");
    return text;
}
