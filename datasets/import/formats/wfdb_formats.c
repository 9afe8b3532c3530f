/* Formats of signal files, after signal(5). */
#include "datasets/import/formats/wfdb.h"

/* So many samples lie in so many bytes; a group is the least that repeats. A sample of `bits` is never the
 * lowest number its bits can hold, which stands for a missing one (there is none in differences). */
static const struct layout {
    int format, samples, bytes, bits;
} LAYOUTS[] = {
    {8, 1, 1, 0},   {16, 1, 2, 16},  {24, 1, 3, 24},  {32, 1, 4, 32},  {61, 1, 2, 16},
    {80, 1, 1, 8},  {160, 1, 2, 16}, {212, 2, 3, 12}, {310, 3, 4, 10}, {311, 3, 4, 10},
    {508, 0, 0, 8}, {516, 0, 0, 16}, {524, 0, 0, 24},
};

static const struct layout *layout_of(int format)
{
    for (size_t i = 0; i < sizeof LAYOUTS / sizeof *LAYOUTS; i++)
        if (LAYOUTS[i].format == format) return &LAYOUTS[i];
    return NULL;
}

bool vg__wfdb_known_format(int format)
{
    return layout_of(format);
}

int vg__wfdb_flac_bits(int format)
{
    const struct layout *layout = layout_of(format);
    return layout && layout->samples == 0 ? layout->bits : 0;
}

int64_t vg__wfdb_bytes(int format, int64_t samples)
{
    const struct layout *layout = layout_of(format);
    if (layout->samples == 1) return samples * layout->bytes;
    if (format == 212) return samples / 2 * 3 + (samples % 2 ? 2 : 0);
    /* A rest of one takes two bytes. A rest of two needs both pairs in 310, in 311 three bytes. */
    const int64_t rest[] = {0, 2, format == 310 ? 4 : 3};
    return samples / 3 * 4 + rest[samples % 3];
}

int64_t vg__wfdb_samples(int format, int64_t bytes)
{
    const struct layout *layout = layout_of(format);
    if (layout->samples == 1) return bytes / layout->bytes;
    if (format == 212) return bytes / 3 * 2 + (bytes % 3 == 2);
    const int64_t rest[] = {0, 0, 1, format == 310 ? 1 : 2};
    return bytes / 4 * 3 + rest[bytes % 4];
}

int64_t vg__wfdb_missing(int format)
{
    const int bits = layout_of(format)->bits;
    return bits ? -((int64_t)1 << (bits - 1)) : INT64_MIN;
}

/* The low `bits` (the others are 0) as two's complement. */
static inline int32_t signed_of(uint32_t value, int bits)
{
    const uint32_t top = (uint32_t)1 << (bits - 1);
    return (int32_t)((value ^ top) - top);
}

/* One sample a group, `stride` bytes from each to the next. The loops' bodies are short enough for a
 * nanosecond a sample, and where samples follow one another the compiler makes vectors of them. */
#define EACH(value)                                                                                          \
    for (int64_t i = 0; i < count; i++, b += stride, out += apart) *out = (value);                           \
    break

static inline void unpack(int format, int place, const unsigned char *b, int64_t stride, int64_t count,
                          int32_t *out, int64_t apart)
{
    switch (format * 4 + place) {
    case 8 * 4:
        EACH((int8_t)b[0]);
    case 16 * 4:
        EACH((int16_t)(b[0] | b[1] << 8));
    case 24 * 4:
        EACH(signed_of((uint32_t)(b[0] | b[1] << 8 | b[2] << 16), 24));
    case 32 * 4:
        EACH((int32_t)((uint32_t)b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24));
    case 61 * 4:
        EACH((int16_t)(b[1] | b[0] << 8));
    case 80 * 4:
        EACH(b[0] - 128);
    case 160 * 4:
        EACH((b[0] | b[1] << 8) - 32768);
    /* Two samples of 12 bits in three bytes; the middle byte holds the high four bits of both. */
    case 212 * 4:
        EACH(signed_of((uint32_t)(b[0] | (b[1] & 0xf) << 8), 12));
    case 212 * 4 + 1:
        EACH(signed_of((uint32_t)(b[2] | b[1] >> 4 << 8), 12));
    /* Two pairs of bytes, of which each holds ten bits above its lowest one, and five of the third sample. */
    case 310 * 4:
        EACH(signed_of((uint32_t)(b[0] | b[1] << 8) >> 1 & 0x3ff, 10));
    case 310 * 4 + 1:
        EACH(signed_of((uint32_t)(b[2] | b[3] << 8) >> 1 & 0x3ff, 10));
    case 310 * 4 + 2:
        EACH(signed_of((uint32_t)(b[1] >> 3 | b[3] >> 3 << 5), 10));
    /* Ten bits after ten bits, the lowest first; the two highest of the four bytes are not used. */
    case 311 * 4:
        EACH(signed_of((uint32_t)(b[0] | b[1] << 8) & 0x3ff, 10));
    case 311 * 4 + 1:
        EACH(signed_of((uint32_t)(b[1] >> 2 | b[2] << 6) & 0x3ff, 10));
    case 311 * 4 + 2:
        EACH(signed_of((uint32_t)(b[2] >> 4 | b[3] << 4) & 0x3ff, 10));
    }
}
#undef EACH

void vg__wfdb_decode(int format, const unsigned char *bytes, int64_t first, int64_t step, int64_t count,
                     int32_t *out, int64_t apart)
{
    const struct layout *layout = layout_of(format);
    /* Samples that have the same place in their groups make one loop, the others as many as there are places.
     */
    const int64_t in_group = layout->samples, loops = step % in_group == 0 ? 1 : in_group,
                  stride = loops * step / in_group * layout->bytes;
    for (int64_t k = 0; k < loops && k < count; k++) {
        const int64_t index = first + k * step, mine = (count - k + loops - 1) / loops;
        const unsigned char *b = bytes + index / in_group * layout->bytes;
        /* What is met most has code of its own: with constants it becomes vectors. */
        if (format == 16 && step == 1 && apart == 1)
            unpack(16, 0, b, 2, mine, out, 1);
        else if (format == 212 && step == 2 && apart == 1 && index % 2 == 0)
            unpack(212, 0, b, 3, mine, out, 1);
        else if (format == 212 && step == 2 && apart == 1)
            unpack(212, 1, b, 3, mine, out, 1);
        else
            unpack(format, (int)(index % in_group), b, stride, mine, out + k * apart, loops * apart);
    }
}
