/* WFDB: a header "f.hea", then "---" and another header "s.hea" (a segment), then "---" and what f.dat holds.
 */
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/fuzz_pipeline.h"

extern const vg__importer vg__importer_wfdb;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *header = fuzz_take_text(&data, &size), *segment = fuzz_take_text(&data, &size);
    fuzz_named_file("s.hea", (const uint8_t *)segment, strlen(segment));
    fuzz_named_file("f.dat", data, size);
    fuzz_import(&vg__importer_wfdb, fuzz_named_file("f.hea", (const uint8_t *)header, strlen(header)), "");
    free(header);
    free(segment);
    return 0;
}
