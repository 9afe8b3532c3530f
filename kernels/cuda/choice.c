#include "kernels/cuda/choice.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/file.h"
#include "core/json.h"
#include "core/log.h"

enum { FORMAT = 1, LIMIT = 16 << 20 };

typedef struct entry {
    char *machine, *call;
    vg__choice choice;
} entry;

typedef struct entry_list {
    entry *at;
    size_t count, capacity;
} entry_list;

struct vg__choices {
    char *machine;
    char *path; /* NULL: nowhere to write */
    entry_list entries;
    bool told; /* that the file cannot be written */
};

static void free_entries(entry_list *list)
{
    for (size_t i = 0; i < list->count; i++) {
        free(list->at[i].machine);
        free(list->at[i].call);
    }
    free(list->at);
    *list = (entry_list){0};
}

static entry *find(const entry_list *list, const char *machine, const char *call)
{
    for (size_t i = 0; i < list->count; i++)
        if (!strcmp(list->at[i].machine, machine) && !strcmp(list->at[i].call, call)) return &list->at[i];
    return NULL;
}

static vg_status put(entry_list *list, const char *machine, const char *call, const vg__choice *choice)
{
    entry *old = find(list, machine, call), new = {.choice = *choice};
    if (old) {
        old->choice = *choice;
        return VG_OK;
    }
    if (list->count == list->capacity) {
        const size_t capacity = list->capacity ? 2 * list->capacity : 16;
        entry *at = realloc(list->at, capacity * sizeof *at);
        if (!at) return vg_fail(VG_ERR_MEMORY, "no memory for measured choices");
        list->at = at;
        list->capacity = capacity;
    }
    vg_status status = vg_text_copy(machine, &new.machine);
    if (status == VG_OK) status = vg_text_copy(call, &new.call);
    if (status != VG_OK) {
        free(new.machine);
        return status;
    }
    list->at[list->count++] = new;
    return VG_OK;
}

static vg_status read_entry(const vg_json *json, const vg_json_value *value, entry_list *list)
{
    const char *machine, *call, *server;
    vg__choice choice;
    VG_TRY(vg_json_get_string(json, value, "machine", &machine));
    VG_TRY(vg_json_get_string(json, value, "call", &call));
    VG_TRY(vg_json_get_string(json, value, "served_by", &server));
    VG_TRY(vg_json_get_double(json, value, "own_us", &choice.own_us));
    VG_TRY(vg_json_get_double(json, value, "library_us", &choice.library_us));
    VG_TRY(vg_json_get_double(json, value, "difference", &choice.difference));
    choice.library = !strcmp(server, "library");
    if (!choice.library && strcmp(server, "own"))
        return vg_fail(VG_ERR_FORMAT, "served_by is '%s', expected own or library", server);
    return put(list, machine, call, &choice);
}

/* All entries of the file; none when there is no file. */
static vg_status read_file(const char *path, entry_list *list)
{
    vg_json *json = NULL;
    const vg_json_value *array;
    int64_t format;
    if (!vg_path_exists(path)) return VG_OK;
    vg_status status = vg_json_read(path, &json);
    if (status == VG_OK) status = vg_json_get_int(json, NULL, "format", &format);
    if (status == VG_OK && format != FORMAT)
        status = vg_fail(VG_ERR_FORMAT, "%s has format %lld, expected %d", path, (long long)format, FORMAT);
    if (status == VG_OK) status = vg_json_get(json, NULL, "choices", VG_JSON_ARRAY, &array);
    if (status == VG_OK)
        for (const vg_json_value *value = vg_json_first(array); value && status == VG_OK;
             value = vg_json_next(value))
            status = read_entry(json, value, list);
    vg_json_destroy(json);
    if (status != VG_OK) free_entries(list);
    return status;
}

/* A damaged file is as good as none. */
static vg_status read_or_ignore(const char *path, entry_list *list)
{
    vg_status status = read_file(path, list);
    if (status == VG_OK || status == VG_ERR_MEMORY) return status;
    vg_warn("measured choices are ignored and will be written anew: %s", vg_cause());
    return VG_OK;
}

static vg_status write_file(const char *path, const entry_list *list)
{
    char *folder;
    VG_TRY(vg_path_folder(path, &folder));
    vg_status status = vg_folder_make(folder);
    free(folder);
    VG_TRY(status);
    vg_json_writer json = vg_json_writer_make(true);
    vg_json_begin_object(&json, NULL);
    vg_json_put_int(&json, "format", FORMAT);
    vg_json_begin_array(&json, "choices");
    for (size_t i = 0; i < list->count; i++) {
        const entry *e = &list->at[i];
        vg_json_begin_object(&json, NULL);
        vg_json_put_string(&json, "machine", e->machine);
        vg_json_put_string(&json, "call", e->call);
        vg_json_put_string(&json, "served_by", e->choice.library ? "library" : "own");
        vg_json_put_double(&json, "own_us", e->choice.own_us);
        vg_json_put_double(&json, "library_us", e->choice.library_us);
        vg_json_put_double(&json, "difference", e->choice.difference);
        vg_json_end(&json);
    }
    vg_json_end(&json);
    vg_json_end(&json);
    return vg_json_write(&json, path);
}

/* NULL when the environment names no place. */
static vg_status choose_path(char **out)
{
    const char *cache = getenv("VAGUS_CACHE"), *xdg = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    *out = NULL;
    if (cache && *cache) return vg_path_join(cache, "cuda-choices.json", out);
    if (xdg && *xdg) return vg_path_join(xdg, "vagus/cuda-choices.json", out);
    if (home && *home) return vg_path_join(home, ".cache/vagus/cuda-choices.json", out);
    return VG_OK;
}

vg_status vg__choices_create(const char *machine, vg__choices **out)
{
    vg__choices *choices = calloc(1, sizeof *choices);
    if (!choices) return vg_fail(VG_ERR_MEMORY, "no memory for measured choices");
    vg_status status;
    VG_TRY_OUT(vg_text_copy(machine, &choices->machine));
    VG_TRY_OUT(choose_path(&choices->path));
    if (choices->path) VG_TRY_OUT(read_or_ignore(choices->path, &choices->entries));
    *out = choices;
    return VG_OK;
out:
    vg__choices_destroy(choices);
    return status;
}

void vg__choices_destroy(vg__choices *choices)
{
    if (!choices) return;
    free_entries(&choices->entries);
    free(choices->machine);
    free(choices->path);
    free(choices);
}

const vg__choice *vg__choices_find(const vg__choices *choices, const char *call)
{
    const entry *found = find(&choices->entries, choices->machine, call);
    return found ? &found->choice : NULL;
}

/* What other processes have put into the file since it was read; ours count more. */
static vg_status merge(vg__choices *choices)
{
    entry_list there = {0};
    vg_status status = read_or_ignore(choices->path, &there);
    for (size_t i = 0; i < there.count && status == VG_OK; i++)
        if (!find(&choices->entries, there.at[i].machine, there.at[i].call))
            status = put(&choices->entries, there.at[i].machine, there.at[i].call, &there.at[i].choice);
    free_entries(&there);
    return status;
}

vg_status vg__choices_remember(vg__choices *choices, const char *call, const vg__choice *choice)
{
    VG_TRY(put(&choices->entries, choices->machine, call, choice));
    if (choices->told) return VG_OK;
    vg_status status = VG_OK;
    if (choices->path) {
        VG_TRY(merge(choices));
        status = write_file(choices->path, &choices->entries);
        if (status == VG_OK) return VG_OK;
    }
    vg_warn("measured choices last until this process ends and will be measured again: %s",
            choices->path ? vg_cause() : "VAGUS_CACHE, XDG_CACHE_HOME and HOME are not set");
    choices->told = true;
    return VG_OK;
}
