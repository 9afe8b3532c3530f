/* The watch: how the ranks of a run meet, speak small words, and learn that one of them is gone. Each has one
 * TCP connection to rank 0 and a thread that keeps it. Rank 0 knows who is there, who beats, and where each
 * one is, and tells the others. Private to core/group. */
#ifndef VAGUS_CORE_GROUP_WATCH_H
#define VAGUS_CORE_GROUP_WATCH_H

#include <stdbool.h>
#include <stdint.h>

#include "core/group/place.h"

typedef struct vg__watch vg__watch;

/* What every rank knows of each after the meeting. */
typedef struct vg__member {
    char host[64];    /* its machine's name */
    char address[64]; /* numeric, as the others can reach it */
    int port;         /* the one it gave to vg__watch_open(); 0: none */
} vg__member;

/* For a place without a master: rank 0 begins to listen, and place->master, port and listener are set. */
VG_NODISCARD vg_status vg__watch_listen(vg_place *place);

/* Rank 0 listens at place->port, or at the first free one of place->ports (or on place->listener), and
 * answers nobody who does not name the job and the number of ranks; the others try these ports in turn until
 * they are answered. ERR_PEER after `start_timeout` seconds, naming the ranks that are missing (at rank 0,
 * which tells those that did arrive), or where nobody answered; ERR_PREEMPTED when
 * vg_stop_requested() meanwhile. From then on a thread sends and expects
 * beats. `port`: of a socket of this rank's own that others may connect to. */
VG_NODISCARD vg_status vg__watch_open(const vg_place *place, double start_timeout, double timeout, int port,
                                      vg__watch **out);

/* Tells the others how this rank ended (see vg_group_close()), waits a moment for that to be on its way. */
void vg__watch_close(vg__watch *watch, vg_status status);

const vg__member *vg__watch_member(const vg__watch *watch, int rank);

/* Where this rank is, carried by its beats. Cheap: no message is sent. */
void vg__watch_at(vg__watch *watch, int64_t step, int64_t collective);

/* VG_OK, or what went wrong with some rank (never this one's own doing); cheap, callable from any thread.
 * With an error, vg__watch_fail() records its cause for the calling thread and returns it. */
bool vg__watch_broken(const vg__watch *watch);
VG_NODISCARD vg_status vg__watch_fail(vg__watch *watch);

/* A file descriptor that becomes readable when the watch breaks, for poll() beside sockets; never read from
 * it. */
int vg__watch_alarm(const vg__watch *watch);

/* To be called when something has taken `timeout`: breaks the watch everywhere with ERR_PEER, naming who is
 * behind or silent as far as is known; `doing` is what this rank waited for ("all-reduce of gradients").
 * Returns it. */
VG_NODISCARD vg_status vg__watch_late(vg__watch *watch, const char *doing);

/* To be called when the data's own way to `rank` (-1: which one is not known) has failed; `how` is a clause
 * ("its connection was closed"). The watch may know better, or in a moment: a process that ends closes all
 * its connections at once. Breaks the watch everywhere with ERR_PEER if not. Returns what it is broken with.
 */
VG_NODISCARD vg_status vg__watch_blame(vg__watch *watch, int rank, const char *doing, const char *how);

/* Rank 0's bytes reach all: as many as every rank says, or as many as there are (then *bytes becomes
 * allocated at the others). Both, and gather, wait at most `timeout` and are called by one thread at a time.
 */
VG_NODISCARD vg_status vg__watch_broadcast(vg__watch *watch, const char *what, void *bytes, int64_t count);
VG_NODISCARD vg_status vg__watch_broadcast_any(vg__watch *watch, const char *what, void **bytes,
                                               int64_t *count);

/* Every rank's bytes at rank 0: `all` becomes (size) allocated blocks with their counts there; NULL
 * elsewhere. Free with vg__watch_free_blocks(). */
typedef struct vg__block {
    void *bytes;
    int64_t count;
} vg__block;
VG_NODISCARD vg_status vg__watch_gather(vg__watch *watch, const char *what, const void *bytes, int64_t count,
                                        vg__block **all);
void vg__watch_free_blocks(vg__block *blocks, int count);

#endif
