#include "models/schedule.h"

#include <inttypes.h>
#include <math.h>

int64_t vg_schedule_steps(double epochs, int64_t steps_per_epoch)
{
    double steps = epochs * (double)steps_per_epoch;
    if (!(steps > 0)) return 0;
    if (steps >= 9e18) return INT64_MAX / 2;
    int64_t rounded = (int64_t)llround(steps);
    return rounded ? rounded : 1;
}

vg_status vg_schedule_check(const vg_schedule *s)
{
    if ((int)s->kind < VG_SCHEDULE_CONSTANT || s->kind > VG_SCHEDULE_STEP)
        return vg_fail(VG_ERR_CONFIG, "scheduler.kind is none of constant | linear | cosine | step");
    if (!(s->lr >= 0) || isinf(s->lr))
        return vg_fail(VG_ERR_CONFIG, "the learning rate %g is not a number from 0 up", s->lr);
    if (s->warmup_steps < 0)
        return vg_fail(VG_ERR_CONFIG, "the warm-up of %" PRId64 " steps is negative", s->warmup_steps);
    if (s->kind == VG_SCHEDULE_STEP && !(s->every > 0))
        return vg_fail(VG_ERR_CONFIG, "the step schedule needs a positive interval, not %" PRId64 " steps",
                       s->every);
    if (s->kind == VG_SCHEDULE_STEP && !(s->factor > 0 && s->factor <= 1))
        return vg_fail(VG_ERR_CONFIG, "the step schedule's factor %g is not in (0, 1]", s->factor);
    if (s->kind != VG_SCHEDULE_LINEAR && s->kind != VG_SCHEDULE_COSINE) return VG_OK;
    if (!(s->final_lr >= 0 && s->final_lr <= s->lr))
        return vg_fail(VG_ERR_CONFIG, "the final learning rate %g is not between 0 and the peak %g",
                       s->final_lr, s->lr);
    if (s->total_steps < 1)
        return vg_fail(VG_ERR_CONFIG, "a falling schedule needs to know its end; %" PRId64 " steps are none",
                       s->total_steps);
    return VG_OK;
}

/* How much of the fall is done, in [0, 1]. A warm-up that fills the whole run leaves nothing to fall. */
static double progress(const vg_schedule *s, int64_t step)
{
    int64_t length = s->total_steps - s->warmup_steps, done = step - s->warmup_steps;
    if (!s->warmup_steps) done--;
    if (length < 1 || done >= length) return 1;
    return (double)done / (double)length;
}

double vg_schedule_rate(const vg_schedule *s, int64_t step)
{
    if (step <= s->warmup_steps) return s->lr * (double)step / (double)s->warmup_steps;
    switch (s->kind) {
    case VG_SCHEDULE_CONSTANT:
        return s->lr;
    case VG_SCHEDULE_LINEAR:
        return s->final_lr + (s->lr - s->final_lr) * (1 - progress(s, step));
    case VG_SCHEDULE_COSINE:
        return s->final_lr + (s->lr - s->final_lr) * (1 + cos(3.141592653589793 * progress(s, step))) / 2;
    case VG_SCHEDULE_STEP:
        return s->lr * pow(s->factor, (double)((step - 1) / s->every));
    }
    VG_ASSERT(!"a known schedule");
}
