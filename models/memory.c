#include "models/memory.h"

#include <inttypes.h>
#include <stdio.h>

/* The largest batch whose buffers fit, by planning with others: sizes are only added up. An eighth is left
 * for what the backend takes for itself on first use. 0 when not even one segment fits. */
static vg_status largest_batch(const vg_model_options *options, size_t free_bytes, int64_t *out)
{
    vg_model_options tried = *options;
    int64_t fits = 0, too_many = options->max_batch;
    while (too_many - fits > 1) {
        vg_model_memory needs;
        tried.max_batch = fits + (too_many - fits) / 2;
        VG_TRY(vg_model_measure(&tried, &needs));
        if (needs.total <= free_bytes - free_bytes / 8)
            fits = tried.max_batch;
        else
            too_many = tried.max_batch;
    }
    *out = fits;
    return VG_OK;
}

static double mib(size_t bytes)
{
    return (double)bytes / (1 << 20);
}

vg_status vg__memory_refuse(const vg_model_options *options, const vg_model_memory *needs, size_t free_bytes,
                            const char *why)
{
    char advice[200], available[64] = "how much is free is not known", sharded[48] = "";
    vg_model_options one = *options;
    vg_model_memory least;
    one.max_batch = 1;
    int64_t fits = 0;
    if (free_bytes != SIZE_MAX) {
        VG_TRY(largest_batch(options, free_bytes, &fits));
        snprintf(available, sizeof available, "%.1f MiB are free", mib(free_bytes));
        if (fits)
            snprintf(advice, sizeof advice,
                     "train.micro_batch=%" PRId64 " would fit and changes no result but rounding", fits);
    }
    VG_TRY(vg_model_measure(&one, &least));
    if (options->optimizer_ranks > 1)
        snprintf(sharded, sizeof sharded, " sharded over %d ranks", options->optimizer_ranks);
    if (free_bytes == SIZE_MAX)
        snprintf(advice, sizeof advice,
                 "a smaller train.micro_batch changes no result but rounding; one segment needs %.1f MiB",
                 mib(least.total));
    else if (!fits)
        snprintf(advice, sizeof advice,
                 "not even one segment fits (%.1f MiB, and what kernels need): take a smaller model, or a "
                 "device with more memory",
                 mib(least.total));
    return vg_fail(VG_ERR_MEMORY,
                   "the model does not fit: %.1f MiB are needed on the device (parameters %.1f, optimiser "
                   "%.1f%s, activations %.1f and their gradients %.1f, inputs %.1f, at %" PRId64
                   " segments of %" PRId64 " samples), %s; %s%s%s%s",
                   mib(needs->total), mib(needs->parameters), mib(needs->optimizer), sharded,
                   mib(needs->activations), mib(needs->gradients), mib(needs->inputs), options->max_batch,
                   options->config.segment_length, available, advice, *why ? " (" : "", why, *why ? ")" : "");
}
