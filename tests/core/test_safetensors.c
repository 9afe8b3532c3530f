/* Safetensors: byte layout, round trip, and headers that lie. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/random.h"
#include "core/safetensors.h"
#include "tests/support/support.h"

static char *folder, *path;

static int make_folder(void **state)
{
    (void)state;
    folder = support_temp_dir();
    path = support_path(folder, "model.safetensors");
    return 0;
}

static int free_folder(void **state)
{
    (void)state;
    free(path);
    free(folder);
    return 0;
}

/* Writes a file of this header (padded or not, as given) and `bytes` bytes 0, 1, 2, ... */
static void write_raw(const char *header, size_t length_claimed, size_t bytes)
{
    size_t length = strlen(header), size = 8 + length + bytes;
    unsigned char *file = malloc(size + 1);
    assert_non_null(file);
    for (int i = 0; i < 8; i++) file[i] = (unsigned char)((uint64_t)length_claimed >> (8 * i));
    memcpy(file + 8, header, length);
    for (size_t i = 0; i < bytes; i++) file[8 + length + i] = (unsigned char)i;
    support_write_file(path, file, size);
    free(file);
}

/* The very bytes of a file with two tensors. */
static void test_layout(void **state)
{
    (void)state;
    uint16_t halves[3] = {0x3f80, 0x4000, 0x4040};
    float floats[2] = {1.0f, -2.0f};
    const vg_named_tensor tensors[] = {
        {"h", vg_tensor_make(halves, VG_BF16, VG_DIMS(3))},
        {"f", vg_tensor_make(floats, VG_F32, VG_DIMS(2, 1))},
    };
    const vg_text_pair metadata[] = {{"format", "pt"}};
    assert_ok(vg_safetensors_write(path, tensors, 2, metadata, 1));
    static const char header[] = "{\"__metadata__\": {\"format\": \"pt\"}, "
                                 "\"f\": {\"dtype\": \"F32\", \"shape\": [2, 1], \"data_offsets\": [0, 8]}, "
                                 "\"h\": {\"dtype\": \"BF16\", \"shape\": [3], \"data_offsets\": [8, 14]}}";
    static const unsigned char data[] = {0, 0, 0x80, 0x3f, 0, 0, 0, 0xc0, 0x80, 0x3f, 0x00, 0x40, 0x40, 0x40};
    size_t size, padded = (sizeof header - 1 + 7) / 8 * 8;
    unsigned char *file = support_read_file(path, &size);
    assert_int_equal(size, 8 + padded + sizeof data);
    assert_int_equal(file[0] | file[1] << 8, padded);
    for (int i = 2; i < 8; i++) assert_int_equal(file[i], 0);
    assert_memory_equal(file + 8, header, sizeof header - 1);
    for (size_t i = sizeof header - 1; i < padded; i++) assert_int_equal(file[8 + i], ' ');
    assert_memory_equal(file + 8 + padded, data, sizeof data);
    free(file);
}

/* A file as another program writes it: no spaces, its own order, no padding, a type not aligned in the file.
 */
static void test_foreign_file(void **state)
{
    (void)state;
    static const char header[] = "{\"b\":{\"data_offsets\":[3,11],\"dtype\":\"F32\",\"shape\":[2]},"
                                 "\"a\":{\"dtype\":\"U8\",\"shape\":[3],\"data_offsets\":[0,3]},"
                                 "\"e\":{\"dtype\":\"I64\",\"shape\":[0,4],\"data_offsets\":[11,11]},"
                                 "\"s\":{\"dtype\":\"I32\",\"shape\":[],\"data_offsets\":[11,15]}}";
    write_raw(header, sizeof header - 1, 15);
    vg_safetensors *file;
    assert_ok(vg_safetensors_open(path, &file));
    assert_int_equal(vg_safetensors_count(file), 4);
    assert_string_equal(vg_safetensors_at(file, 0)->name, "a");
    assert_string_equal(vg_safetensors_at(file, 1)->name, "b");
    const vg_tensor *b = vg_safetensors_find(file, "b"), *s = vg_safetensors_find(file, "s");
    assert_int_equal((uintptr_t)b->data % sizeof(float), 0);
    assert_memory_equal(b->data, "\x03\x04\x05\x06\x07\x08\x09\x0a", 8);
    assert_int_equal(s->rank, 0);
    assert_int_equal(*(int32_t *)s->data, 0x0e0d0c0b);
    assert_int_equal(vg_tensor_count(vg_safetensors_find(file, "e")), 0);
    assert_null(vg_safetensors_find(file, "c"));
    assert_null(vg_safetensors_metadata(file, "format"));
    vg_safetensors_close(file);
    vg_safetensors_close(NULL);
}

static void test_round_trip(void **state)
{
    (void)state;
    enum { MANY = 40 };
    vg_random random = vg_random_make(support_seed(), VG_SITE_SYNTHETIC, 7);
    vg_named_tensor tensors[MANY];
    char names[MANY][60];
    for (int i = 0; i < MANY; i++) {
        vg_dtype dtype = (vg_dtype)vg_random_below(&random, 6);
        int rank = (int)vg_random_below(&random, VG_MAX_RANK + 1);
        int64_t dims[VG_MAX_RANK];
        for (int k = 0; k < rank; k++) dims[k] = (int64_t)vg_random_below(&random, 6);
        tensors[i].tensor = vg_tensor_make(NULL, dtype, rank, dims);
        size_t bytes = vg_tensor_bytes(&tensors[i].tensor);
        unsigned char *data = malloc(bytes + 1);
        for (size_t k = 0; k < bytes; k++) data[k] = (unsigned char)vg_random_word(&random);
        tensors[i].tensor.data = data;
        snprintf(names[i], sizeof names[i], "layer.%d.\"quoted\\name\".caf\xc3\xa9", i);
        tensors[i].name = names[i];
    }
    const vg_text_pair metadata[] = {{"preprocessing", "{\"rate\": 128}\n"}, {"empty", ""}};
    assert_ok(vg_safetensors_write(path, tensors, MANY, metadata, 2));
    vg_safetensors *file;
    assert_ok(vg_safetensors_open(path, &file));
    assert_int_equal(vg_safetensors_count(file), MANY);
    assert_string_equal(vg_safetensors_metadata(file, "preprocessing"), "{\"rate\": 128}\n");
    assert_string_equal(vg_safetensors_metadata(file, "empty"), "");
    assert_null(vg_safetensors_metadata(file, "other"));
    for (int i = 0; i < MANY; i++) {
        const vg_tensor *want = &tensors[i].tensor, *got = vg_safetensors_find(file, names[i]);
        assert_non_null(got);
        assert_int_equal(got->dtype, want->dtype);
        assert_true(vg_tensor_same_shape(got, want));
        assert_int_equal((uintptr_t)got->data % vg_dtype_size(got->dtype), 0);
        if (vg_tensor_bytes(want)) assert_memory_equal(got->data, want->data, vg_tensor_bytes(want));
        vg_tensor copy = *want;
        copy.data = calloc(1, vg_tensor_bytes(want) + 1);
        assert_ok(vg_safetensors_load(file, names[i], &copy));
        if (vg_tensor_bytes(want)) assert_memory_equal(copy.data, want->data, vg_tensor_bytes(want));
        free(copy.data);
    }
    vg_safetensors_close(file);
    for (int i = 0; i < MANY; i++) free(tensors[i].tensor.data);
}

static void test_load_checks(void **state)
{
    (void)state;
    float data[6] = {0};
    const vg_named_tensor one = {"w", vg_tensor_make(data, VG_F32, VG_DIMS(2, 3))};
    assert_ok(vg_safetensors_write(path, &one, 1, NULL, 0));
    vg_safetensors *file;
    assert_ok(vg_safetensors_open(path, &file));
    vg_tensor other = vg_tensor_make(data, VG_F32, VG_DIMS(3, 2)),
              wide = vg_tensor_make(data, VG_I32, VG_DIMS(2, 3));
    assert_fails(vg_safetensors_load(file, "w", &other), VG_ERR_SHAPE,
                 "tensor \"w\" is (2, 3) F32, but (3, 2) F32 is needed");
    assert_fails(vg_safetensors_load(file, "w", &wide), VG_ERR_SHAPE, "(2, 3) I32");
    assert_fails(vg_safetensors_load(file, "v", &other), VG_ERR_NOT_FOUND, "no tensor \"v\"");
    vg_safetensors_close(file);
    assert_ok(vg_safetensors_write(path, NULL, 0, NULL, 0));
    assert_ok(vg_safetensors_open(path, &file));
    assert_int_equal(vg_safetensors_count(file), 0);
    vg_safetensors_close(file);
}

#define T(name, dtype, shape, offsets)                                                                       \
    "\"" name "\":{\"dtype\":\"" dtype "\",\"shape\":" shape ",\"data_offsets\":" offsets "}"

static void test_lies(void **state)
{
    (void)state;
    static const struct {
        const char *header;
        size_t bytes;
        const char *says;
    } cases[] = {
        {"{" T("w", "F32", "[2]", "[0,8]") "}", 7,
         "\"w\": its data_offsets end at byte 8, but only 7 bytes follow"},
        {"{" T("w", "F32", "[2]", "[0,8]") "}", 9, "9 bytes follow the header, but its tensors cover only 8"},
        {"{" T("w", "F32", "[3]", "[0,8]") "}", 8,
         "\"w\": its shape needs 12 bytes, but its data_offsets span 8"},
        {"{" T("w", "F32", "[2]", "[8,0]") "}", 8, "\"w\": its data_offsets are not two rising"},
        {"{" T("w", "F32", "[2]", "[-8,0]") "}", 8, "not two rising whole numbers"},
        {"{" T("w", "F32", "[2]", "[0,8.5]") "}", 8, "not two rising whole numbers"},
        {"{" T("w", "F32", "[2]", "[0,1e300]") "}", 8, "not two rising whole numbers"},
        {"{" T("w", "F32", "[2]", "[0]") "}", 8, "\"w\": has no pair of \"data_offsets\""},
        {"{" T("w", "F32", "[2]", "\"0,8\"") "}", 8, "has no pair of \"data_offsets\""},
        {"{" T("w", "F32", "[-2]", "[0,8]") "}", 8, "\"w\": a dimension is no whole number"},
        {"{" T("w", "F32", "[\"2\"]", "[0,8]") "}", 8, "a dimension is no whole number"},
        {"{" T("w", "F32", "[4294967296,4294967296,4294967296]", "[0,8]") "}", 8,
         "the product of its dimensions"},
        {"{" T("w", "F32", "[9007199254740992,1024]", "[0,0]") "}", 0, "the product of its dimensions"},
        {"{" T("w", "F32", "[1,1,1,1,1,2]", "[0,8]") "}", 8, "\"w\": has 6 dimensions, more than the 5"},
        {"{" T("w", "F32", "2", "[0,8]") "}", 8, "\"w\": has no \"shape\""},
        {"{" T("a", "U8", "[4]", "[0,4]") "," T("b", "U8", "[4]", "[2,6]") "}", 6,
         "\"b\": its bytes overlap"},
        {"{" T("a", "U8", "[4]", "[0,4]") "," T("b", "U8", "[4]", "[0,4]") "}", 4, "its bytes overlap"},
        {"{" T("a", "U8", "[4]", "[0,4]") "," T("b", "U8", "[1]", "[5,6]") "}", 6, "\"b\": there is a hole"},
        {"{" T("a", "U8", "[4]", "[1,5]") "}", 5, "\"a\": there is a hole"},
        {"{" T("a", "U8", "[1]", "[0,1]") "," T("a", "U8", "[1]", "[1,2]") "}", 2,
         "the key \"a\" is given twice"},
        {"{\"w\":[1]}", 0, "\"w\": is not described by an object"},
        {"{\"w\":{\"shape\":[0],\"data_offsets\":[0,0]}}", 0, "\"w\": has no \"dtype\""},
        {"{\"w\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0],\"x\":1}}", 0, "has keys besides"},
        {"{\"__metadata__\":{\"a\":1}}", 0, "the metadata \"a\" is not a string"},
        {"{\"__metadata__\":[]}", 0, "__metadata__ is not an object"},
        {"[]", 0, "the header is not a JSON object"},
        {"{\"w\":", 0, "not valid JSON"},
        {"{} x", 0, "text after the end"},
        {"{\"\xff\":1}", 0, "not UTF-8"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        vg_safetensors *file = NULL;
        write_raw(cases[i].header, strlen(cases[i].header), cases[i].bytes);
        vg_status status = vg_safetensors_open(path, &file);
        support_assert_fails(status, VG_ERR_FORMAT, cases[i].says, cases[i].header);
        support_assert_fails(status, VG_ERR_FORMAT, "model.safetensors",
                             cases[i].header); /* the file is named */
        assert_null(file);
    }
    vg_safetensors *file;
    write_raw("{" T("w", "F16", "[2]", "[0,4]") "}", sizeof("{" T("w", "F16", "[2]", "[0,4]") "}") - 1, 4);
    assert_fails(vg_safetensors_open(path, &file), VG_ERR_UNSUPPORTED,
                 "\"w\": the type \"F16\" is not supported");
}

static void test_header_length_lies(void **state)
{
    (void)state;
    static const char header[] = "{" T("w", "F32", "[2]", "[0,8]") "}";
    static const uint64_t claims[] = {
        0, 1, sizeof header - 2, sizeof header + 8, 1000, UINT64_C(1) << 40, UINT64_MAX, UINT64_MAX - 7};
    vg_safetensors *file;
    for (size_t i = 0; i < sizeof claims / sizeof *claims; i++) {
        write_raw(header, claims[i], 8);
        assert_fails(vg_safetensors_open(path, &file), VG_ERR_FORMAT, "model.safetensors");
    }
    write_raw(header, sizeof header - 1, 8);
    assert_ok(vg_safetensors_open(path, &file));
    vg_safetensors_close(file);
    /* Cut anywhere, it is refused. */
    size_t size;
    char *whole = support_read_file(path, &size);
    for (size_t cut = 0; cut < size; cut++) {
        support_write_file(path, whole, cut);
        assert_fails(vg_safetensors_open(path, &file), VG_ERR_FORMAT, "model.safetensors");
    }
    free(whole);
    char *none = support_path(folder, "none");
    assert_fails(vg_safetensors_open(none, &file), VG_ERR_NOT_FOUND, "none: No such file");
    assert_fails(vg_safetensors_open(folder, &file), VG_ERR_FORMAT, "not a regular file");
    free(none);
}

/* Any byte changed: read or refused, never more. What is read stays inside the file (sanitizers watch). */
static void test_damage(void **state)
{
    (void)state;
    static const char header[] = "{\"__metadata__\":{\"k\":\"v\"}," T("a", "U8", "[2,2]", "[0,4]") "," T(
        "w", "F32", "[2]", "[4,12]") "}";
    write_raw(header, sizeof header - 1, 12);
    size_t size;
    int read = 0, refused = 0;
    unsigned char *whole = support_read_file(path, &size), sum = 0;
    for (size_t i = 0; i < size - 12; i++)
        for (int change = 0; change < 8; change++) {
            unsigned char held = whole[i];
            whole[i] = (unsigned char)"\0\xff\"[}9-,"[change];
            support_write_file(path, whole, size);
            vg_safetensors *file;
            if (vg_safetensors_open(path, &file) == VG_OK) {
                read++;
                for (size_t k = 0; k < vg_safetensors_count(file); k++) {
                    const vg_tensor *tensor = &vg_safetensors_at(file, k)->tensor;
                    for (size_t b = 0; b < vg_tensor_bytes(tensor); b++)
                        sum ^= ((unsigned char *)tensor->data)[b];
                }
                vg_safetensors_close(file);
            } else {
                refused++;
            }
            whole[i] = held;
        }
    free(whole);
    assert_true(read > 0 && refused > 500 && sum < 0xff);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_layout),     cmocka_unit_test(test_foreign_file),
        cmocka_unit_test(test_round_trip), cmocka_unit_test(test_load_checks),
        cmocka_unit_test(test_lies),       cmocka_unit_test(test_header_length_lies),
        cmocka_unit_test(test_damage),
    };
    return cmocka_run_group_tests(tests, make_folder, free_folder);
}
