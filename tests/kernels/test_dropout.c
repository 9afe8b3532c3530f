/* Dropout on every backend: the masks are exactly those the contract defines, the kept share is right, and a
 * segment's mask does not know where in a batch it stands. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tests/kernels/harness.h"

/* The contract, written again from its words (kernels.h) without the code of any backend. */
static bool kept(const vg_dropout *dropout, int64_t segment, int64_t e)
{
    vg_philox draw =
        vg_philox_draw(dropout->seed, (uint32_t)(e / 8), dropout->site, (uint32_t)segment, dropout->epoch);
    uint32_t word = draw.word[e % 8 / 2], half = e % 2 ? word >> 16 : word & 0xffff;
    return half >= (uint32_t)lround((double)dropout->probability * 65536);
}

static vg_tensor filled(float value, int rank, const int64_t *dims)
{
    vg_tensor tensor = empty_like(zeros(rank, dims), VG_F32);
    for (int64_t i = 0; i < vg_tensor_count(&tensor); i++) ((float *)tensor.data)[i] = value;
    return tensor;
}

/* Every operation with dropout, with inputs chosen so that an output element is `value` times its dropout
 * factor. Sizes are odd, so that segments do not begin at a multiple of eight. */
typedef struct masked {
    const char *name;
    float *out;
    int64_t elements; /* of a segment */
    float value;
} masked;

enum { ROWS = 13, WIDTH = 11, KINDS = 7 };

static masked run(vg_kernels *kernels, int kind, int64_t B, const vg_dropout *dropout)
{
    vg_tensor ones = filled(1, VG_DIMS(B, ROWS, WIDTH)), out = filled(NAN, VG_DIMS(B, ROWS, WIDTH));
    vg_tensor nothing = filled(0, VG_DIMS(B, ROWS, WIDTH)), statistics = filled(0, VG_DIMS(B, ROWS));
    vg_tensor zero = filled(0, VG_DIMS(WIDTH)), one = filled(1, VG_DIMS(WIDTH));
    masked result = {NULL, out.data, ROWS * WIDTH, 1};
    switch (kind) {
    case 0:
        result.name = "linear_forward";
        assert_ok(VG_RUN(kernels, linear_forward, .x = ones, .w = filled(0, VG_DIMS(WIDTH, WIDTH)), .b = one,
                         .y = out, .dropout = dropout));
        break;
    case 1:
        result.name = "conv1d_forward";
        assert_ok(VG_RUN(kernels, conv1d_forward, .x = ones, .w = filled(0, VG_DIMS(WIDTH, 3, WIDTH)),
                         .b = one, .y = out, .activation = VG_ACTIVATION_RELU, .dropout = dropout));
        break;
    case 2:
        result.name = "layernorm_forward";
        assert_ok(VG_RUN(kernels, layernorm_forward, .x = ones, .gamma = zero, .beta = one, .y = out,
                         .mean = statistics, .rstd = filled(0, VG_DIMS(B, ROWS)), .epsilon = 1e-5F,
                         .dropout = dropout));
        break;
    case 3:
        result.name = "residual_layernorm_forward";
        assert_ok(VG_RUN(kernels, residual_layernorm_forward, .x = ones, .residual = nothing, .gamma = zero,
                         .beta = one, .z = out, .y = filled(0, VG_DIMS(B, ROWS, WIDTH)), .mean = statistics,
                         .rstd = filled(0, VG_DIMS(B, ROWS)), .epsilon = 1e-5F, .dropout = dropout));
        break;
    case 4:
        result.name = "tokens_forward, after";
        assert_ok(VG_RUN(kernels, tokens_forward, .x = filled(1, VG_DIMS(B, ROWS - 1, WIDTH)), .cls = one,
                         .position = filled(0, VG_DIMS(ROWS, WIDTH)), .out = out, .after = dropout));
        break;
    case 5: {
        result.name = "tokens_forward, before";
        vg_tensor with_cls = filled(NAN, VG_DIMS(B, 1 + ROWS, WIDTH));
        assert_ok(VG_RUN(kernels, tokens_forward, .x = ones, .cls = one,
                         .position = filled(0, VG_DIMS(1 + ROWS, WIDTH)), .out = with_cls,
                         .before = dropout));
        for (int64_t b = 0; b < B; b++)
            memcpy(result.out + b * ROWS * WIDTH, (float *)with_cls.data + (b * (1 + ROWS) + 1) * WIDTH,
                   ROWS * WIDTH * sizeof(float));
        break;
    }
    default: {
        /* Queries of zero give every token the weight 1 / T; values of the identity show the weights. */
        enum { T = WIDTH, H = 3 };
        result.name = "attention_forward";
        vg_tensor qkv = filled(0, VG_DIMS(B, T, 3, H, T)), heads = filled(NAN, VG_DIMS(B, T, H, T));
        for (int64_t b = 0; b < B; b++)
            for (int64_t t = 0; t < T; t++)
                for (int64_t h = 0; h < H; h++)
                    ((float *)qkv.data)[(((b * T + t) * 3 + 2) * H + h) * T + t] = 1;
        assert_ok(VG_RUN(kernels, attention_forward, .qkv = qkv, .out = heads,
                         .lse = filled(0, VG_DIMS(B, H, T)), .scale = 0.3F, .dropout = dropout));
        result.elements = H * T * T;
        result.value = 1.0F / T;
        result.out = harness_memory((size_t)(B * result.elements) * sizeof(float));
        for (int64_t b = 0; b < B; b++) /* (T, H, T) to the (H, T, T) that dropout counts in */
            for (int64_t h = 0; h < H; h++)
                for (int64_t i = 0; i < T; i++)
                    for (int64_t j = 0; j < T; j++)
                        result.out[((b * H + h) * T + i) * T + j] =
                            ((float *)heads.data)[((b * T + i) * H + h) * T + j];
    }
    }
    return result;
}

#define FOR_EACH_BACKEND(kernels)                                                                            \
    for (int backend_ = 0; vg_kernels_backend(backend_); backend_++)                                         \
        for (vg_kernels *kernels = open_backend(backend_); kernels;                                          \
             vg_kernels_destroy(kernels), kernels = NULL)

static vg_kernels *open_backend(int index)
{
    vg_kernels *kernels;
    assert_ok(vg_kernels_create(harness_device, vg_kernels_backend(index), false, &kernels));
    return kernels;
}

static void masks_are_the_defined_ones(void **state)
{
    (void)state;
    static const double probabilities[] = {0.1, 0.3, 0.5, 0.9, 1e-6};
    FOR_EACH_BACKEND(kernels)
    for (size_t p = 0; p < sizeof probabilities / sizeof *probabilities; p++)
        for (int kind = 0; kind < KINDS; kind++) {
            int64_t B = 3;
            const vg_dropout *dropout = dropout_for(probabilities[p], segments(B));
            ((int64_t *)dropout->segment.data)[2] = 0xfffffff5; /* uses the whole word */
            masked got = run(kernels, kind, B, dropout);
            for (int64_t i = 0; i < B * got.elements; i++) {
                int64_t segment = ((int64_t *)dropout->segment.data)[i / got.elements];
                double want = kept(dropout, segment, i % got.elements)
                                  ? (double)got.value / (1 - (double)dropout->probability)
                                  : 0;
                if (!(fabs((double)got.out[i] - want) <= 1e-6 * want)) /* a dropped one is exactly 0 */
                    fail_msg("%s on %s, dropout %g: element %lld is %g, not %g", got.name, kernels->backend,
                             probabilities[p], (long long)i, (double)got.out[i], want);
            }
            harness_clear();
        }
}

static void masks_follow_the_segment(void **state)
{
    (void)state;
    FOR_EACH_BACKEND(kernels)
    for (int kind = 0; kind < KINDS; kind++) {
        vg_dropout together = *dropout_for(0.4, segments(5)), alone = together;
        masked batch = run(kernels, kind, 5, &together);
        for (int64_t b = 0; b < 5; b++) {
            alone.segment = empty_like(zeros(VG_DIMS(1)), VG_I64);
            *(int64_t *)alone.segment.data = ((int64_t *)together.segment.data)[b];
            masked single = run(kernels, kind, 1, &alone);
            if (memcmp(single.out, batch.out + b * batch.elements, (size_t)batch.elements * sizeof(float)) !=
                0)
                fail_msg("%s on %s: segment %lld is dropped otherwise alone than in a batch", batch.name,
                         kernels->backend, (long long)b);
        }
        harness_clear();
    }
}

static int64_t differences(const vg_dropout *a, const vg_dropout *b)
{
    int64_t n = 0;
    for (int64_t e = 0; e < 4096; e++) n += kept(a, 5, e) != kept(b, 5, e);
    return n;
}

static void masks_differ(void **state)
{
    (void)state;
    vg_dropout first = {.probability = 0.5F, .site = VG_SITE_DROPOUT, .seed = 1, .epoch = 3};
    vg_dropout site = first, seed = first, high_seed = first, epoch = first;
    site.site++;
    seed.seed++;
    high_seed.seed += (uint64_t)1 << 32;
    epoch.epoch++;
    const vg_dropout *others[] = {&site, &seed, &high_seed, &epoch};
    for (int i = 0; i < 4; i++) { /* half of the elements, within five standard deviations */
        int64_t n = differences(&first, others[i]);
        assert_true(llabs(n - 2048) <= 160);
    }
    assert_int_equal(differences(&first, &first), 0);
}

static void the_kept_share_is_right(void **state)
{
    (void)state;
    FOR_EACH_BACKEND(kernels)
    for (int percent = 5; percent < 100; percent += 15) {
        int64_t B = 4, R = 300, O = 33;
        double p = percent / 100.0, n = (double)(B * R * O), share = 0;
        vg_tensor y = filled(NAN, VG_DIMS(B, R, O));
        assert_ok(VG_RUN(kernels, linear_forward, .x = filled(0, VG_DIMS(B, R, 1)),
                         .w = filled(0, VG_DIMS(O, 1)), .b = filled(1, VG_DIMS(O)), .y = y,
                         .dropout = dropout_for(p, segments(B))));
        for (int64_t i = 0; i < B * R * O; i++) share += (double)(((float *)y.data)[i] != 0) / n;
        if (!(fabs(share - (1 - p)) <= 5 * sqrt(p * (1 - p) / n)))
            fail_msg("%s keeps %g at dropout %g", kernels->backend, share, p);
        harness_clear();
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(masks_are_the_defined_ones),
        cmocka_unit_test(masks_follow_the_segment),
        cmocka_unit_test(masks_differ),
        cmocka_unit_test(the_kept_share_is_right),
    };
    return cmocka_run_group_tests(tests, harness_setup, harness_teardown);
}
