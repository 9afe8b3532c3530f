/* The rate of samples from the times at which they were taken. Internal to import/. */
#ifndef VAGUS_DATASETS_IMPORT_FORMATS_TIMES_H
#define VAGUS_DATASETS_IMPORT_FORMATS_TIMES_H

#include <stdint.h>

#include "core/status.h"

/* From times[rows] in seconds that do not fall. *rate is what was given, or 0 to be found; steps that last
 * more than *longest seconds are gaps. Times may be rounded, so that steps differ: one is a gap when it
 * is 1.5 times as long as a sample and as nine tenths of the steps. A rate within a part in ten thousand of a
 * whole number of Hz is taken for that. VG_ERR_FORMAT when the times do not tell it. */
VG_NODISCARD vg_status vg__times_rate(const char *path, const double *times, int64_t rows, double *rate,
                                      double *longest);

#endif
