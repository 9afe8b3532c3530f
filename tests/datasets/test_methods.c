/* What a store says of itself: every figure of the paragraph for a paper and of the summary is one of the
 * store's, and what is not known is said not to be. */
#include <string.h>

#include "datasets/summary.h"
#include "tests/datasets/fixture.h"

enum { RATE = 250, N = 10 * RATE };

static char *folder;

static vg_store_writer *begin(const char *name, char **path)
{
    vg_store_writer *writer;
    *path = support_path(folder, name);
    assert_ok(vg_store_writer_create(*path, true, NULL, 0, &writer));
    return writer;
}

static void exclude(vg_store_writer *writer, vg_exclusion_kind kind, const char *source, const char *reason,
                    double seconds)
{
    assert_ok(vg_store_writer_exclude(writer, &(vg_exclusion){kind, source, "", reason, seconds}));
}

/* A store's paragraph as one line, the caller's to free; no line of it is too long. */
static char *methods_of(const char *path)
{
    vg_store *store;
    char *text;
    assert_ok(vg_store_open(path, &store));
    assert_ok(vg_store_methods(store, &text));
    size_t column = 0;
    for (char *c = text; *c; c++) {
        column = *c == '\n' ? 0 : column + 1;
        assert_true(column <= 100);
        if (*c == '\n') *c = ' ';
    }
    vg_store_close(store);
    return text;
}

/* What stands in the text, and behind NULL what does not. */
static void expect(const char *text, const char *const *words)
{
    for (; *words; words++)
        if (!strstr(text, *words)) fail_msg("it does not say \"%s\": %s", *words, text);
    for (words++; *words; words++)
        if (strstr(text, *words)) fail_msg("it says \"%s\": %s", *words, text);
}

static void expect_methods(vg_store_writer *writer, char *path, const vg_store_info *info,
                           const char *const *words)
{
    assert_ok(vg_store_writer_describe(writer, info));
    assert_ok(vg_store_writer_finish(writer));
    char *text = methods_of(path);
    expect(text, words);
    free(text);
    free(path);
}

static void test_paragraph(void **unused)
{
    (void)unused;
    static const char *const says[] = {
        "Synthetic (not recorded) ECG of paper (Größe & Ähnliche (2022)): 2 records x 1 lead (I), 20 s of "
        "recording, of 1 person.",
        "made at 256 and 512 Hz.",
        "band-pass filtered from 0.8 to 50 Hz with a zero-phase Butterworth filter (order 8 of the low-pass",
        "an edge lies at -6 dB), without a notch, and resampled to 250 Hz (soxr very high quality). Pol",
        "1 record was left out (1.0 minutes): no usable ECG (1). Bad stretches of 1 signal (10 s in all) "
        "became gaps.",
        "Kept were a and b.",
        "Samples are kept in mV, not normalised",
        NULL,
        "ssumed",
        "erified",
        NULL};
    char *path;
    vg_store_writer *writer = begin("methods.h5", &path);
    vg_store_info info = fixture_info("paper", RATE);
    fixture_add(writer, "P1", "1", "I", "a.dat", N, 1, NULL);
    fixture_add(writer, "P1", "2", "I", "b.dat", N, 2, NULL);
    exclude(writer, VG_EXCLUSION_SIGNAL, "c.dat", "no usable ECG: flat", 60);
    exclude(writer, VG_EXCLUSION_WINDOWS, "a.dat", "windows of 10 s blanked: 1 of 6 (1 flat)", 10);
    assert_ok(vg_store_writer_note(writer, "selection", "a and b"));
    expect_methods(writer, path, &info, says);
}

/* Six records of ten seconds and twelve leads are a minute, not twelve. */
static void test_leads(void **unused)
{
    (void)unused;
    static const char *const leads[] = {"I",  "II", "III", "AVR", "AVL", "AVF",
                                        "V1", "V2", "V3",  "V4",  "V5",  "V6"};
    static const char *const says[] = {
        "6 records x 12 leads (AVF, AVL, AVR, I, II, III, V1, V2, V3, V4, V5, V6), 1.0 minutes of recording, "
        "of 6 people.",
        "2 signals (a lead of a record each) were left out (20 s)",
        NULL,
        "72",
        "more",
        NULL};
    static const char *const uneven[] = {
        "2 records of 1 to 2 leads, 3 signals in all (I, V1), 20 s of recording, of 1 person.",
        "1 signal (a lead of a record) was left out (10 s)", NULL, NULL};
    char *path, file[32], person[32];
    vg_store_info info = fixture_info("twelve", RATE);
    vg_store_writer *writer = begin("twelve.h5", &path);
    for (int r = 0; r < 6; r++) {
        snprintf(file, sizeof file, "x/%d.hea", r);
        snprintf(person, sizeof person, "p%d", r);
        for (int l = 0; l < 12; l++)
            fixture_add(writer, person, "", leads[l], file, N, (uint32_t)(r * 12 + l), NULL);
    }
    exclude(writer, VG_EXCLUSION_SIGNAL, "x/7.hea", "no usable ECG: flat", 10);
    exclude(writer, VG_EXCLUSION_SIGNAL, "x/7.hea", "no usable ECG: flat", 10);
    expect_methods(writer, path, &info, says);

    /* A lead that was left out beside one that was taken is no record that was left out. */
    writer = begin("uneven.h5", &path);
    fixture_add(writer, "p", "", "I", "a.hea", N, 1, NULL);
    fixture_add(writer, "p", "", "V1", "a.hea", N, 2, NULL);
    fixture_add(writer, "p", "", "I", "b.hea", N, 3, NULL);
    exclude(writer, VG_EXCLUSION_SIGNAL, "b.hea", "no usable ECG: flat", 10);
    expect_methods(writer, path, &info, uneven);
}

static void test_people(void **unused)
{
    (void)unused;
    static const char *const unknown[] = {
        "2 records x 1 lead (I), 20 s of recording. Who was recorded is not known: each record was taken as "
        "one person.",
        NULL, "2 people", NULL};
    static const char *const partly[] = {"of 2 people as far as they are known", NULL, "each record", NULL};
    static const char *const nameless[] = {"of 1 person and, in 1 signal, of people who are not known", NULL,
                                           NULL};
    static const char *const known[] = {"of 2 people. ", NULL, "not known", NULL};
    static const struct {
        const char *first, *second, *note;
        const char *const *says;
    } cases[] = {{"ann", "bob", "unknown: each record was taken as one person", unknown},
                 {"a", "b", NULL, unknown}, /* as the files are called: a store of before the note */
                 {"ann", "b", "partly unknown: so it is", partly},
                 {"ann", "", NULL, nameless},
                 {"ann", "bob", NULL, known}};
    vg_store_info info = fixture_info("people", RATE);
    info.synthetic = false;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *path;
        vg_store_writer *writer = begin("people.h5", &path);
        fixture_add(writer, cases[i].first, "", "I", "x/a.hea", N, 1, NULL);
        fixture_add(writer, cases[i].second, "", "I", "x/b.hea", N, 2, NULL);
        if (cases[i].note) assert_ok(vg_store_writer_note(writer, "people", cases[i].note));
        expect_methods(writer, path, &info, cases[i].says);
    }
}

static void test_left_out(void **unused)
{
    (void)unused;
    static const char *const says[] = {
        "3 records were left out (at least 6.1 minutes; the length of 2 is "
        "not known): no usable ECG (1), the "
        "rating task has no number for \"2\" (2).",
        "3 files or trials hold no ECG.",
        "1 file or part of one could not be used: damaged (1).",
        "1 file holds ECG of other leads than those asked for.",
        "Kept in spite of their length or quality: a: noisy.",
        "Bridged were 3 gaps of up to 20 ms in 1 of 1 recordings filled by straight lines. ",
        NULL,
        "6 rec",
        NULL};
    char *path;
    vg_store_info info = fixture_info("left", RATE);
    vg_store_writer *writer = begin("left.h5", &path);
    fixture_add(writer, "ann", "", "I", "a.edf", N, 1, NULL);
    exclude(writer, VG_EXCLUSION_SIGNAL, "b.edf", "no usable ECG: noisy: so it is", 365);
    exclude(writer, VG_EXCLUSION_SIGNAL, "c.edf", "the rating task has no number for \"2\"", NAN);
    exclude(writer, VG_EXCLUSION_SIGNAL, "d.edf", "the rating task has no number for \"2\"", NAN);
    exclude(writer, VG_EXCLUSION_NOTHING, "e.mat:joined_data{17}",
            "trial 17 is empty: no recording of this long video", NAN);
    exclude(writer, VG_EXCLUSION_NOTHING, "f.mat", "no ECG channel: its channels are scr", 600);
    exclude(writer, VG_EXCLUSION_NOTHING, "g.mat", "no ECG channel: its channels are scr", NAN);
    exclude(writer, VG_EXCLUSION_UNREAD, "h.mat", "damaged: at byte 7", NAN);
    exclude(writer, VG_EXCLUSION_LEADS, "i.edf", "no lead V5; it has I, II", 600);
    assert_ok(vg_store_writer_note(writer, "kept", "a: noisy"));
    assert_ok(vg_store_writer_note(
        writer, "bridged", "3 gaps of up to 20 ms in 1 of 1 recordings filled by straight lines: a:I 3"));
    expect_methods(writer, path, &info, says);
}

/* The band is the one that the samples have. */
static void test_band(void **unused)
{
    (void)unused;
    static const struct {
        const char *rates;
        double high;
        bool limited;
        const char *says[6];
    } cases[] = {
        {"500",
         500,
         true,
         {"from 0.8 to 225 Hz with", "leaves nothing above 125 Hz.", NULL, "500 Hz w", NULL}},
        {"180 360",
         100,
         true,
         {"at 180 and 360 Hz.",
          "from 0.8 to 100 Hz, those recorded too slowly for it to no less than 81 Hz (", NULL, "above",
          NULL}},
        {"500", 50, false, {"from 0.8 to 50 Hz with", NULL, "above", "too slowly", NULL}},
        {"500", 0, false, {"high-pass filtered at 0.8 Hz with", "leaves nothing above 125 Hz.", NULL, NULL}}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *path;
        vg_store_info info = fixture_info("band", RATE);
        vg_store_writer *writer = begin("band.h5", &path);
        info.original_rates = cases[i].rates;
        info.filter_high = cases[i].high;
        fixture_add(writer, "ann", "", "I", "a.edf", N, 1, NULL);
        if (cases[i].limited) assert_ok(vg_store_writer_note(writer, "filter_limited", "81 Hz, the lowest"));
        expect_methods(writer, path, &info, cases[i].says);
    }
}

static void test_assumptions(void **unused)
{
    (void)unused;
    static const char *const says[] = {"The 5 s before each video were cut off. Assumed was that the samples "
                                       "are in mV, which nobody says. Not verified: on no real file.",
                                       "Samples are kept in mV (unit of the source: uV, given by hand", NULL,
                                       NULL};
    char *path;
    vg_store_info info = fixture_info("assumed", RATE);
    vg_store_writer *writer = begin("assumed.h5", &path);
    fixture_add(writer, "ann", "", "I", "a.mat", N, 1, NULL);
    assert_ok(vg_store_writer_note(writer, "assumed", "the samples are in mV, which nobody says"));
    assert_ok(vg_store_writer_note(writer, "baseline", "the 5 s before each video were cut off"));
    assert_ok(vg_store_writer_note(writer, "unverified", "on no real file"));
    assert_ok(vg_store_writer_note(writer, "unit", "uV, given by hand"));
    expect_methods(writer, path, &info, says);
}

/* The lines of `vagus data info`. */
static void test_summary(void **unused)
{
    (void)unused;
    static const char *const says[] = {
        "recorded at 180 and 360 Hz)",
        "recordings     2, 0.01 hours of leads, from 1 record, 0.00 hours\n",
        "rating         mood: 0 in 1 recording, missing in 1\n",
        "band-pass 0.8-500 Hz, order 8, zero phase; at 250 Hz nothing above 125 Hz is left\n",
        "left out       no usable ECG: 25 times, 25.0 minutes\n",
        "left out       cut short: once, of unknown length\n",
        "  f00.dat                           60 s  no usable ECG: noisy\n",
        "  f19.dat ",
        "  ... and 6 more; --all lists them\n",
        "the end of a\n               long note\n",
        NULL,
        "f20.dat",
        "1 times",
        "1 recordings",
        "-0",
        NULL};
    static const char *const all[] = {"f20.dat", "cut.dat", "  f24.dat ", NULL, "--all", NULL};
    static const char *const names[] = {"mood"};
    char *path = support_path(folder, "summary.h5"), *text, file[32], note[400] = "";
    vg_store_writer *writer;
    vg_store *store;
    vg_store_info info = fixture_info("summary", RATE);
    info.original_rates = "180 360";
    info.filter_high = 500;
    assert_ok(vg_store_writer_create(path, true, names, 1, &writer));
    fixture_add(writer, "ann", "", "I", "a.dat", N, 1, &(double){-0.0});
    fixture_add(writer, "ann", "", "II", "a.dat", N, 2, NULL);
    for (int i = 0; i < 25; i++) {
        snprintf(file, sizeof file, "x/f%02d.dat", i);
        exclude(writer, VG_EXCLUSION_SIGNAL, file, "no usable ECG: noisy", 60);
    }
    exclude(writer, VG_EXCLUSION_UNREAD, "x/cut.dat", "cut short", NAN);
    for (int i = 0; i < 30; i++) strcat(note, "word ");
    strcat(note, "the end of a long note");
    assert_ok(vg_store_writer_note(writer, "long", note));
    assert_ok(vg_store_writer_describe(writer, &info));
    assert_ok(vg_store_writer_finish(writer));
    assert_ok(vg_store_open(path, &store));
    assert_ok(vg_store_summarise(store, 20, &text));
    expect(text, says);
    free(text);
    assert_ok(vg_store_summarise(store, 0, &text));
    expect(text, all);
    free(text);
    vg_store_close(store);
    free(path);
}

int main(void)
{
    folder = support_temp_dir();
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_paragraph), cmocka_unit_test(test_leads),
                                       cmocka_unit_test(test_people),    cmocka_unit_test(test_left_out),
                                       cmocka_unit_test(test_band),      cmocka_unit_test(test_assumptions),
                                       cmocka_unit_test(test_summary)};
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    free(folder);
    return failed;
}
