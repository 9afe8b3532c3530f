/* Text: a buffer that grows, numbers that come back exactly, and the nearest of a list of names. */
#ifndef VAGUS_CORE_TEXT_H
#define VAGUS_CORE_TEXT_H

#include <stdbool.h>
#include <stddef.h>

#include "core/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Starts as {0}. Running out of memory is remembered and told once, by vg_text_take(). */
typedef struct vg_text {
    char *data; /* ends with a zero byte once anything was added; NULL before */
    size_t length, capacity;
    bool failed;
} vg_text;

VG_API void vg_text_add(vg_text *text, const char *format, ...) VG_PRINTF(2, 3);
VG_API void vg_text_append(vg_text *text, const char *bytes, size_t count);

/* A field of CSV: in quotes when it holds a comma, a quote or a line break. */
VG_API void vg_text_add_field(vg_text *text, const char *field);

/* Hands the string over to the caller, who frees it; the buffer is empty afterwards. ERR_MEMORY. */
VG_NODISCARD VG_API vg_status vg_text_take(vg_text *text, char **out);
VG_API void vg_text_free(vg_text *text);

/* The shortest decimal that strtod() turns back into the same double, with a point or "inf"/"nan" in it, so
 * that YAML and JSON readers take it for a real number ("1.0e-05", "0.1", "3.0"). Returns `out`. */
enum { VG_DOUBLE_TEXT = 40 };
VG_API const char *vg_double_text(double value, char out[VG_DOUBLE_TEXT]);

/* A copy in memory that the caller frees; ERR_MEMORY. NULL copies to NULL. */
VG_NODISCARD VG_API vg_status vg_text_copy(const char *text, char **out);

/* True for well-formed UTF-8 (no surrogates, no overlong forms). `bad` may be NULL; else it gets the offset
 * of the first wrong byte. */
VG_API bool vg_text_is_utf8(const char *bytes, size_t count, size_t *bad);

/* Insertions, deletions, substitutions and swaps of neighbours that turn `a` into `b`. */
VG_API size_t vg_text_distance(const char *a, const char *b);

/* The index of the name nearest to `name`, or `count` when none is near enough to be what was meant (more
 * than a third of the letters differ). */
VG_API size_t vg_text_nearest(const char *name, const char *const *names, size_t count);

#ifdef __cplusplus
}
#endif
#endif
