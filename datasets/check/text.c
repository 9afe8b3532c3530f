/* A check in lines for a terminal, and as JSON. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "datasets/check/check.h"
#include "datasets/tally.h"

enum { NAMED = 12, CELL = 40, LEFT_OUT = 20 };

static const char *direction(int sign)
{
    return sign > 0 ? "up" : sign < 0 ? "down" : "?";
}

/* "day 1/3": the session and the trial, as far as they are known. */
static const char *visit(const vg_check_line *line, char cell[CELL])
{
    bool both = *line->session && *line->trial;
    snprintf(cell, CELL, "%s%s%s", line->session, both ? "/" : "", line->trial);
    return *cell ? cell : "-";
}

/* Or a dash where it is not known. */
static const char *number(double value, int digits, char cell[CELL])
{
    if (isfinite(value))
        snprintf(cell, CELL, "%.*f", digits, value);
    else
        snprintf(cell, CELL, "-");
    return cell;
}

static double bad_share(const vg_quality *q)
{
    return q->windows > 0 ? 100 * (double)q->bad / (double)q->windows : 0;
}

static void print_line(const vg_check_line *line, vg_text *text)
{
    char cells[4][CELL];
    const vg_quality *q = &line->quality;
    vg_text_add(text, "%-24.24s %-12.12s %-8.8s %-8.8s %7.0f %6lld %5s %7s %5s %-4s  %-12s %s\n", line->file,
                *line->subject ? line->subject : "-", visit(line, cells[0]), *line->lead ? line->lead : "-",
                line->seconds, (long long)q->beats, number(line->hrv.mean_bpm, 1, cells[1]),
                number(q->index, 2, cells[2]), number(bad_share(q), 0, cells[3]), direction(q->qrs),
                vg_verdict_word(line->verdict), line->verdict == VG_VERDICT_GOOD ? "" : line->why);
}

static void print_names(const vg_check *check, const int64_t *order, int64_t count, vg_text *text)
{
    for (int64_t i = 0; i < count && i < NAMED; i++)
        vg_text_add(text, "%s%s", i ? ", " : "", check->line[order[i]].file);
    if (count > NAMED) vg_text_add(text, " and %lld more", (long long)(count - NAMED));
}

static void print_changes(const vg_check *check, vg_text *text)
{
    if (check->change_count == 0) {
        vg_text_add(text, "recorder's filter    no change between recordings of one person and lead\n");
        return;
    }
    vg_text_add(text,
                "recorder's filter    changed for %lld person%s between recordings of the same lead: level "
                "above 50 Hz\n",
                (long long)check->change_count, check->change_count == 1 ? "" : "s");
    for (int64_t i = 0; i < check->change_count; i++) {
        const vg_check_change *c = &check->change[i];
        const int64_t *order = check->order + c->first;
        vg_text_add(text, "  %-18s ", c->subject);
        print_names(check, order, c->low, text);
        vg_text_add(text, " lies %.0f dB below ", c->decibels);
        print_names(check, order + c->low, c->count - c->low, text);
        vg_text_add(text, "\n");
    }
    vg_text_add(text, "  so band-limit to 40 Hz, or a network learns the recorder\n");
}

static void print_totals(const vg_check *check, bool all, vg_text *text)
{
    double seconds = 0, usable = vg_check_usable_seconds(check);
    bool now = false;
    for (int64_t i = 0; i < check->count; i++) {
        seconds += check->line[i].seconds;
        const vg_store_info *info = vg_store_get_info(check->stores[check->line[i].store]);
        now = now || (check->line[i].measured_now && strcmp(info->filter, "none") != 0);
    }
    vg_text_add(text,
                "recordings           %lld of one lead each, %.2f h in all, of which %.2f h usable (quality "
                "from %g)\n",
                (long long)check->count, seconds / 3600, usable / 3600, check->min_quality);
    vg_text_add(text, "verdicts             ");
    static const char *const words[] = {
#define WORD(name, word) word,
        VG_VERDICT_MAP(WORD)
#undef WORD
    };
    bool first = true;
    for (size_t v = 0; v < sizeof words / sizeof *words; v++) {
        int64_t count = vg_check_count(check, (vg_verdict)v);
        if (count == 0) continue;
        vg_text_add(text, "%s%lld %s", first ? "" : ", ", (long long)count, words[v]);
        first = false;
    }
    vg_text_add(text, "\n");
    int64_t excluded = 0;
    for (int s = 0; s < check->store_count; s++) excluded += vg_store_exclusion_count(check->stores[s]);
    if (excluded) vg_text_add(text, "left out at import   %lld:\n", (long long)excluded);
    for (int s = 0; s < check->store_count; s++)
        vg__exclusions_list(check->stores[s], all ? 0 : LEFT_OUT, text);
    print_changes(check, text);
    if (now)
        vg_text_add(text,
                    "note                 some were measured on the store's samples, where filters hide "
                    "clipping and what the recorder did; import again to measure the source\n");
}

void vg_check_print(const vg_check *check, int64_t most, vg_text *text)
{
    int64_t shown = most > 0 && most < check->count ? most : check->count;
    vg_text_add(text, "%-24s %-12s %-8s %-8s %7s %6s %5s %7s %5s %-4s  %s\n", "file", "subject", "trial",
                "lead", "seconds", "beats", "bpm", "quality", "bad %", "QRS", "verdict");
    for (int64_t i = 0; i < shown; i++) print_line(&check->line[i], text);
    if (shown < check->count) {
        const vg_check_line *next = &check->line[shown];
        vg_text_add(text, "... and %lld more, the next %s with quality %.2f; --all shows them\n",
                    (long long)(check->count - shown), vg_verdict_word(next->verdict), next->quality.index);
    }
    vg_text_add(text, "\n");
    print_totals(check, most == 0, text);
}

/* ---- JSON ---------------------------------------------------------------------------------------------- */

static void put_line(const vg_check *check, const vg_check_line *line, vg_json_writer *json)
{
    vg_json_begin_object(json, NULL);
    vg_json_put_string(json, "store", vg_store_path(check->stores[line->store]));
    vg_json_put_int(json, "recording", line->recording);
    vg_json_put_string(json, "file", line->file);
    vg_json_put_string(json, "subject", line->subject);
    vg_json_put_string(json, "session", line->session);
    vg_json_put_string(json, "trial", line->trial);
    vg_json_put_string(json, "lead", line->lead);
    vg_json_put_double(json, "seconds", line->seconds);
    vg_json_put_string(json, "verdict", vg_verdict_word(line->verdict));
    vg_json_put_string(json, "reason", line->why);
    vg_json_put_bool(json, "usable", vg_verdict_usable(line->verdict));
    vg_json_put_bool(json, "measured_at_import", !line->measured_now);
    double values[VG_FEATURE_COUNT];
    vg_features_pack(&line->hrv, &line->quality, values);
    for (int k = 0; k < VG_FEATURE_COUNT; k++) vg_json_put_double(json, vg_feature_names()[k], values[k]);
    vg_json_end(json);
}

static void put_names(const vg_check *check, const char *key, const int64_t *order, int64_t count,
                      vg_json_writer *json)
{
    vg_json_begin_array(json, key);
    for (int64_t i = 0; i < count; i++) vg_json_put_string(json, NULL, check->line[order[i]].file);
    vg_json_end(json);
}

static void put_exclusions(const vg_check *check, vg_json_writer *json)
{
    vg_json_begin_array(json, "exclusions");
    for (int s = 0; s < check->store_count; s++) {
        for (int64_t i = 0; i < vg_store_exclusion_count(check->stores[s]); i++) {
            const vg_exclusion *e = vg_store_exclusion(check->stores[s], i);
            vg_json_begin_object(json, NULL);
            vg_json_put_string(json, "kind", vg_exclusion_kind_word(e->kind));
            vg_json_put_string(json, "source", e->source);
            vg_json_put_string(json, "subject", e->subject);
            vg_json_put_string(json, "reason", e->reason);
            vg_json_put_double(json, "seconds", e->seconds);
            vg_json_end(json);
        }
    }
    vg_json_end(json);
}

void vg_check_put(const vg_check *check, vg_json_writer *json)
{
    vg_json_begin_object(json, NULL);
    vg_json_put_double(json, "min_quality", check->min_quality);
    vg_json_put_double(json, "usable_seconds", vg_check_usable_seconds(check));
    vg_json_begin_array(json, "recordings");
    for (int64_t i = 0; i < check->count; i++) put_line(check, &check->line[i], json);
    vg_json_end(json);
    vg_json_begin_array(json, "filter_changes");
    for (int64_t i = 0; i < check->change_count; i++) {
        const vg_check_change *c = &check->change[i];
        vg_json_begin_object(json, NULL);
        vg_json_put_string(json, "subject", c->subject);
        vg_json_put_string(json, "lead", c->lead);
        vg_json_put_double(json, "decibels", c->decibels);
        put_names(check, "less", check->order + c->first, c->low, json);
        put_names(check, "more", check->order + c->first + c->low, c->count - c->low, json);
        vg_json_end(json);
    }
    vg_json_end(json);
    put_exclusions(check, json);
    vg_json_end(json);
}
