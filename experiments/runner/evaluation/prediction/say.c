/* What is said of answers on the log, so that nobody takes them for what they are not. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "core/log.h"
#include "experiments/runner/evaluation/prediction/answer.h"

void vg__say_models(const vg_fitted_list *models, const vg_machine *machine)
{
    const vg_fitted *first = &models->items[0];
    if (models->count == 1)
        vg_info("model: %s", first->folder);
    else
        vg_info("%d models: %s to %s", models->count, first->folder, models->items[models->count - 1].folder);
    if (first->state.precision[0] && strcmp(first->state.precision, machine->precision))
        vg_warn("%s was trained in %s and answers in %s here: rounding differs", first->folder,
                first->state.precision, machine->precision);
}

void vg__say_meaning(const vg_fitted_list *models, bool balanced)
{
    const vg_fitted *first = &models->items[0];
    const vg_classifier *c = &first->classifier;
    const char *prior = balanced ? "as if both classes were equally frequent (evaluation.prior=balanced)"
                                 : "as the network gives it (evaluation.prior=training)";
    char above[64] = " above the threshold of each fold";
    if (!first->described) {
        vg_warn("%s has no classifier.json, as it was made by an older program: probabilities are %s, and "
                "labels are not told",
                first->folder, prior);
        return;
    }
    if (isnan(c->threshold))
        snprintf(above, sizeof above, " = 1");
    else if (models->count == 1)
        snprintf(above, sizeof above, " above %.6g", c->threshold);
    if (models->count > 1)
        vg_info("probability: of %s%s, the mean of %d models, %s", c->target, above, models->count, prior);
    else
        vg_info("probability: of %s%s, %s; class 1 was %.1f %% of the training part", c->target, above, prior,
                100 * (double)c->positive / (double)(c->positive + c->negative));
}

/* Whether two lists of names, separated by ", ", have one in common. */
static bool share_a_name(const char *a, const char *b)
{
    for (const char *end; *a; a = end + strspn(end, ", ")) {
        end = a + strcspn(a, ",");
        const size_t length = (size_t)(end - a);
        for (const char *stop, *at = b; *at; at = stop + strspn(stop, ", ")) {
            stop = at + strcspn(at, ",");
            if ((size_t)(stop - at) == length && !memcmp(at, a, length)) return true;
        }
    }
    return false;
}

/* Answers for those whom a model was trained on say nothing of others, however good they look. */
void vg__say_known_data(const vg_fitted_list *models, const vg_corpus *corpus)
{
    char data[20];
    bool same = false;
    snprintf(data, sizeof data, "%016" PRIx64, vg_corpus_fingerprint(corpus));
    for (int i = 0; i < models->count; i++) same |= !strcmp(data, models->items[i].state.data);
    if (same && models->count > 1)
        vg_warn("these are the very data of the fine-tuning, and each of them was in the training part of "
                "some of the %d models: do not evaluate on these answers. The run's predictions.csv has each "
                "segment answered by the fold that did not see it",
                models->count);
    else if (same)
        vg_warn("these are the very data of the fine-tuning, and the model was trained on most of them: "
                "evaluate on the segments that its fold left out (predictions.csv of the run) alone");
    else if (share_a_name(corpus->preprocessing.sources, models->items[0].contract.sources))
        vg_warn("the fine-tuning had data of this source too (%s): people who were in it must not be "
                "evaluated on these answers",
                models->items[0].contract.sources);
    else if (models->count > 1)
        vg_warn(
            "mean of %d folds' models: each person of the fine-tuning was in the training part of some of "
            "them, so evaluate on other people only",
            models->count);
}

/* Recordings of which no segment was usable. */
void vg__say_silence(const vg_corpus *corpus)
{
    int64_t silent = 0;
    const char *first = NULL;
    for (int64_t i = 0; i < corpus->recording_count; i++) {
        if (corpus->recordings[i].segment_count) continue;
        if (!silent++) first = corpus->recordings[i].source;
    }
    if (silent)
        vg_warn("%" PRId64 " of %" PRId64
                " recordings have no usable segment and so no answer, the first being %s",
                silent, corpus->recording_count, first);
}
