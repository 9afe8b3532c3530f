/* Who multiplies (kernels/cuda/multiply.h), with stand-ins for cuBLASLt and cuDNN: that they are asked, what
 * happens when they are absent, do not start or refuse, and how a measurement decides and is remembered.
 * That their results are right is for test_cuda_ops_linear and test_cuda_ops_conv. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/log.h"
#include "core/random.h"
#include "kernels/cuda/multiply.h"
#include "tests/cuda/emulated.h"
#include "tests/cuda/runtime.h"
#include "tests/cuda/stand_ins.h"
#include "tests/support/support.h"

enum { B = 2, T = 6, I = 64, O = 16, K = 3, MOST = B * T * I + O * K * I };

static vg_device *device;
static vg_kernels *kernels;
static vg__cuda *cuda;
static float numbers[MOST];
static float *on_device[4]; /* x or dy, w, b, and the output */
static int warnings, infos; /* lines of the log since the last start() */
static char last_warning[512], last_info[512];

static void sink(vg_log_level level, const char *line, void *context)
{
    (void)context;
    warnings += level >= VG_LOG_WARN;
    infos += level == VG_LOG_INFO;
    if (level == VG_LOG_DEBUG) return;
    char *last = level == VG_LOG_INFO ? last_info : last_warning;
    strncpy(last, line, sizeof last_info - 1);
}

/* A backend under these settings (NULL: not set), with a fresh eye on the stand-ins. */
static void start(const char *cublaslt, const char *cudnn)
{
    if (cublaslt) setenv("VAGUS_CUBLASLT", cublaslt, 1);
    if (cudnn) setenv("VAGUS_CUDNN", cudnn, 1);
    stand_in_cublaslt = stand_in_cudnn = (stand_in){.ms = 0.5};
    warnings = infos = 0;
    kernels = emulated_kernels_create(device);
    cuda = kernels->state;
}

static void stop(void)
{
    vg_kernels_destroy(kernels);
    kernels = NULL;
    unsetenv("VAGUS_CUBLASLT");
    unsetenv("VAGUS_CUDNN");
    assert_int_equal(stand_in_cublaslt.held, 0);
    assert_int_equal(stand_in_cudnn.held, 0);
    if (stand_in_cublaslt.first_refusal) fail_msg("cuBLASLt: %s", stand_in_cublaslt.first_refusal);
    if (stand_in_cudnn.first_refusal) fail_msg("cuDNN: %s", stand_in_cudnn.first_refusal);
    assert_string_equal(emulated_take_failure(), "");
}

static float *outcome(size_t n)
{
    static float values[MOST];
    assert_ok(vg_device_copy(device, values, on_device[3], n * sizeof *values, VG_COPY_TO_HOST));
    assert_ok(vg_device_synchronize(device));
    return values;
}

/* One linear layer with ReLU, `shift` elements behind an aligned place; its output is checked. */
static void run_linear(size_t shift)
{
    const vg_linear_forward_args args = {.x = vg_tensor_make(on_device[0] + shift, VG_F32, VG_DIMS(B, T, I)),
                                         .w = vg_tensor_make(on_device[1], VG_F32, VG_DIMS(O, I)),
                                         .b = vg_tensor_make(on_device[2], VG_F32, VG_DIMS(O)),
                                         .y = vg_tensor_make(on_device[3], VG_F32, VG_DIMS(B, T, O)),
                                         .activation = VG_ACTIVATION_RELU};
    assert_ok(kernels->table.linear_forward(kernels, &args));
    const float *y = outcome(B * T * O);
    for (int row = 0; row < B * T; row++)
        for (int o = 0; o < O; o++) {
            double sum = (double)numbers[o];
            for (int i = 0; i < I; i++)
                sum += (double)numbers[(size_t)row * I + (size_t)i + shift] * (double)numbers[o * I + i];
            const double right = sum > 0 ? sum : 0, error = fabs((double)y[row * O + o] - right);
            if (!(error <= 1e-4))
                fail_msg("row %d, output %d: %g, not %g", row, o, (double)y[row * O + o], right);
        }
}

/* The convolution's dx, which our own kernel makes in one launch. */
static vg__product convolution(void)
{
    return (vg__product){.op = "test", .type = VG_F32, .B = B, .T = T, .I = I, .O = O, .K = K};
}

static void run_dx(double tolerance)
{
    const vg__product product = convolution();
    void *scratch;
    assert_ok(cuda->scratch(cuda, vg__multiply_backward_scratch(cuda, &product, false), &scratch));
    assert_ok(vg__multiply_dx(cuda, &product, on_device[0], on_device[1], on_device[3], false, scratch));
    const float *dx = outcome(B * T * I);
    for (int b = 0; b < B; b++)
        for (int t = 0; t < T; t++)
            for (int i = 0; i < I; i++) {
                double right = 0;
                for (int k = 0; k < K; k++) {
                    const int at = t - k + (K - 1) / 2;
                    for (int o = 0; o < O && at >= 0 && at < T; o++)
                        right += (double)numbers[(b * T + at) * O + o] * (double)numbers[(o * K + k) * I + i];
                }
                const double got = (double)dx[(b * T + t) * I + i];
                if (!(fabs(got - right) <= tolerance)) fail_msg("dx: %g, not %g", got, right);
            }
}

static void test_linear_goes_to_cublaslt(void **state)
{
    (void)state;
    start(NULL, NULL);
    run_linear(0);
    const int asked = stand_in_cublaslt.plans;
    assert_int_equal(stand_in_cublaslt.products, 1);
    assert_true(asked > 0);
    const int held = stand_in_cublaslt.held;
    run_linear(0);
    assert_int_equal(stand_in_cublaslt.products, 2);
    assert_int_equal(stand_in_cublaslt.plans, asked); /* the plan is remembered */
    assert_int_equal(stand_in_cublaslt.held, held);   /* and nothing else is made */
    assert_int_equal(vg__multipliers_fallbacks(cuda), 0);
    assert_non_null(strstr(vg__multipliers_describe(cuda), "cuBLASLt 13.1.0 from a stand-in"));
    assert_non_null(strstr(vg__multipliers_describe(cuda), "cuDNN is off"));
    assert_int_equal(stand_in_cudnn.opened, 0); /* off: not even looked for */
    stop();
}

static void test_unaligned_is_our_own(void **state)
{
    (void)state;
    start(NULL, NULL);
    run_linear(1);
    assert_int_equal(stand_in_cublaslt.products, 0);
    assert_int_equal(vg__multipliers_fallbacks(cuda), 1);
    stop();
}

static void test_refused_shape_is_our_own_and_told_once(void **state)
{
    (void)state;
    start(NULL, NULL);
    stand_in_cublaslt.refusing = true;
    infos = 0;
    run_linear(0);
    run_linear(0);
    assert_int_equal(infos, 1);
    assert_non_null(strstr(last_info, "leaves y of 12 rows, 64 inputs, 16 outputs in F32 to our own kernel"));
    assert_int_equal(stand_in_cublaslt.products, 0);
    assert_int_equal(stand_in_cublaslt.plans, 1);
    assert_int_equal(vg__multipliers_fallbacks(cuda), 2);
    stop();
}

static void test_absent_off_and_broken(void **state)
{
    (void)state;
    stand_ins_remove();
    start(NULL, "on");
    run_linear(0);
    run_dx(1e-4);
    assert_int_equal(vg__multipliers_fallbacks(cuda), 0); /* nobody was there to be asked */
    assert_non_null(strstr(vg__multipliers_describe(cuda), "libcublasLt.so.13 has no stand-in"));
    assert_non_null(strstr(vg__multipliers_describe(cuda), "libcudnn.so.9 has no stand-in"));
    stop();
    stand_ins_install();

    start("off", "off");
    run_linear(0);
    assert_int_equal(stand_in_cublaslt.opened, 0);
    assert_non_null(strstr(vg__multipliers_describe(cuda), "cuBLASLt is off"));
    stop();

    stand_in_cublaslt.broken = true;
    kernels = emulated_kernels_create(device);
    cuda = kernels->state;
    run_linear(0);
    assert_non_null(strstr(vg__multipliers_describe(cuda), "the library does not start"));
    stop();
}

/* One input or output, dw of a convolution: our own, and nobody's fallback. */
static void test_what_no_library_is_asked_for(void **state)
{
    (void)state;
    start(NULL, "on");
    vg__product products[] = {convolution(), convolution(), convolution()};
    products[0].I = products[1].O = products[1].K = products[2].K = 1;
    products[2].I = 1;
    for (int i = 0; i < 3; i++) {
        const size_t bytes = vg__multiply_backward_scratch(cuda, &products[i], false);
        void *scratch;
        assert_int_equal(bytes, vg__own_dw_scratch(&products[i]));
        assert_ok(cuda->scratch(cuda, bytes, &scratch));
        assert_ok(vg__multiply_dw(cuda, &products[i], on_device[0], on_device[1], on_device[3], scratch));
    }
    assert_ok(vg_device_synchronize(device));
    assert_int_equal(stand_in_cublaslt.plans + stand_in_cudnn.plans, 0);
    assert_int_equal(vg__multipliers_fallbacks(cuda), 0);
    stop();
}

static void test_settings_are_checked(void **state)
{
    (void)state;
    vg__cuda empty = {.device = device};
    setenv("VAGUS_CUDNN", "yes", 1);
    assert_fails(vg__multipliers_create(&empty), VG_ERR_CONFIG,
                 "VAGUS_CUDNN is 'yes'; it is off, measure or on");
    setenv("VAGUS_CUDNN", "off", 1);
    setenv("VAGUS_CUBLASLT", "0", 1);
    assert_fails(vg__multipliers_create(&empty), VG_ERR_CONFIG, "VAGUS_CUBLASLT is '0'; it is on, off");
    unsetenv("VAGUS_CUDNN");
    unsetenv("VAGUS_CUBLASLT");
    assert_null(empty.multipliers);
}

static void test_cudnn_on(void **state)
{
    (void)state;
    start(NULL, "on");
    run_dx(1e-4);
    run_dx(1e-4);
    assert_int_equal(stand_in_cudnn.products, 2);
    assert_int_equal(stand_in_cudnn.plans, 1);
    stop();

    start(NULL, "on");
    stand_in_cudnn.refusing = true;
    infos = 0;
    run_dx(1e-4);
    run_dx(1e-4);
    assert_int_equal(stand_in_cudnn.products, 0);
    assert_int_equal(infos, 1);
    assert_non_null(strstr(last_info, "cuDNN has no plan for dx"));
    assert_int_equal(vg__multipliers_fallbacks(cuda), 2);
    stop();
}

/* In a folder of its own, the path of the file of choices. */
static char *fresh_cache(void)
{
    char *folder = support_temp_dir(), *path = support_path(folder, "cuda-choices.json");
    setenv("VAGUS_CACHE", folder, 1);
    free(folder);
    return path;
}

static bool file_has(const char *path, const char *text)
{
    char *bytes = support_read_file(path, NULL);
    const bool found = strstr(bytes, text) != NULL;
    free(bytes);
    return found;
}

/* The stand-in takes `ms`, and our own kernel 1: does the stand-in serve the second call? */
static bool chosen_at(double ms)
{
    start(NULL, "measure");
    stand_in_cudnn.ms = ms;
    run_dx(1e-4);
    const int products = stand_in_cudnn.products;
    run_dx(1e-4);
    const bool served = stand_in_cudnn.products == products + 1;
    assert_int_equal(stand_in_cudnn.products, products + served);
    assert_int_equal(warnings, 0);
    stop();
    return served;
}

static void test_faster_by_more_than_chance(void **state)
{
    (void)state;
    static const struct {
        double ms;
        bool library;
    } cases[] = {{0.5, true}, {0.94, true}, {0.96, false}, {1, false}, {3, false}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *path = fresh_cache();
        assert_int_equal(chosen_at(cases[i].ms), cases[i].library);
        assert_true(file_has(path, cases[i].library ? "\"library\"" : "\"own\""));
        assert_true(file_has(path, "test dx F32 B=2 T=6 I=64 O=16 K=3"));
        assert_true(file_has(path, "cuDNN 91900, vagus "));
        free(path);
    }
}

static void test_choice_is_remembered(void **state)
{
    (void)state;
    char *path = fresh_cache();
    assert_true(chosen_at(0.5));
    start(NULL, "measure");
    stand_in_cudnn.ms = 7; /* what a new measurement would turn down */
    run_dx(1e-4);
    assert_int_equal(stand_in_cudnn.products, 1); /* the run alone */
    stop();
    free(path);
}

static void test_wrong_result_is_not_taken(void **state)
{
    (void)state;
    char *path = fresh_cache();
    start(NULL, "measure");
    stand_in_cudnn.ms = 0.1;
    stand_in_cudnn.wrong = true;
    run_dx(1e-4);
    assert_int_equal(warnings, 1);
    assert_non_null(strstr(last_warning, "cuDNN's result differs from our own by 1.0e-01"));
    assert_true(file_has(path, "\"own\""));
    stop();
    free(path);
}

static void test_damaged_file(void **state)
{
    (void)state;
    static const char *const damaged[] = {
        "{",
        "[]",
        "{\"format\": 2, \"choices\": []}",
        "{\"format\": 1}",
        "{\"format\": 1, \"choices\": [7]}",
        "{\"format\": 1, \"choices\": [{\"machine\": \"m\", \"call\": \"c\", \"served_by\": \"magic\","
        " \"own_us\": 1, \"library_us\": 1, \"difference\": 0}]}"};
    for (size_t i = 0; i < sizeof damaged / sizeof *damaged; i++) {
        char *path = fresh_cache();
        support_write_file(path, damaged[i], strlen(damaged[i]));
        start(NULL, "measure");
        if (warnings != 1) fail_msg("%s: %d warnings", damaged[i], warnings);
        run_dx(1e-4);
        stop();
        assert_true(chosen_at(9)); /* 0.5 ms had been written into the new file */
        free(path);
    }
}

static void test_nowhere_to_write(void **state)
{
    (void)state;
    char *path = fresh_cache();
    support_write_file(path, "", 0);
    setenv("VAGUS_CACHE", path, 1); /* a file, so no folder can be made there */
    start(NULL, "measure");
    run_dx(1e-4);
    assert_int_equal(warnings, 1);
    assert_non_null(strstr(last_warning, "until this process ends"));
    const int products = stand_in_cudnn.products;
    run_dx(1e-4);
    assert_int_equal(stand_in_cudnn.products, products + 1); /* remembered all the same */
    assert_int_equal(warnings, 1);
    stop();
    free(path);
}

static void test_nothing_is_measured_into_a_graph(void **state)
{
    (void)state;
    char *path = fresh_cache();
    start(NULL, "measure");
    const vg__product product = convolution();
    cudaGraph_t graph;
    void *scratch;
    assert_ok(cuda->scratch(cuda, vg__multiply_backward_scratch(cuda, &product, false), &scratch));
    assert_int_equal(cudaStreamBeginCapture(cuda->stream, cudaStreamCaptureModeThreadLocal), cudaSuccess);
    assert_ok(vg__multiply_dx(cuda, &product, on_device[0], on_device[1], on_device[3], false, scratch));
    assert_int_equal(cudaStreamEndCapture(cuda->stream, &graph), cudaSuccess);
    assert_int_equal(cudaGraphDestroy(graph), cudaSuccess);
    assert_int_equal(stand_in_cudnn.products, 0);
    run_dx(1e-4);
    assert_true(stand_in_cudnn.products > 1); /* now it was */
    stop();
    free(path);
}

static int setup(void **state)
{
    (void)state;
    device = emulated_device_create();
    stand_ins_install();
    vg_random random = vg_random_make(support_seed(), VG_SITE_SYNTHETIC, 0);
    for (size_t i = 0; i < MOST; i++) numbers[i] = (float)vg_random_normal(&random);
    for (int i = 0; i < 4; i++) {
        assert_ok(vg_device_allocate(device, sizeof numbers, (void **)&on_device[i]));
        assert_ok(vg_device_copy(device, on_device[i], numbers, sizeof numbers, VG_COPY_TO_DEVICE));
    }
    vg_log_set_sink(sink, NULL);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    for (int i = 0; i < 4; i++) vg_device_release(device, on_device[i], sizeof numbers);
    vg_device_destroy(device);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_linear_goes_to_cublaslt),
        cmocka_unit_test(test_unaligned_is_our_own),
        cmocka_unit_test(test_refused_shape_is_our_own_and_told_once),
        cmocka_unit_test(test_absent_off_and_broken),
        cmocka_unit_test(test_what_no_library_is_asked_for),
        cmocka_unit_test(test_settings_are_checked),
        cmocka_unit_test(test_cudnn_on),
        cmocka_unit_test(test_faster_by_more_than_chance),
        cmocka_unit_test(test_choice_is_remembered),
        cmocka_unit_test(test_wrong_result_is_not_taken),
        cmocka_unit_test(test_damaged_file),
        cmocka_unit_test(test_nowhere_to_write),
        cmocka_unit_test(test_nothing_is_measured_into_a_graph),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
