/* SHA-256, by which what was fetched is known to be what its authors published. */
#ifndef VAGUS_CORE_SHA256_H
#define VAGUS_CORE_SHA256_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/status.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { VG_SHA256_TEXT = 65 }; /* 64 hexadecimal digits, small letters, and the zero byte */

/* Of bytes that come one after another. `end` may be asked at any time and leaves the state as it is. */
typedef struct vg_sha256 vg_sha256;
VG_NODISCARD VG_API vg_status vg_sha256_create(vg_sha256 **out);
VG_NODISCARD VG_API vg_status vg_sha256_begin(vg_sha256 *hash); /* forgets what was added */
VG_NODISCARD VG_API vg_status vg_sha256_add(vg_sha256 *hash, const void *bytes, size_t count);
VG_NODISCARD VG_API vg_status vg_sha256_end(const vg_sha256 *hash, char text[VG_SHA256_TEXT]);
VG_API void vg_sha256_destroy(vg_sha256 *hash); /* NULL is fine */

/* Of a whole file. ERR_NOT_FOUND, ERR_IO. */
VG_NODISCARD VG_API vg_status vg_sha256_file(const char *path, char text[VG_SHA256_TEXT]);

/* 64 hexadecimal digits and nothing else; and whether two of them say the same, in whatever letters. */
VG_API bool vg_sha256_is_text(const char *text);
VG_API bool vg_sha256_equal(const char *a, const char *b);

#ifdef __cplusplus
}
#endif
#endif
