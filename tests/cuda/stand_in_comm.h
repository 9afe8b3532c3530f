/* A communicator of the stand-in for NCCL: how processes meet, and how their collectives run. */
#ifndef VAGUS_TESTS_CUDA_STAND_IN_COMM_H
#define VAGUS_TESTS_CUDA_STAND_IN_COMM_H

#include <nccl.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <sys/socket.h>
#include <sys/un.h>
#include <utility>
#include <vector>

namespace stand_in
{
enum { MOST_RANKS = 16 };
const size_t SLOT = (size_t)64 << 20; /* of each rank, for one array; only what is used takes memory */

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

struct Hello {
    int rank, ranks, device;
    char host[64];
};
Hello hello_of(int rank, int ranks);

struct Shared;

extern std::string last_words;
extern std::map<std::string, int> listeners; /* by unique id */
extern std::map<ncclComm_t, std::shared_ptr<ncclComm>> comms;

/* Remembers why. Returns the code. */
ncclResult_t refuse(ncclResult_t code, const std::string &why);

size_t size_of(int type);

/* An address without a name in the file system, that ends with its socket. */
socklen_t address_of(const ncclUniqueId &id, sockaddr_un *address);
} // namespace stand_in

struct ncclComm {
    int rank, ranks;
    int wire = -1, listener = -1;                        /* to rank 0; rank 0's */
    std::vector<std::pair<stand_in::Hello, int>> guests; /* who has come to rank 0, and over which socket */
    int memory = -1;
    char *mapped = nullptr;
    ncclResult_t state = ncclInProgress;
    std::atomic<bool> aborted{false};
    std::string name;
    std::shared_ptr<int> graphs = std::make_shared<int>(0); /* one more holds it for each node of a graph */

    std::function<void()> pending; /* a collective that is still in progress */
    int asked = 0;                 /* how often since */
    bool finalizing = false;
    bool used[stand_in::KINDS] = {};

    const void *current = nullptr; /* the collective that runs */
    uint64_t number = 0;           /* of it */
    bool has_put = false;

    ~ncclComm();
    ncclResult_t fail(ncclResult_t code, const std::string &why)
    {
        return state = stand_in::refuse(code, why);
    }

    /* A step towards the others, or to the end of what is in progress. */
    void progress();

    /* Whether the collective has run: not before everyone has come to it. */
    bool run(const void *token, const stand_in::Job &job, const char *from, char *to);

  private:
    stand_in::Shared *shared() const { return reinterpret_cast<stand_in::Shared *>(mapped); }
    char *slot(int of) const { return mapped + 65536 + stand_in::SLOT * (size_t)of; }
    size_t bytes() const { return 65536 + stand_in::SLOT * (size_t)ranks; }
    void map();
    void gather();
};

#endif
