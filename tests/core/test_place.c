/* The place that an environment gives. Each case is an environment and what must come of it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/group/place.h"
#include "tests/support/support.h"

static const char *const known[] = {"RANK",
                                    "WORLD_SIZE",
                                    "LOCAL_RANK",
                                    "LOCAL_WORLD_SIZE",
                                    "MASTER_ADDR",
                                    "MASTER_PORT",
                                    "VAGUS_LAUNCH",
                                    "VAGUS_JOB",
                                    "VAGUS_RESTARTS",
                                    "VAGUS_LISTENER",
                                    "TORCHELASTIC_RUN_ID",
                                    "TORCHELASTIC_RESTART_COUNT",
                                    "TORCHELASTIC_USE_AGENT_STORE",
                                    "OMPI_COMM_WORLD_RANK",
                                    "OMPI_COMM_WORLD_SIZE",
                                    "OMPI_COMM_WORLD_LOCAL_RANK",
                                    "OMPI_COMM_WORLD_LOCAL_SIZE",
                                    "OMPI_MCA_ess_base_jobid",
                                    "PMIX_NAMESPACE",
                                    "SLURM_PROCID",
                                    "SLURM_STEP_NUM_TASKS",
                                    "SLURM_LOCALID",
                                    "SLURM_STEP_NODELIST",
                                    "SLURM_STEP_ID",
                                    "SLURM_JOB_ID",
                                    "SLURM_DISTRIBUTION",
                                    "SLURM_NODEID",
                                    "SLURM_STEP_TASKS_PER_NODE",
                                    "SLURM_RESTART_COUNT"};

/* "A=1 B=2" and nothing else that is known. */
static void surroundings(const char *text)
{
    char copy[1024];
    assert_true(strlen(text) < sizeof copy);
    strcpy(copy, text);
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) unsetenv(known[i]);
    for (char *word = strtok(copy, " "); word; word = strtok(NULL, " ")) {
        char *value = strchr(word, '=');
        assert_non_null(value);
        *value = 0;
        setenv(word, value + 1, 1);
    }
}

/* What is set and then changed by a later word counts as changed; "A=" is as good as unset. */
static vg_place found(const char *base, const char *change)
{
    char text[1024];
    vg_place place;
    snprintf(text, sizeof text, "%s %s", base, change);
    surroundings(text);
    assert_ok(vg_place_find(&place));
    return place;
}

static void wrong(const char *base, const char *change, const char *named)
{
    char text[1024];
    vg_place place = {.rank = -7};
    snprintf(text, sizeof text, "%s %s", base, change);
    surroundings(text);
    assert_fails(vg_place_find(&place), VG_ERR_CONFIG, named);
    assert_int_equal(place.rank, -7);
}

static void numbers_are(const vg_place *place, int rank, int size, int local_rank, int local_size)
{
    assert_int_equal(place->rank, rank);
    assert_int_equal(place->size, size);
    assert_int_equal(place->local_rank, local_rank);
    assert_int_equal(place->local_size, local_size);
}

static void ports_are(const vg_place *place, int port, int ports)
{
    assert_int_equal(place->port, port);
    assert_int_equal(place->ports, ports);
}

static void test_alone(void **state)
{
    (void)state;
    /* a batch script of Slurm and an interactive shell in one, and names that scripts set for others */
    static const char *const environments[] = {
        "", "VAGUS_LAUNCH=0", "WORLD_SIZE=8 MASTER_ADDR=a MASTER_PORT=29500",
        "SLURM_PROCID=0 SLURM_JOB_ID=7 SLURM_NODEID=0 SLURM_LOCALID=0",
        "SLURM_PROCID=0 SLURM_JOB_ID=7 SLURM_STEP_ID=4294967290 SLURM_STEP_NUM_TASKS=1 SLURM_LOCALID=0"};
    for (size_t i = 0; i < sizeof environments / sizeof *environments; i++) {
        vg_place place = found(environments[i], "");
        assert_int_equal(place.starter, VG_STARTER_ALONE);
        numbers_are(&place, 0, 1, 0, 1);
        assert_int_equal(place.listener, -1);
        assert_int_equal(place.restarts, 0);
        assert_string_equal(place.job, "");
        assert_string_equal(place.master, "");
    }
    assert_string_equal(vg_starter_name(VG_STARTER_ALONE), "alone");
    assert_string_equal(vg_starter_name(VG_STARTER_LAUNCH), "vagus launch");
    assert_string_equal(vg_starter_name(VG_STARTER_TORCHRUN), "torchrun");
    assert_string_equal(vg_starter_name(VG_STARTER_MPIRUN), "mpirun");
    assert_string_equal(vg_starter_name(VG_STARTER_SLURM), "srun");
}

static const char launch[] = "VAGUS_LAUNCH=1 RANK=3 WORLD_SIZE=6 LOCAL_RANK=0 LOCAL_WORLD_SIZE=3 "
                             "MASTER_ADDR=10.0.0.1 MASTER_PORT=2000 VAGUS_JOB=job-1 VAGUS_RESTARTS=2";

static void test_launch(void **state)
{
    (void)state;
    vg_place place = found(launch, "OMPI_COMM_WORLD_RANK=9 SLURM_PROCID=1 SLURM_STEP_ID=0");
    assert_int_equal(place.starter, VG_STARTER_LAUNCH);
    numbers_are(&place, 3, 6, 0, 3);
    ports_are(&place, 2000, 1);
    assert_int_equal(place.restarts, 2);
    assert_int_equal(place.listener, -1);
    assert_string_equal(place.master, "10.0.0.1");
    assert_string_equal(place.job, "job-1");
    assert_int_equal(found(launch, "VAGUS_LISTENER=5").listener, -1); /* of rank 0 alone */
    assert_int_equal(found(launch, "RANK=0 VAGUS_LISTENER=5").listener, 5);
    place = found("VAGUS_LAUNCH=1 RANK=0 WORLD_SIZE=1 LOCAL_RANK=0 LOCAL_WORLD_SIZE=1 VAGUS_RESTARTS=4", "");
    assert_int_equal(place.starter, VG_STARTER_LAUNCH);
    assert_int_equal(place.restarts, 4);
    assert_string_equal(place.job, "");
}

/* Every number, wrong in every way. */
static void test_strict(void **state)
{
    (void)state;
    static const char *const names[] = {"RANK",        "WORLD_SIZE",    "LOCAL_RANK", "LOCAL_WORLD_SIZE",
                                        "MASTER_PORT", "VAGUS_RESTARTS"};
    static const char *const values[] = {"x",         "-1", "+1", "1x", "0x1", "1.0", "99999999999999999999",
                                         "2147483648"};
    char change[128];
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        for (size_t j = 0; j < sizeof values / sizeof *values; j++) {
            snprintf(change, sizeof change, "%s=%s", names[i], values[j]);
            wrong(launch, change, names[i]);
        }
    surroundings(launch);
    setenv("RANK", " 1", 1);
    vg_place place;
    assert_fails(vg_place_find(&place), VG_ERR_CONFIG, "RANK is \" 1\"");
    for (size_t i = 0; i + 1 < sizeof names / sizeof *names; i++) {
        snprintf(change, sizeof change, "%s=", names[i]);
        wrong(launch, change, names[i]);
    }
    wrong(launch, "MASTER_ADDR=", "MASTER_ADDR is not set");
    wrong(launch, "VAGUS_JOB=", "VAGUS_JOB is not set");
    wrong(launch, "RANK=0 VAGUS_LISTENER=x", "VAGUS_LISTENER");
    wrong(launch, "MASTER_PORT=0", "MASTER_PORT is 0");
    wrong(launch, "MASTER_PORT=65536", "MASTER_PORT is 65536");
    wrong(launch, "WORLD_SIZE=0", "WORLD_SIZE is 0");
    wrong(launch, "RANK=6", "RANK is 6, but WORLD_SIZE is 6");
    wrong(launch, "LOCAL_RANK=3", "LOCAL_RANK is 3, but LOCAL_WORLD_SIZE is 3");
    wrong(launch, "LOCAL_WORLD_SIZE=7", "LOCAL_WORLD_SIZE is 7, but WORLD_SIZE is 6");
}

static const char torchrun[] =
    "RANK=5 WORLD_SIZE=8 LOCAL_RANK=1 LOCAL_WORLD_SIZE=4 MASTER_ADDR=node0 MASTER_PORT=29500 "
    "TORCHELASTIC_RUN_ID=none TORCHELASTIC_RESTART_COUNT=3 TORCHELASTIC_USE_AGENT_STORE=True";

static void test_torchrun(void **state)
{
    (void)state;
    vg_place place = found(torchrun, "SLURM_PROCID=1 SLURM_STEP_ID=0 SLURM_STEP_NUM_TASKS=2");
    assert_int_equal(place.starter, VG_STARTER_TORCHRUN);
    numbers_are(&place, 5, 8, 1, 4);
    ports_are(&place, 29501, 8);
    assert_int_equal(place.restarts, 3);
    assert_string_equal(place.master, "node0");
    /* all on one machine, whose name nobody may know */
    assert_string_equal(found(torchrun, "LOCAL_RANK=5 LOCAL_WORLD_SIZE=8").master, "127.0.0.1");
    /* two runs of one machine, neither with a name, on neighbouring ports */
    assert_string_not_equal(place.job, found(torchrun, "MASTER_PORT=29501").job);
    assert_string_not_equal(place.job, found(torchrun, "TORCHELASTIC_RUN_ID=a").job);
    place = found(torchrun, "MASTER_PORT=65535");
    ports_are(&place, 65528, 8);

    /* the same names, set by somebody else: the port is free, and one rank a machine needs no local ones */
    place = found("RANK=1 WORLD_SIZE=2 MASTER_ADDR=pod-0 MASTER_PORT=23456", "");
    assert_int_equal(place.starter, VG_STARTER_TORCHRUN);
    numbers_are(&place, 1, 2, 0, 1);
    ports_are(&place, 23456, 8);
    place =
        found("RANK=1 WORLD_SIZE=2 MASTER_ADDR=a MASTER_PORT=23456 TORCHELASTIC_USE_AGENT_STORE=True", "");
    ports_are(&place, 23457, 8);

    place = found("RANK=0 WORLD_SIZE=1 TORCHELASTIC_RESTART_COUNT=1", "");
    assert_int_equal(place.starter, VG_STARTER_TORCHRUN);
    assert_int_equal(place.restarts, 1);
    wrong(torchrun, "LOCAL_RANK=", "LOCAL_RANK is not set");
    wrong(torchrun, "RANK=", "RANK is not set");
    wrong("RANK=1 WORLD_SIZE=2 LOCAL_RANK=1", "", "LOCAL_WORLD_SIZE is not set");
    wrong("RANK=2 WORLD_SIZE=2 MASTER_ADDR=a MASTER_PORT=1", "", "RANK is 2");
    wrong("RANK=1", "", "WORLD_SIZE is not set; start all ranks by torchrun");
    wrong(torchrun, "TORCHELASTIC_RESTART_COUNT=no", "TORCHELASTIC_RESTART_COUNT");
}

static const char mpirun[] =
    "OMPI_COMM_WORLD_RANK=2 OMPI_COMM_WORLD_SIZE=4 OMPI_COMM_WORLD_LOCAL_RANK=0 "
    "OMPI_COMM_WORLD_LOCAL_SIZE=2 PMIX_NAMESPACE=1234 SLURM_STEP_ID=0 SLURM_PROCID=0 "
    "SLURM_STEP_NUM_TASKS=2";

static void test_mpirun(void **state)
{
    (void)state;
    vg_place place = found(mpirun, "");
    assert_int_equal(place.starter, VG_STARTER_MPIRUN);
    numbers_are(&place, 2, 4, 0, 2);
    assert_string_equal(place.master, "");
    assert_string_equal(place.job, "1234");
    assert_string_equal(found(mpirun, "OMPI_MCA_ess_base_jobid=99").job, "99");
    place = found(mpirun, "MASTER_ADDR=fe80::1 MASTER_PORT=4000");
    assert_string_equal(place.master, "fe80::1");
    ports_are(&place, 4000, 8);
    wrong(mpirun, "MASTER_ADDR=a", "MASTER_PORT");
    wrong(mpirun, "OMPI_COMM_WORLD_RANK=4", "OMPI_COMM_WORLD_RANK is 4, but OMPI_COMM_WORLD_SIZE is 4");
    wrong(mpirun, "OMPI_COMM_WORLD_LOCAL_RANK=", "OMPI_COMM_WORLD_LOCAL_RANK");
    wrong(mpirun, "PMIX_NAMESPACE=", "PMIX_NAMESPACE");
}

static const char srun[] =
    "SLURM_PROCID=3 SLURM_STEP_NUM_TASKS=7 SLURM_LOCALID=1 SLURM_STEP_NODELIST=gpu[03-05,7],b1 "
    "SLURM_STEP_ID=2 "
    "SLURM_JOB_ID=812 SLURM_NODEID=1 SLURM_STEP_TASKS_PER_NODE=2(x2),1(x3) SLURM_RESTART_COUNT=1";

static void master_is(const char *list, const char *host)
{
    char change[400];
    snprintf(change, sizeof change, "SLURM_STEP_NODELIST=%s", list);
    assert_string_equal(found(srun, change).master, host);
}

static void test_slurm(void **state)
{
    (void)state;
    vg_place place = found(srun, "");
    assert_int_equal(place.starter, VG_STARTER_SLURM);
    numbers_are(&place, 3, 7, 1, 2);
    assert_string_equal(place.master, "gpu03");
    assert_string_equal(place.job, "slurm-812.2");
    assert_int_equal(place.restarts, 1);
    assert_int_equal(place.ports, 8);
    assert_in_range(place.port, 10000, 29999);
    place = found(srun, "SLURM_NODEID=4 SLURM_LOCALID=0 SLURM_PROCID=6");
    numbers_are(&place, 6, 7, 0, 1);

    master_is("b1", "b1");
    master_is("b1,c[1-4]", "b1");
    master_is("gpu[7]", "gpu7");
    master_is("gpu[007-123]", "gpu007");
    master_is("rack[1-2]-gpu,z", "rack1-gpu");
    master_is("host.domain.example", "host.domain.example");
    static const char *const lists[] = {"[", "gpu[", "gpu[]", "gpu[x]", ",a", "r[1-2]n[3-4]", "gpu[1;2]"};
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
        char change[64];
        snprintf(change, sizeof change, "SLURM_STEP_NODELIST=%s", lists[i]);
        wrong(srun, change, "SLURM_STEP_NODELIST");
        snprintf(change, sizeof change, "SLURM_STEP_NODELIST=%s MASTER_ADDR=x", lists[i]);
        assert_string_equal(found(srun, change).master, "x");
    }
    /* all on one machine */
    place = found(srun, "SLURM_STEP_TASKS_PER_NODE=7 SLURM_NODEID=0 SLURM_STEP_NODELIST=nowhere");
    assert_string_equal(place.master, "127.0.0.1");
    place = found(srun, "MASTER_PORT=5000");
    ports_are(&place, 5000, 8);

    place = found(
        "SLURM_STEP_ID=0 SLURM_PROCID=0 SLURM_STEP_NUM_TASKS=1 SLURM_LOCALID=0 SLURM_RESTART_COUNT=2", "");
    assert_int_equal(place.starter, VG_STARTER_SLURM);
    assert_int_equal(place.restarts, 2);
    numbers_are(&place, 0, 1, 0, 1);

    static const char *const counts[] = {"0",      "x",  "2(x", "2(y2)",  "2(x2",
                                         "2(x2),", "2,", "-1",  "2(x-1)", "2 2"};
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        surroundings(srun);
        setenv("SLURM_STEP_TASKS_PER_NODE", counts[i], 1);
        setenv("SLURM_NODEID", "2", 1);
        assert_fails(vg_place_find(&place), VG_ERR_CONFIG, "SLURM_STEP_TASKS_PER_NODE");
    }
    wrong(srun, "SLURM_DISTRIBUTION=arbitrary", "SLURM_DISTRIBUTION is arbitrary");
    assert_string_equal(found(srun, "SLURM_DISTRIBUTION=block").master, "gpu03");
    assert_string_equal(found(srun, "SLURM_DISTRIBUTION=arbitrary MASTER_ADDR=b1").master, "b1");
    wrong(srun, "SLURM_LOCALID=2", "SLURM_LOCALID is 2");
    wrong(srun, "SLURM_NODEID=", "SLURM_NODEID");
    wrong(srun, "SLURM_JOB_ID=", "SLURM_JOB_ID");
    wrong(srun, "SLURM_STEP_NODELIST=", "SLURM_STEP_NODELIST");
    wrong(srun, "SLURM_PROCID=7", "SLURM_PROCID is 7");
}

/* Jobs that are numbered one after the other do not share ports, nor do the first steps of one. */
static void test_slurm_ports(void **state)
{
    (void)state;
    int first = found(srun, "SLURM_JOB_ID=1000 SLURM_STEP_ID=0").port;
    for (int next = 1; next < 100; next++) {
        char change[64];
        snprintf(change, sizeof change, "SLURM_JOB_ID=%d SLURM_STEP_ID=0", 1000 + next);
        assert_true(abs(found(srun, change).port - first) >= 8);
        snprintf(change, sizeof change, "SLURM_JOB_ID=1000 SLURM_STEP_ID=%d", next % 15 + 1);
        assert_true(abs(found(srun, change).port - first) >= 8);
    }
    found(srun, "SLURM_JOB_ID=2147483647 SLURM_STEP_ID=2147483");
}

/* Too long, and not to be printed as it is. */
static void test_job(void **state)
{
    (void)state;
    char text[400] = "TORCHELASTIC_RUN_ID=";
    size_t length = strlen(text);
    memset(text + length, 'a', 100);
    vg_place one = found(torchrun, text);
    text[length + 99] = 'b';
    vg_place other = found(torchrun, text);
    assert_string_not_equal(one.job, other.job);
    assert_string_equal(one.job, found(torchrun, strcat(strcpy(text, "TORCHELASTIC_RUN_ID="),
                                                        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
                                                        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"))
                                     .job);
    assert_string_equal(found(launch, "VAGUS_JOB=a\tb\033").job, "a_b_");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_alone),       cmocka_unit_test(test_launch),
                                       cmocka_unit_test(test_strict),      cmocka_unit_test(test_torchrun),
                                       cmocka_unit_test(test_mpirun),      cmocka_unit_test(test_slurm),
                                       cmocka_unit_test(test_slurm_ports), cmocka_unit_test(test_job)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
