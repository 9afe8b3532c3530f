/* The parameters of a model: a list of named tensors in one slab, their gradients in another, and for a model
 * that computes in BF16 its F32 masters in a third. Element i of one slab belongs to element i of the others,
 * so that the norm and the optimiser run over flat ranges. Names are PyTorch's way
 * ("encoder.layers.0.attention.qkv.weight"). Declare all, plan and bind once, use the views until free. */
#ifndef VAGUS_MODELS_PARAMS_H
#define VAGUS_MODELS_PARAMS_H

#include "core/safetensors.h"
#include "core/slab.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { VG_MAX_PARAMETER_NAME = 96 };

/* Every parameter starts at a multiple of so many elements: 256 bytes in BF16, more in wider types. One
 * layout for all slabs, so that a range of elements means the same in each. Slabs end at such a multiple. */
enum { VG_PARAMETER_ALIGNMENT = 128 };

typedef enum vg_init_kind { VG_INIT_ZEROS, VG_INIT_ONES, VG_INIT_UNIFORM, VG_INIT_NORMAL } vg_init_kind;

/* UNIFORM: in (-scale, scale). NORMAL: standard deviation `scale`. */
typedef struct vg_init {
    vg_init_kind kind;
    double scale;
} vg_init;

typedef struct vg_parameter {
    char name[VG_MAX_PARAMETER_NAME];
    vg_tensor value;    /* what the model computes with */
    vg_tensor gradient; /* of type `stored`; data NULL in a model without backward */
    int64_t offset;     /* of its first element in every slab, in elements */
    int index;          /* in the list */
    vg_init init;
    bool decay; /* a matrix: gets weight decay when only matrices do */
} vg_parameter;

typedef struct vg_parameters {
    vg_parameter **list; /* in order of declaration; entries never move */
    int count, capacity;
    vg_dtype dtype;  /* of the values that the model computes with: F32, BF16 or F64 */
    vg_dtype stored; /* of gradients, masters, files and arrays of the host: F32; F64 where dtype is F64 */
    vg_slab values, masters, gradients;
    vg_tensor flat_values, flat_masters, flat_gradients; /* each slab's only tensor; absent: no slab */
} vg_parameters;

VG_API vg_parameters vg_parameters_make(vg_dtype dtype);
VG_API void vg_parameters_free(vg_parameters *parameters);

/* Adds a parameter; `*out` stays valid until free. A name used before is a programmer's mistake (asserted).
 */
VG_NODISCARD VG_API vg_status vg_parameters_declare(vg_parameters *parameters, const char *name, vg_init init,
                                                    bool decay, int rank, const int64_t *dims,
                                                    vg_parameter **out);

/* Lays all of them out, which tells the slabs' sizes. `training` adds the gradients and, to BF16, the
 * masters: steps of the optimiser are smaller than BF16 can tell, so they are summed up there, and the values
 * are the masters rounded. Matrices come first, so that "decay only matrices" is one range each in the
 * encoder and in the head. `parameters` stays where it is from here on. */
VG_NODISCARD VG_API vg_status vg_parameters_plan(vg_parameters *parameters, bool training);

/* Allocates what was planned, zeroed. */
VG_NODISCARD VG_API vg_status vg_parameters_bind(vg_parameters *parameters, vg_device *device);

VG_API size_t vg_parameters_bytes(const vg_parameters *parameters); /* of the slabs, once planned */

/* Fresh values: each is a function of (seed, its name, its shape), so adding one changes no other. Values are
 * rounded to float in an F64 model too, so that all types start equal. */
VG_NODISCARD VG_API vg_status vg_parameters_initialize(vg_parameters *parameters, uint64_t seed);

VG_NODISCARD VG_API vg_status vg_parameters_zero_gradients(vg_parameters *parameters);

/* A whole slab as one flat tensor, alignment gaps (always zero) included; masters are the values themselves
 * where there are no others. */
VG_API vg_tensor vg_parameters_flat_values(const vg_parameters *parameters);
VG_API vg_tensor vg_parameters_flat_masters(const vg_parameters *parameters);
VG_API vg_tensor vg_parameters_flat_gradients(const vg_parameters *parameters);

VG_API int64_t vg_parameters_total(const vg_parameters *parameters); /* numbers, without gaps */
VG_API vg_parameter *vg_parameters_find(const vg_parameters *parameters, const char *name); /* NULL: none */

/* Between a parameter (or its gradient) and host memory of type `stored`, row-major, all of it. A value that
 * has a master is read from it, and written to both. `view` may be a flat one. */
VG_NODISCARD VG_API vg_status vg_parameters_get(const vg_parameters *parameters, const vg_tensor *view,
                                                void *host);
VG_NODISCARD VG_API vg_status vg_parameters_set(const vg_parameters *parameters, const vg_tensor *view,
                                                const void *host);

/* All values under their names, with this metadata, atomically; of type `stored`, from the masters where
 * there are any. So a model trained in BF16 goes on with the same bits, and is read by one that computes in
 * F32. */
VG_NODISCARD VG_API vg_status vg_parameters_save(const vg_parameters *parameters, const char *path,
                                                 const vg_text_pair *metadata, size_t metadata_count);

typedef struct vg_load_report {
    int loaded, fresh, ignored;              /* parameters read; ours left as they were; the file's unused */
    char first_fresh[VG_MAX_PARAMETER_NAME]; /* "" for none */
    char first_ignored[VG_MAX_PARAMETER_NAME]; /* "" for none */
} vg_load_report;

/* Reads values by name. `prefix` NULL: the file and the model must hold exactly the same tensors with the
 * same shapes; what is missing, too many or of another shape is named (ERR_DATA, "a checkpoint of another
 * model"). With a prefix ("encoder.") that rule holds for names that start so; the rest stays as it is and
 * is reported. Nothing is changed unless everything fits. `report` may be NULL. */
VG_NODISCARD VG_API vg_status vg_parameters_load(vg_parameters *parameters, const char *path,
                                                 const char *prefix, vg_load_report *report);

#ifdef __cplusplus
}
#endif
#endif
