/* What a benchmark of collectives needs beside a group: another one of the same ranks over another transport,
 * and the library's own call to compare with. */
#ifndef VAGUS_CORE_GROUP_COMPARE_H
#define VAGUS_CORE_GROUP_COMPARE_H

#include "core/group/group.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A place for a second group of the same ranks while `group` is open: a port of its own at rank 0. Every rank
 * calls it and hands `out` to vg_group_open(). For hosts; ERR_CONFIG for one rank alone. */
VG_NODISCARD VG_API vg_status vg_group_beside(vg_group *group, vg_place *out);

/* So many of the library's own blocking all-reduces of F32 numbers, in place, one after another and with
 * nothing of ours between them: MPI_Allreduce. Waits for a lost rank as the library does. ERR_UNSUPPORTED for
 * a transport that is nobody's library. */
VG_NODISCARD VG_API vg_status vg_group_raw_all_reduce(vg_group *group, float *array, int64_t count,
                                                      int64_t calls);

#ifdef __cplusplus
}
#endif
#endif
