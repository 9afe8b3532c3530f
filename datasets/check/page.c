/* A check as a page of one file: no script, no picture and no font from elsewhere, so that it can be mailed,
 * archived and printed. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "datasets/check/check.h"
#include "datasets/check/strip.h"
#include "datasets/tally.h"

enum { WORST = 6, TURNED = 3, TYPICAL = 3, ROWS = 2000 };

static const char STYLE[] =
    ":root{--paper:#fff;--ink:#1d2228;--soft:#66707a;--line:#d9dde1;--grid:#f0d9d6;--trace:#1d2228;"
    "--bad:#b3261e;--warn:#8a5a00;--good:#1e6b3a;--beat:#2a5db0}"
    "@media(prefers-color-scheme:dark){:root{--paper:#15181b;--ink:#e6e9ec;--soft:#9aa4ad;--line:#343a40;"
    "--grid:#3b2b2b;--trace:#e6e9ec;--bad:#ff8a80;--warn:#ffc266;--good:#7fd39b;--beat:#8ab4f8}}"
    "@media print{:root{--paper:#fff;--ink:#000;--soft:#444;--line:#bbb;--grid:#ead2cf;--trace:#000;"
    "--bad:#900;--warn:#640;--good:#040;--beat:#036}details>*{display:block}.wide{overflow:visible}}"
    "body{margin:2rem auto;max-width:64rem;padding:0 1rem;background:var(--paper);color:var(--ink);"
    "font:15px/1.5 system-ui,sans-serif}"
    "h1{font-size:1.5rem}h2{font-size:1.15rem;margin-top:2.2rem}"
    "table{border-collapse:collapse;width:100%;font-size:.85rem;font-variant-numeric:tabular-nums}"
    "th,td{text-align:left;padding:.25rem .6rem .25rem 0;border-bottom:1px solid var(--line);"
    "vertical-align:top}th{color:var(--soft);font-weight:600}td.n,th.n{text-align:right}"
    ".wide{overflow-x:auto}.bad{color:var(--bad)}.warn{color:var(--warn)}.good{color:var(--good)}"
    ".soft{color:var(--soft)}figure{margin:1.2rem 0;break-inside:avoid}"
    "figcaption{font-size:.85rem;margin-bottom:.2rem}svg{width:100%;height:auto;display:block}"
    ".grid{stroke:var(--grid);stroke-width:1}.trace{fill:none;stroke:var(--trace);stroke-width:1.1;"
    "stroke-linejoin:round}.beat{fill:var(--beat)}.frame{fill:none;stroke:var(--line)}"
    ".low{fill:var(--beat)}.high{fill:var(--bad)}.join{stroke:var(--soft)}"
    "text{font:11px system-ui,sans-serif;fill:var(--soft);paint-order:stroke;stroke:var(--paper);"
    "stroke-width:4px}";

void vg__check_escape(const char *text, vg_text *out)
{
    for (const char *c = text; *c; c++) {
        const char *entity = *c == '&'   ? "&amp;"
                             : *c == '<' ? "&lt;"
                             : *c == '>' ? "&gt;"
                             : *c == '"' ? "&quot;"
                                         : NULL;
        if (entity)
            vg_text_add(out, "%s", entity);
        else if ((unsigned char)*c >= ' ' || *c == '\t')
            vg_text_append(out, c, 1);
    }
}

static const char *tone(vg_verdict verdict)
{
    return verdict == VG_VERDICT_GOOD ? "good" : verdict == VG_VERDICT_UPSIDE_DOWN ? "warn" : "bad";
}

static void add_cell(const char *text, vg_text *out)
{
    vg_text_add(out, "<td>");
    vg__check_escape(*text ? text : "\xe2\x80\x93", out);
    vg_text_add(out, "</td>");
}

static void add_number(double value, int digits, vg_text *out)
{
    if (isfinite(value))
        vg_text_add(out, "<td class=n>%.*f</td>", digits, value);
    else
        vg_text_add(out, "<td class=n>\xe2\x80\x93</td>");
}

/* ---- What it comes to ---------------------------------------------------------------------------------- */

static void add_head(const vg_check *check, vg_text *out)
{
    bool synthetic = false;
    double seconds = 0;
    for (int64_t i = 0; i < check->count; i++) seconds += check->line[i].seconds;
    vg_text_add(out, "<!doctype html><html lang=en><meta charset=utf-8>"
                     "<meta name=viewport content=\"width=device-width,initial-scale=1\">"
                     "<meta name=color-scheme content=\"light dark\"><title>Signal quality");
    for (int s = 0; s < check->store_count; s++) {
        const vg_store_info *info = vg_store_get_info(check->stores[s]);
        vg_text_add(out, "%s", s ? ", " : ": ");
        vg__check_escape(info->source, out);
        synthetic = synthetic || info->synthetic;
    }
    vg_text_add(out, "</title><style>%s</style><h1>Signal quality", STYLE);
    for (int s = 0; s < check->store_count; s++) {
        vg_text_add(out, "%s", s ? ", " : ": ");
        vg__check_escape(vg_store_get_info(check->stores[s])->source, out);
    }
    vg_text_add(out, "</h1>");
    if (synthetic)
        vg_text_add(out, "<p class=warn>Synthetic: made by a program, not recorded from a person.</p>");
    int64_t usable = vg_check_count(check, VG_VERDICT_GOOD) + vg_check_count(check, VG_VERDICT_UPSIDE_DOWN);
    vg_text_add(out,
                "<p>%lld recording%s of one lead each, %.2f hours in all. <b class=good>%lld usable</b> "
                "(%.2f hours), <b "
                "class=bad>%lld not</b>, <b class=warn>%lld upside down</b>. ",
                (long long)check->count, check->count == 1 ? "" : "s", seconds / 3600, (long long)usable,
                vg_check_usable_seconds(check) / 3600, (long long)(check->count - usable),
                (long long)vg_check_count(check, VG_VERDICT_UPSIDE_DOWN));
    int64_t left_out = 0;
    for (int s = 0; s < check->store_count; s++)
        for (int64_t i = 0; i < vg_store_exclusion_count(check->stores[s]); i++)
            left_out += vg_store_exclusion(check->stores[s], i)->kind != VG_EXCLUSION_WINDOWS;
    if (left_out)
        vg_text_add(out, "At import %lld %s left out (listed below). ", (long long)left_out,
                    left_out == 1 ? "was" : "were");
    if (check->change_count)
        vg_text_add(out, "Between the recordings of <b class=warn>%lld %s</b> the recorder's filter changed.",
                    (long long)check->change_count, check->change_count == 1 ? "person" : "persons");
    vg_text_add(out, "</p>");
    vg_text_add(out,
                "<p class=soft>The quality index is the likeness of the beats (mean correlation with their "
                "average) times the agreement of two beat detectors times the share of good windows of 10 "
                "s; below %g a recording is taken to hold no usable ECG. Upside down: QRS and T wave both "
                "point down.</p>",
                check->min_quality);
    for (int s = 0; s < check->store_count; s++) {
        const vg_store_info *info = vg_store_get_info(check->stores[s]);
        if (!*info->citation) continue;
        vg_text_add(out, "<p class=soft>Cite: ");
        vg__check_escape(info->citation, out);
        vg_text_add(out, "</p>");
    }
}

static void add_caption(const vg_check_line *line, vg_text *out)
{
    vg_text_add(out, "<figcaption><b>");
    vg__check_escape(line->file, out);
    vg_text_add(out, "</b> ");
    vg__check_escape(line->lead, out);
    vg_text_add(out, " <span class=%s>%s</span> <span class=soft>", tone(line->verdict),
                vg_verdict_word(line->verdict));
    vg__check_escape(line->why, out);
    vg_text_add(out, "</span></figcaption>");
}

/* Figures of `count` lines from line `from` on, of `total` of this kind. */
static vg_status add_strips(const vg_check *check, const char *title, int64_t from, int64_t count,
                            int64_t total, vg_text *out)
{
    if (count <= 0) return VG_OK;
    vg_text_add(out, "<h2>%s", title);
    if (count < total)
        vg_text_add(out, " <span class=soft>%lld of %lld; the table below has all</span>", (long long)count,
                    (long long)total);
    vg_text_add(out, "</h2>");
    for (int64_t i = from; i < from + count; i++) {
        vg_text_add(out, "<figure>");
        add_caption(&check->line[i], out);
        VG_TRY(vg__check_strip(check, &check->line[i], out));
        vg_text_add(out, "</figure>");
    }
    return VG_OK;
}

static int64_t at_most(int64_t count, int64_t most)
{
    return count < most ? count : most;
}

static vg_status add_all_strips(const vg_check *check, vg_text *out)
{
    int64_t good = vg_check_count(check, VG_VERDICT_GOOD),
            turned = vg_check_count(check, VG_VERDICT_UPSIDE_DOWN), bad = check->count - good - turned,
            typical = at_most(good, TYPICAL);
    vg_text_add(out,
                "<p class=soft>Each strip is 10 s from the middle of a recording; triangles are the beats "
                "that were found, lines stand 1 s apart.</p>");
    VG_TRY(add_strips(check, "Worst", 0, at_most(bad, WORST), bad, out));
    VG_TRY(add_strips(check, "Upside down", bad, at_most(turned, TURNED), turned, out));
    return add_strips(check, "Typical", bad + turned + (good - typical) / 2, typical, good, out);
}

/* ---- Tables -------------------------------------------------------------------------------------------- */

static void add_names(const vg_check *check, const int64_t *order, int64_t count, vg_text *out)
{
    vg_text_add(out, "<td>");
    for (int64_t i = 0; i < count; i++) {
        vg_text_add(out, "%s", i ? ", " : "");
        vg__check_escape(check->line[order[i]].file, out);
    }
    vg_text_add(out, "</td>");
}

static void add_changes(const vg_check *check, vg_text *out)
{
    vg_text_add(out, "<h2>Changes of the recorder's filter</h2>");
    if (check->change_count == 0) {
        vg_text_add(out, "<p>None was found between recordings of one person and lead.</p>");
        return;
    }
    vg_text_add(out, "<p>Same person, same lead, the same power between 30 and 45 Hz, but not above 50 Hz. A "
                     "network can tell such recordings apart without looking at the heart: band-limit to 40 "
                     "Hz, or keep them on one side of every comparison.</p>");
    vg__check_levels(check, out);
    vg_text_add(out,
                "<div class=wide><table><tr><th>person<th>lead<th class=n>difference, dB<th>less above 50 "
                "Hz<th>more</tr>");
    for (int64_t i = 0; i < check->change_count; i++) {
        const vg_check_change *c = &check->change[i];
        vg_text_add(out, "<tr>");
        add_cell(c->subject, out);
        add_cell(c->lead, out);
        add_number(c->decibels, 0, out);
        add_names(check, check->order + c->first, c->low, out);
        add_names(check, check->order + c->first + c->low, c->count - c->low, out);
        vg_text_add(out, "</tr>");
    }
    vg_text_add(out, "</table></div>");
}

static void add_exclusion(const vg_exclusion *e, vg_text *out)
{
    vg_text_add(out, "<tr>");
    add_cell(vg__source_name(e->source), out);
    add_cell(e->subject, out);
    add_number(e->seconds, 0, out);
    add_cell(e->reason, out);
    vg_text_add(out, "</tr>");
}

static void add_exclusions(const vg_check *check, vg_text *out)
{
    int64_t total = 0, shown = 0;
    for (int s = 0; s < check->store_count; s++) total += vg_store_exclusion_count(check->stores[s]);
    vg_text_add(out, "<h2>Left out</h2>");
    if (total == 0) {
        vg_text_add(out, "<p>Nothing was left out at import.</p>");
        return;
    }
    vg_text_add(out, "<div class=wide><table><tr><th>file<th>person<th class=n>seconds<th>reason</tr>");
    for (int s = 0; s < check->store_count; s++)
        for (int64_t i = 0; i < vg_store_exclusion_count(check->stores[s]) && shown < ROWS; i++, shown++)
            add_exclusion(vg_store_exclusion(check->stores[s], i), out);
    vg_text_add(out, "</table></div>");
    if (shown < total) vg_text_add(out, "<p>and %lld more</p>", (long long)(total - shown));
}

static void add_recordings(const vg_check *check, vg_text *out)
{
    int64_t shown = at_most(check->count, ROWS);
    vg_text_add(out,
                "<h2>Recordings</h2><details open><summary>%lld, the worst first</summary><div "
                "class=wide><table><tr><th>file<th>person<th>session<th>trial<th>lead<th "
                "class=n>seconds<th class=n>beats<th class=n>per minute<th class=n>quality<th class=n>bad "
                "windows<th>verdict<th>reason</tr>",
                (long long)check->count);
    for (int64_t i = 0; i < shown; i++) {
        const vg_check_line *line = &check->line[i];
        vg_text_add(out, "<tr>");
        add_cell(line->file, out);
        add_cell(line->subject, out);
        add_cell(line->session, out);
        add_cell(line->trial, out);
        add_cell(line->lead, out);
        add_number(line->seconds, 0, out);
        add_number((double)line->quality.beats, 0, out);
        add_number(line->hrv.mean_bpm, 1, out);
        add_number(line->quality.index, 2, out);
        vg_text_add(out, "<td class=n>%lld of %lld</td><td class=%s>%s</td>", (long long)line->quality.bad,
                    (long long)line->quality.windows, tone(line->verdict), vg_verdict_word(line->verdict));
        add_cell(line->verdict == VG_VERDICT_GOOD ? "" : line->why, out);
        vg_text_add(out, "</tr>");
    }
    vg_text_add(out, "</table></div></details>");
    if (shown < check->count)
        vg_text_add(out, "<p>and %lld more, which 'vagus data check --all' lists</p>",
                    (long long)(check->count - shown));
}

vg_status vg_check_page(const vg_check *check, char **html)
{
    vg_text text = {0};
    *html = NULL;
    add_head(check, &text);
    vg_status status = add_all_strips(check, &text);
    if (status != VG_OK) {
        vg_text_free(&text);
        return status;
    }
    add_changes(check, &text);
    add_exclusions(check, &text);
    add_recordings(check, &text);
    vg_text_add(&text, "</html>\n");
    return vg_text_take(&text, html);
}
