/* The learning rate as a pure function of the step: nothing to save, nothing to drift on resume. */
#ifndef VAGUS_MODELS_SCHEDULE_H
#define VAGUS_MODELS_SCHEDULE_H

#include <stdint.h>

#include "core/status.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum vg_schedule_kind {
    VG_SCHEDULE_CONSTANT,
    VG_SCHEDULE_LINEAR, /* from lr to final_lr at the last step */
    VG_SCHEDULE_COSINE, /* the same ends along half a cosine */
    VG_SCHEDULE_STEP,   /* times `factor` every `every` steps */
} vg_schedule_kind;

typedef struct vg_schedule {
    vg_schedule_kind kind;
    double lr;            /* the peak */
    double final_lr;      /* LINEAR, COSINE */
    double factor;        /* STEP */
    int64_t every;        /* STEP, in steps, > 0 */
    int64_t warmup_steps; /* lr * step / warmup_steps for the first ones */
    int64_t total_steps;  /* LINEAR, COSINE: where final_lr is reached */
} vg_schedule;

/* Epochs as the paper gives them, fractions allowed, turned into steps: rounded to the nearest, and never 0
 * for a positive number of epochs. */
VG_API int64_t vg_schedule_steps(double epochs, int64_t steps_per_epoch);

/* ERR_CONFIG naming the value that cannot be. */
VG_NODISCARD VG_API vg_status vg_schedule_check(const vg_schedule *schedule);

/* The rate of step 1, 2, ... In the warm-up: lr * step / warmup_steps. After it, with s = step - warmup_steps
 * (the first step after the warm-up has s = 1) and n = total_steps - warmup_steps:
 *   LINEAR  final_lr + (lr - final_lr) * (1 - min(s, n) / n)
 *   COSINE  final_lr + (lr - final_lr) * (1 + cos(pi * min(s, n) / n)) / 2
 *   STEP    lr * factor ^ floor((step - 1) / every): counted from the start of training, warm-up included
 * so the peak is the warm-up's last step. Without a warm-up LINEAR and COSINE take s = step - 1 and start at
 * the peak. */
VG_API double vg_schedule_rate(const vg_schedule *schedule, int64_t step);

#ifdef __cplusplus
}
#endif
#endif
