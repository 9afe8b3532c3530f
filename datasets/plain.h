/* The plain copy of a store's signal: its floats one after another in a file that can be mapped into memory,
 * for a store that is larger than the memory. The kernel then brings pages in as they are read and lets them
 * go, and the ranks of one machine share them. Internal to datasets/. */
#ifndef VAGUS_DATASETS_PLAIN_H
#define VAGUS_DATASETS_PLAIN_H

#include <stdbool.h>

#include "datasets/store.h"

/* In front of the samples, and what a file's size is a multiple of: at least a page on every machine. */
enum { VG__PLAIN_BLOCK = 65536 };

typedef struct vg__plain {
    int file;   /* open for reading; the caller's to close; -1: none */
    bool fresh; /* written by this call */
    char *path; /* the caller's to free */
} vg__plain;

/* Samples of `store` with those that fill its copy up to whole blocks. */
int64_t vg__plain_samples(const vg_store *store);

/* Opens the copy of `store`, which is made first where there is none: in the folder VAGUS_CACHE, or beside
 * the store without that variable. Its name holds the store's name and a hash of its recordings'
 * fingerprints, which its first block repeats; copies of what the store was before are removed. Processes
 * that need the same copy wait for the one that writes it. Samples are not compared here: whoever maps them
 * does, by the recordings' fingerprints. ERR_IO says how much room is needed and how to have it elsewhere;
 * ERR_PREEMPTED when the program is asked to stop meanwhile. */
VG_NODISCARD vg_status vg__plain_open(vg_store *store, vg__plain *out);

/* Removes a copy whose samples were found wrong, unless another process has replaced it already. */
void vg__plain_remove(const vg__plain *plain);

/* Closes and frees; all zero but `file` -1 is fine. */
void vg__plain_close(vg__plain *plain);

#endif
