/* The corpus' samples: in memory, or, where they are too many for it, plain files mapped one behind the
 * other. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/log.h"
#include "datasets/corpus_own.h"
#include "datasets/plain.h"

/* A limit that a control group sets, in bytes; INT64_MAX: none. */
static int64_t group_limit(const char *path)
{
    long long bytes = 0;
    FILE *file = fopen(path, "r");
    if (!file) return INT64_MAX;
    bool found = fscanf(file, "%lld", &bytes) == 1 && bytes > 0;
    fclose(file);
    return found ? bytes : INT64_MAX;
}

int64_t vg_machine_memory(void)
{
    int64_t bytes = (int64_t)sysconf(_SC_PHYS_PAGES) * sysconf(_SC_PAGESIZE);
    static const char *const limits[] = {"/sys/fs/cgroup/memory.max",
                                         "/sys/fs/cgroup/memory/memory.limit_in_bytes"};
    for (int i = 0; i < 2; i++) {
        int64_t limit = group_limit(limits[i]);
        if (limit < bytes) bytes = limit;
    }
    return bytes;
}

static bool matches(const vg_corpus *corpus, int64_t i)
{
    const vg_corpus_recording *recording = &corpus->recordings[i];
    return vg_fingerprint(corpus->signal + recording->offset, recording->length) == recording->fingerprint;
}

static vg_status damaged(const vg_corpus *corpus, int64_t i, const int64_t *index_in_store,
                         const char *const *paths)
{
    const vg_corpus_recording *recording = &corpus->recordings[i];
    return vg_fail(VG_ERR_FORMAT,
                   "%s: recording %" PRId64
                   " (%s) does not have its fingerprint: the file is damaged; import it again",
                   paths[recording->store], index_in_store[i], recording->source);
}

static vg_status load_into_memory(vg_corpus *corpus, const int64_t *index_in_store, const char *const *paths)
{
    corpus->signal = malloc((size_t)corpus->sample_count * sizeof(float));
    if (!corpus->signal)
        return vg_fail(
            VG_ERR_MEMORY,
            "the signal of the corpus needs %.0f MiB; name fewer stores, or set data.memory_gib to "
            "less, so that it is mapped from a file",
            (double)corpus->sample_count * sizeof(float) / 1048576);
    for (int64_t i = 0; i < corpus->recording_count; i++) {
        const vg_corpus_recording *recording = &corpus->recordings[i];
        VG_TRY(vg_store_read(corpus->own->stores[recording->store], index_in_store[i], 0, recording->length,
                             corpus->signal + recording->offset));
        if (!matches(corpus, i)) return damaged(corpus, i, index_in_store, paths);
    }
    return VG_OK;
}

/* Puts a store's copy into its place among the others. */
static vg_status map_store(vg_corpus *corpus, int store, int64_t first, bool *fresh)
{
    vg__plain plain;
    vg_store *from = corpus->own->stores[store];
    size_t bytes = (size_t)vg__plain_samples(from) * sizeof(float);
    VG_TRY(vg__plain_open(from, &plain));
    vg_status status = VG_OK;
    if (mmap(corpus->signal + first, bytes, PROT_READ, MAP_SHARED | MAP_FIXED, plain.file, VG__PLAIN_BLOCK) ==
        MAP_FAILED)
        status = vg_fail(VG_ERR_MEMORY, "%s: cannot be mapped into memory", plain.path);
    *fresh = plain.fresh;
    vg__plain_close(&plain);
    return status;
}

/* After a recording was found other than its fingerprint: away with the copy, and another. */
static vg_status map_again(vg_corpus *corpus, int store, int64_t first)
{
    vg__plain plain;
    bool fresh;
    VG_TRY(vg__plain_open(corpus->own->stores[store], &plain));
    vg_warn("%s: does not hold what the store holds; it is made again", plain.path);
    vg__plain_remove(&plain);
    vg__plain_close(&plain);
    return map_store(corpus, store, first, &fresh);
}

/* Compares all recordings with their fingerprints, which reads every sample once. */
static vg_status verify_mapped(vg_corpus *corpus, const int64_t *index_in_store, const char *const *paths,
                               const int64_t *first, bool *fresh)
{
    for (int64_t i = 0; i < corpus->recording_count; i++) {
        int store = corpus->recordings[i].store;
        if (matches(corpus, i)) continue;
        if (fresh[store]) return damaged(corpus, i, index_in_store, paths);
        VG_TRY(map_again(corpus, store, first[store]));
        fresh[store] = true;
        while (i >= 0 && corpus->recordings[i].store == store) i--; /* once more from the store's first */
    }
    return VG_OK;
}

static vg_status load_mapped(vg_corpus *corpus, const int64_t *index_in_store, const char *const *paths)
{
    vg_status status = VG_OK;
    const int stores = corpus->own->store_count;
    int64_t total = 0;
    int64_t *first = calloc((size_t)stores, sizeof *first);
    bool *fresh = calloc((size_t)stores, sizeof *fresh);
    if (!first || !fresh) {
        status = vg_fail(VG_ERR_MEMORY, "a corpus of %d stores", stores);
        goto out;
    }
    for (int s = 0; s < stores; s++) {
        first[s] = total;
        total += vg__plain_samples(corpus->own->stores[s]);
    }
    void *place = mmap(NULL, (size_t)total * sizeof(float), PROT_NONE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (place == MAP_FAILED) {
        status = vg_fail(VG_ERR_MEMORY, "no addresses for %" PRId64 " samples", total);
        goto out;
    }
    corpus->signal = place;
    corpus->sample_count = total;
    corpus->mapped = true;
    for (int s = 0; s < stores; s++) VG_TRY_OUT(map_store(corpus, s, first[s], &fresh[s]));
    for (int64_t i = 0; i < corpus->recording_count; i++) {
        vg_corpus_recording *recording = &corpus->recordings[i];
        recording->offset =
            first[recording->store] +
            vg_store_recording(corpus->own->stores[recording->store], index_in_store[i])->offset;
    }
    posix_madvise(place, (size_t)total * sizeof(float), POSIX_MADV_SEQUENTIAL);
    status = verify_mapped(corpus, index_in_store, paths, first, fresh);
out:
    free(first);
    free(fresh);
    return status;
}

vg_status vg__corpus_load_samples(vg_corpus *corpus, const int64_t *index_in_store, const char *const *paths)
{
    const double bytes = (double)corpus->sample_count * sizeof(float);
    int64_t limit = corpus->options.memory_bytes ? corpus->options.memory_bytes : vg_machine_memory() / 2;
    if (corpus->sample_count > INT64_MAX / 8)
        return vg_fail(VG_ERR_MEMORY, "%" PRId64 " samples do not fit into memory", corpus->sample_count);
    if (!(bytes > (double)limit)) return load_into_memory(corpus, index_in_store, paths);
    vg_info("data: %.0f MiB of samples are more than the %.0f MiB meant for them (data.memory_gib), so they "
            "are mapped "
            "from files",
            bytes / (1 << 20), (double)limit / (1 << 20));
    return load_mapped(corpus, index_in_store, paths);
}

/* From here on segments are read here and there, and what lies around one is of no use. */
void vg__corpus_samples_at_random(const vg_corpus *corpus)
{
    if (corpus->mapped)
        posix_madvise(corpus->signal, (size_t)corpus->sample_count * sizeof(float), POSIX_MADV_RANDOM);
}

void vg_corpus_read_ahead(const vg_corpus *corpus, int64_t segment)
{
    if (!corpus->mapped) return;
    const int64_t page = (int64_t)sysconf(_SC_PAGESIZE);
    int64_t from = corpus->segments[segment].start * (int64_t)sizeof(float);
    int64_t to = from + corpus->segment_length * (int64_t)sizeof(float);
    from -= from % page;
    posix_madvise((char *)corpus->signal + from, (size_t)(to - from), POSIX_MADV_WILLNEED);
}

void vg__corpus_free_samples(vg_corpus *corpus)
{
    if (corpus->mapped)
        munmap(corpus->signal, (size_t)corpus->sample_count * sizeof(float));
    else
        free(corpus->signal);
    corpus->signal = NULL;
}
