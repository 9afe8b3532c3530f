/* Blocked attention with a running softmax (Milakov & Gimelshein 2018; Dao et al. 2022): QUERIES queries at a
 * time meet KEYS keys at a time, and no (T, T) matrix exists.
 *
 * Blocks of scores are kept transposed, keys by queries, so that a vector's lanes are queries everywhere: the
 * maximum, the sum and the rescaling of the softmax are then plain vector operations without a shuffle, keys
 * and values are read where they stand, and only the block of queries has to be turned. Backward goes over
 * blocks of queries too: a head's dK and dV collect in memory in a fixed order, so the result does not
 * depend on the number of threads.
 *
 * GFLOP/s on one core of an AMD EPYC (Zen 5) that other work shared, T = 1281, 2026-11, counting two products
 * forward and five backward; oneDNN's matrix products reach 210 to 240 there:
 *
 *                       D = 128, H = 2, B = 8   D = 16, H = 4, B = 16
 * forward, backward          185, 190                136, 157
 * with dropout               171, 185                 95, 128
 */
#include <math.h>

#include "kernels/cpu/cpu.h"
#include "kernels/cpu/dropout.h"
#include "kernels/cpu/parallel.h"
#include "kernels/cpu/tile.h"

enum { QUERIES = 64, KEYS = 64, VECTORS = QUERIES / LANES, BACKWARD_TASKS = 16 };
#define LOWEST (-1e38f) /* below every score; finite, so that differences are numbers */
#define LOG2_E 1.44269504088896341

/* Where things stand in (B, T, 3, H, D) and (B, T, H, D); what both directions share. */
typedef struct attention {
    const float *qkv, *out, *dout, *lse_in;
    float *out_to, *lse, *dqkv, *delta;
    int64_t B, T, H, D;
    int64_t padded_D;  /* D rounded up to whole vectors */
    int64_t blocks;    /* of queries */
    int64_t groups;    /* parts into which backward cuts a head's blocks of queries */
    int64_t token;     /* floats from a token to the next in qkv: 3 H D */
    int64_t out_token; /* in out: H D */
    float scale;
    vg__coins coins;
    float *scratch; /* thread_floats for each thread, then what backward's groups collect in */
    size_t thread_floats, group_floats;
    float *collected;
} attention;

/* turned[d][i] = from[i][d] * sign for QUERIES columns, zero where i >= n. */
static void turn(float *turned, const float *from, int64_t row, int64_t n, int64_t D, float sign)
{
    for (int64_t i = 0; i < n; i++)
        for (int64_t d = 0; d < D; d++) turned[d * QUERIES + i] = from[i * row + d] * sign;
    if (n < QUERIES)
        for (int64_t d = 0; d < D; d++)
            memset(turned + d * QUERIES + n, 0, (size_t)(QUERIES - n) * sizeof *turned);
}

/* copy[i][d] = from[i][d], rows padded with zeros to whole vectors. */
static void copy_rows(float *copy, const float *from, int64_t row, int64_t n, const attention *at)
{
    for (int64_t i = 0; i < n; i++) {
        for (int64_t d = 0; d < at->D; d++) copy[i * at->padded_D + d] = from[i * row + d];
        for (int64_t d = at->D; d < at->padded_D; d++) copy[i * at->padded_D + d] = 0;
    }
}

typedef uint64_t words __attribute__((vector_size(64)));

/* One round of a 64 x 64 bit transposition for squares smaller than a vector: bits and words whose numbers
 * differ in bit `width` change places. */
static inline words swap_within(words word, int width, uint64_t mask)
{
    const words lane = {0, 1, 2, 3, 4, 5, 6, 7};
    words partner = __builtin_shuffle(word, lane ^ (uint64_t)width);
    words low = (words)((lane & (uint64_t)width) == 0);
    return (low & ((word & mask) | (partner << width & ~mask))) |
           (~low & ((word & ~mask) | (partner >> width & mask)));
}

/* The coins of queries i < n for keys [first_key, first_key + 64), turned: bit i of word[j] belongs to query
 * i and key first_key + j. `bits` holds the block's rows of T coins one after another; `offset` is the place
 * of the first. */
static void turn_coins(uint64_t word[64], const uint8_t *bits, uint64_t offset, int64_t T, int64_t n,
                       int64_t first_key)
{
    words row[8];
    memset(row, 0, sizeof row);
    for (int64_t i = 0; i < n; i++) {
        uint64_t place = offset + (uint64_t)(i * T + first_key), low;
        uint64_t high = bits[(place >> 3) + 8];
        memcpy(&low, bits + (place >> 3), sizeof low);
        unsigned shift = place & 7;
        word[i] = low >> shift | high << (63 - shift) << 1;
    }
    memcpy(row, word, (size_t)n * sizeof *word);
    uint64_t mask = 0x00000000ffffffff;
    for (int width = 32; width >= 8; width /= 2, mask ^= mask << width)
        for (int i = 0; i < 8; i++) {
            if (i & width / 8) continue;
            words swapped = (row[i] >> width ^ row[i + width / 8]) & mask;
            row[i] ^= swapped << width;
            row[i + width / 8] ^= swapped;
        }
    for (int i = 0; i < 8; i++) {
        row[i] = swap_within(row[i], 4, 0x0f0f0f0f0f0f0f0f);
        row[i] = swap_within(row[i], 2, 0x3333333333333333);
        row[i] = swap_within(row[i], 1, 0x5555555555555555);
    }
    memcpy(word, row, sizeof row);
}

static attention attention_of(vg_tensor qkv, float scale, const vg_dropout *dropout)
{
    attention at = {.qkv = qkv.data,
                    .B = qkv.dims[0],
                    .T = qkv.dims[1],
                    .H = qkv.dims[3],
                    .D = qkv.dims[4],
                    .scale = scale,
                    .groups = 1,
                    .coins = vg__coins_of(dropout)};
    at.padded_D = (at.D + LANES - 1) / LANES * LANES;
    at.blocks = (at.T + QUERIES - 1) / QUERIES;
    at.token = 3 * at.H * at.D;
    at.out_token = at.H * at.D;
    return at;
}

static size_t coin_floats(const attention *at)
{
    return at->coins.active ? vg__cpu_lines(VG__COIN_BYTES((int64_t)QUERIES * at->T) / 4 + 4) : 0;
}

/* A vector's worth of queries meets `keys` scores each: turns the column of scores (QUERIES apart) into their
 * exponentials, of which those with a coin to lose are then lost, and brings maximum, total and decay (what
 * earlier sums shrink by) up to date. Scores are not yet scaled: exp(scale s) = 2^(base2 s). */
static inline void soften(float *column, int64_t keys, float base2, const uint64_t *word, int shift,
                          float *maximum, float *total, float *decay)
{
    vecf old = vec_load(maximum), top[4] = {old, old, old, old}, sum[2] = {{0}, {0}};
    int64_t j = 0;
    for (; j + 4 <= keys; j += 4) /* four at a time: one alone would wait for itself */
        for (int i = 0; i < 4; i++) top[i] = vec_max(vec_load(column + (j + i) * QUERIES), top[i]);
    for (; j < keys; j++) top[0] = vec_max(vec_load(column + j * QUERIES), top[0]);
    vecf highest = vec_max(vec_max(top[0], top[1]), vec_max(top[2], top[3])), shift2 = highest * base2;
    for (j = 0; j < keys; j++) {
        vecf p = vec_exp2(vec_load(column + j * QUERIES) * base2 - shift2);
        sum[j & 1] += p;
        if (word) p = vec_keep_bits((uint32_t)(word[j] >> shift), p);
        vec_store(column + j * QUERIES, p);
    }
    vecf shrink = vec_exp2((old - highest) * base2);
    vec_store(maximum, highest);
    vec_store(decay, shrink);
    vec_store(total, vec_load(total) * shrink + (sum[0] + sum[1]));
}

/* One block of queries of one head. */
static void forward_block(void *context, int64_t begin, int64_t end, int thread)
{
    const attention *at = context;
    (void)end; /* grain 1 */
    int64_t head = begin / at->blocks, b = head / at->H, h = head % at->H;
    int64_t first = begin % at->blocks * QUERIES, T = at->T, D = at->D;
    int64_t n = T - first < QUERIES ? T - first : QUERIES;
    int vectors = (int)((n + LANES - 1) / LANES);
    const float *query = at->qkv + (b * T + first) * at->token + h * D;
    const float *key = at->qkv + b * T * at->token + (at->H + h) * D, *value = key + at->H * D;

    float *turned = at->scratch + (size_t)thread * at->thread_floats; /* [D][QUERIES] */
    float *sum = turned + D * QUERIES;                                /* [D][QUERIES]: the output, turned */
    float *score = sum + D * QUERIES;                                 /* [KEYS][QUERIES] */
    uint8_t *bits = (uint8_t *)(score + KEYS * QUERIES);
    uint64_t coin = 0, word[64];
    /* A negative scale turns the queries round, so that the highest score stays the one with the most weight.
     */
    float base2 = (float)(fabs((double)at->scale) * LOG2_E);
    turn(turned, query, at->token, n, D, at->scale < 0 ? -1.0f : 1.0f);
    if (at->coins.active) {
        uint64_t element = ((uint64_t)h * (uint64_t)T + (uint64_t)first) * (uint64_t)T;
        coin = element % 8;
        vg__coins_toss(&at->coins, b, element, n * T, bits);
    }
    float maximum[QUERIES], total[QUERIES], decay[QUERIES];
    for (int i = 0; i < QUERIES; i++) {
        maximum[i] = LOWEST;
        total[i] = 0;
    }
    for (int64_t from = 0; from < T; from += KEYS) {
        int64_t keys = T - from < KEYS ? T - from : KEYS;
        vg__tile_multiply(&(vg__tile){.m = keys,
                                      .n = n,
                                      .k = D,
                                      .a = key + from * at->token,
                                      .a_row = at->token,
                                      .a_inner = 1,
                                      .b = turned,
                                      .b_row = QUERIES,
                                      .c = score,
                                      .c_row = QUERIES});
        if (at->coins.active) turn_coins(word, bits, coin, T, n, from);
        for (int v = 0; v < vectors; v++)
            soften(score + v * LANES, keys, base2, at->coins.active ? word : NULL, v * LANES,
                   maximum + v * LANES, total + v * LANES, decay + v * LANES);
        vg__tile_multiply(&(vg__tile){.m = D,
                                      .n = n,
                                      .k = keys,
                                      .a = value + from * at->token,
                                      .a_row = 1,
                                      .a_inner = at->token,
                                      .b = score,
                                      .b_row = QUERIES,
                                      .c = sum,
                                      .c_row = QUERIES,
                                      .decay = decay,
                                      .add = from > 0});
    }
    float *out = at->out_to + (b * T + first) * at->out_token + h * D;
    for (int64_t i = 0; i < n; i++) {
        float share = at->coins.scale / total[i];
        for (int64_t d = 0; d < D; d++) out[i * at->out_token + d] = sum[d * QUERIES + i] * share;
        at->lse[head * T + first + i] = maximum[i] * fabsf(at->scale) + logf(total[i]);
    }
}

vg_status vg__cpu_attention_forward(vg_kernels *kernels, const vg_attention_forward_args *args)
{
    VG__CPU_ENTER(attention_forward, kernels, args, qkv);
    attention at = attention_of(args->qkv, args->scale, args->dropout);
    at.out_to = args->out.data;
    at.lse = args->lse.data;
    at.thread_floats = vg__cpu_lines((size_t)(2 * at.D + KEYS) * QUERIES) + coin_floats(&at);
    VG_TRY(vg__cpu_scratch(kernels, (size_t)vg__parallel_threads() * at.thread_floats * sizeof(float),
                           &at.scratch));
    vg__parallel_for(at.B * at.H * at.blocks, 1, forward_block, &at);
    return VG_OK;
}

/* One group of blocks of queries of one head: dQ is written, dK and dV collect in [T][padded_D] each. */
static void backward_group(void *context, int64_t begin, int64_t end, int thread)
{
    const attention *at = context;
    (void)end; /* grain 1 */
    int64_t head = begin / at->groups, group = begin % at->groups, b = head / at->H, h = head % at->H;
    int64_t T = at->T, D = at->D, wide = at->padded_D;
    const float *key = at->qkv + b * T * at->token + (at->H + h) * D, *value = key + at->H * D;

    float *query_turned = at->scratch + (size_t)thread * at->thread_floats; /* [D][QUERIES] */
    float *dout_turned = query_turned + D * QUERIES;                        /* [D][QUERIES] */
    float *dquery_turned = dout_turned + D * QUERIES;                       /* [D][QUERIES] */
    float *query = dquery_turned + D * QUERIES;                             /* [QUERIES][wide] */
    float *dout = query + wide * QUERIES;                                   /* [QUERIES][wide] */
    float *p = dout + wide * QUERIES;                                       /* [KEYS][QUERIES] */
    float *dp = p + KEYS * QUERIES;                                         /* [KEYS][QUERIES] */
    uint8_t *bits = (uint8_t *)(dp + KEYS * QUERIES);
    float *dkey = at->collected + (size_t)(at->groups == 1 ? thread : begin) * at->group_floats;
    float *dvalue = dkey + T * wide;

    const float base2 = (float)((double)at->scale * LOG2_E);
    int64_t first_block = at->blocks * group / at->groups;
    int64_t last_block = at->blocks * (group + 1) / at->groups;
    for (int64_t block = first_block; block < last_block; block++) {
        int64_t first = block * QUERIES, n = T - first < QUERIES ? T - first : QUERIES;
        int vectors = (int)((n + LANES - 1) / LANES);
        bool start = block == first_block;
        const float *query_from = at->qkv + (b * T + first) * at->token + h * D;
        const float *dout_from = at->dout + (b * T + first) * at->out_token + h * D;
        const float *out_from = at->out + (b * T + first) * at->out_token + h * D;
        turn(query_turned, query_from, at->token, n, D, 1);
        turn(dout_turned, dout_from, at->out_token, n, D, 1);
        copy_rows(query, query_from, at->token, n, at);
        copy_rows(dout, dout_from, at->out_token, n, at);
        float delta[QUERIES] = {0}, lse[QUERIES];
        for (int64_t i = 0; i < QUERIES; i++)
            lse[i] = i < n ? at->lse_in[head * T + first + i] * (float)LOG2_E : 1e30f;
        for (int64_t i = 0; i < n; i++) {
            vecf sum = {0};
            for (int64_t d = 0; d < D; d += LANES)
                sum += vec_load(dout + i * wide + d) * vec_load_part(out_from + i * at->out_token + d, D - d);
            delta[i] = vec_sum(sum);
            at->delta[head * T + first + i] = delta[i];
        }
        uint64_t coin = 0, word[64];
        if (at->coins.active) {
            uint64_t element = ((uint64_t)h * (uint64_t)T + (uint64_t)first) * (uint64_t)T;
            coin = element % 8;
            vg__coins_toss(&at->coins, b, element, n * T, bits);
        }
        for (int64_t from = 0; from < T; from += KEYS) {
            int64_t keys = T - from < KEYS ? T - from : KEYS;
            vg__tile scores = {.m = keys,
                               .n = n,
                               .k = D,
                               .a = key + from * at->token,
                               .a_row = at->token,
                               .a_inner = 1,
                               .b = query_turned,
                               .b_row = QUERIES,
                               .c = p,
                               .c_row = QUERIES};
            vg__tile_multiply(&scores);
            scores.a = value + from * at->token;
            scores.b = dout_turned;
            scores.c = dp;
            vg__tile_multiply(&scores);
            if (at->coins.active) turn_coins(word, bits, coin, T, n, from);
            for (int v = 0; v < vectors; v++) {
                vecf shift = vec_load(lse + v * LANES), mean = vec_load(delta + v * LANES);
                for (int64_t j = 0; j < keys; j++) {
                    float *p_at = p + j * QUERIES + v * LANES, *dp_at = dp + j * QUERIES + v * LANES;
                    vecf share = vec_exp2(vec_load(p_at) * base2 - shift), flow = vec_load(dp_at),
                         kept = share;
                    if (at->coins.active) {
                        uint32_t coins = (uint32_t)(word[j] >> v * LANES);
                        kept = vec_keep_bits(coins, share) * at->coins.scale;
                        flow = vec_keep_bits(coins, flow) * at->coins.scale;
                    }
                    vec_store(p_at, kept);
                    vec_store(dp_at, share * (flow - mean) * at->scale);
                }
            }
            vg__tile collect = {.m = keys,
                                .n = D,
                                .k = n,
                                .a = p,
                                .a_row = QUERIES,
                                .a_inner = 1,
                                .b = dout,
                                .b_row = wide,
                                .c = dvalue + from * wide,
                                .c_row = wide,
                                .add = !start};
            vg__tile_multiply(&collect);
            collect.a = dp;
            collect.b = query;
            collect.c = dkey + from * wide;
            vg__tile_multiply(&collect);
            vg__tile_multiply(&(vg__tile){.m = D,
                                          .n = n,
                                          .k = keys,
                                          .a = key + from * at->token,
                                          .a_row = 1,
                                          .a_inner = at->token,
                                          .b = dp,
                                          .b_row = QUERIES,
                                          .c = dquery_turned,
                                          .c_row = QUERIES,
                                          .add = from > 0});
        }
        float *dquery = at->dqkv + (b * T + first) * at->token + h * D;
        for (int64_t i = 0; i < n; i++)
            for (int64_t d = 0; d < D; d++) dquery[i * at->token + d] = dquery_turned[d * QUERIES + i];
    }
    if (at->groups > 1) return;
    float *dkey_to = at->dqkv + b * T * at->token + (at->H + h) * D, *dvalue_to = dkey_to + at->H * D;
    for (int64_t j = 0; j < T; j++) {
        memcpy(dkey_to + j * at->token, dkey + j * wide, (size_t)D * sizeof(float));
        memcpy(dvalue_to + j * at->token, dvalue + j * wide, (size_t)D * sizeof(float));
    }
}

/* Adds up what the groups of a head collected for one token, in the order of the groups. */
static void add_groups(void *context, int64_t begin, int64_t end, int thread)
{
    const attention *at = context;
    (void)thread;
    for (int64_t row = begin; row < end; row++) {
        int64_t head = row / at->T, j = row % at->T, b = head / at->H, h = head % at->H;
        float *dkey = at->dqkv + (b * at->T + j) * at->token + (at->H + h) * at->D;
        float *dvalue = dkey + at->H * at->D;
        for (int64_t d = 0; d < at->D; d++) {
            float key = 0, value = 0;
            for (int64_t group = 0; group < at->groups; group++) {
                const float *part = at->collected + (size_t)(head * at->groups + group) * at->group_floats +
                                    j * at->padded_D + d;
                key += part[0];
                value += part[at->T * at->padded_D];
            }
            dkey[d] = key;
            dvalue[d] = value;
        }
    }
}

vg_status vg__cpu_attention_backward(vg_kernels *kernels, const vg_attention_backward_args *args)
{
    VG__CPU_ENTER(attention_backward, kernels, args, qkv);
    attention at = attention_of(args->qkv, args->scale, args->dropout);
    at.out = args->out.data;
    at.dout = args->dout.data;
    at.lse_in = args->lse.data;
    at.delta = args->delta.data;
    at.dqkv = args->dqkv.data;
    int64_t heads = at.B * at.H;
    if (heads == 0 || at.T == 0 || at.D == 0) return VG_OK;
    /* Few heads are cut into groups, so that there is work for many threads; how many depends on the shape
     * and not on the threads, for the sake of the same bits. */
    at.groups = heads >= BACKWARD_TASKS ? 1 : BACKWARD_TASKS / heads;
    if (at.groups > at.blocks) at.groups = at.blocks;
    size_t threads = (size_t)vg__parallel_threads();
    at.thread_floats =
        vg__cpu_lines((size_t)(3 * at.D + 2 * at.padded_D + 2 * KEYS) * QUERIES) + coin_floats(&at);
    at.group_floats = vg__cpu_lines((size_t)(2 * at.T * at.padded_D));
    size_t collectors = at.groups == 1 ? threads : (size_t)(heads * at.groups);
    VG_TRY(vg__cpu_scratch(
        kernels, (threads * at.thread_floats + collectors * at.group_floats) * sizeof(float), &at.scratch));
    at.collected = at.scratch + threads * at.thread_floats;
    vg__parallel_for(heads * at.groups, 1, backward_group, &at);
    if (at.groups > 1) vg__parallel_for(heads * at.T, 64, add_groups, &at);
    return VG_OK;
}
