/* EDF, EDF+, BDF, BDF+ and GDF: which of them it is stands in the first bytes. */
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/fuzz_pipeline.h"

extern const vg__importer vg__importer_edf;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_import(&vg__importer_edf, fuzz_file(0, data, size), "");
    return 0;
}
