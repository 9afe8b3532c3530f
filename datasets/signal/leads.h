/* What is known of a lead by its name. */
#ifndef VAGUS_DATASETS_SIGNAL_LEADS_H
#define VAGUS_DATASETS_SIGNAL_LEADS_H

#include <stdbool.h>

#include "core/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Whether healthy hearts point down in it: V1, V3R, V4R and aVR, in letters of either size, also behind "ECG
 * ", "EKG " or "lead ". A recording of such a lead is not upside down because its beats are. */
VG_API bool vg_lead_points_down(const char *name);

#ifdef __cplusplus
}
#endif
#endif
