/* Splits: every segment tested once, no group on both sides, balanced, the same from the same seed. */
#include "tests/datasets/fixture.h"

#include <string.h>

#include "datasets/split.h"

static char *folder;
static vg_corpus *corpus; /* 12 subjects, 1 to 4 trials each on two leads */

static int64_t group_of(vg_split_unit unit, int64_t segment)
{
    const vg_segment *s = &corpus->segments[segment];
    return unit == VG_SPLIT_SEGMENT ? segment : unit == VG_SPLIT_RECORDING ? s->trial : s->subject;
}

/* Whether two lists share a group, by comparing every pair: nothing clever to get wrong. */
static bool share(vg_split_unit unit, const int64_t *a, int64_t n, const int64_t *b, int64_t m)
{
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < m; j++)
            if (group_of(unit, a[i]) == group_of(unit, b[j])) return true;
    return false;
}

static void check_split(const vg_split *split, vg_split_unit unit, vg_split_unit validation_unit,
                        bool validation, const int64_t *list, int64_t count)
{
    int *tested = calloc((size_t)corpus->segment_count, sizeof *tested);
    for (int f = 0; f < split->count; f++) {
        const vg_fold *fold = &split->folds[f];
        assert_int_equal(fold->train_count + fold->validation_count + fold->test_count, count);
        assert_true(fold->train_count > 0 && fold->test_count > 0);
        assert_true((fold->validation_count > 0) == validation);
        assert_false(share(unit, fold->train, fold->train_count, fold->test, fold->test_count));
        assert_false(share(unit, fold->validation, fold->validation_count, fold->test, fold->test_count));
        assert_false(
            share(validation_unit, fold->train, fold->train_count, fold->validation, fold->validation_count));
        for (int64_t i = 0; i < fold->test_count; i++) tested[fold->test[i]]++;
        for (int64_t i = 1; i < fold->train_count; i++) assert_true(fold->train[i] > fold->train[i - 1]);
        int64_t shared;
        assert_ok(vg_fold_shared(corpus, fold, unit, &shared));
        assert_int_equal(shared, 0);
    }
    int64_t total = 0;
    for (int64_t s = 0; s < corpus->segment_count; s++) total += tested[s];
    assert_int_equal(total, count);
    for (int64_t i = 0; i < count; i++) assert_int_equal(tested[list ? list[i] : i], 1);
    free(tested);
}

static void test_units(void **state)
{
    (void)state;
    static const vg_split_unit units[] = {VG_SPLIT_SEGMENT, VG_SPLIT_RECORDING, VG_SPLIT_SUBJECT,
                                          VG_SPLIT_LOSO};
    static const vg_split_unit inner[] = {VG_SPLIT_SEGMENT, VG_SPLIT_RECORDING, VG_SPLIT_SUBJECT};
    for (int u = 0; u < 4; u++)
        for (int v = 0; v < 3; v++)
            for (uint64_t seed = 0; seed < 4; seed++) {
                vg_split_options options = {.unit = units[u],
                                            .folds = 5,
                                            .seed = seed,
                                            .validation = seed % 2 ? 0.2 : 0,
                                            .validation_unit = inner[v]};
                vg_split *split;
                assert_ok(vg_split_create(corpus, NULL, 0, &options, &split));
                assert_int_equal(split->count, u == 3 ? corpus->subject_count : 5);
                check_split(split, units[u], inner[v], seed % 2, NULL, corpus->segment_count);
                vg_split_destroy(split);
            }
}

/* A part of the corpus only, as labels leave it. */
static void test_part(void **state)
{
    (void)state;
    int64_t *rated = calloc((size_t)corpus->segment_count, sizeof *rated), n;
    assert_ok(vg_corpus_rated(corpus, "rare", rated, &n));
    assert_true(n > 0 && n < corpus->segment_count);
    vg_split_options options = {
        .unit = VG_SPLIT_LOSO, .validation = 0.25, .validation_unit = VG_SPLIT_SUBJECT};
    vg_split *split;
    assert_ok(vg_split_create(corpus, rated, n, &options, &split));
    assert_int_equal(split->count, 8); /* 12 subjects without every third */
    assert_string_equal(split->folds[0].name, "S:s01");
    check_split(split, VG_SPLIT_SUBJECT, VG_SPLIT_SUBJECT, true, rated, n);
    vg_split_destroy(split);
    rated[1] = rated[0];
    assert_fails(vg_split_create(corpus, rated, n, &options, &split), VG_ERR_SHAPE, "twice");
    rated[1] = -1;
    assert_fails(vg_split_create(corpus, rated, n, &options, &split), VG_ERR_SHAPE, "not in the corpus");
    free(rated);
}

static bool same(const vg_split *a, const vg_split *b)
{
    if (a->count != b->count) return false;
    for (int f = 0; f < a->count; f++) {
        const vg_fold *x = &a->folds[f], *y = &b->folds[f];
        if (x->train_count != y->train_count || x->validation_count != y->validation_count ||
            x->test_count != y->test_count ||
            memcmp(x->train, y->train, (size_t)x->train_count * sizeof *x->train) != 0 ||
            memcmp(x->validation, y->validation, (size_t)x->validation_count * sizeof *x->validation) != 0 ||
            memcmp(x->test, y->test, (size_t)x->test_count * sizeof *x->test) != 0)
            return false;
    }
    return true;
}

static void test_seed(void **state)
{
    (void)state;
    vg_split_options options = {.unit = VG_SPLIT_SUBJECT,
                                .folds = 4,
                                .seed = 5,
                                .validation = 0.2,
                                .validation_unit = VG_SPLIT_RECORDING};
    vg_split *a, *b, *c;
    assert_ok(vg_split_create(corpus, NULL, 0, &options, &a));
    assert_ok(vg_split_create(corpus, NULL, 0, &options, &b));
    options.seed = 6;
    assert_ok(vg_split_create(corpus, NULL, 0, &options, &c));
    assert_true(same(a, b));
    assert_false(same(a, c));
    vg_split_destroy(a);
    vg_split_destroy(b);
    vg_split_destroy(c);
    vg_split_destroy(NULL);
}

/* Greedy dealing keeps the heaviest and the lightest fold within one group of each other. */
static void test_balance(void **state)
{
    (void)state;
    for (int u = 0; u < 3; u++) {
        vg_split_options options = {.unit = (vg_split_unit)u, .folds = 3, .seed = 1};
        vg_split *split;
        assert_ok(vg_split_create(corpus, NULL, 0, &options, &split));
        int64_t low = INT64_MAX, high = 0, largest = 0;
        int64_t *size = calloc((size_t)corpus->segment_count, sizeof *size);
        for (int64_t s = 0; s < corpus->segment_count; s++) {
            int64_t group = group_of((vg_split_unit)u, s);
            if (++size[group] > largest) largest = size[group];
        }
        for (int f = 0; f < 3; f++) {
            if (split->folds[f].test_count < low) low = split->folds[f].test_count;
            if (split->folds[f].test_count > high) high = split->folds[f].test_count;
        }
        assert_true(high - low <= largest);
        free(size);
        vg_split_destroy(split);
    }
}

/* Subjects of 8, 2, 2, 2 and 2 segments fall into two folds of 8. */
static void test_greedy(void **state)
{
    (void)state;
    static const int wanted[] = {8, 2, 2, 2, 2};
    int64_t list[16], n = 0, subject = 0;
    for (int i = 0; i < 5; subject++) {
        int64_t found[8], m = 0;
        for (int64_t s = 0; s < corpus->segment_count && m < wanted[i]; s++)
            if (corpus->segments[s].subject == subject) found[m++] = s;
        if (m < wanted[i]) continue;
        memcpy(list + n, found, (size_t)m * sizeof *found);
        n += m;
        i++;
    }
    for (uint64_t seed = 0; seed < 5; seed++) {
        vg_split_options options = {.unit = VG_SPLIT_SUBJECT, .folds = 2, .seed = seed};
        vg_split *split;
        assert_ok(vg_split_create(corpus, list, n, &options, &split));
        assert_int_equal(split->folds[0].test_count, 8);
        assert_int_equal(split->folds[1].test_count, 8);
        vg_split_destroy(split);
    }
}

static void test_holdout(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 20; seed++) {
        vg_split *split;
        assert_ok(vg_split_create_holdout(corpus, NULL, 0, 0.25, seed, &split));
        assert_int_equal(split->count, 1);
        const vg_fold *fold = &split->folds[0];
        assert_int_equal(fold->test_count, 0);
        assert_int_equal(fold->train_count + fold->validation_count, corpus->segment_count);
        assert_false(share(VG_SPLIT_SUBJECT, fold->train, fold->train_count, fold->validation,
                           fold->validation_count));
        double share_set_aside = (double)fold->validation_count / (double)corpus->segment_count;
        if (!(share_set_aside > 0.15 && share_set_aside < 0.35)) fail_msg("share %g", share_set_aside);
        vg_split_destroy(split);
    }
    vg_split *split;
    assert_ok(vg_split_create_holdout(corpus, NULL, 0, 0.0001, 0, &split)); /* one subject at least */
    assert_true(split->folds[0].validation_count > 0);
    vg_split_destroy(split);
    assert_ok(vg_split_create_holdout(corpus, NULL, 0, 0.9999, 0, &split)); /* one subject is left */
    assert_true(split->folds[0].train_count > 0);
    vg_split_destroy(split);
    assert_ok(vg_split_create_holdout(corpus, NULL, 0, 0, 0, &split)); /* nothing held out */
    assert_int_equal(split->folds[0].train_count, corpus->segment_count);
    assert_int_equal(split->folds[0].validation_count, 0);
    vg_split_destroy(split);
    assert_fails(vg_split_create_holdout(corpus, NULL, 0, 1, 0, &split), VG_ERR_CONFIG, "share of 1");
    assert_fails(vg_split_create_holdout(corpus, NULL, 0, NAN, 0, &split), VG_ERR_CONFIG, "nan");
    assert_fails(vg_split_create_holdout(corpus, (int64_t[]){0, 1}, 2, 0.5, 0, &split), VG_ERR_CONFIG,
                 "1 subjects");
}

static void test_refusals(void **state)
{
    (void)state;
    vg_split_options options = {.unit = VG_SPLIT_SUBJECT, .folds = 13};
    vg_split *split;
    assert_fails(vg_split_create(corpus, NULL, 0, &options, &split), VG_ERR_CONFIG, "13 folds by subject");
    assert_non_null(strstr(vg_cause(), "have 12"));
    options.folds = 1;
    assert_fails(vg_split_create(corpus, NULL, 0, &options, &split), VG_ERR_CONFIG, "1 folds");
    options.folds = VG_SPLIT_MAX_FOLDS + 1;
    assert_fails(vg_split_create(corpus, NULL, 0, &options, &split), VG_ERR_CONFIG, "2 to 1000");
    options = (vg_split_options){.unit = VG_SPLIT_LOSO, .validation = 1};
    assert_fails(vg_split_create(corpus, NULL, 0, &options, &split), VG_ERR_CONFIG, "share of 1");
    options.validation = 0;
    assert_fails(vg_split_create(corpus, (int64_t[]){0, 1, 2}, 3, &options, &split), VG_ERR_CONFIG,
                 "two subjects");
    assert_fails(vg_split_create(corpus, (int64_t[]){0}, 0, &options, &split), VG_ERR_DATA, "no segment");
    /* Two subjects: one is tested, and the one that is left cannot be divided by subject. */
    int64_t two[2] = {0, 0};
    while (corpus->segments[two[1]].subject == 0) two[1]++;
    options.validation = 0.5;
    options.validation_unit = VG_SPLIT_SUBJECT;
    assert_fails(vg_split_create(corpus, two, 2, &options, &split), VG_ERR_CONFIG, "S:s00");
    assert_null(split);

    vg_split_unit unit;
    assert_ok(vg_split_unit_parse("loso", &unit));
    assert_int_equal(unit, VG_SPLIT_LOSO);
    assert_string_equal(vg_split_unit_name(VG_SPLIT_RECORDING), "recording");
    assert_fails(vg_split_unit_parse("random", &unit), VG_ERR_CONFIG, "'random'");
}

static void test_labels(void **state)
{
    (void)state;
    vg_split_options options = {.unit = VG_SPLIT_SUBJECT, .folds = 3};
    vg_split *split;
    assert_ok(vg_split_create(corpus, NULL, 0, &options, &split));
    const vg_fold *fold = &split->folds[1];
    vg_label_rule rule = {.rating = "on", .threshold = VG_THRESHOLD_NONE};
    assert_ok(vg_corpus_label(corpus, &rule, NULL, 0, NULL));
    assert_ok(vg_fold_check_labels(corpus, fold, true));
    rule = (vg_label_rule){.rating = "mood", .threshold = VG_THRESHOLD_NUMBER, .number = 100};
    assert_ok(vg_corpus_label(corpus, &rule, NULL, 0, NULL));
    assert_fails(vg_fold_check_labels(corpus, fold, false), VG_ERR_DATA, "training part have the label 0");
    assert_non_null(strstr(vg_cause(), "fold 2 of 3"));
    rule = (vg_label_rule){.rating = "rare", .threshold = VG_THRESHOLD_NUMBER, .number = 5};
    assert_ok(vg_corpus_label(corpus, &rule, NULL, 0, NULL));
    assert_fails(vg_fold_check_labels(corpus, fold, false), VG_ERR_DATA, "no label");

    /* Labels that follow the subject: a fold of one subject trains on both, and tests on one class. */
    vg_split_destroy(split);
    int64_t *rated = calloc((size_t)corpus->segment_count, sizeof *rated), n;
    assert_ok(vg_corpus_rated(corpus, "rare", rated, &n));
    options.unit = VG_SPLIT_LOSO;
    assert_ok(vg_split_create(corpus, rated, n, &options, &split));
    assert_ok(vg_fold_check_labels(corpus, &split->folds[0], false));
    assert_fails(vg_fold_check_labels(corpus, &split->folds[0], true), VG_ERR_DATA, "test part");
    free(rated);
    vg_split_destroy(split);
}

/* The segment split shares subjects, and the audit says how many. */
static void test_audit(void **state)
{
    (void)state;
    vg_split_options options = {.unit = VG_SPLIT_SEGMENT, .folds = 2, .seed = 3};
    vg_split *split;
    assert_ok(vg_split_create(corpus, NULL, 0, &options, &split));
    const vg_fold *fold = &split->folds[0];
    int64_t shared, expected = 0;
    assert_ok(vg_fold_shared(corpus, fold, VG_SPLIT_LOSO, &shared));
    for (int64_t s = 0; s < corpus->subject_count; s++) {
        int sides = 0;
        for (int64_t i = 0; i < fold->train_count; i++)
            sides |= corpus->segments[fold->train[i]].subject == s;
        for (int64_t i = 0; i < fold->test_count; i++)
            sides |= (corpus->segments[fold->test[i]].subject == s) << 1;
        expected += sides == 3;
    }
    assert_true(expected > 0);
    assert_int_equal(shared, expected);
    vg_split_destroy(split);
}

/* Leaving one out of more than a thousand is refused before memory is asked for. */
static void test_too_many_subjects(void **state)
{
    (void)state;
    char *path = support_path(folder, "crowd.h5");
    vg_store_writer *writer;
    assert_ok(vg_store_writer_create(path, false, NULL, 0, &writer));
    for (uint32_t i = 0; i <= VG_SPLIT_MAX_FOLDS; i++) {
        char name[16];
        snprintf(name, sizeof name, "%u", i);
        fixture_add(writer, name, "", "I", name, 16, i, NULL);
    }
    fixture_finish(writer, "C", 16);
    vg_corpus_options loading = vg_corpus_options_default();
    loading.seconds = 1;
    vg_corpus *crowd;
    assert_ok(vg_corpus_create((const char *[]){path}, 1, &loading, &crowd));
    vg_split_options options = {.unit = VG_SPLIT_LOSO};
    vg_split *split;
    assert_fails(vg_split_create(crowd, NULL, 0, &options, &split), VG_ERR_CONFIG, "1001 folds");
    vg_corpus_destroy(crowd);
    free(path);
}

int main(void)
{
    folder = support_temp_dir();
    char *path = support_path(folder, "split.h5");
    fixture_store(path, "S", 12, 1);
    vg_corpus_options loading = vg_corpus_options_default();
    loading.seconds = 1;
    if (vg_corpus_create((const char *[]){path}, 1, &loading, &corpus) != VG_OK) return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_units),    cmocka_unit_test(test_part),
        cmocka_unit_test(test_seed),     cmocka_unit_test(test_balance),
        cmocka_unit_test(test_greedy),   cmocka_unit_test(test_holdout),
        cmocka_unit_test(test_refusals), cmocka_unit_test(test_labels),
        cmocka_unit_test(test_audit),    cmocka_unit_test(test_too_many_subjects),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    vg_corpus_destroy(corpus);
    free(path);
    free(folder);
    return failed;
}
