/* An import's memory does not grow with the store. "long" as argument: a store of more than 512 MiB within
 * 512 MiB; without, the same at a tenth of it, where the difference between few recordings and many shows the
 * growth. And a recording of a whole day, which is worked on in another way, with the same result. */
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "datasets/signal/filter.h"
#include "tests/datasets/import_support.h"

enum { RATE = 250, MINUTES = 30, THREADS = 8 };

static bool whole;

/* One signal file of half an hour, and so many records that read it. */
static char *write_records(int records)
{
    const int64_t n = (int64_t)RATE * 60 * MINUTES;
    char *folder = support_temp_dir(), *path = support_path(folder, "all.dat"), name[32], text[256];
    float *beats = import_beats(1, RATE, n);
    int16_t *samples = malloc((size_t)n * sizeof *samples);
    assert_non_null(samples);
    for (int64_t i = 0; i < n; i++) samples[i] = (int16_t)lrintf(beats[i] * 1000);
    support_write_file(path, samples, (size_t)n * sizeof *samples);
    free(path);
    for (int r = 0; r < records; r++) {
        snprintf(name, sizeof name, "r%05d.hea", r);
        snprintf(text, sizeof text, "r%05d 1 %d %lld\nall.dat 16 1000/mV 16 0 0 0 0 II\n", r, RATE,
                 (long long)n);
        path = support_path(folder, name);
        support_write_file(path, text, strlen(text));
        free(path);
    }
    free(samples);
    free(beats);
    return folder;
}

/* Imports in a process of its own. Its peak memory in MiB; the store stays, for the caller to remove. */
static double import_apart(const char *folder, const char *out, int records)
{
    struct rusage used;
    int how;
    fflush(NULL);
    pid_t child = fork();
    assert_true(child >= 0);
    if (!child) {
        vg_import_report report;
        vg_import_options options = vg_import_default_options();
        options.threads = THREADS;
        vg_status status = vg_import("wfdb", &folder, 1, &options, out, false, &report);
        _exit(status == VG_OK && report.recordings == records ? 0 : 1);
    }
    assert_int_equal(wait4(child, &how, 0, &used), child);
    assert_int_equal(how, 0);
    return (double)used.ru_maxrss / 1024;
}

/* Peak memory and the store's size in MiB. */
static double peak_of(int records, double *store_mib)
{
    char *folder = write_records(records), *out = support_path(folder, "out.h5");
    struct stat about;
    const double peak = import_apart(folder, out, records);
    assert_int_equal(stat(out, &about), 0);
    *store_mib = (double)about.st_size / (1 << 20);
    remove(out);
    free(out);
    free(folder);
    return peak;
}

static void test_memory(void **state)
{
    (void)state;
    double few_mib, many_mib, few = peak_of(whole ? 100 : 12, &few_mib);
    double many = peak_of(whole ? 900 : 50, &many_mib);
    printf("%d threads: a store of %.0f MiB within %.0f MiB, one of %.0f MiB within %.0f MiB\n", THREADS,
           few_mib, few, many_mib, many);
    if (!(many < 512)) fail_msg("the import took %.0f MiB", many);
    if (whole && !(many_mib > 512)) fail_msg("the store is %.0f MiB, too small to tell", many_mib);
    /* Arenas settle within some tens of MiB whatever the store; what grows with it would be several times
     * that. */
    if (!(many - few < 0.5 * (many_mib - few_mib) + 48)) fail_msg("memory grew by %.0f MiB", many - few);
}

enum { DAY_RATE = 128, MINUTE = 60 * DAY_RATE, DAY = 24 * 60 * MINUTE };

/* A minute again and again, on a baseline that moves from one to the next. */
static int16_t first_lead(const float *beats, int64_t i)
{
    return (int16_t)lrintf(beats[i % MINUTE] * 1000 + (float)(i / MINUTE % 60));
}

/* Two leads of a day, as long-term sets have them: too long for all filters at once. */
static void test_day(void **state)
{
    (void)state;
    char *folder = support_temp_dir(), *path = support_path(folder, "day.dat"),
         *out = support_path(folder, "out.h5");
    const char *header =
        "day 2 128 11059200\nday.dat 16 1000/mV 16 0 0 0 0 I\nday.dat 16 1000/mV 16 0 0 0 0 II\n";
    float *beats = import_beats(1, DAY_RATE, MINUTE);
    int16_t piece[2 * MINUTE];
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    for (int64_t i = 0; i < DAY; i += MINUTE) {
        for (int64_t k = 0; k < MINUTE; k++) {
            piece[2 * k] = first_lead(beats, i + k);
            piece[2 * k + 1] = (int16_t)lrintf(beats[k] * 500);
        }
        assert_int_equal(fwrite(piece, sizeof piece, 1, file), 1);
    }
    assert_int_equal(fclose(file), 0);
    free(path);
    path = support_path(folder, "day.hea");
    support_write_file(path, header, strlen(header));
    const double peak = import_apart(folder, out, 2);
    printf("two leads of 24 hours at %d Hz: %.0f MiB\n", DAY_RATE, peak);
    if (!(peak < 512)) fail_msg("the import took %.0f MiB", peak);

    const vg_import_options options = vg_import_default_options();
    vg_filter filter;
    vg_store *store;
    float *stored = malloc(DAY * sizeof *stored);
    double *wanted = malloc(DAY * sizeof *wanted); /* only now: the import's process would share it */
    assert_true(stored && wanted);
    for (int64_t i = 0; i < DAY; i++) wanted[i] = (double)first_lead(beats, i) / 1000;
    assert_ok(
        vg_filter_design(VG_FILTER_BANDPASS, options.order, options.low, options.high, DAY_RATE, &filter));
    assert_ok(vg_filter_zero_phase(&filter, wanted, DAY, NULL));
    assert_ok(vg_store_open(out, &store));
    assert_ok(vg_store_read(store, 0, 0, DAY, stored));
    for (int64_t i = 0; i < DAY; i++)
        if (stored[i] != (float)wanted[i])
            fail_msg("sample %lld is %g, not %g", (long long)i, stored[i], wanted[i]);
    int64_t count;
    assert_true(vg_store_beats(store, 0, &count) && count > 24 * 60 * 30);
    vg_store_close(store);
    free(stored);
    free(wanted);
    free(beats);
    free(out);
    free(path);
    free(folder);
}

int main(int argc, char **argv)
{
    whole = argc > 1 && !strcmp(argv[1], "long");
    const char *sanitized = getenv("VAGUS_SANITIZED");
    if (sanitized && *sanitized) {
        printf("skipped: a sanitizer's own memory is larger than what is measured\n");
        return 77;
    }
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_memory), cmocka_unit_test(test_day)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
