/* Convolutions by cuDNN 9, through its backend graph API. Not yet run on a GPU.
 *
 * A (B, T, C) tensor is cuDNN's N = B, H = 1, W = T with the channels innermost, and w (O, K, I) its filter
 * of height 1 in the same order, so nothing is copied or turned. Forward is a graph of the convolution, the
 * sum with the bias and, when it is the activation, ReLU, all in float, so that y is rounded once; dx is the
 * convolution's gradient alone.
 * Engines whose numerical notes break our rules are passed over: not the same bits on every run, sums in less
 * than float, transformed products (Winograd, FFT), and for float without tf32 whatever uses tensor cores.
 *
 * Not dw: cuDNN gives it in the type of its factors, bf16, and ours is a float sum that goes on over
 * micro-batches. GELU, which has to keep the value before it, and dropout are a pass of our own over y
 * (vg__cuda_finish). */
#include "kernels/cuda/cudnn.h"

#include <cudnn.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/log.h"
#include "core/library.h"

#define FUNCTIONS(X)                                                                                         \
    X(cudnnGetVersion)                                                                                       \
    X(cudnnGetErrorString)                                                                                   \
    X(cudnnGetLastErrorString)                                                                               \
    X(cudnnCreate)                                                                                           \
    X(cudnnDestroy)                                                                                          \
    X(cudnnSetStream)                                                                                        \
    X(cudnnBackendCreateDescriptor)                                                                          \
    X(cudnnBackendDestroyDescriptor)                                                                         \
    X(cudnnBackendSetAttribute)                                                                              \
    X(cudnnBackendGetAttribute)                                                                              \
    X(cudnnBackendFinalize)                                                                                  \
    X(cudnnBackendExecute)

VG__LIBRARY_TABLE(FUNCTIONS);

/* How many of the heuristic's proposals are looked at, and the largest workspace: what a proposal wants
 * beyond it is better spent on a larger batch. */
enum { PROPOSALS = 16, MOST_WORKSPACE = 256 << 20, DESCRIPTORS = 64 };

/* Names of the tensors in a graph. */
enum { INPUT = 'x', FILTER = 'w', OUTPUT = 'y', BIAS = 'b', SUMS = 's', BIASED = 't' };

typedef struct dn_key {
    vg__pass pass;
    vg_dtype type;
    int64_t B, T, I, O, K;
    bool tf32, bias, relu;
} dn_key;

/* Everything of a product but its pointers, and the pointers of the latest call. The descriptors stay as long
 * as the plan made of them. */
typedef struct dn_plan {
    dn_key key;
    bool taken;
    cudnnBackendDescriptor_t made[DESCRIPTORS];
    int count;
    cudnnBackendDescriptor_t plan, pack;
    int64_t workspace;
    const void *bound[5]; /* what `pack` holds */
} dn_plan;

struct vg__cudnn {
    vg__library library, compiler;
    functions call;
    cudnnHandle_t handle; /* NULL for a GPU that is not there */
    cudnnBackendDescriptor_t device;
    dn_plan **plans;
    int count, capacity;
    char description[600];
};

/* Stops at the first refusal. */
#define ASK(call)                                                                                            \
    do {                                                                                                     \
        cudnnStatus_t ask_ = (call);                                                                         \
        if (ask_ != CUDNN_STATUS_SUCCESS) return ask_;                                                       \
    } while (0)

typedef cudnnBackendDescriptor_t descriptor;

static vg_status failed(const vg__cudnn *dn, const char *what, cudnnStatus_t status)
{
    char words[512] = "";
    dn->call.by.cudnnGetLastErrorString(words, sizeof words);
    return vg_fail(VG_ERR_DEVICE, "cuDNN: %s: %s%s%s", what, dn->call.by.cudnnGetErrorString(status),
                   words[0] ? ": " : "", words);
}

static cudnnStatus_t set(const vg__cudnn *dn, descriptor to, cudnnBackendAttributeName_t name,
                         cudnnBackendAttributeType_t type, int64_t count, const void *values)
{
    return dn->call.by.cudnnBackendSetAttribute(to, name, type, count, values);
}

static cudnnStatus_t set_part(const vg__cudnn *dn, descriptor to, cudnnBackendAttributeName_t name,
                              descriptor part)
{
    return set(dn, to, name, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &part);
}

static cudnnStatus_t make(const vg__cudnn *dn, dn_plan *plan, cudnnBackendDescriptorType_t type,
                          descriptor *out)
{
    if (plan->count == DESCRIPTORS) return CUDNN_STATUS_ALLOC_FAILED;
    ASK(dn->call.by.cudnnBackendCreateDescriptor(type, out));
    plan->made[plan->count++] = *out;
    return CUDNN_STATUS_SUCCESS;
}

/* Gives back what was made since there were `count` descriptors. */
static void unmake(const vg__cudnn *dn, dn_plan *plan, int count)
{
    while (plan->count > count) (void)dn->call.by.cudnnBackendDestroyDescriptor(plan->made[--plan->count]);
}

/* A (first, width, channels) tensor, channels innermost, as cuDNN's N, C, H = 1, W. Sums on their way from
 * one operation to the next are floats and in no memory. */
static cudnnStatus_t make_tensor(const vg__cudnn *dn, dn_plan *plan, int64_t name, int64_t first,
                                 int64_t width, int64_t channels, descriptor *out)
{
    const bool passing = name == SUMS || name == BIASED;
    const int64_t dims[4] = {first, channels, 1, width};
    const int64_t strides[4] = {width * channels, 1, width * channels, channels};
    const int64_t alignment = 16;
    const cudnnDataType_t type =
        plan->key.type == VG_BF16 && !passing ? CUDNN_DATA_BFLOAT16 : CUDNN_DATA_FLOAT;
    ASK(make(dn, plan, CUDNN_BACKEND_TENSOR_DESCRIPTOR, out));
    ASK(set(dn, *out, CUDNN_ATTR_TENSOR_DATA_TYPE, CUDNN_TYPE_DATA_TYPE, 1, &type));
    ASK(set(dn, *out, CUDNN_ATTR_TENSOR_DIMENSIONS, CUDNN_TYPE_INT64, 4, dims));
    ASK(set(dn, *out, CUDNN_ATTR_TENSOR_STRIDES, CUDNN_TYPE_INT64, 4, strides));
    ASK(set(dn, *out, CUDNN_ATTR_TENSOR_UNIQUE_ID, CUDNN_TYPE_INT64, 1, &name));
    ASK(set(dn, *out, CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, CUDNN_TYPE_INT64, 1, &alignment));
    if (passing) ASK(set(dn, *out, CUDNN_ATTR_TENSOR_IS_VIRTUAL, CUDNN_TYPE_BOOLEAN, 1, &passing));
    return dn->call.by.cudnnBackendFinalize(*out);
}

static cudnnStatus_t make_convolution(const vg__cudnn *dn, dn_plan *plan, descriptor *out)
{
    const int64_t spatial = 2, one[2] = {1, 1}, padding[2] = {0, (plan->key.K - 1) / 2};
    const cudnnDataType_t sums = CUDNN_DATA_FLOAT;
    const cudnnConvolutionMode_t mode = CUDNN_CROSS_CORRELATION;
    ASK(make(dn, plan, CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR, out));
    ASK(set(dn, *out, CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS, CUDNN_TYPE_INT64, 1, &spatial));
    ASK(set(dn, *out, CUDNN_ATTR_CONVOLUTION_COMP_TYPE, CUDNN_TYPE_DATA_TYPE, 1, &sums));
    ASK(set(dn, *out, CUDNN_ATTR_CONVOLUTION_CONV_MODE, CUDNN_TYPE_CONVOLUTION_MODE, 1, &mode));
    ASK(set(dn, *out, CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS, CUDNN_TYPE_INT64, 2, padding));
    ASK(set(dn, *out, CUDNN_ATTR_CONVOLUTION_POST_PADDINGS, CUDNN_TYPE_INT64, 2, padding));
    ASK(set(dn, *out, CUDNN_ATTR_CONVOLUTION_DILATIONS, CUDNN_TYPE_INT64, 2, one));
    ASK(set(dn, *out, CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES, CUDNN_TYPE_INT64, 2, one));
    return dn->call.by.cudnnBackendFinalize(*out);
}

/* out = x + b, or relu(x) where there is no b. */
static cudnnStatus_t make_pointwise(const vg__cudnn *dn, dn_plan *plan, descriptor x, descriptor b,
                                    descriptor y, descriptor *out)
{
    const cudnnPointwiseMode_t mode = b ? CUDNN_POINTWISE_ADD : CUDNN_POINTWISE_RELU_FWD;
    const cudnnDataType_t sums = CUDNN_DATA_FLOAT;
    descriptor pointwise;
    ASK(make(dn, plan, CUDNN_BACKEND_POINTWISE_DESCRIPTOR, &pointwise));
    ASK(set(dn, pointwise, CUDNN_ATTR_POINTWISE_MODE, CUDNN_TYPE_POINTWISE_MODE, 1, &mode));
    ASK(set(dn, pointwise, CUDNN_ATTR_POINTWISE_MATH_PREC, CUDNN_TYPE_DATA_TYPE, 1, &sums));
    ASK(dn->call.by.cudnnBackendFinalize(pointwise));
    ASK(make(dn, plan, CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR, out));
    ASK(set_part(dn, *out, CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR, pointwise));
    ASK(set_part(dn, *out, CUDNN_ATTR_OPERATION_POINTWISE_XDESC, x));
    if (b) ASK(set_part(dn, *out, CUDNN_ATTR_OPERATION_POINTWISE_BDESC, b));
    ASK(set_part(dn, *out, CUDNN_ATTR_OPERATION_POINTWISE_YDESC, y));
    return dn->call.by.cudnnBackendFinalize(*out);
}

/* y = relu(convolution(x, w) + b) in up to three operations. */
static cudnnStatus_t make_forward(const vg__cudnn *dn, dn_plan *plan, descriptor convolution, descriptor *ops,
                                  int64_t *count)
{
    const dn_key *key = &plan->key;
    const float one = 1, zero = 0;
    const int64_t after_sum = key->bias || key->relu ? SUMS : OUTPUT;
    descriptor x, w, b, y;
    ASK(make_tensor(dn, plan, INPUT, key->B, key->T, key->I, &x));
    ASK(make_tensor(dn, plan, FILTER, key->O, key->K, key->I, &w));
    ASK(make_tensor(dn, plan, after_sum, key->B, key->T, key->O, &y));
    descriptor *operation = &ops[(*count)++];
    ASK(make(dn, plan, CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR, operation));
    ASK(set_part(dn, *operation, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC, convolution));
    ASK(set_part(dn, *operation, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X, x));
    ASK(set_part(dn, *operation, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W, w));
    ASK(set_part(dn, *operation, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y, y));
    ASK(set(dn, *operation, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_ALPHA, CUDNN_TYPE_FLOAT, 1, &one));
    ASK(set(dn, *operation, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_BETA, CUDNN_TYPE_FLOAT, 1, &zero));
    ASK(dn->call.by.cudnnBackendFinalize(*operation));
    if (key->bias) {
        const descriptor sums = y;
        ASK(make_tensor(dn, plan, BIAS, 1, 1, key->O, &b));
        ASK(make_tensor(dn, plan, key->relu ? BIASED : OUTPUT, key->B, key->T, key->O, &y));
        ASK(make_pointwise(dn, plan, sums, b, y, &ops[(*count)++]));
    }
    if (key->relu) {
        const descriptor biased = y;
        ASK(make_tensor(dn, plan, OUTPUT, key->B, key->T, key->O, &y));
        ASK(make_pointwise(dn, plan, biased, NULL, y, &ops[(*count)++]));
    }
    return CUDNN_STATUS_SUCCESS;
}

static cudnnStatus_t make_dx(const vg__cudnn *dn, dn_plan *plan, descriptor convolution,
                             descriptor *operation)
{
    const dn_key *key = &plan->key;
    const float one = 1, zero = 0;
    descriptor dx, w, dy;
    ASK(make_tensor(dn, plan, OUTPUT, key->B, key->T, key->I, &dx));
    ASK(make_tensor(dn, plan, FILTER, key->O, key->K, key->I, &w));
    ASK(make_tensor(dn, plan, INPUT, key->B, key->T, key->O, &dy));
    ASK(make(dn, plan, CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR, operation));
    ASK(set_part(dn, *operation, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_CONV_DESC, convolution));
    ASK(set_part(dn, *operation, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DX, dx));
    ASK(set_part(dn, *operation, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_W, w));
    ASK(set_part(dn, *operation, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DY, dy));
    ASK(set(dn, *operation, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_ALPHA, CUDNN_TYPE_FLOAT, 1, &one));
    ASK(set(dn, *operation, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_BETA, CUDNN_TYPE_FLOAT, 1, &zero));
    return dn->call.by.cudnnBackendFinalize(*operation);
}

static cudnnStatus_t make_graph(const vg__cudnn *dn, dn_plan *plan, descriptor *out)
{
    descriptor convolution, ops[3];
    int64_t count = 0;
    ASK(make_convolution(dn, plan, &convolution));
    if (plan->key.pass == VG__PASS_FORWARD)
        ASK(make_forward(dn, plan, convolution, ops, &count));
    else
        ASK(make_dx(dn, plan, convolution, &ops[count++]));
    ASK(make(dn, plan, CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR, out));
    ASK(set(dn, *out, CUDNN_ATTR_OPERATIONGRAPH_OPS, CUDNN_TYPE_BACKEND_DESCRIPTOR, count, ops));
    return dn->call.by.cudnnBackendFinalize(*out);
}

/* Do the numerical notes of a proposal's engine honour our rules? */
static cudnnStatus_t check_engine(const vg__cudnn *dn, dn_plan *plan, descriptor proposal, bool *fits)
{
    descriptor engine;
    cudnnBackendNumericalNote_t notes[CUDNN_NUMERICAL_NOTE_TYPE_COUNT];
    int64_t count = 0;
    const bool exact = plan->key.type == VG_F32 && !plan->key.tf32;
    ASK(make(dn, plan, CUDNN_BACKEND_ENGINE_DESCRIPTOR, &engine));
    ASK(dn->call.by.cudnnBackendGetAttribute(proposal, CUDNN_ATTR_ENGINECFG_ENGINE,
                                             CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &count, &engine));
    ASK(dn->call.by.cudnnBackendGetAttribute(engine, CUDNN_ATTR_ENGINE_NUMERICAL_NOTE,
                                             CUDNN_TYPE_NUMERICAL_NOTE, CUDNN_NUMERICAL_NOTE_TYPE_COUNT,
                                             &count, notes));
    *fits = true;
    for (int64_t i = 0; i < count; i++) switch (notes[i]) {
        case CUDNN_NUMERICAL_NOTE_TENSOR_CORE:
        case CUDNN_NUMERICAL_NOTE_DOWN_CONVERT_INPUTS:
            *fits = *fits && !exact;
            break;
        case CUDNN_NUMERICAL_NOTE_STRICT_NAN_PROP:
            break;
        default: /* and whatever later versions invent */
            *fits = false;
        }
    return CUDNN_STATUS_SUCCESS;
}

static cudnnStatus_t finish_plan(const vg__cudnn *dn, dn_plan *plan, descriptor proposal)
{
    int64_t count;
    ASK(make(dn, plan, CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR, &plan->plan));
    ASK(set_part(dn, plan->plan, CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG, proposal));
    ASK(set_part(dn, plan->plan, CUDNN_ATTR_EXECUTION_PLAN_DEVICEPROP, dn->device));
    ASK(dn->call.by.cudnnBackendFinalize(plan->plan));
    return dn->call.by.cudnnBackendGetAttribute(plan->plan, CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE,
                                                CUDNN_TYPE_INT64, 1, &count, &plan->workspace);
}

/* The first proposal of a heuristic that fits and can be finished. */
static cudnnStatus_t try_proposals(const vg__cudnn *dn, dn_plan *plan, descriptor graph,
                                   cudnnBackendHeurMode_t mode)
{
    descriptor heuristic, proposals[PROPOSALS];
    int64_t count = 0;
    ASK(make(dn, plan, CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR, &heuristic));
    ASK(set_part(dn, heuristic, CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, graph));
    ASK(set(dn, heuristic, CUDNN_ATTR_ENGINEHEUR_MODE, CUDNN_TYPE_HEUR_MODE, 1, &mode));
    ASK(set_part(dn, heuristic, CUDNN_ATTR_ENGINEHEUR_DEVICEPROP, dn->device));
    ASK(dn->call.by.cudnnBackendFinalize(heuristic));
    for (int i = 0; i < PROPOSALS; i++)
        ASK(make(dn, plan, CUDNN_BACKEND_ENGINECFG_DESCRIPTOR, &proposals[i]));
    ASK(dn->call.by.cudnnBackendGetAttribute(heuristic, CUDNN_ATTR_ENGINEHEUR_RESULTS,
                                             CUDNN_TYPE_BACKEND_DESCRIPTOR, PROPOSALS, &count, proposals));
    for (int64_t i = 0; i < count && i < PROPOSALS; i++) {
        const int before = plan->count;
        bool fits = false;
        cudnnStatus_t status = check_engine(dn, plan, proposals[i], &fits);
        if (status == CUDNN_STATUS_SUCCESS && fits) {
            status = finish_plan(dn, plan, proposals[i]);
            if (status == CUDNN_STATUS_SUCCESS && plan->workspace <= MOST_WORKSPACE) return status;
        }
        unmake(dn, plan, before);
        plan->plan = NULL;
    }
    return CUDNN_STATUS_NOT_SUPPORTED;
}

static void make_plan(const vg__cudnn *dn, dn_plan *plan, const char *op)
{
    const dn_key *key = &plan->key;
    descriptor graph;
    cudnnStatus_t status = make_graph(dn, plan, &graph);
    if (status == CUDNN_STATUS_SUCCESS) {
        const int before = plan->count;
        status = try_proposals(dn, plan, graph, CUDNN_HEUR_MODE_A);
        if (status != CUDNN_STATUS_SUCCESS) {
            unmake(dn, plan, before);
            status = try_proposals(dn, plan, graph, CUDNN_HEUR_MODE_FALLBACK);
        }
    }
    plan->taken = status == CUDNN_STATUS_SUCCESS;
    if (plan->taken) return;
    unmake(dn, plan, 0);
    vg_info("%s: cuDNN has no plan for %s of B=%" PRId64 " T=%" PRId64 " I=%" PRId64 " O=%" PRId64
            " K=%" PRId64 " in %s, our own kernel serves it: %s",
            op, key->pass == VG__PASS_FORWARD ? "y" : "dx", key->B, key->T, key->I, key->O, key->K,
            vg_dtype_name(key->type), dn->call.by.cudnnGetErrorString(status));
}

static bool same(const dn_key *a, const dn_key *b)
{
    return a->pass == b->pass && a->type == b->type && a->B == b->B && a->T == b->T && a->I == b->I &&
           a->O == b->O && a->K == b->K && a->tf32 == b->tf32 && a->bias == b->bias && a->relu == b->relu;
}

/* NULL when memory ran out, which our own kernels can do without. */
static dn_plan *find_plan(vg__cudnn *dn, const vg__multiply *multiply)
{
    const vg__product *product = multiply->product;
    const dn_key wanted = {.pass = multiply->pass,
                           .type = product->type,
                           .B = product->B,
                           .T = product->T,
                           .I = product->I,
                           .O = product->O,
                           .K = product->K,
                           .tf32 = product->type == VG_F32 && product->tf32,
                           .bias = multiply->bias != NULL,
                           .relu = multiply->relu};
    for (int i = 0; i < dn->count; i++)
        if (same(&dn->plans[i]->key, &wanted)) return dn->plans[i];
    if (dn->count == dn->capacity) {
        const int capacity = dn->capacity ? 2 * dn->capacity : 16;
        dn_plan **plans = realloc(dn->plans, (size_t)capacity * sizeof *plans);
        if (!plans) return NULL;
        dn->plans = plans;
        dn->capacity = capacity;
    }
    dn_plan *plan = calloc(1, sizeof *plan);
    if (!plan) return NULL;
    dn->plans[dn->count++] = plan;
    plan->key = wanted;
    make_plan(dn, plan, product->op);
    return plan;
}

bool vg__cudnn_takes(vg__cudnn *dn, const vg__multiply *multiply, size_t *workspace)
{
    const vg__product *product = multiply->product;
    if (product->K == 1 || product->I == 1 || product->B * product->T == 0) return false;
    if (multiply->pass == VG__PASS_DW || multiply->add) return false;
    const dn_plan *plan = find_plan(dn, multiply);
    if (!plan || !plan->taken) return false;
    *workspace = (size_t)plan->workspace;
    return true;
}

/* The variant pack of a call. A step calls with the pointers of the step before, so it is seldom made. */
static cudnnStatus_t bind(const vg__cudnn *dn, dn_plan *plan, const vg__multiply *multiply, void *workspace)
{
    const int64_t tensors[4] = {INPUT, FILTER, OUTPUT, BIAS}, count = multiply->bias ? 4 : 3;
    const void *input = multiply->pass == VG__PASS_FORWARD ? multiply->x : multiply->dy;
    const void *pointers[5] = {input, multiply->w, multiply->out, multiply->bias, workspace};
    if (plan->pack) {
        if (!memcmp(plan->bound, pointers, sizeof pointers)) return CUDNN_STATUS_SUCCESS;
        unmake(dn, plan, plan->count - 1);
        plan->pack = NULL;
        memset(plan->bound, 0, sizeof plan->bound); /* no call matches until the new one is whole */
    }
    ASK(make(dn, plan, CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR, &plan->pack));
    ASK(set(dn, plan->pack, CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, CUDNN_TYPE_INT64, count, tensors));
    ASK(set(dn, plan->pack, CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, CUDNN_TYPE_VOID_PTR, count, pointers));
    ASK(set(dn, plan->pack, CUDNN_ATTR_VARIANT_PACK_WORKSPACE, CUDNN_TYPE_VOID_PTR, 1, &pointers[4]));
    ASK(dn->call.by.cudnnBackendFinalize(plan->pack));
    memcpy(plan->bound, pointers, sizeof pointers);
    return CUDNN_STATUS_SUCCESS;
}

vg_status vg__cudnn_run(vg__cudnn *dn, const vg__multiply *multiply, void *workspace, vg__cuda_stream stream)
{
    dn_plan *plan = find_plan(dn, multiply);
    VG_ASSERT(plan && plan->taken && dn->handle);
    cudnnStatus_t status = dn->call.by.cudnnSetStream(dn->handle, stream);
    if (status == CUDNN_STATUS_SUCCESS) status = bind(dn, plan, multiply, workspace);
    if (status == CUDNN_STATUS_SUCCESS)
        status = dn->call.by.cudnnBackendExecute(dn->handle, plan->plan, plan->pack);
    return status == CUDNN_STATUS_SUCCESS ? VG_OK : failed(dn, multiply->product->op, status);
}

static cudnnStatus_t make_device(vg__cudnn *dn, const char *json)
{
    ASK(dn->call.by.cudnnBackendCreateDescriptor(CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR, &dn->device));
    if (json)
        ASK(set(dn, dn->device, CUDNN_ATTR_DEVICEPROP_JSON_REPRESENTATION, CUDNN_TYPE_CHAR,
                (int64_t)strlen(json) + 1, json));
    else
        ASK(set(dn, dn->device, CUDNN_ATTR_DEVICEPROP_HANDLE, CUDNN_TYPE_HANDLE, 1, &dn->handle));
    return dn->call.by.cudnnBackendFinalize(dn->device);
}

vg_status vg__cudnn_create(const char *device, vg__cudnn **out)
{
    vg__cudnn *dn = calloc(1, sizeof *dn);
    if (!dn) return vg_fail(VG_ERR_MEMORY, "no memory for cuDNN's plans");
    /* cuDNN finds its own parts beside itself; the compiler it needs for some engines may be elsewhere, and
     * is found by name once it is open. Without it the plans of those engines fail and others are taken. */
    if (vg__library_open("libnvrtc.so.13", NULL, NULL, 0, &dn->compiler) != VG_OK)
        vg_debug("cuDNN may have fewer engines: %s", vg_cause());
    vg_status status = vg__library_open("libcudnn.so.9", names, dn->call.all, FUNCTION_COUNT, &dn->library);
    if (status == VG_OK) {
        cudnnStatus_t code = device ? CUDNN_STATUS_SUCCESS : dn->call.by.cudnnCreate(&dn->handle);
        if (code == CUDNN_STATUS_SUCCESS) code = make_device(dn, device);
        if (code != CUDNN_STATUS_SUCCESS) status = failed(dn, "the library does not start", code);
    }
    if (status != VG_OK) {
        vg__cudnn_destroy(dn);
        return status;
    }
    const size_t version = dn->call.by.cudnnGetVersion(); /* 91900 is 9.19.0 */
    snprintf(dn->description, sizeof dn->description, "cuDNN %zu.%zu.%zu from %s", version / 10000,
             version / 100 % 100, version % 100, dn->library.path);
    *out = dn;
    return VG_OK;
}

void vg__cudnn_destroy(vg__cudnn *dn)
{
    if (!dn) return;
    for (int i = 0; i < dn->count; i++) {
        unmake(dn, dn->plans[i], 0);
        free(dn->plans[i]);
    }
    free(dn->plans);
    if (dn->device) (void)dn->call.by.cudnnBackendDestroyDescriptor(dn->device);
    if (dn->handle) (void)dn->call.by.cudnnDestroy(dn->handle);
    vg__library_close(&dn->library);
    vg__library_close(&dn->compiler);
    free(dn);
}

const char *vg__cudnn_describe(const vg__cudnn *dn)
{
    return dn->description;
}

size_t vg__cudnn_version(const vg__cudnn *dn)
{
    return dn->call.by.cudnnGetVersion();
}
