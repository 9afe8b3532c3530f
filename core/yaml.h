/* Strict YAML: a tree of scalars, sequences and mappings in which every value knows where it was written.
 *
 * Refused, with file, line and column: duplicate keys, anchors, aliases, tags, several documents, keys that
 * are not plain text, nesting deeper than VG_YAML_DEPTH, text that is not UTF-8, files above VG_YAML_LIMIT.
 * A value written on the command line says "command line" instead of a place in a file.
 *
 * A document owns its nodes, texts and source names in one arena: vg_yaml_destroy() frees them all. */
#ifndef VAGUS_CORE_YAML_H
#define VAGUS_CORE_YAML_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/status.h"
#include "core/text.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { VG_YAML_DEPTH = 32, VG_YAML_LIMIT = 4 << 20 };

typedef enum vg_yaml_kind { VG_YAML_SCALAR, VG_YAML_SEQUENCE, VG_YAML_MAPPING } vg_yaml_kind;

/* Where something was written. line and column count from 1; line 0: not from a file. */
typedef struct vg_yaml_place {
    const char *source;
    int line, column;
} vg_yaml_place;

typedef struct vg_yaml_node {
    vg_yaml_kind kind;
    vg_yaml_place place;
    const char *text;              /* a scalar's text, "" for an empty one; NULL otherwise */
    bool quoted;                   /* in quotes or a block: a string whatever it looks like */
    struct vg_yaml_entry *entries; /* of a mapping or a sequence, in the order of the file */
    size_t count, capacity;
} vg_yaml_node;

typedef struct vg_yaml_entry {
    const char *key;     /* NULL in a sequence */
    vg_yaml_place place; /* of the key */
    vg_yaml_node *value;
} vg_yaml_entry;

typedef struct vg_yaml vg_yaml;

/* Reads a file, or a text whose messages begin with `name`. The top of a file must be a mapping (an empty
 * file is an empty mapping); a text may be anything. The caller destroys the document. */
VG_NODISCARD VG_API vg_status vg_yaml_read(const char *path, vg_yaml **out);
VG_NODISCARD VG_API vg_status vg_yaml_parse(const char *text, size_t length, const char *name, vg_yaml **out);
VG_NODISCARD VG_API vg_status vg_yaml_create(vg_yaml **out); /* an empty mapping, to merge into */
VG_API void vg_yaml_destroy(vg_yaml *yaml);                  /* NULL is fine */
VG_API vg_yaml_node *vg_yaml_root(const vg_yaml *yaml);

/* The value of a key, of a dotted path ("optimizer.lr"); NULL when absent or when `node` is no mapping. */
VG_API vg_yaml_node *vg_yaml_get(const vg_yaml_node *node, const char *key);
VG_API vg_yaml_node *vg_yaml_find(const vg_yaml_node *node, const char *path);

/* Copies `over`, a mapping, over the document's root: mappings are merged key by key, anything else replaces
 * what was there (but nothing, as in "train:" with no lines below it, leaves a mapping as it is), and every
 * value keeps its origin. The document may outlive the one `over` belongs to. */
VG_NODISCARD VG_API vg_status vg_yaml_merge(vg_yaml *yaml, const vg_yaml_node *over);

/* Puts a copy of `value` at a dotted path, making the mappings on the way; a mapping is merged into one that
 * is there. ERR_CONFIG when the path is not made of plain keys or runs through a value. */
VG_NODISCARD VG_API vg_status vg_yaml_put(vg_yaml *yaml, const char *path, const vg_yaml_node *value);

/* "key.path=value" as on a command line; the value is YAML ("[1, 2]", "null", "text"). The origin becomes
 * `command line "key.path=value"`. */
VG_NODISCARD VG_API vg_status vg_yaml_override(vg_yaml *yaml, const char *assignment);

/* Takes a key out of a mapping and returns its value (owned by the document still); NULL when absent. */
VG_API vg_yaml_node *vg_yaml_remove(vg_yaml_node *mapping, const char *key);

/* The tree as YAML text, which reads back to the same tree; the caller frees it. */
VG_NODISCARD VG_API vg_status vg_yaml_print(const vg_yaml_node *node, char **text);

/* A string as a YAML scalar appended to `text`, quoted where it must be. */
VG_API void vg_yaml_print_scalar(vg_text *text, const char *string);

/* What a scalar says. `key` names it in the error ("optimizer.lr"). Numbers must be whole texts without
 * units; hexadecimal, octal and underscores are refused; doubles may be inf or .inf, never NaN; booleans are
 * true and false. ERR_CONFIG. */
VG_API bool vg_yaml_is_null(const vg_yaml_node *node); /* null, ~ or nothing, not in quotes */
VG_NODISCARD VG_API vg_status vg_yaml_bool(const vg_yaml_node *node, const char *key, bool *out);
VG_NODISCARD VG_API vg_status vg_yaml_int(const vg_yaml_node *node, const char *key, int64_t *out);
VG_NODISCARD VG_API vg_status vg_yaml_uint64(const vg_yaml_node *node, const char *key, uint64_t *out);
VG_NODISCARD VG_API vg_status vg_yaml_double(const vg_yaml_node *node, const char *key, double *out);
VG_NODISCARD VG_API vg_status vg_yaml_string(const vg_yaml_node *node, const char *key, const char **out);

/* vg_fail() with the place in front: "a.yaml:3:5: ...". `place` is &node->place or &entry->place. */
#define vg_yaml_fail(status, place, ...) vg__yaml_fail((status), (place), __FILE__, __LINE__, __VA_ARGS__)
VG_API vg_status vg__yaml_fail(vg_status status, const vg_yaml_place *place, const char *file, int line,
                               const char *format, ...) VG_PRINTF(5, 6);

/* "a mapping", "a sequence", "the text \"abc\"" into `out`, for messages. Returns `out`. */
VG_API const char *vg_yaml_describe(const vg_yaml_node *node, char *out, size_t size);

#ifdef __cplusplus
}
#endif
#endif
