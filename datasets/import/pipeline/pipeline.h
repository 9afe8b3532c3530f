/* What every importer hands its recordings to, from raw samples to the store. Internal to import/. */
#ifndef VAGUS_DATASETS_IMPORT_PIPELINE_PIPELINE_H
#define VAGUS_DATASETS_IMPORT_PIPELINE_PIPELINE_H

#include "datasets/import/importer.h"
#include "datasets/import/pipeline/table.h"
#include "datasets/store/store.h"

typedef struct vg__pipeline vg__pipeline;

/* One lead of one record. Texts may be NULL for "". Everything belongs to the caller, who may free or
 * change it when the call is over: the samples are copied. */
typedef struct vg__raw {
    const char *file;    /* for messages and the store's `source` */
    const char *record;  /* looked up in the tables of subjects and labels */
    const char *subject; /* what the format says; NULL = it says nothing and the record is taken */
    const char *session, *trial, *stimulus, *lead;
    double rate;           /* Hz */
    const char *units;     /* V, mV, uV, µV, nV; the option `units` overrules it */
    const double *samples; /* [count], NaN = missing */
    int64_t count;
    const double *ratings; /* [rating_count] of the importer, NaN = missing; NULL: none */
} vg__raw;

/* One format. `import` returns an error only if nothing can go on: what concerns one record goes through
 * vg__pipeline_reject(). */
typedef struct vg__importer {
    const char *name, *reads, *version;
    bool file_is_set; /* a file holds many recordings, so it is the file that names the data set, not its
                         folder */
    const char *const *rating_names; /* [rating_count]: columns that the format itself knows; those of the
                                        options come behind them */
    int rating_count;
    const char *set, *licence, *citation; /* of a format that is one data set: what the options of these names
                                             (set: `source`) are unless given; else NULL */
    const char *help; /* what the option map takes for this format, with an example; NULL: it has no say */
    vg_status (*import)(vg__pipeline *pipeline, const char *const *sources, int count);
} vg__importer;

const vg_import_options *vg__pipeline_options(const vg__pipeline *pipeline);

/* Checks, converts, filters, resamples and writes; excludes what cannot be used. The work is done later, by
 * several threads; what it leads to appears in the order of the calls of this function, of exclude, reject
 * and warn. An error ends the import; it can be that of an earlier recording. Only the thread that the
 * importer runs in may call any of these. */
VG_NODISCARD vg_status vg__pipeline_add(vg__pipeline *pipeline, const vg__raw *raw);

/* Writes down that something is left out; with `strict` this is an error, of kind FORMAT where it could not
 * be read, else DATA. `seconds` is the time lost (NaN when unknown). */
VG_NODISCARD vg_status vg__pipeline_exclude(vg__pipeline *pipeline, vg_exclusion_kind kind, const char *file,
                                            const char *subject, double seconds, const char *format, ...)
    VG_PRINTF(6, 7);

/* The same for an error that was just recorded by vg_fail(): its cause is the reason. Errors that are not
 * about the record (out of memory, the store cannot be written) are passed on. */
VG_NODISCARD vg_status vg__pipeline_reject(vg__pipeline *pipeline, vg_status status, const char *file);

/* Something that must be known of the store and stands in no file: `assumed` (a unit, a gain), `unverified`,
 * `baseline`. Written into the store as a note, which `vagus data info` and its paragraph for a paper print.
 * A later note of the same key replaces the earlier. */
VG_NODISCARD vg_status vg__pipeline_note(vg__pipeline *pipeline, const char *key, const char *text);

void vg__pipeline_warn(vg__pipeline *pipeline, const char *format, ...) VG_PRINTF(2, 3);

/* Whether the option `leads` asks for this one; `index` counts the leads of a record that could be asked. */
bool vg__pipeline_wants_lead(const vg__pipeline *pipeline, const char *name, int index);

/* Runs one importer into a store; vg_import() after the format was found. */
VG_NODISCARD vg_status vg__pipeline_run(const vg__importer *importer, const char *const *sources, int count,
                                        const vg_import_options *options, const char *out, bool overwrite,
                                        vg_import_report *report);

#endif
