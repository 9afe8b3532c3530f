/* Ranks that have met: small words, beats, and what every one of them knows when one is killed, stopped,
 * fails or leaves. */
#include <dirent.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "tests/core/watch_crew.h"

static char host[256]; /* this machine's, as it stands in the causes */

static const char *text(const char *format, int rank)
{
    static char out[512];
    snprintf(out, sizeof out, format, rank, host);
    return out;
}

static void doze(double seconds)
{
    nanosleep(&(struct timespec){(time_t)seconds, (long)(1e9 * (seconds - (double)(time_t)seconds))}, NULL);
}

/* Nothing to do until the watch breaks, as whoever waits in a poll() of its own sees it. */
static vg_status stay(vg__watch *watch, int rank)
{
    (void)rank;
    struct pollfd polled = {.fd = vg__watch_alarm(watch), .events = POLLIN};
    if (poll(&polled, 1, 60000) != 1) return vg_fail(VG_ERR_DATA, "nothing happened for a minute");
    if (!vg__watch_broken(watch)) return vg_fail(VG_ERR_DATA, "an alarm without a reason");
    return vg__watch_fail(watch);
}

/* ---- Words --------------------------------------------------------------------------------------------- */

static unsigned char letter(int rank, int64_t at)
{
    return (unsigned char)(rank * 31 + at * 7 + (at >> 8));
}

static vg_status check_bytes(const unsigned char *bytes, int64_t count, int rank)
{
    for (int64_t i = 0; i < count; i++)
        if (bytes[i] != letter(rank, i))
            return vg_fail(VG_ERR_DATA, "byte %lld of rank %d is wrong", (long long)i, rank);
    return VG_OK;
}

static unsigned char *bytes_of(int rank, int64_t count)
{
    unsigned char *bytes = malloc((size_t)count + 1);
    for (int64_t i = 0; bytes && i < count; i++) bytes[i] = letter(rank, i);
    return bytes;
}

static int crew_size;

static vg_status speak(vg__watch *watch, int rank)
{
    static const int64_t counts[] = {0, 1, 1000, 65536, (3 << 20) + 1, 0, 17};
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        int64_t count = counts[i], own = count ? count + rank : 0, got = rank ? -1 : count;
        unsigned char *bytes = bytes_of(rank, count), *ours = bytes_of(rank, own);
        void *any = rank ? NULL : bytes;
        vg__block *all;
        VG_TRY(vg__watch_broadcast(watch, "the same", bytes, count));
        VG_TRY(check_bytes(bytes, count, 0));
        VG_TRY(vg__watch_gather(watch, "each its own", ours, own, &all));
        if (!all != (rank != 0)) return vg_fail(VG_ERR_DATA, "blocks at rank %d", rank);
        for (int other = 0; all && other < crew_size; other++) {
            if (all[other].count != (count ? count + other : 0))
                return vg_fail(VG_ERR_DATA, "%lld bytes of rank %d", (long long)all[other].count, other);
            VG_TRY(check_bytes(all[other].bytes, all[other].count, other));
        }
        VG_TRY(vg__watch_broadcast_any(watch, "as much as there is", &any, &got));
        if (got != count || !any) return vg_fail(VG_ERR_DATA, "%lld bytes", (long long)got);
        VG_TRY(check_bytes(any, got, 0));
        if (rank) free(any);
        vg__watch_free_blocks(all, crew_size);
        free(ours);
        free(bytes);
    }
    return VG_OK;
}

static void speak_all(int size)
{
    struct crew crew;
    crew_make(&crew, crew_size = size);
    crew_start_all(&crew, speak);
    crew_expect_all(&crew, VG_OK, "");
    crew_close(&crew);
}

static void test_words(void **state)
{
    (void)state;
    speak_all(2);
    speak_all(5);
}

/* Rank 0 is far behind while the others gather a hundred times; nothing is mixed up. */
static vg_status run_ahead(vg__watch *watch, int rank)
{
    vg__block *all;
    int heard = 0;
    if (rank == 0) doze(0.3);
    for (int i = 0; i < 100; i++) {
        VG_TRY(vg__watch_gather(watch, "numbers", &i, sizeof i, &all));
        for (int other = 0; all && other < 3; other++)
            if (all[other].count != sizeof i || memcmp(all[other].bytes, &i, sizeof i) != 0)
                return vg_fail(VG_ERR_DATA, "number %d of rank %d", i, other);
        vg__watch_free_blocks(all, 3);
    }
    VG_TRY(vg__watch_broadcast(watch, "end", &heard, sizeof heard));
    return VG_OK;
}

static void test_ahead(void **state)
{
    (void)state;
    struct crew crew;
    crew_make(&crew, 3);
    crew_start_all(&crew, run_ahead);
    crew_expect_all(&crew, VG_OK, "");
    crew_close(&crew);
}

static vg_status count_differs(vg__watch *watch, int rank)
{
    int64_t two[2] = {0};
    VG_TRY(vg__watch_broadcast(watch, "sizes", two, rank == 1 ? 8 : 16));
    return stay(watch, rank);
}

static vg_status name_differs(vg__watch *watch, int rank)
{
    int64_t two[2] = {0};
    VG_TRY(vg__watch_broadcast(watch, rank == 1 ? "one thing" : "another", two, 8));
    return stay(watch, rank);
}

static vg_status kind_differs(vg__watch *watch, int rank)
{
    vg__block *all;
    int64_t one = 0;
    if (rank == 1) VG_TRY(vg__watch_gather(watch, "thing", &one, 8, &all));
    VG_TRY(vg__watch_broadcast(watch, "thing", &one, 8));
    VG_TRY(vg__watch_gather(watch, "thing", &one, 8, &all));
    vg__watch_free_blocks(all, 3);
    return stay(watch, rank);
}

static vg_status too_long(vg__watch *watch, int rank)
{
    int64_t one = 0;
    VG_TRY(vg__watch_broadcast(watch, "long", &one, rank ? 8 : (INT64_C(1) << 30) + 1));
    return stay(watch, rank);
}

/* Every rank hears that one of them is at another word, and which. */
static void test_differences(void **state)
{
    (void)state;
    static const struct {
        crew_task task;
        vg_status status;
        const char *text;
    } cases[] = {{count_differs, VG_ERR_PEER, "says 16 bytes of sizes where rank 1 "},
                 {name_differs, VG_ERR_PEER, "is at a broadcast of one thing"},
                 {kind_differs, VG_ERR_PEER, "(number 2): the ranks"},
                 {too_long, VG_ERR_UNSUPPORTED, "has 1073741825 bytes"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct crew crew;
        crew_make(&crew, 3);
        crew_start_all(&crew, cases[i].task);
        crew_expect_all(&crew, cases[i].status, cases[i].text);
        crew_close(&crew);
    }
}

static vg_status late_word(vg__watch *watch, int rank)
{
    vg__block *all = NULL;
    int64_t one = 0;
    if (rank == 2) return stay(watch, rank);
    VG_TRY(vg__watch_gather(watch, "votes", &one, 8, &all));
    vg__watch_free_blocks(all, 3);
    VG_TRY(vg__watch_broadcast(watch, "result", &one, 8));
    return VG_OK;
}

static vg_status no_word(vg__watch *watch, int rank)
{
    int64_t one = 0;
    if (rank == 0) return stay(watch, rank);
    return vg__watch_broadcast(watch, "result", &one, 8);
}

/* A rank that lives and does not come to a word. */
static void test_absent(void **state)
{
    (void)state;
    struct crew crew;
    crew_make(&crew, 3);
    crew.timeout = 0.6;
    crew_start_all(&crew, late_word);
    crew_expect_all(&crew, VG_ERR_PEER, "rank 2 did not come to the gather of votes within 0.6 s");
    crew_close(&crew);
    crew_make(&crew, 3);
    crew.timeout = 0.6;
    crew_start_all(&crew, no_word);
    crew_expect_all(&crew, VG_ERR_PEER, text("rank %d (%s) did not come to the broadcast of result", 0));
    crew_close(&crew);
}

static void test_many(void **state)
{
    (void)state;
    struct crew crew;
    speak_all(32);
    crew_make(&crew, 32);
    crew_start_all(&crew, stay);
    for (int rank = 0; rank < 32; rank++) crew_wait_met(&crew, rank);
    double then = vg__wire_now();
    kill(crew.pids[17], SIGKILL);
    for (int rank = 0; rank < 32; rank++)
        if (rank != 17) {
            double when = crew_expect(&crew, rank, VG_ERR_PEER, text("rank %d (%s) is lost", 17));
            if (!(when - then < 3)) fail_msg("rank %d knew after %g s", rank, when - then);
        }
    crew_close(&crew);
}

/* ---- Losses -------------------------------------------------------------------------------------------- */

static void meet(struct crew *crew, int size, double timeout, crew_task task)
{
    crew_make(crew, size);
    crew->timeout = timeout;
    crew_start_all(crew, task);
    for (int rank = 0; rank < size; rank++) crew_wait_met(crew, rank);
}

static void test_killed(void **state)
{
    (void)state;
    for (int victim = 0; victim < 4; victim++) {
        struct crew crew;
        meet(&crew, 4, 20, stay);
        double then = vg__wire_now();
        kill(crew.pids[victim], SIGKILL);
        for (int rank = 0; rank < 4; rank++) {
            if (rank == victim) continue;
            double when = crew_expect(&crew, rank, VG_ERR_PEER,
                                      text("rank %d (%s) is lost: its process ended without a word", victim));
            if (!(when - then < 1)) fail_msg("rank %d knew of %d after %g s", rank, victim, when - then);
        }
        crew_close(&crew);
    }
}

static vg_status wait_for_all(vg__watch *watch, int rank)
{
    vg__block *all = NULL;
    int64_t one = 0;
    if (rank == 1) return stay(watch, rank);
    VG_TRY(vg__watch_gather(watch, "votes", &one, 8, &all));
    vg__watch_free_blocks(all, 3);
    return vg__watch_broadcast(watch, "result", &one, 8);
}

/* In the middle of words. */
static void test_killed_in_words(void **state)
{
    (void)state;
    struct crew crew;
    meet(&crew, 3, 20, wait_for_all);
    doze(0.1);
    kill(crew.pids[1], SIGKILL);
    crew_expect(&crew, 0, VG_ERR_PEER, text("rank %d (%s) is lost", 1));
    crew_expect(&crew, 2, VG_ERR_PEER, text("rank %d (%s) is lost", 1));
    crew_close(&crew);
}

/* Stopped, so that its connections stay: known after the time that is allowed, and told to itself when it
 * goes on. */
static void test_stopped(void **state)
{
    (void)state;
    for (int victim = 0; victim < 3; victim += 2) {
        struct crew crew;
        meet(&crew, 3, 1.2, stay);
        double then = vg__wire_now();
        kill(crew.pids[victim], SIGSTOP);
        for (int rank = 0; rank < 3; rank++) {
            if (rank == victim) continue;
            double when = crew_expect(&crew, rank, VG_ERR_PEER, text("rank %d (%s) is silent for ", victim));
            if (!(when - then > 0.8 && when - then < 3))
                fail_msg("rank %d knew of %d after %g s", rank, victim, when - then);
        }
        kill(crew.pids[victim], SIGCONT);
        crew_expect(&crew, victim, VG_ERR_PEER, text("rank %d (%s) is silent for ", victim));
        crew_close(&crew);
    }
}

static vg_status work_on(vg__watch *watch, int rank)
{
    double until = vg__wire_now() + 3.5;
    while (vg__wire_now() < until && !vg__watch_broken(watch)) doze(0.02);
    (void)rank;
    return vg__watch_fail(watch);
}

/* All stopped and continued (Ctrl-Z and fg, or a machine that was suspended): nobody blames anybody. A rank
 * that is stopped for less than is allowed is not lost either. */
static void test_continued(void **state)
{
    (void)state;
    struct crew crew;
    meet(&crew, 3, 2.5, work_on); /* on a busy machine the first may go on long before the last */
    for (int rank = 0; rank < 3; rank++) kill(crew.pids[rank], SIGSTOP);
    doze(3);
    for (int rank = 0; rank < 3; rank++) kill(crew.pids[rank], SIGCONT);
    crew_expect_all(&crew, VG_OK, "");
    crew_close(&crew);
    meet(&crew, 3, 5, work_on);
    kill(crew.pids[1], SIGSTOP);
    doze(0.8);
    kill(crew.pids[1], SIGCONT);
    crew_expect_all(&crew, VG_OK, "");
    crew_close(&crew);
}

/* A main thread that does not move while its beats go on: named by whoever runs out of time. */
static int impatient;

static vg_status fall_behind(vg__watch *watch, int rank)
{
    vg__watch_at(watch, rank == 2 ? 4 : 5, 7);
    if (rank != impatient) return stay(watch, rank);
    doze(0.8);
    return vg__watch_late(watch, "all-reduce of gradients");
}

static vg_status keep_up(vg__watch *watch, int rank)
{
    vg__watch_at(watch, 5, 7);
    if (rank != impatient) return stay(watch, rank);
    doze(0.8);
    return vg__watch_late(watch, "broadcast of weights");
}

static void test_late(void **state)
{
    (void)state;
    for (impatient = 0; impatient < 3; impatient++) {
        struct crew crew;
        meet(&crew, 3, 1, fall_behind);
        crew_expect_all(&crew, VG_ERR_PEER,
                        text("rank %d (%s) is behind, at step 4, collective 7, where", 2));
        crew_close(&crew);
    }
    struct crew crew;
    impatient = 1;
    meet(&crew, 3, 1, keep_up);
    crew_expect_all(&crew, VG_ERR_PEER,
                    text("broadcast of weights did not end within 1 s at rank %d (%s)", 1));
    crew_close(&crew);
}

/* The data's own connections fail: the watch knows why, or takes the caller's word. */
static vg_status blame(vg__watch *watch, int rank)
{
    if (rank != 1) return stay(watch, rank);
    return vg__watch_blame(watch, 2, "all-reduce of gradients", "its connection was closed");
}

static vg_status blame_late(vg__watch *watch, int rank)
{
    if (rank == 2) raise(SIGKILL);
    return blame(watch, rank);
}

static vg_status blame_nobody(vg__watch *watch, int rank)
{
    if (rank != 1) return stay(watch, rank);
    return vg__watch_blame(watch, -1, "all-gather of weights", "NCCL says so");
}

static void test_blame(void **state)
{
    (void)state;
    char wanted[1024];
    struct crew crew;
    snprintf(wanted, sizeof wanted,
             "rank 2 (%s) is lost to rank 1 (%s) in all-reduce of gradients: its connection was closed", host,
             host);
    meet(&crew, 3, 20, blame);
    crew_expect_all(&crew, VG_ERR_PEER, wanted);
    crew_close(&crew);
    meet(&crew, 3, 20, blame_nobody);
    crew_expect_all(&crew, VG_ERR_PEER,
                    text("all-gather of weights failed at rank %d (%s): NCCL says so", 1));
    crew_close(&crew);
    meet(&crew, 3, 20, blame_late);
    crew_expect(&crew, 0, VG_ERR_PEER, text("rank %d (%s) is lost: its process ended", 2));
    crew_expect(&crew, 1, VG_ERR_PEER, text("rank %d (%s) is lost: its process ended", 2));
    crew_close(&crew);
}

/* The watch's thread takes no signals, so that they reach the thread that waits for them. */
static vg_status look_at_signals(vg__watch *watch, int rank)
{
    int seen = 0, open = 0;
    DIR *tasks = opendir("/proc/self/task");
    for (struct dirent *task; tasks && (task = readdir(tasks));) {
        char path[300], line[256];
        unsigned long long blocked;
        snprintf(path, sizeof path, "/proc/self/task/%s/status", task->d_name);
        int number = atoi(task->d_name); /* 0: "." and ".." */
        FILE *file = !number || number == getpid() ? NULL : fopen(path, "r");
        while (file && fgets(line, sizeof line, file))
            if (sscanf(line, "SigBlk: %llx", &blocked) == 1) {
                seen++;
                open += !(blocked >> (SIGTERM - 1) & 1) || !(blocked >> (SIGINT - 1) & 1);
            }
        if (file) fclose(file);
    }
    if (tasks) closedir(tasks);
    if (!seen || open) return vg_fail(VG_ERR_DATA, "%d of %d other threads take signals", open, seen);
    (void)rank;
    return vg__watch_fail(watch);
}

static void test_signals(void **state)
{
    (void)state;
    struct crew crew;
    meet(&crew, 2, 20, look_at_signals);
    crew_expect_all(&crew, VG_OK, "");
    crew_close(&crew);
}

/* ---- Ends ---------------------------------------------------------------------------------------------- */

static int who;
static vg_status how;

static vg_status fail_alone(vg__watch *watch, int rank)
{
    if (rank == who) return vg_fail(VG_ERR_DATA, "store.h5: the segment 7 is not finite");
    return stay(watch, rank);
}

static void test_failing(void **state)
{
    (void)state;
    char wanted[1024];
    for (who = 0; who < 3; who++) {
        struct crew crew;
        meet(&crew, 3, 20, fail_alone);
        snprintf(wanted, sizeof wanted, "rank %d (%s) failed: store.h5: the segment 7 is not finite", who,
                 host);
        for (int rank = 0; rank < 3; rank++)
            crew_expect(&crew, rank, VG_ERR_DATA, rank == who ? "store.h5: the segment 7" : wanted);
        crew_close(&crew);
    }
}

static vg_status leave(vg__watch *watch, int rank)
{
    vg__block *all = NULL;
    int64_t one = 0;
    if (rank == who) return how == VG_OK ? VG_OK : vg_fail(how, "stopped on request");
    doze(0.1);
    VG_TRY(vg__watch_gather(watch, "votes", &one, 8, &all));
    vg__watch_free_blocks(all, 3);
    return vg__watch_broadcast(watch, "result", &one, 8);
}

/* A rank that has parted in peace while others still wait for it: an error, no loss, and no hang. */
static void test_leaving(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++)
        for (who = 0; who < 2; who++) {
            struct crew crew;
            how = i ? VG_ERR_PREEMPTED : VG_OK;
            meet(&crew, 3, 20, leave);
            for (int rank = 0; rank < 3; rank++)
                crew_expect(&crew, rank, rank == who ? how : VG_ERR_PEER,
                            rank == who ? (i ? "stopped" : "")
                                        : text("rank %d (%s) has left the run before", who));
            crew_close(&crew);
        }
}

static vg_status linger(vg__watch *watch, int rank)
{
    doze(0.2 * (2 - rank));
    return vg__watch_fail(watch);
}

static vg_status linger_backwards(vg__watch *watch, int rank)
{
    doze(0.2 * rank);
    return vg__watch_fail(watch);
}

/* Peaceful ends at different times, rank 0 last and first. */
static void test_parting(void **state)
{
    (void)state;
    struct crew crew;
    meet(&crew, 3, 20, linger);
    crew_expect_all(&crew, VG_OK, "");
    crew_close(&crew);
    meet(&crew, 3, 20, linger_backwards);
    crew_expect_all(&crew, VG_OK, "");
    crew_close(&crew);
}

int main(void)
{
    if (gethostname(host, 63)) return 1;
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_words),
                                       cmocka_unit_test(test_ahead),
                                       cmocka_unit_test(test_differences),
                                       cmocka_unit_test(test_absent),
                                       cmocka_unit_test(test_many),
                                       cmocka_unit_test(test_killed),
                                       cmocka_unit_test(test_killed_in_words),
                                       cmocka_unit_test(test_stopped),
                                       cmocka_unit_test(test_continued),
                                       cmocka_unit_test(test_late),
                                       cmocka_unit_test(test_blame),
                                       cmocka_unit_test(test_failing),
                                       cmocka_unit_test(test_leaving),
                                       cmocka_unit_test(test_parting),
                                       cmocka_unit_test(test_signals)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
