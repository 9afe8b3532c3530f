/* Stores mixed by weights: exact shares, no segment again before all of its store, a function of seed and
 * epoch. */
#include "tests/datasets/fixture.h"

#include <string.h>

#include "datasets/loader.h"

static vg_corpus *corpus;
static int64_t *indices, count, have[3];

static int store_of(int64_t segment)
{
    return corpus->recordings[corpus->segments[segment].recording].store;
}

static vg_loader *open_loader(const double *weights, vg_loader_options options)
{
    vg_loader *loader;
    options.shuffle = true;
    options.weights = weights;
    options.weight_count = 3;
    assert_ok(vg_loader_create(corpus, indices, count, &options, &loader));
    return loader;
}

/* An epoch's segments from a step on, into `out`; returns how many. */
static int64_t read_epoch(vg_loader *loader, int64_t epoch, int64_t step, int64_t *out)
{
    int64_t n = 0;
    assert_ok(vg_loader_start(loader, epoch, step));
    for (;;) {
        vg_batch batch;
        assert_ok(vg_loader_next(loader, &batch));
        if (batch.end) return n;
        memcpy(out + n, batch.segments, (size_t)batch.count * sizeof *out);
        n += batch.count;
    }
}

static int64_t *buffer(void)
{
    int64_t *numbers = calloc((size_t)corpus->segment_count + count + 1, sizeof *numbers);
    assert_non_null(numbers);
    return numbers;
}

/* Each store gives its share within one segment, in every epoch; over many epochs all its segments come
 * equally often, within one. */
static void test_shares(void **state)
{
    (void)state;
    static const double cases[][3] = {{1, 1, 1}, {5, 1, 0}, {0.1, 0.7, 0.2}, {0, 0, 3}, {1e-9, 1, 1}};
    int64_t *epoch = buffer(), *times = buffer();
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        const double *w = cases[c], sum = w[0] + w[1] + w[2];
        vg_loader *loader = open_loader(w, (vg_loader_options){.batch_size = 10, .seed = 4});
        memset(times, 0, (size_t)corpus->segment_count * sizeof *times);
        for (int64_t e = 0; e < 12; e++) {
            int64_t drawn[3] = {0};
            assert_int_equal(read_epoch(loader, e, 0, epoch), count);
            for (int64_t i = 0; i < count; i++) {
                drawn[store_of(epoch[i])]++;
                times[epoch[i]]++;
            }
            for (int s = 0; s < 3; s++) {
                double exact = (double)count * w[s] / sum;
                if (!(fabs((double)drawn[s] - exact) < 1))
                    fail_msg("case %zu, epoch %lld: store %d gave %lld of %lld, its share is %.2f", c,
                             (long long)e, s, (long long)drawn[s], (long long)count, exact);
            }
        }
        for (int s = 0; s < 3; s++) {
            int64_t least = INT64_MAX, most = 0;
            for (int64_t i = 0; i < count; i++) {
                if (store_of(indices[i]) != s) continue;
                if (times[indices[i]] < least) least = times[indices[i]];
                if (times[indices[i]] > most) most = times[indices[i]];
            }
            if (most - least > 1)
                fail_msg("case %zu: segments of store %d came %lld to %lld times", c, s, (long long)least,
                         (long long)most);
        }
        vg_loader_destroy(loader);
    }
    free(epoch);
    free(times);
}

/* The same on any number of ranks, with any prefetch, begun at any step, and another with another seed or
 * epoch. */
static void test_order(void **state)
{
    (void)state;
    static const double weights[] = {3, 1, 2};
    const vg_loader_options plain = {.batch_size = 16, .seed = 9};
    vg_loader *loader = open_loader(weights, plain);
    int64_t *whole = buffer(), *other = buffer();
    read_epoch(loader, 5, 0, whole);
    for (int64_t step = 0; step <= vg_loader_steps(loader); step++) {
        vg_loader_options ahead = plain;
        ahead.prefetch = (int)(step % 3);
        vg_loader *resumed = open_loader(weights, ahead);
        int64_t n = read_epoch(resumed, 5, step, other), from = step * 16 < count ? step * 16 : count;
        assert_int_equal(n, count - from);
        assert_memory_equal(other, whole + from, (size_t)n * sizeof *other);
        vg_loader_destroy(resumed);
    }
    vg_loader *ranks[3];
    for (int r = 0; r < 3; r++) {
        vg_loader_options share = plain;
        share.rank = r;
        share.world = 3;
        ranks[r] = open_loader(weights, share);
        assert_ok(vg_loader_start(ranks[r], 5, 0));
    }
    for (int64_t at = 0; at < count;)
        for (int r = 0; r < 3; r++) {
            vg_batch batch;
            assert_ok(vg_loader_next(ranks[r], &batch));
            assert_false(batch.end);
            assert_memory_equal(batch.segments, whole + at, (size_t)batch.count * sizeof *whole);
            at += batch.count;
        }
    for (int r = 0; r < 3; r++) vg_loader_destroy(ranks[r]);
    read_epoch(loader, 6, 0, other);
    assert_memory_not_equal(whole, other, (size_t)count * sizeof *whole);
    vg_loader_destroy(loader);
    vg_loader_options seeded = plain;
    seeded.seed = 10;
    loader = open_loader(weights, seeded);
    read_epoch(loader, 5, 0, other);
    assert_memory_not_equal(whole, other, (size_t)count * sizeof *whole);
    vg_loader_destroy(loader);
    free(whole);
    free(other);
}

/* A store without segments to train on (all of its people are held out) gives its share to the others. */
static void test_missing(void **state)
{
    (void)state;
    static const double weights[] = {1, 1, 2};
    vg_loader *loader;
    int64_t kept = 0, drawn[3] = {0}, *list = buffer(), *epoch = buffer();
    for (int64_t i = 0; i < count; i++)
        if (store_of(indices[i]) != 1) list[kept++] = indices[i];
    vg_loader_options options = {.batch_size = 4, .shuffle = true, .weights = weights, .weight_count = 3};
    assert_ok(vg_loader_create(corpus, list, kept, &options, &loader));
    assert_int_equal(read_epoch(loader, 0, 0, epoch), kept);
    for (int64_t i = 0; i < kept; i++) drawn[store_of(epoch[i])]++;
    assert_int_equal(drawn[1], 0);
    if (!(fabs((double)drawn[0] - (double)kept / 3) < 1))
        fail_msg("%lld of %lld", (long long)drawn[0], (long long)kept);
    vg_loader_destroy(loader);
    free(list);
    free(epoch);
}

static void test_refused(void **state)
{
    (void)state;
    vg_loader *loader;
    vg_loader_options options = {.batch_size = 4, .shuffle = true, .weight_count = 2};
    options.weights = (const double[]){1, 1};
    assert_fails(vg_loader_create(corpus, indices, count, &options, &loader), VG_ERR_CONFIG, "2 entries");
    options.weight_count = 3;
    options.weights = (const double[]){1, -1, 1};
    assert_fails(vg_loader_create(corpus, indices, count, &options, &loader), VG_ERR_CONFIG, "entry 2 is -1");
    options.weights = (const double[]){1, NAN, 1};
    assert_fails(vg_loader_create(corpus, indices, count, &options, &loader), VG_ERR_CONFIG, "entry 2");
    options.weights = (const double[]){0, 0, 0};
    assert_fails(vg_loader_create(corpus, indices, count, &options, &loader), VG_ERR_CONFIG,
                 "0 for every store");
    options.shuffle = false;
    assert_fails(vg_loader_create(corpus, indices, count, &options, &loader), VG_ERR_CONFIG, "shuffled");
}

int main(void)
{
    char *folder = support_temp_dir(), *paths[3];
    static const char *const names[] = {"a.h5", "b.h5", "c.h5"};
    vg_corpus_options options = vg_corpus_options_default();
    options.seconds = 1;
    for (int i = 0; i < 3; i++) {
        paths[i] = support_path(folder, names[i]);
        fixture_store(paths[i], names[i], 1 + 5 * i, (uint32_t)i);
    }
    assert_ok(vg_corpus_create((const char *const *)paths, 3, &options, &corpus));
    indices = malloc((size_t)corpus->segment_count * sizeof *indices);
    for (int64_t s = 0; s < corpus->segment_count; s += 2) {
        indices[count++] = s;
        have[store_of(s)]++;
    }
    printf("%lld segments in three stores: %lld, %lld, %lld\n", (long long)count, (long long)have[0],
           (long long)have[1], (long long)have[2]);
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_shares), cmocka_unit_test(test_order),
                                       cmocka_unit_test(test_missing), cmocka_unit_test(test_refused)};
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    vg_corpus_destroy(corpus);
    for (int i = 0; i < 3; i++) free(paths[i]);
    free(indices);
    free(folder);
    return failed;
}
