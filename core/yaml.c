/* The only file that knows libyaml. Its event parser is used, not its document loader: events tell anchors,
 * tags and nesting before any memory is spent on them. */
#include "core/yaml.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <yaml.h>

#include "core/file.h"

enum {
    CHUNK = 16 << 10, /* bytes the arena asks for at a time */
    MAX_KEYS = 1024,  /* of one mapping: duplicates are looked for one by one */
    MAX_KEY_LENGTH = 256,
    MAX_PATH_DEPTH = VG_YAML_DEPTH,
};

struct chunk {
    struct chunk *next;
    size_t used, size;
    max_align_t bytes[];
};

struct vg_yaml {
    struct chunk *chunks;
    vg_yaml_node *root;
    const char **sources; /* the names that places point to, each kept once */
    size_t source_count, source_capacity;
};

static vg_status arena_take(vg_yaml *yaml, size_t size, void **out)
{
    size = (size + sizeof(max_align_t) - 1) / sizeof(max_align_t) * sizeof(max_align_t);
    struct chunk *chunk = yaml->chunks;
    if (!chunk || chunk->size - chunk->used < size) {
        size_t room = size > CHUNK ? size : CHUNK;
        chunk = malloc(sizeof *chunk + room);
        if (!chunk) return vg_fail(VG_ERR_MEMORY, "out of memory while reading YAML");
        *chunk = (struct chunk){.next = yaml->chunks, .size = room};
        yaml->chunks = chunk;
    }
    *out = (char *)chunk->bytes + chunk->used;
    chunk->used += size;
    memset(*out, 0, size);
    return VG_OK;
}

static vg_status arena_text(vg_yaml *yaml, const char *text, size_t length, const char **out)
{
    void *copy = NULL;
    VG_TRY(arena_take(yaml, length + 1, &copy));
    memcpy(copy, text, length); /* the arena's memory is zero: the text is closed */
    *out = copy;
    return VG_OK;
}

static vg_status arena_source(vg_yaml *yaml, const char *name, const char **out)
{
    for (size_t i = 0; i < yaml->source_count; i++)
        if (!strcmp(yaml->sources[i], name)) {
            *out = yaml->sources[i];
            return VG_OK;
        }
    if (yaml->source_count == yaml->source_capacity) {
        size_t capacity = yaml->source_capacity ? 2 * yaml->source_capacity : 4;
        const char **grown = realloc(yaml->sources, capacity * sizeof *grown);
        if (!grown) return vg_fail(VG_ERR_MEMORY, "out of memory while reading YAML");
        yaml->sources = grown;
        yaml->source_capacity = capacity;
    }
    VG_TRY(arena_text(yaml, name, strlen(name), &yaml->sources[yaml->source_count]));
    *out = yaml->sources[yaml->source_count++];
    return VG_OK;
}

static vg_status node_make(vg_yaml *yaml, vg_yaml_kind kind, vg_yaml_place place, vg_yaml_node **out)
{
    void *memory = NULL;
    VG_TRY(arena_take(yaml, sizeof(vg_yaml_node), &memory));
    *out = memory;
    **out = (vg_yaml_node){.kind = kind, .place = place};
    return VG_OK;
}

static vg_status node_append(vg_yaml *yaml, vg_yaml_node *node, vg_yaml_entry entry)
{
    if (node->count == node->capacity) {
        size_t capacity = node->capacity ? 2 * node->capacity : 8;
        void *grown = NULL;
        VG_TRY(arena_take(yaml, capacity * sizeof *node->entries, &grown));
        if (node->count) memcpy(grown, node->entries, node->count * sizeof *node->entries);
        node->entries = grown;
        node->capacity = capacity;
    }
    node->entries[node->count++] = entry;
    return VG_OK;
}

vg_status vg__yaml_fail(vg_status status, const vg_yaml_place *place, const char *file, int line,
                        const char *format, ...)
{
    char text[1600];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (!place || !place->source) return vg__fail(status, file, line, "%s", text);
    if (!place->line) return vg__fail(status, file, line, "%s: %s", place->source, text);
    return vg__fail(status, file, line, "%s:%d:%d: %s", place->source, place->line, place->column, text);
}

/* Reading. */

struct reader {
    vg_yaml *yaml;
    yaml_parser_t parser;
    const char *source;
    bool placeless; /* a command line: line and column would mean nothing */
};

static vg_yaml_place place_of(const struct reader *reader, yaml_mark_t mark)
{
    if (reader->placeless) return (vg_yaml_place){.source = reader->source};
    return (vg_yaml_place){
        .source = reader->source, .line = (int)mark.line + 1, .column = (int)mark.column + 1};
}

static vg_status next_event(struct reader *reader, yaml_event_t *event)
{
    yaml_parser_t *parser = &reader->parser;
    if (yaml_parser_parse(parser, event)) return VG_OK;
    if (parser->error == YAML_MEMORY_ERROR) return vg_fail(VG_ERR_MEMORY, "out of memory while reading YAML");
    /* A reader's error (a control character) has an offset in place of a mark. */
    bool marked = parser->error != YAML_READER_ERROR;
    vg_yaml_place place = place_of(reader, marked ? parser->problem_mark : parser->mark);
    return vg_yaml_fail(VG_ERR_CONFIG, &place, "not valid YAML: %s%s%s",
                        parser->problem ? parser->problem : "unreadable", parser->context ? ", " : "",
                        parser->context ? parser->context : "");
}

/* What strict YAML lacks, told at the place where it stands. */
static vg_status refuse_extras(const struct reader *reader, const yaml_event_t *event)
{
    vg_yaml_place place = place_of(reader, event->start_mark);
    const yaml_char_t *anchor = NULL, *tag = NULL;
    switch (event->type) {
    case YAML_ALIAS_EVENT:
        return vg_yaml_fail(
            VG_ERR_CONFIG, &place,
            "aliases (*%s) are not allowed; write the value out, or put it in quotes if it is text",
            (const char *)event->data.alias.anchor);
    case YAML_SCALAR_EVENT:
        anchor = event->data.scalar.anchor;
        tag = event->data.scalar.tag;
        break;
    case YAML_SEQUENCE_START_EVENT:
        anchor = event->data.sequence_start.anchor;
        tag = event->data.sequence_start.tag;
        break;
    case YAML_MAPPING_START_EVENT:
        anchor = event->data.mapping_start.anchor;
        tag = event->data.mapping_start.tag;
        break;
    default:
        break;
    }
    if (anchor)
        return vg_yaml_fail(VG_ERR_CONFIG, &place, "anchors (&%s) are not allowed; use extends",
                            (const char *)anchor);
    if (tag)
        return vg_yaml_fail(VG_ERR_CONFIG, &place, "tags (%s) are not allowed; put text in quotes",
                            (const char *)tag);
    return VG_OK;
}

static vg_status scalar_text(struct reader *reader, const yaml_event_t *event, const char *what,
                             const char **out)
{
    const char *value = (const char *)event->data.scalar.value;
    size_t length = event->data.scalar.length;
    vg_yaml_place place = place_of(reader, event->start_mark);
    if (memchr(value, 0, length)) return vg_yaml_fail(VG_ERR_CONFIG, &place, "%s contains a zero byte", what);
    return arena_text(reader->yaml, value, length, out);
}

/* Takes the text of a key out of its event and sees that `mapping` does not have it yet. */
static vg_status read_key(struct reader *reader, const yaml_event_t *event, const vg_yaml_node *mapping,
                          vg_yaml_entry *entry)
{
    entry->place = place_of(reader, event->start_mark);
    VG_TRY(refuse_extras(reader, event));
    if (event->type != YAML_SCALAR_EVENT)
        return vg_yaml_fail(VG_ERR_CONFIG, &entry->place,
                            "a key must be a plain name, not a list or mapping");
    VG_TRY(scalar_text(reader, event, "the key", &entry->key));
    size_t length = strlen(entry->key);
    if (!length) return vg_yaml_fail(VG_ERR_CONFIG, &entry->place, "a key is empty");
    if (length > MAX_KEY_LENGTH)
        return vg_yaml_fail(VG_ERR_CONFIG, &entry->place, "a key is longer than %d bytes", MAX_KEY_LENGTH);
    if (mapping->count == MAX_KEYS)
        return vg_yaml_fail(VG_ERR_CONFIG, &entry->place, "more than %d keys in one mapping", MAX_KEYS);
    for (size_t i = 0; i < mapping->count; i++)
        if (!strcmp(mapping->entries[i].key, entry->key))
            return vg_yaml_fail(VG_ERR_CONFIG, &entry->place, "duplicate key '%s', first given at line %d",
                                entry->key, mapping->entries[i].place.line);
    return VG_OK;
}

/* Makes the node that begins with `event` and reads on to its end. The caller deletes the event. */
static vg_status read_node(struct reader *reader, const yaml_event_t *event, int depth, vg_yaml_node **out)
{
    vg_yaml_place place = place_of(reader, event->start_mark);
    VG_TRY(refuse_extras(reader, event));
    if (event->type == YAML_SCALAR_EVENT) {
        VG_TRY(node_make(reader->yaml, VG_YAML_SCALAR, place, out));
        (*out)->quoted = event->data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
        return scalar_text(reader, event, "the text", &(*out)->text);
    }
    if (depth == VG_YAML_DEPTH)
        return vg_yaml_fail(VG_ERR_CONFIG, &place, "nested deeper than %d levels", VG_YAML_DEPTH);
    bool mapping = event->type == YAML_MAPPING_START_EVENT;
    VG_TRY(node_make(reader->yaml, mapping ? VG_YAML_MAPPING : VG_YAML_SEQUENCE, place, out));
    for (;;) {
        vg_status status;
        vg_yaml_entry entry = {0};
        yaml_event_t inner;
        VG_TRY(next_event(reader, &inner));
        if (inner.type == YAML_MAPPING_END_EVENT || inner.type == YAML_SEQUENCE_END_EVENT) {
            yaml_event_delete(&inner);
            return VG_OK;
        }
        if (mapping) {
            status = read_key(reader, &inner, *out, &entry);
            yaml_event_delete(&inner);
            VG_TRY(status);
            VG_TRY(next_event(reader, &inner));
        }
        status = read_node(reader, &inner, depth + 1, &entry.value);
        yaml_event_delete(&inner);
        VG_TRY(status);
        if (!mapping) entry.place = entry.value->place;
        VG_TRY(node_append(reader->yaml, *out, entry));
    }
}

/* Reads the stream: one document or none (which is null). */
static vg_status read_stream(struct reader *reader)
{
    vg_status status = VG_OK;
    vg_yaml *yaml = reader->yaml;
    yaml_event_t event = {0};
    for (;;) {
        VG_TRY(next_event(reader, &event));
        yaml_event_type_t type = event.type;
        if (type == YAML_DOCUMENT_START_EVENT && yaml->root) {
            vg_yaml_place place = place_of(reader, event.start_mark);
            status =
                vg_yaml_fail(VG_ERR_CONFIG, &place, "a second document begins; one file holds one document");
        } else if (type != YAML_STREAM_START_EVENT && type != YAML_STREAM_END_EVENT &&
                   type != YAML_DOCUMENT_START_EVENT && type != YAML_DOCUMENT_END_EVENT) {
            status = read_node(reader, &event, 0, &yaml->root);
        }
        yaml_event_delete(&event);
        if (status != VG_OK || type == YAML_STREAM_END_EVENT) break;
    }
    if (status == VG_OK && !yaml->root) {
        vg_yaml_place place = place_of(reader, (yaml_mark_t){0});
        VG_TRY(node_make(yaml, VG_YAML_SCALAR, place, &yaml->root));
        yaml->root->text = "";
    }
    return status;
}

/* Line and column of a byte, for text that never reaches libyaml. */
static vg_yaml_place place_at(const char *source, const char *text, size_t offset)
{
    vg_yaml_place place = {.source = source, .line = 1, .column = 1};
    for (size_t i = 0; i < offset; i++) {
        if (text[i] == '\n') {
            place.line++;
            place.column = 1;
        } else if (((unsigned char)text[i] & 0xc0) != 0x80) {
            place.column++;
        }
    }
    return place;
}

static vg_status parse(const char *text, size_t length, const char *name, bool placeless, vg_yaml **out)
{
    vg_status status = VG_OK;
    bool started = false;
    size_t bad;
    struct reader reader = {.placeless = placeless};
    vg_yaml *yaml = calloc(1, sizeof *yaml);
    if (!yaml) return vg_fail(VG_ERR_MEMORY, "out of memory while reading %s", name);
    reader.yaml = yaml;
    VG_TRY_OUT(arena_source(yaml, name, &reader.source));
    if (length > VG_YAML_LIMIT) {
        status = vg_fail(VG_ERR_CONFIG, "%s is larger than %d MiB", name, VG_YAML_LIMIT >> 20);
        goto out;
    }
    if (!vg_text_is_utf8(text, length, &bad)) {
        vg_yaml_place place = place_at(reader.source, text, bad);
        status =
            vg_yaml_fail(VG_ERR_CONFIG, &place, "not UTF-8 text (byte 0x%02x)", (unsigned char)text[bad]);
        goto out;
    }
    if (!yaml_parser_initialize(&reader.parser)) {
        status = vg_fail(VG_ERR_MEMORY, "out of memory while reading %s", name);
        goto out;
    }
    started = true;
    yaml_parser_set_encoding(&reader.parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&reader.parser, (const unsigned char *)text, length);
    VG_TRY_OUT(read_stream(&reader));
    *out = yaml;
    yaml = NULL;
out:
    if (started) yaml_parser_delete(&reader.parser);
    vg_yaml_destroy(yaml);
    return status;
}

vg_status vg_yaml_parse(const char *text, size_t length, const char *name, vg_yaml **out)
{
    return parse(text, length, name, false, out);
}

vg_status vg_yaml_read(const char *path, vg_yaml **out)
{
    char *text = NULL;
    size_t length;
    vg_yaml *yaml = NULL;
    vg_status status = vg_file_read(path, VG_YAML_LIMIT, &text, &length);
    if (status == VG_ERR_FORMAT) status = VG_ERR_CONFIG;
    if (status != VG_OK) return status;
    VG_TRY_OUT(parse(text, length, path, false, &yaml));
    if (vg_yaml_is_null(yaml->root)) {
        yaml->root->kind = VG_YAML_MAPPING;
        yaml->root->text = NULL;
    }
    if (yaml->root->kind != VG_YAML_MAPPING) {
        char what[80];
        status = vg_yaml_fail(VG_ERR_CONFIG, &yaml->root->place, "the file must hold keys and values, not %s",
                              vg_yaml_describe(yaml->root, what, sizeof what));
        goto out;
    }
    *out = yaml;
    yaml = NULL;
out:
    free(text);
    vg_yaml_destroy(yaml);
    return status;
}

vg_status vg_yaml_create(vg_yaml **out)
{
    vg_yaml *yaml = calloc(1, sizeof *yaml);
    if (!yaml) return vg_fail(VG_ERR_MEMORY, "out of memory while reading YAML");
    vg_status status = node_make(yaml, VG_YAML_MAPPING, (vg_yaml_place){0}, &yaml->root);
    if (status != VG_OK)
        vg_yaml_destroy(yaml);
    else
        *out = yaml;
    return status;
}

void vg_yaml_destroy(vg_yaml *yaml)
{
    if (!yaml) return;
    for (struct chunk *chunk = yaml->chunks, *next; chunk; chunk = next) {
        next = chunk->next;
        free(chunk);
    }
    free(yaml->sources);
    free(yaml);
}

vg_yaml_node *vg_yaml_root(const vg_yaml *yaml)
{
    return yaml->root;
}

/* Finding and changing. */

static vg_yaml_entry *find_entry(const vg_yaml_node *node, const char *key, size_t length)
{
    if (!node || node->kind != VG_YAML_MAPPING) return NULL;
    for (size_t i = 0; i < node->count; i++)
        if (!strncmp(node->entries[i].key, key, length) && !node->entries[i].key[length])
            return &node->entries[i];
    return NULL;
}

vg_yaml_node *vg_yaml_get(const vg_yaml_node *node, const char *key)
{
    vg_yaml_entry *entry = find_entry(node, key, strlen(key));
    return entry ? entry->value : NULL;
}

vg_yaml_node *vg_yaml_find(const vg_yaml_node *node, const char *path)
{
    for (;;) {
        size_t length = strcspn(path, ".");
        vg_yaml_entry *entry = find_entry(node, path, length);
        if (!entry || !path[length]) return entry ? entry->value : NULL;
        node = entry->value;
        path += length + 1;
    }
}

vg_yaml_node *vg_yaml_remove(vg_yaml_node *mapping, const char *key)
{
    vg_yaml_entry *entry = find_entry(mapping, key, strlen(key));
    if (!entry) return NULL;
    vg_yaml_node *value = entry->value;
    size_t after = mapping->count - 1 - (size_t)(entry - mapping->entries);
    memmove(entry, entry + 1, after * sizeof *entry);
    mapping->count--;
    return value;
}

static vg_status copy_place(vg_yaml *yaml, vg_yaml_place from, vg_yaml_place *to)
{
    *to = from;
    return from.source ? arena_source(yaml, from.source, &to->source) : VG_OK;
}

static vg_status copy_node(vg_yaml *yaml, const vg_yaml_node *from, vg_yaml_node **out)
{
    vg_yaml_place place;
    VG_TRY(copy_place(yaml, from->place, &place));
    VG_TRY(node_make(yaml, from->kind, place, out));
    (*out)->quoted = from->quoted;
    if (from->text) VG_TRY(arena_text(yaml, from->text, strlen(from->text), &(*out)->text));
    for (size_t i = 0; i < from->count; i++) {
        const vg_yaml_entry *entry = &from->entries[i];
        vg_yaml_entry copy = {0};
        if (entry->key) VG_TRY(arena_text(yaml, entry->key, strlen(entry->key), &copy.key));
        VG_TRY(copy_place(yaml, entry->place, &copy.place));
        VG_TRY(copy_node(yaml, entry->value, &copy.value));
        VG_TRY(node_append(yaml, *out, copy));
    }
    return VG_OK;
}

static vg_status merge_entry(vg_yaml *yaml, vg_yaml_node *into, const char *key, size_t length,
                             vg_yaml_place place, const vg_yaml_node *value);

static vg_status merge_mapping(vg_yaml *yaml, vg_yaml_node *into, const vg_yaml_node *over)
{
    for (size_t i = 0; i < over->count; i++) {
        const vg_yaml_entry *entry = &over->entries[i];
        VG_TRY(merge_entry(yaml, into, entry->key, strlen(entry->key), entry->place, entry->value));
    }
    return VG_OK;
}

static vg_status merge_entry(vg_yaml *yaml, vg_yaml_node *into, const char *key, size_t length,
                             vg_yaml_place place, const vg_yaml_node *value)
{
    vg_yaml_entry *entry = find_entry(into, key, length);
    if (entry && entry->value->kind == VG_YAML_MAPPING) {
        if (value->kind == VG_YAML_MAPPING) return merge_mapping(yaml, entry->value, value);
        if (vg_yaml_is_null(value)) return VG_OK;
    }
    if (!entry) {
        vg_yaml_entry fresh = {0};
        VG_TRY(arena_text(yaml, key, length, &fresh.key));
        VG_TRY(node_append(yaml, into, fresh));
        entry = &into->entries[into->count - 1];
        /* Never leave an entry without a value behind, whatever fails below. */
        VG_TRY(node_make(yaml, VG_YAML_SCALAR, (vg_yaml_place){0}, &entry->value));
        entry->value->text = "";
    }
    VG_TRY(copy_place(yaml, place, &entry->place));
    return copy_node(yaml, value, &entry->value);
}

vg_status vg_yaml_merge(vg_yaml *yaml, const vg_yaml_node *over)
{
    VG_ASSERT(yaml->root->kind == VG_YAML_MAPPING && over->kind == VG_YAML_MAPPING);
    return merge_mapping(yaml, yaml->root, over);
}

/* "a.b.c": keys that are neither empty nor too long, and not too many. */
static bool is_key_path(const char *path)
{
    for (int depth = 0; depth < MAX_PATH_DEPTH; depth++) {
        size_t length = strcspn(path, ".");
        if (!length || length > MAX_KEY_LENGTH) return false;
        if (!path[length]) return true;
        path += length + 1;
    }
    return false;
}

vg_status vg_yaml_put(vg_yaml *yaml, const char *path, const vg_yaml_node *value)
{
    VG_ASSERT(yaml->root->kind == VG_YAML_MAPPING);
    vg_yaml_node *node = yaml->root;
    if (!is_key_path(path))
        return vg_yaml_fail(VG_ERR_CONFIG, &value->place,
                            "'%s' is not a key path; write section.key, as in optimizer.lr", path);
    for (const char *at = path;;) {
        size_t length = strcspn(at, ".");
        if (!at[length]) return merge_entry(yaml, node, at, length, value->place, value);
        vg_yaml_entry *entry = find_entry(node, at, length);
        if (!entry || vg_yaml_is_null(entry->value)) {
            vg_yaml_node empty = {.kind = VG_YAML_MAPPING, .place = value->place};
            VG_TRY(merge_entry(yaml, node, at, length, value->place, &empty));
            entry = find_entry(node, at, length);
        }
        if (entry->value->kind != VG_YAML_MAPPING)
            return vg_yaml_fail(VG_ERR_CONFIG, &value->place,
                                "'%.*s' has a value of its own, so '%s' cannot be set",
                                (int)(at + length - path), path, path);
        node = entry->value;
        at += length + 1;
    }
}

vg_status vg_yaml_override(vg_yaml *yaml, const char *assignment)
{
    vg_status status = VG_OK;
    vg_yaml *value = NULL;
    char *name = NULL, *path = NULL;
    vg_text text = {0};
    const char *equals = strchr(assignment, '=');
    if (!equals || equals == assignment)
        return vg_fail(VG_ERR_CONFIG, "command line: '%s' is not of the form key.path=value", assignment);
    vg_text_add(&text, "command line \"%s\"", assignment);
    VG_TRY_OUT(vg_text_take(&text, &name));
    vg_text_append(&text, assignment, (size_t)(equals - assignment));
    VG_TRY_OUT(vg_text_take(&text, &path));
    VG_TRY_OUT(parse(equals + 1, strlen(equals + 1), name, true, &value));
    VG_TRY_OUT(vg_yaml_put(yaml, path, value->root));
out:
    vg_yaml_destroy(value);
    free(name);
    free(path);
    return status;
}

/* What a scalar says. */

const char *vg_yaml_describe(const vg_yaml_node *node, char *out, size_t size)
{
    if (node->kind == VG_YAML_MAPPING)
        snprintf(out, size, "a mapping");
    else if (node->kind == VG_YAML_SEQUENCE)
        snprintf(out, size, "a list");
    else if (vg_yaml_is_null(node))
        snprintf(out, size, "null");
    else if (node->quoted)
        snprintf(out, size, "the text \"%.60s\"", node->text);
    else
        snprintf(out, size, "'%.60s'", node->text);
    return out;
}

static vg_status wrong(const vg_yaml_node *node, const char *key, const char *wanted)
{
    char what[100];
    return vg_yaml_fail(VG_ERR_CONFIG, &node->place, "%s must be %s, not %s", key, wanted,
                        vg_yaml_describe(node, what, sizeof what));
}

static bool plain(const vg_yaml_node *node)
{
    return node->kind == VG_YAML_SCALAR && !node->quoted;
}

static bool one_of(const char *text, const char *const *words)
{
    for (; *words; words++)
        if (!strcmp(text, *words)) return true;
    return false;
}

static const char *const null_words[] = {"", "~", "null", "Null", "NULL", NULL};
static const char *const true_words[] = {"true", "True", "TRUE", NULL};
static const char *const false_words[] = {"false", "False", "FALSE", NULL};
static const char *const inf_words[] = {".inf", "+.inf", "inf", "+inf", ".Inf", NULL};
static const char *const minus_inf_words[] = {"-.inf", "-inf", "-.Inf", NULL};

/* An optional sign and digits, without the leading zero that older YAML takes for octal. */
static bool is_integer(const char *text)
{
    if (*text == '-' || *text == '+') text++;
    size_t digits = strspn(text, "0123456789");
    return digits && !text[digits] && (digits == 1 || *text != '0');
}

static bool is_real(const char *text)
{
    if (*text == '-' || *text == '+') text++;
    size_t whole = strspn(text, "0123456789"), fraction = 0;
    text += whole;
    if (*text == '.') {
        fraction = strspn(++text, "0123456789");
        text += fraction;
    }
    if (!whole && !fraction) return false;
    if (*text == 'e' || *text == 'E') {
        text++;
        if (*text == '-' || *text == '+') text++;
        size_t digits = strspn(text, "0123456789");
        if (!digits) return false;
        text += digits;
    }
    return !*text;
}

bool vg_yaml_is_null(const vg_yaml_node *node)
{
    return plain(node) && one_of(node->text, null_words);
}

vg_status vg_yaml_bool(const vg_yaml_node *node, const char *key, bool *out)
{
    bool yes = plain(node) && one_of(node->text, true_words);
    if (!yes && !(plain(node) && one_of(node->text, false_words))) return wrong(node, key, "true or false");
    *out = yes;
    return VG_OK;
}

vg_status vg_yaml_int(const vg_yaml_node *node, const char *key, int64_t *out)
{
    if (!plain(node) || !is_integer(node->text)) return wrong(node, key, "a whole number");
    errno = 0;
    long long value = strtoll(node->text, NULL, 10);
    if (errno == ERANGE) return wrong(node, key, "a whole number of at most 64 bits");
    *out = value;
    return VG_OK;
}

vg_status vg_yaml_uint64(const vg_yaml_node *node, const char *key, uint64_t *out)
{
    if (!plain(node) || !is_integer(node->text) || node->text[0] == '-')
        return wrong(node, key, "a whole number from 0 up");
    errno = 0;
    unsigned long long value = strtoull(node->text, NULL, 10);
    if (errno == ERANGE) return wrong(node, key, "a whole number of at most 64 bits");
    *out = value;
    return VG_OK;
}

vg_status vg_yaml_double(const vg_yaml_node *node, const char *key, double *out)
{
    if (plain(node) && (one_of(node->text, inf_words) || one_of(node->text, minus_inf_words))) {
        *out = node->text[0] == '-' ? -INFINITY : INFINITY;
        return VG_OK;
    }
    if (!plain(node) || !is_real(node->text)) return wrong(node, key, "a number");
    double value = strtod(node->text, NULL);
    if (isinf(value)) return wrong(node, key, "a number within +-1.8e308");
    *out = value;
    return VG_OK;
}

vg_status vg_yaml_string(const vg_yaml_node *node, const char *key, const char **out)
{
    if (node->kind != VG_YAML_SCALAR || vg_yaml_is_null(node)) return wrong(node, key, "a text");
    *out = node->text;
    return VG_OK;
}

/* Writing. */

/* Would a YAML reader take this plain text for something other than a string? Words of YAML 1.1 are included,
 * because Python's reader knows them. */
static bool looks_typed(const char *text)
{
    static const char *const others[] = {"yes", "Yes",  "YES",  "no",   "No",   "NO",    "on",    "On", "ON",
                                         "off", "Off",  "OFF",  "y",    "Y",    "n",     "N",     "=",  "<<",
                                         "nan", ".nan", ".NaN", ".NAN", ".INF", "-.INF", "+.INF", NULL};
    /* Anything that begins like a number or a date is quoted; nobody misses the bare form. */
    const char *digits = text + (*text == '-' || *text == '+' || *text == '.');
    return one_of(text, null_words) || one_of(text, true_words) || one_of(text, false_words) ||
           one_of(text, inf_words) || one_of(text, minus_inf_words) || one_of(text, others) ||
           (*digits >= '0' && *digits <= '9');
}

/* Can the text stand without quotes anywhere, in a flow list too? Generous with quotes. */
static bool plain_safe(const char *text)
{
    size_t length = strlen(text);
    if (!length || strchr("-?:,[]{}#&*!|>'\"%@` =", text[0])) {
        /* A minus in front is fine when something other than a space follows, as in a number. */
        if (!(text[0] == '-' && length > 1 && text[1] != ' ' && text[1] != '-')) return false;
    }
    if (text[length - 1] == ' ' || text[length - 1] == ':') return false;
    for (const unsigned char *at = (const unsigned char *)text; *at; at++) {
        if (*at < 0x20 || *at >= 0x7f || strchr(",[]{}\"'", *at)) return false;
        /* In a flow list libyaml ends a plain text at ":?" too. */
        if (*at == ':' && (at[1] == ' ' || at[1] == '?')) return false;
        if (*at == '#' && at != (const unsigned char *)text && at[-1] == ' ') return false;
    }
    return true;
}

/* One character of UTF-8 that is known to be well formed. */
static uint32_t decode(const unsigned char **at)
{
    const unsigned char *p = *at;
    int follow = *p < 0x80 ? 0 : *p < 0xe0 ? 1 : *p < 0xf0 ? 2 : 3;
    uint32_t code = follow ? *p & (0x3fu >> follow) : *p;
    for (int i = 1; i <= follow && p[i]; i++) code = code << 6 | (p[i] & 0x3fu);
    *at = p + follow + 1;
    return code;
}

static void print_quoted(vg_text *text, const char *string)
{
    const unsigned char *at = (const unsigned char *)string;
    if (!vg_text_is_utf8(string, strlen(string), NULL)) at = (const unsigned char *)"?";
    vg_text_append(text, "\"", 1);
    while (*at) {
        const unsigned char *from = at;
        uint32_t code = decode(&at);
        if (code == '"' || code == '\\')
            vg_text_add(text, "\\%c", (int)code);
        else if (code == '\n')
            vg_text_add(text, "\\n");
        else if (code == '\t')
            vg_text_add(text, "\\t");
        else if (code < 0x20 || (code >= 0x7f && code < 0xa0) || code == 0x2028 || code == 0x2029 ||
                 code == 0xfeff || code == 0xfffe || code == 0xffff)
            vg_text_add(text, "\\u%04X", (unsigned)code);
        else
            vg_text_append(text, (const char *)from, (size_t)(at - from));
    }
    vg_text_append(text, "\"", 1);
}

void vg_yaml_print_scalar(vg_text *text, const char *string)
{
    if (plain_safe(string) && !looks_typed(string))
        vg_text_add(text, "%s", string);
    else
        print_quoted(text, string);
}

static void print_leaf(vg_text *text, const vg_yaml_node *node)
{
    if (node->kind == VG_YAML_MAPPING)
        vg_text_add(text, "{}");
    else if (node->kind == VG_YAML_SEQUENCE)
        vg_text_add(text, "[]");
    else if (node->quoted)
        vg_yaml_print_scalar(text, node->text);
    else if (vg_yaml_is_null(node))
        vg_text_add(text, "null");
    else if (plain_safe(node->text))
        vg_text_add(text, "%s", node->text);
    else
        print_quoted(text, node->text);
}

static bool only_scalars(const vg_yaml_node *node)
{
    for (size_t i = 0; i < node->count; i++)
        if (node->entries[i].value->kind != VG_YAML_SCALAR) return false;
    return true;
}

/* Prints what follows "key:" or "-", newline included. */
static void print_node(vg_text *text, const vg_yaml_node *node, int indent)
{
    if (!node->count) {
        vg_text_add(text, " ");
        print_leaf(text, node);
        vg_text_add(text, "\n");
    } else if (node->kind == VG_YAML_SEQUENCE && only_scalars(node)) {
        for (size_t i = 0; i < node->count; i++) {
            vg_text_add(text, i ? ", " : " [");
            print_leaf(text, node->entries[i].value);
        }
        vg_text_add(text, "]\n");
    } else {
        vg_text_add(text, "\n");
        for (size_t i = 0; i < node->count; i++) {
            vg_text_add(text, "%*s", indent, "");
            if (node->kind == VG_YAML_MAPPING) {
                vg_yaml_print_scalar(text, node->entries[i].key);
                vg_text_add(text, ":");
            } else {
                vg_text_add(text, "-");
            }
            print_node(text, node->entries[i].value, indent + 2);
        }
    }
}

vg_status vg_yaml_print(const vg_yaml_node *node, char **text)
{
    vg_text out = {0};
    print_node(&out, node, 0);
    /* The node's first line belongs behind a key; at the top there is none. */
    if (out.data && (out.data[0] == ' ' || out.data[0] == '\n'))
        memmove(out.data, out.data + 1, out.length--);
    return vg_text_take(&out, text);
}
