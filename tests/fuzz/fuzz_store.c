/* The store: what opens is read whole and mapped. HDF5's metadata carries checksums, so few
 * inputs get past the library. */
#include <sys/mman.h>

#include "datasets/store/store.h"
#include "datasets/store/signal.h"
#include "tests/fuzz/fuzz.h"

static void map(const vg_store *store)
{
    int64_t first, samples;
    vg__store_mapping(store, &first, &samples);
    const size_t bytes = (size_t)samples * sizeof(float);
    float *place = mmap(NULL, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    FUZZ_CHECK(place != MAP_FAILED);
    if (fuzz_good(vg__store_map(store, place)))
        for (int64_t i = 0; i < vg_store_recording_count(store); i++)
            (void)fuzz_good(
                vg__store_compare(store, i, place + first + vg_store_recording(store, i)->offset));
    munmap(place, bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    vg_store *store;
    if (!fuzz_good(vg_store_open(fuzz_named_file("f.h5", data, size), &store))) return 0;
    FUZZ_CHECK(vg_store_sample_count(store) <= (int64_t)(size / sizeof(float)));
    (void)fuzz_good(vg_store_verify(store));
    map(store);
    for (int64_t i = 0; i < vg_store_recording_count(store); i++)
        FUZZ_CHECK(strlen(vg_store_recording(store, i)->subject) < size);
    vg_store_close(store);
    return 0;
}
