/* Layer norm over rows of C channels, alone (with activation and dropout) and after dropout and the residual
 * sum. A warp takes a row. Where C and the alignment allow it, a lane loads 16 bytes at a time and keeps its
 * share of the row in registers, so that memory is read once; otherwise (N = 0 below) it reads element by
 * element, and again in each pass. Backward has four numbers to keep for each channel: there two or four
 * warps share a row of more than 256 channels, so that a lane never has more than 8. It sums the gradients
 * of gamma and beta per block into scratch and then over blocks in a fixed order: no atomics. Not yet run on
 * a GPU. */
#include "kernels/cuda/common.h"

namespace
{
enum { WARPS = 4, WIDTH = 32 * WARPS, MAX_BLOCKS = 528 /* four for each multiprocessor of an H100 */ };

/* Element (n, w) of a lane is channel (n * 32 * S + lane) * W + w, where S warps share a row and its lanes
 * are counted through: N vectors of W channels, as many as needed when N is 0. With N the loop is unrolled
 * and the lane's values stay in registers. */
template <int W, int N, int S = 1> struct layout {
    static constexpr int kept = N ? N * W : 1;
    GPU_DEVICE int channel(int n, int lane) { return (n * 32 * S + lane) * W; }
    GPU_DEVICE bool more(int n, int C) { return N ? n < N : n * 32 * S < C; }
};

/* The value that a reader of a T will find. */
template <class T> GPU_DEVICE float rounded(float value)
{
    T stored;
    gpu_store(&stored, value);
    return gpu_to_float(stored);
}

template <class T> struct forward {
    const T *x, *residual, *gamma, *beta;
    T *z, *y;
    float *mean, *rstd;
    int64_t rows, R;
    int C;
    float epsilon;
    vg_activation activation;
    gpu_dropout dropout;
};

/* RESIDUAL: z = residual + dropout(x) is normalised, and neither activation nor dropout follow. */
template <class T, int W, int N, bool RESIDUAL> GPU_KERNEL(WIDTH) forward_kernel(forward<T> a)
{
    typedef layout<W, N> L;
    const int lane = threadIdx.x % 32, C = a.C;
    const int64_t row = (int64_t)blockIdx.x * WARPS + threadIdx.x / 32;
    if (row >= a.rows) return;
    const int64_t at = row * C, b = row / a.R, within = row % a.R * C;
    float v[L::kept], sum = 0, squares = 0;
    const T *normalised = RESIDUAL ? a.z : a.x;
#pragma unroll
    for (int n = 0; L::more(n, C); n++) {
        const int c = L::channel(n, lane);
        if (c >= C) continue;
        float values[W];
        gpu_load_floats(values, a.x + at + c);
        if constexpr (RESIDUAL) {
            float stream[W], factor[W];
            gpu_load_floats(stream, a.residual + at + c);
            gpu_dropout_factors(factor, a.dropout, b, within + c);
#pragma unroll
            for (int w = 0; w < W; w++) values[w] = rounded<T>(stream[w] + values[w] * factor[w]);
            gpu_store_floats(a.z + at + c, values);
        }
#pragma unroll
        for (int w = 0; w < W; w++) {
            sum += values[w];
            if constexpr (N > 0) v[n * W + w] = values[w];
        }
    }
    const float mean = gpu_warp_sum(sum) / (float)C;
#pragma unroll
    for (int n = 0; L::more(n, C); n++) {
        const int c = L::channel(n, lane);
        if (c >= C) continue;
#pragma unroll
        for (int w = 0; w < W; w++) {
            float d = (N ? v[n * W + w] : gpu_to_float(normalised[at + c + w])) - mean;
            squares += d * d;
        }
    }
    const float rstd = 1 / sqrtf(gpu_warp_sum(squares) / (float)C + a.epsilon);
    if (lane == 0) {
        a.mean[row] = mean;
        a.rstd[row] = rstd;
    }
#pragma unroll
    for (int n = 0; L::more(n, C); n++) {
        const int c = L::channel(n, lane);
        if (c >= C) continue;
        float gamma[W], beta[W], y[W], factor[W];
        gpu_load_floats(gamma, a.gamma + c);
        gpu_load_floats(beta, a.beta + c);
        if constexpr (!RESIDUAL) gpu_dropout_factors(factor, a.dropout, b, within + c);
#pragma unroll
        for (int w = 0; w < W; w++) {
            float value = N ? v[n * W + w] : gpu_to_float(normalised[at + c + w]);
            y[w] = (value - mean) * rstd * gamma[w] + beta[w];
            if constexpr (!RESIDUAL) y[w] = gpu_activate(a.activation, y[w]) * factor[w];
        }
        gpu_store_floats(a.y + at + c, y);
    }
}

template <class T> struct backward {
    const T *dy, *dz, *x, *gamma, *beta; /* x is z with a residual; dz and beta may be NULL there */
    const float *mean, *rstd;
    T *dresidual, *dx;
    float *partials; /* (blocks, 2, C): dgamma, dbeta */
    int64_t rows, R;
    int C;
    vg_activation activation;
    gpu_dropout dropout;
};

/* The gradient of (x - mean) * rstd * gamma + beta, given that of what layer norm returned and dropout's
 * factor. */
template <class T, bool RESIDUAL>
GPU_DEVICE float upstream(const backward<T> &a, float dy, float factor, float normal, float gamma, float beta)
{
    if constexpr (RESIDUAL) return dy;
    return dy * factor * gpu_activation_slope(a.activation, normal * gamma + beta);
}

/* The sums of two numbers over the S warps that share a row, for all of them. Sums alternate between the two
 * halves of `of_warp`: who writes one has passed the barrier behind which the others read it the last time.
 */
template <int S> GPU_DEVICE void row_sums(float &a, float &b, float (&of_warp)[2 * 2 * WARPS], int &half)
{
    a = gpu_warp_sum(a);
    b = gpu_warp_sum(b);
    if constexpr (S > 1) {
        const int warp = threadIdx.x / 32, group = warp / S;
        float *place = of_warp + half * 2 * WARPS;
        half = 1 - half;
        if (threadIdx.x % 32 == 0) place[2 * warp] = a, place[2 * warp + 1] = b;
        if (S == WARPS)
            gpu_sync_block();
        else
            gpu_bar_sync(1 + group, 32 * S);
        a = b = 0;
#pragma unroll
        for (int k = 0; k < S; k++) a += place[2 * (group * S + k)], b += place[2 * (group * S + k) + 1];
    }
}

/* dx = rstd * (g - mean_c(g) - normal * mean_c(g * normal)), g = gamma * upstream. Whole groups of S warps
 * run through the rows, so all of a group meet in row_sums(). */
template <class T, int W, int N, int S, bool RESIDUAL> GPU_KERNEL(WIDTH) backward_kernel(backward<T> a)
{
    typedef layout<W, N, S> L;
    constexpr int GROUPS = WARPS / S;
    GPU_SHARED(float, of_warp, 2 * 2 * WARPS);
    int half = 0;
    const int lane = threadIdx.x % (32 * S), group = threadIdx.x / (32 * S), C = a.C;
    float dgamma[L::kept] = {}, dbeta[L::kept] = {};
    for (int64_t row = (int64_t)blockIdx.x * GROUPS + group; row < a.rows;
         row += (int64_t)gridDim.x * GROUPS) {
        const int64_t at = row * C, b = row / a.R, within = row % a.R * C;
        const float mean = a.mean[row], rstd = a.rstd[row];
        float g[L::kept], normal[L::kept], sum = 0, moment = 0;
#pragma unroll
        for (int n = 0; L::more(n, C); n++) {
            const int c = L::channel(n, lane);
            if (c >= C) continue;
            float x[W], dy[W], gamma[W], beta[W] = {}, factor[W] = {};
            gpu_load_floats(x, a.x + at + c);
            gpu_load_floats(dy, a.dy + at + c);
            gpu_load_floats(gamma, a.gamma + c);
            if constexpr (!RESIDUAL) {
                gpu_load_floats(beta, a.beta + c);
                gpu_dropout_factors(factor, a.dropout, b, within + c);
            }
#pragma unroll
            for (int w = 0; w < W; w++) {
                const int i = N ? n * W + w : 0;
                normal[i] = (x[w] - mean) * rstd;
                float d = upstream<T, RESIDUAL>(a, dy[w], factor[w], normal[i], gamma[w], beta[w]);
                g[i] = d * gamma[w];
                sum += g[i];
                moment += g[i] * normal[i];
                if constexpr (N > 0) {
                    dgamma[i] += d * normal[i];
                    dbeta[i] += d;
                }
            }
        }
        row_sums<S>(sum, moment, of_warp, half);
        sum /= (float)C;
        moment /= (float)C;
#pragma unroll
        for (int n = 0; L::more(n, C); n++) {
            const int c = L::channel(n, lane);
            if (c >= C) continue;
            float out[W], dropped[W], stream[W] = {}, factor[W];
            if constexpr (RESIDUAL)
                if (a.dz) gpu_load_floats(stream, a.dz + at + c);
            if constexpr (RESIDUAL || N == 0) gpu_dropout_factors(factor, a.dropout, b, within + c);
#pragma unroll
            for (int w = 0; w < W; w++) {
                const int i = N ? n * W + w : 0;
                if constexpr (N == 0) { /* once more, since nothing was kept */
                    const float gamma = gpu_to_float(a.gamma[c]);
                    normal[0] = (gpu_to_float(a.x[at + c]) - mean) * rstd;
                    g[0] = gamma * upstream<T, RESIDUAL>(a, gpu_to_float(a.dy[at + c]), factor[0], normal[0],
                                                         gamma, RESIDUAL ? 0 : gpu_to_float(a.beta[c]));
                }
                out[w] = rstd * (g[i] - sum - normal[i] * moment) + stream[w];
                if constexpr (RESIDUAL) dropped[w] = out[w] * factor[w];
            }
            if constexpr (RESIDUAL) {
                gpu_store_floats(a.dresidual + at + c, out);
                gpu_store_floats(a.dx + at + c, dropped);
            } else
                gpu_store_floats(a.dx + at + c, out);
        }
    }
    if constexpr (N > 0) { /* over the groups of the block, in their order */
        constexpr int channels = 32 * S * N * W;
        GPU_SHARED(float, of_group, GROUPS *channels);
        const int shift = GPU_PLANTED_BUG == GPU_BUG_SHARED ? 1 : 0;
#pragma unroll
        for (int which = 0; which < 2; which++) {
            if (which) gpu_sync_block(); /* the sums before have been read */
#pragma unroll
            for (int n = 0; n < N; n++)
#pragma unroll
                for (int w = 0; w < W; w++)
                    of_group[group * channels + L::channel(n, lane) + w + shift] =
                        which ? dbeta[n * W + w] : dgamma[n * W + w];
            if (GPU_PLANTED_BUG != GPU_BUG_BARRIER) gpu_sync_block();
            for (int c = threadIdx.x; c < C; c += WIDTH) {
                float sum = 0;
                for (int k = 0; k < GROUPS; k++) sum += of_group[k * channels + c];
                a.partials[((int64_t)blockIdx.x * 2 + which) * C + c] = sum;
            }
        }
    }
}

/* The same partial sums where backward_kernel could not keep them: block (i, j) takes 32 channels and every
 * gridDim.y-th group of WARPS rows. */
template <class T, bool RESIDUAL> GPU_KERNEL(WIDTH) columns_kernel(backward<T> a)
{
    GPU_SHARED(float, of_warp, 2 * WIDTH);
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32, c = blockIdx.x * 32 + lane;
    float dgamma = 0, dbeta = 0;
    if (c < a.C) {
        const float gamma = gpu_to_float(a.gamma[c]), beta = RESIDUAL ? 0 : gpu_to_float(a.beta[c]);
        for (int64_t row = (int64_t)blockIdx.y * WARPS + warp; row < a.rows;
             row += (int64_t)gridDim.y * WARPS) {
            const int64_t i = row * a.C + c;
            float normal = (gpu_to_float(a.x[i]) - a.mean[row]) * a.rstd[row], factor[1] = {};
            if constexpr (!RESIDUAL) gpu_dropout_factors(factor, a.dropout, row / a.R, row % a.R * a.C + c);
            float d = upstream<T, RESIDUAL>(a, gpu_to_float(a.dy[i]), factor[0], normal, gamma, beta);
            dgamma += d * normal;
            dbeta += d;
        }
    }
    of_warp[threadIdx.x] = dgamma;
    of_warp[WIDTH + threadIdx.x] = dbeta;
    gpu_sync_block();
    if (warp < 2 && c < a.C) {
        float sum = 0;
        for (int k = 0; k < WARPS; k++) sum += of_warp[warp * WIDTH + k * 32 + lane];
        a.partials[((int64_t)blockIdx.y * 2 + warp) * a.C + c] = sum;
    }
}

/* dgamma and dbeta += the sums of their partials: block i takes 32 channels of both, a warp every WARPS-th
 * partial. */
GPU_KERNEL(WIDTH)
finish_kernel(const float *partials, int blocks, int C, float *dgamma, float *dbeta)
{
    GPU_SHARED(float, of_warp, 2 * WIDTH);
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32, c = blockIdx.x * 32 + lane;
    float sum[2] = {};
    for (int k = warp; k < blocks && c < C; k += WARPS)
        for (int which = 0; which < 2; which++) sum[which] += partials[((int64_t)k * 2 + which) * C + c];
    of_warp[threadIdx.x] = sum[0];
    of_warp[WIDTH + threadIdx.x] = sum[1];
    gpu_sync_block();
    if (warp < 2 && c < C) {
        float *to = (warp ? dbeta : dgamma) + c;
        float all = 0;
        for (int k = 0; k < WARPS; k++) all += of_warp[warp * WIDTH + k * 32 + lane];
        *to += all;
    }
}

/* How many blocks share the rows in backward; a function of the shape, so that the sums' order is too. */
int shares(int64_t rows)
{
    int64_t wanted = (rows + WARPS - 1) / WARPS;
    return wanted < MAX_BLOCKS ? (int)wanted : (int)MAX_BLOCKS;
}

/* Vectors when those divide C: 8 channels a lane up to C = 256, beyond it forward has up to 32 a lane and
 * backward more lanes. */
enum form { ELEMENTS, SHORT, MIDDLE, LONG };
template <class T> form form_of(int64_t C, bool aligned)
{
    if (!aligned || C % (16 / (int64_t)sizeof(T)) || C > 1024) return ELEMENTS;
    return C <= 256 ? SHORT : C <= 512 ? MIDDLE : LONG;
}

template <class T, bool RESIDUAL>
vg_status launch_forward(const char *op, const forward<T> &a, bool aligned, cudaStream_t stream)
{
    constexpr int W = 16 / (int)sizeof(T);
    if (a.rows == 0) return VG_OK;
    dim3 grid((unsigned)((a.rows + WARPS - 1) / WARPS));
    void (*kernel)(forward<T>) = forward_kernel<T, 1, 0, RESIDUAL>;
    form chosen = form_of<T>(a.C, aligned);
    if (chosen == SHORT) kernel = forward_kernel<T, W, 8 / W, RESIDUAL>;
    if (chosen == MIDDLE) kernel = forward_kernel<T, W, 16 / W, RESIDUAL>;
    if (chosen == LONG) kernel = forward_kernel<T, W, 32 / W, RESIDUAL>;
    return gpu_launched(gpu_launch(kernel, grid, dim3(WIDTH), 0, stream, a), op);
}

template <class T, bool RESIDUAL>
vg_status launch_backward(const char *op, const backward<T> &a, float *dgamma, float *dbeta, bool aligned,
                          cudaStream_t stream)
{
    constexpr int W = 16 / (int)sizeof(T);
    if (a.rows == 0) return VG_OK;
    const unsigned blocks = (unsigned)shares(a.rows), columns = (unsigned)((a.C + 31) / 32);
    void (*kernel)(backward<T>) = backward_kernel<T, 1, 0, 1, RESIDUAL>;
    form chosen = form_of<T>(a.C, aligned);
    if (chosen == SHORT) kernel = backward_kernel<T, W, 8 / W, 1, RESIDUAL>;
    if (chosen == MIDDLE) kernel = backward_kernel<T, W, 8 / W, 2, RESIDUAL>;
    if (chosen == LONG) kernel = backward_kernel<T, W, 8 / W, 4, RESIDUAL>;
    if (chosen == ELEMENTS) /* before dx is written, which may be dy */
        GPU_TRY(op,
                gpu_launch(columns_kernel<T, RESIDUAL>, dim3(columns, blocks), dim3(WIDTH), 0, stream, a));
    GPU_TRY(op, gpu_launch(kernel, dim3(blocks), dim3(WIDTH), 0, stream, a));
    GPU_TRY(op, gpu_launch(finish_kernel, dim3(columns), dim3(WIDTH), 0, stream, (const float *)a.partials,
                           (int)blocks, a.C, dgamma, dbeta));
    return VG_OK;
}

/* Channels are counted in int inside of the kernels. */
vg_status countable(const char *op, int64_t rows, int64_t C)
{
    if (C <= 1 << 24 && rows <= (int64_t)1 << 32) return VG_OK;
    return vg_fail(VG_ERR_UNSUPPORTED, "%s: more than 2^24 channels or 2^32 rows", op);
}

template <class T> vg_status run(const vg_layernorm_forward_args *args, cudaStream_t stream)
{
    forward<T> a = {};
    a.x = (const T *)args->x.data;
    a.gamma = (const T *)args->gamma.data;
    a.beta = (const T *)args->beta.data;
    a.y = (T *)args->y.data;
    a.mean = (float *)args->mean.data;
    a.rstd = (float *)args->rstd.data;
    a.rows = args->x.dims[0] * args->x.dims[1];
    a.R = args->x.dims[1];
    a.C = (int)args->x.dims[2];
    a.epsilon = args->epsilon;
    a.activation = args->activation;
    a.dropout = gpu_dropout_of(args->dropout);
    return launch_forward<T, false>("layernorm_forward", a, gpu_all_aligned(a.x, a.gamma, a.beta, a.y),
                                    stream);
}

template <class T> vg_status run(const vg_residual_layernorm_forward_args *args, cudaStream_t stream)
{
    forward<T> a = {};
    a.x = (const T *)args->x.data;
    a.residual = (const T *)args->residual.data;
    a.gamma = (const T *)args->gamma.data;
    a.beta = (const T *)args->beta.data;
    a.z = (T *)args->z.data;
    a.y = (T *)args->y.data;
    a.mean = (float *)args->mean.data;
    a.rstd = (float *)args->rstd.data;
    a.rows = args->x.dims[0] * args->x.dims[1];
    a.R = args->x.dims[1];
    a.C = (int)args->x.dims[2];
    a.epsilon = args->epsilon;
    a.dropout = gpu_dropout_of(args->dropout);
    return launch_forward<T, true>("residual_layernorm_forward", a,
                                   gpu_all_aligned(a.x, a.residual, a.gamma, a.beta, a.z, a.y), stream);
}

template <class T> vg_status run(const vg_layernorm_backward_args *args, float *partials, cudaStream_t stream)
{
    backward<T> a = {};
    a.dy = (const T *)args->dy.data;
    a.x = (const T *)args->x.data;
    a.gamma = (const T *)args->gamma.data;
    a.beta = (const T *)args->beta.data;
    a.mean = (const float *)args->mean.data;
    a.rstd = (const float *)args->rstd.data;
    a.dx = (T *)args->dx.data;
    a.partials = partials;
    a.rows = args->x.dims[0] * args->x.dims[1];
    a.R = args->x.dims[1];
    a.C = (int)args->x.dims[2];
    a.activation = args->activation;
    a.dropout = gpu_dropout_of(args->dropout);
    return launch_backward<T, false>("layernorm_backward", a, (float *)args->dgamma.data,
                                     (float *)args->dbeta.data,
                                     gpu_all_aligned(a.dy, a.x, a.gamma, a.beta, a.dx), stream);
}

template <class T>
vg_status run(const vg_residual_layernorm_backward_args *args, float *partials, cudaStream_t stream)
{
    backward<T> a = {};
    a.dy = (const T *)args->dy.data;
    a.dz = (const T *)args->dz.data;
    a.x = (const T *)args->z.data;
    a.gamma = (const T *)args->gamma.data;
    a.mean = (const float *)args->mean.data;
    a.rstd = (const float *)args->rstd.data;
    a.dresidual = (T *)args->dresidual.data;
    a.dx = (T *)args->dx.data;
    a.partials = partials;
    a.rows = args->z.dims[0] * args->z.dims[1];
    a.R = args->z.dims[1];
    a.C = (int)args->z.dims[2];
    a.dropout = gpu_dropout_of(args->dropout);
    return launch_backward<T, true>("residual_layernorm_backward", a, (float *)args->dgamma.data,
                                    (float *)args->dbeta.data,
                                    gpu_all_aligned(a.dy, a.dz, a.x, a.gamma, a.dresidual, a.dx), stream);
}
vg_status partials_for(vg_kernels *kernels, int64_t rows, int64_t C, float **out)
{
    vg__cuda *cuda = vg__cuda_of(kernels);
    return cuda->scratch(cuda, (size_t)shares(rows) * 2 * (size_t)C * sizeof(float), (void **)out);
}
} // namespace

vg_status vg__cuda_layernorm_forward(vg_kernels *kernels, const vg_layernorm_forward_args *args)
{
    VG_TRY(vg__check_layernorm_forward(args, VG__F32 | VG__BF16));
    VG_TRY(countable("layernorm_forward", args->x.dims[0] * args->x.dims[1], args->x.dims[2]));
    const cudaStream_t stream = vg__cuda_of(kernels)->stream;
    return args->x.dtype == VG_BF16 ? run<gpu_bf16>(args, stream) : run<float>(args, stream);
}

vg_status vg__cuda_residual_layernorm_forward(vg_kernels *kernels,
                                              const vg_residual_layernorm_forward_args *args)
{
    VG_TRY(vg__check_residual_layernorm_forward(args, VG__F32 | VG__BF16));
    VG_TRY(countable("residual_layernorm_forward", args->x.dims[0] * args->x.dims[1], args->x.dims[2]));
    const cudaStream_t stream = vg__cuda_of(kernels)->stream;
    return args->x.dtype == VG_BF16 ? run<gpu_bf16>(args, stream) : run<float>(args, stream);
}

vg_status vg__cuda_layernorm_backward(vg_kernels *kernels, const vg_layernorm_backward_args *args)
{
    VG_TRY(vg__check_layernorm_backward(args, VG__F32 | VG__BF16));
    const int64_t rows = args->x.dims[0] * args->x.dims[1], C = args->x.dims[2];
    VG_TRY(countable("layernorm_backward", rows, C));
    const cudaStream_t stream = vg__cuda_of(kernels)->stream;
    float *partials;
    VG_TRY(partials_for(kernels, rows, C, &partials));
    return args->x.dtype == VG_BF16 ? run<gpu_bf16>(args, partials, stream)
                                    : run<float>(args, partials, stream);
}

vg_status vg__cuda_residual_layernorm_backward(vg_kernels *kernels,
                                               const vg_residual_layernorm_backward_args *args)
{
    VG_TRY(vg__check_residual_layernorm_backward(args, VG__F32 | VG__BF16));
    const int64_t rows = args->z.dims[0] * args->z.dims[1], C = args->z.dims[2];
    VG_TRY(countable("residual_layernorm_backward", rows, C));
    const cudaStream_t stream = vg__cuda_of(kernels)->stream;
    float *partials;
    VG_TRY(partials_for(kernels, rows, C, &partials));
    return args->z.dtype == VG_BF16 ? run<gpu_bf16>(args, partials, stream)
                                    : run<float>(args, partials, stream);
}
