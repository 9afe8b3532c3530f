/* The corpus' samples: in memory, or, where they are too many for it, the stores mapped one behind the other.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/log.h"
#include "datasets/corpus/own.h"
#include "datasets/store/signal.h"

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

/* Reading compares each recording with its fingerprint. */
static vg_status load_into_memory(vg_corpus *corpus, const int64_t *index_in_store)
{
    corpus->signal = malloc((size_t)corpus->sample_count * sizeof(float));
    if (!corpus->signal)
        return vg_fail(
            VG_ERR_MEMORY,
            "the signal of the corpus needs %.0f MiB; name fewer stores, or set data.memory_gib to "
            "less, so that it is mapped from its files",
            (double)corpus->sample_count * sizeof(float) / 1048576);
    for (int64_t i = 0; i < corpus->recording_count; i++) {
        const vg_corpus_recording *recording = &corpus->recordings[i];
        VG_TRY(vg_store_read(corpus->own->stores[recording->store], index_in_store[i], 0, recording->length,
                             corpus->signal + recording->offset));
    }
    return VG_OK;
}

/* A store of a mapped corpus: its addresses, and its first sample in them. */
struct mapped {
    int64_t start, first;
};

/* Recordings of a mapped corpus stand where they do in their store. */
static vg_status map_stores(vg_corpus *corpus, const int64_t *index_in_store, const struct mapped *mapped)
{
    vg_store *const *stores = corpus->own->stores;
    for (int s = 0; s < corpus->own->store_count; s++)
        VG_TRY(vg__store_map(stores[s], corpus->signal + mapped[s].start));
    posix_madvise(corpus->signal, (size_t)corpus->sample_count * sizeof(float), POSIX_MADV_SEQUENTIAL);
    for (int64_t i = 0; i < corpus->recording_count; i++) {
        vg_corpus_recording *recording = &corpus->recordings[i];
        vg_store *store = stores[recording->store];
        recording->offset =
            mapped[recording->store].first + vg_store_recording(store, index_in_store[i])->offset;
        VG_TRY(vg__store_compare(store, index_in_store[i], corpus->signal + recording->offset));
    }
    return VG_OK;
}

static vg_status load_mapped(vg_corpus *corpus, const int64_t *index_in_store)
{
    const int stores = corpus->own->store_count;
    int64_t total = 0;
    struct mapped *mapped = calloc((size_t)stores, sizeof *mapped);
    if (!mapped) return vg_fail(VG_ERR_MEMORY, "a corpus of %d stores", stores);
    for (int s = 0; s < stores; s++) {
        int64_t samples;
        mapped[s].start = total;
        vg__store_mapping(corpus->own->stores[s], &mapped[s].first, &samples);
        mapped[s].first += total;
        total += samples;
    }
    vg_status status = VG_OK;
    void *place = mmap(NULL, (size_t)total * sizeof(float), PROT_NONE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (place == MAP_FAILED) {
        status = vg_fail(VG_ERR_MEMORY, "no addresses for %" PRId64 " samples", total);
        goto out;
    }
    corpus->signal = place;
    corpus->sample_count = total;
    corpus->mapped = true;
    status = map_stores(corpus, index_in_store, mapped);
out:
    free(mapped);
    return status;
}

vg_status vg__corpus_load_samples(vg_corpus *corpus, const int64_t *index_in_store)
{
    const double bytes = (double)corpus->sample_count * sizeof(float);
    int64_t limit = corpus->options.memory_bytes ? corpus->options.memory_bytes : vg_machine_memory() / 2;
    if (corpus->sample_count > INT64_MAX / 8)
        return vg_fail(VG_ERR_MEMORY, "%" PRId64 " samples do not fit into memory", corpus->sample_count);
    if (!(bytes > (double)limit)) return load_into_memory(corpus, index_in_store);
    vg_info("data: %.0f MiB of samples are more than the %.0f MiB meant for them (data.memory_gib), so they "
            "are mapped from their files",
            bytes / (1 << 20), (double)limit / (1 << 20));
    return load_mapped(corpus, index_in_store);
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
