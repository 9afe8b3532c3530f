/* The store: what goes in comes out, nothing is written over, and a damaged file is refused, never trusted.
 */
#include "tests/datasets/fixture.h"

#include <dirent.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <hdf5.h>

#include "core/random.h"
#include "datasets/store/layout.h"

static char *folder;

/* Opening a file with damaged metadata makes HDF5 1.10 lose some of its own memory (424 bytes a time in
 * test_flipped_bits; the other tests lose none), which the leak checker must not hold against us. That we
 * close whatever we open is checked by nothing_left_open() instead. */
VG_API const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
    return "leak:libhdf5";
}

/* Files that HDF5 would not close because their disk was full. */
static ssize_t stuck;

static int nothing_left_open(void **state)
{
    (void)state;
    ssize_t open = H5Fget_obj_count((hid_t)H5F_OBJ_ALL, H5F_OBJ_ALL) - stuck;
    if (open != 0) print_error("%zd HDF5 objects were left open\n", open);
    return open == 0 ? 0 : -1;
}

enum { RECORDINGS = 3, RATINGS = 2 };
static int64_t lengths[RECORDINGS] = {1, 70000, 4097};
static const double ratings[RECORDINGS][RATINGS] = {{5, NAN}, {-1.25, 9}, {NAN, NAN}};
static const vg_recording recordings[RECORDINGS] = {
    {.subject = "P01",
     .session = "day 1",
     .trial = "3",
     .stimulus = "Das Leben der Anderen",
     .lead = "I",
     .source = "a.dat"},
    {.subject = "Jürgen", .lead = "left arm", .source = "b.dat"},
    {.source = "c.dat", .lead = "II"},
};

static float *wave(int64_t count, uint32_t stream)
{
    float *samples = malloc((size_t)count * sizeof *samples);
    assert_non_null(samples);
    fixture_wave(samples, count, stream);
    if (count > 100) samples[50] = NAN;
    return samples;
}

/* Beats of the second recording (the others have none), and its features; the third was not measured. */
enum { BEATS = 4, FEATURES = 2 };
static const double beats[BEATS] = {0, 1.5, 200.25, 300};
static const double features[FEATURES] = {72.5, NAN};

static char *write_store(const char *name)
{
    static const char *const names[RATINGS] = {"arousal", "valence"};
    static const char *const measured[FEATURES] = {"mean_bpm", "lf_hf"};
    char *path = support_path(folder, name);
    vg_store_writer *writer;
    assert_ok(vg_store_writer_create(path, false, names, RATINGS, &writer));
    assert_ok(vg_store_writer_features(writer, measured, FEATURES));
    for (int i = 0; i < RECORDINGS; i++) {
        vg_recording recording = recordings[i];
        recording.length = lengths[i];
        float *samples = wave(lengths[i], (uint32_t)i);
        assert_ok(vg_store_writer_add(writer, &recording, samples, i == 2 ? NULL : ratings[i]));
        if (i == 1) assert_ok(vg_store_writer_measured(writer, features, beats, BEATS));
        free(samples);
    }
    assert_int_equal(vg_store_writer_count(writer), RECORDINGS);
    assert_ok(
        vg_store_writer_exclude(writer, &(vg_exclusion){VG_EXCLUSION_SIGNAL, "d.dat", "P09", "flat", 61.5}));
    assert_ok(vg_store_writer_exclude(
        writer, &(vg_exclusion){VG_EXCLUSION_UNREAD, "e.dat", NULL, "unreadable", NAN}));
    assert_ok(vg_store_writer_note(writer, "command", "first"));
    assert_ok(vg_store_writer_note(writer, "command", "vagus data import"));
    assert_ok(vg_store_writer_note(writer, "remark", ""));
    fixture_finish(writer, "fixture", 128);
    return path;
}

static void expect_text(const char *got, const char *expected)
{
    assert_string_equal(got, expected ? expected : "");
}

static void expect_same_number(double got, double expected)
{
    if (isnan(expected))
        assert_true(isnan(got));
    else if (!(got == expected))
        fail_msg("%g is not %g", got, expected);
}

/* Whether the content is what write_store() wrote; used on damaged files too, so it fails no test itself. */
static bool content_is_whole(vg_store *store)
{
    vg_store_info expected = fixture_info("fixture", 128);
    const vg_store_info *info = vg_store_get_info(store);
    bool same = vg_store_recording_count(store) == RECORDINGS && vg_store_rating_count(store) == RATINGS &&
                vg_store_exclusion_count(store) == 2 && vg_store_note_count(store) == 2 &&
                info->filter_order == expected.filter_order;
#define SAME_TEXT(field)  same = same && strcmp(info->field, expected.field) == 0;
#define SAME_VALUE(field) same = same && info->field == expected.field;
    VG_STORE_TEXTS(SAME_TEXT)
    VG_STORE_REALS(SAME_VALUE)
    VG_STORE_FLAGS(SAME_VALUE)
    same = same && strcmp(vg_store_exclusion(store, 0)->reason, "flat") == 0 &&
           vg_store_exclusion(store, 0)->kind == VG_EXCLUSION_SIGNAL &&
           vg_store_exclusion(store, 1)->kind == VG_EXCLUSION_UNREAD &&
           vg_store_exclusion(store, 0)->seconds == 61.5 && vg_store_note(store, "command") &&
           strcmp(vg_store_note(store, "command"), "vagus data import") == 0 &&
           strcmp(vg_store_rating_name(store, 0), "arousal") == 0;
    same = same && vg_store_has_beats(store) && vg_store_feature_count(store) == FEATURES &&
           strcmp(vg_store_feature_name(store, 1), "lf_hf") == 0;
    for (int i = 0; same && i < RECORDINGS; i++) {
        const vg_recording *got = vg_store_recording(store, i);
        int64_t count;
        const double *at = vg_store_beats(store, i, &count), *feature = vg_store_features(store, i);
        same = got->length == lengths[i] && count == (i == 1 ? BEATS : 0) && isnan(feature[1]) &&
               (i == 1 ? feature[0] == features[0] : isnan(feature[0])) &&
               (i != 1 || memcmp(at, beats, sizeof beats) == 0);
#define SAME_COLUMN(field)                                                                                   \
    same = same && strcmp(got->field, recordings[i].field ? recordings[i].field : "") == 0;
        VG_RECORDING_TEXTS(SAME_COLUMN)
        for (int r = 0; same && r < RATINGS; r++) {
            double value = vg_store_ratings(store, i)[r];
            same = isnan(ratings[i][r]) ? isnan(value) : value == ratings[i][r];
        }
        if (!same) break;
        float *expected_samples = wave(lengths[i], (uint32_t)i),
              *samples = calloc((size_t)lengths[i], sizeof(float));
        assert_non_null(samples);
        same = vg_store_read(store, i, 0, lengths[i], samples) == VG_OK &&
               vg_fingerprint(samples, lengths[i]) == vg_fingerprint(expected_samples, lengths[i]);
        free(samples);
        free(expected_samples);
    }
    return same;
}

static void test_round_trip(void **state)
{
    (void)state;
    char *path = write_store("round.h5");
    vg_store *store;
    assert_ok(vg_store_open(path, &store));
    assert_string_equal(vg_store_path(store), path);

    vg_store_info expected = fixture_info("fixture", 128);
    const vg_store_info *info = vg_store_get_info(store);
    expect_text(info->source, expected.source);
    expect_text(info->units, expected.units);
    expect_text(info->original_rates, expected.original_rates);
    expect_text(info->filter, expected.filter);
    expect_text(info->resampling, expected.resampling);
    expect_text(info->polarity, expected.polarity);
    expect_text(info->licence, expected.licence);
    expect_text(info->citation, expected.citation);
    expect_text(info->importer, expected.importer);
    assert_int_equal(info->filter_order, 8);
    assert_true(info->rate == 128 && info->filter_low == 0.8 && info->filter_high == 50 && info->notch == 0);
    assert_true(info->synthetic && info->filter_zero_phase);

    assert_int_equal(vg_store_recording_count(store), RECORDINGS);
    assert_int_equal(vg_store_sample_count(store), 1 + 70000 + 4097);
    assert_int_equal(vg_store_rating_count(store), RATINGS);
    assert_string_equal(vg_store_rating_name(store, 1), "valence");
    int64_t offset = 0;
    for (int i = 0; i < RECORDINGS; i++) {
        const vg_recording *got = vg_store_recording(store, i), *put = &recordings[i];
        expect_text(got->subject, put->subject);
        expect_text(got->session, put->session);
        expect_text(got->trial, put->trial);
        expect_text(got->stimulus, put->stimulus);
        expect_text(got->lead, put->lead);
        expect_text(got->source, put->source);
        assert_int_equal(got->length, lengths[i]);
        for (int r = 0; r < RATINGS; r++) expect_same_number(vg_store_ratings(store, i)[r], ratings[i][r]);
        assert_int_equal(got->offset, offset);
        offset += lengths[i];
        float *samples = wave(lengths[i], (uint32_t)i), *read = calloc((size_t)lengths[i], sizeof *read);
        assert_ok(vg_store_read(store, i, 0, lengths[i], read));
        assert_memory_equal(read, samples, (size_t)lengths[i] * sizeof *samples);
        assert_true(got->fingerprint == vg_fingerprint(samples, lengths[i]));
        free(samples);
        free(read);
    }
    float part[100], *expected_part = wave(70000, 1);
    assert_ok(vg_store_read(store, 1, 65500, 100, part));
    assert_memory_equal(part, expected_part + 65500, sizeof part);
    assert_ok(vg_store_read(store, 1, 70000, 0, part));
    assert_fails(vg_store_read(store, 1, 69950, 100, part), VG_ERR_SHAPE, "70000");
    assert_fails(vg_store_read(store, 1, -1, 10, part), VG_ERR_SHAPE, path);
    assert_fails(vg_store_read(store, 3, 0, 1, part), VG_ERR_SHAPE, "no recording 3");
    assert_ok(vg_store_verify(store));

    assert_int_equal(vg_store_exclusion_count(store), 2);
    expect_text(vg_store_exclusion(store, 0)->reason, "flat");
    expect_text(vg_store_exclusion(store, 0)->subject, "P09");
    expect_text(vg_store_exclusion(store, 1)->subject, "");
    expect_same_number(vg_store_exclusion(store, 0)->seconds, 61.5);
    expect_same_number(vg_store_exclusion(store, 1)->seconds, NAN);
    assert_int_equal(vg_store_note_count(store), 2);
    expect_text(vg_store_note(store, "command"), "vagus data import");
    expect_text(vg_store_note(store, "remark"), "");
    assert_null(vg_store_note(store, "other"));
    assert_true(content_is_whole(store));
    vg_store_close(store);
    free(expected_part);
    free(path);
}

/* Recordings of all lengths round the writer's buffer; the samples lie one after another where they can be
 * mapped, and the same recordings make the same bytes. */
static void test_lengths(void **state)
{
    (void)state;
    enum { COUNT = 40, MOST = 150000 };
    vg_random random = vg_random_make(support_seed(), VG_SITE_SEARCH, 1);
    char *paths[2] = {support_path(folder, "lengths-a.h5"), support_path(folder, "lengths-b.h5")};
    float *samples = malloc(2 * MOST * sizeof *samples), *read = malloc(MOST * sizeof *read);
    int64_t many[COUNT] = {65535, 1, 65536, 65537, 131072}, total = 0;
    unsigned char *bytes[2];
    size_t size[2];
    assert_non_null(samples);
    assert_non_null(read);
    fixture_wave(samples, 2 * MOST, 1);
    for (int i = 5; i < COUNT; i++) many[i] = 1 + (int64_t)vg_random_below(&random, i % 3 ? 3000 : MOST);
    for (int k = 0; k < 2; k++) {
        vg_store_writer *writer;
        assert_ok(vg_store_writer_create(paths[k], false, NULL, 0, &writer));
        for (int i = 0; i < COUNT; i++) {
            vg_recording recording = {.source = "f", .length = many[i]};
            assert_ok(vg_store_writer_add(writer, &recording, samples + 1000 * i, NULL));
        }
        fixture_finish(writer, "x", 128);
        bytes[k] = support_read_file(paths[k], &size[k]);
    }
    assert_int_equal(size[0], size[1]);
    assert_memory_equal(bytes[0], bytes[1], size[0]);
    vg_store *store;
    assert_ok(vg_store_open(paths[0], &store));
    for (int i = 0; i < COUNT; i++) {
        assert_ok(vg_store_read(store, i, 0, many[i], read));
        assert_memory_equal(read, samples + 1000 * i, (size_t)many[i] * sizeof *read);
        assert_memory_equal(bytes[0] + VG_STORE_SIGNAL + total * (int64_t)sizeof *read, read,
                            (size_t)many[i] * sizeof *read);
        total += many[i];
    }
    assert_int_equal(vg_store_sample_count(store), total);
    vg_store_close(store);
    for (int k = 0; k < 2; k++) {
        free(bytes[k]);
        free(paths[k]);
    }
    free(samples);
    free(read);
}

/* A store without ratings, exclusions and notes is a store. */
static void test_least(void **state)
{
    (void)state;
    char *path = support_path(folder, "least.h5");
    vg_store_writer *writer;
    assert_ok(vg_store_writer_create(path, false, NULL, 0, &writer));
    fixture_add(writer, NULL, NULL, NULL, NULL, 5, 1, NULL);
    vg_store_info info = {.source = "x", .rate = 0.5, .units = "a.u.", .filter = "none"};
    assert_ok(vg_store_writer_describe(writer, &info));
    assert_ok(vg_store_writer_finish(writer));
    vg_store *store;
    assert_ok(vg_store_open(path, &store));
    assert_int_equal(vg_store_rating_count(store), 0);
    assert_int_equal(vg_store_exclusion_count(store), 0);
    assert_int_equal(vg_store_note_count(store), 0);
    assert_int_equal(vg_store_feature_count(store), 0);
    assert_false(vg_store_has_beats(store));
    assert_null(vg_store_features(store, 0));
    expect_text(vg_store_recording(store, 0)->subject, "");
    vg_store_close(store);
    free(path);
}

static int files_in(const char *path)
{
    int count = 0;
    DIR *directory = opendir(path);
    assert_non_null(directory);
    for (struct dirent *entry; (entry = readdir(directory)) != NULL;) count += entry->d_name[0] != '.';
    closedir(directory);
    return count;
}

static void test_nothing_written_over(void **state)
{
    (void)state;
    char *inner = support_path(folder, "inner"), *path = support_path(inner, "store.h5");
    assert_int_equal(mkdir(inner, 0777), 0);
    support_write_file(path, "precious", 8);
    vg_store_writer *writer;
    assert_fails(vg_store_writer_create(path, false, NULL, 0, &writer), VG_ERR_IO, "exists already");
    assert_null(writer);

    assert_ok(vg_store_writer_create(path, true, NULL, 0, &writer));
    fixture_add(writer, "a", "", "I", "f", 10, 1, NULL);
    vg_store_writer_abandon(writer);
    assert_int_equal(files_in(inner), 1);
    size_t size;
    char *kept = support_read_file(path, &size);
    assert_int_equal(size, 8);
    free(kept);

    assert_ok(vg_store_writer_create(path, true, NULL, 0, &writer));
    fixture_add(writer, "a", "", "I", "f", 10, 1, NULL);
    fixture_finish(writer, "x", 128);
    assert_int_equal(files_in(inner), 1);
    vg_store *store;
    assert_ok(vg_store_open(path, &store));
    vg_store_close(store);

    /* The name taken while the store was being written is respected too. */
    char *late = support_path(inner, "late.h5");
    assert_ok(vg_store_writer_create(late, false, NULL, 0, &writer));
    fixture_add(writer, "a", "", "I", "f", 10, 1, NULL);
    support_write_file(late, "new", 3);
    vg_store_info info = fixture_info("x", 128);
    assert_ok(vg_store_writer_describe(writer, &info));
    assert_fails(vg_store_writer_finish(writer), VG_ERR_IO, "exists already");
    assert_int_equal(files_in(inner), 2);

    char *nowhere = support_path(folder, "no/such/folder.h5");
    assert_fails(vg_store_writer_create(nowhere, false, NULL, 0, &writer), VG_ERR_IO,
                 "no/such does not exist");
    assert_fails(vg_store_writer_create(inner, true, NULL, 0, &writer), VG_ERR_IO, "folder");
    free(nowhere);
    free(late);
    free(path);
    free(inner);
}

/* A limit on file sizes stands in for a full disk: write() fails the same way. */
static void test_disk_full(void **state)
{
    (void)state;
    char *inner = support_path(folder, "full"), *path = support_path(inner, "store.h5");
    assert_int_equal(mkdir(inner, 0777), 0);
    support_write_file(path, "precious", 8);
    struct rlimit before, limit;
    signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &before);
    for (rlim_t allowed = 1024; allowed <= 4096 * 1024; allowed *= 4) {
        limit = (struct rlimit){allowed, before.rlim_max};
        vg_store_writer *writer;
        vg_status status = vg_store_writer_create(path, true, NULL, 0, &writer);
        assert_ok(status);
        setrlimit(RLIMIT_FSIZE, &limit);
        float *samples = wave(500000, 1);
        vg_recording recording = {.source = "f", .length = 500000};
        for (int i = 0; status == VG_OK && i < 4; i++)
            status = vg_store_writer_add(writer, &recording, samples, NULL);
        if (status == VG_OK) {
            vg_store_info info = fixture_info("x", 128);
            assert_ok(vg_store_writer_describe(writer, &info));
            status = vg_store_writer_finish(writer);
        } else {
            vg_store_writer_abandon(writer);
        }
        free(samples);
        setrlimit(RLIMIT_FSIZE, &before);
        assert_fails(status, VG_ERR_IO, path);
        assert_non_null(strstr(vg_cause(), "File too large"));
        assert_int_equal(files_in(inner), 1);
        char *kept = support_read_file(path, NULL);
        assert_memory_equal(kept, "precious", 8);
        free(kept);
    }
    stuck = H5Fget_obj_count((hid_t)H5F_OBJ_ALL, H5F_OBJ_FILE);
    assert_int_equal(H5Fget_obj_count((hid_t)H5F_OBJ_ALL, H5F_OBJ_ALL), stuck);
    free(path);
    free(inner);
}

static void test_writer_refuses(void **state)
{
    (void)state;
    char *path = support_path(folder, "refused.h5");
    vg_store_writer *writer;
    static const char *const twice[] = {"a", "a"}, *const unnamed[] = {""};
    assert_fails(vg_store_writer_create(path, false, twice, 2, &writer), VG_ERR_CONFIG, "twice");
    assert_fails(vg_store_writer_create(path, false, unnamed, 1, &writer), VG_ERR_CONFIG, "no usable name");

    static const char *const names[] = {"a"};
    assert_ok(vg_store_writer_create(path, false, names, 1, &writer));
    float samples[4] = {1, 2, INFINITY, 4};
    vg_recording recording = {.source = "file.dat", .length = 4};
    assert_fails(vg_store_writer_add(writer, &recording, samples, NULL), VG_ERR_DATA, "sample 2");
    samples[2] = 3;
    assert_fails(vg_store_writer_add(writer, &recording, samples, &(double){INFINITY}), VG_ERR_DATA,
                 "file.dat");
    recording.length = 0;
    assert_fails(vg_store_writer_add(writer, &recording, samples, NULL), VG_ERR_DATA, "0 samples");
    char *long_text = malloc(VG_STORE_MAX_TEXT + 2);
    memset(long_text, 'x', VG_STORE_MAX_TEXT + 1);
    long_text[VG_STORE_MAX_TEXT + 1] = 0;
    recording.length = 4;
    recording.subject = long_text;
    assert_fails(vg_store_writer_add(writer, &recording, samples, NULL), VG_ERR_CONFIG, "subject");
    free(long_text);
    assert_fails(vg_store_writer_note(writer, "no good", "x"), VG_ERR_CONFIG, "no good");

    vg_store_info info = fixture_info("x", NAN);
    assert_fails(vg_store_writer_describe(writer, &info), VG_ERR_CONFIG, "rate");
    info = fixture_info("", 128);
    assert_fails(vg_store_writer_describe(writer, &info), VG_ERR_CONFIG, "source");
    info = fixture_info("x", 128);
    info.filter_low = 60;
    assert_fails(vg_store_writer_describe(writer, &info), VG_ERR_CONFIG, "band 60 to 50");
    info = fixture_info("x", 128);
    assert_ok(vg_store_writer_describe(writer, &info));
    assert_ok(vg_store_writer_describe(writer, &info));
    assert_fails(vg_store_writer_finish(writer), VG_ERR_DATA, "no recording");
    assert_int_not_equal(access(path, F_OK), 0);
    vg_store_writer_abandon(NULL);
    free(path);
}

/* ---- Files that are not what they should be ------------------------------------------------------------ */

static void expect_refused(const char *path, vg_status expected, const char *text)
{
    vg_store *store;
    assert_fails(vg_store_open(path, &store), expected, text);
    assert_null(store);
    assert_fails(vg_store_open(path, &store), expected, path);
}

static void test_not_a_store(void **state)
{
    (void)state;
    char *path = support_path(folder, "other.h5");
    expect_refused(path, VG_ERR_IO, "No such file");
    expect_refused(folder, VG_ERR_IO, "not a file");
    support_write_file(path, "", 0);
    expect_refused(path, VG_ERR_FORMAT, "HDF5");
    support_write_file(path, "time;ecg\n0;1\n", 13);
    expect_refused(path, VG_ERR_FORMAT, "HDF5");
    hid_t file = H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
    assert_true(file >= 0);
    H5Fclose(file);
    expect_refused(path, VG_ERR_FORMAT, "not a store");
    free(path);
}

/* The mutations that a foreign or hand-made file could show. Each works on a copy of a good store. */
static void set_whole(hid_t file, const char *name, int64_t value)
{
    H5Adelete(file, name);
    hid_t space = H5Screate(H5S_SCALAR),
          attribute = H5Acreate2(file, name, H5T_STD_I64LE, space, H5P_DEFAULT, H5P_DEFAULT);
    H5Awrite(attribute, H5T_NATIVE_INT64, &value);
    H5Aclose(attribute);
    H5Sclose(space);
}

static void set_numbers(hid_t file, const char *name, int count, const int64_t *values)
{
    H5Ldelete(file, name, H5P_DEFAULT);
    hid_t space = H5Screate_simple(1, &(hsize_t){(hsize_t)count}, NULL),
          dataset = H5Dcreate2(file, name, H5T_STD_I64LE, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    H5Dwrite(dataset, H5T_NATIVE_INT64, H5S_ALL, H5S_ALL, H5P_DEFAULT, values);
    H5Dclose(dataset);
    H5Sclose(space);
}

/* A dataset that claims `count` values and holds none. */
static void claim(hid_t file, const char *name, hid_t type, hsize_t count)
{
    H5Ldelete(file, name, H5P_DEFAULT);
    hid_t space = H5Screate_simple(1, &count, NULL), properties = H5Pcreate(H5P_DATASET_CREATE);
    H5Pset_chunk(properties, 1, &(hsize_t){1024});
    hid_t dataset = H5Dcreate2(file, name, type, space, H5P_DEFAULT, properties, H5P_DEFAULT);
    H5Dclose(dataset);
    H5Pclose(properties);
    H5Sclose(space);
}

static void version_1(hid_t file)
{
    set_whole(file, "version", 1);
}
static void later_version(hid_t file)
{
    set_whole(file, "version", VG_STORE_VERSION + 1);
}
static void no_rate(hid_t file)
{
    H5Adelete(file, "rate");
}
static void whole_rate(hid_t file)
{
    set_whole(file, "rate", 128);
}
static void flag_7(hid_t file)
{
    set_whole(file, "synthetic", 7);
}
static void no_signal(hid_t file)
{
    H5Ldelete(file, "signal", H5P_DEFAULT);
}
static void no_table(hid_t file)
{
    H5Ldelete(file, "recordings", H5P_DEFAULT);
}
static void no_column(hid_t file)
{
    H5Ldelete(file, "recordings/lead", H5P_DEFAULT);
}
/* Another column in the place of the kinds. */
static void odd_kind(hid_t file)
{
    H5Ldelete(file, "exclusions/kind", H5P_DEFAULT);
    H5Lcreate_hard(file, "exclusions/source", file, "exclusions/kind", H5P_DEFAULT, H5P_DEFAULT);
}
static void no_notes(hid_t file)
{
    H5Ldelete(file, "notes", H5P_DEFAULT);
}
static void whole_signal(hid_t file)
{
    set_numbers(file, "signal", 3, (int64_t[]){1, 2, 3});
}
static void short_column(hid_t file)
{
    set_numbers(file, "recordings/length", 2, (int64_t[]){1, 70000});
}
static void beyond(hid_t file)
{
    set_numbers(file, "recordings/length", 3, (int64_t[]){1, 70000, 4098});
}
static void overlapping(hid_t file)
{
    set_numbers(file, "recordings/offset", 3, (int64_t[]){0, 0, 70001});
}
static void negative(hid_t file)
{
    set_numbers(file, "recordings/offset", 3, (int64_t[]){-1, 1, 70001});
}
static void wrapping(hid_t file)
{
    set_numbers(file, "recordings/length", 3, (int64_t[]){1, INT64_MAX, 4097});
}
static void empty(hid_t file)
{
    set_numbers(file, "recordings/offset", 0, (int64_t[]){0});
}
static void chunked_signal(hid_t file)
{
    claim(file, "signal", H5T_IEEE_F32LE, (hsize_t)1 << 50);
}
/* Another dataset in the place of the signal; one that is not allocated when `early` is false. */
static void set_signal(hid_t file, hid_t type, hsize_t count, bool early)
{
    H5Ldelete(file, "signal", H5P_DEFAULT);
    hid_t space = H5Screate_simple(1, &count, NULL), properties = H5Pcreate(H5P_DATASET_CREATE);
    H5Pset_alloc_time(properties, early ? H5D_ALLOC_TIME_EARLY : H5D_ALLOC_TIME_LATE);
    H5Pset_fill_time(properties, H5D_FILL_TIME_NEVER);
    H5Dclose(H5Dcreate2(file, "signal", type, space, H5P_DEFAULT, properties, H5P_DEFAULT));
    H5Pclose(properties);
    H5Sclose(space);
}
static void huge_signal(hid_t file)
{
    set_signal(file, H5T_IEEE_F32LE, (hsize_t)1 << 50, false);
}
static void double_signal(hid_t file)
{
    set_signal(file, H5T_IEEE_F64LE, 74098, true);
}
static void swapped_signal(hid_t file)
{
    set_signal(file, H5T_IEEE_F32BE, 74098, true);
}
static void scalar_signal(hid_t file)
{
    H5Ldelete(file, "signal", H5P_DEFAULT);
    hid_t space = H5Screate(H5S_SCALAR);
    H5Dclose(H5Dcreate2(file, "signal", H5T_IEEE_F32LE, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT));
    H5Sclose(space);
}
static void outer_signal(hid_t file)
{
    H5Ldelete(file, "signal", H5P_DEFAULT);
    hid_t space = H5Screate_simple(1, &(hsize_t){74098}, NULL), properties = H5Pcreate(H5P_DATASET_CREATE);
    H5Pset_external(properties, "/etc/passwd", 0, H5F_UNLIMITED);
    H5Dclose(H5Dcreate2(file, "signal", H5T_IEEE_F32LE, space, H5P_DEFAULT, properties, H5P_DEFAULT));
    H5Pclose(properties);
    H5Sclose(space);
}
static void huge_table(hid_t file)
{
    claim(file, "recordings/offset", H5T_STD_I64LE, (hsize_t)1 << 40);
}
static void huge_exclusions(hid_t file)
{
    claim(file, "exclusions/seconds", H5T_IEEE_F64LE, (hsize_t)1 << 60);
}
static void flat_ratings(hid_t file)
{
    set_numbers(file, "ratings/values", 3, (int64_t[]){1, 2, 3});
}

static void late_beats(hid_t file)
{
    set_numbers(file, "beats/end", 3, (int64_t[]){0, 5, 5});
}
static void falling_beats(hid_t file)
{
    set_numbers(file, "beats/end", 3, (int64_t[]){0, 4, 3});
}
static void foreign_beats(hid_t file)
{
    set_numbers(file, "beats/end", 3, (int64_t[]){3, 4, 4});
}
static void short_beats(hid_t file)
{
    set_numbers(file, "beats/end", 2, (int64_t[]){0, 4});
}
static void huge_beats(hid_t file)
{
    claim(file, "beats/position", H5T_IEEE_F64LE, (hsize_t)1 << 50);
}
static void flat_features(hid_t file)
{
    set_numbers(file, "features/values", 3, (int64_t[]){1, 2, 3});
}

static void other_format(hid_t file)
{
    H5Adelete(file, "format");
    hid_t type = H5Tcopy(H5T_C_S1), space = H5Screate(H5S_SCALAR);
    H5Tset_size(type, 3);
    hid_t attribute = H5Acreate2(file, "format", type, space, H5P_DEFAULT, H5P_DEFAULT);
    H5Awrite(attribute, type, "abc");
    H5Aclose(attribute);
    H5Sclose(space);
    H5Tclose(type);
}

static void test_mutations(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        void (*mutate)(hid_t);
        vg_status expected;
        const char *text;
    } cases[] = {
        {"version_1", version_1, VG_ERR_UNSUPPORTED,
         "version 1, and this program reads version 3; import it"},
        {"later_version", later_version, VG_ERR_UNSUPPORTED, "version 4"},
        {"other_format", other_format, VG_ERR_FORMAT, "'abc'"},
        {"no_rate", no_rate, VG_ERR_FORMAT, "attribute rate is missing"},
        {"whole_rate", whole_rate, VG_ERR_FORMAT, "rate is not a single real number"},
        {"flag_7", flag_7, VG_ERR_FORMAT, "synthetic is 7"},
        {"no_signal", no_signal, VG_ERR_FORMAT, "/signal"},
        {"no_table", no_table, VG_ERR_FORMAT, "/recordings/offset"},
        {"no_column", no_column, VG_ERR_FORMAT, "/recordings/lead"},
        {"odd_kind", odd_kind, VG_ERR_FORMAT, "exclusions/kind: \"d.dat\" is none of the known"},
        {"no_notes", no_notes, VG_ERR_FORMAT, "/notes"},
        {"whole_signal", whole_signal, VG_ERR_FORMAT, "/signal is not"},
        {"short_column", short_column, VG_ERR_FORMAT, "/recordings/length has 2 rows"},
        {"beyond", beyond, VG_ERR_FORMAT, "recording 2 (c.dat)"},
        {"overlapping", overlapping, VG_ERR_FORMAT, "recording 1 (b.dat)"},
        {"negative", negative, VG_ERR_FORMAT, "recording 0 (a.dat)"},
        {"wrapping", wrapping, VG_ERR_FORMAT, "recording 1 (b.dat)"},
        {"empty", empty, VG_ERR_DATA, "empty"},
        {"huge_signal", huge_signal, VG_ERR_FORMAT, "/signal claims 1125899906842624 samples"},
        {"chunked_signal", chunked_signal, VG_ERR_FORMAT, "/signal is not one unbroken run of float32"},
        {"double_signal", double_signal, VG_ERR_FORMAT, "/signal is not"},
        {"swapped_signal", swapped_signal, VG_ERR_FORMAT, "/signal is not"},
        {"scalar_signal", scalar_signal, VG_ERR_FORMAT, "/signal is not"},
        {"outer_signal", outer_signal, VG_ERR_FORMAT, "/signal is not"},
        {"huge_table", huge_table, VG_ERR_FORMAT, "/recordings/offset claims"},
        {"huge_exclusions", huge_exclusions, VG_ERR_FORMAT, "/exclusions/seconds claims"},
        {"flat_ratings", flat_ratings, VG_ERR_FORMAT, "/ratings/values is not 2-dimensional"},
        {"flat_features", flat_features, VG_ERR_FORMAT, "/features/values is not 2-dimensional"},
        {"late_beats", late_beats, VG_ERR_FORMAT, "/beats/end: row 1 is 5 of 4"},
        {"falling_beats", falling_beats, VG_ERR_FORMAT, "/beats/end: row 2 is 3 of 4"},
        {"foreign_beats", foreign_beats, VG_ERR_FORMAT, "/beats/position: row 1 is 1.5"},
        {"short_beats", short_beats, VG_ERR_FORMAT, "/beats/end has 2 rows"},
        {"huge_beats", huge_beats, VG_ERR_FORMAT, "/beats/position claims"},
    };
    char *path = write_store("good.h5");
    size_t size;
    void *bytes = support_read_file(path, &size);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *copy = support_path(folder, cases[i].name);
        support_write_file(copy, bytes, size);
        hid_t file = H5Fopen(copy, H5F_ACC_RDWR, H5P_DEFAULT);
        assert_true(file >= 0);
        cases[i].mutate(file);
        assert_true(H5Fclose(file) >= 0);
        expect_refused(copy, cases[i].expected, cases[i].text);
        free(copy);
    }
    free(bytes);
    free(path);
}

static void test_truncated(void **state)
{
    (void)state;
    char *path = write_store("long.h5"), *cut = support_path(folder, "cut.h5");
    size_t size;
    void *bytes = support_read_file(path, &size);
    for (size_t length = 0; length < size; length += length < 256 ? 1 : 1 + size / 400) {
        support_write_file(cut, bytes, length);
        vg_store *store;
        vg_status status = vg_store_open(cut, &store);
        if (status == VG_OK) fail_msg("%zu of %zu bytes were taken for a store", length, size);
        assert_int_equal(status, VG_ERR_FORMAT);
        assert_non_null(strstr(vg_cause(), cut));
        assert_null(store);
    }
    support_write_file(cut, bytes, size - 1);
    expect_refused(cut, VG_ERR_FORMAT, "truncated file");
    free(bytes);
    free(cut);
    free(path);
}

/* One flipped bit anywhere: the store is refused when opened, verified or read, or the bit did not matter.
 * The signal is short here, so that nearly all bytes are tables, attributes, HDF5's own, and the space before
 * the signal. */
static void test_flipped_bits(void **state)
{
    (void)state;
    int64_t before[RECORDINGS];
    memcpy(before, lengths, sizeof before);
    lengths[1] = 300;
    lengths[2] = 97;
    char *path = write_store("clean.h5"), *damaged = support_path(folder, "damaged.h5");
    size_t size;
    unsigned char *bytes = support_read_file(path, &size);
    vg_random random = vg_random_make(support_seed(), VG_SITE_SEARCH, 0);
    int refused = 0, harmless = 0;
    for (size_t at = vg_random_below(&random, 8); at < size; at += 1 + vg_random_below(&random, 15)) {
        unsigned char bit = (unsigned char)(1u << vg_random_below(&random, 8));
        bytes[at] ^= bit;
        support_write_file(damaged, bytes, size);
        bytes[at] ^= bit;
        vg_store *store;
        vg_status status = vg_store_open(damaged, &store);
        if (status == VG_OK) status = vg_store_verify(store);
        if (status != VG_OK)
            refused++;
        else if (content_is_whole(store))
            harmless++;
        else
            fail_msg("a flipped bit at byte %zu of %zu went unnoticed", at, size);
        vg_store_close(store);
    }
    print_message("flipped bits in %zu bytes: %d refused, %d harmless\n", size, refused, harmless);
    assert_true(refused > 100);
    memcpy(lengths, before, sizeof before);
    free(bytes);
    free(damaged);
    free(path);
}

/* The signal has no checksum of HDF5's, but every bit of every sample counts in a fingerprint. */
static void test_flipped_samples(void **state)
{
    (void)state;
    char *path = write_store("sound.h5"), *damaged = support_path(folder, "noisy.h5");
    size_t size;
    unsigned char *bytes = support_read_file(path, &size);
    vg_random random = vg_random_make(support_seed(), VG_SITE_SEARCH, 2);
    for (int i = 0; i < 200; i++) {
        int64_t sample = i < 32 ? 0 : (int64_t)vg_random_below(&random, 1 + 70000 + 4097);
        if (sample == 1 + 50) continue; /* the gap: any NaN is as good as another */
        int bit = i < 32 ? i : (int)vg_random_below(&random, 32);
        unsigned char *byte = bytes + VG_STORE_SIGNAL + 4 * sample + bit / 8;
        *byte ^= (unsigned char)(1 << bit % 8);
        support_write_file(damaged, bytes, size);
        *byte ^= (unsigned char)(1 << bit % 8);
        vg_store *store;
        assert_ok(vg_store_open(damaged, &store));
        assert_fails(vg_store_verify(store), VG_ERR_FORMAT, "fingerprint");
        int recording = sample < 1 ? 0 : sample < 70001 ? 1 : 2;
        float *read = malloc(70000 * sizeof *read);
        assert_non_null(read);
        assert_fails(vg_store_read(store, recording, 0, lengths[recording], read), VG_ERR_FORMAT,
                     "fingerprint");
        assert_ok(vg_store_read(store, (recording + 1) % 3, 0, lengths[(recording + 1) % 3], read));
        free(read);
        vg_store_close(store);
    }
    free(bytes);
    free(damaged);
    free(path);
}

/* A sample changed by a program does not fit the fingerprint. */
static void test_changed_sample(void **state)
{
    (void)state;
    char *path = write_store("changed.h5");
    hid_t file = H5Fopen(path, H5F_ACC_RDWR, H5P_DEFAULT), signal = H5Dopen2(file, "signal", H5P_DEFAULT),
          space = H5Dget_space(signal), one = H5Screate_simple(1, &(hsize_t){1}, NULL);
    H5Sselect_hyperslab(space, H5S_SELECT_SET, &(hsize_t){40000}, NULL, &(hsize_t){1}, NULL);
    assert_true(H5Dwrite(signal, H5T_NATIVE_FLOAT, one, space, H5P_DEFAULT, &(float){99}) >= 0);
    H5Sclose(one);
    H5Sclose(space);
    H5Dclose(signal);
    H5Fclose(file);
    vg_store *store;
    assert_ok(vg_store_open(path, &store));
    assert_fails(vg_store_verify(store), VG_ERR_FORMAT, "recording 1 (b.dat)");
    vg_store_close(store);
    free(path);
}

/* Threads take turns inside HDF5 and get their own errors. */
static void *read_repeatedly(void *argument)
{
    const char *const *paths = argument;
    intptr_t wrong = 0;
    for (int i = 0; i < 20; i++) {
        vg_store *store;
        wrong += vg_store_open(paths[1], &store) == VG_OK || !strstr(vg_cause(), paths[1]);
        if (vg_store_open(paths[0], &store) != VG_OK) return (void *)-1;
        wrong += !content_is_whole(store);
        vg_store_close(store);
    }
    return (void *)wrong;
}

static void test_threads(void **state)
{
    (void)state;
    pthread_t threads[3];
    const char *paths[3][2];
    for (int i = 0; i < 3; i++) {
        char name[32];
        snprintf(name, sizeof name, "thread-%d", i);
        paths[i][0] = write_store(name);
        snprintf(name, sizeof name, "broken-%d", i);
        char *broken = support_path(folder, name);
        support_write_file(broken, "no store", 8);
        paths[i][1] = broken;
    }
    for (int i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, read_repeatedly, paths[i]), 0);
    for (int i = 0; i < 3; i++) {
        void *wrong;
        assert_int_equal(pthread_join(threads[i], &wrong), 0);
        assert_null(wrong);
        free((char *)paths[i][0]);
        free((char *)paths[i][1]);
    }
}

static void test_fingerprint(void **state)
{
    (void)state;
    float many[40];
    for (int i = 0; i < 40; i++) many[i] = (float)i;
    for (int64_t n = 1; n <= 40; n++) {
        const uint64_t whole = vg_fingerprint(many, n);
        assert_true(vg_fingerprint(many, n - 1) != whole);
        for (int64_t i = 0; i < n; i++) {
            many[i] = nextafterf(many[i], INFINITY);
            assert_true(vg_fingerprint(many, n) != whole);
            many[i] = (float)i;
        }
        for (int64_t i = 1; i < n; i++) {
            many[i] = (float)i - 1;
            many[i - 1] = (float)i;
            assert_true(vg_fingerprint(many, n) != whole);
            many[i] = (float)i;
            many[i - 1] = (float)i - 1;
        }
    }
    float a[] = {1, 2, 3}, b[] = {1, 3, 2}, zero[] = {0, 0}, minus[] = {-0.0f, 0}, nan1[] = {NAN},
          nan2[] = {-NAN};
    assert_true(vg_fingerprint(a, 3) != vg_fingerprint(b, 3));
    assert_true(vg_fingerprint(a, 3) != vg_fingerprint(a, 2));
    assert_true(vg_fingerprint(zero, 1) != vg_fingerprint(zero, 2));
    assert_true(vg_fingerprint(zero, 2) == vg_fingerprint(minus, 2));
    assert_true(vg_fingerprint(nan1, 1) == vg_fingerprint(nan2, 1));
}

int main(void)
{
    folder = support_temp_dir();
#define TEST(name) cmocka_unit_test_teardown(name, nothing_left_open)
    const struct CMUnitTest tests[] = {
        TEST(test_round_trip),
        TEST(test_lengths),
        TEST(test_flipped_samples),
        TEST(test_least),
        TEST(test_nothing_written_over),
        TEST(test_writer_refuses),
        TEST(test_disk_full),
        TEST(test_not_a_store),
        TEST(test_mutations),
        TEST(test_truncated),
        TEST(test_flipped_bits),
        TEST(test_changed_sample),
        TEST(test_threads),
        TEST(test_fingerprint),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    free(folder);
    return failed;
}
