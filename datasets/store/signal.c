#include "datasets/store/signal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "datasets/store/hdf5.h"
#include "datasets/store/reader_own.h"

/* Where an open dataset has its samples, when they are one run of float32; -1: they are something else. */
static int64_t place_of(hid_t signal)
{
    int64_t place = -1;
    hid_t type = H5Dget_type(signal), properties = H5Dget_create_plist(signal);
    if (type >= 0 && properties >= 0 && H5Tequal(type, H5T_IEEE_F32LE) > 0 &&
        H5Pget_layout(properties) == H5D_CONTIGUOUS && H5Pget_external_count(properties) == 0) {
        haddr_t address = H5Dget_offset(signal);
        place = address == HADDR_UNDEF || address > INT64_MAX ? 0 : (int64_t)address;
    }
    if (properties >= 0) H5Pclose(properties);
    if (type >= 0) H5Tclose(type);
    return place;
}

/* That the file holds all of it: whoever reads beyond the end of a mapped file is ended by a signal. */
static vg_status check_size(const vg_store *store)
{
    struct stat about;
    if (fstat(store->descriptor, &about) != 0)
        return vg_fail(VG_ERR_IO, "%s: cannot be looked at: %s", store->path, strerror(errno));
    if (store->place > 0 && store->place <= about.st_size && store->samples >= 0 &&
        store->samples <= (about.st_size - store->place) / (int64_t)sizeof(float))
        return VG_OK;
    return vg_fail(VG_ERR_FORMAT,
                   "%s: dataset /signal claims %" PRId64 " samples from byte %" PRId64
                   ", and the file has %lld bytes: " VG__STORE_DAMAGED,
                   store->path, store->samples, store->place, (long long)about.st_size);
}

vg_status vg__store_find_signal(vg_store *store)
{
    vg_status status = VG_OK;
    hsize_t dims[1];
    hid_t space = -1, signal = H5Dopen2(store->hdf5, "signal", H5P_DEFAULT);
    void *handle;
    if (signal < 0 || (space = H5Dget_space(signal)) < 0 ||
        H5Fget_vfd_handle(store->hdf5, H5P_DEFAULT, &handle) < 0) {
        status = vg__hdf5_fail(VG_ERR_FORMAT, "%s: dataset /signal: " VG__STORE_DAMAGED, store->path);
        goto out;
    }
    store->descriptor = *(const int *)handle;
    store->place = place_of(signal);
    if (H5Sget_simple_extent_ndims(space) != 1 || H5Sget_simple_extent_dims(space, dims, NULL) != 1 ||
        store->place < 0) {
        status = vg_fail(VG_ERR_FORMAT,
                         "%s: dataset /signal is not one unbroken run of float32: " VG__STORE_DAMAGED,
                         store->path);
        goto out;
    }
    store->samples = dims[0] > INT64_MAX ? -1 : (int64_t)dims[0];
    if (store->samples) status = check_size(store);
out:
    if (space >= 0) H5Sclose(space);
    if (signal >= 0) H5Dclose(signal);
    return status;
}

/* ---- Reading ----------------------------------------------------------------------------------------- */

/* Straight from the file: HDF5 would take its lock and pass small pieces through a buffer of its own. */
static vg_status read_signal(const vg_store *store, int64_t offset, int64_t count, float *out)
{
    char *to = (char *)out;
    size_t left = (size_t)count * sizeof *out;
    off_t place = (off_t)(store->place + offset * (int64_t)sizeof *out);
    while (left) {
        ssize_t done = pread(store->descriptor, to, left, place);
        if (done < 0 && errno == EINTR) continue;
        if (done < 0)
            return vg_fail(VG_ERR_IO, "%s: samples %" PRId64 " to %" PRId64 " cannot be read: %s",
                           store->path, offset, offset + count, strerror(errno));
        if (!done)
            return vg_fail(VG_ERR_FORMAT,
                           "%s: samples %" PRId64 " to %" PRId64
                           " lie beyond the end of the file: " VG__STORE_DAMAGED,
                           store->path, offset, offset + count);
        to += done;
        place += done;
        left -= (size_t)done;
    }
    return VG_OK;
}

vg_status vg__store_compare(const vg_store *store, int64_t index, const float *samples)
{
    const vg_recording *recording = &store->recordings[index];
    if (vg_fingerprint(samples, recording->length) == recording->fingerprint) return VG_OK;
    return vg_fail(VG_ERR_FORMAT,
                   "%s: recording %" PRId64 " (%s) does not have its fingerprint: " VG__STORE_DAMAGED,
                   store->path, index, recording->source);
}

vg_status vg_store_read(vg_store *store, int64_t index, int64_t start, int64_t count, float *out)
{
    if (index < 0 || index >= store->recording_count)
        return vg_fail(VG_ERR_SHAPE, "%s: there is no recording %" PRId64 " among %" PRId64, store->path,
                       index, store->recording_count);
    const vg_recording *recording = &store->recordings[index];
    if (start < 0 || count < 0 || count > recording->length || start > recording->length - count)
        return vg_fail(VG_ERR_SHAPE,
                       "%s: recording %" PRId64 " has %" PRId64 " samples; %" PRId64 " from %" PRId64
                       " were asked for",
                       store->path, index, recording->length, count, start);
    VG_TRY(read_signal(store, recording->offset + start, count, out));
    return count == recording->length ? vg__store_compare(store, index, out) : VG_OK;
}

vg_status vg_store_verify(vg_store *store)
{
    vg_status status = VG_OK;
    int64_t longest = 0;
    for (int64_t i = 0; i < store->recording_count; i++)
        if (store->recordings[i].length > longest) longest = store->recordings[i].length;
    float *samples = malloc((size_t)longest * sizeof *samples);
    if (!samples)
        return vg_fail(VG_ERR_MEMORY, "%s: a recording of %" PRId64 " samples", store->path, longest);
    for (int64_t i = 0; i < store->recording_count && status == VG_OK; i++)
        status = vg_store_read(store, i, 0, store->recordings[i].length, samples);
    free(samples);
    return status;
}

/* ---- Mapping ----------------------------------------------------------------------------------------- */

/* Samples that fit between the beginning of a page of the file and the store's first. */
static int64_t before_signal(const vg_store *store)
{
    return store->place % sysconf(_SC_PAGESIZE) / (int64_t)sizeof(float);
}

void vg__store_mapping(const vg_store *store, int64_t *first, int64_t *samples)
{
    const int64_t page = sysconf(_SC_PAGESIZE) / (int64_t)sizeof(float);
    *first = before_signal(store);
    *samples = (*first + store->samples + page - 1) / page * page;
}

vg_status vg__store_map(const vg_store *store, float *place)
{
    const int64_t before = before_signal(store);
    if (store->place % (int64_t)sizeof(float) != 0)
        return vg_fail(VG_ERR_UNSUPPORTED,
                       "%s: its samples begin at byte %" PRId64
                       ", so they cannot be mapped: another program has written it; import it again, or set "
                       "data.memory_gib to more than the data take",
                       store->path, store->place);
    VG_TRY(check_size(store));
    if (mmap(place, (size_t)(before + store->samples) * sizeof *place, PROT_READ, MAP_SHARED | MAP_FIXED,
             store->descriptor, (off_t)(store->place - before * (int64_t)sizeof *place)) != MAP_FAILED)
        return VG_OK;
    return vg_fail(errno == ENOMEM ? VG_ERR_MEMORY : VG_ERR_UNSUPPORTED,
                   "%s: cannot be mapped into memory: %s; copy it to a disk of this machine, or set "
                   "data.memory_gib to more than the data take",
                   store->path, strerror(errno));
}
