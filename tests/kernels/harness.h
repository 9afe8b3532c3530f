/* Runs any operation of kernels.def on any backend from one set of arguments, and judges the result.
 *
 * A case builds the arguments of an operation in double on the host: a "template", which `ref` could be
 * called with as it stands. For every run the harness makes a copy with guarded device buffers of the wanted
 * type, calls the operation, looks at guards and inputs, and reads the outputs as doubles. What each argument
 * is (read, written, added to) stands once, in the lists of harness.c. */
#ifndef VAGUS_TESTS_KERNELS_HARNESS_H
#define VAGUS_TESTS_KERNELS_HARNESS_H

#include <stdlib.h>

#include "kernels/kernels.h"
#include "tests/support/support.h"

/* Under a sanitizer everything is ten times slower or more; the grids get shorter. A tool that runs the
 * program as it is (NVIDIA's compute-sanitizer) asks for that with VAGUS_TEST_REDUCED=1. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define HARNESS_REDUCED true
#else
#define HARNESS_REDUCED (getenv("VAGUS_TEST_REDUCED") != NULL)
#endif

extern vg_device *harness_device; /* host, where templates live */
extern vg_kernels *harness_ref;

/* A backend to be judged. */
typedef struct harness_backend {
    vg_kernels *kernels; /* its entries may be NULL: such an operation is not judged */
    vg_dtype type;       /* of the activations: F32 or BF16 */
    bool tf32;           /* F32, but products round their factors to tf32: they are allowed that much more */
    int orders; /* run so many times more, each after set_order(0, 1, ...): the bits must be the same */
    void (*set_order)(int order);
} harness_backend;

/* Opens the backends to judge, which harness_teardown() destroys, and returns how many there are. The
 * harness's own gives those of the registry; it is weak, so a program may bring another (tests/cuda). */
int harness_open(harness_backend *out, int most);

/* Does any of them serve this operation? */
bool harness_serves(vg_kernel_id id);

/* Group setup and teardown for cmocka: the device, `ref`, one line on seed and grid. */
int harness_setup(void **state);
int harness_teardown(void **state);

/* Memory of templates: all of it is given back by harness_clear(), which every case calls at its end. */
void *harness_memory(size_t bytes);
void harness_clear(void);

extern vg_random harness_random; /* from support_seed() */

/* F64 tensors of a template. Values are rounded to float so that a backend of either type sees the same. */
vg_tensor normal(double mean, double deviation, int rank, const int64_t *dims);
vg_tensor zeros(int rank, const int64_t *dims);
vg_tensor empty_like(vg_tensor tensor, vg_dtype dtype); /* zeros of another type */
void to_float(vg_tensor tensor);                        /* rounds in place */
vg_tensor segments(int64_t B);                          /* distinct numbers, (B) I64 */

/* A dropout over B segments with its own site and epoch; NULL for probability 0 every other time, so that
 * both ways of saying "none" are used. */
const vg_dropout *dropout_of(double probability, int64_t B);
const vg_dropout *dropout_for(double probability, vg_tensor numbers);

/* Calls table entry `id` with arguments of its type. */
vg_status harness_call(vg_kernels *kernels, vg_kernel_id id, const void *args);

/* Runs the template on ref (double), on the plain float twin and on every backend of every device, each twice
 * and with 1 and 2 threads, and fails the test when an output is outside the tolerance, a guard or an input
 * is changed, or two runs differ. `label` goes into the message. */
void harness_check(vg_kernel_id id, const void *args, const char *label);

/* Cases whose arguments were spoilt one by one, and refused. */
int harness_refusals(vg_kernel_id id);

/* One line for each backend: how near it came to its tolerance. */
void harness_summary(void);

#endif
