/* The run directory: who may open it, checkpoints that survive a crash at any point, the log, the metrics. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/file.h"
#include "core/rundir.h"
#include "tests/support/support.h"

static int disk_full;

ssize_t __real_write(int descriptor, const void *bytes, size_t size);
ssize_t __wrap_write(int descriptor, const void *bytes, size_t size);

ssize_t __wrap_write(int descriptor, const void *bytes, size_t size)
{
    if (!disk_full) return __real_write(descriptor, bytes, size);
    errno = ENOSPC;
    return -1;
}

static void put(const char *folder, const char *name, const char *text)
{
    char *path = support_path(folder, name);
    assert_ok(vg_file_write(path, text, strlen(text)));
    free(path);
}

static void assert_content(const char *folder, const char *name, const char *want)
{
    char *path = support_path(folder, name), *text = support_read_file(path, NULL);
    assert_string_equal(text, want);
    free(text);
    free(path);
}

static bool exists(const char *folder, const char *name)
{
    char *path = support_path(folder, name);
    bool there = vg_path_exists(path);
    free(path);
    return there;
}

static void checkpoint(vg_rundir *run, int64_t step, const char *text)
{
    char *folder;
    assert_ok(vg_rundir_checkpoint_begin(run, step, &folder));
    put(folder, "model.safetensors", text);
    assert_ok(vg_rundir_checkpoint_commit(run, step));
    free(folder);
}

static void assert_last(vg_rundir *run, int64_t want, const char *text)
{
    int64_t step;
    char *folder;
    assert_ok(vg_rundir_last(run, &step, &folder));
    assert_int_equal(step, want);
    assert_content(folder, "model.safetensors", text);
    free(folder);
}

static void test_who_may_open(void **state)
{
    (void)state;
    char *root = support_temp_dir(), *path = support_path(root, "runs/a");
    vg_rundir *run, *other;
    assert_fails(vg_rundir_open(path, VG_RUNDIR_RESUME, &run), VG_ERR_CONFIG,
                 "runs/a holds no run that could be resumed");
    assert_false(vg_path_exists(path));
    assert_ok(vg_rundir_open(path, VG_RUNDIR_NEW, &run));
    assert_false(vg_rundir_resumed(run));
    assert_string_equal(vg_rundir_path(run), path);
    assert_true(exists(path, "checkpoints"));
    assert_fails(vg_rundir_open(path, VG_RUNDIR_AUTO, &other), VG_ERR_IO, "in use by another process");
    put(path, "config.yaml", "name: a\n");
    vg_rundir_close(run);
    vg_rundir_close(NULL);

    /* Nothing was computed yet: a new run may take the folder. */
    assert_ok(vg_rundir_open(path, VG_RUNDIR_NEW, &run));
    assert_false(vg_rundir_resumed(run));
    vg_rundir_close(run);
    /* A file of a kind that nobody here knows is work too. */
    put(path, "results.json", "{}\n");
    assert_fails(vg_rundir_open(path, VG_RUNDIR_NEW, &run), VG_ERR_CONFIG, "already holds a run; resume it");
    char *results = support_path(path, "results.json");
    assert_ok(vg_file_remove(results));
    free(results);
    assert_ok(vg_rundir_open(path, VG_RUNDIR_NEW, &run));
    put(path, "metrics.jsonl", "{\"step\": 1}\n");
    vg_rundir_close(run);
    assert_fails(vg_rundir_open(path, VG_RUNDIR_NEW, &run), VG_ERR_CONFIG, "already holds a run; resume it");
    assert_content(path, "metrics.jsonl", "{\"step\": 1}\n");
    assert_ok(vg_rundir_open(path, VG_RUNDIR_RESUME, &run));
    assert_true(vg_rundir_resumed(run));
    vg_rundir_close(run);
    assert_ok(vg_rundir_open(path, VG_RUNDIR_AUTO, &run));
    assert_true(vg_rundir_resumed(run));
    vg_rundir_close(run);

    char *foreign = support_path(root, "home"), *file = support_path(root, "file"),
         *below = support_path(root, "file/run");
    assert_ok(vg_folder_make(foreign));
    put(foreign, "thesis.tex", "years of work");
    for (vg_rundir_mode mode = VG_RUNDIR_NEW; mode <= VG_RUNDIR_AUTO; mode++) {
        vg_status status = vg_rundir_open(foreign, mode, &run);
        support_assert_fails(status, VG_ERR_CONFIG, mode == VG_RUNDIR_RESUME ? "no run" : "thesis.tex",
                             "foreign");
    }
    assert_content(foreign, "thesis.tex", "years of work");
    support_write_file(file, "x", 1);
    assert_fails(vg_rundir_open(file, VG_RUNDIR_NEW, &run), VG_ERR_CONFIG, "is a file, not a folder");
    assert_fails(vg_rundir_open(below, VG_RUNDIR_NEW, &run), VG_ERR_IO, "Not a directory");
    free(foreign), free(file), free(below), free(path), free(root);
}

static void test_not_writable(void **state)
{
    (void)state;
    char *root = support_temp_dir(), *path = support_path(root, "shut/run"),
         *shut = support_path(root, "shut");
    assert_ok(vg_folder_make(shut));
    assert_int_equal(chmod(shut, 0555), 0);
    fflush(NULL);
    pid_t child = fork();
    assert_true(child >= 0);
    if (!child) { /* root may write anywhere, so the child becomes nobody */
        vg_rundir *run;
        if (geteuid() == 0 && setuid(65534) != 0) _exit(77);
        if (vg_rundir_open(path, VG_RUNDIR_NEW, &run) != VG_ERR_IO) _exit(1);
        _exit(strstr(vg_cause(), "Permission denied; check the permissions") ? 0 : 2);
    }
    int how = 0;
    assert_int_equal(waitpid(child, &how, 0), child);
    assert_true(WIFEXITED(how));
    free(root), free(path), free(shut);
    if (WEXITSTATUS(how) == 77) skip();
    assert_int_equal(WEXITSTATUS(how), 0);
}

static void test_checkpoints(void **state)
{
    (void)state;
    char *root = support_temp_dir(), *path = support_path(root, "run"),
         *checkpoints = support_path(path, "checkpoints");
    vg_rundir *run;
    int64_t step;
    char *folder;
    assert_ok(vg_rundir_open(path, VG_RUNDIR_NEW, &run));
    assert_fails(vg_rundir_last(run, &step, &folder), VG_ERR_NOT_FOUND, "no complete checkpoint");
    assert_fails(vg_rundir_best(run, &step, &folder), VG_ERR_NOT_FOUND, "no best checkpoint");
    checkpoint(run, 9, "nine");
    checkpoint(run, 10, "ten"); /* by number, not by name */
    assert_last(run, 10, "ten");
    assert_fails(vg_rundir_mark_best(run, 11), VG_ERR_NOT_FOUND, "step_11 does not exist");
    assert_ok(vg_rundir_mark_best(run, 9));
    assert_ok(vg_rundir_best(run, &step, &folder));
    assert_int_equal(step, 9);
    assert_content(folder, "model.safetensors", "nine");
    free(folder);
    assert_content(checkpoints, "best/model.safetensors", "nine");

    /* The same step again replaces it. */
    checkpoint(run, 10, "ten again");
    assert_last(run, 10, "ten again");
    assert_ok(vg_rundir_checkpoint_begin(run, 11, &folder));
    put(folder, "model.safetensors", "unfinished");
    free(folder);
    assert_last(run, 10, "ten again");
    vg_rundir_checkpoint_abandon(run, 11);
    assert_false(exists(checkpoints, ".tmp-step_11"));

    for (int i = 12; i < 20; i++) checkpoint(run, i, "later");
    assert_ok(vg_rundir_prune(run, 3));
    char **names;
    size_t count;
    assert_ok(vg_folder_list(checkpoints, &names, &count));
    static const char *const want[] = {"best", "step_17", "step_18", "step_19", "step_9"};
    assert_int_equal(count, 5);
    for (size_t i = 0; i < count; i++) assert_string_equal(names[i], want[i]);
    vg_names_free(names, count);
    assert_ok(vg_rundir_mark_best(run, 18));
    assert_ok(vg_rundir_prune(run, 1));
    assert_false(exists(checkpoints, "step_9"));
    assert_false(exists(checkpoints, "step_17"));
    assert_ok(vg_rundir_best_of(path, &step, NULL));
    assert_int_equal(step, 18);
    assert_ok(vg_rundir_last_of(path, &step, NULL));
    assert_int_equal(step, 19);
    vg_rundir_close(run);
    free(root), free(path), free(checkpoints);
}

/* Every state a killed process can leave between two steps of begin, commit and prune. */
static void test_remains(void **state)
{
    (void)state;
    char *root = support_temp_dir(), *path = support_path(root, "run"),
         *checkpoints = support_path(path, "checkpoints");
    vg_rundir *run;
    assert_ok(vg_rundir_open(path, VG_RUNDIR_NEW, &run));
    checkpoint(run, 5, "five");
    checkpoint(run, 6, "six");
    char *half = support_path(checkpoints, ".tmp-step_7"), *six = support_path(checkpoints, "step_6");
    char *old = support_path(checkpoints, ".old-step_6"),
         *old_five = support_path(checkpoints, ".old-step_5");
    char *odd = support_path(checkpoints, "step_08"), *odder = support_path(checkpoints, "step_9x");
    assert_ok(vg_folder_make(half)); /* killed while writing step 7 */
    put(half, "model.safetensors", "half");
    assert_ok(vg_path_rename(six, old)); /* killed while replacing step 6 */
    assert_ok(vg_folder_make(old_five)); /* killed after replacing step 5 */
    put(old_five, "model.safetensors", "an older five");
    assert_ok(vg_folder_make(odd)); /* not ours */
    assert_ok(vg_folder_make(odder));
    assert_last(run, 5, "five");
    vg_rundir_close(run);
    assert_ok(vg_rundir_open(path, VG_RUNDIR_RESUME, &run));
    assert_last(run, 6, "six");
    assert_false(vg_path_exists(half));
    assert_false(vg_path_exists(old));
    assert_false(vg_path_exists(old_five));
    assert_content(checkpoints, "step_5/model.safetensors", "five");
    vg_rundir_close(run);
    free(root), free(path), free(checkpoints), free(half), free(six), free(old), free(old_five), free(odd),
        free(odder);
}

static void test_full_disk(void **state)
{
    (void)state;
    char *root = support_temp_dir(), *path = support_path(root, "run"), *folder;
    vg_rundir *run;
    assert_ok(vg_rundir_open(path, VG_RUNDIR_NEW, &run));
    checkpoint(run, 1, "good");
    assert_ok(vg_rundir_checkpoint_begin(run, 2, &folder));
    char *file = support_path(folder, "model.safetensors");
    disk_full = 1;
    vg_status status = vg_file_write(file, "large", 5);
    disk_full = 0;
    support_assert_fails(status, VG_ERR_IO, "No space left on device; free space", "vg_file_write");
    vg_rundir_checkpoint_abandon(run, 2);
    assert_last(run, 1, "good");
    vg_rundir_close(run);
    free(file), free(folder), free(root), free(path);
}

static void test_log(void **state)
{
    (void)state;
    char *root = support_temp_dir(), *path = support_path(root, "run"), *log = support_path(path, "log.txt");
    vg_rundir *run;
    assert_ok(vg_rundir_open(path, VG_RUNDIR_NEW, &run));
    vg_rundir_attach_log(run, false);
    vg_info("step %d", 1);
    vg_debug("not at this level");
    char wide[4000];
    memset(wide, 'w', sizeof wide - 1);
    wide[sizeof wide - 1] = 0;
    vg_info("%s", wide);
    disk_full = 1;
    vg_info("lost, but the run goes on");
    disk_full = 0;
    vg_info("last");
    vg_rundir_close(run);
    vg_info("after the run");
    char *text = support_read_file(log, NULL);
    int year, month, day, hour, minute, second, used = 0;
    assert_int_equal(sscanf(text, "%d-%d-%dT%d:%d:%dZ info step 1\n%n", &year, &month, &day, &hour, &minute,
                            &second, &used),
                     6);
    assert_true(used > 0 && year >= 2020 && month <= 12 && day <= 31);
    int lines = 0;
    for (const char *at = text; *at; at++) lines += *at == '\n';
    assert_int_equal(lines, 3);
    assert_non_null(strstr(text, " info last\n"));
    assert_null(strstr(text, "after the run"));
    free(text);
    /* A resumed run appends. */
    assert_ok(vg_rundir_open(path, VG_RUNDIR_RESUME, &run));
    vg_rundir_attach_log(run, false);
    vg_info("resumed");
    vg_rundir_close(run);
    text = support_read_file(log, NULL);
    assert_non_null(strstr(text, " info step 1\n"));
    assert_non_null(strstr(text, " info resumed\n"));
    free(text);
    free(root), free(path), free(log);
}

static void test_rewind(void **state)
{
    (void)state;
    char *root = support_temp_dir(), *path = support_path(root, "run"), *name;
    vg_rundir *run;
    assert_ok(vg_rundir_open(path, VG_RUNDIR_NEW, &run));
    assert_ok(vg_rundir_rewind_metrics(run, 3)); /* no file: nothing to do */
    assert_ok(vg_rundir_file(run, "metrics.jsonl", &name));
    assert_false(vg_path_exists(name));
    put(path, "metrics.jsonl",
        "{\"step\": 1, \"loss\": 0.5}\n{\"event\": \"start\"}\n{\"step\": 3}\n{\"step\": 4}\nnot "
        "json\n{\"step\": 2}\n{\"st");
    assert_ok(vg_rundir_rewind_metrics(run, 3));
    assert_content(
        path, "metrics.jsonl",
        "{\"step\": 1, \"loss\": 0.5}\n{\"event\": \"start\"}\n{\"step\": 3}\nnot json\n{\"step\": 2}\n");
    assert_ok(vg_rundir_rewind_metrics(run, 3));
    assert_ok(vg_rundir_rewind_metrics(run, 0));
    assert_content(path, "metrics.jsonl", "{\"event\": \"start\"}\nnot json\n");
    vg_rundir_close(run);
    free(name), free(root), free(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_who_may_open), cmocka_unit_test(test_not_writable),
        cmocka_unit_test(test_checkpoints),  cmocka_unit_test(test_remains),
        cmocka_unit_test(test_full_disk),    cmocka_unit_test(test_log),
        cmocka_unit_test(test_rewind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
