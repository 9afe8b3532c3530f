#include "datasets/synthetic.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/random.h"
#include "datasets/store/store.h"

enum { WAVES = 5, LINES = 120, STEPS_PER_SECOND = 512 };
static const double PI = 3.14159265358979323846;

/* P, Q, R, S, T as in table I of the paper: angle (radians), height and width of each push. */
static const double ANGLE[WAVES] = {-70, -15, 0, 15, 100}, HEIGHT[WAVES] = {1.2, -5, 30, -7.5, 0.75},
                    WIDTH[WAVES] = {0.25, 0.1, 0.1, 0.1, 0.4};

/* What belongs to the subject and what to the recording. */
typedef struct heart {
    double angle[WAVES], height[WAVES], width[WAVES];
    double amplitude; /* mV from the lowest to the highest point */
    double rate;      /* beats per minute */
    double deviation; /* of the intervals, in seconds */
    double low, high; /* Hz: the two peaks of the intervals' spectrum */
    double low_share; /* of the power that lies in the lower one */
} heart;

typedef struct rhythm {
    double mean, amplitude[LINES], frequency[LINES], phase[LINES];
} rhythm;

vg_synthetic_options vg_synthetic_default_options(void)
{
    return (vg_synthetic_options){.seed = 1,
                                  .subjects = 8,
                                  .recordings = 2,
                                  .seconds = 120,
                                  .rate = 128,
                                  .effect = 1,
                                  .noise_mv = 0.02,
                                  .wander_mv = 0.05,
                                  .label = true};
}

static double between(vg_random *random, double low, double high)
{
    return low + (high - low) * vg_random_uniform(random);
}

static heart draw_heart(uint64_t seed, int subject)
{
    vg_random random = vg_random_make(seed, VG_SITE_SYNTHETIC, (uint32_t)subject);
    heart h = {.amplitude = between(&random, 0.8, 1.8),
               .rate = between(&random, 58, 82),
               .deviation = between(&random, 0.03, 0.06),
               .low = between(&random, 0.08, 0.12),
               .high = between(&random, 0.2, 0.3),
               .low_share = between(&random, 0.25, 0.5)};
    for (int i = 0; i < WAVES; i++) {
        h.angle[i] = (ANGLE[i] + (i == 2 ? 0 : between(&random, -4, 4))) * PI / 180;
        h.height[i] = HEIGHT[i] * between(&random, 0.75, 1.25);
        h.width[i] = WIDTH[i] * between(&random, 0.85, 1.15);
    }
    return h;
}

/* Waves move together and widen as the heart beats faster (Bazett's square root, as the authors' own program
 * has it). */
static void adapt_to_rate(heart *h)
{
    double factor = sqrt(h->rate / 60), root = sqrt(factor);
    for (int i = 0; i < WAVES; i++) h->width[i] *= factor;
    h->angle[0] *= root;
    h->angle[1] *= factor;
    h->angle[3] *= factor;
    h->angle[4] *= root;
}

/* The series of intervals as a sum of lines with random phases under a spectrum of two Gaussian peaks. */
static rhythm draw_rhythm(const heart *h, vg_random *random)
{
    rhythm r = {.mean = 60 / h->rate};
    double power = 0;
    for (int k = 0; k < LINES; k++) {
        double f = (k + vg_random_uniform(random)) * 0.5 / LINES, low = (f - h->low) / 0.01,
               high = (f - h->high) / 0.01;
        double density = h->low_share * exp(-low * low / 2) + (1 - h->low_share) * exp(-high * high / 2);
        r.frequency[k] = f;
        r.phase[k] = 2 * PI * vg_random_uniform(random);
        r.amplitude[k] = sqrt(density);
        power += density / 2;
    }
    for (int k = 0; k < LINES; k++) r.amplitude[k] *= h->deviation / sqrt(power);
    return r;
}

static double interval_at(const rhythm *r, double t)
{
    double interval = r->mean;
    for (int k = 0; k < LINES; k++)
        interval += r->amplitude[k] * cos(2 * PI * r->frequency[k] * t + r->phase[k]);
    return fmax(interval, 0.3);
}

static void derivative(const heart *h, double omega, const double at[3], double out[3])
{
    double pull = 1 - sqrt(at[0] * at[0] + at[1] * at[1]), theta = atan2(at[1], at[0]), push = 0;
    for (int i = 0; i < WAVES; i++) {
        double away = remainder(theta - h->angle[i], 2 * PI);
        push += h->height[i] * away * exp(-away * away / (2 * h->width[i] * h->width[i]));
    }
    out[0] = pull * at[0] - omega * at[1];
    out[1] = pull * at[1] + omega * at[0];
    out[2] = -push - at[2];
}

/* One step of the classical Runge-Kutta method. */
static void advance(const heart *h, double omega, double step, double at[3])
{
    double k1[3], k2[3], k3[3], k4[3], mid[3];
    derivative(h, omega, at, k1);
    for (int i = 0; i < 3; i++) mid[i] = at[i] + step / 2 * k1[i];
    derivative(h, omega, mid, k2);
    for (int i = 0; i < 3; i++) mid[i] = at[i] + step / 2 * k2[i];
    derivative(h, omega, mid, k3);
    for (int i = 0; i < 3; i++) mid[i] = at[i] + step * k3[i];
    derivative(h, omega, mid, k4);
    for (int i = 0; i < 3; i++) at[i] += step / 6 * (k1[i] + 2 * k2[i] + 2 * k3[i] + k4[i]);
}

/* The model's third coordinate at each sample. The interval of a beat is fixed where it begins, opposite R.
 */
static void integrate(const heart *h, const rhythm *r, double rate, double start_angle, float *samples,
                      int64_t n)
{
    int steps = (int)ceil(STEPS_PER_SECOND / rate);
    double step = 1 / (rate * steps), at[3] = {cos(start_angle), sin(start_angle), 0}, t = -2;
    double omega = 2 * PI / interval_at(r, t);
    /* Two seconds first, so that the recording does not begin with the model's settling. */
    for (int64_t i = -(int64_t)(2 * rate); i < n; i++) {
        if (i >= 0) samples[i] = (float)at[2];
        for (int k = 0; k < steps; k++) {
            double before = at[1];
            advance(h, omega, step, at);
            t += step;
            if (before > 0 && at[1] <= 0 && at[0] < 0) omega = 2 * PI / interval_at(r, t);
        }
    }
}

/* Scales to the subject's amplitude, with the zero where the paper's authors put it (a quarter of the way
 * up), and adds breathing, drift and noise. */
static void finish(const heart *h, const vg_synthetic_options *options, vg_random *random, float *samples,
                   int64_t n)
{
    float low = samples[0], high = samples[0];
    for (int64_t i = 0; i < n; i++) {
        low = fminf(low, samples[i]);
        high = fmaxf(high, samples[i]);
    }
    double scale = high > low ? h->amplitude / ((double)high - low) : 0;
    double breath = 2 * PI * vg_random_uniform(random), drift = 2 * PI * vg_random_uniform(random);
    for (int64_t i = 0; i < n; i++) {
        double t = (double)i / options->rate;
        double wander = options->wander_mv *
                        (0.5 * sin(2 * PI * h->high * t + breath) + 0.5 * sin(2 * PI * 0.05 * t + drift));
        samples[i] = (float)((samples[i] - (double)low) * scale - 0.25 * h->amplitude + wander +
                             options->noise_mv * vg_random_normal(random));
    }
}

static vg_status check(const vg_synthetic_options *o)
{
    if (!(o->rate >= 60 && o->rate <= 10000))
        return vg_fail(VG_ERR_CONFIG, "synthetic: a rate of %g Hz is outside 60..10000", o->rate);
    if (o->subjects < 1 || o->subjects > 100000 || o->recordings < 1 || o->recordings > 10000)
        return vg_fail(VG_ERR_CONFIG,
                       "synthetic: %d subjects with %d recordings are outside 1..100000 and 1..10000",
                       o->subjects, o->recordings);
    if (!(o->seconds >= 1 && o->seconds <= 86400))
        return vg_fail(VG_ERR_CONFIG, "synthetic: %g s a recording are outside 1..86400", o->seconds);
    if (!(o->effect >= -1 && o->effect <= 2))
        return vg_fail(VG_ERR_CONFIG, "synthetic: an effect of %g is outside -1..2", o->effect);
    if (!(o->noise_mv >= 0 && o->noise_mv <= 100 && o->wander_mv >= 0 && o->wander_mv <= 100))
        return vg_fail(VG_ERR_CONFIG, "synthetic: noise %g mV and wander %g mV are outside 0..100",
                       o->noise_mv, o->wander_mv);
    return VG_OK;
}

vg_status vg_synthetic_recording(const vg_synthetic_options *options, int subject, int recording,
                                 float *samples, int64_t n, bool *aroused)
{
    VG_TRY(check(options));
    /* Half of the subjects begin aroused, so that the order within a session tells nothing. */
    *aroused = (subject + recording) % 2 == 1;
    vg_random random = vg_random_make(options->seed, VG_SITE_SYNTHETIC + 1,
                                      (uint32_t)subject * 10000u + (uint32_t)recording);
    heart h = draw_heart(options->seed, subject);
    h.rate += between(&random, -1.5, 1.5);
    if (*aroused) {
        h.rate += 15 * options->effect;
        h.deviation *= fmax(0.05, 1 - 0.5 * options->effect);
    }
    adapt_to_rate(&h);
    rhythm r = draw_rhythm(&h, &random);
    if (n < 1) return VG_OK;
    integrate(&h, &r, options->rate, between(&random, -PI, PI), samples, n);
    finish(&h, options, &random, samples, n);
    return VG_OK;
}

static vg_status write_recording(const vg_synthetic_options *options, int subject, int number, float *samples,
                                 int64_t n, vg_store_writer *writer)
{
    char name[32], trial[32], source[64];
    bool aroused;
    VG_TRY(vg_synthetic_recording(options, subject, number, samples, n, &aroused));
    snprintf(name, sizeof name, "synthetic-%04d", subject + 1);
    snprintf(trial, sizeof trial, "%d", number + 1);
    snprintf(source, sizeof source, "synthetic, seed %llu", (unsigned long long)options->seed);
    vg_recording recording = {
        .subject = name, .trial = trial, .lead = "synthetic", .source = source, .length = n};
    double rating = aroused;
    return vg_store_writer_add(writer, &recording, samples, options->label ? &rating : NULL);
}

vg_status vg_synthetic_write(const vg_synthetic_options *options, const char *path, bool overwrite)
{
    static const char *const names[] = {"synthetic_arousal"};
    vg_status status = VG_OK;
    vg_store_writer *writer = NULL, *whole;
    float *samples = NULL;
    char rate[32], effect[64];
    VG_TRY(check(options));
    int64_t n = (int64_t)llround(options->seconds * options->rate);
    samples = malloc((size_t)n * sizeof *samples);
    if (!samples) return vg_fail(VG_ERR_MEMORY, "synthetic: no memory for %lld samples", (long long)n);
    VG_TRY_OUT(vg_store_writer_create(path, overwrite, names, options->label ? 1 : 0, &writer));
    for (int s = 0; s < options->subjects; s++)
        for (int k = 0; k < options->recordings; k++)
            VG_TRY_OUT(write_recording(options, s, k, samples, n, writer));
    snprintf(rate, sizeof rate, "%.10g", options->rate);
    vg_store_info info = {.source = "synthetic",
                          .rate = options->rate,
                          .units = "mV",
                          .original_rates = rate,
                          .filter = "none",
                          .resampling = "none",
                          .polarity = "as made",
                          .licence = "none needed: made by a program",
                          .citation = "Model: McSharry PE et al., IEEE Trans Biomed Eng 50(3):289-294 (2003)",
                          .synthetic = true,
                          .importer = "synthetic 1"};
    VG_TRY_OUT(vg_store_writer_describe(writer, &info));
    snprintf(effect, sizeof effect, "%.10g", options->effect);
    VG_TRY_OUT(vg_store_writer_note(writer, "synthetic_effect", effect));
    whole = writer;
    writer = NULL; /* finish frees it in every case */
    status = vg_store_writer_finish(whole);
out:
    vg_store_writer_abandon(writer);
    free(samples);
    return status;
}
