/* What ranks write, brought out line by line with "[RANK] " in front, so that lines of different ranks never
 * mix. Nothing here waits: a source is read when there is something and its sink has room, a sink is written
 * when its descriptor takes more; a reader that is slow slows the ranks and loses nothing. */
#ifndef VAGUS_EXPERIMENTS_RUNNER_LAUNCH_OUTPUT_H
#define VAGUS_EXPERIMENTS_RUNNER_LAUNCH_OUTPUT_H

#include <stdbool.h>
#include <stddef.h>

#include "core/status.h"

enum { VG__LONGEST_PIECE = 16384, VG__SINK_BYTES = 1 << 17, VG__SINK_OWN = 4096 };

/* Where lines go. The launcher's own words have the last VG__SINK_OWN bytes for themselves. */
typedef struct vg__sink {
    int fd;
    int error;             /* errno of the write that failed; from then on bytes are dropped */
    bool torn;             /* what was written last is not the end of a line */
    struct vg__sink *twin; /* the sink whose descriptor leads to the same place, so that neither writes into
                              the other's line; NULL: none */
    size_t used;
    char bytes[VG__SINK_BYTES];
} vg__sink;

/* A pipe from a rank. */
typedef struct vg__source {
    int fd; /* -1 after its end */
    vg__sink *sink;
    int rank, width;  /* digits of the largest rank */
    bool within_line; /* the piece before was no whole line */
    bool held;        /* a line waits for room in the sink */
    size_t used;
    char bytes[VG__LONGEST_PIECE];
} vg__source;

void vg__source_open(vg__source *source, int fd, vg__sink *sink, int rank, int width);

/* Reads what is there. With `last` nobody will write any more: it is closed once it is empty. */
void vg__source_read(vg__source *source, bool last);

/* Hands whole lines to the sink, as many as it has room for; also a line's piece when the line is longer than
 * VG__LONGEST_PIECE (a piece that goes on bears "[RANK]+"), and the last line without its newline. */
void vg__source_pass(vg__source *source);
bool vg__source_has_room(const vg__source *source);
bool vg__source_is_done(const vg__source *source); /* closed, and all of it handed over */

/* `out` and `err` begin, each with its descriptor. */
void vg__sinks_open(vg__sink *out, vg__sink *err);

void vg__sink_write(vg__sink *sink); /* as much as goes without waiting */

/* "launch: ...", a line of the launcher's own. */
void vg__sink_say(vg__sink *sink, const char *format, ...) VG_PRINTF(2, 3);

#endif
