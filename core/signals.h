/* Stopping on request: SIGINT and SIGTERM set a flag that the trainer looks at between steps. A second SIGINT
 * ends the program at once (exit 130). */
#ifndef VAGUS_CORE_SIGNALS_H
#define VAGUS_CORE_SIGNALS_H

#include <stdbool.h>

#include "core/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Installs the handlers and clears the flag; uninstall puts back those that were there before. SIGPIPE is
 * left alone. Not to be called by two threads at once. */
VG_NODISCARD VG_API vg_status vg_signals_install(void);
VG_API void vg_signals_uninstall(void);

VG_API bool vg_stop_requested(void);
VG_API int vg_stop_signal(void);   /* SIGINT or SIGTERM, 0 when none came */
VG_API void vg_stop_request(void); /* as if SIGTERM had come; for tests and time limits */

#ifdef __cplusplus
}
#endif
#endif
