/* Damaged MAT files of every kind that SciPy wrote (mat_files.py): one bit turned in each byte of the small
 * ones and in a sample of the others, and the tail cut. No import crashes or leaves a half store; and what is
 * packed, and so has a checksum, never changes in silence: samples and ratings are the very same, or
 * something is said or left out. VAGUS_TEST_SEED replays, VAGUS_FUZZ_ROUNDS says how many damaged copies of a
 * file there are at most. */
#include <unistd.h>

#include "core/hash.h"
#include "core/random.h"
#include "tests/datasets/import_support.h"

static char *folder, *out;

static int rounds(int standard)
{
    const char *text = getenv("VAGUS_FUZZ_ROUNDS");
    return text ? atoi(text) : standard;
}

typedef struct outcome {
    vg_status status;
    uint64_t content; /* of all recordings: samples, ratings and names */
    int64_t said;     /* left out, or warned about */
} outcome;

static uint64_t content_of(const char *path)
{
    vg_store *store;
    uint64_t hash = VG_HASH_NOTHING;
    assert_ok(vg_store_open(path, &store));
    assert_ok(vg_store_verify(store));
    for (int64_t i = 0; i < vg_store_recording_count(store); i++) {
        const vg_recording *r = vg_store_recording(store, i);
        const char *texts[] = {r->subject, r->trial, r->stimulus, r->lead};
        hash = vg_hash_add(hash, &r->fingerprint, sizeof r->fingerprint);
        hash = vg_hash_add(hash, &r->length, sizeof r->length);
        for (size_t k = 0; k < sizeof texts / sizeof *texts; k++)
            hash = vg_hash_add(hash, texts[k], strlen(texts[k]) + 1);
        for (int k = 0; k < vg_store_rating_count(store); k++) {
            double rating = vg_store_ratings(store, i)[k];
            if (!isnan(rating)) hash = vg_hash_add(hash, &rating, sizeof rating);
        }
    }
    vg_store_close(store);
    return hash;
}

static outcome import(const char *format, const char *source, double rate)
{
    vg_import_options options = import_untouched(rate);
    vg_import_report report;
    outcome o = {0};
    options.threads = 1;
    remove(out);
    o.status = vg_import(format, &source, 1, &options, out, false, &report);
    o.said = report.excluded + report.warnings;
    FILE *file = fopen(out, "rb");
    if (o.status == VG_OK)
        o.content = content_of(out);
    else if (!*vg_cause())
        fail_msg("%s: no cause is told", source);
    else if (file)
        fail_msg("%s: an import that failed left a store", source);
    if (file) fclose(file);
    vg_import_report_free(&report);
    return o;
}

/* Imports folder/`kind`, in which at most `most` copies of `name` are damaged: every byte when it has fewer.
 */
static void torture(const char *format, const char *kind, const char *name, double rate, bool packed,
                    int most)
{
    size_t size;
    char *source = support_path(folder, kind), *path = support_path(source, name);
    unsigned char *bytes = support_read_file(path, &size), *copy = malloc(size);
    assert_non_null(copy);
    outcome whole = import(format, source, rate);
    if (whole.status != VG_OK) fail_msg("%s is not imported when it is whole: %s", path, vg_cause());
    vg_random random = vg_random_make(support_seed(), 78, (uint32_t)size);
    int every = (int)(size / (size_t)rounds(most)) + 1, copies = 0, refused = 0, told = 0, same = 0;
    for (size_t at = vg_random_below(&random, (uint64_t)every); at < size; at += (size_t)every, copies++) {
        const bool cut = vg_random_below(&random, 8) == 0;
        memcpy(copy, bytes, size);
        copy[at] ^= (unsigned char)(1u << vg_random_below(&random, 8));
        support_write_file(path, cut ? bytes : copy, cut ? at : size);
        outcome o = import(format, source, rate);
        const bool silent = o.status == VG_OK && o.said <= whole.said;
        if (packed && silent && o.content != whole.content)
            fail_msg("%s: byte %zu %s: other content, and nothing is said", path, at,
                     cut ? "cut" : "changed");
        refused += o.status != VG_OK;
        told += o.status == VG_OK && o.said > whole.said;
        same += silent && o.content == whole.content;
    }
    printf("%s: %d damaged copies of %zu bytes: %d refused, %d with something said, %d the same\n", path,
           copies, size, refused, told, same);
    assert_true(copies > 0 && refused + told > (packed ? copies / 2 : copies / 10));
    support_write_file(path, bytes, size);
    outcome again = import(format, source, rate);
    assert_true(again.content == whole.content);
    free(bytes);
    free(copy);
    free(path);
    free(source);
}

static void test_amigos(void **unused)
{
    (void)unused;
    torture("amigos", "amigos", "Data_Preprocessed_P01/Data_Preprocessed_P01.mat", 128, true, 150);
}

static void test_amigos_plain(void **unused)
{
    (void)unused;
    torture("amigos", "amigos-plain", "Data_Preprocessed_P02/Data_Preprocessed_P02.mat", 128, false, 2000);
}

static void test_dreamer(void **unused)
{
    (void)unused;
    torture("dreamer", "dreamer", "DREAMER.mat", 256, true, 150);
}

static void test_ascertain(void **unused)
{
    (void)unused;
    torture("ascertain", "ascertain", "ASCERTAIN_Raw/ECGData/Movie_P01/ECG_Clip2.mat", 256, false, 150);
    torture("ascertain", "ascertain", "ASCERTAIN_Features/Dt_SelfReports.mat", 256, true, 100);
}

static void test_pspm(void **unused)
{
    (void)unused;
    torture("pspm", "pspm", "F_spike_01.mat", 256, true, 1000);
}

/* 77 when there is no SciPy to write the files. */
static int write_files(void)
{
    char command[4096];
    const char *source = getenv("VAGUS_SOURCE");
    snprintf(command, sizeof command, "'%s' '%s/tests/datasets/mat_files.py' '%s'", VAGUS_PYTHON,
             source ? source : ".", folder);
    if (system("'" VAGUS_PYTHON "' -c 'import scipy.io' >/dev/null 2>&1") != 0) {
        printf("skipped: no SciPy, which writes the files\n");
        return 77;
    }
    return system(command) == 0 ? 0 : 1;
}

int main(void)
{
    /* Every store is synced to disk, which takes most of the time of a small one. */
    if (access("/dev/shm", W_OK) == 0) setenv("TMPDIR", "/dev/shm", 0);
    char *place = support_temp_dir();
    folder = support_temp_dir();
    out = support_path(place, "out.h5");
    int failed = write_files();
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_amigos), cmocka_unit_test(test_amigos_plain),
                                       cmocka_unit_test(test_dreamer), cmocka_unit_test(test_ascertain),
                                       cmocka_unit_test(test_pspm)};
    if (failed == 0) failed = cmocka_run_group_tests(tests, NULL, NULL);
    free(out);
    free(place);
    free(folder);
    return failed;
}
