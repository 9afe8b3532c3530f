/* What a fine-tuned classifier answers to the segments of stores. */
#ifndef VAGUS_EXPERIMENTS_RUNNER_EVALUATION_PREDICTION_ANSWER_H
#define VAGUS_EXPERIMENTS_RUNNER_EVALUATION_PREDICTION_ANSWER_H

#include "datasets/corpus/corpus.h"
#include "experiments/runner/evaluation/prediction/wish.h"
#include "experiments/runner/training/machine.h"

typedef struct vg_answers {
    vg_corpus *corpus;   /* its segments, in order, are what was answered; labelled if `labelled` */
    double *probability; /* [segment_count] of class 1; of several folds' models their mean */
    bool balanced;       /* as if both classes were equally frequent */
    bool labelled;       /* the stores have the rating, and all models the same threshold on it */
} vg_answers;

/* Answers every usable segment of stores that vg_wish_check() let pass, and says on the log what of and how.
 * Called by all ranks of the machine, each of which gets everything. ERR_PREEMPTED when stopped on request.
 */
VG_NODISCARD vg_status vg_answers_make(const vg_fitted_list *models, vg_wish *wish, const char *const *stores,
                                       int store_count, vg_machine *machine, vg_answers *out);
void vg_answers_free(vg_answers *answers); /* zeroes are fine */

/* A line a segment, or a line a recording with the mean of its segments. */
typedef enum vg_answer_rows { VG_ROWS_SEGMENT, VG_ROWS_RECORDING } vg_answer_rows;

/* CSV to `path`, which appears whole or not at all; NULL: to standard output. `names`, one for each store,
 * stand in the first column. */
VG_NODISCARD vg_status vg_answers_write(const vg_answers *answers, vg_answer_rows rows,
                                        const char *const *names, const char *path);

/* ---- What is said: say.c ------------------------------------------------------------------------------- */

void vg__say_models(const vg_fitted_list *models, const vg_machine *machine);
void vg__say_meaning(const vg_fitted_list *models, bool balanced);
void vg__say_known_data(const vg_fitted_list *models, const vg_corpus *corpus);
void vg__say_silence(const vg_corpus *corpus);

#endif
