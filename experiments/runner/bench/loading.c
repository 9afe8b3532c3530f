/* How fast batches come: the loader over the given stores in a shuffled order, normalised by subject as in a
 * training, filled inside the call or ahead by its thread. Nothing is done with them, so this is what a
 * training could be fed. */
#include <inttypes.h>
#include <stdlib.h>

#include "datasets/loader.h"
#include "experiments/runner/bench/bench.h"
#include "experiments/runner/bench/measure.h"

typedef struct feeding {
    vg_loader *loader;
    int64_t epoch;
} feeding;

/* One batch; the next epoch follows by itself. */
static vg_status take_batch(void *context, int64_t index)
{
    feeding *f = context;
    vg_batch batch;
    (void)index;
    VG_TRY(vg_loader_next(f->loader, &batch));
    if (!batch.end) return VG_OK;
    VG_TRY(vg_loader_start(f->loader, ++f->epoch, 0));
    return vg_loader_next(f->loader, &batch);
}

static void tell(const vg_bench *bench, const vg_corpus *corpus, int64_t batch, int prefetch,
                 const vg_bench_time *time)
{
    const double segments_s = (double)batch / time->median;
    const double bytes_s = segments_s * (double)corpus->segment_length * sizeof(float);
    if (bench->out) {
        fprintf(bench->out, "%-7s %6" PRId64 " %9d %11.2f %6.1f%% %12.0f %9.3f\n",
                corpus->mapped ? "mapped" : "memory", batch, prefetch, time->median * 1e6, time->spread * 100,
                segments_s, bytes_s * 1e-9);
        fflush(bench->out);
    }
    if (!bench->json) return;
    vg_json_begin_object(bench->json, NULL);
    vg_json_put_string(bench->json, "samples_in", corpus->mapped ? "mapped" : "memory");
    vg_json_put_int(bench->json, "batch", batch);
    vg_json_put_int(bench->json, "prefetch", prefetch);
    vg_bench_time_put(time, bench->json);
    vg_json_put_double(bench->json, "segments_s", segments_s);
    vg_json_put_double(bench->json, "bytes_s", bytes_s);
    vg_json_end(bench->json);
}

static vg_status run_loader(vg_bench *bench, const vg_corpus *corpus, const int64_t *all, int prefetch)
{
    const vg_bench_options *options = bench->options;
    vg_loader_options loading = {.batch_size = options->batch ? options->batch : 32,
                                 .shuffle = true,
                                 .drop_last = true,
                                 .seed = 1,
                                 .prefetch = prefetch};
    feeding f = {0};
    vg_bench_time time;
    vg_status status;
    VG_TRY_OUT(vg_loader_create(corpus, all, corpus->segment_count, &loading, &f.loader));
    VG_TRY_OUT(vg_loader_start(f.loader, 0, 0));
    const vg_bench_task task = {.device = bench->device,
                                .call = take_batch,
                                .context = &f,
                                .samples = (int)options->samples,
                                .least_seconds = options->sample_ms * 1e-3};
    VG_TRY_OUT(vg_bench_measure(&task, &time));
    tell(bench, corpus, loading.batch_size, prefetch, &time);
out:
    vg_loader_destroy(f.loader);
    return status;
}

vg_status vg_bench_data(vg_bench *bench)
{
    const vg_bench_options *options = bench->options;
    vg_corpus_options cutting = vg_corpus_options_default();
    vg_corpus *corpus = NULL;
    int64_t *all = NULL;
    vg_status status;
    if (options->stores.count == 0)
        return vg_fail(VG_ERR_CONFIG,
                       "bench data needs stores to read: bench data stores=[a.h5]; 'vagus data synth' "
                       "makes one");
    if (options->memory_gib > 0) cutting.memory_bytes = (int64_t)(options->memory_gib * (1 << 30)) + 1;
    VG_TRY_OUT(vg_corpus_create((const char *const *)options->stores.items, (int)options->stores.count,
                                &cutting, &corpus));
    VG_TRY_OUT(vg_corpus_normalize(corpus, VG_NORMALIZE_SUBJECT, NULL, 0, NULL));
    all = malloc((size_t)corpus->segment_count * sizeof *all);
    if (!all) {
        status = vg_fail(VG_ERR_MEMORY, "a list of %" PRId64 " segments", corpus->segment_count);
        goto out;
    }
    for (int64_t s = 0; s < corpus->segment_count; s++) all[s] = s;
    if (bench->out)
        fprintf(bench->out, "\n%" PRId64 " segments of %" PRId64 " samples\n%-7s %6s %9s %11s %7s %12s %9s\n",
                corpus->segment_count, corpus->segment_length, "samples", "batch", "prefetch", "median us",
                "spread", "segments/s", "GB/s");
    if (bench->json) {
        vg_json_put_int(bench->json, "segments", corpus->segment_count);
        vg_json_put_int(bench->json, "segment_length", corpus->segment_length);
        vg_json_begin_array(bench->json, "results");
    }
    for (int prefetch = 0; prefetch <= 2 && status == VG_OK; prefetch += 2)
        status = run_loader(bench, corpus, all, prefetch);
    if (bench->json) vg_json_end(bench->json);
out:
    free(all);
    vg_corpus_destroy(corpus);
    return status;
}
