/* Linear layers by cuBLASLt. Not yet run on a GPU.
 *
 * The library thinks in columns: a row-major (rows, n) matrix is its n x rows matrix with leading dimension
 * n. So, with N rows, the three products are
 *     forward  y (N, O) = x w^T    y' (O x N) = op_T(w') x'     w' (I x O), x' (I x N)
 *     dx       (N, I)   = dy w     dx' (I x N) = w' dy'         dy' (O x N)
 *     dw       (O, I)   = dy^T x   dw' (I x O) = x' op_T(dy')
 * and the bias, one number a row of y', is what its epilogue adds. GELU's epilogue is the tanh form and ours
 * is exact, so GELU, and dropout, are a pass of our own over y (vg__cuda_finish).
 *
 * Sums: factors in bf16 or float, sums in float; float factors become tf32 only when the owner allows it.
 * Split sums are allowed in float through the workspace alone (REDUCTION_SCHEME_COMPUTE_TYPE: parts are
 * stored and summed in a step of their own), not in the output's type, so a bf16 output is rounded once.
 * Repeatability: NVIDIA states for this library that the same call gives the same bits on GPUs of one
 * architecture and number of multiprocessors, for one version of the library, as long as concurrent streams
 * do not share its workspace. Here the workspace is ours and on one stream, and the algorithm is the first
 * that the heuristic names for the shape: nothing is measured, so nothing can turn out otherwise. */
#include "kernels/cuda/cublaslt.h"

#include <cublasLt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/log.h"
#include "core/library.h"

#define FUNCTIONS(X)                                                                                         \
    X(cublasLtCreate)                                                                                        \
    X(cublasLtDestroy)                                                                                       \
    X(cublasLtGetStatusString)                                                                               \
    X(cublasLtGetVersion)                                                                                    \
    X(cublasLtMatmul)                                                                                        \
    X(cublasLtMatmulAlgoGetHeuristic)                                                                        \
    X(cublasLtMatmulDescCreate)                                                                              \
    X(cublasLtMatmulDescDestroy)                                                                             \
    X(cublasLtMatmulDescSetAttribute)                                                                        \
    X(cublasLtMatmulPreferenceCreate)                                                                        \
    X(cublasLtMatmulPreferenceDestroy)                                                                       \
    X(cublasLtMatmulPreferenceSetAttribute)                                                                  \
    X(cublasLtMatrixLayoutCreate)                                                                            \
    X(cublasLtMatrixLayoutDestroy)

VG__LIBRARY_TABLE(FUNCTIONS);

/* NVIDIA's advice for Hopper; a plan says how much of it is really used. */
enum { MOST_WORKSPACE = 32 << 20, ALIGNMENT = 16 };

typedef struct lt_key {
    vg__pass pass;
    vg_dtype type;
    int64_t rows, I, O;
    bool tf32, bias, relu, add;
} lt_key;

/* Everything of a product but its pointers. */
typedef struct lt_plan {
    lt_key key;
    bool taken;
    cublasLtMatmulDesc_t operation;
    cublasLtMatrixLayout_t a, b, out;
    cublasLtMatmulAlgo_t algorithm;
    size_t workspace;
} lt_plan;

struct vg__cublaslt {
    vg__library library;
    functions call;
    cublasLtHandle_t handle;
    lt_plan *plans;
    int count, capacity;
    char description[600];
};

static vg_status failed(const vg__cublaslt *lt, const char *what, cublasStatus_t status)
{
    return vg_fail(VG_ERR_DEVICE, "cuBLASLt: %s: %s", what, lt->call.by.cublasLtGetStatusString(status));
}

vg_status vg__cublaslt_create(vg__cublaslt **out)
{
    vg__cublaslt *lt = calloc(1, sizeof *lt);
    if (!lt) return vg_fail(VG_ERR_MEMORY, "no memory for cuBLASLt's plans");
    vg_status status =
        vg__library_open("libcublasLt.so.13", names, lt->call.all, FUNCTION_COUNT, &lt->library);
    if (status == VG_OK) {
        cublasStatus_t code = lt->call.by.cublasLtCreate(&lt->handle);
        if (code != CUBLAS_STATUS_SUCCESS) status = failed(lt, "the library does not start", code);
    }
    if (status != VG_OK) {
        vg__cublaslt_destroy(lt);
        return status;
    }
    const size_t version = lt->call.by.cublasLtGetVersion(); /* 130100 is 13.1.0 */
    snprintf(lt->description, sizeof lt->description, "cuBLASLt %zu.%zu.%zu from %s", version / 10000,
             version / 100 % 100, version % 100, lt->library.path);
    *out = lt;
    return VG_OK;
}

static void free_plan(const vg__cublaslt *lt, lt_plan *plan)
{
    if (plan->operation) (void)lt->call.by.cublasLtMatmulDescDestroy(plan->operation);
    if (plan->a) (void)lt->call.by.cublasLtMatrixLayoutDestroy(plan->a);
    if (plan->b) (void)lt->call.by.cublasLtMatrixLayoutDestroy(plan->b);
    if (plan->out) (void)lt->call.by.cublasLtMatrixLayoutDestroy(plan->out);
    plan->operation = NULL;
    plan->a = plan->b = plan->out = NULL;
}

void vg__cublaslt_destroy(vg__cublaslt *lt)
{
    if (!lt) return;
    for (int i = 0; i < lt->count; i++) free_plan(lt, &lt->plans[i]);
    if (lt->handle) (void)lt->call.by.cublasLtDestroy(lt->handle);
    vg__library_close(&lt->library);
    free(lt->plans);
    free(lt);
}

const char *vg__cublaslt_describe(const vg__cublaslt *lt)
{
    return lt->description;
}

/* Stops at the first refusal. */
#define ASK(call)                                                                                            \
    do {                                                                                                     \
        cublasStatus_t ask_ = (call);                                                                        \
        if (ask_ != CUBLAS_STATUS_SUCCESS) return ask_;                                                      \
    } while (0)

static cublasStatus_t describe_operation(const vg__cublaslt *lt, lt_plan *plan)
{
    const lt_key *key = &plan->key;
    const cublasComputeType_t compute = key->tf32 ? CUBLAS_COMPUTE_32F_FAST_TF32 : CUBLAS_COMPUTE_32F;
    const cublasOperation_t a = key->pass == VG__PASS_FORWARD ? CUBLAS_OP_T : CUBLAS_OP_N,
                            b = key->pass == VG__PASS_DW ? CUBLAS_OP_T : CUBLAS_OP_N;
    const cublasLtEpilogue_t epilogue = key->bias
                                            ? key->relu ? CUBLASLT_EPILOGUE_RELU_BIAS : CUBLASLT_EPILOGUE_BIAS
                                        : key->relu ? CUBLASLT_EPILOGUE_RELU
                                                    : CUBLASLT_EPILOGUE_DEFAULT;
    ASK(lt->call.by.cublasLtMatmulDescCreate(&plan->operation, compute, CUDA_R_32F));
#define SET(attribute, value)                                                                                \
    ASK(lt->call.by.cublasLtMatmulDescSetAttribute(plan->operation, attribute, &value, sizeof value))
    SET(CUBLASLT_MATMUL_DESC_TRANSA, a);
    SET(CUBLASLT_MATMUL_DESC_TRANSB, b);
    SET(CUBLASLT_MATMUL_DESC_EPILOGUE, epilogue);
    if (key->bias) { /* an address that stands for every aligned one; the real one comes with each call */
        const void *bias = (const void *)(uintptr_t)4096;
        SET(CUBLASLT_MATMUL_DESC_BIAS_POINTER, bias);
    }
#undef SET
    return CUBLAS_STATUS_SUCCESS;
}

/* A row-major (rows, columns) matrix without gaps. */
static cublasStatus_t describe_matrix(const vg__cublaslt *lt, cublasLtMatrixLayout_t *out,
                                      cudaDataType_t type, int64_t rows, int64_t columns)
{
    return lt->call.by.cublasLtMatrixLayoutCreate(out, type, (uint64_t)columns, (uint64_t)rows, columns);
}

static cublasStatus_t describe_matrices(const vg__cublaslt *lt, lt_plan *plan)
{
    const lt_key *key = &plan->key;
    const cudaDataType_t type = key->type == VG_BF16 ? CUDA_R_16BF : CUDA_R_32F;
    const int64_t N = key->rows, I = key->I, O = key->O;
    switch (key->pass) {
    case VG__PASS_FORWARD:
        ASK(describe_matrix(lt, &plan->a, type, O, I));
        ASK(describe_matrix(lt, &plan->b, type, N, I));
        return describe_matrix(lt, &plan->out, type, N, O);
    case VG__PASS_DX:
        ASK(describe_matrix(lt, &plan->a, type, O, I));
        ASK(describe_matrix(lt, &plan->b, type, N, O));
        return describe_matrix(lt, &plan->out, type, N, I);
    case VG__PASS_DW:
        ASK(describe_matrix(lt, &plan->a, type, N, I));
        ASK(describe_matrix(lt, &plan->b, type, N, O));
        return describe_matrix(lt, &plan->out, CUDA_R_32F, O, I);
    }
    return CUBLAS_STATUS_INVALID_VALUE;
}

static cublasStatus_t set_preferences(const vg__cublaslt *lt, cublasLtMatmulPreference_t preference)
{
    const uint64_t workspace = MOST_WORKSPACE;
    const uint32_t reduction = CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE, alignment = ALIGNMENT;
#define SET(attribute, value)                                                                                \
    ASK(lt->call.by.cublasLtMatmulPreferenceSetAttribute(preference, attribute, &value, sizeof value))
    SET(CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, workspace);
    SET(CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, reduction);
    SET(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, alignment);
    SET(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, alignment);
    SET(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, alignment);
    SET(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, alignment);
#undef SET
    return CUBLAS_STATUS_SUCCESS;
}

/* The first algorithm that the library names. */
static cublasStatus_t choose_algorithm(const vg__cublaslt *lt, lt_plan *plan)
{
    cublasLtMatmulPreference_t preference;
    cublasLtMatmulHeuristicResult_t results[4];
    int found = 0;
    ASK(lt->call.by.cublasLtMatmulPreferenceCreate(&preference));
    cublasStatus_t status = set_preferences(lt, preference);
    if (status == CUBLAS_STATUS_SUCCESS)
        status = lt->call.by.cublasLtMatmulAlgoGetHeuristic(
            lt->handle, plan->operation, plan->a, plan->b, plan->out, plan->out, preference,
            sizeof results / sizeof *results, results, &found);
    (void)lt->call.by.cublasLtMatmulPreferenceDestroy(preference);
    if (status != CUBLAS_STATUS_SUCCESS) return status;
    for (int i = 0; i < found; i++) {
        if (results[i].state != CUBLAS_STATUS_SUCCESS || results[i].workspaceSize > MOST_WORKSPACE) continue;
        plan->algorithm = results[i].algo;
        plan->workspace = results[i].workspaceSize;
        return CUBLAS_STATUS_SUCCESS;
    }
    return CUBLAS_STATUS_NOT_SUPPORTED;
}

static void make_plan(const vg__cublaslt *lt, lt_plan *plan, const char *op)
{
    static const char *const passes[] = {"y", "dx", "dw"};
    const lt_key *key = &plan->key;
    cublasStatus_t status = CUBLAS_STATUS_NOT_SUPPORTED;
    if (key->rows <= INT32_MAX && key->I <= INT32_MAX && key->O <= INT32_MAX)
        status = describe_operation(lt, plan);
    if (status == CUBLAS_STATUS_SUCCESS) status = describe_matrices(lt, plan);
    if (status == CUBLAS_STATUS_SUCCESS) status = choose_algorithm(lt, plan);
    plan->taken = status == CUBLAS_STATUS_SUCCESS;
    if (plan->taken) return;
    free_plan(lt, plan);
    vg_info("%s: cuBLASLt leaves %s of %" PRId64 " rows, %" PRId64 " inputs, %" PRId64
            " outputs in %s to our own kernel: %s",
            op, passes[key->pass], key->rows, key->I, key->O, vg_dtype_name(key->type),
            lt->call.by.cublasLtGetStatusString(status));
}

static bool same(const lt_key *a, const lt_key *b)
{
    return a->pass == b->pass && a->type == b->type && a->rows == b->rows && a->I == b->I && a->O == b->O &&
           a->tf32 == b->tf32 && a->bias == b->bias && a->relu == b->relu && a->add == b->add;
}

/* NULL when memory ran out, which our own kernels can do without. */
static lt_plan *find_plan(vg__cublaslt *lt, const vg__multiply *multiply)
{
    const vg__product *product = multiply->product;
    const lt_key wanted = {.pass = multiply->pass,
                           .type = product->type,
                           .rows = product->B * product->T,
                           .I = product->I,
                           .O = product->O,
                           .tf32 = product->type == VG_F32 && product->tf32,
                           .bias = multiply->bias != NULL,
                           .relu = multiply->relu,
                           .add = multiply->add};
    for (int i = 0; i < lt->count; i++)
        if (same(&lt->plans[i].key, &wanted)) return &lt->plans[i];
    if (lt->count == lt->capacity) {
        const int capacity = lt->capacity ? 2 * lt->capacity : 32;
        lt_plan *plans = realloc(lt->plans, (size_t)capacity * sizeof *plans);
        if (!plans) return NULL;
        lt->plans = plans;
        lt->capacity = capacity;
    }
    lt_plan *plan = &lt->plans[lt->count++];
    memset(plan, 0, sizeof *plan);
    plan->key = wanted;
    make_plan(lt, plan, product->op);
    return plan;
}

bool vg__cublaslt_takes(vg__cublaslt *lt, const vg__multiply *multiply, size_t *workspace)
{
    const vg__product *product = multiply->product;
    if (product->K != 1 || product->B * product->T == 0) return false;
    const lt_plan *plan = find_plan(lt, multiply);
    if (!plan || !plan->taken) return false;
    *workspace = plan->workspace;
    return true;
}

vg_status vg__cublaslt_run(vg__cublaslt *lt, const vg__multiply *multiply, void *workspace,
                           vg__cuda_stream stream)
{
    const float one = 1, zero = 0;
    const bool add = multiply->add || multiply->pass == VG__PASS_DW;
    lt_plan *plan = find_plan(lt, multiply);
    VG_ASSERT(plan && plan->taken);
    const void *a = multiply->pass == VG__PASS_DW ? multiply->x : multiply->w;
    const void *b = multiply->pass == VG__PASS_FORWARD ? multiply->x : multiply->dy;
    if (multiply->bias) {
        cublasStatus_t status = lt->call.by.cublasLtMatmulDescSetAttribute(
            plan->operation, CUBLASLT_MATMUL_DESC_BIAS_POINTER, &multiply->bias, sizeof multiply->bias);
        if (status != CUBLAS_STATUS_SUCCESS) return failed(lt, multiply->product->op, status);
    }
    cublasStatus_t status = lt->call.by.cublasLtMatmul(
        lt->handle, plan->operation, &one, a, plan->a, b, plan->b, add ? &one : &zero, multiply->out,
        plan->out, multiply->out, plan->out, &plan->algorithm, workspace, plan->workspace, stream);
    return status == CUBLAS_STATUS_SUCCESS ? VG_OK : failed(lt, multiply->product->op, status);
}
