#include "datasets/import/pipeline/files.h"

#include <dirent.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

enum { MAX_DEPTH = 16, PATH_SIZE = 4096 };

const char *vg__file_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

void vg__file_stem(const char *path, char *stem, size_t size)
{
    const char *name = vg__file_name(path), *dot = strrchr(name, '.');
    size_t length = dot && dot > name ? (size_t)(dot - name) : strlen(name);
    if (length >= size) length = size - 1;
    memcpy(stem, name, length);
    stem[length] = 0;
}

/* Calls for each word of `endings`; true when the name ends in one of them. */
static bool has_ending(const char *name, const char *endings)
{
    size_t length = strlen(name);
    while (*endings) {
        size_t word = strcspn(endings, " ");
        if (word > 0 && length > word && strncasecmp(name + length - word, endings, word) == 0) return true;
        endings += word + strspn(endings + word, " ");
    }
    return false;
}

vg_status vg__files_keep(vg__files *files, const char *path)
{
    /* Grows by doubling: the capacity is the next power of two of the count. */
    if ((files->count & (files->count - 1)) == 0) {
        size_t capacity = files->count ? (size_t)files->count * 2 : 1;
        char **grown = realloc(files->path, capacity * sizeof *grown);
        if (!grown) return vg_fail(VG_ERR_MEMORY, "no memory for a list of files");
        files->path = grown;
    }
    files->path[files->count] = strdup(path);
    if (!files->path[files->count]) return vg_fail(VG_ERR_MEMORY, "no memory for a list of files");
    files->count++;
    return VG_OK;
}

/* The folders that one is in, so that a link back to one of them is not followed for ever. */
typedef struct chain {
    const struct chain *above;
    dev_t device;
    ino_t inode;
} chain;

static vg_status walk(vg__files *files, const char *folder, const char *endings, const chain *above,
                      int depth)
{
    vg_status status = VG_OK;
    if (depth > MAX_DEPTH) return vg_fail(VG_ERR_IO, "%s: more than %d folders deep", folder, MAX_DEPTH);
    DIR *dir = opendir(folder);
    if (!dir) return vg_fail(VG_ERR_IO, "%s: cannot be opened: %s", folder, strerror(errno));
    chain here = {.above = above};
    struct stat own;
    if (fstat(dirfd(dir), &own) != 0) {
        status = vg_fail(VG_ERR_IO, "%s: cannot be looked at: %s", folder, strerror(errno));
        goto out;
    }
    here.device = own.st_dev;
    here.inode = own.st_ino;
    for (; above; above = above->above)
        if (above->device == here.device && above->inode == here.inode) goto out;
    for (struct dirent *entry; (entry = readdir(dir));) {
        char path[PATH_SIZE];
        struct stat info;
        if (entry->d_name[0] == '.') continue;
        if (snprintf(path, sizeof path, "%s/%s", folder, entry->d_name) >= (int)sizeof path) {
            status = vg_fail(VG_ERR_IO, "%s: a path in it is too long", folder);
            goto out;
        }
        if (stat(path, &info) != 0) continue; /* a dangling link */
        if (S_ISDIR(info.st_mode))
            VG_TRY_OUT(walk(files, path, endings, &here, depth + 1));
        else if (has_ending(entry->d_name, endings))
            VG_TRY_OUT(vg__files_keep(files, path));
    }
out:
    closedir(dir);
    return status;
}

static int by_name(const void *left, const void *right)
{
    return strcmp(*(char *const *)left, *(char *const *)right);
}

/* A name without its ending, as "mitdb/100". */
static vg_status with_ending(vg__files *files, const char *source, const char *endings)
{
    const char *all = endings;
    while (*endings) {
        char path[PATH_SIZE];
        struct stat info;
        size_t word = strcspn(endings, " ");
        int length = snprintf(path, sizeof path, "%s%.*s", source, (int)word, endings);
        if (length < (int)sizeof path && stat(path, &info) == 0 && S_ISREG(info.st_mode))
            return vg__files_keep(files, path);
        endings += word + strspn(endings + word, " ");
    }
    return vg_fail(VG_ERR_NOT_FOUND, "%s: no such file or folder (nor with %s behind it)", source, all);
}

vg_status vg__files_find(const char *const *sources, int count, const char *endings, vg__files *files)
{
    vg_status status = VG_OK;
    *files = (vg__files){0};
    for (int i = 0; i < count; i++) {
        struct stat info;
        int64_t before = files->count;
        if (stat(sources[i], &info) != 0) {
            VG_TRY_OUT(with_ending(files, sources[i], endings));
        } else if (S_ISDIR(info.st_mode)) {
            VG_TRY_OUT(walk(files, sources[i], endings, NULL, 0));
            if (files->count == before) {
                status = vg_fail(VG_ERR_NOT_FOUND, "%s: no file in it ends in %s", sources[i], endings);
                goto out;
            }
            qsort(files->path + before, (size_t)(files->count - before), sizeof *files->path, by_name);
        } else {
            VG_TRY_OUT(vg__files_keep(files, sources[i]));
        }
    }
out:
    if (status != VG_OK) vg__files_free(files);
    return status;
}

void vg__files_free(vg__files *files)
{
    for (int64_t i = 0; i < files->count; i++) free(files->path[i]);
    free(files->path);
    *files = (vg__files){0};
}

/* The last `parts` names of a path; the path itself when it has no more. */
static const char *last_parts(const char *path, int parts)
{
    const char *p = path + strlen(path);
    for (; p > path; p--)
        if (p[-1] == '/' && --parts == 0) break;
    return p;
}

static size_t without_ending(const char *path)
{
    const char *name = vg__file_name(path), *dot = strrchr(name, '.');
    return dot && dot > name ? (size_t)(dot - path) : strlen(path);
}

void vg__files_label(const vg__files *files, int64_t index, char label[VG__FILE_LABEL])
{
    const char *path = files->path[index], *from = last_parts(path, 1);
    size_t length = without_ending(path);
    int parts = 1;
    for (int64_t i = 0; i < files->count; i++) {
        const char *other = files->path[i];
        size_t other_length = without_ending(other);
        if (i == index || strcmp(path, other) == 0) continue;
        for (;;) {
            const char *tail = last_parts(other, parts);
            size_t size = (size_t)(path + length - from);
            if ((size_t)(other + other_length - tail) != size || strncmp(from, tail, size) != 0) break;
            if (from == path) { /* only their endings differ, or where they begin */
                length = strlen(path);
                break;
            }
            from = last_parts(path, ++parts);
        }
    }
    size_t size = (size_t)(path + length - from), cut = size < VG__FILE_LABEL ? 0 : size - VG__FILE_LABEL + 1;
    snprintf(label, VG__FILE_LABEL, "%.*s", (int)(size - cut), from + cut);
}

vg_status vg__file_read(const char *path, int64_t limit, char **bytes, int64_t *size)
{
    vg_status status = VG_OK;
    struct stat info;
    char *content = NULL;
    FILE *file = fopen(path, "rb");
    if (!file)
        return vg_fail(errno == ENOENT ? VG_ERR_NOT_FOUND : VG_ERR_IO, "%s: cannot be opened: %s", path,
                       strerror(errno));
    if (fstat(fileno(file), &info) != 0 || !S_ISREG(info.st_mode)) {
        status = vg_fail(VG_ERR_IO, "%s: is not a file", path);
        goto out;
    }
    if (info.st_size > limit) {
        status = vg_fail(VG_ERR_FORMAT, "%s: %lld bytes, more than the %lld expected at most", path,
                         (long long)info.st_size, (long long)limit);
        goto out;
    }
    content = malloc((size_t)info.st_size + 1);
    if (!content) {
        status = vg_fail(VG_ERR_MEMORY, "%s: no memory for %lld bytes", path, (long long)info.st_size);
        goto out;
    }
    if (fread(content, 1, (size_t)info.st_size, file) != (size_t)info.st_size) {
        status = vg_fail(VG_ERR_IO, "%s: cannot be read: %s", path, strerror(errno));
        goto out;
    }
    content[info.st_size] = 0;
    *bytes = content;
    *size = info.st_size;
    content = NULL;
out:
    free(content);
    fclose(file);
    return status;
}
