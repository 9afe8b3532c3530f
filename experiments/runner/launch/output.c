#define _GNU_SOURCE /* memrchr */
#include "experiments/runner/launch/output.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PREFIX = 16 }; /* "[2147483647] " */

void vg__source_open(vg__source *source, int fd, vg__sink *sink, int rank, int width)
{
    source->fd = fd;
    source->sink = sink;
    source->rank = rank;
    source->width = width;
    source->within_line = source->held = false;
    source->used = 0;
}

bool vg__source_has_room(const vg__source *source)
{
    return source->used < sizeof source->bytes;
}

bool vg__source_is_done(const vg__source *source)
{
    return source->fd < 0 && source->used == 0;
}

void vg__source_read(vg__source *source, bool last)
{
    while (source->fd >= 0 && vg__source_has_room(source)) {
        ssize_t got = read(source->fd, source->bytes + source->used, sizeof source->bytes - source->used);
        if (got > 0) {
            source->used += (size_t)got;
            vg__source_pass(source);
            continue;
        }
        if (got < 0 && errno == EINTR) continue;
        if (got < 0 && errno == EAGAIN && !last) return;
        close(source->fd);
        source->fd = -1;
    }
}

/* False: the sink has no room for it now. */
static bool put(vg__source *source, const char *piece, size_t length)
{
    vg__sink *sink = source->sink;
    if (sink->used + PREFIX + length + 1 > sizeof sink->bytes - VG__SINK_OWN) return false;
    char *end = sink->bytes + sink->used;
    end += snprintf(end, PREFIX, "[%*d]%c", source->width, source->rank, source->within_line ? '+' : ' ');
    memcpy(end, piece, length);
    end[length] = '\n';
    sink->used = (size_t)(end - sink->bytes) + length + 1;
    return true;
}

void vg__source_pass(vg__source *source)
{
    size_t done = 0;
    source->held = false;
    while (done < source->used) {
        const char *piece = source->bytes + done, *newline = memchr(piece, '\n', source->used - done);
        size_t length = newline ? (size_t)(newline - piece) : source->used - done;
        if (!newline && source->fd >= 0 && length < sizeof source->bytes) break;
        /* A newline alone after pieces ends what already ended with the last of them. */
        if (!(newline && length == 0 && source->within_line) && !put(source, piece, length)) {
            source->held = true;
            break;
        }
        source->within_line = !newline;
        done += length + (newline != NULL);
    }
    source->used -= done;
    if (done) memmove(source->bytes, source->bytes + done, source->used);
}

void vg__sinks_open(vg__sink *out, vg__sink *err)
{
    struct stat a, b;
    if (fstat(out->fd, &a) != 0 || fstat(err->fd, &b) != 0 || a.st_dev != b.st_dev || a.st_ino != b.st_ino)
        return;
    out->twin = err;
    err->twin = out;
}

/* How much to write at once: whole lines. A pipe that poll() calls writable takes PIPE_BUF bytes without
 * waiting, not more. */
static size_t next_write(const char *bytes, size_t count)
{
    if (count <= PIPE_BUF) return count; /* a sink holds whole lines */
    const char *newline = memrchr(bytes, '\n', PIPE_BUF);
    return newline ? (size_t)(newline - bytes) + 1 : PIPE_BUF;
}

void vg__sink_write(vg__sink *sink)
{
    size_t done = 0;
    while (done < sink->used && !sink->error) {
        struct pollfd ready = {.fd = sink->fd, .events = POLLOUT};
        if ((sink->twin && sink->twin->torn) || poll(&ready, 1, 0) != 1) break;
        ssize_t written =
            write(sink->fd, sink->bytes + done, next_write(sink->bytes + done, sink->used - done));
        if (written <= 0) {
            if (written < 0 && errno != EINTR && errno != EAGAIN) sink->error = errno;
            break;
        }
        done += (size_t)written;
        sink->torn = sink->bytes[done - 1] != '\n';
    }
    if (sink->error) {
        done = sink->used;
        sink->torn = false;
    }
    sink->used -= done;
    if (done) memmove(sink->bytes, sink->bytes + done, sink->used);
}

void vg__sink_say(vg__sink *sink, const char *format, ...)
{
    char text[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    /* Where a terminal has been held for so long that these fill their reserve, the newest are dropped. */
    size_t room = sizeof sink->bytes - sink->used;
    int length = snprintf(sink->bytes + sink->used, room, "launch: %s\n", text);
    if (length > 0 && (size_t)length < room) sink->used += (size_t)length;
    vg__sink_write(sink);
}
