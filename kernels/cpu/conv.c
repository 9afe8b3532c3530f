/* Convolutions. Channels last, a row of K * I values from x[t] on is what the filter meets, so a convolution
 * is a matrix product whose left rows overlap: row t begins I floats after row t - 1 in a copy of x with
 * zeros at both ends. No library takes such a matrix, tile.h does. That serves
 *   - every gradient of the weights: dw (O, K I) = sum over t of dy[t]^T x[t ..];
 *   - the forward pass of few input channels, the first layer, where oneDNN's is slow.
 * The rest is oneDNN's. */
#include "kernels/cpu/cpu.h"
#include "kernels/cpu/epilogue.h"
#include "kernels/cpu/onednn.h"
#include "kernels/cpu/parallel.h"
#include "kernels/cpu/tile.h"

/* FEW: input channels up to which forward is ours. DEPTH: how many weights a tile sums at once, so that its
 * right side stays in the first cache; DW_DEPTH: how many rows, fewer because the columns of dy it walks down
 * stand O floats apart and share few sets of that cache. ROWS: rows of y made at once. WIDTH: columns of dw
 * in a task. GFLOP/s on one core of an AMD EPYC (Zen 5) that other work shared, 2026-11, B = 8, T = 1280:
 *
 *                1->64 K65  64->128 K33  128->256 K17
 * y   ours          207          -            -
 *     oneDNN         64         167          182
 * dw  ours          140         213        134..173 (db and the ReLU's slope included)
 *     oneDNN        147         105          112
 */
enum { FEW = 4, DEPTH = 128, DW_DEPTH = 48, ROWS = 48, WIDTH = 64, DW_TASKS = 64 };

typedef struct conv {
    int64_t B, T, I, O, K;
    int64_t span;     /* floats of a padded segment */
    int64_t padded_O; /* O in whole vectors */
    const float *x, *w, *b, *dy;
    float *padded;  /* [B][T + K - 1][I], and a vector's worth of zeros */
    float *turned;  /* forward: [K I][padded_O], the weights turned */
    float *threads; /* forward: [ROWS][padded_O] for each thread */
    float *parts;   /* backward: [groups][O][columns] */
    int64_t groups, columns;
    float *dw;
    vg__epilogue epilogue;
} conv;

static size_t padded_floats(const conv *cv)
{
    return vg__cpu_lines((size_t)(cv->B * cv->span + WIDTH));
}

static void pad_segment(void *context, int64_t begin, int64_t end, int thread)
{
    const conv *cv = context;
    (void)thread;
    int64_t edge = (cv->K - 1) / 2 * cv->I, inner = cv->T * cv->I;
    for (int64_t b = begin; b < end; b++) {
        float *to = cv->padded + b * cv->span;
        memset(to, 0, (size_t)edge * sizeof *to);
        memcpy(to + edge, cv->x + b * inner, (size_t)inner * sizeof *to);
        memset(to + edge + inner, 0, (size_t)edge * sizeof *to);
    }
}

static void pad(conv *cv)
{
    vg__parallel_for(cv->B, 1, pad_segment, cv);
    memset(cv->padded + cv->B * cv->span, 0, WIDTH * sizeof *cv->padded);
}

static void forward_rows(void *context, int64_t begin, int64_t end, int thread)
{
    const conv *cv = context;
    (void)end; /* grain 1 */
    int64_t blocks = (cv->T + ROWS - 1) / ROWS, b = begin / blocks, t = begin % blocks * ROWS;
    int64_t rows = cv->T - t < ROWS ? cv->T - t : ROWS, depth = cv->K * cv->I;
    float *sum = cv->threads + (size_t)thread * vg__cpu_lines((size_t)(ROWS * cv->padded_O));
    for (int64_t from = 0; from < depth; from += DEPTH)
        vg__tile_multiply(&(vg__tile){.m = rows,
                                      .n = cv->O,
                                      .k = depth - from < DEPTH ? depth - from : DEPTH,
                                      .a = cv->padded + b * cv->span + t * cv->I + from,
                                      .a_row = cv->I,
                                      .a_inner = 1,
                                      .b = cv->turned + from * cv->padded_O,
                                      .b_row = cv->padded_O,
                                      .c = sum,
                                      .c_row = cv->padded_O,
                                      .add = from > 0});
    float *y = cv->epilogue.y + (b * cv->T + t) * cv->O;
    for (int64_t r = 0; r < rows; r++)
        for (int64_t o = 0; o < cv->O; o++) y[r * cv->O + o] = sum[r * cv->padded_O + o] + cv->b[o];
    if (vg__epilogue_active(&cv->epilogue)) vg__epilogue_finish(&cv->epilogue, b, t * cv->O, rows * cv->O);
}

static vg_status forward_few(vg_kernels *kernels, conv *cv)
{
    size_t depth = (size_t)(cv->K * cv->I), wide = (size_t)cv->padded_O;
    size_t thread_floats = vg__cpu_lines(ROWS * wide);
    float *scratch;
    VG_TRY(vg__cpu_scratch(
        kernels,
        (padded_floats(cv) + vg__cpu_lines(depth * wide) + (size_t)vg__parallel_threads() * thread_floats) *
            sizeof *scratch,
        &scratch));
    cv->padded = scratch;
    cv->turned = cv->padded + padded_floats(cv);
    cv->threads = cv->turned + vg__cpu_lines(depth * wide);
    for (size_t k = 0; k < depth; k++)
        for (size_t o = 0; o < wide; o++)
            cv->turned[k * wide + o] = o < (size_t)cv->O ? cv->w[o * depth + k] : 0;
    pad(cv);
    vg__parallel_for(cv->B * ((cv->T + ROWS - 1) / ROWS), 1, forward_rows, cv);
    return VG_OK;
}

/* WIDTH columns of dw from the segments of one group. */
static void dw_panel(void *context, int64_t begin, int64_t end, int thread)
{
    const conv *cv = context;
    (void)end; /* grain 1 */
    (void)thread;
    int64_t group = begin % cv->groups, first = begin / cv->groups * WIDTH, depth = cv->K * cv->I;
    float *part = cv->parts + group * cv->O * cv->columns + first;
    bool add = false;
    for (int64_t b = cv->B * group / cv->groups; b < cv->B * (group + 1) / cv->groups; b++)
        for (int64_t t = 0; t < cv->T; t += DW_DEPTH) {
            vg__tile_multiply(&(vg__tile){.m = cv->O,
                                          .n = depth - first < WIDTH ? depth - first : WIDTH,
                                          .k = cv->T - t < DW_DEPTH ? cv->T - t : DW_DEPTH,
                                          .a = cv->dy + (b * cv->T + t) * cv->O,
                                          .a_row = 1,
                                          .a_inner = cv->O,
                                          .b = cv->padded + b * cv->span + t * cv->I + first,
                                          .b_row = cv->I,
                                          .c = part,
                                          .c_row = cv->columns,
                                          .add = add});
            add = true;
        }
}

static void add_parts(void *context, int64_t begin, int64_t end, int thread)
{
    const conv *cv = context;
    (void)thread;
    int64_t depth = cv->K * cv->I;
    for (int64_t o = begin; o < end; o++)
        for (int64_t k = 0; k < depth; k++) {
            float sum = 0;
            for (int64_t group = 0; group < cv->groups; group++)
                sum += cv->parts[(group * cv->O + o) * cv->columns + k];
            cv->dw[o * depth + k] += sum;
        }
}

static vg__onednn_conv shape_of(const conv *cv)
{
    return (vg__onednn_conv){
        .batch = cv->B, .length = cv->T, .inputs = cv->I, .outputs = cv->O, .width = cv->K};
}

static conv conv_of(vg_tensor x, vg_tensor w)
{
    conv cv = {.B = x.dims[0],
               .T = x.dims[1],
               .I = x.dims[2],
               .O = w.dims[0],
               .K = w.dims[1],
               .x = x.data,
               .w = w.data};
    cv.span = (cv.T + cv.K - 1) * cv.I;
    cv.padded_O = (cv.O + LANES - 1) / LANES * LANES;
    cv.epilogue = (vg__epilogue){.B = cv.B, .R = cv.T, .O = cv.O};
    return cv;
}

vg_status vg__cpu_conv1d_forward(vg_kernels *kernels, const vg_conv1d_forward_args *args)
{
    VG__CPU_ENTER(conv1d_forward, kernels, args, x);
    conv cv = conv_of(args->x, args->w);
    if (cv.B * cv.T * cv.O == 0) return VG_OK;
    if (cv.I == 0) return vg__backend_ref.table->conv1d_forward(kernels, args);
    cv.b = args->b.data;
    cv.epilogue.activation = args->activation;
    cv.epilogue.coins = vg__coins_of(args->dropout);
    cv.epilogue.y = args->y.data;
    cv.epilogue.pre = args->pre.data;
    if (cv.I <= FEW) return forward_few(kernels, &cv);
    const vg__cpu_state *state = kernels->state;
    VG_TRY(vg__onednn_conv_forward(state->onednn, shape_of(&cv), cv.x, cv.w, cv.b, args->y.data));
    vg__epilogue_finish_all(&cv.epilogue);
    return VG_OK;
}

vg_status vg__cpu_conv1d_backward(vg_kernels *kernels, const vg_conv1d_backward_args *args)
{
    VG__CPU_ENTER(conv1d_backward, kernels, args, x);
    conv cv = conv_of(args->x, args->w);
    if (cv.B * cv.T == 0) return VG_OK;
    if (cv.I == 0 || cv.O == 0) return vg__backend_ref.table->conv1d_backward(kernels, args);
    cv.dy = args->dy.data;
    cv.dw = args->dw.data;
    cv.epilogue.activation = args->activation;
    cv.epilogue.coins = vg__coins_of(args->dropout);
    cv.epilogue.y = args->y.data;
    cv.epilogue.pre = args->pre.data;
    cv.epilogue.dy = args->dy.data;
    int64_t panels = (cv.K * cv.I + WIDTH - 1) / WIDTH;
    cv.columns = panels * WIDTH;
    cv.groups = panels >= DW_TASKS ? 1 : (DW_TASKS + panels - 1) / panels;
    if (cv.groups > cv.B) cv.groups = cv.B;
    size_t parts = vg__cpu_lines((size_t)(cv.groups * cv.O * cv.columns));
    float *scratch;
    VG_TRY(vg__cpu_scratch(
        kernels, (padded_floats(&cv) + parts + vg__epilogue_scratch(&cv.epilogue)) * sizeof *scratch,
        &scratch));
    cv.padded = scratch;
    cv.parts = cv.padded + padded_floats(&cv);
    vg__epilogue_begin_backward(&cv.epilogue, args->db.data, cv.parts + parts);
    pad(&cv);
    vg__parallel_for(panels * cv.groups, 1, dw_panel, &cv);
    vg__parallel_for(cv.O, 8, add_parts, &cv);
    if (!args->dx.data) return VG_OK;
    const vg__cpu_state *state = kernels->state;
    return vg__onednn_conv_dx(state->onednn, shape_of(&cv), cv.dy, cv.w, args->dx.data);
}
