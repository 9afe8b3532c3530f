#include "core/download.h"

#include <inttypes.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <time.h>

#include <curl/curl.h>

#include "core/download_part.h"
#include "core/log.h"
#include "core/progress.h"
#include "core/signals.h"

enum { MAX_AT_ONCE = 16, CONNECT_SECONDS = 30, MAX_PAUSE = 60, POLL_MS = 200 };

typedef struct work work;

/* One of the files under way. */
typedef struct transfer {
    work *work;
    vg_download *file; /* NULL: free */
    CURL *easy;
    vg__part part;
    bool running;          /* handed to libcurl; else it waits until `again` */
    bool begun;            /* the answer was looked at */
    bool cleared;          /* its bytes were thrown away once, to begin anew */
    bool own;              /* `status` is an error of ours, its cause recorded */
    bool useless;          /* the answer cannot be put behind what is there */
    int attempts;          /* without a new byte */
    int64_t start;         /* bytes there when this attempt began */
    int64_t first, remain; /* which byte the answer begins with, how many it has; -1: unknown */
    double again, heard;   /* when the next attempt begins; when the last byte came */
    vg_status status;
    char cause[1024], words[CURL_ERROR_SIZE]; /* ours; libcurl's */
} transfer;

struct work {
    const vg_download_options *options;
    vg_download_report report;
    vg_progress progress;
    CURLM *multi;
    transfer slot[MAX_AT_ONCE];
    int64_t count, started, bytes_there;
    vg_status status; /* of the first file that failed, and its cause */
    char *cause;
    bool over; /* nothing more can come */
    double began;
    char text[200]; /* of the line of progress */
};

static double seconds_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

vg_download_options vg_download_default_options(void)
{
    return (vg_download_options){
        .what = "fetch", .at_once = 4, .attempts = 6, .pause = 1, .silence = 60, .limit = 0};
}

/* ---- What libcurl calls ----------------------------------------------------------------------------------
 */

static size_t take_header(char *bytes, size_t size, size_t count, void *context)
{
    transfer *t = context;
    char line[200];
    size_t length = size * count;
    t->heard = seconds_now();
    snprintf(line, sizeof line, "%.*s", (int)(length < sizeof line ? length : sizeof line - 1), bytes);
    if (!strncmp(line, "HTTP/", 5)) t->first = -1; /* of the answer behind a redirect nothing is known yet */
    if (!strncasecmp(line, "content-range: bytes ", 21) && line[21] >= '0' && line[21] <= '9')
        t->first = strtoll(line + 21, NULL, 10);
    return length;
}

/* The first bytes of an answer: do they go on where the file ends, or begin it anew, and is there room? */
static vg_status begin(transfer *t)
{
    long code = 0;
    curl_off_t length = -1;
    t->begun = true;
    curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &code);
    curl_easy_getinfo(t->easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
    t->remain = length;
    if (code == 206 && t->first != t->part.size) {
        t->useless = true;
        return vg_fail(VG_ERR_IO, "%s: the server sends other bytes than were asked for", t->file->url);
    }
    if (code != 206) VG_TRY(vg__part_empty(&t->part));
    int64_t needed = 0, room = vg__room_for(t->file->path);
    for (int i = 0; i < MAX_AT_ONCE; i++) {
        const transfer *other = &t->work->slot[i];
        if (other->file && other->running && other->remain > 0) needed += other->remain;
    }
    return room >= 0 && needed > room ? vg__no_room(t->file->path, needed, room) : VG_OK;
}

static size_t take_bytes(char *bytes, size_t size, size_t count, void *context)
{
    transfer *t = context;
    size_t length = size * count;
    const vg_download_options *options = t->work->options;
    vg_status status = t->begun ? VG_OK : begin(t);
    if (status == VG_OK && options->limit > 0 && t->part.size + (int64_t)length > options->limit)
        status = vg_fail(VG_ERR_FORMAT, "%s: longer than %.1f MB, which such a file cannot be", t->file->url,
                         (double)options->limit / 1e6);
    if (status == VG_OK) status = vg__part_append(&t->part, bytes, length);
    if (status != VG_OK) {
        t->own = true;
        t->status = status;
        snprintf(t->cause, sizeof t->cause, "%s", vg_cause());
        return 0;
    }
    if (t->remain > 0) t->remain -= (int64_t)length;
    t->heard = seconds_now();
    t->work->report.bytes += (int64_t)length;
    return length;
}

/* ---- One file --------------------------------------------------------------------------------------------
 */

static void give_up(transfer *t, vg_status status, bool everything)
{
    work *w = t->work;
    w->report.failed++;
    if (w->status == VG_OK) {
        w->status = status;
        w->cause = strdup(vg_cause());
    } else {
        vg_warn("%s", vg_cause());
    }
    w->over = w->over || everything;
    vg__part_close(&t->part, true);
    t->file = NULL;
}

static void start(transfer *t)
{
    bool folder = !strncasecmp(t->file->url, "file:", 5);
    char range[32];
    snprintf(range, sizeof range, "%" PRId64 "-", t->part.size);
    t->start = t->part.size;
    t->begun = t->own = t->useless = false;
    t->first = t->remain = -1;
    t->words[0] = 0;
    curl_easy_reset(t->easy);
    curl_easy_setopt(t->easy, CURLOPT_URL, t->file->url);
    curl_easy_setopt(t->easy, CURLOPT_PROTOCOLS_STR, "http,https,file");
    curl_easy_setopt(t->easy, CURLOPT_REDIR_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(t->easy, CURLOPT_FOLLOWLOCATION, 1L);
    curl_easy_setopt(t->easy, CURLOPT_MAXREDIRS, 10L);
    curl_easy_setopt(t->easy, CURLOPT_FAILONERROR, 1L);
    curl_easy_setopt(t->easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(t->easy, CURLOPT_USERAGENT, "vagus");
    curl_easy_setopt(t->easy, CURLOPT_CONNECTTIMEOUT, (long)CONNECT_SECONDS);
    curl_easy_setopt(t->easy, CURLOPT_ERRORBUFFER, t->words);
    curl_easy_setopt(t->easy, CURLOPT_PRIVATE, t);
    curl_easy_setopt(t->easy, CURLOPT_HEADERFUNCTION, take_header);
    curl_easy_setopt(t->easy, CURLOPT_HEADERDATA, t);
    curl_easy_setopt(t->easy, CURLOPT_WRITEFUNCTION, take_bytes);
    curl_easy_setopt(t->easy, CURLOPT_WRITEDATA, t);
    if (t->part.size > 0 && !folder) curl_easy_setopt(t->easy, CURLOPT_RANGE, range);
    t->running = true;
    t->heard = seconds_now();
    curl_multi_add_handle(t->work->multi, t->easy);
}

/* The file is whole, as far as the server is concerned. */
static void complete(transfer *t)
{
    work *w = t->work;
    bool same = false;
    char sum[VG_SHA256_TEXT] = "";
    vg_status status = vg__part_matches(&t->part, t->file->sha256, &same);
    if (status == VG_OK && same) status = vg__part_finish(&t->part);
    if (status != VG_OK) {
        give_up(t, status, true);
    } else if (same) {
        w->report.fetched++;
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

static bool passes(CURLcode result, long code)
{
    switch (result) {
    case CURLE_HTTP_RETURNED_ERROR:
        return code >= 500 || code == 408 || code == 425 || code == 429;
    case CURLE_COULDNT_RESOLVE_PROXY:
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_CONNECT:
    case CURLE_OPERATION_TIMEDOUT:
    case CURLE_PARTIAL_FILE:
    case CURLE_RECV_ERROR:
    case CURLE_SEND_ERROR:
    case CURLE_GOT_NOTHING:
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_HTTP2:
    case CURLE_HTTP2_STREAM:
        return true;
    default:
        return false;
    }
}

static void fail(transfer *t, CURLcode result, long code, bool unreachable)
{
    const char *words = t->words[0] ? t->words : curl_easy_strerror(result);
    vg_status status;
    if (unreachable)
        status = vg_fail(
            VG_ERR_IO,
            "%s cannot be reached: %s. Is this machine offline? A proxy is taken from https_proxy and "
            "http_proxy; what is there already is kept",
            t->file->url, words);
    else if (code == 404 || code == 410 || result == CURLE_FILE_COULDNT_READ_FILE)
        status = vg_fail(VG_ERR_NOT_FOUND, "%s is not there (%s)", t->file->url, words);
    else if (code == 401 || code == 403)
        status = vg_fail(VG_ERR_IO, "%s: the server asks for permission (%s)", t->file->url, words);
    else
        status =
            vg_fail(VG_ERR_IO, "%s: %s%s", t->file->url, words,
                    passes(result, code) ? ", again and again; what came is kept: fetch again later" : "");
    give_up(t, status, unreachable);
}

static void ended(transfer *t, CURLcode result)
{
    work *w = t->work;
    const vg_download_options *options = w->options;
    long code = 0;
    curl_off_t wished = 0;
    curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &code);
    curl_easy_getinfo(t->easy, CURLINFO_RETRY_AFTER, &wished);
    t->running = false;
    if (result == CURLE_OK) {
        vg_status status = t->begun ? VG_OK : begin(t); /* an answer without a byte */
        if (status == VG_OK)
            complete(t);
        else
            give_up(t, status, true);
        return;
    }
    bool beyond = result == CURLE_HTTP_RETURNED_ERROR && code == 416 && t->start > 0;
    if ((t->useless || beyond) && !t->cleared) { /* what is there is of no use to this server */
        t->cleared = true;
        t->again = 0;
        if (vg__part_empty(&t->part) != VG_OK) give_up(t, VG_ERR_IO, true);
        return;
    }
    if (t->own) {
        give_up(t, vg_fail(t->status, "%s", t->cause), t->status == VG_ERR_IO && !t->useless);
        return;
    }
    bool unreachable = result == CURLE_COULDNT_RESOLVE_HOST || result == CURLE_COULDNT_RESOLVE_PROXY ||
                       result == CURLE_COULDNT_CONNECT || (result == CURLE_OPERATION_TIMEDOUT && code == 0);
    if (t->part.size > t->start) t->attempts = 0;
    t->attempts++;
    /* Nothing has answered at all: a second try, and no more. */
    bool nobody = unreachable && w->report.bytes == 0 && t->attempts >= 2;
    if (!passes(result, code) || nobody || t->attempts >= options->attempts) {
        fail(t, result, code, unreachable);
        return;
    }
    double pause = options->pause * pow(2, t->attempts - 1);
    if (wished > pause) pause = (double)wished;
    if (!(pause <= MAX_PAUSE)) pause = MAX_PAUSE;
    vg_warn("%s: %s; again in %.3g s", t->file->url, t->words[0] ? t->words : curl_easy_strerror(result),
            pause);
    t->again = seconds_now() + pause;
}

/* ---- All of them -----------------------------------------------------------------------------------------
 */

/* Takes up a file that is not there yet. */
static void take_up(work *w, transfer *t, vg_download *file)
{
    bool same = false;
    CURL *easy = t->easy;
    *t = (transfer){.work = w, .easy = easy, .file = file};
    vg_status status = vg__part_open(file->path, &t->part);
    if (status == VG_OK && file->sha256 && t->part.size > 0)
        status = vg__part_matches(&t->part, file->sha256, &same);
    if (status != VG_OK)
        give_up(t, status, true);
    else if (same)
        complete(t);
}

/* What is complete, and about how much of the rest is. */
static vg_status look(work *w, vg_download *files, int64_t count)
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
        w->report.present += files[i].present;
        if (files[i].present || stat(part, &info) == 0) w->bytes_there += info.st_size;
    }
    int64_t needed = w->options->expected_bytes - w->bytes_there;
    int64_t room = count && w->report.present < count ? vg__room_for(files[0].path) : -1;
    return room >= 0 && needed > room ? vg__no_room(files[0].path, needed, room) : VG_OK;
}

static void tell(work *w)
{
    const size_t size = sizeof w->text;
    double expected = (double)w->options->expected_bytes, seconds = seconds_now() - w->began;
    double bytes = (double)(w->bytes_there + w->report.bytes);
    double speed = seconds > 0.5 ? (double)w->report.bytes / seconds : 0;
    double left = speed > 0 ? (expected - bytes) / speed : 0;
    int64_t done = w->report.present + w->report.fetched;
    int n = snprintf(w->text, size, "%" PRId64 "/%" PRId64 " files  %.1f", done, w->count, bytes / 1e6);
    if (expected > 0) n += snprintf(w->text + n, size - (size_t)n, " of about %.0f", expected / 1e6);
    n += snprintf(w->text + n, size - (size_t)n, " MB");
    if (speed > 0) n += snprintf(w->text + n, size - (size_t)n, "  %.2f MB/s", speed / 1e6);
    if (left > 0 && left < 1e6)
        snprintf(w->text + n, size - (size_t)n, "  ETA %d:%02d:%02d", (int)(left / 3600),
                 (int)(left / 60) % 60, (int)fmod(left, 60));
    w->progress.text = w->text;
    vg_progress_update(&w->progress, done, NAN, 0);
}

/* One round: files into free places, places whose pause is over, and what libcurl has to say. False when
 * nothing is left to do; `ended_one`: a place is free for the next. */
static bool go_round(work *w, vg_download *files, bool *ended_one)
{
    bool busy = false;
    for (int i = 0; i < w->options->at_once; i++) {
        transfer *t = &w->slot[i];
        while (!t->file && !w->over && w->started < w->count) {
            vg_download *file = &files[w->started++];
            if (!file->present) take_up(w, t, file);
        }
        if (t->file && !t->running && !w->over && seconds_now() >= t->again) start(t);
        busy = busy || (t->file && !w->over);
    }
    int running, left;
    *ended_one = false;
    curl_multi_perform(w->multi, &running);
    for (CURLMsg *message; (message = curl_multi_info_read(w->multi, &left));) {
        transfer *t;
        CURLcode result = message->data.result;
        if (message->msg != CURLMSG_DONE) continue;
        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&t);
        curl_multi_remove_handle(w->multi, t->easy);
        ended(t, result);
        *ended_one = true;
    }
    /* libcurl's own limit of speed takes five seconds longer than it is told. */
    for (int i = 0; i < w->options->at_once; i++) {
        transfer *t = &w->slot[i];
        if (!t->running || seconds_now() - t->heard < w->options->silence) continue;
        curl_multi_remove_handle(w->multi, t->easy);
        snprintf(t->words, sizeof t->words, "nothing came for %.3g s", w->options->silence);
        ended(t, CURLE_OPERATION_TIMEDOUT);
        *ended_one = true;
    }
    return busy;
}

static pthread_once_t once = PTHREAD_ONCE_INIT;
static CURLcode global;

static void initialise(void)
{
    global = curl_global_init(CURL_GLOBAL_DEFAULT);
}

vg_status vg_download_all(vg_download *files, int64_t count, const vg_download_options *options,
                          vg_download_report *report)
{
    work *w = calloc(1, sizeof *w);
    vg_status status = VG_OK;
    bool telling = false, ended_one = false;
    VG_ASSERT(options->at_once >= 1 && options->at_once <= MAX_AT_ONCE);
    if (report) *report = (vg_download_report){0};
    pthread_once(&once, initialise);
    if (!w || global != CURLE_OK || !(w->multi = curl_multi_init())) {
        free(w);
        return vg_fail(VG_ERR_MEMORY, "libcurl does not start: %s", curl_easy_strerror(global));
    }
    w->options = options;
    w->count = count;
    for (int i = 0; i < options->at_once; i++)
        if (!(w->slot[i].easy = curl_easy_init())) {
            status = vg_fail(VG_ERR_MEMORY, "no memory for a transfer");
            goto out;
        }
    VG_TRY_OUT(look(w, files, count));
    w->began = seconds_now();
    vg_progress_begin(&w->progress, options->what, w->report.present, count);
    telling = w->report.present < count;
    while (telling && !vg_stop_requested() && go_round(w, files, &ended_one)) {
        tell(w);
        if (!ended_one) curl_multi_poll(w->multi, NULL, 0, POLL_MS, NULL);
    }
    if (telling) {
        tell(w);
        vg_progress_end(&w->progress);
    }
    int64_t done = w->report.fetched + w->report.present;
    if (vg_stop_requested() && done < count)
        status = vg_fail(VG_ERR_PREEMPTED,
                         "%" PRId64 " of %" PRId64 " files are complete; what is there is kept and the same "
                         "command goes on",
                         done, count);
    else if (w->status != VG_OK && w->report.failed + done < count)
        status =
            vg_fail(w->status, "%s (%" PRId64 " of %" PRId64 " files are complete)", w->cause, done, count);
    else if (w->status != VG_OK && w->report.failed > 1)
        status = vg_fail(w->status, "%s; and %" PRId64 " more of %" PRId64 " files failed", w->cause,
                         w->report.failed - 1, count);
    else if (w->status != VG_OK)
        status = vg_fail(w->status, "%s", w->cause);
out:
    for (int i = 0; i < options->at_once; i++) {
        transfer *t = &w->slot[i];
        if (t->running) curl_multi_remove_handle(w->multi, t->easy);
        vg__part_close(&t->part, true);
        curl_easy_cleanup(t->easy);
    }
    curl_multi_cleanup(w->multi);
    if (report) *report = w->report;
    free(w->cause);
    free(w);
    return status;
}
