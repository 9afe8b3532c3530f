/* R peaks against the annotations of the MIT-BIH Arrhythmia Database: every beat label of the reference
 * annotations (`.atr`) over the whole 30 minutes of each record, pairs within 150 ms as ANSI/AAMI EC57 asks.
 * EC57 leaves out the first five minutes, in which a real-time detector learns, and the episodes of
 * ventricular flutter, which have no beats to be found (record 207, marked '[' to ']'); here nothing learns,
 * so the five minutes count, and flutter is left out wherever a record has it. Needs VAGUS_TEST_DATA. */
#include "datasets/signal/rpeaks.h"
#include "tests/datasets/import_support.h"

/* Codes of WFDB's ecgcodes.h. */
enum { FLUTTER_BEGINS = 32, FLUTTER_ENDS = 33, SKIP = 59, NUM = 60, SUB = 61, CHN = 62, AUX = 63 };

/* Normal, bundle branch blocks, premature, escape, fusion and paced beats, R on T, unclassifiable. */
static bool is_beat(unsigned code)
{
    return (code >= 1 && code <= 13) || code == 25 || code == 30 || code == 34 || code == 35 || code == 38;
}

typedef struct annotations {
    int64_t *beat, *flutter; /* flutter: begin and end in turn */
    int64_t beats, flutters;
} annotations;

/* MIT format: words of 16 bits, the upper 6 a code, the lower 10 the time since the one before. */
static annotations read_annotations(const char *path)
{
    size_t size;
    unsigned char *bytes = support_read_file(path, &size);
    annotations a = {calloc(size, sizeof *a.beat), calloc(size, sizeof *a.flutter), 0, 0};
    int64_t time = 0;
    for (size_t i = 0; i + 1 < size; i += 2) {
        unsigned word = bytes[i] | (unsigned)bytes[i + 1] << 8, code = word >> 10, value = word & 0x3ff;
        if (word == 0) break;
        if (code == SKIP && i + 5 < size) { /* 32 bits, high half first */
            time += (int64_t)(bytes[i + 2] | bytes[i + 3] << 8) * 65536 + (bytes[i + 4] | bytes[i + 5] << 8);
            i += 4;
        } else if (code == AUX) { /* a text of `value` bytes, padded to an even number */
            i += (value + 1) / 2 * 2;
        } else if (code != NUM && code != SUB && code != CHN) {
            time += value;
            if (is_beat(code)) a.beat[a.beats++] = time;
            bool open = a.flutters % 2;
            if ((code == FLUTTER_BEGINS && !open) || (code == FLUTTER_ENDS && open))
                a.flutter[a.flutters++] = time;
        }
    }
    if (a.flutters % 2) a.flutter[a.flutters++] = INT64_MAX;
    free(bytes);
    return a;
}

static bool in_flutter(const annotations *a, double at)
{
    for (int64_t k = 0; k < a->flutters; k += 2)
        if (at >= (double)a->flutter[k] && at <= (double)a->flutter[k + 1]) return true;
    return false;
}

typedef struct score {
    int64_t beats, found, hits;
    double squares; /* of the distances of the pairs, in samples */
} score;

/* Pairs both lists within 150 ms; each beat is used once. */
static score compare(const annotations *a, const vg_rpeaks *peaks, double rate)
{
    score s = {0};
    int64_t i = 0, k = 0;
    while (i < a->beats || k < peaks->count) {
        if (i < a->beats && in_flutter(a, (double)a->beat[i])) {
            i++;
        } else if (k < peaks->count && in_flutter(a, peaks->position[k])) {
            k++;
        } else {
            double distance = i == a->beats       ? -INFINITY
                              : k == peaks->count ? INFINITY
                                                  : peaks->position[k] - (double)a->beat[i];
            bool pair = fabs(distance) <= 0.15 * rate;
            if (pair) s.squares += distance * distance;
            s.hits += pair;
            s.beats += pair || distance > 0;
            s.found += pair || distance < 0;
            i += pair || distance > 0;
            k += pair || distance < 0;
        }
    }
    return s;
}

static double sensitivity(const score *s)
{
    return (double)s->hits / (double)s->beats;
}

static double precision(const score *s)
{
    return (double)s->hits / (double)s->found;
}

static void print_row(const char *record, const char *lead, const score *first, const score *second,
                      double rate)
{
    printf("%-6s %-5s %6lld %6lld %6lld   %.4f %.4f %5.1f ms    %.4f %.4f\n", record, lead,
           (long long)first->beats, (long long)(first->beats - first->hits),
           (long long)(first->found - first->hits), sensitivity(first), precision(first),
           1000 * sqrt(first->squares / (double)first->hits) / rate, sensitivity(second), precision(second));
}

static void add(score *total, const score *s)
{
    total->beats += s->beats;
    total->found += s->found;
    total->hits += s->hits;
    total->squares += s->squares;
}

static void test_mitdb(void **unused)
{
    (void)unused;
    const double rate = 360;
    char *folder = support_temp_dir(), *out = support_path(folder, "mitdb.h5"),
         *source = support_path(support_data(), "mitdb");
    vg_import_options options = import_untouched(rate);
    vg_import_report report;
    options.leads = "first";
    vg_store *store = import_and_open("wfdb", source, &options, out, &report);
    assert_int_equal(report.recordings, 12);
    score first = {0}, second = {0};
    printf("record lead   beats missed  false   sens.  prec.   error      Elgendi: sens. and prec.\n");
    for (int64_t r = 0; r < 12; r++) {
        const vg_recording *recording = vg_store_recording(store, r);
        char name[64];
        snprintf(name, sizeof name, "mitdb/%s.atr", recording->subject);
        char *path = support_path(support_data(), name);
        annotations a = read_annotations(path);
        assert_true(a.beats > 1000);
        float *x = import_samples(store, r);
        double *wide = malloc((size_t)recording->length * sizeof *wide);
        assert_non_null(wide);
        for (int64_t i = 0; i < recording->length; i++) wide[i] = (double)x[i];
        vg_rpeaks one, two;
        assert_ok(vg_rpeaks_detect_both(wide, recording->length, rate, &one, &two));
        score s = compare(&a, &one, rate), e = compare(&a, &two, rate);
        print_row(recording->subject, recording->lead, &s, &e, rate);
        if (!(sensitivity(&s) > 0.98 && precision(&s) > 0.98)) fail_msg("record %s", recording->subject);
        add(&first, &s);
        add(&second, &e);
        vg_rpeaks_free(&one);
        vg_rpeaks_free(&two);
        free(a.beat);
        free(a.flutter);
        free(wide);
        free(x);
        free(path);
    }
    print_row("all", "", &first, &second, rate);
    if (!(sensitivity(&first) > 0.99 && precision(&first) > 0.99))
        fail_msg("sensitivity %.4f, precision %.4f", sensitivity(&first), precision(&first));
    if (!(sensitivity(&second) > 0.98 && precision(&second) > 0.98))
        fail_msg("Elgendi: sensitivity %.4f, precision %.4f", sensitivity(&second), precision(&second));
    vg_store_close(store);
    vg_import_report_free(&report);
    remove(out);
    free(source);
    free(out);
    free(folder);
}

int main(void)
{
    support_skip_without_data();
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_mitdb)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
