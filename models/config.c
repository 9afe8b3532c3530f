#include "models/config.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/json.h"

/* The two lists once more as sections of a schema, which knows how to read and to refuse values. */
typedef struct model_section {
#include "core/schema_members.h"
    VG_BEGIN(model, "")
#include "models/model.def"
    VG_END(model)
} model_section;

typedef struct masking_section {
#include "core/schema_members.h"
    VG_BEGIN(masking, "")
#include "models/masking.def"
    VG_END(masking)
} masking_section;

static const vg_schema_field model_fields[] = {
#define VG_SCHEMA_STRUCT model_section
#include "core/schema_rows.h"
    VG_BEGIN(model, "The model")
#include "models/model.def"
        VG_END(model)
#undef VG_SCHEMA_STRUCT
};
static const vg_schema_field masking_fields[] = {
#define VG_SCHEMA_STRUCT masking_section
#include "core/schema_rows.h"
    VG_BEGIN(masking, "The pretext task")
#include "models/masking.def"
        VG_END(masking)
#undef VG_SCHEMA_STRUCT
};
static const vg_schema model_schema = VG_SCHEMA("model", model_fields, model_section);
static const vg_schema masking_schema = VG_SCHEMA("masking", masking_fields, masking_section);

vg_config_list vg_config_list_make(const int64_t *items, size_t count)
{
    vg_config_list list = {.count = (int64_t)count};
    for (size_t i = 0; i < count && i < VG_MAX_CONFIG_LIST; i++) list.item[i] = items[i];
    return list;
}

/* From the schema's struct to ours: the same fields, lists by value. */
#define TAKE_INT(to, from)    (to) = (from)
#define TAKE_DOUBLE(to, from) (to) = (from)
#define TAKE_ENUM(to, from)   (to) = (from)
#define TAKE_INTS(to, from)   (to) = vg_config_list_make((from).items, (from).count)

static vg_model_config model_from_section(const model_section *section)
{
    vg_model_config config;
    memset(&config, 0, sizeof config);
#undef VG_FIELD
#define VG_FIELD(part, name, type, initial, allowed, unit, help) TAKE_##type(config.name, section->part.name);
#include "models/model.def"
#undef VG_FIELD
    return config;
}

static vg_masking_config masking_from_section(const masking_section *section)
{
    vg_masking_config config;
    memset(&config, 0, sizeof config);
#define VG_FIELD(part, name, type, initial, allowed, unit, help) TAKE_##type(config.name, section->part.name);
#include "models/masking.def"
#undef VG_FIELD
    return config;
}

vg_model_config vg_model_config_default(void)
{
    model_section section;
    vg_status status = vg_schema_init(&model_schema, &section);
    VG_ASSERT(status == VG_OK);
    vg_model_config config = model_from_section(&section);
    vg_schema_free(&model_schema, &section);
    return config;
}

vg_masking_config vg_masking_config_default(void)
{
    masking_section section;
    vg_status status = vg_schema_init(&masking_schema, &section);
    VG_ASSERT(status == VG_OK);
    vg_masking_config config = masking_from_section(&section);
    vg_schema_free(&masking_schema, &section);
    return config;
}

void vg_model_config_set_dropout(vg_model_config *config, double probability)
{
    config->dropout_input = config->dropout_position = config->dropout_attention = probability;
    config->dropout_residual = config->dropout_feedforward = probability;
}

static void put_int(vg_json_writer *json, const vg_schema *schema, const char *path, const char *name,
                    int64_t value)
{
    (void)schema, (void)path;
    vg_json_put_int(json, name, value);
}
static void put_double(vg_json_writer *json, const vg_schema *schema, const char *path, const char *name,
                       double value)
{
    (void)schema, (void)path;
    vg_json_put_double(json, name, value);
}
static void put_enum(vg_json_writer *json, const vg_schema *schema, const char *path, const char *name,
                     int value)
{
    char word[64];
    vg_json_put_string(json, name, vg_schema_enum_name(schema, path, value, word, sizeof word));
}
static void put_ints(vg_json_writer *json, const vg_schema *schema, const char *path, const char *name,
                     vg_config_list value)
{
    (void)schema, (void)path;
    vg_json_begin_array(json, name);
    for (int64_t i = 0; i < value.count && i < VG_MAX_CONFIG_LIST; i++)
        vg_json_put_int(json, NULL, value.item[i]);
    vg_json_end(json);
}
#define PUT_INT    put_int
#define PUT_DOUBLE put_double
#define PUT_ENUM   put_enum
#define PUT_INTS   put_ints

vg_status vg_model_config_to_json(const vg_model_config *config, char **json)
{
    vg_json_writer writer = vg_json_writer_make(false);
    vg_json_begin_object(&writer, NULL);
#define VG_FIELD(part, name, type, initial, allowed, unit, help)                                             \
    PUT_##type(&writer, &model_schema, #part "." #name, #name, config->name);
#include "models/model.def"
#undef VG_FIELD
    vg_json_end(&writer);
    return vg_json_take(&writer, json);
}

vg_status vg_masking_config_to_json(const vg_masking_config *config, char **json)
{
    vg_json_writer writer = vg_json_writer_make(false);
    vg_json_begin_object(&writer, NULL);
#define VG_FIELD(part, name, type, initial, allowed, unit, help)                                             \
    PUT_##type(&writer, &masking_schema, #part "." #name, #name, config->name);
#include "models/masking.def"
#undef VG_FIELD
    vg_json_end(&writer);
    return vg_json_take(&writer, json);
}

/* Loads `json` as the section `name` of the schema; JSON is YAML, and the schema reads YAML. */
static vg_status load_section(const vg_schema *schema, const char *json, const char *origin, void *section)
{
    vg_yaml *yaml = NULL;
    vg_text text = {0};
    char *wrapped = NULL;
    vg_text_add(&text, "{\"%s\": %s}", schema->name, json);
    vg_status status;
    VG_TRY_OUT(vg_text_take(&text, &wrapped));
    VG_TRY_OUT(vg_yaml_parse(wrapped, strlen(wrapped), origin, &yaml));
    VG_TRY_OUT(vg_schema_load(schema, section, vg_yaml_root(yaml)));
out:
    vg_text_free(&text);
    vg_yaml_destroy(yaml);
    free(wrapped);
    return status;
}

static vg_status check_list(const char *name, const vg_config_list *list)
{
    if (list->count < 0 || list->count > VG_MAX_CONFIG_LIST)
        return vg_fail(VG_ERR_CONFIG, "model.%s has %" PRId64 " entries; at most %d are possible", name,
                       list->count, VG_MAX_CONFIG_LIST);
    return VG_OK;
}

/* What a range of one field cannot say. */
static vg_status check_together(const vg_model_config *c)
{
    VG_TRY(check_list("conv_channels", &c->conv_channels));
    VG_TRY(check_list("conv_kernels", &c->conv_kernels));
    VG_TRY(check_list("reconstruction_head", &c->reconstruction_head));
    VG_TRY(check_list("classification_head", &c->classification_head));
    int64_t convs = c->conv_channels.count;
    if (convs < 1)
        return vg_fail(VG_ERR_CONFIG, "model.conv_channels is empty; the input encoder needs at least one "
                                      "convolution");
    if (c->conv_kernels.count != convs)
        return vg_fail(VG_ERR_CONFIG,
                       "model.conv_kernels has %" PRId64 " entries and model.conv_channels %" PRId64
                       "; give one width for each convolution",
                       c->conv_kernels.count, convs);
    for (int64_t i = 0; i < convs; i++)
        if (c->conv_kernels.item[i] % 2 == 0)
            return vg_fail(VG_ERR_CONFIG,
                           "model.conv_kernels holds %" PRId64
                           ", which is even; a filter that keeps the length is centred on a sample and has "
                           "an odd width",
                           c->conv_kernels.item[i]);
    if (c->conv_channels.item[convs - 1] != c->d_model)
        return vg_fail(VG_ERR_CONFIG,
                       "model.d_model is %" PRId64 " and the last of model.conv_channels %" PRId64
                       "; they are the same width and must agree",
                       c->d_model, c->conv_channels.item[convs - 1]);
    if (c->d_model % c->heads)
        return vg_fail(VG_ERR_CONFIG,
                       "model.heads is %" PRId64 " and does not divide model.d_model, %" PRId64, c->heads,
                       c->d_model);
    return VG_OK;
}

vg_status vg_model_config_from_json(const char *json, const char *origin, vg_model_config *out)
{
    model_section section;
    VG_TRY(load_section(&model_schema, json, origin, &section));
    vg_model_config config = model_from_section(&section);
    vg_schema_free(&model_schema, &section);
    VG_TRY(check_together(&config));
    *out = config;
    return VG_OK;
}

vg_status vg_masking_config_from_json(const char *json, const char *origin, vg_masking_config *out)
{
    masking_section section;
    VG_TRY(load_section(&masking_schema, json, origin, &section));
    vg_masking_config config = masking_from_section(&section);
    vg_schema_free(&masking_schema, &section);
    if (!(config.random_share + config.keep_share <= 1))
        return vg_fail(VG_ERR_CONFIG,
                       "masking.random_share %g and masking.keep_share %g add up to more than 1",
                       config.random_share, config.keep_share);
    *out = config;
    return VG_OK;
}

/* A configuration built in C goes the same way as one that was read, so that there is one set of rules. */
vg_status vg_model_config_check(const vg_model_config *config)
{
    vg_model_config same;
    char *json = NULL;
    VG_TRY(check_list("conv_channels", &config->conv_channels));
    VG_TRY(check_list("conv_kernels", &config->conv_kernels));
    VG_TRY(check_list("reconstruction_head", &config->reconstruction_head));
    VG_TRY(check_list("classification_head", &config->classification_head));
    VG_TRY(vg_model_config_to_json(config, &json));
    vg_status status = vg_model_config_from_json(json, "model", &same);
    free(json);
    return status;
}

vg_status vg_masking_config_check(const vg_masking_config *config)
{
    vg_masking_config same;
    char *json = NULL;
    VG_TRY(vg_masking_config_to_json(config, &json));
    vg_status status = vg_masking_config_from_json(json, "masking", &same);
    free(json);
    return status;
}

static void value_text(const char *json, const char *name, char *out, size_t size)
{
    char key[64];
    snprintf(key, sizeof key, "\"%s\"", name);
    const char *at = strstr(json, key);
    at = at ? at + strlen(key) : "";
    while (*at == ':' || *at == ' ') at++;
    size_t length = *at == '[' ? strcspn(at, "]") + 1 : strcspn(at, ",}");
    snprintf(out, size, "%.*s", (int)length, at);
}

static bool weights_depend_on(const char *name, const vg_model_config *config, bool pooling)
{
    if (!strncmp(name, "dropout", 7) || strstr(name, "head_dropout") || strstr(name, "_head")) return false;
    if (!strcmp(name, "pooling")) return pooling;
    if (!strcmp(name, "segment_length")) return config->position == VG_POSITION_LEARNED;
    return true;
}

bool vg_model_config_differs(const vg_model_config *here, const vg_model_config *there, bool pooling,
                             char *text, size_t size)
{
    char *ours = NULL, *theirs = NULL;
    bool differ = false;
    if (text && size) text[0] = 0;
    if (vg_model_config_to_json(here, &ours) != VG_OK || vg_model_config_to_json(there, &theirs) != VG_OK) {
        free(ours);
        return memcmp(here, there, sizeof *here) != 0;
    }
    static const char *const names[] = {
#define VG_FIELD(part, name, type, initial, allowed, unit, help) #name,
#include "models/model.def"
#undef VG_FIELD
    };
    for (size_t i = 0; i < sizeof names / sizeof *names && !differ; i++) {
        char a[96], b[96];
        value_text(ours, names[i], a, sizeof a);
        value_text(theirs, names[i], b, sizeof b);
        if (!strcmp(a, b) || !weights_depend_on(names[i], here, pooling)) continue;
        differ = true;
        if (text) snprintf(text, size, "%s (%s here, %s there)", names[i], a, b);
    }
    free(ours);
    free(theirs);
    return differ;
}
