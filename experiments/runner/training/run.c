#include "experiments/runner/training/run.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/file.h"
#include "core/log.h"
#include "experiments/runner/training/setup.h"

/* Keys that say where a run computes. They may change when it goes on; the checkpoint knows what it was made
 * with, and the trainer looks at that. */
static const char *const movable[] = {"device:", "precision:", "threads:", "parallel:", "  memory_gib:"};

/* Past the end of the line, and of the section that it begins (a key in a section begins none). */
static const char *skip_key(const char *text)
{
    const bool inner = *text == ' ';
    do {
        text += strcspn(text, "\n");
        text += *text == '\n';
    } while (*text == ' ' && !inner);
    return text;
}

static const char *skip_movable(const char *text)
{
    for (size_t i = 0; i < sizeof movable / sizeof *movable; i++)
        if (!strncmp(text, movable[i], strlen(movable[i]))) return skip_movable(skip_key(text));
    return text;
}

/* Finds the first line in which two texts differ and cuts it out of each ("" past the end). */
static bool differ(const char *a, const char *b, char line_a[160], char line_b[160])
{
    for (;;) {
        a = skip_movable(a);
        b = skip_movable(b);
        size_t length_a = strcspn(a, "\n"), length_b = strcspn(b, "\n");
        if (length_a != length_b || memcmp(a, b, length_a) || !*a != !*b) break;
        if (!*a) return false;
        a += length_a + (a[length_a] == '\n');
        b += length_b + (b[length_b] == '\n');
    }
    snprintf(line_a, 160, "%.*s", (int)strcspn(a, "\n"), a);
    snprintf(line_b, 160, "%.*s", (int)strcspn(b, "\n"), b);
    return true;
}

/* Both are compared as the schema prints them, so that a key which came later has its default in the older
 * file. */
static vg_status same_configuration(const vg_rundir *run, const char *path, const char *wanted)
{
    char *there = NULL, mine[160], theirs[160];
    vg_experiment before;
    VG_TRY(vg_experiment_load(path, NULL, 0, &before));
    vg_status status = vg_schema_print(&vg_experiment_schema, &before, &there);
    vg_experiment_free(&before);
    VG_TRY(status);
    bool same = !differ(wanted, there, mine, theirs);
    free(there);
    if (same) return VG_OK;
    return vg_fail(
        VG_ERR_CONFIG,
        "%s holds a run with another configuration: '%s' there, '%s' now. Resume it with the settings it "
        "began with, or choose another output_dir",
        vg_rundir_path(run), theirs, mine);
}

static vg_status open_folder(const vg_experiment *experiment, vg_rundir_mode mode, const char *text,
                             vg_rundir **out)
{
    char *path;
    VG_TRY(vg_rundir_open(experiment->output_dir, mode, out));
    vg_rundir_attach_log(*out, true);
    VG_TRY(vg_rundir_file(*out, "config.yaml", &path));
    /* A new run may find the configuration of one that was killed before it had done anything. */
    vg_status status;
    if (vg_rundir_resumed(*out) && vg_path_exists(path))
        status = same_configuration(*out, path, text);
    else
        status = vg_file_write(path, text, strlen(text));
    free(path);
    return status;
}

/* What all ranks must have in common. */
static vg_status same_at_all_ranks(const vg_machine *machine, const char *text)
{
    char *kept = calloc(1, strlen(text) + 1), *end = kept;
    if (!kept) return vg_fail(VG_ERR_MEMORY, "no memory for a configuration");
    for (const char *line = skip_movable(text); *line; line = skip_movable(line)) {
        size_t length = strcspn(line, "\n");
        length += line[length] == '\n';
        memcpy(end, line, length);
        end += length;
        line += length;
    }
    vg_status status = vg_group_same(machine->group, "configuration", kept);
    free(kept);
    return status;
}

vg_status vg_run_open(const vg_experiment *experiment, vg_rundir_mode mode, const vg_machine *machine,
                      vg_rundir **out)
{
    char *text = NULL;
    vg_status status;
    vg_model_options options;
    *out = NULL;
    VG_TRY(vg_setup_model(experiment, NULL, VG_HEAD_RECONSTRUCTION, &options));
    VG_TRY_OUT(vg_schema_print(&vg_experiment_schema, experiment, &text));
    if (vg_machine_writes(machine)) VG_TRY_OUT(open_folder(experiment, mode, text, out));
    status = same_at_all_ranks(machine, text);
out:
    free(text);
    if (status != VG_OK) {
        vg_run_close(*out, false);
        *out = NULL;
    }
    return status;
}

void vg_run_name_files(const vg_experiment *experiment, FILE *out, const char *files)
{
    fprintf(out, "\nin %s: %s  log.txt  config.yaml\n", experiment->output_dir, files);
}

/* Removes what vg_run_open() made, by name; a folder that holds anything else stays, whoever put it there. */
static vg_status discard(const char *folder)
{
    static const char *const ours[] = {"config.yaml", "log.txt", "checkpoints"};
    for (size_t i = 0; i < sizeof ours / sizeof *ours; i++) {
        char *path;
        VG_TRY(vg_path_join(folder, ours[i], &path));
        vg_status status = vg_path_is_folder(path) ? vg_folder_remove(path) : vg_file_remove(path);
        free(path);
        VG_TRY(status);
    }
    if (rmdir(folder) != 0 && errno != ENOTEMPTY && errno != EEXIST)
        return vg_fail(VG_ERR_IO, "cannot remove %s: %s", folder, strerror(errno));
    return VG_OK;
}

void vg_run_close(vg_rundir *run, bool began)
{
    if (!run) return;
    char *path = NULL;
    bool unwanted =
        !began && !vg_rundir_resumed(run) && vg_path_join("", vg_rundir_path(run), &path) == VG_OK;
    vg_rundir_close(run);
    if (unwanted) {
        /* What brought us here is the cause to tell, not a folder that cannot be removed. */
        char cause[2048];
        snprintf(cause, sizeof cause, "%s", vg_cause());
        if (discard(path) != VG_OK) vg_warn("%s", vg_cause());
        (void)vg_fail(VG_ERR_IO, "%s", cause);
    }
    free(path);
}
