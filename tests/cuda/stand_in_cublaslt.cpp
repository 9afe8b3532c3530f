#include <cublasLt.h>

#include "tests/cuda/stand_in_parts.h"

stand_in stand_in_cublaslt = {0, 0, 0, 0, false, false, false, 0.5, nullptr};

namespace
{
stand_in &self = stand_in_cublaslt;

cublasStatus_t no(cublasStatus_t code, const char *why)
{
    return refuse(self, code, why);
}

struct Operation {
    cublasComputeType_t compute;
    cudaDataType_t scale;
    int32_t a = CUBLAS_OP_N, b = CUBLAS_OP_N;
    uint32_t epilogue = CUBLASLT_EPILOGUE_DEFAULT;
    const void *bias = nullptr;
};

struct Layout {
    cudaDataType_t type;
    uint64_t rows, columns;
    int64_t ld;
};

/* The defaults are the header's. */
struct Preference {
    uint64_t workspace = 0;
    uint32_t reduction = CUBLASLT_REDUCTION_SCHEME_MASK;
    uint32_t alignment[4] = {256, 256, 256, 256};
};

/* What hides in cublasLtMatmulAlgo_t. */
struct Algorithm {
    uint64_t magic;
    uint32_t alignment[4];
    uint64_t parts; /* of the sum, kept apart in the workspace */
    uint64_t workspace, m, n, k;
};
const uint64_t MAGIC = 0x5A60;
static_assert(sizeof(Algorithm) <= sizeof(cublasLtMatmulAlgo_t), "an algorithm fits where the real one does");

/* The opaque types are pointers to structs of words; ours are behind the same pointers. */
template <class Ours, class Theirs> Ours *ours(Theirs handle)
{
    return reinterpret_cast<Ours *>(handle);
}

cublasStatus_t create(cublasLtHandle_t *out)
{
    if (self.broken) return CUBLAS_STATUS_NOT_INITIALIZED;
    *out = reinterpret_cast<cublasLtHandle_t>(new int(0));
    self.opened++;
    self.held++;
    return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t destroy(cublasLtHandle_t handle)
{
    delete reinterpret_cast<int *>(handle);
    self.held--;
    return CUBLAS_STATUS_SUCCESS;
}

const char *status_string(cublasStatus_t status)
{
    return status == CUBLAS_STATUS_NOT_SUPPORTED ? "the stand-in does not support this"
                                                 : "the stand-in refused";
}
size_t version()
{
    return 130100;
}

cublasStatus_t operation_create(cublasLtMatmulDesc_t *out, cublasComputeType_t compute, cudaDataType_t scale)
{
    Operation *operation = new Operation();
    operation->compute = compute;
    operation->scale = scale;
    *out = reinterpret_cast<cublasLtMatmulDesc_t>(operation);
    self.held++;
    return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t operation_destroy(cublasLtMatmulDesc_t operation)
{
    delete ours<Operation>(operation);
    self.held--;
    return CUBLAS_STATUS_SUCCESS;
}

/* Copies an attribute whose size is as documented. */
template <class T> cublasStatus_t set(T *to, const void *from, size_t size)
{
    if (!from || size != sizeof *to) return no(CUBLAS_STATUS_INVALID_VALUE, "an attribute of the wrong size");
    memcpy(to, from, size);
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t operation_set(cublasLtMatmulDesc_t handle, cublasLtMatmulDescAttributes_t attribute,
                             const void *value, size_t size)
{
    Operation *operation = ours<Operation>(handle);
    switch (attribute) {
    case CUBLASLT_MATMUL_DESC_TRANSA:
        return set(&operation->a, value, size);
    case CUBLASLT_MATMUL_DESC_TRANSB:
        return set(&operation->b, value, size);
    case CUBLASLT_MATMUL_DESC_EPILOGUE:
        return set(&operation->epilogue, value, size);
    case CUBLASLT_MATMUL_DESC_BIAS_POINTER:
        return set(&operation->bias, value, size);
    default:
        return no(CUBLAS_STATUS_INVALID_VALUE, "an attribute of the operation that is not known here");
    }
}

/* As the real one, takes any numbers: they are looked at when a product is. */
cublasStatus_t layout_create(cublasLtMatrixLayout_t *out, cudaDataType type, uint64_t rows, uint64_t columns,
                             int64_t ld)
{
    *out = reinterpret_cast<cublasLtMatrixLayout_t>(new Layout{type, rows, columns, ld});
    self.held++;
    return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t layout_destroy(cublasLtMatrixLayout_t layout)
{
    delete ours<Layout>(layout);
    self.held--;
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t preference_create(cublasLtMatmulPreference_t *out)
{
    *out = reinterpret_cast<cublasLtMatmulPreference_t>(new Preference());
    self.held++;
    return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t preference_destroy(cublasLtMatmulPreference_t preference)
{
    delete ours<Preference>(preference);
    self.held--;
    return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t preference_set(cublasLtMatmulPreference_t handle,
                              cublasLtMatmulPreferenceAttributes_t attribute, const void *value, size_t size)
{
    Preference *preference = ours<Preference>(handle);
    switch (attribute) {
    case CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES:
        return set(&preference->workspace, value, size);
    case CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK:
        return set(&preference->reduction, value, size);
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES:
        return set(&preference->alignment[0], value, size);
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES:
        return set(&preference->alignment[1], value, size);
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES:
        return set(&preference->alignment[2], value, size);
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES:
        return set(&preference->alignment[3], value, size);
    default:
        return no(CUBLAS_STATUS_INVALID_VALUE, "an attribute of the preference that is not known here");
    }
}

struct Shape {
    uint64_t m, n, k;
};

bool whole(const Layout *layout)
{
    return layout->rows && layout->columns && layout->ld >= (int64_t)layout->rows &&
           layout->rows <= INT32_MAX && layout->columns <= INT32_MAX;
}

/* Do the matrices fit each other, and is it a combination of types that cuBLASLt's manual lists? */
cublasStatus_t check(const Operation *operation, const Layout *a, const Layout *b, const Layout *c,
                     const Layout *d, Shape *shape)
{
    if (!whole(a) || !whole(b) || !whole(c) || !whole(d))
        return no(CUBLAS_STATUS_INVALID_VALUE, "a leading dimension shorter than a column, or no size");
    const bool ta = operation->a == CUBLAS_OP_T, tb = operation->b == CUBLAS_OP_T;
    *shape = {ta ? a->columns : a->rows, tb ? b->rows : b->columns, ta ? a->rows : a->columns};
    if ((tb ? b->columns : b->rows) != shape->k || d->rows != shape->m || d->columns != shape->n ||
        c->rows != d->rows || c->columns != d->columns || c->ld != d->ld || c->type != d->type)
        return no(CUBLAS_STATUS_INVALID_VALUE, "matrices that do not fit each other");
    const bool floats = a->type == CUDA_R_32F && d->type == CUDA_R_32F,
               shorts = a->type == CUDA_R_16BF && (d->type == CUDA_R_16BF || d->type == CUDA_R_32F);
    if (a->type != b->type || operation->scale != CUDA_R_32F || !(floats || shorts))
        return no(CUBLAS_STATUS_NOT_SUPPORTED, "types that do not go together");
    if (operation->compute != CUBLAS_COMPUTE_32F &&
        !(floats && operation->compute == CUBLAS_COMPUTE_32F_FAST_TF32))
        return no(CUBLAS_STATUS_NOT_SUPPORTED, "a compute type for other matrices");
    switch (operation->epilogue) {
    case CUBLASLT_EPILOGUE_DEFAULT:
    case CUBLASLT_EPILOGUE_RELU:
        return CUBLAS_STATUS_SUCCESS;
    case CUBLASLT_EPILOGUE_BIAS:
    case CUBLASLT_EPILOGUE_RELU_BIAS:
        if (operation->bias) return CUBLAS_STATUS_SUCCESS;
        return no(CUBLAS_STATUS_INVALID_VALUE, "an epilogue with a bias, and no address of one");
    default:
        return no(CUBLAS_STATUS_NOT_SUPPORTED, "an epilogue that is not known here");
    }
}

/* Names two ways: a long sum in two parts through the workspace, where that is allowed, and the plain one. */
cublasStatus_t heuristic(cublasLtHandle_t, cublasLtMatmulDesc_t operation, cublasLtMatrixLayout_t a,
                         cublasLtMatrixLayout_t b, cublasLtMatrixLayout_t c, cublasLtMatrixLayout_t d,
                         cublasLtMatmulPreference_t handle, int most,
                         cublasLtMatmulHeuristicResult_t *results, int *found)
{
    const Preference *preference = ours<Preference>(handle);
    Shape shape;
    *found = 0;
    self.plans++;
    cublasStatus_t status = check(ours<Operation>(operation), ours<Layout>(a), ours<Layout>(b),
                                  ours<Layout>(c), ours<Layout>(d), &shape);
    if (status != CUBLAS_STATUS_SUCCESS) return status;
    if (self.refusing) return CUBLAS_STATUS_NOT_SUPPORTED;
    for (uint64_t parts = 2; parts >= 1 && *found < most; parts--) {
        Algorithm algorithm = {};
        algorithm.magic = MAGIC;
        memcpy(algorithm.alignment, preference->alignment, sizeof algorithm.alignment);
        algorithm.parts = parts;
        algorithm.workspace = parts == 1 ? 0 : parts * shape.m * shape.n * sizeof(float);
        algorithm.m = shape.m, algorithm.n = shape.n, algorithm.k = shape.k;
        if (algorithm.workspace > preference->workspace) continue;
        if (parts > 1 && (shape.k < 32 || !(preference->reduction & CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE)))
            continue;
        cublasLtMatmulHeuristicResult_t result = {};
        memcpy(&result.algo, &algorithm, sizeof algorithm);
        result.workspaceSize = algorithm.workspace;
        result.state = CUBLAS_STATUS_SUCCESS;
        results[(*found)++] = result;
    }
    return *found ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_NOT_SUPPORTED;
}

/* A matrix in device memory, with `at(i, j)` after the transposition. */
struct Matrix {
    const void *data;
    element type;
    int64_t ld;
    bool transposed;
    float at(uint64_t i, uint64_t j) const
    {
        return load(data, type, (int64_t)(transposed ? j : i) + (int64_t)(transposed ? i : j) * ld);
    }
};

element type_of(const Layout *layout)
{
    return layout->type == CUDA_R_16BF ? element::bf16 : element::f32;
}

/* Is the whole matrix within one allocation? */
bool held(const void *data, const Layout *layout)
{
    const size_t elements = (size_t)layout->ld * (layout->columns - 1) + layout->rows;
    return emu::device_holds(data, elements * size_of(type_of(layout)));
}

bool aligned(const void *data, uint32_t to)
{
    return reinterpret_cast<uintptr_t>(data) % to == 0;
}

cublasStatus_t multiply(cublasLtHandle_t handle, cublasLtMatmulDesc_t operation_handle, const void *alpha_at,
                        const void *A, cublasLtMatrixLayout_t a_handle, const void *B,
                        cublasLtMatrixLayout_t b_handle, const void *beta_at, const void *C,
                        cublasLtMatrixLayout_t c_handle, void *D, cublasLtMatrixLayout_t d_handle,
                        const cublasLtMatmulAlgo_t *algo, void *workspace, size_t workspace_size,
                        cudaStream_t stream)
{
    const Operation operation = *ours<Operation>(operation_handle);
    const Layout *la = ours<Layout>(a_handle), *lb = ours<Layout>(b_handle), *lc = ours<Layout>(c_handle),
                 *ld = ours<Layout>(d_handle);
    Shape shape;
    if (!handle) return no(CUBLAS_STATUS_NOT_INITIALIZED, "no handle");
    cublasStatus_t status = check(&operation, la, lb, lc, ld, &shape);
    if (status != CUBLAS_STATUS_SUCCESS) return status;
    Algorithm algorithm;
    memcpy(&algorithm, algo, sizeof algorithm);
    if (algorithm.magic != MAGIC || algorithm.m != shape.m || algorithm.n != shape.n ||
        algorithm.k != shape.k)
        return no(CUBLAS_STATUS_INVALID_VALUE, "an algorithm for another shape");
    const uint32_t *alignment = algorithm.alignment;
    if (!aligned(A, alignment[0]) || !aligned(B, alignment[1]) || !aligned(C, alignment[2]) ||
        !aligned(D, alignment[3]))
        return no(CUBLAS_STATUS_INVALID_VALUE, "an address less aligned than the algorithm was asked for");
    if (workspace_size < algorithm.workspace ||
        (algorithm.workspace && (!aligned(workspace, 256) || !emu::device_holds(workspace, workspace_size))))
        return no(CUBLAS_STATUS_INVALID_VALUE, "too little workspace, or not at a multiple of 256");
    const bool with_bias = operation.epilogue == CUBLASLT_EPILOGUE_BIAS ||
                           operation.epilogue == CUBLASLT_EPILOGUE_RELU_BIAS,
               relu = operation.epilogue == CUBLASLT_EPILOGUE_RELU ||
                      operation.epilogue == CUBLASLT_EPILOGUE_RELU_BIAS;
    const element out = type_of(ld);
    if (!held(A, la) || !held(B, lb) || !held(C, lc) || !held(D, ld) ||
        (with_bias &&
         (!emu::device_holds(operation.bias, shape.m * size_of(out)) || !aligned(operation.bias, 16))))
        return no(CUBLAS_STATUS_EXECUTION_FAILED, "an operand outside device memory");

    const bool tf32 = operation.compute == CUBLAS_COMPUTE_32F_FAST_TF32;
    const Matrix a = {A, tf32 ? element::tf32 : type_of(la), la->ld, operation.a == CUBLAS_OP_T},
                 b = {B, tf32 ? element::tf32 : type_of(lb), lb->ld, operation.b == CUBLAS_OP_T};
    const float alpha = *static_cast<const float *>(alpha_at), beta = *static_cast<const float *>(beta_at);
    const int64_t stride = ld->ld;
    const void *bias = operation.bias;
    const float factor = self.wrong ? 1.1f : 1;
    self.products++;
    const bool queued = emu::queue_work(stream, self.ms, [=] {
        const uint64_t part = (shape.k + algorithm.parts - 1) / algorithm.parts;
        float *sums = static_cast<float *>(workspace);
        for (uint64_t j = 0; j < shape.n; j++)
            for (uint64_t i = 0; i < shape.m; i++) {
                float whole_sum = 0;
                for (uint64_t p = 0; p < algorithm.parts; p++) {
                    float sum = 0;
                    for (uint64_t k = p * part; k < shape.k && k < (p + 1) * part; k++)
                        sum += a.at(i, k) * b.at(k, j);
                    if (algorithm.parts == 1)
                        whole_sum = sum;
                    else
                        sums[(p * shape.n + j) * shape.m + i] = sum;
                }
                for (uint64_t p = 0; p < algorithm.parts && algorithm.parts > 1; p++)
                    whole_sum += sums[(p * shape.n + j) * shape.m + i];
                const int64_t at = (int64_t)i + (int64_t)j * stride;
                float value = factor * alpha * whole_sum;
                if (beta != 0) value += beta * load(C, out, at);
                if (with_bias) value += load(bias, out, (int64_t)i);
                store(D, out, at, relu && value < 0 ? 0 : value);
            }
    });
    return queued ? CUBLAS_STATUS_SUCCESS : no(CUBLAS_STATUS_EXECUTION_FAILED, "no such stream");
}
} // namespace

stand_in_function cublaslt_function(const char *name)
{
    static const struct {
        const char *name;
        stand_in_function function;
    } all[] = {
#define IS(theirs, our) {#theirs, reinterpret_cast<stand_in_function>(static_cast<decltype(&theirs)>(our))}
        IS(cublasLtCreate, create),
        IS(cublasLtDestroy, destroy),
        IS(cublasLtGetStatusString, status_string),
        IS(cublasLtGetVersion, version),
        IS(cublasLtMatmul, multiply),
        IS(cublasLtMatmulAlgoGetHeuristic, heuristic),
        IS(cublasLtMatmulDescCreate, operation_create),
        IS(cublasLtMatmulDescDestroy, operation_destroy),
        IS(cublasLtMatmulDescSetAttribute, operation_set),
        IS(cublasLtMatmulPreferenceCreate, preference_create),
        IS(cublasLtMatmulPreferenceDestroy, preference_destroy),
        IS(cublasLtMatmulPreferenceSetAttribute, preference_set),
        IS(cublasLtMatrixLayoutCreate, layout_create),
        IS(cublasLtMatrixLayoutDestroy, layout_destroy),
#undef IS
    };
    for (const auto &one : all)
        if (!strcmp(one.name, name)) return one.function;
    return nullptr;
}
