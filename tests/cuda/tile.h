/* Kernels of the tests alone; see tile.cu. Pointers are the device's; the results are cudaError_t. */
#ifndef VAGUS_TESTS_CUDA_TILE_H
#define VAGUS_TESTS_CUDA_TILE_H

#ifdef __cplusplus
extern "C" {
#endif

struct CUstream_st;

/* c (m, n) = a (m, k) b (k, n). bf16: n and k are multiples of 8. */
int tile_bf16(const void *a, const void *b, float *c, int m, int n, int k, struct CUstream_st *stream);
int tile_tf32(const float *a, const float *b, float *c, int m, int n, int k, struct CUstream_st *stream);

enum {
    TILE_NOTHING, /* memory[0..1] = 35, 3 */
    TILE_BARRIER_IN_BRANCH,
    TILE_TWO_BARRIERS,
    TILE_LANES_MISSING,
    TILE_MISALIGNED,
    TILE_NEVER_WAITED,
    TILE_OTHER_OPERATION
};
int tile_wrong(int what, float *memory, struct CUstream_st *stream);

#ifdef __cplusplus
}
#endif
#endif
