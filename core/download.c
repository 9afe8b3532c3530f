#include "core/download.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "core/download_transfer.h"
#include "core/log.h"
#include "core/signals.h"

enum { MAX_PAUSE = 60 };

vg_download_options vg_download_default_options(void)
{
    return (vg_download_options){
        .what = "fetch", .at_once = 4, .attempts = 6, .pause = 1, .silence = 60, .limit = 0};
}

/* ---- One file --------------------------------------------------------------------------------------------
 */

static void give_up(vg__transfer *t, vg_status status, bool everything)
{
    vg__downloads *all = t->all;
    all->report.failed++;
    if (all->status == VG_OK) {
        all->status = status;
        all->cause = strdup(vg_cause());
    } else {
        vg_warn("%s", vg_cause());
    }
    all->over = all->over || everything;
    vg__part_close(&t->part, true);
    t->file = NULL;
}

/* The file is whole, as far as the server is concerned. */
static void complete(vg__transfer *t)
{
    vg__downloads *all = t->all;
    bool same = false;
    char sum[VG_SHA256_TEXT] = "";
    vg_status status = vg__part_matches(&t->part, t->file->sha256, &same);
    if (status == VG_OK && same) status = vg__part_finish(&t->part);
    if (status != VG_OK) {
        give_up(t, status, true);
    } else if (same) {
        all->report.fetched++;
        t->file = NULL;
    } else if (!t->cleared) {
        vg_warn("%s: not the published checksum; fetched once more from the start", t->file->url);
        t->cleared = true;
        if (vg__part_empty(&t->part) != VG_OK) {
            give_up(t, VG_ERR_IO, true);
            return;
        }
        t->again = 0;
    } else {
        if (vg_sha256_end(t->part.hash, sum) != VG_OK) snprintf(sum, sizeof sum, "unknown");
        status =
            vg_fail(VG_ERR_FORMAT,
                    "%s: wrong checksum twice: SHA-256 %s instead of %s; nothing of it is kept. Ask another "
                    "server, or tell whoever runs this one",
                    t->file->url, sum, t->file->sha256);
        vg__part_close(&t->part, false);
        give_up(t, status, false);
    }
}

static void fail(vg__transfer *t)
{
    vg_status status;
    if (t->unreachable)
        status = vg_fail(
            VG_ERR_IO,
            "%s cannot be reached: %s. Is this machine offline? A proxy is taken from https_proxy and "
            "http_proxy; what is there already is kept",
            t->file->url, t->words);
    else if (t->missing)
        status = vg_fail(VG_ERR_NOT_FOUND, "%s is not there (%s)", t->file->url, t->words);
    else if (t->code == 401 || t->code == 403)
        status = vg_fail(VG_ERR_IO, "%s: the server asks for permission (%s)", t->file->url, t->words);
    else
        status = vg_fail(
            VG_ERR_IO, "%s: %s%s", t->file->url, t->words,
            t->ending == VG__ENDING_PASSES ? ", again and again; what came is kept: fetch again later" : "");
    give_up(t, status, t->unreachable);
}

/* After an attempt: done, again, or given up. */
static void ended(vg__transfer *t)
{
    const vg_download_options *options = t->all->options;
    if (t->ending == VG__ENDING_WHOLE) {
        complete(t);
        return;
    }
    if (t->useless && !t->cleared) { /* what is there is of no use to this server */
        t->cleared = true;
        t->again = 0;
        if (vg__part_empty(&t->part) != VG_OK) give_up(t, VG_ERR_IO, true);
        return;
    }
    if (t->ending == VG__ENDING_OURS) {
        give_up(t, vg_fail(t->status, "%s", t->cause), t->status == VG_ERR_IO && !t->useless);
        return;
    }
    if (t->part.size > t->start) t->attempts = 0;
    t->attempts++;
    /* Nothing has answered at all: a second try, and no more. */
    bool nobody = t->unreachable && t->all->report.bytes == 0 && t->attempts >= 2;
    if (t->ending == VG__ENDING_STAYS || nobody || t->attempts >= options->attempts) {
        fail(t);
        return;
    }
    double pause = options->pause * pow(2, t->attempts - 1);
    if (t->wished > pause) pause = t->wished;
    if (!(pause <= MAX_PAUSE)) pause = MAX_PAUSE;
    vg_warn("%s: %s; again in %.3g s", t->file->url, t->words, pause);
    t->again = vg__transfer_now() + pause;
}

/* ---- All of them -----------------------------------------------------------------------------------------
 */

/* Takes up a file that is not there yet. */
static void take_up(vg__downloads *all, vg__transfer *t, vg_download *file)
{
    bool same = false;
    *t = (vg__transfer){.all = all, .easy = t->easy, .file = file};
    vg_status status = vg__part_open(file->path, &t->part);
    if (status == VG_OK && file->sha256 && t->part.size > 0)
        status = vg__part_matches(&t->part, file->sha256, &same);
    if (status != VG_OK)
        give_up(t, status, true);
    else if (same)
        complete(t);
}

/* What is complete, and about how much of the rest is. */
static vg_status look(vg__downloads *all, vg_download *files, int64_t count)
{
    for (int64_t i = 0; i < count; i++) {
        char sum[VG_SHA256_TEXT], part[4096];
        struct stat info;
        if (vg_stop_requested()) return VG_OK;
        snprintf(part, sizeof part, "%s.part", files[i].path);
        files[i].present = stat(files[i].path, &info) == 0 && S_ISREG(info.st_mode);
        if (files[i].present && files[i].sha256) {
            VG_TRY(vg_sha256_file(files[i].path, sum));
            files[i].present = vg_sha256_equal(sum, files[i].sha256);
            if (!files[i].present)
                vg_warn("%s has not the published checksum and is fetched anew", files[i].path);
        }
        all->report.present += files[i].present;
        if (files[i].present || stat(part, &info) == 0) all->bytes_there += info.st_size;
    }
    int64_t needed = all->options->expected_bytes - all->bytes_there;
    int64_t room = count && all->report.present < count ? vg__room_for(files[0].path) : -1;
    return room >= 0 && needed > room ? vg__no_room(files[0].path, needed, room) : VG_OK;
}

static void tell(vg__downloads *all)
{
    const size_t size = sizeof all->text;
    double expected = (double)all->options->expected_bytes, seconds = vg__transfer_now() - all->began;
    double bytes = (double)(all->bytes_there + all->report.bytes);
    double speed = seconds > 0.5 ? (double)all->report.bytes / seconds : 0;
    double left = speed > 0 ? (expected - bytes) / speed : 0;
    int64_t done = all->report.present + all->report.fetched;
    int n = snprintf(all->text, size, "%" PRId64 "/%" PRId64 " files  %.1f", done, all->count, bytes / 1e6);
    if (expected > 0) n += snprintf(all->text + n, size - (size_t)n, " of about %.0f", expected / 1e6);
    n += snprintf(all->text + n, size - (size_t)n, " MB");
    if (speed > 0) n += snprintf(all->text + n, size - (size_t)n, "  %.2f MB/s", speed / 1e6);
    if (left > 0 && left < 1e6)
        snprintf(all->text + n, size - (size_t)n, "  ETA %d:%02d:%02d", (int)(left / 3600),
                 (int)(left / 60) % 60, (int)fmod(left, 60));
    all->progress.text = all->text;
    vg_progress_update(&all->progress, done, NAN, 0);
}

/* One round: files into free places, places whose pause is over, and what libcurl has to say. False when
 * nothing is left to do; `ended_one`: a place is free for the next. */
static bool go_round(vg__downloads *all, vg_download *files, bool *ended_one)
{
    bool busy = false;
    for (int i = 0; i < all->options->at_once; i++) {
        vg__transfer *t = &all->slot[i];
        while (!t->file && !all->over && all->started < all->count) {
            vg_download *file = &files[all->started++];
            if (!file->present) take_up(all, t, file);
        }
        if (t->file && !t->running && !all->over && vg__transfer_now() >= t->again) vg__transfer_start(t);
        busy = busy || (t->file && !all->over);
    }
    *ended_one = vg__transfers_drive(all, ended);
    return busy;
}

/* What has become of them, told by the first that failed. */
static vg_status verdict(const vg__downloads *all)
{
    const int64_t done = all->report.fetched + all->report.present, count = all->count;
    if (vg_stop_requested() && done < count)
        return vg_fail(VG_ERR_PREEMPTED,
                       "%" PRId64 " of %" PRId64 " files are complete; what is there is kept and the same "
                       "command goes on",
                       done, count);
    if (all->status == VG_OK) return VG_OK;
    if (all->report.failed + done < count)
        return vg_fail(all->status, "%s (%" PRId64 " of %" PRId64 " files are complete)", all->cause, done,
                       count);
    if (all->report.failed > 1)
        return vg_fail(all->status, "%s; and %" PRId64 " more of %" PRId64 " files failed", all->cause,
                       all->report.failed - 1, count);
    return vg_fail(all->status, "%s", all->cause);
}

vg_status vg_download_all(vg_download *files, int64_t count, const vg_download_options *options,
                          vg_download_report *report)
{
    vg_status status = VG_OK;
    bool telling = false, ended_one = false;
    VG_ASSERT(options->at_once >= 1 && options->at_once <= VG__TRANSFERS);
    if (report) *report = (vg_download_report){0};
    vg__downloads *all = calloc(1, sizeof *all);
    if (!all) return vg_fail(VG_ERR_MEMORY, "no memory for downloads");
    all->options = options;
    all->count = count;
    VG_TRY_OUT(vg__transfers_open(all));
    VG_TRY_OUT(look(all, files, count));
    all->began = vg__transfer_now();
    vg_progress_begin(&all->progress, options->what, all->report.present, count);
    telling = all->report.present < count;
    while (telling && !vg_stop_requested() && go_round(all, files, &ended_one)) {
        tell(all);
        if (!ended_one) vg__transfers_wait(all);
    }
    if (telling) {
        tell(all);
        vg_progress_end(&all->progress);
    }
    status = verdict(all);
out:
    vg__transfers_close(all);
    if (report) *report = all->report;
    free(all->cause);
    free(all);
    return status;
}
