/* What the fuzzers share. Each is a function that libFuzzer calls with bytes; whatever they are, it must come
 * back, and a failure must have told its cause. */
#ifndef VAGUS_TESTS_FUZZ_FUZZ_H
#define VAGUS_TESTS_FUZZ_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/status.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Ends the program as a finding. */
#define FUZZ_CHECK(condition)                                                                                \
    do {                                                                                                     \
        if (!(condition)) {                                                                                  \
            fprintf(stderr, "%s:%d: %s does not hold; the last cause: %s\n", __FILE__, __LINE__, #condition, \
                    vg_cause());                                                                             \
            abort();                                                                                         \
        }                                                                                                    \
    } while (0)

/* A file in memory with these bytes, for parsers that take a path; number 0..FUZZ_FILES-1. The path stays the
 * same for the program's life. */
enum { FUZZ_FILES = 4 };
const char *fuzz_file(int number, const uint8_t *data, size_t size);

/* A file of this name with these bytes in a folder of the program's own (in memory where there is /dev/shm),
 * for formats that consist of several files. The path is good until the next call with another name. */
const char *fuzz_named_file(const char *name, const uint8_t *data, size_t size);

/* The status of a parser: true for VG_OK; a failure must have a cause. */
bool fuzz_good(vg_status status);

/* Takes what stands before the first line that is "---" as text (the caller's to free) and moves *data behind
 * that line; the text is all of the input when there is none. */
char *fuzz_take_text(const uint8_t **data, size_t *size);

#endif
