#include "models/masking.h"

vg_status vg_masking_forward(vg_kernels *kernels, const vg_masking_config *config, uint64_t seed,
                             uint32_t epoch, vg_tensor signal, vg_tensor segments, vg_tensor learned,
                             vg_tensor masked, vg_tensor mask)
{
    return VG_RUN(kernels, mask_forward, .x = signal, .segment = segments, .y = masked, .mask = mask,
                  .learned = learned, .seed = seed, .epoch = epoch,
                  .start_probability = (float)config->probability, .span = (int32_t)config->span,
                  .fill = (vg_mask_fill)config->fill, .random_share = (float)config->random_share,
                  .keep_share = (float)config->keep_share);
}
