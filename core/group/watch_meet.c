/* Rank 0's side of the meeting: who comes, who is turned away with which sentence, who is missing. Anybody
 * may connect to an open port: a scanner, a browser, a rank of another job, or somebody who says nothing.
 * None of them is waited for. */
#include "core/group/watch_own.h"
#include "core/signals.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#ifndef VAGUS_VERSION
#error "the build passes VAGUS_VERSION"
#endif

enum { STRANGERS = 64 /* at a time; the oldest gives way */ };

static const double hello_seconds = 5, patience_seconds = 1, look_seconds = 0.2, welcome_seconds = 10;

/* A connection whose hello is not there yet, or was refused and has to be emptied before it is closed (an end
 * with bytes unread would destroy the sentence on its way). */
struct guest {
    int wire;
    bool refused;
    double until;
    int64_t got;
    vg__hello hello;
};

struct meeting {
    vg__watch *watch;
    const vg_place *place;
    double seconds, deadline;
    int listener, port, arrived;
    struct guest guests[STRANGERS];
    bool *here;
    char refusal[512]; /* the latest, for whoever waits in vain */
    struct pollfd *polled;
};

void vg__hello_fill(vg__hello *hello, const vg_place *place, int port)
{
    *hello = (vg__hello){.protocol = VG__PROTOCOL, .rank = place->rank, .size = place->size, .port = port};
    memcpy(hello->magic, "VAGUSRUN", sizeof hello->magic);
    snprintf(hello->version, sizeof hello->version, "%s", VAGUS_VERSION);
    snprintf(hello->job, sizeof hello->job, "%s", place->job);
    if (gethostname(hello->host, sizeof hello->host - 1)) snprintf(hello->host, sizeof hello->host, "?");
    for (char *at = hello->host; *at; at++)
        if (*at < ' ' || *at > '~') *at = '_';
}

/* A short frame to somebody who has read all before: either it goes at once or the connection is of no use.
 */
static bool tell(int wire, vg__frame frame, vg_status status, bool final, const char *text)
{
    unsigned char bytes[sizeof(vg__header) + VG__CAUSE_LENGTH];
    vg__header header = {.magic = VG__FRAME_MAGIC,
                         .frame = (uint16_t)frame,
                         .status = (int16_t)status,
                         .number = final,
                         .count = (int64_t)strlen(text)};
    if (header.count >= VG__CAUSE_LENGTH) header.count = VG__CAUSE_LENGTH - 1;
    memcpy(bytes, &header, sizeof header);
    memcpy(bytes + sizeof header, text, (size_t)header.count);
    int64_t size = (int64_t)sizeof header + header.count, moved;
    return vg__wire_send_some(wire, bytes, size, &moved) == VG__WIRE_DONE && moved == size;
}

static void refuse(struct meeting *meeting, struct guest *guest, bool final, const char *format, ...)
    VG_PRINTF(4, 5);
static void refuse(struct meeting *meeting, struct guest *guest, bool final, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(meeting->refusal, sizeof meeting->refusal, format, arguments);
    va_end(arguments);
    tell(guest->wire, VG__FRAME_REFUSED, VG_ERR_CONFIG, final, meeting->refusal);
    shutdown(guest->wire, SHUT_WR);
    guest->refused = true;
    guest->until = vg__wire_now() + hello_seconds;
}

static void note_patience(const struct meeting *meeting, char *out, size_t room)
{
    char missing[400];
    vg__ranks_text(meeting->here, false, meeting->watch->size, missing, sizeof missing);
    snprintf(out, room, "%s of %d", missing, meeting->watch->size);
}

/* An arrived rank says nothing before it is welcome, so that anything to read is its end. */
static void look_after(struct meeting *meeting, int rank)
{
    char byte;
    vg__link *link = &meeting->watch->links[rank];
    if (recv(link->wire, &byte, 1, MSG_PEEK) < 0 && (errno == EAGAIN || errno == EINTR)) return;
    vg__wire_close(&link->wire);
    snprintf(meeting->refusal, sizeof meeting->refusal, "rank %d (%s) had come, and has gone again", rank,
             meeting->watch->members[rank].host);
    meeting->here[rank] = false;
    meeting->arrived--;
}

static void take_in(struct meeting *meeting, struct guest *guest)
{
    vg__watch *watch = meeting->watch;
    const vg__hello *hello = &guest->hello;
    vg__member *member = &watch->members[hello->rank];
    vg__link *link = &watch->links[hello->rank];
    char text[VG__CAUSE_LENGTH];
    snprintf(member->host, sizeof member->host, "%s", hello->host);
    member->port = hello->port;
    vg__wire_peer(guest->wire, member->address);
    link->wire = guest->wire;
    guest->wire = -1;
    meeting->here[hello->rank] = true;
    meeting->arrived++;
    note_patience(meeting, text, sizeof text);
    if (!tell(link->wire, VG__FRAME_HERE, VG_OK, false, text)) look_after(meeting, hello->rank);
}

static void judge_hello(struct meeting *meeting, struct guest *guest)
{
    vg__hello *hello = &guest->hello;
    const vg__watch *watch = meeting->watch;
    const char *own_host = watch->members[0].host;
    hello->version[sizeof hello->version - 1] = hello->job[sizeof hello->job - 1] = 0;
    hello->host[sizeof hello->host - 1] = 0;
    if (strcmp(hello->job, meeting->place->job) != 0) {
        refuse(meeting, guest, false, "rank %d (%s) belongs to the job \"%s\", rank 0 here (%s) to \"%s\"",
               hello->rank, hello->host, hello->job, own_host, meeting->place->job);
    } else if (strcmp(hello->version, VAGUS_VERSION) != 0) {
        refuse(meeting, guest, true,
               "rank %d (%s) runs vagus %s, rank 0 (%s) vagus %s; all ranks need the same", hello->rank,
               hello->host, hello->version, own_host, VAGUS_VERSION);
    } else if (hello->size != watch->size) {
        refuse(meeting, guest, true, "rank %d (%s) was started as one of %d, rank 0 (%s) as one of %d",
               hello->rank, hello->host, hello->size, own_host, watch->size);
    } else if (hello->rank < 1 || hello->rank >= watch->size) {
        refuse(meeting, guest, true, "a process at %s says that it is rank %d of %d; rank 0 is at %s",
               hello->host, hello->rank, hello->size, own_host);
    } else {
        if (meeting->here[hello->rank])
            look_after(meeting, hello->rank); /* it may have come before, and gone */
        if (meeting->here[hello->rank])
            refuse(meeting, guest, true, "rank %d is there twice, at %s and at %s; the first is kept",
                   hello->rank, watch->members[hello->rank].host, hello->host);
        else
            take_in(meeting, guest);
    }
}

static void listen_to(struct meeting *meeting, struct guest *guest)
{
    const int64_t opening = offsetof(vg__hello, rank);
    int64_t moved, wanted = (int64_t)sizeof guest->hello - guest->got;
    char scrap[512];
    vg__wire_end end = guest->refused ? vg__wire_receive_some(guest->wire, scrap, sizeof scrap, &moved)
                                      : vg__wire_receive_some(guest->wire, (char *)&guest->hello + guest->got,
                                                              wanted, &moved);
    if (end != VG__WIRE_DONE) vg__wire_close(&guest->wire);
    if (end != VG__WIRE_DONE || guest->refused) return;
    guest->got += moved;
    int64_t letters = guest->got < 8 ? guest->got : 8;
    if (memcmp(guest->hello.magic, "VAGUSRUN", (size_t)letters) != 0)
        vg__wire_close(&guest->wire); /* a stranger; no answer of ours would make sense to it */
    else if (guest->got >= opening && guest->hello.protocol != VG__PROTOCOL)
        refuse(meeting, guest, false,
               "a process of another version of vagus came (its protocol is number %u, that of rank 0 at %s "
               "number "
               "%d); all ranks need the same program",
               guest->hello.protocol, meeting->watch->members[0].host, VG__PROTOCOL);
    else if (guest->got == (int64_t)sizeof guest->hello)
        judge_hello(meeting, guest);
}

/* False when no more can be accepted for want of descriptors. */
static bool let_in(struct meeting *meeting)
{
    for (int wire; (wire = vg__wire_accept(meeting->listener)) >= 0;) {
        struct guest *place = &meeting->guests[0];
        for (int i = 0; i < STRANGERS && place->wire >= 0; i++)
            if (meeting->guests[i].wire < 0 || meeting->guests[i].until < place->until)
                place = &meeting->guests[i];
        vg__wire_close(&place->wire);
        *place = (struct guest){.wire = wire, .until = vg__wire_now() + hello_seconds};
    }
    return errno != EMFILE && errno != ENFILE;
}

/* One round: waits, lets in, listens. */
static vg_status go_on(struct meeting *meeting, double until)
{
    vg__watch *watch = meeting->watch;
    struct pollfd *polled = meeting->polled;
    polled[0] = (struct pollfd){.fd = meeting->listener, .events = POLLIN};
    for (int i = 0; i < STRANGERS; i++)
        polled[1 + i] = (struct pollfd){.fd = meeting->guests[i].wire, .events = POLLIN};
    for (int rank = 1; rank < watch->size; rank++)
        polled[STRANGERS + rank] = (struct pollfd){.fd = watch->links[rank].wire, .events = POLLIN};
    double left = until - vg__wire_now();
    if (poll(polled, (nfds_t)(STRANGERS + watch->size), left > 0 ? (int)(1e3 * left) + 1 : 0) < 0 &&
        errno != EINTR)
        return vg_fail(VG_ERR_IO, "rank 0 cannot wait for the others: %s", strerror(errno));
    for (int rank = 1; rank < watch->size; rank++)
        if (watch->links[rank].wire >= 0 && polled[STRANGERS + rank].revents) look_after(meeting, rank);
    for (int i = 0; i < STRANGERS; i++) {
        struct guest *guest = &meeting->guests[i];
        if (guest->wire >= 0 && polled[1 + i].revents) listen_to(meeting, guest);
        if (guest->wire >= 0 && vg__wire_now() > guest->until) vg__wire_close(&guest->wire);
    }
    if (polled[0].revents && !let_in(meeting))
        return vg_fail(VG_ERR_IO,
                       "rank 0 has no file descriptors left for %d ranks; raise their limit (ulimit -n)",
                       watch->size);
    return VG_OK;
}

/* The meeting has failed: those who came hear why. */
static vg_status send_home(struct meeting *meeting, vg_status status, const char *text)
{
    for (int rank = 1; rank < meeting->watch->size; rank++)
        if (meeting->here[rank])
            tell(meeting->watch->links[rank].wire, VG__FRAME_REFUSED, status, true, text);
    return vg_fail(status, "%s", text);
}

static vg_status nobody_left_out(struct meeting *meeting)
{
    vg__watch *watch = meeting->watch;
    char missing[400], here[500], last[600] = "", text[VG__CAUSE_LENGTH];
    if (meeting->arrived == watch->size) return VG_OK;
    vg__ranks_text(meeting->here, false, watch->size, missing, sizeof missing);
    if (vg_stop_requested()) {
        snprintf(text, sizeof text, "rank 0 (%s) was asked to stop while it waited for %s of %d",
                 watch->members[0].host, missing, watch->size);
        return send_home(meeting, VG_ERR_PREEMPTED, text);
    }
    vg__members_text(watch, meeting->here, here, sizeof here);
    if (meeting->refusal[0])
        snprintf(last, sizeof last, "; the latest to be turned away: %s", meeting->refusal);
    snprintf(text, sizeof text, "%s of %d did not arrive within %g s; here are: %s%s", missing, watch->size,
             meeting->seconds, here, last);
    return send_home(meeting, VG_ERR_PEER, text);
}

static vg_status welcome_all(struct meeting *meeting)
{
    vg__watch *watch = meeting->watch;
    double deadline = vg__wire_now() + welcome_seconds;
    vg__parcel *parcel = vg__parcel_make(VG__FRAME_WELCOME, VG_OK, watch->size, "", watch->members,
                                         (int64_t)sizeof *watch->members * watch->size);
    if (!parcel) return vg_fail(VG_ERR_MEMORY, "no memory for the names of %d ranks", watch->size);
    for (int rank = 1; rank < watch->size; rank++)
        /* one that has died since, or takes nothing: the thread is to see the end and tell the others who it
         * was */
        if (vg__wire_send(watch->links[rank].wire, parcel->bytes, parcel->size, deadline, -1) !=
            VG__WIRE_DONE)
            shutdown(watch->links[rank].wire, SHUT_RDWR);
    vg__parcel_leave(parcel);
    return VG_OK;
}

static vg_status begin_to_listen(struct meeting *meeting)
{
    const vg_place *place = meeting->place;
    if (place->listener >= 0) {
        int listens = 0;
        socklen_t size = sizeof listens;
        meeting->listener = place->listener;
        if (getsockopt(place->listener, SOL_SOCKET, SO_ACCEPTCONN, &listens, &size) || !listens)
            return vg_fail(VG_ERR_CONFIG, "descriptor %d (VAGUS_LISTENER) is no socket that listens",
                           place->listener);
        fcntl(place->listener, F_SETFD, FD_CLOEXEC);
        fcntl(place->listener, F_SETFL, fcntl(place->listener, F_GETFL) | O_NONBLOCK);
        return VG_OK;
    }
    meeting->listener = vg__wire_listen(place->port, place->ports, &meeting->port);
    if (meeting->listener >= 0) return VG_OK;
    if (place->ports > 1)
        return vg_fail(VG_ERR_PEER,
                       "rank 0 can listen at none of the ports %d to %d: %s; set MASTER_PORT to a free one",
                       place->port, place->port + place->ports - 1, strerror(errno));
    return vg_fail(VG_ERR_PEER, "rank 0 cannot listen at port %d: %s; set MASTER_PORT to a free one",
                   place->port, strerror(errno));
}

vg_status vg__watch_meet(vg__watch *watch, const vg_place *place, double seconds)
{
    vg_status status = VG_OK;
    vg__hello own;
    struct meeting *meeting = calloc(1, sizeof *meeting);
    if (!meeting) return vg_fail(VG_ERR_MEMORY, "no memory to meet %d ranks", watch->size);
    double now = vg__wire_now(), next = now + patience_seconds;
    meeting->watch = watch;
    meeting->place = place;
    meeting->seconds = seconds;
    meeting->deadline = now + seconds;
    meeting->listener = -1;
    meeting->arrived = 1;
    for (int i = 0; i < STRANGERS; i++) meeting->guests[i].wire = -1;
    vg__hello_fill(&own, place, 0);
    memcpy(watch->members[0].host, own.host, sizeof own.host);
    meeting->here = calloc((size_t)watch->size, sizeof *meeting->here);
    meeting->polled = calloc((size_t)(STRANGERS + watch->size), sizeof *meeting->polled);
    if (!meeting->here || !meeting->polled) {
        status = vg_fail(VG_ERR_MEMORY, "no memory to meet %d ranks", watch->size);
        goto out;
    }
    meeting->here[0] = true;
    VG_TRY_OUT(begin_to_listen(meeting));
    while (meeting->arrived < watch->size && !vg_stop_requested() &&
           (now = vg__wire_now()) < meeting->deadline) {
        VG_TRY_OUT(
            go_on(meeting, now + look_seconds < meeting->deadline ? now + look_seconds : meeting->deadline));
        if (vg__wire_now() < next) continue;
        char text[VG__CAUSE_LENGTH];
        note_patience(meeting, text, sizeof text);
        for (int rank = 1; rank < watch->size; rank++)
            if (meeting->here[rank] && !tell(watch->links[rank].wire, VG__FRAME_HERE, VG_OK, false, text))
                look_after(meeting, rank);
        next = vg__wire_now() + patience_seconds;
    }
    VG_TRY_OUT(nobody_left_out(meeting));
    status = welcome_all(meeting);
out:
    for (int i = 0; i < STRANGERS; i++) vg__wire_close(&meeting->guests[i].wire);
    vg__wire_close(&meeting->listener);
    free(meeting->here);
    free(meeting->polled);
    free(meeting);
    return status;
}

vg_status vg__watch_listen(vg_place *place)
{
    char host[sizeof place->master] = "127.0.0.1";
    int port = 0;
    VG_ASSERT(place->rank == 0 && place->listener < 0);
    if (place->local_size != place->size && gethostname(host, sizeof host - 1))
        return vg_fail(VG_ERR_IO, "this machine has no name: %s", strerror(errno));
    int listener = vg__wire_listen(0, 1, &port);
    if (listener < 0) return vg_fail(VG_ERR_PEER, "rank 0 cannot listen at any port: %s", strerror(errno));
    memcpy(place->master, host, sizeof host);
    place->listener = listener;
    place->port = port;
    place->ports = 1;
    return VG_OK;
}
