/* In a program on the emulator: NCCL is its stand-in from the start. */
#include "tests/cuda/stand_in_nccl.h"

__attribute__((constructor)) static void install(void)
{
    stand_in_nccl_install();
}
