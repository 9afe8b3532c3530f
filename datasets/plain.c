#include "datasets/plain.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/file.h"
#include "core/log.h"
#include "core/signals.h"

enum { HEADER = 512, PIECE = 1 << 18 }; /* bytes compared of the first block; samples decoded at a time */

#define ENDING ".f32"

int64_t vg__plain_samples(const vg_store *store)
{
    const int64_t block = VG__PLAIN_BLOCK / (int64_t)sizeof(float);
    return (vg_store_sample_count(store) + block - 1) / block * block;
}

/* What identifies the samples and where they lie: FNV-1a over every recording's place and fingerprint. */
static uint64_t hash_of(const vg_store *store)
{
    uint64_t hash = 14695981039346656037u;
    for (int64_t i = 0; i < vg_store_recording_count(store); i++) {
        const vg_recording *recording = vg_store_recording(store, i);
        const uint64_t words[] = {(uint64_t)recording->offset, (uint64_t)recording->length,
                                  recording->fingerprint};
        for (int k = 0; k < 3; k++) {
            hash = (hash ^ words[k]) * 1099511628211u;
            hash ^= hash >> 32;
        }
    }
    return hash;
}

static void make_header(const vg_store *store, char header[HEADER])
{
    memset(header, 0, HEADER);
    snprintf(
        header, HEADER,
        "vagus plain signal 1\nfingerprint %016" PRIx64 "\nsamples %" PRId64
        "\nA copy of what a store holds, made so that it can be mapped into memory; remove it at any time.\n",
        hash_of(store), vg_store_sample_count(store));
}

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

/* "NAME.HASH.f32" beside the store; in the folder for copies, where stores of one name may meet, also a hash
 * of where the store lies. */
static vg_status name_copy(const vg_store *store, char **folder, char **path)
{
    char name[512], place[PATH_MAX];
    const char *cache = getenv("VAGUS_CACHE"), *store_path = vg_store_path(store);
    if (!cache || !*cache) {
        VG_TRY(vg_path_folder(store_path, folder));
        snprintf(name, sizeof name, "%.200s.%016" PRIx64 ENDING, base_name(store_path), hash_of(store));
        return vg_path_join(*folder, name, path);
    }
    *folder = strdup(cache);
    if (!*folder) return vg_fail(VG_ERR_MEMORY, "the name of a folder");
    VG_TRY(vg_folder_make(cache));
    if (!realpath(store_path, place)) snprintf(place, sizeof place, "%s", store_path);
    uint32_t where = 2166136261u;
    for (const char *c = place; *c; c++) where = (where ^ (unsigned char)*c) * 16777619u;
    snprintf(name, sizeof name, "%.200s.%08" PRIx32 ".%016" PRIx64 ENDING, base_name(store_path), where,
             hash_of(store));
    return vg_path_join(cache, name, path);
}

/* The copy, open, when it is there and what it should be; else -1. */
static int open_valid(const vg_store *store, const char *path)
{
    char wanted[HEADER], found[HEADER];
    struct stat about;
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0) return -1;
    make_header(store, wanted);
    int64_t size = VG__PLAIN_BLOCK + vg__plain_samples(store) * (int64_t)sizeof(float);
    if (fstat(file, &about) == 0 && about.st_size == size && pread(file, found, HEADER, 0) == HEADER &&
        memcmp(wanted, found, HEADER) == 0)
        return file;
    close(file);
    return -1;
}

/* Copies of what the store was before: the same name with another hash. */
static void remove_stale(const char *folder, const char *path)
{
    const char *name = base_name(path);
    const size_t length = strlen(name), ending = strlen(ENDING), stem = length - 16 - ending;
    char **names;
    size_t count;
    if (vg_folder_list(*folder ? folder : ".", &names, &count) != VG_OK) return;
    for (size_t i = 0; i < count; i++) {
        const char *other = names[i];
        if (strlen(other) != length || strncmp(other, name, stem) || !strcmp(other, name)) continue;
        if (strspn(other + stem, "0123456789abcdef") != 16 || strcmp(other + stem + 16, ENDING)) continue;
        char *old;
        if (vg_path_join(*folder ? folder : ".", other, &old) != VG_OK) break;
        if (unlink(old) == 0) vg_info("%s: removed, the store has changed since", old);
        free(old);
    }
    vg_names_free(names, count);
}

static vg_status write_all(int file, const void *bytes, size_t size, int64_t at)
{
    for (const char *from = bytes; size;) {
        ssize_t done = pwrite(file, from, size, (off_t)at);
        if (done < 0 && errno == EINTR) continue;
        if (done <= 0) return VG_ERR_IO;
        from += done;
        at += done;
        size -= (size_t)done;
    }
    return VG_OK;
}

static vg_status no_room(const vg_store *store, const char *path, const char *words)
{
    double gib = (double)vg__plain_samples(store) * sizeof(float) / (1 << 30);
    return vg_fail(
        VG_ERR_IO,
        "%s: the plain copy of %s (%.3g GiB) cannot be written: %s; set VAGUS_CACHE to a folder on a disk "
        "with room for it, or data.memory_gib to more than the data take",
        path, vg_store_path(store), gib, words);
}

/* The recordings, piece by piece; what lies between them stays zero. */
static vg_status write_copy(vg_store *store, const char *path, int file)
{
    vg_status status = VG_OK;
    char header[HEADER];
    float *piece = malloc(PIECE * sizeof *piece);
    if (!piece) return vg_fail(VG_ERR_MEMORY, "no memory for %d samples", PIECE);
    int64_t size = VG__PLAIN_BLOCK + vg__plain_samples(store) * (int64_t)sizeof(float);
    make_header(store, header);
    if (ftruncate(file, 0) != 0 || ftruncate(file, (off_t)size) != 0 ||
        write_all(file, header, HEADER, 0) != VG_OK) {
        status = no_room(store, path, strerror(errno));
        goto out;
    }
    for (int64_t i = 0; i < vg_store_recording_count(store); i++) {
        const vg_recording *recording = vg_store_recording(store, i);
        for (int64_t start = 0; start < recording->length; start += PIECE) {
            int64_t count = recording->length - start < PIECE ? recording->length - start : PIECE;
            if (vg_stop_requested()) {
                status = vg_fail(VG_ERR_PREEMPTED, "stopped while %s was being written", path);
                goto out;
            }
            VG_TRY_OUT(vg_store_read(store, i, start, count, piece));
            if (write_all(file, piece, (size_t)count * sizeof *piece,
                          VG__PLAIN_BLOCK + (recording->offset + start) * (int64_t)sizeof *piece) != VG_OK) {
                status = no_room(store, path, strerror(errno));
                goto out;
            }
        }
    }
out:
    free(piece);
    return status;
}

/* Waits for the lock of an open file. A file system without locks has everybody write on his own. */
static vg_status wait_for_lock(int file, const char *path, bool *locked)
{
    *locked = true;
    while (flock(file, LOCK_EX) != 0) {
        if (errno == EINTR && !vg_stop_requested()) continue;
        if (errno == EINTR)
            return vg_fail(VG_ERR_PREEMPTED, "stopped while another process was writing %s", path);
        *locked = false;
        break;
    }
    return VG_OK;
}

/* One attempt under the name `part`: whoever holds its lock writes it and gives it its final name, and who
 * waited for the lock finds that the file has moved away. *file stays -1 then, or when the copy appeared
 * meanwhile. */
static vg_status write_part(vg_store *store, const char *path, const char *part, int *file)
{
    vg_status status = VG_OK;
    struct stat mine, there;
    bool locked;
    *file = -1;
    int opened = open(part, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (opened < 0) return no_room(store, part, strerror(errno));
    VG_TRY_OUT(wait_for_lock(opened, part, &locked));
    if (fstat(opened, &mine) != 0 || stat(part, &there) != 0 || mine.st_ino != there.st_ino ||
        mine.st_dev != there.st_dev)
        goto out;
    int valid = open_valid(store, path);
    if (valid >= 0) {
        close(valid);
        unlink(part);
        goto out;
    }
    vg_info("%s: larger than data.memory_gib, so a plain copy is made: %s (%.1f MiB)", vg_store_path(store),
            path, (double)vg__plain_samples(store) * sizeof(float) / (1 << 20));
    status = write_copy(store, path, opened);
    if (status == VG_OK && rename(part, path) != 0) status = no_room(store, path, strerror(errno));
    if (status != VG_OK) {
        unlink(part);
        goto out;
    }
    if (locked) flock(opened, LOCK_UN);
    *file = opened;
    opened = -1;
out:
    if (opened >= 0) close(opened);
    return status;
}

vg_status vg__plain_open(vg_store *store, vg__plain *out)
{
    vg_status status = VG_OK;
    char *folder = NULL, *part = NULL;
    *out = (vg__plain){.file = -1};
    VG_TRY_OUT(name_copy(store, &folder, &out->path));
    size_t size = strlen(out->path) + 8;
    part = malloc(size);
    if (!part) {
        status = vg_fail(VG_ERR_MEMORY, "the name of a file");
        goto out;
    }
    snprintf(part, size, "%s.part", out->path);
    while (out->file < 0) {
        out->file = open_valid(store, out->path);
        if (out->file >= 0) break;
        VG_TRY_OUT(write_part(store, out->path, part, &out->file));
        out->fresh = out->file >= 0;
    }
    if (out->fresh) remove_stale(folder, out->path);
out:
    free(part);
    free(folder);
    if (status != VG_OK) vg__plain_close(out);
    return status;
}

void vg__plain_remove(const vg__plain *plain)
{
    struct stat mine, there;
    if (fstat(plain->file, &mine) == 0 && stat(plain->path, &there) == 0 && mine.st_ino == there.st_ino &&
        mine.st_dev == there.st_dev)
        unlink(plain->path);
}

void vg__plain_close(vg__plain *plain)
{
    if (plain->file >= 0) close(plain->file);
    free(plain->path);
    *plain = (vg__plain){.file = -1};
}
