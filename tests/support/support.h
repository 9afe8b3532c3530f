/* What every test program shares: cmocka, the way to a test file, seeds that can be replayed. */
#ifndef VAGUS_TESTS_SUPPORT_H
#define VAGUS_TESTS_SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/status.h"

/* Fails the test with the recorded cause unless the call returned VG_OK. */
#define assert_ok(expression)                                                                                \
    do {                                                                                                     \
        vg_status assert_ok_ = (expression);                                                                 \
        if (assert_ok_ != VG_OK)                                                                             \
            fail_msg("%s: %s: %s (%s)", #expression, vg_status_name(assert_ok_), vg_cause(),                 \
                     vg_cause_where());                                                                      \
    } while (0)

/* Fails unless the call returned this status and its cause contains `text` (a name, a place). */
#define assert_fails(expression, expected, text)                                                             \
    support_assert_fails((expression), (expected), (text), #expression)
void support_assert_fails(vg_status got, vg_status expected, const char *text, const char *expression);

/* The seed of this run: VAGUS_TEST_SEED or a fixed one; printed once so that a failure can be replayed. */
uint64_t support_seed(void);

/* A new empty folder for this test, removed with its content at exit; the path is the caller's to free. */
char *support_temp_dir(void);

/* "folder/name" in memory that the caller frees. */
char *support_path(const char *folder, const char *name);

/* The folder of real recordings, or NULL when VAGUS_TEST_DATA is not set. support_skip_without_data() ends
 * the program with 77 then, saying why. */
const char *support_data(void);
void support_skip_without_data(void);

/* Whole file in and out; failures fail the test. The bytes are the caller's to free. */
void support_write_file(const char *path, const void *bytes, size_t size);
void *support_read_file(const char *path, size_t *size);

#endif
