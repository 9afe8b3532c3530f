/* Sweeps: what a file may say, what is drawn from it, and what is left after failures, stops and crashes. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "core/file.h"
#include "core/log.h"
#include "core/signals.h"
#include "core/yaml.h"
#include "experiments/runner/experiment.h"
#include "experiments/runner/search/method.h"
#include "experiments/runner/search/sweep.h"
#include "tests/support/support.h"

#define HEAD     "method: random\nrun_cap: 8\nmetric: {name: loss, goal: minimize}\nparameters:\n"
#define GRID     "method: grid\nmetric: {name: loss}\nparameters:\n"
#define LR(spec) HEAD "  optimizer.lr: " spec "\n"

/* A folder of its own for each sweep, all of them in one. The caller frees the path. */
static char *new_folder(void)
{
    static char *all;
    static int made;
    char name[16];
    if (!all) all = support_temp_dir();
    snprintf(name, sizeof name, "%d", made++);
    char *folder = support_path(all, name);
    assert_ok(vg_folder_make(folder));
    return folder;
}

/* A sweep file beside its base, in `folder` (NULL: a new one). It begins with three lines for the base, the
 * folder of results and a seed; `body` follows from line 4. Returns its path, the caller's to free. */
static char *write_sweep(const char *folder, const char *body)
{
    char *own = folder ? NULL : new_folder();
    if (!folder) folder = own;
    char *base = support_path(folder, "base.yaml"), *path = support_path(folder, "sweep.yaml"), text[8192];
    const char *experiment = "name: base\noutput_dir: nowhere\ndata:\n  stores: [a.h5]\n";
    support_write_file(base, experiment, strlen(experiment));
    int length =
        snprintf(text, sizeof text, "experiment: base.yaml\noutput_dir: %s/out\nseed: 5\n%s", folder, body);
    assert_in_range(length, 1, sizeof text - 1);
    support_write_file(path, text, (size_t)length);
    free(base);
    free(own);
    return path;
}

static vg_sweep *load_in(const char *folder, const char *body)
{
    char *path = write_sweep(folder, body);
    vg_sweep *sweep = NULL;
    assert_ok(vg_sweep_load(path, &sweep));
    free(path);
    return sweep;
}

static void refused(const char *body, const char *place, const char *text)
{
    char *path = write_sweep(NULL, body);
    vg_sweep *sweep = NULL;
    assert_fails(vg_sweep_load(path, &sweep), VG_ERR_CONFIG, text);
    if (!strstr(vg_cause(), place)) fail_msg("'%s' is not in: %s", place, vg_cause());
    assert_null(sweep);
    free(path);
}

/* ---- The file ------------------------------------------------------------------------------------- */

static void a_whole_file(void **state)
{
    (void)state;
    vg_sweep *s =
        load_in(NULL, "name: all\ndescription: of it\ncommand: finetune\n"
                      "method: random\nrun_cap: 8\nmetric: {name: auroc, goal: maximize}\n"
                      "parameters:\n"
                      "  optimizer:\n"
                      "    parameters:\n"
                      "      learning_rate: {min: 0.001, max: 0.01}\n"
                      "      kind: {values: [adam, 'adamw']}\n"
                      "  train.epochs: {min: 1, max: 5}\n"
                      "  train.batch_size: {value: 16}\n"
                      "  scheduler.kind: {values: [linear, cosine], probabilities: [0.25, 0.75]}\n"
                      "  scheduler.warmup_epochs: {distribution: q_uniform, min: 0, max: 10, q: 2.5}\n"
                      "  model.conv_channels: {values: [[8, 16, 32], [16, 32, 64]]}\n"
                      "  data.lead: {value: null}\n");
    static const struct {
        const char *key;
        vg_distribution distribution;
    } expected[] = {
        {"optimizer.lr", VG_DISTRIBUTION_UNIFORM}, /* an alias: the key's own name is kept */
        {"optimizer.kind", VG_DISTRIBUTION_CATEGORICAL},
        {"train.epochs", VG_DISTRIBUTION_INT_UNIFORM},
        {"train.batch_size", VG_DISTRIBUTION_CONSTANT},
        {"scheduler.kind", VG_DISTRIBUTION_CATEGORICAL_WEIGHTED},
        {"scheduler.warmup_epochs", VG_DISTRIBUTION_Q_UNIFORM},
        {"model.conv_channels", VG_DISTRIBUTION_CATEGORICAL},
        {"data.lead", VG_DISTRIBUTION_CONSTANT},
    };
    assert_int_equal(s->space.count, sizeof expected / sizeof *expected);
    for (int i = 0; i < s->space.count; i++) {
        assert_string_equal(s->space.parameters[i].key, expected[i].key);
        assert_int_equal(s->space.parameters[i].distribution, expected[i].distribution);
    }
    assert_string_equal(s->name, "all");
    assert_string_equal(s->metric, "auroc");
    assert_string_equal(s->command, "finetune");
    assert_true(s->maximize);
    assert_int_equal(s->seed, 5);
    assert_int_equal(vg_sweep_trial_count(s), 8);
    assert_true(vg_path_exists(s->experiment));
    assert_string_equal(s->space.parameters[6].values[1], "[16, 32, 64]");
    assert_string_equal(s->space.parameters[7].values[0], "null");
    vg_sweep_destroy(s);
    vg_sweep_destroy(NULL);
}

/* Everything below is refused before a trial runs, with its line and column. */
static void what_is_refused(void **state)
{
    (void)state;
    refused("methods: grid\n", ":4:1", "did you mean 'method'");
    refused("method: bayes\n", ":4:9", "no method 'bayes' yet; there are: grid, random");
    refused("method: grid\n", ":1:1", "'metric'");
    refused("method: grid\nmetric: loss\n", ":5:9", "mapping");
    refused("method: grid\nmetric: {goal: minimize}\n", ":5:9", "'name'");
    refused("method: grid\nmetric: {name: loss, goal: lowest}\n", ":5:28", "minimize or maximize");
    refused("method: grid\nmetric: {name: loss, target: 0.1}\n", ":5:30", "not supported yet");
    refused("early_terminate: {type: hyperband}\n" GRID "  seed: {values: [1]}\n", ":4:18",
            "early_terminate is not supported yet");
    refused("command: [python, train.py]\n" GRID "  seed: {values: [1]}\n", ":4:10", "command");
    refused("command: predict\n" GRID "  seed: {values: [1]}\n", ":4:10", "pretrain or finetune");
    refused("method: random\nmetric: {name: loss}\nparameters:\n  seed: {values: [1]}\n", "sweep.yaml",
            "run_cap");
    refused("run_cap: 0\n" GRID "  seed: {values: [1]}\n", ":4:10", "run_cap");
    refused(GRID, ":6", "parameters");
    refused(GRID "  optimizer.lr: 3\n", ":7:17", "mapping");
    refused(GRID "  optimiser.lr: {values: [1e-3]}\n", ":7:3", "did you mean 'optimizer.lr'");
    refused(GRID "  optimizer: {values: [1e-3]}\n", ":7:3", "section");
    refused(GRID "  output_dir: {values: [a]}\n", ":7:3", "cannot be varied");
    refused(GRID "  optimizer.lr: {values: [1e-3]}\n  optimizer.learning_rate: {values: [1e-3]}\n", ":8:3",
            "given twice");
    refused(GRID "  optimizer.lr: {parameters: {}, value: 1}\n", ":7", "value");
    /* The experiment's own limits. */
    refused(LR("{values: [1e-3, fast]}"), ":8:17", "optimizer.lr");
    refused(LR("{min: 1.0, max: 100.0}"), ":8:17", "optimizer.lr");
    refused(HEAD "  train.epochs: {min: 1.0, max: 3.0}\n", ":8:17", "train.epochs");
    /* Distributions. */
    refused(LR("{}"), ":8:17", "needs value");
    refused(LR("{min: 0.1}"), ":8:17", "needs value");
    refused(LR("{values: []}"), ":8:26", "at least one");
    refused(LR("{values: 3}"), ":8:26", "list");
    refused(LR("{values: [{a: 1}]}"), ":8:27", "scalar");
    refused(LR("{value: 0.1, distribution: loguniform}"), ":8:44", "did you mean 'log_uniform'");
    refused(LR("{value: 0.1, min: 1}"), ":8:30", "'min'");
    refused(LR("{min: 0.1, max: 0.2, colour: 3}"), ":8:38", "'colour'");
    refused(LR("{min: 0.2, max: 0.1}"), ":8:23", "below max");
    refused(LR("{min: .nan, max: 0.1}"), ":8:23", "optimizer.lr");
    refused(LR("{min: -.inf, max: 0.1}"), ":8:23", "finite");
    refused(LR("{min: 0.1, max: 0.2, q: 0.1}"), ":8:38", "'q'");
    refused(LR("{distribution: log_uniform_values, min: 0, max: 0.1}"), ":8:57", "above 0");
    refused(LR("{distribution: log_uniform, min: -800, max: 0}"), ":8:50", "exponents");
    refused(LR("{distribution: int_uniform, min: 0.5, max: 3}"), ":8:50", "whole numbers");
    refused(LR("{distribution: q_uniform, min: 0.1, max: 0.2, q: 0}"), ":8:66", "above 0");
    refused(LR("{distribution: q_uniform, min: 0.3, max: 0.4, q: 0.25}"), ":8:66", "no multiple");
    refused(LR("{distribution: normal, sigma: -1}"), ":8:17", "sigma");
    refused(LR("{distribution: log_uniform_values, max: 0.1}"), ":8:17", "'min'");
    refused(LR("{values: [0.1, 0.2], probabilities: [0.5]}"), ":8:53", "as long");
    refused(LR("{values: [0.1, 0.2], probabilities: [0.5, 0.6]}"), ":8:53", "add up to 1.1");
    refused(LR("{values: [0.1, 0.2], probabilities: [1.5, -0.5]}"), ":8:54", "between 0 and 1");
    refused(LR("{distribution: categorical_w_probabilities, values: [0.1]}"), ":8:17", "'probabilities'");
    /* Grids. */
    refused(GRID "  optimizer.lr: {min: 0.1, max: 0.2}\n", "sweep.yaml", "cannot enumerate optimizer.lr");
    refused(GRID "  seed: {min: 0, max: 9007199254740991}\n", "sweep.yaml", "run_cap");

    char *folder = new_folder(), *path = support_path(folder, "none.yaml");
    vg_sweep *sweep = NULL;
    vg_status status = vg_sweep_load(path, &sweep);
    assert_true(status != VG_OK && strstr(vg_cause(), "none.yaml"));
    const char *text = "experiment: gone.yaml\noutput_dir: x\n" GRID "  seed: {values: [1]}\n";
    support_write_file(path, text, strlen(text));
    assert_fails(vg_sweep_load(path, &sweep), VG_ERR_CONFIG, "gone.yaml");
    assert_non_null(strstr(vg_cause(), ":1:13"));
    free(path);
    free(folder);
}

/* A file cut at any byte is read or refused, and neither crashes nor leaks (for the sanitizers). */
static void cut_anywhere(void **state)
{
    (void)state;
    char *folder = new_folder(), *path = write_sweep(folder, LR("{values: [0.1, 0.2]}"));
    size_t size;
    char *bytes = support_read_file(path, &size);
    for (size_t cut = 0; cut < size; cut += 3) {
        vg_sweep *sweep = NULL;
        support_write_file(path, bytes, cut);
        if (vg_sweep_load(path, &sweep) == VG_OK) vg_sweep_destroy(sweep);
    }
    free(bytes);
    free(path);
    free(folder);
}

/* ---- Draws ---------------------------------------------------------------------------------------- */

enum { DRAWS = 20000 };

static void draw_many(const vg_search_parameter *p, double *out)
{
    for (uint32_t i = 0; i < DRAWS; i++) {
        char value[VG_SEARCH_VALUE_LENGTH], *end;
        vg_random random = vg_random_make(9, VG_SITE_SEARCH, i);
        vg_search_draw(p, &random, value);
        out[i] = strtod(value, &end);
        assert_true(*value && !*end);
    }
}

static double share_below(const double *values, double limit)
{
    int below = 0;
    for (int i = 0; i < DRAWS; i++) below += values[i] < limit;
    return (double)below / DRAWS;
}

static void near_share(double got, double expected)
{
    if (!(fabs(got - expected) <= 0.015)) fail_msg("%g instead of %g", got, expected);
}

/* Each distribution by its quartiles, its bounds and its grid. */
static void distributions(void **state)
{
    (void)state;
    const struct {
        vg_search_parameter p;
        double quarter, half, low, high; /* the first two: where a quarter and a half lie below */
    } cases[] = {
        {{.distribution = VG_DISTRIBUTION_UNIFORM, .min = 2, .max = 6}, 3, 4, 2, 6},
        {{.distribution = VG_DISTRIBUTION_INT_UNIFORM, .min = -3, .max = 4}, -1, 1, -3, 4},
        {{.distribution = VG_DISTRIBUTION_LOG_UNIFORM, .min = -4, .max = 4}, exp(-2), 1, exp(-4), exp(4)},
        {{.distribution = VG_DISTRIBUTION_INV_LOG_UNIFORM, .min = 0, .max = 8}, exp(-6), exp(-4), exp(-8), 1},
        {{.distribution = VG_DISTRIBUTION_LOG_UNIFORM_VALUES, .min = 1e-4, .max = 1}, 1e-3, 1e-2, 1e-4, 1},
        {{.distribution = VG_DISTRIBUTION_INV_LOG_UNIFORM_VALUES, .min = 1e-4, .max = 1},
         1e-3,
         1e-2,
         1e-4,
         1},
        {{.distribution = VG_DISTRIBUTION_NORMAL, .mu = 5, .sigma = 2}, 5 - 2 * 0.67449, 5, -20, 30},
        {{.distribution = VG_DISTRIBUTION_LOG_NORMAL, .mu = 1, .sigma = 2},
         exp(1 - 2 * 0.67449),
         exp(1),
         0,
         1e9},
    };
    double *values = calloc(DRAWS, sizeof *values);
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        draw_many(&cases[c].p, values);
        near_share(share_below(values, cases[c].quarter), 0.25);
        near_share(share_below(values, cases[c].half), 0.5);
        for (int i = 0; i < DRAWS; i++)
            if (!(values[i] >= cases[c].low * (1 - 1e-12 * (cases[c].low > 0)) && values[i] <= cases[c].high))
                fail_msg("case %zu drew %.17g", c, values[i]);
    }
    free(values);
}

static void multiples_of_q(void **state)
{
    (void)state;
    static const vg_search_parameter cases[] = {
        {.distribution = VG_DISTRIBUTION_Q_UNIFORM, .min = 0.1, .max = 0.7, .q = 0.1},
        {.distribution = VG_DISTRIBUTION_Q_UNIFORM, .min = 1, .max = 8, .q = 3},
        {.distribution = VG_DISTRIBUTION_Q_LOG_UNIFORM_VALUES, .min = 16, .max = 512, .q = 16},
        {.distribution = VG_DISTRIBUTION_Q_LOG_UNIFORM, .min = 0, .max = 3, .q = 0.5},
        {.distribution = VG_DISTRIBUTION_Q_NORMAL, .mu = 0, .sigma = 3, .q = 0.2},
        {.distribution = VG_DISTRIBUTION_Q_LOG_NORMAL, .mu = 0, .sigma = 1, .q = 1},
    };
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        for (uint32_t i = 0; i < 2000; i++) {
            char value[VG_SEARCH_VALUE_LENGTH];
            vg_random random = vg_random_make(2, VG_SITE_SEARCH, i);
            vg_search_draw(&cases[c], &random, value);
            double k = strtod(value, NULL) / cases[c].q;
            if (!(fabs(k - nearbyint(k)) < 1e-9)) fail_msg("case %zu drew %s", c, value);
            if (strlen(value) > 8) fail_msg("case %zu: %s carries rounding noise", c, value);
            if (c < 3)
                assert_true(k * cases[c].q >= cases[c].min - 1e-9 && k * cases[c].q <= cases[c].max + 1e-9);
        }
    }
    char value[VG_SEARCH_VALUE_LENGTH];
    assert_int_equal(vg_search_grid_count(&cases[0]), 7);
    vg_search_grid_value(&cases[0], 2, value);
    assert_string_equal(value, "0.3");
    assert_int_equal(vg_search_grid_count(&cases[1]), 2); /* 3 and 6 */
    vg_search_grid_value(&cases[1], 1, value);
    assert_string_equal(value, "6");
    assert_int_equal(vg_search_grid_count(&cases[2]), -1);
}

static void probabilities(void **state)
{
    (void)state;
    vg_sweep *s = load_in(NULL, LR("{values: [0.1, 0.2, 0.3], probabilities: [0.2, 0, 0.8]}"));
    double *values = calloc(DRAWS, sizeof *values);
    draw_many(&s->space.parameters[0], values);
    near_share(share_below(values, 0.15), 0.2);
    near_share(share_below(values, 0.25), 0.2);
    free(values);
    vg_sweep_destroy(s);
}

static void grid_has_every_combination_once(void **state)
{
    (void)state;
    vg_sweep *s = load_in(NULL, GRID "  optimizer.lr: {values: [0.1, 0.2]}\n"
                                     "  train.epochs: {min: 1, max: 3}\n"
                                     "  seed: {value: 4}\n");
    static const char *const expected[6][2] = {{"0.1", "1"}, {"0.1", "2"}, {"0.1", "3"},
                                               {"0.2", "1"}, {"0.2", "2"}, {"0.2", "3"}};
    assert_int_equal(vg_sweep_trial_count(s), 6);
    for (int i = 0; i < 6; i++) {
        char values[3][VG_SEARCH_VALUE_LENGTH];
        assert_ok(s->method->next(s, NULL, 0, i, values));
        assert_string_equal(values[0], expected[i][0]);
        assert_string_equal(values[1], expected[i][1]);
        assert_string_equal(values[2], "4");
    }
    vg_sweep_destroy(s);
}

/* A trial depends on its number and the seed alone, and no two parameters share their draws. */
static void random_is_a_function_of_seed_and_trial(void **state)
{
    (void)state;
    const char *body = HEAD "  optimizer.lr: {min: 0.0, max: 1.0}\n  optimizer.beta1: {min: 0.0, max: 0.9}\n";
    vg_sweep *s = load_in(NULL, body);
    char first[2][VG_SEARCH_VALUE_LENGTH], again[2][VG_SEARCH_VALUE_LENGTH];
    assert_ok(s->method->next(s, NULL, 0, 3, first));
    assert_ok(s->method->next(s, NULL, 0, 4, again));
    assert_string_not_equal(first[0], again[0]);
    assert_ok(s->method->next(s, NULL, 0, 3, again));
    assert_string_equal(first[0], again[0]);
    assert_true(fabs(strtod(first[0], NULL) * 0.9 - strtod(first[1], NULL)) > 1e-6);
    s->seed = 6;
    assert_ok(s->method->next(s, NULL, 0, 3, again));
    assert_string_not_equal(first[0], again[0]);
    vg_sweep_destroy(s);
}

/* ---- Running -------------------------------------------------------------------------------------- */

/* A run whose loss is (lr - 0.3)^2 + epochs / 100 and that misbehaves where it is told to. */
typedef struct script {
    int runs, fail_at, nan_at, stop_at;
    char last_dir[512];
} script;

static vg_status scripted(void *context, int trial, const char *const *keys, const char *const *values,
                          int count, const char *output_dir, double *metric)
{
    script *s = context;
    s->runs++;
    snprintf(s->last_dir, sizeof s->last_dir, "%s", output_dir);
    assert_int_equal(count, 2);
    assert_string_equal(keys[0], "optimizer.lr");
    assert_string_equal(keys[1], "train.epochs");
    double lr = strtod(values[0], NULL);
    if (trial == s->fail_at) return vg_fail(VG_ERR_DATA, "store \"a\" is empty");
    if (trial == s->stop_at) return vg_fail(VG_ERR_PREEMPTED, "stopped");
    *metric = trial == s->nan_at ? NAN : (lr - 0.3) * (lr - 0.3) + strtod(values[1], NULL) / 100;
    return VG_OK;
}

#define BODY                                                                                                 \
    GRID "  optimizer.lr: {values: [0.1, 0.30000000000000004, 0.9]}\n  train.epochs: {min: 1, max: 2}\n"

/* The texts of two files in the sweep's folder of results; NULL when there is none. */
static char *result_text(const vg_sweep *s, const char *name)
{
    char *path = support_path(s->output_dir, name), *text = NULL;
    size_t size;
    if (vg_path_exists(path)) {
        char *bytes = support_read_file(path, &size);
        text = strndup(bytes, size);
        free(bytes);
    }
    free(path);
    return text;
}

static void contains(const char *text, const char *part)
{
    if (!text || !strstr(text, part)) fail_msg("'%s' is not in: %s", part, text ? text : "(nothing)");
}

static int count_lines(const char *text)
{
    int lines = 0;
    for (; text && *text; text++) lines += *text == '\n';
    return lines;
}

static void failures_are_recorded_and_the_sweep_goes_on(void **state)
{
    (void)state;
    vg_sweep *s = load_in(NULL, BODY);
    script run = {.fail_at = 1, .nan_at = 5, .stop_at = -1};
    char *shown = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&shown, &size);
    assert_ok(vg_sweep_run(s, scripted, &run, out));
    fclose(out);
    assert_int_equal(run.runs, 6);
    contains(run.last_dir, "out/trial-0005");
    contains(shown, "trial 1 failed: store \"a\" is empty");
    contains(shown, "trial 5 failed: loss is nan");
    contains(shown, "best: trial 2, loss 0.01");
    /* The table, best first: trials 2, 3 (lr 0.3), then 0, 4, then the failed ones. */
    const char *table = strstr(shown, "rank");
    assert_non_null(table);
    int order[6], n = 0;
    for (const char *line = strchr(table, '\n') + 1; n < 6; line = strchr(line, '\n') + 1) {
        char rank[8];
        assert_int_equal(sscanf(line, "%7s %d", rank, &order[n++]), 2);
    }
    const int expected[] = {2, 3, 0, 4, 1, 5};
    assert_memory_equal(order, expected, sizeof expected);

    char *ledger = result_text(s, "trials.jsonl");
    assert_int_equal(count_lines(ledger), 6);
    contains(ledger, "\"status\": \"ERR_DATA\"");
    contains(ledger, "\"cause\": \"store \\\"a\\\" is empty\"");
    free(ledger);
    /* Again, the store being there now: the trial that diverged is not tried again. */
    run.fail_at = -1;
    assert_ok(vg_sweep_run(s, scripted, &run, NULL));
    assert_int_equal(run.runs, 7);
    contains(run.last_dir, "out/trial-0001");
    ledger = result_text(s, "trials.jsonl");
    assert_int_equal(count_lines(ledger), 7);
    assert_ok(vg_sweep_run(s, scripted, &run, NULL));
    assert_int_equal(run.runs, 7);
    free(ledger);
    free(shown);
    vg_sweep_destroy(s);
}

/* best.yaml is an experiment: the base with the best values over it, exactly. */
static void best_is_an_experiment(void **state)
{
    (void)state;
    vg_sweep *s = load_in(NULL, BODY);
    script run = {.fail_at = -1, .nan_at = -1, .stop_at = -1};
    assert_ok(vg_sweep_run(s, scripted, &run, NULL));
    char *path = support_path(s->output_dir, "best.yaml");
    vg_experiment experiment;
    assert_ok(vg_experiment_load(path, NULL, 0, &experiment));
    assert_true(experiment.optimizer.lr == 0.30000000000000004);
    assert_int_equal(experiment.train.epochs, 1);
    assert_string_equal(experiment.name, "base");
    vg_experiment_free(&experiment);
    free(path);
    vg_sweep_destroy(s);
}

static void stops_and_goes_on(void **state)
{
    (void)state;
    vg_sweep *s = load_in(NULL, BODY);
    script run = {.fail_at = -1, .nan_at = -1, .stop_at = 3};
    vg_status status = vg_sweep_run(s, scripted, &run, NULL);
    assert_int_equal(status, VG_ERR_PREEMPTED);
    char *ledger = result_text(s, "trials.jsonl"), *best = result_text(s, "best.yaml");
    assert_int_equal(count_lines(ledger), 3);
    contains(best, "trial so far: 2");
    free(ledger);
    free(best);
    script rest = {.fail_at = -1, .nan_at = -1, .stop_at = -1};
    assert_ok(vg_sweep_run(s, scripted, &rest, NULL));
    assert_int_equal(rest.runs, 3); /* 3, 4, 5: the stopped one again */
    /* A stop that comes between two trials. */
    vg_sweep *other = load_in(NULL, BODY);
    assert_ok(vg_signals_install());
    vg_stop_request();
    status = vg_sweep_run(other, scripted, &rest, NULL);
    assert_ok(vg_signals_install()); /* clears the request */
    vg_signals_uninstall();
    assert_int_equal(status, VG_ERR_PREEMPTED);
    assert_int_equal(rest.runs, 3);
    vg_sweep_destroy(other);
    vg_sweep_destroy(s);
}

static void append(const vg_sweep *s, const char *text)
{
    char *path = support_path(s->output_dir, "trials.jsonl");
    assert_ok(vg_file_append(path, text, strlen(text)));
    free(path);
}

/* Killed while it wrote the ledger: the half line is dropped, that trial runs again, and what comes out is
 * what an undisturbed sweep writes (but for the times). */
static void a_half_written_line(void **state)
{
    (void)state;
    vg_sweep *s = load_in(NULL, BODY);
    script run = {.fail_at = -1, .nan_at = -1, .stop_at = 2};
    assert_int_equal(vg_sweep_run(s, scripted, &run, NULL), VG_ERR_PREEMPTED);
    append(s, "{\"trial\":2,\"state\":\"fini");
    run.stop_at = -1;
    run.runs = 0;
    vg_log_set_level(VG_LOG_ERROR);
    assert_ok(vg_sweep_run(s, scripted, &run, NULL));
    vg_log_set_level(VG_LOG_INFO);
    assert_int_equal(run.runs, 4);
    char *ledger = result_text(s, "trials.jsonl");
    assert_int_equal(count_lines(ledger), 6);
    free(ledger);
    vg_sweep_destroy(s);
}

static void a_changed_sweep_is_noticed(void **state)
{
    (void)state;
    char *folder = new_folder();
    script run = {.fail_at = -1, .nan_at = -1, .stop_at = 2};
    vg_sweep *s = load_in(folder, BODY);
    assert_int_equal(vg_sweep_run(s, scripted, &run, NULL), VG_ERR_PREEMPTED);
    vg_sweep_destroy(s);
    static const struct {
        const char *body, *says;
    } changes[] = {
        {GRID "  optimizer.lr: {values: [0.2, 0.3]}\n  train.epochs: {min: 1, max: 2}\n", "optimizer.lr=0.1"},
        {GRID "  optimizer.lr: {values: [0.1]}\n", "2 parameters"},
        {GRID "  optimizer.lr: {values: [0.1]}\n  seed: {values: [1]}\n", "no seed"},
        {GRID "  optimizer.lr: {values: [0.1]}\n  train.epochs: {values: [1]}\n", "holds a trial 1"},
        {"method: grid\nmetric: {name: accuracy}\nparameters:\n  optimizer.lr: {values: [0.1]}\n"
         "  train.epochs: {min: 1, max: 2}\n",
         "judged by loss"},
    };
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
        s = load_in(folder, changes[i].body);
        assert_fails(vg_sweep_run(s, scripted, &run, NULL), VG_ERR_CONFIG, changes[i].says);
        vg_sweep_destroy(s);
    }
    /* More values at the end change no trial that was run. */
    run.stop_at = -1;
    run.runs = 0;
    s = load_in(folder,
                GRID "  optimizer.lr: {values: [0.1, 0.3, 0.9, 1]}\n  train.epochs: {min: 1, max: 2}\n");
    assert_ok(vg_sweep_run(s, scripted, &run, NULL));
    assert_int_equal(run.runs, 6);
    vg_sweep_destroy(s);
    free(folder);
}

static void a_damaged_ledger(void **state)
{
    (void)state;
    static const struct {
        const char *line, *says;
    } lines[] = {
        {"nonsense\n", "trials.jsonl:1"},
        {"{\"trial\":0,\"state\":\"finished\",\"metric\":\"loss\",\"value\":1,\"seconds\":1,\"parameters\":{"
         "\"optimizer.lr\":\"0.1\",\"train.epochs\":\"1\"}}\n"
         "{\"trial\":0,\"state\":\"finished\",\"metric\":\"loss\",\"value\":1,\"seconds\":1,\"parameters\":{"
         "\"optimizer.lr\":\"0.1\",\"train.epochs\":\"1\"}}\n",
         "twice"},
        {"{}\n", "trial"},
        {"{\"trial\":-1}\n", "-1"},
        {"{\"trial\":0,\"state\":\"finished\",\"metric\":\"loss\",\"value\":null,\"seconds\":1,"
         "\"parameters\":{\"optimizer.lr\":\"0.1\",\"train.epochs\":\"1\"}}\n",
         "value"},
        {"{\"trial\":0,\"state\":\"finished\",\"metric\":\"loss\",\"value\":1,\"seconds\":1,"
         "\"parameters\":{\"optimizer.lr\":0.1,\"train.epochs\":\"1\"}}\n",
         "optimizer.lr"},
        {"{\"trial\":0,\"state\":\"failed\",\"status\":\"ERR_IO\",\"metric\":\"loss\",\"value\":null,"
         "\"seconds\":1,\"parameters\":{"
         "}}\n",
         "cause"},
    };
    script run = {.fail_at = -1, .nan_at = -1, .stop_at = -1};
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        vg_sweep *s = load_in(NULL, BODY);
        assert_ok(vg_folder_make(s->output_dir));
        append(s, lines[i].line);
        vg_status status = vg_sweep_run(s, scripted, &run, NULL);
        assert_true(status == VG_ERR_FORMAT || status == VG_ERR_CONFIG);
        contains(vg_cause(), lines[i].says);
        vg_sweep_destroy(s);
    }
    assert_int_equal(run.runs, 0);
}

static void one_process_at_a_time(void **state)
{
    (void)state;
    vg_sweep *s = load_in(NULL, BODY);
    script run = {.fail_at = -1, .nan_at = -1, .stop_at = -1};
    assert_ok(vg_folder_make(s->output_dir));
    char *path = support_path(s->output_dir, "trials.jsonl");
    FILE *held = fopen(path, "a");
    assert_int_equal(flock(fileno(held), LOCK_EX), 0);
    assert_fails(vg_sweep_run(s, scripted, &run, NULL), VG_ERR_CONFIG, "another process");
    fclose(held);
    assert_ok(vg_sweep_run(s, scripted, &run, NULL));
    free(path);
    vg_sweep_destroy(s);
}

static vg_status always_refused(void *context, int trial, const char *const *keys, const char *const *values,
                                int count, const char *output_dir, double *metric)
{
    (void)context, (void)keys, (void)values, (void)count, (void)output_dir, (void)metric;
    return vg_fail(VG_ERR_CONFIG, "trial %d needs another base", trial);
}

static void nothing_but_failures(void **state)
{
    (void)state;
    vg_sweep *s = load_in(NULL, BODY);
    assert_fails(vg_sweep_run(s, always_refused, NULL, NULL), VG_ERR_CONFIG, "trial 0 needs another base");
    assert_null(result_text(s, "best.yaml"));
    vg_sweep_destroy(s);
    s = load_in(NULL, BODY);
    support_write_file(s->output_dir, "x", 1); /* a file where the folder should be */
    vg_status status = vg_sweep_run(s, always_refused, NULL, NULL);
    assert_true(status != VG_OK && strstr(vg_cause(), "out"));
    vg_sweep_destroy(s);
}

/* The example that comes with the program can be read. */
static void the_example(void **state)
{
    (void)state;
    const char *source = getenv("VAGUS_SOURCE");
    char *path = support_path(source ? source : ".", "experiments/sweep/lr-small.yaml");
    vg_sweep *sweep;
    assert_ok(vg_sweep_load(path, &sweep));
    assert_true(vg_sweep_trial_count(sweep) > 1);
    vg_experiment experiment;
    assert_ok(vg_experiment_load(sweep->experiment, NULL, 0, &experiment));
    vg_experiment_free(&experiment);
    vg_sweep_destroy(sweep);
    free(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_whole_file),
        cmocka_unit_test(what_is_refused),
        cmocka_unit_test(cut_anywhere),
        cmocka_unit_test(distributions),
        cmocka_unit_test(multiples_of_q),
        cmocka_unit_test(probabilities),
        cmocka_unit_test(grid_has_every_combination_once),
        cmocka_unit_test(random_is_a_function_of_seed_and_trial),
        cmocka_unit_test(failures_are_recorded_and_the_sweep_goes_on),
        cmocka_unit_test(best_is_an_experiment),
        cmocka_unit_test(stops_and_goes_on),
        cmocka_unit_test(a_half_written_line),
        cmocka_unit_test(a_changed_sweep_is_noticed),
        cmocka_unit_test(a_damaged_ledger),
        cmocka_unit_test(one_process_at_a_time),
        cmocka_unit_test(nothing_but_failures),
        cmocka_unit_test(the_example),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
