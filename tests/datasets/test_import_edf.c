/* EDF and BDF files made by hand: scaling, channels, names into ratings, and every way a header can lie. */
#include "tests/datasets/import_support.h"

static char *folder, *out;

enum { RATE = 256, RECORDS = 12, MAX_BYTES = 400000 };

typedef struct made {
    const char *version, *reserved, *records, *duration, *header_bytes, *channels, *samples, *physical_min,
        *digital_max;
    const char *label, *units; /* of the second channel; the first is an EEG */
    int width;
    long cut; /* bytes taken from the end; negative: added */
} made;

static made standard(void)
{
    return (made){.version = "0",
                  .reserved = "EDF+C",
                  .records = "12",
                  .duration = "1",
                  .header_bytes = "768",
                  .channels = "2",
                  .samples = "256",
                  .physical_min = "-3.2768",
                  .digital_max = "32767",
                  .label = "ECG II",
                  .units = "mV",
                  .width = 2};
}

static void field(unsigned char **at, int width, const char *text)
{
    memset(*at, ' ', (size_t)width);
    memcpy(*at, text, strlen(text));
    *at += width;
}

static void put_sample(unsigned char **at, int width, int value)
{
    for (int b = 0; b < width; b++) *(*at)++ = (unsigned char)(value >> (8 * b) & 0xff);
}

/* What the EEG holds, in the converter's numbers. */
static int eeg(int i)
{
    return i * 37 % 4000 - 2000;
}

/* Channel 1: EEG of 128 samples a record; channel 2: `x` in units of 0.0001 mV. */
static char *write_edf(const char *name, const made *m, const float *x)
{
    unsigned char *bytes = calloc(1, MAX_BYTES), *at = bytes;
    field(&at, 8, m->version);
    field(&at, 80, "X X X X");
    field(&at, 80, "Startdate X X X X");
    field(&at, 8, "01.01.20");
    field(&at, 8, "00.00.00");
    field(&at, 8, m->header_bytes);
    field(&at, 44, m->reserved);
    field(&at, 8, m->records);
    field(&at, 8, m->duration);
    field(&at, 4, m->channels);
    const char *pairs[][2] = {{"EEG Fp1", m->label},    {"", ""},
                              {"uV", m->units},         {"-100", m->physical_min},
                              {"100", "3.2767"},        {"-2048", "-32768"},
                              {"2047", m->digital_max}, {"", ""},
                              {"128", m->samples},      {"", ""}};
    const int widths[] = {16, 80, 8, 8, 8, 8, 8, 80, 8, 32};
    for (int f = 0; f < 10; f++)
        for (int c = 0; c < 2; c++) field(&at, widths[f], pairs[f][c]);
    for (int r = 0; r < RECORDS; r++) {
        for (int i = 0; i < 128; i++) put_sample(&at, m->width, eeg(i));
        for (int i = 0; i < RATE; i++) {
            put_sample(&at, m->width, (int)lround(1e4 * (double)x[r * RATE + i]));
        }
    }
    char *path = support_path(folder, name);
    support_write_file(path, bytes, (size_t)((long)(at - bytes) - m->cut));
    free(bytes);
    return path;
}

static void test_values(void **unused)
{
    (void)unused;
    float *x = import_beats(2, RATE, RATE * RECORDS);
    x[0] = 3.2767f;
    x[1] = -3.2768f;
    for (int width = 2; width <= 3; width++) {
        made m = standard();
        m.width = width;
        if (width == 3) {
            m.version = "\xff"
                        "BIOSEMI";
            m.reserved = "24BIT";
        }
        if (width == 2) m.records = "-1"; /* left open by a recorder that was cut off */
        char *path = write_edf("values.edf", &m, x);
        vg_import_options options = import_untouched(RATE);
        vg_import_report report;
        vg_store *store = import_and_open("edf", path, &options, out, &report);
        assert_int_equal(report.recordings, 1);
        assert_int_equal(report.warnings, width == 2);
        const vg_recording *r = vg_store_recording(store, 0);
        assert_string_equal(r->lead, "II");
        assert_string_equal(r->subject, "values");
        assert_int_equal(r->length, RATE * RECORDS);
        float *y = import_samples(store, 0);
        for (int i = 0; i < RATE * RECORDS; i++)
            if (!(fabs((double)y[i] - (double)x[i]) < 0.6e-4))
                fail_msg("sample %d: %g, want %g", i, (double)y[i], (double)x[i]);
        free(y);
        vg_store_close(store);
        vg_import_report_free(&report);

        /* By name: the EEG at its own rate, in microvolt. */
        options.leads = "EEG Fp1";
        options.rate = 128;
        store = import_and_open("edf", path, &options, out, &report);
        y = import_samples(store, 0);
        assert_int_equal(vg_store_recording(store, 0)->length, 128 * RECORDS);
        for (int i = 0; i < 128 * RECORDS; i++) {
            double want = (-100 + (eeg(i % 128) + 2048) * 200 / 4095.0) / 1000;
            if (!(fabs((double)y[i] - want) < 1e-8))
                fail_msg("the EEG is %g mV, want %g", (double)y[i], want);
        }
        free(y);
        vg_store_close(store);
        vg_import_report_free(&report);
        free(path);
    }
    free(x);
}

/* Rest and task by the file's name; one file does not fit and one has no usable ECG. */
static void test_names(void **unused)
{
    (void)unused;
    char *place = support_temp_dir(), *kept = folder;
    folder = place;
    float *x = import_beats(4, RATE, RATE * RECORDS), *flat = calloc(RATE * RECORDS, sizeof *flat);
    made m = standard();
    free(write_edf("Subject07_1.edf", &m, x));
    free(write_edf("Subject07_2.edf", &m, x));
    free(write_edf("Subject08_2.edf", &m, flat));
    free(write_edf("notes.edf", &m, x));
    vg_import_options options = vg_import_default_options();
    vg_import_report report;
    assert_ok(vg_import_set(&options, "pattern", "Subject{subject}_{trial}.edf"));
    assert_ok(vg_import_set(&options, "rating", "task:1=0,2=1; who@subject"));
    vg_store *store = import_and_open("edf", place, &options, out, &report);
    assert_int_equal(report.recordings, 2);
    for (int i = 0; i < 2; i++) {
        const vg_recording *r = vg_store_recording(store, i);
        assert_string_equal(r->subject, "07");
        assert_string_equal(r->trial, i ? "2" : "1");
        assert_true(vg_store_ratings(store, i)[0] == i && vg_store_ratings(store, i)[1] == 7);
    }
    assert_string_equal(vg_store_note(store, "rating_task"), "1=0 2=1");
    assert_int_equal(vg_store_exclusion_count(store), 2);
    assert_non_null(strstr(vg_store_exclusion(store, 0)->reason, "no usable ECG: flat: "));
    assert_string_equal(vg_store_exclusion(store, 0)->subject, "08");
    assert_non_null(strstr(vg_store_exclusion(store, 1)->reason, "does not fit the pattern"));
    vg_store_close(store);
    vg_import_report_free(&report);

    /* What is left out can be overruled; a name that nothing has is told. */
    assert_ok(vg_import_set(&options, "keep", "Subject08_2.edf,Subject9"));
    store = import_and_open("edf", place, &options, out, &report);
    assert_int_equal(report.recordings, 3);
    assert_int_equal(report.warnings, 1);
    assert_non_null(strstr(report.warning[0], "no record or file \"Subject9\""));
    assert_string_equal(vg_store_recording(store, 2)->subject, "08");
    assert_non_null(strstr(vg_store_note(store, "kept"), "Subject08_2: it does not move"));
    assert_int_equal(vg_store_exclusion_count(store), 1);
    assert_string_equal(vg_store_feature_name(store, 0), "mean_bpm");
    int64_t beats;
    assert_true(vg_store_features(store, 0)[0] > 40 && isnan(vg_store_features(store, 2)[0]));
    assert_non_null(vg_store_beats(store, 0, &beats));
    assert_true(beats > 10);
    vg_store_beats(store, 2, &beats);
    assert_int_equal(beats, 0);
    vg_store_close(store);
    vg_import_report_free(&report);
    assert_ok(vg_import_set(&options, "rating", "task:1=0"));
    options.strict = true;
    import_refuses("edf", place, &options, out, VG_ERR_DATA, "the rating task has no number for \"2\"");
    free(x);
    free(flat);
    free(place);
    folder = kept;
}

static void test_upside_down(void **unused)
{
    (void)unused;
    float *x = import_beats(5, RATE, RATE * RECORDS);
    for (int i = 0; i < RATE * RECORDS; i++) x[i] = -x[i];
    made m = standard();
    char *path = write_edf("down.edf", &m, x);
    vg_import_options options = vg_import_default_options();
    double lowest[2], highest[2];
    for (int flip = 0; flip < 2; flip++) {
        vg_import_report report;
        options.flip = flip;
        vg_store *store = import_and_open("edf", path, &options, out, &report);
        assert_int_equal(report.upside_down, 1);
        assert_string_equal(vg_store_note(store, "upside_down"), "down:II");
        float *y = import_samples(store, 0);
        lowest[flip] = highest[flip] = 0;
        for (int64_t i = 0; i < vg_store_recording(store, 0)->length; i++) {
            lowest[flip] = fmin(lowest[flip], (double)y[i]);
            highest[flip] = fmax(highest[flip], (double)y[i]);
        }
        free(y);
        vg_store_close(store);
        vg_import_report_free(&report);
    }
    assert_true(lowest[0] == -highest[1] && highest[0] == -lowest[1] && highest[1] > -lowest[1]);
    free(path);
    free(x);
}

static void test_bad_files(void **unused)
{
    (void)unused;
    float *x = import_beats(2, RATE, RATE * RECORDS);
    const struct {
        made m;
        const char *words;
    } cases[] = {
#define CASE(member, value, text) {.m = {.member = value}, .words = text}
        CASE(version, "1", "begins neither as EDF nor as BDF"),
        CASE(reserved, "EDF+D", "is discontinuous"),
        CASE(records, "13",
             "bad.edf: the header promises 13 data records of 768 bytes behind 768 bytes of header, 10752 "
             "bytes"),
        CASE(records, "11", "but the file has 9984 (12 whole records): the count is wrong"),
        CASE(records, "-2", "byte 236: -2 is not a possible number of data records"),
        CASE(records, "many", "byte 236: \"many\" is not a number"),
        CASE(records, "1.5", "byte 236: 1.5 is not a possible"),
        CASE(duration, "0", "byte 244: data records of 0 s"),
        CASE(duration, "nan", "byte 244: \"nan\" is not a number"),
        CASE(header_bytes, "512", "byte 184: a header of 512 bytes, where 2 channels need 768"),
        CASE(channels, "0", "byte 252: 0 is not a possible number of channels"),
        CASE(channels, "9999", "byte 252: 9999 is not a possible number of channels"),
        CASE(samples, "-256", "byte 696: -256 is not a possible number of samples"),
        CASE(samples, "1e99", "is not a possible number of samples"),
        CASE(samples, "128", "the count is wrong"),
        CASE(physical_min, "3.2767", "which is no scale"),
        CASE(physical_min, "low", "\"low\" is not a number (physical minimum)"),
        CASE(digital_max, "-32768", "which is no scale"),
        CASE(label, "Pulse", "no ECG channel: leads=all finds none among EEG Fp1, Pulse"),
        CASE(units, "%", "unknown unit: \"%\""),
        CASE(cut, 100, "(11 whole records): it is cut short"),
        CASE(cut, 9984 - 700, "ends at byte 700, inside its header"),
        CASE(cut, 9984 - 100, "100 bytes are too few"),
        CASE(cut, 9984, "0 bytes are too few"),
        CASE(cut, -7, "but the file has 9991"),
#undef CASE
    };
    vg_import_options options = import_untouched(RATE);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        made m = standard();
        const made *c = &cases[i].m;
#define TAKE(member)                                                                                         \
    if (c->member) m.member = c->member
        TAKE(version);
        TAKE(reserved);
        TAKE(records);
        TAKE(duration);
        TAKE(header_bytes);
        TAKE(channels);
        TAKE(samples);
        TAKE(physical_min);
        TAKE(digital_max);
        TAKE(label);
        TAKE(units);
        TAKE(cut);
#undef TAKE
        char *path = write_edf("bad.edf", &m, x);
        import_refuses("edf", path, &options, out, VG_ERR_DATA, cases[i].words);
        free(path);
    }
    free(x);
}

int main(void)
{
    char *place = support_temp_dir();
    folder = support_temp_dir();
    out = support_path(place, "out.h5");
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_values), cmocka_unit_test(test_names),
                                       cmocka_unit_test(test_upside_down), cmocka_unit_test(test_bad_files)};
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    free(out);
    free(place);
    free(folder);
    return failed;
}
