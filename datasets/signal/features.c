#include "datasets/signal/features.h"

#include <math.h>
#include <string.h>

const char *const *vg_feature_names(void)
{
    static const char *const names[] = {
#define NAME(field) #field,
        VG_FEATURE_HRV(NAME)
#undef NAME
#define NAME(field) "quality_" #field,
            VG_FEATURE_QUALITY(NAME)
#undef NAME
    };
    return names;
}

void vg_features_pack(const vg_hrv *hrv, const vg_quality *quality, double values[VG_FEATURE_COUNT])
{
    int k = 0;
#define PACK(field) values[k++] = (double)hrv->field;
    VG_FEATURE_HRV(PACK)
#undef PACK
#define PACK(field) values[k++] = (double)quality->field;
    VG_FEATURE_QUALITY(PACK)
#undef PACK
    for (k = 0; k < VG_FEATURE_COUNT; k++)
        if (!isfinite(values[k])) values[k] = NAN;
}

/* A count or a direction that is unknown or beyond all bounds (of a damaged or foreign file) becomes 0. */
static double whole(double value)
{
    return fabs(value) < 1e15 ? round(value) : 0;
}

#define AS_int64_t(value) (int64_t) whole(value)
#define AS_int(value)     (int)fmax(-1, fmin(1, whole(value)))
#define AS_double(value)  (value)
#define UNPACK(to, value)                                                                                    \
    (to) = _Generic((to), int64_t : AS_int64_t(value), int : AS_int(value), default : AS_double(value));

void vg_features_unpack(const double values[VG_FEATURE_COUNT], vg_hrv *hrv, vg_quality *quality)
{
    int k = 0;
    memset(hrv, 0, sizeof *hrv);
    memset(quality, 0, sizeof *quality);
#define FIELD(field)                                                                                         \
    UNPACK(hrv->field, values[k])                                                                            \
    k++;
    VG_FEATURE_HRV(FIELD)
#undef FIELD
#define FIELD(field)                                                                                         \
    UNPACK(quality->field, values[k])                                                                        \
    k++;
    VG_FEATURE_QUALITY(FIELD)
#undef FIELD
    quality->polarity_lead = NAN;
}
