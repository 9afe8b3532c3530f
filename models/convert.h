/* Between floats of the host and tensors of a model's floating type on its device. Private to models/. */
#ifndef VAGUS_MODELS_CONVERT_H
#define VAGUS_MODELS_CONVERT_H

#include "core/device.h"
#include "core/tensor.h"

/* Copies as many floats as `to` has elements, rounding to nearest. `staging` holds vg_tensor_bytes(&to), and
 * may be NULL for an F32 tensor; both may be used again when the call returns. */
VG_NODISCARD vg_status vg__convert_to(vg_device *device, vg_tensor to, const float *from, void *staging);

/* The other way round; waits for the device. */
VG_NODISCARD vg_status vg__convert_from(vg_device *device, vg_tensor from, float *to);

#endif
