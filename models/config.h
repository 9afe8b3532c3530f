/* What a model is: every assumption about the paper as a switch. The fields, their defaults, ranges and
 * meaning stand in config.def; the runner builds its YAML keys from vg_model_config_fields(). */
#ifndef VAGUS_MODELS_CONFIG_H
#define VAGUS_MODELS_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/status.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { VG_MAX_CONFIG_LIST = 4, VG_MAX_MODEL_TYPE = 32 };

typedef struct vg_config_list {
    int64_t count, item[VG_MAX_CONFIG_LIST];
} vg_config_list;

#define VG_FIELD_INT(name, value, minimum, maximum, help)          int64_t name;
#define VG_FIELD_REAL(name, value, minimum, maximum, help)         double name;
#define VG_FIELD_CHOICE(name, value, choices, help)                int name;
#define VG_FIELD_LIST(name, capacity, minimum, maximum, help, ...) vg_config_list name;
typedef struct vg_model_config {
    char type[VG_MAX_MODEL_TYPE]; /* a name of models/encoder.c: "transformer" */
#define VG_MODEL_FIELDS
#include "models/config.def"
#undef VG_MODEL_FIELDS
} vg_model_config;

#define VG_FIELD_INT(name, value, minimum, maximum, help)  int64_t name;
#define VG_FIELD_REAL(name, value, minimum, maximum, help) double name;
#define VG_FIELD_CHOICE(name, value, choices, help)        int name;
typedef struct vg_masking_config {
#define VG_MASKING_FIELDS
#include "models/config.def"
#undef VG_MASKING_FIELDS
} vg_masking_config;

enum { VG_CONV_NORM_NONE, VG_CONV_NORM_FIRST, VG_CONV_NORM_ALL };
enum { VG_NORM_POST, VG_NORM_PRE };
enum { VG_POSITION_SINUSOIDAL, VG_POSITION_LEARNED };
/* conv_activation and activation are vg_activation, aggregation is vg_pool, fill is vg_mask_fill (kernels.h).
 */

/* The paper's values. */
VG_API vg_model_config vg_model_config_default(void);
VG_API vg_masking_config vg_masking_config_default(void);

/* ERR_CONFIG naming the field, its value and what would do. */
VG_NODISCARD VG_API vg_status vg_model_config_check(const vg_model_config *config);
VG_NODISCARD VG_API vg_status vg_masking_config_check(const vg_masking_config *config);

/* A field, for code that treats them all alike (YAML, JSON, --help). `offset` is into the struct. */
typedef enum vg_field_kind {
    VG_FIELD_IS_INT,
    VG_FIELD_IS_REAL,
    VG_FIELD_IS_CHOICE,
    VG_FIELD_IS_LIST
} vg_field_kind;
typedef struct vg_config_field {
    const char *name;
    vg_field_kind kind;
    size_t offset;
    double minimum, maximum; /* of the value, or of each item */
    const char *choices;     /* "first|second", for a choice */
    int capacity;            /* of a list */
    const char *help;
} vg_config_field;
VG_API const vg_config_field *vg_model_config_fields(int *count); /* without `type`, which is a name */
VG_API const vg_config_field *vg_masking_config_fields(int *count);

/* The word of a choice's index into `text`, NULL outside; the index of a word, -1 for none. */
VG_API const char *vg_config_choice_name(const char *choices, int index, char *text, size_t size);
VG_API int vg_config_choice_index(const char *choices, const char *word);

/* {"type": "transformer", "segment_length": 1280, ...}: the caller frees it; NULL when out of memory. */
VG_API char *vg_model_config_to_json(const vg_model_config *config);
VG_API char *vg_masking_config_to_json(const vg_masking_config *config);

/* Strict: every field present, none unknown, and the checks above. ERR_FORMAT or ERR_CONFIG naming the field.
 */
VG_NODISCARD VG_API vg_status vg_model_config_from_json(const char *json, vg_model_config *out);
VG_NODISCARD VG_API vg_status vg_masking_config_from_json(const char *json, vg_masking_config *out);

/* Writes the first field that differs as "layers is 2 here and 4 there" into `text`; false when all agree. */
VG_API bool vg_model_config_differs(const vg_model_config *here, const vg_model_config *there, char *text,
                                    size_t size);

#ifdef __cplusplus
}
#endif
#endif
