#define _GNU_SOURCE /* pipe2 */
#include "core/group/watch_own.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* How long a goodbye may take to be on its way, and how long another's word of who died may be in coming. */
static const double close_seconds = 1, blame_seconds = 1;
static const double missed_beats = 2.5; /* more than that is silence worth a word */

void vg__watch_wake(vg__watch *watch)
{
    ssize_t written = write(watch->wake[1], "", 1); /* a full pipe wakes as well */
    (void)written;
}

void vg__watch_break(vg__watch *watch, vg_status status, const char *format, ...)
{
    if (atomic_load(&watch->broken)) return;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(watch->cause, sizeof watch->cause, format, arguments);
    va_end(arguments);
    watch->status = status;
    atomic_store(&watch->broken, true);
    vg__parcel *notice =
        vg__parcel_make(VG__FRAME_NOTICE, status, 0, "", watch->cause, (int64_t)strlen(watch->cause));
    for (int rank = vg__watch_first(watch); rank < vg__watch_end(watch); rank++)
        /* without memory for a word, the end of the connection says it */
        if (!notice || !vg__link_queue(&watch->links[rank], notice)) vg__link_clear(&watch->links[rank]);
    vg__parcel_leave(notice);
    ssize_t written = write(watch->alarm[1], "", 1);
    (void)written;
    pthread_cond_broadcast(&watch->changed);
    vg__watch_wake(watch);
}

bool vg__watch_broken(const vg__watch *watch)
{
    return atomic_load(&watch->broken);
}

int vg__watch_alarm(const vg__watch *watch)
{
    return watch->alarm[0];
}

const vg__member *vg__watch_member(const vg__watch *watch, int rank)
{
    return &watch->members[rank];
}

void vg__watch_at(vg__watch *watch, int64_t step, int64_t collective)
{
    atomic_store(&watch->step, step);
    atomic_store(&watch->collective, collective);
}

vg_status vg__watch_fail(vg__watch *watch)
{
    if (!atomic_load(&watch->broken)) return VG_OK;
    return vg_fail(watch->status, "%s", watch->cause); /* neither changes once `broken` is seen */
}

/* ---- Who is behind ------------------------------------------------------------------------------------- */

static int compare(const vg__spot *a, const vg__spot *b)
{
    if (a->step != b->step) return a->step < b->step ? -1 : 1;
    return a->collective < b->collective ? -1 : a->collective > b->collective;
}

static vg__spot own_spot(const vg__watch *watch)
{
    return (vg__spot){.step = atomic_load(&watch->step),
                      .collective = atomic_load(&watch->collective),
                      .rank = watch->rank,
                      .known = 1};
}

void vg__watch_survey(const vg__watch *watch, vg__spot *slowest, vg__spot *furthest)
{
    double now = vg__wire_now();
    *slowest = *furthest = own_spot(watch);
    for (int rank = 1; rank < watch->size; rank++) {
        const vg__link *link = &watch->links[rank];
        vg__spot spot = link->spot;
        spot.rank = rank;
        spot.known = 1;
        spot.age = now > link->heard ? now - link->heard : 0;
        if (link->parted) continue;
        /* of those that are equally far, the one that has not been heard for longest */
        int order = compare(&spot, slowest);
        if (order < 0 || (order == 0 && spot.age > slowest->age)) *slowest = spot;
        if (compare(&spot, furthest) > 0) *furthest = spot;
    }
}

static void last_heard(const vg__watch *watch, const vg__spot *spot, char *out, size_t size)
{
    snprintf(out, size, "; rank %d (%s) was last heard %.1f s ago, at step %lld, collective %lld", spot->rank,
             watch->members[spot->rank].host, spot->age, (long long)spot->step, (long long)spot->collective);
}

void vg__watch_describe(const vg__watch *watch, char *out, size_t size)
{
    vg__spot slowest, furthest, own = own_spot(watch);
    out[0] = 0;
    if (watch->rank == 0) {
        vg__watch_survey(watch, &slowest, &furthest);
    } else {
        double since = vg__wire_now() - watch->links[0].heard;
        if (since > missed_beats * watch->beat) { /* what it told of the others is old */
            slowest = watch->links[0].spot;
            slowest.age = since;
            last_heard(watch, &slowest, out, size);
            return;
        }
        slowest = watch->told.slowest;
        furthest = watch->told.furthest;
        if (slowest.rank == watch->rank) slowest = own; /* that was some time ago */
        if (slowest.rank != watch->rank) slowest.age += since > 0 ? since : 0;
        if (!slowest.known) return;
    }
    if (compare(&own, &furthest) > 0) furthest = own;
    if (compare(&slowest, &furthest) == 0) {
        if (slowest.rank != watch->rank && slowest.age > missed_beats * watch->beat)
            last_heard(watch, &slowest, out, size);
        else
            snprintf(out, size, "; all ranks are at step %lld, collective %lld", (long long)own.step,
                     (long long)own.collective);
        return;
    }
    snprintf(out, size,
             "; rank %d (%s) is behind, at step %lld, collective %lld, where rank %d (%s) is at step %lld, "
             "collective %lld; it was last heard %.1f s ago",
             slowest.rank, watch->members[slowest.rank].host, (long long)slowest.step,
             (long long)slowest.collective, furthest.rank, watch->members[furthest.rank].host,
             (long long)furthest.step, (long long)furthest.collective, slowest.age);
}

vg_status vg__watch_late(vg__watch *watch, const char *doing)
{
    char behind[512];
    pthread_mutex_lock(&watch->lock);
    vg__watch_describe(watch, behind, sizeof behind);
    vg__watch_break(watch, VG_ERR_PEER, "%s did not end within %g s at rank %d (%s)%s", doing, watch->timeout,
                    watch->rank, watch->members[watch->rank].host, behind);
    pthread_mutex_unlock(&watch->lock);
    return vg__watch_fail(watch);
}

static struct timespec moment(double when)
{
    return (struct timespec){.tv_sec = (time_t)when, .tv_nsec = (long)(1e9 * (when - (double)(time_t)when))};
}

vg_status vg__watch_blame(vg__watch *watch, int rank, const char *doing, const char *how)
{
    struct timespec until = moment(vg__wire_now() + blame_seconds);
    pthread_mutex_lock(&watch->lock);
    int waited = 0;
    while (!waited && !atomic_load(&watch->broken))
        waited = pthread_cond_timedwait(&watch->changed, &watch->lock, &until);
    int own = watch->rank;
    if (rank >= 0 && watch->links[rank].parted)
        vg__watch_break(watch, VG_ERR_PEER, "rank %d (%s) has left the run before %s at rank %d (%s)", rank,
                        watch->members[rank].host, doing, own, watch->members[own].host);
    else if (rank < 0)
        vg__watch_break(watch, VG_ERR_PEER, "%s failed at rank %d (%s): %s", doing, own,
                        watch->members[own].host, how);
    else
        vg__watch_break(watch, VG_ERR_PEER, "rank %d (%s) is lost to rank %d (%s) in %s: %s", rank,
                        watch->members[rank].host, own, watch->members[own].host, doing, how);
    pthread_mutex_unlock(&watch->lock);
    return vg__watch_fail(watch);
}

/* ---- Beginning and end --------------------------------------------------------------------------------- */

static void free_watch(vg__watch *watch)
{
    for (int rank = 0; watch->links && rank < watch->size; rank++) vg__link_clear(&watch->links[rank]);
    for (int i = 0; i < 2; i++) {
        vg__wire_close(&watch->wake[i]);
        vg__wire_close(&watch->alarm[i]);
    }
    pthread_cond_destroy(&watch->changed);
    pthread_mutex_destroy(&watch->lock);
    free(watch->links);
    free(watch->members);
    free(watch);
}

/* The main thread is the one that gets the signals. */
static int start_thread(vg__watch *watch)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int error = pthread_create(&watch->thread, NULL, vg__watch_keep, watch);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    watch->thread_runs = !error;
    return error;
}

vg_status vg__watch_open(const vg_place *place, double start_timeout, double timeout, int port,
                         vg__watch **out)
{
    VG_ASSERT(place->size > 1 && place->rank >= 0 && place->rank < place->size);
    vg_status status = VG_OK;
    pthread_condattr_t clock;
    vg__watch *watch = calloc(1, sizeof *watch);
    if (!watch) return vg_fail(VG_ERR_MEMORY, "no memory to watch %d ranks", place->size);
    watch->rank = place->rank;
    watch->size = place->size;
    watch->timeout = timeout;
    watch->beat = timeout < 4 ? timeout / 4 : 1;
    watch->wake[0] = watch->wake[1] = watch->alarm[0] = watch->alarm[1] = -1;
    pthread_mutex_init(&watch->lock, NULL);
    pthread_condattr_init(&clock);
    pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
    pthread_cond_init(&watch->changed, &clock);
    pthread_condattr_destroy(&clock);
    watch->members = calloc((size_t)watch->size, sizeof *watch->members);
    watch->links = calloc((size_t)watch->size, sizeof *watch->links);
    if (!watch->members || !watch->links) {
        status = vg_fail(VG_ERR_MEMORY, "no memory to watch %d ranks", place->size);
        goto out;
    }
    for (int rank = 0; rank < watch->size; rank++) watch->links[rank].wire = -1;
    if (pipe2(watch->wake, O_CLOEXEC | O_NONBLOCK) || pipe2(watch->alarm, O_CLOEXEC | O_NONBLOCK)) {
        status = vg_fail(VG_ERR_IO, "no pipe can be made: %s", strerror(errno));
        goto out;
    }
    if (watch->rank == 0) {
        snprintf(watch->members[0].address, sizeof watch->members[0].address, "127.0.0.1");
        watch->members[0].port = port;
        VG_TRY_OUT(vg__watch_meet(watch, place, start_timeout));
    } else {
        VG_TRY_OUT(vg__watch_arrive(watch, place, start_timeout, port));
    }
    double now = vg__wire_now();
    for (int rank = 0; rank < watch->size; rank++) watch->links[rank].heard = now;
    int error = start_thread(watch);
    if (error)
        status = vg_fail(VG_ERR_IO, "the thread that watches the ranks does not start: %s", strerror(error));
out:
    if (status == VG_OK)
        *out = watch;
    else
        free_watch(watch);
    return status;
}

void vg__watch_close(vg__watch *watch, vg_status status)
{
    if (!watch) return;
    pthread_mutex_lock(&watch->lock);
    /* when the watch is broken, the others have heard why, or do before this */
    const char *cause = status == VG_OK || atomic_load(&watch->broken) ? "" : vg_cause();
    int length = (int)strlen(cause);
    if (length >= VG__CAUSE_LENGTH) length = VG__CAUSE_LENGTH - 1;
    vg__parcel *parcel = vg__parcel_make(VG__FRAME_GOODBYE, status, 0, "", cause, length);
    for (int rank = vg__watch_first(watch); rank < vg__watch_end(watch); rank++)
        if (!parcel || !vg__link_queue(&watch->links[rank], parcel)) vg__link_clear(&watch->links[rank]);
    vg__parcel_leave(parcel);
    watch->closing = true;
    watch->close_by = vg__wire_now() + close_seconds;
    vg__watch_wake(watch);
    pthread_mutex_unlock(&watch->lock);
    if (watch->thread_runs) pthread_join(watch->thread, NULL);
    free_watch(watch);
}
