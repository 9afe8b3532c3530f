/* How ranks meet: in any order, with some missing, one too many, others at the door, and strangers. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "core/group/watch_own.h"
#include "tests/core/watch_crew.h"

static char host[256]; /* this machine's, as it stands in the causes */

static void doze(double seconds)
{
    nanosleep(&(struct timespec){(time_t)seconds, (long)(1e9 * (seconds - (double)(time_t)seconds))}, NULL);
}

/* What every rank knows of each, and one word to see that all are connected. */
static vg_status look_round(vg__watch *watch, int rank)
{
    int64_t size = 0;
    for (int other = 0; other < 3; other++) {
        const vg__member *member = vg__watch_member(watch, other);
        if (strcmp(member->host, host) != 0 || strcmp(member->address, "127.0.0.1") != 0 ||
            member->port != 7000 + other)
            return vg_fail(VG_ERR_DATA, "rank %d knows rank %d as %s, %s, %d", rank, other, member->host,
                           member->address, member->port);
    }
    if (rank == 0) size = 3;
    VG_TRY(vg__watch_broadcast(watch, "size", &size, sizeof size));
    return size == 3 ? VG_OK : vg_fail(VG_ERR_DATA, "%lld ranks", (long long)size);
}

static vg_status hello(vg__watch *watch, int rank)
{
    int64_t one = 1;
    (void)rank;
    return vg__watch_broadcast(watch, "one", &one, sizeof one);
}

static void test_orders(void **state)
{
    (void)state;
    static const int orders[][3] = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};
    for (size_t i = 0; i < sizeof orders / sizeof *orders; i++) {
        struct crew crew;
        crew_make(&crew, 3);
        for (int j = 0; j < 3; j++) {
            crew_start(&crew, orders[i][j], look_round);
            doze(0.03);
        }
        crew_expect_all(&crew, VG_OK, "");
        crew_close(&crew);
    }
}

/* Rank 0 comes last and makes its own socket, at the second of its ports, since somebody who takes
 * connections and says nothing has the first. */
static void test_ports(void **state)
{
    (void)state;
    struct crew crew;
    crew_make(&crew, 3);
    int squatter = crew.place.listener;
    crew.place.listener = -1;
    crew.place.ports = 8;
    crew_start(&crew, 1, look_round);
    crew_start(&crew, 2, look_round);
    doze(0.2);
    crew_start(&crew, 0, look_round);
    crew_expect_all(&crew, VG_OK, "");
    close(squatter);
    crew_close(&crew);
}

/* Nobody at the port for a while; by name, and by IPv6 where there is some. */
static void test_name(void **state)
{
    (void)state;
    static const char *const names[] = {"localhost", "::1"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        struct crew crew;
        crew_make(&crew, 3);
        snprintf(crew.place.master, sizeof crew.place.master, "%s", names[i]);
        int wire;
        if (vg__wire_connect(names[i], crew.place.port, vg__wire_now() + 5, -1, &wire) != VG__WIRE_DONE) {
            print_message("no %s here\n", names[i]);
            crew_close(&crew);
            continue;
        }
        close(wire);
        close(crew.place.listener);
        crew.place.listener = -1;
        crew_start(&crew, 1, hello);
        crew_start(&crew, 2, hello);
        doze(0.2);
        crew_start(&crew, 0, hello);
        crew_expect_all(&crew, VG_OK, "");
        crew_close(&crew);
    }
}

/* An address of this machine that is not loopback: the one that would lead outside; nothing is sent. */
static bool own_address(char out[64])
{
    struct sockaddr_in far = {.sin_family = AF_INET, .sin_port = htons(9)}, own;
    socklen_t size = sizeof own;
    far.sin_addr.s_addr = htonl(0xc0000201); /* 192.0.2.1 */
    int wire = socket(AF_INET, SOCK_DGRAM, 0);
    bool found = wire >= 0 && !connect(wire, (struct sockaddr *)&far, sizeof far) &&
                 !getsockname(wire, (struct sockaddr *)&own, &size) &&
                 inet_ntop(AF_INET, &own.sin_addr, out, 64) && strncmp(out, "127.", 4) != 0;
    if (wire >= 0) close(wire);
    return found;
}

static char outside[64];

static vg_status look_at_addresses(vg__watch *watch, int rank)
{
    static const char inside[] = "127.0.0.1";
    const char *wanted[3][3] = {
        {inside, inside, outside}, {inside, inside, outside}, {outside, outside, outside}};
    for (int other = 0; other < 3; other++)
        if (strcmp(vg__watch_member(watch, other)->address, wanted[rank][other]) != 0)
            return vg_fail(VG_ERR_DATA, "rank %d knows rank %d at %s, not at %s", rank, other,
                           vg__watch_member(watch, other)->address, wanted[rank][other]);
    return hello(watch, rank);
}

/* Rank 1 sits beside rank 0 and comes by loopback, rank 2 comes from outside: what is loopback for the one
 * must not be told to the other. */
static void test_addresses(void **state)
{
    (void)state;
    struct crew crew;
    if (!own_address(outside)) {
        print_message("no address but loopback here\n");
        return;
    }
    crew_make(&crew, 3);
    crew_start(&crew, 0, look_at_addresses);
    crew_start(&crew, 1, look_at_addresses);
    snprintf(crew.place.master, sizeof crew.place.master, "%s", outside);
    crew_start(&crew, 2, look_at_addresses);
    crew_expect_all(&crew, VG_OK, "");
    crew_close(&crew);
}

/* mpirun: rank 0 begins to listen before the others know where. */
static void test_listen(void **state)
{
    (void)state;
    struct crew crew;
    crew_make(&crew, 3);
    close(crew.place.listener);
    crew.place.listener = -1;
    crew.place.master[0] = 0;
    crew.place.port = crew.place.ports = 0;
    assert_ok(vg__watch_listen(&crew.place));
    assert_string_equal(crew.place.master, "127.0.0.1");
    assert_true(crew.place.port > 0 && crew.place.ports == 1 && crew.place.listener >= 0);
    crew_start_all(&crew, look_round);
    crew_expect_all(&crew, VG_OK, "");
    crew_close(&crew);

    vg_place place = {.size = 2, .local_size = 1, .listener = -1};
    assert_ok(vg__watch_listen(&place));
    assert_string_equal(place.master, host);
    close(place.listener);
}

static void test_listener(void **state)
{
    (void)state;
    struct crew crew;
    crew_make(&crew, 2);
    vg_place place = crew.place;
    int pipes[2];
    vg__watch *watch = NULL;
    assert_int_equal(pipe(pipes), 0);
    place.listener = pipes[0]; /* is the watch's from here on */
    assert_fails(vg__watch_open(&place, 1, 1, 0, &watch), VG_ERR_CONFIG,
                 "(VAGUS_LISTENER) is no socket that");
    close(pipes[1]);
    place.listener = 999;
    assert_fails(vg__watch_open(&place, 1, 1, 0, &watch), VG_ERR_CONFIG, "999");
    place.listener = -1; /* taken by the crew's own */
    assert_fails(vg__watch_open(&place, 1, 1, 0, &watch), VG_ERR_PEER, "rank 0 cannot listen at port ");
    assert_null(watch);
    vg__watch_close(watch, VG_OK);
    crew_close(&crew);
}

static void test_missing(void **state)
{
    (void)state;
    char wanted[1024];
    struct crew crew;
    crew_make(&crew, 8);
    crew.start_timeout = 0.7;
    for (int rank = 0; rank < 5; rank++)
        if (rank != 2) crew_start(&crew, rank, hello);
    snprintf(wanted, sizeof wanted,
             "ranks 2 and 5-7 of 8 did not arrive within 0.7 s; here are: 0-1 (%s), 3-4 (%s)", host, host);
    for (int rank = 0; rank < 5; rank++)
        if (rank != 2) crew_expect(&crew, rank, VG_ERR_PEER, wanted);
    crew_close(&crew);
    crew_make(&crew, 2);
    crew.start_timeout = 0.3;
    crew_start(&crew, 0, hello);
    crew_expect(&crew, 0, VG_ERR_PEER, "rank 1 of 2 did not arrive within 0.3 s; here are: 0 (");
    crew_close(&crew);
}

/* Rank 0 is to wait for longer than this rank will, and had said who is missing. */
static void test_impatient(void **state)
{
    (void)state;
    struct crew crew;
    crew_make(&crew, 3);
    crew_start(&crew, 0, hello);
    crew.start_timeout = 0.3;
    crew_start(&crew, 1, hello);
    crew_expect(&crew, 1, VG_ERR_PEER, "rank 2 of 3 did not arrive within 0.3 s, as rank 0 (127.0.0.1) said");
    crew.start_timeout = 20;
    crew_start(&crew, 1, hello); /* its place is free again */
    crew_start(&crew, 2, hello);
    crew_expect_all(&crew, VG_OK, "");
    crew_close(&crew);
}

/* No rank 0: a refused connection, a port that takes and says nothing, a name that nobody knows. */
static void test_nobody(void **state)
{
    (void)state;
    struct crew crew;
    crew_make(&crew, 2);
    crew.start_timeout = 0.3;
    crew_start(&crew, 1, hello);
    crew_expect(&crew, 1, VG_ERR_PEER, "but rank 0 says nothing. Was rank 0 started");
    close(crew.place.listener);
    crew.place.listener = -1;
    crew_start(&crew, 1, hello);
    crew_expect(&crew, 1, VG_ERR_PEER, "within 0.3 s: Connection refused");
    snprintf(crew.place.master, sizeof crew.place.master, "nobody.invalid");
    crew_start(&crew, 1, hello);
    crew_expect(&crew, 1, VG_ERR_PEER, ") did not reach rank 0 at nobody.invalid, port ");
    crew_close(&crew);
}

/* Each of these is told why; the job itself meets all the same. */
static void test_others(void **state)
{
    (void)state;
    struct crew crew;
    crew_make(&crew, 3);
    crew_start(&crew, 0, hello);
    crew_start(&crew, 1, hello);
    doze(0.1);
    vg_place place = crew.place;
    place.rank = 1;
    place.listener = -1;
    crew_start_as(&crew, 10, &place, hello);
    crew_expect(&crew, 10, VG_ERR_CONFIG, "rank 1 is there twice");
    place.size = 5;
    place.rank = 2;
    crew_start_as(&crew, 10, &place, hello);
    crew_expect(&crew, 10, VG_ERR_CONFIG, "was started as one of 5, rank 0 (");
    place.size = 3;
    snprintf(place.job, sizeof place.job, "another");
    crew.start_timeout = 0.3;
    crew_start_as(&crew, 10, &place, hello);
    crew_expect(&crew, 10, VG_ERR_PEER, "belongs to the job \"another\", rank 0 here (");
    crew.start_timeout = 20;
    crew_start(&crew, 2, hello);
    crew_expect_all(&crew, VG_OK, "");
    crew_close(&crew);
}

/* A rank that dies while the others are still awaited may come again. */
static void test_again(void **state)
{
    (void)state;
    struct crew crew;
    crew_make(&crew, 3);
    crew_start(&crew, 0, hello);
    for (int i = 0; i < 3; i++) {
        crew_start(&crew, 1, hello);
        doze(0.1);
        kill(crew.pids[1], SIGKILL);
        crew_end(&crew, 1);
    }
    crew_start(&crew, 1, hello);
    crew_start(&crew, 2, hello);
    crew_expect_all(&crew, VG_OK, "");
    crew_close(&crew);
}

/* SIGTERM while others are awaited ends the waiting at all who are there. */
static void test_asked_to_stop(void **state)
{
    (void)state;
    static const char *const causes[] = {") was asked to stop while it waited for rank 2 of 3",
                                         ") was asked to stop before all ranks had arrived"};
    for (int asked = 0; asked < 2; asked++) {
        struct crew crew;
        crew_make(&crew, 3);
        crew_start(&crew, 0, hello);
        crew_start(&crew, 1, hello);
        doze(0.1);
        kill(crew.pids[asked], SIGTERM);
        crew_expect(&crew, asked, VG_ERR_PREEMPTED, causes[asked]);
        if (asked == 0) crew_expect(&crew, 1, VG_ERR_PREEMPTED, causes[0]);
        crew_close(&crew);
    }
    struct crew crew; /* nobody listens, then */
    crew_make(&crew, 2);
    close(crew.place.listener);
    crew.place.listener = -1;
    crew_start(&crew, 1, hello);
    doze(0.1);
    kill(crew.pids[1], SIGTERM);
    crew_expect(&crew, 1, VG_ERR_PREEMPTED, causes[1]);
    crew_close(&crew);
}

/* ---- Strangers, by hand -------------------------------------------------------------------------------- */

static int call(const struct crew *crew)
{
    int wire;
    assert_int_equal(vg__wire_connect("127.0.0.1", crew->place.port, vg__wire_now() + 5, -1, &wire),
                     VG__WIRE_DONE);
    return wire;
}

static void say(int wire, const void *bytes, size_t count)
{
    assert_int_equal(vg__wire_send(wire, bytes, (int64_t)count, vg__wire_now() + 5, -1), VG__WIRE_DONE);
}

/* The refusal that comes, or the end of the connection ("") */
static void answer(int wire, char *out, size_t room)
{
    vg__header header;
    out[0] = 0;
    vg__wire_end end = vg__wire_receive(wire, &header, sizeof header, vg__wire_now() + 5, -1);
    if (end == VG__WIRE_CLOSED) return;
    assert_int_equal(end, VG__WIRE_DONE);
    assert_int_equal(header.magic, VG__FRAME_MAGIC);
    assert_int_equal(header.frame, VG__FRAME_REFUSED);
    assert_true(header.count > 0 && header.count < (int64_t)room);
    assert_int_equal(vg__wire_receive(wire, out, header.count, vg__wire_now() + 5, -1), VG__WIRE_DONE);
    out[header.count] = 0;
}

static void test_strangers(void **state)
{
    (void)state;
    struct crew crew;
    int silent[200];
    char text[1024];
    vg__hello said;
    crew_make(&crew, 3);
    crew_start(&crew, 0, hello);
    crew_start(&crew, 1, hello);
    for (int i = 0; i < 200; i++) silent[i] = call(&crew);
    say(silent[199], "VAGUSRUN", 8); /* half a hello, and no more */

    int wire = call(&crew);
    static const char request[] = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
    say(wire, request, sizeof request - 1);
    answer(wire, text, sizeof text);
    assert_string_equal(text, "");
    close(wire);

    vg__hello_fill(&said, &crew.place, 0);
    said.rank = 2;
    said.protocol++;
    wire = call(&crew);
    say(wire, &said, sizeof said);
    answer(wire, text, sizeof text);
    assert_non_null(strstr(text, "another version of vagus"));
    close(wire);

    vg__hello_fill(&said, &crew.place, 0);
    said.rank = 2;
    snprintf(said.version, sizeof said.version, "99");
    wire = call(&crew);
    for (size_t i = 0; i < sizeof said; i += 8) { /* in pieces */
        say(wire, (char *)&said + i, 8);
        if (i % 64 == 0) doze(0.001);
    }
    answer(wire, text, sizeof text);
    assert_non_null(strstr(text, "runs vagus 99, rank 0"));
    close(wire);

    static const int ranks[] = {-1, 0, 3, 2147483647};
    for (size_t i = 0; i < sizeof ranks / sizeof *ranks; i++) {
        vg__hello_fill(&said, &crew.place, 0);
        said.rank = ranks[i];
        memset(said.host, 'h', sizeof said.host); /* and no end to its name */
        wire = call(&crew);
        say(wire, &said, sizeof said);
        answer(wire, text, sizeof text);
        assert_non_null(strstr(text, "says that it is rank "));
        close(wire);
    }
    double then = vg__wire_now();
    crew_start(&crew, 2, hello);
    for (int rank = 0; rank < 3; rank++) {
        double when = crew_expect(&crew, rank, VG_OK, "");
        if (!(when - then < 2)) fail_msg("strangers held rank %d up for %g s", rank, when - then);
    }
    for (int i = 0; i < 200; i++) close(silent[i]);
    crew_close(&crew);
}

/* ---- A rank that does not speak as it should ----------------------------------------------------------- */

static vg__header bad;
static char bad_bytes[64];
static size_t bad_count;

static vg_status misbehave(struct crew *crew)
{
    vg_place place = crew->place;
    vg__hello said;
    vg__header header;
    char scrap[4096];
    place.rank = 2;
    vg__hello_fill(&said, &place, 0);
    int wire = call(crew);
    say(wire, &said, sizeof said);
    do {
        if (vg__wire_receive(wire, &header, sizeof header, vg__wire_now() + 5, -1) != VG__WIRE_DONE ||
            vg__wire_receive(wire, scrap, header.count, vg__wire_now() + 5, -1) != VG__WIRE_DONE)
            return vg_fail(VG_ERR_DATA, "not welcome");
    } while (header.frame != VG__FRAME_WELCOME);
    say(wire, &bad, sizeof bad);
    say(wire, bad_bytes, bad_count);
    while (vg__wire_receive(wire, scrap, 1, vg__wire_now() + 5, -1) == VG__WIRE_DONE) {
    }
    return VG_OK;
}

static vg_status stay(vg__watch *watch, int rank)
{
    (void)rank;
    struct pollfd polled = {.fd = vg__watch_alarm(watch), .events = POLLIN};
    if (poll(&polled, 1, 60000) != 1) return vg_fail(VG_ERR_DATA, "nothing happened for a minute");
    return vg__watch_fail(watch);
}

static void broken_by(vg__header header, size_t count, const char *text)
{
    struct crew crew;
    crew_make(&crew, 3);
    bad = header;
    bad_count = count;
    crew_start(&crew, 0, stay);
    crew_start(&crew, 1, stay);
    crew_start_other(&crew, 2, misbehave);
    crew_expect(&crew, 0, VG_ERR_PEER, text);
    crew_expect(&crew, 1, VG_ERR_PEER, text);
    crew_expect(&crew, 2, VG_OK, "");
    crew_close(&crew);
}

static void test_broken_frames(void **state)
{
    (void)state;
    static const char text[] = ") sent something that is not of this program";
    vg__header good = {.magic = VG__FRAME_MAGIC, .frame = VG__FRAME_GATHER, .count = 10, .what = "x"};
    vg__header header = good;
    header.magic++;
    broken_by(header, 0, text);
    header = good;
    header.count = VG__FRAME_LIMIT + 1;
    broken_by(header, 0, text);
    header.count = -1;
    broken_by(header, 0, text);
    header = good;
    header.frame = 99;
    broken_by(header, 0, text);
    header.frame = VG__FRAME_BROADCAST; /* which only rank 0 says */
    broken_by(header, 0, text);
    header.frame = VG__FRAME_BEAT;
    broken_by(header, 0, text);
    header.frame = VG__FRAME_NOTICE;
    header.count = VG__CAUSE_LENGTH;
    broken_by(header, 0, text);
    header = good;
    memset(header.what, 'x', sizeof header.what);
    broken_by(header, 0, text);
    header = good;
    header.frame = VG__FRAME_NOTICE; /* "something": a status that is none is taken for a lost rank */
    header.status = 5;
    memset(bad_bytes, 'y', sizeof bad_bytes);
    broken_by(header, 10, "yyyyyyyyyy");
}

/* Dies as soon as it has come, as the last one. */
static vg_status come_and_die(struct crew *crew)
{
    vg_place place = crew->place;
    vg__hello said;
    struct linger reset = {.l_onoff = 1};
    place.rank = 2;
    vg__hello_fill(&said, &place, 0);
    int wire = call(crew);
    setsockopt(wire, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    say(wire, &said, sizeof said);
    close(wire);
    return VG_OK;
}

/* It may be seen as one that has gone again (and rank 2 is awaited for longer), or was welcome already: then
 * the others hear of its loss, not of rank 0's. */
static void test_come_and_die(void **state)
{
    (void)state;
    for (int i = 0; i < 20; i++) {
        struct crew crew;
        crew_make(&crew, 3);
        crew.start_timeout = 0.3;
        crew_start(&crew, 0, stay);
        crew_start(&crew, 1, stay);
        doze(0.05);
        crew_start_other(&crew, 2, come_and_die);
        crew_expect(&crew, 0, VG_ERR_PEER, "rank 2 ");
        crew_expect(&crew, 1, VG_ERR_PEER, "rank 2 ");
        crew_expect(&crew, 2, VG_OK, "");
        crew_close(&crew);
    }
}

static vg_status half_a_word(struct crew *crew)
{
    vg_place place = crew->place;
    vg__hello said;
    place.rank = 2;
    vg__hello_fill(&said, &place, 0);
    int wire = call(crew);
    say(wire, &said, sizeof said);
    doze(0.2);
    vg__header header = {.magic = VG__FRAME_MAGIC, .frame = VG__FRAME_GATHER, .count = 1000};
    say(wire, &header, sizeof header);
    say(wire, &header, sizeof header);
    close(wire);
    return VG_OK;
}

static void test_half_a_word(void **state)
{
    (void)state;
    struct crew crew;
    crew_make(&crew, 3);
    crew_start(&crew, 0, stay);
    crew_start(&crew, 1, stay);
    doze(0.1);
    crew_start_other(&crew, 2, half_a_word);
    crew_expect(&crew, 0, VG_ERR_PEER, "rank 2 (");
    crew_expect(&crew, 1, VG_ERR_PEER, ") is lost: its process ended without a word");
    crew_expect(&crew, 2, VG_OK, "");
    crew_close(&crew);
}

/* ---- Sentences ----------------------------------------------------------------------------------------- */

static void ranks_are(const char *marks, const char *wanted, size_t room)
{
    bool here[64];
    char out[64];
    int size = (int)strlen(marks);
    for (int i = 0; i < size; i++) here[i] = marks[i] == 'x';
    vg__ranks_text(here, true, size, out, room);
    assert_string_equal(out, wanted);
}

static void test_ranks_text(void **state)
{
    (void)state;
    ranks_are(".x.", "rank 1", 64);
    ranks_are("xx", "ranks 0 and 1", 64);
    ranks_are("xxx", "ranks 0-2", 64);
    ranks_are("x.x", "ranks 0 and 2", 64);
    ranks_are("..x..xxx", "ranks 2 and 5-7", 64);
    ranks_are("x.xx.x", "ranks 0, 2-3 and 5", 64);
    ranks_are("x.x.x.x.x.x.x.x.x.x.x", "ranks 0, 2, 4, 6...", 24);
}

int main(void)
{
    if (gethostname(host, 63)) return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_orders),        cmocka_unit_test(test_ports),
        cmocka_unit_test(test_name),          cmocka_unit_test(test_addresses),
        cmocka_unit_test(test_listen),        cmocka_unit_test(test_listener),
        cmocka_unit_test(test_missing),       cmocka_unit_test(test_impatient),
        cmocka_unit_test(test_nobody),        cmocka_unit_test(test_others),
        cmocka_unit_test(test_again),         cmocka_unit_test(test_strangers),
        cmocka_unit_test(test_broken_frames), cmocka_unit_test(test_half_a_word),
        cmocka_unit_test(test_come_and_die),  cmocka_unit_test(test_asked_to_stop),
        cmocka_unit_test(test_ranks_text)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
