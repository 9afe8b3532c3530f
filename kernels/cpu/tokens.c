/* CLS and positions in front of the encoder, one vector a segment behind it. */
#include "kernels/cpu/cpu.h"
#include "kernels/cpu/dropout.h"
#include "kernels/cpu/parallel.h"

typedef struct tokens {
    int64_t T, C;
    const float *x, *cls, *position;
    float *out; /* backward: read */
    float *dx;
    vg__coins before, after;
    float *scratch; /* two rows of coins for each thread */
    size_t coin_floats;
} tokens;

static size_t coin_floats(const tokens *tk)
{
    return vg__cpu_lines(VG__COIN_BYTES(tk->C) / sizeof(float) + 1);
}

/* The coins of C elements from `element` on, NULL where all are kept. */
static const uint8_t *toss(const tokens *tk, const vg__coins *coins, int64_t b, int64_t element, int thread,
                           int which)
{
    if (!coins->active) return NULL;
    uint8_t *bits = (uint8_t *)(tk->scratch + (size_t)(2 * thread + which) * tk->coin_floats);
    vg__coins_toss(coins, b, (uint64_t)element, tk->C, bits);
    return bits;
}

static inline vecf drop(const vg__coins *coins, const uint8_t *bits, int64_t element, int64_t c, vecf value)
{
    return bits ? vg__coins_keep(bits, (uint64_t)(element % 8 + c), value) * coins->scale : value;
}

static void forward_rows(void *context, int64_t begin, int64_t end, int thread)
{
    const tokens *tk = context;
    int64_t C = tk->C;
    for (int64_t row = begin; row < end; row++) {
        int64_t b = row / (1 + tk->T), t = row % (1 + tk->T); /* t = 0 is CLS */
        const float *from = t ? tk->x + (b * tk->T + t - 1) * C : tk->cls;
        const uint8_t *before = t ? toss(tk, &tk->before, b, (t - 1) * C, thread, 0) : NULL;
        const uint8_t *after = toss(tk, &tk->after, b, t * C, thread, 1);
        for (int64_t c = 0; c < C; c += LANES) {
            vecf value = drop(&tk->before, before, (t - 1) * C, c, vec_load_part(from + c, C - c));
            value += vec_load_part(tk->position + t * C + c, C - c);
            vec_store_part(tk->out + row * C + c, drop(&tk->after, after, t * C, c, value), C - c);
        }
    }
}

static void backward_rows(void *context, int64_t begin, int64_t end, int thread)
{
    const tokens *tk = context;
    int64_t C = tk->C;
    for (int64_t row = begin; row < end; row++) {
        int64_t b = row / tk->T, t = row % tk->T;
        const float *dout = tk->out + (b * (1 + tk->T) + 1 + t) * C;
        const uint8_t *before = toss(tk, &tk->before, b, t * C, thread, 0);
        const uint8_t *after = toss(tk, &tk->after, b, (1 + t) * C, thread, 1);
        for (int64_t c = 0; c < C; c += LANES) {
            vecf flow = drop(&tk->after, after, (1 + t) * C, c, vec_load_part(dout + c, C - c));
            vec_store_part(tk->dx + row * C + c, drop(&tk->before, before, t * C, c, flow), C - c);
        }
    }
}

static int64_t row_grain(int64_t C)
{
    return C < 32768 ? 32768 / (C + 1) + 1 : 1;
}

static vg_status prepare(vg_kernels *kernels, tokens *tk)
{
    tk->coin_floats = coin_floats(tk);
    return vg__cpu_scratch(kernels, 2 * (size_t)vg__parallel_threads() * tk->coin_floats * sizeof(float),
                           &tk->scratch);
}

vg_status vg__cpu_tokens_forward(vg_kernels *kernels, const vg_tokens_forward_args *args)
{
    VG__CPU_ENTER(tokens_forward, kernels, args, x);
    tokens tk = {.T = args->x.dims[1],
                 .C = args->x.dims[2],
                 .x = args->x.data,
                 .cls = args->cls.data,
                 .position = args->position.data,
                 .out = args->out.data,
                 .before = vg__coins_of(args->before),
                 .after = vg__coins_of(args->after)};
    VG_TRY(prepare(kernels, &tk));
    vg__parallel_for(args->x.dims[0] * (1 + tk.T), row_grain(tk.C), forward_rows, &tk);
    return VG_OK;
}

vg_status vg__cpu_tokens_backward(vg_kernels *kernels, const vg_tokens_backward_args *args)
{
    VG__CPU_ENTER(tokens_backward, kernels, args, dx);
    int64_t B = args->dx.dims[0];
    tokens tk = {.T = args->dx.dims[1],
                 .C = args->dx.dims[2],
                 .out = args->dout.data,
                 .dx = args->dx.data,
                 .before = vg__coins_of(args->before),
                 .after = vg__coins_of(args->after)};
    VG_TRY(prepare(kernels, &tk));
    vg__parallel_for(B * tk.T, row_grain(tk.C), backward_rows, &tk);
    float *dcls = args->dcls.data;
    for (int64_t b = 0; b < B; b++) {
        const uint8_t *after = toss(&tk, &tk.after, b, 0, 0, 1);
        const float *dout = tk.out + b * (1 + tk.T) * tk.C;
        for (int64_t c = 0; c < tk.C; c += LANES) {
            vecf flow = drop(&tk.after, after, 0, c, vec_load_part(dout + c, tk.C - c));
            vec_store_part(dcls + c, vec_load_part(dcls + c, tk.C - c) + flow, tk.C - c);
        }
    }
    return VG_OK;
}

typedef struct pool {
    vg_pool kind;
    int64_t T, C;
    const float *x, *dy;
    float *y, *dx;
    int32_t *chosen;
} pool;

enum { RUN = 64 }; /* tokens summed before their sum is added to the total: rounding grows slower so */

static vecf column_mean(const float *x, int64_t T, int64_t C, int64_t left)
{
    vecf total = {0};
    for (int64_t from = 1; from < T; from += RUN) {
        vecf sum = {0};
        for (int64_t t = from; t < T && t < from + RUN; t++) sum += vec_load_part(x + t * C, left);
        total += sum;
    }
    return total / (float)(T - 1);
}

static vecf column_max(const float *x, int64_t T, int64_t C, int64_t left, int32_t *chosen)
{
    vecf best = vec_load_part(x + C, left);
    veci where = (veci){0} + 1;
    for (int64_t t = 2; t < T; t++) {
        vecf value = vec_load_part(x + t * C, left);
        veci better = value > best;
        best = vec_select(better, value, best);
        where = (where & ~better) | ((int32_t)t & better);
    }
    for (int64_t c = 0; c < left && c < LANES; c++) chosen[c] = where[c];
    return best;
}

static void pool_segments(void *context, int64_t begin, int64_t end, int thread)
{
    const pool *pl = context;
    (void)thread;
    int64_t C = pl->C, T = pl->T;
    for (int64_t b = begin; b < end; b++)
        for (int64_t c = 0; c < C; c += LANES) {
            const float *x = pl->x + b * T * C + c;
            vecf value;
            switch (pl->kind) {
            case VG_POOL_CLS:
                value = vec_load_part(x, C - c);
                break;
            case VG_POOL_LAST:
                value = vec_load_part(x + (T - 1) * C, C - c);
                break;
            case VG_POOL_MEAN:
                value = column_mean(x, T, C, C - c);
                break;
            default:
                value = column_max(x, T, C, C - c, pl->chosen + b * C + c);
                break;
            }
            vec_store_part(pl->y + b * C + c, value, C - c);
        }
}

vg_status vg__cpu_pool_forward(vg_kernels *kernels, const vg_pool_forward_args *args)
{
    VG__CPU_ENTER(pool_forward, kernels, args, x);
    pool pl = {.kind = args->pool,
               .T = args->x.dims[1],
               .C = args->x.dims[2],
               .x = args->x.data,
               .y = args->y.data,
               .chosen = args->chosen.data};
    vg__parallel_for(args->x.dims[0], 1, pool_segments, &pl);
    return VG_OK;
}

static void spread_segments(void *context, int64_t begin, int64_t end, int thread)
{
    const pool *pl = context;
    (void)thread;
    int64_t C = pl->C, T = pl->T;
    for (int64_t b = begin; b < end; b++) {
        float *dx = pl->dx + b * T * C;
        const float *dy = pl->dy + b * C;
        memset(dx, 0, (size_t)(T * C) * sizeof *dx);
        for (int64_t c = 0; c < C; c++) {
            if (pl->kind == VG_POOL_CLS) dx[c] = dy[c];
            if (pl->kind == VG_POOL_LAST) dx[(T - 1) * C + c] = dy[c];
            if (pl->kind == VG_POOL_MAX) dx[pl->chosen[b * C + c] * C + c] = dy[c];
        }
        if (pl->kind == VG_POOL_MEAN)
            for (int64_t t = 1; t < T; t++)
                for (int64_t c = 0; c < C; c++) dx[t * C + c] = dy[c] / (float)(T - 1);
    }
}

vg_status vg__cpu_pool_backward(vg_kernels *kernels, const vg_pool_backward_args *args)
{
    VG__CPU_ENTER(pool_backward, kernels, args, dx);
    pool pl = {.kind = args->pool,
               .T = args->dx.dims[1],
               .C = args->dx.dims[2],
               .dy = args->dy.data,
               .dx = args->dx.data,
               .chosen = args->chosen.data};
    vg__parallel_for(args->dx.dims[0], 1, spread_segments, &pl);
    return VG_OK;
}
