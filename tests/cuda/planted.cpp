/* planted CASE: runs one piece of work in eight orders, built with a planted bug or (planted_none) without
 * one. Exit 0: the results were right and the emulator said nothing; 1: the bug was seen. test_planted.py
 * wants 1 from every build with a bug, 0 from the one without. */
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <vector>

#include "kernels/cuda/cuda.h"
#include "kernels/cuda/products.h"
#include "tests/cuda/block.h"
#include "tests/cuda/runtime.h"
#include "tests/cuda/tile.h"

namespace
{
cudaStream_t stream, other_stream;
std::vector<void *> held;

void must(cudaError_t error)
{
    if (error == cudaSuccess) return;
    printf("seen: %s\n", cudaGetErrorString(error));
    exit(1);
}
void must(vg_status status)
{
    if (status == VG_OK) return;
    printf("refused: %s\n", vg_cause());
    exit(2);
}

template <class T> T *on_device(const std::vector<T> &values)
{
    void *memory;
    must(cudaMalloc(&memory, values.size() * sizeof(T)));
    must(cudaMemcpyAsync(memory, values.data(), values.size() * sizeof(T), cudaMemcpyHostToDevice, stream));
    held.push_back(memory);
    return static_cast<T *>(memory);
}
template <class T> std::vector<T> from_device(const T *memory, size_t count)
{
    std::vector<T> values(count);
    must(cudaMemcpyAsync(values.data(), memory, count * sizeof(T), cudaMemcpyDeviceToHost, stream));
    must(cudaStreamSynchronize(stream));
    return values;
}

void expect(double got, double want, const char *what)
{
    if (fabs(got - want) <= 1e-5 * (1 + fabs(want))) return;
    printf("seen: %s is %g and not %g\n", what, got, want);
    exit(1);
}

/* Small integers, so that sums are exact. */
std::vector<float> numbers(size_t count, unsigned seed)
{
    std::vector<float> values(count);
    for (float &value : values) value = (float)((seed = seed * 1664525u + 1013904223u) >> 28) - 7;
    return values;
}

vg_tensor tensor(void *data, vg_dtype dtype, std::vector<int64_t> dims)
{
    return vg_tensor_make(data, dtype, (int)dims.size(), dims.data());
}

void tile()
{
    const int m = 40, n = 24, k = 56;
    std::vector<float> a = numbers((size_t)m * k, 1), b = numbers((size_t)k * n, 2);
    std::vector<uint16_t> short_a, short_b;
    for (float value : a) short_a.push_back(vg_bf16_from_float(value));
    for (float value : b) short_b.push_back(vg_bf16_from_float(value));
    float *c = on_device(std::vector<float>((size_t)m * n, NAN));
    must((cudaError_t)tile_bf16(on_device(short_a), on_device(short_b), c, m, n, k, stream));
    std::vector<float> got = from_device(c, (size_t)m * n);
    for (int i = 0; i < m; i++)
        for (int j = 0; j < n; j++) {
            float sum = 0;
            for (int l = 0; l < k; l++) sum += a[i * k + l] * b[l * n + j];
            expect(got[i * n + j], sum, "an element of a product");
        }
}

/* The backend as far as the launchers look at it. */
vg_kernels *kernels()
{
    static vg__cuda cuda;
    static vg_kernels table;
    cuda.stream = stream;
    cuda.multiprocessors = 4;
    cuda.scratch = [](vg__cuda *, size_t bytes, void **out) {
        *out = on_device(std::vector<char>(bytes, (char)0xff));
        return VG_OK;
    };
    table.state = &cuda;
    return &table;
}

/* With mean 0 and rstd 1 as given, dgamma and dbeta are sums of small integers. */
void layernorm()
{
    const int64_t R = 13, C = 256;
    std::vector<float> x = numbers(R * C, 3), dy = numbers(R * C, 4), ones(C, 1), zeros(C, 0);
    vg_layernorm_backward_args args = {};
    args.dy = tensor(on_device(dy), VG_F32, {1, R, C});
    args.x = tensor(on_device(x), VG_F32, {1, R, C});
    args.gamma = tensor(on_device(ones), VG_F32, {C});
    args.beta = tensor(on_device(zeros), VG_F32, {C});
    args.mean = tensor(on_device(std::vector<float>(R, 0)), VG_F32, {1, R});
    args.rstd = tensor(on_device(std::vector<float>(R, 1)), VG_F32, {1, R});
    args.dx = tensor(on_device(zeros = std::vector<float>(R * C, 0)), VG_F32, {1, R, C});
    float *dgamma = on_device(std::vector<float>(C, 0)), *dbeta = on_device(std::vector<float>(C, 0));
    args.dgamma = tensor(dgamma, VG_F32, {C});
    args.dbeta = tensor(dbeta, VG_F32, {C});
    must(vg__cuda_layernorm_backward(kernels(), &args));
    std::vector<float> got_gamma = from_device(dgamma, C), got_beta = from_device(dbeta, C);
    for (int64_t c = 0; c < C; c++) {
        float sum = 0, moment = 0;
        for (int64_t r = 0; r < R; r++) sum += dy[r * C + c], moment += dy[r * C + c] * x[r * C + c];
        expect(got_gamma[c], moment, "dgamma");
        expect(got_beta[c], sum, "dbeta");
    }
}

void masked_mse()
{
    const int64_t n = 1023;
    std::vector<float> p = numbers(n, 5), t = numbers(n, 6);
    std::vector<uint8_t> mask(n);
    double sum = 0, count = 0;
    for (int64_t i = 0; i < n; i++) {
        mask[i] = i % 3 == 0;
        if (mask[i]) sum += (p[i] - t[i]) * (p[i] - t[i]), count++;
    }
    vg_masked_mse_args args = {};
    args.prediction = tensor(on_device(p), VG_F32, {1, n});
    args.target = tensor(on_device(t), VG_F32, {1, n});
    args.mask = tensor(on_device(mask), VG_U8, {1, n});
    args.dprediction = tensor(on_device(std::vector<float>(n, NAN)), VG_F32, {1, n});
    double *stats = on_device(std::vector<double>{0, 0});
    args.stats = tensor(stats, VG_F64, {2});
    must(vg__cuda_masked_mse(kernels(), &args));
    std::vector<double> got = from_device(stats, 2);
    expect(got[0], sum, "the loss");
    expect(got[1], count, "the count");
}

void tokens()
{
    const int64_t B = 3, T = 5, C = 7;
    std::vector<float> x = numbers(B * T * C, 7), cls = numbers(C, 8), position = numbers((1 + T) * C, 9);
    vg_tokens_forward_args forward = {};
    forward.x = tensor(on_device(x), VG_F32, {B, T, C});
    forward.cls = tensor(on_device(cls), VG_F32, {C});
    forward.position = tensor(on_device(position), VG_F32, {1 + T, C});
    float *out = on_device(std::vector<float>(B * (1 + T) * C, NAN));
    forward.out = tensor(out, VG_F32, {B, 1 + T, C});
    must(vg__cuda_tokens_forward(kernels(), &forward));
    std::vector<float> got = from_device(out, B * (1 + T) * C);
    for (int64_t b = 0; b < B; b++)
        for (int64_t e = 0; e < (1 + T) * C; e++)
            expect(got[b * (1 + T) * C + e], position[e] + (e < C ? cls[e] : x[b * T * C + e - C]),
                   "an element of the tokens");
    vg_tokens_backward_args backward = {};
    backward.dout = forward.out;
    backward.dx = forward.x;
    float *dcls = on_device(std::vector<float>(C, 0));
    backward.dcls = tensor(dcls, VG_F32, {C});
    must(vg__cuda_tokens_backward(kernels(), &backward));
    std::vector<float> sums = from_device(dcls, C);
    for (int64_t c = 0; c < C; c++) expect(sums[c], (double)B * (cls[c] + position[c]), "dcls");
}

void pool()
{
    const int64_t T = 97, C = 8;
    std::vector<float> x = numbers(T * C, 10);
    vg_pool_forward_args args = {};
    args.x = tensor(on_device(x), VG_F32, {1, T, C});
    float *y = on_device(std::vector<float>(C, NAN));
    int32_t *chosen = on_device(std::vector<int32_t>(C, -1));
    args.y = tensor(y, VG_F32, {1, C});
    args.pool = VG_POOL_MEAN;
    must(vg__cuda_pool_forward(kernels(), &args));
    std::vector<float> mean = from_device(y, C);
    args.chosen = tensor(chosen, VG_I32, {1, C});
    args.pool = VG_POOL_MAX;
    must(vg__cuda_pool_forward(kernels(), &args));
    std::vector<int32_t> got = from_device(chosen, C);
    for (int64_t c = 0; c < C; c++) {
        float sum = 0;
        int64_t best = 1;
        for (int64_t t = 1; t < T; t++) {
            sum += x[t * C + c];
            if (x[t * C + c] > x[best * C + c]) best = t;
        }
        expect(mean[c], sum / (float)(T - 1), "a mean");
        expect(got[c], (double)best, "the token of a maximum");
    }
}

/* Every fourth sample or so starts a span of three; the choices as core/random.h gives them. */
void masking()
{
    const int64_t T = 600, span = 3;
    vg_mask_forward_args args = {};
    args.x = tensor(on_device(numbers(T, 11)), VG_F32, {1, T});
    args.segment = tensor(on_device(std::vector<int64_t>{5}), VG_I64, {1});
    args.y = tensor(on_device(std::vector<float>(T, NAN)), VG_F32, {1, T});
    uint8_t *mask = on_device(std::vector<uint8_t>(T, 255));
    args.mask = tensor(mask, VG_U8, {1, T});
    args.start_probability = 0.25f;
    args.span = (int32_t)span;
    must(vg__cuda_mask_forward(kernels(), &args));
    std::vector<uint8_t> got = from_device(mask, T);
    int64_t left = 0;
    for (int64_t t = 0; t < T; t++, left--) {
        if (vg_random_unit(vg_philox_draw(0, (uint32_t)t, VG_SITE_MASK, 5, 0).word[0]) < 0.25) left = span;
        expect(got[t], left > 0 ? VG_MASK_FILLED : VG_MASK_VISIBLE, "a sample's mask");
    }
}

void gather()
{
    const int64_t T = 100;
    std::vector<float> signal = numbers(2 * T, 12);
    vg_gather_args args = {};
    args.signal = tensor(on_device(signal), VG_F32, {2 * T});
    args.start = tensor(on_device(std::vector<int64_t>{0, T}), VG_I64, {2});
    args.mean = tensor(on_device(std::vector<double>{1, 2}), VG_F64, {2});
    args.scale = tensor(on_device(std::vector<double>{0.5, 4}), VG_F64, {2});
    args.index = tensor(on_device(std::vector<int64_t>{1, 0}), VG_I64, {2});
    float *y = on_device(std::vector<float>(2 * T, NAN));
    args.y = tensor(y, VG_F32, {2, T});
    must(vg__cuda_gather(kernels(), &args));
    std::vector<float> got = from_device(y, 2 * T);
    for (int64_t t = 0; t < T; t++) {
        expect(got[t], (signal[T + t] - 2) * 4, "a sample of the second segment");
        expect(got[T + t], (signal[t] - 1) * 0.5, "a sample of the first segment");
    }
}

std::vector<uint16_t> short_numbers(const std::vector<float> &values)
{
    std::vector<uint16_t> all;
    for (float value : values) all.push_back(vg_bf16_from_float(value));
    return all;
}

/* The products of one shape in bf16, dw by itself; sums of small integers, so exact but for rounding. */
enum pass { ROWS, DW };
void product(pass which, int64_t B, int64_t T, int64_t I, int64_t O, int64_t K)
{
    const vg__product p = {"product", VG_BF16, false, B, T, I, O, K, VG__TILE_BY_SHAPE};
    std::vector<float> x = numbers(B * T * I, 7), w = numbers(O * K * I, 8), dy = numbers(B * T * O, 9);
    std::vector<float> y(B * T * O, 0), dx(B * T * I, 0), dw(O * K * I, 0);
    for (int64_t n = 0; n < B * T; n++)
        for (int64_t k = 0; k < K; k++) {
            const int64_t from = n % T + k - (K - 1) / 2, at = n + k - (K - 1) / 2;
            if (from < 0 || from >= T) continue;
            for (int64_t o = 0; o < O; o++)
                for (int64_t i = 0; i < I; i++) {
                    y[n * O + o] += x[at * I + i] * w[(o * K + k) * I + i];
                    dx[at * I + i] += dy[n * O + o] * w[(o * K + k) * I + i];
                    dw[(o * K + k) * I + i] += dy[n * O + o] * x[at * I + i];
                }
        }
    uint16_t *x_dev = on_device(short_numbers(x)), *w_dev = on_device(short_numbers(w));
    uint16_t *dy_dev = on_device(short_numbers(dy)), *y_dev = on_device(short_numbers(dy));
    uint16_t *dx_dev = on_device(short_numbers(x));
    float *dw_dev = on_device(std::vector<float>(O * K * I, 0));
    vg__cuda *cuda = vg__cuda_of(kernels());
    vg__finish finish = {};
    finish.R = T;
    if (which == DW) {
        void *scratch;
        must(cuda->scratch(cuda, vg__own_dw_scratch(&p), &scratch));
        must(vg__own_dw(cuda, &p, dy_dev, x_dev, dw_dev, scratch));
        std::vector<float> got = from_device(dw_dev, dw.size());
        for (size_t i = 0; i < dw.size(); i++) expect(got[i], dw[i], "an element of dw");
        return;
    }
    must(vg__own_forward(cuda, &p, x_dev, w_dev, &finish, y_dev));
    must(vg__own_dx(cuda, &p, dy_dev, w_dev, dx_dev, false));
    std::vector<uint16_t> got_y = from_device(y_dev, y.size()), got_dx = from_device(dx_dev, dx.size());
    for (size_t i = 0; i < y.size(); i++)
        expect(vg_bf16_to_float(got_y[i]), vg_bf16_to_float(vg_bf16_from_float(y[i])), "an element of y");
    for (size_t i = 0; i < dx.size(); i++)
        expect(vg_bf16_to_float(got_dx[i]), vg_bf16_to_float(vg_bf16_from_float(dx[i])), "an element of dx");
}

/* Attention of small integers with dropout, three tiles of keys and two blocks of queries, against loops in
 * double. */
void attention()
{
    const int T = 70, H = 2, D = 32;
    const float scale = 0.02f;
    std::vector<float> qkv = numbers((size_t)T * 3 * H * D, 13), dout = numbers((size_t)T * H * D, 14);
    std::vector<double> out(dout.size()), lse((size_t)H * T), dqkv(qkv.size());
    vg_dropout dropout = {};
    dropout.probability = 0.5f;
    dropout.site = 1;
    dropout.segment = tensor(on_device(std::vector<int64_t>{5}), VG_I64, {1});
    auto at = [=](int t, int part, int h) { return ((t * 3 + part) * H + h) * D; };
    auto product = [](const float *a, const float *b) {
        double sum = 0;
        for (int d = 0; d < D; d++) sum += (double)a[d] * (double)b[d];
        return sum;
    };
    for (int h = 0; h < H; h++)
        for (int i = 0; i < T; i++) {
            const float *q = &qkv[at(i, 0, h)], *g = &dout[(i * H + h) * D];
            double sum = 0, delta = 0, p[T], m[T];
            for (int j = 0; j < T; j++) sum += p[j] = exp((double)scale * product(q, &qkv[at(j, 1, h)]));
            lse[h * T + i] = log(sum);
            for (int j = 0; j < T; j++) {
                const int64_t e = ((int64_t)h * T + i) * T + j;
                vg_philox draw = vg_philox_draw(0, (uint32_t)(e / VG_RANDOM_LANES), 1, 5, 0);
                m[j] = vg_random_half(draw, (int)(e % VG_RANDOM_LANES)) >= 0x8000 ? 2 : 0;
                p[j] /= sum;
                delta += p[j] * m[j] * product(g, &qkv[at(j, 2, h)]);
            }
            for (int j = 0; j < T; j++) {
                const double ds = scale * p[j] * (m[j] * product(g, &qkv[at(j, 2, h)]) - delta);
                for (int d = 0; d < D; d++) {
                    out[(i * H + h) * D + d] += p[j] * m[j] * (double)qkv[at(j, 2, h) + d];
                    dqkv[at(i, 0, h) + d] += ds * (double)qkv[at(j, 1, h) + d];
                    dqkv[at(j, 1, h) + d] += ds * (double)q[d];
                    dqkv[at(j, 2, h) + d] += p[j] * m[j] * (double)g[d];
                }
            }
        }
    vg_attention_forward_args forward = {};
    float *out_dev = on_device(std::vector<float>(out.size(), NAN));
    float *lse_dev = on_device(std::vector<float>(lse.size(), NAN));
    forward.qkv = tensor(on_device(qkv), VG_F32, {1, T, 3, H, D});
    forward.out = tensor(out_dev, VG_F32, {1, T, H, D});
    forward.lse = tensor(lse_dev, VG_F32, {1, H, T});
    forward.scale = scale;
    forward.dropout = &dropout;
    must(vg__cuda_attention_forward(kernels(), &forward));
    vg_attention_backward_args args = {};
    float *dqkv_dev = on_device(std::vector<float>(dqkv.size(), NAN));
    args.dout = tensor(on_device(dout), VG_F32, {1, T, H, D});
    args.qkv = forward.qkv;
    args.out = forward.out;
    args.lse = forward.lse;
    args.dqkv = tensor(dqkv_dev, VG_F32, {1, T, 3, H, D});
    args.delta = tensor(on_device(std::vector<float>(lse.size(), NAN)), VG_F32, {1, H, T});
    args.scale = scale;
    args.dropout = &dropout;
    must(vg__cuda_attention_backward(kernels(), &args));
    std::vector<float> got_out = from_device(out_dev, out.size()), got_lse = from_device(lse_dev, lse.size());
    std::vector<float> got = from_device(dqkv_dev, dqkv.size());
    for (size_t n = 0; n < got.size(); n++) expect(got[n], dqkv[n], "a gradient of attention");
    for (size_t n = 0; n < got_lse.size(); n++) expect(got_lse[n], lse[n], "a log-sum-exp");
    for (size_t n = 0; n < got_out.size(); n++) expect(got_out[n], out[n], "what attention gives");
}

/* Work that a second stream hands to the first: with an event, and (the bug) without. */
void streams(bool with_event)
{
    std::vector<double> ones(100, 1);
    double *from = on_device(ones), *to = on_device(std::vector<double>(100, 0));
    must(cudaStreamSynchronize(stream));
    cudaEvent_t event;
    must(cudaEventCreate(&event));
    must(cudaMemcpyAsync(to, from, 800, cudaMemcpyDeviceToDevice, other_stream));
    if (with_event) {
        must(cudaEventRecord(event, other_stream));
        must(cudaStreamWaitEvent(stream, event, 0));
    }
    std::vector<double> got = from_device(to, 100);
    must(cudaEventDestroy(event));
    expect(got[99], 1, "what the other stream wrote");
}

/* The result is read before anyone waited for it. */
void host_reads_early()
{
    std::vector<double> got(100, 0);
    double *from = on_device(std::vector<double>(100, 1));
    must(cudaMemcpyAsync(got.data(), from, 800, cudaMemcpyDeviceToHost, stream));
    double seen = got[99];
    must(cudaStreamSynchronize(stream));
    expect(seen, 1, "what the host read");
}

/* A store four bytes past an allocation. */
void outside()
{
    float *memory = on_device(std::vector<float>(4, 0));
    must((cudaError_t)tile_wrong(TILE_NOTHING, memory + 3, stream));
    must(cudaStreamSynchronize(stream));
}

void host_follows_pointer()
{
    float *memory = on_device(std::vector<float>(4, 0));
    must(cudaStreamSynchronize(stream));
    printf("%g\n", (double)*(volatile float *)memory);
}
} // namespace

int main(int argc, char **argv)
{
    const struct {
        const char *name;
        std::function<void()> run;
    } cases[] = {{"tile", tile},
                 {"layernorm", layernorm},
                 {"masked_mse", masked_mse},
                 {"tokens", tokens},
                 {"pool", pool},
                 {"masking", masking},
                 {"gather", gather},
                 {"linear", [] { product(ROWS, 1, 70, 72, 40, 1); }},
                 {"linear_dw", [] { product(DW, 1, 170, 72, 40, 1); }},
                 {"conv", [] { product(ROWS, 2, 41, 40, 24, 5); }},
                 {"conv_dw", [] { product(DW, 2, 41, 40, 24, 5); }},
                 {"first", [] { product(ROWS, 1, 70, 1, 8, 9); }},
                 {"narrow_dw", [] { product(DW, 1, 70, 1, 24, 1); }},
                 {"attention", attention},
                 {"streams", [] { streams(true); }},
                 {"streams_without_event", [] { streams(false); }},
                 {"host_reads_early", host_reads_early},
                 {"outside", outside},
                 {"host_follows_pointer", host_follows_pointer}};
    must(cudaStreamCreate(&stream));
    must(cudaStreamCreate(&other_stream));
    for (const auto &c : cases) {
        if (argc != 2 || strcmp(argv[1], c.name)) continue;
        for (uint64_t order = 0; order <= 8; order++) {
            emu::set_seed(order);
            c.run();
            for (void *memory : held) must(cudaFree(memory));
            held.clear();
        }
        must(cudaStreamDestroy(stream));
        must(cudaStreamDestroy(other_stream));
        printf("nothing seen\n");
        return 0;
    }
    fprintf(stderr, "planted CASE\n");
    return 2;
}
