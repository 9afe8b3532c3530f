#include "core/group/worker.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/group/wire.h"
#include "core/log.h"

/* How long a library may take to come back after the watch has broken or its time is over. */
static const double grace = 5;

typedef struct job {
    const char *what; /* of a call */
    vg_status (*call)(vg_group *group);
    vg__collective collective; /* where there is no call */
} job;

struct vg__worker {
    vg_group *group;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t work, news; /* for the thread; for whoever waits for it */
    job *jobs;                 /* a circle; the first one is being run */
    int capacity, first, count;
    vg_status failed;
    char cause[2048];
    bool ended, stuck;
    atomic_bool stopping;
    _Atomic double looked; /* when the thread was last known to be well */
};

double vg__worker_limit(const vg_group *group)
{
    const double timeout = group->options.timeout;
    return timeout + (timeout < 4 ? timeout / 2 : 2); /* two beats */
}

vg_status vg__worker_look(vg_group *group)
{
    /* The order counts: once it is stopping, the watch may be gone. */
    if (group->worker && atomic_load(&group->worker->stopping))
        return vg_fail(VG_ERR_PEER, "this rank leaves the run");
    if (group->worker) atomic_store(&group->worker->looked, vg__wire_now());
    return group->watch && vg__watch_broken(group->watch) ? vg__watch_fail(group->watch) : VG_OK;
}

static void name_job(const job *j, char out[160])
{
    if (j->call)
        snprintf(out, 160, "%s", j->what);
    else
        vg__collective_place(&j->collective, out);
}

static vg_status run(vg_group *group, const job *j)
{
    if (j->call) return j->call(group);
    char place[160];
    vg__watch_at(group->watch, j->collective.step, j->collective.number);
    const vg_status status = group->kind->run(group, &j->collective);
    vg__collective_place(&j->collective, place);
    if (status == VG_OK || strstr(vg_cause(), place)) return status;
    return vg_context(status, "%s", place);
}

static void fail(vg__worker *worker, vg_status status)
{
    if (worker->failed) return;
    worker->failed = status;
    snprintf(worker->cause, sizeof worker->cause, "%s", vg_cause());
}

static void *thread_main(void *context)
{
    vg__worker *worker = context;
    pthread_mutex_lock(&worker->lock);
    for (;;) {
        while (!worker->count && !atomic_load(&worker->stopping))
            pthread_cond_wait(&worker->work, &worker->lock);
        if (atomic_load(&worker->stopping)) break;
        const job now = worker->jobs[worker->first];
        if (!worker->failed) {
            atomic_store(&worker->looked, vg__wire_now());
            pthread_mutex_unlock(&worker->lock);
            const vg_status status = run(worker->group, &now);
            pthread_mutex_lock(&worker->lock);
            if (status != VG_OK) fail(worker, status);
        }
        worker->first = (worker->first + 1) % worker->capacity;
        if (--worker->count == 0) pthread_cond_broadcast(&worker->news);
    }
    pthread_mutex_unlock(&worker->lock);
    vg__group_end_carrier(worker->group);
    pthread_mutex_lock(&worker->lock);
    worker->ended = true;
    pthread_cond_broadcast(&worker->news);
    pthread_mutex_unlock(&worker->lock);
    return NULL;
}

static void destroy(vg__worker *worker)
{
    pthread_cond_destroy(&worker->work);
    pthread_cond_destroy(&worker->news);
    pthread_mutex_destroy(&worker->lock);
    free(worker->jobs);
    free(worker);
}

vg_status vg__worker_start(vg_group *group)
{
    vg__worker *worker = calloc(1, sizeof *worker);
    if (!worker) return vg_fail(VG_ERR_MEMORY, "no memory for the thread of a group");
    worker->group = group;
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_mutex_init(&worker->lock, NULL);
    pthread_cond_init(&worker->work, NULL);
    pthread_cond_init(&worker->news, &attributes);
    pthread_condattr_destroy(&attributes);

    /* A signal to the process is the main thread's: a library's call must not be interrupted by it. */
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    group->worker = worker; /* the thread looks at it */
    const int error = pthread_create(&worker->thread, NULL, thread_main, worker);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (!error) return VG_OK;
    group->worker = NULL;
    destroy(worker);
    return vg_fail(VG_ERR_MEMORY, "cannot start the thread of a group: %s", strerror(error));
}

/* Twice the room; the circle begins at 0 again. */
static vg_status grow(vg__worker *worker)
{
    const int capacity = worker->capacity ? 2 * worker->capacity : 64;
    job *jobs = malloc((size_t)capacity * sizeof *jobs);
    if (!jobs) return vg_fail(VG_ERR_MEMORY, "no memory to queue %d collectives", capacity);
    for (int i = 0; i < worker->count; i++) jobs[i] = worker->jobs[(worker->first + i) % worker->capacity];
    free(worker->jobs);
    worker->jobs = jobs;
    worker->capacity = capacity;
    worker->first = 0;
    return VG_OK;
}

static vg_status queue(vg__worker *worker, const job *j)
{
    vg_status status = VG_OK;
    pthread_mutex_lock(&worker->lock);
    if (worker->failed)
        status = vg_fail(worker->failed, "%s", worker->cause);
    else if (worker->count == worker->capacity)
        status = grow(worker);
    if (status == VG_OK) {
        /* An idle thread was last known to be well when it became idle; its time for this one begins now. */
        if (!worker->count) atomic_store(&worker->looked, vg__wire_now());
        worker->jobs[(worker->first + worker->count++) % worker->capacity] = *j;
        pthread_cond_signal(&worker->work);
    }
    pthread_mutex_unlock(&worker->lock);
    return status;
}

vg_status vg__worker_queue(vg__worker *worker, const vg__collective *collective)
{
    return queue(worker, &(job){.collective = *collective});
}

static bool is_idle(const vg__worker *worker)
{
    return worker->count == 0;
}
static bool has_ended(const vg__worker *worker)
{
    return worker->ended;
}

/* Under the lock: until `done`, or until the thread is found to be stuck, which is remembered with the cause.
 */
static void settle(vg__worker *worker, bool (*done)(const vg__worker *worker), double limit)
{
    const vg_group *group = worker->group;
    double broken = 0; /* since when */
    while (!done(worker) && !worker->stuck) {
        struct timespec until;
        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_nsec += 100000000;
        if (until.tv_nsec >= 1000000000) until.tv_sec++, until.tv_nsec -= 1000000000;
        pthread_cond_timedwait(&worker->news, &worker->lock, &until);
        const double now = vg__wire_now(), well = atomic_load(&worker->looked);
        if (!broken && group->watch && vg__watch_broken(group->watch)) broken = now;
        if (done(worker) || (broken ? now - broken : now - well - limit) < grace) continue;
        worker->stuck = true;
        char name[160] = "its end";
        if (worker->count) name_job(&worker->jobs[worker->first], name);
        if (broken)
            fail(worker, vg_context(vg__watch_fail(group->watch), "%s", name));
        else
            fail(worker, vg_fail(VG_ERR_PEER, "%s: transport %s has not come back for %.0f s", name,
                                 group->kind->name, now - well));
    }
}

vg_status vg__worker_wait(vg__worker *worker, double limit)
{
    pthread_mutex_lock(&worker->lock);
    settle(worker, is_idle, limit);
    const vg_status status = worker->failed;
    if (status != VG_OK) vg_fail(status, "%s", worker->cause);
    pthread_mutex_unlock(&worker->lock);
    return status;
}

vg_status vg__worker_call(vg__worker *worker, const char *what, vg_status (*call)(vg_group *group),
                          double limit)
{
    VG_TRY(queue(worker, &(job){.what = what, .call = call}));
    return vg__worker_wait(worker, limit);
}

bool vg__worker_stop(vg__worker *worker, double limit)
{
    pthread_mutex_lock(&worker->lock);
    atomic_store(&worker->looked, vg__wire_now());
    atomic_store(&worker->stopping, true);
    pthread_cond_signal(&worker->work);
    settle(worker, has_ended, worker->group->good ? limit : 0);
    const bool ended = worker->ended;
    pthread_mutex_unlock(&worker->lock);
    if (ended) {
        pthread_join(worker->thread, NULL);
        destroy(worker);
        return true;
    }
    pthread_detach(worker->thread);
    vg_warn("transport %s does not come back; its thread is left behind", worker->group->kind->name);
    return false;
}
