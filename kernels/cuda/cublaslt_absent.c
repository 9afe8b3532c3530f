/* Instead of cublaslt.c where the build found no cublasLt.h. */
#include "kernels/cuda/cublaslt.h"

vg_status vg__cublaslt_create(vg__cublaslt **out)
{
    *out = NULL;
    return vg_fail(
        VG_ERR_NOT_FOUND,
        "this program was built without cublasLt.h, so it cannot use cuBLASLt; build it where the header "
        "is installed");
}

void vg__cublaslt_destroy(vg__cublaslt *cublaslt)
{
    VG_ASSERT(!cublaslt);
}

bool vg__cublaslt_takes(vg__cublaslt *cublaslt, const vg__multiply *multiply, size_t *workspace)
{
    VG_ASSERT(!cublaslt && multiply && workspace);
    return false;
}

vg_status vg__cublaslt_run(vg__cublaslt *cublaslt, const vg__multiply *multiply, void *workspace,
                           vg__cuda_stream stream)
{
    (void)workspace;
    (void)stream;
    VG_ASSERT(!cublaslt && multiply);
    return VG_ERR_UNSUPPORTED;
}

const char *vg__cublaslt_describe(const vg__cublaslt *cublaslt)
{
    VG_ASSERT(!cublaslt);
    return "";
}
