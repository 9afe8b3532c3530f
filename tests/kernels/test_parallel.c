/* vg__parallel_for: every item once, the same cut on any number of threads, and honest to ThreadSanitizer: in
 * a tsan build this program runs itself once with a race planted in a body, which must be found, and once
 * without, which must pass. */
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "kernels/cpu/parallel.h"
#include "kernels/kernels.h"
#include "tests/support/support.h"

enum { N = 1000, GRAIN = 7, BLOCKS = (N + GRAIN - 1) / GRAIN };

typedef struct counts {
    int items[N], blocks[BLOCKS];
    float partial[BLOCKS];
    int threads;
} counts;

static void count(void *context, int64_t begin, int64_t end, int thread)
{
    counts *c = context;
    float sum = 0;
    for (int64_t i = begin; i < end; i++) {
        c->items[i]++;
        sum += 1.0f / (float)(i + 1);
    }
    c->blocks[begin / GRAIN]++;
    c->partial[begin / GRAIN] = sum;
    if (begin % GRAIN || end > N || thread < 0 || thread >= c->threads) c->blocks[begin / GRAIN] += 1000;
}

static float run(int threads)
{
    counts c = {.threads = threads};
    vg_kernels_set_threads(threads);
    assert_int_equal(vg_kernels_threads(), threads);
    vg__parallel_for(N, GRAIN, count, &c);
    for (int i = 0; i < N; i++) assert_int_equal(c.items[i], 1);
    float sum = 0;
    for (int i = 0; i < BLOCKS; i++) {
        assert_int_equal(c.blocks[i], 1);
        sum += c.partial[i];
    }
    return sum;
}

static void test_every_item_once(void **state)
{
    (void)state;
    float alone = run(1);
    for (int threads = 2; threads <= 5; threads++) {
        float sum = run(threads);
        assert_memory_equal(&sum, &alone, sizeof sum);
    }
    vg_kernels_set_threads(0);
    assert_true(vg_kernels_threads() >= 1);
    vg__parallel_for(0, 1, count, NULL); /* no items: the body is not called */
}

static void nested(void *context, int64_t begin, int64_t end, int thread)
{
    counts *all = context;
    (void)end;
    (void)thread;
    all[begin].threads = 1;
    vg__parallel_for(N, GRAIN, count, &all[begin]);
}

static void test_a_call_from_a_body(void **state)
{
    (void)state;
    static counts all[4];
    memset(all, 0, sizeof all);
    vg_kernels_set_threads(2);
    vg__parallel_for(4, 1, nested, all);
    vg_kernels_set_threads(0);
    for (int k = 0; k < 4; k++)
        for (int i = 0; i < N; i++) assert_int_equal(all[k].items[i], 1);
}

/* Two blocks that wait for each other, so that two threads run one each; relaxed, so that the waiting itself
 * orders nothing. Gives up after ten seconds. */
static void meet(atomic_int *arrived)
{
    time_t limit = time(NULL) + 10;
    atomic_fetch_add_explicit(arrived, 1, memory_order_relaxed);
    while (atomic_load_explicit(arrived, memory_order_relaxed) < 2 && time(NULL) < limit) sched_yield();
}

typedef struct pair {
    atomic_int arrived;
    int shared;
    int own[2];
} pair;

static void race(void *context, int64_t begin, int64_t end, int thread)
{
    pair *p = context;
    (void)begin;
    (void)end;
    (void)thread;
    meet(&p->arrived);
    p->shared++;
}

static void write_own(void *context, int64_t begin, int64_t end, int thread)
{
    pair *p = context;
    (void)end;
    (void)thread;
    meet(&p->arrived);
    p->own[begin]++;
}

/* The other child's work: what one region wrote is read by the next, by other threads and by the caller. */
static int work_cleanly(void)
{
    int sum = 0;
    for (int round = 0; round < 20; round++) {
        pair p = {.shared = round};
        vg__parallel_for(2, 1, write_own, &p);
        p.own[0] += p.own[1];
        atomic_store(&p.arrived, 0);
        vg__parallel_for(2, 1, write_own, &p);
        sum += p.own[0] + p.own[1];
    }
    return sum == 100 ? 0 : 1;
}

static int plant_race(void)
{
    pair p = {0};
    vg__parallel_for(2, 1, race, &p);
    return 0;
}

/* The exit status of this program run once more with `argument`. */
static int run_child(const char *argument)
{
    fflush(NULL);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        execl("/proc/self/exe", "test_parallel", argument, (char *)NULL);
        _exit(99);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}

static void test_thread_sanitizer_is_told_the_truth(void **state)
{
    (void)state;
    assert_int_equal(run_child("clean"), 0);
#ifdef __SANITIZE_THREAD__
    int status = run_child("race");
    assert_true(status != 0 && status != 99);
#endif
}

int main(int argc, char **argv)
{
    if (argc > 1) {
        vg_kernels_set_threads(2);
        return strcmp(argv[1], "race") ? work_cleanly() : plant_race();
    }
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_every_item_once),
                                       cmocka_unit_test(test_a_call_from_a_body),
                                       cmocka_unit_test(test_thread_sanitizer_is_told_the_truth)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
