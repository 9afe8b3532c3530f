/* Buffers, numbers, UTF-8, nearest names. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/random.h"
#include "core/text.h"
#include "tests/support/support.h"

static void test_buffer(void **state)
{
    (void)state;
    vg_text text = {0};
    char *out;
    assert_ok(vg_text_take(&text, &out));
    assert_string_equal(out, "");
    free(out);
    for (int i = 0; i < 1000; i++) vg_text_add(&text, "%d,", i);
    vg_text_append(&text, "a\0b", 3);
    assert_int_equal(text.length, 10 * 2 + 90 * 3 + 900 * 4 + 3);
    assert_ok(vg_text_take(&text, &out));
    assert_non_null(strstr(out, ",998,999,a"));
    free(out);
    assert_null(text.data);
    for (int i = 0; i < 4; i++) {
        static const char *const fields[] = {"", "plain %d", "a, \"b\"", "two\nlines"};
        vg_text_add_field(&text, fields[i]);
        vg_text_append(&text, ";", 1);
    }
    assert_ok(vg_text_take(&text, &out));
    assert_string_equal(out, ";plain %d;\"a, \"\"b\"\"\";\"two\nlines\";");
    free(out);
    vg_text_add(&text, "x");
    vg_text_free(&text);
    vg_text_free(&text);
    char *copy;
    assert_ok(vg_text_copy(NULL, &copy));
    assert_null(copy);
}

static void test_doubles(void **state)
{
    (void)state;
    char out[VG_DOUBLE_TEXT];
    assert_string_equal(vg_double_text(0.1, out), "0.1");
    assert_string_equal(vg_double_text(1e-5, out), "1.0e-05");
    assert_string_equal(vg_double_text(3, out), "3.0");
    assert_string_equal(vg_double_text(-0.0, out), "-0.0");
    assert_string_equal(vg_double_text(1.0 / 3, out), "0.3333333333333333");
    assert_string_equal(vg_double_text(INFINITY, out), ".inf");
    vg_random random = vg_random_make(support_seed(), VG_SITE_SYNTHETIC, 2);
    for (int i = 0; i < 50000; i++) {
        uint64_t bits = (uint64_t)vg_random_word(&random) << 32 | vg_random_word(&random);
        double value;
        memcpy(&value, &bits, sizeof value);
        if (!isfinite(value)) continue;
        double back = strtod(vg_double_text(value, out), NULL);
        if (memcmp(&back, &value, sizeof value) != 0) fail_msg("%a became %s", value, out);
        if (!strchr(out, '.')) fail_msg("%s has no point", out);
    }
}

static void test_utf8(void **state)
{
    (void)state;
    static const char *const good[] = {
        "", "plain", "\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\xab\x80", "\xf4\x8f\xbf\xbf"};
    static const struct {
        const char *text;
        size_t at;
    } bad[] = {
        {"a\x80", 1},            /* a follower alone */
        {"ab\xc3", 2},           /* cut short */
        {"\xc0\xaf", 0},         /* overlong */
        {"\xe0\x80\xaf", 0},     /* overlong */
        {"\xed\xa0\x80", 0},     /* a surrogate */
        {"\xf4\x90\x80\x80", 0}, /* beyond the last code point */
        {"x\xff", 1},
        {"\xc3(", 0},
    };
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        assert_true(vg_text_is_utf8(good[i], strlen(good[i]), NULL));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        size_t at = 99;
        assert_false(vg_text_is_utf8(bad[i].text, strlen(bad[i].text), &at));
        assert_int_equal(at, bad[i].at);
    }
}

static void test_nearest(void **state)
{
    (void)state;
    static const char *const names[] = {"learning_rate", "epochs", "batch", "lr", "seed"};
    assert_int_equal(vg_text_distance("", ""), 0);
    assert_int_equal(vg_text_distance("abc", ""), 3);
    assert_int_equal(vg_text_distance("kitten", "sitting"), 3);
    assert_int_equal(vg_text_distance("epcohs", "epochs"), 1);
    assert_int_equal(vg_text_nearest("lerning_rate", names, 5), 0);
    assert_int_equal(vg_text_nearest("epcohs", names, 5), 1);
    assert_int_equal(vg_text_nearest("batches", names, 5), 2);
    assert_int_equal(vg_text_nearest("lrr", names, 5), 3);
    assert_int_equal(vg_text_nearest("dropout", names, 5), 5);
    assert_int_equal(vg_text_nearest("x", names, 5), 5);
    char *tall = calloc(1, 5000);
    memset(tall, 'q', 4999);
    assert_int_equal(vg_text_nearest(tall, names, 5), 5);
    free(tall);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_buffer),
        cmocka_unit_test(test_doubles),
        cmocka_unit_test(test_utf8),
        cmocka_unit_test(test_nearest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
