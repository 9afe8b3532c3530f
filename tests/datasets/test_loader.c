/* The loader: the order is a function of seed and epoch, whatever the prefetch, the step begun at or the
 * number of ranks; batches hold what the corpus holds. */
#include "tests/datasets/fixture.h"

#include <string.h>
#include <time.h>

#include "datasets/loader.h"

static char *folder;
static vg_corpus *corpus;
static int64_t *indices, count; /* every second segment: positions and numbers must not be confused */

static vg_loader *open_loader(vg_loader_options options)
{
    vg_loader *loader;
    assert_ok(vg_loader_create(corpus, indices, count, &options, &loader));
    return loader;
}

static void check_rows(const vg_batch *batch)
{
    float expected[16];
    assert_int_equal(batch->length, corpus->segment_length);
    for (int64_t row = 0; row < batch->count; row++) {
        vg_corpus_segment(corpus, batch->segments[row], expected);
        assert_memory_equal(batch->signal + row * batch->length, expected, sizeof expected);
        float label = corpus->segments[batch->segments[row]].label;
        assert_true(batch->label[row] == label || (isnan(label) && isnan(batch->label[row])));
    }
}

/* The numbers of an epoch from a step on, into `out`; checks rows and counts on the way. */
static int64_t epoch_of(vg_loader *loader, int64_t epoch, int64_t first, int64_t *out)
{
    vg_batch batch;
    int64_t n = 0, step = first;
    assert_ok(vg_loader_start(loader, epoch, first));
    for (;;) {
        assert_ok(vg_loader_next(loader, &batch));
        if (batch.end) break;
        assert_int_equal(batch.step, step++);
        check_rows(&batch);
        memcpy(out + n, batch.segments, (size_t)batch.count * sizeof *out);
        n += batch.count;
    }
    assert_int_equal(step, vg_loader_steps(loader));
    assert_ok(vg_loader_next(loader, &batch)); /* the end stays the end */
    assert_true(batch.end);
    return n;
}

static int64_t *buffer(void)
{
    int64_t *numbers = calloc((size_t)count + 1, sizeof *numbers);
    assert_non_null(numbers);
    return numbers;
}

static void check_permutation(const int64_t *numbers, int64_t n)
{
    int *seen = calloc((size_t)corpus->segment_count, sizeof *seen);
    for (int64_t i = 0; i < n; i++) seen[numbers[i]]++;
    for (int64_t i = 0; i < count; i++) assert_int_equal(seen[indices[i]], 1);
    assert_int_equal(n, count);
    free(seen);
}

static void test_every_segment_once(void **state)
{
    (void)state;
    int64_t *a = buffer(), *b = buffer();
    vg_loader *loader =
        open_loader((vg_loader_options){.batch_size = 7, .shuffle = true, .seed = 3, .prefetch = 2});
    check_permutation(a, epoch_of(loader, 0, 0, a));
    check_permutation(b, epoch_of(loader, 1, 0, b));
    assert_memory_not_equal(a, b, (size_t)count * sizeof *a);
    check_permutation(b, epoch_of(loader, 0, 0, b)); /* back to an earlier epoch */
    assert_memory_equal(a, b, (size_t)count * sizeof *a);
    vg_loader_destroy(loader);

    loader = open_loader((vg_loader_options){.batch_size = 7, .shuffle = true, .seed = 4});
    epoch_of(loader, 0, 0, b);
    assert_memory_not_equal(a, b, (size_t)count * sizeof *a);
    vg_loader_destroy(loader);

    loader = open_loader((vg_loader_options){.batch_size = 7, .prefetch = 1});
    epoch_of(loader, 5, 0, b);
    assert_memory_equal(indices, b, (size_t)count * sizeof *b);
    vg_loader_destroy(loader);
    free(a);
    free(b);
}

static void test_same_at_any_prefetch(void **state)
{
    (void)state;
    int64_t *a = buffer(), *b = buffer();
    vg_loader *loader = open_loader((vg_loader_options){.batch_size = 5, .shuffle = true, .seed = 9});
    epoch_of(loader, 2, 0, a);
    vg_loader_destroy(loader);
    static const int prefetches[] = {1, 2, 3, 8, 64};
    for (int i = 0; i < 5; i++) {
        loader = open_loader(
            (vg_loader_options){.batch_size = 5, .shuffle = true, .seed = 9, .prefetch = prefetches[i]});
        for (int repeat = 0; repeat < 3; repeat++) {
            memset(b, 0, (size_t)count * sizeof *b);
            assert_int_equal(epoch_of(loader, 2, 0, b), count);
            assert_memory_equal(a, b, (size_t)count * sizeof *a);
        }
        vg_loader_destroy(loader);
    }
    free(a);
    free(b);
}

/* Without samples: the same segments and labels in the same order. */
static void test_numbers_only(void **state)
{
    (void)state;
    vg_loader_options options = {.batch_size = 5, .shuffle = true, .seed = 9, .prefetch = 2};
    vg_loader *whole = open_loader(options);
    options.numbers_only = true;
    vg_loader *bare = open_loader(options);
    assert_ok(vg_loader_start(whole, 1, 0));
    assert_ok(vg_loader_start(bare, 1, 0));
    for (;;) {
        vg_batch a, b;
        assert_ok(vg_loader_next(whole, &a));
        assert_ok(vg_loader_next(bare, &b));
        assert_int_equal(a.end, b.end);
        if (a.end) break;
        assert_non_null(a.signal);
        assert_null(b.signal);
        assert_int_equal(a.count, b.count);
        assert_memory_equal(a.segments, b.segments, (size_t)a.count * sizeof *a.segments);
        assert_memory_equal(a.label, b.label, (size_t)a.count * sizeof *a.label);
    }
    vg_loader_destroy(whole);
    vg_loader_destroy(bare);
}

static void test_resume(void **state)
{
    (void)state;
    int64_t *a = buffer(), *b = buffer();
    vg_loader_options options = {.batch_size = 6, .shuffle = true, .seed = 1, .prefetch = 3};
    vg_loader *loader = open_loader(options);
    epoch_of(loader, 4, 0, a);
    for (int64_t step = 0; step <= vg_loader_steps(loader); step++) {
        int64_t from = step * 6 < count ? step * 6 : count;
        assert_int_equal(epoch_of(loader, 4, step, b), count - from);
        assert_memory_equal(a + from, b, (size_t)(count - from) * sizeof *a);
    }
    int64_t steps = vg_loader_steps(loader);
    assert_fails(vg_loader_start(loader, 0, steps + 1), VG_ERR_CONFIG, "outside the epoch");
    assert_fails(vg_loader_start(loader, 0, -1), VG_ERR_CONFIG, "step -1");
    assert_fails(vg_loader_start(loader, -1, 0), VG_ERR_CONFIG, "epoch -1");
    vg_loader_destroy(loader);
    free(a);
    free(b);
}

static void test_last_batch(void **state)
{
    (void)state;
    int64_t *a = buffer();
    assert_int_equal(count % 8 != 0, 1);
    vg_loader *loader = open_loader((vg_loader_options){.batch_size = 8, .drop_last = true});
    assert_int_equal(vg_loader_steps(loader), count / 8);
    assert_int_equal(epoch_of(loader, 0, 0, a), count / 8 * 8);
    vg_loader_destroy(loader);
    loader = open_loader((vg_loader_options){.batch_size = 8});
    assert_int_equal(vg_loader_steps(loader), count / 8 + 1);
    assert_int_equal(epoch_of(loader, 0, 0, a), count);
    vg_loader_destroy(loader);
    loader = open_loader((vg_loader_options){.batch_size = 10 * count, .prefetch = 2});
    assert_int_equal(vg_loader_steps(loader), 1);
    assert_int_equal(epoch_of(loader, 0, 0, a), count);
    vg_loader_destroy(loader);
    free(a);
}

/* The ranks' rows, one rank after another, are the single rank's batch, for every world size. */
static void test_ranks(void **state)
{
    (void)state;
    enum { B = 11 };
    for (int world = 1; world <= 13; world++) {
        vg_loader_options options = {.batch_size = B, .shuffle = true, .seed = 2, .prefetch = 2};
        vg_loader *whole = open_loader(options), *parts[13];
        options.world = world;
        for (int r = 0; r < world; r++) {
            options.rank = r;
            parts[r] = open_loader(options);
            assert_ok(vg_loader_start(parts[r], 1, 0));
            assert_int_equal(vg_loader_steps(parts[r]), vg_loader_steps(whole));
        }
        assert_ok(vg_loader_start(whole, 1, 0));
        for (;;) {
            vg_batch all, part;
            assert_ok(vg_loader_next(whole, &all));
            int64_t row = 0;
            for (int r = 0; r < world; r++) {
                assert_ok(vg_loader_next(parts[r], &part));
                assert_int_equal(part.end, all.end);
                if (all.end) continue;
                assert_int_equal(part.total, all.count);
                assert_memory_equal(part.segments, all.segments + row, (size_t)part.count * sizeof(int64_t));
                assert_memory_equal(part.signal, all.signal + row * all.length,
                                    (size_t)(part.count * all.length) * sizeof(float));
                row += part.count;
            }
            if (all.end) break;
            assert_int_equal(row, all.count);
        }
        for (int r = 0; r < world; r++) vg_loader_destroy(parts[r]);
        vg_loader_destroy(whole);
    }
}

static void test_stopping_anywhere(void **state)
{
    (void)state;
    vg_batch batch;
    int64_t *a = buffer(), *b = buffer();
    for (int prefetch = 0; prefetch <= 4; prefetch++) {
        vg_loader_options options = {.batch_size = 4, .shuffle = true, .seed = 8, .prefetch = prefetch};
        vg_loader_destroy(open_loader(options)); /* never started */
        for (int taken = 0; taken < 6; taken++) {
            vg_loader *loader = open_loader(options);
            assert_ok(vg_loader_start(loader, 0, 0));
            for (int i = 0; i < taken; i++) assert_ok(vg_loader_next(loader, &batch));
            /* Begun again in the middle, also at once, then left in the middle. */
            assert_ok(vg_loader_start(loader, 7, 2));
            assert_ok(vg_loader_start(loader, 1, 0));
            epoch_of(loader, 3, 0, a);
            assert_ok(vg_loader_start(loader, 1, 1));
            assert_ok(vg_loader_next(loader, &batch));
            assert_int_equal(batch.step, 1);
            check_rows(&batch);
            vg_loader_destroy(loader);
            if (prefetch + taken > 0) assert_memory_equal(a, b, (size_t)count * sizeof *a);
            memcpy(b, a, (size_t)count * sizeof *a);
        }
    }
    free(a);
    free(b);
}

/* The batch in the caller's hands is left alone however far the worker runs ahead. */
static void test_batch_stays(void **state)
{
    (void)state;
    vg_loader *loader =
        open_loader((vg_loader_options){.batch_size = 3, .shuffle = true, .seed = 8, .prefetch = 3});
    vg_batch batch;
    assert_ok(vg_loader_start(loader, 0, 0));
    for (int i = 0; i < 10; i++) {
        assert_ok(vg_loader_next(loader, &batch));
        int64_t number = batch.segments[0];
        nanosleep(&(struct timespec){.tv_nsec = 3000000}, NULL);
        assert_int_equal(batch.segments[0], number);
        check_rows(&batch);
    }
    vg_loader_destroy(loader);
}

static void test_refusals(void **state)
{
    (void)state;
    vg_loader *loader;
    vg_loader_options good = {.batch_size = 4}, bad = good;
    assert_fails(vg_loader_create(corpus, indices, 0, &good, &loader), VG_ERR_CONFIG, "no segment");
    assert_fails(vg_loader_create(corpus, (int64_t[]){-1}, 1, &good, &loader), VG_ERR_SHAPE, "segment -1");
    bad.batch_size = 0;
    assert_fails(vg_loader_create(corpus, indices, count, &bad, &loader), VG_ERR_CONFIG, "batch of 0");
    bad = (vg_loader_options){.batch_size = count + 1, .drop_last = true};
    assert_fails(vg_loader_create(corpus, indices, count, &bad, &loader), VG_ERR_CONFIG,
                 "lower the batch size");
    bad = (vg_loader_options){.batch_size = 4, .rank = 2, .world = 2};
    assert_fails(vg_loader_create(corpus, indices, count, &bad, &loader), VG_ERR_CONFIG, "rank 2 of 2");
    bad = (vg_loader_options){.batch_size = 4, .prefetch = -1};
    assert_fails(vg_loader_create(corpus, indices, count, &bad, &loader), VG_ERR_CONFIG, "-1 batches");
    assert_null(loader);
    vg_loader_destroy(NULL);
}

int main(void)
{
    folder = support_temp_dir();
    char *path = support_path(folder, "loader.h5");
    fixture_store(path, "S", 6, 1);
    vg_corpus_options loading = vg_corpus_options_default();
    loading.seconds = 1;
    vg_label_rule rule = {.rating = "rare", .threshold = VG_THRESHOLD_NUMBER, .number = 2};
    if (vg_corpus_create((const char *[]){path}, 1, &loading, &corpus) != VG_OK ||
        vg_corpus_normalize(corpus, VG_NORMALIZE_SUBJECT, NULL, 0, NULL) != VG_OK ||
        vg_corpus_label(corpus, &rule, NULL, 0, NULL) != VG_OK)
        return 1;
    indices = calloc((size_t)corpus->segment_count, sizeof *indices);
    for (int64_t s = 1; s < corpus->segment_count; s += 2) indices[count++] = s;
    if (count % 8 == 0) count--;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_segment_once), cmocka_unit_test(test_same_at_any_prefetch),
        cmocka_unit_test(test_numbers_only),       cmocka_unit_test(test_resume),
        cmocka_unit_test(test_last_batch),         cmocka_unit_test(test_ranks),
        cmocka_unit_test(test_stopping_anywhere),  cmocka_unit_test(test_batch_stays),
        cmocka_unit_test(test_refusals),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    vg_corpus_destroy(corpus);
    free(indices);
    free(path);
    free(folder);
    return failed;
}
