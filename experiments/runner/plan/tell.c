/* The plan for people: aligned, in 96 columns. */
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "experiments/runner/plan/report.h"

double vg_plan_flop_both(const vg_plan_report *r, vg_plan_kind kind)
{
    return r->segment.flop[VG_PLAN_FORWARD][kind] + r->segment.flop[VG_PLAN_BACKWARD][kind];
}

double vg_plan_cost(const vg_plan_report *r, const vg_plan_estimate *e)
{
    return r->options->plan.price * (double)e->gpus * e->seconds / 3600;
}

/* "1.25 ms", "3.1 h": three digits and the unit that fits. */
enum { DURATION = 16 };
static const char *duration(double seconds, char out[DURATION])
{
    static const struct {
        double least, unit;
        const char *name;
    } units[] = {
        {2 * 86400, 86400, "days"}, {3600, 3600, "h"}, {60, 60, "min"}, {1, 1, "s"}, {1e-3, 1e-3, "ms"}};
    for (size_t i = 0; i < sizeof units / sizeof *units; i++)
        if (seconds >= units[i].least) {
            const double value = seconds / units[i].unit;
            snprintf(out, DURATION, "%.*f %s", value < 10 ? 2 : value < 1000 ? 1 : 0, value, units[i].name);
            return out;
        }
    snprintf(out, DURATION, "%.1f us", seconds * 1e6);
    return out;
}

static double mib(double bytes)
{
    return bytes / (1 << 20);
}

static void tell_parameters(const vg_plan_report *r, FILE *out)
{
    fprintf(out, "\nparameters\n");
    for (int i = 0; i < VG_PLAN_PARTS; i++)
        fprintf(out, "  %-24s %12" PRId64 " %6.1f %%\n", vg_plan_part_name((vg_plan_part)i),
                r->parameters.part[i], 100 * (double)r->parameters.part[i] / (double)r->parameters.total);
    fprintf(out, "  %-24s %12" PRId64 "\n", "all", r->parameters.total);
}

static void tell_memory(const vg_plan_report *r, FILE *out)
{
    const vg_plan_memory *m = &r->chosen.memory;
    const bool sharded = r->experiment->parallel.shard_optimizer;
    const double limit = r->rates.memory_size;
    fprintf(out, "\nmemory of one %s, MiB, at %" PRId64 " segments at once\n", r->rates.gpu, r->chosen.micro);
    fprintf(out, "  %-24s %12.1f  in %s\n", "values", mib(m->values), vg_dtype_name(r->rates.dtype));
    fprintf(out, "  %-24s %12.1f\n", "masters", mib(m->masters));
    fprintf(out, "  %-24s %12.1f\n", "gradients", mib(m->gradients));
    fprintf(out, "  %-24s %12.1f", "moments", mib(m->moments));
    if (sharded && r->chosen.gpus > 1)
        fprintf(out, "  this rank's of %" PRId64 " (parallel.shard_optimizer)", r->chosen.gpus);
    fprintf(out, "\n  %-24s %12.1f\n", "activations", mib(m->activations));
    fprintf(out, "  %-24s %12.1f\n", "their gradients", mib(m->activation_gradients));
    fprintf(out, "  %-24s %12.1f\n", "inputs and constants", mib(m->inputs));
    if (!r->rates.on_host)
        fprintf(out, "  %-24s %12.1f  %s\n", "corpus", mib(m->corpus),
                m->corpus > 0       ? "lies on the GPU: no batch is uploaded"
                : r->data.bytes > 0 ? "stays with the host: batches are uploaded"
                                    : "size not known: batches are uploaded");
    fprintf(out, "  %-24s %12.1f  of %.0f (%.1f %%)%s\n", "all", mib(m->total), mib(limit),
            100 * m->total / limit, m->total > limit ? ": DOES NOT FIT" : "");
    if (r->largest_micro)
        fprintf(out, "  largest train.micro_batch that fits, an eighth left for the kernels: %" PRId64 "\n",
                r->largest_micro);
    else
        fprintf(out, "  not even one segment fits: a smaller model, or more memory\n");
}

static void tell_work(const vg_plan_report *r, FILE *out)
{
    const vg_plan_work *w = &r->segment;
    const double batch = (double)r->chosen.batch;
    double all = 0;
    for (int i = 0; i < VG_PLAN_KINDS; i++) all += vg_plan_flop_both(r, (vg_plan_kind)i);
    fprintf(out, "\nwork, two FLOP a multiplication with its sum\n  %-14s %13s %13s %7s %15s %13s\n", "",
            "GFLOP forward", "with backward", "share", "GFLOP of a step", "MB moved");
    for (int i = 0; i <= VG_PLAN_KINDS; i++) {
        const bool sum = i == VG_PLAN_KINDS;
        const double forward = sum ? vg_plan_sum(w->flop[VG_PLAN_FORWARD]) : w->flop[VG_PLAN_FORWARD][i];
        const double both = sum ? all : vg_plan_flop_both(r, (vg_plan_kind)i);
        const double bytes =
            sum ? vg_plan_sum(w->bytes[VG_PLAN_FORWARD]) + vg_plan_sum(w->bytes[VG_PLAN_BACKWARD])
                : w->bytes[VG_PLAN_FORWARD][i] + w->bytes[VG_PLAN_BACKWARD][i];
        fprintf(out, "  %-14s %13.4f %13.4f %6.1f%% %15.1f %13.1f\n",
                sum ? "all" : vg_plan_kind_name((vg_plan_kind)i), forward * 1e-9, both * 1e-9,
                100 * both / all, both * batch * 1e-9, bytes * 1e-6);
    }
    fprintf(out,
            "  Of a segment; of a step: %" PRId64
            " segments on all GPUs. The rest (norms, dropout, loss) moves\n"
            "  more than it computes: its FLOP are not counted, its bytes are.\n",
            r->chosen.batch);
}

static void tell_rates(const vg_plan_report *r, FILE *out)
{
    fprintf(out, "\nrates of %s in %s: stated, none of them measured\n", r->rates.gpu, r->rates.precision);
    for (int i = 0; i < VG_PLAN_RATES; i++) {
        const vg_plan_rate *rate = &r->rates.stated[i];
        char words[64];
        snprintf(words, sizeof words, "%g %s", rate->value, rate->unit);
        fprintf(out, "  %-26s %-38s stated: %s\n", rate->key, words, rate->by);
    }
    fprintf(out, "  %-26s %-38" PRId64 " stated\n", "plan.gpus_per_node", r->rates.per_node);
}

static void tell_step(const vg_plan_report *r, FILE *out)
{
    const vg_plan_estimate *e = &r->chosen;
    char text[DURATION];
    fprintf(out,
            "\na step on %" PRId64 " x %s, expected: %" PRId64 " segments, at most %" PRId64
            " a GPU, %" PRId64 " at once\n",
            e->gpus, r->rates.gpu, e->batch, e->share, e->micro);
    fprintf(out, "  %-24s %12s\n", "forward", duration(e->forward, text));
    fprintf(out, "  %-24s %12s\n", "backward", duration(e->backward, text));
    fprintf(out, "  %-24s %12s\n", "optimiser", duration(e->optimizer, text));
    fprintf(out, "  %-24s %12s  of these three: operations too small for the GPU\n", "  least times",
            duration(e->least, text));
    if (e->gpus > 1) {
        fprintf(out, "  %-24s %12s  %.1f MiB summed a rank in %" PRId64 " buckets", "collectives",
                duration(e->collectives, text), mib(e->reduced_bytes), e->buckets);
        if (e->gathered_bytes > 0) fprintf(out, ", %.1f MiB gathered", mib(e->gathered_bytes));
        fprintf(out, "\n  %-24s %12s  not hidden behind backward; the ring carries %.1f GB/s\n", "  exposed",
                duration(e->exposed, text), e->ring * 1e-9);
    }
    fprintf(out, "  %-24s %12s  beside the rest; %.4f GB/s of all ranks\n", "loader",
            duration(e->loader, text), e->loader_bytes * 1e-9);
    fprintf(out, "  %-24s %12s  %.1f segments/s; limited by: %s\n", "step", duration(e->step, text),
            e->segments_s, vg_plan_limit_name(e->limit));
}

static void tell_run(const vg_plan_report *r, FILE *out)
{
    const vg_plan_estimate *e = &r->chosen;
    char text[DURATION];
    fprintf(out, "\nthe run\n");
    if (!r->data.known) {
        fprintf(out, "  segments: %s\n", r->data.source);
        return;
    }
    fprintf(out, "  %" PRId64 " segments to train on, %" PRId64 " held out (%s)\n", r->data.train,
            r->data.validation, r->data.source);
    fprintf(out, "  %-24s %12" PRId64 "  %" PRId64 " epochs at most, %" PRId64 " steps an epoch\n", "steps",
            e->steps, r->experiment->train.epochs, e->steps_per_epoch);
    fprintf(out, "  %-24s %12s\n", "training", duration(e->training, text));
    fprintf(out, "  %-24s %12s  %" PRId64 " of them\n", "validations", duration(e->validation, text),
            e->validations);
    fprintf(out, "  %-24s %12s", "all", duration(e->seconds, text));
    fprintf(out, "  %.1f GPU-hours", (double)e->gpus * e->seconds / 3600);
    if (!isnan(r->options->plan.price))
        fprintf(out, ", %.2f %s at %g an hour (stated)", vg_plan_cost(r, e), r->options->plan.currency,
                r->options->plan.price);
    fprintf(out, "\n  Not counted: reading the data, checkpoints, starting and stopping; early stopping ends "
                 "sooner.\n");
}

static void tell_table(const vg_plan_report *r, const char *title, const vg_plan_estimate *rows, FILE *out)
{
    const bool priced = !isnan(r->options->plan.price);
    fprintf(out, "\n%s\n  %6s %8s %7s %10s %10s %11s %5s %10s", title, "GPUs", "batch", "a GPU", "step",
            "exposed", "segments/s", "eff.", "run");
    if (priced) fprintf(out, " %9.9s", r->options->plan.currency);
    fprintf(out, "  limit\n");
    for (int i = 0; i < r->rows; i++) {
        const vg_plan_estimate *e = &rows[i];
        char step[DURATION], exposed[DURATION], run[DURATION];
        /* Of the first row's rate, a GPU. */
        const double each = e->segments_s / (double)e->gpus, first = rows->segments_s / (double)rows->gpus;
        fprintf(out, "  %6" PRId64 " %8" PRId64 " %7" PRId64 " %10s %10s %11.1f %4.0f%% %10s", e->gpus,
                e->batch, e->share, duration(e->step, step), duration(e->exposed, exposed), e->segments_s,
                100 * each / first, r->data.known ? duration(e->seconds, run) : "-");
        if (priced && r->data.known) fprintf(out, " %9.2f", vg_plan_cost(r, e));
        if (priced && !r->data.known) fprintf(out, " %9s", "-");
        fprintf(out, "  %s\n", vg_plan_limit_name(e->limit));
    }
}

void vg_plan_tell(const vg_plan_report *r, FILE *out)
{
    fprintf(out, "plan of %s: %s, segments of %" PRId64 " samples\nNothing is trained, nothing is written.\n",
            r->experiment->name, vg_experiment_choice(r->experiment, "model.type"),
            r->model.config.segment_length);
    tell_parameters(r, out);
    tell_memory(r, out);
    tell_work(r, out);
    tell_rates(r, out);
    tell_step(r, out);
    tell_run(r, out);
    tell_table(r, "the same batch on more GPUs: the same training, sooner", r->same_batch, out);
    tell_table(r, "the same share for every GPU: a larger batch, which is another training", r->same_share,
               out);
    fprintf(
        out,
        "  eff.: segments/s of a GPU beside the first row's. limit: what most of the step goes to, or\n"
        "  memory: does not fit; batch: fewer than one segment a GPU, more than there are, or operations\n"
        "  too small for the GPU. The formulas: experiments/PLAN.md\n");
}
