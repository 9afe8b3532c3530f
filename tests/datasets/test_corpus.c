/* The corpus: segments, what is refused, every scope of the normalisation against direct sums, labels, and
 * the preprocessing contract. */
#include "tests/datasets/fixture.h"

#include <string.h>

#include <hdf5.h>

#include "core/log.h"
#include "datasets/corpus/corpus.h"

static char *folder;

/* Options for the fixtures' 16 Hz: segments of one second. */
static vg_corpus_options second(void)
{
    vg_corpus_options options = vg_corpus_options_default();
    options.seconds = 1;
    return options;
}

static vg_corpus *load(const char *path, vg_corpus_options options)
{
    vg_corpus *corpus;
    assert_ok(vg_corpus_create(&path, 1, &options, &corpus));
    return corpus;
}

static void add(vg_store_writer *writer, const char *subject, const char *source, int64_t length,
                const float *samples)
{
    vg_recording recording = {.subject = subject, .source = source, .lead = "I", .length = length};
    assert_ok(vg_store_writer_add(writer, &recording, samples, NULL));
}

/* Five kinds of recording of 4 s, each with one bad second, and one that is too short. */
static char *write_bad_store(const char *name)
{
    char *path = support_path(folder, name);
    vg_store_writer *writer;
    assert_ok(vg_store_writer_create(path, false, NULL, 0, &writer));
    float samples[64];
    fixture_wave(samples, 64, 1);
    add(writer, "good", "0", 64, samples);
    samples[17] = NAN; /* second 1 */
    add(writer, "nan", "1", 64, samples);
    fixture_wave(samples, 64, 2);
    for (int i = 32; i < 48; i++) samples[i] = 0.25f; /* second 2 */
    add(writer, "flat", "2", 64, samples);
    fixture_wave(samples, 64, 3);
    for (int i = 51; i < 60; i++) samples[i] = 9; /* second 3: 9 of 16 samples at the top */
    add(writer, "clipped", "3", 64, samples);
    fixture_wave(samples, 64, 4);
    samples[20] = samples[21] = 9; /* two equal samples are a peak, not a plateau */
    add(writer, "peak", "4", 64, samples);
    add(writer, "short", "5", 15, samples);
    fixture_finish(writer, "bad", 16);
    return path;
}

static void test_segments_and_refusals(void **state)
{
    (void)state;
    char *path = write_bad_store("bad.h5");
    vg_corpus *corpus = load(path, second());
    assert_int_equal(corpus->segment_length, 16);
    assert_int_equal(corpus->segment_count, 4 + 3 + 3 + 3 + 4);
    assert_int_equal(corpus->dropped.nan, 1);
    assert_int_equal(corpus->dropped.flat, 1);
    assert_int_equal(corpus->dropped.clipped, 1);
    assert_int_equal(corpus->dropped.short_recordings, 1);
    int64_t covered = 0;
    for (int64_t r = 0; r < corpus->recording_count; r++) {
        const vg_corpus_recording *recording = &corpus->recordings[r];
        assert_int_equal(recording->first_segment, covered);
        covered += recording->segment_count;
        for (int64_t s = recording->first_segment; s < covered; s++) {
            const vg_segment *segment = &corpus->segments[s];
            assert_int_equal(segment->recording, r);
            assert_int_equal(segment->subject, recording->subject);
            assert_int_equal(segment->number, s);
            assert_true(isnan(segment->label));
            assert_true(segment->start >= recording->offset);
            assert_true(segment->start + 16 <= recording->offset + recording->length);
            assert_int_equal((segment->start - recording->offset) % 16, 0);
        }
    }
    assert_int_equal(covered, corpus->segment_count);
    /* Second 1 of the recording with NaN is the one that is missing. */
    const vg_corpus_recording *nan = &corpus->recordings[1];
    assert_int_equal(corpus->segments[nan->first_segment + 1].start, nan->offset + 32);
    vg_corpus_destroy(corpus);

    vg_corpus_options options = second();
    options.stride = 0.5;
    corpus = load(path, options);
    assert_int_equal(corpus->recordings[0].segment_count, 7);
    assert_int_equal(corpus->segments[1].start, 8);
    assert_int_equal(corpus->dropped.nan, 2);
    vg_corpus_destroy(corpus);

    options = second();
    options.flat_below = 0;
    options.clipped_share = 1;
    corpus = load(path, options);
    assert_int_equal(corpus->segment_count, 19);
    assert_int_equal(corpus->dropped.flat + corpus->dropped.clipped, 0);
    vg_corpus_destroy(corpus);
    free(path);
}

static void test_options_refused(void **state)
{
    (void)state;
    char *path = write_bad_store("options.h5");
    vg_corpus *corpus;
    vg_corpus_options options = second();
    const char *one[] = {path}, *twice[] = {path, path};
    options.seconds = 5;
    assert_fails(vg_corpus_create(one, 1, &options, &corpus), VG_ERR_DATA, "6 recordings are shorter");
    options.seconds = 1.03;
    assert_fails(vg_corpus_create(one, 1, &options, &corpus), VG_ERR_CONFIG, "16.48 samples");
    options.seconds = NAN;
    assert_fails(vg_corpus_create(one, 1, &options, &corpus), VG_ERR_CONFIG, "nan s");
    options = second();
    options.stride = 0.01;
    assert_fails(vg_corpus_create(one, 1, &options, &corpus), VG_ERR_CONFIG, "stride");
    options = second();
    options.lead = "V6";
    assert_fails(vg_corpus_create(one, 1, &options, &corpus), VG_ERR_DATA, "'V6'");
    options = second();
    options.flat_below = 1000;
    assert_fails(vg_corpus_create(one, 1, &options, &corpus), VG_ERR_DATA, "are flat (below 1000)");
    options = second();
    assert_fails(vg_corpus_create(twice, 2, &options, &corpus), VG_ERR_CONFIG, "same store");
    assert_fails(vg_corpus_create(one, 0, &options, &corpus), VG_ERR_CONFIG, "no store");
    one[0] = "/no/such/store.h5";
    assert_fails(vg_corpus_create(one, 1, &options, &corpus), VG_ERR_IO, "/no/such/store.h5");
    assert_null(corpus);
    vg_corpus_destroy(NULL);
    free(path);
}

/* ---- People, trials, leads, ratings -------------------------------------------------------------------- */

static void test_people(void **state)
{
    (void)state;
    char *a = support_path(folder, "people-a.h5"), *b = support_path(folder, "people-b.h5");
    static const char *const names_a[] = {"arousal", "valence"}, *const names_b[] = {"valence", "fear"};
    vg_store_writer *writer;
    assert_ok(vg_store_writer_create(a, false, names_a, 2, &writer));
    fixture_add(writer, "1", "t1", "I", "f1", 32, 1, (double[]){1, 2});
    fixture_add(writer, "1", "t1", "II", "f1", 32, 2, (double[]){1, 2});
    fixture_add(writer, "1", "t2", "I", "f1", 32, 3, (double[]){3, 4});
    fixture_add(writer, "2", "t1", "I", "f2", 32, 4, NULL);
    fixture_add(writer, "", "", "I", "f3", 32, 5, NULL);
    fixture_add(writer, "", "", "II", "f3", 32, 6, NULL);
    fixture_add(writer, "", "", "I", "f4", 32, 7, NULL);
    fixture_add(writer, "", "", "I", "", 32, 8, NULL);
    fixture_add(writer, "", "", "I", "", 32, 9, NULL);
    fixture_finish(writer, "A", 16);
    assert_ok(vg_store_writer_create(b, false, names_b, 2, &writer));
    fixture_add(writer, "1", "t1", "I", "f1", 32, 10, (double[]){5, 6});
    fixture_finish(writer, "B", 16);

    const char *paths[] = {a, b};
    vg_corpus_options options = second();
    vg_corpus *corpus;
    assert_ok(vg_corpus_create(paths, 2, &options, &corpus));
    assert_int_equal(corpus->recording_count, 10);
    static const int subjects[] = {0, 0, 0, 1, 2, 2, 3, 4, 5, 6}, trials[] = {0, 0, 1, 2, 3, 3, 4, 5, 6, 7};
    for (int i = 0; i < 10; i++) {
        assert_int_equal(corpus->recordings[i].subject, subjects[i]);
        assert_int_equal(corpus->recordings[i].trial, trials[i]);
    }
    assert_int_equal(corpus->subject_count, 7);
    assert_int_equal(corpus->trial_count, 8);
    assert_string_equal(corpus->subjects[0], "A:1");
    assert_string_equal(corpus->subjects[2], "A:#f3");
    assert_string_equal(corpus->subjects[6], "B:1");
    assert_string_equal(corpus->preprocessing.sources, "A, B");
    assert_true(corpus->preprocessing.synthetic);

    assert_int_equal(corpus->rating_count, 3);
    assert_string_equal(corpus->rating_names[2], "fear");
    assert_true(corpus->recordings[2].ratings[0] == 3 && corpus->recordings[2].ratings[1] == 4);
    assert_true(isnan(corpus->recordings[2].ratings[2]) && isnan(corpus->recordings[3].ratings[0]));
    assert_true(isnan(corpus->recordings[9].ratings[0]));
    assert_true(corpus->recordings[9].ratings[1] == 5 && corpus->recordings[9].ratings[2] == 6);
    vg_corpus_destroy(corpus);

    options.lead = "II";
    assert_ok(vg_corpus_create(paths, 2, &options, &corpus));
    assert_int_equal(corpus->recording_count, 2);
    assert_int_equal(corpus->dropped.other_lead, 8);
    assert_int_equal(corpus->segment_count, 4);
    float expected[32];
    fixture_wave(expected, 32, 6);
    assert_memory_equal(corpus->signal + corpus->recordings[1].offset, expected, sizeof expected);
    vg_corpus_destroy(corpus);
    free(a);
    free(b);
}

static char warned[1024];

static void keep_warning(vg_log_level level, const char *line, void *context)
{
    (void)context;
    if (level == VG_LOG_WARN) snprintf(warned, sizeof warned, "%s", line);
}

static void test_copies_are_warned_of(void **state)
{
    (void)state;
    char *path = support_path(folder, "copies.h5");
    vg_store_writer *writer;
    assert_ok(vg_store_writer_create(path, false, NULL, 0, &writer));
    fixture_add(writer, "1", "", "I", "first", 32, 1, NULL);
    fixture_add(writer, "2", "", "I", "second", 32, 2, NULL);
    fixture_add(writer, "3", "", "I", "third", 32, 1, NULL);
    fixture_add(writer, "4", "", "I", "fourth", 32, 3, NULL); /* two equal leads of one trial do not leak */
    fixture_add(writer, "4", "", "II", "fourth", 32, 3, NULL);
    fixture_finish(writer, "A", 16);
    vg_log_set_sink(keep_warning, NULL);
    vg_corpus_destroy(load(path, second()));
    vg_log_set_sink(NULL, NULL);
    assert_non_null(strstr(warned, "1 recordings"));
    assert_non_null(strstr(warned, "first"));
    assert_non_null(strstr(warned, "third"));
    free(path);
}

static void test_damage_is_noticed(void **state)
{
    (void)state;
    char *path = write_bad_store("damage.h5");
    hid_t file = H5Fopen(path, H5F_ACC_RDWR, H5P_DEFAULT), signal = H5Dopen2(file, "signal", H5P_DEFAULT),
          space = H5Dget_space(signal), one = H5Screate_simple(1, &(hsize_t){1}, NULL);
    H5Sselect_hyperslab(space, H5S_SELECT_SET, &(hsize_t){70}, NULL, &(hsize_t){1}, NULL);
    assert_true(H5Dwrite(signal, H5T_NATIVE_FLOAT, one, space, H5P_DEFAULT, &(float){99}) >= 0);
    H5Sclose(one);
    H5Sclose(space);
    H5Dclose(signal);
    H5Fclose(file);
    vg_corpus_options options = second();
    vg_corpus *corpus;
    assert_fails(vg_corpus_create((const char *[]){path}, 1, &options, &corpus), VG_ERR_FORMAT, path);
    assert_non_null(strstr(vg_cause(), "recording 1"));
    free(path);
}

/* ---- Normalisation ------------------------------------------------------------------------------------- */

/* Mean and deviation over the segments for which in_scope holds, by plain sums in long double. */
static void direct(const vg_corpus *corpus, bool (*in_scope)(const vg_corpus *, int64_t, int64_t), int64_t of,
                   double *mean, double *sd)
{
    long double sum = 0, squares = 0;
    int64_t n = 0, length = corpus->segment_length;
    for (int64_t s = 0; s < corpus->segment_count; s++)
        for (int64_t t = 0; t < length && in_scope(corpus, s, of); t++, n++)
            sum += corpus->signal[corpus->segments[s].start + t];
    long double average = sum / n;
    for (int64_t s = 0; s < corpus->segment_count; s++)
        for (int64_t t = 0; t < length && in_scope(corpus, s, of); t++) {
            long double difference = corpus->signal[corpus->segments[s].start + t] - average;
            squares += difference * difference;
        }
    *mean = (double)average;
    *sd = (double)sqrtl(squares / n);
}

static bool same_segment(const vg_corpus *c, int64_t a, int64_t b)
{
    (void)c;
    return a == b;
}
static bool same_recording(const vg_corpus *c, int64_t a, int64_t b)
{
    return c->segments[a].recording == c->segments[b].recording;
}
static bool same_subject(const vg_corpus *c, int64_t a, int64_t b)
{
    return c->segments[a].subject == c->segments[b].subject;
}
static bool even(const vg_corpus *c, int64_t a, int64_t b)
{
    (void)c;
    (void)b;
    return a % 2 == 0;
}

static void check_scope(vg_corpus *corpus, bool (*in_scope)(const vg_corpus *, int64_t, int64_t))
{
    float *out = calloc((size_t)corpus->segment_length, sizeof *out);
    for (int64_t s = 0; s < corpus->segment_count; s += 7) {
        double mean, sd;
        direct(corpus, in_scope, s, &mean, &sd);
        vg_corpus_segment(corpus, s, out);
        for (int64_t t = 0; t < corpus->segment_length; t++) {
            double expected = (corpus->signal[corpus->segments[s].start + t] - mean) / sd;
            if (!(fabs(out[t] - expected) <= 1e-6 * (1 + fabs(expected))))
                fail_msg("segment %d, sample %d: %g, expected %g", (int)s, (int)t, out[t], expected);
        }
    }
    free(out);
}

static void test_normalisation(void **state)
{
    (void)state;
    char *path = support_path(folder, "normal.h5");
    fixture_store(path, "N", 6, 1);
    vg_corpus_options options = second();
    options.stride = 0.75; /* overlap must not matter */
    vg_corpus *corpus = load(path, options);
    vg_normalize_report report;
    float out[16];
    vg_corpus_segment(corpus, 3, out);
    assert_memory_equal(out, corpus->signal + corpus->segments[3].start, sizeof out);

    assert_ok(vg_corpus_normalize(corpus, VG_NORMALIZE_SEGMENT, NULL, 0, &report));
    assert_int_equal(report.flat_scopes, 0);
    check_scope(corpus, same_segment);
    assert_ok(vg_corpus_normalize(corpus, VG_NORMALIZE_RECORDING, NULL, 0, NULL));
    check_scope(corpus, same_recording);
    assert_ok(vg_corpus_normalize(corpus, VG_NORMALIZE_SUBJECT, NULL, 0, &report));
    check_scope(corpus, same_subject);
    assert_int_equal(corpus->preprocessing.normalize, VG_NORMALIZE_SUBJECT);

    int64_t *train = calloc((size_t)corpus->segment_count, sizeof *train), n = 0;
    for (int64_t s = 0; s < corpus->segment_count; s += 2) train[n++] = s;
    assert_ok(vg_corpus_normalize(corpus, VG_NORMALIZE_CORPUS, train, n, &report));
    check_scope(corpus, even);
    double mean, sd;
    direct(corpus, even, 0, &mean, &sd);
    assert_true(fabs(report.mean - mean) <= 1e-12 * (1 + fabs(mean)) && fabs(report.sd - sd) <= 1e-12 * sd);

    /* The statistics of a contract are taken as they are. */
    vg_preprocessing contract = corpus->preprocessing;
    assert_true(contract.corpus_sd == report.sd);
    vg_corpus_segment(corpus, 5, out);
    float again[16];
    assert_ok(vg_corpus_normalize(corpus, VG_NORMALIZE_NONE, NULL, 0, NULL));
    assert_true(corpus->preprocessing.corpus_sd == 1);
    assert_ok(vg_corpus_normalize_as(corpus, &contract, &report));
    vg_corpus_segment(corpus, 5, again);
    for (int t = 0; t < 16; t++) assert_true(memcmp(&out[t], &again[t], sizeof *out) == 0);
    contract.corpus_mean = NAN;
    assert_fails(vg_corpus_normalize_as(corpus, &contract, &report), VG_ERR_DATA, "nan");

    assert_fails(vg_corpus_normalize(corpus, VG_NORMALIZE_CORPUS, NULL, 0, NULL), VG_ERR_CONFIG,
                 "training segments");
    train[1] = corpus->segment_count;
    assert_fails(vg_corpus_normalize(corpus, VG_NORMALIZE_CORPUS, train, n, NULL), VG_ERR_SHAPE,
                 "no segment");
    free(train);
    vg_corpus_destroy(corpus);
    free(path);
}

static void test_flat_scopes(void **state)
{
    (void)state;
    char *path = support_path(folder, "flat.h5");
    vg_store_writer *writer;
    assert_ok(vg_store_writer_create(path, false, NULL, 0, &writer));
    float samples[48];
    for (int i = 0; i < 48; i++) samples[i] = 0.7f;
    add(writer, "flat", "1", 48, samples);
    fixture_add(writer, "alive", "", "I", "2", 32, 1, NULL);
    fixture_finish(writer, "F", 16);
    vg_corpus_options options = second();
    options.flat_below = 0;
    options.clipped_share = 1;
    vg_corpus *corpus = load(path, options);
    vg_normalize_report report;
    static const struct {
        vg_normalize scope;
        int scopes;
    } cases[] = {{VG_NORMALIZE_SEGMENT, 3}, {VG_NORMALIZE_RECORDING, 1}, {VG_NORMALIZE_SUBJECT, 1}};
    for (int i = 0; i < 3; i++) {
        assert_ok(vg_corpus_normalize(corpus, cases[i].scope, NULL, 0, &report));
        assert_int_equal(report.flat_scopes, cases[i].scopes);
        assert_int_equal(report.flat_segments, 3);
        float out[16];
        vg_corpus_segment(corpus, 1, out);
        for (int t = 0; t < 16; t++) assert_true(out[t] == 0);
        vg_corpus_segment(corpus, 4, out);
        for (int t = 0; t < 16; t++) assert_true(isfinite(out[t]) && out[t] != 0);
    }
    assert_ok(vg_corpus_normalize(corpus, VG_NORMALIZE_CORPUS, (int64_t[]){0, 1}, 2, &report));
    assert_int_equal(report.flat_scopes, 1);
    assert_int_equal(report.flat_segments, 5);
    vg_corpus_destroy(corpus);
    free(path);
}

/* ---- Labels -------------------------------------------------------------------------------------------- */

static void test_labels(void **state)
{
    (void)state;
    char *path = support_path(folder, "labels.h5");
    static const char *const names[] = {"score", "on"};
    vg_store_writer *writer;
    assert_ok(vg_store_writer_create(path, false, names, 2, &writer));
    const double scores[] = {1, 2, 4, 9, NAN};
    for (int i = 0; i < 5; i++) {
        char name[2] = {(char)('a' + i), 0};
        fixture_add(writer, name, "t", "I", name, 16 * (i + 1), (uint32_t)i, (double[]){scores[i], i % 2});
    }
    fixture_finish(writer, "L", 16);
    vg_corpus *corpus = load(path, second()); /* 1, 2, 3, 4, 5 segments */
    int64_t rated[15], n;
    assert_ok(vg_corpus_rated(corpus, "score", rated, &n));
    assert_int_equal(n, 10);
    for (int i = 0; i < 10; i++) assert_int_equal(rated[i], i);

    vg_label_rule rule;
    vg_label_report report;
    assert_ok(vg_label_rule_parse("score", "2", &rule));
    assert_ok(vg_corpus_label(corpus, &rule, NULL, 0, &report));
    assert_true(report.threshold == 2);
    assert_int_equal(report.positive, 7);
    assert_int_equal(report.negative, 3); /* a rating equal to the threshold is not above it */
    assert_int_equal(report.unrated, 5);
    assert_true(corpus->segments[2].label == 0 && corpus->segments[3].label == 1);
    assert_true(isnan(corpus->segments[12].label));

    assert_ok(vg_label_rule_parse("score", "mean", &rule));
    assert_ok(vg_corpus_label(corpus, &rule, rated, n, &report));
    if (!(fabs(report.threshold - (1 + 2 * 2 + 3 * 4 + 4 * 9) / 10.0) <= 1e-12))
        fail_msg("mean %g", report.threshold);
    assert_int_equal(report.positive, 4);
    assert_ok(vg_label_rule_parse("score", "median", &rule));
    assert_ok(vg_corpus_label(corpus, &rule, rated, n, &report));
    assert_true(report.threshold == 4);
    assert_ok(vg_corpus_label(corpus, &rule, rated, 2, &report)); /* over the given segments only: 1 and 2 */
    assert_true(report.threshold == 1.5);
    assert_int_equal(report.positive, 9);

    assert_ok(vg_label_rule_parse("on", "none", &rule));
    assert_ok(vg_corpus_label(corpus, &rule, NULL, 0, &report));
    assert_true(isnan(report.threshold));
    assert_int_equal(report.positive, 6);
    assert_int_equal(report.unrated, 0);

    rule.rating = "score";
    assert_fails(vg_corpus_label(corpus, &rule, NULL, 0, &report), VG_ERR_DATA, "neither 0 nor 1");
    rule.rating = "joy";
    assert_fails(vg_corpus_label(corpus, &rule, NULL, 0, &report), VG_ERR_CONFIG, "score, on");
    assert_fails(vg_corpus_rated(corpus, "joy", rated, &n), VG_ERR_CONFIG, "joy");
    assert_ok(vg_label_rule_parse("score", "mean", &rule));
    assert_fails(vg_corpus_label(corpus, &rule, (int64_t[]){12}, 1, &report), VG_ERR_DATA, "score");
    assert_fails(vg_label_rule_parse("score", "5x", &rule), VG_ERR_CONFIG, "5x");
    assert_fails(vg_label_rule_parse("score", "nan", &rule), VG_ERR_CONFIG, "nan");
    assert_fails(vg_label_rule_parse("score", "", &rule), VG_ERR_CONFIG, "threshold");
    vg_corpus_destroy(corpus);
    free(path);
}

/* ---- The contract -------------------------------------------------------------------------------------- */

static void test_stores_must_agree(void **state)
{
    (void)state;
    char *a = support_path(folder, "agree-a.h5");
    fixture_store(a, "A", 2, 1);
    static const char *const texts[] = {"128 Hz", "'uV'", "25 Hz", "order", "causal", "notch", "'none'"};
    for (int i = 0; i < 7; i++) {
        char name[32];
        snprintf(name, sizeof name, "differs-%d.h5", i);
        char *b = support_path(folder, name);
        vg_store_writer *writer;
        assert_ok(vg_store_writer_create(b, false, NULL, 0, &writer));
        fixture_add(writer, "1", "", "I", "f", 320, 1, NULL);
        vg_store_info info = fixture_info("B", i == 0 ? 128 : 16);
        if (i == 1) info.units = "uV";
        if (i == 2) info.filter_high = 25;
        if (i == 3) info.filter_order = 4;
        if (i == 4) info.filter_zero_phase = false;
        if (i == 5) info.notch = 50;
        if (i == 6) info.filter = "none";
        assert_ok(vg_store_writer_describe(writer, &info));
        assert_ok(vg_store_writer_finish(writer));
        vg_corpus *corpus;
        vg_corpus_options options = second();
        const char *paths[] = {a, b};
        assert_fails(vg_corpus_create(paths, 2, &options, &corpus), VG_ERR_DATA, texts[i]);
        assert_non_null(strstr(vg_cause(), a));
        assert_non_null(strstr(vg_cause(), b));
        free(b);
    }
    free(a);
}

static int remarks;
static char remark[512];

static void keep_remark(vg_log_level level, const char *line, void *context)
{
    (void)context;
    if (level < VG_LOG_WARN) return;
    remarks++;
    snprintf(remark, sizeof remark, "%s", line);
}

/* Lead and overlap travel too: another lead is refused, another overlap is said, a file without them is read.
 */
static void test_contract_lead(void **state)
{
    (void)state;
    char *store = support_path(folder, "leads.h5"), *path = support_path(folder, "leads.json");
    fixture_store(store, "A", 3, 1);
    vg_corpus_options options = second();
    vg_preprocessing one, all, half, read;
    vg_corpus *corpus = load(store, options);
    all = corpus->preprocessing;
    vg_corpus_destroy(corpus);
    options.lead = "II";
    corpus = load(store, options);
    one = corpus->preprocessing;
    vg_corpus_destroy(corpus);
    options.stride = 0.5;
    corpus = load(store, options);
    half = corpus->preprocessing;
    vg_corpus_destroy(corpus);
    assert_true(all.lead_known && !all.lead[0] && all.stride == 1);
    assert_string_equal(one.lead, "II");
    assert_true(half.stride == 0.5);

    assert_ok(vg_preprocessing_write(&half, path));
    assert_ok(vg_preprocessing_read(path, &read));
    assert_true(read.lead_known && read.stride == 0.5);
    assert_string_equal(read.lead, "II");

    assert_ok(vg_preprocessing_check(&all, "the model", &one, "the data"));
    assert_fails(vg_preprocessing_check(&one, "the model", &all, "the data"), VG_ERR_DATA,
                 "the lead is 'II' in the model and any in the data");
    snprintf(read.lead, sizeof read.lead, "V5");
    assert_fails(vg_preprocessing_check(&read, "the model", &half, "the data"), VG_ERR_DATA,
                 "the lead is 'V5' in the model and 'II' in the data");
    vg_log_set_sink(keep_remark, NULL);
    assert_ok(vg_preprocessing_check(&one, "the model", &one, "the data"));
    assert_int_equal(remarks, 0);
    assert_ok(vg_preprocessing_check(&one, "the model", &half, "the data"));
    vg_log_set_sink(NULL, NULL);
    assert_int_equal(remarks, 1);
    if (!strstr(remark, "every 1 s (overlap 0 %) in the model and every 0.5 s (overlap 50 %) in the data"))
        fail_msg("%s", remark);

    /* As the first files were: neither key, and nothing to compare. */
    vg_preprocessing old = one;
    old.stride = 0;
    old.lead_known = false;
    assert_ok(vg_preprocessing_write(&old, path));
    char *text = support_read_file(path, NULL);
    assert_null(strstr(text, "\"lead\""));
    assert_null(strstr(text, "\"stride\""));
    free(text);
    assert_ok(vg_preprocessing_read(path, &read));
    assert_false(read.lead_known);
    assert_ok(vg_preprocessing_check(&read, "the model", &half, "the data"));
    free(path);
    free(store);
}

static void test_contract_file(void **state)
{
    (void)state;
    char *store = support_path(folder, "contract.h5"), *path = support_path(folder, "preprocessing.json");
    fixture_store(store, "A", 2, 1);
    vg_corpus *corpus = load(store, second());
    assert_ok(vg_corpus_normalize(corpus, VG_NORMALIZE_CORPUS, (int64_t[]){0, 1, 2}, 3, NULL));
    vg_preprocessing read, *kept = &corpus->preprocessing;
    assert_ok(vg_preprocessing_write(kept, path));
    assert_ok(vg_preprocessing_read(path, &read));
    assert_true(read.rate == 16 && read.seconds == 1 && read.normalize == VG_NORMALIZE_CORPUS);
    assert_true(read.corpus_mean == kept->corpus_mean && read.corpus_sd == kept->corpus_sd);
    assert_true(read.filter_low == 0.8 && read.filter_high == 50 && read.filter_order == 8 &&
                read.notch == 0);
    assert_true(read.filter_zero_phase && read.synthetic);
    assert_string_equal(read.units, "mV");
    assert_string_equal(read.filter, "butterworth");
    assert_string_equal(read.resampling, kept->resampling);
    assert_string_equal(read.polarity, kept->polarity);
    assert_string_equal(read.sources, "A");
    assert_ok(vg_preprocessing_check(&read, "the model", kept, "the data"));

    read.seconds = 10;
    read.normalize = VG_NORMALIZE_SUBJECT;
    assert_fails(
        vg_preprocessing_check(&read, "the model", kept, "the data"), VG_ERR_DATA,
        "the segment is 10 s in the model and 1 s in the data; the normalisation is subject in the model "
        "and corpus in the data");

    size_t size;
    char *text = support_read_file(path, &size);
    char *at = strstr(text, "\"rate\"");
    assert_non_null(at);
    at[1] = 'f';
    support_write_file(path, text, size);
    assert_fails(vg_preprocessing_read(path, &read), VG_ERR_FORMAT, "rate");
    support_write_file(path, text, size / 2);
    assert_fails(vg_preprocessing_read(path, &read), VG_ERR_FORMAT, path);
    free(text);

    /* What is compared must be kept whole, a remark may be cut short. */
    char long_text[200];
    memset(long_text, 'x', sizeof long_text - 1);
    long_text[sizeof long_text - 1] = 0;
    vg_store_info info = fixture_info("A", 16);
    info.polarity = long_text;
    assert_ok(vg_preprocessing_from_store(&info, &read));
    assert_int_equal(strlen(read.polarity), VG_PREPROCESSING_TEXT - 1);
    assert_string_equal(read.polarity + VG_PREPROCESSING_TEXT - 4, "...");
    info.filter = long_text;
    assert_fails(vg_preprocessing_from_store(&info, &read), VG_ERR_DATA, "attribute filter");

    vg_normalize scope;
    assert_ok(vg_normalize_parse("recording", &scope));
    assert_int_equal(scope, VG_NORMALIZE_RECORDING);
    assert_fails(vg_normalize_parse("fold", &scope), VG_ERR_CONFIG, "'fold'");
    vg_corpus_destroy(corpus);
    free(path);
    free(store);
}

int main(void)
{
    folder = support_temp_dir();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_segments_and_refusals),
        cmocka_unit_test(test_options_refused),
        cmocka_unit_test(test_people),
        cmocka_unit_test(test_copies_are_warned_of),
        cmocka_unit_test(test_damage_is_noticed),
        cmocka_unit_test(test_normalisation),
        cmocka_unit_test(test_flat_scopes),
        cmocka_unit_test(test_labels),
        cmocka_unit_test(test_stores_must_agree),
        cmocka_unit_test(test_contract_file),
        cmocka_unit_test(test_contract_lead),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    free(folder);
    return failed;
}
