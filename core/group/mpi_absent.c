/* Instead of mpi.c where the build found no mpi.h of Open MPI. */
#include "core/group/kind.h"
#include "core/group/mpi.h"

int64_t vg__mpi_most = 1 << 30;

static vg_status absent(void)
{
    return vg_fail(
        VG_ERR_UNSUPPORTED,
        "this program was built without Open MPI's mpi.h, so it cannot use MPI: build it where the header "
        "is installed (Debian's package is libopenmpi-dev; -DVAGUS_MPI_INCLUDE=FOLDER names its folder)");
}

static vg_status find(char *text, size_t size)
{
    (void)text;
    (void)size;
    return absent();
}

static vg_status meet(vg_group *group)
{
    (void)group;
    return absent();
}

static void close_group(vg_group *group)
{
    (void)group;
}

static vg_status run(vg_group *group, const vg__collective *collective)
{
    (void)group;
    (void)collective;
    return absent();
}

const vg__kind vg__kind_mpi = {
    .name = "mpi", .find = find, .meet = meet, .open = meet, .close = close_group, .run = run};
