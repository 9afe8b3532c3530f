/* Files of writers that did not come to their end, and the place where a store is to lie.
 *
 * A writer that is killed leaves "PATH.part-PID-NUMBER" behind, as large as the store would have become. The
 * next writer of the same path removes it when its process is gone and its lock is free: the lock is what
 * tells a process of another machine or container, whose number means nothing here, from a dead one. Where
 * the file system knows no locks nothing is removed. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/file.h"
#include "core/log.h"
#include "datasets/store/writer_own.h"

vg_status vg__store_check_folder(const char *path)
{
    char *folder;
    struct stat found;
    vg_status status = VG_OK;
    VG_TRY(vg_path_folder(path, &folder));
    if (stat(folder, &found) != 0 && errno == ENOENT)
        status = vg_fail(VG_ERR_IO, "%s: the folder %s does not exist; make it first or name another", path,
                         folder);
    else if (stat(folder, &found) != 0)
        status =
            vg_fail(VG_ERR_IO, "%s: the folder %s cannot be looked at: %s", path, folder, strerror(errno));
    else if (!S_ISDIR(found.st_mode))
        status = vg_fail(VG_ERR_IO, "%s: %s is a file, not a folder", path, folder);
    else if (access(folder, W_OK | X_OK) != 0)
        status =
            vg_fail(VG_ERR_IO, "%s: the folder %s cannot be written to: %s", path, folder, strerror(errno));
    free(folder);
    return status;
}

/* Whether `name` is that of a temporary file for the store `base`; tells whose. */
static bool is_part_of(const char *name, const char *base, long *pid)
{
    const size_t length = strlen(base);
    int end = 0;
    unsigned number;
    if (strncmp(name, base, length) != 0) return false;
    if (sscanf(name + length, ".part-%ld-%u%n", pid, &number, &end) != 2) return false;
    return *pid > 0 && !name[length + (size_t)end];
}

static bool is_gone(long pid)
{
    return pid == (long)getpid() || (kill((pid_t)pid, 0) != 0 && errno == ESRCH);
}

/* The lock goes with the descriptor, which is closed when the file was removed. */
static void remove_unlocked(const char *path)
{
    int descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (descriptor < 0) return;
    if (flock(descriptor, LOCK_EX | LOCK_NB) == 0 && unlink(path) == 0)
        vg_debug("%s: removed; the import that wrote it was cut off", path);
    close(descriptor);
}

void vg__store_remove_leftovers(const char *path)
{
    const char *slash = strrchr(path, '/'), *base = slash ? slash + 1 : path;
    char *folder = NULL, *part, **names = NULL;
    size_t count = 0;
    long pid;
    if (vg_path_folder(path, &folder) != VG_OK || vg_folder_list(folder, &names, &count) != VG_OK) goto out;
    for (size_t i = 0; i < count; i++) {
        if (!is_part_of(names[i], base, &pid) || !is_gone(pid)) continue;
        if (vg_path_join(folder, names[i], &part) != VG_OK) continue;
        remove_unlocked(part);
        free(part);
    }
out: /* what could not be removed is no reason to fail */
    vg_names_free(names, count);
    free(folder);
}

void vg__store_lock_part(int descriptor)
{
    if (flock(descriptor, LOCK_EX | LOCK_NB) != 0)
        vg_debug("a store's file is not locked: %s", strerror(errno));
}
