/* Layer norm, alone and behind a residual sum. A thread takes whole rows; mean and variance in two passes
 * over a row that stays in the first cache. */
#include <math.h>

#include "kernels/cpu/columns.h"
#include "kernels/cpu/cpu.h"
#include "kernels/cpu/dropout.h"
#include "kernels/cpu/parallel.h"

typedef struct norm {
    int64_t rows, R, C; /* all rows, rows a segment, channels */
    float epsilon;
    vg_activation activation;
    vg__coins coins;
    const float *x, *residual, *gamma, *beta, *dy, *dz; /* residual, dz: NULL where there is none */
    float *z, *y, *mean, *rstd;                         /* z is what is normalised; NULL: x itself */
    float *dx, *dresidual;                              /* dresidual: NULL where there is no residual */
    float *scratch;                                     /* coins of a row for each thread */
    size_t thread_floats;
    float *dgamma, *dbeta; /* backward: partial sums of each block of rows */
} norm;

/* The coins of a row, where dropout is active. */
static const uint8_t *row_coins(const norm *ln, int64_t row, int thread, uint64_t *first)
{
    uint64_t element = (uint64_t)(row % ln->R * ln->C);
    uint8_t *bits = (uint8_t *)(ln->scratch + (size_t)thread * ln->thread_floats);
    *first = element % 8;
    if (ln->coins.active) vg__coins_toss(&ln->coins, row / ln->R, element, ln->C, bits);
    return bits;
}

static inline vecf drop(const norm *ln, const uint8_t *bits, uint64_t at, vecf value)
{
    return ln->coins.active ? vg__coins_keep(bits, at, value) * ln->coins.scale : value;
}

static void forward_rows(void *context, int64_t begin, int64_t end, int thread)
{
    const norm *ln = context;
    int64_t C = ln->C;
    for (int64_t row = begin; row < end; row++) {
        uint64_t coin;
        const uint8_t *bits = row_coins(ln, row, thread, &coin);
        const float *x = ln->x + row * C;
        vecf sum = {0}, squares = {0};
        if (ln->z) {
            float *z = ln->z + row * C;
            for (int64_t c = 0; c < C; c += LANES) {
                vecf value = drop(ln, bits, coin + (uint64_t)c, vec_load_part(x + c, C - c)) +
                             vec_load_part(ln->residual + row * C + c, C - c);
                sum += vec_keep(vec_first(C - c), value);
                vec_store_part(z + c, value, C - c);
            }
            x = z;
        } else {
            for (int64_t c = 0; c < C; c += LANES) sum += vec_load_part(x + c, C - c);
        }
        float mean = vec_sum(sum) / (float)C;
        for (int64_t c = 0; c < C; c += LANES) {
            vecf off = vec_load_part(x + c, C - c) - mean;
            if (C - c < LANES) off = vec_keep(vec_first(C - c), off);
            squares += off * off;
        }
        float rstd = 1.0f / sqrtf(vec_sum(squares) / (float)C + ln->epsilon);
        ln->mean[row] = mean;
        ln->rstd[row] = rstd;
        float *y = ln->y + row * C;
        for (int64_t c = 0; c < C; c += LANES) {
            vecf value = (vec_load_part(x + c, C - c) - mean) * rstd, density;
            value = value * vec_load_part(ln->gamma + c, C - c) + vec_load_part(ln->beta + c, C - c);
            if (ln->activation == VG_ACTIVATION_RELU) value = vec_keep(~(value <= 0.0f), value);
            if (ln->activation == VG_ACTIVATION_GELU) value *= vec_normal_cdf(value, &density);
            if (!ln->z) value = drop(ln, bits, coin + (uint64_t)c, value);
            vec_store_part(y + c, value, C - c);
        }
    }
}

/* The gradient before activation and dropout of LANES channels, and the normalised value there. */
static inline vecf flow_at(const norm *ln, const uint8_t *bits, uint64_t coin, int64_t row, int64_t c,
                           vecf *normal)
{
    int64_t left = ln->C - c, at = row * ln->C + c;
    vecf flow = vec_load_part(ln->dy + at, left), density;
    *normal = (vec_load_part(ln->x + at, left) - ln->mean[row]) * ln->rstd[row];
    if (!ln->dresidual) {
        flow = drop(ln, bits, coin, flow);
        if (ln->activation != VG_ACTIVATION_NONE) {
            vecf a = *normal * vec_load_part(ln->gamma + c, left) + vec_load_part(ln->beta + c, left);
            if (ln->activation == VG_ACTIVATION_RELU) flow = vec_keep(a > 0.0f, flow);
            if (ln->activation == VG_ACTIVATION_GELU) {
                vecf below = vec_normal_cdf(a, &density);
                flow *= below + a * density;
            }
        }
    }
    return flow;
}

/* With n = (x - mean) rstd and g = gamma * flow: dx = rstd (g - mean_c(g) - n mean_c(g n)). */
static void backward_rows(void *context, int64_t begin, int64_t end, int thread)
{
    const norm *ln = context;
    int64_t C = ln->C, block = begin / vg__columns_grain(C);
    int64_t stride = (int64_t)vg__cpu_lines((size_t)C);
    float *dgamma = ln->dgamma + block * stride, *dbeta = ln->dbeta + block * stride;
    memset(dgamma, 0, (size_t)C * sizeof *dgamma);
    memset(dbeta, 0, (size_t)C * sizeof *dbeta);
    for (int64_t row = begin; row < end; row++) {
        uint64_t coin;
        const uint8_t *bits = row_coins(ln, row, thread, &coin);
        vecf sum = {0}, moment = {0};
        for (int64_t c = 0; c < C; c += LANES) {
            vecf normal, flow = flow_at(ln, bits, coin + (uint64_t)c, row, c, &normal);
            vecf g = flow * vec_load_part(ln->gamma + c, C - c);
            sum += g;
            moment += g * normal; /* beyond C, flow and gamma are 0 */
            vec_store_part(dgamma + c, vec_load_part(dgamma + c, C - c) + flow * normal, C - c);
            vec_store_part(dbeta + c, vec_load_part(dbeta + c, C - c) + flow, C - c);
        }
        float mean = vec_sum(sum) / (float)C, slope = vec_sum(moment) / (float)C, rstd = ln->rstd[row];
        for (int64_t c = 0; c < C; c += LANES) {
            int64_t at = row * C + c;
            vecf normal, flow = flow_at(ln, bits, coin + (uint64_t)c, row, c, &normal);
            vecf g = (flow * vec_load_part(ln->gamma + c, C - c) - mean - normal * slope) * rstd;
            if (ln->dz) g += vec_load_part(ln->dz + at, C - c);
            if (ln->dresidual) {
                vec_store_part(ln->dresidual + at, g, C - c);
                g = drop(ln, bits, coin + (uint64_t)c, g);
            }
            vec_store_part(ln->dx + at, g, C - c);
        }
    }
}

static size_t coin_floats(const norm *ln)
{
    return ln->coins.active ? vg__cpu_lines(VG__COIN_BYTES(ln->C) / sizeof(float) + 1) : 0;
}

static vg_status forward(vg_kernels *kernels, norm *ln)
{
    ln->thread_floats = coin_floats(ln);
    VG_TRY(vg__cpu_scratch(kernels, (size_t)vg__parallel_threads() * ln->thread_floats * sizeof(float),
                           &ln->scratch));
    vg__parallel_for(ln->rows, vg__columns_grain(ln->C), forward_rows, ln);
    return VG_OK;
}

static vg_status backward(vg_kernels *kernels, norm *ln, float *dgamma, float *dbeta)
{
    ln->thread_floats = coin_floats(ln);
    size_t threads = (size_t)vg__parallel_threads(), columns = vg__columns_scratch(ln->rows, ln->C);
    VG_TRY(
        vg__cpu_scratch(kernels, (threads * ln->thread_floats + 2 * columns) * sizeof(float), &ln->scratch));
    ln->dgamma = ln->scratch + threads * ln->thread_floats;
    ln->dbeta = ln->dgamma + columns;
    vg__parallel_for(ln->rows, vg__columns_grain(ln->C), backward_rows, ln);
    vg__columns_finish(ln->dgamma, ln->rows, ln->C, dgamma);
    vg__columns_finish(ln->dbeta, ln->rows, ln->C, dbeta);
    return VG_OK;
}

static norm norm_of(vg_tensor shaped, const vg_dropout *dropout)
{
    return (norm){.rows = shaped.dims[0] * shaped.dims[1],
                  .R = shaped.dims[1],
                  .C = shaped.dims[2],
                  .coins = vg__coins_of(dropout)};
}

vg_status vg__cpu_layernorm_forward(vg_kernels *kernels, const vg_layernorm_forward_args *args)
{
    VG__CPU_ENTER(layernorm_forward, kernels, args, x);
    norm ln = norm_of(args->x, args->dropout);
    ln.epsilon = args->epsilon;
    ln.activation = args->activation;
    ln.x = args->x.data;
    ln.gamma = args->gamma.data;
    ln.beta = args->beta.data;
    ln.y = args->y.data;
    ln.mean = args->mean.data;
    ln.rstd = args->rstd.data;
    return forward(kernels, &ln);
}

vg_status vg__cpu_layernorm_backward(vg_kernels *kernels, const vg_layernorm_backward_args *args)
{
    VG__CPU_ENTER(layernorm_backward, kernels, args, x);
    norm ln = norm_of(args->x, args->dropout);
    ln.activation = args->activation;
    ln.x = args->x.data;
    ln.gamma = args->gamma.data;
    ln.beta = args->beta.data;
    ln.mean = args->mean.data;
    ln.rstd = args->rstd.data;
    ln.dy = args->dy.data;
    ln.dx = args->dx.data;
    return backward(kernels, &ln, args->dgamma.data, args->dbeta.data);
}

vg_status vg__cpu_residual_layernorm_forward(vg_kernels *kernels,
                                             const vg_residual_layernorm_forward_args *args)
{
    VG__CPU_ENTER(residual_layernorm_forward, kernels, args, x);
    norm ln = norm_of(args->x, args->dropout);
    ln.epsilon = args->epsilon;
    ln.x = args->x.data;
    ln.residual = args->residual.data;
    ln.gamma = args->gamma.data;
    ln.beta = args->beta.data;
    ln.z = args->z.data;
    ln.y = args->y.data;
    ln.mean = args->mean.data;
    ln.rstd = args->rstd.data;
    return forward(kernels, &ln);
}

vg_status vg__cpu_residual_layernorm_backward(vg_kernels *kernels,
                                              const vg_residual_layernorm_backward_args *args)
{
    VG__CPU_ENTER(residual_layernorm_backward, kernels, args, z);
    norm ln = norm_of(args->z, args->dropout);
    ln.x = args->z.data;
    ln.gamma = args->gamma.data;
    ln.mean = args->mean.data;
    ln.rstd = args->rstd.data;
    ln.dy = args->dy.data;
    ln.dz = args->dz.data;
    ln.dx = args->dx.data;
    ln.dresidual = args->dresidual.data;
    return backward(kernels, &ln, args->dgamma.data, args->dbeta.data);
}
