/* What the writer and the reader of the store must agree on. Nobody else includes this. */
#ifndef VAGUS_DATASETS_STORE_LAYOUT_H
#define VAGUS_DATASETS_STORE_LAYOUT_H

#include "datasets/store/store.h"

/* Attributes of the root group: the fields of vg_store_info by kind. Text is a scalar fixed-length UTF-8
 * string, a real is float64, a whole number or a flag is int64. */
#define VG_STORE_TEXTS(X)                                                                                    \
    X(source)                                                                                                \
    X(units) X(original_rates) X(filter) X(resampling) X(polarity) X(licence) X(citation) X(importer)
#define VG_STORE_REALS(X) X(rate) X(filter_low) X(filter_high) X(notch)
#define VG_STORE_FLAGS(X) X(filter_zero_phase) X(synthetic)

/* Columns of /recordings and /exclusions that are text: one dataset of fixed-length strings each. */
#define VG_RECORDING_TEXTS(X) X(subject) X(session) X(trial) X(stimulus) X(lead) X(source)
#define VG_EXCLUSION_TEXTS(X) X(source) X(subject) X(reason)

/* The byte of the file at which the samples begin. They lie there one after another as little-endian float32.
 */
enum { VG_STORE_SIGNAL = 4096 };
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "samples are used as they lie in the file");

/* ERR_CONFIG with the field's name when `info` cannot be right; `name` is the file, for the message. */
vg_status vg__store_info_check(const vg_store_info *info, const char *name);

#endif
