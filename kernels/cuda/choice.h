/* What measurements decided, by machine and call, remembered in a file:
 *     $VAGUS_CACHE/cuda-choices.json, else $XDG_CACHE_HOME/vagus/..., else $HOME/.cache/vagus/...
 * A file that is damaged is told once and written anew; a folder that cannot be written is told once, and the
 * choices then last as long as the process. Several processes may share the file: each writes it whole, with
 * what others had put there, and a choice that is lost in a race is measured again. Private to kernels/cuda.
 */
#ifndef VAGUS_KERNELS_CUDA_CHOICE_H
#define VAGUS_KERNELS_CUDA_CHOICE_H

#include <stdbool.h>

#include "core/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A measurement: microseconds of each, and how far apart the results were (measure.h). */
typedef struct vg__choice {
    bool library; /* else our own kernel */
    double own_us, library_us, difference;
} vg__choice;

typedef struct vg__choices vg__choices;

/* `machine` names all that a measurement depends on and a call does not: GPU, driver, versions. Reads the
 * file; only ERR_MEMORY is an error. */
VG_NODISCARD vg_status vg__choices_create(const char *machine, vg__choices **out);
void vg__choices_destroy(vg__choices *choices); /* NULL is fine */

/* The choice for a call ("conv1d_forward BF16 B=64 ..."), or NULL. Valid until the next call of remember. */
const vg__choice *vg__choices_find(const vg__choices *choices, const char *call);

/* Replaces or adds, and writes the file; only ERR_MEMORY is an error. */
VG_NODISCARD vg_status vg__choices_remember(vg__choices *choices, const char *call, const vg__choice *choice);

#ifdef __cplusplus
}
#endif
#endif
