/* HDF5 arrays in both layouts, made with the library itself, and offsets that cannot be. */
#include <hdf5.h>

#include "tests/datasets/import_support.h"

static char *folder, *out;

enum { RATE = 128, N = RATE * 12, RECORDINGS = 3 };

static hid_t create(const char *name, char **path)
{
    *path = support_path(folder, name);
    hid_t file = H5Fcreate(*path, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
    assert_true(file >= 0);
    return file;
}

static void put(hid_t file, const char *name, hid_t stored, hid_t memory, int rank, const hsize_t *extent,
                const void *values)
{
    hid_t space = H5Screate_simple(rank, extent, NULL);
    hid_t dataset = H5Dcreate2(file, name, stored, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    assert_true(dataset >= 0 && H5Dwrite(dataset, memory, H5S_ALL, H5S_ALL, H5P_DEFAULT, values) >= 0);
    H5Dclose(dataset);
    H5Sclose(space);
}

static hid_t text_type(size_t size)
{
    hid_t type = H5Tcopy(H5T_C_S1);
    H5Tset_size(type, size);
    return type;
}

static void put_texts(hid_t file, const char *name, size_t size, const char *texts, hsize_t count)
{
    hid_t type = text_type(size);
    put(file, name, type, type, 1, &count, texts);
    H5Tclose(type);
}

static void put_attributes(hid_t file, double rate, const char *units, bool variable)
{
    hid_t space = H5Screate(H5S_SCALAR), type = text_type(variable ? H5T_VARIABLE : strlen(units) + 1);
    hid_t attribute = H5Acreate2(file, "fs", H5T_IEEE_F64LE, space, H5P_DEFAULT, H5P_DEFAULT);
    H5Awrite(attribute, H5T_NATIVE_DOUBLE, &rate);
    H5Aclose(attribute);
    attribute = H5Acreate2(file, "units", type, space, H5P_DEFAULT, H5P_DEFAULT);
    H5Awrite(attribute, type, variable ? (const void *)&units : units);
    H5Aclose(attribute);
    H5Tclose(type);
    H5Sclose(space);
}

/* The beats of all recordings in a row, as microvolt. */
static short *microvolt(void)
{
    short *all = malloc(RECORDINGS * N * sizeof *all);
    for (int r = 0; r < RECORDINGS; r++) {
        float *x = import_beats(r, RATE, N);
        for (int i = 0; i < N; i++) all[r * N + i] = (short)lround(1000 * (double)x[i]);
        free(x);
    }
    return all;
}

static char *make_ragged(const char *name, const long long *offsets, hsize_t offset_count)
{
    char *path;
    hid_t file = create(name, &path);
    short *x = microvolt();
    hsize_t total = RECORDINGS * N;
    put(file, "ecg", H5T_STD_I16LE, H5T_NATIVE_SHORT, 1, &total, x);
    if (offset_count) put(file, "offsets", H5T_STD_I64LE, H5T_NATIVE_LLONG, 1, &offset_count, offsets);
    put_texts(file, "records", 4, "r001r02\0r3\0\0", RECORDINGS);
    put_texts(file, "subjects", 3, "ann\0\0\0bo\0", RECORDINGS);
    put_attributes(file, RATE, "uV", true);
    H5Fclose(file);
    free(x);
    return path;
}

static void test_ragged(void **unused)
{
    (void)unused;
    const long long offsets[] = {0, N - 100, 2 * N, 3 * N};
    char *path = make_ragged("ragged.h5", offsets, 4);
    short *x = microvolt();
    vg_import_options options = import_untouched(RATE);
    vg_import_report report;
    vg_store *store = import_and_open("hdf5", path, &options, out, &report);
    assert_int_equal(report.recordings, RECORDINGS);
    static const char *const subjects[] = {"ann", "", "bo"}, *const records[] = {":r001", ":r02", ":r3"};
    for (int r = 0; r < RECORDINGS; r++) {
        const vg_recording *recording = vg_store_recording(store, r);
        assert_string_equal(recording->subject, subjects[r]);
        assert_non_null(strstr(recording->source, records[r]));
        assert_int_equal(recording->length, offsets[r + 1] - offsets[r]);
        float *y = import_samples(store, r);
        for (int64_t i = 0; i < recording->length; i++)
            if (!(fabs((double)y[i] - x[offsets[r] + i] / 1000.0) < 1e-6))
                fail_msg("recording %d, sample %lld", r, (long long)i);
        free(y);
    }
    vg_store_close(store);
    vg_import_report_free(&report);
    free(x);
    free(path);
}

/* A block of two leads with padding, under other names: what CODE-15 looks like. */
static void test_block(void **unused)
{
    (void)unused;
    enum { LEADS = 2, PAD = 200, T = N + 2 * PAD };
    char *path;
    float *block = calloc(RECORDINGS * T * LEADS, sizeof *block);
    long long ids[RECORDINGS] = {1169160, 7, -3};
    for (int r = 0; r < RECORDINGS; r++) {
        float *x = import_beats(r, RATE, N);
        for (int i = 0; i < N; i++)
            for (int l = 0; l < LEADS; l++) block[(r * T + PAD + i) * LEADS + l] = 10 * x[i] * (float)(l + 1);
        free(x);
    }
    hid_t file = create("block.h5", &path);
    hsize_t extent[3] = {RECORDINGS, T, LEADS}, count = RECORDINGS;
    put(file, "tracings", H5T_IEEE_F32LE, H5T_NATIVE_FLOAT, 3, extent, block);
    put(file, "exam_id", H5T_STD_I64LE, H5T_NATIVE_LLONG, 1, &count, ids);
    H5Fclose(file);
    vg_import_options options = import_untouched(RATE);
    vg_import_report report;
    options.map = "records=exam_id,rate=128,units=mV,scale=0.1,leads=I|II";
    vg_store *store = import_and_open("hdf5", path, &options, out, &report);
    assert_int_equal(report.recordings, RECORDINGS * LEADS);
    for (int k = 0; k < RECORDINGS * LEADS; k++) {
        const vg_recording *recording = vg_store_recording(store, k);
        static const char *const subjects[] = {"block:1169160", "block:7", "block:-3"};
        assert_string_equal(recording->subject, subjects[k / LEADS]);
        assert_string_equal(recording->lead, k % LEADS ? "II" : "I");
        assert_int_equal(recording->length, N);
        float *y = import_samples(store, k);
        for (int i = 0; i < N; i++) {
            double want = 0.1 * (double)block[(k / LEADS * T + PAD + i) * LEADS + k % LEADS];
            if (!(fabs((double)y[i] - want) < 1e-6))
                fail_msg("recording %d, sample %d: %g, want %g", k, i, (double)y[i], want);
        }
        free(y);
    }
    vg_store_close(store);
    vg_import_report_free(&report);

    options.leads = "II";
    store = import_and_open("hdf5", path, &options, out, &report);
    assert_int_equal(report.recordings, RECORDINGS);
    vg_store_close(store);
    vg_import_report_free(&report);
    options.leads = "all";
    options.map = "leads=I|II|III,rate=128,units=mV";
    import_refuses("hdf5", path, &options, out, VG_ERR_CONFIG, "names 3 leads, but tracings has 2");
    options.map = "units=mV";
    import_refuses("hdf5", path, &options, out, VG_ERR_DATA,
                   "nothing tells its sampling rate (no attribute \"fs\"");
    options.map = "rate=128";
    import_refuses("hdf5", path, &options, out, VG_ERR_DATA, "nothing tells the unit of its samples");
    options.map = "rate=0,units=mV";
    import_refuses("hdf5", path, &options, out, VG_ERR_DATA, "a sampling rate of 0 Hz");
    options.map = "signal=nothing,rate=128";
    import_refuses("hdf5", path, &options, out, VG_ERR_DATA, "nothing");
    options.map = "signal=exam_id,rate=128";
    import_refuses("hdf5", path, &options, out, VG_ERR_DATA, "the dataset \"offsets\"");
    options.map = "signal=tracings,subjects=tracings,rate=128,units=mV";
    import_refuses("hdf5", path, &options, out, VG_ERR_DATA, "tracings has -1 entries for 3 recordings");
    options.map = "tempo=128";
    import_refuses("hdf5", path, &options, out, VG_ERR_CONFIG, "\"tempo=128\"");
    options.map = "rate=";
    import_refuses("hdf5", path, &options, out, VG_ERR_CONFIG, "no usable value in \"rate=\"");
    options.map = "rate=128,units=mV,scale=big";
    import_refuses("hdf5", path, &options, out, VG_ERR_CONFIG, "scale=big");
    free(block);
    free(path);
}

static void test_bad_offsets(void **unused)
{
    (void)unused;
    static const struct {
        long long offsets[5];
        hsize_t count;
        const char *words;
    } cases[] = {
        {{0, 10, 5, 20}, 4, "offsets[2] is 5, below 10: offsets cannot fall"},
        {{-1, 10, 20, 30}, 4, "offsets[0] is -1, below 0"},
        {{0, N, 2 * N, 3 * N + 1}, 4, "offsets[3] is 4609, but ecg has only 4608 samples"},
        {{0, N, 2 * N, 9223372036854775807LL}, 4, "offsets[3] is 9223372036854775807"},
        {{0}, 1, "offsets has 1 entries"},
        {{0}, 0, "the dataset \"offsets\" must tell"},
        {{0, N, 2 * N, 2 * N, 3 * N}, 5, "records has 3 entries for 4 recordings"},
        {{0, N, 2 * N}, 3, "records has 3 entries for 2 recordings"},
    };
    vg_import_options options = import_untouched(RATE);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *path = make_ragged("bad.h5", cases[i].offsets, cases[i].count);
        import_refuses("hdf5", path, &options, out, VG_ERR_DATA, cases[i].words);
        free(path);
    }
}

static void test_damaged(void **unused)
{
    (void)unused;
    const long long offsets[] = {0, N, 2 * N, 3 * N};
    char *path = make_ragged("damaged.h5", offsets, 4);
    vg_import_options options = import_untouched(RATE);
    size_t size;
    char *bytes = support_read_file(path, &size);
    support_write_file(path, bytes, size / 2);
    import_refuses("hdf5", path, &options, out, VG_ERR_DATA,
                   "damaged.h5: cannot be opened as HDF5: truncated file");
    support_write_file(path, "not HDF5 at all", 15);
    import_refuses("hdf5", path, &options, out, VG_ERR_DATA,
                   "damaged.h5: cannot be opened as HDF5: file signature not found");
    support_write_file(path, bytes, 0);
    import_refuses("hdf5", path, &options, out, VG_ERR_DATA, "cannot be opened as HDF5");
    free(bytes);
    char *empty;
    H5Fclose(create("empty.h5", &empty));
    import_refuses("hdf5", empty, &options, out, VG_ERR_DATA,
                   "holds no dataset named ecg, tracings, signal or val");
    free(empty);
    free(path);
}

/* Files that mislead: a signal that claims what the file has no bytes for, numbers with more bits than bytes.
 */
static void test_claims(void **unused)
{
    (void)unused;
    const long long offsets[] = {0, N, 2 * N, 3 * N};
    const unsigned char number[] = {0x10, 0x08, 0, 0, 2,  0,
                                    0,    0,    0, 0, 16, 0}; /* 2 bytes, 16 bits from bit 0 */
    char *path;
    hid_t file = create("never.h5", &path), made = H5Pcreate(H5P_DATASET_CREATE);
    hsize_t extent[2] = {100000, 1000000}, chunk[2] = {1, 1000};
    H5Pset_chunk(made, 2, chunk);
    hid_t space = H5Screate_simple(2, extent, NULL);
    H5Dclose(H5Dcreate2(file, "ecg", H5T_STD_I16LE, space, H5P_DEFAULT, made, H5P_DEFAULT));
    H5Sclose(space);
    H5Pclose(made);
    put_attributes(file, RATE, "mV", false);
    H5Fclose(file);
    vg_import_options options = import_untouched(RATE);
    import_refuses("hdf5", path, &options, out, VG_ERR_DATA, "but only 0 are stored");
    free(path);

    path = make_ragged("bits.h5", offsets, 4);
    size_t size, found = 0;
    char *bytes = support_read_file(path, &size);
    for (size_t i = 0; i + sizeof number <= size; i++)
        if (!memcmp(bytes + i, number, sizeof number)) {
            bytes[i + 11] = 1; /* 272 bits */
            found++;
        }
    assert_int_equal(found, 1);
    support_write_file(path, bytes, size);
    import_refuses("hdf5", path, &options, out, VG_ERR_DATA, "ecg: its numbers have bits beyond their bytes");
    free(bytes);
    free(path);
}

int main(void)
{
    char *place = support_temp_dir();
    folder = support_temp_dir();
    out = support_path(place, "out.h5");
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_ragged), cmocka_unit_test(test_block),
                                       cmocka_unit_test(test_bad_offsets), cmocka_unit_test(test_damaged),
                                       cmocka_unit_test(test_claims)};
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    if (H5Fget_obj_count((hid_t)H5F_OBJ_ALL, H5F_OBJ_ALL) != 0) {
        printf("an HDF5 object was left open\n");
        failed++;
    }
    free(out);
    free(place);
    free(folder);
    return failed;
}
