/* The two moments that Adam keeps of each parameter, as far as this rank looks after it, and their file.
 * Private to models/. */
#ifndef VAGUS_MODELS_MOMENTS_H
#define VAGUS_MODELS_MOMENTS_H

#include "models/parallel.h"

typedef struct vg_moments {
    vg_device *device;
    vg_parameters *parameters;
    vg_parallel *parallel; /* NULL: alone */
    bool sharded;          /* pieces are less than the whole */
    vg_piece whole;
    const vg_piece *pieces; /* of the slabs of parameters, ascending */
    int piece_count;
    vg_slab slab;
    vg_tensor m, v;   /* the pieces one behind another, of the parameters' type `stored` */
    vg_tensor record; /* (3) F64: the latest step's squared norm, sum of the loss and count */
} vg_moments;

/* What that allocates, at rank 0 of `ranks` that share the moments (no other has more); 1: alone. */
size_t vg__moments_bytes(const vg_parameters *parameters, int ranks);

/* Allocates, zeroed. `moments` stays where it is until it is freed. */
VG_NODISCARD vg_status vg__moments_init(vg_moments *moments, vg_device *device, vg_parameters *parameters,
                                        vg_parallel *parallel);
void vg__moments_free(vg_moments *moments); /* zeroes are fine */

/* Waits for the device, without waiting for ever for a lost rank. */
VG_NODISCARD vg_status vg__moments_wait(const vg_moments *moments);

/* Who calls them and with which path: optimizer.h. `kind`: the optimiser's name, which must be the file's. */
VG_NODISCARD vg_status vg__moments_save(const vg_moments *moments, const char *path, const char *kind,
                                        int64_t steps);
VG_NODISCARD vg_status vg__moments_load(vg_moments *moments, const char *path, const char *kind,
                                        int64_t *steps);

#endif
