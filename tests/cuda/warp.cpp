#include "tests/cuda/warp.h"

#include "tests/cuda/fiber.h"

namespace emu
{
namespace
{
const char *const names[] = {"a shuffle",        "a ballot", "a warp barrier",     "mma.m16n8k16",
                             "mma.m16n8k8.tf32", "ldmatrix", "ldmatrix.transposed"};

float as_float(uint32_t bits)
{
    float value;
    __builtin_memcpy(&value, &bits, 4);
    return value;
}

void shuffle(Warp *warp)
{
    uint64_t values[32];
    for (int i = 0; i < 32; i++) values[i] = warp->offers[i]->value;
    for (int i = 0; i < 32; i++) warp->offers[i]->value = values[warp->offers[i]->source & 31];
}

void ballot(Warp *warp)
{
    uint64_t mask = 0;
    for (int i = 0; i < 32; i++) mask |= warp->offers[i]->value << i;
    for (int i = 0; i < 32; i++) warp->offers[i]->value = mask;
}

/* C and D of both products: lane 4 g + q holds columns 2 q and 2 q + 1 of rows g and g + 8. */
template <int K> void multiply(Warp *warp, const float (&A)[16][K], const float (&B)[K][8])
{
    for (int i = 0; i < 32; i++)
        for (int e = 0; e < 4; e++) {
            int row = i / 4 + e / 2 * 8, column = i % 4 * 2 + e % 2;
            float sum = warp->offers[i]->d[e];
            for (int k = 0; k < K; k++) sum += A[row][k] * B[k][column];
            warp->offers[i]->d[e] = sum;
        }
}

/* A: register r of lane 4 g + q holds columns 2 q, 2 q + 1 (+ 8 for r = 2, 3) of row g (+ 8 for r = 1, 3);
 * B: register r holds rows 2 q, 2 q + 1 (+ 8 r) of column g. The lower half-word comes first. */
void multiply_bf16(Warp *warp)
{
    float A[16][16], B[16][8];
    for (int i = 0; i < 32; i++) {
        const Offer *offer = warp->offers[i];
        int g = i / 4, q = i % 4 * 2;
        for (int half = 0; half < 2; half++) {
            for (int r = 0; r < 4; r++)
                A[g + r % 2 * 8][q + half + r / 2 * 8] = as_float(offer->a[r] >> (16 * half) << 16);
            for (int r = 0; r < 2; r++) B[q + half + 8 * r][g] = as_float(offer->b[r] >> (16 * half) << 16);
        }
    }
    multiply<16>(warp, A, B);
}

/* A: register r holds column q (+ 4 for r = 2, 3) of row g (+ 8 for r = 1, 3); B: row q (+ 4 r) of column g.
 * The 13 lowest bits are not looked at. */
void multiply_tf32(Warp *warp)
{
    float A[16][8], B[8][8];
    for (int i = 0; i < 32; i++) {
        const Offer *offer = warp->offers[i];
        int g = i / 4, q = i % 4;
        for (int r = 0; r < 4; r++) A[g + r % 2 * 8][q + r / 2 * 4] = as_float(offer->a[r] & ~0x1fffu);
        for (int r = 0; r < 2; r++) B[q + 4 * r][g] = as_float(offer->b[r] & ~0x1fffu);
    }
    multiply<8>(warp, A, B);
}

/* Element `column` of the row of 8 that a lane brought. */
uint32_t element(const uint32_t (&row)[4], int column)
{
    return row[column / 2] >> (column % 2 * 16) & 0xffff;
}

/* Lane 4 g + q takes elements 2 q and 2 q + 1 of row g of each matrix, or of column g. */
void spread_matrices(Warp *warp, bool transposed)
{
    uint32_t rows[32][4];
    for (int i = 0; i < 32; i++)
        for (int k = 0; k < 4; k++) rows[i][k] = warp->offers[i]->a[k];
    for (int i = 0; i < 32; i++)
        for (int m = 0; m < 4; m++) {
            int g = i / 4, q = i % 4 * 2;
            uint32_t low = transposed ? element(rows[8 * m + q], g) : element(rows[8 * m + g], q);
            uint32_t high = transposed ? element(rows[8 * m + q + 1], g) : element(rows[8 * m + g], q + 1);
            warp->offers[i]->a[m] = low | high << 16;
        }
}
} // namespace

void warp_begin(Warp *warp, int lanes)
{
    warp->live = lanes == 32 ? ~0u : (1u << lanes) - 1;
    warp->arrived = 0;
}

void warp_leave(Warp *warp, int which)
{
    if (warp->arrived)
        fail_thread("lane %d leaves the kernel while others of its warp wait in %s at %s:%d", which,
                    names[warp->operation], warp->file, warp->line);
    warp->live &= ~(1u << which);
}

void meet(Operation operation, Offer *mine, const char *file, int line)
{
    Warp *w = warp();
    int me = lane();
    if (w->live != ~0u)
        fail_thread("%s at %s:%d, but lanes of the warp have left or never were (live: %08x)",
                    names[operation], file, line, w->live);
    if (!w->arrived) {
        w->operation = operation;
        w->file = file;
        w->line = line;
    } else if (w->operation != operation || w->line != line)
        fail_thread("comes to %s at %s:%d while others of its warp wait in %s at %s:%d", names[operation],
                    file, line, names[w->operation], w->file, w->line);
    w->offers[me] = mine;
    w->arrived |= 1u << me;
    char *sync = &w->sync[w->uses & 1];
    if (operation == SYNC) happens_release(sync);
    if (w->arrived == ~0u) {
        if (operation == SHUFFLE) shuffle(w);
        if (operation == BALLOT) ballot(w);
        if (operation == MMA_BF16) multiply_bf16(w);
        if (operation == MMA_TF32) multiply_tf32(w);
        if (operation == LDMATRIX || operation == LDMATRIX_TRANSPOSED)
            spread_matrices(w, operation == LDMATRIX_TRANSPOSED);
        w->arrived = 0;
        w->uses++;
        for (int i = 0; i < 32; i++)
            if (i != me) wake_lane(i);
        let_others();
    } else
        wait_here(names[operation], file, line);
    if (operation == SYNC) happens_acquire(sync);
}
} // namespace emu
