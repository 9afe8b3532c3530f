/* Sockets with deadlines: every way in which a wait can end. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/group/wire.h"
#include "tests/support/support.h"

enum { COUNT = 8 << 20 }; /* more than the system keeps for a connection */

static int ends[2]; /* of one connection */
static int bell[2];

static double soon(void)
{
    return vg__wire_now() + 0.1;
}

static int setup(void **state)
{
    int port, listener = vg__wire_listen(0, 1, &port);
    (void)state;
    assert_true(listener >= 0);
    assert_int_equal(vg__wire_accept(listener), -1);
    assert_int_equal(errno, EAGAIN);
    assert_int_equal(vg__wire_connect("127.0.0.1", port, vg__wire_now() + 5, -1, &ends[0]), VG__WIRE_DONE);
    assert_int_equal(vg__wire_wait(listener, POLLIN, vg__wire_now() + 5, -1), VG__WIRE_DONE);
    ends[1] = vg__wire_accept(listener);
    assert_true(ends[1] >= 0);
    close(listener);
    assert_int_equal(pipe(bell), 0);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        vg__wire_close(&ends[i]);
        vg__wire_close(&ends[i]);
        vg__wire_close(&bell[i]);
    }
    return 0;
}

static void test_late(void **state)
{
    (void)state;
    char bytes[4];
    double then = vg__wire_now();
    assert_int_equal(vg__wire_receive(ends[0], bytes, 4, soon(), bell[0]), VG__WIRE_LATE);
    double took = vg__wire_now() - then;
    if (!(took >= 0.1 && took < 2)) fail_msg("%g s", took);
    assert_int_equal(vg__wire_receive(ends[0], bytes, 4, then, -1), VG__WIRE_LATE);
    assert_int_equal(vg__wire_send(ends[1], "ab", 2, soon(), -1), VG__WIRE_DONE);
    assert_int_equal(vg__wire_receive(ends[0], bytes, 4, soon(), -1), VG__WIRE_LATE);
    char *much = calloc(1, COUNT);
    assert_non_null(much);
    assert_int_equal(vg__wire_send(ends[0], much, COUNT, soon(), -1), VG__WIRE_LATE);
    free(much);
}

static void test_alarm(void **state)
{
    (void)state;
    char bytes[4];
    assert_int_equal(write(bell[1], "", 1), 1);
    assert_int_equal(vg__wire_receive(ends[0], bytes, 4, vg__wire_now() + 60, bell[0]), VG__WIRE_ALARM);
    assert_int_equal(vg__wire_wait(ends[0], POLLIN, vg__wire_now() + 60, bell[0]), VG__WIRE_ALARM);
    char *much = calloc(1, COUNT);
    assert_non_null(much);
    assert_int_equal(vg__wire_send(ends[0], much, COUNT, vg__wire_now() + 60, bell[0]), VG__WIRE_ALARM);
    free(much);
}

/* What was said before the end is heard; saying more raises no SIGPIPE. */
static void test_closed(void **state)
{
    (void)state;
    char bytes[8] = "";
    int64_t moved;
    assert_int_equal(vg__wire_receive_some(ends[1], bytes, 8, &moved), VG__WIRE_DONE);
    assert_int_equal(moved, 0);
    assert_int_equal(vg__wire_send(ends[0], "four", 4, soon(), -1), VG__WIRE_DONE);
    vg__wire_close(&ends[0]);
    assert_int_equal(ends[0], -1);
    assert_int_equal(vg__wire_wait(ends[1], POLLIN, vg__wire_now() + 5, -1), VG__WIRE_DONE);
    assert_int_equal(vg__wire_receive_some(ends[1], bytes, 8, &moved), VG__WIRE_DONE);
    assert_int_equal(moved, 4);
    assert_string_equal(bytes, "four");
    assert_int_equal(vg__wire_receive(ends[1], bytes, 1, vg__wire_now() + 5, -1), VG__WIRE_CLOSED);
    vg__wire_end end = VG__WIRE_DONE;
    for (int i = 0; i < 100 && end == VG__WIRE_DONE; i++) {
        end = vg__wire_send(ends[1], "x", 1, soon(), -1);
        usleep(1000);
    }
    assert_int_equal(end, VG__WIRE_CLOSED);
    assert_string_equal(vg__wire_word(end), "its connection was closed");
}

/* Both ways at once, by whoever polls both: every byte arrives in its order. */
static void test_whole(void **state)
{
    (void)state;
    unsigned char *sent = malloc(COUNT), *got = calloc(1, COUNT);
    int64_t out = 0, in = 0, moved;
    assert_non_null(sent);
    assert_non_null(got);
    for (int i = 0; i < COUNT; i++) sent[i] = (unsigned char)(i * 13 + (i >> 9));
    while (in < COUNT) {
        assert_int_equal(vg__wire_send_some(ends[0], sent + out, COUNT - out, &moved), VG__WIRE_DONE);
        out += moved;
        assert_int_equal(vg__wire_receive_some(ends[1], got + in, COUNT - in, &moved), VG__WIRE_DONE);
        in += moved;
    }
    assert_memory_equal(sent, got, COUNT);
    assert_int_equal(vg__wire_send(ends[0], NULL, 0, soon(), -1), VG__WIRE_DONE);
    free(sent);
    free(got);
}

static void test_sockets(void **state)
{
    (void)state;
    char address[64];
    int port, next, wire;
    assert_true(vg__wire_peer(ends[0], address));
    assert_string_equal(address, "127.0.0.1");
    assert_true(vg__wire_peer(ends[1], address)); /* which came in by IPv6's door */
    assert_string_equal(address, "127.0.0.1");
    for (int i = 0; i < 2; i++) {
        assert_true(fcntl(ends[i], F_GETFD) & FD_CLOEXEC);
        assert_true(fcntl(ends[i], F_GETFL) & O_NONBLOCK);
    }
    /* the first port is taken: the next free one, or none */
    int first = vg__wire_listen(0, 1, &port);
    assert_true(first >= 0);
    assert_int_equal(vg__wire_listen(port, 1, &next), -1);
    assert_int_equal(errno, EADDRINUSE);
    int second = vg__wire_listen(port, 8, &next);
    if (second >= 0) assert_in_range(next, port + 1, port + 7);
    close(first);
    if (second >= 0) close(second);
    assert_int_equal(vg__wire_connect("127.0.0.1", port, vg__wire_now() + 5, -1, &wire), VG__WIRE_FAILED);
    assert_int_equal(errno, ECONNREFUSED);
    assert_int_equal(wire, -1);
    assert_int_equal(vg__wire_connect("nobody.invalid", port, vg__wire_now() + 5, -1, &wire),
                     VG__WIRE_FAILED);
    assert_int_equal(errno, EHOSTUNREACH);
}

int main(void)
{
    signal(SIGPIPE, SIG_DFL);
    const struct CMUnitTest tests[] = {cmocka_unit_test_setup_teardown(test_late, setup, teardown),
                                       cmocka_unit_test_setup_teardown(test_alarm, setup, teardown),
                                       cmocka_unit_test_setup_teardown(test_closed, setup, teardown),
                                       cmocka_unit_test_setup_teardown(test_whole, setup, teardown),
                                       cmocka_unit_test_setup_teardown(test_sockets, setup, teardown)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
