#include "core/schema.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What `allowed` says, read anew for every value: it is a dozen characters. */
struct rule {
    bool nullable, interval, low_open, high_open;
    double low, high;
    const char *names; /* without interval: the names, up to names_length; 0: anything goes */
    size_t names_length;
};

static bool read_rule(const char *allowed, struct rule *rule)
{
    static const char or_null[] = "or null";
    size_t length = strlen(allowed), tail = sizeof or_null - 1;
    *rule = (struct rule){.names = allowed};
    if (length >= tail && !strcmp(allowed + length - tail, or_null)) {
        rule->nullable = true;
        length -= tail;
    }
    while (length && allowed[length - 1] == ' ') length--;
    if (allowed[0] != '[' && allowed[0] != '(') {
        rule->names_length = length;
        return true;
    }
    char *end;
    rule->interval = true;
    rule->low_open = allowed[0] == '(';
    rule->low = strtod(allowed + 1, &end);
    if (end == allowed + 1 || *end != ',') return false;
    const char *second = end + 1;
    rule->high = strtod(second, &end);
    if (end == second || (*end != ')' && *end != ']') || end + 1 != allowed + length) return false;
    rule->high_open = *end == ')';
    return rule->low <= rule->high;
}

static struct rule rule_of(const vg_schema_field *field)
{
    struct rule rule;
    bool readable = read_rule(field->allowed, &rule);
    VG_ASSERT(readable);
    return rule;
}

/* The name number `index` of the rule, NULL past the last. */
static const char *rule_name(const struct rule *rule, int index, size_t *length)
{
    const char *at = rule->names, *end = rule->names + rule->names_length;
    for (;; index--) {
        while (at < end && (*at == ' ' || *at == '|')) at++;
        if (at == end) return NULL;
        const char *name = at;
        while (at < end && *at != ' ' && *at != '|') at++;
        *length = (size_t)(at - name);
        if (!index) return name;
    }
}

static int rule_index(const struct rule *rule, const char *text)
{
    size_t length = 0;
    for (int i = 0;; i++) {
        const char *name = rule_name(rule, i, &length);
        if (!name) return -1;
        if (strlen(text) == length && !memcmp(name, text, length)) return i;
    }
}

static const char *last_part(const char *path)
{
    const char *dot = strrchr(path, '.');
    return dot ? dot + 1 : path;
}

static bool inside(const vg_schema_field *field, const char *section, size_t length)
{
    const char *part = last_part(field->path);
    size_t prefix = part == field->path ? 0 : (size_t)(part - field->path) - 1;
    return prefix == length && !memcmp(field->path, section, length);
}

static const vg_schema_field *find_row(const vg_schema *schema, const char *path)
{
    for (size_t i = 0; i < schema->count; i++)
        if (!strcmp(schema->fields[i].path, path)) return &schema->fields[i];
    return NULL;
}

const vg_schema_field *vg_schema_find(const vg_schema *schema, const char *path)
{
    const vg_schema_field *row = find_row(schema, path);
    if (row && row->type == VG_FIELD_ALIAS) row = find_row(schema, row->initial);
    return row && row->type != VG_FIELD_SECTION ? row : NULL;
}

/* Fails with the nearest key: one of the same section first, then one of that name elsewhere, then the
 * nearest of all; failing that, with the keys of the section. */
static vg_status unknown_key(const vg_schema *schema, const char *path, const vg_yaml_place *place)
{
    const char *part = last_part(path), *hint = NULL;
    size_t prefix = part == path ? 0 : (size_t)(part - path) - 1, count = 0;
    const char **names = calloc(schema->count, sizeof *names);
    if (!names) return vg_fail(VG_ERR_MEMORY, "out of memory while checking '%s'", path);
    for (size_t i = 0; i < schema->count; i++)
        if (inside(&schema->fields[i], path, prefix)) names[count++] = last_part(schema->fields[i].path);
    size_t nearest = vg_text_nearest(part, names, count);
    if (nearest < count) hint = names[nearest];
    for (size_t i = 0; i < schema->count && !hint; i++)
        if (!strcmp(last_part(schema->fields[i].path), part)) hint = schema->fields[i].path;
    if (!hint) {
        for (size_t i = 0; i < schema->count; i++) names[i] = schema->fields[i].path;
        nearest = vg_text_nearest(path, names, schema->count);
        if (nearest < schema->count) hint = names[nearest];
    }
    free(names);
    if (hint) return vg_yaml_fail(VG_ERR_CONFIG, place, "unknown key '%s'; did you mean '%s'?", path, hint);

    vg_text known = {0};
    char *list = NULL;
    for (size_t i = 0; i < schema->count; i++)
        if (inside(&schema->fields[i], path, prefix) && schema->fields[i].type != VG_FIELD_ALIAS)
            vg_text_add(&known, "%s%s", known.length ? ", " : "", last_part(schema->fields[i].path));
    VG_TRY(vg_text_take(&known, &list));
    vg_status status = vg_yaml_fail(VG_ERR_CONFIG, place, "unknown key '%s'; known here: %s", path, list);
    free(list);
    return status;
}

vg_status vg_schema_need(const vg_schema *schema, const char *path, const vg_yaml_place *place,
                         const vg_schema_field **out)
{
    const vg_schema_field *row = find_row(schema, path);
    if (row && row->type == VG_FIELD_SECTION)
        return vg_yaml_fail(VG_ERR_CONFIG, place, "'%s' is a section; name one of its keys", path);
    if (!row) return unknown_key(schema, path, place);
    *out = vg_schema_find(schema, path);
    return VG_OK;
}

/* Values. */

typedef union value {
    bool boolean;
    int64_t integer;
    uint64_t seed;
    double real;
    char *string;
    int index;
    vg_strings strings;
    vg_ints ints;
    vg_doubles doubles;
} value;

static size_t value_size(vg_field_type type)
{
    switch (type) {
    case VG_FIELD_BOOL:
        return sizeof(bool);
    case VG_FIELD_INT:
    case VG_FIELD_SEED:
        return sizeof(int64_t);
    case VG_FIELD_DOUBLE:
        return sizeof(double);
    case VG_FIELD_STRING:
    case VG_FIELD_PATH:
        return sizeof(char *);
    case VG_FIELD_ENUM:
        return sizeof(int);
    case VG_FIELD_STRINGS:
    case VG_FIELD_INTS:
    case VG_FIELD_DOUBLES:
        return sizeof(vg_strings); /* a pointer and a count, all three */
    case VG_FIELD_SECTION:
    case VG_FIELD_ALIAS:
        break;
    }
    return 0;
}

static bool is_list(vg_field_type type)
{
    return type == VG_FIELD_STRINGS || type == VG_FIELD_INTS || type == VG_FIELD_DOUBLES;
}

static value value_get(const vg_schema_field *field, const void *config)
{
    value it = {0};
    memcpy(&it, (const char *)config + field->offset, value_size(field->type));
    return it;
}

static void value_put(const vg_schema_field *field, void *config, value it)
{
    memcpy((char *)config + field->offset, &it, value_size(field->type));
}

static void value_free(vg_field_type type, value it)
{
    if (type == VG_FIELD_STRING || type == VG_FIELD_PATH) free(it.string);
    if (type == VG_FIELD_STRINGS)
        for (size_t i = 0; i < it.strings.count; i++) free(it.strings.items[i]);
    if (type == VG_FIELD_STRINGS) free(it.strings.items);
    if (type == VG_FIELD_INTS) free(it.ints.items);
    if (type == VG_FIELD_DOUBLES) free(it.doubles.items);
}

static vg_status check_range(const vg_schema_field *field, const struct rule *rule, const vg_yaml_node *node,
                             double number)
{
    if (!rule->interval) return VG_OK;
    bool low = rule->low_open ? number > rule->low : number >= rule->low;
    bool high = rule->high_open ? number < rule->high : number <= rule->high;
    /* An infinite end means "no limit", be it written open or closed; an infinite value needs it closed. */
    if (low && high) return VG_OK;
    return vg_yaml_fail(VG_ERR_CONFIG, &node->place, "%s must be in %s%s%s, not %s", field->path,
                        field->allowed, field->unit[0] ? " " : "", field->unit, node->text);
}

static vg_status check_name(const vg_schema_field *field, const struct rule *rule, const vg_yaml_node *node,
                            const char *text, int *index)
{
    *index = rule_index(rule, text);
    if (*index >= 0 || !rule->names_length) return VG_OK;
    vg_text known = {0};
    char *list = NULL;
    size_t length;
    const char *name;
    for (int i = 0; (name = rule_name(rule, i, &length)); i++)
        vg_text_add(&known, "%s%.*s", i ? ", " : "", (int)length, name);
    VG_TRY(vg_text_take(&known, &list));
    vg_status status = vg_yaml_fail(VG_ERR_CONFIG, &node->place, "%s must be one of %s, not '%.60s'",
                                    field->path, list, text);
    free(list);
    return status;
}

/* One text, number or element of a list, checked. `type` is the element's. */
static vg_status read_one(const vg_schema_field *field, vg_field_type type, const struct rule *rule,
                          const vg_yaml_node *node, value *out)
{
    const char *text;
    int index;
    switch (type) {
    case VG_FIELD_BOOL:
        return vg_yaml_bool(node, field->path, &out->boolean);
    case VG_FIELD_INT:
        VG_TRY(vg_yaml_int(node, field->path, &out->integer));
        if (out->integer == VG_NULL_INT) /* taken: it stands for null */
            return vg_yaml_fail(VG_ERR_CONFIG, &node->place, "%s is too small", field->path);
        return check_range(field, rule, node, (double)out->integer);
    case VG_FIELD_SEED:
        VG_TRY(vg_yaml_uint64(node, field->path, &out->seed));
        return check_range(field, rule, node, (double)out->seed);
    case VG_FIELD_DOUBLE:
        VG_TRY(vg_yaml_double(node, field->path, &out->real));
        return check_range(field, rule, node, out->real);
    case VG_FIELD_ENUM:
        VG_TRY(vg_yaml_string(node, field->path, &text));
        return check_name(field, rule, node, text, &out->index);
    default:
        VG_TRY(vg_yaml_string(node, field->path, &text));
        VG_TRY(check_name(field, rule, node, text, &index));
        return vg_text_copy(text, &out->string);
    }
}

static vg_status read_list(const vg_schema_field *field, const struct rule *rule, const vg_yaml_node *node,
                           value *out)
{
    vg_status status = VG_OK;
    if (node->kind != VG_YAML_SEQUENCE) {
        char what[100];
        return vg_yaml_fail(VG_ERR_CONFIG, &node->place, "%s must be a list, such as [a, b], not %s",
                            field->path, vg_yaml_describe(node, what, sizeof what));
    }
    if (!node->count) return VG_OK;
    /* The three lists are a pointer and a count; they are built in their own type and share the loop. */
    size_t element = sizeof(int64_t);
    char *items = calloc(node->count, element);
    if (!items) return vg_fail(VG_ERR_MEMORY, "out of memory while reading %s", field->path);
    vg_field_type type = field->type == VG_FIELD_STRINGS ? VG_FIELD_STRING
                         : field->type == VG_FIELD_INTS  ? VG_FIELD_INT
                                                         : VG_FIELD_DOUBLE;
    for (size_t i = 0; i < node->count && status == VG_OK; i++) {
        value one = {0};
        status = read_one(field, type, rule, node->entries[i].value, &one);
        if (status == VG_OK) memcpy(items + i * element, &one, element);
    }
    if (type == VG_FIELD_STRING) {
        out->strings.items = (char **)(void *)items;
        out->strings.count = node->count;
    } else if (type == VG_FIELD_INT) {
        out->ints.items = (int64_t *)(void *)items;
        out->ints.count = node->count;
    } else {
        out->doubles.items = (double *)(void *)items;
        out->doubles.count = node->count;
    }
    return status; /* what was built is in `out` also on failure, for the caller to free */
}

static value null_value(vg_field_type type)
{
    value it = {0};
    if (type == VG_FIELD_INT) it.integer = VG_NULL_INT;
    if (type == VG_FIELD_DOUBLE) it.real = NAN;
    return it;
}

/* Reads a value out of the tree and puts it in the place of the old one; on failure the old one stays. */
static vg_status assign(const vg_schema_field *field, void *config, const vg_yaml_node *node)
{
    struct rule rule = rule_of(field);
    value fresh = {0};
    vg_status status = VG_OK;
    if (rule.nullable && vg_yaml_is_null(node))
        fresh = null_value(field->type);
    else if (is_list(field->type))
        status = read_list(field, &rule, node, &fresh);
    else
        status = read_one(field, field->type, &rule, node, &fresh);
    value_free(field->type, status == VG_OK ? value_get(field, config) : fresh);
    if (status == VG_OK) value_put(field, config, fresh);
    return status;
}

vg_status vg_schema_init(const vg_schema *schema, void *config)
{
    vg_status status = VG_OK;
    memset(config, 0, schema->size);
    for (size_t i = 0; i < schema->count; i++) {
        const vg_schema_field *field = &schema->fields[i];
        if (field->type == VG_FIELD_SECTION || field->type == VG_FIELD_ALIAS || !field->initial) continue;
        vg_yaml *yaml = NULL;
        char name[160];
        snprintf(name, sizeof name, "default of %s", field->path);
        status = vg_yaml_parse(field->initial, strlen(field->initial), name, &yaml);
        if (status == VG_OK) status = assign(field, config, vg_yaml_root(yaml));
        vg_yaml_destroy(yaml);
        if (status != VG_OK) {
            vg_schema_free(schema, config);
            return status;
        }
    }
    return VG_OK;
}

void vg_schema_free(const vg_schema *schema, void *config)
{
    for (size_t i = 0; i < schema->count; i++) {
        const vg_schema_field *field = &schema->fields[i];
        if (!value_size(field->type)) continue;
        value_free(field->type, value_get(field, config));
        value_put(field, config, (value){0});
    }
}

/* Trees. */

/* Finds the row of a key of `section` ("" at the top); the key may be an alias, whose row is given. */
static vg_status match_key(const vg_schema *schema, const char *section, const vg_yaml_node *mapping,
                           const vg_yaml_entry *entry, char **path, const vg_schema_field **row)
{
    vg_text text = {0};
    vg_text_add(&text, "%s%s%s", section, section[0] ? "." : "", entry->key);
    VG_TRY(vg_text_take(&text, path));
    if (strchr(entry->key, '.') && find_row(schema, *path))
        return vg_yaml_fail(VG_ERR_CONFIG, &entry->place,
                            "'%s' is a path; in a file write its parts as nested keys, one below the other",
                            entry->key);
    *row = find_row(schema, *path);
    if (!*row) return unknown_key(schema, *path, &entry->place);
    if ((*row)->type == VG_FIELD_ALIAS && vg_yaml_get(mapping, last_part((*row)->initial)))
        return vg_yaml_fail(VG_ERR_CONFIG, &entry->place, "'%s' is another name of '%s', which is given too",
                            *path, (*row)->initial);
    if ((*row)->type == VG_FIELD_SECTION && entry->value->kind != VG_YAML_MAPPING &&
        !vg_yaml_is_null(entry->value)) {
        char what[100];
        return vg_yaml_fail(VG_ERR_CONFIG, &entry->value->place, "%s must be a mapping of keys, not %s",
                            *path, vg_yaml_describe(entry->value, what, sizeof what));
    }
    return VG_OK;
}

/* Walks a mapping: `config` NULL renames aliases, else values are assigned. */
static vg_status walk(const vg_schema *schema, void *config, const char *section, vg_yaml_node *mapping)
{
    for (size_t i = 0; i < mapping->count; i++) {
        vg_yaml_entry *entry = &mapping->entries[i];
        const vg_schema_field *row = NULL;
        char *path = NULL;
        vg_status status = match_key(schema, section, mapping, entry, &path, &row);
        if (status == VG_OK && row->type == VG_FIELD_SECTION) {
            if (entry->value->kind == VG_YAML_MAPPING) status = walk(schema, config, path, entry->value);
        } else if (status == VG_OK && config) {
            status = assign(vg_schema_find(schema, path), config, entry->value);
        } else if (status == VG_OK && row->type == VG_FIELD_ALIAS) {
            entry->key = last_part(row->initial); /* of the table, which outlives every document */
        }
        free(path);
        VG_TRY(status);
    }
    return VG_OK;
}

vg_status vg_schema_normalize(const vg_schema *schema, vg_yaml *yaml)
{
    return walk(schema, NULL, "", vg_yaml_root(yaml));
}

vg_status vg_schema_override(const vg_schema *schema, vg_yaml *yaml, const char *assignment)
{
    vg_yaml *one = NULL;
    VG_TRY(vg_yaml_create(&one));
    vg_status status = vg_yaml_override(one, assignment);
    if (status == VG_OK) status = vg_schema_normalize(schema, one);
    if (status == VG_OK) status = vg_yaml_merge(yaml, vg_yaml_root(one));
    vg_yaml_destroy(one);
    return status;
}

/* Was the field given, under its own name or another? */
static bool given(const vg_schema *schema, const vg_schema_field *field, const vg_yaml_node *root)
{
    if (vg_yaml_find(root, field->path)) return true;
    for (size_t i = 0; i < schema->count; i++) {
        const vg_schema_field *row = &schema->fields[i];
        if (row->type == VG_FIELD_ALIAS && !strcmp(row->initial, field->path) &&
            vg_yaml_find(root, row->path))
            return true;
    }
    return false;
}

vg_status vg_schema_load(const vg_schema *schema, void *config, const vg_yaml_node *root)
{
    VG_TRY(vg_schema_init(schema, config));
    /* walk() changes keys only when it has no config, so the tree is not written to. */
    vg_status status = walk(schema, config, "", (vg_yaml_node *)root);
    for (size_t i = 0; i < schema->count && status == VG_OK; i++) {
        const vg_schema_field *field = &schema->fields[i];
        if (value_size(field->type) && !field->initial && !given(schema, field, root))
            status = vg_yaml_fail(VG_ERR_CONFIG, &(vg_yaml_place){.source = root->place.source},
                                  "the key '%s' is required (%s)", field->path, field->help);
    }
    if (status != VG_OK) vg_schema_free(schema, config);
    return status;
}

vg_status vg_schema_set(const vg_schema *schema, void *config, const char *path, const char *text)
{
    vg_status status = VG_OK;
    const vg_schema_field *field;
    vg_text assignment = {0};
    vg_yaml *yaml = NULL;
    char *line = NULL;
    VG_TRY(vg_schema_need(schema, path, NULL, &field));
    vg_text_add(&assignment, "%s=%s", path, text);
    VG_TRY(vg_text_take(&assignment, &line));
    VG_TRY_OUT(vg_yaml_create(&yaml));
    VG_TRY_OUT(vg_yaml_override(yaml, line));
    VG_TRY_OUT(assign(field, config, vg_yaml_find(vg_yaml_root(yaml), path)));
out:
    vg_yaml_destroy(yaml);
    free(line);
    return status;
}

/* Printing. */

static void print_real(vg_text *text, double number)
{
    char digits[VG_DOUBLE_TEXT];
    vg_text_add(text, "%s", isnan(number) ? "null" : vg_double_text(number, digits));
}

static void print_string(vg_text *text, const char *string)
{
    if (string)
        vg_yaml_print_scalar(text, string);
    else
        vg_text_add(text, "null");
}

static void print_integer(vg_text *text, int64_t number)
{
    if (number == VG_NULL_INT)
        vg_text_add(text, "null");
    else
        vg_text_add(text, "%" PRId64, number);
}

static void print_list(vg_text *text, const vg_schema_field *field, value it)
{
    vg_text_add(text, "[");
    for (size_t i = 0; i < it.strings.count; i++) { /* the count has one place in all three lists */
        vg_text_add(text, i ? ", " : "");
        if (field->type == VG_FIELD_STRINGS)
            print_string(text, it.strings.items[i]);
        else if (field->type == VG_FIELD_INTS)
            print_integer(text, it.ints.items[i]);
        else
            print_real(text, it.doubles.items[i]);
    }
    vg_text_add(text, "]");
}

static void print_value(vg_text *text, const vg_schema_field *field, const void *config)
{
    value it = value_get(field, config);
    struct rule rule = rule_of(field);
    const char *name;
    size_t length = 0;
    switch (field->type) {
    case VG_FIELD_BOOL:
        vg_text_add(text, it.boolean ? "true" : "false");
        break;
    case VG_FIELD_INT:
        print_integer(text, it.integer);
        break;
    case VG_FIELD_SEED:
        vg_text_add(text, "%" PRIu64, it.seed);
        break;
    case VG_FIELD_DOUBLE:
        print_real(text, it.real);
        break;
    case VG_FIELD_ENUM:
        name = it.index < 0 ? NULL : rule_name(&rule, it.index, &length);
        VG_ASSERT(name);
        vg_text name_text = {0};
        vg_text_append(&name_text, name, length);
        if (name_text.failed)
            text->failed = true;
        else
            print_string(text, name_text.data);
        vg_text_free(&name_text);
        break;
    case VG_FIELD_STRING:
    case VG_FIELD_PATH:
        print_string(text, it.string);
        break;
    default:
        print_list(text, field, it);
    }
}

vg_status vg_schema_get(const vg_schema *schema, const void *config, const char *path, char **text)
{
    const vg_schema_field *field;
    vg_text out = {0};
    VG_TRY(vg_schema_need(schema, path, NULL, &field));
    print_value(&out, field, config);
    return vg_text_take(&out, text);
}

static int depth_of(const char *path)
{
    int depth = 0;
    for (; *path; path++) depth += *path == '.';
    return depth;
}

vg_status vg_schema_print(const vg_schema *schema, const void *config, char **text)
{
    vg_text out = {0};
    for (size_t i = 0; i < schema->count; i++) {
        const vg_schema_field *field = &schema->fields[i];
        if (field->type == VG_FIELD_ALIAS) continue;
        vg_text_add(&out, "%*s%s:", 2 * depth_of(field->path), "", last_part(field->path));
        if (field->type != VG_FIELD_SECTION) {
            vg_text_add(&out, " ");
            print_value(&out, field, config);
        }
        vg_text_add(&out, "\n");
    }
    return vg_text_take(&out, text);
}

static const char *type_text(vg_field_type type)
{
    switch (type) {
    case VG_FIELD_BOOL:
        return "true or false";
    case VG_FIELD_INT:
        return "whole number";
    case VG_FIELD_SEED:
        return "whole number from 0";
    case VG_FIELD_DOUBLE:
        return "number";
    case VG_FIELD_STRING:
        return "text";
    case VG_FIELD_PATH:
        return "path";
    case VG_FIELD_ENUM:
        return "name";
    case VG_FIELD_STRINGS:
        return "list of texts";
    case VG_FIELD_INTS:
        return "list of whole numbers";
    case VG_FIELD_DOUBLES:
        return "list of numbers";
    case VG_FIELD_SECTION:
    case VG_FIELD_ALIAS:
        break;
    }
    return "";
}

/* " (also learning_rate)" for a field that has other names. */
static void add_aliases(vg_text *out, const vg_schema *schema, const vg_schema_field *field)
{
    bool any = false;
    for (size_t i = 0; i < schema->count; i++) {
        const vg_schema_field *row = &schema->fields[i];
        if (row->type != VG_FIELD_ALIAS || strcmp(row->initial, field->path)) continue;
        vg_text_add(out, "%s%s", any ? ", " : " (also ", last_part(row->path));
        any = true;
    }
    if (any) vg_text_add(out, ")");
}

/* How much of `allowed` to show: a generated list of names ends in " | ". */
static int shown_length(const char *allowed)
{
    size_t length = strlen(allowed);
    while (length && strchr(" |", allowed[length - 1])) length--;
    return (int)length;
}

vg_status vg_schema_help(const vg_schema *schema, char **text)
{
    vg_text out = {0};
    for (size_t i = 0; i < schema->count; i++) {
        const vg_schema_field *field = &schema->fields[i];
        if (field->type == VG_FIELD_ALIAS) continue;
        if (field->type == VG_FIELD_SECTION) {
            vg_text_add(&out, "\n%s: %s\n", field->path, field->help);
            continue;
        }
        vg_text_add(&out, "  %s", field->path);
        add_aliases(&out, schema, field);
        vg_text_add(&out, ": %s%s%s%s%.*s", type_text(field->type), field->unit[0] ? " of " : "", field->unit,
                    field->allowed[0] ? ", " : "", shown_length(field->allowed), field->allowed);
        if (field->initial)
            vg_text_add(&out, "; default %s\n", field->initial[0] ? field->initial : "empty");
        else
            vg_text_add(&out, "; required\n");
        vg_text_add(&out, "      %s\n", field->help);
    }
    return vg_text_take(&out, text);
}

/* A table's cell: '|' would end it. */
static void add_cut_cell(vg_text *out, const char *string, int length)
{
    vg_text_add(out, " ");
    for (int i = 0; i < length; i++) vg_text_add(out, string[i] == '|' ? "\\%c" : "%c", string[i]);
    vg_text_add(out, " |");
}

static void add_cell(vg_text *out, const char *string)
{
    add_cut_cell(out, string, (int)strlen(string));
}

vg_status vg_schema_markdown(const vg_schema *schema, char **text)
{
    static const char head[] =
        "\n| key | type | default | allowed | unit | meaning |\n|---|---|---|---|---|---|\n";
    vg_text out = {0};
    vg_text_add(&out, "# Keys of the %s file\n", schema->name);
    const char *section = NULL;
    for (size_t i = 0; i < schema->count; i++) {
        const vg_schema_field *field = &schema->fields[i];
        if (field->type == VG_FIELD_ALIAS || field->type == VG_FIELD_SECTION) continue;
        const char *part = last_part(field->path);
        size_t length = part == field->path ? 0 : (size_t)(part - field->path) - 1;
        if (!section || !inside(field, section, strlen(section))) {
            section = "";
            for (size_t k = 0; k < schema->count; k++) {
                const vg_schema_field *row = &schema->fields[k];
                if (row->type != VG_FIELD_SECTION || strlen(row->path) != length ||
                    memcmp(row->path, field->path, length))
                    continue;
                section = row->path;
                vg_text_add(&out, "\n## %s\n%s\n", section, row->help);
            }
            vg_text_add(&out, "%s", head);
        }
        vg_text_add(&out, "| `%s`", part);
        add_aliases(&out, schema, field);
        vg_text_add(&out, " |");
        add_cell(&out, type_text(field->type));
        add_cell(&out, field->initial ? field->initial : "required");
        add_cut_cell(&out, field->allowed, shown_length(field->allowed));
        add_cell(&out, field->unit);
        add_cell(&out, field->help);
        vg_text_add(&out, "\n");
    }
    return vg_text_take(&out, text);
}

const char *vg_schema_enum_name(const vg_schema *schema, const char *path, int index, char *out, size_t size)
{
    const vg_schema_field *field = vg_schema_find(schema, path);
    VG_ASSERT(field && field->type == VG_FIELD_ENUM);
    struct rule rule = rule_of(field);
    size_t length = 0;
    const char *name = index < 0 ? NULL : rule_name(&rule, index, &length);
    snprintf(out, size, "%.*s", name ? (int)length : 1, name ? name : "?");
    return out;
}

/* Soundness of one row, given those before it. */
static vg_status check_row(const vg_schema *schema, size_t index)
{
    const vg_schema_field *field = &schema->fields[index];
    struct rule rule;
    if (find_row(schema, field->path) != field)
        return vg_fail(VG_ERR_CONFIG, "schema %s: '%s' is listed twice", schema->name, field->path);
    if (field->type == VG_FIELD_ALIAS) {
        const vg_schema_field *row = find_row(schema, field->initial);
        if (!row || !value_size(row->type))
            return vg_fail(VG_ERR_CONFIG, "schema %s: the alias '%s' leads nowhere", schema->name,
                           field->path);
        return VG_OK;
    }
    if (!read_rule(field->allowed, &rule) || (field->type == VG_FIELD_ENUM && !rule.names_length))
        return vg_fail(VG_ERR_CONFIG, "schema %s: '%s' cannot be read as what %s allows", schema->name,
                       field->allowed, field->path);
    if (rule.nullable &&
        (field->type == VG_FIELD_BOOL || field->type == VG_FIELD_SEED || field->type == VG_FIELD_ENUM))
        return vg_fail(VG_ERR_CONFIG, "schema %s: the type of %s has no null", schema->name, field->path);
    const char *part = last_part(field->path);
    if (part == field->path) return VG_OK;
    for (size_t i = 0; i < index; i++) {
        const vg_schema_field *row = &schema->fields[i];
        if (row->type == VG_FIELD_SECTION && inside(field, row->path, strlen(row->path))) return VG_OK;
    }
    return vg_fail(VG_ERR_CONFIG, "schema %s: no section was opened for '%s'", schema->name, field->path);
}

vg_status vg_schema_check(const vg_schema *schema)
{
    vg_status status = VG_OK;
    for (size_t i = 0; i < schema->count; i++) VG_TRY(check_row(schema, i));
    void *config = malloc(schema->size);
    if (!config) return vg_fail(VG_ERR_MEMORY, "out of memory while checking the schema %s", schema->name);
    status = vg_schema_init(schema, config);
    if (status == VG_OK) vg_schema_free(schema, config);
    free(config);
    return status;
}
