/* A check of made signals, each with one thing wrong: the verdict, the filter that changed between two
 * recordings of one person, and the three ways of showing it. */
#include "core/random.h"
#include "datasets/check/check.h"
#include "datasets/signal/filter.h"
#include "tests/datasets/fixture.h"
#include "tests/datasets/import_support.h"

enum { RATE = 250, SECONDS = 60, N = RATE * SECONDS };

static const double PI = 3.14159265358979323846;
static char *folder;

static void add(vg_store_writer *writer, const char *subject, const char *file, const char *lead,
                const double *x)
{
    float *samples = malloc(N * sizeof *samples);
    assert_non_null(samples);
    for (int i = 0; i < N; i++) samples[i] = (float)x[i];
    vg_recording recording = {.subject = subject, .source = file, .lead = lead, .length = N};
    assert_ok(vg_store_writer_add(writer, &recording, samples, NULL));
    free(samples);
}

/* Beats with a little white noise, which a recorder's filter takes away above its edge. */
static void make_ecg(double *x, int subject, double noise)
{
    vg_random random = vg_random_make(support_seed(), 31, (uint32_t)subject);
    float *beats = import_beats(subject, RATE, N);
    for (int i = 0; i < N; i++) x[i] = (double)beats[i] + noise * vg_random_normal(&random);
    free(beats);
}

/* One recording of each kind, and two of one person between which the recorder's filter changed. */
static vg_store *make_store(const char *name)
{
    char *path = support_path(folder, name);
    double *x = malloc(N * sizeof *x);
    vg_store_writer *writer;
    vg_store *store;
    vg_filter low;
    vg_random random = vg_random_make(support_seed(), 32, 0);
    assert_non_null(x);
    assert_ok(vg_store_writer_create(path, true, NULL, 0, &writer));
    make_ecg(x, 1, 0.01);
    add(writer, "P1", "made/good.dat", "I", x);
    make_ecg(x, 1, 0.01);
    assert_ok(vg_filter_design(VG_FILTER_LOWPASS, 3, 0, 48, RATE, &low));
    assert_ok(vg_filter_zero_phase(&low, x, N, NULL));
    add(writer, "P1", "made/changed.dat", "I", x);
    make_ecg(x, 2, 0.01);
    add(writer, "P2", "made/<same> & good.dat", "I", x);
    add(writer, "P2", "made/again.dat", "I", x);
    for (int i = 0; i < N; i++) x[i] = -x[i];
    add(writer, "P3", "made/turned.dat", "I", x);
    add(writer, "P3", "made/chest.dat", "V1", x);
    for (int i = 0; i < N; i++) x[i] = 0.05 * vg_random_normal(&random);
    add(writer, "P4", "made/noise.dat", "I", x);
    for (int i = 0; i < N; i++) x[i] = sin(2 * PI * 50 * i / RATE) + 0.02 * vg_random_normal(&random);
    add(writer, "P4", "made/mains.dat", "I", x);
    for (int i = 0; i < N; i++) x[i] = 1.5;
    add(writer, "P4", "made/flat.dat", "I", x);
    for (int i = 0; i < N; i++) x[i] = 0.002 * vg_random_normal(&random);
    add(writer, "P4", "made/weak.dat", "I", x);
    for (int i = 0; i < N; i++) x[i] = NAN;
    add(writer, "P4", "made/missing.dat", "I", x);
    make_ecg(x, 5, 0.01);
    for (int i = 0; i < N; i++) x[i] *= 60;
    add(writer, "P4", "made/strong.dat", "I", x);
    assert_ok(vg_store_writer_exclude(
        writer, &(vg_exclusion){VG_EXCLUSION_UNREAD, "made/cut.dat", "P9", "cut short", NAN}));
    assert_ok(
        vg_store_writer_exclude(writer, &(vg_exclusion){VG_EXCLUSION_WINDOWS, "made/good.dat", "P1",
                                                        "windows of 10 s blanked: 1 of 17 (1 flat)", 10}));
    vg_store_info info = fixture_info("made", RATE);
    info.filter = "none";
    info.filter_order = 0;
    info.filter_low = info.filter_high = 0;
    assert_ok(vg_store_writer_describe(writer, &info));
    assert_ok(vg_store_writer_finish(writer));
    assert_ok(vg_store_open(path, &store));
    free(path);
    free(x);
    return store;
}

static const vg_check_line *find(const vg_check *check, const char *file)
{
    for (int64_t i = 0; i < check->count; i++)
        if (strcmp(check->line[i].file, file) == 0) return &check->line[i];
    fail_msg("%s is not in the check", file);
    return NULL;
}

static void test_verdicts(void **unused)
{
    (void)unused;
    static const struct {
        const char *file;
        vg_verdict verdict;
        const char *why;
    } expected[] = {{"good.dat", VG_VERDICT_GOOD, "signal quality"},
                    {"changed.dat", VG_VERDICT_GOOD, "signal quality"},
                    {"again.dat", VG_VERDICT_GOOD, "signal quality"},
                    {"turned.dat", VG_VERDICT_UPSIDE_DOWN, "QRS and T wave point down"},
                    {"chest.dat", VG_VERDICT_GOOD, "as V1 does"},
                    {"noise.dat", VG_VERDICT_DISCONNECTED, "noise without heart beats"},
                    {"mains.dat", VG_VERDICT_DISCONNECTED, "is mains"},
                    {"flat.dat", VG_VERDICT_FLAT, "6 of 6 windows"},
                    {"weak.dat", VG_VERDICT_WEAK, "below 0.05 mV"},
                    {"missing.dat", VG_VERDICT_MISSING, "none of its samples"},
                    {"strong.dat", VG_VERDICT_STRONG, "exceed 20 mV"}};
    vg_store *store = make_store("verdicts.h5");
    vg_check *check;
    assert_ok(vg_check_create(&store, 1, 0.35, &check));
    assert_int_equal(check->count, 12);
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++) {
        const vg_check_line *line = find(check, expected[i].file);
        if (line->verdict != expected[i].verdict || !strstr(line->why, expected[i].why))
            fail_msg("%s: %s: %s", line->file, vg_verdict_word(line->verdict), line->why);
        assert_true(line->measured_now);
    }
    assert_int_equal(vg_check_count(check, VG_VERDICT_GOOD), 5);
    assert_true(vg_check_usable_seconds(check) == 6.0 * SECONDS);
    for (int64_t i = 1; i < check->count; i++) { /* unusable, upside down, good; rising inside each */
        const vg_check_line *a = &check->line[i - 1], *b = &check->line[i];
        bool fine_a = vg_verdict_usable(a->verdict), fine_b = vg_verdict_usable(b->verdict);
        assert_true(fine_b >= fine_a);
        if (a->verdict == b->verdict) assert_true(a->quality.index <= b->quality.index);
    }

    /* The person whose second recording went through another filter, and nobody else. */
    assert_int_equal(check->change_count, 1);
    const vg_check_change *c = &check->change[0];
    assert_string_equal(c->subject, "P1");
    assert_true(c->count == 2 && c->low == 1 && c->decibels > 12);
    assert_string_equal(check->line[check->order[c->first]].file, "changed.dat");
    vg_check_destroy(check);
    vg_store_close(store);
}

static void test_shown(void **unused)
{
    (void)unused;
    vg_store *store = make_store("shown.h5");
    vg_check *check;
    char *told = NULL, *page = NULL;
    vg_text text = {0};
    assert_ok(vg_check_create(&store, 1, 0.35, &check));
    vg_check_print(check, 3, &text);
    assert_ok(vg_text_take(&text, &told));
    assert_non_null(strstr(told, "... and 9 more"));
    assert_non_null(
        strstr(told, "5 good, 1 upside down, 1 missing, 1 flat, 1 weak, 1 strong, 2 disconnected"));
    assert_non_null(strstr(told, "changed.dat lies"));
    assert_non_null(strstr(told, "left out at import   2:\n  cut.dat"));
    assert_non_null(strstr(told, "?    cut short\n"));
    assert_non_null(strstr(told, "changed for 1 person between"));
    assert_non_null(strstr(told, "12 of one lead each, 0.20 h in all, of which 0.10 h usable"));
    free(told);
    vg_check_print(check, 0, &text);
    assert_ok(vg_text_take(&text, &told));
    assert_null(strstr(told, "more, the next"));
    free(told);

    vg_json_writer writer = vg_json_writer_make(false);
    vg_check_put(check, &writer);
    assert_ok(vg_json_take(&writer, &told));
    vg_json *json;
    assert_ok(vg_json_parse(told, strlen(told), "check", &json));
    static const struct {
        const char *key;
        size_t count;
    } lists[] = {{"recordings", 12}, {"filter_changes", 1}, {"exclusions", 2}};
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
        const vg_json_value *list;
        assert_ok(vg_json_get(json, vg_json_root(json), lists[i].key, VG_JSON_ARRAY, &list));
        assert_int_equal(vg_json_count(list), lists[i].count);
    }
    vg_json_destroy(json);
    free(told);

    assert_ok(vg_check_page(check, &page));
    assert_non_null(strstr(page, "&lt;same&gt; &amp; good.dat"));
    assert_null(strstr(page, "<same>"));
    assert_non_null(strstr(page, "Synthetic: made by a program"));
    assert_non_null(strstr(page, "<td>cut.dat</td>"));
    assert_non_null(strstr(page, "<h2>Worst</h2>"));
    assert_non_null(strstr(page, "At import 1 was left out"));
    assert_non_null(strstr(page, "Typical <span class=soft>3 of 5;"));
    assert_non_null(strstr(page, "<td>windows of 10 s blanked: 1 of 17 (1 flat)</td>"));
    static const char *const elsewhere[] = {
        "<script", "http://", "https://", "src=", "href=", "@import", "url("};
    for (size_t i = 0; i < sizeof elsewhere / sizeof *elsewhere; i++)
        if (strstr(page, elsewhere[i])) fail_msg("the page has %s", elsewhere[i]);
    int strips = 0;
    for (const char *at = page; (at = strstr(at, "<path class=trace")); at++) strips++;
    assert_int_equal(strips, 6 + 1 + 3);
    assert_null(strstr(page, "nan"));
    assert_null(strstr(page, "inf"));
    free(page);
    vg_check_destroy(check);
    vg_store_close(store);
}

/* What was measured at import is taken from the store. */
static void test_kept_features(void **unused)
{
    (void)unused;
    char *path = support_path(folder, "kept.h5");
    vg_store_writer *writer;
    vg_store *store;
    vg_check *check;
    double values[VG_FEATURE_COUNT];
    vg_quality quality = {
        .windows = 6, .index = 0.1, .match = 0.2, .kurtosis = 9, .clipped = 5, .mean_bpm = 70};
    vg_hrv hrv = {.mean_bpm = 70, .lf_hf = NAN};
    assert_ok(vg_store_writer_create(path, false, NULL, 0, &writer));
    assert_ok(vg_store_writer_features(writer, vg_feature_names(), VG_FEATURE_COUNT));
    fixture_add(writer, "P1", "1", "I", "a.dat", N, 1, NULL);
    vg_features_pack(&hrv, &quality, values);
    assert_ok(vg_store_writer_measured(writer, values, NULL, 0));
    fixture_finish(writer, "kept", RATE);
    assert_ok(vg_store_open(path, &store));
    assert_ok(vg_check_create(&store, 1, 0.35, &check));
    assert_false(check->line[0].measured_now);
    assert_int_equal(check->line[0].verdict, VG_VERDICT_CLIPPED);
    assert_true(check->line[0].hrv.mean_bpm == 70 && isnan(check->line[0].hrv.lf_hf));
    vg_check_destroy(check);
    vg_store_close(store);
    free(path);
}

int main(void)
{
    folder = support_temp_dir();
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_verdicts), cmocka_unit_test(test_shown),
                                       cmocka_unit_test(test_kept_features)};
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    free(folder);
    return failed;
}
