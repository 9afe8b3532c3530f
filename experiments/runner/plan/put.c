/* The plan for programs; commands/plan.c tells the keys in its help. */
#include <math.h>

#include "experiments/runner/plan/report.h"

static void put_kinds(vg_json_writer *json, const char *key, const double values[VG_PLAN_KINDS])
{
    vg_json_begin_object(json, key);
    for (int i = 0; i < VG_PLAN_KINDS; i++)
        vg_json_put_double(json, vg_plan_kind_name((vg_plan_kind)i), values[i]);
    vg_json_put_double(json, "all", vg_plan_sum(values));
    vg_json_end(json);
}

static void put_memory(vg_json_writer *json, const vg_plan_memory *m)
{
    vg_json_begin_object(json, "memory");
    vg_json_put_double(json, "values", m->values);
    vg_json_put_double(json, "masters", m->masters);
    vg_json_put_double(json, "gradients", m->gradients);
    vg_json_put_double(json, "moments", m->moments);
    vg_json_put_double(json, "activations", m->activations);
    vg_json_put_double(json, "activation_gradients", m->activation_gradients);
    vg_json_put_double(json, "inputs", m->inputs);
    vg_json_put_double(json, "corpus", m->corpus);
    vg_json_put_double(json, "total", m->total);
    vg_json_end(json);
}

static void put_estimate(const vg_plan_report *r, vg_json_writer *json, const char *key,
                         const vg_plan_estimate *e)
{
    vg_json_begin_object(json, key);
    vg_json_put_int(json, "gpus", e->gpus);
    vg_json_put_int(json, "batch", e->batch);
    vg_json_put_int(json, "share", e->share);
    vg_json_put_int(json, "micro_batch", e->micro);
    put_memory(json, &e->memory);
    vg_json_put_double(json, "reduced_bytes", e->reduced_bytes);
    vg_json_put_double(json, "gathered_bytes", e->gathered_bytes);
    vg_json_put_int(json, "buckets", e->buckets);
    vg_json_put_double(json, "forward", e->forward);
    vg_json_put_double(json, "backward", e->backward);
    vg_json_put_double(json, "optimizer", e->optimizer);
    vg_json_put_double(json, "least", e->least);
    vg_json_put_double(json, "collectives", e->collectives);
    vg_json_put_double(json, "exposed", e->exposed);
    vg_json_put_double(json, "loader", e->loader);
    vg_json_put_double(json, "loader_bytes_s", e->loader_bytes);
    vg_json_put_double(json, "step", e->step);
    vg_json_put_double(json, "segments_s", e->segments_s);
    vg_json_put_string(json, "limit", vg_plan_limit_name(e->limit));
    if (r->data.known) {
        vg_json_put_int(json, "steps_per_epoch", e->steps_per_epoch);
        vg_json_put_int(json, "steps", e->steps);
        vg_json_put_int(json, "validations", e->validations);
        vg_json_put_double(json, "training", e->training);
        vg_json_put_double(json, "validation", e->validation);
        vg_json_put_double(json, "run", e->seconds);
        vg_json_put_double(json, "cost", vg_plan_cost(r, e));
    }
    vg_json_end(json);
}

static void put_table(const vg_plan_report *r, vg_json_writer *json, const char *key,
                      const vg_plan_estimate *rows)
{
    vg_json_begin_array(json, key);
    for (int i = 0; i < r->rows; i++) put_estimate(r, json, NULL, &rows[i]);
    vg_json_end(json);
}

void vg_plan_put(const vg_plan_report *r, vg_json_writer *json)
{
    const vg_plan_options *o = r->options;
    double both[VG_PLAN_KINDS], step[VG_PLAN_KINDS];
    for (int i = 0; i < VG_PLAN_KINDS; i++) {
        both[i] = vg_plan_flop_both(r, (vg_plan_kind)i);
        step[i] = both[i] * (double)r->chosen.batch;
    }
    vg_json_put_string(json, "name", r->experiment->name);
    vg_json_put_string(json, "gpu", r->rates.gpu);
    vg_json_put_string(json, "precision", r->rates.precision);
    vg_json_put_int(json, "gpus_per_node", r->rates.per_node);
    vg_json_begin_array(json, "stated");
    for (int i = 0; i < VG_PLAN_RATES; i++) {
        const vg_plan_rate *rate = &r->rates.stated[i];
        vg_json_begin_object(json, NULL);
        vg_json_put_string(json, "key", rate->key);
        vg_json_put_double(json, "value", rate->value);
        vg_json_put_string(json, "unit", rate->unit);
        vg_json_put_string(json, "by", rate->by);
        vg_json_end(json);
    }
    vg_json_end(json);
    vg_json_put_double(json, "price", o->plan.price);
    vg_json_put_string(json, "currency", o->plan.currency);
    vg_json_begin_object(json, "parameters");
    for (int i = 0; i < VG_PLAN_PARTS; i++)
        vg_json_put_int(json, vg_plan_part_name((vg_plan_part)i), r->parameters.part[i]);
    vg_json_put_int(json, "all", r->parameters.total);
    vg_json_put_int(json, "padded", r->parameters.padded);
    vg_json_end(json);
    vg_json_begin_object(json, "segments");
    vg_json_put_int(json, "length", r->model.config.segment_length);
    if (r->data.known) {
        vg_json_put_int(json, "train", r->data.train);
        vg_json_put_int(json, "validation", r->data.validation);
    }
    vg_json_put_string(json, "source", r->data.source);
    vg_json_end(json);
    vg_json_begin_object(json, "flop");
    put_kinds(json, "segment_forward", r->segment.flop[VG_PLAN_FORWARD]);
    put_kinds(json, "segment", both);
    put_kinds(json, "step", step);
    vg_json_end(json);
    vg_json_begin_object(json, "bytes");
    put_kinds(json, "segment_forward", r->segment.bytes[VG_PLAN_FORWARD]);
    put_kinds(json, "segment_backward", r->segment.bytes[VG_PLAN_BACKWARD]);
    put_kinds(json, "optimizer", r->segment.bytes[VG_PLAN_OPTIMIZER]);
    vg_json_end(json);
    vg_json_put_int(json, "largest_micro_batch", r->largest_micro);
    put_estimate(r, json, "plan", &r->chosen);
    put_table(r, json, "same_batch", r->same_batch);
    put_table(r, json, "same_share", r->same_share);
}
