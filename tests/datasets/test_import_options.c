/* Options, file name patterns and ratings: text in, meaning out, and what is refused. */
#include "datasets/import/pipeline/table.h"
#include "tests/datasets/import_support.h"

static char *folder;

static char *put(const char *name, const char *text)
{
    char *path = support_path(folder, name);
    support_write_file(path, text, strlen(text));
    return path;
}

static void test_options(void **unused)
{
    (void)unused;
    vg_import_options o = vg_import_default_options();
    assert_true(o.rate == 128 && o.low == 0.8 && o.high == 50 && o.order == 8 && o.drop_bad && !o.flip &&
                !o.strict);
    assert_string_equal(o.leads, "all");
    assert_ok(vg_import_set(&o, "min-seconds", "2.5"));
    assert_ok(vg_import_set(&o, "drop_bad", "false"));
    assert_ok(vg_import_set(&o, "order", "4"));
    assert_true(o.min_seconds == 2.5 && !o.drop_bad && o.order == 4);
    assert_fails(vg_import_set(&o, "ratee", "1"), VG_ERR_CONFIG, "did you mean \"rate\"");
    assert_fails(vg_import_set(&o, "zzzzzzzz", "1"), VG_ERR_CONFIG, "unknown import option \"zzzzzzzz\"");
    assert_fails(vg_import_set(&o, "rate", "fast"), VG_ERR_CONFIG, "rate: \"fast\"");
    assert_fails(vg_import_set(&o, "rate", "-3"), VG_ERR_CONFIG, "\"-3\"");
    assert_fails(vg_import_set(&o, "rate", "nan"), VG_ERR_CONFIG, "\"nan\"");
    assert_fails(vg_import_set(&o, "order", "2.5"), VG_ERR_CONFIG, "not a whole number");
    assert_fails(vg_import_set(&o, "strict", "yes"), VG_ERR_CONFIG, "neither true nor false");
    int count = 0;
    const char *name, *standard, *help;
    bool flag;
    while (vg_import_option(count, &name, &standard, &help, &flag)) count++;
    assert_true(count >= 15 && *help && flag);
    assert_string_equal(vg_import_format(0, NULL), "wfdb");
    assert_null(vg_import_format(99, NULL));

    char *out = support_path(folder, "out.h5");
    o = vg_import_default_options();
    import_refuses("xml", folder, &o, out, VG_ERR_CONFIG,
                   "unknown format \"xml\" to import; known are wfdb, edf, hdf5");
    o.rate = 20;
    import_refuses("wfdb", folder, &o, out, VG_ERR_CONFIG, "rate: 20 Hz");
    o = vg_import_default_options();
    o.low = 60;
    import_refuses("wfdb", folder, &o, out, VG_ERR_CONFIG, "60 Hz is not below 50 Hz");
    o = vg_import_default_options();
    o.order = 99;
    import_refuses("wfdb", folder, &o, out, VG_ERR_CONFIG, "order: 99");
    o = vg_import_default_options();
    o.pattern = "{subjct}.edf";
    import_refuses("edf", folder, &o, out, VG_ERR_CONFIG, "a field {subjct}");
    free(out);
}

static void test_patterns(void **unused)
{
    (void)unused;
    vg__fields f = {.labels = NULL};
    assert_true(vg__pattern_match("Subject{subject}_{trial}.edf", "Subject07_2.edf", &f));
    assert_string_equal(f.subject, "07");
    assert_string_equal(f.trial, "2");
    assert_true(vg__pattern_match("{}-{session}.{}", "a-b-c.edf", &f));
    assert_string_equal(f.session, "b-c");
    assert_true(vg__pattern_match("plain", "plain", &f));
    assert_false(vg__pattern_match("plain", "plainer", &f));
    assert_false(vg__pattern_match("Subject{subject}_{trial}.edf", "Subject_2.edf", &f));
    assert_false(vg__pattern_match("{subject}.edf", ".edf", &f));
    assert_false(vg__pattern_match("{subject}", "", &f));
    char name[400];
    memset(name, 'x', sizeof name - 1);
    name[sizeof name - 1] = 0;
    assert_false(vg__pattern_match("{subject}", name, &f)); /* longer than a field can hold */
    assert_ok(vg__pattern_check("a{subject}b{}c{trial}"));
    assert_fails(vg__pattern_check("a{subject"), VG_ERR_CONFIG, "{ without a }");
    assert_fails(vg__pattern_check("{subject}{trial}"), VG_ERR_CONFIG, "nothing between");
    assert_fails(vg__pattern_check("{who}"), VG_ERR_CONFIG, "a field {who}");
}

/* What the import does for a record before it asks for its ratings. */
static void find(const vg__ratings *ratings, vg__fields *fields, const char *record)
{
    int64_t row = vg__csv_match(&ratings->labels, record, "");
    fields->labels = row >= 0 ? ratings->labels.cell + row * ratings->labels.columns : NULL;
}

static void test_ratings(void **unused)
{
    (void)unused;
    char *labels = put("labels.csv", "A1,N,5\nA2,~,\nA3,A,2.5\n"), *text;
    vg__ratings r;
    vg__fields f = {.labels = NULL};
    double values[3];
    assert_ok(vg__ratings_read("task@trial:rest=0,count=1", labels, "rhythm,score", &r));
    assert_int_equal(r.count, 3);
    find(&r, &f, "A2");
    strcpy(f.trial, "count");
    assert_ok(vg__ratings_look_up(&r, &f, values));
    assert_true(values[0] == 1 && values[1] == 2 && isnan(values[2]));
    find(&r, &f, "A3");
    f.trial[0] = 0;
    assert_ok(vg__ratings_look_up(&r, &f, values));
    assert_true(isnan(values[0]) && values[1] == 0 && values[2] == 2.5);
    find(&r, &f, "A9");
    assert_ok(vg__ratings_look_up(&r, &f, values));
    assert_true(isnan(values[1]) && isnan(values[2]));
    strcpy(f.trial, "sleep");
    assert_fails(vg__ratings_look_up(&r, &f, values), VG_ERR_DATA, "task has no number for \"sleep\"");
    text = vg__rating_describe(&r.rating[1]);
    assert_string_equal(text, "A=0 N=1 ~=2");
    free(text);
    vg__ratings_free(&r);

    /* A mapping of one's own, for a column of the file. */
    assert_ok(vg__ratings_read("rhythm:N=0,A=1,~=-1", labels, "rhythm,score", &r));
    assert_int_equal(r.count, 2);
    find(&r, &f, "A2");
    assert_ok(vg__ratings_look_up(&r, &f, values));
    assert_true(values[0] == -1);
    vg__ratings_free(&r);

    assert_fails(vg__ratings_read("", labels, "", &r), VG_ERR_CONFIG, "names of its 2 columns");
    assert_fails(vg__ratings_read("", labels, "one", &r), VG_ERR_CONFIG, "no name for its column 3");
    assert_fails(vg__ratings_read("", labels, "a,b,c", &r), VG_ERR_CONFIG, "more names");
    assert_fails(vg__ratings_read("x:1=0;x:1=0", "", "", &r), VG_ERR_CONFIG, "x is named twice");
    assert_fails(vg__ratings_read("x:1=zero", "", "", &r), VG_ERR_CONFIG, "\"1=zero\" is not TEXT=NUMBER");
    assert_fails(vg__ratings_read("x:1", "", "", &r), VG_ERR_CONFIG, "\"1\" is not TEXT=NUMBER");
    assert_fails(vg__ratings_read("x@mood", "", "", &r), VG_ERR_CONFIG, "a field \"mood\"");
    assert_fails(vg__ratings_read(":1=0", "", "", &r), VG_ERR_CONFIG, "is not NAME");
    free(labels);
}

/* Columns of a file with a header, chosen by their names; texts that list words. */
static void test_columns(void **unused)
{
    (void)unused;
    char *path = put("codes.csv", "id;age;codes;report;Patient ID;File\n"
                                  "1;56.0;{'NORM': 100.0, 'SR': 0.0};a;7;x/1\n"
                                  "2;19;{'ABNORM': 80.0};b;7;x/2\n"
                                  "3;;{'SR': 0.0, 'MI': 15.0, 'NORM': 0.0};c;7;x/3\n"
                                  "4;3;;c;7;x/4\n"),
         *text;
    static const double ages[] = {56, 19, NAN, 3}, normal[] = {1, 0, 1, NAN};
    vg__ratings r;
    vg__fields f = {.labels = NULL};
    double values[2];
    assert_ok(vg__ratings_read("normal@codes:contains NORM=1,else=0", path, "AGE", &r));
    assert_int_equal(r.count, 2);
    assert_string_equal(r.rating[1].name, "AGE");
    for (int i = 0; i < 4; i++) {
        char record[8];
        snprintf(record, sizeof record, "%d", i + 1);
        find(&r, &f, record);
        assert_ok(vg__ratings_look_up(&r, &f, values));
        assert_true(values[0] == normal[i] || (isnan(values[0]) && isnan(normal[i])));
        assert_true(values[1] == ages[i] || (isnan(values[1]) && isnan(ages[i])));
    }
    text = vg__rating_describe(&r.rating[0]);
    assert_string_equal(text, "contains NORM=1 else=0");
    free(text);
    vg__ratings_free(&r);
    /* Two from one column; the first that fits counts, and a whole cell before any word of it. */
    assert_ok(vg__ratings_read(
        "a@codes:contains MI=2,contains NORM=1,else=0;b@codes:{'ABNORM': 80.0}=5,else=6", path, "", &r));
    assert_int_equal(r.count, 2);
    find(&r, &f, "3");
    assert_ok(vg__ratings_look_up(&r, &f, values));
    assert_true(values[0] == 2 && values[1] == 6);
    find(&r, &f, "2");
    assert_ok(vg__ratings_look_up(&r, &f, values));
    assert_true(values[0] == 0 && values[1] == 5);
    vg__ratings_free(&r);
    /* All of them, but neither the file's name nor the person. */
    assert_ok(vg__ratings_read("", path, "", &r));
    assert_int_equal(r.count, 4);
    assert_string_equal(r.rating[3].name, "report");
    vg__ratings_free(&r);
    assert_fails(vg__ratings_read("", path, "age,colour", &r), VG_ERR_CONFIG, "names no column \"colour\"");
    assert_fails(vg__ratings_read("n@code:1=0", path, "age", &r), VG_ERR_CONFIG,
                 "a field \"code\"; known are");
    assert_fails(vg__ratings_read("age@codes:else=0", path, "age", &r), VG_ERR_CONFIG, "age is named twice");
    free(path);
}

int main(void)
{
    folder = support_temp_dir();
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_options), cmocka_unit_test(test_patterns),
                                       cmocka_unit_test(test_ratings), cmocka_unit_test(test_columns)};
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    free(folder);
    return failed;
}
