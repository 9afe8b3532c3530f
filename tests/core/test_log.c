/* The log: levels, sinks, lines that do not mix. */
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "core/log.h"
#include "tests/support/support.h"

struct kept {
    int count;
    int broken;
    vg_log_level level;
    char line[4096];
};

static void keep(vg_log_level level, const char *line, void *context)
{
    struct kept *kept = context;
    kept->count++;
    kept->level = level;
    kept->broken += strlen(line) != 9;
    snprintf(kept->line, sizeof kept->line, "%s", line);
}

static void test_levels(void **state)
{
    (void)state;
    struct kept kept = {0};
    vg_log_set_sink(keep, &kept);
    vg_debug("not shown");
    assert_int_equal(kept.count, 0);
    vg_info("step %d", 12);
    assert_int_equal(kept.count, 1);
    assert_int_equal(kept.level, VG_LOG_INFO);
    assert_string_equal(kept.line, "step 12");
    vg_log_set_level(VG_LOG_ERROR);
    vg_warn("not shown");
    assert_int_equal(kept.count, 1);
    vg_log_set_level(VG_LOG_DEBUG);
    vg_debug("shown");
    assert_int_equal(kept.count, 2);
    vg_log_set_level(VG_LOG_INFO);
    vg_log_set_sink(NULL, NULL);
    vg_info("nobody hears this");
    assert_int_equal(kept.count, 2);
}

static void test_long_lines_are_cut(void **state)
{
    (void)state;
    struct kept kept = {0};
    char text[9000];
    memset(text, 'y', sizeof text - 1);
    text[sizeof text - 1] = 0;
    vg_log_set_sink(keep, &kept);
    vg_info("%s", text);
    vg_log_set_sink(NULL, NULL);
    assert_int_equal(kept.count, 1);
    assert_in_range(strlen(kept.line), 1000, 4095);
}

enum { THREADS = 4, LINES = 500 };

static void *talk(void *unused)
{
    for (int i = 0; i < LINES; i++) vg_info("line %04d", i);
    return unused;
}

static void test_threads_do_not_mix(void **state)
{
    (void)state;
    struct kept kept = {0};
    pthread_t threads[THREADS];
    vg_log_set_sink(keep, &kept);
    for (int i = 0; i < THREADS; i++) assert_int_equal(pthread_create(&threads[i], NULL, talk, NULL), 0);
    for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
    vg_log_set_sink(NULL, NULL);
    assert_int_equal(kept.count, THREADS * LINES);
    assert_int_equal(kept.broken, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_levels),
        cmocka_unit_test(test_long_lines_are_cut),
        cmocka_unit_test(test_threads_do_not_mix),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
