/* The file of a store while it is written: samples straight to their place in it, HDF5 for all else.
 *
 * The signal is one unbroken run of floats, so that it can be read with one call and mapped as it lies. HDF5
 * knows no such dataset that grows, and its chunks cost more than they give: HDF5 1.10 walks through all of
 * them to tell the address of one. So the samples are written here, to the place where HDF5 puts the first
 * data of a file that is made as below, and the dataset is created over them at the end, when its length is
 * known. Where HDF5 says it has put it is compared; versions 1.10.8 and 2.0.0 agree. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/file.h"
#include "core/log.h"
#include "datasets/store/hdf5.h"
#include "datasets/store/writer_own.h"

/* Samples that are collected before they are written: short recordings need not cost a system call each, and
 * what was just copied is still in the processor's cache. */
enum { WAITING = 1 << 16 };

static vg_status refuse_existing(const vg_store_writer *writer)
{
    struct stat found;
    if (lstat(writer->path, &found) != 0) return VG_OK;
    if (S_ISDIR(found.st_mode))
        return vg_fail(VG_ERR_IO, "%s: is a folder; name a file for the store", writer->path);
    if (writer->overwrite) return VG_OK;
    return vg_fail(VG_ERR_IO,
                   "%s: exists already; remove it, choose another name or replace it (--overwrite)",
                   writer->path);
}

/* "PATH.part-PID-NUMBER": beside the store, so that the rename stays inside one file system; the number keeps
 * two writers of one process apart. */
static char *temporary_name(const char *path)
{
    static pthread_mutex_t counting = PTHREAD_MUTEX_INITIALIZER;
    static unsigned counter;
    pthread_mutex_lock(&counting);
    unsigned number = counter++;
    pthread_mutex_unlock(&counting);
    size_t size = strlen(path) + 48;
    char *name = malloc(size);
    if (name) snprintf(name, size, "%s.part-%ld-%u", path, (long)getpid(), number);
    return name;
}

/* The format of HDF5 1.10 rather than the oldest one: every piece of metadata in it carries a checksum, so a
 * damaged file is noticed. No times are kept in it: the same recordings make the same bytes. HDF5's own file
 * locking is off: a store is never written in place, and the locks fail on some network file systems. Data
 * begin at a multiple of VG_STORE_SIGNAL: large ones by themselves, small ones because the block that they
 * are put into together is as large. */
static vg_status create_file(vg_store_writer *writer)
{
    hid_t access_list = H5Pcreate(H5P_FILE_ACCESS), properties = H5Pcreate(H5P_FILE_CREATE);
    vg_status status = VG_OK;
    void *handle;
    /* Made here first: why it cannot be is said in words then, HDF5 has figures only. */
    int own = open(writer->temporary, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (own < 0) {
        status = vg_fail(VG_ERR_IO, "%s: cannot be made as %s: %s", writer->path, writer->temporary,
                         strerror(errno));
        goto out;
    }
    writer->created = true;
    close(own);
    if (access_list < 0 || properties < 0 || H5Pset_obj_track_times(properties, false) < 0 ||
        H5Pset_libver_bounds(access_list, H5F_LIBVER_V110, H5F_LIBVER_V110) < 0 ||
        H5Pset_file_locking(access_list, false, true) < 0 || H5Pset_fapl_sec2(access_list) < 0 ||
        H5Pset_meta_block_size(access_list, VG_STORE_SIGNAL) < 0 ||
        (writer->hdf5 = H5Fcreate(writer->temporary, H5F_ACC_TRUNC, properties, access_list)) < 0)
        status = vg__hdf5_fail(VG_ERR_IO, "%s: cannot be created", writer->temporary);
    if (status == VG_OK && H5Fget_vfd_handle(writer->hdf5, H5P_DEFAULT, &handle) < 0)
        status = vg__hdf5_fail(VG_ERR_IO, "%s: has no file descriptor", writer->temporary);
    if (status == VG_OK) {
        writer->descriptor = *(const int *)handle;
        vg__store_lock_part(writer->descriptor);
    }
out:
    if (properties >= 0) H5Pclose(properties);
    if (access_list >= 0) H5Pclose(access_list);
    return status;
}

vg_status vg__store_file_create(vg_store_writer *writer)
{
    writer->temporary = temporary_name(writer->path);
    writer->waiting = malloc(WAITING * sizeof *writer->waiting);
    if (!writer->temporary || !writer->waiting)
        return vg_fail(VG_ERR_MEMORY, "the writer of %s", writer->path);
    VG_TRY(vg__store_check_folder(writer->path));
    VG_TRY(refuse_existing(writer));
    vg__hdf5_enter(); /* no other thread is between creating its file and locking it */
    vg__store_remove_leftovers(writer->path);
    vg_status status = create_file(writer);
    vg__hdf5_leave();
    return status;
}

/* ---- Samples ----------------------------------------------------------------------------------------- */

/* Puts `count` samples to the place of sample `at`. */
static vg_status write_samples(const vg_store_writer *writer, const float *samples, int64_t count, int64_t at)
{
    const char *from = (const char *)samples;
    size_t left = (size_t)count * sizeof *samples;
    off_t place = (off_t)(VG_STORE_SIGNAL + at * (int64_t)sizeof *samples);
    while (left) {
        ssize_t done = pwrite(writer->descriptor, from, left, place);
        if (done < 0 && errno == EINTR) continue;
        if (done <= 0)
            return vg_fail(VG_ERR_IO, "%s: %lld samples could not be written to %s: %s; is the disk full?",
                           writer->path, (long long)count, writer->temporary,
                           strerror(done < 0 ? errno : ENOSPC));
        from += done;
        place += done;
        left -= (size_t)done;
    }
    return VG_OK;
}

static vg_status write_waiting(vg_store_writer *writer)
{
    const int64_t count = writer->waiting_count;
    VG_TRY(write_samples(writer, writer->waiting, count, writer->samples - count));
    writer->waiting_count = 0;
    return VG_OK;
}

vg_status vg__store_file_append(vg_store_writer *writer, const float *samples, int64_t count)
{
    if (writer->waiting_count + count > WAITING) VG_TRY(write_waiting(writer));
    if (count > WAITING) {
        VG_TRY(write_samples(writer, samples, count, writer->samples));
    } else {
        memcpy(writer->waiting + writer->waiting_count, samples, (size_t)count * sizeof *samples);
        writer->waiting_count += count;
    }
    writer->samples += count;
    return VG_OK;
}

/* Has HDF5 take the samples that stand in the file for the dataset /signal. */
static vg_status claim_signal(const vg_store_writer *writer)
{
    vg_status status = VG_OK;
    hid_t properties = H5Pcreate(H5P_DATASET_CREATE), signal = -1;
    hid_t space = H5Screate_simple(1, &(hsize_t){(hsize_t)writer->samples}, NULL);
    if (properties < 0 || space < 0 || H5Pset_obj_track_times(properties, false) < 0 ||
        H5Pset_layout(properties, H5D_CONTIGUOUS) < 0 ||
        H5Pset_alloc_time(properties, H5D_ALLOC_TIME_EARLY) < 0 ||
        H5Pset_fill_time(properties, H5D_FILL_TIME_NEVER) < 0 ||
        (signal = H5Dcreate2(writer->hdf5, "signal", H5T_IEEE_F32LE, space, H5P_DEFAULT, properties,
                             H5P_DEFAULT)) < 0)
        status = vg__hdf5_fail(VG_ERR_IO, "%s: the dataset /signal could not be created", writer->temporary);
    else if (H5Dget_offset(signal) != VG_STORE_SIGNAL)
        status = vg_fail(VG_ERR_UNSUPPORTED,
                         "%s: this version of HDF5 puts /signal at byte %lld of a new file, not at %d; build "
                         "with HDF5 1.10",
                         writer->temporary, (long long)H5Dget_offset(signal), VG_STORE_SIGNAL);
    if (signal >= 0 && H5Dclose(signal) < 0 && status == VG_OK)
        status = vg__hdf5_fail(VG_ERR_IO, "%s: the dataset /signal could not be closed", writer->temporary);
    if (space >= 0) H5Sclose(space);
    if (properties >= 0) H5Pclose(properties);
    return status;
}

/* ---- The end ----------------------------------------------------------------------------------------- */

/* Closes what is open. Returns whether HDF5 could write out everything. */
static bool close_file(vg_store_writer *writer)
{
    bool written = writer->hdf5 < 0 || H5Fclose(writer->hdf5) >= 0;
    writer->hdf5 = writer->descriptor = -1;
    return written;
}

static vg_status write_hdf5(vg_store_writer *writer)
{
    VG_TRY(claim_signal(writer));
    VG_TRY(vg__store_write_tables(writer));
    if (!close_file(writer))
        return vg__hdf5_fail(VG_ERR_IO, "%s: %s could not be closed; is the disk full?", writer->path,
                             writer->temporary);
    return VG_OK;
}

static vg_status sync_file(const char *path)
{
    int descriptor = open(path, O_RDONLY | O_CLOEXEC);
    if (descriptor < 0)
        return vg_fail(VG_ERR_IO, "%s: cannot be opened to sync it: %s", path, strerror(errno));
    int failed = fsync(descriptor), reason = errno;
    close(descriptor);
    if (failed) return vg_fail(VG_ERR_IO, "%s: could not be synced to disk: %s", path, strerror(reason));
    return VG_OK;
}

vg_status vg__store_file_finish(vg_store_writer *writer)
{
    VG_TRY(write_waiting(writer));
    vg__hdf5_enter();
    vg_status status = write_hdf5(writer);
    vg__hdf5_leave();
    VG_TRY(status);
    VG_TRY(sync_file(writer->temporary));
    VG_TRY(refuse_existing(writer));
    return vg_path_rename(writer->temporary, writer->path);
}

void vg__store_file_discard(vg_store_writer *writer)
{
    /* HDF5 does not let go of a file that it cannot finish (a full disk), so the space is given back first.
     */
    if (writer->created && truncate(writer->temporary, 0) != 0)
        vg_debug("%s: could not be emptied: %s", writer->temporary, strerror(errno));
    if (writer->created) unlink(writer->temporary);
    vg__hdf5_enter();
    close_file(writer);
    vg__hdf5_leave();
}
