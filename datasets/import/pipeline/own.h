/* What the files of the pipeline share among themselves. */
#ifndef VAGUS_DATASETS_IMPORT_PIPELINE_OWN_H
#define VAGUS_DATASETS_IMPORT_PIPELINE_OWN_H

#include "datasets/import/pipeline/ordered.h"
#include "datasets/import/pipeline/pipeline.h"
#include "datasets/signal/features.h"

/* Recordings slower than this are not judged, so they are not taken (R peaks need the band up to 20 Hz). */
enum { VG__SLOWEST_HZ = 60 };

/* Of a recording's rate: no band ends higher. */
#define VG__HIGHEST_EDGE 0.45

enum { VG__MAX_RATES = 32, VG__NOTE_SIZE = 4000, VG__LINE_SIZE = 1024 };

/* Of recordings that wait, are worked on or wait to be written. The importer's own buffers, the store's
 * tables and HDF5 come on top; and a recording that needs more goes alone, with its filters one after
 * another. */
enum { VG__BYTES_IN_FLIGHT = 128 << 20 };

/* The records that leads came from, and of which at least one lead was used. Zero-initialised. */
typedef struct vg__record_set {
    struct {
        uint64_t record; /* 0: free */
        bool used;
    } * place; /* [room], a power of two */
    int64_t room, count, used;
} vg__record_set;

/* What tells a record from all others; never 0. */
uint64_t vg__record_of(const vg__raw *raw);
VG_NODISCARD vg_status vg__record_set_add(vg__record_set *records, uint64_t record, bool used);
void vg__record_set_free(vg__record_set *records);

struct vg__pipeline {
    const vg__importer *importer;
    const vg_import_options *options;
    vg_store_writer *writer;
    vg_import_report *report;
    vg__ordered *queue;
    vg__ratings ratings;
    vg__csv subjects;
    int columns; /* of ratings: the importer's, then the options' */
    double rates[VG__MAX_RATES];
    int rate_count;
    double lowest_limit;                  /* the lowest upper edge that had to be used; INFINITY when none */
    char upside_down[VG__NOTE_SIZE];      /* names, separated by blanks */
    char kept[VG__NOTE_SIZE];             /* what would have been left out but for the option `keep` */
    int64_t people_known, people_unknown; /* records (by lead) of a person that the source or an option names,
                                             and those taken as a person each for want of a name */
    uint64_t keep_seen;                   /* bit i: the name i of `keep` was met */
    char first_reason[VG__LINE_SIZE];     /* of the first exclusion */
    vg__record_set records;
    char bridged[VG__NOTE_SIZE - 200]; /* recordings with gaps that were filled, and how many */
    int64_t bridged_recordings, bridged_samples, samples; /* of what is stored, before resampling */
};

/* What travels through the queue: a recording, or a line of the report that keeps its place among them. */
typedef struct vg__job {
    enum { VG__JOB_RECORDING, VG__JOB_EXCLUSION, VG__JOB_WARNING } kind;
    const vg_import_options *options;
    uint64_t record; /* of which it is a lead; 0: no lead was read */
    bool keep;       /* never left out for its length or quality */

    /* A recording on its way in */
    char *file, *lead;
    vg__fields fields;
    double rate;
    double *samples; /* [count], millivolt; freed once they are worked on */
    int64_t count;
    double *ratings; /* [columns] */

    /* ... and out */
    vg_status failed; /* an error that ends the import; its cause is in `text` */
    float *stored;    /* [stored_count], NULL when it is excluded */
    int64_t stored_count, dropped;
    int64_t bridged, bridged_samples; /* gaps that were filled */
    double dropped_seconds;
    vg_quality quality;
    double features[VG_FEATURE_COUNT];
    double *beats; /* [beat_count], in samples of the store */
    int64_t beat_count;
    double limit; /* Hz, the upper edge that gave way; 0 when it did not */

    /* An exclusion (also of a recording that was found unusable: `status` is not OK then) or a warning */
    vg_status status;
    vg_exclusion_kind loss;
    double seconds;
    char text[VG__LINE_SIZE];          /* reason, warning or cause */
    char windows[VG__LINE_SIZE / 4];   /* which windows were blanked */
    char overruled[VG__LINE_SIZE / 2]; /* why it would have been left out; "" when it would not */
} vg__job;

/* VG_ERR_CONFIG for options that leave no ECG or contradict each other; warnings for what is seldom meant. */
VG_NODISCARD vg_status vg__options_check(const vg_import_options *options);
void vg__options_warn(vg__pipeline *pipeline);

/* What the queue calls for each job in its turn: `context` is the pipeline. And the note on bridged gaps,
 * when all were emitted. */
VG_NODISCARD vg_status vg__emit(void *context, void *job);
VG_NODISCARD vg_status vg__emit_bridged(const vg__pipeline *pipeline);

/* How many millivolt one unit is; 0 for a unit that is none of voltage. */
double vg__millivolt_per(const char *units);

/* Judges, filters, resamples and blanks a recording; touches nothing but the job, so any thread may. */
void vg__samples_work(vg__job *job);

/* Whether the recording, which was judged, points down and its lead is none that does so by nature. */
bool vg__samples_upside_down(const vg__job *job);

/* Bytes that a recording of `count` samples occupies at most while it is worked on. */
int64_t vg__samples_bytes(int64_t count);

/* Fills the fields from the recording, the file's name and the table of subjects. False when the name does
 * not fit the pattern. */
bool vg__pipeline_name(vg__pipeline *pipeline, const vg__raw *raw, vg__fields *fields);

/* Whether the option `keep` names the recording: by its record, its file, or the file without its ending. */
bool vg__pipeline_keeps(vg__pipeline *pipeline, const vg__raw *raw);

/* A warning for each name in `keep` that no recording had. */
void vg__pipeline_check_keep(vg__pipeline *pipeline);

/* The attributes and notes of the store, when everything was emitted. */
VG_NODISCARD vg_status vg__pipeline_describe(vg__pipeline *pipeline, const char *first_source);

#endif
