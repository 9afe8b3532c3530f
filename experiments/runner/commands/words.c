#include "experiments/runner/commands/words.h"

#include <stdio.h>
#include <string.h>

bool vg_words_next(vg_words *words)
{
    if (words->next == words->count) return false;
    const char *word = words->words[words->next++];
    words->name[0] = 0;
    words->value = word;
    if (strncmp(word, "--", 2)) return true;
    const char *equals = strchr(word, '=');
    size_t length = equals ? (size_t)(equals - word - 2) : strlen(word + 2);
    snprintf(words->name, sizeof words->name, "%.*s", (int)length, word + 2);
    words->value = equals ? equals + 1 : NULL;
    return true;
}

vg_status vg_words_take(vg_words *words)
{
    if (words->value) return VG_OK;
    if (words->next == words->count) return vg_fail(VG_ERR_CONFIG, "--%s needs a value", words->name);
    const char *next = words->words[words->next];
    if (strncmp(next, "--", 2) == 0)
        return vg_fail(VG_ERR_CONFIG,
                       "--%s needs a value, and '%s' looks like the next option; --%s=%s if it is meant",
                       words->name, next, words->name, next);
    words->next++;
    words->value = next;
    return VG_OK;
}
