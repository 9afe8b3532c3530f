/* The store: what opens is read whole. HDF5's metadata carries checksums, so few inputs get past the library.
 */
#include "datasets/store.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    vg_store *store;
    if (!fuzz_good(vg_store_open(fuzz_named_file("f.h5", data, size), &store))) return 0;
    int64_t count = vg_store_sample_count(store);
    float *x = malloc(((size_t)count + 1) * sizeof *x);
    if (x) (void)fuzz_good(vg_store_read_all(store, x));
    free(x);
    (void)fuzz_good(vg_store_verify(store));
    for (int64_t i = 0; i < vg_store_recording_count(store); i++)
        FUZZ_CHECK(strlen(vg_store_recording(store, i)->subject) < size);
    vg_store_close(store);
    return 0;
}
