/* Kind mpi: collectives by Open MPI, for ranks that mpirun has started. The library is opened while the
 * program runs, so nothing of it is linked; the macros of mpi.h would link its predefined handles, which are
 * therefore looked up as the variables that they are.
 *
 * Every collective is begun without waiting and asked for until it is over, so that a rank that is lost ends
 * the wait. MPI itself is begun once in a process and, after a good end, ended once; MPI_Abort is mpirun's
 * affair. */
#include <ifaddrs.h>
#include <mpi.h>
#include <net/if.h>
#include <netdb.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/group/kind.h"
#include "core/group/mpi.h"
#include "core/group/wire.h"
#include "core/group/worker.h"
#include "core/library.h"

#define SONAME "libmpi.so.40" /* Open MPI 4 and 5 */

#define FUNCTIONS(X)                                                                                         \
    X(MPI_Get_library_version)                                                                               \
    X(MPI_Initialized)                                                                                       \
    X(MPI_Finalized)                                                                                         \
    X(MPI_Init_thread)                                                                                       \
    X(MPI_Query_thread)                                                                                      \
    X(MPI_Finalize)                                                                                          \
    X(MPI_Comm_set_errhandler)                                                                               \
    X(MPI_Comm_rank)                                                                                         \
    X(MPI_Comm_size)                                                                                         \
    X(MPI_Comm_dup)                                                                                          \
    X(MPI_Comm_free)                                                                                         \
    X(MPI_Error_string)                                                                                      \
    X(MPI_Test)                                                                                              \
    X(MPI_Allreduce)                                                                                         \
    X(MPI_Iallreduce)                                                                                        \
    X(MPI_Iallgather)                                                                                        \
    X(MPI_Ibcast)                                                                                            \
    X(ompi_mpi_comm_world)                                                                                   \
    X(ompi_mpi_errors_return)                                                                                \
    X(ompi_mpi_op_sum)                                                                                       \
    X(ompi_mpi_float)                                                                                        \
    X(ompi_mpi_double)                                                                                       \
    X(ompi_mpi_int64_t)                                                                                      \
    X(ompi_mpi_uint16_t)                                                                                     \
    X(ompi_mpi_byte)

VG__LIBRARY_TABLE(FUNCTIONS);

int64_t vg__mpi_most = 1 << 30;

/* MPI is one in a process, and so is this. */
static struct {
    vg__library library;
    functions call;
    char version[64];
    bool ours, used; /* begun here; by a group that has not been closed */
    MPI_Comm comm;   /* the group's own, so that its messages are not taken for the program's */
} mpi;

static MPI_Comm world(void)
{
    return (MPI_Comm)(void *)mpi.call.by.ompi_mpi_comm_world;
}

static vg_status find(char *text, size_t size)
{
    if (!mpi.library.handle) {
        char version[MPI_MAX_LIBRARY_VERSION_STRING] = "";
        int length = 0;
        VG_TRY(
            vg__library_open_of(&vg__library_mpi, SONAME, names, mpi.call.all, FUNCTION_COUNT, &mpi.library));
        mpi.call.by.MPI_Get_library_version(version, &length);
        snprintf(mpi.version, sizeof mpi.version, "%.*s", (int)strcspn(version, ","), version);
    }
    snprintf(text, size, "%s, %s", mpi.version, mpi.library.path);
    return VG_OK;
}

static const char *error_text(int error)
{
    static char text[MPI_MAX_ERROR_STRING]; /* asked on one thread at a time */
    int length = 0;
    if (mpi.call.by.MPI_Error_string(error, text, &length) != MPI_SUCCESS) return "an unknown error";
    return text;
}

/* ---- Waiting ---- */

/* The first answers are mostly there within microseconds; later the processor is left to who computes. */
static void rest(int64_t asked)
{
    if (asked < 1000)
        sched_yield();
    else
        nanosleep(&(struct timespec){.tv_nsec = 20000}, NULL);
}

/* Until the request is over. Without a watch (when the ranks meet) the time is that for the start. */
static vg_status finish(vg_group *group, const char *doing, int error, MPI_Request *request)
{
    const double limit = group->watch ? vg__worker_limit(group) : group->options.start_timeout;
    const double until = vg__wire_now() + limit;
    int done = 0;
    for (int64_t asked = 0; error == MPI_SUCCESS; asked++) {
        error = mpi.call.by.MPI_Test(request, &done, MPI_STATUS_IGNORE);
        if (error != MPI_SUCCESS || done) break;
        rest(asked);
        if (asked % 16) continue;
        VG_TRY(vg__worker_look(group));
        if (vg__wire_now() <= until) continue;
        if (group->watch) return vg__watch_late(group->watch, doing);
        return vg_fail(VG_ERR_PEER, "%s: MPI did not bring the ranks together within %g s", doing, limit);
    }
    if (error == MPI_SUCCESS) return VG_OK;
    if (group->watch) return vg__watch_blame(group->watch, -1, doing, error_text(error));
    return vg_fail(VG_ERR_PEER, "%s: %s", doing, error_text(error));
}

/* ---- Beginning ---- */

static vg_status begin(const vg_group *group)
{
    int before = 0, over = 0, threads = 0, rank, size;
    const vg_place *place = &group->place;
    mpi.call.by.MPI_Initialized(&before);
    mpi.call.by.MPI_Finalized(&over);
    if (over)
        return vg_fail(VG_ERR_UNSUPPORTED,
                       "MPI was ended in this process and cannot begin again: transport mpi "
                       "is for one group in the life of a process");
    if (mpi.used) return vg_fail(VG_ERR_UNSUPPORTED, "there is a group over MPI in this process already");
    if (!before) {
        const int error = mpi.call.by.MPI_Init_thread(NULL, NULL, MPI_THREAD_SERIALIZED, &threads);
        if (error != MPI_SUCCESS) return vg_fail(VG_ERR_PEER, "MPI_Init_thread: %s", error_text(error));
        mpi.ours = true;
        mpi.call.by.MPI_Comm_set_errhandler(world(),
                                            (MPI_Errhandler)(void *)mpi.call.by.ompi_mpi_errors_return);
    } else {
        mpi.call.by.MPI_Query_thread(&threads);
    }
    /* what this program began is called by one thread; what another began has its caller as well */
    if (threads < (mpi.ours ? MPI_THREAD_FUNNELED : MPI_THREAD_SERIALIZED))
        return vg_fail(VG_ERR_UNSUPPORTED, "%s is not made for calls from a thread of the library's",
                       mpi.version);
    mpi.call.by.MPI_Comm_rank(world(), &rank);
    mpi.call.by.MPI_Comm_size(world(), &size);
    if (rank != place->rank || size != place->size)
        return vg_fail(
            VG_ERR_CONFIG,
            "%s (%s) says that this is rank %d of %d, and mpirun says rank %d of %d: the library is not "
            "that of this mpirun. Name the right one's folder in VAGUS_MPI_LIBRARIES, or take "
            "transport tcp",
            mpi.version, mpi.library.path, rank, size, place->rank, place->size);
    return VG_OK;
}

/* ---- Where rank 0 is ---- */

enum { ADDRESSES = 12 };

/* What rank 0 tells the others: where it may be reached, by name and by the numbers of its interfaces. */
typedef struct invitation {
    int32_t port, count;
    char address[ADDRESSES][256];
} invitation;

static void list_addresses(invitation *out)
{
    struct ifaddrs *all = NULL;
    if (getifaddrs(&all)) return;
    for (const struct ifaddrs *i = all; i && out->count < ADDRESSES; i = i->ifa_next) {
        if (!i->ifa_addr || (i->ifa_flags & IFF_LOOPBACK) || !(i->ifa_flags & IFF_UP)) continue;
        const int family = i->ifa_addr->sa_family;
        const socklen_t size = family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
        char *to = out->address[out->count];
        if (family != AF_INET && family != AF_INET6) continue;
        if (getnameinfo(i->ifa_addr, size, to, sizeof out->address[0], NULL, 0, NI_NUMERICHOST)) continue;
        if (!strchr(to, '%')) out->count++; /* an address of one link means nothing elsewhere */
    }
    freeifaddrs(all);
}

/* A host may have several interfaces, of which only some lead here (a container's bridge has the same address
 * on every host): the first that answers at rank 0's port is taken. What answers is asked by the watch who it
 * is. */
static void choose_address(vg_place *place, const invitation *told)
{
    memcpy(place->master, told->address[0], sizeof place->master);
    place->port = told->port;
    place->ports = 1;
    for (int i = 0; i < told->count && i < ADDRESSES && place->rank > 0; i++) {
        int wire;
        if (vg__wire_connect(told->address[i], told->port, vg__wire_now() + 3, -1, &wire) != VG__WIRE_DONE)
            continue;
        vg__wire_close(&wire);
        memcpy(place->master, told->address[i], sizeof place->master);
        return;
    }
}

static vg_status invite(vg_group *group)
{
    vg_place *place = &group->place;
    invitation told = {.count = 1};
    MPI_Request request;
    if (place->rank == 0) {
        VG_TRY(vg__watch_listen(place));
        memcpy(told.address[0], place->master, sizeof told.address[0]);
        told.port = place->port;
        if (place->local_size != place->size) list_addresses(&told);
    }
    const int error = mpi.call.by.MPI_Ibcast(
        &told, sizeof told, (MPI_Datatype)(void *)mpi.call.by.ompi_mpi_byte, 0, mpi.comm, &request);
    const vg_status status = finish(group, "the meeting of the ranks", error, &request);
    if (status == VG_OK) choose_address(place, &told);
    if (status != VG_OK) vg__wire_close(&place->listener);
    return status;
}

static vg_status meet(vg_group *group)
{
    char text[512];
    VG_TRY(find(text, sizeof text));
    VG_TRY(begin(group));
    const int error = mpi.call.by.MPI_Comm_dup(world(), &mpi.comm);
    if (error != MPI_SUCCESS) return vg_fail(VG_ERR_PEER, "MPI_Comm_dup: %s", error_text(error));
    mpi.call.by.MPI_Comm_set_errhandler(mpi.comm, (MPI_Errhandler)(void *)mpi.call.by.ompi_mpi_errors_return);
    mpi.used = true;
    return *group->place.master ? VG_OK : invite(group);
}

/* All has happened in meet(), which is all that is called where another kind carries the arrays. */
static vg_status open_group(vg_group *group)
{
    (void)group;
    return VG_OK;
}

static void close_group(vg_group *group)
{
    if (!mpi.used) return;
    mpi.used = false;
    if (!group->good) return; /* both calls wait for the others */
    if (mpi.ours)
        mpi.call.by.MPI_Finalize();
    else
        mpi.call.by.MPI_Comm_free(&mpi.comm);
}

/* ---- Collectives ---- */

static MPI_Datatype type_of(vg_dtype type)
{
    if (type == VG_F32) return (MPI_Datatype)(void *)mpi.call.by.ompi_mpi_float;
    if (type == VG_F64) return (MPI_Datatype)(void *)mpi.call.by.ompi_mpi_double;
    if (type == VG_I64) return (MPI_Datatype)(void *)mpi.call.by.ompi_mpi_int64_t;
    return (MPI_Datatype)(void *)mpi.call.by.ompi_mpi_uint16_t; /* BF16 is only moved */
}

/* One call for `count` elements at `at`, few enough for an int. Pieces of ranks are `at` and those behind it;
 * `root` says whose piece it is where there is but one. */
typedef int (*one_call)(char *at, int count, MPI_Datatype type, int root, MPI_Request *request);

static MPI_Op sum(void)
{
    return (MPI_Op)(void *)mpi.call.by.ompi_mpi_op_sum;
}
static int all_reduce(char *at, int count, MPI_Datatype type, int root, MPI_Request *request)
{
    (void)root;
    return mpi.call.by.MPI_Iallreduce(MPI_IN_PLACE, at, count, type, sum(), mpi.comm, request);
}
static int broadcast(char *at, int count, MPI_Datatype type, int root, MPI_Request *request)
{
    return mpi.call.by.MPI_Ibcast(at, count, type, root, mpi.comm, request);
}
static int all_gather(char *at, int count, MPI_Datatype type, int root, MPI_Request *request)
{
    (void)root;
    return mpi.call.by.MPI_Iallgather(MPI_IN_PLACE, 0, type, at, count, type, mpi.comm, request);
}

/* Calls under way, a circle; the library sees to all of them while the oldest is asked for. */
enum { AT_ONCE = 2 };
typedef struct turns {
    vg_group *group;
    const vg__collective *collective;
    MPI_Request under_way[AT_ONCE];
    int first, count;
    char doing[160];
} turns;

static vg_status wait_for_oldest(turns *t)
{
    MPI_Request *oldest = &t->under_way[t->first];
    t->first = (t->first + 1) % AT_ONCE;
    t->count--;
    return finish(t->group, t->doing, MPI_SUCCESS, oldest);
}

/* `count` elements by as many calls as it takes with `most` each. */
static vg_status in_turns(turns *t, one_call call, char *at, int64_t count, int64_t most, int root)
{
    const vg_dtype type = t->collective->type;
    for (int64_t i = 0; i < count; i += most) {
        if (t->count == AT_ONCE) VG_TRY(wait_for_oldest(t));
        MPI_Request *request = &t->under_way[(t->first + t->count) % AT_ONCE];
        const int error = call(at + i * (int64_t)vg_dtype_size(type),
                               (int)(count - i < most ? count - i : most), type_of(type), root, request);
        if (error != MPI_SUCCESS) return finish(t->group, t->doing, error, request);
        t->count++;
    }
    return VG_OK;
}

/* Sums go by calls of so many bytes for each rank: Open MPI 4's MPI_Iallreduce takes a buffer of the array's
 * size each time, and 16 MiB between two ranks took 4.3 ms by pieces of 512 KiB and 8.5 ms in one call
 * (2026-11, two cores of a busy AMD EPYC). */
enum { SUM_BYTES = 256 << 10 };

/* A reduce-scatter is an all-reduce of the whole, of which the others' pieces are undefined, and has its
 * bits: MPI_Ireduce_scatter_block, which adds up at rank 0, took four times as long there. */
static vg_status run(vg_group *group, const vg__collective *c)
{
    turns t = {.group = group, .collective = c};
    vg_status status = VG_OK;
    char *array = c->array;
    const int size = group->place.size;
    const int64_t element = (int64_t)vg_dtype_size(c->type), most = vg__mpi_most;
    const int64_t share = (int64_t)SUM_BYTES * size / element, some = share < most ? share : most;
    vg__collective_place(c, t.doing);
    switch (c->kind) {
    case VG__ALL_REDUCE:
        status = in_turns(&t, all_reduce, array, c->count, some, 0);
        break;
    case VG__REDUCE_SCATTER:
        status = in_turns(&t, all_reduce, array, size * c->count, some, 0);
        break;
    case VG__ALL_GATHER:
        if (c->count <= most) {
            status = in_turns(&t, all_gather, array, c->count, most, 0);
            break;
        }
        /* pieces that are cut do not lie together: rank after rank */
        for (int r = 0; r < size && status == VG_OK; r++)
            status = in_turns(&t, broadcast, array + r * c->count * element, c->count, most, r);
        break;
    case VG__BROADCAST:
        status = in_turns(&t, broadcast, array, c->count, most, 0);
        break;
    }
    while (status == VG_OK && t.count > 0) status = wait_for_oldest(&t);
    return status;
}

/* For a benchmark: what the library alone takes. */
static vg_status raw(vg_group *group, float *array, int64_t count, int64_t calls)
{
    (void)group;
    if (count > vg__mpi_most)
        return vg_fail(VG_ERR_UNSUPPORTED, "one call of MPI takes %lld elements at most",
                       (long long)vg__mpi_most);
    for (int64_t i = 0; i < calls; i++) {
        const int error =
            mpi.call.by.MPI_Allreduce(MPI_IN_PLACE, array, (int)count, type_of(VG_F32), sum(), mpi.comm);
        if (error != MPI_SUCCESS) return vg_fail(VG_ERR_PEER, "MPI_Allreduce: %s", error_text(error));
    }
    return VG_OK;
}

const vg__kind vg__kind_mpi = {
    .name = "mpi",
    .find = find,
    .meet = meet,
    .open = open_group,
    .close = close_group,
    .run = run,
    .raw = raw,
};
