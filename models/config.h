/* What a model is: every assumption about the paper as a switch. Fields, defaults, ranges and meaning stand
 * in model.def and masking.def. The structs are plain values, copied by assignment. */
#ifndef VAGUS_MODELS_CONFIG_H
#define VAGUS_MODELS_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/schema.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The architectures: X(name, summary), one line each. `name` stands in YAML files and checkpoints, and
 * `vg__encoder_<name>` (models/encoder.h) is what it does. */
#define VG_MODEL_TYPE_MAP(X)                                                                                 \
    X(transformer, "convolutions, CLS token, transformer (Vazquez-Rodriguez et al. 2022)")

#define VG_MODEL_TYPE_NAME(name, summary) #name " | "
#define VG_MODEL_TYPE_ENUM(name, summary) VG_MODEL_##name,
enum { VG_MODEL_TYPE_MAP(VG_MODEL_TYPE_ENUM) VG_MODEL_TYPES };

enum { VG_MAX_CONFIG_LIST = 4 };
typedef struct vg_config_list {
    int64_t count, item[VG_MAX_CONFIG_LIST];
} vg_config_list;

#undef VG_FIELD
#define VG_CONFIG_INT                                               int64_t
#define VG_CONFIG_DOUBLE                                            double
#define VG_CONFIG_ENUM                                              int
#define VG_CONFIG_INTS                                              vg_config_list
#define VG_FIELD(section, name, type, initial, allowed, unit, help) VG_CONFIG_##type name;

typedef struct vg_model_config {
#include "models/model.def"
} vg_model_config;

typedef struct vg_masking_config {
#include "models/masking.def"
} vg_masking_config;
#undef VG_FIELD

/* conv_activation and activation are vg_activation, pooling is vg_pool, fill is vg_mask_fill (kernels.h). */
enum { VG_CONV_NORM_NONE, VG_CONV_NORM_FIRST, VG_CONV_NORM_ALL };
enum { VG_NORM_POST, VG_NORM_PRE };
enum { VG_POSITION_SINUSOIDAL, VG_POSITION_LEARNED };

/* The paper's values. */
VG_API vg_model_config vg_model_config_default(void);
VG_API vg_masking_config vg_masking_config_default(void);

/* A list out of a parsed configuration; one that is too long keeps its count, and the check refuses it. */
VG_API vg_config_list vg_config_list_make(const int64_t *items, size_t count);

/* One dropout for the input encoder, the positions and the transformer, as the paper has it. */
VG_API void vg_model_config_set_dropout(vg_model_config *config, double probability);

/* ERR_CONFIG naming the field, its value and what would do. */
VG_NODISCARD VG_API vg_status vg_model_config_check(const vg_model_config *config);
VG_NODISCARD VG_API vg_status vg_masking_config_check(const vg_masking_config *config);

/* {"type": "transformer", "segment_length": 1280, ...} on one line; the caller frees it. */
VG_NODISCARD VG_API vg_status vg_model_config_to_json(const vg_model_config *config, char **json);
VG_NODISCARD VG_API vg_status vg_masking_config_to_json(const vg_masking_config *config, char **json);

/* Back again, checked; a field that is absent has its default (it is younger than the file), an unknown one
 * is refused. `origin` names the text in messages ("model.safetensors"). ERR_CONFIG. */
VG_NODISCARD VG_API vg_status vg_model_config_from_json(const char *json, const char *origin,
                                                        vg_model_config *out);
VG_NODISCARD VG_API vg_status vg_masking_config_from_json(const char *json, const char *origin,
                                                          vg_masking_config *out);

/* Finds the first switch that differs among those that give the same weights another meaning: not dropout,
 * not the heads (whose shapes tell), not the segment's length unless positions are learned, and pooling only
 * when `pooling` asks for it. Writes "layers (2 here, 4 there)" into `text`, which may be NULL; false when
 * all agree. */
VG_API bool vg_model_config_differs(const vg_model_config *here, const vg_model_config *there, bool pooling,
                                    char *text, size_t size);

#ifdef __cplusplus
}
#endif
#endif
