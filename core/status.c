#include "core/status.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CAUSE_LENGTH = 2048 };

static _Thread_local char cause[CAUSE_LENGTH];
static _Thread_local char where[256];

const char *vg_status_name(vg_status status)
{
    switch (status) {
#define NAME(name, code, text)                                                                               \
    case VG_##name:                                                                                          \
        return #name;
        VG_STATUS_MAP(NAME)
#undef NAME
    }
    return "ERR_UNKNOWN";
}

const char *vg_status_text(vg_status status)
{
    switch (status) {
#define TEXT(name, code, text)                                                                               \
    case VG_##name:                                                                                          \
        return text;
        VG_STATUS_MAP(TEXT)
#undef TEXT
    }
    return "unknown status";
}

const char *vg_cause(void)
{
    return cause;
}
const char *vg_cause_where(void)
{
    return where;
}

vg_status vg__fail(vg_status status, const char *file, int line, const char *format, ...)
{
    /* Arguments may point into the old cause (a wrapped message), so the new one is built beside it. */
    char text[CAUSE_LENGTH];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    memcpy(cause, text, sizeof text);
    snprintf(where, sizeof where, "%s:%d", file, line);
    return status;
}

vg_status vg_context(vg_status status, const char *format, ...)
{
    char prefix[CAUSE_LENGTH / 2], old[CAUSE_LENGTH];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(prefix, sizeof prefix, format, arguments);
    va_end(arguments);
    memcpy(old, cause, sizeof old);
    size_t used = strlen(prefix);
    memcpy(cause, prefix, used);
    memcpy(cause + used, ": ", 2);
    used += 2;
    size_t kept = strlen(old) < CAUSE_LENGTH - 1 - used ? strlen(old) : CAUSE_LENGTH - 1 - used;
    memcpy(cause + used, old, kept);
    cause[used + kept] = 0;
    return status;
}

void vg__assert_failed(const char *claim, const char *file, int line)
{
    fprintf(stderr, "vagus: internal error: '%s' does not hold at %s:%d. Please report this.\n", claim, file,
            line);
    abort();
}
