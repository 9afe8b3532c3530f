#include "datasets/import/formats/mapping.h"

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char *value_of(const vg__map_key *keys, int count, const char *name, size_t length)
{
    for (int i = 0; i < count; i++)
        if (strlen(keys[i].name) == length && strncmp(keys[i].name, name, length) == 0) return keys[i].value;
    return NULL;
}

static vg_status unknown(const char *format, const vg__map_key *keys, int count, const char *what,
                         size_t length)
{
    char known[512] = "";
    for (int i = 0; i < count; i++) {
        size_t used = strlen(known);
        snprintf(known + used, sizeof known - used, "%s%s=",
                 i == 0           ? ""
                 : i == count - 1 ? " and "
                                  : ", ",
                 keys[i].name);
    }
    return vg_fail(VG_ERR_CONFIG, "the option map has \"%.*s\"; known for %s are %s", (int)length, what,
                   format, known);
}

vg_status vg__map_read(const char *format, const char *text, const vg__map_key *keys, int count)
{
    for (int i = 0; i < count; i++) keys[i].value[0] = 0;
    for (const char *p = text; *p;) {
        size_t length = strcspn(p, ","), key = strcspn(p, "=");
        char *value = key < length ? value_of(keys, count, p, key) : NULL;
        if (!value) return unknown(format, keys, count, p, length);
        size_t size = length - key - 1;
        if (size == 0 || size >= VG__MAP_VALUE)
            return vg_fail(VG_ERR_CONFIG, "the option map has no usable value in \"%.*s\"", (int)length, p);
        memcpy(value, p + key + 1, size);
        value[size] = 0;
        p += length + (p[length] == ',');
    }
    return VG_OK;
}

vg_status vg__map_split(const char *key, const char *value, vg__map_words *words)
{
    words->count = 0;
    for (const char *p = value; *p;) {
        size_t length = strcspn(p, "|");
        if (length == 0 || length >= VG__MAP_VALUE || words->count == VG__MAP_WORDS)
            return vg_fail(VG_ERR_CONFIG, "the option map: %s=%s is not a list of at most %d names", key,
                           value, VG__MAP_WORDS);
        snprintf(words->word[words->count++], VG__MAP_VALUE, "%.*s", (int)length, p);
        p += length + (p[length] == '|');
    }
    return VG_OK;
}

vg_status vg__map_axes(const char *array, const char *value, int rank, int axis[VG__AXES])
{
    static const char *const names[VG__AXES] = {"samples", "leads", "recordings"};
    bool used[VG__AXES] = {false};
    int count = 0;
    for (const char *p = value; *p; count++) {
        const size_t length = strcspn(p, "|");
        int which = 0;
        while (which < VG__AXES && (strlen(names[which]) != length || strncmp(p, names[which], length) != 0))
            which++;
        if (which == VG__AXES || used[which])
            return vg_fail(VG_ERR_CONFIG,
                           "the option map: axes=%s: each axis is one of samples, leads, recordings", value);
        used[which] = true;
        axis[count] = which;
        p += length + (p[length] == '|');
    }
    if (!used[VG__AXIS_SAMPLES])
        return vg_fail(VG_ERR_CONFIG, "the option map: axes=%s: one of the axes must be samples", value);
    if (count != rank)
        return vg_fail(VG_ERR_FORMAT, "%s: has %d axes, but the option map names %d (axes=%s)", array, rank,
                       count, value);
    return VG_OK;
}

void vg__missing_add(vg__missing *missing, const char *what, const char *how)
{
    const size_t whats = strlen(missing->what), hows = strlen(missing->how);
    snprintf(missing->what + whats, sizeof missing->what - whats, "%s%s", missing->count ? "; nor " : "",
             what);
    snprintf(missing->how + hows, sizeof missing->how - hows, "%s%s", missing->count ? "," : "", how);
    missing->count++;
}

vg_status vg__missing_check(const vg__missing *missing, const char *path)
{
    if (missing->count == 0) return VG_OK;
    return vg_fail(VG_ERR_FORMAT, "%s: nothing tells %s; say it in the option map, as --map '%s'", path,
                   missing->what, missing->how);
}

vg_status vg__map_positive(const char *key, const char *value, double fallback, double *number)
{
    char *end;
    *number = fallback;
    if (!*value) return VG_OK;
    *number = strtod(value, &end);
    if (end == value || *end || !isfinite(*number) || !(*number > 0))
        return vg_fail(VG_ERR_CONFIG, "the option map: %s=%s is not a number above 0", key, value);
    return VG_OK;
}
