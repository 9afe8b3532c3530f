/* A ring of sockets: each rank sends to the next and receives from the one before it. Private to core/group.
 */
#ifndef VAGUS_CORE_GROUP_RING_H
#define VAGUS_CORE_GROUP_RING_H

#include "core/group/kind.h"
#include "core/group/wire.h"

typedef struct vg__ring {
    int listener, previous, next; /* sockets; -1: none */
} vg__ring;

/* *port is where the rank before this one will connect to. */
VG_NODISCARD vg_status vg__ring_listen(vg__ring *ring, int *port);

/* Connects to the next rank and waits for the one before, once the watch knows all ports. Whoever does not
 * name the job and that rank is sent away. */
VG_NODISCARD vg_status vg__ring_open(vg__ring *ring, vg_group *group);
void vg__ring_close(vg__ring *ring);

int vg__ring_previous(const vg_group *group);
int vg__ring_next(const vg_group *group);

/* What to return when the socket that leads to `rank` has come to this end. */
VG_NODISCARD vg_status vg__ring_broken(vg_group *group, int rank, const char *doing, vg__wire_end end);

#endif
