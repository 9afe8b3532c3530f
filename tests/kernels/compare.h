/* How the kernel tests compare numbers and catch stray writes. Everything here is itself tested by
 * test_compare.c, since a comparison that always passes would make the whole room green. */
#ifndef VAGUS_TESTS_KERNELS_COMPARE_H
#define VAGUS_TESTS_KERNELS_COMPARE_H

#include <stdbool.h>
#include <stddef.h>

#include "core/device.h"

/* Two vectors side by side. Every member is NaN when anything in either vector is not finite, and when there
 * is nothing to compare, so that a claim written as `error <= bound` is false then. */
typedef struct comparison {
    double norm_error; /* Euclidean norm of got - want */
    double max_error;
    double norm; /* of want */
    double max;
} comparison;

comparison compare(const double *got, size_t got_count, const double *want, size_t want_count);

/* Is got near want, by norm and by the largest element, relative to want's? */
bool compare_close(const double *got, size_t got_count, const double *want, size_t want_count,
                   double tolerance);

/* A block of device memory between two guards. Guards are bytes of 0xff: not-a-number to whoever reads them
 * as a float, and a change is seen to whoever writes. */
typedef struct guarded {
    vg_device *device;
    void *memory, *data;
    unsigned char *image; /* what was put there: guard, data, guard */
    size_t bytes;
} guarded;

/* `content` NULL: the data starts as 0xff too, so that an element nobody wrote stands out. */
guarded guarded_make(vg_device *device, const void *content, size_t bytes);
void guarded_free(guarded *block);

/* Copies the data out (NULL: do not) and tells whether both guards stand. */
bool guarded_read(const guarded *block, void *out);

/* Is the data still what was put there? */
bool guarded_unchanged(const guarded *block);

#endif
