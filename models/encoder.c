#include "models/encoder.h"

#define EXTERN(name, summary) extern const vg_encoder_ops vg__encoder_##name;
VG_MODEL_TYPE_MAP(EXTERN)
#undef EXTERN

static const vg_encoder_ops *const encoders[] = {
#define ENTRY(name, summary) &vg__encoder_##name,
    VG_MODEL_TYPE_MAP(ENTRY)
#undef ENTRY
};

const vg_encoder_ops *vg__encoder_find(int type)
{
    VG_ASSERT(type >= 0 && type < VG_MODEL_TYPES);
    return encoders[type];
}
