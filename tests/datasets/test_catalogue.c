/* Every entry of the catalogue is one that can be shown, asked for, fetched and imported. */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "datasets/catalogue/catalogue.h"
#include "datasets/import/importer.h"
#include "datasets/import/pipeline/table.h"
#include "datasets/store/store.h"
#include "tests/support/support.h"

static bool said(const char *text)
{
    return text && *text && !isspace((unsigned char)*text) && strlen(text) < VG_STORE_MAX_TEXT;
}

static bool is_format(const char *name)
{
    const char *reads, *format;
    for (int i = 0; (format = vg_import_format(i, &reads)); i++)
        if (!strcmp(format, name)) return true;
    return false;
}

static void test_facts(void **state)
{
    (void)state;
    static const char *const facts[] = {"hours",   "subjects", "leads", "rate", "labels",
                                        "licence", "citation", "size",  "how",  "files"};
    const vg_dataset *set;
    int count = 0;
    for (; (set = vg_dataset_at(count)); count++) {
        assert_true(said(set->name) && said(set->title) && said(set->leads) && said(set->rate));
        assert_true(said(set->labels) && said(set->licence) && said(set->citation) && said(set->page));
        assert_int_equal(strncmp(set->page, "https://", 8), 0);
        assert_true(set->hours >= 0 && set->subjects >= 0 && set->megabytes >= 0);
        /* Sorted, which also means that no name is there twice. */
        if (count) assert_true(strcmp(vg_dataset_at(count - 1)->name, set->name) < 0);
        const vg_dataset *found;
        assert_ok(vg_dataset_find(set->name, &found));
        assert_ptr_equal(found, set);
        /* A doubt is about a fact that there is. */
        int doubts = 0, words = 0;
        for (size_t i = 0; i < sizeof facts / sizeof *facts; i++) doubts += vg_dataset_doubts(set, facts[i]);
        for (const char *p = set->unverified; p && *p; p++) words += p == set->unverified || p[-1] == ' ';
        assert_int_equal(doubts, words);
    }
    assert_true(count >= 10);
    assert_null(vg_dataset_at(count));
    assert_null(vg_dataset_at(-1));
    assert_int_equal(vg_dataset_find("ptbxl", &set), VG_ERR_CONFIG);
    assert_non_null(strstr(vg_cause(), "'ptb-xl'"));
}

static void test_ways(void **state)
{
    (void)state;
    const vg_dataset *set;
    for (int n = 0; (set = vg_dataset_at(n)); n++) {
        vg_import_options options = vg_import_default_options();
        assert_true(!set->importer || is_format(set->importer));
        assert_true(set->importer || !set->options[0].name);
        for (int i = 0; i < VG_DATASET_OPTIONS && set->options[i].name; i++)
            assert_ok(vg_import_set(&options, set->options[i].name, set->options[i].value));
        if (*options.pattern) assert_ok(vg__pattern_check(options.pattern));
        vg__ratings ratings;
        if (!*options.labels) {
            assert_ok(vg__ratings_read(options.rating, "", "", &ratings));
            vg__ratings_free(&ratings);
        }
        if (set->base) {
            assert_int_equal(set->kind, VG_DATASET_OPEN);
            assert_non_null(set->importer);
            assert_int_equal(strncmp(set->base, "https://", 8), 0);
            assert_int_equal(set->base[strlen(set->base) - 1], '/');
            assert_int_equal(set->below[strlen(set->below) - 1], '/');
            assert_true(said(set->sums) && said(set->wanted) && said(set->part) && set->megabytes > 0);
        } else {
            assert_true(said(set->how) && said(set->files));
        }
        /* One way to know who is who, or none. */
        assert_true(!set->subjects_text || !set->subjects_file);
        if (set->subjects_text) assert_int_equal(strncmp(set->subjects_text, "record,subject\n", 15), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_facts), cmocka_unit_test(test_ways)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
