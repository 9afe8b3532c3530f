/* How the sections of several filters lie side by side in vectors: what filter_run.c runs. Internal to
 * signal/. */
#ifndef VAGUS_DATASETS_SIGNAL_FILTER_LAYOUT_H
#define VAGUS_DATASETS_SIGNAL_FILTER_LAYOUT_H

#include "datasets/signal/filter.h"
#include "datasets/signal/lanes.h"

/* In a step lane 0 of a group takes what comes in and the others what their neighbour made; with two filters
 * in the group (HALVES) the middle lane takes what comes in too. As __builtin_shuffle() counts: the group's
 * lanes, then those of what comes in. */
#if defined __AVX512F__
#define ALONG                                                                                                \
    {                                                                                                        \
        LANES, 0, 1, 2, 3, 4, 5, 6                                                                           \
    }
#define HALVES                                                                                               \
    {                                                                                                        \
        LANES, 0, 1, 2, LANES + 4, 4, 5, 6                                                                   \
    }
#elif defined __AVX2__
#define ALONG                                                                                                \
    {                                                                                                        \
        LANES, 0, 1, 2                                                                                       \
    }
#define HALVES                                                                                               \
    {                                                                                                        \
        LANES, 0, LANES + 2, 2                                                                               \
    }
#else
#define ALONG                                                                                                \
    {                                                                                                        \
        LANES, 0                                                                                             \
    }
#define HALVES ALONG /* halves are too small to share */
#endif
enum {
    HALF = LANES / 2 > 1 ? LANES / 2 : 0, /* 0: halves are too small to share */
    MOST_GROUPS = VG_FILTER_MOST_AT_ONCE * ((VG_FILTER_MAX_ORDER + LANES - 1) / LANES)
};

/* Sections side by side. `out` is what they made in the last step, `older` in the one before. */
typedef struct group {
    lanes b0, b1, b2, a1, a2, s0, s1, out, older;
} group;

/* Which lanes, counted through all groups, the filters take: first to last. Lane 0 of a group takes the
 * signal where its bit in `starts` is set, else what the group before it made; lane HALF takes the signal
 * where its bit in `halves` is set: two short filters share the group. */
typedef struct layout {
    int groups, chains;
    uint64_t starts, halves;
    int first[VG_FILTER_MOST_AT_ONCE], last[VG_FILTER_MOST_AT_ONCE];
} layout;

/* What is worth code of its own, by the sections of the filters: the two of two sections that the quality
 * measures need, alone and before a band-pass of up to 2, 4, 8, 12 or 16 sections; and such filters alone.
 * X(name, chains, sections). Where lanes are many some of them are the same. */
#define LAYOUTS(X)                                                                                           \
    X(PAIR_AND_8, 3, 2, 2, 8)                                                                                \
    X(PAIR_AND_4, 3, 2, 2, 4)                                                                                \
    X(PAIR_AND_2, 3, 2, 2, 2)                                                                                \
    X(PAIR_AND_12, 3, 2, 2, 12)                                                                              \
    X(PAIR_AND_16, 3, 2, 2, 16)                                                                              \
    X(PAIR, 2, 2, 2, 0)                                                                                      \
    X(ONLY_2, 1, 2, 0, 0)                                                                                    \
    X(ONLY_4, 1, 4, 0, 0)                                                                                    \
    X(ONLY_8, 1, 8, 0, 0)                                                                                    \
    X(ONLY_12, 1, 12, 0, 0)                                                                                  \
    X(ONLY_16, 1, 16, 0, 0)

/* A filter takes whole groups, or half of one where it fits into that. */
#define LANES_OF(sections)                                                                                   \
    ((sections) == 0 ? 0 : (sections) <= HALF ? HALF : ((sections) + LANES - 1) / LANES * LANES)

/* The bit of the group in which a filter begins at lane `at` if it follows the lane `last`. */
#define BEGINS(last, at)            (((last) + 1) % LANES == (at) ? (uint64_t)1 << (((last) + 1) / LANES) : 0)
#define FOLLOWING(chains, a, b, at) (((chains) > 1 ? BEGINS(a, at) : 0) | ((chains) > 2 ? BEGINS(b, at) : 0))
#define MAKE_LAYOUT_OF(name, chains_, a, b, c)                                                               \
    static const layout name = {.groups = ((c) + LANES) / LANES,                                             \
                                .chains = (chains_),                                                         \
                                .starts = 1 | FOLLOWING(chains_, a, b, 0),                                   \
                                .halves = HALF ? FOLLOWING(chains_, a, b, HALF) : 0,                         \
                                .first = {0, (chains_) > 1 ? (a) + 1 : 0, (chains_) > 2 ? (b) + 1 : 0},      \
                                .last = {a, (chains_) > 1 ? (b) : 0, (chains_) > 2 ? (c) : 0}};
#define MAKE_LAYOUT(name, chains, a, b, c)                                                                   \
    MAKE_LAYOUT_OF(name, chains, LANES_OF(a) - 1, LANES_OF(a) + LANES_OF(b) - 1,                             \
                   LANES_OF(a) + LANES_OF(b) + LANES_OF(c) - 1)
LAYOUTS(MAKE_LAYOUT)

#endif
