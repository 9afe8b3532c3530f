/* Tables of subjects and labels: which column is what, which row is about which record, and that a table
 * which does not fit is never passed over: the folds would leak. */
#include <sys/stat.h>

#include "datasets/import/pipeline/csv.h"
#include "tests/datasets/import_support.h"

static char *folder;

static char *put(const char *name, const char *text)
{
    char *path = support_path(folder, name);
    support_write_file(path, text, strlen(text));
    return path;
}

static void test_reading(void **unused)
{
    (void)unused;
    static const struct {
        const char *text, *words;
    } bad[] = {
        {"", "at least two columns"},
        {"a\nb\n", "at least two columns"},
        {"a,1\nb\n", "line 2 has 1 cells"},
        {"a,1\n\n# x\nb,1,2\n", "line 4 has 3 cells"},
        {"a,\"1\n2\"\nb\n", "line 3 has 1 cells"},
        {"a,1\nb,2\na,3\n", "\"a\" stands in two rows that differ: subject 1 and 3"},
        {"a,\"1\nb,2\n", "line 1: a \" is not closed"},
        {"record,age\na,63\n", "none of its columns (record, age) names the subject"},
        {"ecg_id,patient_id\n1,63\n", "none of its columns (ecg_id, patient_id) names the record"},
    };
    vg__csv csv;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char *path = put("bad.csv", bad[i].text);
        assert_fails(vg__csv_read(path, &csv), VG_ERR_FORMAT, bad[i].words);
        free(path);
    }
    assert_fails(vg__csv_read("/nowhere.csv", &csv), VG_ERR_NOT_FOUND, "/nowhere.csv");
    char *path = put("good.csv", "\xef\xbb\xbfrecord, x ,\"y, z\"\r\n b , 2,\"say \"\"so\"\"\"\r\n\r\n# "
                                 "comment\r\na,1,\r\nc,3,\"la\nst\"");
    assert_ok(vg__csv_read_labels(path, &csv));
    assert_int_equal(csv.rows, 3);
    assert_int_equal(csv.columns, 3);
    assert_string_equal(csv.header[1], "x");
    assert_int_equal(vg__csv_column(&csv, "Y, Z"), 2);
    assert_int_equal(vg__csv_match(&csv, "a", ""), 1);
    assert_int_equal(vg__csv_match(&csv, "c", ""), 2);
    assert_int_equal(vg__csv_match(&csv, "d", ""), -1);
    assert_string_equal(csv.cell[0 * 3 + 2], "say \"so\"");
    assert_string_equal(csv.cell[1 * 3 + 2], "");
    assert_string_equal(csv.cell[2 * 3 + 2], "la\nst");
    vg__csv_free(&csv);
    free(path);
    path = put("twice.csv", "record,score\na,1\na,2\n");
    assert_fails(vg__csv_read_labels(path, &csv), VG_ERR_FORMAT, "\"a\" stands in two rows that differ");
    free(path);
}

/* The same table in the ways people write it. */
static void test_columns(void **unused)
{
    (void)unused;
    static const char *const same[] = {
        "a,7\nb,8\n",
        "a;7\r\nb;8\r\n",
        "a\t7\nb\t8\n",
        "a   7 \nb 8\n",
        "record,subject\na,7\nb,8\n",
        "subject,record\n7,a\n8,b\n",
        "record,age,subject\na,63,7\nb,63,8\n",
        "age;Patient_ID;Filename\n1,5;7.0;a.csv\n63;8.0;b.csv\n",
        "record,participant id,lead\na,7,I\na,7,II\nb,8,I\n",
        "subject,path\n7,./data/a.dat\n8,data/b.dat\n",
        "subject,filename_lr,filename_hr\n7,100/a_lr,500/a\n8,100/b_lr,500/b\n",
        "record,subject\na,7\nb,8\nc,\n",
    };
    for (size_t i = 0; i < sizeof same / sizeof *same; i++) {
        vg__csv csv;
        char *path = put("same.csv", same[i]);
        assert_ok(vg__csv_read(path, &csv));
        for (int k = 0; k < 2; k++) {
            int64_t row = vg__csv_match(&csv, k ? "b" : "a", k ? "x/y/b.hea" : "x/y/a.hea");
            if (row < 0) fail_msg("table %zu has no %c", i, "ab"[k]);
            assert_string_equal(csv.cell[row * csv.columns + csv.subject], k ? "8" : "7");
        }
        assert_int_equal(vg__csv_match(&csv, "c", "x/c.csv"), -1);
        vg__csv_free(&csv);
        free(path);
    }
}

static void test_matching(void **unused)
{
    (void)unused;
    static const struct {
        const char *cell, *record, *file;
        bool fits;
    } cases[] = {
        {"plain", "plain", "d/plain.csv", true},
        {"plain.csv", "plain", "d/plain.csv", true},
        {"d/plain.csv", "plain", "/home/d/plain.csv", true},
        {"d/plain", "plain", "/home/d/plain.csv", true},
        {"plain.mat", "plain", "d/plain.csv", true},
        {"elsewhere/plain.csv", "plain", "d/plain.csv", true},
        {"plain.csv", "P01", "d/plain.csv:cell{3}", true},
        {"lain", "plain", "d/plain.csv", false},
        {"Plain", "plain", "d/plain.csv", false},
        {"1.2", "1", "d/1.csv", false}, /* no ending */
        {"e", "plain", "d/e/plain.csv", false},
        {"csv", "plain", "d/plain.csv", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        vg__csv csv;
        char text[128];
        snprintf(text, sizeof text, "record,subject\n%s,7\n", cases[i].cell);
        char *path = put("one.csv", text);
        assert_ok(vg__csv_read(path, &csv));
        if ((vg__csv_match(&csv, cases[i].record, cases[i].file) >= 0) != cases[i].fits)
            fail_msg("\"%s\" and %s of %s", cases[i].cell, cases[i].record, cases[i].file);
        vg__csv_free(&csv);
        free(path);
    }
    /* Two files of one name: only their paths tell them apart. */
    vg__csv csv;
    char warning[512], *path = put("paths.csv", "path,subject\na/ecg.csv,1\nb/ecg.csv,2\n");
    assert_ok(vg__csv_read(path, &csv));
    assert_int_equal(vg__csv_match(&csv, "ecg", "x/b/ecg.csv"), 1);
    assert_int_equal(vg__csv_match(&csv, "ecg", "x/a/ecg.csv"), 0);
    assert_ok(vg__csv_check(&csv, "--subjects", "lost", warning, sizeof warning));
    assert_string_equal(warning, "");
    assert_int_equal(vg__csv_match(&csv, "ecg", "x/c/ecg.csv"), -1);
    assert_fails(vg__csv_check(&csv, "--subjects", "lost", warning, sizeof warning), VG_ERR_CONFIG,
                 "could be the record \"ecg\" (x/c/ecg.csv) (1 such");
    vg__csv_free(&csv);
    free(path);
    /* A record's own name goes before a part of another's. */
    path = put("parts.csv", "record,subject\nx/a,1\na,2\n");
    assert_ok(vg__csv_read(path, &csv));
    assert_int_equal(vg__csv_match(&csv, "a", "a.hea"), 1);
    assert_int_equal(vg__csv_match(&csv, "a", "d/x/a.hea"), 0);
    vg__csv_free(&csv);
    free(path);
}

static char *put_recordings(void)
{
    char *source = support_path(folder, "ecg");
    assert_int_equal(mkdir(source, 0755), 0);
    for (int k = 0; k < 3; k++) {
        char name[32];
        enum { SAMPLES = 128 * 20 };
        float *x = import_beats(k, 128, SAMPLES);
        char *text = malloc(SAMPLES * 32), *end = text;
        assert_non_null(text);
        end += sprintf(end, "ecg\n");
        for (int i = 0; i < SAMPLES; i++) end += sprintf(end, "%.5f\n", (double)x[i]);
        snprintf(name, sizeof name, "ecg/r%d.csv", k + 1);
        free(put(name, text));
        free(text);
        free(x);
    }
    return source;
}

/* What the import makes of a table: its subjects and its words, or its refusal. */
static void test_import(void **unused)
{
    (void)unused;
    static const struct {
        const char *table, *subjects[3], *refusal, *warning;
    } cases[] = {
        {"r1.csv,7\nr2.csv,7\nr3.csv,8\n", {"7", "7", "8"}, NULL, NULL},
        {"r1,7\nr2,7\nr3,8\nr4,9\n", {"7", "7", "8"}, NULL, NULL},
        {"subject,record\n7,r1\n7,ecg/r2.csv\n8,r3\n", {"7", "7", "8"}, NULL, NULL},
        {"r1,7\nR2,7\nr3,8\n",
         {"7", "r2", "8"},
         NULL,
         "table.csv: 1 of 3 records are not in it, the first \"r2\""},
        {"r1,7\nR2,7\nr3,8\n", {"7", "r2", "8"}, NULL, "1 of its 3 rows match no record, the first \"R2\""},
        {"unknownrec,7\nother,8\n", {NULL}, "none of its 2 rows names one of the 3 records", NULL},
        {"unknownrec,7\nother,8\n", {NULL}, "names \"unknownrec\", the first record is \"r1\"", NULL},
        {"record,age\nr1,63\n", {NULL}, "names the subject", NULL},
    };
    char *source = put_recordings(), *out = support_path(folder, "out.h5");
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        char *table = put("table.csv", cases[c].table);
        vg_import_options options = import_untouched(128);
        vg_import_report report;
        options.map = "signal=ecg,rate=128";
        options.units = "mV";
        options.subjects = table;
        if (cases[c].refusal) {
            vg_status expected = strstr(cases[c].table, "age") ? VG_ERR_FORMAT : VG_ERR_CONFIG;
            import_refuses("csv", source, &options, out, expected, cases[c].refusal);
            free(table);
            continue;
        }
        vg_store *store = import_and_open("csv", source, &options, out, &report);
        assert_int_equal(report.recordings, 3);
        for (int i = 0; i < 3; i++)
            assert_string_equal(vg_store_recording(store, i)->subject, cases[c].subjects[i]);
        assert_int_equal(report.warnings, cases[c].warning ? 1 : 0);
        if (cases[c].warning && !strstr(report.warning[0], cases[c].warning))
            fail_msg("case %zu: \"%s\"", c, report.warning[0]);
        vg_store_close(store);
        vg_import_report_free(&report);
        free(table);
    }
    free(source);
    free(out);
}

static void test_labels(void **unused)
{
    (void)unused;
    char *source = support_path(folder, "ecg"), *out = support_path(folder, "labels.h5");
    char *table = put("labels.csv", "mood;file\n1;r1.csv\n0;r3.csv\n");
    vg_import_options options = import_untouched(128);
    vg_import_report report;
    options.map = "signal=ecg,rate=128";
    options.units = "mV";
    options.labels = table;
    vg_store *store = import_and_open("csv", source, &options, out, &report);
    assert_true(vg_store_ratings(store, 0)[0] == 1 && isnan(vg_store_ratings(store, 1)[0]) &&
                vg_store_ratings(store, 2)[0] == 0);
    assert_int_equal(report.warnings, 1);
    assert_non_null(strstr(report.warning[0], "--labels"));
    assert_non_null(strstr(report.warning[0], "1 of 3 records are not in it, the first \"r2\""));
    vg_store_close(store);
    vg_import_report_free(&report);
    free(table);
    /* A rating that nothing tells: nobody is to find out at training. */
    options.labels = "";
    options.rating = "mood:calm=0,tense=1";
    store = import_and_open("csv", source, &options, out, &report);
    assert_int_equal(report.warnings, 1);
    assert_non_null(
        strstr(report.warning[0], "mood has no value in any recording: no record tells a trial; --pattern"));
    vg_store_close(store);
    vg_import_report_free(&report);
    options.rating = "";
    table = put("labels.csv", "mood;file\n1;s1.csv\n");
    options.labels = table;
    import_refuses("csv", source, &options, out, VG_ERR_CONFIG,
                   "none of its 1 rows names one of the 3 records");
    free(table);
    free(source);
    free(out);
}

int main(void)
{
    folder = support_temp_dir();
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_reading), cmocka_unit_test(test_columns),
                                       cmocka_unit_test(test_matching), cmocka_unit_test(test_import),
                                       cmocka_unit_test(test_labels)};
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    free(folder);
    return failed;
}
