#include "tests/kernels/compare.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/support.h"

enum { GUARD = 1024 };

comparison compare(const double *got, size_t got_count, const double *want, size_t want_count)
{
    const comparison nothing = {NAN, NAN, NAN, NAN};
    if (got_count != want_count || want_count == 0) return nothing;
    comparison c = {0};
    for (size_t i = 0; i < want_count; i++) {
        if (!isfinite(got[i]) || !isfinite(want[i])) return nothing;
        double error = fabs(got[i] - want[i]);
        c.norm_error += error * error;
        c.norm += want[i] * want[i];
        c.max_error = fmax(c.max_error, error);
        c.max = fmax(c.max, fabs(want[i]));
    }
    c.norm_error = sqrt(c.norm_error);
    c.norm = sqrt(c.norm);
    return c;
}

bool compare_close(const double *got, size_t got_count, const double *want, size_t want_count,
                   double tolerance)
{
    comparison c = compare(got, got_count, want, want_count);
    return c.norm_error <= tolerance * c.norm && c.max_error <= tolerance * c.max;
}

guarded guarded_make(vg_device *device, const void *content, size_t bytes)
{
    guarded block = {.device = device, .bytes = bytes, .image = malloc(bytes + 2 * GUARD)};
    assert_non_null(block.image);
    memset(block.image, 0xff, bytes + 2 * GUARD);
    if (content && bytes) memcpy(block.image + GUARD, content, bytes);
    assert_ok(vg_device_allocate(device, bytes + 2 * GUARD, &block.memory));
    assert_ok(vg_device_copy(device, block.memory, block.image, bytes + 2 * GUARD, VG_COPY_TO_DEVICE));
    block.data = (char *)block.memory + GUARD;
    return block;
}

void guarded_free(guarded *block)
{
    vg_device_release(block->device, block->memory, block->bytes + 2 * GUARD);
    free(block->image);
    *block = (guarded){0};
}

/* The whole block as it is now; the caller's to free. */
static unsigned char *fetch(const guarded *block)
{
    unsigned char *now = malloc(block->bytes + 2 * GUARD);
    assert_non_null(now);
    assert_ok(vg_device_synchronize(block->device));
    assert_ok(vg_device_copy(block->device, now, block->memory, block->bytes + 2 * GUARD, VG_COPY_TO_HOST));
    assert_ok(vg_device_synchronize(block->device));
    return now;
}

bool guarded_read(const guarded *block, void *out)
{
    unsigned char *now = fetch(block);
    if (out && block->bytes) memcpy(out, now + GUARD, block->bytes);
    bool intact = !memcmp(now, block->image, GUARD) &&
                  !memcmp(now + GUARD + block->bytes, block->image + GUARD + block->bytes, GUARD);
    free(now);
    return intact;
}

bool guarded_unchanged(const guarded *block)
{
    unsigned char *now = fetch(block);
    bool same = !memcmp(now + GUARD, block->image + GUARD, block->bytes);
    free(now);
    return same;
}
