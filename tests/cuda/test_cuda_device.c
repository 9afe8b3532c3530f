/* The CUDA device on the emulator: what its copies promise, what it gives back, and the sentence for each way
 * in which a GPU can be missing or fail. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/log.h"
#include "core/random.h"
#include "kernels/cuda/cuda.h"
#include "kernels/cuda/device.h"
#include "tests/cuda/emulated.h"
#include "tests/cuda/tile.h"
#include "tests/support/support.h"

enum { ORDERS = 8 };
static const size_t RING = (size_t)VG__CUDA_SLOTS * VG__CUDA_SLOT_BYTES;

static const emulated_machine whole = {
    .driver = CUDART_VERSION, .gpus = 2, .compute = 90, .memory = (size_t)256 << 20};

static void pretend(emulated_machine machine)
{
    *emulated_machine_settings() = machine;
}

static int setup(void **state)
{
    (void)state;
    pretend(whole);
    unsetenv("CUDA_VISIBLE_DEVICES");
    return 0;
}

/* Every handle and byte is given back, whatever the test did. */
static int teardown(void **state)
{
    (void)state;
    emulated_held held = emulated_machine_held();
    if (held.device || held.pinned || held.streams || held.events)
        print_error("still held: %zu bytes of the device, %zu locked, %d streams, %d events\n", held.device,
                    held.pinned, held.streams, held.events);
    return held.device || held.pinned || held.streams || held.events;
}

static vg_device *opened(const char *name)
{
    vg_device *device;
    assert_ok(vg_device_open(name, &device));
    return device;
}

static unsigned char *bytes_of(size_t count, uint32_t stream)
{
    vg_random random = vg_random_make(support_seed(), VG_SITE_SYNTHETIC, stream);
    unsigned char *bytes = malloc(count ? count : 1);
    assert_non_null(bytes);
    for (size_t i = 0; i < count; i++) bytes[i] = (unsigned char)vg_random_word(&random);
    return bytes;
}

/* Sizes below, at and over a slot and the ring; the source is overwritten as soon as the call returns. */
static void test_source_reused(void **state)
{
    (void)state;
    const size_t sizes[] = {
        1,    3,        VG__CUDA_SLOT_BYTES - 1,           VG__CUDA_SLOT_BYTES, VG__CUDA_SLOT_BYTES + 1,
        RING, RING + 5, 2 * RING + VG__CUDA_SLOT_BYTES / 2};
    vg_device *device = opened("cuda");
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        unsigned char *want = bytes_of(sizes[i], (uint32_t)i), *source = malloc(sizes[i]);
        unsigned char *got = calloc(1, sizes[i]);
        assert_true(source && got);
        void *memory;
        assert_ok(vg_device_allocate(device, sizes[i], &memory));
        memcpy(source, want, sizes[i]);
        assert_ok(vg_device_copy(device, memory, source, sizes[i], VG_COPY_TO_DEVICE));
        memset(source, 0xEE, sizes[i]);
        free(source);
        assert_ok(vg_device_copy(device, got, memory, sizes[i], VG_COPY_TO_HOST));
        assert_ok(vg_device_synchronize(device));
        assert_memory_equal(got, want, sizes[i]);
        vg_device_release(device, memory, sizes[i]);
        free(want);
        free(got);
    }
    assert_int_equal(device->bytes, 0);
    vg_device_destroy(device);
}

/* More small copies than the ring has slots, from one variable, to places that a later copy does not touch.
 */
static void test_many_small(void **state)
{
    (void)state;
    enum { COUNT = 5 * VG__CUDA_SLOTS + 3 };
    for (uint64_t order = 0; order < ORDERS; order++) {
        emulated_set_order(order ? support_seed() + order : 0);
        vg_device *device = opened("cuda:1");
        int64_t *memory, got[COUNT], value;
        assert_ok(vg_device_allocate(device, sizeof got, (void **)&memory));
        assert_ok(vg_device_zero(device, memory, sizeof got));
        for (value = 0; value < COUNT; value++)
            assert_ok(vg_device_copy(device, memory + value, &value, sizeof value, VG_COPY_TO_DEVICE));
        value = -1;
        assert_ok(vg_device_copy(device, memory + 1, memory, sizeof *memory, VG_COPY_ON_DEVICE));
        assert_ok(vg_device_copy(device, got, memory, sizeof got, VG_COPY_TO_HOST));
        assert_ok(vg_device_synchronize(device));
        for (int64_t i = 0; i < COUNT; i++) assert_int_equal(got[i], i == 1 ? 0 : i);
        vg_device_release(device, memory, sizeof got);
        vg_device_destroy(device);
    }
    emulated_set_order(0);
}

/* A loader's thread fills the buffer again while copies of it are under way: handed over by a lock, as a
 * queue does, so that ThreadSanitizer sees whether the device still reads the source after its call. */
typedef struct handover {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    unsigned char *buffer;
    size_t bytes;
    int filled; /* how often; the buffer then holds that number */
    bool full, stop;
} handover;

static void *fill(void *pointer)
{
    handover *h = pointer;
    pthread_mutex_lock(&h->lock);
    while (!h->stop) {
        if (h->full) {
            pthread_cond_wait(&h->changed, &h->lock);
            continue;
        }
        memset(h->buffer, ++h->filled, h->bytes);
        h->full = true;
        pthread_cond_signal(&h->changed);
    }
    pthread_mutex_unlock(&h->lock);
    return NULL;
}

static void test_filled_by_a_thread(void **state)
{
    (void)state;
    enum { ROUNDS = 2 * VG__CUDA_SLOTS + 1, BYTES = VG__CUDA_SLOT_BYTES + 100 };
    handover h = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER, .bytes = BYTES};
    h.buffer = malloc(BYTES);
    unsigned char *got = malloc((size_t)ROUNDS * BYTES), *memory;
    assert_true(h.buffer && got);
    vg_device *device = opened("cuda");
    assert_ok(vg_device_allocate(device, (size_t)ROUNDS * BYTES, (void **)&memory));
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, fill, &h), 0);
    for (int round = 0; round < ROUNDS; round++) {
        pthread_mutex_lock(&h.lock);
        while (!h.full) pthread_cond_wait(&h.changed, &h.lock);
        assert_ok(vg_device_copy(device, memory + (size_t)round * BYTES, h.buffer, BYTES, VG_COPY_TO_DEVICE));
        h.full = false;
        pthread_cond_signal(&h.changed);
        pthread_mutex_unlock(&h.lock);
    }
    pthread_mutex_lock(&h.lock);
    h.stop = true;
    pthread_cond_signal(&h.changed);
    pthread_mutex_unlock(&h.lock);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_ok(vg_device_copy(device, got, memory, (size_t)ROUNDS * BYTES, VG_COPY_TO_HOST));
    assert_ok(vg_device_synchronize(device));
    for (size_t i = 0; i < (size_t)ROUNDS * BYTES; i++)
        if (got[i] != i / BYTES + 1) fail_msg("byte %zu is %d, not %zu", i, got[i], i / BYTES + 1);
    vg_device_release(device, memory, (size_t)ROUNDS * BYTES);
    vg_device_destroy(device);
    free(h.buffer);
    free(got);
}

static void test_no_gpu(void **state)
{
    (void)state;
    vg_device *device;
    emulated_machine machine = whole;
    machine.driver = 0;
    pretend(machine);
    assert_fails(vg_device_open("cuda", &device), VG_ERR_DEVICE, "there is no NVIDIA driver here");
    assert_fails(vg_device_open("cuda:1", &device), VG_ERR_DEVICE, "install driver 580 or newer");

    machine.driver = 12040;
    pretend(machine);
    assert_fails(vg_device_open("cuda", &device), VG_ERR_DEVICE,
                 "it knows CUDA 12.4 and this program was built with CUDA 13.0. Install driver 580");

    machine.driver = CUDART_VERSION + 20;
    machine.gpus = 0;
    pretend(machine);
    assert_fails(vg_device_open("cuda", &device), VG_ERR_DEVICE, "there is an NVIDIA driver and no GPU");
    setenv("CUDA_VISIBLE_DEVICES", "7", 1);
    assert_fails(vg_device_open("cuda", &device), VG_ERR_DEVICE, "CUDA_VISIBLE_DEVICES is '7'");

    machine.gpus = 2;
    pretend(machine);
    assert_fails(vg_device_open("cuda:2", &device), VG_ERR_DEVICE,
                 "there is no GPU 2: this process sees 2, numbered from 0 (CUDA_VISIBLE_DEVICES is set");
    unsetenv("CUDA_VISIBLE_DEVICES");
    vg_device_destroy(opened("cuda:1"));
}

static void test_architectures(void **state)
{
    (void)state;
    const struct {
        int compute;
        bool runs;
    } cases[] = {{70, false}, {75, false}, {80, true},  {86, true},  {87, true}, {89, true},
                 {90, true},  {100, true}, {103, true}, {110, true}, {120, true}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        emulated_machine machine = whole;
        machine.compute = cases[i].compute;
        pretend(machine);
        vg_device *device = NULL;
        if (cases[i].runs) {
            vg_device_destroy(opened("cuda"));
            continue;
        }
        assert_fails(vg_device_open("cuda", &device), VG_ERR_DEVICE,
                     "has code for 8.0 8.6 8.9 9.0 10.0 and newer than the last: it is too old");
        assert_fails(vg_device_open("cuda", &device), VG_ERR_DEVICE, "compute capability 7.");
    }
}

static void test_names(void **state)
{
    (void)state;
    const char *const wrong[] = {"",        "gpu",        "cuda:", "cuda:x", "cuda:-1",
                                 "cuda:1 ", "cuda:99999", "CPU",   "cuda0"};
    vg_device *device;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_fails(vg_device_open(wrong[i], &device), VG_ERR_CONFIG, "it is auto, cpu, cuda");
    device = opened("cpu");
    assert_true(device->ops->is_host);
    vg_device_destroy(device);
}

static char told[512];
static void keep_line(vg_log_level level, const char *line, void *context)
{
    (void)level;
    (void)context;
    snprintf(told, sizeof told, "%s", line);
}

/* "auto" takes the host and says why, unless there is no driver either. */
static void test_auto(void **state)
{
    (void)state;
    const struct {
        int driver, gpus, compute;
        const char *name, *line;
    } cases[] = {{CUDART_VERSION, 1, 90, "cuda", ""},
                 {0, 0, 90, "host", ""},
                 {12040, 1, 90, "host", "it knows CUDA 12.4"},
                 {CUDART_VERSION, 0, 90, "host", "no GPU"},
                 {CUDART_VERSION, 1, 75, "host", "compute capability 7.5"}};
    vg_log_set_sink(keep_line, NULL);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        emulated_machine machine = {cases[i].driver, cases[i].gpus, cases[i].compute, whole.memory};
        pretend(machine);
        *told = 0;
        vg_device *device = opened("auto");
        assert_string_equal(device->ops->name, cases[i].name);
        if (!strstr(told, cases[i].line) || (*told != 0) != (*cases[i].line != 0))
            fail_msg("case %zu: \"%s\", expected \"%s\"", i, told, cases[i].line);
        vg_device_destroy(device);
    }
    vg_log_set_sink(NULL, NULL);
}

static void test_out_of_memory(void **state)
{
    (void)state;
    vg_device *device = opened("cuda");
    void *held, *more;
    size_t available;
    assert_ok(vg_device_allocate(device, (size_t)100 << 20, &held));
    assert_ok(vg_device_free_memory(device, &available));
    assert_int_equal(available, (size_t)156 << 20);
    assert_fails(vg_device_allocate(device, (size_t)200 << 20, &more), VG_ERR_MEMORY,
                 "GPU 0 (emulated GPU) has no 200.0 MiB left: 156.0 of its 256.0 MiB are free, 100.0 are "
                 "held by this");
    assert_fails(vg_device_allocate(device, (size_t)200 << 20, &more), VG_ERR_MEMORY,
                 "A smaller train.micro_batch needs less");
    /* The refusal is over: work goes on, and a launch does not find it. */
    assert_int_equal(cudaGetLastError(), cudaSuccess);
    assert_ok(vg_device_zero(device, held, (size_t)100 << 20));
    assert_ok(vg_device_synchronize(device));
    vg_device_release(device, held, (size_t)100 << 20);
    vg_device_destroy(device);
}

/* What a kernel did wrong is found by whoever waits, again and again, and does not keep the end from coming.
 */
static void test_broken(void **state)
{
    (void)state;
    vg_device *device = opened("cuda");
    float *memory;
    unsigned char *large = bytes_of(RING + 1, 0);
    assert_ok(vg_device_allocate(device, RING + 1, (void **)&memory));
    assert_ok(vg_device_zero(device, memory, RING + 1));
    assert_int_equal(tile_wrong(TILE_MISALIGNED, memory, vg__cuda_device_of(device)->stream), 0);
    for (int i = 0; i < 2; i++) {
        assert_fails(vg_device_synchronize(device), VG_ERR_DEVICE,
                     "GPU 0 (emulated GPU) stopped at an error of earlier work");
        assert_fails(vg_device_synchronize(device), VG_ERR_DEVICE, "cudaErrorLaunchFailure");
        assert_fails(vg_device_synchronize(device), VG_ERR_DEVICE, "its last checkpoint is whole");
    }
    assert_fails(vg_device_copy(device, memory, large, RING + 1, VG_COPY_TO_DEVICE), VG_ERR_DEVICE,
                 "stopped at an error of earlier work");
    vg_device_release(device, memory, RING + 1);
    vg_device_destroy(device);
    assert_true(*emulated_take_failure());
    free(large);
}

/* Nothing is left behind when the device cannot be made, and scratch goes with the kernels. */
static void test_given_back(void **state)
{
    (void)state;
    emulated_machine machine = whole;
    machine.compute = 75;
    pretend(machine);
    vg_device *device;
    assert_fails(vg_device_open("cuda", &device), VG_ERR_DEVICE, "compute capability");
    assert_int_equal(emulated_machine_held().pinned, 0);
    assert_int_equal(emulated_machine_held().streams, 0);

    pretend(whole);
    device = opened("cuda");
    vg_kernels *kernels;
    assert_ok(vg_kernels_create(device, "auto", true, &kernels));
    vg__cuda *cuda = vg__cuda_of(kernels);
    void *first, *second, *third;
    assert_ok(cuda->scratch(cuda, 100, &first));
    uint64_t allocations = device->allocations;
    assert_ok(cuda->scratch(cuda, 1 << 20, &second)); /* fits into the first piece */
    assert_ptr_equal(first, second);
    assert_int_equal(device->allocations, allocations);
    assert_ok(cuda->scratch(cuda, 9 << 20, &third));
    assert_int_equal(device->allocations, allocations + 1);
    assert_fails(cuda->scratch(cuda, (size_t)1 << 30, &third), VG_ERR_MEMORY, "train.micro_batch");
    assert_ok(cuda->scratch(cuda, 64, &third)); /* goes on after a refusal */
    vg_kernels_destroy(kernels);
    assert_int_equal(device->bytes, 0);
    vg_device_destroy(device);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_source_reused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_many_small, setup, teardown),
        cmocka_unit_test_setup_teardown(test_filled_by_a_thread, setup, teardown),
        cmocka_unit_test_setup_teardown(test_no_gpu, setup, teardown),
        cmocka_unit_test_setup_teardown(test_architectures, setup, teardown),
        cmocka_unit_test_setup_teardown(test_names, setup, teardown),
        cmocka_unit_test_setup_teardown(test_auto, setup, teardown),
        cmocka_unit_test_setup_teardown(test_out_of_memory, setup, teardown),
        cmocka_unit_test_setup_teardown(test_broken, setup, teardown),
        cmocka_unit_test_setup_teardown(test_given_back, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
