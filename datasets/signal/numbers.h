/* Sums, extremes and medians of long rows of numbers. Sums run in LANES interleaved parts that are added at
 * the end, so that a processor may take several samples at once; the parts are the same on every processor,
 * and so are the bits. Internal to datasets/. */
#ifndef VAGUS_DATASETS_SIGNAL_NUMBERS_H
#define VAGUS_DATASETS_SIGNAL_NUMBERS_H

#include <stdbool.h>
#include <stdint.h>

/* The lowest and the highest of x[0..n). True when all are finite; else both are those of the finite ones
 * (INFINITY and -INFINITY when there are none). */
bool vg__range(const double *x, int64_t n, double *low, double *high);

double vg__sum(const double *x, int64_t n);

/* The sum of the products. */
double vg__dot(const double *x, const double *y, int64_t n);

/* Puts the sum of all up to x[i] and of `before` in the place of each x[i]; returns the last. */
double vg__running_sums(double *x, int64_t n, double before);

/* The sums of the second and fourth powers of the finite samples' distances from their mean; returns how many
 * these are. */
int64_t vg__moments(const double *x, int64_t n, double *second, double *fourth);

/* Puts x[0..n) into an order in which the k-th smallest stands at k, nothing larger before and nothing
 * smaller behind it, and returns it. NaN must not be among them. */
double vg__select(double *x, int64_t n, int64_t k);

/* The median, of an even number the mean of the two in the middle; 0 for none. Reorders x. */
double vg__median(double *x, int64_t n);

#endif
