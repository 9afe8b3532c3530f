/* Small words between the processes. The callers' threads hand frames to the watch's thread and wait for
 * those that it has read; nothing is sent or received here. */
#include "core/group/watch_own.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *frame_name(int frame)
{
    return frame == VG__FRAME_GATHER ? "gather" : "broadcast";
}

static bool broken(const vg__watch *watch)
{
    return atomic_load(&watch->broken);
}

/* False when the time is over. The thread tells of all that comes. */
static bool wait_until(vg__watch *watch, double deadline)
{
    struct timespec until = {.tv_sec = (time_t)deadline,
                             .tv_nsec = (long)(1e9 * (deadline - (double)(time_t)deadline))};
    return pthread_cond_timedwait(&watch->changed, &watch->lock, &until) != ETIMEDOUT;
}

static void left_already(vg__watch *watch, int rank, vg__frame frame, const char *what)
{
    vg__watch_break(watch, VG_ERR_PEER, "rank %d (%s) has left the run before the %s of %s at rank %d (%s)",
                    rank, watch->members[rank].host, frame_name(frame), what, watch->rank,
                    watch->members[watch->rank].host);
}

/* Waits for this rank's word. NULL: the watch is broken by then. With `patient` the ranks that have not come
 * are named by whoever waits for them, a moment before this one would speak of rank 0. */
static vg__word *wait_word(vg__watch *watch, int rank, vg__frame frame, const char *what, double deadline)
{
    vg__link *link = &watch->links[rank];
    while (!link->words) {
        if (broken(watch)) return NULL;
        if (link->wire < 0) {
            left_already(watch, rank, frame, what);
            return NULL;
        }
        if (!wait_until(watch, deadline)) return NULL;
    }
    vg__word *word = link->words;
    link->words = word->next;
    if (!link->words) link->words_last = NULL;
    if (word->header.frame == (uint16_t)frame && word->header.number == watch->spoken &&
        !strncmp(word->header.what, what, sizeof word->header.what - 1))
        return word;
    vg__watch_break(
        watch, VG_ERR_PEER,
        "rank %d (%s) came to a %s of %s (its word number %lld) while rank %d (%s) is at a %s of %s "
        "(number %lld): the ranks do not run the same program with the same configuration",
        rank, watch->members[rank].host, frame_name(word->header.frame), word->header.what,
        (long long)word->header.number + 1, watch->rank, watch->members[watch->rank].host, frame_name(frame),
        what, (long long)watch->spoken + 1);
    free(word->bytes);
    free(word);
    return NULL;
}

/* Queues the frame for all this rank is connected to, and waits until it is on its way. */
static void say(vg__watch *watch, vg__frame frame, const char *what, const void *bytes, int64_t count,
                double deadline)
{
    if (count > VG__FRAME_LIMIT) {
        vg__watch_break(watch, VG_ERR_UNSUPPORTED,
                        "a %s of %s has %lld bytes, more than one of small words may", frame_name(frame),
                        what, (long long)count);
        return;
    }
    vg__parcel *parcel = vg__parcel_make(frame, VG_OK, watch->spoken, what, bytes, count);
    if (!parcel) {
        vg__watch_break(watch, VG_ERR_MEMORY, "no memory for a %s of %s", frame_name(frame), what);
        return;
    }
    for (int rank = vg__watch_first(watch); rank < vg__watch_end(watch) && !broken(watch); rank++) {
        if (watch->links[rank].wire < 0)
            left_already(watch, rank, frame, what);
        else if (!vg__link_queue(&watch->links[rank], parcel))
            vg__watch_break(watch, VG_ERR_MEMORY, "no memory for a %s of %s", frame_name(frame), what);
    }
    vg__watch_wake(watch);
    while (parcel->users > 1 && !broken(watch))
        if (!wait_until(watch, deadline)) {
            vg__watch_break(
                watch, VG_ERR_PEER, "the %s of %s at rank %d (%s) was not taken by all within %g s",
                frame_name(frame), what, watch->rank, watch->members[watch->rank].host, watch->timeout);
        }
    vg__parcel_leave(parcel);
}

/* Rank 0's word; NULL when the watch is broken. */
static vg__word *hear_rank_0(vg__watch *watch, const char *what)
{
    /* rank 0 may itself be waiting for someone, whom it names when its time is over */
    double deadline = vg__wire_now() + watch->timeout + 2 * watch->beat;
    vg__word *word = wait_word(watch, 0, VG__FRAME_BROADCAST, what, deadline);
    if (!word && !broken(watch)) {
        char behind[512];
        vg__watch_describe(watch, behind, sizeof behind);
        vg__watch_break(watch, VG_ERR_PEER, "rank 0 (%s) did not come to the broadcast of %s within %g s%s",
                        watch->members[0].host, what, watch->timeout, behind);
    }
    return word;
}

vg_status vg__watch_broadcast_any(vg__watch *watch, const char *what, void **bytes, int64_t *count)
{
    pthread_mutex_lock(&watch->lock);
    if (watch->rank == 0) {
        say(watch, VG__FRAME_BROADCAST, what, *bytes, *count, vg__wire_now() + watch->timeout);
    } else {
        vg__word *word = hear_rank_0(watch, what);
        *bytes = word ? word->bytes : NULL;
        *count = word ? word->header.count : 0;
        free(word);
    }
    watch->spoken++;
    bool failed = broken(watch) && (watch->rank == 0 || !*bytes);
    pthread_mutex_unlock(&watch->lock);
    return failed ? vg__watch_fail(watch) : VG_OK;
}

vg_status vg__watch_broadcast(vg__watch *watch, const char *what, void *bytes, int64_t count)
{
    void *got = bytes;
    int64_t have = count;
    VG_TRY(vg__watch_broadcast_any(watch, what, &got, &have));
    if (watch->rank == 0) return VG_OK;
    if (have == count) {
        if (count) memcpy(bytes, got, (size_t)count);
    } else {
        pthread_mutex_lock(&watch->lock);
        vg__watch_break(
            watch, VG_ERR_PEER,
            "rank 0 (%s) says %lld bytes of %s where rank %d (%s) expects %lld: the ranks do not run "
            "the same program with the same configuration",
            watch->members[0].host, (long long)have, what, watch->rank, watch->members[watch->rank].host,
            (long long)count);
        pthread_mutex_unlock(&watch->lock);
    }
    free(got);
    return have == count ? VG_OK : vg__watch_fail(watch);
}

/* Whose words have not come when the time is over. */
static void name_missing(vg__watch *watch, const vg__block *blocks, const char *what)
{
    char names[256], behind[512];
    bool *missing = calloc((size_t)watch->size, sizeof *missing);
    for (int rank = 1; missing && rank < watch->size; rank++)
        missing[rank] = !blocks[rank].bytes && !watch->links[rank].words;
    if (missing)
        vg__ranks_text(missing, true, watch->size, names, sizeof names);
    else
        snprintf(names, sizeof names, "a rank");
    vg__watch_describe(watch, behind, sizeof behind);
    vg__watch_break(watch, VG_ERR_PEER, "%s did not come to the gather of %s within %g s%s", names, what,
                    watch->timeout, behind);
    free(missing);
}

static vg_status gather_all(vg__watch *watch, const char *what, const void *bytes, int64_t count,
                            vg__block **all)
{
    double deadline = vg__wire_now() + watch->timeout;
    vg__block *blocks = calloc((size_t)watch->size, sizeof *blocks);
    bool whole = blocks && (blocks[0].bytes = malloc((size_t)count + 1));
    if (!whole) vg__watch_break(watch, VG_ERR_MEMORY, "no memory for a gather of %s at rank 0", what);
    if (whole) {
        if (count) memcpy(blocks[0].bytes, bytes, (size_t)count);
        ((char *)blocks[0].bytes)[count] = 0;
        blocks[0].count = count;
    }
    for (int rank = 1; whole && rank < watch->size; rank++) {
        vg__word *word = wait_word(watch, rank, VG__FRAME_GATHER, what, deadline);
        if (!word && !broken(watch)) name_missing(watch, blocks, what);
        whole = word;
        if (word) blocks[rank] = (vg__block){word->bytes, word->header.count};
        free(word);
    }
    if (whole) {
        *all = blocks;
        return VG_OK;
    }
    if (blocks) vg__watch_free_blocks(blocks, watch->size);
    return vg__watch_fail(watch);
}

vg_status vg__watch_gather(vg__watch *watch, const char *what, const void *bytes, int64_t count,
                           vg__block **all)
{
    vg_status status;
    *all = NULL;
    pthread_mutex_lock(&watch->lock);
    if (watch->rank == 0) {
        status = gather_all(watch, what, bytes, count, all);
    } else {
        say(watch, VG__FRAME_GATHER, what, bytes, count, vg__wire_now() + watch->timeout);
        status = vg__watch_fail(watch);
    }
    watch->spoken++;
    pthread_mutex_unlock(&watch->lock);
    return status;
}

void vg__watch_free_blocks(vg__block *blocks, int count)
{
    for (int i = 0; blocks && i < count; i++) free(blocks[i].bytes);
    free(blocks);
}
