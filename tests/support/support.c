#include "support.h"

#include <ftw.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void support_assert_fails(vg_status got, vg_status expected, const char *text, const char *expression)
{
    if (got != expected)
        fail_msg("%s: got %s (%s), want %s", expression, vg_status_name(got), got ? vg_cause() : "",
                 vg_status_name(expected));
    if (!strstr(vg_cause(), text))
        fail_msg("%s: the cause \"%s\" does not say \"%s\"", expression, vg_cause(), text);
}

uint64_t support_seed(void)
{
    static int printed;
    const char *text = getenv("VAGUS_TEST_SEED");
    uint64_t seed = text ? strtoull(text, NULL, 0) : 20220601u;
    if (!printed++) printf("seed %" PRIu64 " (set VAGUS_TEST_SEED to replay another)\n", seed);
    return seed;
}

enum { MAX_DIRS = 64 };
static char *temp_dirs[MAX_DIRS];
static int temp_count;

static int remove_entry(const char *path, const struct stat *info, int kind, struct FTW *walk)
{
    (void)info;
    (void)kind;
    (void)walk;
    return remove(path);
}

static void remove_temp_dirs(void)
{
    for (int i = 0; i < temp_count; i++) {
        nftw(temp_dirs[i], remove_entry, 16, FTW_DEPTH | FTW_PHYS);
        free(temp_dirs[i]);
    }
}

char *support_temp_dir(void)
{
    const char *root = getenv("TMPDIR");
    char *path = support_path(root ? root : "/tmp", "vagus-test-XXXXXX");
    if (!mkdtemp(path)) fail_msg("cannot make a folder %s", path);
    if (temp_count == 0) atexit(remove_temp_dirs);
    assert_true(temp_count < MAX_DIRS);
    temp_dirs[temp_count++] = strdup(path);
    return path;
}

char *support_path(const char *folder, const char *name)
{
    size_t size = strlen(folder) + strlen(name) + 2;
    char *path = malloc(size);
    assert_non_null(path);
    snprintf(path, size, "%s/%s", folder, name);
    return path;
}

const char *support_data(void)
{
    return getenv("VAGUS_TEST_DATA");
}

void support_skip_without_data(void)
{
    if (support_data()) return;
    printf("skipped: VAGUS_TEST_DATA does not name the folder of recordings\n");
    exit(77);
}

void support_write_file(const char *path, const void *bytes, size_t size)
{
    FILE *file = fopen(path, "wb");
    if (!file) fail_msg("cannot write %s", path);
    assert_int_equal(fwrite(bytes, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
}

void *support_read_file(const char *path, size_t *size)
{
    FILE *file = fopen(path, "rb");
    if (!file) fail_msg("cannot read %s", path);
    fseek(file, 0, SEEK_END);
    long length = ftell(file);
    rewind(file);
    char *bytes = malloc((size_t)length + 1);
    assert_non_null(bytes);
    assert_int_equal(fread(bytes, 1, (size_t)length, file), length);
    bytes[length] = 0;
    fclose(file);
    if (size) *size = (size_t)length;
    return bytes;
}
