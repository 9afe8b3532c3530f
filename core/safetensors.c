#include "core/safetensors.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/file.h"
#include "core/json.h"

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
              "the format is little endian, and so must the machine be");

enum {
    LENGTH_BYTES = 8,
    HEADER_LIMIT = 100 << 20
}; /* 100 MiB is also the limit of the format's own library */
static const char metadata_key[] = "__metadata__";

/* Writing. */

struct placed {
    size_t index; /* in the caller's list */
    size_t element, begin, bytes;
};

/* Falling element size, then the given order: offsets are then multiples of the element size. */
static int by_element(const void *a, const void *b)
{
    const struct placed *one = a, *two = b;
    if (one->element != two->element) return one->element < two->element ? 1 : -1;
    return one->index < two->index ? -1 : one->index > two->index;
}

static void put_tensor(vg_json_writer *json, const vg_named_tensor *named, const struct placed *place)
{
    vg_json_begin_object(json, named->name);
    vg_json_put_string(json, "dtype", vg_dtype_name(named->tensor.dtype));
    vg_json_begin_array(json, "shape");
    for (int i = 0; i < named->tensor.rank; i++) vg_json_put_int(json, NULL, named->tensor.dims[i]);
    vg_json_end(json);
    vg_json_begin_array(json, "data_offsets");
    vg_json_put_int(json, NULL, (int64_t)place->begin);
    vg_json_put_int(json, NULL, (int64_t)(place->begin + place->bytes));
    vg_json_end(json);
    vg_json_end(json);
}

vg_status vg_safetensors_write(const char *path, const vg_named_tensor *tensors, size_t count,
                               const vg_text_pair *metadata, size_t metadata_count)
{
    vg_status status = VG_OK;
    vg_json_writer json = vg_json_writer_make(false);
    vg_file_writer *writer = NULL;
    char *header = NULL;
    size_t offset = 0;
    struct placed *order = calloc(count ? count : 1, sizeof *order);
    if (!order) return vg_fail(VG_ERR_MEMORY, "out of memory while writing %s", path);
    for (size_t i = 0; i < count; i++) {
        VG_ASSERT(strcmp(tensors[i].name, metadata_key) != 0);
        for (size_t k = 0; k < i; k++) VG_ASSERT(strcmp(tensors[i].name, tensors[k].name) != 0);
        order[i] = (struct placed){.index = i,
                                   .element = vg_dtype_size(tensors[i].tensor.dtype),
                                   .bytes = vg_tensor_bytes(&tensors[i].tensor)};
        VG_ASSERT(tensors[i].tensor.data || !order[i].bytes);
    }
    qsort(order, count, sizeof *order, by_element);
    vg_json_begin_object(&json, NULL);
    if (metadata_count) {
        vg_json_begin_object(&json, metadata_key);
        for (size_t i = 0; i < metadata_count; i++)
            vg_json_put_string(&json, metadata[i].key, metadata[i].value);
        vg_json_end(&json);
    }
    for (size_t i = 0; i < count; i++) {
        order[i].begin = offset;
        offset += order[i].bytes;
        put_tensor(&json, &tensors[order[i].index], &order[i]);
    }
    vg_json_end(&json);
    /* Spaces up to a multiple of eight, so that the bytes behind the header are aligned. */
    while (json.text.length % 8 && !json.text.failed) vg_text_append(&json.text, " ", 1);
    uint64_t length = json.text.length;
    VG_TRY_OUT(vg_json_take(&json, &header));
    if (length > HEADER_LIMIT) {
        status = vg_fail(VG_ERR_UNSUPPORTED, "the header of %s would be larger than %d MiB", path,
                         HEADER_LIMIT >> 20);
        goto out;
    }
    VG_TRY_OUT(vg_file_writer_open(path, &writer));
    VG_TRY_OUT(vg_file_writer_write(writer, &length, sizeof length));
    VG_TRY_OUT(vg_file_writer_write(writer, header, length));
    for (size_t i = 0; i < count; i++)
        VG_TRY_OUT(vg_file_writer_write(writer, tensors[order[i].index].tensor.data, order[i].bytes));
    status = vg_file_writer_commit(writer);
    writer = NULL;
out:
    vg_file_writer_abandon(writer);
    vg_json_writer_free(&json);
    free(header);
    free(order);
    return status;
}

/* Reading. */

struct entry {
    const char *name;
    size_t begin, end;
    vg_tensor tensor;
};

struct vg_safetensors {
    char *path;
    void *map;
    size_t map_size;
    vg_json *header;
    const vg_json_value *metadata;
    vg_named_tensor *tensors; /* in the order of their bytes */
    size_t count;
    void **copies; /* of tensors that do not lie aligned in the file */
    size_t copy_count;
};

static vg_status map_file(vg_safetensors *file)
{
    vg_status status = VG_OK;
    struct stat info;
    int descriptor = open(file->path, O_RDONLY | O_CLOEXEC);
    if (descriptor < 0) return vg__file_fail("open", file->path, errno);
    if (fstat(descriptor, &info) != 0) {
        status = vg__file_fail("look at", file->path, errno);
        goto out;
    }
    if (!S_ISREG(info.st_mode)) {
        status = vg_fail(VG_ERR_FORMAT, "%s is not a regular file", file->path);
        goto out;
    }
    if (info.st_size < LENGTH_BYTES + 2) {
        status = vg_fail(VG_ERR_FORMAT, "%s is no safetensors file: it has only %lld bytes", file->path,
                         (long long)info.st_size);
        goto out;
    }
    void *map = mmap(NULL, (size_t)info.st_size, PROT_READ, MAP_PRIVATE, descriptor, 0);
    if (map == MAP_FAILED) {
        status = vg__file_fail("map", file->path, errno);
        goto out;
    }
    file->map = map;
    file->map_size = (size_t)info.st_size;
out:
    close(descriptor);
    return status;
}

static vg_status bad_tensor(const vg_safetensors *file, const char *name, const char *what)
{
    return vg_fail(VG_ERR_FORMAT, "%s: tensor \"%.200s\": %s", file->path, name, what);
}

/* A whole number from 0 up, small enough to be exact in the header's JSON. */
static bool read_size(const vg_json_value *value, uint64_t *out)
{
    double number = value ? vg_json_number(value) : NAN;
    if (!(number >= 0 && number <= 9007199254740992.0) || number != floor(number)) return false;
    *out = (uint64_t)number;
    return true;
}

/* One tensor's claims, against themselves and the `room` bytes behind the header. */
static vg_status read_entry(const vg_safetensors *file, const vg_json_value *value, size_t room,
                            struct entry *entry)
{
    char text[200];
    entry->name = vg_json_key(value);
    if (vg_json_kind_of(value) != VG_JSON_OBJECT)
        return bad_tensor(file, entry->name, "is not described by an object");
    const vg_json_value *dtype = vg_json_find(value, "dtype"), *shape = vg_json_find(value, "shape"),
                        *offsets = vg_json_find(value, "data_offsets");
    if (!dtype || !vg_json_text(dtype)) return bad_tensor(file, entry->name, "has no \"dtype\"");
    if (!shape || vg_json_kind_of(shape) != VG_JSON_ARRAY)
        return bad_tensor(file, entry->name, "has no \"shape\"");
    if (!offsets || vg_json_kind_of(offsets) != VG_JSON_ARRAY || vg_json_count(offsets) != 2)
        return bad_tensor(file, entry->name, "has no pair of \"data_offsets\"");
    if (vg_json_count(value) != 3)
        return bad_tensor(file, entry->name, "has keys besides dtype, shape, data_offsets");

    int type = -1;
#define MATCH(name, size, spelled)                                                                           \
    if (!strcmp(vg_json_text(dtype), spelled)) type = VG_##name;
    VG_DTYPE_MAP(MATCH)
#undef MATCH
    if (type < 0)
        return vg_fail(VG_ERR_UNSUPPORTED, "%s: tensor \"%.200s\": the type \"%.20s\" is not supported",
                       file->path, entry->name, vg_json_text(dtype));
    if (vg_json_count(shape) > VG_MAX_RANK) {
        snprintf(text, sizeof text, "has %zu dimensions, more than the %d supported", vg_json_count(shape),
                 VG_MAX_RANK);
        return bad_tensor(file, entry->name, text);
    }
    int64_t dims[VG_MAX_RANK] = {0};
    int rank = 0;
    uint64_t bytes = vg_dtype_size((vg_dtype)type), elements = 1, begin, end;
    for (const vg_json_value *dim = vg_json_first(shape); dim; dim = vg_json_next(dim)) {
        uint64_t size;
        if (!read_size(dim, &size))
            return bad_tensor(file, entry->name, "a dimension is no whole number from 0 up");
        if (__builtin_mul_overflow(elements, size, &elements) || elements > INT64_MAX / 8)
            return bad_tensor(file, entry->name, "the product of its dimensions is too large");
        dims[rank++] = (int64_t)size;
    }
    bytes *= elements;
    if (!read_size(vg_json_first(offsets), &begin) ||
        !read_size(vg_json_next(vg_json_first(offsets)), &end) || begin > end)
        return bad_tensor(file, entry->name, "its data_offsets are not two rising whole numbers");
    if (end > room) {
        snprintf(text, sizeof text,
                 "its data_offsets end at byte %" PRIu64
                 ", but only %zu bytes follow the header (a truncated file?)",
                 end, room);
        return bad_tensor(file, entry->name, text);
    }
    if (end - begin != bytes) {
        snprintf(text, sizeof text, "its shape needs %" PRIu64 " bytes, but its data_offsets span %" PRIu64,
                 bytes, end - begin);
        return bad_tensor(file, entry->name, text);
    }
    entry->begin = (size_t)begin;
    entry->end = (size_t)end;
    entry->tensor = vg_tensor_make(NULL, (vg_dtype)type, rank, dims);
    return VG_OK;
}

static int by_offset(const void *a, const void *b)
{
    const struct entry *one = a, *two = b;
    if (one->begin != two->begin) return one->begin < two->begin ? -1 : 1;
    if (one->end != two->end) return one->end < two->end ? -1 : 1;
    return strcmp(one->name, two->name);
}

/* Where a tensor's bytes are; a copy when the file has them at an address its type cannot be read from. */
static vg_status bind_tensor(vg_safetensors *file, const char *data, struct entry *entry)
{
    size_t element = vg_dtype_size(entry->tensor.dtype), bytes = entry->end - entry->begin;
    entry->tensor.data = (void *)(data + entry->begin);
    if ((uintptr_t)entry->tensor.data % element == 0 || !bytes) return VG_OK;
    void *copy = malloc(bytes);
    if (!copy) return vg_fail(VG_ERR_MEMORY, "out of memory while reading %s", file->path);
    memcpy(copy, entry->tensor.data, bytes);
    entry->tensor.data = copy;
    file->copies[file->copy_count++] = copy;
    return VG_OK;
}

static vg_status read_metadata(vg_safetensors *file, const vg_json_value *value)
{
    if (vg_json_kind_of(value) != VG_JSON_OBJECT)
        return vg_fail(VG_ERR_FORMAT, "%s: %s is not an object", file->path, metadata_key);
    for (const vg_json_value *pair = vg_json_first(value); pair; pair = vg_json_next(pair))
        if (!vg_json_text(pair))
            return vg_fail(VG_ERR_FORMAT, "%s: the metadata \"%.200s\" is not a string", file->path,
                           vg_json_key(pair));
    file->metadata = value;
    return VG_OK;
}

static vg_status read_header(vg_safetensors *file)
{
    vg_status status = VG_OK;
    struct entry *entries = NULL;
    uint64_t length;
    memcpy(&length, file->map, sizeof length);
    if (length < 2 || length > HEADER_LIMIT || length > file->map_size - LENGTH_BYTES)
        return vg_fail(VG_ERR_FORMAT,
                       "%s: the header claims %" PRIu64
                       " bytes, but the file has %zu (truncated, or no safetensors "
                       "file)",
                       file->path, length, file->map_size);
    const char *text = (const char *)file->map + LENGTH_BYTES, *data = text + length;
    size_t room = file->map_size - LENGTH_BYTES - (size_t)length, used = 0, at = 0;
    VG_TRY(vg_json_parse(text, (size_t)length, file->path, &file->header));
    const vg_json_value *root = vg_json_root(file->header);
    if (vg_json_kind_of(root) != VG_JSON_OBJECT)
        return vg_fail(VG_ERR_FORMAT, "%s: the header is not a JSON object", file->path);
    size_t count = vg_json_count(root);
    entries = calloc(count + 1, sizeof *entries);
    file->tensors = calloc(count + 1, sizeof *file->tensors);
    file->copies = calloc(count + 1, sizeof *file->copies);
    if (!entries || !file->tensors || !file->copies) {
        status = vg_fail(VG_ERR_MEMORY, "out of memory while reading %s", file->path);
        goto out;
    }
    for (const vg_json_value *value = vg_json_first(root); value; value = vg_json_next(value)) {
        if (!strcmp(vg_json_key(value), metadata_key))
            VG_TRY_OUT(read_metadata(file, value));
        else
            VG_TRY_OUT(read_entry(file, value, room, &entries[used++]));
    }
    qsort(entries, used, sizeof *entries, by_offset);
    for (size_t i = 0; i < used; i++) {
        if (entries[i].begin != at) {
            status = bad_tensor(file, entries[i].name,
                                entries[i].begin < at ? "its bytes overlap those of another tensor"
                                                      : "there is a hole in front of its bytes");
            goto out;
        }
        at = entries[i].end;
        VG_TRY_OUT(bind_tensor(file, data, &entries[i]));
        file->tensors[file->count++] = (vg_named_tensor){entries[i].name, entries[i].tensor};
    }
    if (at != room)
        status =
            vg_fail(VG_ERR_FORMAT, "%s: %zu bytes follow the header, but its tensors cover only %zu of them",
                    file->path, room, at);
out:
    free(entries);
    return status;
}

vg_status vg_safetensors_open(const char *path, vg_safetensors **out)
{
    vg_status status = VG_OK;
    vg_safetensors *file = calloc(1, sizeof *file);
    if (!file) return vg_fail(VG_ERR_MEMORY, "out of memory while opening %s", path);
    VG_TRY_OUT(vg_text_copy(path, &file->path));
    VG_TRY_OUT(map_file(file));
    VG_TRY_OUT(read_header(file));
    *out = file;
    file = NULL;
out:
    vg_safetensors_close(file);
    return status;
}

void vg_safetensors_close(vg_safetensors *file)
{
    if (!file) return;
    for (size_t i = 0; i < file->copy_count; i++) free(file->copies[i]);
    free(file->copies);
    free(file->tensors);
    vg_json_destroy(file->header);
    if (file->map) munmap(file->map, file->map_size);
    free(file->path);
    free(file);
}

size_t vg_safetensors_count(const vg_safetensors *file)
{
    return file->count;
}

const vg_named_tensor *vg_safetensors_at(const vg_safetensors *file, size_t index)
{
    VG_ASSERT(index < file->count);
    return &file->tensors[index];
}

const vg_tensor *vg_safetensors_find(const vg_safetensors *file, const char *name)
{
    for (size_t i = 0; i < file->count; i++)
        if (!strcmp(file->tensors[i].name, name)) return &file->tensors[i].tensor;
    return NULL;
}

vg_status vg_safetensors_load(const vg_safetensors *file, const char *name, const vg_tensor *into)
{
    char have[160], want[160];
    const vg_tensor *from = vg_safetensors_find(file, name);
    if (!from) return vg_fail(VG_ERR_NOT_FOUND, "%s holds no tensor \"%s\"", file->path, name);
    if (from->dtype != into->dtype || !vg_tensor_same_shape(from, into))
        return vg_fail(VG_ERR_SHAPE, "%s: tensor \"%s\" is %s, but %s is needed", file->path, name,
                       vg_tensor_describe(from, have, sizeof have),
                       vg_tensor_describe(into, want, sizeof want));
    if (vg_tensor_bytes(from)) memcpy(into->data, from->data, vg_tensor_bytes(from));
    return VG_OK;
}

const char *vg_safetensors_metadata(const vg_safetensors *file, const char *key)
{
    const vg_json_value *value = file->metadata ? vg_json_find(file->metadata, key) : NULL;
    return value ? vg_json_text(value) : NULL;
}
