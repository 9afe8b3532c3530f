#include "kernels/ref/ref.h"

/* Where q (part 0), k (1) and v (2) of a token and head begin in qkv (B, T, 3, H, D). */
static int64_t at(const vg_tensor *qkv, int64_t b, int64_t t, int64_t part, int64_t h)
{
    int64_t T = qkv->dims[1], H = qkv->dims[3], D = qkv->dims[4];
    return (((b * T + t) * 3 + part) * H + h) * D;
}

static real product(const vg_tensor *a, int64_t i, const vg_tensor *b, int64_t j, int64_t n)
{
    real sum = 0;
    for (int64_t d = 0; d < n; d++) sum += load(a, i + d) * load(b, j + d);
    return sum;
}

/* The same, last term first. For rowsum(dout * out): where one weight of a row is nearly 1 it and dout.v are
 * nearly the same sum, and in the float twin they would cancel to the last bit by being summed alike, which
 * no way of computing them apart from each other gives. */
static real product_backwards(const vg_tensor *a, int64_t i, const vg_tensor *b, int64_t j, int64_t n)
{
    real sum = 0;
    for (int64_t d = n - 1; d >= 0; d--) sum += load(a, i + d) * load(b, j + d);
    return sum;
}

vg_status REF(attention_forward)(vg_kernels *kernels, const vg_attention_forward_args *args)
{
    (void)kernels;
    VG_TRY(vg__check_attention_forward(args, REF_TYPES));
    const vg_tensor *qkv = &args->qkv;
    int64_t B = qkv->dims[0], T = qkv->dims[1], H = qkv->dims[3], D = qkv->dims[4];
    if (B * T == 0) return VG_OK;
    real *p = calloc((size_t)T, sizeof *p); /* a row of scores, then of probabilities */
    if (!p)
        return vg_fail(VG_ERR_MEMORY, "attention_forward: no memory for a row of %lld scores", (long long)T);
    for (int64_t b = 0; b < B; b++)
        for (int64_t h = 0; h < H; h++)
            for (int64_t i = 0; i < T; i++) {
                for (int64_t j = 0; j < T; j++)
                    p[j] = (real)args->scale * product(qkv, at(qkv, b, i, 0, h), qkv, at(qkv, b, j, 1, h), D);
                real top = p[0], sum = 0;
                for (int64_t j = 1; j < T; j++) top = p[j] > top ? p[j] : top;
                for (int64_t j = 0; j < T; j++) sum += exp(p[j] - top);
                real lse = top + log(sum);
                store(&args->lse, (b * H + h) * T + i, lse);
                for (int64_t j = 0; j < T; j++)
                    p[j] = as_factor(qkv, exp(p[j] - top) / sum *
                                              dropout_factor(args->dropout, b, (h * T + i) * T + j));
                for (int64_t d = 0; d < D; d++) {
                    real out = 0;
                    for (int64_t j = 0; j < T; j++) out += p[j] * load(qkv, at(qkv, b, j, 2, h) + d);
                    store(&args->out, ((b * T + i) * H + h) * D + d, out);
                }
            }
    free(p);
    return VG_OK;
}

/* With s = scale * q.k, p = exp(s - lse), m dropout's factor and g_ij = dout_i . v_j:
 *     dv_j = sum_i m_ij p_ij dout_i
 *     ds_ij = p_ij (m_ij g_ij - sum_j p_ij m_ij g_ij), and that sum is dout_i . out_i = delta_i
 *     dq_i = scale * sum_j ds_ij k_j,  dk_j = scale * sum_i ds_ij q_i */
vg_status REF(attention_backward)(vg_kernels *kernels, const vg_attention_backward_args *args)
{
    (void)kernels;
    VG_TRY(vg__check_attention_backward(args, REF_TYPES));
    const vg_tensor *qkv = &args->qkv;
    int64_t B = qkv->dims[0], T = qkv->dims[1], H = qkv->dims[3], D = qkv->dims[4];
    if (B * T == 0) return VG_OK;
    real *sums = calloc((size_t)(T * 3 * D), sizeof *sums); /* dq, dk, dv of one head */
    if (!sums) return vg_fail(VG_ERR_MEMORY, "attention_backward: no memory for the gradients of one head");
    for (int64_t b = 0; b < B; b++)
        for (int64_t h = 0; h < H; h++) {
            for (int64_t n = 0; n < T * 3 * D; n++) sums[n] = 0;
            for (int64_t i = 0; i < T; i++) {
                int64_t token = ((b * T + i) * H + h) * D, row = (b * H + h) * T + i;
                real delta = product_backwards(&args->dout, token, &args->out, token, D);
                store(&args->delta, row, delta);
                for (int64_t j = 0; j < T; j++) {
                    int64_t q = at(qkv, b, i, 0, h), k = at(qkv, b, j, 1, h), v = at(qkv, b, j, 2, h);
                    real p = exp((real)args->scale * product(qkv, q, qkv, k, D) - load(&args->lse, row));
                    real m = dropout_factor(args->dropout, b, (h * T + i) * T + j);
                    real g = product(&args->dout, token, qkv, v, D);
                    real ds = (real)args->scale * as_factor(qkv, p * (m * g - delta));
                    real weight = as_factor(qkv, m * p);
                    for (int64_t d = 0; d < D; d++) {
                        sums[(i * 3 + 0) * D + d] += ds * load(qkv, k + d);
                        sums[(j * 3 + 1) * D + d] += ds * load(qkv, q + d);
                        sums[(j * 3 + 2) * D + d] += weight * load(&args->dout, token + d);
                    }
                }
            }
            for (int64_t t = 0; t < T; t++)
                for (int64_t part = 0; part < 3; part++)
                    for (int64_t d = 0; d < D; d++)
                        store(&args->dqkv, at(qkv, b, t, part, h) + d, sums[(t * 3 + part) * D + d]);
        }
    free(sums);
    return VG_OK;
}
