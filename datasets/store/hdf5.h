/* What the store and the importers need around HDF5 calls, free of HDF5's own types: the process-wide lock,
 * silence on stderr, and the library's words for a message. */
#ifndef VAGUS_DATASETS_STORE_HDF5_H
#define VAGUS_DATASETS_STORE_HDF5_H

#include <stddef.h>

#include "core/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Every HDF5 call of the project stands between these two. Enter takes the lock (not recursive) and has
 * HDF5's errors remembered instead of printed; leave puts HDF5 back as it was. */
void vg__hdf5_enter(void);
void vg__hdf5_leave(void);

/* The innermost message of the first HDF5 call that failed since vg__hdf5_enter() or the last
 * vg__hdf5_words(), into `text` ("no reason given" if there is none). Other calls may lie between. Returns
 * `text`. */
const char *vg__hdf5_words(char *text, size_t size);

/* vg_fail() with those words appended: "SENTENCE (HDF5: words)". Returns `status`. */
vg_status vg__hdf5_fail(vg_status status, const char *format, ...) VG_PRINTF(2, 3);

#ifdef __cplusplus
}
#endif
#endif
