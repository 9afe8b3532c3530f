/* Whether a corpus can lie on the device for the length of a training. */
#ifndef VAGUS_EXPERIMENTS_RUNNER_TRAINING_RESIDENCE_H
#define VAGUS_EXPERIMENTS_RUNNER_TRAINING_RESIDENCE_H

#include "datasets/corpus/corpus.h"
#include "models/resident.h"

/* Copies the corpus' signal, and its tables as they are normalised now, when the device is not the host and
 * they fit in a quarter of what it has free. To be called when model and optimiser have taken theirs: the
 * rest is for what operations need on first use. What came of it is logged in one line that begins with
 * `what`. *there says whether `out` holds it; if not, and when the copy found no room after all, batches have
 * to come from a loader. vg_resident_free() either way. */
VG_NODISCARD vg_status vg_residence_take(const vg_corpus *corpus, vg_device *device, const char *what,
                                         vg_resident *out, bool *there);

#endif
