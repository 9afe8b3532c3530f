#include "experiments/runner/training/residence.h"

#include <stdlib.h>

#include "core/log.h"

static vg_status copy(const vg_corpus *corpus, vg_device *device, vg_resident *out)
{
    size_t count = (size_t)corpus->segment_count;
    int64_t *start = calloc(count + 1, sizeof *start);
    double *mean = calloc(count + 1, sizeof *mean), *scale = calloc(count + 1, sizeof *scale);
    vg_status status =
        start && mean && scale ? VG_OK : vg_fail(VG_ERR_MEMORY, "tables of %zu segments", count);
    for (size_t s = 0; status == VG_OK && s < count; s++) {
        start[s] = corpus->segments[s].start;
        mean[s] = corpus->segments[s].mean;
        scale[s] = corpus->segments[s].scale;
    }
    if (status == VG_OK) {
        vg_resident_source source = {corpus->signal,        corpus->sample_count,  start, mean, scale,
                                     corpus->segment_count, corpus->segment_length};
        status = vg_resident_init(device, &source, out);
    }
    free(start);
    free(mean);
    free(scale);
    return status;
}

vg_status vg_residence_take(const vg_corpus *corpus, vg_device *device, const char *what, vg_resident *out,
                            bool *there)
{
    size_t bytes = vg_resident_bytes(corpus->sample_count, corpus->segment_count), free_bytes;
    double mib = 1 << 20;
    *out = (vg_resident){0};
    *there = false;
    if (device->ops->is_host) return VG_OK;
    VG_TRY(vg_device_free_memory(device, &free_bytes));
    if (free_bytes == SIZE_MAX || bytes > free_bytes / 4) {
        vg_info("%s: batches come through the loader: the corpus takes %.1f MiB, and the device %s", what,
                (double)bytes / mib,
                free_bytes == SIZE_MAX ? "does not tell what it has free"
                                       : "has less than four times that free");
        return VG_OK;
    }
    vg_status status = copy(corpus, device, out);
    if (status == VG_ERR_MEMORY) {
        vg_info("%s: batches come through the loader: %s", what, vg_cause());
        return VG_OK;
    }
    VG_TRY(status);
    vg_info("%s: the corpus lies on the device, %.1f MiB of %.1f MiB free", what, (double)bytes / mib,
            (double)free_bytes / mib);
    *there = true;
    return VG_OK;
}
