/* Real recordings: that they import, that their values are what other readers give, and that files
 * without an ECG are left out. Needs VAGUS_TEST_DATA. */
#include "tests/datasets/import_support.h"

static char *folder, *out;

/* Samples as other readers give them: record 100 begins with 995 - 1024 at 200 per mV. */
static void test_mitdb(void **unused)
{
    (void)unused;
    char *source = support_path(support_data(), "mitdb");
    vg_import_options options = import_untouched(360);
    vg_import_report report;
    options.leads = "first";
    vg_store *store = import_and_open("wfdb", source, &options, out, &report);
    assert_int_equal(report.recordings, 12);
    if (report.warnings) fail_msg("checksums: %s", report.warning[0]);
    assert_string_equal(vg_store_recording(store, 0)->subject, "100");
    assert_int_equal(vg_store_recording(store, 0)->length, 650000);
    float *x = import_samples(store, 0);
    if (!(fabsf(x[0] + 0.145f) < 1e-6f)) fail_msg("record 100 begins with %g mV", (double)x[0]);
    free(x);
    vg_store_close(store);
    vg_import_report_free(&report);
    free(source);
}

static void test_cinc(void **unused)
{
    (void)unused;
    char *source = support_path(support_data(), "cinc2017"),
         *labels = support_path(support_data(), "cinc2017/REFERENCE.csv");
    vg_import_options options = vg_import_default_options();
    vg_import_report report;
    options.labels = labels;
    options.label_names = "rhythm";
    options.rating = "rhythm:N=0,A=1,O=2,~=3";
    vg_store *store = import_and_open("wfdb", source, &options, out, &report);
    assert_int_equal(report.records, 400);
    assert_int_equal(report.recordings + report.excluded, 400);
    assert_true(report.recordings >= 390);
    assert_int_equal(report.warnings, 0);
    assert_string_equal(vg_store_get_info(store)->source, "cinc2017");
    assert_string_equal(vg_store_note(store, "rating_rhythm"), "N=0 A=1 O=2 ~=3");
    int counts[4] = {0};
    for (int64_t i = 0; i < report.recordings; i++) {
        double rhythm = vg_store_ratings(store, i)[0];
        assert_true(rhythm >= 0 && rhythm <= 3);
        counts[(int)rhythm]++;
    }
    assert_true(counts[0] >= 220 && counts[1] >= 42 && counts[2] >= 112);
    vg_store_close(store);
    vg_import_report_free(&report);
    free(source);
    free(labels);
}

/* 36 subjects, rest and arithmetic; four of the 72 files hold noise instead of an ECG. */
static void test_eegmat(void **unused)
{
    (void)unused;
    static const char *const noise[] = {"Subject02_1", "Subject13_1", "Subject20_2", "Subject35_2"};
    char *source = support_path(support_data(), "eegmat");
    vg_import_options options = vg_import_default_options();
    vg_import_report report;
    options.high = 40;
    options.pattern = "Subject{subject}_{trial}.edf";
    options.rating = "task:1=0,2=1";
    vg_store *store = import_and_open("edf", source, &options, out, &report);
    assert_int_equal(report.records, 72);
    assert_int_equal(report.recordings, 68);
    int64_t next = 0;
    for (int64_t i = 0; i < vg_store_exclusion_count(store); i++) {
        const vg_exclusion *e = vg_store_exclusion(store, i);
        if (strncmp(e->reason, "no usable ECG", 13) != 0) continue;
        if (next >= 4 || !strstr(e->source, noise[next++]))
            fail_msg("left out: %s: %s", e->source, e->reason);
    }
    assert_int_equal(next, 4);
    const vg_recording *r = vg_store_recording(store, 0);
    assert_string_equal(r->subject, "00");
    assert_int_equal(r->length, 182 * 128);
    assert_true(vg_store_ratings(store, 0)[0] == 0 && vg_store_ratings(store, 1)[0] == 1);
    vg_store_close(store);
    vg_import_report_free(&report);
    free(source);
}

/* The long arrays: 72 and 33 lead-hours, at 128 Hz already. */
static void test_arrays(void **unused)
{
    (void)unused;
    static const struct {
        const char *file;
        int64_t records;
        double hours;
        bool subjects;
    } cases[] = {{"mitdb_128hz.h5", 66, 33, true}, {"cinc2017_128hz.h5", 8000, 72, false}};
    vg_import_options options = vg_import_default_options();
    for (size_t c = 0; c < 2; c++) {
        char *source = support_path(support_data(), cases[c].file);
        vg_import_report report;
        vg_store *store = import_and_open("hdf5", source, &options, out, &report);
        printf("%s: %lld of %lld recordings, %.1f hours\n", cases[c].file, (long long)report.recordings,
               (long long)report.records, report.seconds / 3600);
        assert_int_equal(report.records, cases[c].records);
        assert_true(report.recordings > 0.95 * (double)cases[c].records);
        assert_true(report.seconds / 3600 > 0.95 * cases[c].hours &&
                    report.seconds / 3600 < 1.01 * cases[c].hours);
        assert_int_equal(*vg_store_recording(store, 0)->subject != 0, cases[c].subjects);
        assert_string_equal(vg_store_get_info(store)->resampling, "none");
        vg_store_close(store);
        vg_import_report_free(&report);
        free(source);
    }
}

int main(void)
{
    support_skip_without_data();
    folder = support_temp_dir();
    out = support_path(folder, "out.h5");
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_mitdb), cmocka_unit_test(test_cinc),
                                       cmocka_unit_test(test_eegmat), cmocka_unit_test(test_arrays)};
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    free(out);
    free(folder);
    return failed;
}
