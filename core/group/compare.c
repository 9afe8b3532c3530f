#include "core/group/compare.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/group/kind.h"
#include "core/group/worker.h"

/* Rank 0 listens and tells where; "PORT NAME". */
static vg_status tell_place(vg_group *group, vg_place *out)
{
    char text[sizeof out->master + 16], *shared = text;
    if (group->place.rank == 0) {
        /* Where there was a master already it is known to reach rank 0. */
        char master[sizeof out->master];
        snprintf(master, sizeof master, "%s", out->master);
        out->listener = -1;
        VG_TRY(vg__watch_listen(out));
        if (*master) memcpy(out->master, master, sizeof master);
        snprintf(text, sizeof text, "%d %s", out->port, out->master);
    }
    VG_TRY(vg_group_share(group, "a port of rank 0", &shared));
    if (group->place.rank == 0) return VG_OK;
    char *name = NULL;
    const long port = strtol(shared, &name, 10);
    const bool told = port > 0 && port < 65536 && *name == ' ' && strlen(name + 1) < sizeof out->master;
    if (told) {
        out->port = (int)port;
        out->ports = 1;
        out->listener = -1;
        snprintf(out->master, sizeof out->master, "%s", name + 1);
    }
    free(shared);
    return told ? VG_OK : vg_fail(VG_ERR_PEER, "what rank 0 said is no port and no name");
}

vg_status vg_group_beside(vg_group *group, vg_place *out)
{
    if (!group->kind) return vg_fail(VG_ERR_CONFIG, "a rank alone has no other group beside it");
    *out = group->place;
    const vg_status status = tell_place(group, out);
    if (status != VG_OK && group->place.rank == 0 && out->listener >= 0) close(out->listener);
    return status;
}

static vg_status call_raw(vg_group *group)
{
    return group->kind->raw(group, group->raw.array, group->raw.count, group->raw.calls);
}

vg_status vg_group_raw_all_reduce(vg_group *group, float *array, int64_t count, int64_t calls)
{
    if (!group->worker || !group->kind->raw)
        return vg_fail(VG_ERR_UNSUPPORTED, "transport %s has no all-reduce of a library to compare with",
                       group->options.transport);
    VG_TRY(vg__group_check(group));
    group->raw.array = array;
    group->raw.count = count;
    group->raw.calls = calls;
    return vg__group_keep(group, vg__worker_call(group->worker, "the library's own all-reduce", call_raw,
                                                 group->options.timeout));
}
