/* TensorBoard files: CRC known answers, and a decoder of our own that reads every record back. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/tensorboard.h"
#include "tests/support/support.h"

/* Check values of CRC-32C: the catalogue's "123456789", and those of RFC 3720, B.4. */
static void test_crc(void **state)
{
    (void)state;
    unsigned char bytes[32];
    assert_int_equal(vg_crc32c("", 0), 0);
    assert_int_equal(vg_crc32c("123456789", 9), 0xe3069283);
    memset(bytes, 0, sizeof bytes);
    assert_int_equal(vg_crc32c(bytes, 32), 0x8a9136aa);
    memset(bytes, 0xff, sizeof bytes);
    assert_int_equal(vg_crc32c(bytes, 32), 0x62a8ab43);
    for (int i = 0; i < 32; i++) bytes[i] = (unsigned char)i;
    assert_int_equal(vg_crc32c(bytes, 32), 0x46dd794e);
    for (int i = 0; i < 32; i++) bytes[i] = (unsigned char)(31 - i);
    assert_int_equal(vg_crc32c(bytes, 32), 0x113fdb5c);
    uint32_t crc = 0xe3069283;
    assert_int_equal(vg_crc32c_masked("123456789", 9), (uint32_t)((crc >> 15 | crc << 17) + 0xa282ead8u));
}

struct event {
    double wall_time;
    uint64_t step;
    char version[32], tag[64];
    float value;
    int session_start;
};

struct cursor {
    const unsigned char *at, *end;
};

static uint64_t take_varint(struct cursor *cursor)
{
    uint64_t value = 0;
    for (int shift = 0;; shift += 7) {
        assert_true(cursor->at < cursor->end && shift < 64);
        value |= (uint64_t)(*cursor->at & 0x7f) << shift;
        if (!(*cursor->at++ & 0x80)) return value;
    }
}

static void take(struct cursor *cursor, void *out, size_t size)
{
    assert_true((size_t)(cursor->end - cursor->at) >= size);
    memcpy(out, cursor->at, size);
    cursor->at += size;
}

static struct cursor take_bytes(struct cursor *cursor)
{
    uint64_t length = take_varint(cursor);
    assert_true((uint64_t)(cursor->end - cursor->at) >= length);
    struct cursor inner = {cursor->at, cursor->at + length};
    cursor->at += length;
    return inner;
}

static void copy_text(struct cursor text, char *out, size_t size)
{
    size_t length = (size_t)(text.end - text.at);
    assert_true(length < size);
    memcpy(out, text.at, length);
    out[length] = 0;
}

static void decode_value(struct cursor at, struct event *event)
{
    while (at.at < at.end) {
        switch (take_varint(&at)) {
        case 1 << 3 | 2:
            copy_text(take_bytes(&at), event->tag, sizeof event->tag);
            break;
        case 2 << 3 | 5:
            take(&at, &event->value, sizeof event->value);
            break;
        default:
            fail_msg("an unknown field in Value");
        }
    }
}

static void decode(struct cursor at, struct event *event)
{
    memset(event, 0, sizeof *event);
    while (at.at < at.end) {
        struct cursor inner;
        switch (take_varint(&at)) {
        case 1 << 3 | 1:
            take(&at, &event->wall_time, sizeof event->wall_time);
            break;
        case 2 << 3 | 0:
            event->step = take_varint(&at);
            break;
        case 3 << 3 | 2:
            copy_text(take_bytes(&at), event->version, sizeof event->version);
            break;
        case 5 << 3 | 2:
            inner = take_bytes(&at);
            assert_int_equal(take_varint(&inner), 1 << 3 | 2);
            decode_value(take_bytes(&inner), event);
            assert_ptr_equal(inner.at, inner.end);
            break;
        case 7 << 3 | 2:
            inner = take_bytes(&at);
            assert_int_equal(take_varint(&inner), 1 << 3 | 0);
            event->session_start = take_varint(&inner) == 1;
            break;
        default:
            fail_msg("an unknown field in Event");
        }
    }
}

/* Reads all records of a file, both checksums of each verified; returns how many. */
static int read_events(const char *path, struct event *events, int most)
{
    size_t size;
    unsigned char *bytes = support_read_file(path, &size);
    struct cursor file = {bytes, bytes + size};
    int count = 0;
    while (file.at < file.end) {
        uint64_t length;
        uint32_t length_crc, crc;
        take(&file, &length, sizeof length);
        take(&file, &length_crc, sizeof length_crc);
        assert_int_equal(length_crc, vg_crc32c_masked(&length, sizeof length));
        assert_true((uint64_t)(file.end - file.at) >= length + 4);
        struct cursor event = {file.at, file.at + length};
        file.at += length;
        take(&file, &crc, sizeof crc);
        assert_int_equal(crc, vg_crc32c_masked(event.at, (size_t)length));
        assert_true(count < most);
        decode(event, &events[count++]);
    }
    free(bytes);
    return count;
}

static void test_scalars(void **state)
{
    (void)state;
    char *folder = support_temp_dir(), *path;
    vg_tensorboard *board;
    struct event events[8];
    assert_ok(vg_tensorboard_open(folder, 0, &board));
    path = strdup(vg_tensorboard_path(board));
    assert_non_null(strstr(path, "/events.out.tfevents."));
    assert_int_equal(read_events(path, events, 8), 1);
    assert_string_equal(events[0].version, "brain.Event:2");
    assert_ok(vg_tensorboard_scalar(board, "loss/train", 7, 0.125));
    /* It is in the file before it is closed. */
    assert_int_equal(read_events(path, events, 8), 2);
    assert_ok(vg_tensorboard_scalar(board, "lr", INT64_C(1) << 40, NAN));
    assert_ok(vg_tensorboard_scalar(board, "", 0, -1e30));
    assert_ok(vg_tensorboard_close(board));
    assert_int_equal(read_events(path, events, 8), 4);
    assert_string_equal(events[1].tag, "loss/train");
    assert_true(events[1].step == 7 && events[1].value == 0.125f);
    assert_true(fabs(events[1].wall_time - (double)time(NULL)) < 100);
    assert_true(events[2].step == UINT64_C(1) << 40 && isnan(events[2].value));
    assert_true(events[3].value == -1e30f);
    free(path);
    free(folder);
}

static void test_resumed_runs_open_another(void **state)
{
    (void)state;
    char *folder = support_temp_dir();
    vg_tensorboard *first, *second;
    struct event events[8];
    assert_ok(vg_tensorboard_open(folder, 0, &first));
    assert_ok(vg_tensorboard_open(folder, 300, &second));
    assert_string_not_equal(vg_tensorboard_path(first), vg_tensorboard_path(second));
    assert_int_equal(read_events(vg_tensorboard_path(second), events, 8), 2);
    assert_true(events[1].session_start && events[1].step == 300);
    assert_ok(vg_tensorboard_close(first));
    assert_ok(vg_tensorboard_close(second));
    assert_ok(vg_tensorboard_close(NULL));
    char *none = support_path(folder, "none");
    assert_fails(vg_tensorboard_open(none, 0, &first), VG_ERR_NOT_FOUND, "none/events");
    free(none);
    free(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_crc),
        cmocka_unit_test(test_scalars),
        cmocka_unit_test(test_resumed_runs_open_another),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
