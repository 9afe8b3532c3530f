/* Heart-rate variability, as the Task Force of the European Society of Cardiology and the North American
 * Society of Pacing and Electrophysiology defines it ("Heart rate variability", Circulation 93(5):1043-1065,
 * 1996). */
#ifndef VAGUS_DATASETS_SIGNAL_HRV_H
#define VAGUS_DATASETS_SIGNAL_HRV_H

#include <stdint.h>

#include "core/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Every measure is NaN when there is too little to tell it:
 *   mean_bpm, sdnn_ms, rmssd_ms, pnn50: three intervals, and two in a row for the last two;
 *   hf_ms2 (0.15-0.4 Hz): 60 s of normal intervals; lf_ms2 (0.04-0.15 Hz) and lf_hf: 120 s (the Task Force
 * asks for ten periods of the slowest wave: about one and two minutes). */
typedef struct vg_hrv {
    double mean_bpm; /* 60 over the mean interval */
    double sdnn_ms;  /* standard deviation of the intervals, n - 1 */
    double rmssd_ms; /* root mean square of successive differences */
    double pnn50;    /* per cent of successive differences above 50 ms */
    double lf_ms2, hf_ms2, lf_hf;
    int64_t intervals; /* normal ones, which all of this rests on */
} vg_hrv;

/* Of `count` beats at `position` in samples, rising. An interval is normal when it lies within 0.3 to 2 s and
 * within 30 % of the median of the 21 intervals around it: others are ectopic, missed or false beats. They
 * are left out, never filled in, and a successive difference needs both of its intervals.
 *
 * The power is Lomb's (Lomb 1976, Scargle 1982), which takes the intervals where they are: putting them on an
 * even grid first smooths the faster oscillations away (Laguna, Moody and Mark 1998; Clifford and Tarassenko
 * 2005). Mean subtracted, scaled so that the whole spectrum adds up to the variance, on a grid of a quarter
 * of 1 / duration, by trapezia. Recordings above 10 minutes are cut into equal stretches of 5 to 10 minutes
 * (the Task Force's short-term recording is 5) and the powers averaged. */
VG_API VG_NODISCARD vg_status vg_hrv_measure(const double *position, int64_t count, double rate, vg_hrv *hrv);

#ifdef __cplusplus
}
#endif
#endif
