/* A TFRecord is: length (8 bytes), masked CRC of the length, bytes, masked CRC of the bytes, all little
 * endian. The bytes are a protobuf message `Event`; the few fields a scalar needs are written by hand: Event:
 * 1 wall_time double, 2 step varint, 3 file_version string, 5 summary message, 7 session_log message Summary:
 * 1 value message;  Value: 1 tag string, 2 simple_value float;  SessionLog: 1 status enum (START 1) */
#include "core/tensorboard.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "core/file.h"
#include "core/text.h"

struct vg_tensorboard {
    char *path;
    int descriptor;
};

static uint32_t crc_table[256];

static void make_crc_table(void)
{
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t crc = i;
        for (int bit = 0; bit < 8; bit++) crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78u : 0);
        crc_table[i] = crc;
    }
}

uint32_t vg_crc32c(const void *bytes, size_t count)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, make_crc_table);
    const unsigned char *at = bytes;
    uint32_t crc = 0xffffffffu;
    for (size_t i = 0; i < count; i++) crc = crc >> 8 ^ crc_table[(crc ^ at[i]) & 0xff];
    return ~crc;
}

/* A CRC of data that holds CRCs has bad properties; TFRecord rotates it and adds a constant. */
uint32_t vg_crc32c_masked(const void *bytes, size_t count)
{
    uint32_t crc = vg_crc32c(bytes, count);
    return (crc >> 15 | crc << 17) + 0xa282ead8u;
}

enum wire { VARINT = 0, FIXED64 = 1, BYTES = 2, FIXED32 = 5 };

static void put_varint(vg_text *message, uint64_t value)
{
    for (; value >= 0x80; value >>= 7) vg_text_append(message, (char[]){(char)(value | 0x80)}, 1);
    vg_text_append(message, (char[]){(char)value}, 1);
}

static void put_key(vg_text *message, unsigned field, enum wire wire)
{
    put_varint(message, field << 3 | (unsigned)wire);
}

static void put_bytes(vg_text *message, unsigned field, const void *bytes, size_t count)
{
    put_key(message, field, BYTES);
    put_varint(message, count);
    vg_text_append(message, bytes, count);
}

static void put_fixed(vg_text *message, unsigned field, const void *bytes, size_t count)
{
    put_key(message, field, count == 8 ? FIXED64 : FIXED32);
    vg_text_append(message, bytes, count);
}

static void begin_event(vg_text *event, int64_t step)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    double seconds = (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
    put_fixed(event, 1, &seconds, sizeof seconds);
    put_key(event, 2, VARINT);
    put_varint(event, (uint64_t)step);
}

/* One record in one write(), so that a reader never sees half of it for long. Empties `event`. */
static vg_status write_record(vg_tensorboard *board, vg_text *event)
{
    vg_text record = {0};
    uint64_t length = event->length;
    uint32_t length_crc = vg_crc32c_masked(&length, sizeof length);
    uint32_t crc = vg_crc32c_masked(event->data, event->length);
    vg_text_append(&record, (const char *)&length, sizeof length);
    vg_text_append(&record, (const char *)&length_crc, sizeof length_crc);
    vg_text_append(&record, event->data, event->length);
    vg_text_append(&record, (const char *)&crc, sizeof crc);
    vg_status status = VG_OK;
    if (event->failed || record.failed)
        status = vg_fail(VG_ERR_MEMORY, "out of memory while writing %s", board->path);
    else if (vg__write_all(board->descriptor, record.data, record.length) != 0)
        status = vg__file_fail("write", board->path, errno);
    vg_text_free(&record);
    vg_text_free(event);
    return status;
}

/* events.out.tfevents.TIME.HOST.PID.NUMBER, as TensorBoard's own writers name it; NUMBER is the first free.
 */
static vg_status open_file(const char *folder, vg_tensorboard *board)
{
    char host[65] = "localhost";
    if (gethostname(host, sizeof host - 1) != 0 || !host[0]) snprintf(host, sizeof host, "localhost");
    for (int number = 0; board->descriptor < 0; number++) {
        vg_text name = {0};
        vg_text_add(&name, "%s/events.out.tfevents.%010lld.%s.%ld.%d", folder, (long long)time(NULL), host,
                    (long)getpid(), number);
        free(board->path);
        board->path = NULL;
        VG_TRY(vg_text_take(&name, &board->path));
        board->descriptor = open(board->path, O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, 0666);
        if (board->descriptor < 0 && (errno != EEXIST || number == 1000))
            return vg__file_fail("write", board->path, errno);
    }
    return VG_OK;
}

vg_status vg_tensorboard_open(const char *folder, int64_t first_step, vg_tensorboard **out)
{
    static const char version[] = "brain.Event:2";
    vg_status status = VG_OK;
    vg_text event = {0};
    vg_tensorboard *board = calloc(1, sizeof *board);
    if (!board) return vg_fail(VG_ERR_MEMORY, "out of memory while opening TensorBoard's file");
    board->descriptor = -1;
    VG_TRY_OUT(open_file(folder, board));
    begin_event(&event, 0);
    put_bytes(&event, 3, version, sizeof version - 1);
    VG_TRY_OUT(write_record(board, &event));
    if (first_step > 0) { /* SessionLog START: what earlier files hold from this step on is void */
        begin_event(&event, first_step);
        put_bytes(&event, 7, "\x08\x01", 2);
        VG_TRY_OUT(write_record(board, &event));
    }
    *out = board;
    board = NULL;
out:
    if (board && board->descriptor >= 0) close(board->descriptor);
    if (board) free(board->path);
    free(board);
    return status;
}

vg_status vg_tensorboard_scalar(vg_tensorboard *board, const char *tag, int64_t step, double value)
{
    vg_text one = {0}, summary = {0}, event = {0};
    float simple = (float)value;
    put_bytes(&one, 1, tag, strlen(tag));
    put_fixed(&one, 2, &simple, sizeof simple);
    put_bytes(&summary, 1, one.data, one.length);
    begin_event(&event, step);
    put_bytes(&event, 5, summary.data, summary.length);
    event.failed = event.failed || one.failed || summary.failed;
    vg_text_free(&one);
    vg_text_free(&summary);
    return write_record(board, &event);
}

const char *vg_tensorboard_path(const vg_tensorboard *board)
{
    return board->path;
}

vg_status vg_tensorboard_close(vg_tensorboard *board)
{
    if (!board) return VG_OK;
    vg_status status = VG_OK;
    if (close(board->descriptor) != 0) status = vg__file_fail("write", board->path, errno);
    free(board->path);
    free(board);
    return status;
}
