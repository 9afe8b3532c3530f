#include "tests/cuda/stand_in_nccl.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <unistd.h>

#include "core/library.h"
#include "tests/cuda/memory.h"
#include "tests/cuda/stand_in_comm.h"
#include "tests/cuda/work.h"

using namespace stand_in;

stand_in_nccl stand_in_nccl_state = {0, 0, 0, 0, 0, NCCL_VERSION_CODE, 0, 0, nullptr};

namespace
{
stand_in_nccl &self = stand_in_nccl_state;

ncclResult_t version(int *out)
{
    *out = self.version;
    return ncclSuccess;
}

const char *error_string(ncclResult_t code)
{
    return code == ncclRemoteError       ? "remote process exited or there was a network error"
           : code == ncclInvalidUsage    ? "invalid usage"
           : code == ncclInvalidArgument ? "invalid argument"
                                         : "the stand-in refused";
}

const char *last_error(ncclComm_t)
{
    return last_words.c_str();
}

ncclResult_t unique_id(ncclUniqueId *out)
{
    static int count;
    uint64_t chance;
    sockaddr_un address;
    *out = {};
    if (getentropy(&chance, sizeof chance) != 0) return ncclSystemError;
    snprintf(out->internal, sizeof out->internal, "vagus-stand-in-%d-%d-%016llx", (int)getpid(), count++,
             (unsigned long long)chance);
    const int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    const socklen_t length = address_of(*out, &address);
    if (listener < 0 || bind(listener, (sockaddr *)&address, length) || listen(listener, MOST_RANKS))
        return ncclSystemError;
    listeners[out->internal] = listener;
    return ncclSuccess;
}

/* EMULATED_NCCL=error:RANK:NUMBER */
void read_mood(int rank)
{
    const char *mood = getenv("EMULATED_NCCL");
    int of, number;
    if (!mood) return;
    if (sscanf(mood, "error:%d:%d", &of, &number) == 2 && of == rank) self.error_at = number;
    if (sscanf(mood, "hang:%d:%d", &of, &number) == 2 && of == rank) self.hang_at = number;
}

ncclResult_t init(ncclComm_t *out, int ranks, ncclUniqueId id, int rank, ncclConfig_t *config)
{
    *out = nullptr;
    if (config->magic != 0xcafebeef || config->blocking != 0)
        return refuse(ncclInvalidArgument, "the configuration was not initialised, or is one that blocks");
    if (rank < 0 || rank >= ranks || ranks > MOST_RANKS) return refuse(ncclInvalidArgument, "Invalid rank");
    auto comm = std::make_shared<ncclComm>();
    comm->rank = rank;
    comm->ranks = ranks;
    comm->name = id.internal;
    read_mood(rank);
    if (rank == 0) {
        if (!listeners.count(id.internal))
            return refuse(ncclInvalidArgument, "the unique id was not made by rank 0");
        comm->listener = listeners[id.internal];
    } else {
        sockaddr_un address;
        const socklen_t length = address_of(id, &address);
        const Hello hello = hello_of(rank, ranks);
        comm->wire = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (connect(comm->wire, (sockaddr *)&address, length) ||
            send(comm->wire, &hello, sizeof hello, MSG_NOSIGNAL) != (ssize_t)sizeof hello)
            return refuse(ncclSystemError, "Call to connect failed : Connection refused");
    }
    *out = comm.get();
    comms[*out] = comm;
    self.held++;
    return ncclInProgress;
}

ncclResult_t async_error(ncclComm_t comm, ncclResult_t *out)
{
    if (!comms.count(comm)) return refuse(ncclInvalidArgument, "no such communicator");
    comm->progress();
    *out = comm->state;
    return ncclSuccess;
}

ncclResult_t finalize(ncclComm_t comm)
{
    if (!comms.count(comm) || comm->state != ncclSuccess || comm->current || comm->pending)
        return refuse(ncclInvalidUsage, "finalised while something is in progress");
    comm->state = ncclInProgress;
    comm->asked = 0;
    comm->finalizing = true;
    comm->pending = [] {};
    return ncclInProgress;
}

/* On a thread of the caller's: nothing is touched but what that thread alone has left to use. */
void forget(ncclComm_t comm)
{
    comm->aborted = true;
    if (comm->graphs.use_count() > 1) self.waited++;
    while (comm->graphs.use_count() > 1) usleep(1000);
    comm->pending = nullptr;
    comms.erase(comm); /* queued work holds on to it until its stream comes to it */
    self.held--;
}

ncclResult_t destroy(ncclComm_t comm)
{
    if (!comms.count(comm) || comm->state != ncclSuccess || comm->current)
        return refuse(ncclInvalidUsage, "destroyed while something is in progress");
    forget(comm);
    self.destroyed++;
    return ncclSuccess;
}

ncclResult_t abort_comm(ncclComm_t comm)
{
    if (!comms.count(comm)) return refuse(ncclInvalidArgument, "no such communicator");
    forget(comm);
    self.aborted++;
    return ncclSuccess;
}

/* `from` holds `gives` bytes and `to` gets `gets`; where they overlap, `to` must be `at` bytes past `from`.
 */
ncclResult_t collective(ncclComm_t comm, Job job, const void *from, size_t gives, void *to, size_t gets,
                        ptrdiff_t at, cudaStream_t stream)
{
    if (!comms.count(comm)) return refuse(ncclInvalidArgument, "no such communicator");
    if (comm->state != ncclSuccess) return refuse(ncclInvalidUsage, "a call while another is in progress");
    const bool moves = job.kind == ALL_GATHER || job.kind == BROADCAST;
    if (job.type != ncclFloat32 && job.type != ncclFloat64 && job.type != ncclInt64 &&
        !(job.type == ncclBfloat16 && moves))
        return refuse(ncclInvalidArgument, "a type that the stand-in does not know");
    if (!emu::device_holds(from, gives) || !emu::device_holds(to, gets))
        return refuse(ncclInvalidArgument, "an address that is not the device's");
    const char *a = static_cast<const char *>(from), *b = static_cast<char *>(to);
    if (a < b + gets && b < a + gives && b - a != at)
        return refuse(ncclInvalidArgument, "arrays overlap and are not in place");
    if (std::max(gives, gets) > SLOT) return refuse(ncclSystemError, "an array too large for the stand-in");
    std::shared_ptr<ncclComm> holder = comms[comm];
    auto token = std::make_shared<int>(0);
    auto graph = emu::is_captured(stream) ? holder->graphs : nullptr;
    auto run = [holder, token, job, a, to, graph = std::move(graph)] {
        return holder->run(token.get(), job, a, static_cast<char *>(to));
    };
    auto queue = [=] {
        if (!emu::queue_waiting_work(stream, 0.1, run))
            holder->fail(ncclUnhandledCudaError, "no such stream");
    };

    /* The first of its kind makes its connections on the way, and is queued by and by. */
    if (!comm->used[job.kind]) {
        comm->used[job.kind] = true;
        comm->state = ncclInProgress;
        comm->asked = 0;
        comm->pending = queue;
        return ncclInProgress;
    }
    queue();
    return comm->state;
}

ncclResult_t all_reduce(const void *from, void *to, size_t count, ncclDataType_t type, ncclRedOp_t op,
                        ncclComm_t comm, cudaStream_t stream)
{
    if (op != ncclSum) return refuse(ncclInvalidArgument, "only sums");
    const size_t bytes = count * size_of(type);
    return collective(comm, {ALL_REDUCE, type, 0, count}, from, bytes, to, bytes, 0, stream);
}

ncclResult_t reduce_scatter(const void *from, void *to, size_t count, ncclDataType_t type, ncclRedOp_t op,
                            ncclComm_t comm, cudaStream_t stream)
{
    if (op != ncclSum) return refuse(ncclInvalidArgument, "only sums");
    if (!comms.count(comm)) return refuse(ncclInvalidArgument, "no such communicator");
    const size_t bytes = count * size_of(type);
    if (static_cast<char *>(to) != static_cast<const char *>(from) + bytes * (size_t)comm->rank)
        return refuse(ncclInvalidArgument, "a scatter that is not in place"); /* run() scrambles the rest */
    return collective(comm, {REDUCE_SCATTER, type, 0, count}, from, bytes * (size_t)comm->ranks, to, bytes,
                      (ptrdiff_t)bytes * comm->rank, stream);
}

ncclResult_t all_gather(const void *from, void *to, size_t count, ncclDataType_t type, ncclComm_t comm,
                        cudaStream_t stream)
{
    if (!comms.count(comm)) return refuse(ncclInvalidArgument, "no such communicator");
    const size_t bytes = count * size_of(type);
    return collective(comm, {ALL_GATHER, type, 0, count}, from, bytes, to, bytes * (size_t)comm->ranks,
                      -(ptrdiff_t)bytes * comm->rank, stream);
}

ncclResult_t broadcast(const void *from, void *to, size_t count, ncclDataType_t type, int root,
                       ncclComm_t comm, cudaStream_t stream)
{
    const size_t bytes = count * size_of(type);
    if (!comms.count(comm) || root < 0 || root >= comm->ranks) return refuse(ncclInvalidArgument, "root");
    return collective(comm, {BROADCAST, type, root, count}, from, bytes, to, bytes, 0, stream);
}

vg__function resolve(const char *name)
{
    static const struct {
        const char *name;
        vg__function function;
    } all[] = {
#define IS(theirs, our) {#theirs, reinterpret_cast<vg__function>(static_cast<decltype(&theirs)>(our))}
        IS(ncclGetVersion, version),           IS(ncclGetErrorString, error_string),
        IS(ncclGetLastError, last_error),      IS(ncclGetUniqueId, unique_id),
        IS(ncclCommInitRankConfig, init),      IS(ncclCommGetAsyncError, async_error),
        IS(ncclCommFinalize, finalize),        IS(ncclCommDestroy, destroy),
        IS(ncclCommAbort, abort_comm),         IS(ncclAllReduce, all_reduce),
        IS(ncclReduceScatter, reduce_scatter), IS(ncclAllGather, all_gather),
        IS(ncclBroadcast, broadcast),
#undef IS
    };
    for (const auto &one : all)
        if (!strcmp(one.name, name)) return one.function;
    return nullptr;
}
} // namespace

void stand_in_nccl_install(void)
{
    vg__library_stand_in("libnccl.so.2", resolve);
}

void stand_in_nccl_remove(void)
{
    vg__library_stand_in("libnccl.so.2", nullptr);
}
