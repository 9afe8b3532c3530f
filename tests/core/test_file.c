/* Files: whole or not at all, also when the disk is full. Disks are made to fail in two ways: by standing
 * between core and write(), fsync() and close() (the linker's --wrap), and by the kernel's own limit on file
 * sizes. A real full file system is tried where this user may mount one. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/file.h"
#include "tests/support/support.h"

static struct {
    size_t room; /* bytes that still fit; SIZE_MAX: no limit */
    int fsync_error, close_error, interrupts;
    size_t largest; /* of one write(), to force short ones; 0: no limit */
} disk = {.room = SIZE_MAX};

static void reset_disk(void)
{
    memset(&disk, 0, sizeof disk);
    disk.room = SIZE_MAX;
}

ssize_t __real_write(int descriptor, const void *bytes, size_t size);
int __real_fsync(int descriptor);
int __real_close(int descriptor);
ssize_t __wrap_write(int descriptor, const void *bytes, size_t size);
int __wrap_fsync(int descriptor);
int __wrap_close(int descriptor);

ssize_t __wrap_write(int descriptor, const void *bytes, size_t size)
{
    if (disk.interrupts > 0) {
        disk.interrupts--;
        errno = EINTR;
        return -1;
    }
    if (disk.largest && size > disk.largest) size = disk.largest;
    if (size > disk.room) size = disk.room;
    if (!size && !disk.room) {
        errno = ENOSPC;
        return -1;
    }
    ssize_t written = __real_write(descriptor, bytes, size);
    if (written > 0 && disk.room != SIZE_MAX) disk.room -= (size_t)written;
    return written;
}

int __wrap_fsync(int descriptor)
{
    if (!disk.fsync_error) return __real_fsync(descriptor);
    errno = disk.fsync_error;
    return -1;
}

int __wrap_close(int descriptor)
{
    int result = __real_close(descriptor);
    if (!disk.close_error) return result;
    errno = disk.close_error;
    return -1;
}

static size_t count_files(const char *folder)
{
    char **names;
    size_t count;
    assert_ok(vg_folder_list(folder, &names, &count));
    vg_names_free(names, count);
    return count;
}

static void assert_content(const char *path, const char *want)
{
    char *text = support_read_file(path, NULL);
    assert_string_equal(text, want);
    free(text);
}

static void test_read(void **state)
{
    (void)state;
    char *folder = support_temp_dir(), *path = support_path(folder, "a"), *bytes;
    size_t size;
    assert_fails(vg_file_read(path, 100, &bytes, &size), VG_ERR_NOT_FOUND, path);
    support_write_file(path, "", 0);
    assert_ok(vg_file_read(path, 100, &bytes, &size));
    assert_int_equal(size, 0);
    assert_int_equal(bytes[0], 0);
    free(bytes);
    support_write_file(path, "ab\0cd", 5);
    assert_ok(vg_file_read(path, 5, &bytes, &size));
    assert_int_equal(size, 5);
    assert_memory_equal(bytes, "ab\0cd", 6);
    free(bytes);
    assert_fails(vg_file_read(path, 4, &bytes, &size), VG_ERR_FORMAT, "larger than the 4 bytes");
    assert_fails(vg_file_read(folder, 4, &bytes, &size), VG_ERR_IO, "Is a directory");
    /* A file without a size, as in /proc. */
    if (vg_path_exists("/proc/self/maps")) {
        assert_ok(vg_file_read("/proc/self/maps", 1 << 20, &bytes, &size));
        assert_true(size > 100);
        free(bytes);
    }
    assert_fails(vg_file_read("/dev/zero", 100000, &bytes, &size), VG_ERR_FORMAT, "larger than");
    free(path);
    free(folder);
}

static void test_write(void **state)
{
    (void)state;
    char *folder = support_temp_dir(), *path = support_path(folder, "a");
    assert_ok(vg_file_write(path, "one", 3));
    assert_content(path, "one");
    struct stat info;
    mode_t mask = umask(0);
    umask(mask);
    assert_int_equal(stat(path, &info), 0);
    assert_int_equal(info.st_mode & 0777, 0666 & ~mask);
    assert_ok(vg_file_write(path, NULL, 0));
    assert_content(path, "");
    vg_file_writer *writer;
    assert_ok(vg_file_writer_open(path, &writer));
    assert_ok(vg_file_writer_write(writer, "tw", 2));
    assert_content(path, ""); /* not yet */
    assert_ok(vg_file_writer_write(writer, "o", 1));
    assert_ok(vg_file_writer_commit(writer));
    assert_content(path, "two");
    assert_ok(vg_file_writer_open(path, &writer));
    assert_ok(vg_file_writer_write(writer, "x", 1));
    vg_file_writer_abandon(writer);
    vg_file_writer_abandon(NULL);
    assert_content(path, "two");
    assert_int_equal(count_files(folder), 1);
    char *nowhere = support_path(folder, "no/a"), *below = support_path(path, "b");
    assert_fails(vg_file_write(nowhere, "x", 1), VG_ERR_NOT_FOUND, "no/a: No such file");
    assert_fails(vg_file_write(below, "x", 1), VG_ERR_IO, "Not a directory");
    assert_fails(vg_file_write(folder, "x", 1), VG_ERR_IO, folder);
    free(nowhere);
    free(below);
    free(path);
    free(folder);
}

static void test_interrupted_writes(void **state)
{
    (void)state;
    char *folder = support_temp_dir(), *path = support_path(folder, "a");
    disk.interrupts = 2;
    disk.largest = 3;
    assert_ok(vg_file_write(path, "0123456789", 10));
    assert_content(path, "0123456789");
    reset_disk();
    free(path);
    free(folder);
}

static void assert_failure_keeps_old(const char *folder, const char *path, const char *says)
{
    support_assert_fails(vg_file_write(path, "0123456789", 10), VG_ERR_IO, says, "vg_file_write");
    support_assert_fails(VG_ERR_IO, VG_ERR_IO, path, "the path is named");
    reset_disk();
    assert_content(path, "old");
    assert_int_equal(count_files(folder), 1); /* the temporary file is gone */
}

static void test_full_disk(void **state)
{
    (void)state;
    static const char says[] =
        "No space left on device; free space or choose another place; the old file is intact";
    char *folder = support_temp_dir(), *path = support_path(folder, "a");
    assert_ok(vg_file_write(path, "old", 3));
    disk.room = 0;
    assert_failure_keeps_old(folder, path, says);
    disk.room = 4; /* a short write, then an error */
    assert_failure_keeps_old(folder, path, says);
    disk.fsync_error = ENOSPC; /* the disk tells only when asked */
    assert_failure_keeps_old(folder, path, says);
    disk.close_error = ENOSPC; /* a network file system tells even later */
    assert_failure_keeps_old(folder, path, says);
    disk.fsync_error = EIO;
    assert_failure_keeps_old(folder, path, "Input/output error");
    free(path);
    free(folder);
}

static void test_append(void **state)
{
    (void)state;
    char *folder = support_temp_dir(), *path = support_path(folder, "m.jsonl");
    assert_ok(vg_file_append(path, "one\n", 4));
    assert_ok(vg_file_append(path, "two\n", 4));
    assert_content(path, "one\ntwo\n");
    disk.room = 2;
    assert_fails(vg_file_append(path, "three\n", 6), VG_ERR_IO, "No space left on device");
    reset_disk();
    assert_content(path, "one\ntwo\n"); /* no half line */
    disk.interrupts = 1;
    assert_ok(vg_file_append(path, "four\n", 5));
    assert_content(path, "one\ntwo\nfour\n");
    reset_disk();
    free(path);
    free(folder);
}

/* The kernel itself refuses, by its limit on the size of a file. */
static void test_file_size_limit(void **state)
{
    (void)state;
    char *folder = support_temp_dir(), *path = support_path(folder, "a");
    assert_ok(vg_file_write(path, "old", 3));
    struct rlimit before, small;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    small = before;
    small.rlim_cur = 1000;
    void (*handler)(int) = signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    char large[4096] = "";
    vg_status status = vg_file_write(path, large, sizeof large);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    signal(SIGXFSZ, handler);
    support_assert_fails(status, VG_ERR_IO, "the old file is intact", "vg_file_write");
    assert_content(path, "old");
    assert_int_equal(count_files(folder), 1);
    free(path);
    free(folder);
}

static void test_full_file_system(void **state)
{
    (void)state;
    char *folder = support_temp_dir(), *path = support_path(folder, "a");
    if (mount("tmpfs", folder, "tmpfs", 0, "size=64k") != 0) {
        print_message("skipped: this user may not mount a file system (%s)\n", strerror(errno));
        free(path);
        free(folder);
        skip();
    }
    char large[40000];
    memset(large, 'x', sizeof large);
    vg_status first = vg_file_write(path, large, sizeof large);
    vg_status second = vg_file_write(path, large, sizeof large);
    size_t files = count_files(folder);
    size_t size = 0;
    char *kept = support_read_file(path, &size);
    assert_int_equal(umount(folder), 0);
    assert_int_equal(first, VG_OK);
    support_assert_fails(second, VG_ERR_IO, "No space left on device", "vg_file_write");
    assert_int_equal(files, 1);
    assert_int_equal(size, sizeof large);
    free(kept);
    free(path);
    free(folder);
}

static void test_paths(void **state)
{
    (void)state;
    static const char *const joins[][3] = {
        {"a", "b", "a/b"}, {"a/", "b", "a/b"}, {"/", "b", "/b"}, {"", "b", "b"}, {"a", "/b", "/b"},
    };
    static const char *const folders[][2] = {{"a/b", "a"}, {"a", "."}, {"/a", "/"}, {"/a/b/c", "/a/b"}};
    char *out;
    for (size_t i = 0; i < sizeof joins / sizeof *joins; i++) {
        assert_ok(vg_path_join(joins[i][0], joins[i][1], &out));
        assert_string_equal(out, joins[i][2]);
        free(out);
    }
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
        assert_ok(vg_path_folder(folders[i][0], &out));
        assert_string_equal(out, folders[i][1]);
        free(out);
    }
}

static void test_folders(void **state)
{
    (void)state;
    char *root = support_temp_dir(), *deep = support_path(root, "a/b//c/"), *a = support_path(root, "a");
    char *file = support_path(root, "a/f"), *inside = support_path(root, "a/f/g"),
         *link = support_path(root, "a/b/link");
    char *outside = support_path(root, "outside");
    assert_ok(vg_folder_make(deep));
    assert_ok(vg_folder_make(deep));
    assert_true(vg_path_is_folder(deep));
    assert_ok(vg_file_write(file, "x", 1));
    assert_true(vg_path_exists(file));
    assert_false(vg_path_is_folder(file));
    assert_fails(vg_folder_make(inside), VG_ERR_IO, "a/f: Not a directory");
    assert_fails(vg_folder_make(""), VG_ERR_CONFIG, "empty");
    char **names;
    size_t count;
    assert_ok(vg_folder_list(a, &names, &count));
    assert_int_equal(count, 2);
    assert_string_equal(names[0], "b");
    assert_string_equal(names[1], "f");
    vg_names_free(names, count);
    assert_fails(vg_folder_list(file, &names, &count), VG_ERR_IO, "Not a directory");
    /* A link is removed; what it points to stays. */
    assert_ok(vg_file_write(outside, "kept", 4));
    assert_int_equal(symlink(root, link), 0);
    assert_ok(vg_folder_sync(a));
    assert_ok(vg_folder_remove(a));
    assert_false(vg_path_exists(a));
    assert_content(outside, "kept");
    assert_ok(vg_folder_remove(a));
    assert_ok(vg_file_remove(file));
    assert_fails(vg_path_rename(outside, file), VG_ERR_NOT_FOUND, "a/f: No such file");
    assert_ok(vg_file_remove(outside));
    assert_false(vg_path_exists(outside));
    free(root), free(deep), free(a), free(file), free(inside), free(link), free(outside);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_read),
        cmocka_unit_test(test_write),
        cmocka_unit_test(test_interrupted_writes),
        cmocka_unit_test(test_full_disk),
        cmocka_unit_test(test_append),
        cmocka_unit_test(test_file_size_limit),
        cmocka_unit_test(test_paths),
        cmocka_unit_test(test_full_file_system),
        cmocka_unit_test(test_folders),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
