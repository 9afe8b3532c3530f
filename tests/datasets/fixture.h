/* Small stores for the tests of this room. */
#ifndef VAGUS_TESTS_DATASETS_FIXTURE_H
#define VAGUS_TESTS_DATASETS_FIXTURE_H

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/random.h"
#include "datasets/store/store.h"
#include "tests/support/support.h"

static inline vg_store_info fixture_info(const char *source, double rate)
{
    return (vg_store_info){.source = source,
                           .rate = rate,
                           .units = "mV",
                           .original_rates = "256 512",
                           .filter = "butterworth",
                           .filter_order = 8,
                           .filter_low = 0.8,
                           .filter_high = 50,
                           .filter_zero_phase = true,
                           .notch = 0,
                           .resampling = "soxr very high quality",
                           .polarity = "as recorded",
                           .licence = "none needed",
                           .citation = "Größe & Ähnliche (2022)",
                           .synthetic = true,
                           .importer = "fixture 1"};
}

/* Noise on a slow wave, with an offset and a size of its own; never flat, never clipped. */
static inline void fixture_wave(float *out, int64_t count, uint32_t stream)
{
    vg_random random = vg_random_make(7, VG_SITE_SYNTHETIC, stream);
    double offset = vg_random_normal(&random), size = 0.5 + vg_random_uniform(&random);
    for (int64_t i = 0; i < count; i++)
        out[i] = (float)(offset + size * (sin(0.05 * (double)i) + 0.3 * vg_random_normal(&random)));
}

/* One recording of a wave; ratings may be NULL. */
static inline void fixture_add(vg_store_writer *writer, const char *subject, const char *trial,
                               const char *lead, const char *source, int64_t length, uint32_t stream,
                               const double *ratings)
{
    float *samples = malloc((size_t)length * sizeof *samples);
    assert_non_null(samples);
    fixture_wave(samples, length, stream);
    vg_recording recording = {
        .subject = subject, .trial = trial, .lead = lead, .source = source, .length = length};
    assert_ok(vg_store_writer_add(writer, &recording, samples, ratings));
    free(samples);
}

static inline void fixture_finish(vg_store_writer *writer, const char *source, double rate)
{
    vg_store_info info = fixture_info(source, rate);
    assert_ok(vg_store_writer_describe(writer, &info));
    assert_ok(vg_store_writer_finish(writer));
}

/* A store of `subjects` people with 1 to 4 trials each, 3 to 14 s long at 16 Hz, on two leads; rating "mood"
 * is the trial's number, "on" is 0 or 1 by trial, "rare" is missing for every third subject. */
static inline void fixture_store(const char *path, const char *source, int subjects, uint32_t stream)
{
    static const char *const names[] = {"mood", "on", "rare"};
    vg_store_writer *writer;
    assert_ok(vg_store_writer_create(path, false, names, 3, &writer));
    vg_random random = vg_random_make(11, VG_SITE_SYNTHETIC, stream);
    for (int s = 0; s < subjects; s++) {
        int trials = 1 + (int)vg_random_below(&random, 4);
        for (int t = 0; t < trials; t++) {
            char subject[32], trial[32], file[80];
            snprintf(subject, sizeof subject, "s%02d", s);
            snprintf(trial, sizeof trial, "%d", t + 1);
            snprintf(file, sizeof file, "%s-%s.dat", subject, trial);
            int64_t length = 16 * (3 + (int64_t)vg_random_below(&random, 12));
            double ratings[] = {t + 1.0, t % 2, s % 3 ? s : NAN};
            for (int lead = 0; lead < 2; lead++)
                fixture_add(writer, subject, trial, lead ? "II" : "I", file, length,
                            stream * 100000 + (uint32_t)(s * 100 + t * 2 + lead), ratings);
        }
    }
    fixture_finish(writer, source, 16);
}

#endif
