/* An import's memory does not grow with the store. "long" as argument: a store of more than 512 MiB within
 * 512 MiB; without, the same at a tenth of it, where the difference between few recordings and many shows the
 * growth. */
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

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

/* Imports in a process of its own. Peak memory and the store's size in MiB. */
static double peak_of(int records, double *store_mib)
{
    char *folder = write_records(records), *out = support_path(folder, "out.h5");
    struct rusage used;
    struct stat about;
    int how;
    fflush(NULL);
    pid_t child = fork();
    assert_true(child >= 0);
    if (!child) {
        vg_import_report report;
        vg_import_options options = vg_import_default_options();
        const char *source = folder;
        options.threads = THREADS;
        vg_status status = vg_import("wfdb", &source, 1, &options, out, false, &report);
        _exit(status == VG_OK && report.recordings == records ? 0 : 1);
    }
    assert_int_equal(wait4(child, &how, 0, &used), child);
    assert_int_equal(how, 0);
    assert_int_equal(stat(out, &about), 0);
    *store_mib = (double)about.st_size / (1 << 20);
    remove(out);
    free(out);
    free(folder);
    return (double)used.ru_maxrss / 1024;
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

int main(int argc, char **argv)
{
    whole = argc > 1 && !strcmp(argv[1], "long");
    const char *sanitized = getenv("VAGUS_SANITIZED");
    if (sanitized && *sanitized) {
        printf("skipped: a sanitizer's own memory is larger than what is measured\n");
        return 77;
    }
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_memory)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
