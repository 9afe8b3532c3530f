/* A stand-in for NCCL between processes of one machine, behind core/group/nccl.c (core/library.h), for
 * emulated GPUs. A collective runs when its stream comes to it and waits, as the real one does, until all
 * ranks have come to theirs: for ever when one does not, until the communicator is aborted. Sums are taken in
 * the order of ranks. It refuses what NCCL refuses (two ranks on one GPU, a call while the last one is in
 * progress) and some of what NCCL would only suffer: addresses that are not the device's, pointers that
 * overlap and are not in place by its rules, ranks that are not at the same collective. As the real one it
 * does not give a communicator back while there is a graph with a collective of it.
 *
 * Ranks meet at a socket that vanishes with rank 0's process, and share memory that no name is left of. */
#ifndef VAGUS_TESTS_CUDA_STAND_IN_NCCL_H
#define VAGUS_TESTS_CUDA_STAND_IN_NCCL_H

#ifdef __cplusplus
extern "C" {
#endif

/* Counts since the program began, and moods. EMULATED_NCCL=error:1:40 in the environment makes rank 1's
 * communicator fail as its 40th collective begins (hang: it never ends). */
typedef struct stand_in_nccl {
    int held;                       /* communicators */
    int collectives;                /* begun */
    int aborted, destroyed, waited; /* for a graph to be given back */
    int version;
    int error_at, hang_at;     /* 0: never */
    const char *first_refusal; /* NULL if there was none */
} stand_in_nccl;
extern stand_in_nccl stand_in_nccl_state;

void stand_in_nccl_install(void);
void stand_in_nccl_remove(void);

#ifdef __cplusplus
}
#endif
#endif
