#include <cudnn.h>

#include <map>
#include <memory>
#include <vector>

#include "tests/cuda/stand_in_parts.h"

stand_in stand_in_cudnn = {0, 0, 0, 0, false, false, false, 0.5, nullptr};

namespace
{
stand_in &self = stand_in_cudnn;

cudnnStatus_t no(cudnnStatus_t code, const char *why)
{
    return refuse(self, code, why);
}

/* Behind every opaque descriptor: its kind and the attributes as they were set, by name. */
struct Descriptor {
    cudnnBackendDescriptorType_t kind;
    bool finalized = false;
    std::map<int, std::vector<char>> attributes;
    int engine = 0; /* of an engine and an engine configuration: which of ENGINES */

    template <class T> std::vector<T> all(int name) const
    {
        std::vector<T> values;
        auto found = attributes.find(name);
        if (found == attributes.end()) return values;
        values.resize(found->second.size() / sizeof(T));
        memcpy(values.data(), found->second.data(), values.size() * sizeof(T));
        return values;
    }
    template <class T> T one(int name) const
    {
        auto values = all<T>(name);
        return values.size() == 1 ? values[0] : T();
    }
    Descriptor *part(int name) const { return static_cast<Descriptor *>(one<void *>(name)); }
};

struct Handle {
    cudaStream_t stream = nullptr;
};

/* What the heuristic proposes, best first: one that breaks our rules, one that cannot be finished, and two
 * that can, one of them with tensor cores. */
enum { NOT_DETERMINISTIC, NOT_FINISHED, TENSOR_CORES, PLAIN, ENGINES };

/* Optional when `least` is 0. */
struct Attribute {
    int kind, name;
    cudnnBackendAttributeType_t type;
    int64_t least, most;
};
const Attribute known[] = {
    {CUDNN_BACKEND_TENSOR_DESCRIPTOR, CUDNN_ATTR_TENSOR_DATA_TYPE, CUDNN_TYPE_DATA_TYPE, 1, 1},
    {CUDNN_BACKEND_TENSOR_DESCRIPTOR, CUDNN_ATTR_TENSOR_DIMENSIONS, CUDNN_TYPE_INT64, 4, 4},
    {CUDNN_BACKEND_TENSOR_DESCRIPTOR, CUDNN_ATTR_TENSOR_STRIDES, CUDNN_TYPE_INT64, 4, 4},
    {CUDNN_BACKEND_TENSOR_DESCRIPTOR, CUDNN_ATTR_TENSOR_UNIQUE_ID, CUDNN_TYPE_INT64, 1, 1},
    {CUDNN_BACKEND_TENSOR_DESCRIPTOR, CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, CUDNN_TYPE_INT64, 1, 1},
    {CUDNN_BACKEND_TENSOR_DESCRIPTOR, CUDNN_ATTR_TENSOR_IS_VIRTUAL, CUDNN_TYPE_BOOLEAN, 0, 1},
    {CUDNN_BACKEND_POINTWISE_DESCRIPTOR, CUDNN_ATTR_POINTWISE_MODE, CUDNN_TYPE_POINTWISE_MODE, 1, 1},
    {CUDNN_BACKEND_POINTWISE_DESCRIPTOR, CUDNN_ATTR_POINTWISE_MATH_PREC, CUDNN_TYPE_DATA_TYPE, 1, 1},
    {CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR, CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR,
     CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, 1},
    {CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR, CUDNN_ATTR_OPERATION_POINTWISE_XDESC,
     CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, 1},
    {CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR, CUDNN_ATTR_OPERATION_POINTWISE_BDESC,
     CUDNN_TYPE_BACKEND_DESCRIPTOR, 0, 1},
    {CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR, CUDNN_ATTR_OPERATION_POINTWISE_YDESC,
     CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, 1},
    {CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR, CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS, CUDNN_TYPE_INT64, 1, 1},
    {CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR, CUDNN_ATTR_CONVOLUTION_COMP_TYPE, CUDNN_TYPE_DATA_TYPE, 1, 1},
    {CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR, CUDNN_ATTR_CONVOLUTION_CONV_MODE, CUDNN_TYPE_CONVOLUTION_MODE, 1,
     1},
    {CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR, CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS, CUDNN_TYPE_INT64, 2, 2},
    {CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR, CUDNN_ATTR_CONVOLUTION_POST_PADDINGS, CUDNN_TYPE_INT64, 2, 2},
    {CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR, CUDNN_ATTR_CONVOLUTION_DILATIONS, CUDNN_TYPE_INT64, 2, 2},
    {CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR, CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES, CUDNN_TYPE_INT64, 2, 2},
#define OPERATION(KIND, PREFIX, X, Y)                                                                        \
    {KIND, PREFIX##_CONV_DESC, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, 1},                                         \
        {KIND, PREFIX##_##X, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, 1},                                           \
        {KIND, PREFIX##_W, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, 1},                                             \
        {KIND, PREFIX##_##Y, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, 1},                                           \
        {KIND, PREFIX##_ALPHA, CUDNN_TYPE_FLOAT, 1, 1},                                                      \
    {                                                                                                        \
        KIND, PREFIX##_BETA, CUDNN_TYPE_FLOAT, 1, 1                                                          \
    }
    OPERATION(CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR,
              CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD, X, Y),
    OPERATION(CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR,
              CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA, DX, DY),
#undef OPERATION
    {CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR, CUDNN_ATTR_OPERATIONGRAPH_OPS, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1,
     3},
    {CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR, CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH,
     CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, 1},
    {CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR, CUDNN_ATTR_ENGINEHEUR_MODE, CUDNN_TYPE_HEUR_MODE, 1, 1},
    {CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR, CUDNN_ATTR_ENGINEHEUR_DEVICEPROP, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1,
     1},
    {CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR, CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG,
     CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, 1},
    {CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR, CUDNN_ATTR_EXECUTION_PLAN_DEVICEPROP,
     CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, 1},
    {CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR, CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, CUDNN_TYPE_INT64, 3, 4},
    {CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR, CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, CUDNN_TYPE_VOID_PTR, 3, 4},
    {CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR, CUDNN_ATTR_VARIANT_PACK_WORKSPACE, CUDNN_TYPE_VOID_PTR, 1, 1},
    {CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR, CUDNN_ATTR_DEVICEPROP_HANDLE, CUDNN_TYPE_HANDLE, 1, 1},
};

size_t bytes_of(cudnnBackendAttributeType_t type)
{
    switch (type) {
    case CUDNN_TYPE_INT64:
        return 8;
    case CUDNN_TYPE_BOOLEAN:
        return sizeof(bool);
    case CUDNN_TYPE_HANDLE:
    case CUDNN_TYPE_VOID_PTR:
    case CUDNN_TYPE_BACKEND_DESCRIPTOR:
        return sizeof(void *);
    default: /* enumerations and floats */
        return 4;
    }
}

cudnnStatus_t descriptor_create(cudnnBackendDescriptorType_t kind, cudnnBackendDescriptor_t *out)
{
    Descriptor *descriptor = new Descriptor();
    descriptor->kind = kind;
    *out = descriptor;
    self.held++;
    return CUDNN_STATUS_SUCCESS;
}
cudnnStatus_t descriptor_destroy(cudnnBackendDescriptor_t descriptor)
{
    delete static_cast<Descriptor *>(descriptor);
    self.held--;
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t set(cudnnBackendDescriptor_t to, cudnnBackendAttributeName_t name,
                  cudnnBackendAttributeType_t type, int64_t count, const void *values)
{
    Descriptor *descriptor = static_cast<Descriptor *>(to);
    if (descriptor->finalized) return no(CUDNN_STATUS_BAD_PARAM, "an attribute set after finalizing");
    for (const Attribute &attribute : known) {
        if (attribute.kind != descriptor->kind || attribute.name != name) continue;
        if (attribute.type != type || count < attribute.least || count > attribute.most)
            return no(CUDNN_STATUS_BAD_PARAM, "an attribute of another type or count");
        const char *bytes = static_cast<const char *>(values);
        descriptor->attributes[name].assign(bytes, bytes + (size_t)count * bytes_of(type));
        for (const void *part :
             type == CUDNN_TYPE_BACKEND_DESCRIPTOR ? descriptor->all<void *>(name) : std::vector<void *>())
            if (!static_cast<const Descriptor *>(part)->finalized)
                return no(CUDNN_STATUS_BAD_PARAM, "a part that was not finalized");
        return CUDNN_STATUS_SUCCESS;
    }
    return no(CUDNN_STATUS_NOT_SUPPORTED, "an attribute that this descriptor does not have");
}

/* A graph as numbers: a convolution or its gradient, then perhaps a bias and a ReLU. */
struct Convolution {
    bool forward, relu;
    Descriptor *x, *w, *y; /* y: what the last operation gives; dy for the gradient */
    Descriptor *bias;      /* NULL: none */
    int64_t B, I, O, T, K, padding;
    element type;
};

std::vector<int64_t> dims_of(const Descriptor *tensor)
{
    return tensor->all<int64_t>(CUDNN_ATTR_TENSOR_DIMENSIONS);
}

cudnnDataType_t type_of(const Descriptor *tensor)
{
    return tensor->one<cudnnDataType_t>(CUDNN_ATTR_TENSOR_DATA_TYPE);
}

bool is_virtual(const Descriptor *tensor)
{
    return tensor->one<char>(CUDNN_ATTR_TENSOR_IS_VIRTUAL) != 0;
}

/* The operations after a convolution; each has to take what the one before gave. */
cudnnStatus_t read_pointwise(const std::vector<void *> &operations, Convolution *c)
{
    for (size_t i = 1; i < operations.size(); i++) {
        const Descriptor *operation = static_cast<Descriptor *>(operations[i]);
        if (operation->kind != CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR || !c->forward)
            return no(CUDNN_STATUS_NOT_SUPPORTED, "a graph of another kind");
        if (operation->part(CUDNN_ATTR_OPERATION_POINTWISE_XDESC) != c->y || !is_virtual(c->y) ||
            type_of(c->y) != CUDNN_DATA_FLOAT)
            return no(CUDNN_STATUS_NOT_SUPPORTED, "operations that do not hang together by floats");
        const auto mode = operation->part(CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR)
                              ->one<cudnnPointwiseMode_t>(CUDNN_ATTR_POINTWISE_MODE);
        c->y = operation->part(CUDNN_ATTR_OPERATION_POINTWISE_YDESC);
        if (mode == CUDNN_POINTWISE_ADD)
            c->bias = operation->part(CUDNN_ATTR_OPERATION_POINTWISE_BDESC);
        else if (mode == CUDNN_POINTWISE_RELU_FWD)
            c->relu = true;
        else
            return no(CUDNN_STATUS_NOT_SUPPORTED, "a pointwise mode that is not known here");
        if (mode == CUDNN_POINTWISE_ADD && (!c->bias || c->relu))
            return no(CUDNN_STATUS_BAD_PARAM, "a sum of one, or after the ReLU");
    }
    return CUDNN_STATUS_SUCCESS;
}

/* Sizes, types and layout: channels innermost, as kernels/cuda/cudnn.c says. */
cudnnStatus_t check_tensors(const Convolution &c)
{
    if (dims_of(c.y) != std::vector<int64_t>{c.B, c.O, 1, c.T + 2 * c.padding - c.K + 1} ||
        dims_of(c.w) != std::vector<int64_t>{c.O, c.I, 1, c.K} ||
        (c.bias && dims_of(c.bias) != std::vector<int64_t>{1, c.O, 1, 1}))
        return no(CUDNN_STATUS_BAD_PARAM, "tensors that do not fit the convolution");
    for (const Descriptor *tensor : {c.x, c.w, c.y, c.bias}) {
        if (!tensor) continue;
        const auto dims = dims_of(tensor);
        if (tensor->all<int64_t>(CUDNN_ATTR_TENSOR_STRIDES) !=
            std::vector<int64_t>{dims[3] * dims[1], 1, dims[3] * dims[1], dims[1]})
            return no(CUDNN_STATUS_NOT_SUPPORTED, "a tensor whose channels are not innermost");
        if (type_of(tensor) != type_of(c.x) || is_virtual(tensor))
            return no(CUDNN_STATUS_NOT_SUPPORTED, "tensors of different types, or in no memory");
    }
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t read_graph(const Descriptor *graph, Convolution *out)
{
    const auto operations = graph->all<void *>(CUDNN_ATTR_OPERATIONGRAPH_OPS);
    const Descriptor *operation = static_cast<Descriptor *>(operations[0]), *shape;
    Convolution c = {};
    c.forward = operation->kind == CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR;
    if (c.forward) {
        shape = operation->part(CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC);
        c.x = operation->part(CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X);
        c.w = operation->part(CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W);
        c.y = operation->part(CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y);
    } else if (operation->kind == CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR) {
        shape = operation->part(CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_CONV_DESC);
        c.x = operation->part(CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DX);
        c.w = operation->part(CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_W);
        c.y = operation->part(CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DY);
    } else {
        return no(CUDNN_STATUS_NOT_SUPPORTED, "a graph that does not begin with a convolution");
    }
    const auto x = dims_of(c.x), w = dims_of(c.w);
    c.B = x[0], c.I = x[1], c.T = x[3], c.O = w[0], c.K = w[3];
    c.padding = shape->all<int64_t>(CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS)[1];
    c.type = type_of(c.x) == CUDNN_DATA_BFLOAT16 ? element::bf16 : element::f32;
    cudnnStatus_t status = read_pointwise(operations, &c);
    if (status == CUDNN_STATUS_SUCCESS) status = check_tensors(c);
    *out = c;
    return status;
}

/* Of a graph that was finalized. */
Convolution convolution_of(const Descriptor *graph)
{
    Convolution c;
    (void)read_graph(graph, &c);
    return c;
}

cudnnStatus_t finalize(cudnnBackendDescriptor_t handle)
{
    Descriptor *descriptor = static_cast<Descriptor *>(handle);
    for (const Attribute &attribute : known)
        if (attribute.kind == descriptor->kind && attribute.least > 0 &&
            !descriptor->attributes.count(attribute.name))
            return no(CUDNN_STATUS_BAD_PARAM, "an attribute is missing");
    cudnnStatus_t status = CUDNN_STATUS_SUCCESS;
    Convolution ignored;
    if (descriptor->kind == CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR)
        status = read_graph(descriptor, &ignored);
    if (descriptor->kind == CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR &&
        descriptor->part(CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG)->engine == NOT_FINISHED)
        return CUDNN_STATUS_NOT_SUPPORTED; /* which happens, and is nobody's mistake */
    if (descriptor->kind == CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR) self.plans++;
    descriptor->finalized = status == CUDNN_STATUS_SUCCESS;
    return status;
}

/* A configuration keeps its graph as attribute 0, the heuristic's. */
Descriptor *graph_of(const Descriptor *configuration)
{
    return configuration->part(CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH);
}

int64_t workspace_of(const Descriptor *plan)
{
    const Convolution c = convolution_of(graph_of(plan->part(CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG)));
    return c.O * c.K * c.I * 4; /* a copy of the filter in float */
}

cudnnStatus_t get(const cudnnBackendDescriptor_t from, cudnnBackendAttributeName_t name,
                  cudnnBackendAttributeType_t, int64_t most, int64_t *count, void *values)
{
    const Descriptor *descriptor = static_cast<const Descriptor *>(from);
    void **descriptors = static_cast<void **>(values);
    *count = 1;
    switch (name) {
    case CUDNN_ATTR_ENGINEHEUR_RESULTS:
        if (!descriptor->finalized) return no(CUDNN_STATUS_NOT_INITIALIZED, "a heuristic not finalized");
        if (self.refusing) return *count = 0, CUDNN_STATUS_SUCCESS;
        for (*count = 0; *count < ENGINES && *count < most; ++*count) {
            Descriptor *configuration = static_cast<Descriptor *>(descriptors[*count]);
            configuration->engine = (int)*count;
            configuration->attributes = descriptor->attributes;
            configuration->finalized = true;
        }
        return CUDNN_STATUS_SUCCESS;
    case CUDNN_ATTR_ENGINECFG_ENGINE:
        static_cast<Descriptor *>(descriptors[0])->engine = descriptor->engine;
        return CUDNN_STATUS_SUCCESS;
    case CUDNN_ATTR_ENGINE_NUMERICAL_NOTE: {
        const cudnnBackendNumericalNote_t notes[ENGINES] = {
            CUDNN_NUMERICAL_NOTE_NONDETERMINISTIC, CUDNN_NUMERICAL_NOTE_STRICT_NAN_PROP,
            CUDNN_NUMERICAL_NOTE_TENSOR_CORE, CUDNN_NUMERICAL_NOTE_STRICT_NAN_PROP};
        memcpy(values, &notes[descriptor->engine], sizeof notes[0]);
        return CUDNN_STATUS_SUCCESS;
    }
    case CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE: {
        const int64_t bytes = workspace_of(descriptor);
        memcpy(values, &bytes, sizeof bytes);
        return CUDNN_STATUS_SUCCESS;
    }
    default:
        return no(CUDNN_STATUS_NOT_SUPPORTED, "an attribute that nothing has");
    }
}

/* One output: y[b,t,o], or dx[b,t,i], whose sum runs the filter backwards. */
float output(const Convolution &c, element factors, const void *in, const float *w, int64_t b, int64_t t,
             int64_t f)
{
    const int64_t channels = c.forward ? c.I : c.O;
    float sum = 0;
    for (int64_t k = 0; k < c.K; k++) {
        const int64_t at = c.forward ? t + k - c.padding : t - k + c.padding;
        if (at < 0 || at >= c.T) continue;
        for (int64_t i = 0; i < channels; i++)
            sum += load(in, factors, (b * c.T + at) * channels + i) *
                   (c.forward ? w[(f * c.K + k) * c.I + i] : w[(i * c.K + k) * c.I + f]);
    }
    return sum;
}

cudnnStatus_t execute(cudnnHandle_t handle, cudnnBackendDescriptor_t plan_handle,
                      cudnnBackendDescriptor_t pack_handle)
{
    const Descriptor *plan = static_cast<Descriptor *>(plan_handle),
                     *pack = static_cast<Descriptor *>(pack_handle);
    if (!handle || !plan->finalized || !pack->finalized)
        return no(CUDNN_STATUS_NOT_INITIALIZED, "a plan or pack that was not finalized");
    const Descriptor *configuration = plan->part(CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG);
    const Convolution c = convolution_of(graph_of(configuration));
    const auto names = pack->all<int64_t>(CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS);
    const auto pointers = pack->all<void *>(CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS);
    void *workspace = pack->one<void *>(CUDNN_ATTR_VARIANT_PACK_WORKSPACE);
    auto pointer_of = [&](const Descriptor *tensor) -> void * {
        for (size_t i = 0; i < names.size() && i < pointers.size(); i++)
            if (names[i] == tensor->one<int64_t>(CUDNN_ATTR_TENSOR_UNIQUE_ID)) {
                int64_t bytes = (int64_t)size_of(c.type);
                for (int64_t n : tensor->all<int64_t>(CUDNN_ATTR_TENSOR_DIMENSIONS)) bytes *= n;
                const auto alignment = tensor->one<int64_t>(CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT);
                const bool fits = reinterpret_cast<uintptr_t>(pointers[i]) % (uintptr_t)alignment == 0;
                return fits && emu::device_holds(pointers[i], (size_t)bytes) ? pointers[i] : nullptr;
            }
        return nullptr;
    };
    void *x = pointer_of(c.x), *w = pointer_of(c.w), *y = pointer_of(c.y);
    const void *bias = c.bias ? pointer_of(c.bias) : nullptr;
    if (!x || !w || !y || (c.bias && !bias) || !emu::device_holds(workspace, (size_t)workspace_of(plan)))
        return no(CUDNN_STATUS_BAD_PARAM, "a tensor or workspace that is missing, misaligned or outside");
    const void *in = c.forward ? x : y;
    void *out = c.forward ? y : x;
    /* Tensor cores take floats as tf32; the plain engine takes them as they are. */
    const element factors =
        c.type == element::f32 && configuration->engine == TENSOR_CORES ? element::tf32 : c.type;
    const float factor = self.wrong ? 1.1f : 1;
    self.products++;
    const bool queued = emu::queue_work(reinterpret_cast<Handle *>(handle)->stream, self.ms, [=] {
        float *filter = static_cast<float *>(workspace);
        for (int64_t i = 0; i < c.O * c.K * c.I; i++) filter[i] = load(w, factors, i);
        const int64_t features = c.forward ? c.O : c.I;
        for (int64_t b = 0; b < c.B; b++)
            for (int64_t t = 0; t < c.T; t++)
                for (int64_t f = 0; f < features; f++) {
                    float value = factor * output(c, factors, in, filter, b, t, f);
                    if (bias) value += load(bias, c.type, f);
                    store(out, c.type, (b * c.T + t) * features + f, c.relu && value < 0 ? 0 : value);
                }
    });
    return queued ? CUDNN_STATUS_SUCCESS : no(CUDNN_STATUS_EXECUTION_FAILED, "no such stream");
}

cudnnStatus_t create(cudnnHandle_t *out)
{
    if (self.broken) return CUDNN_STATUS_NOT_INITIALIZED;
    *out = reinterpret_cast<cudnnHandle_t>(new Handle());
    self.opened++;
    self.held++;
    return CUDNN_STATUS_SUCCESS;
}
cudnnStatus_t destroy(cudnnHandle_t handle)
{
    delete reinterpret_cast<Handle *>(handle);
    self.held--;
    return CUDNN_STATUS_SUCCESS;
}
cudnnStatus_t set_stream(cudnnHandle_t handle, cudaStream_t stream)
{
    reinterpret_cast<Handle *>(handle)->stream = stream;
    return CUDNN_STATUS_SUCCESS;
}
size_t version()
{
    return 91900;
}
const char *error_string(cudnnStatus_t status)
{
    return status == CUDNN_STATUS_NOT_SUPPORTED ? "the stand-in does not support this"
                                                : "the stand-in refused";
}
void last_error(char *text, size_t size)
{
    strncpy(text, self.first_refusal ? self.first_refusal : "", size - 1);
}
} // namespace

stand_in_function cudnn_function(const char *name)
{
    static const struct {
        const char *name;
        stand_in_function function;
    } all[] = {
#define IS(theirs, our) {#theirs, reinterpret_cast<stand_in_function>(static_cast<decltype(&theirs)>(our))}
        IS(cudnnGetVersion, version),
        IS(cudnnGetErrorString, error_string),
        IS(cudnnGetLastErrorString, last_error),
        IS(cudnnCreate, create),
        IS(cudnnDestroy, destroy),
        IS(cudnnSetStream, set_stream),
        IS(cudnnBackendCreateDescriptor, descriptor_create),
        IS(cudnnBackendDestroyDescriptor, descriptor_destroy),
        IS(cudnnBackendSetAttribute, set),
        IS(cudnnBackendGetAttribute, get),
        IS(cudnnBackendFinalize, finalize),
        IS(cudnnBackendExecute, execute),
#undef IS
    };
    for (const auto &one : all)
        if (!strcmp(one.name, name)) return one.function;
    return nullptr;
}
