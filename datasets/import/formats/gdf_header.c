/* Headers of GDF 1.x and 2.x, after "GDF - A general data format for biomedical signals" (arXiv cs/0608052);
 * the duration of a data record became a double in version 2.21, as libbiosig writes it. Read by ourselves:
 * it is EDF with binary fields, and libbiosig crashes on damaged files. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "datasets/import/formats/edf.h"

static uint64_t unsigned_at(const unsigned char *at, int bytes)
{
    uint64_t value = 0;
    for (int i = 0; i < bytes; i++) value |= (uint64_t)at[i] << (8 * i);
    return value;
}

static double double_at(const unsigned char *at)
{
    return vg__edf_sample(VG__EDF_FLOAT64, at);
}

/* Version 2 has a number for each unit: here those of voltage, by their decimal factor. */
static const char *unit_of(unsigned code)
{
    enum { VOLT = 4256 };
    switch (code) {
    case VOLT:
        return "V";
    case VOLT + 18:
        return "mV";
    case VOLT + 19:
        return "uV";
    case VOLT + 20:
        return "nV";
    default:
        return NULL;
    }
}

static vg_status read_channels(vg__edf *e, bool second)
{
    const int64_t n = e->channels;
    const unsigned char *base = e->header + VG__EDF_FIXED;
    for (int64_t i = 0; i < n; i++) {
        vg__edf_channel *c = &e->channel[i];
        vg__edf_field(base + 16 * i, 16, c->label);
        if (second) {
            unsigned code = (unsigned)unsigned_at(base + 102 * n + 2 * i, 2);
            const char *unit = unit_of(code);
            if (unit)
                strcpy(c->units, unit);
            else
                snprintf(c->units, sizeof c->units, "unit code %u", code);
        } else {
            vg__edf_field(base + 96 * n + 8 * i, 8, c->units);
        }
        c->physical_min = double_at(base + 104 * n + 8 * i);
        c->physical_max = double_at(base + 112 * n + 8 * i);
        vg__edf_type digital = second ? VG__EDF_FLOAT64 : VG__EDF_INT64;
        c->digital_min = vg__edf_sample(digital, base + 120 * n + 8 * i);
        c->digital_max = vg__edf_sample(digital, base + 128 * n + 8 * i);
        c->samples = (int64_t)unsigned_at(base + 216 * n + 4 * i, 4);
        uint64_t type = unsigned_at(base + 220 * n + 4 * i, 4);
        c->type = (vg__edf_type)(type < 0x10000 ? (int)type : 0);
        VG_TRY(vg__edf_place_channel(e, c));
    }
    return VG_OK;
}

vg_status vg__gdf_header(vg__edf *e)
{
    char version[VG__EDF_TEXT], *end;
    const unsigned char *h = e->header;
    vg__edf_field(h + 4, 4, version);
    double number = strtod(version, &end);
    bool second = number >= 2;
    if (*end || !(number >= 1 && number < 3))
        return vg_fail(VG_ERR_UNSUPPORTED, "%s: GDF version \"%s\" is not known (1 and 2 are)", e->path,
                       version);
    if (number >= 1.9 && !second)
        return vg_fail(VG_ERR_UNSUPPORTED,
                       "%s: GDF version %s is a draft of version 2; rewrite it with BioSig's save2gdf",
                       e->path, version);
    int64_t channels = (int64_t)unsigned_at(h + 252, second ? 2 : 4);
    if (channels < 1 || channels > VG__EDF_MAX_CHANNELS)
        return vg_fail(VG_ERR_FORMAT, "%s: byte 252: %lld is not a possible number of channels", e->path,
                       (long long)channels);
    e->channels = (int)channels;
    int64_t needed = VG__EDF_FIXED + channels * VG__EDF_CHANNEL;
    uint64_t header = second ? 256 * unsigned_at(h + 184, 2) : unsigned_at(h + 184, 8);
    /* A version 2 file may have more header behind its channels'. */
    if (header < (uint64_t)needed || header > (uint64_t)1 << 30)
        return vg_fail(VG_ERR_FORMAT, "%s: byte 184: a header of %llu bytes, where %lld channels need %lld",
                       e->path, (unsigned long long)header, (long long)channels, (long long)needed);
    e->header_bytes = (int64_t)header;
    e->records = (int64_t)unsigned_at(h + 236, 8);
    if (e->records < -1)
        return vg_fail(VG_ERR_FORMAT, "%s: byte 236: %lld is not a possible number of data records", e->path,
                       (long long)e->records);
    e->duration = number >= 2.21 - 1e-9 ? double_at(h + 244)
                                        : (double)unsigned_at(h + 244, 4) / (double)unsigned_at(h + 248, 4);
    VG_TRY(vg__edf_read_header(e));
    return read_channels(e, second);
}
