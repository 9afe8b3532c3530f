/* How groups are opened: which transports are refused, one group after the other, and whose the signals are.
 */
#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/core/group_ranks.h"

/* A transport that cannot be is refused before anybody waits for anybody. */
static void test_choice(void **state)
{
    (void)state;
    vg_place place = {.starter = VG_STARTER_LAUNCH, .size = 2, .local_size = 2, .listener = -1, .ports = 1};
    vg_group *group;
    snprintf(place.master, sizeof place.master, "127.0.0.1");
    assert_fails(vg_group_open(&place, &(vg_group_options){.transport = "pigeon"}, &group), VG_ERR_CONFIG,
                 "no transport 'pigeon'");
    assert_null(group);
    assert_fails(vg_group_open(&place, &(vg_group_options){.transport = "mpi"}, &group), VG_ERR_CONFIG,
                 "for ranks that mpirun has started, not vagus launch");
    assert_fails(vg_group_open(&place, &(vg_group_options){.transport = "nccl"}, &group), VG_ERR_CONFIG,
                 "these lie in the host's memory");
    vg_device gpu = {.ops = &(const vg_device_ops){.name = "cuda"}};
    assert_fails(vg_group_open(&place, &(vg_group_options){.transport = "tcp", .device = &gpu}, &group),
                 VG_ERR_CONFIG, "these lie on cuda");
    place.starter = VG_STARTER_MPIRUN;
    place.master[0] = 0;
    setenv("VAGUS_MPI_LIBRARIES", "none", 1); /* which else could tell */
    assert_fails(vg_group_open(&place, &(vg_group_options){.transport = "tcp"}, &group), VG_ERR_CONFIG,
                 "mpirun does not tell the ranks where rank 0 is");
    unsetenv("VAGUS_MPI_LIBRARIES");
    char text[256];
    assert_ok(vg_group_find("tcp", text, sizeof text));
    assert_fails(vg_group_find("pigeon", text, sizeof text), VG_ERR_CONFIG, "pigeon");
}

/* Signals to the process are for the caller's thread: all others of the library have them blocked. */
static vg_status signals(vg_group *group, const vg_place *place)
{
    int threads = 0;
    DIR *dir = opendir("/proc/self/task");
    (void)group;
    (void)place;
    for (struct dirent *entry; (entry = readdir(dir));) {
        char path[300], line[256];
        unsigned long long blocked = 0;
        if (entry->d_name[0] == '.' || atol(entry->d_name) == (long)getpid()) continue;
        snprintf(path, sizeof path, "/proc/self/task/%s/status", entry->d_name);
        FILE *file = fopen(path, "r");
        CLAIM(file);
        while (fgets(line, sizeof line, file))
            if (!strncmp(line, "SigBlk:", 7)) blocked = strtoull(line + 7, NULL, 16);
        fclose(file);
        CLAIM(blocked >> (SIGTERM - 1) & 1);
        threads++;
    }
    closedir(dir);
    CLAIM(threads == 2); /* the watch's and the worker */
    return VG_OK;
}

static void test_signals(void **state)
{
    const char *sanitized = getenv("VAGUS_SANITIZED");
    (void)state;
    if (sanitized && strstr(sanitized, "thread")) skip(); /* it has a thread of its own */
    ranks_run(2, signals, NULL);
}

/* One group after the other in one process, at the same place. */
static vg_status again(vg_group *none, const vg_place *place)
{
    vg_place here = *place;
    (void)none;
    for (int round = 0; round < 3; round++) {
        vg_group *group;
        float one = 1;
        CLAIM(vg_group_open(&here, &(vg_group_options){.timeout = 60, .start_timeout = 60}, &group) == VG_OK);
        CLAIM(vg_group_all_reduce(group, "ones", &one, 1, VG_F32) == VG_OK);
        CLAIM(vg_group_join(group) == VG_OK);
        CLAIM(one == (float)place->size);
        vg_group_close(group, VG_OK);
        here.listener = -1; /* the first was the launcher's */
    }
    return VG_OK;
}

static void test_again(void **state)
{
    (void)state;
    ranks_run(3, again, &(ranks_options){.unopened = true});
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_choice), cmocka_unit_test(test_signals),
                                       cmocka_unit_test(test_again)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
