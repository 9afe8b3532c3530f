#include "tests/cuda/stand_in_nccl.h"

#include <nccl.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <map>
#include <memory>
#include <poll.h>
#include <string>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <vector>

#include "core/library.h"
#include "tests/cuda/memory.h"
#include "tests/cuda/work.h"

stand_in_nccl stand_in_nccl_state = {0, 0, 0, 0, 0, NCCL_VERSION_CODE, 0, 0, nullptr};

namespace
{
stand_in_nccl &self = stand_in_nccl_state;
std::string last_words;

enum { MOST_RANKS = 16 };
const size_t SLOT = (size_t)64 << 20; /* of each rank, for one array; only what is used takes memory */

ncclResult_t refuse(ncclResult_t code, const std::string &why)
{
    static std::string first;
    if (!self.first_refusal) {
        first = why;
        self.first_refusal = first.c_str();
    }
    last_words = why;
    return code;
}

enum Kind { ALL_REDUCE, REDUCE_SCATTER, ALL_GATHER, BROADCAST, KINDS };
struct Job {
    Kind kind;
    int type, root;
    uint64_t count;
    bool operator==(const Job &other) const
    {
        return kind == other.kind && type == other.type && root == other.root && count == other.count;
    }
};

/* What all ranks see: each one's latest collective, how many it has put down and how many taken away. */
struct Shared {
    std::atomic<uint64_t> put[MOST_RANKS], taken[MOST_RANKS];
    Job job[MOST_RANKS];
};

struct Hello {
    int rank, ranks, device;
    char host[64];
};

/* NCCL_HOSTID is what NCCL, too, takes for the name of the machine. */
Hello hello_of(int rank, int ranks)
{
    const char *host = getenv("NCCL_HOSTID");
    Hello hello = {rank, ranks, emu::current_device(), ""};
    snprintf(hello.host, sizeof hello.host, "%s", host ? host : "");
    return hello;
}

size_t size_of(int type)
{
    return type == ncclFloat64 || type == ncclInt64 ? 8 : type == ncclBfloat16 ? 2 : 4;
}

template <class T> void add(void *to, const void *from, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++) static_cast<T *>(to)[i] += static_cast<const T *>(from)[i];
}

/* An address without a name in the file system, that ends with its socket. */
socklen_t address_of(const ncclUniqueId &id, sockaddr_un *address)
{
    memset(address, 0, sizeof *address);
    address->sun_family = AF_UNIX;
    const size_t length = strnlen(id.internal, sizeof address->sun_path - 2);
    memcpy(address->sun_path + 1, id.internal, length);
    return (socklen_t)(offsetof(sockaddr_un, sun_path) + 1 + length);
}

std::map<std::string, int> listeners; /* by unique id */

void send_descriptor(int wire, int descriptor, char verdict)
{
    char control[CMSG_SPACE(sizeof(int))] = {};
    iovec bytes = {&verdict, 1};
    msghdr message = {};
    message.msg_iov = &bytes;
    message.msg_iovlen = 1;
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    cmsghdr *header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(header), &descriptor, sizeof descriptor);
    (void)sendmsg(wire, &message, MSG_NOSIGNAL);
}

/* 0: not yet; -1: rank 0 is gone. */
char receive_descriptor(int wire, int *descriptor)
{
    char control[CMSG_SPACE(sizeof(int))] = {}, verdict = 0;
    iovec bytes = {&verdict, 1};
    msghdr message = {};
    message.msg_iov = &bytes;
    message.msg_iovlen = 1;
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    const ssize_t got = recvmsg(wire, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (got <= 0) return got < 0 && errno == EAGAIN ? 0 : -1;
    if (cmsghdr *header = CMSG_FIRSTHDR(&message)) memcpy(descriptor, CMSG_DATA(header), sizeof *descriptor);
    return verdict;
}
} // namespace

struct ncclComm {
    int rank, ranks;
    int wire = -1, listener = -1;              /* to rank 0; rank 0's */
    std::vector<std::pair<Hello, int>> guests; /* who has come to rank 0, and over which socket */
    int memory = -1;
    char *mapped = nullptr;
    ncclResult_t state = ncclInProgress;
    std::atomic<bool> aborted{false};
    std::string name;
    std::shared_ptr<int> graphs = std::make_shared<int>(0); /* one more holds it for each node of a graph */

    std::function<void()> pending; /* a collective that is still in progress */
    int asked = 0;                 /* how often since */
    bool finalizing = false;
    bool used[KINDS] = {};

    const void *current = nullptr; /* the collective that runs */
    uint64_t number = 0;           /* of it */
    bool has_put = false;

    Shared *shared() const { return reinterpret_cast<Shared *>(mapped); }
    char *slot(int of) const { return mapped + 65536 + SLOT * (size_t)of; }
    size_t bytes() const { return 65536 + SLOT * (size_t)ranks; }

    ~ncclComm()
    {
        for (auto &guest : guests) close(guest.second);
        for (int descriptor : {wire, listener, memory})
            if (descriptor >= 0) close(descriptor);
        if (mapped) munmap(mapped, bytes());
        if (listener >= 0) listeners.erase(name);
    }

    ncclResult_t fail(ncclResult_t code, const std::string &why) { return state = refuse(code, why); }

    void map()
    {
        void *at = mmap(nullptr, bytes(), PROT_READ | PROT_WRITE, MAP_SHARED, memory, 0);
        if (at == MAP_FAILED) abort();
        mapped = static_cast<char *>(at);
        state = ncclSuccess;
    }

    /* Rank 0 waits for the others, and tells them whether it came to something. */
    void gather()
    {
        const int wire_of = accept4(listener, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (wire_of >= 0) {
            Hello hello = {};
            pollfd ready = {wire_of, POLLIN, 0};
            (void)poll(&ready, 1, 1000);
            if (recv(wire_of, &hello, sizeof hello, 0) != (ssize_t)sizeof hello || hello.ranks != ranks) {
                close(wire_of);
                return;
            }
            guests.push_back({hello, wire_of});
        }
        if ((int)guests.size() < ranks - 1) return;
        std::map<std::string, int> rank_on; /* by machine and GPU */
        std::string twice;
        auto place = [](const Hello &of) { return of.host + (" " + std::to_string(of.device)); };
        rank_on[place(hello_of(0, ranks))] = 0;
        for (auto &guest : guests)
            if (!rank_on.emplace(place(guest.first), guest.first.rank).second)
                twice = "Duplicate GPU detected : rank " + std::to_string(rank_on[place(guest.first)]) +
                        " and rank " + std::to_string(guest.first.rank) + " both on CUDA device " +
                        std::to_string(guest.first.device);
        memory = memfd_create("stand-in of NCCL", MFD_CLOEXEC);
        if (memory < 0 || ftruncate(memory, (off_t)bytes()) != 0) abort();
        for (auto &guest : guests) send_descriptor(guest.second, memory, twice.empty() ? 'y' : 'n');
        if (twice.empty())
            map();
        else
            fail(ncclInvalidUsage, twice);
    }

    void progress()
    {
        if (pending) {
            if (++asked < 3 || (finalizing && graphs.use_count() > 1)) return;
            state = ncclSuccess;
            std::function<void()> queue = std::move(pending);
            pending = nullptr;
            queue();
            return;
        }
        if (mapped || state != ncclInProgress) return;
        if (rank == 0) return gather();
        const char verdict = receive_descriptor(wire, &memory);
        if (verdict == 'y')
            map();
        else if (verdict == 'n')
            fail(ncclInvalidUsage, "Duplicate GPU detected : two ranks on one CUDA device");
        else if (verdict)
            fail(ncclRemoteError, "the connection to rank 0 was closed");
    }

    /* Whether it has run: not before everyone has come to it. */
    bool run(const void *token, const Job &job, const char *from, char *to)
    {
        if (aborted || (state != ncclSuccess && state != ncclInProgress)) return true;
        if (current && current != token) return false;
        if (!current) {
            current = token;
            has_put = false;
            number++;
            self.collectives++;
            if ((int)number == self.error_at)
                return fail(ncclRemoteError, "the stand-in was told to fail"), true;
        }
        if ((int)number == self.hang_at) return false;
        auto all = [this](std::atomic<uint64_t> *counts, uint64_t least) {
            for (int r = 0; r < ranks; r++)
                if (counts[r].load(std::memory_order_acquire) < least) return false;
            return true;
        };
        const size_t size = size_of(job.type), piece = job.count * size;
        if (!has_put) {
            if (!all(shared()->taken, number - 1)) return false; /* somebody still reads what was there */
            memcpy(slot(rank), from, job.kind == REDUCE_SCATTER ? piece * (size_t)ranks : piece);
            shared()->job[rank] = job;
            shared()->put[rank].store(number, std::memory_order_release);
            has_put = true;
        }
        if (!all(shared()->put, number)) return false;
        for (int r = 0; r < ranks; r++)
            if (!(shared()->job[r] == job)) {
                fprintf(stderr, "stand-in of NCCL: ranks %d and %d are not at the same collective\n", rank,
                        r);
                return fail(ncclInvalidUsage, "ranks are not at the same collective"), true;
            }
        if (job.kind == BROADCAST) memcpy(to, slot(job.root), piece);
        if (job.kind == ALL_GATHER)
            for (int r = 0; r < ranks; r++) memcpy(to + (size_t)r * piece, slot(r), piece);
        if (job.kind == ALL_REDUCE || job.kind == REDUCE_SCATTER) {
            const size_t first = job.kind == REDUCE_SCATTER ? (size_t)rank * piece : 0;
            if (job.kind == REDUCE_SCATTER) /* in place: the other pieces are anybody's guess */
                memset(to - first, 0xff, piece * (size_t)ranks);
            memcpy(to, slot(0) + first, piece);
            for (int r = 1; r < ranks; r++) {
                if (job.type == ncclFloat32) add<float>(to, slot(r) + first, job.count);
                if (job.type == ncclFloat64) add<double>(to, slot(r) + first, job.count);
                if (job.type == ncclInt64) add<uint64_t>(to, slot(r) + first, job.count);
            }
        }
        shared()->taken[rank].store(number, std::memory_order_release);
        current = nullptr;
        return true;
    }
};

namespace
{
std::map<ncclComm_t, std::shared_ptr<ncclComm>> comms;

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
