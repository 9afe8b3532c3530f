/* Codes and causes. */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/status.h"
#include "tests/support/support.h"

static void test_names(void **state)
{
    (void)state;
    assert_string_equal(vg_status_name(VG_OK), "OK");
    assert_string_equal(vg_status_name(VG_ERR_IO), "ERR_IO");
    assert_string_equal(vg_status_text(VG_ERR_PREEMPTED), "stopped on request, resumable");
    assert_string_equal(vg_status_name((vg_status)-999), "ERR_UNKNOWN");
    assert_string_equal(vg_status_text((vg_status)-999), "unknown status");
}

/* Every failure is negative, and no two are alike. */
static void test_codes_differ(void **state)
{
    (void)state;
    static const int codes[] = {
#define CODE(name, code, text) code,
        VG_STATUS_MAP(CODE)
#undef CODE
    };
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++) {
        assert_true(i == 0 ? codes[i] == 0 : codes[i] < 0);
        for (size_t k = 0; k < i; k++) assert_int_not_equal(codes[i], codes[k]);
    }
}

static vg_status fails(int number)
{
    return vg_fail(VG_ERR_DATA, "recording %d is flat", number);
}

static vg_status passes_on(int number, int *after)
{
    VG_TRY(fails(number));
    ++*after;
    return VG_OK;
}

static void test_cause(void **state)
{
    (void)state;
    int after = 0;
    assert_int_equal(passes_on(7, &after), VG_ERR_DATA);
    assert_int_equal(after, 0);
    assert_string_equal(vg_cause(), "recording 7 is flat");
    assert_non_null(strstr(vg_cause_where(), "test_status.c:"));
    assert_int_equal(vg_context(VG_ERR_DATA, "store %s", "a.h5"), VG_ERR_DATA);
    assert_string_equal(vg_cause(), "store a.h5: recording 7 is flat");
    /* A new cause may quote the old one. */
    assert_int_equal(vg_fail(VG_ERR_IO, "again: %s", vg_cause()), VG_ERR_IO);
    assert_string_equal(vg_cause(), "again: store a.h5: recording 7 is flat");
}

static void test_long_causes_are_cut(void **state)
{
    (void)state;
    char text[5000];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = 0;
    assert_int_equal(vg_fail(VG_ERR_IO, "%s", text), VG_ERR_IO);
    size_t length = strlen(vg_cause());
    assert_in_range(length, 1000, 3000);
    for (int i = 0; i < 5; i++) assert_int_equal(vg_context(VG_ERR_IO, "%s", text), VG_ERR_IO);
    assert_true(strlen(vg_cause()) <= length);
}

static void *other_thread(void *seen)
{
    snprintf(seen, 100, "%s", vg_cause());
    vg_status status = vg_fail(VG_ERR_IO, "of the other thread");
    (void)status;
    return NULL;
}

static void test_each_thread_has_its_cause(void **state)
{
    (void)state;
    char seen[100] = "?";
    pthread_t thread;
    assert_int_equal(fails(1), VG_ERR_DATA);
    assert_int_equal(pthread_create(&thread, NULL, other_thread, seen), 0);
    pthread_join(thread, NULL);
    assert_string_equal(seen, "");
    assert_string_equal(vg_cause(), "recording 1 is flat");
}

static void test_assert_aborts(void **state)
{
    (void)state;
    fflush(NULL);
    pid_t child = fork();
    assert_true(child >= 0);
    if (!child) {
        if (!freopen("/dev/null", "w", stderr)) _exit(3);
        signal(SIGABRT, SIG_DFL);
        VG_ASSERT(1 + 1 == 2);
        VG_ASSERT(1 + 1 == 3);
        _exit(0);
    }
    int how;
    assert_int_equal(waitpid(child, &how, 0), child);
    assert_true(WIFSIGNALED(how) && WTERMSIG(how) == SIGABRT);
}

/* The comparator of the other tests: it must be able to fail. */
static void test_support_reads_causes(void **state)
{
    (void)state;
    assert_fails(fails(3), VG_ERR_DATA, "recording 3");
    assert_ok(VG_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_codes_differ),
        cmocka_unit_test(test_cause),
        cmocka_unit_test(test_long_causes_are_cut),
        cmocka_unit_test(test_each_thread_has_its_cause),
        cmocka_unit_test(test_assert_aborts),
        cmocka_unit_test(test_support_reads_causes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
