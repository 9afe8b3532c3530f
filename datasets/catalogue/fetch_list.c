#include "datasets/catalogue/fetch_list.h"

#include <fnmatch.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/file.h"
#include "core/sha256.h"
#include "core/text.h"

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

vg_status vg__fetch_url(const char *base, const char *below, const char *path, char **out)
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

void vg__fetch_list_free(vg__fetch_list *list)
{
    for (int64_t i = 0; i < list->count; i++) {
        free((char *)list->file[i].url);
        free((char *)list->file[i].path);
    }
    free(list->file);
    free(list->text);
}

static vg_status list_add(vg__fetch_list *list, const char *base, const vg_dataset *dataset,
                          const char *folder, const char *path, const char *sum)
{
    if ((list->count & (list->count - 1)) == 0) { /* at 0, 1, 2, 4, 8, ... */
        size_t room = list->count ? (size_t)list->count * 2 : 1;
        vg_download *file = realloc(list->file, room * sizeof *file);
        if (!file) return vg_fail(VG_ERR_MEMORY, "no memory for a list of %zu files", room);
        list->file = file;
    }
    vg_download *file = &list->file[list->count++];
    char *url = NULL, *target = NULL;
    vg_status status = vg__fetch_url(base, dataset->below, path, &url);
    if (status == VG_OK) status = vg_path_join(folder, path, &target);
    *file = (vg_download){.url = url, .path = target, .sha256 = sum};
    return status;
}

static int by_path(const void *a, const void *b)
{
    const vg_download *first = *(const vg_download *const *)a, *second = *(const vg_download *const *)b;
    return strcmp(first->path, second->path);
}

/* Two transfers into one file would spoil it. */
static vg_status refuse_twins(const vg__fetch_list *list, const char *sums)
{
    vg_status status = VG_OK;
    const vg_download **sorted = malloc((size_t)list->count * sizeof *sorted);
    if (!sorted) return vg_fail(VG_ERR_MEMORY, "no memory to sort a list of files");
    for (int64_t i = 0; i < list->count; i++) sorted[i] = &list->file[i];
    qsort(sorted, (size_t)list->count, sizeof *sorted, by_path);
    for (int64_t i = 1; i < list->count && status == VG_OK; i++)
        if (!by_path(&sorted[i - 1], &sorted[i]))
            status = vg_fail(VG_ERR_FORMAT, "%s lists %s twice: remove one of the lines and fetch again",
                             sums, sorted[i]->path);
    free(sorted);
    return status;
}

vg_status vg__fetch_list_read(vg__fetch_list *list, const char *sums, const char *base,
                              const vg_dataset *dataset, const char *folder, const char *only)
{
    size_t size;
    VG_TRY(vg_file_read(sums, VG__SUMS_LIMIT, &list->text, &size));
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
    return refuse_twins(list, sums);
}
