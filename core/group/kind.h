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
} vg__collective;

typedef struct vg__kind {
    const char *name;

    /* Makes group->carrier. For a kind that does without a place's master (`mpi`) `meet` comes before the
     * watch: it makes what is needed to give rank 0's place (master, port) to the others. Optional. */
    vg_status (*meet)(vg_group *group);
    vg_status (*open)(vg_group *group); /* the watch is there */
    void (*close)(vg_group *group);     /* also of a group that was opened half, or has failed: then without a
                                           word to     others, and without waiting */

    /* Kinds of the host's memory: runs one collective to its end, called on the group's one worker thread (as
     * are meet, open and close). It looks at vg__watch_broken() (or its alarm) at least every few
     * milliseconds while it waits, and returns vg__watch_fail() then; after options.timeout without an end
     * vg__watch_late(). */
    vg_status (*run)(vg_group *group, const vg__collective *collective);

    /* Kinds of a device: queue one on `stream`, never waiting; and look for errors that have come up since,
     * stopping what is queued when `stop` (so that the device comes to an end without the lost rank). */
    vg_status (*queue)(vg_group *group, const vg__collective *collective, void *stream);
    vg_status (*look)(vg_group *group, bool stop);
} vg__kind;

struct vg_group {
    vg_place place;
    vg_group_options options; /* transport points to the kind's name */
    const vg__kind *kind;
    vg__watch *watch;          /* NULL alone */
    void *carrier;             /* the kind's own */
    struct vg__worker *worker; /* of a kind of the host's memory */
    int64_t step, collective;  /* where this rank is */
    bool side;                 /* work is on the device's side since the last join */
};

/* "all-reduce of gradients" into `out`. */
void vg__collective_name(const vg__collective *collective, char out[96]);

extern const vg__kind vg__kind_tcp, vg__kind_mpi, vg__kind_nccl;

#endif
