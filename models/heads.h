/* What the features become. Private to models/. */
#ifndef VAGUS_MODELS_HEADS_H
#define VAGUS_MODELS_HEADS_H

#include "models/layers.h"

/* Linear layers with ReLU between them, the last of one output. Reconstruction runs on every token, CLS
 * included, and then drops CLS: a wasted token in 1281, for one large matrix product instead of B small
 * ones. Classification runs on one vector a segment. */
typedef struct vg_head {
    bool per_sample;
    int count;    /* linear layers */
    int64_t rows; /* R: 1 + T, or 1 */
    vg_linear linear[VG_MAX_CONFIG_LIST + 1];
    vg_tensor dhidden[VG_MAX_CONFIG_LIST + 1]; /* gradient of each layer's output but the last's */
    vg_tensor output, doutput;                 /* (B, T), or (B) */
    vg_tensor draw;                            /* (B, R, 1): gradient of the last layer's output */
    vg_tensor zero, zeros, dzero;              /* (1), (R, 1), (1): see head_forward() in heads.c */
} vg_head;

/* `features` (B, R, C) or (B, C) gives the shapes; hidden widths and dropout as configured. Parameters are
 * "head.<kind>.<layer>.weight". */
VG_NODISCARD vg_status vg__head_plan(vg_plan *plan, vg_head *head, const vg_model_config *config,
                                     bool per_sample, vg_tensor features);
VG_NODISCARD vg_status vg__head_forward(vg_head *head, const vg_run *run, vg_tensor features);
/* Reads head->doutput; `dfeatures` may be absent. */
VG_NODISCARD vg_status vg__head_backward(vg_head *head, const vg_run *run, vg_tensor features,
                                         vg_tensor dfeatures);

#endif
