/* Files with random damage: whatever an importer makes of them, it neither crashes nor hangs nor leaves a
 * half store. Set VAGUS_TEST_SEED to replay; VAGUS_FUZZ_ROUNDS for a longer search. */
#include <hdf5.h>

#include "core/random.h"
#include "datasets/import/pipeline/table.h"
#include "tests/datasets/import_support.h"

static char *folder, *out;

static int rounds(void)
{
    const char *text = getenv("VAGUS_FUZZ_ROUNDS");
    return text ? atoi(text) : 50;
}

/* Damages a copy: bytes replaced (by digits and separators most often), a stretch cut out or doubled, the end
 * cut. */
static size_t damage(vg_random *random, const char *original, size_t size, size_t reach, char *copy)
{
    static const char likely[] = "0123456789-+.()/ \n,\"=:xeE";
    memcpy(copy, original, size);
    int changes = 1 + (int)vg_random_below(random, 4);
    for (int i = 0; i < changes; i++) {
        size_t at = (size_t)vg_random_below(random, reach < size ? reach : size);
        bool any = vg_random_below(random, 3) == 0;
        copy[at] = any ? (char)vg_random_word(random) : likely[vg_random_below(random, sizeof likely - 1)];
    }
    uint64_t kind = vg_random_below(random, 8);
    if (kind == 0) return (size_t)vg_random_below(random, size);
    if (kind == 1) {
        size_t at = (size_t)vg_random_below(random, reach < size ? reach : size),
               length = (size_t)vg_random_below(random, size - at);
        memmove(copy + at, copy + at + length, size - at - length);
        return size - length;
    }
    return size;
}

/* Imports `file`, of which the first `reach` bytes are damaged in many ways; `source` is what is imported. */
static void torture(const char *format, const char *source, const char *file, size_t reach,
                    const vg_import_options *options)
{
    size_t size;
    char *original = support_read_file(file, &size), *copy = malloc(size);
    vg_random random = vg_random_make(support_seed(), 77, (uint32_t)reach);
    int imported = 0;
    for (int i = 0; i < rounds(); i++) {
        vg_import_report report;
        support_write_file(file, copy, damage(&random, original, size, reach, copy));
        vg_status status = vg_import(format, &source, 1, options, out, true, &report);
        imported += status == VG_OK;
        if (status != VG_OK && !*vg_cause()) fail_msg("no cause in round %d", i);
        vg_import_report_free(&report);
    }
    printf("%s, %s: %d of %d damaged files could be imported\n", format, file, imported, rounds());
    support_write_file(file, original, size);
    free(original);
    free(copy);
}

static char *put(const char *name, const void *bytes, size_t size)
{
    char *path = support_path(folder, name);
    support_write_file(path, bytes, size);
    return path;
}

static void test_wfdb(void **unused)
{
    (void)unused;
    enum { N = 360 * 12 };
    float *x = import_beats(1, 360, N);
    unsigned char *bytes = calloc(24 + 2 * N, 1);
    static const unsigned char mat[24] = {30, 0, 0, 0, 1, 0, 0, 0, N & 0xff, N >> 8, 0,   0,
                                          0,  0, 0, 0, 4, 0, 0, 0, 'v',      'a',    'l', 0};
    memcpy(bytes, mat, sizeof mat);
    for (int i = 0; i < N; i++) {
        int value = (int)lround(1000 * (double)x[i]);
        bytes[24 + 2 * i] = value & 0xff;
        bytes[25 + 2 * i] = value >> 8 & 0xff;
    }
    char header[256];
    sprintf(header, "f 1 360 %d 05:05:15 1/05/2000\nf.mat 16+24 1000(0)/mV 16 0 0 0 0 ECG\n# note\n", N);
    char *signal = put("f.mat", bytes, 24 + 2 * N), *text = put("f.hea", header, strlen(header));
    vg_import_options options = vg_import_default_options();
    torture("wfdb", text, text, strlen(header), &options);
    torture("wfdb", text, signal, 24, &options);
    sprintf(header, "f 2 360 2000 05:05:15 1/05/2000\nf.mat 212 1000(0)/mV 16 0 0 0 0 ECG\nf.mat 212 200\n");
    free(put("f.hea", header, strlen(header)));
    torture("wfdb", text, text, strlen(header), &options);
    free(text);
    free(signal);
    free(bytes);
    free(x);
}

static void test_edf(void **unused)
{
    (void)unused;
    enum { N = 256 * 12, HEADER = 512 };
    float *x = import_beats(1, 256, N);
    char *bytes = malloc(HEADER + 2 * N), *at = bytes + HEADER;
    static const struct {
        int offset;
        const char *text;
    } fields[] = {{0, "0"},        {184, "512"},   {192, "EDF+C"}, {236, "12"},      {244, "1"},
                  {252, "1"},      {256, "ECG"},   {352, "mV"},    {360, "-3.2768"}, {368, "3.2767"},
                  {376, "-32768"}, {384, "32767"}, {472, "256"}};
    memset(bytes, ' ', HEADER);
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
        memcpy(bytes + fields[i].offset, fields[i].text, strlen(fields[i].text));
    for (int i = 0; i < N; i++) {
        int value = (int)lround(1e4 * (double)x[i]);
        *at++ = (char)(value & 0xff);
        *at++ = (char)(value >> 8 & 0xff);
    }
    char *path = put("f.edf", bytes, HEADER + 2 * N);
    vg_import_options options = vg_import_default_options();
    const char *source = path;
    vg_import_report report;
    assert_ok(vg_import("edf", &source, 1, &options, out, true, &report));
    vg_import_report_free(&report);
    torture("edf", path, path, HEADER, &options);
    free(path);
    free(bytes);
    free(x);
}

static void put_dataset(hid_t file, const char *name, hid_t stored, hid_t memory, hsize_t n,
                        const void *values)
{
    hid_t space = H5Screate_simple(1, &n, NULL);
    hid_t dataset = H5Dcreate2(file, name, stored, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    assert_true(dataset >= 0 && H5Dwrite(dataset, memory, H5S_ALL, H5S_ALL, H5P_DEFAULT, values) >= 0);
    H5Dclose(dataset);
    H5Sclose(space);
}

/* HDF5's older metadata, without checksums, so that damage gets past the library and to us. */
static void test_hdf5(void **unused)
{
    (void)unused;
    enum { N = 128 * 12 };
    float *x = import_beats(1, 128, 2 * N);
    const long long offsets[] = {0, N, 2 * N};
    char *path = support_path(folder, "f.h5");
    hid_t file = H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT), text = H5Tcopy(H5T_C_S1);
    H5Tset_size(text, 4);
    put_dataset(file, "offsets", H5T_STD_I64LE, H5T_NATIVE_LLONG, 3, offsets);
    put_dataset(file, "records", text, text, 2, "one\0two");
    put_dataset(file, "ecg", H5T_IEEE_F32LE, H5T_NATIVE_FLOAT, 2 * N, x);
    H5Tclose(text);
    H5Fclose(file);
    vg_import_options options = vg_import_default_options();
    vg_import_report report;
    const char *source = path;
    options.map = "rate=128,units=mV";
    assert_ok(vg_import("hdf5", &source, 1, &options, out, true, &report));
    assert_int_equal(report.recordings, 2);
    vg_import_report_free(&report);
    torture("hdf5", path, path, 4096, &options);
    assert_int_equal(H5Fget_obj_count((hid_t)H5F_OBJ_ALL, H5F_OBJ_ALL), 0); /* nothing of it was left open */
    free(path);
    free(x);
}

static void test_tables(void **unused)
{
    (void)unused;
    static const char table[] = "record,rhythm,\"sc,ore\"\na1,N,3\na2,\"A \"\"x\"\"\",2.5\n# c\na3,~,\n",
                      rating[] = "task@trial:rest=0,count=1;who@subject;x:1=2",
                      pattern[] = "S{subject}_{trial}-{}.{record}";
    vg_random random = vg_random_make(support_seed(), 78, 0);
    char copy[256];
    for (int i = 0; i < 60 * rounds(); i++) {
        vg__csv csv;
        vg__ratings ratings;
        vg__fields fields;
        char *path = put("f.csv", copy, damage(&random, table, sizeof table - 1, sizeof table, copy));
        if (vg__csv_read(path, &csv) == VG_OK) {
            (void)vg__csv_match(&csv, "a2", "x/a2.csv");
            vg__csv_free(&csv);
        }
        size_t length = damage(&random, rating, sizeof rating - 1, sizeof rating, copy);
        copy[length] = 0;
        if (vg__ratings_read(copy, "", "", &ratings) == VG_OK) vg__ratings_free(&ratings);
        if (vg__ratings_read("", path, copy, &ratings) == VG_OK) vg__ratings_free(&ratings);
        length = damage(&random, pattern, sizeof pattern - 1, sizeof pattern, copy);
        copy[length] = 0;
        if (vg__pattern_check(copy) == VG_OK) (void)vg__pattern_match(copy, "S07_2-a.b", &fields);
        free(path);
    }
}

int main(void)
{
    char *place = support_temp_dir();
    folder = support_temp_dir();
    out = support_path(place, "out.h5");
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_wfdb), cmocka_unit_test(test_edf),
                                       cmocka_unit_test(test_hdf5), cmocka_unit_test(test_tables)};
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    free(out);
    free(place);
    free(folder);
    return failed;
}
