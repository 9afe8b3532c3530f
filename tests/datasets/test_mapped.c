/* A corpus larger than the memory meant for it: the same segments and batches from stores that are mapped
 * where they lie, little memory of its own, nothing written, and damage that is noticed. */
#include "tests/datasets/fixture.h"

#include <dirent.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <hdf5.h>

#include "datasets/corpus/corpus.h"
#include "datasets/loader.h"
#include "datasets/store/layout.h"

static vg_corpus *load(const char *const *paths, int count, int64_t memory, const char *lead)
{
    vg_corpus *corpus;
    vg_corpus_options options = vg_corpus_options_default();
    options.seconds = 1;
    options.lead = lead;
    options.memory_bytes = memory;
    assert_ok(vg_corpus_create(paths, count, &options, &corpus));
    assert_int_equal(corpus->mapped, memory == 1);
    return corpus;
}

static char *make_store(const char *in, const char *name, const char *source, int subjects, uint32_t stream)
{
    char *path = support_path(in, name);
    remove(path);
    fixture_store(path, source, subjects, stream);
    return path;
}

static int count_files(const char *in)
{
    int count = 0;
    DIR *listing = opendir(in);
    assert_non_null(listing);
    for (struct dirent *entry; (entry = readdir(listing));) count += entry->d_name[0] != '.';
    closedir(listing);
    return count;
}

static void check_equal(const vg_corpus *a, const vg_corpus *b)
{
    assert_int_equal(a->segment_count, b->segment_count);
    assert_int_equal(a->segment_length, b->segment_length);
    assert_true(vg_corpus_fingerprint(a) == vg_corpus_fingerprint(b));
    for (int64_t s = 0; s < a->segment_count; s++)
        assert_memory_equal(a->signal + a->segments[s].start, b->signal + b->segments[s].start,
                            (size_t)a->segment_length * sizeof(float));
}

static void check_batches(vg_corpus *a, vg_corpus *b)
{
    vg_corpus *both[] = {a, b};
    vg_loader *loaders[2];
    vg_batch batches[2];
    int64_t *all = malloc((size_t)a->segment_count * sizeof *all), rows = 0;
    assert_non_null(all);
    for (int64_t s = 0; s < a->segment_count; s++) all[s] = s;
    for (int i = 0; i < 2; i++) {
        vg_loader_options options = {.batch_size = 7, .shuffle = true, .seed = 3, .prefetch = i};
        assert_ok(vg_corpus_normalize(both[i], VG_NORMALIZE_SUBJECT, NULL, 0, NULL));
        assert_ok(vg_loader_create(both[i], all, a->segment_count, &options, &loaders[i]));
        assert_ok(vg_loader_start(loaders[i], 1, 0));
    }
    for (;;) {
        for (int i = 0; i < 2; i++) assert_ok(vg_loader_next(loaders[i], &batches[i]));
        assert_int_equal(batches[0].end, batches[1].end);
        if (batches[0].end) break;
        assert_int_equal(batches[0].count, batches[1].count);
        assert_memory_equal(batches[0].segments, batches[1].segments,
                            (size_t)batches[0].count * sizeof(int64_t));
        assert_memory_equal(batches[0].signal, batches[1].signal,
                            (size_t)(batches[0].count * batches[0].length) * sizeof(float));
        rows += batches[0].count;
    }
    assert_int_equal(rows, a->segment_count);
    for (int i = 0; i < 2; i++) vg_loader_destroy(loaders[i]);
    free(all);
}

static void test_same_batches(void **state)
{
    (void)state;
    char *in = support_temp_dir();
    char *one = make_store(in, "one.h5", "one", 5, 1), *two = make_store(in, "two.h5", "two", 4, 2);
    const char *paths[] = {one, two};
    const char *const leads[] = {NULL, "II"};
    for (int i = 0; i < 2; i++) {
        vg_corpus *memory = load(paths, 2, 1 << 30, leads[i]), *mapped = load(paths, 2, 1, leads[i]);
        check_equal(memory, mapped);
        check_batches(memory, mapped);
        vg_corpus_destroy(memory);
        vg_corpus_destroy(mapped);
    }
    assert_int_equal(count_files(in), 2);
    free(one);
    free(two);
    free(in);
}

/* Each damage is an error that names the store; none ends the program. */
static void test_damage(void **state)
{
    (void)state;
    char *in = support_temp_dir(), *path = make_store(in, "store.h5", "source", 3, 5);
    const char *paths[] = {path};
    vg_corpus_options options = vg_corpus_options_default();
    options.seconds = 1;
    options.memory_bytes = 1;
    vg_corpus *corpus;
    size_t size;
    char *bytes = support_read_file(path, &size);
    for (int64_t sample = 0; sample < 300; sample += 37) {
        bytes[VG_STORE_SIGNAL + 4 * sample] ^= 0x40;
        support_write_file(path, bytes, size);
        assert_fails(vg_corpus_create(paths, 1, &options, &corpus), VG_ERR_FORMAT, "fingerprint");
        assert_fails(vg_corpus_create(paths, 1, &options, &corpus), VG_ERR_FORMAT, path);
        bytes[VG_STORE_SIGNAL + 4 * sample] ^= 0x40;
    }
    for (size_t length = 0; length < size; length += 1 + size / 40) {
        support_write_file(path, bytes, length);
        assert_fails(vg_corpus_create(paths, 1, &options, &corpus), VG_ERR_FORMAT, path);
    }
    support_write_file(path, bytes, size);
    vg_corpus_destroy(load(paths, 1, 1, NULL));
    free(bytes);
    free(path);
    free(in);
}

/* A store that is made anew while the old one is mapped changes nothing for who has it. */
static void test_replaced(void **state)
{
    (void)state;
    char *in = support_temp_dir(), *path = make_store(in, "store.h5", "source", 3, 5);
    const char *paths[] = {path};
    vg_corpus *memory = load(paths, 1, 1 << 30, NULL), *mapped = load(paths, 1, 1, NULL);
    free(make_store(in, "store.h5", "source", 3, 6));
    check_equal(memory, mapped);
    vg_corpus *newer = load(paths, 1, 1, NULL);
    assert_true(vg_corpus_fingerprint(newer) != vg_corpus_fingerprint(mapped));
    vg_corpus_destroy(newer);
    vg_corpus_destroy(memory);
    vg_corpus_destroy(mapped);
    free(path);
    free(in);
}

/* Moves the samples of a store to a multiple of `alignment` behind all else. Returns their byte in the file.
 */
static int64_t move_signal(const char *path, hsize_t alignment)
{
    hid_t access = H5Pcreate(H5P_FILE_ACCESS);
    H5Pset_alignment(access, 1, alignment);
    hid_t file = H5Fopen(path, H5F_ACC_RDWR, access), signal = H5Dopen2(file, "signal", H5P_DEFAULT),
          space = H5Dget_space(signal);
    hsize_t count;
    H5Sget_simple_extent_dims(space, &count, NULL);
    float *samples = malloc(count * sizeof *samples);
    assert_non_null(samples);
    assert_true(H5Dread(signal, H5T_NATIVE_FLOAT, H5S_ALL, H5S_ALL, H5P_DEFAULT, samples) >= 0);
    H5Dclose(signal);
    H5Lmove(file, "signal", file, "before", H5P_DEFAULT, H5P_DEFAULT);
    signal = H5Dcreate2(file, "signal", H5T_IEEE_F32LE, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    assert_true(H5Dwrite(signal, H5T_NATIVE_FLOAT, H5S_ALL, H5S_ALL, H5P_DEFAULT, samples) >= 0);
    int64_t place = (int64_t)H5Dget_offset(signal);
    free(samples);
    H5Dclose(signal);
    H5Sclose(space);
    H5Pclose(access);
    assert_true(H5Fclose(file) >= 0);
    return place;
}

/* Samples that begin anywhere in a page are mapped too, unless no float can stand there. */
static void test_places(void **state)
{
    (void)state;
    char *in = support_temp_dir();
    bool odd = false, even = false;
    for (hsize_t alignment = 1; alignment <= 1024; alignment *= 4) {
        char *one = make_store(in, "one.h5", "one", 3, 5), *two = make_store(in, "two.h5", "two", 3, 6);
        const int64_t place = move_signal(one, alignment);
        const char *paths[] = {one, two};
        vg_corpus *memory = load(paths, 2, 1 << 30, NULL), *corpus;
        vg_corpus_options options = memory->options;
        options.memory_bytes = 1;
        if (place % 4) {
            assert_fails(vg_corpus_create(paths, 2, &options, &corpus), VG_ERR_UNSUPPORTED,
                         "import it again");
            odd = true;
        } else {
            corpus = load(paths, 2, 1, NULL);
            check_equal(memory, corpus);
            vg_corpus_destroy(corpus);
            even = even || place % 4096;
        }
        vg_corpus_destroy(memory);
        free(one);
        free(two);
    }
    assert_true(odd);
    assert_true(even);
    free(in);
}

/* ---- Memory ----------------------------------------------------------------------------------------- */

enum { BIG_RECORDINGS = 24, BIG_LENGTH = 1 << 20 }; /* 96 MiB */

static char *make_big(const char *in)
{
    char *path = support_path(in, "big.h5");
    vg_store_writer *writer;
    assert_ok(vg_store_writer_create(path, false, NULL, 0, &writer));
    for (int i = 0; i < BIG_RECORDINGS; i++) {
        char subject[16];
        snprintf(subject, sizeof subject, "s%d", i);
        fixture_add(writer, subject, "", "I", subject, BIG_LENGTH, (uint32_t)i, NULL);
    }
    fixture_finish(writer, "big", 128);
    return path;
}

/* What /proc/self/status calls RssAnon is counted in lumps; this walks the tables. */
static long anonymous_kib(void)
{
    char line[256];
    long kib = -1;
    FILE *file = fopen("/proc/self/smaps_rollup", "r");
    while (file && fgets(line, sizeof line, file))
        if (sscanf(line, "Anonymous: %ld", &kib) == 1) break;
    if (file) fclose(file);
    return kib;
}

/* In a process that may have 32 MiB more of its own: 0 when an epoch went through, else what failed. */
static int read_within(const char *path, int64_t memory, long *used)
{
    vg_corpus *corpus;
    vg_loader *loader;
    vg_batch batch;
    vg_corpus_options options = vg_corpus_options_default();
    options.memory_bytes = memory;
    if (vg_corpus_create(&path, 1, &options, &corpus) != VG_OK) return 1;
    int64_t *all = malloc((size_t)corpus->segment_count * sizeof *all);
    if (!all) return 2;
    for (int64_t s = 0; s < corpus->segment_count; s++) all[s] = s;
    vg_loader_options loading = {.batch_size = 64, .shuffle = true, .prefetch = 2};
    if (vg_loader_create(corpus, all, corpus->segment_count, &loading, &loader) != VG_OK) return 3;
    if (vg_loader_start(loader, 0, 0) != VG_OK) return 4;
    do {
        if (vg_loader_next(loader, &batch) != VG_OK) return 5;
    } while (!batch.end);
    *used = anonymous_kib();
    vg_loader_destroy(loader);
    vg_corpus_destroy(corpus);
    free(all);
    return 0;
}

static int in_child(const char *path, int64_t memory)
{
    const char *sanitized = getenv("VAGUS_SANITIZED");
    fflush(NULL);
    pid_t child = fork();
    assert_true(child >= 0);
    if (!child) {
        long used = 0, data = 0, pages[6] = {0};
        FILE *file = fopen("/proc/self/statm", "r");
        for (int i = 0; file && i < 6; i++)
            if (fscanf(file, "%ld", &pages[i]) != 1) _exit(90);
        if (file) fclose(file);
        data = pages[5] * sysconf(_SC_PAGESIZE);
        struct rlimit limit = {.rlim_cur = (rlim_t)(data + (32 << 20)), .rlim_max = RLIM_INFINITY};
        /* A sanitizer has a memory of its own, larger than any limit. */
        if (!(sanitized && *sanitized) && setrlimit(RLIMIT_DATA, &limit) != 0) _exit(91);
        int failed = read_within(path, memory, &used);
        if (!failed && memory == 1 && !(sanitized && *sanitized)) {
            printf("  %d MiB mapped, %.1f MiB of its own\n", BIG_RECORDINGS * 4, (double)used / 1024);
            if (!(used > 0 && used < 24 * 1024)) failed = 92;
        }
        fflush(stdout);
        _exit(failed);
    }
    int how;
    assert_int_equal(waitpid(child, &how, 0), child);
    assert_true(WIFEXITED(how));
    return WEXITSTATUS(how);
}

static void test_memory(void **state)
{
    (void)state;
    const char *sanitized = getenv("VAGUS_SANITIZED");
    char *in = support_temp_dir(), *path = make_big(in);
    assert_int_equal(in_child(path, 1), 0);
    /* And the limit is one: the same data do not fit into it. */
    if (!(sanitized && *sanitized)) assert_int_equal(in_child(path, (int64_t)1 << 40), 1);
    free(path);
    free(in);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_same_batches), cmocka_unit_test(test_damage),
                                       cmocka_unit_test(test_replaced), cmocka_unit_test(test_places),
                                       cmocka_unit_test(test_memory)};
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    return failed;
}
