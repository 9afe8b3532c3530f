#include "kernels/cuda/multiply.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/log.h"
#include "kernels/check.h"
#include "kernels/cuda/choice.h"
#include "kernels/cuda/cublaslt.h"
#include "kernels/cuda/cudnn.h"
#include "kernels/cuda/measure.h"

#ifndef VAGUS_VERSION
#error "the build passes VAGUS_VERSION"
#endif

/* cuDNN must need less than this share of our own kernel's time: below it a choice would hang on chance. */
#define MARGIN 0.95

struct vg__multipliers {
    vg__cublaslt *cublaslt; /* NULL: not there or not wanted */
    vg__cudnn *cudnn;
    vg__choices *choices; /* NULL: cuDNN wherever it has a plan */
    int64_t fallbacks;
    char description[2048];
};

/* A product with all that may serve it, and the context of vg__way. */
struct task {
    vg__cuda *cuda;
    vg__multiply multiply;    /* `out` is where the latest way was told to put it */
    const vg__finish *finish; /* forward: all that is to do after the product */
    vg__finish rest;          /* and what a library leaves of it */
    void *workspace;
};

/* An environment setting with a few values; the first is the default. */
static vg_status setting(const char *name, const char *const *values, int count, int *out)
{
    const char *value = getenv(name);
    *out = 0;
    if (!value || !*value) return VG_OK;
    for (int i = 0; i < count; i++)
        if (!strcmp(value, values[i])) {
            *out = i;
            return VG_OK;
        }
    return vg_fail(VG_ERR_CONFIG, "%s is '%s'; it is %s, %s%s%s", name, value, values[0], values[1],
                   count > 2 ? " or " : "", count > 2 ? values[2] : "");
}

static void describe(vg__multipliers *multipliers, const char *text)
{
    const size_t used = strlen(multipliers->description);
    snprintf(multipliers->description + used, sizeof multipliers->description - used, "%s%s",
             used ? "; " : "", text);
}

/* What became of opening a library: absence is no error, since our own kernels serve everything. */
static vg_status opened(vg__multipliers *multipliers, vg_status status, const char *description)
{
    if (status == VG_OK) {
        describe(multipliers, description);
        vg_info("kernels: %s", description);
        return VG_OK;
    }
    if (status == VG_ERR_MEMORY) return status;
    describe(multipliers, vg_cause());
    vg_info("kernels: our own kernels multiply: %s", vg_cause());
    return VG_OK;
}

static vg_status open_choices(vg__multipliers *multipliers, vg__cuda *cuda)
{
    char gpu[160], machine[300];
    VG_TRY(vg__cuda_machine(cuda, gpu, sizeof gpu));
    snprintf(machine, sizeof machine, "%s, cuDNN %zu, vagus %s", gpu, vg__cudnn_version(multipliers->cudnn),
             VAGUS_VERSION);
    return vg__choices_create(machine, &multipliers->choices);
}

vg_status vg__multipliers_create(vg__cuda *cuda)
{
    static const char *const switches[] = {"on", "off"}, *const modes[] = {"off", "measure", "on"};
    int without_cublaslt, mode;
    VG_TRY(setting("VAGUS_CUBLASLT", switches, 2, &without_cublaslt));
    VG_TRY(setting("VAGUS_CUDNN", modes, 3, &mode));
    vg__multipliers *multipliers = calloc(1, sizeof *multipliers);
    if (!multipliers) return vg_fail(VG_ERR_MEMORY, "no memory for the libraries' state");
    cuda->multipliers = multipliers;

    vg_status status = VG_OK;
    if (without_cublaslt) {
        describe(multipliers, "cuBLASLt is off (VAGUS_CUBLASLT=off)");
    } else {
        status = vg__cublaslt_create(&multipliers->cublaslt);
        VG_TRY_OUT(opened(multipliers, status,
                          status == VG_OK ? vg__cublaslt_describe(multipliers->cublaslt) : NULL));
    }
    if (!mode) {
        describe(multipliers, "cuDNN is off (VAGUS_CUDNN=measure or on looks for it)");
    } else {
        status = vg__cudnn_create(NULL, &multipliers->cudnn);
        VG_TRY_OUT(
            opened(multipliers, status, status == VG_OK ? vg__cudnn_describe(multipliers->cudnn) : NULL));
        if (multipliers->cudnn && mode == 1) VG_TRY_OUT(open_choices(multipliers, cuda));
    }
    return VG_OK;
out:
    vg__multipliers_destroy(cuda);
    return status;
}

void vg__multipliers_destroy(vg__cuda *cuda)
{
    vg__multipliers *multipliers = cuda->multipliers;
    if (!multipliers) return;
    vg__cublaslt_destroy(multipliers->cublaslt);
    vg__cudnn_destroy(multipliers->cudnn);
    vg__choices_destroy(multipliers->choices);
    free(multipliers);
    cuda->multipliers = NULL;
}

const char *vg__multipliers_describe(const vg__cuda *cuda)
{
    return cuda->multipliers ? cuda->multipliers->description : "";
}

int64_t vg__multipliers_fallbacks(const vg__cuda *cuda)
{
    return cuda->multipliers ? cuda->multipliers->fallbacks : 0;
}

/* The libraries' plans are made for addresses that are multiples of 16, as those of slabs are. */
static bool aligned(const vg__multiply *multiply)
{
    const uintptr_t all = (uintptr_t)multiply->x | (uintptr_t)multiply->w | (uintptr_t)multiply->dy |
                          (uintptr_t)multiply->out | (uintptr_t)multiply->bias;
    return all % 16 == 0;
}

enum server { OWN, CUBLASLT, CUDNN };

/* Products that no library is asked for: sums without a matrix on one side, which our kernels have forms of
 * their own for (narrow.cu, first.cu), and of convolutions dw (cudnn.c). */
static bool is_ours(const vg__multiply *multiply)
{
    const vg__product *product = multiply->product;
    if (product->B * product->T == 0 || product->I == 1) return true;
    return product->K == 1 ? product->O == 1 : multiply->pass == VG__PASS_DW;
}

/* Who may serve this product, by its shape and type. */
static enum server able(vg__cuda *cuda, const vg__multiply *multiply, size_t *workspace)
{
    vg__multipliers *multipliers = cuda->multipliers;
    *workspace = 0;
    if (!multipliers || is_ours(multiply)) return OWN;
    if (multiply->product->K == 1) {
        if (!multipliers->cublaslt) return OWN;
        return vg__cublaslt_takes(multipliers->cublaslt, multiply, workspace) ? CUBLASLT : OWN;
    }
    if (!multipliers->cudnn) return OWN;
    return vg__cudnn_takes(multipliers->cudnn, multiply, workspace) ? CUDNN : OWN;
}

static vg_status finish(const struct task *task, void *y)
{
    if (task->multiply.pass != VG__PASS_FORWARD) return VG_OK;
    const vg__product *product = task->multiply.product;
    return vg__cuda_finish(task->cuda, product->op, product->type, product->B * product->T, product->O,
                           &task->rest, y);
}

static vg_status by_own(void *context, void *out)
{
    struct task *task = context;
    const vg__multiply *m = &task->multiply;
    switch (m->pass) {
    case VG__PASS_FORWARD:
        return vg__own_forward(task->cuda, m->product, m->x, m->w, task->finish, out);
    case VG__PASS_DX:
        return vg__own_dx(task->cuda, m->product, m->dy, m->w, out, m->add);
    case VG__PASS_DW:
        return vg__own_dw(task->cuda, m->product, m->dy, m->x, out, task->workspace);
    }
    VG_ASSERT(!"a known pass");
}

static vg_status by_cudnn(void *context, void *out)
{
    struct task *task = context;
    task->multiply.out = out;
    VG_TRY(
        vg__cudnn_run(task->cuda->multipliers->cudnn, &task->multiply, task->workspace, task->cuda->stream));
    return finish(task, out);
}

/* How far two right results may be apart, by the norm: both round each output to its type, one of them twice
 * where a pass follows the product, and with tf32 the factors; the sums' own order hardly shows. */
static double tolerance(const vg__product *product)
{
    if (product->type == VG_BF16) return 0x1p-7;
    return product->tf32 ? 0x1p-8 : 0x1p-15;
}

static bool takes_over(const struct task *task, const vg__measurement *m)
{
    return m->difference <= tolerance(task->multiply.product) && m->other_us < MARGIN * m->own_us;
}

/* Measures, remembers and says so. Our own result is at `out` afterwards. */
static vg_status measure(struct task *task, const char *call, void *out, bool *library)
{
    const vg__product *product = task->multiply.product;
    const int64_t features = task->multiply.pass == VG__PASS_FORWARD ? product->O : product->I;
    vg__measurement m;
    VG_TRY(vg__measure(task->cuda, by_own, by_cudnn, task, out, product->B * product->T * features,
                       product->type, &m));
    *library = takes_over(task, &m);
    if (!(m.difference <= tolerance(product)))
        vg_warn("%s: cuDNN's result differs from our own by %.1e, more than rounding can (%.1e), and is not "
                "used; please report this",
                call, m.difference, tolerance(product));
    vg_info("%s: our own kernel %.1f us, cuDNN %.1f us, difference %.1e: %s", call, m.own_us, m.other_us,
            m.difference, *library ? "cuDNN serves it" : "our own kernel serves it");
    const vg__choice choice = {*library, m.own_us, m.other_us, m.difference};
    return vg__choices_remember(task->cuda->multipliers->choices, call, &choice);
}

/* A convolution that cuDNN has a plan for. */
static vg_status choose(struct task *task, void *out)
{
    const vg__product *p = task->multiply.product;
    vg__multipliers *multipliers = task->cuda->multipliers;
    bool library = true, done = false;
    if (multipliers->choices) {
        char call[200];
        snprintf(call, sizeof call,
                 "%s %s %s%s B=%" PRId64 " T=%" PRId64 " I=%" PRId64 " O=%" PRId64 " K=%" PRId64
                 " activation=%d dropout=%d",
                 p->op, task->multiply.pass == VG__PASS_FORWARD ? "y" : "dx", vg_dtype_name(p->type),
                 p->type == VG_F32 && p->tf32 ? " as tf32" : "", p->B, p->T, p->I, p->O, p->K,
                 task->finish ? (int)task->finish->activation : 0,
                 task->finish && vg__dropout_active(task->finish->dropout));
        const vg__choice *choice = vg__choices_find(multipliers->choices, call);
        if (choice) {
            library = choice->library;
        } else if (vg__cuda_capturing(task->cuda)) {
            library = false; /* nothing can be measured now, nor is anything decided */
        } else {
            VG_TRY(measure(task, call, out, &library));
            done = !library;
        }
    }
    if (done) return VG_OK;
    return library ? by_cudnn(task, out) : by_own(task, out);
}

/* Our own kernel serves; was a library there that might have? */
static void count_fallback(vg__multipliers *multipliers, const vg__multiply *multiply)
{
    if (!multipliers || is_ours(multiply)) return;
    if (multiply->product->K == 1 ? multipliers->cublaslt != NULL : multipliers->cudnn != NULL)
        multipliers->fallbacks++;
}

/* Whoever is able, if the pointers are what its plan wants. */
static vg_status serve(struct task *task, enum server server, void *out)
{
    vg__multipliers *multipliers = task->cuda->multipliers;
    task->multiply.out = out;
    if (server != OWN && !aligned(&task->multiply)) server = OWN;
    if (server == OWN) count_fallback(multipliers, &task->multiply);
    switch (server) {
    case OWN:
        return by_own(task, out);
    case CUBLASLT:
        VG_TRY(vg__cublaslt_run(multipliers->cublaslt, &task->multiply, task->workspace, task->cuda->stream));
        return finish(task, out);
    case CUDNN:
        return choose(task, out);
    }
    VG_ASSERT(!"a known server");
}

vg_status vg__multiply_forward(vg__cuda *cuda, const vg__product *product, const void *x, const void *w,
                               const vg__finish *wanted, void *y)
{
    struct task task = {.cuda = cuda,
                        .multiply = {.product = product, .pass = VG__PASS_FORWARD, .x = x, .w = w, .out = y},
                        .finish = wanted,
                        .rest = *wanted};
    vg__multiply *multiply = &task.multiply;
    multiply->bias = wanted->bias;
    multiply->relu = wanted->activation == VG_ACTIVATION_RELU && !wanted->pre;
    task.rest.bias = NULL;
    if (multiply->relu) task.rest.activation = VG_ACTIVATION_NONE;
    size_t workspace;
    const enum server server = able(cuda, multiply, &workspace);
    if (workspace) VG_TRY(cuda->scratch(cuda, workspace, &task.workspace));
    return serve(&task, server, y);
}

static vg__multiply backward(const vg__product *product, vg__pass pass, bool add)
{
    return (vg__multiply){.product = product, .pass = pass, .add = add};
}

vg_status vg__multiply_dx(vg__cuda *cuda, const vg__product *product, const void *dy, const void *w, void *dx,
                          bool add, void *scratch)
{
    struct task task = {.cuda = cuda, .multiply = backward(product, VG__PASS_DX, add), .workspace = scratch};
    task.multiply.dy = dy;
    task.multiply.w = w;
    size_t workspace;
    return serve(&task, able(cuda, &task.multiply, &workspace), dx);
}

vg_status vg__multiply_dw(vg__cuda *cuda, const vg__product *product, const void *dy, const void *x,
                          float *dw, void *scratch)
{
    struct task task = {
        .cuda = cuda, .multiply = backward(product, VG__PASS_DW, false), .workspace = scratch};
    task.multiply.dy = dy;
    task.multiply.x = x;
    size_t workspace;
    return serve(&task, able(cuda, &task.multiply, &workspace), dw);
}

size_t vg__multiply_backward_scratch(vg__cuda *cuda, const vg__product *product, bool add)
{
    const vg__multiply dx = backward(product, VG__PASS_DX, add), dw = backward(product, VG__PASS_DW, false);
    size_t most = vg__own_dw_scratch(product), workspace;
    (void)able(cuda, &dx, &workspace);
    if (workspace > most) most = workspace;
    (void)able(cuda, &dw, &workspace);
    return workspace > most ? workspace : most;
}
