/* What a kind of group is to group.c: a table. A new one is a file and a line of the list there. Private to
 * core/group. */
#ifndef VAGUS_CORE_GROUP_KIND_H
#define VAGUS_CORE_GROUP_KIND_H

#include "core/group/group.h"
#include "core/group/watch.h"

typedef enum vg__collective_kind {
    VG__ALL_REDUCE,
    VG__REDUCE_SCATTER,
    VG__ALL_GATHER,
    VG__BROADCAST,
} vg__collective_kind;

typedef struct vg__collective {
    vg__collective_kind kind;
    const char *what;
    void *array;
    int64_t count; /* as in group.h: of one piece where there are pieces; never 0 */
    vg_dtype type;
    int64_t step, number; /* where in the run; collectives are counted from 1 in every step */
} vg__collective;

typedef struct vg__kind {
    const char *name;

    /* Whether it can be used by this program on this machine: `text` names the library that was opened and
     * its version, an error says what is missing. For `auto` and for `vagus doctor`; it may leave the library
     * open. NULL: always. */
    vg_status (*find)(char *text, size_t size);

    /* Before the watch: makes group->port when others are to connect to this rank (they learn it from the
     * watch), and for a kind that does without a place's master (`mpi`) it makes what is needed to give rank
     * 0's place (master, port) to the others. Optional. */
    vg_status (*meet)(vg_group *group);
    vg_status (*open)(vg_group *group); /* the watch is there; makes group->carrier */

    /* Also of a group that was opened half (without a watch, perhaps). Unless group->good the run has failed:
     * then without a word to others, and without waiting. */
    void (*close)(vg_group *group);

    /* Kinds of the host's memory: runs one collective to its end, called on the group's one worker thread (as
     * are meet, open and close). While it waits it calls vg__worker_look() (worker.h) or looks at the watch's
     * alarm at least every few milliseconds, and returns that error then; after options.timeout in which
     * nothing moved vg__watch_late(). */
    vg_status (*run)(vg_group *group, const vg__collective *collective);

    /* For compare.h, optional: `calls` times the library's own blocking all-reduce of F32, in place, and
     * nothing of ours between them. On the worker thread too. */
    vg_status (*raw)(vg_group *group, float *array, int64_t count, int64_t calls);

    /* Kinds of a device: queue one on `stream`, never waiting; and look for errors that have come up since,
     * stopping what is queued when `stop` (so that the device comes to an end without the lost rank). */
    vg_status (*queue)(vg_group *group, const vg__collective *collective, void *stream);
    vg_status (*look)(vg_group *group, bool stop);
} vg__kind;

struct vg_group {
    vg_place place;
    vg_group_options options; /* transport points to the kind's name */
    const vg__kind *kind;     /* NULL alone */
    const vg__kind *herald; /* only its meet() and close() are called: it tells the place of rank 0 where the
                               starter does not and `kind` cannot; mostly NULL */
    vg__watch *watch;       /* NULL alone */
    void *carrier;          /* the kind's own */
    int port;               /* that others may connect to; 0: none */
    struct vg__worker *worker; /* of a kind of the host's memory */
    struct {
        float *array;
        int64_t count, calls;
    } raw;                    /* what the worker is to hand to kind->raw() */
    int64_t step, collective; /* where this rank is, as its next collective is told */
    bool side;                /* work is on the device's side since the last join */
    bool good;                /* at close(): nothing has failed */
    vg_status failed;         /* what the group has failed with, and its cause */
    char cause[2048];
};

/* keep: a failure of the group itself, which every later call tells; returns `status`. check: whether there
 * has been one, here or elsewhere. */
vg_status vg__group_keep(vg_group *group, vg_status status);
VG_NODISCARD vg_status vg__group_check(vg_group *group);

/* Closes the kind and the herald, on the thread that opened them. */
void vg__group_end_carrier(vg_group *group);

/* "all-reduce of gradients" into `out`, and "all-reduce of gradients (step 12, collective 3)". */
void vg__collective_name(const vg__collective *collective, char out[96]);
void vg__collective_place(const vg__collective *collective, char out[160]);

extern const vg__kind vg__kind_tcp, vg__kind_mpi, vg__kind_nccl;

#endif
