/* WFDB records: a text header (.hea) that names signal files, or other records one after another. Written
 * from the documents header(5) and signal(5) of the WFDB library. Internal to import/. */
#ifndef VAGUS_DATASETS_IMPORT_FORMATS_WFDB_H
#define VAGUS_DATASETS_IMPORT_FORMATS_WFDB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/status.h"
#include "datasets/import/formats/flac.h"

enum { VG__WFDB_MAX_SIGNALS = 256, VG__WFDB_MAX_SEGMENTS = 100000, VG__WFDB_MAX_PER_FRAME = 10000 };

/* A signal as its line in the header describes it. */
typedef struct vg__wfdb_signal {
    char file[256], units[32], description[96];
    int format, line;
    int per_frame; /* samples in a frame: the signal's rate is so many times the record's */
    int64_t skip;  /* bytes before the samples */
    int64_t skew;  /* frames that come before the record's first */
    double gain;   /* units of the converter per physical unit */
    int64_t baseline;
    int64_t initial; /* the first sample, as the header has it */
    bool calibrated, has_checksum, has_initial;
    int checksum;
} vg__wfdb_signal;

/* A part of a record of several segments: a record of its own, or a gap. */
typedef struct vg__wfdb_segment {
    char record[128]; /* "~": a gap */
    int64_t frames;
    int line;
} vg__wfdb_segment;

typedef struct vg__wfdb_header {
    char path[4096], record[128];
    double rate;    /* frames per second */
    int64_t frames; /* 0: not stated */
    int signals, segments;
    vg__wfdb_signal *signal;   /* [signals]; NULL in a record of several segments */
    vg__wfdb_segment *segment; /* [segments]; NULL in an ordinary record */
    char *bytes;               /* of the signal file that was read last, or what FLAC packed ... */
    vg__flac flac;             /* ... in it; ... */
    int loaded;                /* ... in which this signal is the first, counted from 1; 0: none */
} vg__wfdb_header;

/* Reads a header file. Errors name the file and the line. `header` is the caller's storage, freed (also after
 * an error) by vg__wfdb_header_free(). */
VG_NODISCARD vg_status vg__wfdb_header_read(const char *path, vg__wfdb_header *header);
void vg__wfdb_header_free(vg__wfdb_header *header);

/* The path of another file of the header's folder; `ending` is put behind it. VG_ERR_FORMAT, naming the
 * header's line, when the name leads elsewhere or is too long. */
VG_NODISCARD vg_status vg__wfdb_beside(const vg__wfdb_header *header, int line, const char *name,
                                       const char *ending, char *path, size_t size);

/* ---- Formats: how samples lie in a signal file ------------------------------------------------------- */

/* Whether samples of this format can be read. */
bool vg__wfdb_known_format(int format);

/* Of a format that is packed with FLAC the most bits a sample may have, of others 0. */
int vg__wfdb_flac_bits(int format);

/* How many bytes so many samples take, and how many samples are in so many bytes; for formats without FLAC.
 */
int64_t vg__wfdb_bytes(int format, int64_t samples);
int64_t vg__wfdb_samples(int format, int64_t bytes);

/* The samples first, first + step, first + 2 * step and so on, `count` of them, as they are stored (of format
 * 8 the differences), into out[0], out[apart] and so on; for formats without FLAC. */
void vg__wfdb_decode(int format, const unsigned char *bytes, int64_t first, int64_t step, int64_t count,
                     int32_t *out, int64_t apart);

/* The value that stands for a missing sample; INT64_MIN where the format has none. */
int64_t vg__wfdb_missing(int format);

/* ---- Signals of an ordinary record ------------------------------------------------------------------- */

/* The frames that the record's files hold (or are promised to). Checks every file: that it is there, that the
 * signals in it agree about its format, and that it is as long as the header says. Signals of format 0 have
 * no file: their samples are all missing. */
VG_NODISCARD vg_status vg__wfdb_check(const vg__wfdb_header *header, int64_t *frames);

/* What was seen while a signal was read. */
typedef struct vg__wfdb_sums {
    unsigned checksum;
    int64_t first; /* the first sample in the file */
} vg__wfdb_sums;

/* Reads one signal into out[frames * per_frame], in physical units; NaN: missing. `frames` are what
 * vg__wfdb_check() gave; the signal's format is not 0. */
VG_NODISCARD vg_status vg__wfdb_read(vg__wfdb_header *header, int signal, int64_t frames, double *out,
                                     vg__wfdb_sums *sums);

/* Frees what vg__wfdb_read() keeps of the signal file for the next signal; the header's free does, too. */
void vg__wfdb_unload(vg__wfdb_header *header);

#endif
