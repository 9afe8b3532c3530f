#include "datasets/loader.h"

#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "core/random.h"
#include "datasets/mixture.h"

/* One batch's buffers. */
struct slot {
    float *signal;
    float *label;
    int64_t *segments;
};

/* Steps are handed out in order. Step s lives in slot s % slot_count. The worker fills step `filled` as long
 * as its slot is neither waiting nor in the caller's hands; the caller takes step `next`. Everything from
 * `lock` on is guarded by it, except that a slot being filled belongs to the worker and the slot of step next
 * - 1 to the caller; `order` changes only while the worker is idle. */
struct vg_loader {
    const vg_corpus *corpus;
    vg_loader_options options;
    int64_t *segments, *order; /* [count] as given; of this epoch */
    int64_t count, steps, rows;
    vg__mixture *mixture; /* NULL: every segment once an epoch */
    struct slot *slots;
    int slot_count;
    bool threaded;
    pthread_t worker;
    pthread_mutex_t lock;
    pthread_cond_t work, ready; /* something to fill; something filled, or the worker idle */
    bool started, busy, stop;
    int64_t first, filled, next;
};

/* This rank's contiguous part of global batch `step`: [*from, *to) in the epoch's order, out of *total. */
static void slice(const vg_loader *loader, int64_t step, int64_t *from, int64_t *to, int64_t *total)
{
    const vg_loader_options *options = &loader->options;
    int64_t start = step * options->batch_size;
    *total = loader->count - start < options->batch_size ? loader->count - start : options->batch_size;
    *from = start + *total * options->rank / options->world;
    *to = start + *total * (options->rank + 1) / options->world;
}

static void fill(const vg_loader *loader, int64_t step)
{
    const struct slot *slot = &loader->slots[step % loader->slot_count];
    int64_t from, to, total, length = loader->corpus->segment_length;
    slice(loader, step, &from, &to, &total);
    /* Of a mapped corpus all rows are asked for before the first is waited for. */
    for (int64_t row = from; slot->signal && loader->corpus->mapped && row < to; row++)
        vg_corpus_read_ahead(loader->corpus, loader->order[row]);
    for (int64_t row = 0; row < to - from; row++) {
        int64_t segment = loader->order[from + row];
        if (slot->signal) vg_corpus_segment(loader->corpus, segment, slot->signal + row * length);
        slot->label[row] = loader->corpus->segments[segment].label;
        slot->segments[row] = loader->corpus->segments[segment].number;
    }
}

/* Whether the worker may fill step `filled`: slots hold the step in the caller's hands and those waiting. */
static bool may_fill(const vg_loader *loader)
{
    int64_t oldest = loader->next > loader->first ? loader->next - 1 : loader->next;
    return loader->started && loader->filled < loader->steps && loader->filled - oldest < loader->slot_count;
}

static void *work(void *argument)
{
    vg_loader *loader = argument;
    pthread_mutex_lock(&loader->lock);
    while (!loader->stop) {
        if (!may_fill(loader)) {
            pthread_cond_wait(&loader->work, &loader->lock);
            continue;
        }
        int64_t step = loader->filled;
        loader->busy = true;
        pthread_mutex_unlock(&loader->lock);
        fill(loader, step);
        pthread_mutex_lock(&loader->lock);
        loader->busy = false;
        loader->filled++;
        pthread_cond_signal(&loader->ready);
    }
    pthread_mutex_unlock(&loader->lock);
    return NULL;
}

/* ---- Creation ---------------------------------------------------------------------------------------- */

static vg_status check(const vg_corpus *corpus, const int64_t *segments, int64_t count,
                       const vg_loader_options *options)
{
    if (count < 1) return vg_fail(VG_ERR_CONFIG, "there is no segment to make batches of");
    for (int64_t i = 0; i < count; i++)
        if (segments[i] < 0 || segments[i] >= corpus->segment_count)
            return vg_fail(VG_ERR_SHAPE, "there is no segment %" PRId64 " among %" PRId64, segments[i],
                           corpus->segment_count);
    if (options->batch_size < 1)
        return vg_fail(VG_ERR_CONFIG, "a batch of %" PRId64 " segments cannot be; give at least 1",
                       options->batch_size);
    if (options->drop_last && options->batch_size > count)
        return vg_fail(VG_ERR_CONFIG,
                       "a batch of %" PRId64 " segments cannot be filled from %" PRId64
                       ", so no step would be left; lower the batch size",
                       options->batch_size, count);
    if (options->weight_count && !options->shuffle)
        return vg_fail(VG_ERR_CONFIG, "stores are mixed by weights in a shuffled order only");
    if (options->prefetch < 0 || options->prefetch > 1024)
        return vg_fail(VG_ERR_CONFIG, "%d batches ahead cannot be; give 0 to 1024", options->prefetch);
    if (options->world < 0 || options->rank < 0 || options->rank >= (options->world ? options->world : 1))
        return vg_fail(VG_ERR_CONFIG, "rank %d of %d cannot be", options->rank, options->world);
    return VG_OK;
}

/* All the buffers there will ever be. A rank's slice is at most ceil(batch / world) rows. */
static vg_status allocate(vg_loader *loader)
{
    const vg_loader_options *options = &loader->options;
    int64_t batch = options->batch_size < loader->count ? options->batch_size : loader->count;
    loader->rows = (batch + options->world - 1) / options->world;
    size_t rows = (size_t)loader->rows;
    size_t length = options->numbers_only ? 0 : (size_t)loader->corpus->segment_length;
    loader->slots = calloc((size_t)loader->slot_count, sizeof *loader->slots);
    if (!loader->slots) return vg_fail(VG_ERR_MEMORY, "buffers of %d batches", loader->slot_count);
    for (int i = 0; i < loader->slot_count; i++) {
        struct slot *slot = &loader->slots[i];
        if (length && length <= SIZE_MAX / sizeof(float) / rows)
            slot->signal = calloc(rows * length, sizeof(float));
        slot->label = calloc(rows, sizeof *slot->label);
        slot->segments = calloc(rows, sizeof *slot->segments);
        if ((length && !slot->signal) || !slot->label || !slot->segments)
            return vg_fail(VG_ERR_MEMORY, "buffers of %d batches of %zu segments of %zu samples",
                           loader->slot_count, rows, length);
    }
    return VG_OK;
}

/* The worker must not receive the signals that the program waits for in its main thread. */
static vg_status start_worker(vg_loader *loader)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int error = pthread_create(&loader->worker, NULL, work, loader);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (error) return vg_fail(VG_ERR_MEMORY, "the loader's thread could not be started: %s", strerror(error));
    loader->threaded = true;
    return VG_OK;
}

vg_status vg_loader_create(const vg_corpus *corpus, const int64_t *segments, int64_t count,
                           const vg_loader_options *options, vg_loader **out)
{
    vg_status status = VG_OK;
    *out = NULL;
    VG_TRY(check(corpus, segments, count, options));
    vg_loader *loader = calloc(1, sizeof *loader);
    if (!loader) return vg_fail(VG_ERR_MEMORY, "a loader");
    pthread_mutex_init(&loader->lock, NULL);
    pthread_cond_init(&loader->work, NULL);
    pthread_cond_init(&loader->ready, NULL);
    loader->corpus = corpus;
    loader->options = *options;
    if (!options->world) loader->options.world = 1;
    loader->count = count;
    loader->steps = options->drop_last ? count / options->batch_size
                                       : count / options->batch_size + (count % options->batch_size != 0);
    loader->slot_count = options->prefetch + 1;
    loader->segments = malloc((size_t)count * sizeof *segments);
    loader->order = malloc((size_t)count * sizeof *segments);
    if (!loader->segments || !loader->order) {
        status = vg_fail(VG_ERR_MEMORY, "an order of %" PRId64 " segments", count);
        goto out;
    }
    memcpy(loader->segments, segments, (size_t)count * sizeof *segments);
    if (options->weight_count)
        VG_TRY_OUT(vg__mixture_create(corpus, segments, count, options->weights, options->weight_count,
                                      &loader->mixture));
    VG_TRY_OUT(allocate(loader));
    if (options->prefetch) VG_TRY_OUT(start_worker(loader));
out:
    if (status != VG_OK)
        vg_loader_destroy(loader);
    else
        *out = loader;
    return status;
}

void vg_loader_destroy(vg_loader *loader)
{
    if (!loader) return;
    if (loader->threaded) {
        pthread_mutex_lock(&loader->lock);
        loader->stop = true;
        pthread_cond_signal(&loader->work);
        pthread_mutex_unlock(&loader->lock);
        pthread_join(loader->worker, NULL);
    }
    for (int i = 0; loader->slots && i < loader->slot_count; i++) {
        free(loader->slots[i].signal);
        free(loader->slots[i].label);
        free(loader->slots[i].segments);
    }
    free(loader->slots);
    vg__mixture_destroy(loader->mixture);
    free(loader->segments);
    free(loader->order);
    pthread_cond_destroy(&loader->ready);
    pthread_cond_destroy(&loader->work);
    pthread_mutex_destroy(&loader->lock);
    free(loader);
}

/* ---- Use --------------------------------------------------------------------------------------------- */

int64_t vg_loader_steps(const vg_loader *loader)
{
    return loader->steps;
}

vg_status vg_loader_start(vg_loader *loader, int64_t epoch, int64_t first_step)
{
    if (epoch < 0 || epoch > UINT32_MAX) return vg_fail(VG_ERR_CONFIG, "there is no epoch %" PRId64, epoch);
    if (first_step < 0 || first_step > loader->steps)
        return vg_fail(VG_ERR_CONFIG,
                       "step %" PRId64 " lies outside the epoch of %" PRId64
                       " steps; were the data or the batch size changed since the checkpoint?",
                       first_step, loader->steps);
    pthread_mutex_lock(&loader->lock);
    loader->started = false;
    while (loader->busy) pthread_cond_wait(&loader->ready, &loader->lock);
    if (loader->mixture)
        vg__mixture_draw(loader->mixture, loader->options.seed, epoch, loader->order);
    else
        memcpy(loader->order, loader->segments, (size_t)loader->count * sizeof *loader->order);
    if (loader->options.shuffle) {
        vg_random random = vg_random_make(loader->options.seed, VG_SITE_SHUFFLE, (uint32_t)epoch);
        vg_random_shuffle(&random, loader->order, loader->count);
    }
    loader->first = loader->filled = loader->next = first_step;
    loader->started = true;
    pthread_cond_signal(&loader->work);
    pthread_mutex_unlock(&loader->lock);
    return VG_OK;
}

vg_status vg_loader_next(vg_loader *loader, vg_batch *batch)
{
    pthread_mutex_lock(&loader->lock);
    VG_ASSERT(loader->started);
    int64_t step = loader->next, from, to, total;
    *batch = (vg_batch){.end = step == loader->steps};
    if (batch->end) {
        pthread_mutex_unlock(&loader->lock);
        return VG_OK;
    }
    if (!loader->threaded) {
        fill(loader, step);
        loader->filled = step + 1;
    }
    while (loader->filled <= step) pthread_cond_wait(&loader->ready, &loader->lock);
    /* Giving the next step away takes the one before back, which frees its slot. */
    loader->next = step + 1;
    pthread_cond_signal(&loader->work);
    pthread_mutex_unlock(&loader->lock);
    const struct slot *slot = &loader->slots[step % loader->slot_count];
    slice(loader, step, &from, &to, &total);
    *batch = (vg_batch){.signal = slot->signal,
                        .label = slot->label,
                        .segments = slot->segments,
                        .count = to - from,
                        .total = total,
                        .length = loader->corpus->segment_length,
                        .step = step};
    return VG_OK;
}
