/* The backend "cpu": F32 on host memory. Other types come from `ref`. */
#include <stdlib.h>

#include "kernels/cpu/cpu.h"
#include "kernels/cpu/onednn.h"

enum { ALIGNMENT = 64 };

static void destroy_state(void *pointer)
{
    vg__cpu_state *state = pointer;
    if (!state) return;
    vg__onednn_destroy(state->onednn);
    free(state->scratch);
    free(state);
}

static vg_status create_state(vg_kernels *kernels)
{
    vg__cpu_state *state = calloc(1, sizeof *state);
    if (!state) return vg_fail(VG_ERR_MEMORY, "cannot allocate the state of the backend 'cpu'");
    kernels->state = state;
    kernels->destroy_state = destroy_state;
    return vg__onednn_create(&state->onednn);
}

vg_status vg__cpu_scratch(vg_kernels *kernels, size_t bytes, float **out)
{
    vg__cpu_state *state = kernels->state;
    if (bytes > state->scratch_bytes) {
        size_t rounded = (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
        free(state->scratch);
        state->scratch_bytes = 0;
        state->scratch = aligned_alloc(ALIGNMENT, rounded);
        if (!state->scratch)
            return vg_fail(VG_ERR_MEMORY, "cannot allocate %zu bytes of scratch memory", rounded);
        state->scratch_bytes = rounded;
    }
    *out = state->scratch;
    return VG_OK;
}

static const vg_kernel_table table = {
#define VG_KERNEL(op, summary) .op = vg__cpu_##op,
#include "kernels/kernels.def"
#undef VG_KERNEL
};

const vg_backend vg__backend_cpu = {
    .name = "cpu",
    .device = "host",
    .base = "ref",
    .table = &table,
    .create_state = create_state,
};
