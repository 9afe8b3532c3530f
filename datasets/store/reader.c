#include "datasets/store/store.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "datasets/store/hdf5.h"
#include "datasets/store/reader_own.h"

static vg_status read_info(vg_store *store)
{
    int64_t whole;
    char *text;
#define READ_TEXT(field)                                                                                     \
    VG_TRY(vg__store_get_text(store, store->hdf5, #field, &text));                                           \
    store->info.field = text;
#define READ_REAL(field) VG_TRY(vg__store_get_real(store, #field, &store->info.field));
#define READ_FLAG(field)                                                                                     \
    VG_TRY(vg__store_get_whole(store, #field, 0, 1, &whole));                                                \
    store->info.field = whole;
    VG_STORE_TEXTS(READ_TEXT)
    VG_STORE_REALS(READ_REAL)
    VG_STORE_FLAGS(READ_FLAG)
#undef READ_TEXT
#undef READ_REAL
#undef READ_FLAG
    VG_TRY(vg__store_get_whole(store, "filter_order", 0, 1000, &whole));
    store->info.filter_order = (int)whole;
    return vg__store_info_check(&store->info, store->path) == VG_OK ? VG_OK : VG_ERR_FORMAT;
}

static vg_status open_file(vg_store *store)
{
    struct stat found;
    if (stat(store->path, &found) != 0)
        return vg_fail(VG_ERR_IO, "%s: cannot be opened: %s", store->path, strerror(errno));
    if (!S_ISREG(found.st_mode)) return vg_fail(VG_ERR_IO, "%s: is not a file", store->path);
    int readable = open(store->path, O_RDONLY | O_CLOEXEC);
    if (readable < 0) return vg_fail(VG_ERR_IO, "%s: cannot be opened: %s", store->path, strerror(errno));
    close(readable);
    hid_t access_list = H5Pcreate(H5P_FILE_ACCESS);
    if (access_list >= 0) {
        /* A finished store never changes, and locking fails on some network file systems. */
        H5Pset_file_locking(access_list, false, true);
        H5Pset_fapl_sec2(access_list);
        store->hdf5 = H5Fopen(store->path, H5F_ACC_RDONLY, access_list);
        H5Pclose(access_list);
    }
    if (store->hdf5 >= 0) return VG_OK;
    return vg__hdf5_fail(VG_ERR_FORMAT,
                         "%s: cannot be read as HDF5 (%lld bytes): truncated, damaged or of another format",
                         store->path, (long long)found.st_size);
}

static vg_status check_format(const vg_store *store)
{
    char *format = NULL;
    int64_t version;
    htri_t exists = H5Aexists(store->hdf5, "format");
    if (exists <= 0)
        return vg_fail(
            VG_ERR_FORMAT,
            "%s: an HDF5 file, but not a store (no attribute format); make one with 'vagus data import'",
            store->path);
    VG_TRY(vg__store_get_text(store, store->hdf5, "format", &format));
    bool known = strcmp(format, VG_STORE_FORMAT) == 0;
    if (!known)
        vg_fail(VG_ERR_FORMAT, "%s: its format is '%s', not '%s'", store->path, format, VG_STORE_FORMAT);
    free(format);
    if (!known) return VG_ERR_FORMAT;
    VG_TRY(vg__store_get_whole(store, "version", INT64_MIN, INT64_MAX, &version));
    if (version != VG_STORE_VERSION)
        return vg_fail(VG_ERR_UNSUPPORTED,
                       "%s: store version %" PRId64 ", and this program reads version %d; import it again",
                       store->path, version, VG_STORE_VERSION);
    return VG_OK;
}

static vg_status read_everything(vg_store *store)
{
    VG_TRY(open_file(store));
    VG_TRY(check_format(store));
    VG_TRY(read_info(store));
    VG_TRY(vg__store_find_signal(store));
    return vg__store_read_tables(store);
}

vg_status vg_store_open(const char *path, vg_store **out)
{
    *out = NULL;
    vg_store *store = calloc(1, sizeof *store);
    if (store) store->path = strdup(path);
    if (!store || !store->path) {
        free(store);
        return vg_fail(VG_ERR_MEMORY, "the store %s", path);
    }
    store->hdf5 = store->descriptor = -1;
    vg__hdf5_enter();
    vg_status status = read_everything(store);
    vg__hdf5_leave();
    if (status != VG_OK)
        vg_store_close(store);
    else
        *out = store;
    return status;
}

void vg_store_close(vg_store *store)
{
    if (!store) return;
    vg__hdf5_enter();
    if (store->hdf5 >= 0) H5Fclose(store->hdf5);
    vg__hdf5_leave();
#define FREE_FIELD(field) free((char *)store->info.field);
    VG_STORE_TEXTS(FREE_FIELD)
#undef FREE_FIELD
    for (int i = 0; i < VG__RECORDING_TEXTS; i++) free(store->recording_texts[i].text);
    for (int i = 0; i < VG__EXCLUSION_TEXTS; i++) free(store->exclusion_texts[i].text);
    for (int i = 0; i < store->note_count; i++) {
        free(store->notes[i].key);
        free(store->notes[i].value);
    }
    free(store->notes);
    free(store->feature_names.text);
    free(store->features);
    free(store->beat_end);
    free(store->beats);
    free(store->rating_names.text);
    free(store->ratings);
    free(store->recordings);
    free(store->exclusions);
    free(store->path);
    free(store);
}
