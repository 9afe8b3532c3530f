#include "tests/cuda/runtime.h"

#include <deque>
#include <memory>
#include <set>
#include <vector>

#include "tests/cuda/block.h"
#include "tests/cuda/memory.h"

namespace
{
struct Work {
    std::function<void()> run;
    cudaEvent_t event = nullptr; /* to wait for, before `run` */
    uint64_t version = 0;
};
} // namespace

struct CUstream_st {
    std::deque<Work> queue;
};

/* `recorded` counts calls of cudaEventRecord, `reached` is the latest of them that its stream came to. Kept
 * until the end: a stream may wait for an event that was destroyed after. */
struct CUevent_st {
    uint64_t recorded = 0, reached = 0;
};

namespace
{
std::set<cudaStream_t> streams;
std::vector<std::unique_ptr<CUevent_st>> events;
cudaError_t last_error;

cudaError_t error(cudaError_t code)
{
    if (code != cudaSuccess) last_error = code;
    return code;
}

bool may_run(cudaStream_t stream)
{
    if (stream->queue.empty()) return false;
    const Work &work = stream->queue.front();
    return !work.event || work.event->reached >= work.version;
}

/* Runs queued work, the next of a random stream each time, until `done`. */
template <class Condition> cudaError_t run_until(Condition done)
{
    bool idle = true;
    for (cudaStream_t stream : streams) idle = idle && stream->queue.empty();
    if (idle || done()) return *emu::failure() ? error(cudaErrorLaunchFailure) : cudaSuccess;
    emu::device_open();
    while (!done()) {
        std::vector<cudaStream_t> able;
        for (cudaStream_t stream : streams)
            if (may_run(stream)) able.push_back(stream);
        if (able.empty()) break;
        cudaStream_t stream = able[emu::random_below((unsigned)able.size())];
        Work work = std::move(stream->queue.front());
        stream->queue.pop_front();
        if (!*emu::failure() && work.run) work.run(); /* after a failure nothing runs any more */
    }
    if (!emu::device_guards_stand()) emu::fail_host("a kernel or copy wrote outside its device memory");
    emu::device_close();
    return *emu::failure() ? error(cudaErrorLaunchFailure) : cudaSuccess;
}

cudaError_t queue(cudaStream_t stream, std::function<void()> run)
{
    if (!streams.count(stream)) return error(cudaErrorInvalidValue); /* the default stream too: name one */
    Work work;
    work.run = std::move(run);
    stream->queue.push_back(std::move(work));
    return cudaSuccess;
}
} // namespace

namespace emu
{
cudaError_t queue_kernel(dim3 grid, dim3 block, size_t shared_bytes, cudaStream_t stream,
                         std::function<void()> body)
{
    const unsigned long threads = (unsigned long)block.x * block.y * block.z;
    if (threads == 0 || threads > 1024 || grid.x == 0 || grid.x > 0x7fffffff || grid.y == 0 ||
        grid.y > 65535 || grid.z == 0 || grid.z > 65535 || shared_bytes > 227 * 1024)
        return error(cudaErrorInvalidConfiguration);
    return queue(stream, [=] { run_grid(grid, block, shared_bytes, body); });
}
} // namespace emu

extern "C" {
cudaError_t cudaMalloc(void **out, size_t bytes)
{
    *out = bytes ? emu::device_allocate(bytes) : nullptr;
    return *out || !bytes ? cudaSuccess : error(cudaErrorMemoryAllocation);
}

cudaError_t cudaFree(void *memory)
{
    cudaError_t before = cudaDeviceSynchronize();
    if (memory && !emu::device_release(memory)) return error(cudaErrorInvalidValue);
    return before;
}

cudaError_t cudaMallocHost(void **out, size_t bytes)
{
    *out = emu::pinned_allocate(bytes);
    return *out ? cudaSuccess : error(cudaErrorMemoryAllocation);
}

cudaError_t cudaFreeHost(void *memory)
{
    return !memory || emu::pinned_release(memory) ? cudaSuccess : error(cudaErrorInvalidValue);
}

/* Pageable host memory is read at once when it is the source, as CUDA stages it; a copy to the host is only
 * there after a synchronisation, whatever the memory. */
cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t bytes, cudaMemcpyKind kind,
                            cudaStream_t stream)
{
    bool to_device = kind != cudaMemcpyDeviceToHost, from_device = kind != cudaMemcpyHostToDevice;
    if (!bytes) return cudaSuccess;
    if (to_device != emu::device_holds(to, bytes) || from_device != emu::device_holds(from, bytes))
        return error(cudaErrorInvalidValue);
    if (from_device || emu::pinned_holds(from, bytes))
        return queue(stream, [=] { memmove(to, from, bytes); });
    auto staged = std::make_shared<std::vector<char>>((const char *)from, (const char *)from + bytes);
    return queue(stream, [=] { memcpy(to, staged->data(), bytes); });
}

cudaError_t cudaMemsetAsync(void *memory, int value, size_t bytes, cudaStream_t stream)
{
    if (!bytes) return cudaSuccess;
    if (!emu::device_holds(memory, bytes)) return error(cudaErrorInvalidValue);
    return queue(stream, [=] { memset(memory, value, bytes); });
}

cudaError_t cudaStreamCreate(cudaStream_t *out)
{
    *out = new CUstream_st;
    streams.insert(*out);
    return cudaSuccess;
}

cudaError_t cudaStreamDestroy(cudaStream_t stream)
{
    cudaError_t before = cudaStreamSynchronize(stream);
    if (!streams.erase(stream)) return error(cudaErrorInvalidValue);
    delete stream;
    return before;
}

cudaError_t cudaStreamSynchronize(cudaStream_t stream)
{
    if (!streams.count(stream)) return error(cudaErrorInvalidValue);
    return run_until([=] { return stream->queue.empty(); });
}

cudaError_t cudaDeviceSynchronize(void)
{
    return run_until([] { return false; });
}

cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned flags)
{
    (void)flags;
    cudaError_t status = queue(stream, nullptr);
    if (status != cudaSuccess) return status;
    stream->queue.back().event = event;
    stream->queue.back().version = event->recorded; /* never recorded: nothing to wait for */
    return cudaSuccess;
}

cudaError_t cudaEventCreate(cudaEvent_t *out)
{
    events.push_back(std::make_unique<CUevent_st>());
    *out = events.back().get();
    return cudaSuccess;
}

cudaError_t cudaEventDestroy(cudaEvent_t event)
{
    return event ? cudaSuccess : error(cudaErrorInvalidValue);
}

cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream)
{
    uint64_t version = event->recorded + 1;
    cudaError_t status = queue(stream, [=] { event->reached = version; });
    if (status == cudaSuccess) event->recorded = version;
    return status;
}

cudaError_t cudaEventQuery(cudaEvent_t event)
{
    return event->reached == event->recorded ? cudaSuccess : cudaErrorNotReady;
}

cudaError_t cudaEventSynchronize(cudaEvent_t event)
{
    return run_until([=] { return event->reached == event->recorded; });
}

cudaError_t cudaGetLastError(void)
{
    cudaError_t code = last_error;
    last_error = cudaSuccess;
    return code;
}

const char *cudaGetErrorString(cudaError_t code)
{
    switch (code) {
    case cudaSuccess:
        return "no error";
    case cudaErrorInvalidValue:
        return "invalid argument";
    case cudaErrorMemoryAllocation:
        return "out of memory";
    case cudaErrorInvalidConfiguration:
        return "invalid configuration argument";
    case cudaErrorNotReady:
        return "device not ready";
    case cudaErrorLaunchFailure:
        return *emu::failure() ? emu::failure() : "unspecified launch failure";
    }
    return "unknown error";
}
}
