/* What a check finds by itself in real recordings. Needs VAGUS_TEST_DATA. */
#include "datasets/check/check.h"
#include "tests/datasets/import_support.h"

static char *folder;

/* Imports as `vagus data check` does: nothing is filtered and nothing left out. */
static vg_check *check_source(const char *format, const char *name, vg_import_options *options,
                              vg_store **store)
{
    char *out = support_path(folder, "check.h5"), *source = support_path(support_data(), name);
    vg_import_report report;
    vg_check *check;
    options->order = 0;
    options->keep = "all";
    options->drop_bad = false;
    options->min_seconds = 0;
    *store = import_and_open(format, source, options, out, &report);
    assert_int_equal(report.excluded, 0);
    assert_ok(vg_check_create(store, 1, vg_import_default_options().min_quality, &check));
    vg_import_report_free(&report);
    free(source);
    free(out);
    return check;
}

static int by_text(const void *left, const void *right)
{
    return strcmp(*(const char *const *)left, *(const char *const *)right);
}

/* The files with one of two verdicts, as one text in the order of their names. */
static void expect_files(const vg_check *check, bool unusable, const char *expected)
{
    const char *files[128];
    char text[1024] = "";
    size_t n = 0;
    for (int64_t i = 0; i < check->count && n < 128; i++) {
        vg_verdict v = check->line[i].verdict;
        if (unusable ? !vg_verdict_usable(v) : v == VG_VERDICT_UPSIDE_DOWN) files[n++] = check->line[i].file;
    }
    qsort(files, n, sizeof *files, by_text);
    for (size_t i = 0; i < n; i++) {
        size_t used = strlen(text);
        snprintf(text + used, sizeof text - used, "%s%.*s", i ? " " : "", (int)strcspn(files[i], "."),
                 files[i]);
    }
    printf("%s: %s\n", unusable ? "no usable ECG" : "upside down", text);
    assert_string_equal(text, expected);
}

/* Seen by eye in the average beats: files 02_1, 13_1, 20_2 and 35_2 hold noise; P wave, QRS and T wave of
 * subjects 10, 16 and 27 all point down, while 04, 07, 24, 28 and 33 have a deep S under upright P and T. */
static void test_eegmat(void **unused)
{
    (void)unused;
    vg_import_options options = vg_import_default_options();
    vg_store *store;
    options.pattern = "Subject{subject}_{trial}.edf";
    vg_check *check = check_source("edf", "eegmat", &options, &store);
    assert_int_equal(check->count, 72);
    expect_files(check, true, "Subject02_1 Subject13_1 Subject20_2 Subject35_2");
    expect_files(check, false, "Subject10_1 Subject10_2 Subject16_1 Subject16_2 Subject27_1 Subject27_2");
    for (int64_t i = 0; i < 4; i++) assert_int_equal(check->line[i].verdict, VG_VERDICT_DISCONNECTED);
    char changed[256] = "";
    for (int64_t i = 0; i < check->change_count; i++) {
        const vg_check_change *c = &check->change[i];
        const char *low = check->line[check->order[c->first]].file;
        size_t used = strlen(changed);
        snprintf(changed + used, sizeof changed - used, "%s%.2s:%c", i ? " " : "", c->subject,
                 strncmp(low + 10, "1", 1) == 0 ? '1' : '2');
        assert_true(c->count == 2 && c->decibels > 20);
    }
    printf("recorder's filter changed (subject:file with less above 50 Hz): %s\n", changed);
    assert_string_equal(changed, "08:2 10:2 11:1 17:2 22:2 25:2 29:1 32:1");
    vg_check_destroy(check);
    vg_store_close(store);
}

/* How often a noisy recording has a lower index than another: the area under the curve. */
static double area(const vg_check *check, const vg_store *store, double noise)
{
    double wins = 0, pairs = 0;
    for (int64_t i = 0; i < check->count; i++) {
        if (vg_store_ratings(store, check->line[i].recording)[0] != noise) continue;
        for (int64_t k = 0; k < check->count; k++) {
            if (vg_store_ratings(store, check->line[k].recording)[0] == noise) continue;
            double a = check->line[i].quality.index, b = check->line[k].quality.index;
            wins += a < b ? 1 : a == b ? 0.5 : 0;
            pairs++;
        }
    }
    return wins / pairs;
}

static void test_cinc2017(void **unused)
{
    (void)unused;
    vg_import_options options = vg_import_default_options();
    vg_store *store;
    char *labels = support_path(support_data(), "cinc2017/REFERENCE.csv");
    options.labels = labels;
    options.label_names = "rhythm";
    options.rating = "rhythm:N=0,A=1,O=2,~=3";
    vg_check *check = check_source("wfdb", "cinc2017", &options, &store);
    assert_int_equal(check->count, 400);
    double auc = area(check, store, 3);
    printf("cinc2017: AUC of the quality index against the label ~: %.4f (15 of 400 recordings)\n", auc);
    if (!(auc >= 0.95)) fail_msg("the noise class does not stand out: AUC %g", auc);
    vg_check_destroy(check);
    vg_store_close(store);
    free(labels);
}

int main(void)
{
    support_skip_without_data();
    folder = support_temp_dir();
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_eegmat), cmocka_unit_test(test_cinc2017)};
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    free(folder);
    return failed;
}
