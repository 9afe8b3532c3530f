/* The thread of the watch: sends and expects beats, carries words, judges who is gone. All of it under the
 * watch's lock, but for the wait itself. */
#include "core/group/watch_own.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* At a time from one rank, so that the others are heard in between. */
enum { SHARE = 1 << 20 };

vg__parcel *vg__parcel_make(vg__frame frame, vg_status status, int64_t number, const char *what,
                            const void *bytes, int64_t count)
{
    vg__header header = {.magic = VG__FRAME_MAGIC,
                         .frame = (uint16_t)frame,
                         .status = (int16_t)status,
                         .count = count,
                         .number = number};
    vg__parcel *parcel = malloc(sizeof *parcel + sizeof header + (size_t)count);
    if (!parcel) return NULL;
    snprintf(header.what, sizeof header.what, "%s", what);
    parcel->users = 1;
    parcel->size = (int64_t)sizeof header + count;
    memcpy(parcel->bytes, &header, sizeof header);
    if (count) memcpy(parcel->bytes + sizeof header, bytes, (size_t)count);
    return parcel;
}

void vg__parcel_leave(vg__parcel *parcel)
{
    if (parcel && --parcel->users == 0) free(parcel);
}

bool vg__link_queue(vg__link *link, vg__parcel *parcel)
{
    if (link->wire < 0 || link->deaf || link->shut) return true;
    vg__outgoing *outgoing = malloc(sizeof *outgoing);
    if (!outgoing) return false;
    *outgoing = (vg__outgoing){.parcel = parcel};
    parcel->users++;
    if (link->last)
        link->last->next = outgoing;
    else
        link->first = outgoing;
    link->last = outgoing;
    return true;
}

static void forget_outgoing(vg__link *link)
{
    while (link->first) {
        vg__outgoing *next = link->first->next;
        vg__parcel_leave(link->first->parcel);
        free(link->first);
        link->first = next;
    }
    link->last = NULL;
    link->sent = link->beat_left = 0;
}

static void disconnect(vg__link *link)
{
    vg__wire_close(&link->wire);
    forget_outgoing(link);
    free(link->bytes);
    link->bytes = NULL;
    link->got = 0;
}

void vg__link_clear(vg__link *link)
{
    disconnect(link);
    while (link->words) {
        vg__word *next = link->words->next;
        free(link->words->bytes);
        free(link->words);
        link->words = next;
    }
    link->words_last = NULL;
}

/* ---- Out ----------------------------------------------------------------------------------------------- */

/* A new beat only when the last one and all words have gone: their bytes are signs of life as well. */
static void beat(vg__watch *watch, vg__link *link)
{
    if (link->wire < 0 || link->first || link->beat_left || link->deaf || link->shut) return;
    vg__header header = {
        .magic = VG__FRAME_MAGIC, .frame = VG__FRAME_BEAT, .count = (int64_t)sizeof(vg__beat)};
    vg__beat said = {.own = {.rank = watch->rank,
                             .known = 1,
                             .step = atomic_load(&watch->step),
                             .collective = atomic_load(&watch->collective)}};
    if (watch->rank == 0) vg__watch_survey(watch, &said.slowest, &said.furthest);
    memcpy(link->beat, &header, sizeof header);
    memcpy(link->beat + sizeof header, &said, sizeof said);
    link->beat_left = sizeof link->beat;
}

static void send_on(vg__watch *watch, vg__link *link)
{
    while (link->wire >= 0 && !link->deaf && (link->beat_left || link->first)) {
        const unsigned char *from = link->beat + sizeof link->beat - link->beat_left;
        int64_t left = link->beat_left, moved = 0;
        if (!left) {
            from = link->first->parcel->bytes + link->sent;
            left = link->first->parcel->size - link->sent;
        }
        vg__wire_end end = vg__wire_send_some(link->wire, from, left, &moved);
        if (link->beat_left)
            link->beat_left -= moved;
        else
            link->sent += moved;
        if (end != VG__WIRE_DONE) { /* reading tells what that means: the last word may still be there */
            link->deaf = true;
            forget_outgoing(link);
            pthread_cond_broadcast(&watch->changed);
            return;
        }
        if (moved < left) return;
        if (!link->first || link->sent < link->first->parcel->size) continue;
        vg__outgoing *done = link->first;
        link->first = done->next;
        if (!link->first) link->last = NULL;
        link->sent = 0;
        vg__parcel_leave(done->parcel);
        free(done);
        pthread_cond_broadcast(&watch->changed);
    }
    if (watch->closing && link->wire >= 0 && !link->shut && !link->first && !link->beat_left) {
        shutdown(link->wire, SHUT_WR);
        link->shut = true;
    }
}

/* ---- In ------------------------------------------------------------------------------------------------ */

static const char *host(const vg__watch *watch, int rank)
{
    return watch->members[rank].host;
}

static void lose(vg__watch *watch, int rank, vg__wire_end end)
{
    vg__link *link = &watch->links[rank];
    const char *how = end == VG__WIRE_CLOSED ? "its process ended without a word" : vg__wire_word(end);
    disconnect(link);
    if (!link->parted && !watch->closing)
        vg__watch_break(watch, VG_ERR_PEER, "rank %d (%s) is lost: %s", rank, host(watch, rank), how);
    pthread_cond_broadcast(&watch->changed);
}

/* False for a frame that nobody of ours sends. */
static bool plausible(const vg__watch *watch, const vg__header *header)
{
    if (header->magic != VG__FRAME_MAGIC || header->count < 0 ||
        !memchr(header->what, 0, sizeof header->what))
        return false;
    switch ((vg__frame)header->frame) {
    case VG__FRAME_BEAT:
        return header->count == (int64_t)sizeof(vg__beat);
    case VG__FRAME_NOTICE:
    case VG__FRAME_GOODBYE:
        return header->count < VG__CAUSE_LENGTH;
    case VG__FRAME_BROADCAST:
        return watch->rank != 0 && header->count <= VG__FRAME_LIMIT;
    case VG__FRAME_GATHER:
        return watch->rank == 0 && header->count <= VG__FRAME_LIMIT;
    case VG__FRAME_HERE:
    case VG__FRAME_REFUSED:
    case VG__FRAME_WELCOME:
        break;
    }
    return false;
}

static bool is_word(const vg__header *header)
{
    return header->frame == VG__FRAME_BROADCAST || header->frame == VG__FRAME_GATHER;
}

/* The link's buffer goes to the word. */
static bool keep_word(vg__link *link)
{
    vg__word *word = malloc(sizeof *word);
    if (!word) return false;
    *word = (vg__word){.header = link->header, .bytes = link->bytes};
    ((char *)word->bytes)[word->header.count] = 0;
    link->bytes = NULL;
    if (link->words_last && link->words)
        link->words_last->next = word;
    else
        link->words = word;
    link->words_last = word;
    return true;
}

static void goodbye(vg__watch *watch, int rank, vg_status status, const char *cause)
{
    vg__link *link = &watch->links[rank];
    link->parted = true;
    if (status != VG_OK && status != VG_ERR_PREEMPTED && !watch->closing)
        vg__watch_break(watch, status, "rank %d (%s) failed: %s", rank, host(watch, rank), cause);
    disconnect(link);
}

static bool is_rank(const vg__watch *watch, int number)
{
    return number >= 0 && number < watch->size;
}

/* A whole frame is there. */
static void hear(vg__watch *watch, int rank)
{
    vg__link *link = &watch->links[rank];
    const vg__header *header = &link->header;
    vg_status status = header->status < 0 ? (vg_status)header->status : VG_OK;
    link->got = 0;
    link->text[is_word(header) ? 0 : header->count] = 0;
    if (header->frame == VG__FRAME_BEAT) {
        vg__beat said;
        memcpy(&said, link->text, sizeof said);
        link->spot = said.own;
        if (rank == 0 && is_rank(watch, said.slowest.rank) && is_rank(watch, said.furthest.rank))
            watch->told = said;
        return; /* nobody waits for it */
    }
    if (header->frame == VG__FRAME_NOTICE) {
        if (!watch->closing) vg__watch_break(watch, status == VG_OK ? VG_ERR_PEER : status, "%s", link->text);
    } else if (header->frame == VG__FRAME_GOODBYE) {
        goodbye(watch, rank, status, link->text);
    } else if (!keep_word(link)) {
        vg__watch_break(watch, VG_ERR_MEMORY, "no memory for words of rank %d", rank);
    }
    pthread_cond_broadcast(&watch->changed);
}

static void receive_on(vg__watch *watch, int rank)
{
    const int64_t head = sizeof(vg__header);
    vg__link *link = &watch->links[rank];
    for (int64_t taken = 0; link->wire >= 0 && taken < SHARE;) {
        bool in_header = link->got < head;
        int64_t wanted = in_header ? head - link->got : head + link->header.count - link->got, moved;
        char *to = in_header ? (char *)&link->header + link->got
                             : (link->bytes ? (char *)link->bytes : link->text) + (link->got - head);
        if (wanted > SHARE) wanted = SHARE;
        vg__wire_end end = vg__wire_receive_some(link->wire, to, wanted, &moved);
        if (end != VG__WIRE_DONE) {
            lose(watch, rank, end);
            return;
        }
        if (!moved) return;
        link->got += moved;
        taken += moved;
        link->heard = vg__wire_now();
        if (in_header && link->got == head) {
            if (!plausible(watch, &link->header)) {
                vg__watch_break(watch, VG_ERR_PEER, "rank %d (%s) sent something that is not of this program",
                                rank, host(watch, rank));
                disconnect(link);
                return;
            }
            if (is_word(&link->header)) link->bytes = malloc((size_t)link->header.count + 1);
            if (is_word(&link->header) && !link->bytes) {
                vg__watch_break(watch, VG_ERR_MEMORY, "no memory for %lld bytes of rank %d",
                                (long long)link->header.count, rank);
                disconnect(link);
                return;
            }
        }
        if (link->got >= head && link->got == head + link->header.count) hear(watch, rank);
    }
}

/* ---- The thread ---------------------------------------------------------------------------------------- */

static void judge(vg__watch *watch, double now)
{
    for (int rank = vg__watch_first(watch); rank < vg__watch_end(watch); rank++) {
        const vg__link *link = &watch->links[rank];
        double silent = now - link->heard;
        if (link->wire < 0 || !(silent > watch->timeout)) continue;
        vg__watch_break(
            watch, VG_ERR_PEER,
            "rank %d (%s) is silent for %.1f s (at most %g are allowed); it was last heard at step "
            "%lld, collective %lld. Its process is stopped or its machine is out of reach",
            rank, host(watch, rank), silent, watch->timeout, (long long)link->spot.step,
            (long long)link->spot.collective);
    }
}

static bool all_gone(const vg__watch *watch)
{
    for (int rank = vg__watch_first(watch); rank < vg__watch_end(watch); rank++)
        if (watch->links[rank].wire >= 0) return false;
    return true;
}

void *vg__watch_keep(void *argument)
{
    vg__watch *watch = argument;
    const int first = vg__watch_first(watch), end = vg__watch_end(watch);
    struct pollfd polled[64], *all = polled;
    pthread_mutex_lock(&watch->lock);
    if (end - first + 1 > 64) all = malloc((size_t)(end - first + 1) * sizeof *all);
    if (!all) vg__watch_break(watch, VG_ERR_MEMORY, "no memory to watch %d ranks", watch->size);
    /* Counted from when the ranks had met: the process may have been stopped before this thread began. */
    double next = watch->links[watch->rank].heard, last = next;
    while (all && !(watch->closing && (all_gone(watch) || vg__wire_now() >= watch->close_by))) {
        for (int rank = first; rank < end; rank++) {
            vg__link *link = &watch->links[rank];
            send_on(watch, link);
            bool waits = !link->deaf && (link->first || link->beat_left);
            all[rank - first + 1] =
                (struct pollfd){.fd = link->wire, .events = (short)(POLLIN | (waits ? POLLOUT : 0))};
        }
        all[0] = (struct pollfd){.fd = watch->wake[0], .events = POLLIN};
        double before = vg__wire_now(), until = next;
        if (watch->closing && watch->close_by < until) until = watch->close_by;
        int wait = until > before ? (int)(1e3 * (until - before)) + 1 : 0;
        pthread_mutex_unlock(&watch->lock);
        poll(all, (nfds_t)(end - first + 1), wait);
        pthread_mutex_lock(&watch->lock);

        char scrap[64];
        while (all[0].revents && read(watch->wake[0], scrap, sizeof scrap) > 0) {
        }
        for (int rank = first; rank < end; rank++)
            if (all[rank - first + 1].revents) receive_on(watch, rank);
        double now = vg__wire_now();
        /* A thread that was itself held up (the process was stopped), wherever in this loop it was, must not
         * take that for others' silence. */
        if (now > next + watch->beat)
            for (int rank = first; rank < end; rank++) watch->links[rank].heard += now - last;
        last = now;
        if (now < next) continue;
        judge(watch, now);
        for (int rank = first; rank < end && !watch->closing; rank++) beat(watch, &watch->links[rank]);
        next = now + watch->beat;
    }
    for (int rank = first; rank < end; rank++) disconnect(&watch->links[rank]);
    pthread_cond_broadcast(&watch->changed);
    pthread_mutex_unlock(&watch->lock);
    if (all != polled) free(all);
    return NULL;
}
