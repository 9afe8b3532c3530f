/* The inside of the watch, shared by its files: watch.c (what others call), watch_meet.c and watch_arrive.c
 * (the two sides of the meeting), watch_keep.c (the thread), watch_words.c (broadcast and gather). */
#ifndef VAGUS_CORE_GROUP_WATCH_OWN_H
#define VAGUS_CORE_GROUP_WATCH_OWN_H

#include <pthread.h>
#include <stdatomic.h>

#include "core/group/watch.h"
#include "core/group/wire.h"

enum {
    VG__PROTOCOL = 1,       /* counts changes of what is said on the connections */
    VG__CAUSE_LENGTH = 1536 /* of a cause as it travels, with its final zero */
};
#define VG__FRAME_MAGIC 0x56474652u
#define VG__FRAME_LIMIT (INT64_C(1) << 30)

/* What a rank says first. The beginning up to `protocol` stays as it is in every version. */
typedef struct vg__hello {
    char magic[8]; /* "VAGUSRUN" */
    uint32_t protocol;
    int32_t rank, size, port;
    char version[24], job[64], host[64];
} vg__hello;

typedef enum vg__frame {
    VG__FRAME_HERE = 1,  /* the meeting: be patient; bytes: which ranks are missing */
    VG__FRAME_REFUSED,   /* bytes: why; number: 1 when there is no use in trying on */
    VG__FRAME_WELCOME,   /* bytes: the members */
    VG__FRAME_BEAT,      /* bytes: a vg__beat */
    VG__FRAME_NOTICE,    /* the watch is broken, with status and cause */
    VG__FRAME_GOODBYE,   /* the sender parts, with status and cause */
    VG__FRAME_BROADCAST, /* small words; number: how many came before, what: for whom they are */
    VG__FRAME_GATHER,
} vg__frame;

/* What goes before the bytes of a frame. All ranks are of one byte order: the magic tells if not. */
typedef struct vg__header {
    uint32_t magic;
    uint16_t frame;
    int16_t status;
    int64_t count, number;
    char what[40];
} vg__header;

/* Where a rank is, and what rank 0 knows of the slowest and the furthest. */
typedef struct vg__spot {
    int64_t step, collective;
    double age; /* seconds since it was heard */
    int32_t rank, known;
} vg__spot;

typedef struct vg__beat {
    vg__spot own, slowest, furthest;
} vg__beat;

/* A frame on its way, shared by the ranks it goes to. */
typedef struct vg__parcel {
    int users;
    int64_t size; /* with the header */
    unsigned char bytes[];
} vg__parcel;

typedef struct vg__outgoing {
    struct vg__outgoing *next;
    vg__parcel *parcel;
} vg__outgoing;

typedef struct vg__word {
    struct vg__word *next;
    vg__header header;
    void *bytes; /* header.count of them and a zero behind */
} vg__word;

/* The connection to another rank: at rank 0 to each, elsewhere to rank 0. */
typedef struct vg__link {
    int wire;    /* -1: none any more */
    bool parted; /* it has said goodbye */
    bool deaf;   /* it takes nothing more; what it has said is still read */
    bool shut;   /* this side has said all */
    double heard;
    vg__spot spot;

    vg__outgoing *first, *last;
    int64_t sent; /* of the first */
    unsigned char beat[sizeof(vg__header) + sizeof(vg__beat)];
    int64_t beat_left;

    vg__header header; /* the frame that is coming in */
    int64_t got;       /* of it, with the header */
    void *bytes;       /* allocated for words only */
    char text[VG__CAUSE_LENGTH];
    vg__word *words, *words_last;
} vg__link;

struct vg__watch {
    int rank, size;
    double timeout, beat;
    vg__member *members;
    vg__link *links; /* by rank */
    pthread_t thread;
    bool thread_runs;
    int wake[2], alarm[2]; /* pipes */

    pthread_mutex_t lock; /* for all below and the links */
    pthread_cond_t changed;
    atomic_bool broken;
    vg_status status;
    char cause[VG__CAUSE_LENGTH];
    bool closing;
    double close_by;
    vg__beat told;  /* rank 0's latest beat, elsewhere */
    int64_t spoken; /* broadcasts and gathers so far */

    atomic_llong step, collective;
};

/* The ranks that this one is connected to: from the first to one before the end. */
static inline int vg__watch_first(const vg__watch *watch)
{
    return watch->rank ? 0 : 1;
}
static inline int vg__watch_end(const vg__watch *watch)
{
    return watch->rank ? 1 : watch->size;
}

/* ---- With the lock held -------------------------------------------------------------------------------- */

/* Sets status and cause unless that has happened, raises the alarm, tells all who are connected. */
void vg__watch_break(vg__watch *watch, vg_status status, const char *format, ...) VG_PRINTF(3, 4);

/* A frame with one user, the caller; NULL without memory. */
vg__parcel *vg__parcel_make(vg__frame frame, vg_status status, int64_t number, const char *what,
                            const void *bytes, int64_t count);
void vg__parcel_leave(vg__parcel *parcel);

/* Adds it to what goes to this rank; false without memory. */
bool vg__link_queue(vg__link *link, vg__parcel *parcel);
void vg__link_clear(vg__link *link);

/* Makes the thread look again. */
void vg__watch_wake(vg__watch *watch);

/* "; rank 2 (host b) is behind, at ..." as far as is known, or "". */
void vg__watch_describe(const vg__watch *watch, char *out, size_t size);

/* What rank 0 knows: the slowest and the furthest rank, itself among them. */
void vg__watch_survey(const vg__watch *watch, vg__spot *slowest, vg__spot *furthest);

/* ---- The parts ----------------------------------------------------------------------------------------- */

void *vg__watch_keep(void *watch);

/* Both fill members and links of the watch. */
vg_status vg__watch_meet(vg__watch *watch, const vg_place *place, double seconds);
vg_status vg__watch_arrive(vg__watch *watch, const vg_place *place, double seconds, int port);

void vg__hello_fill(vg__hello *hello, const vg_place *place, int port);

/* "rank 2", "ranks 2 and 5-7" of those with wanted[r] == value. */
void vg__ranks_text(const bool *wanted, bool value, int size, char *out, size_t room);

/* "0-3 (host a), 5 (host b)": those who are here, by machine. */
void vg__members_text(const vg__watch *watch, const bool *here, char *out, size_t room);

#endif
