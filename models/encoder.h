/* What an architecture is to the rest: a table that turns a signal into features and takes their gradient
 * back. A new architecture is one file that fills this table and one line of VG_MODEL_TYPE_MAP (config.h). */
#ifndef VAGUS_MODELS_ENCODER_H
#define VAGUS_MODELS_ENCODER_H

#include "models/plan.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct vg_encoder vg_encoder;

typedef struct vg_encoder_ops {
    const char *name;

    /* Declares parameters under "encoder.", plans every buffer, sets the features. The configuration has been
     * checked. `tokens`: the head wants a vector a sample (ERR_UNSUPPORTED if there is none), else one a
     * segment. `signal_gradient`: backward also gives the gradient of the signal. */
    vg_status (*create)(vg_plan *plan, const vg_model_config *config, bool tokens, bool signal_gradient,
                        vg_encoder **out);

    /* After the slabs are bound: constants such as a position table. */
    vg_status (*prepare)(vg_encoder *encoder, vg_kernels *kernels);

    /* `signal` (B, T). Writes the features: tokens (B, 1 + T, C) with one leading token that is no sample,
     * or a vector (B, C). `dropout` is false for evaluation. */
    vg_status (*forward)(vg_encoder *encoder, const vg_run *run, vg_tensor signal);

    /* Reads the gradient of the features from `dfeatures` (undefined afterwards), adds to the parameters'
     * gradients and writes `dsignal` (B, T) when it was asked for. May tell with vg__complete() how far it
     * is, so that gradients travel between ranks while it goes on. */
    vg_status (*backward)(vg_encoder *encoder, const vg_run *run, vg_tensor signal);

    void (*destroy)(vg_encoder *encoder);
} vg_encoder_ops;

/* The part that every encoder begins with. Views have the largest batch; vg__cut() cuts them. */
struct vg_encoder {
    const vg_encoder_ops *ops;
    vg_tensor features, dfeatures; /* (B, 1 + T, C) or (B, C) */
    vg_tensor dsignal;             /* (B, T) */
    int64_t width;                 /* C */
};

/* The table of config.type. */
const vg_encoder_ops *vg__encoder_find(int type);

#ifdef __cplusplus
}
#endif
#endif
