/* What a sweep file says: the base experiment, the parameters to vary and how. The schema is that of
 * Weights & Biases sweeps with four keys of our own (experiment, command, seed, output_dir);
 * experiments/README.md is its reference page. */
#ifndef VAGUS_RUNNER_SEARCH_SPACE_H
#define VAGUS_RUNNER_SEARCH_SPACE_H

#include <stdbool.h>
#include <stdint.h>

#include "core/random.h"
#include "core/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/* X(ENUM, name in the file). The names and meanings are those of W&B: log_uniform takes exponents of e as
 * bounds and log_uniform_values the bounds themselves; q_ rounds to a multiple of q. */
#define VG_DISTRIBUTION_MAP(X)                                                                               \
    X(CONSTANT, "constant")                                                                                  \
    X(CATEGORICAL, "categorical")                                                                            \
    X(CATEGORICAL_WEIGHTED, "categorical_w_probabilities")                                                   \
    X(INT_UNIFORM, "int_uniform")                                                                            \
    X(UNIFORM, "uniform")                                                                                    \
    X(Q_UNIFORM, "q_uniform")                                                                                \
    X(LOG_UNIFORM, "log_uniform")                                                                            \
    X(LOG_UNIFORM_VALUES, "log_uniform_values")                                                              \
    X(Q_LOG_UNIFORM, "q_log_uniform")                                                                        \
    X(Q_LOG_UNIFORM_VALUES, "q_log_uniform_values")                                                          \
    X(INV_LOG_UNIFORM, "inv_log_uniform")                                                                    \
    X(INV_LOG_UNIFORM_VALUES, "inv_log_uniform_values")                                                      \
    X(NORMAL, "normal")                                                                                      \
    X(Q_NORMAL, "q_normal")                                                                                  \
    X(LOG_NORMAL, "log_normal")                                                                              \
    X(Q_LOG_NORMAL, "q_log_normal")

typedef enum vg_distribution {
#define VG_DISTRIBUTION_ENUM(name, text) VG_DISTRIBUTION_##name,
    VG_DISTRIBUTION_MAP(VG_DISTRIBUTION_ENUM)
#undef VG_DISTRIBUTION_ENUM
} vg_distribution;

VG_API const char *vg_distribution_name(vg_distribution distribution);

/* One key of the experiment and where its values come from. Values are YAML text, as they would be written
 * in the experiment or after `key=` on the command line. */
typedef struct vg_search_parameter {
    char *key; /* "optimizer.lr" */
    vg_distribution distribution;
    char **values;         /* CONSTANT (1) and CATEGORICAL */
    double *probabilities; /* CATEGORICAL_WEIGHTED: sum 1 */
    int64_t value_count;
    double min, max, q, mu, sigma;
} vg_search_parameter;

typedef struct vg_search_space {
    vg_search_parameter *parameters; /* in the order of the file */
    int count;
} vg_search_space;

enum { VG_SEARCH_VALUE_LENGTH = 512 }; /* longest value, with its final 0 */

/* Draws a value as YAML text. The stream decides it alone; numbers are written with 17 digits at most, as
 * few as bring back the same double. */
VG_API void vg_search_draw(const vg_search_parameter *parameter, vg_random *random,
                           char value[VG_SEARCH_VALUE_LENGTH]);

/* How many values a parameter has on a grid, and the i-th of them; -1 when it cannot be enumerated. */
VG_API int64_t vg_search_grid_count(const vg_search_parameter *parameter);
VG_API void vg_search_grid_value(const vg_search_parameter *parameter, int64_t index,
                                 char value[VG_SEARCH_VALUE_LENGTH]);

typedef struct vg_sweep {
    char *path; /* of the file */
    char *name;
    const struct vg_search_method *method;
    char *metric; /* its name, as the run reports it: "validation.loss", "auroc" */
    bool maximize;
    char *experiment; /* the base; relative paths are taken from the sweep file's folder */
    char *command;    /* "pretrain" or "finetune" */
    uint64_t seed;
    char *output_dir; /* relative paths are taken from the working directory, as an experiment's are */
    int64_t run_cap;  /* most trials; 0 = as many as the method has */
    vg_search_space space;
} vg_sweep;

/* Reads a sweep file. Unknown and duplicate keys, impossible bounds and the like are ERR_CONFIG with line,
 * column and the way out. */
VG_NODISCARD VG_API vg_status vg_sweep_load(const char *path, vg_sweep **out);
VG_API void vg_sweep_destroy(vg_sweep *sweep); /* NULL is fine */

/* Trials in all: run_cap, or what the method has, whichever is smaller. */
VG_API int64_t vg_sweep_trial_count(const vg_sweep *sweep);

#ifdef __cplusplus
}
#endif
#endif
