/* The machine that the emulator pretends to be, and its moods, for tests in C. */
#ifndef VAGUS_TESTS_CUDA_MACHINE_H
#define VAGUS_TESTS_CUDA_MACHINE_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Changed by a test while no device is open. At first: one GPU of compute capability 9.0 and the driver of
 * CUDART_VERSION, or what the environment says: EMULATED_DRIVER=12040 EMULATED_GPUS=0 EMULATED_COMPUTE=75
 * EMULATED_MEMORY=64 (MiB), for tests of the whole program; and EMULATED_ORDER=7, see below. */
typedef struct emulated_machine {
    int driver;  /* the CUDA version it knows, 12040 for 12.4; 0: there is no driver */
    int gpus;    /* all alike, and all with the same memory */
    int compute; /* 10 * major + minor */
    size_t memory;
} emulated_machine;
emulated_machine *emulated_machine_settings(void);

/* Bytes of device memory and of page-locked host memory, streams and events that are held now. */
typedef struct emulated_held {
    size_t device, pinned;
    int streams, events;
} emulated_held;
emulated_held emulated_machine_held(void);

/* The order of threads, blocks and streams from now on: 0 as numbered, else a random one. */
void emulated_set_order(uint64_t order);

/* What went wrong on the emulated device, "" if nothing did; then forgotten. */
const char *emulated_take_failure(void);

#ifdef __cplusplus
}
#endif
#endif
