/* A typed schema: one list of keys gives the configuration's struct, its parsing, defaults, ranges, help and
 * reference page. The list is a .def file:
 *
 *     // optimizer.def: VG_TOP(name, TYPE, default, allowed, unit, help)
 *     //                VG_FIELD(section, name, TYPE, default, allowed, unit, help)
 *     VG_TOP(seed, SEED, "0", "", "", "Every draw depends on it")
 *     VG_TOP(name, STRING, VG_REQUIRED, "", "", "Name of the run")
 *     VG_BEGIN(optimizer, "How the weights change")
 *     VG_FIELD(optimizer, kind, ENUM, "adamw", "adam | adamw", "", "Update rule")
 *     VG_FIELD(optimizer, lr, DOUBLE, "1e-3", "(0, 1]", "", "Highest learning rate")
 *     VG_ALIAS(optimizer, learning_rate, lr)
 *     VG_FIELD(optimizer, betas, DOUBLES, "[0.9, 0.999]", "[0, 1)", "", "Decay of the two moments")
 *     VG_FIELD(optimizer, patience, INT, "null", "[1, inf) or null", "epochs", "Stop after; null: never")
 *     VG_BEGIN(optimizer.clip, "Gradient clipping")
 *     VG_FIELD(optimizer.clip, norm, DOUBLE, "1.0", "[0, inf)", "", "0 switches it off")
 *     VG_END(clip)
 *     VG_END(optimizer)
 *
 * and it is used twice, in the header and in one .c file:
 *
 *     typedef struct config {
 *     #include "core/schema_members.h"
 *     #include "optimizer.def"
 *     } config;                                      // config.optimizer.clip.norm is a double
 *
 *     static const vg_schema_field fields[] = {
 *     #define VG_SCHEMA_STRUCT config
 *     #include "core/schema_rows.h"
 *     #include "optimizer.def"
 *     };
 *     static const vg_schema schema = VG_SCHEMA("experiment", fields, config);
 *
 * Types and the members they become:
 *   BOOL bool | INT int64_t | SEED uint64_t | DOUBLE double | STRING, PATH char * | ENUM int, the index of
 * the name in `allowed` | STRINGS vg_strings | INTS vg_ints | DOUBLES vg_doubles Default: YAML text, checked
 * like a user's value; VG_REQUIRED when there is none. Allowed: "" anything | "a | b | c" names (a trailing |
 * is fine, so that a list can be generated) |
 *   "[0, 1)" an interval, ( ) open, [ ] closed, inf | either followed by "or null". A list's bounds hold for
 *   each element.
 * Null is stored as VG_NULL_INT, NAN, NULL or an empty list; BOOL, SEED and ENUM have none.
 * Strings and lists belong to the config: vg_schema_free(). A config is copied through its tree or text,
 * never by assignment. */
#ifndef VAGUS_CORE_SCHEMA_H
#define VAGUS_CORE_SCHEMA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/status.h"
#include "core/yaml.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum vg_field_type {
    VG_FIELD_SECTION,
    VG_FIELD_ALIAS,
    VG_FIELD_BOOL,
    VG_FIELD_INT,
    VG_FIELD_SEED,
    VG_FIELD_DOUBLE,
    VG_FIELD_STRING,
    VG_FIELD_PATH,
    VG_FIELD_ENUM,
    VG_FIELD_STRINGS,
    VG_FIELD_INTS,
    VG_FIELD_DOUBLES,
} vg_field_type;

typedef struct vg_strings {
    char **items;
    size_t count;
} vg_strings;
typedef struct vg_ints {
    int64_t *items;
    size_t count;
} vg_ints;
typedef struct vg_doubles {
    double *items;
    size_t count;
} vg_doubles;

#define VG_NULL_INT INT64_MIN /* what "null" is for an INT that allows it */
#define VG_REQUIRED NULL

typedef struct vg_schema_field {
    const char *path; /* "optimizer.lr" */
    vg_field_type type;
    size_t offset;       /* in the struct */
    const char *initial; /* the default as YAML, NULL: required; an alias: the path it stands for */
    const char *allowed, *unit, *help;
} vg_schema_field;

typedef struct vg_schema {
    const char *name; /* "experiment", for messages and titles */
    const vg_schema_field *fields;
    size_t count, size; /* size of the struct */
} vg_schema;

#define VG_SCHEMA(title, table, type)                                                                        \
    {                                                                                                        \
        (title), (table), sizeof(table) / sizeof *(table), sizeof(type)                                      \
    }

/* The life of a configuration:
 *     vg_yaml_read(path, &yaml);                      // and vg_schema_normalize() it, also what it extends
 *     vg_schema_override(&schema, yaml, "train.epochs=3");
 *     vg_schema_load(&schema, &config, vg_yaml_root(yaml));
 *     vg_schema_print(&schema, &config, &text);       // config.yaml of the run
 *     vg_schema_free(&schema, &config); */

/* Checks every key of a tree against the schema before it is merged: an unknown one is refused with its place
 * and the nearest known key, an alias is renamed (refused when its key is there too). Values are not looked
 * at, save that a section must be a mapping. */
VG_NODISCARD VG_API vg_status vg_schema_normalize(const vg_schema *schema, vg_yaml *yaml);

/* "key.path=value" put into the tree; the key may be an alias. */
VG_NODISCARD VG_API vg_status vg_schema_override(const vg_schema *schema, vg_yaml *yaml,
                                                 const char *assignment);

/* Fills `config` (its old content is not looked at) with defaults and then with the tree's values. ERR_CONFIG
 * for an unknown key, a wrong type, a value that is not allowed (with what is), a required key that is
 * missing. On failure nothing is left to free. */
VG_NODISCARD VG_API vg_status vg_schema_load(const vg_schema *schema, void *config, const vg_yaml_node *root);

/* Defaults only; required keys are null (0, false, the first name). For tests and for code without a file. */
VG_NODISCARD VG_API vg_status vg_schema_init(const vg_schema *schema, void *config);
VG_API void vg_schema_free(const vg_schema *schema, void *config); /* twice is fine */

/* One field by its path, as YAML text; for sweeps. get: the caller frees `text`. */
VG_NODISCARD VG_API vg_status vg_schema_set(const vg_schema *schema, void *config, const char *path,
                                            const char *text);
VG_NODISCARD VG_API vg_status vg_schema_get(const vg_schema *schema, const void *config, const char *path,
                                            char **text);

/* The field of a path or of an alias of it; NULL when unknown (or a section). vg_schema_need() fails with the
 * nearest known key instead; `place` may be NULL. */
VG_API const vg_schema_field *vg_schema_find(const vg_schema *schema, const char *path);
VG_NODISCARD VG_API vg_status vg_schema_need(const vg_schema *schema, const char *path,
                                             const vg_yaml_place *place, const vg_schema_field **out);

/* The whole configuration as YAML, in the schema's order; loading it gives the same struct, bit by bit. */
VG_NODISCARD VG_API vg_status vg_schema_print(const vg_schema *schema, const void *config, char **text);

/* The keys for `--help`, and the reference page as Markdown tables. The caller frees the text. */
VG_NODISCARD VG_API vg_status vg_schema_help(const vg_schema *schema, char **text);
VG_NODISCARD VG_API vg_status vg_schema_markdown(const vg_schema *schema, char **text);

/* The name of an ENUM field's value ("adamw"), "?" when out of range. `field` is "optimizer.kind". */
VG_API const char *vg_schema_enum_name(const vg_schema *schema, const char *path, int value, char *out,
                                       size_t size);

/* Is the table itself sound: unique paths, aliases that lead somewhere, sections that were opened, readable
 * `allowed`, defaults that are allowed? For the test of every .def file. ERR_CONFIG. */
VG_NODISCARD VG_API vg_status vg_schema_check(const vg_schema *schema);

#ifdef __cplusplus
}
#endif
#endif
