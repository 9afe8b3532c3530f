#include "core/download_part.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "core/file.h"
#include "core/text.h"

/* Brings the sum up to the bytes that are there, and leaves the place of the next one behind them. */
static vg_status take_up(vg__part *part)
{
    char piece[1 << 14];
    for (part->size = 0;;) {
        ssize_t count = read(part->descriptor, piece, sizeof piece);
        if (count < 0 && errno == EINTR) continue;
        if (count < 0) return vg__file_fail("read", part->path, errno);
        if (count == 0) return VG_OK;
        VG_TRY(vg_sha256_add(part->hash, piece, (size_t)count));
        part->size += count;
    }
}

vg_status vg__part_open(const char *path, vg__part *part)
{
    vg_status status = VG_OK;
    char *folder = NULL;
    vg_text name = {0};
    *part = (vg__part){.descriptor = -1};
    VG_TRY_OUT(vg_path_folder(path, &folder));
    VG_TRY_OUT(vg_folder_make(folder));
    VG_TRY_OUT(vg_text_copy(path, &part->whole));
    vg_text_add(&name, "%s.part", path);
    VG_TRY_OUT(vg_text_take(&name, &part->path));
    part->descriptor = open(part->path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (part->descriptor < 0) {
        status = vg__file_fail("write", part->path, errno);
        goto out;
    }
    VG_TRY_OUT(vg_sha256_create(&part->hash));
    status = take_up(part);
out:
    free(folder);
    if (status != VG_OK) vg__part_close(part, true);
    return status;
}

vg_status vg__part_append(vg__part *part, const void *bytes, size_t count)
{
    const char *at = bytes;
    for (size_t left = count; left;) {
        ssize_t written = write(part->descriptor, at, left);
        if (written < 0 && errno == EINTR) continue;
        if (written <= 0) {
            const char *words = strerror(written < 0 ? errno : ENOSPC);
            return vg_fail(VG_ERR_IO,
                           "cannot write %s: %s; its %" PRId64 " bytes are kept: free space and fetch again, "
                           "or choose another folder",
                           part->path, words, part->size);
        }
        VG_TRY(vg_sha256_add(part->hash, at, (size_t)written));
        at += written;
        left -= (size_t)written;
        part->size += written;
    }
    return VG_OK;
}

vg_status vg__part_empty(vg__part *part)
{
    if (ftruncate(part->descriptor, 0) != 0 || lseek(part->descriptor, 0, SEEK_SET) != 0)
        return vg__file_fail("write", part->path, errno);
    part->size = 0;
    return vg_sha256_begin(part->hash);
}

vg_status vg__part_matches(const vg__part *part, const char *sha256, bool *same)
{
    char text[VG_SHA256_TEXT];
    VG_TRY(vg_sha256_end(part->hash, text));
    *same = !sha256 || vg_sha256_equal(text, sha256);
    return VG_OK;
}

/* No fsync: a file that a power failure took bytes from fails its checksum at the next fetch. */
vg_status vg__part_finish(vg__part *part)
{
    vg_status status = VG_OK;
    int closed = close(part->descriptor);
    part->descriptor = -1;
    if (closed != 0)
        status = vg__file_fail("write", part->path, errno);
    else if (rename(part->path, part->whole) != 0)
        status = vg__file_fail("name", part->whole, errno);
    vg__part_close(part, true);
    return status;
}

void vg__part_close(vg__part *part, bool keep)
{
    if (part->path && part->descriptor >= 0) {
        close(part->descriptor);
        if (!keep || part->size == 0) unlink(part->path);
    }
    free(part->path);
    free(part->whole);
    vg_sha256_destroy(part->hash);
    *part = (vg__part){.descriptor = -1};
}

int64_t vg__room_for(const char *path)
{
    struct statvfs disk;
    char *folder;
    int64_t room = -1;
    if (vg_path_folder(path, &folder) != VG_OK) return -1;
    if (statvfs(folder, &disk) == 0) room = (int64_t)disk.f_bavail * (int64_t)disk.f_frsize;
    free(folder);
    return room;
}

vg_status vg__no_room(const char *path, int64_t needed, int64_t room)
{
    return vg_fail(
        VG_ERR_IO,
        "no room for %s: %.1f MB are still to come and the disk has %.1f MB free; what is there is "
        "kept: free space and fetch again, or choose another folder",
        path, (double)needed / 1e6, (double)room / 1e6);
}
