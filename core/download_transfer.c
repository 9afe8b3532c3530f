#include "core/download_transfer.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include <curl/curl.h>

enum { CONNECT_SECONDS = 30, POLL_MS = 200 };
_Static_assert(sizeof((vg__transfer *)0)->words >= CURL_ERROR_SIZE, "room for libcurl's words");

double vg__transfer_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* ---- What libcurl calls ----------------------------------------------------------------------------------
 */

static size_t take_header(char *bytes, size_t size, size_t count, void *context)
{
    vg__transfer *t = context;
    char line[200];
    size_t length = size * count;
    t->heard = vg__transfer_now();
    snprintf(line, sizeof line, "%.*s", (int)(length < sizeof line ? length : sizeof line - 1), bytes);
    if (!strncmp(line, "HTTP/", 5)) t->first = -1; /* of the answer behind a redirect nothing is known yet */
    if (!strncasecmp(line, "content-range: bytes ", 21) && line[21] >= '0' && line[21] <= '9')
        t->first = strtoll(line + 21, NULL, 10);
    return length;
}

/* The error of ours for which the transfer ends. */
static size_t refuse(vg__transfer *t, vg_status status)
{
    t->status = status;
    snprintf(t->cause, sizeof t->cause, "%s", vg_cause());
    return 0;
}

/* The first bytes of an answer: do they go on where the file ends, or begin it anew, and is there room? */
static vg_status begin(vg__transfer *t)
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
    for (int i = 0; i < VG__TRANSFERS; i++) {
        const vg__transfer *other = &t->all->slot[i];
        if (other->file && other->running && other->remain > 0) needed += other->remain;
    }
    return room >= 0 && needed > room ? vg__no_room(t->file->path, needed, room) : VG_OK;
}

static size_t take_bytes(char *bytes, size_t size, size_t count, void *context)
{
    vg__transfer *t = context;
    size_t length = size * count;
    const vg_download_options *options = t->all->options;
    vg_status status = t->begun ? VG_OK : begin(t);
    if (status == VG_OK && options->limit > 0 && t->part.size + (int64_t)length > options->limit)
        status = vg_fail(VG_ERR_FORMAT, "%s: longer than %.1f MB, which such a file cannot be", t->file->url,
                         (double)options->limit / 1e6);
    if (status == VG_OK) status = vg__part_append(&t->part, bytes, length);
    if (status != VG_OK) return refuse(t, status);
    if (t->remain > 0) t->remain -= (int64_t)length;
    t->heard = vg__transfer_now();
    t->all->report.bytes += (int64_t)length;
    return length;
}

/* ---- One attempt -----------------------------------------------------------------------------------------
 */

void vg__transfer_start(vg__transfer *t)
{
    bool folder = !strncasecmp(t->file->url, "file:", 5);
    char range[32];
    snprintf(range, sizeof range, "%" PRId64 "-", t->part.size);
    t->start = t->part.size;
    t->begun = t->useless = false;
    t->status = VG_OK;
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
    t->heard = vg__transfer_now();
    curl_multi_add_handle(t->all->multi, t->easy);
}

/* Errors of libcurl that another attempt may not meet. */
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

/* What the attempt has come to. */
static void settle(vg__transfer *t, CURLcode result)
{
    curl_off_t wished = 0;
    curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &t->code);
    curl_easy_getinfo(t->easy, CURLINFO_RETRY_AFTER, &wished);
    t->running = false;
    t->wished = (double)wished;
    if (result == CURLE_OK && !t->begun) { /* an answer without a byte */
        vg_status status = begin(t);
        if (status != VG_OK) refuse(t, status);
    }
    t->unreachable = result == CURLE_COULDNT_RESOLVE_HOST || result == CURLE_COULDNT_RESOLVE_PROXY ||
                     result == CURLE_COULDNT_CONNECT || (result == CURLE_OPERATION_TIMEDOUT && t->code == 0);
    t->missing = t->code == 404 || t->code == 410 || result == CURLE_FILE_COULDNT_READ_FILE;
    t->useless = t->useless || (result == CURLE_HTTP_RETURNED_ERROR && t->code == 416 && t->start > 0);
    t->ending = t->status != VG_OK        ? VG__ENDING_OURS
                : result == CURLE_OK      ? VG__ENDING_WHOLE
                : passes(result, t->code) ? VG__ENDING_PASSES
                                          : VG__ENDING_STAYS;
    if (!t->words[0]) snprintf(t->words, sizeof t->words, "%s", curl_easy_strerror(result));
}

/* ---- All of them -----------------------------------------------------------------------------------------
 */

static pthread_once_t once = PTHREAD_ONCE_INIT;
static CURLcode global;

static void initialise(void)
{
    global = curl_global_init(CURL_GLOBAL_DEFAULT);
}

vg_status vg__transfers_open(vg__downloads *all)
{
    pthread_once(&once, initialise);
    if (global != CURLE_OK || !(all->multi = curl_multi_init()))
        return vg_fail(VG_ERR_MEMORY, "libcurl does not start: %s", curl_easy_strerror(global));
    for (int i = 0; i < all->options->at_once; i++)
        if (!(all->slot[i].easy = curl_easy_init()))
            return vg_fail(VG_ERR_MEMORY, "no memory for a transfer");
    return VG_OK;
}

void vg__transfers_close(vg__downloads *all)
{
    for (int i = 0; i < all->options->at_once; i++) {
        vg__transfer *t = &all->slot[i];
        if (t->running) curl_multi_remove_handle(all->multi, t->easy);
        vg__part_close(&t->part, true);
        curl_easy_cleanup(t->easy);
    }
    curl_multi_cleanup(all->multi);
}

bool vg__transfers_drive(vg__downloads *all, void (*ended)(vg__transfer *t))
{
    bool any = false;
    int running, left;
    curl_multi_perform(all->multi, &running);
    for (CURLMsg *message; (message = curl_multi_info_read(all->multi, &left));) {
        vg__transfer *t;
        CURLcode result = message->data.result;
        if (message->msg != CURLMSG_DONE) continue;
        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&t);
        curl_multi_remove_handle(all->multi, t->easy);
        settle(t, result);
        ended(t);
        any = true;
    }
    /* libcurl's own limit of speed takes five seconds longer than it is told. */
    for (int i = 0; i < all->options->at_once; i++) {
        vg__transfer *t = &all->slot[i];
        if (!t->running || vg__transfer_now() - t->heard < all->options->silence) continue;
        curl_multi_remove_handle(all->multi, t->easy);
        snprintf(t->words, sizeof t->words, "nothing came for %.3g s", all->options->silence);
        settle(t, CURLE_OPERATION_TIMEDOUT);
        ended(t);
        any = true;
    }
    return any;
}

void vg__transfers_wait(vg__downloads *all)
{
    curl_multi_poll(all->multi, NULL, 0, POLL_MS, NULL);
}
