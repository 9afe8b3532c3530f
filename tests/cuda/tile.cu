/* A matrix product in the manner of the attention and convolution kernels to come: tiles brought by cp.async
 * two steps deep, ldmatrix, mma. It is here to prove the vocabulary (and to carry planted bugs), not to be
 * fast. */
#include "tests/cuda/tile.h"

#include "kernels/cuda/gpu.h"

namespace
{
/* A block of two warps makes 32 x 16 of c; rows are padded so that ldmatrix meets no bank conflict. */
enum { M = 32, N = 16, K = 16, PITCH_A = K + 8, PITCH_B = N + 8, STAGE = M * PITCH_A + K * PITCH_B };

GPU_KERNEL(64) bf16_kernel(const gpu_bf16 *a, const gpu_bf16 *b, float *c, int m, int n, int k)
{
    GPU_DYNAMIC_SHARED(gpu_bf16, stages);
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32, row0 = blockIdx.y * M,
              column0 = blockIdx.x * N;

    const int end = GPU_PLANTED_BUG == GPU_BUG_TAIL ? (k + K - 1) / K * K : k;
    auto fetch = [&](int step) {
        gpu_bf16 *to_a = stages + step % 2 * STAGE, *to_b = to_a + M * PITCH_A;
        for (int i = threadIdx.x; i < M * K / 8; i += 64) {
            const int r = i / (K / 8), column = i % (K / 8) * 8;
            const bool valid = row0 + r < m && step * K + column < end;
            gpu_cp_async16(to_a + r * PITCH_A + column,
                           valid ? a + (size_t)(row0 + r) * k + step * K + column : a, valid);
        }
        for (int i = threadIdx.x; i < K * N / 8; i += 64) {
            const int r = i / (N / 8), column = i % (N / 8) * 8;
            const bool valid = step * K + r < end && column0 + column < n;
            gpu_cp_async16(to_b + r * PITCH_B + column + (GPU_PLANTED_BUG == GPU_BUG_SHARED ? PITCH_B : 0),
                           valid ? b + (size_t)(step * K + r) * n + column0 + column : b, valid);
        }
        gpu_cp_async_commit();
    };

    const int steps = (k + K - 1) / K;
    float d[2][4] = {};
    fetch(0);
    for (int step = 0; step < steps; step++) {
        if (step + 1 < steps)
            fetch(step + 1);
        else
            gpu_cp_async_commit(); /* an empty group, so that the count below is the same */
        gpu_cp_async_wait<GPU_PLANTED_BUG == GPU_BUG_WAIT ? 2 : 1>();
        if (GPU_PLANTED_BUG != GPU_BUG_BARRIER) gpu_sync_block(); /* everyone's part has landed */
        const gpu_bf16 *tile_a = stages + step % 2 * STAGE, *tile_b = tile_a + M * PITCH_A;
        uint32_t of_a[4], of_b[4];
        gpu_ldmatrix(of_a, tile_a + (warp * 16 + lane % 16) * PITCH_A + lane / 16 * 8);
        gpu_ldmatrix_transposed(of_b, tile_b + lane % 16 * PITCH_B + lane / 16 * 8);
        gpu_mma_bf16(d[0], of_a, of_b[0], of_b[1]);
        gpu_mma_bf16(d[1], of_a, of_b[2], of_b[3]);
        gpu_sync_block(); /* nobody reads this stage any more */
    }
    gpu_cp_async_wait<0>();
    for (int half = 0; half < 2; half++)
        for (int e = 0; e < 4; e++) {
            const int row = row0 + warp * 16 + lane / 4 + e / 2 * 8;
            const int column = column0 + half * 8 + lane % 4 * 2 + e % 2;
            if (row < m && column < n) c[(size_t)row * n + column] = d[half][e];
        }
}

/* One warp makes 16 x 8 of c from fragments read element by element. */
GPU_KERNEL(32) tf32_kernel(const float *a, const float *b, float *c, int m, int n, int k)
{
    const int lane = threadIdx.x, g = lane / 4, q = lane % 4, row0 = blockIdx.y * 16,
              column0 = blockIdx.x * 8;
    float d[4] = {};
    for (int k0 = 0; k0 < k; k0 += 8) {
        uint32_t of_a[4], of_b[2];
        for (int r = 0; r < 4; r++) {
            const int row = row0 + g + r % 2 * 8, column = k0 + q + r / 2 * 4;
            of_a[r] = gpu_tf32(row < m && column < k ? a[(size_t)row * k + column] : 0);
        }
        for (int r = 0; r < 2; r++) {
            const int row = k0 + q + r * 4, column = column0 + g;
            of_b[r] = gpu_tf32(row < k && column < n ? b[(size_t)row * n + column] : 0);
        }
        gpu_mma_tf32(d, of_a, of_b[0], of_b[1]);
    }
    for (int e = 0; e < 4; e++) {
        const int row = row0 + g + e / 2 * 8, column = column0 + q * 2 + e % 2;
        if (row < m && column < n) c[(size_t)row * n + column] = d[e];
    }
}

/* Each does one thing wrong, for test_emu.c. */
GPU_KERNEL(64) wrong_kernel(int what, float *memory)
{
    const int t = threadIdx.x;
    GPU_SHARED(float, few, 64);
    few[t] = (float)t;
    switch (what) {
    case TILE_BARRIER_IN_BRANCH:
        if (t < 32) gpu_sync_block();
        break;
    case TILE_TWO_BARRIERS:
        if (t < 32)
            gpu_sync_block();
        else
            gpu_sync_block();
        break;
    case TILE_LANES_MISSING:
        if (t % 32 < 16) few[t] = gpu_shuffle_xor(few[t], 1);
        break;
    case TILE_MISALIGNED:
        few[t] = (float)gpu_load128(memory + 1).x;
        break;
    case TILE_NEVER_WAITED:
        gpu_cp_async16(few, memory, true);
        gpu_cp_async_commit();
        break;
    case TILE_OTHER_OPERATION:
        if (t % 2)
            few[t] = gpu_shuffle(few[t], 0);
        else
            few[t] = gpu_ballot(true) ? 1 : 0;
        break;
    default:
        gpu_sync_block();
        const float other = few[(t + 32) % 64];
        gpu_sync_block(); /* a neighbour may not have read few[t] yet */
        few[t] = gpu_shuffle(other, 3);
        gpu_bar_sync(1 + t / 32, 32);
        if (t % 32 == 5) memory[t / 32] = few[t];
    }
}
} // namespace

int tile_bf16(const void *a, const void *b, float *c, int m, int n, int k, struct CUstream_st *stream)
{
    return gpu_launch(bf16_kernel, dim3((unsigned)(n + N - 1) / N, (unsigned)(m + M - 1) / M), dim3(64),
                      2 * STAGE * sizeof(gpu_bf16), stream, (const gpu_bf16 *)a, (const gpu_bf16 *)b, c, m, n,
                      k);
}

int tile_tf32(const float *a, const float *b, float *c, int m, int n, int k, struct CUstream_st *stream)
{
    return gpu_launch(tf32_kernel, dim3((unsigned)(n + 7) / 8, (unsigned)(m + 15) / 16), dim3(32), 0, stream,
                      a, b, c, m, n, k);
}

int tile_wrong(int what, float *memory, struct CUstream_st *stream)
{
    return gpu_launch(wrong_kernel, dim3(1), dim3(64), 0, stream, what, memory);
}
