/* Kind nccl: collectives between GPUs by NVIDIA's NCCL, queued on a stream of the device. Not yet run on a
 * GPU: run by the tests against the real library as far as that goes without one, and on the emulator against
 * a stand-in (tests/cuda).
 *
 * The communicator is one that never blocks (config.blocking = 0): a call that takes long answers "in
 * progress", and how it went is asked for until it is over, until the watch breaks, or until the time is up.
 * What has been queued and waits for a lost rank on the GPU is ended by ncclCommAbort(). That, and
 * ncclCommDestroy(), do not come back while a CUDA graph with a collective of theirs is there (read in the
 * source of 2.28), nor for reasons of their own (nccl issue 863): they are called by a thread that nobody has
 * to wait for.
 *
 * NVLink's switches can add up by themselves (NVLS), in an order that is not the same on every run, as NCCL's
 * authors say of it. Two runs of one size shall give the same bits here, so it is off unless the user's
 * environment says otherwise. What is left, rings and trees, adds in an order that the number of ranks, the
 * count and the machines decide. */
#include <nccl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/group/kind.h"
#include "core/group/wire.h"
#include "core/library.h"
#include "core/log.h"

#define SONAME "libnccl.so.2"

#define FUNCTIONS(X)                                                                                         \
    X(ncclGetVersion)                                                                                        \
    X(ncclGetErrorString)                                                                                    \
    X(ncclGetLastError)                                                                                      \
    X(ncclGetUniqueId)                                                                                       \
    X(ncclCommInitRankConfig)                                                                                \
    X(ncclCommGetAsyncError)                                                                                 \
    X(ncclCommFinalize)                                                                                      \
    X(ncclCommDestroy)                                                                                       \
    X(ncclCommAbort)                                                                                         \
    X(ncclAllReduce)                                                                                         \
    X(ncclReduceScatter)                                                                                     \
    X(ncclAllGather)                                                                                         \
    X(ncclBroadcast)

VG__LIBRARY_TABLE(FUNCTIONS);

/* 2.18 came with CUDA 12.1. All that is called below is in NCCL since 2.14, but whoever has a GPU that there
 * are kernels for can have this one. */
enum { LEAST_VERSION = 21800 };

/* How long an answer of the watch is waited for when NCCL complains first, and how long the end of a
 * communicator may take: seconds. */
static const double NEWS = 1, FAREWELL = 10;

typedef struct carrier {
    vg__library library;
    functions call;
    char version[16];
    ncclComm_t comm; /* NULL before, and once it is being ended */
    ncclUniqueId id;

    pthread_t ender;
    ncclComm_t ending; /* what the thread ends; NULL: there is none */
    ncclResult_t (*end)(ncclComm_t comm);
    atomic_bool ended;
} carrier;

static carrier *carrier_of(vg_group *group)
{
    return group->carrier;
}

static void name_version(int version, char out[16])
{
    snprintf(out, 16, "%d.%d.%d", version / 10000, version / 100 % 100, version % 100);
    if (version < 10000) /* before 2.9 */
        snprintf(out, 16, "%d.%d.%d", version / 1000, version / 100 % 10, version % 100);
}

/* The library stays in the process: its threads may outlive the communicator for a while. */
static vg_status open_library(carrier *c)
{
    int version = 0;
    VG_TRY(vg__library_open(SONAME, names, c->call.all, FUNCTION_COUNT, &c->library));
    if (c->call.by.ncclGetVersion(&version) != ncclSuccess) version = 0;
    name_version(version, c->version);
    if (version >= LEAST_VERSION) return VG_OK;
    return vg_fail(
        VG_ERR_UNSUPPORTED,
        "NCCL %s from %s is too old, 2.18 is the oldest that will do: install a newer one, or name "
        "the folder of one in VAGUS_CUDA_LIBRARIES",
        c->version, c->library.path);
}

static vg_status find(char *text, size_t size)
{
    carrier c = {0};
    VG_TRY(open_library(&c));
    snprintf(text, size, "%s from %s", c.version, c.library.path);
    return VG_OK;
}

/* ---- What went wrong ---- */

/* The way out, by what NCCL says. */
static const char *advice(ncclResult_t result, const char *words)
{
    if (strstr(words, "Duplicate GPU"))
        return "two ranks have one GPU, and each needs its own: start no more ranks on a machine than it has "
               "GPUs, and leave device=cuda without a number, so that each rank takes the one of its own";
    if (result == ncclUnhandledCudaError)
        return "'vagus doctor' tells whether this rank's GPU can be used, NCCL_DEBUG=INFO what NCCL did";
    return "NCCL_DEBUG=INFO tells what it did, and NCCL_SOCKET_IFNAME=eth0 (or another of those that 'ip "
           "addr' "
           "lists) chooses the network between the machines";
}

/* The watch's word comes first, since it knows who was lost; it may come a moment after NCCL's. */
static vg_status failed(vg_group *group, const char *doing, ncclResult_t result)
{
    const carrier *c = carrier_of(group);
    const bool from_afar = result == ncclRemoteError || result == ncclSystemError;
    if (group->watch && from_afar) {
        struct pollfd alarm = {.fd = vg__watch_alarm(group->watch), .events = POLLIN};
        (void)poll(&alarm, 1, (int)(NEWS * 1000));
    }
    if (group->watch && vg__watch_broken(group->watch)) return vg__watch_fail(group->watch);
    const char *words = c->call.by.ncclGetLastError(c->comm);
    char step[48] = "";
    if (group->step > 0) snprintf(step, sizeof step, ", step %lld", (long long)group->step);
    return vg_fail(result == ncclRemoteError ? VG_ERR_PEER : VG_ERR_DEVICE,
                   "rank %d (%s)%s: %s: NCCL %s: %s%s%s; %s", group->place.rank,
                   group->watch ? vg__watch_member(group->watch, group->place.rank)->host : "this machine",
                   step, doing, c->version, c->call.by.ncclGetErrorString(result),
                   words && *words ? ": " : "", words ? words : "", advice(result, words ? words : ""));
}

/* Until NCCL is through with what it was asked, which `result` answered. */
static vg_status settle(vg_group *group, const char *doing, ncclResult_t result, double limit)
{
    const carrier *c = carrier_of(group);
    const double deadline = vg__wire_now() + limit;
    while (result == ncclInProgress) {
        ncclResult_t state = ncclSuccess;
        result = c->call.by.ncclCommGetAsyncError(c->comm, &state);
        if (result == ncclSuccess) result = state;
        if (result != ncclInProgress) break;
        if (group->watch && vg__watch_broken(group->watch)) return vg__watch_fail(group->watch);
        if (vg__wire_now() >= deadline)
            return group->watch ? vg__watch_late(group->watch, doing)
                                : vg_fail(VG_ERR_DEVICE, "%s: NCCL %s has not come to an end in %.0f s",
                                          doing, c->version, limit);
        struct pollfd alarm = {.fd = group->watch ? vg__watch_alarm(group->watch) : -1, .events = POLLIN};
        (void)poll(&alarm, 1, 1);
    }
    return result == ncclSuccess ? VG_OK : failed(group, doing, result);
}

/* ---- Open and close ---- */

static vg_status open_group(vg_group *group)
{
    static const char *const doing = "connecting the GPUs";
    if (!group->options.device || group->options.device->ops->is_host)
        return vg_fail(
            VG_ERR_CONFIG,
            "parallel.transport=nccl is for GPUs and the device is the processor: take device=cuda, "
            "or parallel.transport=tcp");
    carrier *c = group->carrier = calloc(1, sizeof *c);
    if (!c) return vg_fail(VG_ERR_MEMORY, "cannot allocate a communicator");
    (void)setenv("NCCL_NVLS_ENABLE", "0", false);
    vg_status status = open_library(c);
    if (status != VG_OK) return vg_context(status, "parallel.transport=nccl");

    if (group->place.rank == 0) {
        ncclResult_t result = c->call.by.ncclGetUniqueId(&c->id);
        if (result != ncclSuccess) return failed(group, doing, result);
    }
    if (group->watch)
        VG_TRY(vg__watch_broadcast(group->watch, "NCCL's unique id", &c->id, (int64_t)sizeof c->id));

    ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
    config.blocking = 0;
    ncclResult_t result =
        c->call.by.ncclCommInitRankConfig(&c->comm, group->place.size, c->id, group->place.rank, &config);
    const double deadline = vg__wire_now() + group->options.start_timeout;
    status = settle(group, doing, result, group->options.start_timeout);
    if (status != VG_OK && result == ncclInProgress && vg__wire_now() >= deadline)
        return vg_context(status, "NCCL has not connected the GPUs of all ranks (%s)",
                          advice(ncclRemoteError, ""));
    VG_TRY(status);
    if (group->place.rank == 0)
        vg_info("NCCL %s from %s, %d GPUs%s", c->version, c->library.path, group->place.size,
                strcmp(getenv("NCCL_NVLS_ENABLE"), "0") != 0 ? "; NCCL_NVLS_ENABLE is set, so that two runs "
                                                               "may differ in their last bits"
                                                             : "");
    return VG_OK;
}

static void *end_main(void *context)
{
    carrier *c = context;
    (void)c->end(c->ending);
    atomic_store(&c->ended, true);
    return NULL;
}

/* Gives the communicator to ncclCommAbort() or ncclCommDestroy(), which does its work beside the caller. The
 * first thing that an abort does is to end what is queued, here and, by and by, at the others. */
static void end_communicator(carrier *c, ncclResult_t (*end)(ncclComm_t comm))
{
    sigset_t all, before;
    if (!c->comm) return;
    c->ending = c->comm;
    c->end = end;
    c->comm = NULL;
    sigfillset(&all); /* signals are for the threads that expect them */
    pthread_sigmask(SIG_SETMASK, &all, &before);
    if (pthread_create(&c->ender, NULL, end_main, c) != 0) {
        end_main(c);
        c->ending = NULL;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

/* False when it has not come to its end in time: then the thread goes on to use the carrier. */
static bool join_ender(carrier *c, double limit)
{
    const double deadline = vg__wire_now() + limit;
    if (!c->ending) return true;
    while (!atomic_load(&c->ended) && vg__wire_now() < deadline) (void)poll(NULL, 0, 1);
    if (!atomic_load(&c->ended)) {
        pthread_detach(c->ender);
        return false;
    }
    pthread_join(c->ender, NULL);
    c->ending = NULL;
    return true;
}

/* Nothing may be left to do on the device when a communicator is finalised: it would wait for it. */
static bool finalize(vg_group *group, double limit)
{
    const carrier *c = carrier_of(group);
    const double deadline = vg__wire_now() + limit;
    bool done = false;
    if (!group->good || vg_device_finished(group->options.device, &done) != VG_OK || !done) return false;
    ncclResult_t state = c->call.by.ncclCommFinalize(c->comm);
    while (state == ncclInProgress && vg__wire_now() < deadline) {
        (void)poll(NULL, 0, 1);
        if (c->call.by.ncclCommGetAsyncError(c->comm, &state) != ncclSuccess) return false;
    }
    return state == ncclSuccess;
}

static void close_group(vg_group *group)
{
    carrier *c = carrier_of(group);
    const double limit = group->options.timeout < FAREWELL ? group->options.timeout : FAREWELL;
    if (!c) return;
    if (c->comm)
        end_communicator(c, finalize(group, limit) ? c->call.by.ncclCommDestroy : c->call.by.ncclCommAbort);
    if (join_ender(c, limit))
        free(c);
    else
        vg_warn("rank %d: NCCL has not given back its communicator in %.0f s and is left to itself",
                group->place.rank, limit);
    group->carrier = NULL;
}

/* ---- Collectives ---- */

/* NCCL takes what it is given, and with a wrong address or count the GPU stops at an error that names nobody.
 */
static vg_status check(const vg_group *group, const vg__collective *job, const void *stream,
                       ncclDataType_t *type)
{
    static const struct {
        vg_dtype ours;
        ncclDataType_t theirs;
        bool sums;
    } types[] = {{VG_F32, ncclFloat32, true},
                 {VG_F64, ncclFloat64, true},
                 {VG_I64, ncclInt64, true},
                 {VG_BF16, ncclBfloat16, false}};
    const bool sums = job->kind == VG__ALL_REDUCE || job->kind == VG__REDUCE_SCATTER;
    const bool pieces = job->kind == VG__REDUCE_SCATTER || job->kind == VG__ALL_GATHER;
    const size_t size = vg_dtype_size(job->type);
    char name[96];
    bool known = false;
    vg__collective_name(job, name);
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (types[i].ours == job->type && (types[i].sums || !sums)) {
            *type = types[i].theirs;
            known = true;
        }
    if (!known)
        return vg_fail(VG_ERR_UNSUPPORTED, "%s: there is none of type %s", name, vg_dtype_name(job->type));
    if (job->count <= 0 || job->count > INT64_MAX / (int64_t)size / (pieces ? group->place.size : 1))
        return vg_fail(VG_ERR_SHAPE, "%s: a count of %lld elements%s", name, (long long)job->count,
                       pieces ? " a rank" : "");
    if (!job->array || (uintptr_t)job->array % size)
        return vg_fail(VG_ERR_SHAPE, "%s: %p is no address of an array of %s", name, job->array,
                       vg_dtype_name(job->type));
    if (!stream) return vg_fail(VG_ERR_SHAPE, "%s: no stream to run on", name);
    return VG_OK;
}

/* In place as NCCL understands it: what a rank gives to a gather, and what it gets of a scatter, is its own
 * piece of the whole. */
static vg_status queue(vg_group *group, const vg__collective *job, void *stream)
{
    const carrier *c = carrier_of(group);
    ncclDataType_t type = ncclFloat32;
    char name[96];
    VG_TRY(check(group, job, stream, &type));
    vg__collective_name(job, name);
    if (!c->comm) return vg_fail(VG_ERR_PEER, "%s: NCCL's communicator has been stopped", name);
    char *all = job->array;
    char *own = all + (size_t)group->place.rank * (size_t)job->count * vg_dtype_size(job->type);
    const size_t count = (size_t)job->count;
    cudaStream_t on = stream;
    ncclResult_t result = ncclInternalError;
    switch (job->kind) {
    case VG__ALL_REDUCE:
        result = c->call.by.ncclAllReduce(all, all, count, type, ncclSum, c->comm, on);
        break;
    case VG__REDUCE_SCATTER:
        result = c->call.by.ncclReduceScatter(all, own, count, type, ncclSum, c->comm, on);
        break;
    case VG__ALL_GATHER:
        result = c->call.by.ncclAllGather(own, all, count, type, c->comm, on);
        break;
    case VG__BROADCAST:
        result = c->call.by.ncclBroadcast(all, all, count, type, 0, c->comm, on);
        break;
    }
    return settle(group, name, result, group->options.timeout);
}

static vg_status look(vg_group *group, bool stop)
{
    carrier *c = carrier_of(group);
    ncclResult_t state = ncclSuccess;
    if (!c || !c->comm) return VG_OK;
    ncclResult_t result = c->call.by.ncclCommGetAsyncError(c->comm, &state);
    if (result == ncclSuccess) result = state;
    vg_status status = result == ncclSuccess || result == ncclInProgress ? VG_OK
                       : stop                                            ? VG_OK
                              : failed(group, "collectives on the GPU", result);
    if (stop) end_communicator(c, c->call.by.ncclCommAbort);
    return status;
}

const vg__kind vg__kind_nccl = {
    .name = "nccl", .find = find, .open = open_group, .close = close_group, .queue = queue, .look = look};
