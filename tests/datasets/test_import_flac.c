/* WFDB signals packed with FLAC: files made here by libFLAC's encoder, and every way in which one can be
 * wrong. */
#include <FLAC/stream_encoder.h>

#include "core/random.h"
#include "datasets/import/formats/flac.h"
#include "tests/datasets/import_support.h"

static char *folder, *out;

/* x[n][channels] into a file; as WFDB does, at a rate that says nothing. */
static char *pack(const char *name, int channels, int bits, int block, const int32_t *x, int64_t n)
{
    char *path = support_path(folder, name);
    FLAC__StreamEncoder *e = FLAC__stream_encoder_new();
    assert_non_null(e);
    FLAC__stream_encoder_set_streamable_subset(e, false);
    FLAC__stream_encoder_set_channels(e, (unsigned)channels);
    FLAC__stream_encoder_set_bits_per_sample(e, (unsigned)bits);
    FLAC__stream_encoder_set_sample_rate(e, 96000);
    FLAC__stream_encoder_set_blocksize(e, (unsigned)block);
    assert_int_equal(FLAC__stream_encoder_init_file(e, path, NULL, NULL),
                     FLAC__STREAM_ENCODER_INIT_STATUS_OK);
    assert_true(FLAC__stream_encoder_process_interleaved(e, x, (unsigned)n));
    assert_true(FLAC__stream_encoder_finish(e));
    FLAC__stream_encoder_delete(e);
    return path;
}

/* A wave with noise, the ends of the range and missing samples. */
static int32_t *make_samples(int bits, int64_t count)
{
    const int32_t top = 1 << (bits - 1);
    int32_t *x = malloc((size_t)count * sizeof *x);
    assert_non_null(x);
    for (int64_t i = 0; i < count; i++) {
        const uint32_t word = vg_philox_draw(7, (uint32_t)i, (uint32_t)bits, 0, 0).word[0];
        x[i] = (int32_t)(0.6 * top * sin(0.01 * (double)i)) + (int32_t)(word % (uint32_t)top) / 4;
        if (word % 97 == 0) x[i] = -top;
        if (word % 89 == 0) x[i] = top - 1;
    }
    return x;
}

static void put_header(const char *text)
{
    char *path = support_path(folder, "f.hea");
    support_write_file(path, text, strlen(text));
    free(path);
}

/* "f CHANNELS 250 FRAMES" and its lines, `word` behind the format. */
static void make_header(int channels, int64_t frames, int format, const char *word)
{
    char text[1024], *end = text + sprintf(text, "f %d 250 %lld\n", channels, (long long)frames);
    for (int c = 0; c < channels; c++)
        end += sprintf(end, "f.dat %d%s 1000(%d)/mV 12 0 0 0 0 lead %d\n", format, word, c, c);
    put_header(text);
}

static void test_values(void **unused)
{
    (void)unused;
    static const int channel_counts[] = {1, 3, 8};
    for (int bits = 8; bits <= 24; bits += 8) {
        for (int k = 0; k < 3; k++) {
            const int channels = channel_counts[k], each = k == 1 ? 3 : 1;
            const int64_t frames = 1203, n = frames * each;
            int32_t *x = make_samples(bits, n * channels);
            char *path = pack("f.dat", channels, bits, 576, x, n), *source = support_path(folder, "f");
            /* Once with and once without a number of samples; the first 100 frames stand before the record.
             */
            for (int open = 0; open < 2; open++) {
                const int64_t skip = open ? 100 * each : 0;
                char word[32] = "";
                if (each > 1) sprintf(word, "x%d", each);
                if (skip) sprintf(word + strlen(word), "+%lld", (long long)skip);
                make_header(channels, open ? 0 : frames, 500 + bits, word);
                vg_import_options options = import_untouched(250 * each);
                vg_import_report report;
                vg_store *store = import_and_open("wfdb", source, &options, out, &report);
                assert_int_equal(report.recordings, channels);
                for (int c = 0; c < channels; c++) {
                    assert_int_equal(vg_store_recording(store, c)->length, n - skip);
                    float *y = import_samples(store, c);
                    for (int64_t i = 0; i < n - skip; i++) {
                        const int32_t stored = x[(skip + i) * channels + c];
                        const float want = (float)((double)(stored - c) / 1000);
                        const bool missing = stored == -(1 << (bits - 1));
                        if (missing ? !isnan(y[i]) : y[i] != want)
                            fail_msg("%d bits, %d channels: sample %lld is %g, want %g", bits, channels,
                                     (long long)i, (double)y[i], (double)want);
                    }
                    free(y);
                }
                vg_store_close(store);
                vg_import_report_free(&report);
            }
            free(source);
            free(path);
            free(x);
        }
    }
}

/* Sets how many samples a file says each channel has. */
static void say_samples(const char *path, uint64_t samples)
{
    size_t size;
    unsigned char *bytes = (unsigned char *)support_read_file(path, &size);
    bytes[21] = (unsigned char)((bytes[21] & 0xf0) | (samples >> 32 & 0x0f));
    for (int b = 0; b < 4; b++) bytes[22 + b] = (unsigned char)(samples >> (24 - 8 * b) & 0xff);
    support_write_file(path, bytes, size);
    free(bytes);
}

static void test_lies(void **unused)
{
    (void)unused;
    enum { N = 1000 };
    vg_import_options options = import_untouched(250);
    vg_import_report report;
    int32_t *x = make_samples(12, 2 * N);
    char *path = pack("f.dat", 2, 12, 256, x, N), *source = support_path(folder, "f");
    /* Fewer bits than the format may have are in order. */
    make_header(2, N, 516, "");
    vg_store *store = import_and_open("wfdb", source, &options, out, &report);
    float *y = import_samples(store, 1);
    for (int i = 0; i < N; i++) assert_true(y[i] == (float)((x[2 * i + 1] - 1) / 1000.0));
    free(y);
    vg_store_close(store);
    vg_import_report_free(&report);

    make_header(2, N, 508, "");
    import_refuses("wfdb", source, &options, out, VG_ERR_DATA, "has 2 channels of 12 bits, where");
    make_header(3, N, 516, "");
    import_refuses("wfdb", source, &options, out, VG_ERR_DATA,
                   "says 3 signals of format 516, which has 16 bits");
    make_header(2, N + 1, 516, "");
    import_refuses("wfdb", source, &options, out, VG_ERR_DATA, "holds 1000 samples of each signal, but");
    make_header(2, N, 516, "+1");
    import_refuses("wfdb", source, &options, out, VG_ERR_DATA, "holds 999 samples of each signal, but");
    put_header("f 2 250 250\nf.dat 516x4 200\nf.dat 516x2 200\n");
    import_refuses("wfdb", source, &options, out, VG_ERR_DATA,
                   "f.hea: line 3: the signals of the FLAC file f.dat differ in samples a frame");
    say_samples(path, 0);
    make_header(2, 0, 516, "");
    import_refuses("wfdb", source, &options, out, VG_ERR_DATA, "how many samples there are");
    make_header(2, (int64_t)1 << 32, 516, "");
    import_refuses("wfdb", source, &options, out, VG_ERR_DATA, "holds 0 samples of each signal, but");
    make_header(2, N, 516, "");
    store = import_and_open("wfdb", source, &options, out, &report);
    assert_int_equal(vg_store_recording(store, 1)->length, N);
    vg_store_close(store);
    vg_import_report_free(&report);
    say_samples(path, ((uint64_t)1 << 36) - 1);
    import_refuses("wfdb", source, &options, out, VG_ERR_DATA,
                   "says it holds 68719476735 samples of each channel");
    say_samples(path, N + 9);
    make_header(2, 0, 516, "");
    import_refuses("wfdb", source, &options, out, VG_ERR_DATA,
                   "is damaged or cut short behind sample 1000 of 1009");
    support_write_file(path, "RIFF....", 8);
    import_refuses("wfdb", source, &options, out, VG_ERR_DATA, "f.dat: is not a FLAC file");
    support_write_file(path, "fLaC", 4);
    import_refuses("wfdb", source, &options, out, VG_ERR_DATA, "the FLAC file's header is damaged");
    free(source);
    free(path);
    free(x);
}

/* Reads a file that was tampered with: its samples, or an error with a cause. True when it was read. */
static bool try_damaged(const char *path, int channels, int64_t n, const int32_t *x, size_t place)
{
    vg__flac flac = {0};
    vg_status status = vg__flac_read(path, channels, 0, n, &flac);
    if (status != VG_OK && (!strstr(vg_cause(), path) || (status != VG_ERR_FORMAT && status != VG_ERR_IO)))
        fail_msg("byte %zu: %s", place, vg_cause());
    for (int c = 0; status == VG_OK && c < channels; c++) {
        int32_t y[512];
        vg__flac_samples(&flac, c, 0, n, y);
        for (int64_t i = 0; i < n; i++)
            if (y[i] != x[i * channels + c])
                fail_msg("byte %zu: sample %lld of channel %d is %d, not %d, and nobody noticed", place,
                         (long long)i, c, y[i], x[i * channels + c]);
    }
    vg__flac_free(&flac);
    return status == VG_OK;
}

static void test_damage(void **unused)
{
    (void)unused;
    enum { N = 300, CHANNELS = 2 };
    size_t size, passed = 0;
    int32_t *x = make_samples(16, N * CHANNELS);
    char *path = pack("f.dat", CHANNELS, 16, 64, x, N);
    unsigned char *bytes = (unsigned char *)support_read_file(path, &size);
    for (size_t cut = 0; cut < size; cut++) {
        support_write_file(path, bytes, cut);
        if (try_damaged(path, CHANNELS, N, x, cut)) fail_msg("read when cut to %zu of %zu bytes", cut, size);
    }
    for (size_t i = 0; i < size; i++) {
        bytes[i] ^= (unsigned char)(1 << (i % 8));
        support_write_file(path, bytes, size);
        passed += try_damaged(path, CHANNELS, N, x, i);
        bytes[i] ^= (unsigned char)(1 << (i % 8));
    }
    /* A frame taken out: where a frame begins is told by its first two bytes. */
    size_t begin[4], found = 0;
    for (size_t i = 42; i + 1 < size && found < 4; i++)
        if (bytes[i] == 0xff && bytes[i + 1] == 0xf8 && (found == 0 || i > begin[found - 1] + 16))
            begin[found++] = i;
    assert_int_equal(found, 4);
    for (int k = 0; k < 3; k++) {
        unsigned char *rest = malloc(size);
        memcpy(rest, bytes, begin[k]);
        memcpy(rest + begin[k], bytes + begin[k + 1], size - begin[k + 1]);
        support_write_file(path, rest, size - (begin[k + 1] - begin[k]));
        assert_false(try_damaged(path, CHANNELS, N, x, begin[k]));
        char words[64];
        sprintf(words, "behind sample %d of 300: a frame is missing", 64 * k);
        if (!strstr(vg_cause(), words)) fail_msg("frame %d taken out: %s", k + 1, vg_cause());
        free(rest);
    }
    /* What stands before the frames tells little; in a frame every bit counts. */
    if (!(passed < size / 2)) fail_msg("%zu of %zu damaged files were read", passed, size);
    print_message("%zu bytes; %zu files with one bit turned were read, all to the same samples\n", size,
                  passed);
    free(bytes);
    free(path);
    free(x);
}

int main(void)
{
    char *place = support_temp_dir();
    folder = support_temp_dir();
    out = support_path(place, "out.h5");
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_values), cmocka_unit_test(test_lies),
                                       cmocka_unit_test(test_damage)};
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    free(out);
    free(place);
    free(folder);
    return failed;
}
