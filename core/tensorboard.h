/* TensorBoard event files: scalars in TFRecord framing, written without TensorFlow or protobuf. */
#ifndef VAGUS_CORE_TENSORBOARD_H
#define VAGUS_CORE_TENSORBOARD_H

#include <stddef.h>
#include <stdint.h>

#include "core/status.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct vg_tensorboard vg_tensorboard;

/* A new events.out.tfevents.* file in a folder that exists. A resumed run opens another one; TensorBoard
 * shows them as one curve, in which steps written twice are replaced by the later file's (it purges at
 * `first_step`; 0 for a fresh run). */
VG_NODISCARD VG_API vg_status vg_tensorboard_open(const char *folder, int64_t first_step,
                                                  vg_tensorboard **out);

/* One value of one curve ("loss/train"); it is in the file when this returns. */
VG_NODISCARD VG_API vg_status vg_tensorboard_scalar(vg_tensorboard *board, const char *tag, int64_t step,
                                                    double value);
VG_API const char *vg_tensorboard_path(const vg_tensorboard *board);
VG_NODISCARD VG_API vg_status vg_tensorboard_close(vg_tensorboard *board); /* frees, also on failure */

/* CRC-32C (Castagnoli), and TFRecord's masked form of it. */
VG_API uint32_t vg_crc32c(const void *bytes, size_t count);
VG_API uint32_t vg_crc32c_masked(const void *bytes, size_t count);

#ifdef __cplusplus
}
#endif
#endif
