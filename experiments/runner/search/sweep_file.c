/* Reading a sweep file: W&B's schema, strictly. Everything that can be known to be wrong is refused here,
 * with its line and column, before the first trial costs anything: unknown parameters (the experiment's
 * schema is asked), values the experiment would not take, bounds that cannot be. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/file.h"
#include "core/log.h"
#include "core/text.h"
#include "core/yaml.h"
#include "experiments/runner/experiment.h"
#include "experiments/runner/search/method.h"
#include "experiments/runner/search/space.h"

enum { MAX_PARAMETERS = 4096, MAX_TRIALS = 1000000, TRIED_DRAWS = 16 };

static const double LARGEST_INTEGER = 9007199254740992; /* 2^53: beyond, doubles skip integers */

/* ---- Keys ----------------------------------------------------------------------------------------- */

/* Refuses a key of `mapping` that is none of names[0..count). */
static vg_status known_keys(const vg_yaml_node *mapping, const char *const *names, size_t count,
                            const char *what)
{
    for (size_t i = 0; i < mapping->count; i++) {
        const vg_yaml_entry *entry = &mapping->entries[i];
        size_t known = 0;
        while (known < count && strcmp(entry->key, names[known]) != 0) known++;
        if (known < count) continue;
        vg_text all = {0};
        for (size_t k = 0; k < count; k++) vg_text_add(&all, "%s%s", k ? ", " : "", names[k]);
        size_t nearest = vg_text_nearest(entry->key, names, count);
        vg_status status = vg_yaml_fail(
            VG_ERR_CONFIG, &entry->place, "'%s' is no key of %s%s%s%s; there are: %s", entry->key, what,
            nearest < count ? "; did you mean '" : "", nearest < count ? names[nearest] : "",
            nearest < count ? "'?" : "", all.data ? all.data : "");
        vg_text_free(&all);
        return status;
    }
    return VG_OK;
}

static vg_status need_mapping(const vg_yaml_node *node, const char *what)
{
    char described[80];
    if (node->kind == VG_YAML_MAPPING) return VG_OK;
    return vg_yaml_fail(VG_ERR_CONFIG, &node->place, "%s must be a mapping, not %s", what,
                        vg_yaml_describe(node, described, sizeof described));
}

/* A copy of the text at `key`; ERR_CONFIG when it is missing and there is no default. */
static vg_status get_text(const vg_yaml_node *root, const char *key, const char *otherwise, char **out)
{
    const vg_yaml_node *node = vg_yaml_get(root, key);
    const char *text = otherwise;
    if (node) VG_TRY(vg_yaml_string(node, key, &text));
    if (!text || (node && !*text))
        return vg_yaml_fail(VG_ERR_CONFIG, node ? &node->place : &root->place, "a sweep needs '%s'", key);
    return vg_text_copy(text, out);
}

/* ---- One parameter -------------------------------------------------------------------------------- */

/* A value as YAML text on one line: what would stand behind `key=` on the command line. */
static vg_status value_text(const vg_yaml_node *node, const char *key, char **out)
{
    bool simple = node->kind == VG_YAML_SCALAR || node->kind == VG_YAML_SEQUENCE;
    for (size_t i = 0; node->kind == VG_YAML_SEQUENCE && i < node->count; i++)
        simple = simple && node->entries[i].value->kind == VG_YAML_SCALAR;
    if (!simple)
        return vg_yaml_fail(VG_ERR_CONFIG, &node->place,
                            "a value of %s must be a scalar or a list of scalars; vary the keys of a section "
                            "one by one",
                            key);
    char *text = NULL;
    VG_TRY(vg_yaml_print(node, &text));
    size_t length = strlen(text);
    while (length && text[length - 1] == '\n') text[--length] = 0;
    if (length >= VG_SEARCH_VALUE_LENGTH || strchr(text, '\n')) {
        free(text);
        return vg_yaml_fail(VG_ERR_CONFIG, &node->place, "a value of %s is longer than %d bytes", key,
                            VG_SEARCH_VALUE_LENGTH - 1);
    }
    *out = text;
    return VG_OK;
}

static vg_status read_values(const vg_yaml_node *node, vg_search_parameter *p)
{
    bool list = p->distribution != VG_DISTRIBUTION_CONSTANT;
    if (list && (node->kind != VG_YAML_SEQUENCE || node->count == 0))
        return vg_yaml_fail(VG_ERR_CONFIG, &node->place, "the values of %s must be a list of at least one",
                            p->key);
    int64_t count = list ? (int64_t)node->count : 1;
    p->values = calloc((size_t)count, sizeof *p->values);
    if (!p->values) return vg_fail(VG_ERR_MEMORY, "no memory for the values of %s", p->key);
    p->value_count = count;
    for (int64_t i = 0; i < count; i++)
        VG_TRY(value_text(list ? node->entries[i].value : node, p->key, &p->values[i]));
    return VG_OK;
}

static vg_status read_probabilities(const vg_yaml_node *node, vg_search_parameter *p)
{
    if (node->kind != VG_YAML_SEQUENCE || (int64_t)node->count != p->value_count)
        return vg_yaml_fail(VG_ERR_CONFIG, &node->place,
                            "the probabilities of %s must be a list as long as its values, %lld", p->key,
                            (long long)p->value_count);
    p->probabilities = calloc((size_t)p->value_count, sizeof *p->probabilities);
    if (!p->probabilities) return vg_fail(VG_ERR_MEMORY, "no memory for the probabilities of %s", p->key);
    double sum = 0;
    for (int64_t i = 0; i < p->value_count; i++) {
        const vg_yaml_node *item = node->entries[i].value;
        VG_TRY(vg_yaml_double(item, p->key, &p->probabilities[i]));
        if (!(p->probabilities[i] >= 0 && p->probabilities[i] <= 1))
            return vg_yaml_fail(VG_ERR_CONFIG, &item->place, "a probability of %s is %s, not between 0 and 1",
                                p->key, item->text);
        sum += p->probabilities[i];
    }
    if (!(fabs(sum - 1) <= 1e-6))
        return vg_yaml_fail(VG_ERR_CONFIG, &node->place, "the probabilities of %s add up to %g, not to 1",
                            p->key, sum);
    for (int64_t i = 0; i < p->value_count; i++) p->probabilities[i] /= sum;
    return VG_OK;
}

/* What a distribution is written with. */
typedef enum shape { SHAPE_VALUE, SHAPE_VALUES, SHAPE_WEIGHTED, SHAPE_BOUNDS, SHAPE_GAUSS } shape;

static shape shape_of(vg_distribution distribution, bool *quantised)
{
    *quantised = false;
    switch (distribution) {
    case VG_DISTRIBUTION_CONSTANT:
        return SHAPE_VALUE;
    case VG_DISTRIBUTION_CATEGORICAL:
        return SHAPE_VALUES;
    case VG_DISTRIBUTION_CATEGORICAL_WEIGHTED:
        return SHAPE_WEIGHTED;
    case VG_DISTRIBUTION_Q_UNIFORM:
    case VG_DISTRIBUTION_Q_LOG_UNIFORM:
    case VG_DISTRIBUTION_Q_LOG_UNIFORM_VALUES:
        *quantised = true;
        return SHAPE_BOUNDS;
    case VG_DISTRIBUTION_Q_NORMAL:
    case VG_DISTRIBUTION_Q_LOG_NORMAL:
        *quantised = true;
        return SHAPE_GAUSS;
    case VG_DISTRIBUTION_NORMAL:
    case VG_DISTRIBUTION_LOG_NORMAL:
        return SHAPE_GAUSS;
    default:
        return SHAPE_BOUNDS;
    }
}

/* A finite number at `name`; `otherwise` when absent, an error when that is NaN. */
static vg_status get_number(const vg_yaml_node *spec, const vg_search_parameter *p, const char *name,
                            double otherwise, double *out)
{
    const vg_yaml_node *node = vg_yaml_get(spec, name);
    *out = otherwise;
    if (!node && isnan(otherwise))
        return vg_yaml_fail(VG_ERR_CONFIG, &spec->place, "%s: distribution %s needs '%s'", p->key,
                            vg_distribution_name(p->distribution), name);
    if (!node) return VG_OK;
    VG_TRY(vg_yaml_double(node, p->key, out));
    if (!isfinite(*out))
        return vg_yaml_fail(VG_ERR_CONFIG, &node->place, "'%s' of %s must be finite", name, p->key);
    return VG_OK;
}

static vg_status read_bounds(const vg_yaml_node *spec, vg_search_parameter *p)
{
    VG_TRY(get_number(spec, p, "min", NAN, &p->min));
    VG_TRY(get_number(spec, p, "max", NAN, &p->max));
    const vg_yaml_place *place = &vg_yaml_get(spec, "min")->place;
    if (!(p->min < p->max))
        return vg_yaml_fail(VG_ERR_CONFIG, place, "%s: min (%g) must be below max (%g)", p->key, p->min,
                            p->max);
    switch (p->distribution) {
    case VG_DISTRIBUTION_INT_UNIFORM:
        if (p->min == floor(p->min) && p->max == floor(p->max) && fabs(p->min) <= LARGEST_INTEGER &&
            fabs(p->max) <= LARGEST_INTEGER)
            return VG_OK;
        return vg_yaml_fail(VG_ERR_CONFIG, place, "%s: int_uniform needs whole numbers as min and max",
                            p->key);
    case VG_DISTRIBUTION_LOG_UNIFORM_VALUES:
    case VG_DISTRIBUTION_INV_LOG_UNIFORM_VALUES:
    case VG_DISTRIBUTION_Q_LOG_UNIFORM_VALUES:
        if (p->min > 0) return VG_OK;
        return vg_yaml_fail(VG_ERR_CONFIG, place, "%s: min must be above 0 on a logarithmic scale, not %g",
                            p->key, p->min);
    case VG_DISTRIBUTION_LOG_UNIFORM:
    case VG_DISTRIBUTION_INV_LOG_UNIFORM:
    case VG_DISTRIBUTION_Q_LOG_UNIFORM:
        if (fabs(p->min) <= 700 && fabs(p->max) <= 700) return VG_OK;
        return vg_yaml_fail(VG_ERR_CONFIG, place,
                            "%s: min and max of %s are exponents of e and must lie within 700; "
                            "log_uniform_values takes the values themselves",
                            p->key, vg_distribution_name(p->distribution));
    default:
        return VG_OK;
    }
}

/* There must be a multiple of q between the bounds. */
static vg_status read_quantum(const vg_yaml_node *spec, vg_search_parameter *p, bool bounded)
{
    VG_TRY(get_number(spec, p, "q", 1, &p->q));
    const vg_yaml_node *node = vg_yaml_get(spec, "q");
    const vg_yaml_place *place = node ? &node->place : &spec->place;
    if (!(p->q > 0)) return vg_yaml_fail(VG_ERR_CONFIG, place, "%s: q must be above 0, not %g", p->key, p->q);
    bool exponents = p->distribution == VG_DISTRIBUTION_Q_LOG_UNIFORM;
    double low = exponents ? exp(p->min) : p->min, high = exponents ? exp(p->max) : p->max;
    if (bounded && ceil(low / p->q - 1e-9) > floor(high / p->q + 1e-9))
        return vg_yaml_fail(VG_ERR_CONFIG, place, "%s: no multiple of q = %g lies between %g and %g", p->key,
                            p->q, low, high);
    return VG_OK;
}

static bool written_whole(const vg_yaml_node *node)
{
    if (!node || node->kind != VG_YAML_SCALAR || node->quoted || !*node->text) return false;
    const char *digits = node->text + (node->text[0] == '-' || node->text[0] == '+');
    return *digits && strspn(digits, "0123456789") == strlen(digits);
}

/* The distribution a spec names, or the one W&B takes when it names none: constant for value, categorical for
 * values, int_uniform for whole bounds, uniform for others. */
static vg_status find_distribution(const vg_yaml_node *spec, vg_search_parameter *p)
{
    static const struct {
        const char *name;
        vg_distribution distribution;
    } list[] = {
#define LISTED(name, text) {text, VG_DISTRIBUTION_##name},
        VG_DISTRIBUTION_MAP(LISTED)
#undef LISTED
    };
    const vg_yaml_node *node = vg_yaml_get(spec, "distribution");
    bool weighted = vg_yaml_get(spec, "probabilities") != NULL;
    if (!node) {
        if (vg_yaml_get(spec, "value"))
            p->distribution = VG_DISTRIBUTION_CONSTANT;
        else if (vg_yaml_get(spec, "values"))
            p->distribution = weighted ? VG_DISTRIBUTION_CATEGORICAL_WEIGHTED : VG_DISTRIBUTION_CATEGORICAL;
        else if (vg_yaml_get(spec, "min") && vg_yaml_get(spec, "max"))
            p->distribution =
                written_whole(vg_yaml_get(spec, "min")) && written_whole(vg_yaml_get(spec, "max"))
                    ? VG_DISTRIBUTION_INT_UNIFORM
                    : VG_DISTRIBUTION_UNIFORM;
        else
            return vg_yaml_fail(VG_ERR_CONFIG, &spec->place,
                                "%s needs value, values, min and max, a distribution, or nested parameters",
                                p->key);
        return VG_OK;
    }
    const char *name;
    VG_TRY(vg_yaml_string(node, "distribution", &name));
    enum { COUNT = sizeof list / sizeof *list };
    const char *names[COUNT];
    for (size_t i = 0; i < COUNT; i++) {
        names[i] = list[i].name;
        if (strcmp(name, names[i]) != 0) continue;
        p->distribution = list[i].distribution;
        if (weighted && p->distribution == VG_DISTRIBUTION_CATEGORICAL)
            p->distribution = VG_DISTRIBUTION_CATEGORICAL_WEIGHTED;
        return VG_OK;
    }
    size_t nearest = vg_text_nearest(name, names, COUNT);
#define NAMED(name, text) " " text
    return vg_yaml_fail(VG_ERR_CONFIG, &node->place, "'%s' is no distribution%s%s%s; there are:%s", name,
                        nearest < COUNT ? "; did you mean '" : "", nearest < COUNT ? names[nearest] : "",
                        nearest < COUNT ? "'?" : "", VG_DISTRIBUTION_MAP(NAMED));
#undef NAMED
}

static vg_status read_parameter(const vg_yaml_node *spec, vg_search_parameter *p)
{
    static const char *const allowed[][5] = {
        [SHAPE_VALUE] = {"distribution", "value"},
        [SHAPE_VALUES] = {"distribution", "values"},
        [SHAPE_WEIGHTED] = {"distribution", "values", "probabilities"},
        [SHAPE_BOUNDS] = {"distribution", "min", "max", "q"},
        [SHAPE_GAUSS] = {"distribution", "mu", "sigma", "q"},
    };
    static const size_t allowed_count[] = {2, 2, 3, 3, 3}; /* q comes on top */
    static const char *const every[] = {"value", "values", "probabilities", "distribution", "min", "max",
                                        "q",     "mu",     "sigma",         "parameters"};
    VG_TRY(known_keys(spec, every, sizeof every / sizeof *every, "a parameter"));
    VG_TRY(find_distribution(spec, p));
    bool quantised;
    shape written = shape_of(p->distribution, &quantised);
    char what[80];
    snprintf(what, sizeof what, "a parameter with distribution %s", vg_distribution_name(p->distribution));
    VG_TRY(known_keys(spec, allowed[written], allowed_count[written] + quantised, what));

    const char *list = written == SHAPE_VALUE ? "value" : "values";
    switch (written) {
    case SHAPE_VALUE:
    case SHAPE_VALUES:
    case SHAPE_WEIGHTED:
        if (!vg_yaml_get(spec, list))
            return vg_yaml_fail(VG_ERR_CONFIG, &spec->place, "%s: distribution %s needs '%s'", p->key,
                                vg_distribution_name(p->distribution), list);
        VG_TRY(read_values(vg_yaml_get(spec, list), p));
        if (written != SHAPE_WEIGHTED) return VG_OK;
        if (!vg_yaml_get(spec, "probabilities"))
            return vg_yaml_fail(VG_ERR_CONFIG, &spec->place, "%s: distribution %s needs 'probabilities'",
                                p->key, vg_distribution_name(p->distribution));
        return read_probabilities(vg_yaml_get(spec, "probabilities"), p);
    case SHAPE_BOUNDS:
        VG_TRY(read_bounds(spec, p));
        return quantised ? read_quantum(spec, p, true) : VG_OK;
    case SHAPE_GAUSS:
        VG_TRY(get_number(spec, p, "mu", 0, &p->mu));
        VG_TRY(get_number(spec, p, "sigma", 1, &p->sigma));
        if (!(p->sigma > 0))
            return vg_yaml_fail(VG_ERR_CONFIG, &spec->place, "%s: sigma must be above 0, not %g", p->key,
                                p->sigma);
        return quantised ? read_quantum(spec, p, false) : VG_OK;
    }
    return VG_OK;
}

/* Would the experiment take these values? Lists are tried whole, distributions by some of their draws. */
static vg_status try_values(const vg_search_parameter *p, const vg_yaml_place *place)
{
    vg_experiment scratch;
    VG_TRY(vg_schema_init(&vg_experiment_schema, &scratch));
    vg_status status = VG_OK;
    int64_t count = p->values ? p->value_count : TRIED_DRAWS;
    for (int64_t i = 0; i < count && status == VG_OK; i++) {
        char value[VG_SEARCH_VALUE_LENGTH];
        vg_random random = vg_random_make(0, VG_SITE_SEARCH, (uint32_t)i);
        if (p->values)
            vg_search_grid_value(p, i, value);
        else
            vg_search_draw(p, &random, value);
        status = vg_schema_set(&vg_experiment_schema, &scratch, p->key, value);
    }
    vg_schema_free(&vg_experiment_schema, &scratch);
    if (status == VG_OK) return VG_OK;
    char *cause = NULL;
    VG_TRY(vg_text_copy(vg_cause(), &cause));
    status = vg_yaml_fail(status, place, "the experiment would refuse this: %s", cause);
    free(cause);
    return status;
}

/* ---- All parameters ------------------------------------------------------------------------------- */

static vg_status append_parameter(vg_sweep *sweep, const char *key, vg_search_parameter **out)
{
    vg_search_space *space = &sweep->space;
    vg_search_parameter *grown =
        realloc(space->parameters, ((size_t)space->count + 1) * sizeof *space->parameters);
    if (!grown) return vg_fail(VG_ERR_MEMORY, "no memory for %d parameters", space->count + 1);
    space->parameters = grown;
    *out = &grown[space->count];
    memset(*out, 0, sizeof **out);
    space->count++; /* from here on vg_sweep_destroy() frees it */
    return vg_text_copy(key, &(*out)->key);
}

static vg_status read_parameters(vg_sweep *sweep, const vg_yaml_node *mapping, const char *prefix);

/* One key below `parameters`: a parameter, or a group of them. */
static vg_status read_entry(vg_sweep *sweep, const vg_yaml_entry *entry, const char *prefix)
{
    static const char *const only[] = {"parameters"};
    const vg_yaml_node *nested = vg_yaml_get(entry->value, "parameters");
    const vg_schema_field *field;
    vg_search_parameter *p = NULL;
    vg_text key = {0};
    char *path = NULL;
    vg_status status = VG_OK;
    vg_text_add(&key, "%s%s%s", prefix, entry->key, nested ? "." : "");
    VG_TRY(vg_text_take(&key, &path));
    VG_TRY_OUT(need_mapping(entry->value, path));
    if (nested) {
        VG_TRY_OUT(known_keys(entry->value, only, 1, "a group of nested parameters"));
        status = read_parameters(sweep, nested, path);
        goto out;
    }
    VG_TRY_OUT(vg_schema_need(&vg_experiment_schema, path, &entry->place, &field));
    if (strcmp(field->path, "output_dir") == 0 || strcmp(field->path, "name") == 0) {
        status = vg_yaml_fail(VG_ERR_CONFIG, &entry->place,
                              "'%s' cannot be varied: each trial gets its own from the sweep", field->path);
        goto out;
    }
    for (int other = 0; other < sweep->space.count; other++) {
        if (strcmp(sweep->space.parameters[other].key, field->path) != 0) continue;
        status = vg_yaml_fail(VG_ERR_CONFIG, &entry->place, "'%s' is given twice", field->path);
        goto out;
    }
    if (sweep->space.count >= MAX_PARAMETERS) {
        status = vg_yaml_fail(VG_ERR_CONFIG, &entry->place, "more than %d parameters", MAX_PARAMETERS);
        goto out;
    }
    VG_TRY_OUT(append_parameter(sweep, field->path, &p));
    VG_TRY_OUT(read_parameter(entry->value, p));
    VG_TRY_OUT(try_values(p, &entry->value->place));
out:
    free(path);
    return status;
}

/* The mapping below a `parameters` key; `prefix` is "optimizer." for nested ones. */
static vg_status read_parameters(vg_sweep *sweep, const vg_yaml_node *mapping, const char *prefix)
{
    VG_TRY(need_mapping(mapping, "parameters"));
    for (size_t i = 0; i < mapping->count; i++) VG_TRY(read_entry(sweep, &mapping->entries[i], prefix));
    return VG_OK;
}

/* ---- The file ------------------------------------------------------------------------------------- */

static vg_status read_metric(vg_sweep *sweep, const vg_yaml_node *root)
{
    static const char *const keys[] = {"name", "goal", "target"};
    const vg_yaml_node *metric = vg_yaml_get(root, "metric"), *goal;
    if (!metric)
        return vg_yaml_fail(VG_ERR_CONFIG, &root->place,
                            "a sweep needs 'metric' with name and goal: what makes one trial the best");
    VG_TRY(need_mapping(metric, "metric"));
    VG_TRY(known_keys(metric, keys, 3, "metric"));
    if (vg_yaml_get(metric, "target"))
        return vg_yaml_fail(VG_ERR_CONFIG, &vg_yaml_get(metric, "target")->place,
                            "metric.target is not supported yet: remove it, every trial is run");
    VG_TRY(get_text(metric, "name", NULL, &sweep->metric));
    if (!(goal = vg_yaml_get(metric, "goal"))) return VG_OK; /* minimize, as with W&B */
    const char *word;
    VG_TRY(vg_yaml_string(goal, "metric.goal", &word));
    sweep->maximize = strcmp(word, "maximize") == 0;
    if (!sweep->maximize && strcmp(word, "minimize") != 0)
        return vg_yaml_fail(VG_ERR_CONFIG, &goal->place, "metric.goal must be minimize or maximize, not '%s'",
                            word);
    return VG_OK;
}

static vg_status read_method(vg_sweep *sweep, const vg_yaml_node *root)
{
    const vg_yaml_node *node = vg_yaml_get(root, "method");
    const char *name;
    if (!node)
        return vg_yaml_fail(VG_ERR_CONFIG, &root->place, "a sweep needs 'method': %s",
                            vg_search_method_names());
    VG_TRY(vg_yaml_string(node, "method", &name));
    sweep->method = vg_search_method_find(name);
    if (sweep->method) return VG_OK;
    return vg_yaml_fail(VG_ERR_CONFIG, &node->place, "there is no method '%s'%s; there are: %s", name,
                        strcmp(name, "bayes") == 0 ? " yet" : "", vg_search_method_names());
}

static vg_status read_command(vg_sweep *sweep, const vg_yaml_node *root)
{
    const vg_yaml_node *node = vg_yaml_get(root, "command");
    if (node && node->kind != VG_YAML_SCALAR)
        return vg_yaml_fail(VG_ERR_CONFIG, &node->place,
                            "command is pretrain or finetune here, not a command line");
    VG_TRY(get_text(root, "command", "pretrain", &sweep->command));
    if (strcmp(sweep->command, "pretrain") == 0 || strcmp(sweep->command, "finetune") == 0) return VG_OK;
    return vg_yaml_fail(VG_ERR_CONFIG, &node->place, "command must be pretrain or finetune, not '%s'",
                        sweep->command);
}

static vg_status read_base(vg_sweep *sweep, const vg_yaml_node *root)
{
    char *folder = NULL, *name = NULL;
    vg_status status = VG_OK;
    VG_TRY_OUT(get_text(root, "experiment", NULL, &name));
    VG_TRY_OUT(vg_path_folder(sweep->path, &folder));
    VG_TRY_OUT(vg_path_join(strcmp(folder, ".") == 0 ? "" : folder, name, &sweep->experiment));
    if (!vg_path_exists(sweep->experiment) || vg_path_is_folder(sweep->experiment))
        status = vg_yaml_fail(VG_ERR_CONFIG, &vg_yaml_get(root, "experiment")->place,
                              "there is no file %s (a relative path starts at the sweep file's folder)",
                              sweep->experiment);
out:
    free(folder);
    free(name);
    return status;
}

static vg_status read_sweep(vg_sweep *sweep, const vg_yaml_node *root)
{
    static const char *const keys[] = {"program",    "name",    "description", "method",
                                       "metric",     "run_cap", "command",     "parameters",
                                       "experiment", "seed",    "output_dir",  "early_terminate"};
    VG_TRY(known_keys(root, keys, sizeof keys / sizeof *keys, "a sweep"));
    if (vg_yaml_get(root, "early_terminate"))
        return vg_yaml_fail(VG_ERR_CONFIG, &vg_yaml_get(root, "early_terminate")->place,
                            "early_terminate is not supported yet: remove it, every trial runs to its end "
                            "(the experiment's early_stopping works inside a trial)");
    if (vg_yaml_get(root, "program"))
        vg_warn("%s: 'program' is not used: 'command' says what a trial runs", sweep->path);
    VG_TRY(get_text(root, "name", "sweep", &sweep->name));
    VG_TRY(get_text(root, "output_dir", NULL, &sweep->output_dir));
    VG_TRY(read_method(sweep, root));
    VG_TRY(read_metric(sweep, root));
    VG_TRY(read_command(sweep, root));
    VG_TRY(read_base(sweep, root));
    const vg_yaml_node *node = vg_yaml_get(root, "seed");
    sweep->seed = 1;
    if (node) VG_TRY(vg_yaml_uint64(node, "seed", &sweep->seed));
    if ((node = vg_yaml_get(root, "run_cap"))) {
        VG_TRY(vg_yaml_int(node, "run_cap", &sweep->run_cap));
        if (sweep->run_cap < 1 || sweep->run_cap > MAX_TRIALS)
            return vg_yaml_fail(VG_ERR_CONFIG, &node->place, "run_cap must lie between 1 and %d, not %s",
                                MAX_TRIALS, node->text);
    }
    if (!(node = vg_yaml_get(root, "parameters")) || node->count == 0)
        return vg_yaml_fail(VG_ERR_CONFIG, node ? &node->place : &root->place,
                            "a sweep needs 'parameters': the experiment's keys to vary");
    VG_TRY(read_parameters(sweep, node, ""));
    VG_TRY(sweep->method->check(sweep));
    if (vg_sweep_trial_count(sweep) > MAX_TRIALS)
        return vg_fail(VG_ERR_CONFIG, "%s: more than %d trials: limit them with run_cap", sweep->path,
                       MAX_TRIALS);
    return VG_OK;
}

vg_status vg_sweep_load(const char *path, vg_sweep **out)
{
    vg_yaml *yaml = NULL;
    vg_status status = VG_OK;
    vg_sweep *sweep = calloc(1, sizeof *sweep);
    if (!sweep) return vg_fail(VG_ERR_MEMORY, "no memory for the sweep %s", path);
    VG_TRY_OUT(vg_text_copy(path, &sweep->path));
    VG_TRY_OUT(vg_yaml_read(path, &yaml));
    VG_TRY_OUT(read_sweep(sweep, vg_yaml_root(yaml)));
    *out = sweep;
    sweep = NULL;
out:
    vg_yaml_destroy(yaml);
    vg_sweep_destroy(sweep);
    return status;
}

void vg_sweep_destroy(vg_sweep *sweep)
{
    if (!sweep) return;
    for (int i = 0; i < sweep->space.count; i++) {
        vg_search_parameter *p = &sweep->space.parameters[i];
        for (int64_t v = 0; v < p->value_count; v++) free(p->values[v]);
        free(p->values);
        free(p->probabilities);
        free(p->key);
    }
    free(sweep->space.parameters);
    free(sweep->path);
    free(sweep->name);
    free(sweep->metric);
    free(sweep->experiment);
    free(sweep->command);
    free(sweep->output_dir);
    free(sweep);
}

int64_t vg_sweep_trial_count(const vg_sweep *sweep)
{
    int64_t most = sweep->method->limit(sweep);
    return sweep->run_cap && sweep->run_cap < most ? sweep->run_cap : most;
}
