/* Naive stand-ins for cuBLASLt and cuDNN behind the project's wrappers (core/library.h): plain loops
 * on emulated device memory, run when the stream comes to them. They refuse what the real libraries refuse
 * (a leading dimension shorter than a row, an attribute of the wrong size, a descriptor that was not
 * finalised, an address less aligned than promised, a workspace that is too small) and some of what those
 * would only read past, and they count what is held. What the documentation leaves open they refuse too. */
#ifndef VAGUS_TESTS_CUDA_STAND_INS_H
#define VAGUS_TESTS_CUDA_STAND_INS_H

#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Counts since the program began, and moods. */
typedef struct stand_in {
    int opened, held;          /* libraries started; descriptors and handles held now */
    int plans, products;       /* heuristics asked, products queued */
    bool broken, refusing;     /* from now on: the library does not start; the heuristic knows no way */
    bool wrong;                /* products come out wrong by a tenth */
    double ms;                 /* emulated time of a product; a kernel's is 1 */
    const char *first_refusal; /* why the first call was refused, NULL if none was */
} stand_in;

extern stand_in stand_in_cublaslt, stand_in_cudnn;

/* From now on the libraries are these, or, removed, not there at all. */
void stand_ins_install(void);
void stand_ins_remove(void);

#ifdef __cplusplus
}
#endif
#endif
