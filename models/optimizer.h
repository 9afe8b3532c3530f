/* Adam and AdamW over the flat slab of a model's parameters. */
#ifndef VAGUS_MODELS_OPTIMIZER_H
#define VAGUS_MODELS_OPTIMIZER_H

#include "kernels/kernels.h"
#include "models/parallel.h"
#include "models/params.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct vg_optimizer vg_optimizer;

typedef enum vg_optimizer_kind { VG_OPTIMIZER_ADAM, VG_OPTIMIZER_ADAMW } vg_optimizer_kind;

typedef struct vg_optimizer_config {
    vg_optimizer_kind kind; /* ADAM: decay as L2 in the gradient; ADAMW: decoupled */
    double beta1, beta2, epsilon;
    double weight_decay;
    bool decay_matrices_only;  /* false: every parameter, as PyTorch's optimisers and the paper */
    double clip_norm;          /* of the whole gradient; 0: off */
    const char *frozen_prefix; /* parameters whose names start so are left alone; NULL or "": none. Copied. */
} vg_optimizer_config;

/* The paper's pre-training: Adam, 0.9, 0.999, 1e-8, decay 0.005 on everything, no clipping. */
VG_API vg_optimizer_config vg_optimizer_config_default(void);

/* The bytes that an optimiser of these (planned) parameters will allocate: a moment is as large as a
 * gradient. Where it is sharded over several `ranks`, what rank 0 allocates; no other rank needs more. */
VG_API size_t vg_optimizer_bytes(const vg_parameters *parameters, int ranks);

/* Allocates the moments: of vg_parallel_pieces() where there is a `parallel`, of everything when it is NULL.
 * Kernels, parameters and `parallel` are borrowed until destroy; parameters are bound, with gradients.
 * ERR_CONFIG naming the value that cannot be. */
VG_NODISCARD VG_API vg_status vg_optimizer_create(vg_kernels *kernels, vg_parameters *parameters,
                                                  const vg_optimizer_config *config, vg_parallel *parallel,
                                                  vg_optimizer **out);
VG_API void vg_optimizer_destroy(vg_optimizer *optimizer); /* NULL is fine */

/* One step of the masters, and of the values that a BF16 model computes with; called by all ranks. `stats` is
 * vg_model_stats(), with several ranks vg_parallel_stats(): gradients are divided by stats[1], on the device.
 * A count of zero leaves parameters and moments alone. */
VG_NODISCARD VG_API vg_status vg_optimizer_step(vg_optimizer *optimizer, double lr, vg_tensor stats);

VG_API int64_t vg_optimizer_steps(const vg_optimizer *optimizer); /* done so far */

/* What the latest step was made of. */
typedef struct vg_step {
    double loss, count; /* `stats` as it was: the sum of the loss, and what it is divided by */
    double norm; /* of the mean gradient before clipping, frozen parameters left out, measured whether or not
                    it clips; 0 when the count was zero */
} vg_step;

/* Waits for the device, once for all of it. */
VG_NODISCARD VG_API vg_status vg_optimizer_read_step(vg_optimizer *optimizer, vg_step *step);

/* optimizer.safetensors: both moments by parameter name, and the number of steps; the same file whatever the
 * number of ranks, sharded or not, so that a run goes on with any other. load refuses the state of another
 * model (ERR_DATA, naming the tensor) or of another kind of optimiser.
 * save: called by all ranks when the moments are sharded (else only the one that writes need call it). Rank 0
 * gives the path; where it is NULL nothing is written. Sharded moments use the gradients as room: they are
 * undefined afterwards, as after load.
 * load: called by all ranks. Rank 0 reads `path`; at the others it is NULL, they get the state from rank 0.
 */
VG_NODISCARD VG_API vg_status vg_optimizer_save(const vg_optimizer *optimizer, const char *path);
VG_NODISCARD VG_API vg_status vg_optimizer_load(vg_optimizer *optimizer, const char *path);

/* Every rank's masters reach all. Called by all ranks before weights are read or saved: where the moments are
 * sharded and masters are not the values themselves (BF16), a rank steps the masters of its own pieces only.
 * Does nothing otherwise. */
VG_NODISCARD VG_API vg_status vg_optimizer_gather_masters(vg_optimizer *optimizer);

#ifdef __cplusplus
}
#endif
#endif
