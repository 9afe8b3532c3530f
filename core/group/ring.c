#include "core/group/ring.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/group/worker.h"

enum { GUESTS = 8, LOOK_MS = 50 };

/* The first words on a wire, in both directions. Both ends run the same program on machines of one byte
 * order; others do not get past `magic`. */
typedef struct greeting {
    uint32_t magic;
    int32_t rank, size;
    char job[64];
} greeting;

static greeting greet(const vg_group *group)
{
    greeting out = {.magic = 0x76677231, .rank = group->place.rank, .size = group->place.size};
    memcpy(out.job, group->place.job, sizeof out.job);
    return out;
}

static bool is_of(const greeting *got, const vg_group *group, int rank)
{
    greeting want = greet(group);
    want.rank = rank;
    return got->magic == want.magic && got->rank == rank && got->size == want.size &&
           !strncmp(got->job, want.job, sizeof want.job);
}

int vg__ring_previous(const vg_group *group)
{
    return (group->place.rank + group->place.size - 1) % group->place.size;
}
int vg__ring_next(const vg_group *group)
{
    return (group->place.rank + 1) % group->place.size;
}

vg_status vg__ring_listen(vg__ring *ring, int *port)
{
    *ring = (vg__ring){-1, -1, -1};
    ring->listener = vg__wire_listen(0, 1, port);
    if (ring->listener >= 0) return VG_OK;
    return vg_fail(VG_ERR_PEER, "cannot listen at any port for the rank before this one: %s",
                   strerror(errno));
}

vg_status vg__ring_broken(vg_group *group, int rank, const char *doing, vg__wire_end end)
{
    char word[128];
    snprintf(word, sizeof word, "%s", vg__wire_word(end)); /* while errno lasts */
    VG_TRY(vg__worker_look(group));
    if (end == VG__WIRE_LATE) return vg__watch_late(group->watch, doing);
    return vg__watch_blame(group->watch, rank, doing, word);
}

typedef struct guest {
    int wire;
    int64_t got;
    greeting words;
} guest;

/* True when it has said who it is and is the one that was waited for; its wire is closed when it is not. */
static bool hear(guest *g, const vg_group *group)
{
    int64_t moved = 0;
    char *at = (char *)&g->words + g->got;
    const vg__wire_end end = vg__wire_receive_some(g->wire, at, (int64_t)sizeof g->words - g->got, &moved);
    g->got += moved;
    if (g->got == (int64_t)sizeof g->words && is_of(&g->words, group, vg__ring_previous(group))) return true;
    if (end != VG__WIRE_DONE || g->got == (int64_t)sizeof g->words) vg__wire_close(&g->wire);
    return false;
}

static const char doing[] = "the making of the ring";

/* Several may knock at once, and one that says nothing must not keep the others waiting. */
static vg_status wait_for_previous(vg__ring *ring, vg_group *group, double deadline)
{
    guest guests[GUESTS];
    int oldest = 0;
    vg_status status = VG_OK;
    for (int i = 0; i < GUESTS; i++) guests[i].wire = -1;
    while (ring->previous < 0) {
        struct pollfd polled[GUESTS + 2];
        for (int i = 0; i < GUESTS; i++) polled[i] = (struct pollfd){.fd = guests[i].wire, .events = POLLIN};
        polled[GUESTS] = (struct pollfd){.fd = ring->listener, .events = POLLIN};
        polled[GUESTS + 1] = (struct pollfd){.fd = vg__watch_alarm(group->watch), .events = POLLIN};
        poll(polled, GUESTS + 2, LOOK_MS);
        VG_TRY_OUT(vg__worker_look(group));
        for (int i = 0; i < GUESTS && ring->previous < 0; i++)
            if (guests[i].wire >= 0 && hear(&guests[i], group)) {
                ring->previous = guests[i].wire;
                guests[i].wire = -1;
            }
        const int wire = vg__wire_accept(ring->listener);
        if (wire >= 0) {
            vg__wire_close(&guests[oldest].wire);
            guests[oldest] = (guest){.wire = wire};
            oldest = (oldest + 1) % GUESTS;
        }
        if (ring->previous < 0 && vg__wire_now() > deadline) VG_TRY_OUT(vg__watch_late(group->watch, doing));
    }
out:
    for (int i = 0; i < GUESTS; i++) vg__wire_close(&guests[i].wire);
    return status;
}

vg_status vg__ring_open(vg__ring *ring, vg_group *group)
{
    const int next = vg__ring_next(group), previous = vg__ring_previous(group);
    const int alarm = vg__watch_alarm(group->watch);
    const double deadline = vg__wire_now() + group->options.start_timeout;
    const vg__member *member = vg__watch_member(group->watch, next);
    const greeting words = greet(group);
    greeting answer;

    vg__wire_end end = vg__wire_connect(member->address, member->port, deadline, alarm, &ring->next);
    if (end == VG__WIRE_FAILED) {
        char how[256];
        snprintf(how, sizeof how,
                 "it cannot be reached at %s port %d (%s). Ranks must be able to connect to each other at "
                 "any port",
                 member->address, member->port, vg__wire_word(end));
        VG_TRY(vg__worker_look(group));
        return vg__watch_blame(group->watch, next, doing, how);
    }
    if (end == VG__WIRE_DONE) end = vg__wire_send(ring->next, &words, sizeof words, deadline, alarm);
    if (end != VG__WIRE_DONE) return vg__ring_broken(group, next, doing, end);
    VG_TRY(wait_for_previous(ring, group, deadline));
    end = vg__wire_send(ring->previous, &words, sizeof words, deadline, alarm);
    if (end != VG__WIRE_DONE) return vg__ring_broken(group, previous, doing, end);
    end = vg__wire_receive(ring->next, &answer, sizeof answer, deadline, alarm);
    if (end != VG__WIRE_DONE) return vg__ring_broken(group, next, doing, end);
    if (!is_of(&answer, group, next))
        return vg_fail(VG_ERR_PEER, "who answers at %s port %d is not rank %d of this run", member->address,
                       member->port, next);
    vg__wire_close(&ring->listener);
    return VG_OK;
}

void vg__ring_close(vg__ring *ring)
{
    vg__wire_close(&ring->listener);
    vg__wire_close(&ring->previous);
    vg__wire_close(&ring->next);
}
