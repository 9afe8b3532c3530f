/* The outcome of a cross-validation: every prediction on a test segment, by method; and what becomes of them:
 * a table to read, results.json and predictions.csv. */
#ifndef VAGUS_EXPERIMENTS_RUNNER_EVALUATION_RESULTS_H
#define VAGUS_EXPERIMENTS_RUNNER_EVALUATION_RESULTS_H

#include <stdio.h>

#include "core/rundir.h"
#include "datasets/corpus/corpus.h"
#include "experiments/runner/evaluation/metrics.h"
#include "experiments/runner/experiment.h"

enum { VG_MAX_METHODS = 3 };

/* Items are test segments in the order of the folds; every method predicts the same ones. */
typedef struct vg_results {
    const char *methods[VG_MAX_METHODS]; /* static names */
    int method_count;
    int64_t count, capacity;
    int64_t *segment, *fold;
    float *label;
    int *majority; /* the class that is larger in the training part of the item's fold */
    double *probability[VG_MAX_METHODS];
    int64_t fold_count;
    double validation_loss[VG_MAX_METHODS]; /* mean over folds, of the weights that were tested; NaN: none */
    vg_metrics_grouped metrics[VG_MAX_METHODS], majority_metrics; /* by fold; after vg_results_compute() */
} vg_results;

/* Room for `capacity` items. */
VG_NODISCARD vg_status vg_results_make(const char *const *methods, int method_count, int64_t capacity,
                                       vg_results *out);
void vg_results_free(vg_results *results); /* a zeroed one is fine */

VG_NODISCARD vg_status vg_results_compute(vg_results *results);

/* The table: each metric's mean over folds with its standard deviation, beside the majority answer; then the
 * paired differences between the methods. */
void vg_results_print(const vg_results *results, const vg_experiment *experiment, FILE *out);

/* results.json and predictions.csv in the run directory. */
VG_NODISCARD vg_status vg_results_write(const vg_results *results, const vg_experiment *experiment,
                                        const vg_corpus *corpus, const vg_rundir *run);

#endif
