#include "datasets/fetch.h"

#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "core/file.h"
#include "core/sha256.h"
#include "core/text.h"

enum { SUMS_LIMIT = 64 << 20 }; /* PTB-XL's list has 4 MB */

/* ---- The list of checksums -------------------------------------------------------------------------------
 */

/* Whether one of the patterns, separated by blanks, fits. */
static bool fits(const char *patterns, const char *path)
{
    char pattern[256];
    for (const char *p = patterns; *p; p += strspn(p, " ")) {
        size_t length = strcspn(p, " ");
        snprintf(pattern, sizeof pattern, "%.*s", (int)length, p);
        if (length < sizeof pattern && fnmatch(pattern, path, 0) == 0) return true;
        p += length;
    }
    return false;
}

/* A file without which the others cannot be imported: fetched whatever part is asked for. */
static bool is_table(const vg_dataset *dataset, const char *path)
{
    if (dataset->subjects_file && !strcmp(path, dataset->subjects_file)) return true;
    for (int i = 0; i < VG_DATASET_OPTIONS && dataset->options[i].name; i++)
        if (dataset->options[i].value[0] == '@' && !strcmp(path, dataset->options[i].value + 1)) return true;
    return false;
}

/* A path of the list may lead into the folder and nowhere else. */
static bool is_inside(const char *path)
{
    if (!*path || *path == '/' || strlen(path) > 1000) return false;
    for (const char *p = path; *p; p++) {
        bool begins = p == path || p[-1] == '/';
        if ((unsigned char)*p < ' ' || *p == 127 || *p == '\\') return false;
        if (begins && (*p == '/' || (*p == '.' && (p[1] == '/' || !p[1])))) return false;
        if (begins && p[0] == '.' && p[1] == '.' && (p[2] == '/' || !p[2])) return false;
    }
    return path[strlen(path) - 1] != '/';
}

static vg_status make_url(const char *base, const char *below, const char *path, char **out)
{
    vg_text url = {0};
    bool slash = *base && base[strlen(base) - 1] == '/';
    vg_text_add(&url, "%s%s%s", base, slash ? "" : "/", below);
    for (const char *p = path; *p; p++)
        if (strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~/", *p))
            vg_text_append(&url, p, 1);
        else
            vg_text_add(&url, "%%%02X", (unsigned)(unsigned char)*p);
    return vg_text_take(&url, out);
}

/* What is to be fetched; `text` holds the sums and paths. */
typedef struct fetch_list {
    char *text;
    vg_download *file;
    int64_t count, listed;
} fetch_list;

static void list_free(fetch_list *list)
{
    for (int64_t i = 0; i < list->count; i++) {
        free((char *)list->file[i].url);
        free((char *)list->file[i].path);
    }
    free(list->file);
    free(list->text);
}

static vg_status list_add(fetch_list *list, const char *base, const vg_dataset *dataset, const char *folder,
                          const char *path, const char *sum)
{
    if ((list->count & (list->count - 1)) == 0) { /* at 0, 1, 2, 4, 8, ... */
        size_t room = list->count ? (size_t)list->count * 2 : 1;
        vg_download *file = realloc(list->file, room * sizeof *file);
        if (!file) return vg_fail(VG_ERR_MEMORY, "no memory for a list of %zu files", room);
        list->file = file;
    }
    vg_download *file = &list->file[list->count++];
    char *url = NULL, *target = NULL;
    vg_status status = make_url(base, dataset->below, path, &url);
    if (status == VG_OK) status = vg_path_join(folder, path, &target);
    *file = (vg_download){.url = url, .path = target, .sha256 = sum};
    return status;
}

/* Lines "SUM  PATH" or "SUM *PATH". */
static vg_status list_read(fetch_list *list, const char *sums, const char *base, const vg_dataset *dataset,
                           const char *folder, const char *only)
{
    size_t size;
    VG_TRY(vg_file_read(sums, SUMS_LIMIT, &list->text, &size));
    int64_t number = 0;
    for (char *line = list->text, *end; line < list->text + size; line = end + 1) {
        end = line + strcspn(line, "\n");
        if (end > line && end[-1] == '\r') end[-1] = 0;
        *end = 0;
        number++;
        if (!*line) continue;
        char *path = line + strcspn(line, " \t");
        if (*path) {
            *path++ = 0;
            path += strspn(path, " \t");
            path += *path == '*';
        }
        if (!vg_sha256_is_text(line) || !is_inside(path))
            return vg_fail(VG_ERR_FORMAT,
                           "%s, line %" PRId64
                           ": not 'SHA-256 sum, blank, path below the folder'. If a network's "
                           "login page came in its place, log in; then remove that file and fetch again",
                           sums, number);
        list->listed++;
        bool part = !only || fits(only, path) || is_table(dataset, path);
        if (fits(dataset->wanted, path) && part) VG_TRY(list_add(list, base, dataset, folder, path, line));
    }
    if (list->count == 0)
        return vg_fail(VG_ERR_NOT_FOUND, "%s lists %" PRId64 " files and none of them is '%s'%s%s", sums,
                       list->listed, dataset->wanted, only ? " and " : "", only ? only : "");
    return VG_OK;
}

/* ---- Fetching --------------------------------------------------------------------------------------------
 */

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
    fetch_list list = {0};
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
    download.limit = SUMS_LIMIT;
    download.what = "list of files";
    VG_TRY_OUT(lock_folder(folder, &lock));
    VG_TRY_OUT(make_url(base, dataset->below, dataset->sums, &url));
    VG_TRY_OUT(vg_path_join(folder, dataset->sums, &path));
    sums = (vg_download){.url = url, .path = path};
    VG_TRY_OUT(vg_download_all(&sums, 1, &download, report));
    VG_TRY_OUT(list_read(&list, path, base, dataset, folder, options->only));
    download.limit = 0;
    download.what = options->download.what;
    download.expected_bytes = options->only ? 0 : (int64_t)(dataset->megabytes * 1e6);
    status = vg_download_all(list.file, list.count, &download, report);
out:
    if (lock >= 0) close(lock);
    list_free(&list);
    free(url);
    free(path);
    return status;
}
