#include "datasets/import/formats/flac.h"

#include <FLAC/stream_decoder.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What is known while a file is read; the library's callbacks get it. */
typedef struct reader {
    const char *path;
    FILE *file;
    FLAC__StreamDecoder *decoder;
    int channels, bits;    /* what every frame must have; 0 before the file has said so */
    int64_t samples;       /* of each channel, as the file has it */
    int64_t skip, at;      /* samples of each channel: that are not wanted, and that have come by */
    int frames;            /* that came while one was read */
    vg__flac *flac;        /* filled by frames */
    const char *complaint; /* of the library or ours, NULL: none so far */
} reader;

static FLAC__StreamDecoderReadStatus on_read(const FLAC__StreamDecoder *decoder, FLAC__byte bytes[],
                                             size_t *count, void *client)
{
    (void)decoder;
    reader *r = client;
    if (*count > 0) *count = fread(bytes, 1, *count, r->file);
    if (*count > 0) return FLAC__STREAM_DECODER_READ_STATUS_CONTINUE;
    if (!ferror(r->file)) return FLAC__STREAM_DECODER_READ_STATUS_END_OF_STREAM;
    r->complaint = strerror(errno);
    return FLAC__STREAM_DECODER_READ_STATUS_ABORT;
}

/* Keeps samples of a channel: `first` in the file's own count. */
static void keep(const reader *r, int channel, int64_t first, const FLAC__int32 *x, int64_t count)
{
    const int64_t place = channel * r->flac->count + first - r->skip;
    if (r->flac->bytes == 4) {
        memcpy((int32_t *)r->flac->sample + place, x, (size_t)count * sizeof(int32_t));
    } else {
        int16_t *out = (int16_t *)r->flac->sample + place;
        for (int64_t i = 0; i < count; i++) out[i] = (int16_t)x[i];
    }
}

static FLAC__StreamDecoderWriteStatus on_frame(const FLAC__StreamDecoder *decoder, const FLAC__Frame *frame,
                                               const FLAC__int32 *const x[], void *client)
{
    (void)decoder;
    reader *r = client;
    /* Where a frame is missing the library gives zeros first and says nothing (1.4.2 does): two frames come
     * while one is read. Before the first frame it gives none. */
    const bool late = frame->header.number_type == FLAC__FRAME_NUMBER_TYPE_SAMPLE_NUMBER &&
                      (int64_t)frame->header.number.sample_number != r->at;
    if ((r->frames++ > 0 || late) && !r->complaint) r->complaint = "a frame is missing";
    if (r->complaint) return FLAC__STREAM_DECODER_WRITE_STATUS_ABORT;
    if ((int)frame->header.channels != r->channels || (int)frame->header.bits_per_sample != r->bits) {
        r->complaint = "the number of channels or of bits changes";
        return FLAC__STREAM_DECODER_WRITE_STATUS_ABORT;
    }
    const int64_t size = frame->header.blocksize, end = r->skip + r->flac->count - r->at,
                  from = r->skip > r->at ? r->skip - r->at : 0, to = size < end ? size : end;
    for (int c = 0; c < r->channels && from < to; c++) keep(r, c, r->at + from, x[c] + from, to - from);
    r->at += size;
    return FLAC__STREAM_DECODER_WRITE_STATUS_CONTINUE;
}

static void on_metadata(const FLAC__StreamDecoder *decoder, const FLAC__StreamMetadata *metadata,
                        void *client)
{
    (void)decoder;
    reader *r = client;
    if (metadata->type != FLAC__METADATA_TYPE_STREAMINFO || r->channels) return;
    r->channels = (int)metadata->data.stream_info.channels;
    r->bits = (int)metadata->data.stream_info.bits_per_sample;
    r->samples = (int64_t)metadata->data.stream_info.total_samples;
}

static void on_error(const FLAC__StreamDecoder *decoder, FLAC__StreamDecoderErrorStatus status, void *client)
{
    (void)decoder;
    reader *r = client;
    if (!r->complaint) r->complaint = FLAC__StreamDecoderErrorStatusString[status];
}

/* Opens the file and reads what stands before its frames; close_reader() also after an error. */
static vg_status open_reader(reader *r)
{
    char signature[4];
    r->file = fopen(r->path, "rb");
    if (!r->file)
        return vg_fail(errno == ENOENT ? VG_ERR_NOT_FOUND : VG_ERR_IO, "%s: cannot be opened: %s", r->path,
                       strerror(errno));
    if (fread(signature, 1, 4, r->file) != 4 || memcmp(signature, "fLaC", 4) != 0)
        return vg_fail(VG_ERR_FORMAT, "%s: is not a FLAC file, as its format asks for", r->path);
    rewind(r->file);
    r->decoder = FLAC__stream_decoder_new();
    if (!r->decoder ||
        FLAC__stream_decoder_init_stream(r->decoder, on_read, NULL, NULL, NULL, NULL, on_frame, on_metadata,
                                         on_error, r) != FLAC__STREAM_DECODER_INIT_STATUS_OK)
        return vg_fail(VG_ERR_MEMORY, "%s: no memory for a FLAC decoder", r->path);
    if (!FLAC__stream_decoder_process_until_end_of_metadata(r->decoder) || r->complaint || !r->channels)
        return vg_fail(VG_ERR_FORMAT, "%s: the FLAC file's header is damaged: %s", r->path,
                       r->complaint ? r->complaint
                                    : FLAC__stream_decoder_get_resolved_state_string(r->decoder));
    return VG_OK;
}

static void close_reader(reader *r)
{
    if (r->decoder) FLAC__stream_decoder_delete(r->decoder);
    if (r->file) fclose(r->file);
}

vg_status vg__flac_read_info(const char *path, int64_t size, vg__flac_info *info)
{
    reader r = {.path = path};
    vg_status status = open_reader(&r);
    if (status != VG_OK) goto out;
    /* A frame has at most 65536 samples of each channel; its own head and end take ten bytes, and a channel
     * that does not move takes one byte and a sample. Nothing is allocated for what a file cannot hold. */
    *info =
        (vg__flac_info){r.channels, r.bits, r.samples, size / (10 + r.channels * (8 + r.bits) / 8) * 65536};
    if (info->samples > info->most_samples)
        status = vg_fail(
            VG_ERR_FORMAT,
            "%s: says it holds %lld samples of each channel, but its %lld bytes cannot: it is cut short or "
            "damaged",
            path, (long long)info->samples, (long long)size);
out:
    close_reader(&r);
    return status;
}

vg_status vg__flac_read(const char *path, int channels, int64_t skip, int64_t count, vg__flac *flac)
{
    reader r = {.path = path, .skip = skip, .flac = flac};
    int64_t good = 0; /* samples before the frame that is read */
    *flac = (vg__flac){.count = count};
    vg_status status = open_reader(&r);
    if (status != VG_OK) goto out;
    if (r.channels != channels) {
        status = vg_fail(VG_ERR_IO, "%s: changed while it was read", path);
        goto out;
    }
    flac->bytes = r.bits > 16 ? 4 : 2;
    flac->sample = malloc((size_t)(count * channels * flac->bytes) + 1);
    if (!flac->sample) {
        status = vg_fail(VG_ERR_MEMORY, "%s: no memory for %lld samples of %d channels", path,
                         (long long)count, channels);
        goto out;
    }
    while (r.at < skip + count && !r.complaint &&
           FLAC__stream_decoder_get_state(r.decoder) != FLAC__STREAM_DECODER_END_OF_STREAM) {
        r.frames = 0;
        good = r.at;
        if (!FLAC__stream_decoder_process_single(r.decoder)) break;
    }
    if (r.at < skip + count || r.complaint)
        status =
            vg_fail(VG_ERR_FORMAT, "%s: is damaged or cut short behind sample %lld of %lld: %s", path,
                    (long long)(r.complaint ? good : r.at), (long long)(skip + count),
                    r.complaint ? r.complaint : FLAC__stream_decoder_get_resolved_state_string(r.decoder));
out:
    close_reader(&r);
    return status;
}

void vg__flac_free(vg__flac *flac)
{
    free(flac->sample);
    *flac = (vg__flac){0};
}

void vg__flac_samples(const vg__flac *flac, int channel, int64_t first, int64_t count, int32_t *out)
{
    const int64_t place = channel * flac->count + first;
    if (flac->bytes == 4) {
        memcpy(out, (const int32_t *)flac->sample + place, (size_t)count * sizeof *out);
    } else {
        const int16_t *x = (const int16_t *)flac->sample + place;
        for (int64_t i = 0; i < count; i++) out[i] = x[i];
    }
}
