#include "tests/cuda/stand_in_comm.h"

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <poll.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/cuda/stand_in_nccl.h"
#include "tests/cuda/work.h"

namespace stand_in
{
std::string last_words;
std::map<std::string, int> listeners;
std::map<ncclComm_t, std::shared_ptr<ncclComm>> comms; /* behind the listeners, which their ends erase */

/* What all ranks see: each one's latest collective, how many it has put down and how many taken away. */
struct Shared {
    std::atomic<uint64_t> put[MOST_RANKS], taken[MOST_RANKS];
    Job job[MOST_RANKS];
};

ncclResult_t refuse(ncclResult_t code, const std::string &why)
{
    static std::string first;
    if (!stand_in_nccl_state.first_refusal) {
        first = why;
        stand_in_nccl_state.first_refusal = first.c_str();
    }
    last_words = why;
    return code;
}

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

socklen_t address_of(const ncclUniqueId &id, sockaddr_un *address)
{
    memset(address, 0, sizeof *address);
    address->sun_family = AF_UNIX;
    const size_t length = strnlen(id.internal, sizeof address->sun_path - 2);
    memcpy(address->sun_path + 1, id.internal, length);
    return (socklen_t)(offsetof(sockaddr_un, sun_path) + 1 + length);
}
} // namespace stand_in

using namespace stand_in;

namespace
{
template <class T> void add(void *to, const void *from, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++) static_cast<T *>(to)[i] += static_cast<const T *>(from)[i];
}

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

ncclComm::~ncclComm()
{
    for (auto &guest : guests) close(guest.second);
    for (int descriptor : {wire, listener, memory})
        if (descriptor >= 0) close(descriptor);
    if (mapped) munmap(mapped, bytes());
    if (listener >= 0) listeners.erase(name);
}

void ncclComm::map()
{
    void *at = mmap(nullptr, bytes(), PROT_READ | PROT_WRITE, MAP_SHARED, memory, 0);
    if (at == MAP_FAILED) abort();
    mapped = static_cast<char *>(at);
    state = ncclSuccess;
}

/* Rank 0 waits for the others, and tells them whether it came to something. */
void ncclComm::gather()
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

void ncclComm::progress()
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

bool ncclComm::run(const void *token, const Job &job, const char *from, char *to)
{
    if (aborted || (state != ncclSuccess && state != ncclInProgress)) return true;
    if (current && current != token) return false;
    if (!current) {
        current = token;
        has_put = false;
        number++;
        stand_in_nccl_state.collectives++;
        if ((int)number == stand_in_nccl_state.error_at)
            return fail(ncclRemoteError, "the stand-in was told to fail"), true;
    }
    if ((int)number == stand_in_nccl_state.hang_at) return false;
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
            fprintf(stderr, "stand-in of NCCL: ranks %d and %d are not at the same collective\n", rank, r);
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
