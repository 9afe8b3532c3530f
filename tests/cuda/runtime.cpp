#include "tests/cuda/runtime.h"

#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "core/library.h"
#include "tests/cuda/emu.h"
#include "tests/cuda/machine.h"
#include "tests/cuda/memory.h"
#include "tests/cuda/streams.h"
#include "tests/cuda/work.h"

namespace
{
/* Emulated memory means nothing to a library that found a GPU. */
const bool without_files = (vg__library_stand_ins_alone(), true);

int chosen_device;

size_t setting(const char *name, size_t otherwise)
{
    const char *text = getenv(name);
    return text ? strtoul(text, nullptr, 10) : otherwise;
}
} // namespace

using emu::forbidden;
using emu::queue;

namespace emu
{
int current_device()
{
    return chosen_device;
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
    return {emu::device_bytes(), emu::pinned_bytes(), emu::streams_held(), emu::events_held()};
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
    (void)cudaGetLastError();
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
    if (machine->driver / 1000 < CUDART_VERSION / 1000) return emu::noted(cudaErrorInsufficientDriver);
    if (machine->gpus == 0) return emu::noted(cudaErrorNoDevice);
    *out = machine->gpus;
    return cudaSuccess;
}

cudaError_t cudaSetDevice(int number)
{
    int count;
    cudaError_t status = cudaGetDeviceCount(&count);
    if (status != cudaSuccess) return status;
    if (number < 0 || number >= count) return emu::noted(cudaErrorInvalidDevice);
    chosen_device = number;
    return cudaSuccess;
}

cudaError_t cudaGetDevice(int *out)
{
    *out = chosen_device;
    return cudaSuccess;
}

cudaError_t cudaGetDeviceProperties(cudaDeviceProp *out, int number)
{
    const emulated_machine *machine = emulated_machine_settings();
    if (number < 0 || number >= machine->gpus) return emu::noted(cudaErrorInvalidDevice);
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
    if (forbidden()) return emu::noted(cudaErrorStreamCaptureUnsupported);
    *out = bytes ? emu::device_allocate(bytes) : nullptr;
    return *out || !bytes ? cudaSuccess : emu::noted(cudaErrorMemoryAllocation);
}

cudaError_t cudaFree(void *memory)
{
    cudaError_t before = cudaDeviceSynchronize();
    if (memory && !emu::device_release(memory)) return emu::noted(cudaErrorInvalidValue);
    return before;
}

cudaError_t cudaMallocHost(void **out, size_t bytes)
{
    *out = emu::pinned_allocate(bytes);
    return *out ? cudaSuccess : emu::noted(cudaErrorMemoryAllocation);
}

cudaError_t cudaFreeHost(void *memory)
{
    return !memory || emu::pinned_release(memory) ? cudaSuccess : emu::noted(cudaErrorInvalidValue);
}

/* Pageable host memory is read at once when it is the source, as CUDA stages it; a copy to the host is only
 * there after a synchronisation, whatever the memory. */
cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t bytes, cudaMemcpyKind kind,
                            cudaStream_t stream)
{
    bool to_device = kind != cudaMemcpyDeviceToHost, from_device = kind != cudaMemcpyHostToDevice;
    if (!bytes) return cudaSuccess;
    if ((!to_device || !from_device) && forbidden()) return emu::noted(cudaErrorStreamCaptureUnsupported);
    if (to_device != emu::device_holds(to, bytes) || from_device != emu::device_holds(from, bytes))
        return emu::noted(cudaErrorInvalidValue);
    if (from_device || emu::pinned_holds(from, bytes))
        return queue(stream, [=] { memmove(to, from, bytes); });
    auto staged = std::make_shared<std::vector<char>>((const char *)from, (const char *)from + bytes);
    return queue(stream, [=] { memcpy(to, staged->data(), bytes); });
}

cudaError_t cudaMemsetAsync(void *memory, int value, size_t bytes, cudaStream_t stream)
{
    if (!bytes) return cudaSuccess;
    if (!emu::device_holds(memory, bytes)) return emu::noted(cudaErrorInvalidValue);
    return queue(stream, [=] { memset(memory, value, bytes); });
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
    WORDS(cudaErrorStreamCaptureMerge, "operation would result in a merge of separate capture sequences"),
    WORDS(cudaErrorStreamCaptureUnmatched, "capture was not ended in the same stream as it began"),
    WORDS(cudaErrorStreamCaptureUnjoined, "capturing stream has unjoined work"),
    WORDS(cudaErrorStreamCaptureIsolation, "dependency created on uncaptured work in another stream"),
    WORDS(cudaErrorCapturedEvent, "operation not permitted on an event last recorded in a capturing stream"),
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
