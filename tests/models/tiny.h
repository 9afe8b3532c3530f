/* What the tests of models share: a device with its kernels, small odd configurations, and input that is a
 * function of a seed. */
#ifndef VAGUS_TESTS_MODELS_TINY_H
#define VAGUS_TESTS_MODELS_TINY_H

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "models/model.h"
#include "models/optimizer.h"
#include "tests/support/support.h"

typedef struct tiny_bench {
    vg_device *device;
    vg_kernels *kernels;
} tiny_bench;

static inline tiny_bench tiny_open(const char *backend)
{
    tiny_bench bench;
    assert_ok(vg_device_create_host(&bench.device));
    assert_ok(vg_kernels_create(bench.device, backend, false, &bench.kernels));
    return bench;
}

static inline void tiny_close(tiny_bench *bench)
{
    vg_kernels_destroy(bench->kernels);
    vg_device_destroy(bench->device);
}

/* Every size odd or unlike the others, so that a mixed-up dimension shows. No dropout. */
static inline vg_model_config tiny_config(void)
{
    vg_model_config c = vg_model_config_default();
    c.segment_length = 23;
    c.conv_channels = (vg_config_list){3, {5, 3, 6}};
    c.conv_kernels = (vg_config_list){3, {5, 3, 7}};
    c.d_model = 6;
    c.layers = 2;
    c.heads = 2;
    c.feedforward = 11;
    c.reconstruction_head = (vg_config_list){1, {7}};
    c.classification_head = (vg_config_list){2, {9, 4}};
    vg_model_config_set_dropout(&c, 0);
    c.head_dropout = 0;
    return c;
}

static inline vg_model_options tiny_options(vg_head_kind head)
{
    vg_model_options o = {.config = tiny_config(),
                          .masking = vg_masking_config_default(),
                          .head = head,
                          .max_batch = 3,
                          .training = true,
                          .dtype = VG_F32};
    o.masking.probability = 0.1;
    o.masking.span = 4;
    return o;
}

static inline vg_model *tiny_model(tiny_bench *bench, const vg_model_options *options, uint64_t seed)
{
    vg_model *model;
    assert_ok(vg_model_create(bench->kernels, options, &model));
    assert_ok(vg_parameters_initialize(vg_model_parameters(model), seed));
    return model;
}

enum { TINY_MOST = 16 };

/* `batch` segments of `T` samples starting at number `first`: a noisy wave that depends on the segment's
 * number alone. */
static inline void tiny_signal(int64_t first, int64_t batch, int64_t T, float *signal, int64_t *segment,
                               float *label)
{
    for (int64_t b = 0; b < batch; b++) {
        vg_random random = vg_random_make(7, VG_SITE_SYNTHETIC, (uint32_t)(first + b));
        segment[b] = first + b;
        label[b] = (float)((first + b) % 2);
        double phase = 6 * vg_random_uniform(&random), rate = 0.2 + 0.3 * vg_random_uniform(&random);
        for (int64_t t = 0; t < T; t++)
            signal[b * T + t] = (float)(sin(phase + rate * (double)t) + 0.3 * vg_random_normal(&random));
    }
}

static inline vg_model_batch tiny_batch(vg_model *model, int64_t first, int64_t batch, bool labels)
{
    int64_t T = vg_model_get_options(model)->config.segment_length, segment[TINY_MOST];
    float *signal = malloc((size_t)(batch * T) * sizeof *signal), label[TINY_MOST];
    assert_true(batch <= TINY_MOST);
    tiny_signal(first, batch, T, signal, segment, label);
    vg_model_batch out;
    assert_ok(vg_model_upload(model, batch, signal, segment, labels ? label : NULL, &out));
    free(signal);
    return out;
}

/* One forward pass from zeroed sums; the mean loss. */
static inline double tiny_loss(vg_model *model, const vg_model_batch *batch, vg_pass_kind kind)
{
    double sum, count;
    assert_ok(vg_model_zero_stats(model));
    assert_ok(vg_model_forward(model, batch, &(vg_pass){kind, 5, 2}, NULL));
    assert_ok(vg_model_read_stats(model, &sum, &count));
    return count > 0 ? sum / count : 0;
}

/* The parameters' gradients as one array of doubles, which the caller frees. */
static inline double *tiny_gradients(vg_model *model, int64_t *count)
{
    vg_tensor flat = vg_parameters_flat_gradients(vg_model_parameters(model));
    *count = vg_tensor_count(&flat);
    double *out = malloc((size_t)*count * sizeof *out);
    for (int64_t i = 0; i < *count; i++)
        out[i] = flat.dtype == VG_F64 ? ((double *)flat.data)[i] : (double)((float *)flat.data)[i];
    return out;
}

/* |a - b| / |b| by norm; a NaN comes out as one. */
static inline double tiny_difference(const double *a, const double *b, int64_t count)
{
    double above = 0, below = 0;
    for (int64_t i = 0; i < count; i++) {
        above += (a[i] - b[i]) * (a[i] - b[i]);
        below += b[i] * b[i];
    }
    return sqrt(above) / (sqrt(below) + 1e-300);
}

#endif
