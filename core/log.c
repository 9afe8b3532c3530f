#include "core/log.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>

static void write_to_stderr(vg_log_level level, const char *line, void *context)
{
    (void)context;
    if (level >= VG_LOG_WARN)
        fprintf(stderr, "vagus: %s: %s\n", level == VG_LOG_WARN ? "warning" : "error", line);
}

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static vg_log_sink current_sink = write_to_stderr;
static void *current_context;
static vg_log_level threshold = VG_LOG_INFO;

void vg_log_set_sink(vg_log_sink sink, void *context)
{
    pthread_mutex_lock(&lock);
    current_sink = sink ? sink : write_to_stderr;
    current_context = context;
    pthread_mutex_unlock(&lock);
}

void vg_log_set_level(vg_log_level level)
{
    pthread_mutex_lock(&lock);
    threshold = level;
    pthread_mutex_unlock(&lock);
}

void vg_log(vg_log_level level, const char *format, ...)
{
    char line[2048];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    pthread_mutex_lock(&lock);
    if (level >= threshold) current_sink(level, line, current_context);
    pthread_mutex_unlock(&lock);
}
