#include "core/rundir.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#include "core/file.h"
#include "core/json.h"
#include "core/progress.h"
#include "core/text.h"

/* Names inside checkpoints/. A folder loses its good name before it is emptied and gets it after it is full,
 * so that a crash at any point leaves only complete folders under good names. */
#define STEP      "step_"
#define TEMPORARY ".tmp-"
#define REPLACED  ".old-"

enum { METRICS_LIMIT = 1 << 30 };

struct vg_rundir {
    char *path, *checkpoints;
    int log;
    bool resumed, attached, console;
};

/* "FOLDER/PREFIXstep_N". */
static vg_status step_path(const char *folder, const char *prefix, int64_t step, char **out)
{
    vg_text text = {0};
    vg_text_add(&text, "%s/%s" STEP "%" PRId64, folder, prefix, step);
    return vg_text_take(&text, out);
}

/* The number in "step_N", -1 when the name is not exactly that. */
static int64_t step_of(const char *name)
{
    char again[40];
    if (strncmp(name, STEP, strlen(STEP)) != 0) return -1;
    int64_t step = strtoll(name + strlen(STEP), NULL, 10);
    snprintf(again, sizeof again, STEP "%" PRId64, step);
    return step >= 0 && !strcmp(again, name) ? step : -1;
}

static int falling(const void *a, const void *b)
{
    int64_t one = *(const int64_t *)a, two = *(const int64_t *)b;
    return one < two ? 1 : one > two ? -1 : 0;
}

/* The complete checkpoints, the newest first; none when the folder is absent. The caller frees the list. */
static vg_status list_steps(const char *checkpoints, int64_t **steps, size_t *count)
{
    vg_status status = VG_OK;
    char **names = NULL;
    size_t name_count = 0;
    *count = 0;
    *steps = NULL;
    if (!vg_path_is_folder(checkpoints)) return VG_OK;
    VG_TRY(vg_folder_list(checkpoints, &names, &name_count));
    int64_t *list = malloc((name_count + 1) * sizeof *list);
    if (!list) {
        status = vg_fail(VG_ERR_MEMORY, "out of memory while listing %s", checkpoints);
        goto out;
    }
    for (size_t i = 0; i < name_count; i++) {
        char *path = NULL;
        int64_t step = step_of(names[i]);
        if (step < 0) continue;
        VG_TRY_OUT(step_path(checkpoints, "", step, &path));
        if (vg_path_is_folder(path)) list[(*count)++] = step;
        free(path);
    }
    qsort(list, *count, sizeof *list, falling);
    *steps = list;
    list = NULL;
out:
    free(list);
    vg_names_free(names, name_count);
    return status;
}

/* What does the folder hold? `holds` names a file that is none of a run's. */
struct content {
    bool run, work; /* a configuration or log; something that took time to make */
    bool empty;
    char stranger[256];
};

static vg_status look(const char *path, const char *checkpoints, struct content *content)
{
    static const char *const ours[] = {"config.yaml", "log.txt", "metrics.jsonl", "checkpoints",
                                       "report.html"};
    static const char events[] = "events.out.tfevents.";
    char **names = NULL;
    int64_t *steps = NULL;
    size_t count = 0, step_count = 0;
    *content = (struct content){.empty = true};
    if (!vg_path_exists(path)) return VG_OK;
    if (!vg_path_is_folder(path))
        return vg_fail(VG_ERR_CONFIG, "%s is a file, not a folder; choose another output_dir", path);
    VG_TRY(vg_folder_list(path, &names, &count));
    content->empty = !count;
    for (size_t i = 0; i < count; i++) {
        bool known = names[i][0] == '.' || !strncmp(names[i], events, sizeof events - 1);
        for (size_t k = 0; k < sizeof ours / sizeof *ours; k++) known = known || !strcmp(names[i], ours[k]);
        if (!known) snprintf(content->stranger, sizeof content->stranger, "%s", names[i]);
        if (!strcmp(names[i], "config.yaml") || !strcmp(names[i], "log.txt")) content->run = true;
        if (!strcmp(names[i], "metrics.jsonl") || !strcmp(names[i], "report.html")) content->work = true;
    }
    vg_names_free(names, count);
    VG_TRY(list_steps(checkpoints, &steps, &step_count));
    if (step_count) content->run = content->work = true;
    free(steps);
    return VG_OK;
}

static vg_status check_mode(const char *path, vg_rundir_mode mode, const struct content *content)
{
    /* Beside a configuration or log, a file that is not ours (results, folders of folds) is work as well. */
    if (mode == VG_RUNDIR_NEW && content->run && (content->work || content->stranger[0]))
        return vg_fail(VG_ERR_CONFIG, "%s already holds a run; resume it, or choose another output_dir",
                       path);
    if (mode == VG_RUNDIR_RESUME && !content->run)
        return vg_fail(VG_ERR_CONFIG, "%s holds no run that could be resumed", path);
    if (!content->run && content->stranger[0])
        return vg_fail(VG_ERR_CONFIG, "%s holds files that belong to no run (%s); choose another output_dir",
                       path, content->stranger);
    return VG_OK;
}

/* Opens log.txt and locks it. */
static vg_status open_log(vg_rundir *run)
{
    char *name;
    VG_TRY(vg_path_join(run->path, "log.txt", &name));
    vg_status status = VG_OK;
    run->log = open(name, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0666);
    if (run->log < 0) {
        status = vg__file_fail("write", name, errno);
    } else if (flock(run->log, LOCK_EX | LOCK_NB) != 0) {
        /* A file system without locks is no reason not to train. */
        if (errno == EWOULDBLOCK)
            status = vg_fail(VG_ERR_IO,
                             "%s is in use by another process; wait for it, or choose another output_dir",
                             run->path);
    }
    free(name);
    return status;
}

/* Clears what a killed process left: a checkpoint half written or half removed goes, one that was about to be
 * replaced gets its name back. */
static vg_status clear_remains(const vg_rundir *run)
{
    vg_status status = VG_OK;
    char **names = NULL, *from = NULL, *to = NULL;
    size_t count = 0;
    VG_TRY(vg_folder_list(run->checkpoints, &names, &count));
    for (size_t i = 0; i < count; i++) {
        bool replaced = !strncmp(names[i], REPLACED, strlen(REPLACED));
        if (!replaced && strncmp(names[i], TEMPORARY, strlen(TEMPORARY)) != 0) continue;
        VG_TRY_OUT(vg_path_join(run->checkpoints, names[i], &from));
        VG_TRY_OUT(
            vg_path_join(run->checkpoints, names[i] + strlen(TEMPORARY), &to)); /* both are five long */
        if (replaced && !vg_path_exists(to))
            VG_TRY_OUT(vg_path_rename(from, to));
        else
            VG_TRY_OUT(vg_folder_remove(from));
        free(from);
        free(to);
        from = to = NULL;
    }
out:
    free(from);
    free(to);
    vg_names_free(names, count);
    return status;
}

vg_status vg_rundir_open(const char *path, vg_rundir_mode mode, vg_rundir **out)
{
    vg_status status = VG_OK;
    struct content content;
    vg_rundir *run = calloc(1, sizeof *run);
    if (!run) return vg_fail(VG_ERR_MEMORY, "out of memory while opening %s", path);
    run->log = -1;
    VG_TRY_OUT(vg_text_copy(path, &run->path));
    VG_TRY_OUT(vg_path_join(path, "checkpoints", &run->checkpoints));
    VG_TRY_OUT(look(path, run->checkpoints, &content));
    VG_TRY_OUT(check_mode(path, mode, &content));
    VG_TRY_OUT(vg_folder_make(run->checkpoints));
    VG_TRY_OUT(open_log(run));
    VG_TRY_OUT(clear_remains(run));
    run->resumed = content.run && mode != VG_RUNDIR_NEW;
    *out = run;
    run = NULL;
out:
    vg_rundir_close(run);
    return status;
}

void vg_rundir_close(vg_rundir *run)
{
    if (!run) return;
    if (run->attached) vg_log_set_sink(NULL, NULL);
    if (run->log >= 0) close(run->log); /* and so unlocks */
    free(run->path);
    free(run->checkpoints);
    free(run);
}

const char *vg_rundir_path(const vg_rundir *run)
{
    return run->path;
}

bool vg_rundir_resumed(const vg_rundir *run)
{
    return run->resumed;
}

vg_status vg_rundir_file(const vg_rundir *run, const char *name, char **out)
{
    return vg_path_join(run->path, name, out);
}

/* A line that cannot be written to log.txt is lost: the log must not stop the run, and what matters (metrics,
 * checkpoints) reports its own failures. */
static void write_line(vg_log_level level, const char *line, void *context)
{
    static const char *const levels[] = {"debug", "info", "warning", "error"};
    const vg_rundir *run = context;
    char stamp[32] = "", text[2200];
    time_t now = time(NULL);
    struct tm utc;
    if (gmtime_r(&now, &utc)) strftime(stamp, sizeof stamp, "%Y-%m-%dT%H:%M:%SZ", &utc);
    snprintf(text, sizeof text - 1, "%s %s %s", stamp, levels[level], line);
    strcat(text, "\n");
    int lost = vg__write_all(run->log, text, strlen(text));
    (void)lost;
    if (level >= VG_LOG_WARN) {
        snprintf(text, sizeof text, "vagus: %s: %s", levels[level], line);
        vg_console_line(text);
    } else if (run->console && !vg_console_has_progress()) {
        vg_console_line(line);
    }
}

void vg_rundir_attach_log(vg_rundir *run, bool to_console)
{
    run->console = to_console;
    run->attached = true;
    vg_log_set_sink(write_line, run);
}

/* Should the line of metrics.jsonl stay? One without a step, or that cannot be read, is not ours to judge. */
static bool keep_line(const char *line, size_t length, int64_t step)
{
    vg_json *json = NULL;
    int64_t of_line;
    if (vg_json_parse(line, length, "metrics.jsonl", &json) != VG_OK) return true;
    bool later = vg_json_find(vg_json_root(json), "step") &&
                 vg_json_get_int(json, NULL, "step", &of_line) == VG_OK && of_line > step;
    vg_json_destroy(json);
    return !later;
}

vg_status vg_rundir_rewind_metrics(const vg_rundir *run, int64_t step)
{
    vg_status status = VG_OK;
    char *path = NULL, *text = NULL;
    size_t size = 0;
    vg_text kept = {0};
    VG_TRY(vg_rundir_file(run, "metrics.jsonl", &path));
    if (!vg_path_exists(path)) goto out;
    VG_TRY_OUT(vg_file_read(path, METRICS_LIMIT, &text, &size));
    for (const char *line = text, *end; (end = memchr(line, '\n', size - (size_t)(line - text)));
         line = end + 1)
        if (keep_line(line, (size_t)(end - line), step))
            vg_text_append(&kept, line, (size_t)(end - line) + 1);
    if (kept.failed)
        status = vg_fail(VG_ERR_MEMORY, "out of memory while rewinding %s", path);
    else if (kept.length != size)
        status = vg_file_write(path, kept.length ? kept.data : "", kept.length);
out:
    vg_text_free(&kept);
    free(text);
    free(path);
    return status;
}

vg_status vg_rundir_checkpoint_begin(vg_rundir *run, int64_t step, char **folder)
{
    VG_ASSERT(step >= 0);
    char *path;
    VG_TRY(step_path(run->checkpoints, TEMPORARY, step, &path));
    vg_status status = vg_folder_remove(path);
    if (status == VG_OK) status = vg_folder_make(path);
    if (status == VG_OK)
        *folder = path;
    else
        free(path);
    return status;
}

/* fsync of every file of a folder, and of the folder. */
static vg_status sync_content(const char *folder)
{
    vg_status status = VG_OK;
    char **names = NULL, *path = NULL;
    size_t count = 0;
    VG_TRY(vg_folder_list(folder, &names, &count));
    for (size_t i = 0; i < count; i++) {
        VG_TRY_OUT(vg_path_join(folder, names[i], &path));
        int descriptor = open(path, O_RDONLY | O_CLOEXEC);
        if (descriptor < 0 || fsync(descriptor) != 0) status = vg__file_fail("write", path, errno);
        if (descriptor >= 0) close(descriptor);
        if (status != VG_OK) goto out;
        free(path);
        path = NULL;
    }
    status = vg_folder_sync(folder);
out:
    free(path);
    vg_names_free(names, count);
    return status;
}

vg_status vg_rundir_checkpoint_commit(vg_rundir *run, int64_t step)
{
    vg_status status = VG_OK;
    char *from = NULL, *to = NULL, *replaced = NULL;
    VG_TRY_OUT(step_path(run->checkpoints, TEMPORARY, step, &from));
    VG_TRY_OUT(step_path(run->checkpoints, "", step, &to));
    VG_TRY_OUT(step_path(run->checkpoints, REPLACED, step, &replaced));
    VG_TRY_OUT(sync_content(from));
    if (vg_path_exists(to)) {
        VG_TRY_OUT(vg_folder_remove(replaced));
        VG_TRY_OUT(vg_path_rename(to, replaced));
    }
    VG_TRY_OUT(vg_path_rename(from, to));
    status = vg_folder_remove(replaced);
out:
    free(from);
    free(to);
    free(replaced);
    return status;
}

void vg_rundir_checkpoint_abandon(vg_rundir *run, int64_t step)
{
    char *path;
    if (step_path(run->checkpoints, TEMPORARY, step, &path) != VG_OK) return;
    vg_status status = vg_folder_remove(path); /* on failure the next open clears it */
    (void)status;
    free(path);
}

/* The step that checkpoints/best points to, -1 for none. */
static int64_t best_step(const char *checkpoints)
{
    char target[64], *link, *folder = NULL;
    int64_t step = -1;
    if (vg_path_join(checkpoints, "best", &link) != VG_OK) return -1;
    ssize_t length = readlink(link, target, sizeof target - 1);
    if (length > 0) {
        target[length] = 0;
        step = step_of(target);
    }
    free(link);
    if (step < 0 || step_path(checkpoints, "", step, &folder) != VG_OK) return -1;
    if (!vg_path_is_folder(folder)) step = -1;
    free(folder);
    return step;
}

vg_status vg_rundir_mark_best(vg_rundir *run, int64_t step)
{
    vg_status status = VG_OK;
    char *folder = NULL, *link = NULL, *temporary = NULL;
    char target[40];
    snprintf(target, sizeof target, STEP "%" PRId64, step);
    VG_TRY_OUT(step_path(run->checkpoints, "", step, &folder));
    VG_TRY_OUT(vg_path_join(run->checkpoints, "best", &link));
    VG_TRY_OUT(vg_path_join(run->checkpoints, TEMPORARY "best", &temporary));
    if (!vg_path_is_folder(folder)) {
        status = vg_fail(VG_ERR_NOT_FOUND, "%s does not exist and cannot be the best checkpoint", folder);
        goto out;
    }
    VG_TRY_OUT(vg_file_remove(temporary));
    if (symlink(target, temporary) != 0) {
        status = vg__file_fail("write", link, errno);
        goto out;
    }
    status = vg_path_rename(temporary, link);
out:
    free(folder);
    free(link);
    free(temporary);
    return status;
}

/* Takes the good name away first: a folder half removed must not look complete. */
static vg_status remove_step(const char *checkpoints, int64_t step)
{
    vg_status status = VG_OK;
    char *from = NULL, *to = NULL;
    VG_TRY_OUT(step_path(checkpoints, "", step, &from));
    VG_TRY_OUT(step_path(checkpoints, TEMPORARY, step, &to));
    VG_TRY_OUT(vg_folder_remove(to));
    VG_TRY_OUT(vg_path_rename(from, to));
    status = vg_folder_remove(to);
out:
    free(from);
    free(to);
    return status;
}

vg_status vg_rundir_prune(vg_rundir *run, int64_t keep)
{
    VG_ASSERT(keep >= 1);
    vg_status status = VG_OK;
    int64_t *steps = NULL, best = best_step(run->checkpoints);
    size_t count = 0;
    VG_TRY(list_steps(run->checkpoints, &steps, &count));
    for (size_t i = (size_t)keep; i < count && status == VG_OK; i++)
        if (steps[i] != best) status = remove_step(run->checkpoints, steps[i]);
    free(steps);
    return status;
}

/* Gives out what last and best were asked for. */
static vg_status answer(const char *checkpoints, int64_t found, int64_t *step, char **folder)
{
    if (step) *step = found;
    return folder ? step_path(checkpoints, "", found, folder) : VG_OK;
}

vg_status vg_rundir_last_of(const char *path, int64_t *step, char **folder)
{
    char *checkpoints = NULL;
    int64_t *steps = NULL;
    size_t count = 0;
    VG_TRY(vg_path_join(path, "checkpoints", &checkpoints));
    vg_status status = list_steps(checkpoints, &steps, &count);
    if (status == VG_OK && !count)
        status = vg_fail(VG_ERR_NOT_FOUND, "%s holds no complete checkpoint", path);
    else if (status == VG_OK)
        status = answer(checkpoints, steps[0], step, folder);
    free(steps);
    free(checkpoints);
    return status;
}

vg_status vg_rundir_best_of(const char *path, int64_t *step, char **folder)
{
    char *checkpoints = NULL;
    VG_TRY(vg_path_join(path, "checkpoints", &checkpoints));
    int64_t best = best_step(checkpoints);
    vg_status status = best < 0 ? vg_fail(VG_ERR_NOT_FOUND, "%s holds no best checkpoint", path)
                                : answer(checkpoints, best, step, folder);
    free(checkpoints);
    return status;
}

vg_status vg_rundir_last(const vg_rundir *run, int64_t *step, char **folder)
{
    return vg_rundir_last_of(run->path, step, folder);
}

vg_status vg_rundir_best(const vg_rundir *run, int64_t *step, char **folder)
{
    return vg_rundir_best_of(run->path, step, folder);
}
