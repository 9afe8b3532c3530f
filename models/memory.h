/* Whether a model fits on its device, and what to tell when it does not. Private to models/. */
#ifndef VAGUS_MODELS_MEMORY_H
#define VAGUS_MODELS_MEMORY_H

#include "models/model.h"

/* ERR_MEMORY saying what is needed, what is free, and which train.micro_batch would fit. `free_bytes` is
 * SIZE_MAX when the device does not know. `why` may be "": what the device itself said. */
VG_NODISCARD vg_status vg__memory_refuse(const vg_model_options *options, const vg_model_memory *needs,
                                         size_t free_bytes, const char *why);

#endif
