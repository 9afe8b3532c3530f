#include "tests/kernels/harness.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/log.h"
#include "kernels/backend.h"
#include "tests/kernels/compare.h"

/* kernels/ref compiled once more with sums in float; see ref.h. */
extern const vg_backend vg__backend_plain;

/* What an argument is to its operation. */
enum role {
    IN,
    OUT,     /* written: starts as not-a-number */
    ADD,     /* read and written: added to, or updated */
    SCRATCH, /* read, undefined afterwards */
    UNREAD,  /* undefined before and after */
    DROPOUT  /* a pointer to a vg_dropout */
};

/* FIXED: of this type for every backend (loss sums are F64 whatever the activations are). */
enum { FIXED = 1 };

struct field {
    const char *name;
    size_t offset;
    enum role role;
    int fixed;
};

enum { MAX_FIELDS = 16 };

#define FIELDS(op) static const struct field fields_##op[] =
#define F(op, name, role)                                                                                    \
    {                                                                                                        \
#name, offsetof(vg_##op##_args, name), role, 0                                                       \
    }
#define FIXED_F(op, name, role)                                                                              \
    {                                                                                                        \
#name, offsetof(vg_##op##_args, name), role, FIXED                                                   \
    }

/* clang-format off */
FIELDS(conv1d_forward) {
    F(conv1d_forward, x, IN), F(conv1d_forward, w, IN), F(conv1d_forward, b, IN), F(conv1d_forward, y, OUT),
    F(conv1d_forward, pre, OUT), F(conv1d_forward, dropout, DROPOUT)};
FIELDS(conv1d_backward) {
    F(conv1d_backward, dy, SCRATCH), F(conv1d_backward, x, IN), F(conv1d_backward, w, IN),
    F(conv1d_backward, y, IN), F(conv1d_backward, pre, IN), F(conv1d_backward, dx, OUT),
    F(conv1d_backward, dw, ADD), F(conv1d_backward, db, ADD), F(conv1d_backward, dropout, DROPOUT)};
FIELDS(linear_forward) {
    F(linear_forward, x, IN), F(linear_forward, w, IN), F(linear_forward, b, IN), F(linear_forward, y, OUT),
    F(linear_forward, pre, OUT), F(linear_forward, dropout, DROPOUT)};
FIELDS(linear_backward) {
    F(linear_backward, dy, SCRATCH), F(linear_backward, x, IN), F(linear_backward, w, IN),
    F(linear_backward, y, IN), F(linear_backward, pre, IN), F(linear_backward, dx, OUT /* see role_of */),
    F(linear_backward, dw, ADD), F(linear_backward, db, ADD), F(linear_backward, dropout, DROPOUT)};
FIELDS(attention_forward) {
    F(attention_forward, qkv, IN), F(attention_forward, out, OUT), F(attention_forward, lse, OUT),
    F(attention_forward, dropout, DROPOUT)};
FIELDS(attention_backward) {
    F(attention_backward, dout, IN), F(attention_backward, qkv, IN), F(attention_backward, out, IN),
    F(attention_backward, lse, IN), F(attention_backward, dqkv, OUT), F(attention_backward, delta, UNREAD),
    F(attention_backward, dropout, DROPOUT)};
FIELDS(layernorm_forward) {
    F(layernorm_forward, x, IN), F(layernorm_forward, gamma, IN), F(layernorm_forward, beta, IN),
    F(layernorm_forward, y, OUT), F(layernorm_forward, mean, OUT), F(layernorm_forward, rstd, OUT),
    F(layernorm_forward, dropout, DROPOUT)};
FIELDS(layernorm_backward) {
    F(layernorm_backward, dy, IN), F(layernorm_backward, x, IN), F(layernorm_backward, gamma, IN),
    F(layernorm_backward, beta, IN), F(layernorm_backward, mean, IN), F(layernorm_backward, rstd, IN),
    F(layernorm_backward, dx, OUT), F(layernorm_backward, dgamma, ADD), F(layernorm_backward, dbeta, ADD),
    F(layernorm_backward, dropout, DROPOUT)};
FIELDS(residual_layernorm_forward) {
    F(residual_layernorm_forward, x, IN), F(residual_layernorm_forward, residual, IN),
    F(residual_layernorm_forward, gamma, IN), F(residual_layernorm_forward, beta, IN),
    F(residual_layernorm_forward, z, OUT), F(residual_layernorm_forward, y, OUT),
    F(residual_layernorm_forward, mean, OUT), F(residual_layernorm_forward, rstd, OUT),
    F(residual_layernorm_forward, dropout, DROPOUT)};
FIELDS(residual_layernorm_backward) {
    F(residual_layernorm_backward, dy, IN), F(residual_layernorm_backward, dz, IN),
    F(residual_layernorm_backward, z, IN), F(residual_layernorm_backward, gamma, IN),
    F(residual_layernorm_backward, mean, IN), F(residual_layernorm_backward, rstd, IN),
    F(residual_layernorm_backward, dresidual, OUT), F(residual_layernorm_backward, dx, OUT),
    F(residual_layernorm_backward, dgamma, ADD), F(residual_layernorm_backward, dbeta, ADD),
    F(residual_layernorm_backward, dropout, DROPOUT)};
FIELDS(tokens_forward) {
    F(tokens_forward, x, IN), F(tokens_forward, cls, IN), F(tokens_forward, position, IN),
    F(tokens_forward, out, OUT), F(tokens_forward, before, DROPOUT), F(tokens_forward, after, DROPOUT)};
FIELDS(tokens_backward) {
    F(tokens_backward, dout, IN), F(tokens_backward, dx, OUT), F(tokens_backward, dcls, ADD),
    F(tokens_backward, before, DROPOUT), F(tokens_backward, after, DROPOUT)};
FIELDS(pool_forward) {
    F(pool_forward, x, IN), F(pool_forward, y, OUT), F(pool_forward, chosen, OUT)};
FIELDS(pool_backward) {
    F(pool_backward, dy, IN), F(pool_backward, dx, OUT), F(pool_backward, chosen, IN)};
FIELDS(gather) {
    F(gather, signal, IN), F(gather, start, IN), FIXED_F(gather, mean, IN), FIXED_F(gather, scale, IN),
    F(gather, index, IN), F(gather, y, OUT)};
FIELDS(mask_forward) {
    F(mask_forward, x, IN), F(mask_forward, segment, IN), F(mask_forward, y, OUT), F(mask_forward, mask, OUT),
    F(mask_forward, learned, IN)};
FIELDS(mask_backward) {
    F(mask_backward, dy, IN), F(mask_backward, mask, IN), F(mask_backward, dlearned, ADD)};
FIELDS(masked_mse) {
    F(masked_mse, prediction, IN), F(masked_mse, target, IN), F(masked_mse, mask, IN),
    F(masked_mse, dprediction, OUT), FIXED_F(masked_mse, stats, ADD)};
FIELDS(bce) {
    F(bce, logit, IN), F(bce, label, IN), F(bce, dlogit, OUT), FIXED_F(bce, stats, ADD)};
FIELDS(grad_norm) {
    F(grad_norm, gradient, IN), FIXED_F(grad_norm, sum, ADD)};
FIELDS(adamw) {
    F(adamw, parameter, ADD), F(adamw, gradient, IN), F(adamw, m, ADD), F(adamw, v, ADD),
    F(adamw, copy, OUT), FIXED_F(adamw, count, IN), FIXED_F(adamw, norm_squared, IN)};
/* clang-format on */

/* An operation without its list does not compile. */
static const struct {
    const struct field *fields;
    int count;
    size_t size;
} operations[VG_KERNEL_COUNT] = {
#define VG_KERNEL(op, summary)                                                                               \
    [VG_KERNEL_##op] = {fields_##op, sizeof fields_##op / sizeof *fields_##op, sizeof(vg_##op##_args)},
#include "kernels/kernels.def"
#undef VG_KERNEL
};

/* Operations whose sums oneDNN takes in an order of its own, which may depend on the number of threads. */
static bool library_orders_the_sums(vg_kernel_id id)
{
    return id == VG_KERNEL_conv1d_forward || id == VG_KERNEL_conv1d_backward ||
           id == VG_KERNEL_linear_forward || id == VG_KERNEL_linear_backward;
}

/* Operations that are made of matrix products. */
static bool multiplies(vg_kernel_id id)
{
    return library_orders_the_sums(id) || id == VG_KERNEL_attention_forward ||
           id == VG_KERNEL_attention_backward;
}

vg_status harness_call(vg_kernels *kernels, vg_kernel_id id, const void *args)
{
    switch (id) {
#define VG_KERNEL(op, summary)                                                                               \
    case VG_KERNEL_##op:                                                                                     \
        return kernels->table.op(kernels, args);
#include "kernels/kernels.def"
#undef VG_KERNEL
    case VG_KERNEL_COUNT:
        break;
    }
    return vg_fail(VG_ERR_NOT_FOUND, "no operation %d", (int)id);
}

vg_device *harness_device;
vg_kernels *harness_ref;
vg_random harness_random;
static vg_random shaking;

enum { MAX_BACKENDS = 8 };
static harness_backend backends[MAX_BACKENDS];
static vg_kernels plain;
static int backend_count;
static double worst[MAX_BACKENDS]; /* error / tolerance */
static const char *worst_name[MAX_BACKENDS];
static int refusals[VG_KERNEL_COUNT]; /* cases whose arguments were spoilt */
static int threads_differ[MAX_BACKENDS], compared[MAX_BACKENDS];

__attribute__((weak)) int harness_open(harness_backend *out, int most)
{
    int count = 0;
    for (; vg_kernels_backend(count); count++) {
        assert_true(count < most);
        out[count] = (harness_backend){.type = VG_F32};
        assert_ok(vg_kernels_create(harness_device, vg_kernels_backend(count), false, &out[count].kernels));
    }
    return count;
}

static bool serves(const vg_kernels *kernels, vg_kernel_id id)
{
    switch (id) {
#define VG_KERNEL(op, summary)                                                                               \
    case VG_KERNEL_##op:                                                                                     \
        return kernels->table.op != NULL;
#include "kernels/kernels.def"
#undef VG_KERNEL
    case VG_KERNEL_COUNT:
        break;
    }
    return false;
}

bool harness_serves(vg_kernel_id id)
{
    for (int i = 0; i < backend_count; i++)
        if (serves(backends[i].kernels, id)) return true;
    return false;
}

int harness_setup(void **state)
{
    (void)state;
    harness_random = vg_random_make(support_seed(), VG_SITE_SYNTHETIC, 0);
    shaking = vg_random_make(support_seed(), VG_SITE_SYNTHETIC, 1);
    printf("%s grid\n", HARNESS_REDUCED ? "a sanitizer is on: reduced" : "full");
    vg_log_set_level(VG_LOG_WARN);
    assert_ok(vg_device_create_host(&harness_device));
    assert_ok(vg_kernels_create(harness_device, "ref", true, &harness_ref));
    plain = (vg_kernels){.table = *vg__backend_plain.table, .backend = "plain", .device = harness_device};
    backend_count = harness_open(backends, MAX_BACKENDS);
    assert_true(backend_count > 0 && backend_count <= MAX_BACKENDS);
    return 0;
}

int harness_teardown(void **state)
{
    (void)state;
    harness_clear();
    for (int i = 0; i < backend_count; i++) vg_kernels_destroy(backends[i].kernels);
    vg_kernels_destroy(harness_ref);
    vg_device_destroy(harness_device);
    return 0;
}

/* Templates. */

static struct block {
    struct block *next;
    max_align_t data[];
} * blocks;

void *harness_memory(size_t bytes)
{
    struct block *block = calloc(1, sizeof *block + bytes + 1);
    assert_non_null(block);
    block->next = blocks;
    blocks = block;
    return block->data;
}

void harness_clear(void)
{
    while (blocks) {
        struct block *next = blocks->next;
        free(blocks);
        blocks = next;
    }
}

vg_tensor zeros(int rank, const int64_t *dims)
{
    vg_tensor tensor = vg_tensor_make(NULL, VG_F64, rank, dims);
    tensor.data = harness_memory(vg_tensor_bytes(&tensor));
    return tensor;
}

vg_tensor empty_like(vg_tensor tensor, vg_dtype dtype)
{
    tensor.dtype = dtype;
    tensor.data = harness_memory(vg_tensor_bytes(&tensor));
    return tensor;
}

void to_float(vg_tensor tensor)
{
    double *values = tensor.data;
    for (int64_t i = 0; i < vg_tensor_count(&tensor); i++) values[i] = (double)(float)values[i];
}

vg_tensor normal(double mean, double deviation, int rank, const int64_t *dims)
{
    vg_tensor tensor = zeros(rank, dims);
    double *values = tensor.data;
    for (int64_t i = 0; i < vg_tensor_count(&tensor); i++)
        values[i] = mean + deviation * vg_random_normal(&harness_random);
    to_float(tensor);
    return tensor;
}

vg_tensor segments(int64_t B)
{
    vg_tensor numbers = empty_like(zeros(VG_DIMS(B)), VG_I64);
    int64_t first = vg_random_word(&harness_random) & 0xfffffff;
    for (int64_t b = 0; b < B; b++) ((int64_t *)numbers.data)[b] = first + 3 * b;
    return numbers;
}

const vg_dropout *dropout_for(double probability, vg_tensor numbers)
{
    vg_dropout *dropout = harness_memory(sizeof *dropout);
    *dropout = (vg_dropout){.probability = (float)probability,
                            .site = VG_SITE_DROPOUT + (vg_random_word(&harness_random) & 0xff),
                            .seed = (uint64_t)vg_random_word(&harness_random) << 20,
                            .epoch = vg_random_word(&harness_random) & 0xff,
                            .segment = numbers};
    return dropout;
}

const vg_dropout *dropout_of(double probability, int64_t B)
{
    static bool as_null;
    if (probability == 0 && (as_null = !as_null)) return NULL;
    if (probability == 0) return dropout_for(0, (vg_tensor){0});
    return dropout_for(probability, segments(B));
}

/* Runs. */

/* An operation's outputs as doubles, and as the bytes they were. */
typedef struct result {
    double *values[MAX_FIELDS];
    void *bytes[MAX_FIELDS];
    size_t count[MAX_FIELDS], size[MAX_FIELDS];
} result;

static void result_free(result *r)
{
    for (int i = 0; i < MAX_FIELDS; i++) {
        free(r->values[i]);
        free(r->bytes[i]);
    }
}

static enum role role_of(vg_kernel_id id, const struct field *field, const void *args)
{
    if (id == VG_KERNEL_linear_backward && !strcmp(field->name, "dx") &&
        ((const vg_linear_backward_args *)args)->add_to_dx)
        return ADD;
    return field->role;
}

static bool is_floating(vg_dtype dtype)
{
    return dtype == VG_F64 || dtype == VG_F32 || dtype == VG_BF16;
}

/* The template's data in the type of the run, each value rounded to `grain` first, so that `ref` in double
 * sees what a backend of that type does, and moved at random by up to half of `shake`, a share of itself. */
static void *converted(const vg_tensor *from, vg_dtype to, vg_dtype grain, double shake)
{
    int64_t count = vg_tensor_count(from);
    void *bytes = malloc((size_t)count * vg_dtype_size(to) + 1);
    assert_non_null(bytes);
    for (int64_t i = 0; i < count && is_floating(to); i++) {
        double value = ((const double *)from->data)[i];
        if (grain == VG_BF16) value = (double)vg_bf16_to_float(vg_bf16_from_float((float)value));
        if (shake > 0) value *= 1 + (vg_random_uniform(&shaking) - 0.5) * shake;
        if (to == VG_F64) ((double *)bytes)[i] = value;
        if (to == VG_F32) ((float *)bytes)[i] = (float)value;
        if (to == VG_BF16) ((uint16_t *)bytes)[i] = vg_bf16_from_float((float)value);
    }
    if (!is_floating(to)) memcpy(bytes, from->data, vg_tensor_bytes(from));
    return bytes;
}

/* Statistics, gradients of parameters and what the optimiser works on are F32 where the activations are BF16
 * (kernels.h). */
static bool is_statistic(const struct field *field)
{
    static const char *const names[] = {"mean", "rstd",   "lse",       "delta",    "dw",
                                        "db",   "dgamma", "dbeta",     "dcls",     "dlearned",
                                        "m",    "v",      "parameter", "gradient", "signal"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (!strcmp(field->name, names[i])) return true;
    return false;
}

/* The type of a floating argument in a run of this type. */
static vg_dtype type_of(const struct field *field, vg_dtype type)
{
    if (field->fixed) return VG_F64;
    if (!strcmp(field->name, "copy")) return VG_BF16;
    return type == VG_BF16 && is_statistic(field) ? VG_F32 : type;
}

static double as_double(const void *bytes, vg_dtype dtype, size_t i)
{
    switch (dtype) {
    case VG_F64:
        return ((const double *)bytes)[i];
    case VG_F32:
        return (double)((const float *)bytes)[i];
    case VG_BF16:
        return (double)vg_bf16_to_float(((const uint16_t *)bytes)[i]);
    case VG_U8:
        return ((const uint8_t *)bytes)[i];
    case VG_I32:
        return ((const int32_t *)bytes)[i];
    case VG_I64:
        return (double)((const int64_t *)bytes)[i];
    }
    fail_msg("an unknown type");
    return NAN;
}

/* One guarded copy of one argument. */
typedef struct placed {
    guarded block;
    const void *template; /* arguments that share memory in the template share the copy */
    bool written;
} placed;

/* `grain` is the type of the backend that is judged, `type` that of this run. */
static result run(vg_kernels *kernels, vg_kernel_id id, const void *template, vg_dtype type, vg_dtype grain,
                  double shake, const char *label)
{
    const struct field *fields = operations[id].fields;
    int count = operations[id].count, used = 0;
    placed places[MAX_FIELDS];
    int place_of[MAX_FIELDS];
    vg_dropout dropouts[MAX_FIELDS];
    char *args = malloc(operations[id].size);
    assert_non_null(args);
    memcpy(args, template, operations[id].size);
    result r = {0};

    for (int i = 0; i < count; i++) {
        place_of[i] = -1;
        vg_tensor *tensor = (vg_tensor *)(void *)(args + fields[i].offset);
        if (fields[i].role == DROPOUT) {
            const vg_dropout **pointer = (const vg_dropout **)(void *)(args + fields[i].offset);
            if (!*pointer) continue;
            dropouts[i] = **pointer;
            *pointer = &dropouts[i];
            tensor = &dropouts[i].segment;
        }
        if (!tensor->data) continue;
        enum role role = role_of(id, &fields[i], template);
        bool written = role != IN && role != DROPOUT;
        for (int j = 0; j < used; j++)
            if (places[j].template == tensor->data) place_of[i] = j;
        if (is_floating(tensor->dtype)) tensor->dtype = type_of(&fields[i], type);
        if (place_of[i] < 0) {
            place_of[i] = used;
            vg_tensor from = *tensor;
            if (is_floating(from.dtype)) from.dtype = VG_F64;
            bool blank = role == OUT || role == UNREAD;
            /* An output that shares the memory of an input listed later starts with that input. */
            for (int j = i + 1; j < count && blank; j++)
                if (fields[j].role == IN &&
                    ((const vg_tensor *)(const void *)(args + fields[j].offset))->data == from.data)
                    blank = false;
            void *bytes = blank ? NULL
                                : converted(&from, tensor->dtype, type_of(&fields[i], grain),
                                            fields[i].fixed ? 0 : shake);
            places[used++] =
                (placed){guarded_make(kernels->device, bytes, vg_tensor_bytes(tensor)), from.data, false};
            free(bytes);
        }
        places[place_of[i]].written |= written;
        tensor->data = places[place_of[i]].block.data;
    }

    vg_status status = harness_call(kernels, id, args);
    if (status != VG_OK)
        fail_msg("%s on %s, %s: %s (%s)", vg_kernel_name(id), kernels->backend, label, vg_status_name(status),
                 vg_cause());

    for (int i = 0; i < count; i++) {
        if (place_of[i] < 0) continue;
        const placed *place = &places[place_of[i]];
        const vg_tensor *tensor = (const vg_tensor *)(const void *)(args + fields[i].offset);
        enum role role = role_of(id, &fields[i], template);
        if (!place->written && !guarded_unchanged(&place->block))
            fail_msg("%s on %s, %s: %s is an input and was changed", vg_kernel_name(id), kernels->backend,
                     label, fields[i].name);
        bool output = role == OUT || role == ADD;
        if (output) {
            r.size[i] = place->block.bytes;
            r.count[i] = (size_t)vg_tensor_count(tensor);
            r.bytes[i] = malloc(r.size[i] + 1);
            r.values[i] = malloc(r.count[i] * sizeof(double) + 1);
            assert_true(r.bytes[i] && r.values[i]);
        }
        if (!guarded_read(&place->block, output ? r.bytes[i] : NULL))
            fail_msg("%s on %s, %s: written outside %s", vg_kernel_name(id), kernels->backend, label,
                     fields[i].name);
        for (size_t k = 0; output && k < r.count[i]; k++)
            r.values[i][k] = as_double(r.bytes[i], tensor->dtype, k);
    }
    for (int i = 0; i < used; i++) guarded_free(&places[i].block);
    free(args);
    return r;
}

static bool same_bits(const result *a, const result *b, int i)
{
    return a->size[i] == b->size[i] && (!a->size[i] || !memcmp(a->bytes[i], b->bytes[i], a->size[i]));
}

/* The tolerance. A backend may be wrong by twice (backward: three times) what the plain float loops are wrong
 * by: a tolerance that knows the operation, the sizes and the values, which no constant does. Three things
 * keep it from being unfair when the plain loops happen to be lucky:
 * - how far the exact result moves when each input moves within half a unit of its last place (of tf32's last
 *   place, for the products of a backend that rounds their factors so); no one who computes in that type can
 * be asked for more, as that is where cancellation shows;
 * - four units in the last place of the result (8 * 2^-24), for a value that is exact in the plain loops, say
 *   a power of two; of a bf16 result one unit (2^-8), for a value that lies between two and is rounded to the
 *   other;
 * - the error of few elements is a small sample: over n elements its norm is known to about 1 / sqrt(n) only,
 *   so the factor grows to 5 times itself at n = 1 and is itself when n is large. */
static double bound(double factor, double plain_error, double shaken_error, double size, size_t n,
                    vg_dtype type)
{
    double slack = type == VG_BF16 ? 0x1p-8 : 8 * 0x1p-24;
    return factor * (1 + 4 / sqrt((double)n)) * fmax(plain_error, shaken_error) + slack * size;
}

static void judge(int backend, vg_kernel_id id, const void *template, const char *label, const result *got,
                  const result *want, const result *loops, const result *shaken)
{
    bool backward = strstr(vg_kernel_name(id), "backward") != NULL;
    double factor = backward ? 3 : 2;
    for (int i = 0; i < operations[id].count; i++) {
        size_t n = want->count[i];
        const struct field *field = &operations[id].fields[i];
        assert_int_equal(got->count[i], n);
        if (n == 0) continue;
        const vg_tensor *tensor = (const vg_tensor *)(const void *)((const char *)template + field->offset);
        compared[backend]++;
        if (!is_floating(tensor->dtype)) { /* choices are the same choices */
            if (!same_bits(got, want, i))
                fail_msg("%s on %s, %s: %s differs from ref", vg_kernel_name(id),
                         backends[backend].kernels->backend, label, field->name);
            continue;
        }
        vg_dtype type = type_of(field, backends[backend].type);
        comparison error = compare(got->values[i], n, want->values[i], n);
        comparison plain_error = compare(loops->values[i], n, want->values[i], n);
        comparison shake = compare(shaken->values[i], n, want->values[i], n);
        double norm_bound = bound(factor, plain_error.norm_error, shake.norm_error, error.norm, n, type);
        double max_bound = bound(factor, plain_error.max_error, shake.max_error, error.max, n, type);
        if (!(error.norm_error <= norm_bound && error.max_error <= max_bound))
            fail_msg(
                "%s on %s, %s: %s: error %.3g by norm (at most %.3g; plain %.3g, size %.3g), %.3g at worst "
                "(at most %.3g; plain %.3g, size %.3g), over %zu",
                vg_kernel_name(id), backends[backend].kernels->backend, label, field->name, error.norm_error,
                norm_bound, plain_error.norm_error, error.norm, error.max_error, max_bound,
                plain_error.max_error, error.max, n);
        double share = fmax(norm_bound > 0 ? error.norm_error / norm_bound : 0,
                            max_bound > 0 ? error.max_error / max_bound : 0);
        if (share > worst[backend]) {
            worst[backend] = share;
            worst_name[backend] = vg_kernel_name(id);
        }
    }
}

/* Arguments that an operation can do without. */
static bool optional(const char *name)
{
    static const char *const names[] = {"dx", "dz", "dprediction", "dlogit", "count", "copy"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (!strcmp(name, names[i])) return true;
    return false;
}

/* Arguments whose length is nobody else's: a longer one is as good. */
static bool any_length(vg_kernel_id id, const char *name)
{
    return (id == VG_KERNEL_grad_norm && !strcmp(name, "gradient")) ||
           (id == VG_KERNEL_gather && (!strcmp(name, "signal") || !strcmp(name, "y")));
}

static void refused(vg_kernels *kernels, vg_kernel_id id, const void *args, const char *name, const char *how)
{
    vg_status status = harness_call(kernels, id, args);
    if (status != VG_ERR_SHAPE || !strstr(vg_cause(), vg_kernel_name(id)))
        fail_msg("%s on %s with %s %s: %s (%s)", vg_kernel_name(id), kernels->backend, name, how,
                 vg_status_name(status), status ? vg_cause() : "");
}

/* A call that would have worked, with one argument at a time spoilt, is refused by name on every backend
 * before anything is read or written (the data still lies in the template, as doubles: a backend that went on
 * would be caught by the address sanitizer, or change what the case compares next). */
static void check_refusals(vg_kernel_id id, const void *template)
{
    const struct field *fields = operations[id].fields;
    char *args = malloc(operations[id].size);
    assert_non_null(args);
    for (int backend = 0; backend < backend_count; backend++) {
        vg_kernels *kernels = backends[backend].kernels;
        if (!serves(kernels, id)) continue;
        for (int i = 0; i < operations[id].count; i++) {
            vg_tensor *tensor = (vg_tensor *)(void *)(args + fields[i].offset);
            for (int spoil = 0; spoil < 4; spoil++) {
                memcpy(args, template, operations[id].size);
                for (int j = 0; j < operations[id].count; j++) {
                    vg_tensor *other = (vg_tensor *)(void *)(args + fields[j].offset);
                    if (fields[j].role != DROPOUT && other->dtype == VG_F64 && fields[j].fixed != FIXED)
                        other->dtype = type_of(&fields[j], VG_F32);
                }
                if (fields[i].role == DROPOUT) {
                    vg_dropout dropout = {.probability = spoil & 1 ? NAN : 1.0F};
                    *(const vg_dropout **)(void *)(args + fields[i].offset) = &dropout;
                    refused(kernels, id, args, fields[i].name, "of probability 1 or not-a-number");
                    continue;
                }
                if (!tensor->data) continue;
                switch (spoil) {
                case 0:
                    tensor->rank--;
                    refused(kernels, id, args, fields[i].name, "of a smaller rank");
                    break;
                case 1:
                    if (any_length(id, fields[i].name)) break;
                    tensor->dims[tensor->rank - 1]++;
                    refused(kernels, id, args, fields[i].name, "longer by one");
                    break;
                case 2:
                    tensor->dtype = tensor->dtype == VG_I32 ? VG_F32 : VG_I32;
                    refused(kernels, id, args, fields[i].name, "of another type");
                    break;
                default:
                    if (optional(fields[i].name)) break;
                    tensor->data = NULL;
                    refused(kernels, id, args, fields[i].name, "absent");
                }
            }
        }
    }
    free(args);
}

static bool nothing_empty(vg_kernel_id id, const void *template)
{
    for (int i = 0; i < operations[id].count; i++) {
        const vg_tensor *tensor =
            (const vg_tensor *)(const void *)((const char *)template + operations[id].fields[i].offset);
        if (operations[id].fields[i].role != DROPOUT && tensor->data && vg_tensor_count(tensor) == 0)
            return false;
    }
    return true;
}

static void check_same(const harness_backend *backend, vg_kernel_id id, const result *a, const result *b,
                       const char *label, const char *what)
{
    for (int i = 0; i < operations[id].count; i++)
        if (!same_bits(a, b, i))
            fail_msg("%s on %s, %s: %s gives different bits in %s", vg_kernel_name(id),
                     backend->kernels->backend, label, what, operations[id].fields[i].name);
}

/* All orders for what is small, three for what is not, one for what is large. */
static int orders_for(const harness_backend *backend, const result *r)
{
    size_t elements = 0;
    for (int i = 0; i < MAX_FIELDS; i++) elements += r->count[i];
    int most = elements > 100000 ? 1 : elements > 20000 ? 3 : backend->orders;
    return backend->orders < most ? backend->orders : most;
}

/* The same on two threads, twice; `one` is what a single thread gave. */
static void check_threads(int index, vg_kernel_id id, const void *template, const char *label,
                          const result *one, const result *want, const result *loops, const result *shaken)
{
    const harness_backend *backend = &backends[index];
    vg_kernels_set_threads(2);
    result two = run(backend->kernels, id, template, backend->type, backend->type, 0, label);
    result again = run(backend->kernels, id, template, backend->type, backend->type, 0, label);
    judge(index, id, template, label, &two, want, loops, shaken);
    check_same(backend, id, &two, &again, label, "a second run");
    if (!library_orders_the_sums(id))
        check_same(backend, id, one, &two, label, "a second thread");
    else
        for (int i = 0; i < operations[id].count; i++) threads_differ[index] += !same_bits(one, &two, i);
    result_free(&two);
    result_free(&again);
}

static void check_backend(int index, vg_kernel_id id, const void *template, const char *label)
{
    const harness_backend *backend = &backends[index];
    vg_kernels *kernels = backend->kernels;
    vg_dtype type = backend->type;
    if (!serves(kernels, id)) return;
    double width = backend->tf32 && multiplies(id) ? 0x1p-10 : 0x1p-23;
    result want = run(harness_ref, id, template, VG_F64, type, 0, label);
    result shaken = run(harness_ref, id, template, VG_F64, type, width, label);
    result loops = run(&plain, id, template, type, type, 0, label);
    vg_kernels_set_threads(1);
    result one = run(kernels, id, template, type, type, 0, label);
    judge(index, id, template, label, &one, &want, &loops, &shaken);
    for (int order = 0; order < orders_for(backend, &one); order++) {
        backend->set_order(order);
        result other = run(kernels, id, template, type, type, 0, label);
        check_same(backend, id, &one, &other, label, "another order of threads");
        result_free(&other);
    }
    if (!backend->orders) check_threads(index, id, template, label, &one, &want, &loops, &shaken);
    vg_kernels_set_threads(0);
    result_free(&one);
    result_free(&want);
    result_free(&shaken);
    result_free(&loops);
}

void harness_check(vg_kernel_id id, const void *template, const char *label)
{
    if (refusals[id] < 4 && nothing_empty(id, template)) {
        check_refusals(id, template);
        refusals[id]++;
    }
    for (int backend = 0; backend < backend_count; backend++) check_backend(backend, id, template, label);
}

int harness_refusals(vg_kernel_id id)
{
    return refusals[id];
}

void harness_summary(void)
{
    for (int i = 0; i < backend_count; i++) {
        int own = 0;
        const vg_kernels *kernels = backends[i].kernels;
        for (int k = 0; k < VG_KERNEL_COUNT; k++)
            own += kernels->served_by[k] && !strcmp(kernels->served_by[k], kernels->backend);
        printf(
            "%s: serves %d of %d operations itself; %d outputs compared, nearest to its tolerance %.2f (%s); "
            "%d outputs of linear and conv1d depend on the number of threads\n",
            kernels->backend, own, VG_KERNEL_COUNT, compared[i], worst[i],
            worst_name[i] ? worst_name[i] : "none", threads_differ[i]);
    }
}
