#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "datasets/store/writer_own.h"

vg_status vg_store_writer_features(vg_store_writer *writer, const char *const *names, int count)
{
    VG_ASSERT(!writer->measures && writer->recording_count == 0);
    VG_TRY(vg__store_copy_names(writer, "feature", names, count, &writer->feature_names,
                                &writer->feature_count));
    writer->measures = true;
    return VG_OK;
}

/* Rows for every recording so far: those that were not measured have NaN and no beats. */
static vg_status reserve_measures(vg_store_writer *writer)
{
    int64_t n = writer->recording_count, before = writer->measured_capacity;
    if (n <= before) return VG_OK;
    int64_t wanted = writer->recording_capacity;
    int64_t *ends = realloc(writer->beat_end, (size_t)wanted * sizeof *ends);
    if (ends) writer->beat_end = ends;
    double *features =
        realloc(writer->features, (size_t)wanted * (size_t)(writer->feature_count + 1) * sizeof *features);
    if (features) writer->features = features;
    if (!ends || !features) return vg_fail(VG_ERR_MEMORY, "measures of %lld recordings", (long long)n);
    writer->measured_capacity = wanted;
    return VG_OK;
}

/* Fills the rows up to, and not with, recording `end`. */
static void fill_measures(vg_store_writer *writer, int64_t end)
{
    for (; writer->measured_count < end; writer->measured_count++) {
        int64_t row = writer->measured_count;
        writer->beat_end[row] = writer->beat_count;
        for (int i = 0; i < writer->feature_count; i++)
            writer->features[row * writer->feature_count + i] = NAN;
    }
}

vg_status vg_store_writer_measured(vg_store_writer *writer, const double *features, const double *beats,
                                   int64_t beat_count)
{
    int64_t row = writer->recording_count - 1;
    VG_ASSERT(writer->measures && row >= 0 && writer->measured_count <= row);
    const vg_recording *recording = &writer->recordings[row];
    for (int i = 0; i < writer->feature_count; i++)
        if (isinf(features[i]))
            return vg_fail(VG_ERR_DATA, "%s: the feature %s of the recording from %s is infinite",
                           writer->path, writer->feature_names[i], recording->source);
    for (int64_t i = 0; i < beat_count; i++)
        if (!(beats[i] >= 0 && beats[i] <= (double)recording->length && (i == 0 || beats[i] > beats[i - 1])))
            return vg_fail(VG_ERR_DATA,
                           "%s: beat %lld of the recording from %s stands at sample %g of %lld, or before "
                           "the beat ahead of it",
                           writer->path, (long long)i, recording->source, beats[i],
                           (long long)recording->length);
    VG_TRY(reserve_measures(writer));
    fill_measures(writer, row);
    while (writer->beat_capacity < writer->beat_count + beat_count)
        VG_TRY(vg__store_grow((void **)&writer->beats, writer->beat_capacity, &writer->beat_capacity,
                              sizeof *writer->beats));
    if (beat_count) memcpy(writer->beats + writer->beat_count, beats, (size_t)beat_count * sizeof *beats);
    writer->beat_count += beat_count;
    writer->beat_end[row] = writer->beat_count;
    memcpy(writer->features + row * writer->feature_count, features,
           (size_t)writer->feature_count * sizeof *features);
    writer->measured_count = row + 1;
    return VG_OK;
}

vg_status vg__store_complete_measures(vg_store_writer *writer)
{
    VG_TRY(reserve_measures(writer));
    fill_measures(writer, writer->recording_count);
    return VG_OK;
}
