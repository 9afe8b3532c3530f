/* Slabs and the host device. */
#include <stdint.h>
#include <string.h>

#include "core/slab.h"
#include "tests/support/support.h"

static void test_layout(void **state)
{
    (void)state;
    vg_device *device;
    vg_tensor a, b, c, empty;
    assert_ok(vg_device_create_host(&device));
    vg_slab slab = vg_slab_make("test tensors");
    assert_ok(vg_slab_add(&slab, &a, VG_F32, VG_DIMS(3, 5)));
    assert_ok(vg_slab_add(&slab, &empty, VG_F32, VG_DIMS(0, 5)));
    assert_ok(vg_slab_add(&slab, &b, VG_U8, VG_DIMS(257)));
    assert_ok(vg_slab_add(&slab, &c, VG_F64, 0, NULL));
    assert_null(a.data);
    assert_int_equal(a.dims[1], 5);
    assert_ok(vg_slab_bind(&slab, device));
    assert_int_equal(slab.bytes, 256 + 512 + 256);
    assert_int_equal(device->allocations, 1);
    assert_int_equal(device->bytes, slab.bytes);
    const vg_tensor *views[] = {&a, &b, &c};
    for (int i = 0; i < 3; i++) {
        assert_int_equal((uintptr_t)views[i]->data % 256, 0);
        for (size_t k = 0; k < vg_tensor_bytes(views[i]); k++)
            assert_int_equal(((char *)views[i]->data)[k], 0);
    }
    /* No two overlap: each keeps what was written to it. */
    for (int i = 0; i < 3; i++) memset(views[i]->data, i + 1, vg_tensor_bytes(views[i]));
    for (int i = 0; i < 3; i++)
        for (size_t k = 0; k < vg_tensor_bytes(views[i]); k++)
            assert_int_equal(((char *)views[i]->data)[k], i + 1);
    assert_ok(vg_slab_zero(&slab));
    assert_int_equal(((unsigned char *)b.data)[256], 0);
    vg_slab_free(&slab);
    vg_slab_free(&slab);
    assert_int_equal(device->bytes, 0);
    vg_device_destroy(device);
}

static void test_overflow(void **state)
{
    (void)state;
    vg_tensor view;
    vg_slab slab = vg_slab_make("activations");
    assert_fails(vg_slab_add(&slab, &view, VG_F32, VG_DIMS(INT64_MAX)), VG_ERR_SHAPE, "activations");
    assert_fails(vg_slab_add(&slab, &view, VG_F32, VG_DIMS(INT64_C(1) << 32, INT64_C(1) << 32)), VG_ERR_SHAPE,
                 "too large");
    assert_int_equal(slab.bytes, 0);
    /* Two that fit one by one but not together. */
    assert_ok(vg_slab_add(&slab, &view, VG_U8, VG_DIMS(INT64_MAX / 2)));
    assert_ok(vg_slab_add(&slab, &view, VG_U8, VG_DIMS(INT64_MAX / 2 - 1024)));
    assert_fails(vg_slab_add(&slab, &view, VG_U8, VG_DIMS(INT64_MAX / 2)), VG_ERR_SHAPE, "too large");
    vg_slab_free(&slab);
}

static void test_no_memory(void **state)
{
    (void)state;
    vg_device *device;
    vg_tensor view;
    assert_ok(vg_device_create_host(&device));
    vg_slab slab = vg_slab_make("activations");
    assert_ok(vg_slab_add(&slab, &view, VG_U8, VG_DIMS(INT64_MAX / 2)));
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    vg_slab_free(&slab); /* a sanitizer ends the program instead of returning NULL */
#else
    assert_fails(vg_slab_bind(&slab, device), VG_ERR_MEMORY, "the activations: cannot allocate");
    assert_null(slab.memory);
    vg_slab_free(&slab);
#endif
    assert_int_equal(device->bytes, 0);
    vg_device_destroy(device);
}

static void test_many(void **state)
{
    (void)state;
    enum { MANY = 1000 };
    static vg_tensor views[MANY];
    vg_device *device;
    assert_ok(vg_device_create_host(&device));
    vg_slab slab = vg_slab_make("parameters");
    for (int i = 0; i < MANY; i++) assert_ok(vg_slab_add(&slab, &views[i], VG_I64, VG_DIMS(i)));
    assert_ok(vg_slab_bind(&slab, device));
    for (int i = 0; i < MANY; i++)
        for (int k = 0; k < i; k++) ((int64_t *)views[i].data)[k] = i;
    for (int i = 0; i < MANY; i++)
        for (int k = 0; k < i; k++) assert_int_equal(((int64_t *)views[i].data)[k], i);
    vg_slab_free(&slab);
    vg_device_destroy(device);
}

static void test_device_copies(void **state)
{
    (void)state;
    vg_device *device;
    void *memory;
    char out[8] = "";
    assert_ok(vg_device_create_host(&device));
    assert_true(device->ops->is_host);
    assert_ok(vg_device_allocate(device, 0, &memory));
    vg_device_release(device, memory, 0);
    assert_ok(vg_device_allocate(device, 8, &memory));
    assert_ok(vg_device_copy(device, memory, "abcdefg", 8, VG_COPY_TO_DEVICE));
    assert_ok(vg_device_copy(device, out, memory, 8, VG_COPY_TO_HOST));
    assert_string_equal(out, "abcdefg");
    assert_ok(vg_device_copy(device, NULL, NULL, 0, VG_COPY_ON_DEVICE));
    assert_ok(vg_device_zero(device, memory, 8));
    assert_int_equal(*(char *)memory, 0);
    assert_ok(vg_device_synchronize(device));
    vg_device_release(device, memory, 8);
    vg_device_release(device, NULL, 8);
    assert_int_equal(device->bytes, 0);
    vg_device_destroy(device);
    vg_device_destroy(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_layout), cmocka_unit_test(test_overflow),      cmocka_unit_test(test_no_memory),
        cmocka_unit_test(test_many),   cmocka_unit_test(test_device_copies),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
