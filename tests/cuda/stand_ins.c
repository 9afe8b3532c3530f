#include "tests/cuda/stand_ins.h"

#include "core/library.h"

vg__function cublaslt_function(const char *name);
vg__function cudnn_function(const char *name);

void stand_ins_install(void)
{
    vg__library_stand_in("libcublasLt.so.13", cublaslt_function);
    vg__library_stand_in("libcudnn.so.9", cudnn_function);
}

void stand_ins_remove(void)
{
    vg__library_stand_in("libcublasLt.so.13", NULL);
    vg__library_stand_in("libcudnn.so.9", NULL);
}
