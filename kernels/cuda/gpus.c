/* Which GPUs there are, and why one cannot be used. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/backend.h"
#include "kernels/cuda/device.h"
#include "core/library.h"

/* The architectures that the kernels were compiled for, as the build was told: machine code of each, and PTX
 * of the last, which newer GPUs compile for themselves. */
#ifndef VAGUS_CUDA_BUILT_FOR
#error "the build passes VAGUS_CUDA_BUILT_FOR"
#endif
static const int built_for[] = {VAGUS_CUDA_BUILT_FOR};
enum { BUILT = sizeof built_for / sizeof *built_for };

/* The oldest driver for this runtime: NVIDIA promises that a driver serves every minor version of its major.
 */
#if CUDART_VERSION >= 13000
#define DRIVER "580"
#elif CUDART_VERSION >= 12000
#define DRIVER "525"
#else
#error "CUDA 12 or newer is needed"
#endif

vg__cuda_version vg__cuda_version_text(int version)
{
    vg__cuda_version out;
    snprintf(out.text, sizeof out.text, "%d.%d", version / 1000, version % 1000 / 10);
    return out;
}

/* "8.0 9.0" */
static void list_architectures(char *text, size_t size)
{
    *text = 0;
    for (int i = 0; i < BUILT; i++) {
        size_t used = strlen(text);
        snprintf(text + used, size - used, "%s%d.%d", i ? " " : "", built_for[i] / 10, built_for[i] % 10);
    }
}

bool vg__cuda_driver_present(void)
{
    int driver;
    return cudaDriverGetVersion(&driver) == cudaSuccess && driver > 0;
}

vg_status vg__cuda_count(int *out)
{
    int count = 0, driver = 0;
    cudaError_t error = cudaGetDeviceCount(&count);
    if (error == cudaSuccess && count > 0) {
        *out = count;
        return VG_OK;
    }
    (void)cudaGetLastError();
    if (!vg__cuda_driver_present())
        return vg_fail(VG_ERR_DEVICE,
                       "there is no NVIDIA driver here (libcuda.so.1 is not found or does not answer): "
                       "install driver " DRIVER " or newer, start a container with --gpus all, or "
                       "take device=cpu");
    (void)cudaDriverGetVersion(&driver);
    if (error == cudaErrorInsufficientDriver)
        return vg_fail(
            VG_ERR_DEVICE,
            "the NVIDIA driver is too old: it knows CUDA %s and this program was built with CUDA %s. "
            "Install driver " DRIVER " or newer, or take a build made with an older CUDA, or device=cpu",
            vg__cuda_version_text(driver).text, vg__cuda_version_text(CUDART_VERSION).text);
    if (error == cudaSuccess || error == cudaErrorNoDevice) {
        const char *visible = getenv("CUDA_VISIBLE_DEVICES");
        if (visible)
            return vg_fail(
                VG_ERR_DEVICE,
                "the NVIDIA driver shows no GPU to this process: CUDA_VISIBLE_DEVICES is '%s'; unset it, or "
                "name a GPU that 'nvidia-smi -L' lists",
                visible);
        return vg_fail(VG_ERR_DEVICE,
                       "there is an NVIDIA driver and no GPU: 'nvidia-smi -L' should list one; in a "
                       "container, start it with --gpus all");
    }
    return vg_fail(VG_ERR_DEVICE, "the NVIDIA driver does not answer: %s (%s); does 'nvidia-smi' work?",
                   cudaGetErrorString(error), cudaGetErrorName(error));
}

/* Machine code runs on its own major version from its own minor version on; PTX on anything newer. */
static bool runs_on(int compute)
{
    for (int i = 0; i < BUILT; i++)
        if (built_for[i] / 10 == compute / 10 && built_for[i] <= compute) return true;
    return built_for[BUILT - 1] <= compute;
}

vg_status vg__cuda_gpu(int number, vg_gpu *out)
{
    *out = (vg_gpu){0};
    int count;
    VG_TRY(vg__cuda_count(&count));
    if (number < 0 || number >= count)
        return vg_fail(
            VG_ERR_DEVICE, "there is no GPU %d: this process sees %d, numbered from 0%s", number, count,
            getenv("CUDA_VISIBLE_DEVICES") ? " (CUDA_VISIBLE_DEVICES is set and counts them anew)" : "");
    struct cudaDeviceProp properties;
    VG_TRY(vg__cuda_refused(cudaGetDeviceProperties(&properties, number), "cannot ask what GPU this is"));
    snprintf(out->name, sizeof out->name, "%.*s", (int)sizeof out->name - 1, properties.name);
    out->compute = properties.major * 10 + properties.minor;
    out->multiprocessors = properties.multiProcessorCount;
    out->memory = properties.totalGlobalMem;
    if (runs_on(out->compute)) return VG_OK;
    char list[64];
    list_architectures(list, sizeof list);
    char way_out[128] = "it is too old: 8.0, Ampere, is the oldest that there are kernels for";
    if (out->compute >= 80)
        snprintf(way_out, sizeof way_out, "build with -DVAGUS_CUDA_ARCHITECTURES=%d", out->compute);
    return vg_fail(
        VG_ERR_DEVICE,
        "GPU %d (%s) has compute capability %d.%d, and this program has code for %s and newer than the "
        "last: %s, or take another GPU or device=cpu",
        number, out->name, out->compute / 10, out->compute % 10, list, way_out);
}

/* A library by what its file alone tells, since it starts on a GPU only: one that lies there and does not
 * start is in the notes of the backend. */
static void look_for(const char *soname, const char *version_function, char *text, size_t size)
{
    vg__library library;
    vg__function function;
    if (vg__library_open(soname, &version_function, &function, 1, &library) != VG_OK) {
        snprintf(text, size, "%s", vg_cause());
        return;
    }
    const size_t version = ((size_t(*)(void))function)(); /* 130100 is 13.1.0 */
    snprintf(text, size, "%zu.%zu.%zu from %s", version / 10000, version / 100 % 100, version % 100,
             library.path);
    vg__library_close(&library);
}

void vg__cuda_look(vg_cuda_report *out)
{
    *out = (vg_cuda_report){.built = true};
    int driver = 0;
    memcpy(out->version, vg__cuda_version_text(CUDART_VERSION).text, sizeof out->version);
    list_architectures(out->architectures, sizeof out->architectures);
    if (vg__cuda_driver_present() && cudaDriverGetVersion(&driver) == cudaSuccess)
        memcpy(out->driver, vg__cuda_version_text(driver).text, sizeof out->driver);
    if (vg__cuda_count(&out->gpus) != VG_OK) snprintf(out->problem, sizeof out->problem, "%s", vg_cause());
    look_for("libcublasLt.so.13", "cublasLtGetVersion", out->cublaslt, sizeof out->cublaslt);
    look_for("libcudnn.so.9", "cudnnGetVersion", out->cudnn, sizeof out->cudnn);
}
