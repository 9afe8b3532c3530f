#include "datasets/catalogue/fetch.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/file.h>
#include <unistd.h>

#include "core/file.h"
#include "datasets/catalogue/fetch_list.h"

static vg_status lock_folder(const char *folder, int *descriptor)
{
    char *path;
    VG_TRY(vg_folder_make(folder));
    VG_TRY(vg_path_join(folder, ".fetch-lock", &path));
    *descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    vg_status status = *descriptor < 0 ? vg__file_fail("write", path, errno) : VG_OK;
    /* File systems without locks go without. */
    if (status == VG_OK && flock(*descriptor, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK)
        status = vg_fail(VG_ERR_IO, "another process fetches into %s just now", folder);
    free(path);
    return status;
}

vg_status vg_dataset_fetch(const vg_dataset *dataset, const char *folder, const vg_fetch_options *options,
                           vg_download_report *report)
{
    vg_status status = VG_OK;
    vg__fetch_list list = {0};
    vg_download sums = {0};
    char *url = NULL, *path = NULL;
    int lock = -1;
    *report = (vg_download_report){0};
    if (!dataset->base)
        return vg_fail(
            VG_ERR_UNSUPPORTED,
            "%s is not fetched by this program. How to get it: %s (%s). Which files: %s. Then: vagus data "
            "fetch %s --from FOLDER",
            dataset->name, dataset->how, dataset->page, dataset->files, dataset->name);
    const char *base = options->mirror ? options->mirror : dataset->base;
    vg_download_options download = options->download;
    download.expected_bytes = 0;
    download.limit = VG__SUMS_LIMIT;
    download.what = "list of files";
    VG_TRY_OUT(lock_folder(folder, &lock));
    VG_TRY_OUT(vg__fetch_url(base, dataset->below, dataset->sums, &url));
    VG_TRY_OUT(vg_path_join(folder, dataset->sums, &path));
    sums = (vg_download){.url = url, .path = path};
    VG_TRY_OUT(vg_download_all(&sums, 1, &download, report));
    VG_TRY_OUT(vg__fetch_list_read(&list, path, base, dataset, folder, options->only));
    download.limit = 0;
    download.what = options->download.what;
    download.expected_bytes = options->only ? 0 : (int64_t)(dataset->megabytes * 1e6);
    status = vg_download_all(list.file, list.count, &download, report);
out:
    if (lock >= 0) close(lock);
    vg__fetch_list_free(&list);
    free(url);
    free(path);
    return status;
}
