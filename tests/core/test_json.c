/* JSON out and in. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/json.h"
#include "core/random.h"
#include "tests/support/support.h"

static void test_writer(void **state)
{
    (void)state;
    char *text;
    vg_json_writer json = vg_json_writer_make(false);
    vg_json_begin_object(&json, NULL);
    vg_json_put_string(&json, "name", "a \"b\"\n\\ \x01 \xc3\xa9");
    vg_json_put_string(&json, "none", NULL);
    vg_json_put_int(&json, "low", INT64_MIN);
    vg_json_put_uint64(&json, "seed", UINT64_MAX);
    vg_json_put_uint64(&json, "small", 7);
    vg_json_put_double(&json, "nan", NAN);
    vg_json_put_double(&json, "inf", -INFINITY);
    vg_json_put_double(&json, "tenth", 0.1);
    vg_json_put_bool(&json, "yes", true);
    vg_json_begin_array(&json, "list");
    vg_json_put_int(&json, NULL, 1);
    vg_json_begin_object(&json, NULL);
    vg_json_end(&json);
    vg_json_begin_array(&json, NULL);
    vg_json_end(&json);
    vg_json_end(&json);
    vg_json_put_doubles(&json, "v", (double[]){1, NAN}, 2);
    vg_json_end(&json);
    assert_ok(vg_json_take(&json, &text));
    assert_string_equal(text,
                        "{\"name\": \"a \\\"b\\\"\\n\\\\ \\u0001 \xc3\xa9\", \"none\": null, "
                        "\"low\": -9223372036854775808, \"seed\": \"18446744073709551615\", \"small\": 7, "
                        "\"nan\": null, \"inf\": null, \"tenth\": 0.1, \"yes\": true, \"list\": [1, {}, []], "
                        "\"v\": [1.0, null]}");
    free(text);
    json = vg_json_writer_make(true);
    vg_json_begin_object(&json, NULL);
    vg_json_put_int(&json, "a", 1);
    vg_json_begin_object(&json, "b");
    vg_json_put_null(&json, "c");
    vg_json_end(&json);
    vg_json_end(&json);
    assert_ok(vg_json_take(&json, &text));
    assert_string_equal(text, "{\n  \"a\": 1,\n  \"b\": {\n    \"c\": null\n  }\n}");
    free(text);
}

static void test_doubles_come_back(void **state)
{
    (void)state;
    enum { MANY = 20000 };
    static double values[MANY];
    vg_random random = vg_random_make(support_seed(), VG_SITE_SYNTHETIC, 5);
    for (int i = 0; i < MANY; i++) {
        do {
            uint64_t bits = (uint64_t)vg_random_word(&random) << 32 | vg_random_word(&random);
            memcpy(&values[i], &bits, sizeof bits);
        } while (!isfinite(values[i]));
    }
    char *text;
    vg_json *json;
    vg_json_writer writer = vg_json_writer_make(false);
    vg_json_put_doubles(&writer, NULL, values, MANY);
    assert_ok(vg_json_take(&writer, &text));
    assert_ok(vg_json_parse(text, strlen(text), "numbers", &json));
    int i = 0;
    for (const vg_json_value *at = vg_json_first(vg_json_root(json)); at; at = vg_json_next(at), i++) {
        double back = vg_json_number(at);
        if (memcmp(&back, &values[i], sizeof back) != 0) fail_msg("%a became %a", values[i], back);
    }
    assert_int_equal(i, MANY);
    vg_json_destroy(json);
    free(text);
}

static void test_getters(void **state)
{
    (void)state;
    static const char text[] =
        "{\"step\": 12, \"half\": 0.5, \"large\": 1e17, \"seed\": \"18446744073709551615\","
        " \"neg\": -1, \"bad\": \"12x\", \"over\": \"18446744073709551616\", \"name\": \"n\","
        " \"on\": true, \"none\": null, \"in\": {\"x\": 1}, \"list\": [1, 2]}";
    vg_json *json;
    int64_t whole;
    uint64_t seed;
    double real;
    bool flag;
    const char *string;
    const vg_json_value *value;
    assert_ok(vg_json_parse(text, strlen(text), "run/trainer.json", &json));
    assert_ok(vg_json_get_int(json, NULL, "step", &whole));
    assert_int_equal(whole, 12);
    assert_fails(vg_json_get_int(json, NULL, "stepp", &whole), VG_ERR_FORMAT,
                 "run/trainer.json: the key \"stepp\" is missing");
    assert_fails(vg_json_get_int(json, NULL, "Step", &whole), VG_ERR_FORMAT, "missing");
    assert_fails(vg_json_get_int(json, NULL, "half", &whole), VG_ERR_FORMAT,
                 "a whole number within 2^53, not 0.5");
    assert_fails(vg_json_get_int(json, NULL, "large", &whole), VG_ERR_FORMAT, "within 2^53");
    assert_fails(vg_json_get_int(json, NULL, "name", &whole), VG_ERR_FORMAT,
                 "\"name\" must be a number, not a string");
    assert_ok(vg_json_get_uint64(json, NULL, "seed", &seed));
    assert_true(seed == UINT64_MAX);
    assert_ok(vg_json_get_uint64(json, NULL, "step", &seed));
    assert_fails(vg_json_get_uint64(json, NULL, "neg", &seed), VG_ERR_FORMAT, "negative");
    assert_fails(vg_json_get_uint64(json, NULL, "bad", &seed), VG_ERR_FORMAT, "not \"12x\"");
    assert_fails(vg_json_get_uint64(json, NULL, "over", &seed), VG_ERR_FORMAT, "64 bits");
    assert_ok(vg_json_get_double(json, NULL, "half", &real));
    assert_true(real == 0.5);
    assert_ok(vg_json_get_double(json, NULL, "none", &real));
    assert_true(isnan(real));
    assert_fails(vg_json_get_double(json, NULL, "on", &real), VG_ERR_FORMAT, "a number, not true or false");
    assert_ok(vg_json_get_bool(json, NULL, "on", &flag));
    assert_true(flag);
    assert_ok(vg_json_get_string(json, NULL, "name", &string));
    assert_string_equal(string, "n");
    assert_ok(vg_json_get(json, NULL, "in", VG_JSON_OBJECT, &value));
    assert_ok(vg_json_get_int(json, value, "x", &whole));
    assert_int_equal(whole, 1);
    assert_ok(vg_json_get(json, NULL, "list", VG_JSON_ARRAY, &value));
    assert_int_equal(vg_json_count(value), 2);
    assert_null(vg_json_key(vg_json_first(value)));
    assert_null(vg_json_find(value, "x"));
    assert_null(vg_json_text(value));
    assert_string_equal(vg_json_key(vg_json_first(vg_json_root(json))), "step");
    vg_json_destroy(json);
    vg_json_destroy(NULL);
}

static void test_refusals(void **state)
{
    (void)state;
    static const struct {
        const char *text, *says;
    } cases[] = {
        {"", "a.json:1: not valid JSON at byte 0"},
        {"{\"a\": 1,\n\"b\": }", "a.json:2: not valid JSON at byte"},
        {"{\"a\": 1} x", "a.json:1: text after the end of the JSON value (byte 9)"},
        {"{\"a\": 1, \"b\": {\"c\": 1, \"d\": 2, \"c\": 3}}", "\"c\" is given twice"},
        {"{\"a\": 1, \"\\u0061\": 2}", "\"a\" is given twice"},
        {"[[{\"x\": 1, \"x\": 2}]]", "\"x\" is given twice"},
        {"{\"a\": \"\xff\"}", "a.json:1: not UTF-8 text (byte 7)"},
        {"{\"a\\u0000b\": 1}", "a zero byte"},
        {"{'a': 1}", "not valid JSON"},
        {"[1, 2", "not valid JSON"},
        {"\"abc", "not valid JSON"},
        {"nul", "not valid JSON"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        vg_json *json = NULL;
        support_assert_fails(vg_json_parse(cases[i].text, strlen(cases[i].text), "a.json", &json),
                             VG_ERR_FORMAT, cases[i].says, cases[i].text);
        assert_null(json);
    }
    enum { DEEP = 100000 };
    char *deep = malloc(DEEP);
    vg_json *json;
    memset(deep, '[', DEEP);
    assert_fails(vg_json_parse(deep, DEEP, "deep", &json), VG_ERR_FORMAT, "not valid JSON");
    free(deep);
    /* An escaped backslash before u0000 is text, not a zero byte. */
    assert_ok(vg_json_parse("\"\\\\u0000\"", 9, "a", &json));
    assert_string_equal(vg_json_text(vg_json_root(json)), "\\u0000");
    vg_json_destroy(json);
    /* Bytes behind the end are not looked at. */
    assert_ok(vg_json_parse("12345", 3, "a", &json));
    assert_true(vg_json_number(vg_json_root(json)) == 123);
    vg_json_destroy(json);
}

static void test_files(void **state)
{
    (void)state;
    char *folder = support_temp_dir(), *path = support_path(folder, "m.jsonl");
    for (int step = 0; step < 3; step++) {
        vg_json_writer json = vg_json_writer_make(false);
        vg_json_begin_object(&json, NULL);
        vg_json_put_int(&json, "step", step);
        vg_json_end(&json);
        assert_ok(vg_json_append(&json, path));
    }
    char *text = support_read_file(path, NULL);
    assert_string_equal(text, "{\"step\": 0}\n{\"step\": 1}\n{\"step\": 2}\n");
    free(text);
    vg_json_writer json = vg_json_writer_make(true);
    vg_json_begin_array(&json, NULL);
    vg_json_end(&json);
    assert_ok(vg_json_write(&json, path));
    text = support_read_file(path, NULL);
    assert_string_equal(text, "[]\n");
    free(text);
    vg_json *read;
    assert_ok(vg_json_read(path, &read));
    assert_int_equal(vg_json_kind_of(vg_json_root(read)), VG_JSON_ARRAY);
    vg_json_destroy(read);
    json = vg_json_writer_make(false);
    vg_json_put_int(&json, NULL, 1);
    char *nowhere = support_path(folder, "none/m.json");
    assert_fails(vg_json_write(&json, nowhere), VG_ERR_NOT_FOUND, "none/m.json");
    assert_fails(vg_json_read(nowhere, &read), VG_ERR_NOT_FOUND, "none/m.json");
    free(nowhere);
    free(path);
    free(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_writer),  cmocka_unit_test(test_doubles_come_back),
        cmocka_unit_test(test_getters), cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
