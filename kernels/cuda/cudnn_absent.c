/* Instead of cudnn.c where the build found no cudnn.h. */
#include "kernels/cuda/cudnn.h"

vg_status vg__cudnn_create(const char *device, vg__cudnn **out)
{
    (void)device;
    *out = NULL;
    return vg_fail(
        VG_ERR_NOT_FOUND,
        "this program was built without cudnn.h, so it cannot use cuDNN; build it where the header "
        "is installed");
}

void vg__cudnn_destroy(vg__cudnn *cudnn)
{
    VG_ASSERT(!cudnn);
}

bool vg__cudnn_takes(vg__cudnn *cudnn, const vg__multiply *multiply, size_t *workspace)
{
    VG_ASSERT(!cudnn && multiply && workspace);
    return false;
}

vg_status vg__cudnn_run(vg__cudnn *cudnn, const vg__multiply *multiply, void *workspace,
                        vg__cuda_stream stream)
{
    (void)workspace;
    (void)stream;
    VG_ASSERT(!cudnn && multiply);
    return VG_ERR_UNSUPPORTED;
}

const char *vg__cudnn_describe(const vg__cudnn *cudnn)
{
    VG_ASSERT(!cudnn);
    return "";
}

size_t vg__cudnn_version(const vg__cudnn *cudnn)
{
    VG_ASSERT(!cudnn);
    return 0;
}
