/* A user's text files: the option map in a first line, then the file. */
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/fuzz_pipeline.h"

extern const vg__importer vg__importer_csv;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *end = memchr(data, '\n', size);
    if (!end) return 0;
    size_t length = (size_t)(end - data);
    char *map = strndup((const char *)data, length);
    FUZZ_CHECK(map);
    fuzz_import(&vg__importer_csv, fuzz_file(0, end + 1, size - length - 1), map);
    free(map);
    return 0;
}
