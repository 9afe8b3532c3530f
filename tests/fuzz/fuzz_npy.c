/* NumPy arrays: the option map in a first line, then the file. */
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/fuzz_pipeline.h"

extern const vg__importer vg__importer_npy;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_import_mapped(&vg__importer_npy, data, size);
    return 0;
}
