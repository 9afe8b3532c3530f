/* The other ranks' side of the meeting: find rank 0, say who one is, and wait to be welcome. */
#include "core/group/watch_own.h"
#include "core/signals.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

/* A port that is not rank 0's may belong to somebody who swallows and says nothing; rank 0 answers at once.
 */
static const double connect_seconds = 3, answer_seconds = 3, look_seconds = 0.2;
/* Rank 0's deadline, by which it names those who are missing, may be a little later than this rank's. */
static const double grace_seconds = 2;

enum outcome { AGAIN, WELCOME, REFUSED, STOPPED };

struct search {
    vg__watch *watch;
    const vg_place *place;
    vg__hello hello;
    double seconds, deadline;
    int wire;
    char reason[VG__CAUSE_LENGTH];  /* why it did not work the last time */
    char refusal[VG__CAUSE_LENGTH]; /* what a rank 0 last answered; tells more than a port without one */
    char missing[VG__CAUSE_LENGTH]; /* what rank 0 last said of who is missing; "": it never answered */
};

/* Loopback at rank 0 means its own machine, which this rank reaches by the address that led to rank 0. */
static void set_addresses(vg__watch *watch, int wire)
{
    char address[64];
    bool known = vg__wire_peer(wire, address);
    for (int rank = 0; rank < watch->size; rank++) {
        vg__member *member = &watch->members[rank];
        member->host[sizeof member->host - 1] = member->address[sizeof member->address - 1] = 0;
        if (known && (!strncmp(member->address, "127.", 4) || !strcmp(member->address, "::1")))
            memcpy(member->address, address, sizeof address);
    }
}

/* Something to read, the end of the time, or the request to stop. */
static vg__wire_end await(const struct search *search, double until)
{
    vg__wire_end end = VG__WIRE_LATE;
    while (end == VG__WIRE_LATE && vg__wire_now() < until && !vg_stop_requested()) {
        double look = vg__wire_now() + look_seconds;
        end = vg__wire_wait(search->wire, POLLIN, look < until ? look : until, -1);
    }
    return end;
}

/* What rank 0 has to say, up to the welcome. */
static enum outcome hear_out(struct search *search, double answer_by, vg_status *status)
{
    vg__watch *watch = search->watch;
    for (;;) {
        vg__header header;
        char text[VG__CAUSE_LENGTH];
        const int64_t members = (int64_t)sizeof *watch->members * watch->size;
        vg__wire_end end = await(search, answer_by);
        if (vg_stop_requested()) return STOPPED;
        if (end == VG__WIRE_DONE) end = vg__wire_receive(search->wire, &header, sizeof header, answer_by, -1);
        if (end == VG__WIRE_LATE)
            snprintf(search->reason, sizeof search->reason,
                     "the connection was taken, but rank 0 says nothing");
        if (end != VG__WIRE_DONE && end != VG__WIRE_LATE)
            snprintf(search->reason, sizeof search->reason, "after the connection was made, %s",
                     vg__wire_word(end));
        if (end != VG__WIRE_DONE) return AGAIN;
        bool is_welcome = header.frame == VG__FRAME_WELCOME && header.count == members;
        bool is_text = (header.frame == VG__FRAME_HERE || header.frame == VG__FRAME_REFUSED) &&
                       header.count >= 0 && header.count < VG__CAUSE_LENGTH;
        if (header.magic != VG__FRAME_MAGIC || (!is_welcome && !is_text)) {
            snprintf(search->reason, sizeof search->reason, "what answers there is not vagus");
            return AGAIN;
        }
        answer_by = search->deadline + grace_seconds;
        void *to = is_welcome ? (void *)watch->members : text;
        if (vg__wire_receive(search->wire, to, header.count, answer_by, -1) != VG__WIRE_DONE) {
            snprintf(search->reason, sizeof search->reason, "rank 0 was cut off in the middle of a word");
            return AGAIN;
        }
        if (is_welcome) return WELCOME;
        text[header.count] = 0;
        if (header.frame == VG__FRAME_HERE) {
            snprintf(search->missing, sizeof search->missing, "%s", text);
            continue;
        }
        snprintf(search->refusal, sizeof search->refusal, "%s", text);
        if (!header.number) return AGAIN;
        *status = header.status < 0 ? (vg_status)header.status : VG_ERR_PEER;
        return REFUSED;
    }
}

static enum outcome try_port(struct search *search, int port, vg_status *status)
{
    double now = vg__wire_now();
    double by = now + connect_seconds < search->deadline ? now + connect_seconds : search->deadline;
    search->missing[0] = 0;
    vg__wire_end end = vg__wire_connect(search->place->master, port, by, -1, &search->wire);
    if (end != VG__WIRE_DONE) {
        snprintf(search->reason, sizeof search->reason, "%s",
                 end == VG__WIRE_FAILED && errno == EHOSTUNREACH
                     ? "the name is not known, or no way leads there"
                 : end == VG__WIRE_LATE ? "no answer"
                                        : vg__wire_word(end));
        return AGAIN;
    }
    /* the socket of a launcher takes connections before rank 0 is there to answer */
    double answer_by = vg__wire_now() + answer_seconds;
    if (search->place->ports == 1 || answer_by > search->deadline) answer_by = search->deadline;
    end = vg__wire_send(search->wire, &search->hello, sizeof search->hello, answer_by, -1);
    if (end != VG__WIRE_DONE)
        snprintf(search->reason, sizeof search->reason, "after the connection was made, %s",
                 vg__wire_word(end));
    enum outcome outcome = end == VG__WIRE_DONE ? hear_out(search, answer_by, status) : AGAIN;
    if (outcome != WELCOME) vg__wire_close(&search->wire);
    return outcome;
}

static vg_status in_vain(const struct search *search)
{
    const vg_place *place = search->place;
    char ports[40];
    if (search->missing[0])
        return vg_fail(VG_ERR_PEER, "%s did not arrive within %g s, as rank 0 (%s) said last",
                       search->missing, search->seconds, place->master);
    snprintf(ports, sizeof ports, place->ports > 1 ? "ports %d to %d" : "port %d", place->port,
             place->port + place->ports - 1);
    return vg_fail(
        VG_ERR_PEER,
        "rank %d (%s) did not reach rank 0 at %s, %s, within %g s: %s. Was rank 0 started, and may this "
        "machine connect to it?",
        place->rank, search->hello.host, place->master, ports, search->seconds,
        search->refusal[0] ? search->refusal : search->reason);
}

vg_status vg__watch_arrive(vg__watch *watch, const vg_place *place, double seconds, int port)
{
    struct search search = {.watch = watch,
                            .place = place,
                            .seconds = seconds,
                            .deadline = vg__wire_now() + seconds,
                            .wire = -1,
                            .reason = "nothing was tried"};
    vg_status status = VG_OK;
    vg__hello_fill(&search.hello, place, port);
    for (int round = 0;; round++) {
        for (int i = 0; i < place->ports; i++) {
            enum outcome outcome = try_port(&search, place->port + i, &status);
            if (outcome == REFUSED) return vg_fail(status, "%s", search.refusal);
            if (outcome == WELCOME) {
                set_addresses(watch, search.wire);
                watch->links[0].wire = search.wire;
                return VG_OK;
            }
            if (outcome == STOPPED || vg_stop_requested())
                return vg_fail(VG_ERR_PREEMPTED,
                               "rank %d (%s) was asked to stop before all ranks had arrived", place->rank,
                               search.hello.host);
            if (vg__wire_now() >= search.deadline) return in_vain(&search);
        }
        /* many ranks at the door of one: not faster than they can be refused */
        long wait = round < 5 ? 20000000 : 200000000;
        nanosleep(&(struct timespec){.tv_nsec = wait}, NULL);
    }
}
