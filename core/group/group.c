#include "core/group/group.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/group/kind.h"
#include "core/group/wire.h"
#include "core/group/worker.h"
#include "core/log.h"

/* All kinds; alone is none of them. */
static const vg__kind *const kinds[] = {&vg__kind_tcp, &vg__kind_mpi, &vg__kind_nccl};
enum { KINDS = sizeof kinds / sizeof *kinds };

static bool on_host(const vg_device *device)
{
    return !device || device->ops->is_host;
}

static const vg__kind *find_kind(const char *name)
{
    for (int i = 0; i < KINDS; i++)
        if (!strcmp(kinds[i]->name, name)) return kinds[i];
    return NULL;
}

static vg_status try_kind(const vg__kind *kind)
{
    char text[512];
    return kind->find ? kind->find(text, sizeof text) : VG_OK;
}

/* What `auto` stands for. */
static const char *choose(const vg_place *place, const vg_device *device)
{
    if (!on_host(device)) return "nccl";
    const vg__kind *mpi = find_kind("mpi");
    if (place->starter != VG_STARTER_MPIRUN || !mpi) return "tcp";
    if (try_kind(mpi) == VG_OK) return "mpi";
    if (place->rank == 0) vg_info("ranks speak TCP, since MPI cannot be used: %s", vg_cause());
    return "tcp";
}

static vg_status settle_kind(const vg_place *place, const vg_group_options *options, const vg__kind **out)
{
    const char *name = options->transport ? options->transport : "auto";
    if (!strcmp(name, "auto")) name = choose(place, options->device);
    const vg__kind *kind = find_kind(name);
    if (!kind)
        return vg_fail(VG_ERR_CONFIG, "there is no transport '%s'; there are auto, tcp, mpi and nccl", name);
    if (kind->run && !on_host(options->device))
        return vg_fail(
            VG_ERR_CONFIG,
            "transport %s sums arrays of the host's memory, and these lie on %s: take nccl or auto", name,
            options->device->ops->name);
    if (kind->queue && on_host(options->device))
        return vg_fail(VG_ERR_CONFIG,
                       "transport %s sums arrays of GPUs, and these lie in the host's memory: take auto",
                       name);
    if (!strcmp(name, "mpi") && place->starter != VG_STARTER_MPIRUN)
        return vg_fail(VG_ERR_CONFIG, "transport mpi is for ranks that mpirun has started, not %s: take auto",
                       vg_starter_name(place->starter));
    if (try_kind(kind) != VG_OK)
        return vg_fail(VG_ERR_CONFIG, "transport %s cannot be used: %s", name, vg_cause());
    *out = kind;
    return VG_OK;
}

vg_status vg__group_keep(vg_group *group, vg_status status)
{
    if (status != VG_OK && group->failed == VG_OK) {
        group->failed = status;
        snprintf(group->cause, sizeof group->cause, "%s", vg_cause());
    }
    return status;
}

vg_status vg__group_check(vg_group *group)
{
    if (group->failed) return vg_fail(group->failed, "%s", group->cause);
    if (!group->watch || !vg__watch_broken(group->watch)) return VG_OK;
    /* the worker has come upon it as well, if it was at work, and knows in which collective */
    vg_status status = group->worker ? vg__worker_wait(group->worker, group->options.timeout) : VG_OK;
    if (status == VG_OK)
        status = vg_context(vg__watch_fail(group->watch), "at step %lld, collective %lld",
                            (long long)group->step, (long long)group->collective);
    return vg__group_keep(group, status);
}

/* ---- Opening and closing ---- */

/* mpirun does not say where rank 0 is; ranks over another transport learn it by MPI. */
static vg_status find_herald(vg_group *group)
{
    if (*group->place.master || group->kind == find_kind("mpi")) return VG_OK;
    group->herald = find_kind("mpi");
    if (try_kind(group->herald) == VG_OK) return VG_OK;
    return vg_fail(
        VG_ERR_CONFIG,
        "%s does not tell the ranks where rank 0 is, which transport %s needs to know: set MASTER_ADDR "
        "and MASTER_PORT for all (mpirun -x MASTER_ADDR=... -x MASTER_PORT=...). MPI, which could tell "
        "them, cannot be used: %s",
        vg_starter_name(group->place.starter), group->kind->name, vg_cause());
}

void vg__group_end_carrier(vg_group *group)
{
    group->kind->close(group);
    if (group->herald) group->herald->close(group);
}

/* Ends the carrier and the watch, and gives back what can be. The cause of the calling thread is the one that
 * the others hear. */
static void part(vg_group *group, vg_status status)
{
    char cause[sizeof group->cause];
    snprintf(cause, sizeof cause, "%s", vg_cause());
    bool ended = true;
    group->good = status == VG_OK || status == VG_ERR_PREEMPTED;
    if (group->worker)
        ended = vg__worker_stop(group->worker, group->options.timeout);
    else if (group->kind)
        vg__group_end_carrier(group);
    if (strcmp(cause, vg_cause()) != 0) vg_fail(status, "%s", cause);
    if (group->watch) vg__watch_close(group->watch, status);
    if (ended) free(group);
}

/* On the worker thread, where there is one. */
static vg_status call(vg_group *group, const char *what, vg_status (*function)(vg_group *group))
{
    if (!function) return VG_OK;
    if (!group->worker) return function(group);
    return vg__worker_call(group->worker, what, function, group->options.start_timeout);
}

static vg_status open_all(vg_group *group)
{
    const vg_group_options *options = &group->options;
    char what[64];
    VG_TRY(find_herald(group));
    if (group->kind->run) VG_TRY(vg__worker_start(group));
    snprintf(what, sizeof what, "the start of %s", group->kind->name);
    if (group->herald) VG_TRY(call(group, "the start of MPI", group->herald->meet));
    VG_TRY(call(group, what, group->kind->meet));
    VG_TRY(
        vg__watch_open(&group->place, options->start_timeout, options->timeout, group->port, &group->watch));
    return call(group, what, group->kind->open);
}

vg_status vg_group_open(const vg_place *place, const vg_group_options *options, vg_group **out)
{
    *out = NULL;
    const vg__kind *kind = NULL;
    if (place->size > 1) VG_TRY(settle_kind(place, options, &kind));
    vg_group *group = calloc(1, sizeof *group);
    if (!group) return vg_fail(VG_ERR_MEMORY, "no memory for a group");
    group->place = *place;
    group->options = *options;
    group->options.transport = kind ? kind->name : "alone";
    group->kind = kind;
    if (kind) {
        const vg_status status = open_all(group);
        if (status != VG_OK) {
            part(group, status);
            return status;
        }
    }
    *out = group;
    return VG_OK;
}

void vg_group_close(vg_group *group, vg_status status)
{
    if (!group) return;
    if (group->kind && (status == VG_OK || status == VG_ERR_PREEMPTED)) {
        vg_status last = vg_group_join(group);
        if (last == VG_OK) last = vg_group_synchronize(group);
        if (last != VG_OK) status = last;
    }
    part(group, status);
}

int vg_group_rank(const vg_group *group)
{
    return group->place.rank;
}
int vg_group_size(const vg_group *group)
{
    return group->place.size;
}
const vg_place *vg_group_place(const vg_group *group)
{
    return &group->place;
}
const char *vg_group_transport(const vg_group *group)
{
    return group->options.transport;
}

void vg_group_at(vg_group *group, int64_t step)
{
    group->step = step;
    group->collective = 0;
    if (group->watch) vg__watch_at(group->watch, step, 0);
}

vg_status vg_group_find(const char *transport, char *text, size_t size)
{
    const vg__kind *kind = find_kind(transport);
    *text = 0;
    if (!kind) return vg_fail(VG_ERR_CONFIG, "there is no transport '%s'", transport);
    return kind->find ? kind->find(text, size) : VG_OK;
}

/* ---- Collectives ---- */

static const char *const collective_words[] = {[VG__ALL_REDUCE] = "all-reduce",
                                               [VG__REDUCE_SCATTER] = "reduce-scatter",
                                               [VG__ALL_GATHER] = "all-gather",
                                               [VG__BROADCAST] = "broadcast"};

void vg__collective_name(const vg__collective *collective, char out[96])
{
    const unsigned kind = (unsigned)collective->kind; /* it may have come from another rank */
    const char *word = kind <= VG__BROADCAST ? collective_words[kind] : "unknown collective";
    snprintf(out, 96, "%s of %s", word, collective->what);
}

void vg__collective_place(const vg__collective *collective, char out[160])
{
    char name[96];
    vg__collective_name(collective, name);
    snprintf(out, 160, "%s (step %lld, collective %lld)", name, (long long)collective->step,
             (long long)collective->number);
}

static vg_status check_collective(const vg_group *group, const vg__collective *c)
{
    char name[96];
    vg__collective_name(c, name);
    const bool sums = c->kind == VG__ALL_REDUCE || c->kind == VG__REDUCE_SCATTER;
    const bool pieces = c->kind == VG__REDUCE_SCATTER || c->kind == VG__ALL_GATHER;
    const bool summed = c->type == VG_F32 || c->type == VG_F64 || c->type == VG_I64;
    if (!summed && (sums || c->type != VG_BF16))
        return vg_fail(VG_ERR_SHAPE, "%s: elements of type %s cannot be %s by a group", name,
                       vg_dtype_name(c->type), sums ? "summed" : "moved");
    const int64_t bytes = (int64_t)vg_dtype_size(c->type) * (pieces ? group->place.size : 1);
    if (c->count < 0 || c->count > INT64_MAX / bytes)
        return vg_fail(VG_ERR_SHAPE, "%s: a count of %lld elements cannot be", name, (long long)c->count);
    if (c->count && !c->array) return vg_fail(VG_ERR_SHAPE, "%s: there is no array", name);
    return VG_OK;
}

static vg_status queue_on_device(vg_group *group, const vg__collective *collective)
{
    void *stream;
    VG_TRY(vg_device_side_begin(group->options.device, &stream));
    group->side = true;
    vg__watch_at(group->watch, collective->step, collective->number);
    return group->kind->queue(group, collective, stream);
}

static vg_status collect(vg_group *group, vg__collective_kind kind, const char *what, void *array,
                         int64_t count, vg_dtype type)
{
    vg__collective c = {.kind = kind, .what = what, .array = array, .count = count, .type = type};
    VG_TRY(check_collective(group, &c));
    if (!group->kind) return VG_OK;
    VG_TRY(vg__group_check(group));
    c.step = group->step;
    c.number = ++group->collective;
    if (!count) return VG_OK;
    return vg__group_keep(group,
                          group->worker ? vg__worker_queue(group->worker, &c) : queue_on_device(group, &c));
}

vg_status vg_group_all_reduce(vg_group *group, const char *what, void *array, int64_t count, vg_dtype type)
{
    return collect(group, VG__ALL_REDUCE, what, array, count, type);
}

vg_status vg_group_reduce_scatter(vg_group *group, const char *what, void *array, int64_t count,
                                  vg_dtype type)
{
    return collect(group, VG__REDUCE_SCATTER, what, array, count, type);
}

vg_status vg_group_all_gather(vg_group *group, const char *what, void *array, int64_t count, vg_dtype type)
{
    return collect(group, VG__ALL_GATHER, what, array, count, type);
}

vg_status vg_group_broadcast(vg_group *group, const char *what, void *array, int64_t count, vg_dtype type)
{
    return collect(group, VG__BROADCAST, what, array, count, type);
}

vg_status vg_group_join(vg_group *group)
{
    if (!group->kind) return VG_OK;
    if (group->worker) {
        const vg_status status =
            vg__group_keep(group, vg__worker_wait(group->worker, group->options.timeout));
        return status == VG_OK ? vg__group_check(group) : status;
    }
    VG_TRY(vg__group_check(group));
    if (!group->side) return VG_OK;
    group->side = false;
    return vg_device_side_join(group->options.device);
}

/* ---- Waiting for a device ---- */

static void sleep_a_little(void)
{
    nanosleep(&(struct timespec){.tv_nsec = 50000}, NULL);
}

/* The device's work waits for a rank that will not come: what is queued is stopped, so that the device comes
 * to an end and its memory can be given back. The cause is kept. */
static vg_status stop_device(vg_group *group, vg_status status)
{
    vg__group_keep(group, status);
    if (group->kind->look(group, true) != VG_OK) vg_debug("stopping the device's work: %s", vg_cause());
    const double until = vg__wire_now() + 10;
    bool done = false;
    while (!done && vg__wire_now() < until && vg_device_finished(group->options.device, &done) == VG_OK)
        if (!done) sleep_a_little();
    return vg_fail(group->failed, "%s", group->cause);
}

vg_status vg_group_synchronize(vg_group *group)
{
    vg_device *device = group->options.device;
    if (!group->kind || group->worker) {
        if (group->kind) VG_TRY(vg__group_check(group));
        return device ? vg_device_synchronize(device) : VG_OK;
    }
    const double until = vg__wire_now() + vg__worker_limit(group);
    if (group->failed) return vg__group_check(group);
    for (bool done = false;;) {
        vg_status status = vg_device_finished(device, &done);
        if (status == VG_OK && done) return vg__group_check(group);
        if (status == VG_OK) status = group->kind->look(group, false);
        if (vg__watch_broken(group->watch)) status = vg__watch_fail(group->watch); /* it knows better */
        if (status == VG_OK && vg__wire_now() > until)
            status = vg__watch_late(group->watch, "the device's work with its collectives");
        if (status != VG_OK) return stop_device(group, status);
        sleep_a_little();
    }
}
