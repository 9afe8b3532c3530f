/* The file as a whole: which variables it has, and the way to a place in one of them. */
#include "datasets/import/mat/mat.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "datasets/import/mat/array.h"

enum { HEADER = 128, TAG = 8, ARRAY = 14, PACKED = 15, MAX_VARIABLES = 10000, MAX_ARRAYS = 1 << 17 };
static const int64_t MAX_BYTES = (int64_t)1 << 30;

typedef struct variable {
    char name[VG__MAT_NAME];
    int64_t offset, size; /* of the element's content in the file */
    bool packed;
} variable;

struct vg__mat {
    FILE *file;
    char *path, *names;
    bool swap;
    variable *variable;
    int count;
    char damage[512];  /* what ended the search for variables; "" when the file did */
    char unsound[256]; /* names */
};

/* ---- Opening --------------------------------------------------------------------------------------- */

static vg_status check_header(vg__mat *mat)
{
    unsigned char h[HEADER];
    size_t got = fread(h, 1, HEADER, mat->file);
    bool is_hdf5 = got >= 4 && memcmp(h, "\x89HDF", 4) == 0;
    if (got == HEADER && memcmp(h + 126, "IM", 2) == 0)
        mat->swap = false;
    else if (got == HEADER && memcmp(h + 126, "MI", 2) == 0)
        mat->swap = true;
    else if (!is_hdf5 && got >= 20 && (h[0] == 0 || h[1] == 0 || h[2] == 0 || h[3] == 0))
        return vg_fail(
            VG_ERR_UNSUPPORTED,
            "%s: a MAT file of level 4; save it again with MATLAB's -v7, or, if it has a header of "
            "WFDB (.hea), import that",
            mat->path);
    else if (!is_hdf5)
        return vg_fail(VG_ERR_FORMAT, "%s: is no MAT file: none begins so", mat->path);
    int version = is_hdf5 ? 2 : mat->swap ? h[124] : h[125];
    if (version == 2)
        return vg_fail(
            VG_ERR_UNSUPPORTED,
            "%s: a MAT file of version 7.3, which is HDF5; use the format hdf5 with its option map, "
            "or save it again with MATLAB's -v7",
            mat->path);
    if (version != 1)
        return vg_fail(VG_ERR_FORMAT, "%s: a MAT file of unknown version %d", mat->path, version);
    return VG_OK;
}

static vg_status open_variable(vg__mat *mat, const variable *v, vg__mat_stream **stream, vg__mat_head *head)
{
    int64_t left = INT64_MAX;
    VG_TRY(vg__mat_stream_open(mat->file, mat->path, v->offset, v->size, v->packed, mat->swap, stream));
    if (v->name[0]) snprintf(vg__mat_stream_path(*stream), VG__MAT_PATH, "%s", v->name);
    return vg__mat_read_head(*stream, &left, head);
}

/* Adds the element at `offset`; *end becomes where the next one begins. */
static vg_status add_variable(vg__mat *mat, int64_t offset, int64_t file_size, int64_t *end)
{
    unsigned char tag[TAG];
    uint32_t type, size;
    if (fseeko(mat->file, offset, SEEK_SET) != 0 || fread(tag, 1, TAG, mat->file) != TAG)
        return vg_fail(VG_ERR_FORMAT, "%s: byte %lld: the file ends within a tag", mat->path,
                       (long long)offset);
    memcpy(&type, tag, sizeof type);
    memcpy(&size, tag + 4, sizeof size);
    if (mat->swap) {
        type = __builtin_bswap32(type);
        size = __builtin_bswap32(size);
    }
    if (type != ARRAY && type != PACKED)
        return vg_fail(VG_ERR_FORMAT, "%s: byte %lld: damaged: neither an array nor a packed one (type %u)",
                       mat->path, (long long)offset, type);
    if ((mat->count & (mat->count - 1)) == 0) {
        variable *grown = realloc(mat->variable, (size_t)(mat->count ? 2 * mat->count : 1) * sizeof *grown);
        if (!grown) return vg_fail(VG_ERR_MEMORY, "%s: no memory for its variables", mat->path);
        mat->variable = grown;
    }
    /* A plain array is read with its tag, since that is how it stands within a packed one. */
    variable *v = &mat->variable[mat->count];
    *v = (variable){.offset = offset, .size = (int64_t)size + TAG, .packed = type == PACKED};
    if (v->packed) {
        v->offset += TAG;
        v->size -= TAG;
    }
    *end = offset + TAG + size;
    vg__mat_stream *stream = NULL;
    vg__mat_head head = {0};
    vg_status status = open_variable(mat, v, &stream, &head);
    vg__mat_stream_close(stream);
    free(head.value.field);
    VG_TRY(status);
    memcpy(v->name, head.name, sizeof v->name);
    mat->count++;
    if (*end > file_size)
        return vg_fail(VG_ERR_FORMAT, "%s: %s: the file is cut short: %lld bytes are missing", mat->path,
                       v->name, (long long)(*end - file_size));
    return VG_OK;
}

static vg_status find_variables(vg__mat *mat)
{
    vg_status status = VG_OK;
    int64_t at = HEADER;
    if (fseeko(mat->file, 0, SEEK_END) != 0)
        return vg_fail(VG_ERR_IO, "%s: cannot be read: %s", mat->path, strerror(errno));
    int64_t size = ftello(mat->file);
    while (status == VG_OK && at < size && mat->count < MAX_VARIABLES)
        status = add_variable(mat, at, size, &at);
    if (status == VG_ERR_MEMORY || (status != VG_OK && mat->count == 0)) return status;
    if (status != VG_OK) snprintf(mat->damage, sizeof mat->damage, "%s", vg_cause());
    if (mat->count == 0) return vg_fail(VG_ERR_FORMAT, "%s: a MAT file without a variable", mat->path);
    return VG_OK;
}

static vg_status join_names(vg__mat *mat)
{
    size_t used = 0;
    mat->names = malloc((size_t)mat->count * (VG__MAT_NAME + 2) + 1);
    if (!mat->names) return vg_fail(VG_ERR_MEMORY, "%s: no memory for its variables", mat->path);
    mat->names[0] = 0;
    for (int i = 0; i < mat->count; i++)
        used += (size_t)sprintf(mat->names + used, "%s%s", i ? ", " : "", mat->variable[i].name);
    return VG_OK;
}

vg_status vg__mat_open(const char *path, vg__mat **out)
{
    vg_status status = VG_OK;
    vg__mat *mat = calloc(1, sizeof *mat);
    *out = NULL;
    if (!mat || !(mat->path = strdup(path))) {
        status = vg_fail(VG_ERR_MEMORY, "%s: no memory to open it", path);
        goto out;
    }
    mat->file = fopen(path, "rb");
    if (!mat->file) {
        status = vg_fail(errno == ENOENT ? VG_ERR_NOT_FOUND : VG_ERR_IO, "%s: cannot be opened: %s", path,
                         strerror(errno));
        goto out;
    }
    VG_TRY_OUT(check_header(mat));
    VG_TRY_OUT(find_variables(mat));
    VG_TRY_OUT(join_names(mat));
    *out = mat;
    mat = NULL;
out:
    vg__mat_close(mat);
    return status;
}

void vg__mat_close(vg__mat *mat)
{
    if (!mat) return;
    if (mat->file) fclose(mat->file);
    free(mat->variable);
    free(mat->names);
    free(mat->path);
    free(mat);
}

/* ---- Variables and places -------------------------------------------------------------------------- */

/* The variable whose name is the first `length` characters: in the same letters, else in any case. */
static const variable *find(const vg__mat *mat, const char *name, size_t length)
{
    const variable *similar = NULL;
    for (int i = 0; i < mat->count; i++) {
        const char *other = mat->variable[i].name;
        if (strlen(other) != length || strncasecmp(other, name, length) != 0) continue;
        if (strncmp(other, name, length) == 0) return &mat->variable[i];
        if (!similar) similar = &mat->variable[i];
    }
    return similar;
}

bool vg__mat_has(const vg__mat *mat, const char *name)
{
    return find(mat, name, strlen(name)) != NULL;
}

const char *vg__mat_names(const vg__mat *mat)
{
    return mat->names;
}

const char *vg__mat_unsound(const vg__mat *mat)
{
    return mat->unsound;
}

/* The number of the child that `place` goes on with (".name" or "{3}"), behind which *place is put; -1 when
 * there is none. */
static int64_t next_child(const vg__mat_value *value, const char **place)
{
    const char *p = *place;
    if (*p == '{' && value->kind == VG__MAT_CELL) {
        char *end;
        long long number = strtoll(p + 1, &end, 10);
        if (end == p + 1 || *end != '}' || number < 1 || number > value->count) return -1;
        *place = end + 1;
        return number - 1;
    }
    if (*p == '.' && value->kind == VG__MAT_STRUCT && value->count > 0) {
        size_t length = strcspn(p + 1, ".{");
        *place = p + 1 + length;
        for (int i = 0; i < value->fields; i++)
            if (strlen(value->field[i]) == length && strncasecmp(value->field[i], p + 1, length) == 0)
                return i;
    }
    return -1;
}

/* Goes from a variable's head down to `place`, past everything before it. */
static vg_status descend(vg__mat *mat, vg__mat_stream *stream, const char *place, vg__mat_head *head)
{
    char text[VG__MAT_WORDS];
    while (*place) {
        vg__mat_value parent = head->value;
        const char *rest = place;
        int64_t left = head->left, child = next_child(&parent, &rest);
        vg_status status = VG_OK;
        if (child < 0)
            return vg_fail(VG_ERR_NOT_FOUND, "%s: %s is %s and has no \"%s\"", mat->path,
                           vg__mat_stream_path(stream), vg__mat_describe(&parent, text), place);
        memset(head, 0, sizeof *head);
        for (int64_t i = 0; i <= child && status == VG_OK; i++) {
            size_t length = vg__mat_enter(stream, &parent, i);
            status = vg__mat_read_head(stream, &left, head);
            if (i == child || status != VG_OK) break;
            status = vg__mat_skip(stream, head->left);
            free(head->value.field);
            head->value.field = NULL;
            vg__mat_leave(stream, length);
        }
        free(parent.field);
        VG_TRY(status);
        place = rest;
    }
    return VG_OK;
}

/* Opens the variable that `place` begins with and goes there. Close *stream and free the head's fields in
 * every case. */
static vg_status go_to(vg__mat *mat, const char *place, vg__mat_stream **stream, vg__mat_head *head,
                       const variable **found)
{
    size_t length = strcspn(place, ".{(");
    const variable *v = *found = find(mat, place, length);
    if (!v && mat->damage[0])
        return vg_fail(VG_ERR_FORMAT, "%s, so there is no %.*s", mat->damage, (int)length, place);
    if (!v)
        return vg_fail(VG_ERR_NOT_FOUND, "%s: has no variable %.*s, but %s", mat->path, (int)length, place,
                       mat->names);
    VG_TRY(open_variable(mat, v, stream, head));
    return descend(mat, *stream, place + length, head);
}

static void note_soundness(vg__mat *mat, const variable *v, vg__mat_stream *stream)
{
    size_t used = strlen(mat->unsound);
    if (!vg__mat_stream_sound(stream))
        snprintf(mat->unsound + used, sizeof mat->unsound - used, "%s%s", used ? ", " : "",
                 v->name[0] ? v->name : "?");
}

vg_status vg__mat_load(vg__mat *mat, const char *place, vg__mat_value *value)
{
    vg_status status = VG_OK;
    vg__mat_stream *stream = NULL;
    vg__mat_head head = {0};
    vg__mat_limits limits = {.bytes = MAX_BYTES, .arrays = MAX_ARRAYS, .skip = ""};
    const variable *v;
    *value = (vg__mat_value){.kind = VG__MAT_OTHER};
    VG_TRY_OUT(go_to(mat, place, &stream, &head, &v));
    VG_TRY_OUT(vg__mat_read_rest(stream, &head, &limits, value));
    note_soundness(mat, v, stream);
out:
    if (status != VG_OK) vg__mat_free(value); /* half of an array fits its dimensions no more */
    free(head.value.field);
    vg__mat_stream_close(stream);
    return status;
}

vg_status vg__mat_peek(vg__mat *mat, const char *place, vg__mat_value *value)
{
    vg__mat_stream *stream = NULL;
    vg__mat_head head = {0};
    const variable *v;
    vg_status status = go_to(mat, place, &stream, &head, &v);
    free(head.value.field);
    *value = head.value;
    value->field = NULL;
    vg__mat_stream_close(stream);
    return status;
}

/* The fields of struct `index` out of an array of them, read into an element of its own. */
static vg_status read_struct(vg__mat_stream *stream, vg__mat_head *array, int64_t index,
                             vg__mat_limits *limits, vg__mat_value *element)
{
    const int fields = array->value.fields;
    *element = (vg__mat_value){.kind = VG__MAT_STRUCT, .rank = 2, .dims = {1, 1}};
    element->rows = element->columns = element->count = 1;
    snprintf(element->path, sizeof element->path, "%.120s(%lld)", array->value.path, (long long)index + 1);
    element->field = malloc((size_t)(fields + 1) * sizeof *element->field);
    element->child = calloc((size_t)fields + 1, sizeof *element->child);
    if (!element->field || !element->child)
        return vg_fail(VG_ERR_MEMORY, "%s: no memory for its fields", element->path);
    memcpy(element->field, array->value.field, (size_t)fields * sizeof *element->field);
    element->fields = fields;
    for (int i = 0; i < fields; i++) {
        vg__mat_head child;
        size_t length = vg__mat_enter(stream, &array->value, index * fields + i);
        vg_status status = vg__mat_read_head(stream, &array->left, &child);
        if (status == VG_OK) {
            element->children++;
            if (vg__mat_skipped(limits, element->field[i])) child.value.kind = VG__MAT_OTHER;
            status = vg__mat_read_rest(stream, &child, limits, &element->child[i]);
        }
        free(child.value.field);
        VG_TRY(status);
        vg__mat_leave(stream, length);
    }
    return VG_OK;
}

static vg_status read_cell(vg__mat_stream *stream, vg__mat_head *array, int64_t index, vg__mat_limits *limits,
                           vg__mat_value *element)
{
    vg__mat_head child;
    size_t length = vg__mat_enter(stream, &array->value, index);
    vg_status status = vg__mat_read_head(stream, &array->left, &child);
    if (status == VG_OK) status = vg__mat_read_rest(stream, &child, limits, element);
    free(child.value.field);
    if (status == VG_OK) vg__mat_leave(stream, length);
    return status;
}

vg_status vg__mat_each(vg__mat *mat, const char *place, const char *skip, vg__mat_visit visit, void *context)
{
    vg_status status = VG_OK;
    vg__mat_stream *stream = NULL;
    vg__mat_head head = {0};
    vg__mat_value element = {.kind = VG__MAT_OTHER};
    const variable *v;
    char text[VG__MAT_WORDS];
    VG_TRY_OUT(go_to(mat, place, &stream, &head, &v));
    if (head.value.kind != VG__MAT_CELL && head.value.kind != VG__MAT_STRUCT) {
        status = vg_fail(VG_ERR_FORMAT, "%s: %s is %s where a cell array is expected", mat->path,
                         head.value.path, vg__mat_describe(&head.value, text));
        goto out;
    }
    const int parts = head.value.kind == VG__MAT_CELL ? 1 : head.value.fields;
    const int64_t count = parts > 0 ? head.value.count : 0; /* structs without fields occupy nothing */
    if (count * parts > head.left / TAG) {
        status = vg_fail(VG_ERR_FORMAT, "%s: %s: damaged: more elements than its bytes can hold", mat->path,
                         head.value.path);
        goto out;
    }
    for (int64_t i = 0; i < count; i++) {
        vg__mat_limits limits = {.bytes = MAX_BYTES, .arrays = MAX_ARRAYS, .skip = skip};
        if (head.value.kind == VG__MAT_CELL)
            VG_TRY_OUT(read_cell(stream, &head, i, &limits, &element));
        else
            VG_TRY_OUT(read_struct(stream, &head, i, &limits, &element));
        VG_TRY_OUT(visit(context, i, &element));
        vg__mat_free(&element);
    }
    note_soundness(mat, v, stream);
out:
    vg__mat_free(&element);
    free(head.value.field);
    vg__mat_stream_close(stream);
    return status;
}
