/* What the store and the importers need around HDF5 calls, free of HDF5's own types: the process-wide lock,
 * silence on stderr, and the library's words for a message. */
#ifndef VAGUS_DATASETS_STORE_HDF5_H
#define VAGUS_DATASETS_STORE_HDF5_H

#include <stddef.h>

#include "core/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Every HDF5 call of the project stands between these two. Enter takes the lock (not recursive), switches
 * HDF5's printing of errors off and clears its error stack; leave restores the printing. */
void vg__hdf5_enter(void);
void vg__hdf5_leave(void);

/* The innermost message on HDF5's error stack into `text` ("HDF5 gives no reason" if there is none). Call it
 * before the next HDF5 call. Returns `text`. */
const char *vg__hdf5_words(char *text, size_t size);

/* vg_fail() with those words appended: "SENTENCE (HDF5: words)". Clears the stack, returns `status`. */
vg_status vg__hdf5_fail(vg_status status, const char *format, ...) VG_PRINTF(2, 3);

#ifdef __cplusplus
}
#endif
#endif
