#include "experiments/runner/plan/work.h"

#include <math.h>
#include <string.h>

#include "experiments/runner/bench/cases.h"

static const struct {
    const char *prefix, *text;
} parts[] = {
#define PART(name, prefix, text) {prefix, text},
    VG_PLAN_PART_MAP(PART)
#undef PART
};

const char *vg_plan_part_name(vg_plan_part part)
{
    return parts[part].text;
}

const char *vg_plan_kind_name(vg_plan_kind kind)
{
    static const char *const names[] = {"linear", "attention", "convolution", "rest"};
    return names[kind];
}

static vg_status count_one(const vg_parameter *parameter, void *context)
{
    vg_plan_parameters *sums = context;
    const int64_t count = vg_tensor_count(&parameter->value);
    int part = 0;
    while (strncmp(parameter->name, parts[part].prefix, strlen(parts[part].prefix)) != 0) part++;
    sums->part[part] += count;
    sums->total += count;
    sums->matrices += parameter->decay;
    return VG_OK;
}

/* Of one element in all slabs of parameters (params.h): the value, an F32 gradient, and an F32 master where
 * the value is rounded. */
static double element_bytes(const vg_model_options *model)
{
    const double value = (double)vg_dtype_size(model->dtype);
    return value + 4 + (model->dtype == VG_BF16 ? 4 : 0);
}

vg_status vg_plan_count_parameters(const vg_model_options *model, vg_plan_parameters *out)
{
    vg_model_memory memory;
    *out = (vg_plan_parameters){0};
    VG_TRY(vg_model_visit_parameters(model, count_one, out));
    VG_TRY(vg_model_measure(model, &memory));
    out->padded = (int64_t)((double)memory.parameters / element_bytes(model));
    return VG_OK;
}

vg_status vg_plan_measure(const vg_model_options *model, const vg_plan_rates *rates, double corpus,
                          vg_plan_memory *out)
{
    vg_model_memory needs;
    VG_TRY(vg_model_measure(model, &needs));
    const double elements = (double)needs.parameters / element_bytes(model);
    *out = (vg_plan_memory){.values = elements * (double)vg_dtype_size(model->dtype),
                            .masters = model->dtype == VG_BF16 ? elements * 4 : 0,
                            .gradients = elements * 4,
                            .moments = (double)needs.optimizer,
                            .activations = (double)needs.activations,
                            .activation_gradients = (double)needs.gradients,
                            .inputs = (double)needs.inputs,
                            .total = (double)needs.total};
    if (!rates->on_host && corpus > 0 && corpus <= (rates->memory_size - out->total) / 4)
        out->corpus = corpus;
    out->total += out->corpus;
    return VG_OK;
}

vg_status vg_plan_largest_batch(const vg_model_options *model, double memory, int64_t *out)
{
    vg_model_options tried = *model;
    int64_t fits = 0, too_many = (int64_t)1 << 24;
    while (too_many - fits > 1) {
        vg_model_memory needs;
        tried.max_batch = fits + (too_many - fits) / 2;
        vg_status status = vg_model_measure(&tried, &needs);
        if (status != VG_OK && status != VG_ERR_SHAPE) return status; /* ERR_SHAPE: too large to address */
        if (status == VG_OK && (double)needs.total <= memory * 7 / 8)
            fits = tried.max_batch;
        else
            too_many = tried.max_batch;
    }
    *out = fits;
    return VG_OK;
}

static vg_plan_kind kind_of(vg_kernel_id id)
{
    switch (id) {
    case VG_KERNEL_linear_forward:
    case VG_KERNEL_linear_backward:
        return VG_PLAN_LINEAR;
    case VG_KERNEL_attention_forward:
    case VG_KERNEL_attention_backward:
        return VG_PLAN_ATTENTION;
    case VG_KERNEL_conv1d_forward:
    case VG_KERNEL_conv1d_backward:
        return VG_PLAN_CONVOLUTION;
    default:
        return VG_PLAN_REST;
    }
}

static vg_plan_pass pass_of(vg_kernel_id id)
{
    if (id == VG_KERNEL_grad_norm || id == VG_KERNEL_adamw) return VG_PLAN_OPTIMIZER;
    return strstr(vg_kernel_name(id), "_backward") ? VG_PLAN_BACKWARD : VG_PLAN_FORWARD;
}

vg_plan_work vg_plan_count_work(const vg_model_options *model, const vg_plan_rates *rates, int64_t batch,
                                bool frozen)
{
    vg_bench_case cases[VG_BENCH_MAX_CASES];
    const bool learned = model->masking.fill == VG_MASK_LEARNED;
    const int count = vg_bench_cases(&model->config, batch, learned, cases);
    vg_plan_work work = {0};
    for (int i = 0; i < count; i++) {
        const vg_bench_case *c = &cases[i];
        const vg_plan_pass pass = pass_of(c->id);
        const vg_plan_kind kind = kind_of(c->id);
        /* Placing a batch is a copy from the host where no corpus lies on the device. */
        if (!c->times || (c->id == VG_KERNEL_gather && rates->on_host)) continue;
        if (frozen && pass == VG_PLAN_BACKWARD && strncmp(c->name, "head", 4) != 0) continue;
        const vg_bench_cost cost = vg_bench_cost_of(c->id, &c->shape, model->dtype);
        const double busy = fmax(cost.flop / rates->flop, cost.bytes / rates->memory);
        work.flop[pass][kind] += c->times * cost.flop;
        work.bytes[pass][kind] += c->times * cost.bytes;
        work.busy[pass] += c->times * busy;
        work.seconds[pass] += c->times * fmax(busy, rates->operation);
    }
    return work;
}

double vg_plan_sum(const double values[VG_PLAN_KINDS])
{
    double sum = 0;
    for (int i = 0; i < VG_PLAN_KINDS; i++) sum += values[i];
    return sum;
}
