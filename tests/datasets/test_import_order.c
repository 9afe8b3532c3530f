/* Import by several threads: the same store for any number of them, exclusions and warnings in the importer's
 * order, the first error in that order, and a bounded queue. */
#include <sched.h>

#include "core/signals.h"
#include "datasets/import/pipeline/ordered.h"
#include "tests/datasets/import_support.h"

/* ---- The queue alone -------------------------------------------------------------------------------- */

struct item {
    int number;
    bool made, fails;
};

struct tally {
    int made, most; /* jobs that exist, and the most there ever were; by the adding thread alone */
    int next;       /* the number to be emitted */
};

static struct tally tally;

static void work_item(void *argument)
{
    struct item *item = argument;
    /* Early jobs take longest, so that later ones overtake them wherever they can. */
    for (int i = 0; i < 40 - item->number % 40; i++) sched_yield();
    item->made = true;
}

static vg_status emit_item(void *context, void *argument)
{
    struct tally *all = context;
    const struct item *item = argument;
    assert_int_equal(item->number, all->next);
    assert_true(item->made);
    all->next++;
    return item->fails ? vg_fail(VG_ERR_IO, "item %d failed", item->number) : VG_OK;
}

static void discard_item(void *argument)
{
    tally.made--;
    free(argument);
}

static vg_status add_item(vg__ordered *queue, int number, int64_t bytes, bool done, bool fails)
{
    struct item *item = malloc(sizeof *item);
    assert_non_null(item);
    *item = (struct item){.number = number, .made = done, .fails = fails};
    if (++tally.made > tally.most) tally.most = tally.made;
    return vg__ordered_add(queue, item, bytes, done);
}

static const vg__ordered_calls calls = {work_item, emit_item, discard_item, &tally};

static void test_queue(void **state)
{
    (void)state;
    for (int threads = 1; threads <= 8; threads *= 2) {
        vg__ordered *queue;
        tally = (struct tally){0};
        assert_ok(vg__ordered_create(threads, 1000, &calls, &queue));
        /* Every fifth is a line that only keeps its place, one is larger than the limit. */
        for (int i = 0; i < 500; i++) assert_ok(add_item(queue, i, i == 250 ? 5000 : 100, i % 5 == 0, false));
        assert_ok(vg__ordered_drain(queue));
        assert_int_equal(tally.next, 500);
        assert_int_equal(tally.made, 0);
        assert_in_range(tally.most, 1, 11); /* 1000 bytes of 100 each, and the one that is handed in */
        vg__ordered_destroy(queue);
    }
}

static void test_queue_error(void **state)
{
    (void)state;
    for (int threads = 1; threads <= 4; threads++) {
        vg__ordered *queue;
        tally = (struct tally){0};
        assert_ok(vg__ordered_create(threads, 1000, &calls, &queue));
        vg_status status = VG_OK;
        int added = 0;
        while (status == VG_OK && added < 100) {
            status = add_item(queue, added, 100, false, added == 20 || added == 23);
            added++;
        }
        if (added == 100) fail_msg("100 jobs were taken after job 20 had failed");
        for (int again = 0; again < 2; again++)
            assert_fails(add_item(queue, added, 100, false, false), VG_ERR_IO, "item 20 failed");
        assert_fails(vg__ordered_drain(queue), VG_ERR_IO, "item 20 failed");
        assert_int_equal(tally.next, 21);
        vg__ordered_destroy(queue);
        assert_int_equal(tally.made, 0);
    }
}

/* A stop that is asked for is the error of the next call; nothing is emitted after it. */
static void test_queue_stop(void **state)
{
    (void)state;
    for (int threads = 1; threads <= 4; threads++) {
        vg__ordered *queue;
        tally = (struct tally){0};
        assert_ok(vg__ordered_create(threads, 1000, &calls, &queue));
        for (int i = 0; i < 50; i++) assert_ok(add_item(queue, i, 100, false, false));
        const int emitted = tally.next;
        vg_stop_request();
        assert_fails(add_item(queue, 50, 100, false, false), VG_ERR_PREEMPTED, "stopped");
        assert_fails(vg__ordered_drain(queue), VG_ERR_PREEMPTED, "stopped");
        assert_int_equal(tally.next, emitted);
        vg__ordered_destroy(queue);
        assert_int_equal(tally.made, 0);
        assert_ok(vg_signals_install()); /* which forgets the request */
        vg_signals_uninstall();
    }
}

/* ---- Whole imports ---------------------------------------------------------------------------------- */

enum { RECORDS = 24, RATE = 250 };

static void write_bytes(const char *folder, const char *name, const void *bytes, size_t size)
{
    char *path = support_path(folder, name);
    support_write_file(path, bytes, size);
    free(path);
}

/* Records of different lengths; the sixth is flat, the eleventh cut short, the sixteenth of an unknown unit,
 * every fourth slow enough for a warning, every third with a checksum that is wrong. */
static void write_records(const char *folder)
{
    for (int r = 0; r < RECORDS; r++) {
        char name[32], text[512];
        int64_t n = RATE * (20 + 13 * (r * 7 % RECORDS));
        double rate = r % 4 == 0 ? 100 : RATE;
        float *beats = import_beats(r, rate, n);
        int16_t *samples = malloc((size_t)n * sizeof *samples);
        assert_non_null(samples);
        for (int64_t i = 0; i < n; i++) samples[i] = r == 5 ? 7 : (int16_t)lrintf(beats[i] * 1000);
        snprintf(name, sizeof name, "r%02d.dat", r);
        write_bytes(folder, name, samples, (size_t)(r == 10 ? n : 2 * n));
        snprintf(text, sizeof text, "r%02d 1 %g %lld\nr%02d.dat 16 1000/%s 16 0 0 %d 0 II\n", r, rate,
                 (long long)n, r, r == 15 ? "furlong" : "mV", r % 3 ? 0 : 12345);
        snprintf(name, sizeof name, "r%02d.hea", r);
        write_bytes(folder, name, text, strlen(text));
        free(samples);
        free(beats);
    }
}

static void import_with(const char *folder, const char *out, int threads, vg_import_report *report)
{
    vg_import_options options = vg_import_default_options();
    options.threads = threads;
    assert_ok(vg_import("wfdb", &folder, 1, &options, out, true, report));
}

static void test_same_bytes(void **state)
{
    (void)state;
    char *folder = support_temp_dir(), *one = support_path(folder, "one.h5"),
         *many = support_path(folder, "many.h5");
    write_records(folder);
    vg_import_report first, other;
    size_t size, other_size;
    import_with(folder, one, 1, &first);
    assert_int_equal(first.records, RECORDS - 1); /* one could not be read */
    assert_int_equal(first.excluded, 3);
    if (first.warnings < 8) fail_msg("%lld warnings", (long long)first.warnings);
    char *bytes = support_read_file(one, &size);
    for (int threads = 2; threads <= 9; threads += threads < 4 ? 1 : 5) {
        import_with(folder, many, threads, &other);
        char *others = support_read_file(many, &other_size);
        assert_int_equal(size, other_size);
        assert_memory_equal(bytes, others, size);
        free(others);
        assert_int_equal(first.records, other.records);
        assert_int_equal(first.excluded, other.excluded);
        assert_int_equal(first.upside_down, other.upside_down);
        assert_int_equal(first.warnings, other.warnings);
        for (int64_t i = 0; i < first.warnings; i++) assert_string_equal(first.warning[i], other.warning[i]);
        vg_import_report_free(&other);
    }
    vg_import_report_free(&first);
    free(bytes);

    vg_store *store;
    assert_ok(vg_store_open(many, &store));
    const char *const left_out[] = {"r05.hea", "r10.hea", "r15.hea"};
    int found = 0;
    for (int64_t i = 0; i < vg_store_exclusion_count(store); i++) {
        const vg_exclusion *exclusion = vg_store_exclusion(store, i);
        if (strstr(exclusion->reason, "blanked")) continue;
        assert_in_range(found, 0, 2);
        assert_non_null(strstr(exclusion->source, left_out[found]));
        found++;
    }
    assert_int_equal(found, 3);
    vg_store_close(store);
    free(many);
    free(one);
    free(folder);
}

/* With `strict` the first in order is the error, whatever ends first. */
static void test_first_error(void **state)
{
    (void)state;
    char *folder = support_temp_dir(), *out = support_path(folder, "store.h5");
    write_records(folder);
    vg_import_options options = vg_import_default_options();
    options.strict = true;
    for (int threads = 1; threads <= 8; threads *= 2) {
        options.threads = threads;
        import_refuses("wfdb", folder, &options, out, VG_ERR_DATA, "r05.hea: no usable ECG");
    }
    free(out);
    free(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_queue), cmocka_unit_test(test_queue_error),
                                       cmocka_unit_test(test_queue_stop), cmocka_unit_test(test_same_bytes),
                                       cmocka_unit_test(test_first_error)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
