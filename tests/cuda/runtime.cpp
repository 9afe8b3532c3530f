#include "tests/cuda/runtime.h"

#include <cstdlib>
#include <deque>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "core/library.h"
#include "tests/cuda/block.h"
#include "tests/cuda/emu.h"
#include "tests/cuda/machine.h"
#include "tests/cuda/memory.h"
#include "tests/cuda/work.h"

namespace
{
struct Work {
    std::function<void()> run;
    cudaEvent_t event = nullptr; /* to wait for, before `run` */
    uint64_t version = 0;
};
/* Emulated memory means nothing to a library that found a GPU. */
const bool without_files = (vg__library_stand_ins_alone(), true);

} // namespace

struct CUgraph_st {
    std::vector<std::function<void()>> work;
};
struct CUgraphExec_st {
    std::vector<std::function<void()>> work;
};

struct CUstream_st {
    std::deque<Work> queue;
    std::unique_ptr<CUgraph_st> captured; /* while it captures */
    bool spoilt = false;                  /* by a call that a capture forbids */
};

/* `recorded` counts calls of cudaEventRecord, `reached` is the latest of them that its stream came to. Kept
 * until the end: a stream may wait for an event that was destroyed after. */
struct CUevent_st {
    uint64_t recorded = 0, reached = 0;
    double time = 0; /* when it was reached */
};

namespace
{
std::set<cudaStream_t> streams;
std::vector<std::unique_ptr<CUevent_st>> events;
int events_held;
int current_device;
double now; /* in ms: what has run, one kernel a millisecond, so that measurements can be told what to find */
cudaError_t last_error;

size_t setting(const char *name, size_t otherwise)
{
    const char *text = getenv(name);
    return text ? strtoul(text, nullptr, 10) : otherwise;
}

cudaError_t error(cudaError_t code)
{
    if (code != cudaSuccess) last_error = code;
    return code;
}

/* Is a stream capturing? Then what calls this is forbidden, and spoils the capture. */
bool forbidden()
{
    bool found = false;
    for (cudaStream_t stream : streams)
        if (stream->captured) stream->spoilt = found = true;
    return found;
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
    if (forbidden()) return error(cudaErrorStreamCaptureUnsupported);
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
    if (stream->captured) {
        stream->captured->work.push_back(std::move(run));
        return cudaSuccess;
    }
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
    return queue(stream, [=] {
        now += 1;
        run_grid(grid, block, shared_bytes, body);
    });
}

bool queue_work(cudaStream_t stream, double ms, std::function<void()> run)
{
    return queue(stream, [=] {
               now += ms;
               run();
           }) == cudaSuccess;
}
} // namespace emu

extern "C" {
emulated_machine *emulated_machine_settings(void)
{
    static emulated_machine machine = {(int)setting("EMULATED_DRIVER", CUDART_VERSION),
                                       (int)setting("EMULATED_GPUS", 1), (int)setting("EMULATED_COMPUTE", 90),
                                       setting("EMULATED_MEMORY", 512) << 20};
    static const bool ordered = [] {
        if (getenv("EMULATED_ORDER")) emu::set_seed(setting("EMULATED_ORDER", 0));
        return true;
    }();
    (void)ordered;
    return &machine;
}

emulated_held emulated_machine_held(void)
{
    return {emu::device_bytes(), emu::pinned_bytes(), (int)streams.size(), events_held};
}

void emulated_set_order(uint64_t order)
{
    emu::set_seed(order);
}

const char *emulated_take_failure(void)
{
    static std::string taken;
    taken = emu::failure();
    emu::forget_failure();
    last_error = cudaSuccess;
    return taken.c_str();
}

cudaError_t cudaDriverGetVersion(int *out)
{
    *out = emulated_machine_settings()->driver;
    return cudaSuccess;
}

cudaError_t cudaRuntimeGetVersion(int *out)
{
    *out = CUDART_VERSION;
    return cudaSuccess;
}

/* A driver serves every runtime of its own major version, and those of an older one. */
cudaError_t cudaGetDeviceCount(int *out)
{
    *out = 0;
    const emulated_machine *machine = emulated_machine_settings();
    if (machine->driver / 1000 < CUDART_VERSION / 1000) return error(cudaErrorInsufficientDriver);
    if (machine->gpus == 0) return error(cudaErrorNoDevice);
    *out = machine->gpus;
    return cudaSuccess;
}

cudaError_t cudaSetDevice(int number)
{
    int count;
    cudaError_t status = cudaGetDeviceCount(&count);
    if (status != cudaSuccess) return status;
    if (number < 0 || number >= count) return error(cudaErrorInvalidDevice);
    current_device = number;
    return cudaSuccess;
}

cudaError_t cudaGetDevice(int *out)
{
    *out = current_device;
    return cudaSuccess;
}

cudaError_t cudaGetDeviceProperties(cudaDeviceProp *out, int number)
{
    const emulated_machine *machine = emulated_machine_settings();
    if (number < 0 || number >= machine->gpus) return error(cudaErrorInvalidDevice);
    *out = {};
    snprintf(out->name, sizeof out->name, "emulated GPU");
    out->totalGlobalMem = machine->memory;
    out->major = machine->compute / 10;
    out->minor = machine->compute % 10;
    out->multiProcessorCount = 4;
    return cudaSuccess;
}

cudaError_t cudaMemGetInfo(size_t *available, size_t *total)
{
    *total = emu::device_limit();
    *available = *total - emu::device_bytes();
    return cudaSuccess;
}

cudaError_t cudaMalloc(void **out, size_t bytes)
{
    if (forbidden()) return error(cudaErrorStreamCaptureUnsupported);
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
    if ((!to_device || !from_device) && forbidden()) return error(cudaErrorStreamCaptureUnsupported);
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

cudaError_t cudaStreamCreateWithFlags(cudaStream_t *out, unsigned flags)
{
    (void)flags; /* there is no default stream to wait for */
    return cudaStreamCreate(out);
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
    if (forbidden()) return error(cudaErrorStreamCaptureUnsupported);
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
    events_held++;
    return cudaSuccess;
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t *out, unsigned flags)
{
    (void)flags; /* no time is taken here */
    return cudaEventCreate(out);
}

cudaError_t cudaEventDestroy(cudaEvent_t event)
{
    if (!event) return error(cudaErrorInvalidValue);
    events_held--;
    return cudaSuccess;
}

cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream)
{
    if (forbidden()) return error(cudaErrorStreamCaptureUnsupported);
    uint64_t version = event->recorded + 1;
    cudaError_t status = queue(stream, [=] {
        event->reached = version;
        event->time = now;
    });
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

cudaError_t cudaEventElapsedTime(float *ms, cudaEvent_t from, cudaEvent_t to)
{
    if (!from->recorded || !to->recorded) return error(cudaErrorInvalidValue);
    if (from->reached < from->recorded || to->reached < to->recorded) return cudaErrorNotReady;
    *ms = (float)(to->time - from->time);
    return cudaSuccess;
}

cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode mode)
{
    (void)mode;
    if (!streams.count(stream) || stream->captured) return error(cudaErrorInvalidValue);
    stream->captured = std::make_unique<CUgraph_st>();
    stream->spoilt = false;
    return cudaSuccess;
}

cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t *out)
{
    *out = nullptr;
    if (!streams.count(stream) || !stream->captured) return error(cudaErrorInvalidValue);
    std::unique_ptr<CUgraph_st> captured = std::move(stream->captured);
    if (stream->spoilt) return error(cudaErrorStreamCaptureInvalidated);
    *out = captured.release();
    return cudaSuccess;
}

cudaError_t cudaStreamIsCapturing(cudaStream_t stream, cudaStreamCaptureStatus *out)
{
    if (!streams.count(stream)) return error(cudaErrorInvalidValue);
    *out = !stream->captured ? cudaStreamCaptureStatusNone
           : stream->spoilt  ? cudaStreamCaptureStatusInvalidated
                             : cudaStreamCaptureStatusActive;
    return cudaSuccess;
}

cudaError_t cudaGraphInstantiate(cudaGraphExec_t *out, cudaGraph_t graph, unsigned long long flags)
{
    (void)flags;
    *out = new CUgraphExec_st{graph->work};
    return cudaSuccess;
}

cudaError_t cudaGraphDestroy(cudaGraph_t graph)
{
    delete graph;
    return cudaSuccess;
}

cudaError_t cudaGraphLaunch(cudaGraphExec_t exec, cudaStream_t stream)
{
    for (const auto &work : exec->work) {
        cudaError_t status = queue(stream, work);
        if (status != cudaSuccess) return status;
    }
    return cudaSuccess;
}

cudaError_t cudaGraphExecDestroy(cudaGraphExec_t exec)
{
    delete exec;
    return cudaSuccess;
}

cudaError_t cudaGetLastError(void)
{
    cudaError_t code = last_error;
    last_error = cudaSuccess;
    return code;
}

/* Code, name, CUDA's words. */
static const struct {
    cudaError_t code;
    const char *name, *text;
} words[] = {
#define WORDS(code, text)                                                                                    \
    {                                                                                                        \
        code, #code, text                                                                                    \
    }
    WORDS(cudaSuccess, "no error"),
    WORDS(cudaErrorInvalidValue, "invalid argument"),
    WORDS(cudaErrorMemoryAllocation, "out of memory"),
    WORDS(cudaErrorInvalidConfiguration, "invalid configuration argument"),
    WORDS(cudaErrorInsufficientDriver, "CUDA driver version is insufficient for CUDA runtime version"),
    WORDS(cudaErrorNoDevice, "no CUDA-capable device is detected"),
    WORDS(cudaErrorInvalidDevice, "invalid device ordinal"),
    WORDS(cudaErrorNotReady, "device not ready"),
    WORDS(cudaErrorLaunchFailure, "unspecified launch failure"),
    WORDS(cudaErrorStreamCaptureUnsupported, "operation not permitted when stream is capturing"),
    WORDS(cudaErrorStreamCaptureInvalidated, "operation failed due to a previous error during capture"),
#undef WORDS
};

const char *cudaGetErrorName(cudaError_t code)
{
    for (const auto &word : words)
        if (word.code == code) return word.name;
    return "unrecognized error code";
}

const char *cudaGetErrorString(cudaError_t code)
{
    if (code == cudaErrorLaunchFailure && *emu::failure()) return emu::failure();
    for (const auto &word : words)
        if (word.code == code) return word.text;
    return "unrecognized error code";
}
}
