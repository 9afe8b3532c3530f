#include "datasets/import/pipeline/ordered.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/signals.h"

/* A job in its place. Guarded by the lock, except for what `job` points to while it is at work. */
struct entry {
    void *job;
    int64_t bytes;
    enum { WAITING, AT_WORK, DONE } state;
    struct entry *next;
};

/* One list, oldest first: emitted from its head, appended at its tail; `fresh` is the first that nobody works
 * on. */
struct vg__ordered {
    vg__ordered_calls calls;
    int64_t limit, bytes; /* allowed; of all entries */
    struct entry *head, *tail, *fresh;
    pthread_t *workers;
    int worker_count;
    bool stop;
    vg_status failed; /* what emit returned, and why */
    char cause[1024];
    pthread_mutex_t lock;
    pthread_cond_t added, done;
};

static struct entry *next_fresh(struct entry *entry)
{
    while (entry && entry->state != WAITING) entry = entry->next;
    return entry;
}

static void *work(void *argument)
{
    vg__ordered *ordered = argument;
    pthread_mutex_lock(&ordered->lock);
    while (!ordered->stop) {
        struct entry *mine = ordered->fresh;
        if (!mine) {
            pthread_cond_wait(&ordered->added, &ordered->lock);
            continue;
        }
        mine->state = AT_WORK;
        ordered->fresh = next_fresh(mine->next);
        pthread_mutex_unlock(&ordered->lock);
        ordered->calls.work(mine->job);
        pthread_mutex_lock(&ordered->lock);
        mine->state = DONE;
        pthread_cond_signal(&ordered->done);
    }
    pthread_mutex_unlock(&ordered->lock);
    return NULL;
}

/* Workers must not receive the signals that the program waits for in its main thread. */
static vg_status start_workers(vg__ordered *ordered, int threads)
{
    sigset_t all, before;
    int error = 0;
    ordered->workers = calloc((size_t)threads, sizeof *ordered->workers);
    if (!ordered->workers) return vg_fail(VG_ERR_MEMORY, "no memory for %d threads", threads);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    for (int i = 0; i < threads && !error; i++) {
        error = pthread_create(&ordered->workers[i], NULL, work, ordered);
        if (!error) ordered->worker_count++;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (error)
        return vg_fail(VG_ERR_MEMORY, "thread %d of %d could not be started: %s", ordered->worker_count + 1,
                       threads, strerror(error));
    return VG_OK;
}

vg_status vg__ordered_create(int threads, int64_t bytes, const vg__ordered_calls *calls, vg__ordered **out)
{
    *out = NULL;
    vg__ordered *ordered = calloc(1, sizeof *ordered);
    if (!ordered) return vg_fail(VG_ERR_MEMORY, "no memory for a queue");
    ordered->calls = *calls;
    ordered->limit = bytes;
    pthread_mutex_init(&ordered->lock, NULL);
    pthread_cond_init(&ordered->added, NULL);
    pthread_cond_init(&ordered->done, NULL);
    vg_status status = threads > 1 ? start_workers(ordered, threads) : VG_OK;
    if (status != VG_OK)
        vg__ordered_destroy(ordered);
    else
        *out = ordered;
    return status;
}

/* Takes the oldest entry out. Under the lock. */
static struct entry *take_head(vg__ordered *ordered)
{
    struct entry *entry = ordered->head;
    ordered->head = entry->next;
    if (!ordered->head) ordered->tail = NULL;
    ordered->bytes -= entry->bytes;
    return entry;
}

/* A stop that was asked for ends the import between recordings, wherever its thread comes by here. */
static vg_status check_stop(void)
{
    return vg_stop_requested() ? vg_fail(VG_ERR_PREEMPTED, "stopped on request") : VG_OK;
}

/* Emits finished jobs from the head until no more than `left` bytes are there, waiting for those that are not
 * finished, and beyond that as long as nothing has to be waited for. */
static vg_status emit_down_to(vg__ordered *ordered, int64_t left, bool all)
{
    vg_status status = VG_OK;
    pthread_mutex_lock(&ordered->lock);
    while (status == VG_OK && ordered->head) {
        if (ordered->head->state != DONE) {
            if (!all && ordered->bytes <= left) break;
            pthread_cond_wait(&ordered->done, &ordered->lock);
            continue;
        }
        struct entry *entry = take_head(ordered);
        pthread_mutex_unlock(&ordered->lock);
        status = check_stop();
        if (status == VG_OK) status = ordered->calls.emit(ordered->calls.context, entry->job);
        ordered->calls.discard(entry->job);
        free(entry);
        pthread_mutex_lock(&ordered->lock);
    }
    pthread_mutex_unlock(&ordered->lock);
    if (status != VG_OK) {
        ordered->failed = status;
        snprintf(ordered->cause, sizeof ordered->cause, "%s", vg_cause());
    }
    return status;
}

static vg_status tell_again(const vg__ordered *ordered)
{
    return ordered->failed == VG_OK ? VG_OK : vg_fail(ordered->failed, "%s", ordered->cause);
}

vg_status vg__ordered_make_room(vg__ordered *ordered, int64_t bytes)
{
    VG_TRY(tell_again(ordered));
    VG_TRY(check_stop());
    return emit_down_to(ordered, ordered->limit > bytes ? ordered->limit - bytes : 0, false);
}

vg_status vg__ordered_add(vg__ordered *ordered, void *job, int64_t bytes, bool done)
{
    vg_status status = vg__ordered_make_room(ordered, bytes);
    struct entry *entry = status == VG_OK ? calloc(1, sizeof *entry) : NULL;
    if (status == VG_OK && !entry) status = vg_fail(VG_ERR_MEMORY, "no memory for a place in a queue");
    if (status != VG_OK) {
        ordered->calls.discard(job);
        return status;
    }
    bool here = ordered->worker_count == 0;
    if (here && !done) ordered->calls.work(job);
    *entry = (struct entry){.job = job, .bytes = bytes, .state = here || done ? DONE : WAITING};
    pthread_mutex_lock(&ordered->lock);
    if (ordered->tail)
        ordered->tail->next = entry;
    else
        ordered->head = entry;
    ordered->tail = entry;
    ordered->bytes += bytes;
    if (entry->state == WAITING) {
        if (!ordered->fresh) ordered->fresh = entry;
        pthread_cond_signal(&ordered->added);
    }
    pthread_mutex_unlock(&ordered->lock);
    return here ? emit_down_to(ordered, 0, true) : VG_OK;
}

vg_status vg__ordered_drain(vg__ordered *ordered)
{
    VG_TRY(tell_again(ordered));
    VG_TRY(check_stop());
    return emit_down_to(ordered, 0, true);
}

void vg__ordered_destroy(vg__ordered *ordered)
{
    if (!ordered) return;
    pthread_mutex_lock(&ordered->lock);
    ordered->stop = true;
    pthread_cond_broadcast(&ordered->added);
    pthread_mutex_unlock(&ordered->lock);
    for (int i = 0; i < ordered->worker_count; i++) pthread_join(ordered->workers[i], NULL);
    for (struct entry *entry = ordered->head, *next; entry; entry = next) {
        next = entry->next;
        ordered->calls.discard(entry->job);
        free(entry);
    }
    pthread_cond_destroy(&ordered->done);
    pthread_cond_destroy(&ordered->added);
    pthread_mutex_destroy(&ordered->lock);
    free(ordered->workers);
    free(ordered);
}
