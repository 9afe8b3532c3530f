/* A corpus larger than the memory meant for it: the same segments and batches from a mapped file, little
 * memory of its own, and a copy that is made once, noticed when it is wrong, and shared. */
#include "tests/datasets/fixture.h"

#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "datasets/corpus.h"
#include "datasets/loader.h"

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

/* Files in a folder whose name ends in `ending`; the last one's path in *path (may be NULL). */
static int count_files(const char *in, const char *ending, char **path)
{
    int count = 0;
    DIR *listing = opendir(in);
    assert_non_null(listing);
    for (struct dirent *entry; (entry = readdir(listing));) {
        size_t length = strlen(entry->d_name), tail = strlen(ending);
        if (length < tail || strcmp(entry->d_name + length - tail, ending) != 0) continue;
        count++;
        if (path) {
            free(*path);
            *path = support_path(in, entry->d_name);
        }
    }
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
    assert_int_equal(count_files(in, ".f32", NULL), 2);
    assert_int_equal(count_files(in, ".part", NULL), 0);
    free(one);
    free(two);
    free(in);
}

static struct stat about(const char *path)
{
    struct stat found;
    assert_int_equal(stat(path, &found), 0);
    return found;
}

static void change_byte(const char *path, off_t at)
{
    unsigned char byte;
    int file = open(path, O_RDWR);
    assert_true(file >= 0);
    assert_int_equal(pread(file, &byte, 1, at), 1);
    byte ^= 0x40;
    assert_int_equal(pwrite(file, &byte, 1, at), 1);
    close(file);
}

/* The copy is made once; one that is damaged, cut or of an older store is replaced. */
static void test_copy(void **state)
{
    (void)state;
    char *in = support_temp_dir(), *copy = NULL;
    char *store = make_store(in, "store.h5", "source", 3, 5);
    const char *paths[] = {store};
    vg_corpus *memory = load(paths, 1, 1 << 30, NULL), *mapped;
    for (int what = 0; what < 5; what++) {
        mapped = load(paths, 1, 1, NULL);
        check_equal(memory, mapped);
        vg_corpus_destroy(mapped);
        assert_int_equal(count_files(in, ".f32", &copy), 1);
        struct stat before = about(copy);
        if (what == 1) change_byte(copy, 65536 + 4 * 100 + 3); /* a sample */
        if (what == 2) change_byte(copy, 30);                  /* the hash */
        if (what == 3) assert_int_equal(truncate(copy, before.st_size - 1), 0);
        mapped = load(paths, 1, 1, NULL);
        check_equal(memory, mapped);
        vg_corpus_destroy(mapped);
        struct stat after = about(copy);
        assert_int_equal(before.st_size, after.st_size);
        bool kept = before.st_ino == after.st_ino && before.st_mtim.tv_nsec == after.st_mtim.tv_nsec;
        assert_int_equal(kept, what == 0 || what == 4);
    }
    vg_corpus_destroy(memory);
    char *old = strdup(copy);
    free(make_store(in, "store.h5", "source", 3, 6));
    memory = load(paths, 1, 1 << 30, NULL);
    mapped = load(paths, 1, 1, NULL);
    check_equal(memory, mapped);
    assert_int_equal(count_files(in, ".f32", &copy), 1);
    assert_string_not_equal(old, copy);
    assert_int_equal(count_files(in, ".part", NULL), 0);
    vg_corpus_destroy(memory);
    vg_corpus_destroy(mapped);
    free(old);
    free(copy);
    free(store);
    free(in);
}

/* VAGUS_CACHE: two stores of one name keep a copy each; a folder that cannot be is named. */
static void test_cache_folder(void **state)
{
    (void)state;
    char *in = support_temp_dir(), *other = support_temp_dir(), *cache = support_path(in, "deep/cache");
    char *one = make_store(in, "ecg.h5", "one", 3, 1), *two = make_store(other, "ecg.h5", "two", 3, 2);
    const char *paths[] = {one, two};
    assert_int_equal(setenv("VAGUS_CACHE", cache, 1), 0);
    for (int i = 0; i < 2; i++) vg_corpus_destroy(load(paths, 2, 1, NULL));
    assert_int_equal(count_files(cache, ".f32", NULL), 2);
    assert_int_equal(count_files(in, ".f32", NULL), 0);
    assert_int_equal(setenv("VAGUS_CACHE", "/dev/null/cache", 1), 0);
    vg_corpus *corpus;
    vg_corpus_options options = vg_corpus_options_default();
    options.memory_bytes = 1;
    assert_fails(vg_corpus_create(paths, 1, &options, &corpus), VG_ERR_IO, "/dev/null");
    assert_int_equal(unsetenv("VAGUS_CACHE"), 0);
    free(one);
    free(two);
    free(cache);
    free(other);
    free(in);
}

/* Several processes at once: one copy, nothing left behind, everybody has the right samples. */
static void test_ranks(void **state)
{
    (void)state;
    enum { RANKS = 6 };
    char *in = support_temp_dir(), *store = make_store(in, "store.h5", "source", 20, 9);
    const char *paths[] = {store};
    pid_t children[RANKS];
    for (int r = 0; r < RANKS; r++) {
        children[r] = fork();
        assert_true(children[r] >= 0);
        if (children[r]) continue;
        vg_corpus *corpus;
        vg_corpus_options options = vg_corpus_options_default();
        options.seconds = 1;
        options.memory_bytes = 1;
        _exit(vg_corpus_create(paths, 1, &options, &corpus) == VG_OK ? 0 : 1);
    }
    for (int r = 0; r < RANKS; r++) {
        int how;
        assert_int_equal(waitpid(children[r], &how, 0), children[r]);
        assert_int_equal(how, 0);
    }
    assert_int_equal(count_files(in, ".f32", NULL), 1);
    assert_int_equal(count_files(in, ".part", NULL), 0);
    free(store);
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
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_same_batches), cmocka_unit_test(test_copy),
                                       cmocka_unit_test(test_cache_folder), cmocka_unit_test(test_ranks),
                                       cmocka_unit_test(test_memory)};
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    return failed;
}
