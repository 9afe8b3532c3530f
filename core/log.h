/* The log: lines with a level, handed to one sink. The library prints nothing else, and never to stdout. */
#ifndef VAGUS_CORE_LOG_H
#define VAGUS_CORE_LOG_H

#include "core/status.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum vg_log_level { VG_LOG_DEBUG, VG_LOG_INFO, VG_LOG_WARN, VG_LOG_ERROR } vg_log_level;

/* Receives one line, without its newline. Called under a lock: a sink must not log. */
typedef void (*vg_log_sink)(vg_log_level level, const char *line, void *context);

/* Replaces the sink; NULL brings back the default, which writes warnings and errors to stderr. */
VG_API void vg_log_set_sink(vg_log_sink sink, void *context);

/* Lines below `level` are dropped (default VG_LOG_INFO). */
VG_API void vg_log_set_level(vg_log_level level);

VG_API void vg_log(vg_log_level level, const char *format, ...) VG_PRINTF(2, 3);
#define vg_debug(...) vg_log(VG_LOG_DEBUG, __VA_ARGS__)
#define vg_info(...)  vg_log(VG_LOG_INFO, __VA_ARGS__)
#define vg_warn(...)  vg_log(VG_LOG_WARN, __VA_ARGS__)

#ifdef __cplusplus
}
#endif
#endif
