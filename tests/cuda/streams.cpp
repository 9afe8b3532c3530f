#include "tests/cuda/streams.h"

#include <algorithm>
#include <deque>
#include <memory>
#include <set>
#include <unistd.h>
#include <vector>

#include "tests/cuda/block.h"
#include "tests/cuda/emu.h"
#include "tests/cuda/graphs.h"
#include "tests/cuda/memory.h"
#include "tests/cuda/work.h"

using emu::Capture;
using emu::Progress;

namespace
{
struct Work {
    double ms = 0;
    std::function<Progress()> run;
    cudaEvent_t event = nullptr; /* to wait for, before `run` */
    uint64_t version = 0;
};
} // namespace

struct CUstream_st {
    std::deque<Work> queue;
    std::shared_ptr<Capture> capture; /* that it is part of */
    std::vector<size_t> latest;       /* what the next node of this stream comes after */
};

/* `recorded` counts calls of cudaEventRecord, `reached` is the latest of them that its stream came to. Kept
 * until the end: a stream may wait for an event that was destroyed after. */
struct CUevent_st {
    uint64_t recorded = 0, reached = 0;
    double time = 0;                /* when it was reached */
    std::weak_ptr<Capture> capture; /* that the latest record was a part of */
    bool captured = false;
    std::vector<size_t> latest;
};

namespace
{
std::set<cudaStream_t> streams;
std::vector<std::unique_ptr<CUevent_st>> events;
int events_alive;
double now; /* in ms: what has run, one kernel a millisecond, so that measurements can be told what to find */
cudaError_t last_error;

bool may_run(cudaStream_t stream)
{
    if (stream->queue.empty()) return false;
    const Work &work = stream->queue.front();
    return !work.event || work.event->reached >= work.version;
}

/* Runs one piece of work, of a random stream. */
enum class Outcome { ran, all_wait, nothing };
Outcome run_one()
{
    std::vector<cudaStream_t> able;
    for (cudaStream_t stream : streams)
        if (may_run(stream)) able.push_back(stream);
    if (able.empty()) return Outcome::nothing;
    const size_t first = emu::random_below((unsigned)able.size());
    for (size_t i = 0; i < able.size(); i++) {
        cudaStream_t stream = able[(first + i) % able.size()];
        Work &work = stream->queue.front();
        /* after a failure nothing runs any more */
        const Progress progress = *emu::failure() || !work.run ? Progress::whole : work.run();
        if (progress == Progress::none) continue;
        if (progress == Progress::some) return Outcome::ran;
        emu::spend(work.ms);
        stream->queue.pop_front();
        return Outcome::ran;
    }
    return Outcome::all_wait;
}

/* Runs queued work until `done`, or until `most` pieces have run or have to wait for another process. Without
 * `most` it waits with them, for ever if it must, as CUDA does. */
template <class Condition> cudaError_t run_until(Condition done, long most = -1)
{
    if (emu::forbidden()) return emu::noted(cudaErrorStreamCaptureUnsupported);
    bool idle = true;
    for (cudaStream_t stream : streams) idle = idle && stream->queue.empty();
    if (!idle && !done()) {
        emu::device_open();
        for (long ran = 0; !done() && ran != most; ran++) {
            const Outcome outcome = run_one();
            if (outcome == Outcome::nothing || (outcome == Outcome::all_wait && most >= 0)) break;
            if (outcome == Outcome::all_wait) usleep(100);
        }
        if (!emu::device_guards_stand()) emu::fail_host("a kernel or copy wrote outside its device memory");
        emu::device_close();
    }
    return *emu::failure() ? emu::noted(cudaErrorLaunchFailure) : cudaSuccess;
}

cudaError_t spoil(Capture &capture, cudaError_t code)
{
    capture.spoilt = true;
    return emu::noted(code);
}

/* The event was recorded in a capture: the stream joins that, or is in it already. */
cudaError_t join(cudaStream_t stream, cudaEvent_t event)
{
    std::shared_ptr<Capture> capture = event->capture.lock();
    if (!capture) return emu::noted(cudaErrorCapturedEvent); /* it has ended */
    if (stream->capture && stream->capture != capture) {
        spoil(*stream->capture, cudaErrorStreamCaptureMerge);
        return spoil(*capture, cudaErrorStreamCaptureMerge);
    }
    if (!stream->capture) {
        stream->capture = capture;
        stream->latest.clear();
        capture->members.insert(stream);
    }
    for (size_t node : event->latest)
        if (std::find(stream->latest.begin(), stream->latest.end(), node) == stream->latest.end())
            stream->latest.push_back(node);
    return cudaSuccess;
}
} // namespace

namespace emu
{
void spend(double ms)
{
    now += ms;
}

cudaError_t noted(cudaError_t code)
{
    if (code != cudaSuccess) last_error = code;
    return code;
}

bool forbidden()
{
    bool found = false;
    for (cudaStream_t stream : streams)
        if (stream->capture) stream->capture->spoilt = found = true;
    return found;
}

cudaError_t queue(cudaStream_t stream, double ms, std::function<Progress()> run)
{
    if (!streams.count(stream)) return noted(cudaErrorInvalidValue); /* the default stream too: name one */
    if (stream->capture) {
        stream->capture->nodes.push_back({ms, std::move(run), std::move(stream->latest)});
        stream->latest = {stream->capture->nodes.size() - 1};
        return cudaSuccess;
    }
    Work work;
    work.ms = ms;
    work.run = std::move(run);
    stream->queue.push_back(std::move(work));
    return cudaSuccess;
}

cudaError_t queue(cudaStream_t stream, std::function<void()> run)
{
    return queue(stream, 0, [=] { return run(), Progress::whole; });
}

bool queue_work(cudaStream_t stream, double ms, std::function<void()> run)
{
    return queue(stream, ms, [=] { return run(), Progress::whole; }) == cudaSuccess;
}

bool queue_waiting_work(cudaStream_t stream, double ms, std::function<bool()> run)
{
    return queue(stream, ms, [=] { return run() ? Progress::whole : Progress::none; }) == cudaSuccess;
}

bool is_captured(cudaStream_t stream)
{
    return streams.count(stream) && stream->capture;
}

cudaError_t queue_kernel(dim3 grid, dim3 block, size_t shared_bytes, cudaStream_t stream,
                         std::function<void()> body)
{
    const unsigned long threads = (unsigned long)block.x * block.y * block.z;
    if (threads == 0 || threads > 1024 || grid.x == 0 || grid.x > 0x7fffffff || grid.y == 0 ||
        grid.y > 65535 || grid.z == 0 || grid.z > 65535 || shared_bytes > 227 * 1024)
        return noted(cudaErrorInvalidConfiguration);
    return queue(stream, 1, [=] {
        run_grid(grid, block, shared_bytes, body);
        return Progress::whole;
    });
}

int streams_held()
{
    return (int)streams.size();
}

int events_held()
{
    return events_alive;
}
} // namespace emu

extern "C" {
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

cudaError_t cudaStreamCreateWithPriority(cudaStream_t *out, unsigned flags, int priority)
{
    (void)flags;
    (void)priority; /* any order that is allowed may come */
    return cudaStreamCreate(out);
}

cudaError_t cudaDeviceGetStreamPriorityRange(int *least, int *greatest)
{
    *least = 0;
    *greatest = -5;
    return cudaSuccess;
}

cudaError_t cudaStreamDestroy(cudaStream_t stream)
{
    cudaError_t before = cudaStreamSynchronize(stream);
    if (!streams.erase(stream)) return emu::noted(cudaErrorInvalidValue);
    if (stream->capture) stream->capture->members.erase(stream);
    delete stream;
    return before;
}

cudaError_t cudaStreamSynchronize(cudaStream_t stream)
{
    if (!streams.count(stream)) return emu::noted(cudaErrorInvalidValue);
    return run_until([=] { return stream->queue.empty(); });
}

/* How it is, before time goes by: until the host asks again some of what is queued runs. */
cudaError_t cudaStreamQuery(cudaStream_t stream)
{
    if (!streams.count(stream)) return emu::noted(cudaErrorInvalidValue);
    const bool empty = stream->queue.empty();
    cudaError_t status = run_until([] { return false; }, 1 + emu::random_below(300));
    if (status != cudaSuccess) return status;
    return empty ? cudaSuccess : emu::noted(cudaErrorNotReady);
}

cudaError_t cudaDeviceSynchronize(void)
{
    return run_until([] { return false; });
}

cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned flags)
{
    (void)flags;
    if (!streams.count(stream)) return emu::noted(cudaErrorInvalidValue);
    if (event->captured) return join(stream, event);
    if (stream->capture) return spoil(*stream->capture, cudaErrorStreamCaptureIsolation);
    cudaError_t status = emu::queue(stream, 0, std::function<Progress()>());
    stream->queue.back().event = event;
    stream->queue.back().version = event->recorded; /* never recorded: nothing to wait for */
    return status;
}

cudaError_t cudaEventCreate(cudaEvent_t *out)
{
    events.push_back(std::make_unique<CUevent_st>());
    *out = events.back().get();
    events_alive++;
    return cudaSuccess;
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t *out, unsigned flags)
{
    (void)flags; /* no time is taken here */
    return cudaEventCreate(out);
}

cudaError_t cudaEventDestroy(cudaEvent_t event)
{
    if (!event) return emu::noted(cudaErrorInvalidValue);
    events_alive--;
    return cudaSuccess;
}

cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream)
{
    if (!streams.count(stream)) return emu::noted(cudaErrorInvalidValue);
    event->captured = stream->capture != nullptr;
    event->capture = stream->capture;
    event->latest = stream->latest;
    if (event->captured) return cudaSuccess;
    const uint64_t version = ++event->recorded;
    return emu::queue(stream, [=] {
        event->reached = version;
        event->time = now;
    });
}

cudaError_t cudaEventQuery(cudaEvent_t event)
{
    if (event->captured) return emu::noted(cudaErrorCapturedEvent);
    return event->reached == event->recorded ? cudaSuccess : cudaErrorNotReady;
}

cudaError_t cudaEventSynchronize(cudaEvent_t event)
{
    if (event->captured) {
        emu::forbidden();
        return emu::noted(cudaErrorCapturedEvent);
    }
    return run_until([=] { return event->reached == event->recorded; });
}

cudaError_t cudaEventElapsedTime(float *ms, cudaEvent_t from, cudaEvent_t to)
{
    if (!from->recorded || !to->recorded) return emu::noted(cudaErrorInvalidValue);
    if (from->reached < from->recorded || to->reached < to->recorded) return cudaErrorNotReady;
    *ms = (float)(to->time - from->time);
    return cudaSuccess;
}

cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode mode)
{
    (void)mode;
    if (!streams.count(stream) || stream->capture) return emu::noted(cudaErrorInvalidValue);
    stream->capture = std::make_shared<Capture>();
    stream->capture->origin = stream;
    stream->capture->members = {stream};
    stream->latest.clear();
    return cudaSuccess;
}

cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t *out)
{
    *out = nullptr;
    if (!streams.count(stream) || !stream->capture) return emu::noted(cudaErrorInvalidValue);
    std::shared_ptr<Capture> capture = stream->capture;
    if (capture->origin != stream) return spoil(*capture, cudaErrorStreamCaptureUnmatched);
    const bool joined = capture->count_before(stream->latest) == capture->nodes.size();
    for (cudaStream_t member : capture->members) {
        member->capture = nullptr;
        member->latest.clear();
    }
    if (capture->spoilt) return emu::noted(cudaErrorStreamCaptureInvalidated);
    if (!joined) return emu::noted(cudaErrorStreamCaptureUnjoined);
    *out = new CUgraph_st{std::move(capture->nodes)};
    return cudaSuccess;
}

cudaError_t cudaStreamIsCapturing(cudaStream_t stream, cudaStreamCaptureStatus *out)
{
    if (!streams.count(stream)) return emu::noted(cudaErrorInvalidValue);
    *out = !stream->capture          ? cudaStreamCaptureStatusNone
           : stream->capture->spoilt ? cudaStreamCaptureStatusInvalidated
                                     : cudaStreamCaptureStatusActive;
    return cudaSuccess;
}

cudaError_t cudaGetLastError(void)
{
    cudaError_t code = last_error;
    last_error = cudaSuccess;
    return code;
}
}
