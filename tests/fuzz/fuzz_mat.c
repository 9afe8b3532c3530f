/* MAT files and the importers that read them. The first byte chooses the importer, and whether the elements
 * behind the header are packed before they are read: mutations cannot get through a packed one, so they come
 * before it. */
#include <sys/stat.h>
#include <zlib.h>

#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/fuzz_pipeline.h"

extern const vg__importer vg__importer_amigos, vg__importer_ascertain, vg__importer_dreamer, vg__importer_mat,
    vg__importer_pspm;

enum { HEADER = 128, TAG = 8, PACK = 0x80, SPOIL = 0x40, ARRAY = 14, PACKED = 15 };

/* A copy of the file in which each plain element is packed; one byte of each packed one is changed with
 * `spoil`. */
static uint8_t *pack(const uint8_t *data, size_t size, bool spoil, size_t *out_size)
{
    uint8_t *out = malloc(4 * size + 2048);
    FUZZ_CHECK(out);
    size_t at = size < HEADER ? size : HEADER, used = at;
    memcpy(out, data, at);
    while (size - at >= TAG) {
        uint32_t tag[2];
        memcpy(tag, data + at, sizeof tag);
        size_t whole = tag[1] > size - at - TAG ? size - at : tag[1] + (size_t)TAG;
        uLongf packed = compressBound(whole);
        if (tag[0] != ARRAY || used + packed + TAG > 4 * size + 1024) break;
        FUZZ_CHECK(compress(out + used + TAG, &packed, data + at, whole) == Z_OK);
        if (spoil) out[used + TAG + whole % packed] ^= (uint8_t)(1u << whole % 8);
        tag[0] = PACKED;
        tag[1] = (uint32_t)packed;
        memcpy(out + used, tag, sizeof tag);
        used += TAG + packed;
        at += whole;
    }
    memcpy(out + used, data + at, size - at < 512 ? size - at : 512);
    *out_size = used + (size - at < 512 ? size - at : 512);
    return out;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct {
        const vg__importer *importer;
        const char *name, *map;
    } kinds[] = {{&vg__importer_amigos, "Data_Preprocessed_P01.mat", ""},
                 {&vg__importer_dreamer, "DREAMER.mat", ""},
                 {&vg__importer_ascertain, "Movie_P01/ECG_Clip2.mat", ""},
                 {&vg__importer_pspm, "F_spike_01.mat", ""},
                 {&vg__importer_mat, "a.mat", "rate=128,units=mV"},
                 {&vg__importer_mat, "a.mat", "signal=s.b{2}.c,rate=s.fs,subject=id,units=t{1},leads=a|b"},
                 {&vg__importer_mat, "a.mat", "signal=c,rate=128,units=mV,samples=columns"},
                 {&vg__importer_ascertain, "R/Dt_SelfReports.mat", ""}};
    enum { REPORTS = 7 }; /* the same bytes are a clip, too, and the folder is imported */
    enum { KINDS = sizeof kinds / sizeof *kinds };
    static bool folder;
    if (size < 1) return 0;
    if (!folder) {
        char path[512];
        snprintf(path, sizeof path, "%s", fuzz_named_file("x", data, 0));
        char *name = strrchr(path, '/') + 1;
        strcpy(name, "Movie_P01");
        FUZZ_CHECK(mkdir(path, 0700) == 0);
        strcpy(name, "R"); /* where clips do not look for it */
        FUZZ_CHECK(mkdir(path, 0700) == 0);
        strcpy(name, "R/Movie_P01");
        FUZZ_CHECK(mkdir(path, 0700) == 0);
        folder = true;
    }
    const int kind = data[0] % KINDS;
    uint8_t *packed = NULL;
    const bool pack_it = data[0] & PACK, spoil = data[0] & SPOIL;
    data++;
    size--;
    if (pack_it) data = packed = pack(data, size, spoil, &size);
    char source[512];
    if (kind == REPORTS) fuzz_named_file("R/Movie_P01/ECG_Clip1.mat", data, size);
    snprintf(source, sizeof source, "%s", fuzz_named_file(kinds[kind].name, data, size));
    if (kind == REPORTS) *strrchr(source, '/') = 0;
    fuzz_import(kinds[kind].importer, source, kinds[kind].map);
    free(packed);
    return 0;
}
