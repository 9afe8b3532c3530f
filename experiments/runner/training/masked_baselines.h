/* What a masked reconstruction has to beat: two predictions that need no training, on the very same masks. */
#ifndef VAGUS_EXPERIMENTS_RUNNER_TRAINING_MASKED_BASELINES_H
#define VAGUS_EXPERIMENTS_RUNNER_TRAINING_MASKED_BASELINES_H

#include <stdint.h>

#include "core/status.h"

/* Sums of squared errors over masked samples; divide by `count` for the mean. */
typedef struct vg_masked_baselines {
    double mean;          /* predicting the mean of the segment's visible samples */
    double interpolation; /* a straight line over each gap between its visible neighbours, held at the ends */
    int64_t count;        /* masked samples */
} vg_masked_baselines;

/* Adds one segment: signal (T), mask (T), nonzero = masked. A segment with nothing visible is predicted as 0.
 */
void vg_masked_baselines_add(vg_masked_baselines *sums, const float *signal, const uint8_t *mask,
                             int64_t length);

#endif
