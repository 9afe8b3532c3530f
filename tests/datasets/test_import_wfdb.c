/* WFDB records made by hand, byte by byte, and every way in which one can be wrong. */
#include "core/random.h"
#include "tests/datasets/import_support.h"

static char *folder, *out;

static void put(const char *name, const void *bytes, size_t size)
{
    char *path = support_path(folder, name);
    support_write_file(path, bytes, size);
    free(path);
}

static void put_text(const char *name, const char *text)
{
    put(name, text, strlen(text));
}

static void forget(const char *name)
{
    char *path = support_path(folder, name);
    remove(path);
    free(path);
}

/* Format 16: low byte first; format 212: two samples in three bytes, built from the format's description. */
static size_t encode(int format, const int *samples, int64_t n, unsigned char *bytes)
{
    size_t used = 0;
    for (int64_t i = 0; i < n; i++) {
        unsigned value = (unsigned)samples[i];
        if (format == 16) {
            bytes[used++] = value & 0xff;
            bytes[used++] = value >> 8 & 0xff;
        } else if (i % 2 == 0) {
            bytes[used++] = value & 0xff;
            bytes[used++] = value >> 8 & 0x0f;
        } else {
            bytes[used - 1] |= (unsigned char)(value >> 4 & 0xf0);
            bytes[used++] = value & 0xff;
        }
    }
    return used;
}

static int checksum(const int *samples, int64_t n, int step)
{
    int sum = 0;
    for (int64_t i = 0; i < n; i += step) sum += samples[i];
    return (int16_t)(sum & 0xffff);
}

enum { N = 721 }; /* odd, so that format 212 ends in half a group when there is one signal */

/* Extremes and signs of the format's range, then a ramp. */
static void make_samples(int format, int *samples, int64_t n)
{
    static const int corner16[] = {0, 1, -1, 32767, -32767, 256, -256, 255, -32768},
                     corner12[] = {0, 1, -1, 2047, -2047, 256, -256, 255, -2048};
    const int *corner = format == 16 ? corner16 : corner12;
    for (int64_t i = 0; i < n; i++) samples[i] = i < 9 ? corner[i] : (int)(i * 7 % 2000) - 1000;
}

static void compare(vg_store *store, int64_t recording, const int *samples, int channel, int channels,
                    int missing, int baseline, double gain)
{
    int64_t n = vg_store_recording(store, recording)->length;
    float *x = import_samples(store, recording);
    for (int64_t i = 0; i < n; i++) {
        int raw = samples[i * channels + channel];
        double want = (raw - baseline) / gain;
        if (raw == missing ? !isnan(x[i]) : !(fabs((double)x[i] - want) <= 1e-6 * fmax(1, fabs(want))))
            fail_msg("recording %lld, sample %lld: %g, want %g", (long long)recording, (long long)i,
                     (double)x[i], want);
    }
    free(x);
}

static void test_formats(void **unused)
{
    (void)unused;
    vg_import_options options = import_untouched(360);
    for (int format = 16; format <= 212; format += 196) {
        for (int channels = 1; channels <= 3; channels++) {
            int samples[3 * N];
            unsigned char bytes[6 * N];
            char header[1024], *source = support_path(folder, "rec");
            make_samples(format, samples, N * channels);
            put("rec.dat", bytes, encode(format, samples, N * channels, bytes));
            char *end =
                header +
                sprintf(header, "# a comment first\nrec %d 360/720(5) %d 12:00:00 1/1/2000\r\n", channels, N);
            for (int c = 0; c < channels; c++)
                end += sprintf(end, "rec.dat %d 200(%d)/mV 12 0 %d %d 0 lead %c\n", format, c * 10 - 5,
                               samples[c], checksum(samples + c, N * channels - c, channels), 'A' + c);
            strcpy(end, "# age 70\n# more\n");
            put_text("rec.hea", header);
            vg_import_report report;
            vg_store *store = import_and_open("wfdb", source, &options, out, &report);
            assert_int_equal(report.recordings, channels);
            if (report.warnings) fail_msg("warned: %s", report.warning[0]);
            for (int c = 0; c < channels; c++) {
                const vg_recording *r = vg_store_recording(store, c);
                char lead[16];
                snprintf(lead, sizeof lead, "lead %c", 'A' + c);
                assert_string_equal(r->lead, lead);
                assert_string_equal(r->subject, "rec");
                assert_int_equal(r->length, N);
                compare(store, c, samples, c, channels, format == 16 ? -32768 : -2048, c * 10 - 5, 200);
            }
            assert_string_equal(vg_store_get_info(store)->filter, "none");
            assert_string_equal(vg_store_get_info(store)->resampling, "none");
            vg_store_close(store);
            vg_import_report_free(&report);
            free(source);
        }
    }
    forget("rec.hea");
    forget("rec.dat");
}

/* A MAT container, no number of samples, no gain's baseline (the converter's zero is it), microvolt, two
 * files. */
static void test_variants(void **unused)
{
    (void)unused;
    int samples[N];
    unsigned char bytes[24 + 2 * N] = {30, 0, 0, 0, 1, 0, 0, 0, N & 0xff, N >> 8, 0,   0,
                                       0,  0, 0, 0, 4, 0, 0, 0, 'v',      'a',    'l', 0};
    vg_import_options options = import_untouched(300);
    vg_import_report report;
    make_samples(16, samples, N);
    encode(16, samples, N, bytes + 24);
    put("M1.mat", bytes, sizeof bytes);
    char header[512];
    sprintf(header, "M1 1 300 %d 05:05:15 1/05/2000 \nM1.mat 16+24 1000/mV 16 0 0 0 0 ECG \n", N);
    put_text("M1.hea", header);
    char *source = support_path(folder, "M1.hea");
    vg_store *store = import_and_open("wfdb", source, &options, out, &report);
    compare(store, 0, samples, 0, 1, -32768, 0, 1000);
    assert_string_equal(vg_store_recording(store, 0)->lead, "ECG");
    assert_int_equal(report.warnings, 0);
    vg_store_close(store);
    vg_import_report_free(&report);

    bytes[8]++;
    put("M1.mat", bytes, sizeof bytes);
    import_refuses("wfdb", source, &options, out, VG_ERR_DATA, "a matrix of 1 x 722");
    bytes[8]--;
    bytes[0] = 0;
    put("M1.mat", bytes, sizeof bytes);
    import_refuses("wfdb", source, &options, out, VG_ERR_DATA, "is not a MAT version 4 matrix");
    free(source);
    forget("M1.hea");

    put("a.dat", bytes + 24, 2 * N);
    put("b.dat", bytes + 24, 2 * N - 2);
    put_text("two.hea", "two 2 300\na.dat 16 100/uV 16 7\nb.dat 16 0/mV 16 0\n");
    source = support_path(folder, "two");
    store = import_and_open("wfdb", source, &options, out, &report);
    compare(store, 0, samples, 0, 1, -32768, 7, 1e5);
    compare(store, 1, samples, 0, 1, -32768, 0, 200);
    assert_int_equal(vg_store_recording(store, 1)->length, N - 1);
    assert_int_equal(report.warnings, 1);
    assert_non_null(strstr(report.warning[0], "line 3: signal 2 is not calibrated"));
    vg_store_close(store);
    vg_import_report_free(&report);
    free(source);
    forget("two.hea");
}

static void test_checksum_warns(void **unused)
{
    (void)unused;
    int samples[N];
    unsigned char bytes[2 * N];
    vg_import_options options = import_untouched(300);
    vg_import_report report;
    char header[256], *source = support_path(folder, "sum.hea");
    make_samples(16, samples, N);
    put("sum.dat", bytes, encode(16, samples, N, bytes));
    sprintf(header, "sum 1 300 %d\nsum.dat 16 200 16 0 0 %d 0 I\n", N, checksum(samples, N, 1) + 1);
    put_text("sum.hea", header);
    vg_store *store = import_and_open("wfdb", source, &options, out, &report);
    assert_int_equal(report.warnings, 1);
    assert_non_null(strstr(report.warning[0], "sum.hea: line 2"));
    assert_non_null(strstr(report.warning[0], "checksum"));
    vg_store_close(store);
    vg_import_report_free(&report);
    free(source);
    forget("sum.hea");
}

static void test_bad_headers(void **unused)
{
    (void)unused;
    static const struct {
        const char *text, *words;
    } cases[] = {
        {"", "bad.hea: holds no record line"},
        {"# only a comment\n", "holds no record line"},
        {"bad\n", "line 1: no number of signals"},
        {"bad x\n", "line 1: no number of signals"},
        {"bad 0 360\n", "line 1: the record has no signals"},
        {"bad 100000 360\n", "line 1: 100000 signals"},
        {"bad/3 1 360\n", "line 1: the header ends after 0 of its 3 segments"},
        {"bad/x 1 360\n", "line 1: \"bad/x\" is not a record and its number of segments"},
        {"bad/0 1 360\n", "is not a record and its number of segments"},
        {"bad/2 1 360\nbad\n", "line 2: no number of samples behind the segment \"bad\""},
        {"bad/2 1 360\n~ 5\n~ 9\n", "consists of gaps alone"},
        {"bad/2 1 360\nnone 5\n~ 9\n", "none.hea: cannot be opened"},
        {"bad/1 1 360\n../bad 5\n", "line 2: the file \"../bad\" is not in the header's own folder"},
        {"bad/1 1 360\nbad 5\n", "line 2: the segment \"bad\" consists of segments itself"},
        {"bad 1 -5 10\n", "line 1: \"-5\" is not a sampling rate"},
        {"bad 1 nan 10\n", "\"nan\" is not a sampling rate"},
        {"bad 1 fast 10\n", "\"fast\" is not a sampling rate"},
        {"bad 1 360 -10\n", "\"-10\" is not a number of samples"},
        {"bad 1 360 99999999999999999999\n", "is not a number of samples"},
        {"bad 1 360 10\n", "line 1: the header ends after 0 of its 1 signals"},
        {"bad 2 360 10\nbad.dat 16\n", "line 2: the header ends after 1 of its 2 signals"},
        {"bad 1 360 10\nbad.dat\n", "line 2: no format"},
        {"bad 1 360 10\nbad.dat sixteen\n", "line 2: \"sixteen\" is not a signal format"},
        {"bad 1 360 10\nbad.dat 17\n", "line 2: signal format 17 is not known"},
        {"bad 1 360 10\nbad.dat 516\n", "bad.dat: is not a FLAC file"},
        {"bad 1 360 10\nbad.dat 16x0\n", "0 samples in a frame cannot be"},
        {"bad 1 360 10\nbad.dat 16:-3\n", "is not a signal format"},
        {"bad 1 360 10\nbad.dat 16+\n", "is not a signal format"},
        {"bad 1 360 10\nbad.dat 16 gain\n", "line 2: \"gain\" is not a gain"},
        {"bad 1 360 10\nbad.dat 16 200(5/mV\n", "is not a gain"},
        {"bad 1 360 10\nbad.dat 16 200/mV twelve\n", "line 2: \"twelve\" is not a whole number"},
        {"bad 1 360 10\n../bad.dat 16\n", "not in the header's own folder"},
        {"bad 1 360 10\nnone.dat 16\n", "none.dat: cannot be opened"},
        {"bad 1 360 1000\nbad.dat 16\n", "holds 50 samples of each signal (100 bytes)"},
        {"bad 2 360 26\nbad.dat 16\nbad.dat 16\n", "promises 26 (104 bytes)"},
        {"bad 2 360 10\nbad.dat 16\nbad.dat 212\n", "line 3: the signals in bad.dat differ in format"},
        {"bad 1 360 10\nbad.dat 16+200\n", "holds 0 samples"},
        {"bad 1 20 50\nbad.dat 16\n", "sampled too slowly: at 20 Hz"},
        {"bad 1 360 50\nbad.dat 16 200/mmHg\n", "unknown unit: \"mmHg\""},
    };
    char zeros[100] = {0}, *source = support_path(folder, "bad.hea");
    vg_import_options options = import_untouched(360);
    put("bad.dat", zeros, sizeof zeros);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        put_text("bad.hea", cases[i].text);
        import_refuses("wfdb", source, &options, out, VG_ERR_DATA, cases[i].words);
    }
    /* With `strict` the error itself comes out, of its own kind. */
    options.strict = true;
    put_text("bad.hea", "bad 1 360 10\nbad.dat 17\n");
    import_refuses("wfdb", source, &options, out, VG_ERR_UNSUPPORTED, "bad.hea: line 2: signal format 17");
    options.strict = false;
    put("bad.hea", "bad 1\0 360", 10);
    import_refuses("wfdb", source, &options, out, VG_ERR_DATA, "not a text file");
    free(source);
    forget("bad.hea");
    forget("bad.dat");
    import_refuses("wfdb", "/nowhere/100", &options, out, VG_ERR_NOT_FOUND, "/nowhere/100");
    import_refuses("wfdb", folder, &options, out, VG_ERR_NOT_FOUND, "no file in it ends in .hea");
}

/* A folder with good and bad records: the bad ones are listed with their reasons, `strict` stops. */
static void test_folder(void **unused)
{
    (void)unused;
    enum { LONG = 360 * 30 };
    float *beats = import_beats(1, 360, LONG);
    int *samples = malloc(LONG * sizeof *samples);
    unsigned char *bytes = malloc(2 * LONG);
    char header[256];
    for (int i = 0; i < LONG; i++) samples[i] = (int)lround(200 * (double)beats[i]) + 30;
    put("good.dat", bytes, encode(16, samples, LONG, bytes));
    sprintf(header, "good 1 360 %d\ngood.dat 16 200 16 0 0 0 0 MLII\n", LONG);
    put_text("good.hea", header);
    put("short.dat", bytes, 100);
    sprintf(header, "short 1 360 %d\nshort.dat 16 200\n", LONG);
    put_text("short.hea", header);
    memset(bytes, 0, 2 * LONG);
    put("flat.dat", bytes, 2 * LONG);
    sprintf(header, "flat 1 360 %d\nflat.dat 16 200\n", LONG);
    put_text("flat.hea", header);
    for (int i = 0; i < LONG; i++) bytes[2 * i + 1] = 0x80;
    put("gaps.dat", bytes, 2 * LONG);
    sprintf(header, "gaps 1 360 %d\ngaps.dat 16 200\n", LONG);
    put_text("gaps.hea", header);
    put_text("brief.hea", "brief 1 360 1000\ngood.dat 16 200\n");
    put_text("labels.csv", "record,rhythm,rated\ngood,N,2.5\nother,A,3\n");
    put_text("subjects.csv", "record,subject\ngood,S7\n");

    vg_import_options options = vg_import_default_options();
    char *labels = support_path(folder, "labels.csv"), *subjects = support_path(folder, "subjects.csv");
    options.labels = labels;
    options.subjects = subjects;
    options.licence = "test";
    vg_import_report report;
    vg_store *store = import_and_open("wfdb", folder, &options, out, &report);
    assert_int_equal(report.recordings, 1);
    assert_int_equal(report.excluded, 4);
    const vg_recording *r = vg_store_recording(store, 0);
    assert_string_equal(r->subject, "S7");
    assert_int_equal(r->length, 128 * 30);
    assert_int_equal(vg_store_rating_count(store), 2);
    assert_string_equal(vg_store_rating_name(store, 0), "rhythm");
    assert_true(vg_store_ratings(store, 0)[0] == 1 && vg_store_ratings(store, 0)[1] == 2.5);
    assert_string_equal(vg_store_note(store, "rating_rhythm"), "A=0 N=1");
    const vg_store_info *info = vg_store_get_info(store);
    const char *slash = strrchr(folder, '/');
    assert_string_equal(info->source, slash + 1);
    assert_string_equal(info->filter, "butterworth");
    assert_int_equal(info->filter_order, 8);
    assert_true(info->rate == 128 && info->filter_low == 0.8 && info->filter_high == 50 &&
                info->filter_zero_phase);
    assert_string_equal(info->original_rates, "360");
    static const char *const reasons[][2] = {{"brief.hea", "too short: 2.8 s"},
                                             {"flat.hea", "no usable ECG: flat: "},
                                             {"gaps.hea", "no usable ECG: missing: none of its samples"},
                                             {"short.hea", "promises 10800"}};
    assert_int_equal(vg_store_exclusion_count(store), 4);
    for (int i = 0; i < 4; i++) {
        const vg_exclusion *e = vg_store_exclusion(store, i);
        if (!strstr(e->source, reasons[i][0]) || !strstr(e->reason, reasons[i][1]))
            fail_msg("exclusion %d: \"%s\": \"%s\"", i, e->source, e->reason);
    }
    /* The filter took the offset, and the beats are still there. */
    float *x = import_samples(store, 0);
    double mean = 0, high = 0;
    for (int64_t i = 0; i < r->length; i++) {
        mean += (double)x[i] / (double)r->length;
        high = fmax(high, (double)x[i]);
    }
    if (!(fabs(mean) < 0.01 && high > 0.4)) fail_msg("mean %g, highest %g", mean, high);
    free(x);
    vg_store_close(store);
    vg_import_report_free(&report);

    options.strict = true;
    import_refuses("wfdb", folder, &options, out, VG_ERR_DATA, "brief.hea: too short");
    options.strict = false;
    /* An existing store is not written over, and survives an import that fails. */
    put_text("precious", "kept");
    char *precious = support_path(folder, "precious");
    const char *source = folder, *nowhere = "/nowhere";
    assert_fails(vg_import("wfdb", &source, 1, &options, precious, false, &report), VG_ERR_IO, "precious");
    vg_import_report_free(&report);
    assert_fails(vg_import("wfdb", &nowhere, 1, &options, precious, true, &report), VG_ERR_NOT_FOUND,
                 "/nowhere");
    vg_import_report_free(&report);
    char *kept = support_read_file(precious, NULL);
    assert_string_equal(kept, "kept");
    free(kept);
    free(precious);
    free(labels);
    free(subjects);
    free(samples);
    free(bytes);
    free(beats);
}

/* One recording through every step: a flat window and missing samples become gaps, noise is left out, and the
 * band gives way to a slow rate. */
static void test_pipeline(void **unused)
{
    (void)unused;
    enum { LONG = 360 * 40 };
    float *beats = import_beats(1, 360, LONG);
    int *samples = malloc(LONG * sizeof *samples);
    unsigned char *bytes = malloc(2 * LONG);
    char header[256], *source = support_path(folder, "one.hea");
    for (int i = 0; i < LONG; i++) samples[i] = (int)lround(1000 * (double)beats[i]);
    for (int i = 12 * 360; i < 14 * 360; i++) samples[i] = 17;
    for (int i = 35 * 360; i < 36 * 360; i++) samples[i] = -32768;
    put("one.dat", bytes, encode(16, samples, LONG, bytes));
    sprintf(header, "one 1 360 %d\none.dat 16 1000 16 0 0 0 0 I\n", LONG);
    put_text("one.hea", header);
    vg_import_options options = vg_import_default_options();
    vg_import_report report;
    vg_store *store = import_and_open("wfdb", source, &options, out, &report);
    assert_string_equal(vg_store_get_info(store)->source, strrchr(folder, '/') + 1);
    assert_int_equal(report.windows_dropped, 1);
    assert_int_equal(vg_store_exclusion_count(store), 1);
    assert_true(vg_store_exclusion(store, 0)->seconds == 10);
    assert_non_null(strstr(vg_store_exclusion(store, 0)->reason, "windows of 10 s blanked: 1 of 4 (1 flat"));
    float *x = import_samples(store, 0);
    for (int64_t i = 0; i < 128 * 40; i++) {
        double t = (double)i / 128;
        bool gap = (t >= 10 && t < 20) || (t > 35 && t < 36);
        if (t > 34.99 && t < 35.01) continue;
        if (gap != isnan(x[i]) && !(t > 35.99 && t < 36.01))
            fail_msg("the sample at %g s is %g", t, (double)x[i]);
    }
    free(x);
    vg_store_close(store);
    vg_import_report_free(&report);
    options.drop_bad = false;
    store = import_and_open("wfdb", source, &options, out, &report);
    assert_int_equal(vg_store_exclusion_count(store), 0);
    vg_store_close(store);
    vg_import_report_free(&report);

    /* The same samples said to be of 100 Hz: the band must end below 50 Hz. */
    sprintf(header, "one 1 100 %d\none.dat 16 1000 16 0 0 0 0 I\n", LONG);
    put_text("one.hea", header);
    options.min_quality = 0;
    store = import_and_open("wfdb", source, &options, out, &report);
    assert_int_equal(report.warnings, 1);
    assert_non_null(strstr(report.warning[0], "the band ends at 45 Hz instead of 50 Hz"));
    assert_non_null(strstr(vg_store_note(store, "filter_limited"), "45 Hz"));
    assert_string_equal(vg_store_get_info(store)->original_rates, "100");
    vg_store_close(store);
    vg_import_report_free(&report);

    options = vg_import_default_options();
    for (int i = 0; i < LONG; i++)
        samples[i] = (int)(vg_philox_draw(5, (uint32_t)i, 0, 0, 0).word[0] % 401) - 200;
    put("one.dat", bytes, encode(16, samples, LONG, bytes));
    sprintf(header, "one 1 360 %d\none.dat 16 1000 16 0 0 0 0 I\n", LONG);
    put_text("one.hea", header);
    import_refuses("wfdb", source, &options, out, VG_ERR_DATA, "no usable ECG: disconnected: ");
    free(source);
    free(samples);
    free(bytes);
    free(beats);
    forget("one.hea");
}

/* Gaps up to the option's length become straight lines, longer ones and those at the ends stay. */
static void test_bridge(void **unused)
{
    (void)unused;
    enum { HZ = 250, LONG = HZ * 40, GAPS = 4 };
    static const int gap[GAPS][2] = {{0, 1}, {1000, 3}, {2001, 5}, {3000, 6}}; /* from, samples of 4 ms */
    float *beats = import_beats(1, HZ, LONG);
    int *samples = malloc(LONG * sizeof *samples);
    unsigned char *bytes = malloc(2 * LONG);
    char header[256], *source = support_path(folder, "one.hea");
    assert_true(samples && bytes);
    for (int i = 0; i < LONG; i++) samples[i] = (int)lround(1000 * (double)beats[i]);
    for (int g = 0; g < GAPS; g++)
        for (int i = 0; i < gap[g][1]; i++) samples[gap[g][0] + i] = -32768;
    for (int i = 20 * HZ; i < 22 * HZ; i++) samples[i] = 17; /* a flat window */
    put("one.dat", bytes, encode(16, samples, LONG, bytes));
    sprintf(header, "one 1 %d %d\none.dat 16 1000 16 0 0 0 0 I\n", HZ, LONG);
    put_text("one.hea", header);
    vg_import_options options = import_untouched(HZ);
    vg_import_report report;
    options.bridge = 20;
    vg_store *store = import_and_open("wfdb", source, &options, out, &report);
    assert_int_equal(report.bridged, 2);
    assert_non_null(strstr(vg_store_note(store, "bridged"), "2 gaps of up to 20 ms in 1 of 1 recordings"));
    assert_non_null(strstr(vg_store_note(store, "bridged"), "straight lines: one:I 2"));
    float *x = import_samples(store, 0);
    for (int g = 0; g < GAPS; g++) {
        const int from = gap[g][0], count = gap[g][1];
        for (int i = 0; i < count; i++) {
            if (g == 0 || g == 3) {
                assert_true(isnan(x[from + i]));
                continue;
            }
            double before = samples[from - 1], after = samples[from + count];
            double want = (before + (after - before) * (i + 1) / (count + 1)) / 1000;
            if (!(fabs((double)x[from + i] - want) <= 1e-6))
                fail_msg("sample %d is %g, not %g", from + i, (double)x[from + i], want);
        }
    }
    free(x);
    vg_store_close(store);
    vg_import_report_free(&report);

    options.drop_bad = true;
    store = import_and_open("wfdb", source, &options, out, &report);
    assert_non_null(strstr(vg_store_exclusion(store, 0)->reason, "1 flat; 2 gaps of up to 20 ms bridged"));
    vg_store_close(store);
    vg_import_report_free(&report);

    options.bridge = 0;
    store = import_and_open("wfdb", source, &options, out, &report);
    assert_int_equal(report.bridged, 0);
    assert_null(vg_store_note(store, "bridged"));
    vg_store_close(store);
    vg_import_report_free(&report);
    free(source);
    free(samples);
    free(bytes);
    free(beats);
    forget("one.hea");
}

int main(void)
{
    char *place = support_temp_dir();
    folder = support_temp_dir();
    out = support_path(place, "out.h5");
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_formats),        cmocka_unit_test(test_variants),
        cmocka_unit_test(test_checksum_warns), cmocka_unit_test(test_bad_headers),
        cmocka_unit_test(test_pipeline),       cmocka_unit_test(test_bridge),
        cmocka_unit_test(test_folder)};
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    free(out);
    free(place);
    free(folder);
    return failed;
}
