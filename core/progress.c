#include "core/progress.h"

#include <math.h>
#include <inttypes.h>
#include <pthread.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "core/log.h"
#include "core/text.h"

static const double redraw_every = 0.1; /* seconds */

/* The live line on stderr, shared by the job and by log sinks of other threads. */
static pthread_mutex_t console = PTHREAD_MUTEX_INITIALIZER;
static bool console_live;                     /* something is on the line now */
static _Thread_local bool logging_live_state; /* see vg_console_has_progress() */

static double seconds_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

void vg_console_line(const char *line)
{
    pthread_mutex_lock(&console);
    fprintf(stderr, "%s%s\n", console_live ? "\r\033[K" : "", line);
    console_live = false;
    pthread_mutex_unlock(&console);
}

bool vg_console_has_progress(void)
{
    return logging_live_state;
}

void vg_progress_begin(vg_progress *progress, const char *what, int64_t start, int64_t total)
{
    *progress = (vg_progress){.what = what, .start = start, .step = start, .total = total, .loss = NAN};
    progress->began = progress->logged = seconds_now();
    progress->log_every = VG_PROGRESS_SECONDS;
    progress->out = stderr;
    progress->live = isatty(STDERR_FILENO) == 1;
}

void vg_progress_format(const vg_progress *progress, double now, char *out, size_t size)
{
    vg_text text = {0};
    if (progress->text) {
        snprintf(out, size, "%s  %s", progress->what, progress->text);
        return;
    }
    double elapsed = now - progress->began, done = (double)(progress->step - progress->start);
    vg_text_add(&text, "%s  step %" PRId64, progress->what, progress->step);
    if (progress->total > 0) vg_text_add(&text, "/%" PRId64, progress->total);
    if (!isnan(progress->loss)) vg_text_add(&text, "  loss %.4g", progress->loss);
    if (elapsed > 0 && progress->segments > 0)
        vg_text_add(&text, "  %.*f segments/s", progress->segments / elapsed < 10 ? 1 : 0,
                    progress->segments / elapsed);
    if (progress->total > progress->step && done > 0 && elapsed > 0) {
        double left = elapsed / done * (double)(progress->total - progress->step);
        if (left < 1e9)
            vg_text_add(&text, "  ETA %d:%02d:%02d", (int)(left / 3600), (int)(left / 60) % 60,
                        (int)fmod(left, 60));
    }
    snprintf(out, size, "%s", text.data ? text.data : "");
    vg_text_free(&text);
}

static int terminal_width(FILE *out)
{
    struct winsize window;
    if (ioctl(fileno(out), TIOCGWINSZ, &window) == 0 && window.ws_col > 1) return window.ws_col;
    return 80;
}

static void draw(vg_progress *progress, double now)
{
    char line[400];
    vg_progress_format(progress, now, line, sizeof line);
    int width = terminal_width(progress->out) - 1; /* a full last column would wrap on some terminals */
    pthread_mutex_lock(&console);
    fprintf(progress->out, "\r%.*s\033[K", width, line);
    fflush(progress->out);
    console_live = true;
    pthread_mutex_unlock(&console);
    progress->shown = now;
}

static void log_line(vg_progress *progress, double now)
{
    char line[400];
    vg_progress_format(progress, now, line, sizeof line);
    logging_live_state = progress->live;
    vg_info("%s", line);
    logging_live_state = false;
    progress->logged = now;
}

void vg_progress_update(vg_progress *progress, int64_t step, double loss, double segments)
{
    double now = seconds_now();
    progress->step = step;
    progress->loss = loss;
    progress->segments = segments;
    if (!progress->updated || now - progress->logged >= progress->log_every) {
        log_line(progress, now);
        progress->unlogged = false;
    } else {
        progress->unlogged = true;
    }
    progress->updated = true;
    if (progress->live && now - progress->shown >= redraw_every) draw(progress, now);
}

void vg_progress_end(vg_progress *progress)
{
    double now = seconds_now();
    if (!progress->updated) return;
    if (progress->unlogged) log_line(progress, now);
    progress->unlogged = false;
    if (!progress->live) return;
    draw(progress, now);
    pthread_mutex_lock(&console);
    fprintf(progress->out, "\n");
    fflush(progress->out);
    console_live = false;
    pthread_mutex_unlock(&console);
}
