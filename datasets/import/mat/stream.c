/* zlib's own check of the checksum is not used: some writers of MAT files leave a wrong one behind sound
 * data, and zlib would refuse those. The content is unpacked raw and the sum is formed here. */
#include "datasets/import/mat/stream.h"

#include <stdlib.h>
#include <string.h>
#include <zlib.h>

enum { CHUNK = 1 << 16, HEAD = 2 };

struct vg__mat_stream {
    FILE *file;
    const char *name;
    char path[VG__MAT_PATH];
    int64_t left; /* bytes of the element that were not yet fetched from the file */
    bool packed, swap, ended;
    z_stream z;
    uLong sum; /* of what was unpacked */
    unsigned char in[CHUNK], scrap[CHUNK];
};

char *vg__mat_stream_path(vg__mat_stream *stream)
{
    return stream->path;
}

const char *vg__mat_stream_file(const vg__mat_stream *stream)
{
    return stream->name;
}

bool vg__mat_stream_swapped(const vg__mat_stream *stream)
{
    return stream->swap;
}

static vg_status cut_short(const vg__mat_stream *s)
{
    return vg_fail(VG_ERR_FORMAT, "%s: %s: the data end too early: the file is cut short or damaged", s->name,
                   s->path);
}

/* Fetches bytes of the element as they stand in the file; fewer only at its end. */
static size_t fetch(vg__mat_stream *s, void *bytes, int64_t size)
{
    size_t got = fread(bytes, 1, (size_t)(size < s->left ? size : s->left), s->file);
    s->left = got > 0 ? s->left - (int64_t)got : 0;
    return got;
}

vg_status vg__mat_stream_open(FILE *file, const char *name, int64_t offset, int64_t size, bool packed,
                              bool swap, vg__mat_stream **out)
{
    vg_status status = VG_OK;
    unsigned char head[HEAD];
    vg__mat_stream *s = calloc(1, sizeof *s);
    *out = NULL;
    if (!s) return vg_fail(VG_ERR_MEMORY, "%s: no memory to read it", name);
    *s = (vg__mat_stream){.file = file, .name = name, .left = size, .swap = swap};
    snprintf(s->path, sizeof s->path, "byte %lld", (long long)offset);
    if (fseeko(file, offset, SEEK_SET) != 0) {
        status = cut_short(s);
        goto out;
    }
    if (packed) {
        if (fetch(s, head, HEAD) != HEAD) {
            status = cut_short(s);
            goto out;
        }
        /* RFC 1950: method 8, no preset dictionary, and the two bytes a multiple of 31. */
        if ((head[0] & 15) != 8 || (head[1] & 32) || (head[0] * 256 + head[1]) % 31 != 0) {
            status = vg_fail(VG_ERR_FORMAT, "%s: %s: damaged: packed data cannot begin with %02x %02x", name,
                             s->path, head[0], head[1]);
            goto out;
        }
        if (inflateInit2(&s->z, -MAX_WBITS) != Z_OK) {
            status = vg_fail(VG_ERR_MEMORY, "%s: zlib: %s", name, s->z.msg ? s->z.msg : "no memory");
            goto out;
        }
        s->packed = true;
        s->sum = adler32(0, NULL, 0);
    }
    *out = s;
    s = NULL;
out:
    free(s);
    return status;
}

void vg__mat_stream_close(vg__mat_stream *stream)
{
    if (stream && stream->packed) inflateEnd(&stream->z);
    free(stream);
}

/* Unpacks up to `size` (at most CHUNK) bytes; *got is fewer only at the end of the packed data. */
static vg_status unpack(vg__mat_stream *s, unsigned char *bytes, size_t size, size_t *got)
{
    s->z.next_out = bytes;
    s->z.avail_out = (uInt)size;
    while (s->z.avail_out > 0 && !s->ended) {
        if (s->z.avail_in == 0) {
            s->z.next_in = s->in;
            s->z.avail_in = (uInt)fetch(s, s->in, CHUNK);
        }
        int code = inflate(&s->z, Z_NO_FLUSH);
        s->ended = code == Z_STREAM_END;
        if (code == Z_BUF_ERROR && s->z.avail_in == 0) return cut_short(s);
        if (code == Z_MEM_ERROR) return vg_fail(VG_ERR_MEMORY, "%s: zlib: no memory", s->name);
        if (code != Z_OK && code != Z_STREAM_END)
            return vg_fail(VG_ERR_FORMAT, "%s: %s: the packed data are damaged: zlib: %s", s->name, s->path,
                           s->z.msg ? s->z.msg : zError(code));
    }
    *got = size - s->z.avail_out;
    s->sum = adler32(s->sum, bytes, (uInt)*got);
    return VG_OK;
}

vg_status vg__mat_take(vg__mat_stream *s, void *bytes, int64_t size)
{
    unsigned char *to = bytes;
    while (size > 0) {
        size_t part = (size_t)(size < CHUNK ? size : CHUNK), got = 0;
        if (s->packed)
            VG_TRY(unpack(s, to, part, &got));
        else
            got = fetch(s, to, (int64_t)part);
        if (got < part) return cut_short(s);
        to += got;
        size -= (int64_t)got;
    }
    return VG_OK;
}

vg_status vg__mat_skip(vg__mat_stream *s, int64_t size)
{
    if (!s->packed) {
        if (size > s->left || fseeko(s->file, size, SEEK_CUR) != 0) return cut_short(s);
        s->left -= size;
        return VG_OK;
    }
    while (size > 0) {
        int64_t part = size < CHUNK ? size : CHUNK;
        VG_TRY(vg__mat_take(s, s->scrap, part));
        size -= part;
    }
    return VG_OK;
}

bool vg__mat_stream_sound(vg__mat_stream *s)
{
    unsigned char sum[4];
    size_t got = CHUNK, have;
    if (!s->packed) return true;
    while (got == CHUNK)
        if (unpack(s, s->scrap, CHUNK, &got) != VG_OK) return false;
    have = s->z.avail_in < sizeof sum ? s->z.avail_in : sizeof sum;
    memcpy(sum, s->z.next_in, have);
    if (have < sizeof sum && fetch(s, sum + have, (int64_t)(sizeof sum - have)) != sizeof sum - have)
        return false;
    return s->sum == ((uLong)sum[0] << 24 | (uLong)sum[1] << 16 | (uLong)sum[2] << 8 | sum[3]);
}
