#include "tests/fuzz/fuzz.h"

#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "core/log.h"

static void fill(int file, const uint8_t *data, size_t size)
{
    FUZZ_CHECK(ftruncate(file, 0) == 0 && pwrite(file, data, size, 0) == (ssize_t)size);
}

const char *fuzz_file(int number, const uint8_t *data, size_t size)
{
    static int file[FUZZ_FILES];
    static char path[FUZZ_FILES][64];
    if (!*path[number]) {
        file[number] = (int)syscall(SYS_memfd_create, "fuzz", 0);
        FUZZ_CHECK(file[number] >= 0);
        snprintf(path[number], sizeof path[number], "/proc/self/fd/%d", file[number]);
    }
    fill(file[number], data, size);
    return path[number];
}

static char folder[64];

/* Files of one level; the folder goes with the program unless it crashes, and run.py removes it then. */
static void remove_folder(void)
{
    char command[96];
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    if (system(command) != 0) fprintf(stderr, "%s could not be removed\n", folder);
}

const char *fuzz_named_file(const char *name, const uint8_t *data, size_t size)
{
    static char path[256];
    if (!*folder) {
        const char *base = getenv("VAGUS_FUZZ_FOLDER");
        struct stat info;
        if (!base) base = stat("/dev/shm", &info) == 0 ? "/dev/shm" : "/tmp";
        snprintf(folder, sizeof folder, "%.40s/fuzz-XXXXXX", base);
        FUZZ_CHECK(mkdtemp(folder));
        atexit(remove_folder);
    }
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "wb");
    FUZZ_CHECK(file && fwrite(data, 1, size, file) == size && fclose(file) == 0);
    return path;
}

bool fuzz_good(vg_status status)
{
    vg_log_set_level(VG_LOG_ERROR);
    if (status == VG_OK) return true;
    FUZZ_CHECK(*vg_cause());
    return false;
}

char *fuzz_take_text(const uint8_t **data, size_t *size)
{
    size_t length = 0, rest = 0;
    bool found = false;
    for (size_t i = 0; i + 4 <= *size && !found; i++)
        if ((i == 0 || (*data)[i - 1] == '\n') && memcmp(*data + i, "---\n", 4) == 0) {
            length = i;
            rest = i + 4;
            found = true;
        }
    if (!found) length = rest = *size;
    char *text = malloc(length + 1);
    FUZZ_CHECK(text);
    memcpy(text, *data, length);
    text[length] = 0;
    *data += rest;
    *size -= rest;
    return text;
}
