/* Words of a command line: "--name value", "--name=value", "--flag", or a word by itself. */
#ifndef VAGUS_EXPERIMENTS_RUNNER_COMMANDS_WORDS_H
#define VAGUS_EXPERIMENTS_RUNNER_COMMANDS_WORDS_H

#include <stdbool.h>

#include "core/status.h"

typedef struct vg_words {
    int count, next;
    char **words;
    char name[64];     /* of the option just read, without dashes; "" for a word */
    const char *value; /* its value, NULL for a flag or before vg_words_take(); the word itself */
} vg_words;

/* The next option or word; false at the end. */
bool vg_words_next(vg_words *words);

/* The option's value: what stood behind '=', else the next word. ERR_CONFIG when there is none, or when that
 * begins with "--": a value was forgotten then. */
VG_NODISCARD vg_status vg_words_take(vg_words *words);

#endif
