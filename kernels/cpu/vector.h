/* Vectors of floats as wide as the processor compiled for has them: gcc's vector extensions, so that one
 * source serves AVX-512, AVX2 and whatever else. Masks are integer vectors of zeros and ones (all bits). */
#ifndef VAGUS_KERNELS_CPU_VECTOR_H
#define VAGUS_KERNELS_CPU_VECTOR_H

#include <stdint.h>
#include <string.h>

#ifdef __AVX__
#include <immintrin.h>
#endif

#ifdef __AVX512F__
enum { LANES = 16 };
#else
enum { LANES = 8 };
#endif

typedef float vecf __attribute__((vector_size(4 * LANES)));
typedef int32_t veci __attribute__((vector_size(4 * LANES)));
typedef uint32_t vecu __attribute__((vector_size(4 * LANES))); /* for sums of bits that may wrap */
typedef float vecf_anywhere __attribute__((vector_size(4 * LANES), aligned(4), may_alias));

static inline vecf vec_load(const float *from)
{
    return *(const vecf_anywhere *)from;
}
static inline void vec_store(float *to, vecf value)
{
    *(vecf_anywhere *)to = value;
}
static inline vecf vec_splat(float value)
{
    return value - (vecf){0}; /* minus: a zero keeps its sign, and no instruction is spent */
}

/* The first n (0..LANES) elements; the rest is 0 on loading and left alone on storing. */
static inline vecf vec_load_part(const float *from, int64_t n)
{
    if (n >= LANES) return vec_load(from);
    float lane[LANES] = {0};
    if (n > 0) memcpy(lane, from, (size_t)n * sizeof *from);
    return vec_load(lane);
}
static inline void vec_store_part(float *to, vecf value, int64_t n)
{
    if (n >= LANES) {
        vec_store(to, value);
    } else if (n > 0) {
        float lane[LANES];
        vec_store(lane, value);
        memcpy(to, lane, (size_t)n * sizeof *to);
    }
}

static inline vecf vec_keep(veci mask, vecf value) /* value or 0 */
{
    return (vecf)((veci)value & mask);
}
static inline vecf vec_select(veci mask, vecf yes, vecf no)
{
    return (vecf)(((veci)yes & mask) | ((veci)no & ~mask));
}
/* The greater; b where either is NaN. */
static inline vecf vec_max(vecf a, vecf b)
{
#if defined __AVX512F__
    return (vecf)_mm512_max_ps((__m512)a, (__m512)b);
#elif defined __AVX__
    return (vecf)_mm256_max_ps((__m256)a, (__m256)b);
#else
    return vec_select(a > b, a, b);
#endif
}
static inline vecf vec_abs(vecf value)
{
    return (vecf)((veci)value & 0x7fffffff);
}

/* The sum of all lanes, added in a tree. */
static inline float vec_sum(vecf value)
{
    veci lane;
    for (int i = 0; i < LANES; i++) lane[i] = i;
    for (int width = LANES / 2; width > 0; width /= 2) value += __builtin_shuffle(value, lane ^ width);
    return value[0];
}

/* Lanes 0 .. n - 1. */
static inline veci vec_first(int64_t n)
{
    veci lane;
    for (int i = 0; i < LANES; i++) lane[i] = i;
    return lane < (int32_t)(n < LANES ? n : LANES);
}

/* The value in lanes whose bit is set, else 0. */
static inline vecf vec_keep_bits(uint32_t bits, vecf value)
{
#ifdef __AVX512F__
    return (vecf)_mm512_maskz_mov_ps((__mmask16)bits, (__m512)value);
#else
    veci bit;
    for (int i = 0; i < LANES; i++) bit[i] = 1 << i;
    return vec_keep(((int32_t)bits & bit) != 0, value);
#endif
}

/* exp(x) for x <= 88, within 1.5 ulp; 0 below the smallest normal number, NaN for NaN. x = n ln 2 + r with n
 * whole: 2^n goes into the exponent bits, e^r is 1 + r + r^2 q(r) with q fitted on |r| <= ln(2)/2 (relative
 * error of the fit 1e-8). */
static inline vecf vec_exp(vecf x)
{
    const float magic = 12582912.0f; /* 1.5 * 2^23: adding it rounds to a whole number in the low bits */
    vecf shifted = x * 1.44269504088896341f + magic;
    vecf n = shifted - magic;
    vecf r = x - n * 0.693145751953125f; /* ln 2 in two parts, the first short enough for an exact product */
    r = r - n * 1.42860682030941723e-6f;
    vecf q = 0.0013933676f * r + 0.0083631974f;
    q = q * r + 0.0416664647f;
    q = q * r + 0.1666657687f;
    q = q * r + 0.5f;
    vecf e = (q * r) * r + r + 1.0f;
    vecf power = (vecf)(((vecu)shifted << 23) + 0x3f800000u);
    veci vanished = x < -87.33654f;
    return vec_keep(~vanished, e * power);
}

/* 2^t for t <= 127, within 1.5 ulp; 0 below 2^-126, NaN for NaN. The cheaper one, for the many exponentials
 * of a softmax. The exponent's bias is part of the number whose addition rounds t. */
static inline vecf vec_exp2(vecf t)
{
    const float magic = 12582912.0f + 127.0f;
    t = vec_max(vec_splat(-127.0f), t); /* in this order NaN stays */
    vecf shifted = t + magic;
    vecf r = t - (shifted - magic);
    vecf q = 0.00015461447f * r + 0.0013390867f;
    q = q * r + 0.0096180567f;
    q = q * r + 0.055503571f;
    q = q * r + 0.24022651f;
    q = q * r + 0.69314719f;
    return (q * r + 1.0f) * (vecf)((veci)shifted << 23);
}

/* The standard normal distribution at x: *density = exp(-x^2/2) / sqrt(2 pi), and the function's result is
 * Phi(x). For z = |x| / sqrt(2): Phi(-|x|) = exp(-z^2) t Q(t) / 2 with t = 1 / (1 + 0.4 z), Q fitted to the
 * scaled complementary error function on z in [0, 10] (relative error of the fit 1.5e-8), so the far tail
 * keeps its relative accuracy, which 1 + erf(x) would lose. */
static inline vecf vec_normal_cdf(vecf x, vecf *density)
{
    vecf z = vec_abs(x) * 0.70710678118654752f;
    z = vec_select(z > 10.0f, vec_splat(10.0f), z);
    vecf e = vec_exp(-(z * z));
    vecf t = 1.0f / (1.0f + 0.4f * z);
    vecf q = -0.032584473939412495f * t + 0.21383930159641268f;
    q = q * t - 0.5349723803556702f;
    q = q * t + 0.594138436965136f;
    q = q * t - 0.32184821277144554f;
    q = q * t + 0.29140340538978726f;
    q = q * t + 0.12328095291324877f;
    q = q * t + 0.21622612006009456f;
    q = q * t + 0.22480267375129132f;
    q = q * t + 0.22571417865757315f;
    vecf tail = 0.5f * e * (t * q);
    *density = e * 0.39894228040143268f;
    return vec_select(x > 0.0f, 1.0f - tail, tail);
}

#endif
