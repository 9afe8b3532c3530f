/* Items and the group each belongs to, in the order that brings a group together. Private to evaluation/. */
#ifndef VAGUS_RUNNER_EVALUATION_GROUPS_H
#define VAGUS_RUNNER_EVALUATION_GROUPS_H

#include <stdint.h>

typedef struct member {
    int64_t group, item;
} member;

/* For qsort(): by group, then by item, so that the order is the same everywhere. */
static inline int by_group(const void *left, const void *right)
{
    const member *a = left, *b = right;
    if (a->group != b->group) return a->group < b->group ? -1 : 1;
    return (a->item > b->item) - (a->item < b->item);
}

#endif
