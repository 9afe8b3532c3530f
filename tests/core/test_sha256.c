/* Sums of FIPS 180-4's examples, in any pieces, and of files. */
#include <stdlib.h>
#include <string.h>

#include "core/file.h"
#include "core/sha256.h"
#include "tests/support/support.h"

static const char abc[] = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
static const char nothing[] = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
static const char million[] = "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0";

static void test_vectors(void **state)
{
    (void)state;
    vg_sha256 *hash;
    char text[VG_SHA256_TEXT];
    assert_ok(vg_sha256_create(&hash));
    assert_ok(vg_sha256_end(hash, text));
    assert_string_equal(text, nothing);
    assert_ok(vg_sha256_add(hash, "a", 1));
    assert_ok(vg_sha256_end(hash, text)); /* asking changes nothing */
    assert_ok(vg_sha256_add(hash, "bc", 2));
    assert_ok(vg_sha256_end(hash, text));
    assert_string_equal(text, abc);
    assert_ok(vg_sha256_begin(hash));
    char piece[1000];
    memset(piece, 'a', sizeof piece);
    for (int i = 0; i < 1000; i++) assert_ok(vg_sha256_add(hash, piece, sizeof piece));
    assert_ok(vg_sha256_end(hash, text));
    assert_string_equal(text, million);
    vg_sha256_destroy(hash);
    vg_sha256_destroy(NULL);
}

static void test_files(void **state)
{
    (void)state;
    char text[VG_SHA256_TEXT];
    assert_ok(vg_file_write("sum.txt", "abc", 3));
    assert_ok(vg_sha256_file("sum.txt", text));
    assert_string_equal(text, abc);
    assert_int_equal(vg_sha256_file("absent.txt", text), VG_ERR_NOT_FOUND);
    assert_non_null(strstr(vg_cause(), "absent.txt"));
    assert_int_equal(vg_sha256_file(".", text), VG_ERR_IO);
    assert_ok(vg_file_remove("sum.txt"));
}

static void test_texts(void **state)
{
    (void)state;
    assert_true(vg_sha256_is_text(abc));
    assert_false(vg_sha256_is_text(""));
    assert_false(vg_sha256_is_text(abc + 1));
    assert_false(vg_sha256_is_text("gA7816BF8F01CFEA414140DE5DAE2223B00361A396177A9CB410FF61F20015AD"));
    assert_true(vg_sha256_equal(abc, "BA7816BF8F01CFEA414140DE5DAE2223B00361A396177A9CB410FF61F20015AD"));
    assert_false(vg_sha256_equal(abc, nothing));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_vectors), cmocka_unit_test(test_files),
                                       cmocka_unit_test(test_texts)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
