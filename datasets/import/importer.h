/* Import: recordings in somebody's format in, one store out.
 *
 * An importer is one file and one line in the list of importer.c; it reads and names, and everything that
 * happens to the samples happens in pipeline.c, the same for every format: millivolt, quality check at the
 * original rate, zero-phase band-pass at the original rate, resampling, exclusions with their reasons.
 *
 * A source that cannot be read becomes an exclusion with its reason; the import fails when nothing is left,
 * or at once with the option `strict`. */
#ifndef VAGUS_DATASETS_IMPORT_IMPORTER_H
#define VAGUS_DATASETS_IMPORT_IMPORTER_H

#include <stdbool.h>
#include <stdint.h>

#include "core/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Every option once: kind, name, default, help. Kinds: NUMBER (double), COUNT (int), FLAG (bool, "true" or
 * "false"), TEXT (const char *, "" = not given). The command line, its help and the defaults come from here.
 */
#define VG_IMPORT_OPTION_MAP(X)                                                                              \
    X(NUMBER, rate, "128", "sampling rate of the store in Hz")                                               \
    X(NUMBER, low, "0.8", "lower edge of the band-pass in Hz; 0: none")                                      \
    X(NUMBER, high, "50", "upper edge of the band-pass in Hz; 0: none")                                      \
    X(COUNT, order, "8", "order of the Butterworth prototype, as SciPy's butter(N); 0: no filter")           \
    X(TEXT, leads, "all", "all, first, or names separated by commas: \"I,MLII\"")                            \
    X(TEXT, pattern, "",                                                                                     \
      "file names, with fields: \"Subject{subject}_{trial}.edf\"; also {session}, "                          \
      "{stimulus}, {record}, {} (anything)")                                                                 \
    X(TEXT, rating, "",                                                                                      \
      "columns of ratings, separated by \";\": NAME[@FIELD]:TEXT=NUMBER,... (\"task:1=0,"                    \
      "2=1\"); FIELD is trial unless named, or a column of labels (\"normal@scp_codes:contains "             \
      "NORM=1,else=0\"); without \":...\" the text is the number")                                           \
    X(TEXT, labels, "",                                                                                      \
      "table of ratings, a row a record; its header names the columns, one of them record or file")          \
    X(TEXT, label_names, "",                                                                                 \
      "columns of labels that are wanted, by the header's names; without a header, names for all")           \
    X(TEXT, subjects, "",                                                                                    \
      "table of people, a row a record: columns record (or file) and subject (or patient_id), or "           \
      "without header in this order")                                                                        \
    X(TEXT, source, "", "short name of the data set; default: the folder's or file's name")                  \
    X(TEXT, licence, "", "licence of the data, stored with it")                                              \
    X(TEXT, citation, "", "how the authors want to be cited, stored with it")                                \
    X(TEXT, units, "", "unit of the samples (V, mV, uV), if the file does not say it or says it wrongly")    \
    X(TEXT, map, "",                                                                                         \
      "csv, npy, hdf5, mat: which column, axis, dataset or value is what, \"signal=ecg,rate=400,"            \
      "records=exam_id\"")                                                                                   \
    X(FLAG, baseline, "true",                                                                                \
      "amigos: keep the 5 s before each video; dreamer: keep the minute before each film")                   \
    X(NUMBER, min_seconds, "10", "shorter recordings are left out")                                          \
    X(NUMBER, min_quality, "0.35", "recordings with a lower signal quality index (0..1) are left out")       \
    X(TEXT, keep, "",                                                                                        \
      "never left out for length or quality: records or files, separated by commas, or all; what this "      \
      "overruled is noted in the store")                                                                     \
    X(NUMBER, bridge, "0",                                                                                   \
      "fill stretches of missing samples up to this many ms by a straight line; 0: none")                    \
    X(FLAG, drop_bad, "true", "blank 10 s windows that are flat, weaker than 0.05 mV or above 20 mV")        \
    X(FLAG, flip, "false",                                                                                   \
      "turn recordings whose QRS and T wave point down, but not V1, V3R, V4R and aVR, which look like that") \
    X(COUNT, threads, "0",                                                                                   \
      "recordings worked on at once; 0: one a core. The store is the same for any number")                   \
    X(FLAG, strict, "false", "fail on the first source that cannot be used")

typedef struct vg_import_options {
#define VG_IMPORT_FIELD_NUMBER(name)                double name;
#define VG_IMPORT_FIELD_COUNT(name)                 int name;
#define VG_IMPORT_FIELD_FLAG(name)                  bool name;
#define VG_IMPORT_FIELD_TEXT(name)                  const char *name;
#define VG_IMPORT_FIELD(kind, name, standard, help) VG_IMPORT_FIELD_##kind(name)
    VG_IMPORT_OPTION_MAP(VG_IMPORT_FIELD)
#undef VG_IMPORT_FIELD
#undef VG_IMPORT_FIELD_NUMBER
#undef VG_IMPORT_FIELD_COUNT
#undef VG_IMPORT_FIELD_FLAG
#undef VG_IMPORT_FIELD_TEXT
} vg_import_options;

VG_API vg_import_options vg_import_default_options(void);

/* Sets one option by name; '-' and '_' are the same. Texts are not copied: `value` must outlive the options.
 * VG_ERR_CONFIG names the unknown option (and the nearest known one) or the value that does not fit. */
VG_API VG_NODISCARD vg_status vg_import_set(vg_import_options *options, const char *name, const char *value);

/* The options by number, for help: false past the last. `flag` (may be NULL) tells whether it is a FLAG. */
VG_API bool vg_import_option(int index, const char **name, const char **standard, const char **help,
                             bool *flag);

/* The formats by number: their name and what they read; NULL past the last. */
VG_API const char *vg_import_format(int index, const char **reads);

/* What the option `map` takes for a format, and an example, as lines to print; NULL where it has no say, or
 * for an unknown format. */
VG_API const char *vg_importer_help(const char *format);

/* What an import did; init by vg_import(), freed by vg_import_report_free(). */
typedef struct vg_import_report {
    int64_t records;    /* read from the sources (a lead is a record of its own) */
    int64_t recordings; /* stored */
    int64_t excluded;   /* left out, wholly: leads, and sources that gave none */
    int64_t unread;     /* those sources: files that cannot be read or hold no ECG, trials that are missing */
    int64_t trials;     /* what the leads were recorded in: files, or trials in a file ... */
    int64_t trials_used; /* ... and those of which at least one lead is stored */
    int64_t windows_dropped;
    int64_t bridged;     /* gaps that were filled, in what is stored */
    int64_t upside_down; /* recordings whose QRS and T wave point down, turned or not */
    double seconds;      /* stored */
    int64_t warnings;    /* how many there were; the first VG_IMPORT_MAX_WARNINGS are kept */
    char **warning;      /* [min(warnings, VG_IMPORT_MAX_WARNINGS)] */
} vg_import_report;
enum { VG_IMPORT_MAX_WARNINGS = 100 };

/* Imports sources (files or folders) of `format` into a new store `out`. An existing `out` is refused unless
 * `overwrite`, and is not touched when the import fails. `report` is filled in either case. */
VG_API VG_NODISCARD vg_status vg_import(const char *format, const char *const *sources, int source_count,
                                        const vg_import_options *options, const char *out, bool overwrite,
                                        vg_import_report *report);
VG_API void vg_import_report_free(vg_import_report *report);

#ifdef __cplusplus
}
#endif
#endif
