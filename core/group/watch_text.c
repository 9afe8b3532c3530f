/* Ranks in sentences. */
#include "core/group/watch_own.h"

#include <stdio.h>
#include <string.h>

/* Text that does not fit ends in "...". */
static void append(char *out, size_t room, const char *text)
{
    size_t used = strlen(out);
    if (used + strlen(text) + 5 < room)
        snprintf(out + used, room - used, "%s", text);
    else if (used + 4 < room && (used < 3 || strcmp(out + used - 3, "...") != 0))
        snprintf(out + used, room - used, "...");
}

void vg__ranks_text(const bool *wanted, bool value, int size, char *out, size_t room)
{
    char part[48];
    int runs = 0, number = 0, run = 0;
    for (int rank = 0; rank < size; rank++)
        if (wanted[rank] == value) {
            number++;
            if (rank == 0 || wanted[rank - 1] != value) runs++;
        }
    snprintf(out, room, "%s ", number == 1 ? "rank" : "ranks");
    for (int rank = 0; rank < size; rank++) {
        if (wanted[rank] != value) continue;
        int last = rank;
        while (last + 1 < size && wanted[last + 1] == value) last++;
        const char *before = run == 0 ? "" : run == runs - 1 ? " and " : ", ";
        if (last == rank)
            snprintf(part, sizeof part, "%s%d", before, rank);
        else
            snprintf(part, sizeof part, "%s%d%s%d", before, rank,
                     last == rank + 1 && runs == 1 ? " and " : "-", last);
        append(out, room, part);
        run++;
        rank = last;
    }
}

void vg__members_text(const vg__watch *watch, const bool *here, char *out, size_t room)
{
    out[0] = 0;
    for (int rank = 0; rank < watch->size; rank++) {
        if (!here[rank]) continue;
        int last = rank;
        while (last + 1 < watch->size && here[last + 1] &&
               !strcmp(watch->members[last + 1].host, watch->members[rank].host))
            last++;
        char part[160], to[16] = "";
        if (last > rank) snprintf(to, sizeof to, "-%d", last);
        snprintf(part, sizeof part, "%s%d%s (%s)", out[0] ? ", " : "", rank, to, watch->members[rank].host);
        append(out, room, part);
        rank = last;
    }
}
