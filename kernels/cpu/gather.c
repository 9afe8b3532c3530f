/* Segments of a signal in memory, normalised: what a loader does, as an operation. */
#include "kernels/cpu/cpu.h"
#include "kernels/cpu/parallel.h"

static void gather_segments(void *context, int64_t begin, int64_t end, int thread)
{
    const vg_gather_args *args = context;
    (void)thread;
    int64_t T = args->y.dims[1];
    for (int64_t b = begin; b < end; b++) {
        int64_t segment = ((const int64_t *)args->index.data)[b];
        const float *samples =
            (const float *)args->signal.data + ((const int64_t *)args->start.data)[segment];
        double mean = ((const double *)args->mean.data)[segment];
        double scale = ((const double *)args->scale.data)[segment];
        float *y = (float *)args->y.data + b * T;
        for (int64_t t = 0; t < T; t++) y[t] = (float)(((double)samples[t] - mean) * scale);
    }
}

vg_status vg__cpu_gather(vg_kernels *kernels, const vg_gather_args *args)
{
    VG__CPU_ENTER(gather, kernels, args, y);
    int64_t T = args->y.dims[1];
    vg_gather_args copy = *args;
    vg__parallel_for(args->y.dims[0], 32768 / (T + 1) + 1, gather_segments, &copy);
    return VG_OK;
}
