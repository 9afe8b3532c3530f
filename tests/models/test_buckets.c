/* How gradients are cut into buckets and pieces, and whether backward keeps its word about which of them are
 * complete. */
#include "models/buckets.h"
#include "tests/models/tiny.h"

static tiny_bench bench;

static int open_bench(void **state)
{
    (void)state;
    bench = tiny_open("ref");
    return 0;
}

static int close_bench(void **state)
{
    (void)state;
    tiny_close(&bench);
    return 0;
}

/* Every switch that adds a parameter or moves one. */
static vg_model_options option_of(int variant)
{
    vg_model_options o = tiny_options(variant & 8 ? VG_HEAD_CLASSIFICATION : VG_HEAD_RECONSTRUCTION);
    o.config.norm = variant & 1 ? VG_NORM_PRE : VG_NORM_POST;
    o.config.position = variant & 2 ? VG_POSITION_LEARNED : VG_POSITION_SINUSOIDAL;
    o.masking.fill = variant & 4 ? VG_MASK_LEARNED : VG_MASK_ZERO;
    o.config.conv_norm = variant & 2 ? VG_CONV_NORM_ALL : VG_CONV_NORM_FIRST;
    o.config.pooling = VG_POOL_MEAN;
    vg_model_config_set_dropout(&o.config, 0.1);
    return o;
}

enum { VARIANTS = 16, MOST = 64 };

/* ---- Buckets ----------------------------------------------------------------------------------------------
 */

/* Marks elements that must be marked once. */
static void mark(unsigned char *seen, int64_t total, vg_piece piece)
{
    assert_true(piece.first >= 0 && piece.count >= 0 && piece.first + piece.count <= total);
    assert_true(piece.first % VG_PARAMETER_ALIGNMENT == 0 && piece.count % VG_PARAMETER_ALIGNMENT == 0);
    for (int64_t i = 0; i < piece.count; i++) assert_int_equal(seen[piece.first + i]++, 0);
}

static void check_buckets(const vg_parameters *parameters, int64_t bytes, int owners)
{
    const int64_t total = parameters->flat_values.dims[0];
    int64_t own[5] = {0};
    unsigned char *seen = calloc((size_t)total, 1), *owned = calloc((size_t)total, 1);
    vg_bucket *buckets;
    int count, small = 0, uncut = 0;
    assert_ok(vg__buckets_cut(parameters, bytes, owners, &buckets, &count));
    for (int i = 0; i < count; i++) {
        const vg_bucket *b = &buckets[i];
        mark(seen, total, (vg_piece){b->first, b->count});
        assert_true(b->count > 0 && (i == 0 || b->least <= buckets[i - 1].least));
        for (int k = 0; k < parameters->count; k++) { /* complete when it says so, and no sooner */
            const vg_parameter *p = parameters->list[k];
            bool inside =
                p->offset < b->first + b->count && p->offset + vg_tensor_count(&p->value) > b->first;
            if (inside) assert_true(k >= b->least && k <= b->most);
            if (k == b->least || k == b->most) assert_true(inside);
        }
        for (int rank = 0; rank < owners; rank++) {
            vg_piece piece = vg__bucket_piece(b, owners, rank);
            mark(owned, total, piece);
            own[rank] += piece.count;
            if (!b->uncut) assert_true(piece.count * owners == b->count);
        }
        small += b->count * (int64_t)vg_dtype_size(parameters->stored) < bytes;
        uncut += b->uncut;
    }
    for (int64_t i = 0; i < total; i++) assert_true(seen[i] == 1 && owned[i] == 1);
    assert_true(small <= 4 && uncut <= (owners > 1 ? 2 : 0)); /* two regions: their first, and what is left */
    for (int rank = 0; rank < owners; rank++) assert_true(own[rank] <= own[0]);
    assert_true(own[0] == vg__buckets_most(parameters, owners));
    if (bytes == 1 && owners == 1) assert_int_equal(count, parameters->count);
    free(seen);
    free(owned);
    free(buckets);
}

static void buckets_cover_everything_once(void **state)
{
    (void)state;
    static const int64_t sizes[] = {1, 513, 1000, 4096, 7777, 100000, 1 << 24};
    for (int variant = 0; variant < VARIANTS; variant++) {
        vg_model_options options = option_of(variant);
        vg_model *model = tiny_model(&bench, &options, 1);
        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
            for (int owners = 1; owners <= 5; owners++)
                check_buckets(vg_model_parameters(model), sizes[i], owners);
        vg_model_destroy(model);
    }
}

/* Fewer elements than ranks times the alignment: rank 0 has them all. */
static void small_models_stay_whole(void **state)
{
    (void)state;
    vg_parameters parameters = vg_parameters_make(VG_F32);
    vg_parameter *p;
    assert_ok(vg_parameters_declare(&parameters, "a", (vg_init){VG_INIT_ONES, 0}, false, VG_DIMS(200), &p));
    assert_ok(vg_parameters_plan(&parameters, true));
    check_buckets(&parameters, 1, 3);
    assert_true(vg__buckets_most(&parameters, 3) == 256);
    assert_true(vg__buckets_most(&parameters, 2) == 128);
    vg_parameters_free(&parameters);
}

/* ---- Backward's word --------------------------------------------------------------------------------------
 */

/* Keeps gradients as they were when they were said to be complete. */
typedef struct witness {
    vg_parameters *parameters;
    void *copies[MOST];
    int calls, first, fails_at;
    int said[MOST];
} witness;

static vg_status note(void *context, int first)
{
    witness *w = context;
    assert_true(first >= 0 && first <= w->first);
    for (int i = first; i < w->first; i++) {
        const vg_tensor *gradient = &w->parameters->list[i]->gradient;
        w->copies[i] = malloc(vg_tensor_bytes(gradient));
        memcpy(w->copies[i], gradient->data, vg_tensor_bytes(gradient));
    }
    w->first = first;
    assert_true(w->calls < MOST);
    w->said[w->calls++] = first;
    return w->calls == w->fails_at ? vg_fail(VG_ERR_PEER, "rank 1 is lost") : VG_OK;
}

static int index_of(vg_model *model, const char *name)
{
    vg_parameter *p = vg_parameters_find(vg_model_parameters(model), name);
    assert_non_null(p);
    return p->index;
}

static void said(const witness *w, int first)
{
    for (int i = 0; i < w->calls; i++)
        if (w->said[i] == first) return;
    fail_msg("nobody said that gradients from %s on are complete", w->parameters->list[first]->name);
}

static void complete_gradients_stay(void **state)
{
    (void)state;
    for (int variant = 0; variant < 2 * VARIANTS; variant++) {
        vg_model_options options = option_of(variant % VARIANTS);
        bool frozen = variant >= VARIANTS, labels = options.head == VG_HEAD_CLASSIFICATION;
        vg_model *model = tiny_model(&bench, &options, 1);
        witness w = {.parameters = vg_model_parameters(model)};
        vg_model_freeze_encoder(model, frozen);
        vg_model_watch(model, note, &w);
        assert_ok(vg_model_zero_gradients(model));
        for (int pass = 0; pass < 2; pass++) { /* micro-batches add up: each backward says it anew */
            vg_model_batch batch = tiny_batch(model, 3 * pass, 3, labels);
            w.first = w.parameters->count;
            w.calls = 0;
            for (int i = 0; i < MOST; i++) free(w.copies[i]);
            memset(w.copies, 0, sizeof w.copies);
            assert_ok(vg_model_forward(model, &batch, &(vg_pass){VG_PASS_TRAIN, 5, 2}, NULL));
            assert_ok(vg_model_backward(model));
            assert_int_equal(w.first, 0);
            for (int i = 0; i < w.parameters->count; i++) {
                const vg_parameter *p = w.parameters->list[i];
                if (memcmp(w.copies[i], p->gradient.data, vg_tensor_bytes(&p->gradient)))
                    fail_msg("variant %d: the gradient of %s changed after it was complete", variant,
                             p->name);
            }
        }
        const char *head = labels ? "head.classification.0.weight" : "head.reconstruction.0.weight";
        assert_int_equal(vg_model_first_trained(model), frozen ? index_of(model, head) : 0);
        if (frozen) {
            assert_int_equal(w.calls, 1);
        } else { /* ... and as soon as it could */
            said(&w, index_of(model, head));
            said(&w, index_of(model, "encoder.layers.1.linear1.weight"));
            said(&w, index_of(model, "encoder.layers.1.attention.qkv.weight"));
            said(&w, index_of(model, "encoder.layers.0.attention.qkv.weight"));
            said(&w, index_of(model, "encoder.cls"));
            said(&w, index_of(model, "encoder.conv.1.weight"));
        }
        for (int i = 0; i < MOST; i++) free(w.copies[i]);
        vg_model_destroy(model);
    }
}

static void an_error_ends_backward(void **state)
{
    (void)state;
    vg_model_options options = option_of(7);
    vg_model *model = tiny_model(&bench, &options, 1);
    for (int call = 1; call <= 3; call++) {
        witness w = {.parameters = vg_model_parameters(model), .fails_at = call};
        w.first = w.parameters->count;
        vg_model_batch batch = tiny_batch(model, 0, 3, false);
        vg_model_watch(model, note, &w);
        assert_ok(vg_model_forward(model, &batch, &(vg_pass){VG_PASS_TRAIN, 5, 2}, NULL));
        assert_fails(vg_model_backward(model), VG_ERR_PEER, "rank 1 is lost");
        assert_int_equal(w.calls, call);
        for (int i = 0; i < MOST; i++) free(w.copies[i]);
    }
    vg_model_destroy(model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(buckets_cover_everything_once),
        cmocka_unit_test(small_models_stay_whole),
        cmocka_unit_test(complete_gradients_stay),
        cmocka_unit_test(an_error_ends_backward),
    };
    return cmocka_run_group_tests(tests, open_bench, close_bench);
}
