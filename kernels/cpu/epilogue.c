#include "kernels/cpu/epilogue.h"

#include "kernels/cpu/columns.h"
#include "kernels/cpu/parallel.h"

enum { CHUNK = 2048, GRAIN = 16 * CHUNK };

/* Inlined with a constant activation. `n` elements from `e` of segment b. */
static inline __attribute__((always_inline)) void finish(const vg__epilogue *ep, vg_activation activation,
                                                         int64_t b, int64_t e, int64_t n)
{
    uint8_t bits[VG__COIN_BYTES(CHUNK)];
    float *y = ep->y + b * ep->R * ep->O + e, *pre = ep->pre ? ep->pre + b * ep->R * ep->O + e : NULL;
    uint64_t coin = (uint64_t)e % 8;
    if (ep->coins.active) vg__coins_toss(&ep->coins, b, (uint64_t)e, n, bits);
    for (int64_t i = 0; i < n; i += LANES) {
        vecf value = vec_load_part(y + i, n - i), density;
        if (pre) vec_store_part(pre + i, value, n - i);
        if (activation == VG_ACTIVATION_RELU) value = vec_keep(~(value <= 0.0f), value);
        if (activation == VG_ACTIVATION_GELU) value *= vec_normal_cdf(value, &density);
        if (ep->coins.active) value = vg__coins_keep(bits, coin + (uint64_t)i, value) * ep->coins.scale;
        vec_store_part(y + i, value, n - i);
    }
}

void vg__epilogue_finish(const vg__epilogue *ep, int64_t b, int64_t e, int64_t n)
{
    for (int64_t done = 0; done < n; done += CHUNK) {
        int64_t part = n - done < CHUNK ? n - done : CHUNK;
        switch (ep->activation) {
        case VG_ACTIVATION_RELU:
            finish(ep, VG_ACTIVATION_RELU, b, e + done, part);
            break;
        case VG_ACTIVATION_GELU:
            finish(ep, VG_ACTIVATION_GELU, b, e + done, part);
            break;
        default:
            finish(ep, VG_ACTIVATION_NONE, b, e + done, part);
            break;
        }
    }
}

static void finish_block(void *context, int64_t begin, int64_t end, int thread)
{
    const vg__epilogue *ep = context;
    int64_t elements = ep->R * ep->O;
    (void)thread;
    while (begin < end) {
        int64_t b = begin / elements, e = begin % elements;
        int64_t n = end - begin < elements - e ? end - begin : elements - e;
        vg__epilogue_finish(ep, b, e, n);
        begin += n;
    }
}

void vg__epilogue_finish_all(const vg__epilogue *ep)
{
    vg__epilogue copy = *ep;
    if (vg__epilogue_active(ep)) vg__parallel_for(ep->B * ep->R * ep->O, GRAIN, finish_block, &copy);
}

static inline __attribute__((always_inline)) void unfinish(const vg__epilogue *ep, vg_activation activation,
                                                           int64_t b, int64_t e, int64_t n)
{
    uint8_t bits[VG__COIN_BYTES(CHUNK)];
    int64_t at = b * ep->R * ep->O + e;
    float *dy = ep->dy + at;
    /* ReLU: y > 0 tells that the value was positive and was not dropped, so no coin is tossed again. */
    bool toss = ep->coins.active && activation != VG_ACTIVATION_RELU;
    uint64_t coin = (uint64_t)e % 8;
    if (toss) vg__coins_toss(&ep->coins, b, (uint64_t)e, n, bits);
    for (int64_t i = 0; i < n; i += LANES) {
        vecf flow = vec_load_part(dy + i, n - i) * ep->coins.scale, density;
        if (toss) flow = vg__coins_keep(bits, coin + (uint64_t)i, flow);
        if (activation == VG_ACTIVATION_RELU)
            flow = vec_keep(vec_load_part(ep->y + at + i, n - i) > 0.0f, flow);
        if (activation == VG_ACTIVATION_GELU) {
            vecf x = vec_load_part(ep->pre + at + i, n - i);
            vecf below = vec_normal_cdf(x, &density);
            flow *= below + x * density;
        }
        vec_store_part(dy + i, flow, n - i);
    }
}

static void unfinish_rows(void *context, int64_t begin, int64_t end, int thread)
{
    const vg__epilogue *ep = context;
    (void)thread;
    float *partial = ep->partial + begin / vg__columns_grain(ep->O) * (int64_t)vg__cpu_lines((size_t)ep->O);
    if (ep->activation == VG_ACTIVATION_NONE && !ep->coins.active) {
        vg__columns_add_up(ep->dy + begin * ep->O, end - begin, ep->O, partial);
        return;
    }
    int64_t elements = ep->R * ep->O, last = end * ep->O;
    for (int64_t at = begin * ep->O; at < last;) {
        int64_t b = at / elements, e = at % elements, n = last - at;
        if (n > elements - e) n = elements - e;
        if (n > CHUNK) n = CHUNK;
        switch (ep->activation) {
        case VG_ACTIVATION_RELU:
            unfinish(ep, VG_ACTIVATION_RELU, b, e, n);
            break;
        case VG_ACTIVATION_GELU:
            unfinish(ep, VG_ACTIVATION_GELU, b, e, n);
            break;
        default:
            unfinish(ep, VG_ACTIVATION_NONE, b, e, n);
            break;
        }
        at += n;
    }
    vg__columns_add_up(ep->dy + begin * ep->O, end - begin, ep->O, partial);
}

size_t vg__epilogue_scratch(const vg__epilogue *ep)
{
    return vg__columns_scratch(ep->B * ep->R, ep->O);
}

void vg__epilogue_begin_backward(vg__epilogue *ep, float *db, float *scratch)
{
    ep->partial = scratch;
    vg__parallel_for(ep->B * ep->R, vg__columns_grain(ep->O), unfinish_rows, ep);
    vg__columns_finish(scratch, ep->B * ep->R, ep->O, db);
}
