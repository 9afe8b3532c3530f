/* Formats of signal files, after signal(5). */
#include "datasets/import/formats/wfdb.h"

/* Formats whose samples fill whole bytes: bytes, whether the first byte is the highest, what is subtracted.
 */
static const struct plain {
    int format, bytes;
    bool high_first;
    int64_t offset;
} PLAIN[] = {
    {8, 1, false, 0}, {16, 2, false, 0},   {24, 3, false, 0},      {32, 4, false, 0},
    {61, 2, true, 0}, {80, 1, false, 128}, {160, 2, false, 32768},
};

static const struct plain *plain_of(int format)
{
    for (size_t i = 0; i < sizeof PLAIN / sizeof *PLAIN; i++)
        if (PLAIN[i].format == format) return &PLAIN[i];
    return NULL;
}

bool vg__wfdb_known_format(int format)
{
    return format == 212 || format == 310 || format == 311 || plain_of(format);
}

int64_t vg__wfdb_bytes(int format, int64_t samples)
{
    const struct plain *plain = plain_of(format);
    if (plain) return samples * plain->bytes;
    if (format == 212) return samples / 2 * 3 + (samples % 2 ? 2 : 0);
    /* Three in four bytes; a rest of one takes two. A rest of two needs both pairs in 310, in 311 three
     * bytes. */
    const int64_t rest[] = {0, 2, format == 310 ? 4 : 3};
    return samples / 3 * 4 + rest[samples % 3];
}

int64_t vg__wfdb_samples(int format, int64_t bytes)
{
    const struct plain *plain = plain_of(format);
    if (plain) return bytes / plain->bytes;
    if (format == 212) return bytes / 3 * 2 + (bytes % 3 == 2);
    const int64_t rest[] = {0, 0, 1, format == 310 ? 1 : 2};
    return bytes / 4 * 3 + rest[bytes % 4];
}

/* The lowest `bits` of a value as two's complement. */
static int64_t signed_of(uint32_t value, int bits)
{
    int64_t top = (int64_t)1 << (bits - 1), low = (int64_t)value & (2 * top - 1);
    return low >= top ? low - 2 * top : low;
}

static int64_t plain_sample(const struct plain *plain, const unsigned char *b)
{
    uint32_t value = 0;
    for (int i = 0; i < plain->bytes; i++)
        value |= (uint32_t)b[plain->high_first ? plain->bytes - 1 - i : i] << (8 * i);
    return plain->offset ? (int64_t)value - plain->offset : signed_of(value, 8 * plain->bytes);
}

/* Two pairs of bytes, of which each holds ten bits above its lowest one, and five of the third sample. */
static int64_t sample_310(const unsigned char *b, int64_t place)
{
    if (place < 2) {
        b += 2 * place;
        return signed_of((uint32_t)(b[0] | b[1] << 8) >> 1, 10);
    }
    return signed_of((uint32_t)(b[1] >> 3 | (b[3] >> 3) << 5), 10);
}

/* Ten bits after ten bits, the lowest first; the two highest of the four bytes are not used. */
static int64_t sample_311(const unsigned char *b, int64_t place)
{
    if (place == 0) return signed_of((uint32_t)(b[0] | b[1] << 8), 10);
    if (place == 1) return signed_of((uint32_t)(b[1] >> 2 | b[2] << 6), 10);
    return signed_of((uint32_t)(b[2] >> 4 | b[3] << 4), 10);
}

int64_t vg__wfdb_sample(int format, const unsigned char *bytes, int64_t index)
{
    if (format == 212) {
        /* Two samples of 12 bits in three bytes; the middle byte holds the high four bits of both. */
        const unsigned char *b = bytes + index / 2 * 3;
        return signed_of((uint32_t)(index % 2 == 0 ? b[0] | b[1] << 8 : b[2] | b[1] >> 4 << 8), 12);
    }
    if (format == 310) return sample_310(bytes + index / 3 * 4, index % 3);
    if (format == 311) return sample_311(bytes + index / 3 * 4, index % 3);
    const struct plain *plain = plain_of(format);
    return plain_sample(plain, bytes + index * plain->bytes);
}

int64_t vg__wfdb_missing(int format)
{
    switch (format) {
    case 80:
        return -128;
    case 310:
    case 311:
        return -512;
    case 212:
        return -2048;
    case 16:
    case 61:
    case 160:
        return -32768;
    case 24:
        return -8388608;
    case 32:
        return -((int64_t)1 << 31);
    default:
        return INT64_MIN;
    }
}
