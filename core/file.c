#include "core/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/text.h"

vg_status vg__file_failed(const char *doing, const char *path, int error, const char *file, int line)
{
    const char *advice = "";
    if (error == ENOSPC || error == EDQUOT || error == EFBIG)
        advice = "; free space or choose another place; the old file is intact";
    else if (error == EACCES || error == EPERM || error == EROFS)
        advice = "; check the permissions or choose another place";
    return vg__fail(error == ENOENT ? VG_ERR_NOT_FOUND : VG_ERR_IO, file, line, "cannot %s %s: %s%s", doing,
                    path, strerror(error), advice);
}

int vg__write_all(int descriptor, const void *bytes, size_t size)
{
    const char *at = bytes;
    while (size) {
        ssize_t written = write(descriptor, at, size);
        if (written < 0 && errno == EINTR) continue;
        if (written < 0) return -1;
        if (written == 0) { /* a regular file that takes nothing is full */
            errno = ENOSPC;
            return -1;
        }
        at += written;
        size -= (size_t)written;
    }
    return 0;
}

vg_status vg_file_read(const char *path, size_t limit, char **bytes, size_t *size)
{
    vg_status status = VG_OK;
    char *content = NULL;
    struct stat info;
    VG_ASSERT(limit < SIZE_MAX / 4);
    int descriptor = open(path, O_RDONLY | O_CLOEXEC);
    if (descriptor < 0) return vg__file_fail("open", path, errno);
    if (fstat(descriptor, &info) != 0) {
        status = vg__file_fail("look at", path, errno);
        goto out;
    }
    if (S_ISDIR(info.st_mode)) {
        status = vg__file_fail("read", path, EISDIR);
        goto out;
    }
    /* The size is a first guess: a pipe has none, and a file may grow while it is read. There is room for one
     * byte more than expected, which tells the end of the file without another round, and for the zero. */
    size_t length = 0, room = (info.st_size > 0 ? (size_t)info.st_size : 4096) + 2;
    for (;;) {
        if (!content || length + 1 == room) {
            if (content) room *= 2;
            if (room > limit + 2) room = limit + 2;
            char *grown = realloc(content, room);
            if (!grown) {
                status = vg_fail(VG_ERR_MEMORY, "out of memory while reading %s", path);
                goto out;
            }
            content = grown;
        }
        ssize_t got = read(descriptor, content + length, room - 1 - length);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) {
            status = vg__file_fail("read", path, errno);
            goto out;
        }
        if (got == 0) break;
        length += (size_t)got;
        if (length > limit) {
            status =
                vg_fail(VG_ERR_FORMAT, "%s is larger than the %zu bytes such a file may have", path, limit);
            goto out;
        }
    }
    content[length] = 0;
    *bytes = content;
    content = NULL;
    if (size) *size = length;
out:
    free(content);
    close(descriptor);
    return status;
}

struct vg_file_writer {
    char *path, *temporary;
    int descriptor;
};

static void writer_free(vg_file_writer *writer)
{
    if (!writer) return;
    if (writer->descriptor >= 0) {
        close(writer->descriptor);
        unlink(writer->temporary);
    }
    free(writer->path);
    free(writer->temporary);
    free(writer);
}

/* ".name.tmp-PID-NUMBER" in the folder of `path`. */
static vg_status temporary_name(const char *path, unsigned number, char **out)
{
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    vg_text text = {0};
    vg_text_add(&text, "%.*s.%s.tmp-%ld-%u", (int)(name - path), path, name, (long)getpid(), number);
    return vg_text_take(&text, out);
}

vg_status vg_file_writer_open(const char *path, vg_file_writer **out)
{
    static atomic_uint counter;
    vg_status status = VG_OK;
    vg_file_writer *writer = calloc(1, sizeof *writer);
    if (!writer) return vg_fail(VG_ERR_MEMORY, "out of memory while opening %s", path);
    writer->descriptor = -1;
    VG_TRY_OUT(vg_text_copy(path, &writer->path));
    /* A name can be taken by what a killed process with the same number left behind: try the next one. */
    for (int attempt = 0; writer->descriptor < 0; attempt++) {
        free(writer->temporary);
        writer->temporary = NULL;
        VG_TRY_OUT(temporary_name(path, atomic_fetch_add(&counter, 1), &writer->temporary));
        writer->descriptor = open(writer->temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (writer->descriptor < 0 && (errno != EEXIST || attempt == 100)) {
            status = vg__file_fail("write", path, errno);
            goto out;
        }
    }
    *out = writer;
    writer = NULL;
out:
    writer_free(writer);
    return status;
}

vg_status vg_file_writer_write(vg_file_writer *writer, const void *bytes, size_t size)
{
    if (vg__write_all(writer->descriptor, bytes, size) != 0)
        return vg__file_fail("write", writer->path, errno);
    return VG_OK;
}

vg_status vg_file_writer_commit(vg_file_writer *writer)
{
    vg_status status = VG_OK;
    if (fsync(writer->descriptor) != 0) {
        status = vg__file_fail("write", writer->path, errno);
        goto out;
    }
    int closed = close(writer->descriptor);
    writer->descriptor = -1;
    if (closed != 0) {
        status = vg__file_fail("write", writer->path, errno);
        unlink(writer->temporary);
        goto out;
    }
    status = vg_path_rename(writer->temporary, writer->path);
    if (status != VG_OK) unlink(writer->temporary);
out:
    writer_free(writer);
    return status;
}

void vg_file_writer_abandon(vg_file_writer *writer)
{
    writer_free(writer);
}

vg_status vg_file_write(const char *path, const void *bytes, size_t size)
{
    vg_file_writer *writer;
    VG_TRY(vg_file_writer_open(path, &writer));
    vg_status status = vg_file_writer_write(writer, bytes, size);
    if (status == VG_OK) return vg_file_writer_commit(writer);
    vg_file_writer_abandon(writer);
    return status;
}

vg_status vg_file_append(const char *path, const void *bytes, size_t size)
{
    vg_status status = VG_OK;
    int descriptor = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0666);
    if (descriptor < 0) return vg__file_fail("append to", path, errno);
    off_t before = lseek(descriptor, 0, SEEK_END);
    ssize_t written;
    do {
        written = write(descriptor, bytes, size);
    } while (written < 0 && errno == EINTR);
    if (written < 0) {
        status = vg__file_fail("append to", path, errno);
    } else if ((size_t)written != size) { /* half a line is worse than none: take it back */
        int cut = ftruncate(descriptor, before);
        (void)cut;
        status = vg__file_fail("append to", path, ENOSPC);
    }
    if (close(descriptor) != 0 && status == VG_OK) status = vg__file_fail("append to", path, errno);
    return status;
}

bool vg_path_exists(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0;
}

bool vg_path_is_folder(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

vg_status vg_path_join(const char *folder, const char *name, char **out)
{
    size_t length = strlen(folder);
    if (name[0] == '/') length = 0;
    bool slash = length && folder[length - 1] != '/';
    vg_text text = {0};
    vg_text_append(&text, folder, length);
    vg_text_add(&text, "%s%s", slash ? "/" : "", name);
    return vg_text_take(&text, out);
}

vg_status vg_path_folder(const char *path, char **out)
{
    const char *slash = strrchr(path, '/');
    size_t length = slash ? (size_t)(slash - path) : 1;
    vg_text text = {0};
    vg_text_append(&text, slash ? path : ".", slash && slash == path ? 1 : length);
    return vg_text_take(&text, out);
}

vg_status vg_path_rename(const char *from, const char *to)
{
    char *folder = NULL;
    if (rename(from, to) != 0) return vg__file_fail("write", to, errno);
    VG_TRY(vg_path_folder(to, &folder));
    vg_status status = vg_folder_sync(folder);
    free(folder);
    return status;
}

vg_status vg_file_remove(const char *path)
{
    if (unlink(path) != 0 && errno != ENOENT) return vg__file_fail("remove", path, errno);
    return VG_OK;
}

vg_status vg_folder_make(const char *path)
{
    vg_status status = VG_OK;
    char *copy;
    if (!path[0]) return vg_fail(VG_ERR_CONFIG, "cannot make a folder whose name is empty");
    VG_TRY(vg_text_copy(path, &copy));
    for (char *at = copy + 1;; at++) {
        if (*at != '/' && *at != 0) continue;
        char held = *at;
        *at = 0;
        if (mkdir(copy, 0777) != 0 && !(errno == EEXIST && vg_path_is_folder(copy))) {
            status = vg__file_fail("make the folder", copy, errno == EEXIST ? ENOTDIR : errno);
            /* A missing step cannot be: it would have been made. What is missing is the permission or, for
             * "", the name. */
            if (status == VG_ERR_NOT_FOUND) status = VG_ERR_IO;
            break;
        }
        if (!held) break;
        *at = held;
    }
    free(copy);
    return status;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

vg_status vg_folder_list(const char *path, char ***names, size_t *count)
{
    vg_status status = VG_OK;
    char **list = NULL;
    size_t used = 0, capacity = 0;
    DIR *folder = opendir(path);
    if (!folder) return vg__file_fail("list the folder", path, errno);
    for (;;) {
        errno = 0;
        struct dirent *entry = readdir(folder);
        if (!entry) {
            if (errno) status = vg__file_fail("list the folder", path, errno);
            break;
        }
        if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, "..")) continue;
        if (used == capacity) {
            capacity = capacity ? 2 * capacity : 16;
            char **grown = realloc(list, capacity * sizeof *grown);
            if (!grown) {
                status = vg_fail(VG_ERR_MEMORY, "out of memory while listing %s", path);
                break;
            }
            list = grown;
        }
        status = vg_text_copy(entry->d_name, &list[used]);
        if (status != VG_OK) break;
        used++;
    }
    closedir(folder);
    if (status != VG_OK) {
        vg_names_free(list, used);
        return status;
    }
    if (used) qsort(list, used, sizeof *list, by_name);
    *names = list;
    *count = used;
    return VG_OK;
}

void vg_names_free(char **names, size_t count)
{
    for (size_t i = 0; i < count; i++) free(names[i]);
    free(names);
}

vg_status vg_folder_remove(const char *path)
{
    vg_status status = VG_OK;
    struct stat info;
    char **names = NULL, *inner = NULL;
    size_t count = 0;
    if (lstat(path, &info) != 0) return errno == ENOENT ? VG_OK : vg__file_fail("remove", path, errno);
    if (!S_ISDIR(info.st_mode)) return vg_file_remove(path);
    VG_TRY(vg_folder_list(path, &names, &count));
    for (size_t i = 0; i < count; i++) {
        VG_TRY_OUT(vg_path_join(path, names[i], &inner));
        VG_TRY_OUT(vg_folder_remove(inner));
        free(inner);
        inner = NULL;
    }
    if (rmdir(path) != 0 && errno != ENOENT) status = vg__file_fail("remove", path, errno);
out:
    free(inner);
    vg_names_free(names, count);
    return status;
}

vg_status vg_folder_sync(const char *path)
{
    vg_status status = VG_OK;
    int descriptor = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (descriptor < 0) return vg__file_fail("open the folder", path, errno);
    /* Some network file systems know no fsync of folders; there a rename is as lasting as it gets. */
    if (fsync(descriptor) != 0 && errno != EINVAL && errno != ENOTSUP)
        status = vg__file_fail("write the folder", path, errno);
    close(descriptor);
    return status;
}
