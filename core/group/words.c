/* Small words among the processes of a group, through the watch. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/group/kind.h"

vg_status vg_group_share(vg_group *group, const char *what, char **text)
{
    if (!group->kind) return VG_OK;
    VG_TRY(vg__group_check(group));
    void *bytes = group->place.rank == 0 ? *text : NULL;
    int64_t count = bytes ? (int64_t)strlen(bytes) + 1 : 0;
    VG_TRY(vg__group_keep(group, vg__watch_broadcast_any(group->watch, what, &bytes, &count)));
    if (group->place.rank == 0) return VG_OK;
    *text = bytes;
    if (count > 0 && (*text)[count - 1] == 0) return VG_OK;
    free(bytes);
    *text = NULL;
    return vg__group_keep(group, vg_fail(VG_ERR_PEER, "%s: what rank 0 sent is no text", what));
}

/* The first line in which two texts differ, for a message. */
static void describe_difference(char *out, size_t size, const char *ours, const char *theirs)
{
    for (int line = 1;; line++) {
        const int a = (int)strcspn(ours, "\n"), b = (int)strcspn(theirs, "\n");
        if (a != b || memcmp(ours, theirs, (size_t)a) != 0) {
            snprintf(out, size, "line %d is '%.*s' there and '%.*s' at rank 0", line, b < 200 ? b : 200,
                     theirs, a < 200 ? a : 200, ours);
            return;
        }
        if (!ours[a] || !theirs[b]) {
            snprintf(out, size, "it has %s lines there, from line %d on", ours[a] ? "fewer" : "more",
                     line + 1);
            return;
        }
        ours += a + 1;
        theirs += b + 1;
    }
}

/* At rank 0: "" when all are as its own. */
static void judge(const vg_group *group, const char *what, const char *text, const vg__block *all, char *out,
                  size_t size)
{
    const int64_t count = (int64_t)strlen(text) + 1;
    *out = 0;
    for (int i = 1; i < group->place.size; i++) {
        const char *other = all[i].bytes;
        char difference[600] = "it is no text there";
        if (all[i].count == count && !memcmp(other, text, (size_t)count)) continue;
        if (all[i].count > 0 && other[all[i].count - 1] == 0)
            describe_difference(difference, sizeof difference, text, other);
        snprintf(out, size, "%s of rank %d (%s) is not that of rank 0: %s", what, i,
                 vg__watch_member(group->watch, i)->host, difference);
        return;
    }
}

vg_status vg_group_same(vg_group *group, const char *what, const char *text)
{
    if (!group->kind) return VG_OK;
    VG_TRY(vg__group_check(group));
    char verdict[1024] = "", *shared = verdict;
    vg__block *all = NULL;
    VG_TRY(
        vg__group_keep(group, vg__watch_gather(group->watch, what, text, (int64_t)strlen(text) + 1, &all)));
    if (all) judge(group, what, text, all, verdict, sizeof verdict);
    vg__watch_free_blocks(all, group->place.size);
    VG_TRY(vg_group_share(group, what, &shared));
    const vg_status status = *shared ? vg_fail(VG_ERR_CONFIG, "%s", shared) : VG_OK;
    if (shared != verdict) free(shared);
    return status;
}

vg_status vg_group_sum(vg_group *group, const char *what, double *values, int64_t count)
{
    if (!group->kind || !count) return VG_OK;
    VG_TRY(vg__group_check(group));
    const int64_t bytes = count * (int64_t)sizeof *values;
    vg__block *all = NULL;
    vg_status status = vg__group_keep(group, vg__watch_gather(group->watch, what, values, bytes, &all));
    for (int r = 1; all && r < group->place.size && status == VG_OK; r++) {
        const double *theirs = all[r].bytes;
        if (all[r].count != bytes)
            status = vg__group_keep(group, vg_fail(VG_ERR_PEER, "%s: rank %d (%s) sums %lld bytes, not %lld",
                                                   what, r, vg__watch_member(group->watch, r)->host,
                                                   (long long)all[r].count, (long long)bytes));
        for (int64_t i = 0; i < count && status == VG_OK; i++) values[i] += theirs[i];
    }
    vg__watch_free_blocks(all, group->place.size);
    VG_TRY(status);
    return vg__group_keep(group, vg__watch_broadcast(group->watch, what, values, bytes));
}
