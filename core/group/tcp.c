/* Kind tcp: collectives round a ring of sockets. An array is cut into as many pieces as there are ranks.
 * First each piece travels once round the ring and every rank adds its own to it (reduce-scatter: piece r
 * ends at rank r), then the sums travel round (all-gather). What a rank receives at one stage it sends at the
 * next, so all of it is one stream in and one stream out, and a byte may go out as soon as it has come in and
 * been added: nobody waits for whole pieces. A rank overwrites an element only with a sum in which its own is
 * contained, so never before it has sent it.
 *
 * The order of a sum follows from the piece: the rank behind its owner begins, the owner adds last. Small
 * arrays go round whole, once, and every rank adds them up in the order of ranks. */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/group/ring.h"
#include "core/group/worker.h"

enum { SMALL = 4096, CHUNK = 128 << 10, MOST_AT_ONCE = 256 << 10, LOOK_MS = 50 }; /* bytes; milliseconds */

typedef struct carrier {
    vg__ring ring;
    int64_t sequence; /* collectives so far */
    char *scratch;    /* what has come and is to be added; small arrays of all ranks */
} carrier;

/* Goes ahead of every collective in each direction: two ranks that are not at the same one learn so at once.
 */
typedef struct header {
    int64_t sequence, count, step, number;
    int32_t kind, type;
    char what[48];
} header;

typedef struct span {
    char *bytes;
    int64_t count; /* of bytes */
} span;

/* A stream: so many pieces, and how far it has come. */
typedef struct stream {
    int piece, pieces; /* the next piece's place in order; all */
    int64_t done;      /* bytes of it */
    int64_t head;      /* bytes of the header */
} stream;

typedef struct flow {
    vg_group *group;
    carrier *c;
    const vg__collective *collective;
    header mine, theirs;
    char *array;
    int64_t count, element; /* elements of the array, or of each piece; bytes of one */
    bool cut;               /* the array is one and cut into pieces, not pieces of count elements */
    int first;              /* the piece sent first; each next one is the one before it in the array */
    int lag;                /* a piece goes out so many pieces after it has come in */
    int adds;               /* so many of the first pieces that come in are added, the others put in place */
    int64_t held;           /* bytes of a piece to be added that wait in scratch */
    stream out, in;
} flow;

/* ---- Sums ---- */

static void add_f32(float *restrict to, const float *restrict from, int64_t n)
{
    for (int64_t i = 0; i < n; i++) to[i] += from[i];
}
static void add_f64(double *restrict to, const double *restrict from, int64_t n)
{
    for (int64_t i = 0; i < n; i++) to[i] += from[i];
}
static void add_i64(uint64_t *restrict to, const uint64_t *restrict from, int64_t n)
{
    for (int64_t i = 0; i < n; i++) to[i] += from[i];
}

static void add(void *to, const void *from, int64_t count, vg_dtype type)
{
    if (type == VG_F32)
        add_f32(to, from, count);
    else if (type == VG_F64)
        add_f64(to, from, count);
    else
        add_i64(to, from, count);
}

/* ---- The streams ---- */

/* The piece `order` places after the first one sent. The one that comes in as number k goes out as k + 1. */
static span piece_at(const flow *f, int order)
{
    const int size = f->group->place.size;
    const int64_t p = ((f->first - order) % size + size) % size;
    int64_t first = p * f->count, count = f->count;
    if (f->cut) {
        const int64_t share = f->count / size, longer = f->count % size;
        first = p * share + (p < longer ? p : longer);
        count = share + (p < longer);
    }
    return (span){f->array + first * f->element, count * f->element};
}

static bool is_over(const stream *s)
{
    return s->head == (int64_t)sizeof(header) && s->piece == s->pieces;
}

static void step_on(const flow *f, stream *s, int shift)
{
    while (s->piece < s->pieces && s->done == piece_at(f, s->piece + shift).count) s->piece++, s->done = 0;
}

/* Bytes of the next piece to go out that are there already. */
static int64_t ready(const flow *f)
{
    if (f->out.piece >= f->out.pieces) return 0;
    const int came_as = f->out.piece - f->lag;
    int64_t there = piece_at(f, f->out.piece).count;
    if (came_as >= 0 && f->in.pieces > 0) {
        if (f->in.piece < came_as) there = 0;
        if (f->in.piece == came_as) there = f->in.done;
    }
    return there - f->out.done;
}

static vg__wire_end send_more(flow *f, int64_t *moved)
{
    *moved = 0;
    const int wire = f->c->ring.next;
    if (f->out.head < (int64_t)sizeof f->mine) {
        const char *at = (const char *)&f->mine + f->out.head;
        const vg__wire_end end = vg__wire_send_some(wire, at, (int64_t)sizeof f->mine - f->out.head, moved);
        f->out.head += *moved;
        return end;
    }
    int64_t count = ready(f);
    if (count <= 0) return VG__WIRE_DONE;
    if (count > MOST_AT_ONCE) count = MOST_AT_ONCE;
    const vg__wire_end end =
        vg__wire_send_some(wire, piece_at(f, f->out.piece).bytes + f->out.done, count, moved);
    f->out.done += *moved;
    step_on(f, &f->out, 0);
    return end;
}

static vg__wire_end receive_more(flow *f, int64_t *moved)
{
    *moved = 0;
    const int wire = f->c->ring.previous;
    if (f->in.head < (int64_t)sizeof f->theirs) {
        char *at = (char *)&f->theirs + f->in.head;
        const vg__wire_end end =
            vg__wire_receive_some(wire, at, (int64_t)sizeof f->theirs - f->in.head, moved);
        f->in.head += *moved;
        return end;
    }
    if (f->in.piece >= f->in.pieces) return VG__WIRE_DONE;
    const span to = piece_at(f, f->in.piece + 1 - (f->lag == 0));
    char *at = to.bytes + f->in.done;
    int64_t left = to.count - f->in.done;
    vg__wire_end end;
    if (f->in.piece >= f->adds) {
        end = vg__wire_receive_some(wire, at, left < MOST_AT_ONCE ? left : MOST_AT_ONCE, moved);
        f->in.done += *moved;
    } else {
        char *scratch = f->c->scratch;
        if (left > CHUNK) left = CHUNK;
        end = vg__wire_receive_some(wire, scratch + f->held, left - f->held, moved);
        const int64_t whole = (f->held + *moved) / f->element;
        const int64_t bytes = whole * f->element;
        add(at, scratch, whole, f->collective->type);
        f->held += *moved - bytes;
        memmove(scratch, scratch + bytes, (size_t)f->held); /* less than an element */
        f->in.done += bytes;
    }
    step_on(f, &f->in, 1 - (f->lag == 0));
    return end;
}

static vg_status compare(const flow *f)
{
    const header *mine = &f->mine, *theirs = &f->theirs;
    if (mine->sequence == theirs->sequence && mine->kind == theirs->kind && mine->type == theirs->type &&
        mine->count == theirs->count)
        return VG_OK;
    char what[sizeof theirs->what], name[96], doing[160], how[400];
    snprintf(what, sizeof what, "%.*s", (int)sizeof what - 1, theirs->what);
    const vg__collective other = {.kind = (vg__collective_kind)theirs->kind, .what = what};
    vg__collective_name(&other, name);
    vg__collective_place(f->collective, doing);
    snprintf(
        how, sizeof how,
        "it makes another collective: %s, %lld elements of type %s, its number %lld (step %lld, collective "
        "%lld), where this rank has %lld elements of type %s, number %lld. All ranks must make the same "
        "calls",
        name, (long long)theirs->count, vg_dtype_name((vg_dtype)theirs->type), (long long)theirs->sequence,
        (long long)theirs->step, (long long)theirs->number, (long long)mine->count,
        vg_dtype_name((vg_dtype)mine->type), (long long)mine->sequence);
    return vg__watch_blame(f->group->watch, vg__ring_previous(f->group), doing, how);
}

static vg_status wait_a_little(flow *f, double moved)
{
    struct pollfd polled[3] = {
        {.fd = is_over(&f->in) ? -1 : f->c->ring.previous, .events = POLLIN},
        {.fd = f->out.head < (int64_t)sizeof f->mine || ready(f) > 0 ? f->c->ring.next : -1,
         .events = POLLOUT},
        {.fd = vg__watch_alarm(f->group->watch), .events = POLLIN}};
    poll(polled, 3, LOOK_MS);
    VG_TRY(vg__worker_look(f->group));
    if (vg__wire_now() - moved <= vg__worker_limit(f->group)) return VG_OK;
    char doing[160];
    vg__collective_place(f->collective, doing);
    return vg__watch_late(f->group->watch, doing);
}

static vg_status broken(flow *f, int rank, vg__wire_end end)
{
    char doing[160];
    vg__collective_place(f->collective, doing);
    return vg__ring_broken(f->group, rank, doing, end);
}

/* Both streams to their ends. */
static vg_status run_flow(flow *f)
{
    double moved = vg__wire_now();
    int turns = 0;
    step_on(f, &f->out, 0);
    step_on(f, &f->in, 1 - (f->lag == 0));
    while (!is_over(&f->out) || !is_over(&f->in)) {
        int64_t sent, received;
        const bool checked = f->in.head == (int64_t)sizeof f->theirs;
        const vg__wire_end out = send_more(f, &sent);
        if (out != VG__WIRE_DONE) return broken(f, vg__ring_next(f->group), out);
        const vg__wire_end in = receive_more(f, &received);
        if (!checked && f->in.head == (int64_t)sizeof f->theirs) VG_TRY(compare(f));
        if (in != VG__WIRE_DONE) return broken(f, vg__ring_previous(f->group), in);
        if (sent + received == 0) {
            VG_TRY(wait_a_little(f, moved));
        } else {
            moved = vg__wire_now();
            if (++turns % 64 == 0)
                VG_TRY(vg__worker_look(f->group)); /* it may go on for long without a wait */
        }
    }
    return VG_OK;
}

/* ---- The collectives ---- */

/* Every rank's array goes round whole; each adds them up in the order of ranks. */
static vg_status run_small(flow *f)
{
    const int size = f->group->place.size, rank = f->group->place.rank;
    const int64_t count = f->cut ? f->count : size * f->count;
    char *array = f->array;
    const int64_t bytes = count * f->element;
    f->array = f->c->scratch;
    f->count = count;
    f->cut = false;
    f->first = rank;
    f->adds = 0;
    f->out.pieces = f->in.pieces = size - 1;
    memcpy(f->array + rank * bytes, array, (size_t)bytes);
    VG_TRY(run_flow(f));
    memcpy(array, f->array, (size_t)bytes);
    for (int i = 1; i < size; i++) add(array, f->array + i * bytes, count, f->collective->type);
    return VG_OK;
}

static vg_status run(vg_group *group, const vg__collective *collective)
{
    carrier *c = group->carrier;
    const int size = group->place.size, rank = group->place.rank, others = size - 1;
    flow f = {.group = group,
              .c = c,
              .collective = collective,
              .mine = {.sequence = ++c->sequence,
                       .count = collective->count,
                       .step = collective->step,
                       .number = collective->number,
                       .kind = (int32_t)collective->kind,
                       .type = (int32_t)collective->type},
              .array = collective->array,
              .count = collective->count,
              .element = (int64_t)vg_dtype_size(collective->type),
              .lag = 1};
    snprintf(f.mine.what, sizeof f.mine.what, "%s", collective->what);
    switch (collective->kind) {
    case VG__ALL_REDUCE:
        f.cut = true;
        f.first = rank - 1;
        f.adds = others;
        f.out.pieces = f.in.pieces = 2 * others;
        return f.count * f.element <= SMALL ? run_small(&f) : run_flow(&f);
    case VG__REDUCE_SCATTER:
        f.first = rank - 1;
        f.adds = others;
        f.out.pieces = f.in.pieces = others;
        return f.count <= SMALL / f.element / size ? run_small(&f) : run_flow(&f);
    case VG__ALL_GATHER:
        f.first = rank;
        f.out.pieces = f.in.pieces = others;
        return run_flow(&f);
    case VG__BROADCAST: /* one piece that goes from rank 0 to the last one, sent on while it comes */
        f.lag = 0;
        f.out.pieces = rank < others;
        f.in.pieces = rank > 0;
        return run_flow(&f);
    }
    VG_ASSERT(!"a kind of collective");
    return VG_OK;
}

static vg_status meet(vg_group *group)
{
    carrier *c = calloc(1, sizeof *c);
    if (!c) return vg_fail(VG_ERR_MEMORY, "no memory for a ring of %d ranks", group->place.size);
    group->carrier = c;
    return vg__ring_listen(&c->ring, &group->port);
}

static vg_status open_ring(vg_group *group)
{
    carrier *c = group->carrier;
    const size_t small = (size_t)group->place.size * SMALL, bytes = small > CHUNK ? small : CHUNK;
    c->scratch = aligned_alloc(256, bytes);
    if (!c->scratch)
        return vg_fail(VG_ERR_MEMORY, "no memory to receive from other ranks (%zu bytes)", bytes);
    return vg__ring_open(&c->ring, group);
}

static void close_ring(vg_group *group)
{
    carrier *c = group->carrier;
    if (!c) return;
    vg__ring_close(&c->ring);
    free(c->scratch);
    free(c);
    group->carrier = NULL;
}

const vg__kind vg__kind_tcp = {
    .name = "tcp",
    .meet = meet,
    .open = open_ring,
    .close = close_ring,
    .run = run,
};
