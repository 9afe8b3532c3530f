/* Weights: what the header claims is read to its last byte. */
#include "core/safetensors.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    vg_safetensors *file;
    unsigned sum = 0;
    if (!fuzz_good(vg_safetensors_open(fuzz_file(0, data, size), &file))) return 0;
    for (size_t i = 0; i < vg_safetensors_count(file); i++) {
        const vg_named_tensor *named = vg_safetensors_at(file, i);
        const unsigned char *bytes = named->tensor.data;
        size_t length = vg_tensor_bytes(&named->tensor);
        FUZZ_CHECK(length <= size);
        for (size_t k = 0; k < length; k++) sum += bytes[k];
        FUZZ_CHECK(vg_safetensors_find(file, named->name) == &named->tensor);
    }
    const char *format = vg_safetensors_metadata(file, "format");
    sum += format ? (unsigned)strlen(format) : 0;
    vg_safetensors_close(file);
    return (int)(sum & 0);
}
