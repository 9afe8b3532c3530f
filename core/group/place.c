#include "core/group/place.h"

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/hash.h"

enum {
    PORTS = 8, /* that rank 0 may try where nobody keeps one free for it */
    LAST_PORT = 65535,
    /* Slurm: blocks of PORTS below the ports that Linux hands out by itself (32768 on) */
    SLURM_FIRST_PORT = 10000,
    SLURM_BLOCKS = 2500,
};

const char *vg_starter_name(vg_starter starter)
{
    static const char *const names[] = {
        [VG_STARTER_ALONE] = "alone",       [VG_STARTER_LAUNCH] = "vagus launch",
        [VG_STARTER_TORCHRUN] = "torchrun", [VG_STARTER_MPIRUN] = "mpirun",
        [VG_STARTER_SLURM] = "srun",
    };
    return names[starter];
}

/* A variable that is there and not empty, or NULL. */
static const char *variable(const char *name)
{
    const char *value = getenv(name);
    return value && *value ? value : NULL;
}

static vg_status missing(vg_starter starter, const char *name)
{
    return vg_fail(VG_ERR_CONFIG,
                   "the environment is that of %s, but %s is not set; start all ranks by %s, or "
                   "unset its variables to run one rank alone",
                   vg_starter_name(starter), name, vg_starter_name(starter));
}

/* Digits and nothing else, within [low, high]. */
static vg_status whole(const char *name, const char *value, long low, long high, int *out)
{
    char *end = NULL;
    errno = 0;
    long number = *value >= '0' && *value <= '9' ? strtol(value, &end, 10) : -1;
    if (!end || *end)
        return vg_fail(VG_ERR_CONFIG, "the environment variable %s is \"%.40s\", which is no whole number",
                       name, value);
    if (errno || number < low || number > high)
        return vg_fail(VG_ERR_CONFIG, "the environment variable %s is %.40s, which is not within %ld to %ld",
                       name, value, low, high);
    *out = (int)number;
    return VG_OK;
}

static vg_status required(vg_starter starter, const char *name, long low, long high, int *out)
{
    const char *value = variable(name);
    return value ? whole(name, value, low, high, out) : missing(starter, name);
}

/* A variable that leaves *out alone when it is not there. */
static vg_status optional(const char *name, long low, long high, int *out)
{
    const char *value = variable(name);
    return value ? whole(name, value, low, high, out) : VG_OK;
}

/* The names under which a starter gives the four numbers. */
typedef struct numbers {
    const char *rank, *size, *local_rank, *local_size;
} numbers;

static vg_status at_odds(const char *name, int number, const char *other, int limit)
{
    return vg_fail(VG_ERR_CONFIG, "the environment variable %s is %d, but %s is %d", name, number, other,
                   limit);
}

static vg_status check(const vg_place *place, const numbers *names)
{
    if (place->rank >= place->size) return at_odds(names->rank, place->rank, names->size, place->size);
    if (place->local_size > place->size)
        return at_odds(names->local_size, place->local_size, names->size, place->size);
    if (place->local_rank >= place->local_size)
        return at_odds(names->local_rank, place->local_rank, names->local_size, place->local_size);
    return VG_OK;
}

static vg_status find_numbers(vg_place *place, const numbers *names)
{
    VG_TRY(required(place->starter, names->rank, 0, INT_MAX, &place->rank));
    VG_TRY(required(place->starter, names->size, 1, INT_MAX, &place->size));
    VG_TRY(required(place->starter, names->local_rank, 0, INT_MAX, &place->local_rank));
    VG_TRY(required(place->starter, names->local_size, 1, INT_MAX, &place->local_size));
    return check(place, names);
}

/* `count` ports from `first` on; every rank shifts a block that would pass the last port in the same way. */
static void set_ports(vg_place *place, int first, int count)
{
    place->port = first + count - 1 > LAST_PORT ? LAST_PORT - count + 1 : first;
    place->ports = count;
}

static vg_status set_master(vg_place *place, const char *name, const char *value)
{
    if (strlen(value) >= sizeof place->master || value[strcspn(value, " \t\r\n")])
        return vg_fail(VG_ERR_CONFIG, "%s is \"%.60s\", which is neither a name of a machine nor an address",
                       name, value);
    snprintf(place->master, sizeof place->master, "%s", value);
    return VG_OK;
}

static vg_status find_master(vg_place *place)
{
    const char *master = variable("MASTER_ADDR");
    return master ? set_master(place, "MASTER_ADDR", master) : missing(place->starter, "MASTER_ADDR");
}

/* What keeps runs apart: the text itself, or its beginning and a hash where it is too long. */
static void set_job(vg_place *place, const char *text)
{
    const uint64_t hash = vg_hash_add(VG_HASH_NOTHING, text, strlen(text));
    if (strlen(text) < sizeof place->job)
        memcpy(place->job, text, strlen(text) + 1);
    else
        snprintf(place->job, sizeof place->job, "%.40s-%016llx", text, (unsigned long long)hash);
    for (char *at = place->job; *at; at++) /* it is printed */
        if (*at < ' ' || *at > '~') *at = '_';
}

static vg_status find_launch(vg_place *place)
{
    static const numbers names = {"RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE"};
    int port = 0;
    VG_TRY(find_numbers(place, &names));
    VG_TRY(optional("VAGUS_RESTARTS", 0, INT_MAX, &place->restarts));
    if (place->size == 1) return VG_OK;
    VG_TRY(find_master(place));
    VG_TRY(required(place->starter, "MASTER_PORT", 1, LAST_PORT, &port));
    set_ports(place, port, 1);
    if (!variable("VAGUS_JOB")) return missing(place->starter, "VAGUS_JOB");
    set_job(place, variable("VAGUS_JOB"));
    return place->rank ? VG_OK : optional("VAGUS_LISTENER", 0, INT_MAX, &place->listener);
}

/* torchrun, and those who set its names without it (an operator of Kubernetes, a script), where the local
 * ones may be left out when every machine has one rank. */
static vg_status find_torchrun(vg_place *place)
{
    static const numbers names = {"RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE"};
    const char *run = variable("TORCHELASTIC_RUN_ID"), *store = variable("TORCHELASTIC_USE_AGENT_STORE");
    int port = 0;
    if (run || variable(names.local_rank) || variable(names.local_size)) {
        VG_TRY(find_numbers(place, &names));
    } else {
        VG_TRY(required(place->starter, names.rank, 0, INT_MAX, &place->rank));
        VG_TRY(required(place->starter, names.size, 1, INT_MAX, &place->size));
        VG_TRY(check(place, &names));
    }
    VG_TRY(optional("TORCHELASTIC_RESTART_COUNT", 0, INT_MAX, &place->restarts));
    if (place->size == 1) return VG_OK;
    VG_TRY(find_master(place));
    /* torchrun names the machine as that calls itself, which not every container can look up. */
    if (run && place->local_size == place->size) VG_TRY(set_master(place, "", "127.0.0.1"));
    VG_TRY(required(place->starter, "MASTER_PORT", 1, LAST_PORT, &port));
    /* torchrun's own store sits at MASTER_PORT */
    bool taken = run || (store && !strcmp(store, "True"));
    set_ports(place, port + (taken ? 1 : 0), PORTS);
    /* the run id is "none" for everybody who gives none; the port is what differs then */
    char job[512];
    snprintf(job, sizeof job, "%d/%.400s", port, run ? run : "");
    set_job(place, job);
    return VG_OK;
}

static vg_status find_mpirun(vg_place *place)
{
    static const numbers names = {"OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE",
                                  "OMPI_COMM_WORLD_LOCAL_RANK", "OMPI_COMM_WORLD_LOCAL_SIZE"};
    int port = 0;
    VG_TRY(find_numbers(place, &names));
    if (place->size == 1) return VG_OK;
    const char *job = variable("OMPI_MCA_ess_base_jobid");
    if (!job) job = variable("PMIX_NAMESPACE");
    if (!job) return missing(place->starter, "PMIX_NAMESPACE");
    set_job(place, job);
    if (!variable("MASTER_ADDR")) return VG_OK; /* rank 0 tells the others over MPI */
    VG_TRY(find_master(place));
    VG_TRY(required(place->starter, "MASTER_PORT", 1, LAST_PORT, &port));
    set_ports(place, port, PORTS);
    return VG_OK;
}

/* "gpu[03-05,7],b1" -> "gpu03" */
static vg_status first_host(vg_place *place, const char *list)
{
    char host[sizeof place->master];
    size_t length = strcspn(list, ",["), number = 0;
    const char *after = list + length;
    if (*after == '[') {
        number = strspn(after + 1, "0123456789");
        const char *close = strchr(after, ']');
        if (!number || !close || !strchr("-,]", after[1 + number])) length = 0;
        /* a name may go on behind its brackets: "rack[1-2]-gpu" */
        size_t tail = close ? strcspn(close + 1, ",") : 0;
        if (close && memchr(close + 1, '[', tail)) length = 0; /* "r[1-2]n[1-4]": no host can be told */
        if (length && length + number + tail < sizeof host) {
            snprintf(host, sizeof host, "%.*s%.*s%.*s", (int)length, list, (int)number, after + 1, (int)tail,
                     close + 1);
            return set_master(place, "SLURM_STEP_NODELIST", host);
        }
    } else if (length && length < sizeof host) {
        snprintf(host, sizeof host, "%.*s", (int)length, list);
        return set_master(place, "SLURM_STEP_NODELIST", host);
    }
    return vg_fail(VG_ERR_CONFIG,
                   "no first host can be read from SLURM_STEP_NODELIST, which is \"%.60s\"; set "
                   "MASTER_ADDR to the machine of rank 0",
                   list);
}

/* "2(x3),1" and node 3 -> 1: how many tasks of the step this machine has. */
static vg_status tasks_here(const char *list, int node, int *out)
{
    const char *at = list;
    for (int passed = 0; *at;) {
        char *end;
        long tasks = strtol(at, &end, 10), nodes = 1;
        if (end == at || tasks < 1 || tasks > INT_MAX) break;
        if (!strncmp(end, "(x", 2)) {
            at = end + 2;
            nodes = strtol(at, &end, 10);
            if (end == at || nodes < 1 || nodes > INT_MAX - passed || *end != ')') break;
            end++;
        }
        if (node < passed + nodes) {
            *out = (int)tasks;
            return VG_OK;
        }
        passed += (int)nodes;
        if (*end != ',') break;
        at = end + 1;
    }
    return vg_fail(VG_ERR_CONFIG,
                   "SLURM_STEP_TASKS_PER_NODE is \"%.60s\", which does not tell how many tasks node %d "
                   "(SLURM_NODEID) has",
                   list, node);
}

static vg_status find_slurm(vg_place *place)
{
    static const numbers names = {"SLURM_PROCID", "SLURM_STEP_NUM_TASKS", "SLURM_LOCALID",
                                  "SLURM_STEP_TASKS_PER_NODE"};
    int node = 0, job = 0, step = 0, port = 0;
    VG_TRY(required(place->starter, names.rank, 0, INT_MAX, &place->rank));
    VG_TRY(required(place->starter, names.size, 1, INT_MAX, &place->size));
    VG_TRY(required(place->starter, names.local_rank, 0, INT_MAX, &place->local_rank));
    VG_TRY(optional("SLURM_RESTART_COUNT", 0, INT_MAX, &place->restarts));
    if (place->size == 1) return check(place, &names);

    VG_TRY(required(place->starter, "SLURM_NODEID", 0, INT_MAX, &node));
    if (!variable(names.local_size)) return missing(place->starter, names.local_size);
    VG_TRY(tasks_here(variable(names.local_size), node, &place->local_size));
    VG_TRY(check(place, &names));
    VG_TRY(required(place->starter, "SLURM_JOB_ID", 0, INT_MAX, &job));
    VG_TRY(required(place->starter, "SLURM_STEP_ID", 0, INT_MAX, &step));
    char text[64];
    snprintf(text, sizeof text, "slurm-%d.%d", job, step);
    set_job(place, text);

    /* jobs are numbered one after the other, so those that run together seldom share a block */
    set_ports(place, SLURM_FIRST_PORT + PORTS * (int)((job + 131LL * step) % SLURM_BLOCKS), PORTS);
    VG_TRY(optional("MASTER_PORT", 1, LAST_PORT, &port));
    if (port) set_ports(place, port, PORTS);
    if (variable("MASTER_ADDR")) return find_master(place);
    if (!variable("SLURM_STEP_NODELIST")) return missing(place->starter, "SLURM_STEP_NODELIST");
    /* one machine reaches itself, whatever its name is worth */
    if (place->local_size == place->size) return set_master(place, "", "127.0.0.1");
    const char *distribution = variable("SLURM_DISTRIBUTION");
    if (distribution && !strcmp(distribution, "arbitrary"))
        return vg_fail(VG_ERR_CONFIG,
                       "SLURM_DISTRIBUTION is arbitrary, so that rank 0 need not be on the first "
                       "machine of the list; set MASTER_ADDR to its machine");
    return first_host(place, variable("SLURM_STEP_NODELIST"));
}

/* A batch script is its job's process 0, and an interactive shell that of a step of one: what is started
 * there without srun is one rank alone. Only a step that srun has made has a small number. */
static bool in_slurm_step(void)
{
    const char *step = variable("SLURM_STEP_ID");
    return step && strlen(step) < 10 && variable("SLURM_STEP_NUM_TASKS") && variable("SLURM_PROCID");
}

vg_status vg_place_find(vg_place *out)
{
    vg_place place = {.size = 1, .local_size = 1, .listener = -1};
    const char *launch = variable("VAGUS_LAUNCH");
    vg_status status = VG_OK;
    if (launch && !strcmp(launch, "1")) {
        place.starter = VG_STARTER_LAUNCH;
        status = find_launch(&place);
    } else if (variable("RANK") || variable("TORCHELASTIC_RUN_ID")) {
        place.starter = VG_STARTER_TORCHRUN;
        status = find_torchrun(&place);
    } else if (variable("OMPI_COMM_WORLD_RANK") || variable("OMPI_COMM_WORLD_SIZE")) {
        place.starter = VG_STARTER_MPIRUN;
        status = find_mpirun(&place);
    } else if (in_slurm_step()) {
        place.starter = VG_STARTER_SLURM;
        status = find_slurm(&place);
    }
    if (status == VG_OK) *out = place;
    return status;
}
