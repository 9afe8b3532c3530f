/* Instead of nccl.c where the build found no nccl.h. */
#include "core/group/kind.h"

static vg_status absent(void)
{
    return vg_fail(
        VG_ERR_UNSUPPORTED,
        "this program was built without nccl.h, so it cannot use NCCL: build it where the header is "
        "installed (Debian's and NVIDIA's package is libnccl-dev, pip's nvidia-nccl-cu13; "
        "-DVAGUS_NCCL_INCLUDE=FOLDER names its folder)");
}

static vg_status find(char *text, size_t size)
{
    (void)text;
    (void)size;
    return absent();
}

static vg_status open_group(vg_group *group)
{
    (void)group;
    return absent();
}

static void close_group(vg_group *group)
{
    (void)group;
}

static vg_status queue(vg_group *group, const vg__collective *collective, void *stream)
{
    (void)group;
    (void)collective;
    (void)stream;
    return absent();
}

static vg_status look(vg_group *group, bool stop)
{
    (void)group;
    (void)stop;
    return VG_OK;
}

const vg__kind vg__kind_nccl = {
    .name = "nccl", .find = find, .open = open_group, .close = close_group, .queue = queue, .look = look};
