/* Stopping on request. Each case runs in a child, whose end is what is looked at. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/signals.h"
#include "tests/support/support.h"

/* The exit status of `body` in a child; -signal when one killed it. */
static int in_child(int (*body)(void))
{
    fflush(NULL);
    pid_t child = fork();
    assert_true(child >= 0);
    if (!child) _exit(body());
    int how = 0;
    assert_int_equal(waitpid(child, &how, 0), child);
    return WIFSIGNALED(how) ? -WTERMSIG(how) : WEXITSTATUS(how);
}

static int one_signal(int number)
{
    if (vg_signals_install() != VG_OK || vg_stop_requested() || vg_stop_signal()) return 1;
    raise(number);
    if (!vg_stop_requested() || vg_stop_signal() != number) return 2;
    vg_signals_uninstall();
    return vg_stop_requested() ? 0 : 3; /* the request outlives the handlers */
}

static int one_int(void)
{
    return one_signal(SIGINT);
}

static int one_term(void)
{
    return one_signal(SIGTERM);
}

static int two_ints(void)
{
    if (vg_signals_install() != VG_OK) return 1;
    raise(SIGINT);
    raise(SIGINT);
    return 2;
}

/* A scheduler may repeat SIGTERM while the checkpoint is written: that must not end the program. */
static int many_terms(void)
{
    if (vg_signals_install() != VG_OK) return 1;
    for (int i = 0; i < 5; i++) raise(SIGTERM);
    return vg_stop_signal() == SIGTERM ? 0 : 2;
}

/* ... but a user's two Ctrl-C after it do. */
static int term_then_ints(void)
{
    if (vg_signals_install() != VG_OK) return 1;
    raise(SIGTERM);
    raise(SIGINT);
    if (vg_stop_signal() != SIGINT) return 2;
    raise(SIGINT);
    return 3;
}

static int uninstalled(void)
{
    if (vg_signals_install() != VG_OK) return 1;
    vg_signals_uninstall();
    vg_signals_uninstall();
    raise(SIGTERM);
    return 2;
}

static int own_handler_seen;

static void own_handler(int number)
{
    own_handler_seen = number;
}

static int handler_before(void)
{
    signal(SIGINT, own_handler);
    if (vg_signals_install() != VG_OK || vg_signals_install() != VG_OK) return 1;
    vg_signals_uninstall();
    raise(SIGINT);
    return own_handler_seen == SIGINT ? 0 : 2;
}

static int by_hand(void)
{
    if (vg_signals_install() != VG_OK) return 1;
    vg_stop_request();
    if (!vg_stop_requested()) return 2;
    if (vg_signals_install() != VG_OK) return 3;
    return vg_stop_requested() ? 4 : 0; /* installing clears the flag */
}

static void test_stop(void **state)
{
    (void)state;
    assert_int_equal(in_child(one_int), 0);
    assert_int_equal(in_child(one_term), 0);
    assert_int_equal(in_child(two_ints), 130);
    assert_int_equal(in_child(many_terms), 0);
    assert_int_equal(in_child(term_then_ints), 130);
    assert_int_equal(in_child(uninstalled), -SIGTERM);
    assert_int_equal(in_child(handler_before), 0);
    assert_int_equal(in_child(by_hand), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_stop)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
