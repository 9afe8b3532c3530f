#include "kernels/cpu/onednn.h"

#include <dnnl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/cpu/parallel.h"

#ifdef __SANITIZE_THREAD__
/* oneDNN is not instrumented, but its calls of memset and memcpy are seen, without the waiting of its threads
 * for each other: whatever its workers fill would be called a race with who reads it. This leaves out what
 * the library itself does; our own code stays watched. The runtime looks for this name. */
VG_API const char *__tsan_default_suppressions(void);
const char *__tsan_default_suppressions(void)
{
    return "called_from_lib:libdnnl.so\n";
}
#endif

/* What is made once for a shape: the primitive, the memory objects that calls point at their data, and where
 * oneDNN wants the weights in an order of its own, a buffer in that order and the reorder to or from it. */
typedef enum plan_kind { LINEAR, CONV_FORWARD, CONV_DX, CONV_DW } plan_kind;
typedef struct onednn_plan {
    plan_kind kind;
    vg__onednn_conv shape; /* LINEAR: batch = rows */
    dnnl_primitive_t run, reorder;
    dnnl_memory_t input, weights, bias, output; /* the caller's; for CONV_DW: x, dw, none, dy */
    dnnl_memory_t own_weights;                  /* NULL where the caller's order is as good */
    dnnl_memory_t scratch;
    size_t scratch_bytes;
} onednn_plan;

struct vg__onednn {
    dnnl_engine_t engine;
    dnnl_stream_t stream;
    onednn_plan **plans;
    size_t count, capacity;
    void *scratch; /* shared by all plans, which run one after another */
    size_t scratch_bytes;
};

static const char *const kind_names[] = {"linear", "convolution", "convolution's dx", "convolution's dw"};

static vg_status failed(dnnl_status_t status, const char *call)
{
    return vg_fail(status == dnnl_out_of_memory ? VG_ERR_MEMORY : VG_ERR_DEVICE,
                   "oneDNN refuses %s with status %d", call, (int)status);
}
#define CHECK(call)                                                                                          \
    do {                                                                                                     \
        dnnl_status_t check_ = (call);                                                                       \
        if (check_ != dnnl_success) return failed(check_, #call);                                            \
    } while (0)
#define CHECK_OUT(call)                                                                                      \
    do {                                                                                                     \
        dnnl_status_t check_ = (call);                                                                       \
        if (check_ != dnnl_success) {                                                                        \
            status = failed(check_, #call);                                                                  \
            goto out;                                                                                        \
        }                                                                                                    \
    } while (0)

static void plan_destroy(onednn_plan *plan)
{
    if (!plan) return;
    dnnl_memory_t memories[] = {plan->input,  plan->weights,     plan->bias,
                                plan->output, plan->own_weights, plan->scratch};
    for (size_t i = 0; i < sizeof memories / sizeof *memories; i++)
        if (memories[i]) dnnl_memory_destroy(memories[i]);
    if (plan->run) dnnl_primitive_destroy(plan->run);
    if (plan->reorder) dnnl_primitive_destroy(plan->reorder);
    free(plan);
}

vg_status vg__onednn_create(vg__onednn **out)
{
    *out = calloc(1, sizeof **out);
    if (!*out) return vg_fail(VG_ERR_MEMORY, "cannot allocate the state of oneDNN");
    CHECK(dnnl_engine_create(&(*out)->engine, dnnl_cpu, 0));
    CHECK(dnnl_stream_create(&(*out)->stream, (*out)->engine, dnnl_stream_default_flags));
    return VG_OK;
}

void vg__onednn_destroy(vg__onednn *onednn)
{
    if (!onednn) return;
    for (size_t i = 0; i < onednn->count; i++) plan_destroy(onednn->plans[i]);
    free(onednn->plans);
    free(onednn->scratch);
    if (onednn->stream) dnnl_stream_destroy(onednn->stream);
    if (onednn->engine) dnnl_engine_destroy(onednn->engine);
    free(onednn);
}

/* oneDNN's matrix product allocates its packing buffers itself, and frees them before it returns. */
vg_status vg__onednn_sgemm(bool transpose_a, bool transpose_b, int64_t m, int64_t n, int64_t k,
                           const float *a, const float *b, float beta, float *c)
{
    vg__parallel_lend();
    CHECK(dnnl_sgemm(transpose_a ? 'T' : 'N', transpose_b ? 'T' : 'N', m, n, k, 1.0f, a, transpose_a ? m : k,
                     b, transpose_b ? k : n, beta, c, n));
    return VG_OK;
}

static dnnl_memory_desc_t describe(int rank, const dnnl_dims_t dims, dnnl_format_tag_t tag)
{
    dnnl_memory_desc_t memory;
    memset(&memory, 0, sizeof memory);
    dnnl_memory_desc_init_by_tag(&memory, rank, dims, dnnl_f32, tag);
    return memory;
}

typedef struct descriptions {
    dnnl_memory_desc_t input, weights, any_weights, bias, output;
} descriptions;

static descriptions describe_all(plan_kind kind, vg__onednn_conv s)
{
    if (kind == LINEAR)
        return (descriptions){.input = describe(2, (dnnl_dims_t){s.batch, s.inputs}, dnnl_ab),
                              .weights = describe(2, (dnnl_dims_t){s.inputs, s.outputs}, dnnl_ba),
                              .any_weights =
                                  describe(2, (dnnl_dims_t){s.inputs, s.outputs}, dnnl_format_tag_any),
                              .bias = describe(2, (dnnl_dims_t){1, s.outputs}, dnnl_ab),
                              .output = describe(2, (dnnl_dims_t){s.batch, s.outputs}, dnnl_ab)};
    return (descriptions){.input = describe(3, (dnnl_dims_t){s.batch, s.inputs, s.length}, dnnl_nwc),
                          .weights = describe(3, (dnnl_dims_t){s.outputs, s.inputs, s.width}, dnnl_owi),
                          .any_weights =
                              describe(3, (dnnl_dims_t){s.outputs, s.inputs, s.width}, dnnl_format_tag_any),
                          .bias = describe(1, (dnnl_dims_t){s.outputs}, dnnl_a),
                          .output = describe(3, (dnnl_dims_t){s.batch, s.outputs, s.length}, dnnl_nwc)};
}

/* The primitive of a kind and shape. Backward convolutions are described with a forward one as the hint. */
static vg_status describe_primitive(vg__onednn *onednn, plan_kind kind, vg__onednn_conv s,
                                    const descriptions *d, const_dnnl_primitive_attr_t attributes,
                                    dnnl_primitive_desc_t *out)
{
    vg_status status = VG_OK;
    dnnl_primitive_desc_t hint = NULL;
    const dnnl_dims_t stride = {1}, dilation = {0}, padding = {(s.width - 1) / 2};
    if (kind == LINEAR) {
        dnnl_matmul_desc_t matmul;
        CHECK(dnnl_matmul_desc_init(&matmul, &d->input, &d->any_weights, &d->bias, &d->output));
        CHECK(dnnl_primitive_desc_create(out, &matmul, attributes, onednn->engine, NULL));
        return VG_OK;
    }
    dnnl_convolution_desc_t conv;
    CHECK(dnnl_dilated_convolution_forward_desc_init(&conv, dnnl_forward_training, dnnl_convolution_direct,
                                                     &d->input, &d->any_weights, &d->bias, &d->output, stride,
                                                     dilation, padding, padding));
    CHECK(dnnl_primitive_desc_create(&hint, &conv, attributes, onednn->engine, NULL));
    if (kind == CONV_FORWARD) {
        *out = hint;
        return VG_OK;
    }
    if (kind == CONV_DX)
        CHECK_OUT(dnnl_dilated_convolution_backward_data_desc_init(&conv, dnnl_convolution_direct, &d->input,
                                                                   &d->any_weights, &d->output, stride,
                                                                   dilation, padding, padding));
    else
        CHECK_OUT(dnnl_dilated_convolution_backward_weights_desc_init(
            &conv, dnnl_convolution_direct, &d->input, &d->any_weights, NULL, &d->output, stride, dilation,
            padding, padding));
    CHECK_OUT(dnnl_primitive_desc_create(out, &conv, attributes, onednn->engine, hint));
out:
    dnnl_primitive_desc_destroy(hint);
    return status;
}

/* The step between the caller's weights and oneDNN's own order: into it, or for dw out of it and added. */
static vg_status plan_reorder(vg__onednn *onednn, onednn_plan *plan, const dnnl_memory_desc_t *user,
                              const dnnl_memory_desc_t *own)
{
    vg_status status = VG_OK;
    dnnl_primitive_attr_t attributes = NULL;
    dnnl_post_ops_t sum = NULL;
    dnnl_primitive_desc_t description = NULL;
    CHECK_OUT(dnnl_memory_create(&plan->own_weights, own, onednn->engine, DNNL_MEMORY_ALLOCATE));
    CHECK_OUT(dnnl_primitive_attr_create(&attributes));
    if (plan->kind == CONV_DW) {
        CHECK_OUT(dnnl_post_ops_create(&sum));
        CHECK_OUT(dnnl_post_ops_append_sum(sum, 1.0f));
        CHECK_OUT(dnnl_primitive_attr_set_post_ops(attributes, sum));
        CHECK_OUT(dnnl_reorder_primitive_desc_create(&description, own, onednn->engine, user, onednn->engine,
                                                     attributes));
    } else {
        CHECK_OUT(dnnl_reorder_primitive_desc_create(&description, user, onednn->engine, own, onednn->engine,
                                                     attributes));
    }
    CHECK_OUT(dnnl_primitive_create(&plan->reorder, description));
out:
    if (description) dnnl_primitive_desc_destroy(description);
    if (sum) dnnl_post_ops_destroy(sum);
    if (attributes) dnnl_primitive_attr_destroy(attributes);
    return status;
}

static vg_status plan_fill(vg__onednn *onednn, onednn_plan *plan)
{
    vg_status status = VG_OK;
    dnnl_primitive_attr_t attributes = NULL;
    dnnl_primitive_desc_t description = NULL;
    descriptions d = describe_all(plan->kind, plan->shape);
    CHECK_OUT(dnnl_primitive_attr_create(&attributes));
    CHECK_OUT(dnnl_primitive_attr_set_scratchpad_mode(attributes, dnnl_scratchpad_mode_user));
    VG_TRY_OUT(describe_primitive(onednn, plan->kind, plan->shape, &d, attributes, &description));
    CHECK_OUT(dnnl_primitive_create(&plan->run, description));
    CHECK_OUT(dnnl_memory_create(&plan->input, &d.input, onednn->engine, DNNL_MEMORY_NONE));
    CHECK_OUT(dnnl_memory_create(&plan->weights, &d.weights, onednn->engine, DNNL_MEMORY_NONE));
    CHECK_OUT(dnnl_memory_create(&plan->bias, &d.bias, onednn->engine, DNNL_MEMORY_NONE));
    CHECK_OUT(dnnl_memory_create(&plan->output, &d.output, onednn->engine, DNNL_MEMORY_NONE));
    const dnnl_memory_desc_t *own = dnnl_primitive_desc_query_md(
        description, plan->kind == CONV_DW ? dnnl_query_diff_weights_md : dnnl_query_weights_md, 0);
    /* dw always goes through a buffer, because it is added to what is there. */
    if (plan->kind == CONV_DW || !dnnl_memory_desc_equal(own, &d.weights))
        VG_TRY_OUT(plan_reorder(onednn, plan, &d.weights, own));
    const dnnl_memory_desc_t *scratch =
        dnnl_primitive_desc_query_md(description, dnnl_query_scratchpad_md, 0);
    plan->scratch_bytes = dnnl_memory_desc_get_size(scratch);
    if (plan->scratch_bytes)
        CHECK_OUT(dnnl_memory_create(&plan->scratch, scratch, onednn->engine, DNNL_MEMORY_NONE));
out:
    if (description) dnnl_primitive_desc_destroy(description);
    if (attributes) dnnl_primitive_attr_destroy(attributes);
    return status;
}

/* The plan of a shape, made on its first use. */
static vg_status plan_of(vg__onednn *onednn, plan_kind kind, vg__onednn_conv shape, onednn_plan **out)
{
    vg__parallel_lend(); /* before a plan is made: it is made for a number of threads */
    for (size_t i = 0; i < onednn->count; i++) {
        const onednn_plan *known = onednn->plans[i];
        if (known->kind == kind && known->shape.batch == shape.batch && known->shape.length == shape.length &&
            known->shape.inputs == shape.inputs && known->shape.outputs == shape.outputs &&
            known->shape.width == shape.width) {
            *out = onednn->plans[i];
            return VG_OK;
        }
    }
    if (onednn->count == onednn->capacity) {
        size_t capacity = onednn->capacity ? 2 * onednn->capacity : 16;
        onednn_plan **plans = realloc(onednn->plans, capacity * sizeof *plans);
        if (!plans) return vg_fail(VG_ERR_MEMORY, "cannot allocate a list of %zu plans", capacity);
        onednn->plans = plans;
        onednn->capacity = capacity;
    }
    onednn_plan *made = calloc(1, sizeof *made);
    if (!made) return vg_fail(VG_ERR_MEMORY, "cannot allocate a plan for a %s", kind_names[kind]);
    made->kind = kind;
    made->shape = shape;
    vg_status status = plan_fill(onednn, made);
    if (status == VG_OK && made->scratch_bytes > onednn->scratch_bytes) {
        size_t bytes = (made->scratch_bytes + 63) / 64 * 64;
        free(onednn->scratch);
        onednn->scratch_bytes = 0;
        onednn->scratch = aligned_alloc(64, bytes);
        if (onednn->scratch)
            onednn->scratch_bytes = bytes;
        else
            status = vg_fail(VG_ERR_MEMORY, "cannot allocate %zu bytes of scratch memory", bytes);
    }
    if (status != VG_OK) {
        plan_destroy(made);
        return vg_context(
            status,
            "%s of %" PRId64 " x %" PRId64 " rows, %" PRId64 " to %" PRId64 " channels, width %" PRId64,
            kind_names[kind], shape.batch, shape.length, shape.inputs, shape.outputs, shape.width);
    }
    onednn->plans[onednn->count++] = made;
    *out = made;
    return VG_OK;
}

static dnnl_status_t reorder(vg__onednn *onednn, const onednn_plan *plan, bool into_own)
{
    if (!plan->reorder) return dnnl_success;
    dnnl_exec_arg_t arguments[] = {{DNNL_ARG_FROM, into_own ? plan->weights : plan->own_weights},
                                   {DNNL_ARG_TO, into_own ? plan->own_weights : plan->weights}};
    return dnnl_primitive_execute(plan->reorder, onednn->stream, 2, arguments);
}

/* oneDNN's C interface takes pointers to what it only reads without const. */
static void *writable(const float *data)
{
    union {
        const float *in;
        void *out;
    } same = {.in = data};
    return same.out;
}

static vg_status run(vg__onednn *onednn, plan_kind kind, vg__onednn_conv shape, const float *input,
                     const float *weights, const float *bias, const float *output)
{
    onednn_plan *plan = NULL;
    VG_TRY(plan_of(onednn, kind, shape, &plan));
    CHECK(dnnl_memory_set_data_handle(plan->input, writable(input)));
    CHECK(dnnl_memory_set_data_handle(plan->weights, writable(weights)));
    CHECK(dnnl_memory_set_data_handle(plan->bias, writable(bias)));
    CHECK(dnnl_memory_set_data_handle(plan->output, writable(output)));
    if (plan->scratch) CHECK(dnnl_memory_set_data_handle(plan->scratch, onednn->scratch));
    static const int names[][3] = {[LINEAR] = {DNNL_ARG_SRC, DNNL_ARG_WEIGHTS, DNNL_ARG_DST},
                                   [CONV_FORWARD] = {DNNL_ARG_SRC, DNNL_ARG_WEIGHTS, DNNL_ARG_DST},
                                   [CONV_DX] = {DNNL_ARG_DIFF_SRC, DNNL_ARG_WEIGHTS, DNNL_ARG_DIFF_DST},
                                   [CONV_DW] = {DNNL_ARG_SRC, DNNL_ARG_DIFF_WEIGHTS, DNNL_ARG_DIFF_DST}};
    dnnl_exec_arg_t arguments[5] = {{names[kind][0], plan->input},
                                    {names[kind][1], plan->own_weights ? plan->own_weights : plan->weights},
                                    {names[kind][2], plan->output}};
    int count = 3;
    if (bias) arguments[count++] = (dnnl_exec_arg_t){DNNL_ARG_BIAS, plan->bias};
    if (plan->scratch) arguments[count++] = (dnnl_exec_arg_t){DNNL_ARG_SCRATCHPAD, plan->scratch};
    if (kind != CONV_DW) CHECK(reorder(onednn, plan, true));
    CHECK(dnnl_primitive_execute(plan->run, onednn->stream, count, arguments));
    if (kind == CONV_DW) CHECK(reorder(onednn, plan, false));
    CHECK(dnnl_stream_wait(onednn->stream));
    return VG_OK;
}

vg_status vg__onednn_linear(vg__onednn *onednn, int64_t rows, int64_t inputs, int64_t outputs, const float *x,
                            const float *w, const float *b, float *y)
{
    vg__onednn_conv shape = {.batch = rows, .length = 1, .inputs = inputs, .outputs = outputs, .width = 1};
    return run(onednn, LINEAR, shape, x, w, b, y);
}

vg_status vg__onednn_conv_forward(vg__onednn *onednn, vg__onednn_conv shape, const float *x, const float *w,
                                  const float *b, float *y)
{
    return run(onednn, CONV_FORWARD, shape, x, w, b, y);
}

vg_status vg__onednn_conv_dx(vg__onednn *onednn, vg__onednn_conv shape, const float *dy, const float *w,
                             float *dx)
{
    return run(onednn, CONV_DX, shape, dx, w, NULL, dy);
}

vg_status vg__onednn_conv_dw(vg__onednn *onednn, vg__onednn_conv shape, const float *x, const float *dy,
                             float *dw)
{
    return run(onednn, CONV_DW, shape, x, dw, NULL, dy);
}
