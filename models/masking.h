/* The pretext task's masks: the configuration (masking.def) put to work on a batch. */
#ifndef VAGUS_MODELS_MASKING_H
#define VAGUS_MODELS_MASKING_H

#include "kernels/kernels.h"
#include "models/config.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Masks `signal` (B, T) into `masked` (B, T), writes `mask` (B, T) U8 (VG_MASK_*). `learned` is absent unless
 * the fill is learned. */
VG_NODISCARD VG_API vg_status vg_masking_forward(vg_kernels *kernels, const vg_masking_config *config,
                                                 uint64_t seed, uint32_t epoch, vg_tensor signal,
                                                 vg_tensor segments, vg_tensor learned, vg_tensor masked,
                                                 vg_tensor mask);

#ifdef __cplusplus
}
#endif
#endif
