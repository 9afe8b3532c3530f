#include "experiments/runner/plan/rates.h"

#include <math.h>
#include <string.h>

/* In the order of the names in plan.def. Peaks are dense. Sources and dates are listed in
 * experiments/PLAN.md: peaks, memory and links are the vendor's data sheets; a network is that of the
 * vendor's own eight-GPU system where there is one. Latencies and the least time of an operation are assumed.
 */
static const struct machine {
    double bf16, tf32, fp32, memory_gib, memory_gbs, link_gbs, network_gbs, latency_us, operation_us;
    int64_t per_node;
    bool system; /* the network is a data sheet's */
} machines[] = {
    {312, 156, 19.5, 80, 2039, 300, 200, 5, 3, 8, true},    /* A100 SXM 80 GB, DGX A100 */
    {989, 494.7, 66.9, 80, 3350, 450, 400, 5, 3, 8, true},  /* H100 SXM, DGX H100 */
    {989, 494.7, 66.9, 140, 4800, 450, 400, 5, 3, 8, true}, /* H200 SXM, DGX H200 */
    {2250, 1100, 80, 179, 8000, 900, 400, 5, 3, 8, true},   /* B200 of an HGX board, DGX B200 */
    {362, 183, 91.6, 45, 864, 32, 25, 5, 3, 8, false},      /* L40S, PCIe 4.0 x16 */
    {NAN, NAN, 2, 64, 100, 10, 1.25, 30, 5, 1, false},      /* 16 cores with AVX-512, 10-gigabit Ethernet */
};

static const struct machine *machine_of(const vg_plan_options *options)
{
    return &machines[options->plan.gpu];
}

/* What `precision` comes to there: auto is bf16 on a GPU and fp32 on a processor, as in a run. */
static vg_status choose_precision(const vg_experiment *experiment, const vg_plan_options *options,
                                  vg_plan_rates *out, double *peak)
{
    static const char *const names[] = {"bf16", "tf32", "fp32"};
    const struct machine *m = machine_of(options);
    const double peaks[] = {m->bf16, m->tf32, m->fp32};
    const char *wanted = vg_experiment_choice(experiment, "precision");
    if (!strcmp(wanted, "auto")) wanted = out->on_host ? "fp32" : "bf16";
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (strcmp(wanted, names[i])) continue;
        out->precision = names[i];
        *peak = peaks[i];
    }
    out->dtype = strcmp(out->precision, "bf16") ? VG_F32 : VG_BF16;
    if (isnan(*peak) && isnan(options->plan.peak_tflops))
        return vg_fail(VG_ERR_CONFIG,
                       "precision is %s, which a processor computes in plain loops if at all: state "
                       "plan.peak_tflops, or take precision=fp32",
                       out->precision);
    return VG_OK;
}

vg_status vg_plan_rates_make(const vg_experiment *experiment, const vg_plan_options *options,
                             vg_plan_rates *out)
{
    static _Thread_local char gpu[32];
    static const char sheet[] = "data sheet", assumed[] = "assumed";
    const struct machine *m = machine_of(options);
    const bool host = options->plan.gpu + 1 == sizeof machines / sizeof *machines;
    double peak = NAN;
    *out = (vg_plan_rates){.on_host = host};
    out->gpu = vg_schema_enum_name(&vg_plan_schema, "plan.gpu", options->plan.gpu, gpu, sizeof gpu);
    VG_TRY(choose_precision(experiment, options, out, &peak));
    const char *of_machine = host ? assumed : sheet;
    const double usual[VG_PLAN_RATES] = {[VG_PLAN_PEAK] = peak,
                                         [VG_PLAN_EFFICIENCY] = 0.4,
                                         [VG_PLAN_MEMORY_SIZE] = m->memory_gib,
                                         [VG_PLAN_MEMORY] = m->memory_gbs,
                                         [VG_PLAN_LINK] = m->link_gbs,
                                         [VG_PLAN_NETWORK] = m->network_gbs,
                                         [VG_PLAN_BANDWIDTH_EFFICIENCY] = 0.8,
                                         [VG_PLAN_LATENCY] = m->latency_us,
                                         [VG_PLAN_OPERATION] = m->operation_us,
                                         [VG_PLAN_LOADER] = 1};
    const char *const by[VG_PLAN_RATES] = {[VG_PLAN_PEAK] = of_machine,
                                           [VG_PLAN_EFFICIENCY] = assumed,
                                           [VG_PLAN_MEMORY_SIZE] = of_machine,
                                           [VG_PLAN_MEMORY] = of_machine,
                                           [VG_PLAN_LINK] = of_machine,
                                           [VG_PLAN_NETWORK] = m->system ? sheet : assumed,
                                           [VG_PLAN_BANDWIDTH_EFFICIENCY] = assumed,
                                           [VG_PLAN_LATENCY] = assumed,
                                           [VG_PLAN_OPERATION] = assumed,
                                           [VG_PLAN_LOADER] = assumed};
    vg_plan_rate *rates = out->stated;
#define STATE(name, member, words)                                                                           \
    {                                                                                                        \
        const double given = options->plan.member;                                                           \
        const bool yours = !isnan(given) && given != usual[VG_PLAN_##name];                                  \
        rates[VG_PLAN_##name] =                                                                              \
            (vg_plan_rate){"plan." #member, words, isnan(given) ? usual[VG_PLAN_##name] : given,             \
                           yours ? "you" : by[VG_PLAN_##name]};                                              \
    }
    VG_PLAN_RATE_MAP(STATE)
#undef STATE
    const double reached = rates[VG_PLAN_BANDWIDTH_EFFICIENCY].value;
    out->per_node = options->plan.gpus_per_node == VG_NULL_INT ? m->per_node : options->plan.gpus_per_node;
    out->flop = rates[VG_PLAN_PEAK].value * 1e12 * rates[VG_PLAN_EFFICIENCY].value;
    out->memory_size = rates[VG_PLAN_MEMORY_SIZE].value * (double)(1 << 30);
    out->memory = rates[VG_PLAN_MEMORY].value * 1e9 * reached;
    out->link = rates[VG_PLAN_LINK].value * 1e9 * reached;
    out->network = rates[VG_PLAN_NETWORK].value * 1e9 * reached;
    out->latency = rates[VG_PLAN_LATENCY].value * 1e-6;
    out->operation = rates[VG_PLAN_OPERATION].value * 1e-6;
    out->loader = rates[VG_PLAN_LOADER].value * 1e9;
    return VG_OK;
}
