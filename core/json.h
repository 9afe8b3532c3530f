/* JSON: a writer that puts text together in order, and a strict reader with typed getters.
 *
 * Doubles come back exactly; NaN and infinities, which JSON lacks, are written as null and read as NaN.
 * Integers beyond 2^53 would be rounded by most readers, so vg_json_put_uint64() writes them as a string. */
#ifndef VAGUS_CORE_JSON_H
#define VAGUS_CORE_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/status.h"
#include "core/text.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The writer. `key` is NULL at the top and inside arrays, the member's name inside objects. begin and end
 * must pair and there is one value at the top (asserted). Memory that ran out is told by the last call.
 *
 *     vg_json_writer json = vg_json_writer_make(true);       // indented; false: one line
 *     vg_json_begin_object(&json, NULL);
 *     vg_json_put_double(&json, "loss", loss);
 *     vg_json_end(&json);
 *     vg_status status = vg_json_write(&json, path);         // frees the writer */
enum { VG_JSON_DEPTH = 32 };
typedef struct vg_json_writer {
    vg_text text;
    bool indented;
    int depth;
    char closing[VG_JSON_DEPTH];
    bool filled[VG_JSON_DEPTH]; /* something was put at this depth */
} vg_json_writer;

VG_API vg_json_writer vg_json_writer_make(bool indented);
VG_API void vg_json_begin_object(vg_json_writer *json, const char *key);
VG_API void vg_json_begin_array(vg_json_writer *json, const char *key);
VG_API void vg_json_end(vg_json_writer *json);
VG_API void vg_json_put_string(vg_json_writer *json, const char *key, const char *value); /* NULL: null */
VG_API void vg_json_put_int(vg_json_writer *json, const char *key, int64_t value);
VG_API void vg_json_put_uint64(vg_json_writer *json, const char *key, uint64_t value); /* a string > 2^53 */
VG_API void vg_json_put_double(vg_json_writer *json, const char *key, double value);
VG_API void vg_json_put_bool(vg_json_writer *json, const char *key, bool value);
VG_API void vg_json_put_null(vg_json_writer *json, const char *key);
VG_API void vg_json_put_doubles(vg_json_writer *json, const char *key, const double *values, size_t count);

/* Three ends of a writer, each of which frees it: a file replaced atomically, a line appended to a .jsonl
 * file with one write() (the writer must not be indented), a string the caller frees. */
VG_NODISCARD VG_API vg_status vg_json_write(vg_json_writer *json, const char *path);
VG_NODISCARD VG_API vg_status vg_json_append(vg_json_writer *json, const char *path);
VG_NODISCARD VG_API vg_status vg_json_take(vg_json_writer *json, char **text);
VG_API void vg_json_writer_free(vg_json_writer *json);

/* The reader. Refused, with file and line: what is not JSON, duplicate keys, text after the value, text that
 * is not UTF-8. The document owns its values. */
typedef struct vg_json vg_json;
typedef struct vg_json_value vg_json_value;

enum { VG_JSON_LIMIT = 256 << 20 };
VG_NODISCARD VG_API vg_status vg_json_read(const char *path, vg_json **out);
VG_NODISCARD VG_API vg_status vg_json_parse(const char *text, size_t length, const char *name, vg_json **out);
VG_API void vg_json_destroy(vg_json *json); /* NULL is fine */
VG_API const vg_json_value *vg_json_root(const vg_json *json);

typedef enum vg_json_kind {
    VG_JSON_NULL,
    VG_JSON_BOOL,
    VG_JSON_NUMBER,
    VG_JSON_STRING,
    VG_JSON_ARRAY,
    VG_JSON_OBJECT
} vg_json_kind;
VG_API vg_json_kind vg_json_kind_of(const vg_json_value *value);

/* Walking: members or elements in order (NULL at the end), and a member's name. */
VG_API const vg_json_value *vg_json_first(const vg_json_value *value);
VG_API const vg_json_value *vg_json_next(const vg_json_value *value);
VG_API const char *vg_json_key(const vg_json_value *value);  /* NULL in an array */
VG_API size_t vg_json_count(const vg_json_value *value);     /* members or elements */
VG_API const char *vg_json_text(const vg_json_value *value); /* NULL unless a string */
VG_API double vg_json_number(const vg_json_value *value);    /* NaN unless a number */

/* The member of an object; NULL when absent or no object. */
VG_API const vg_json_value *vg_json_find(const vg_json_value *object, const char *key);

/* Typed getters of `object`'s member (NULL: the root's); ERR_FORMAT naming the document and the key when it
 * is missing or of another type. Strings belong to the document. */
VG_NODISCARD VG_API vg_status vg_json_get(const vg_json *json, const vg_json_value *object, const char *key,
                                          vg_json_kind kind, const vg_json_value **out);
VG_NODISCARD VG_API vg_status vg_json_get_int(const vg_json *json, const vg_json_value *object,
                                              const char *key, int64_t *out);
VG_NODISCARD VG_API vg_status vg_json_get_uint64(const vg_json *json, const vg_json_value *object,
                                                 const char *key, uint64_t *out);
VG_NODISCARD VG_API vg_status vg_json_get_double(const vg_json *json, const vg_json_value *object,
                                                 const char *key, double *out); /* null: NaN */
VG_NODISCARD VG_API vg_status vg_json_get_bool(const vg_json *json, const vg_json_value *object,
                                               const char *key, bool *out);
VG_NODISCARD VG_API vg_status vg_json_get_string(const vg_json *json, const vg_json_value *object,
                                                 const char *key, const char **out);

#ifdef __cplusplus
}
#endif
#endif
