#include "datasets/check/strip.h"

#include <math.h>
#include <stdlib.h>

static const double STRIP_S = 10, WIDTH = 1000, HEIGHT = 120, MARGIN = 8, LEAST_MV = 0.5;

/* What stands at which height. */
typedef struct scale {
    double low, high; /* of the samples, in the store's unit */
} scale;

static double height_of(const scale *s, double value)
{
    return MARGIN + (HEIGHT - 2 * MARGIN) * (s->high - value) / (s->high - s->low);
}

/* The range of the finite samples, at least half a millivolt: what is next to nothing shall look like it. */
static scale find_scale(const float *x, int64_t n)
{
    scale s = {INFINITY, -INFINITY};
    for (int64_t i = 0; i < n; i++) {
        if (!isfinite(x[i])) continue;
        s.low = fmin(s.low, (double)x[i]);
        s.high = fmax(s.high, (double)x[i]);
    }
    if (s.low > s.high) s.low = s.high = 0;
    double missing = LEAST_MV - (s.high - s.low);
    if (missing > 0) {
        s.low -= missing / 2;
        s.high += missing / 2;
    }
    return s;
}

/* Horizontal lines at a round distance, three to eight of them, and what the distance is. */
static void add_grid(const scale *s, double seconds, const char *units, vg_text *out)
{
    double span = s->high - s->low, step = pow(10, floor(log10(span / 3)));
    if (span / step > 20)
        step *= 5;
    else if (span / step > 8)
        step *= 2;
    for (double at = ceil(s->low / step) * step; at <= s->high; at += step)
        vg_text_add(out, "<line class=grid x1=0 x2=%g y1=%.1f y2=%.1f />", WIDTH, height_of(s, at),
                    height_of(s, at));
    for (double t = 1; t < seconds; t++)
        vg_text_add(out, "<line class=grid x1=%.1f x2=%.1f y1=0 y2=%g />", t * WIDTH / STRIP_S,
                    t * WIDTH / STRIP_S, HEIGHT);
    vg_text_add(out, "<text x=%g y=%g text-anchor=end>", WIDTH - 4, HEIGHT - 4);
    vg_text_add(out, "line to line %g ", step);
    vg__check_escape(units, out);
    vg_text_add(out, "</text>");
}

static void add_trace(const scale *s, const float *x, int64_t n, double rate, vg_text *out)
{
    bool drawing = false;
    vg_text_add(out, "<path class=trace d=\"");
    for (int64_t i = 0; i < n; i++) {
        bool there = isfinite(x[i]);
        if (there)
            vg_text_add(out, "%c%.1f %.1f", drawing ? 'L' : 'M', (double)i / rate * WIDTH / STRIP_S,
                        height_of(s, (double)x[i]));
        drawing = there;
    }
    vg_text_add(out, "\"/>");
}

static void add_beats(const vg_store *store, int64_t recording, int64_t from, int64_t n, double rate,
                      vg_text *out)
{
    int64_t count;
    const double *beats = vg_store_beats(store, recording, &count);
    for (int64_t k = 0; k < count; k++) {
        if (beats[k] < (double)from || beats[k] >= (double)(from + n)) continue;
        double x = (beats[k] - (double)from) / rate * WIDTH / STRIP_S;
        vg_text_add(out, "<path class=beat d=\"M%.1f 7l-4 -7h8z\"/>", x);
    }
}

vg_status vg__check_strip(const vg_check *check, const vg_check_line *line, vg_text *out)
{
    vg_store *store = check->stores[line->store];
    const vg_store_info *info = vg_store_get_info(store);
    int64_t length = vg_store_recording(store, line->recording)->length, n = (int64_t)(STRIP_S * info->rate),
            from = 0;
    if (n > length) n = length;
    from = (length - n) / 2;
    float *x = malloc((size_t)n * sizeof *x);
    if (!x) return vg_fail(VG_ERR_MEMORY, "no memory for a strip of %lld samples", (long long)n);
    vg_status status = vg_store_read(store, line->recording, from, n, x);
    if (status == VG_OK) {
        scale s = find_scale(x, n);
        vg_text_add(out, "<svg viewBox=\"0 0 %g %g\" role=img aria-label=\"10 s of the signal\">", WIDTH,
                    HEIGHT);
        add_grid(&s, (double)n / info->rate, info->units, out);
        add_trace(&s, x, n, info->rate, out);
        add_beats(store, line->recording, from, n, info->rate, out);
        vg_text_add(out, "<rect class=frame x=.5 y=.5 width=%g height=%g /></svg>", WIDTH - 1, HEIGHT - 1);
    }
    free(x);
    return status;
}

/* ---- Levels above 50 Hz ----------------------------------------------------------------------------------
 */

static double level_of(const vg_check_line *line)
{
    return isfinite(line->quality.far_db) ? line->quality.far_db : line->quality.above_db;
}

void vg__check_levels(const vg_check *check, vg_text *out)
{
    const double left = 120, row = 20, top = 24;
    double low = INFINITY, high = -INFINITY;
    for (int64_t i = 0; i < check->change_count; i++) {
        const vg_check_change *c = &check->change[i];
        low = fmin(low, level_of(&check->line[check->order[c->first]]));
        high = fmax(high, level_of(&check->line[check->order[c->first + c->count - 1]]));
    }
    low = floor(low / 10) * 10;
    high = ceil((high + 0.1) / 10) * 10;
    double size = top + row * (double)check->change_count + 8, unit = (WIDTH - left - 20) / (high - low);
    vg_text_add(out,
                "<figure><svg viewBox=\"0 0 %g %g\" role=img aria-label=\"levels above 50 Hz\"><text x=0 "
                "y=14>dB above 50 Hz</text>",
                WIDTH, size);
    for (double db = low; db <= high; db += 10) {
        double x = left + (db - low) * unit;
        vg_text_add(out,
                    "<line class=grid x1=%.1f x2=%.1f y1=%g y2=%g /><text x=%.1f y=14 "
                    "text-anchor=middle>%g</text>",
                    x, x, top - 6, size, x, db);
    }
    for (int64_t i = 0; i < check->change_count; i++) {
        const vg_check_change *c = &check->change[i];
        double y = top + row * ((double)i + 0.5);
        vg_text_add(out, "<text x=0 y=%.1f>", y + 4);
        vg__check_escape(c->subject, out);
        vg_text_add(out, "</text>");
        for (int64_t k = 0; k < c->count; k++) {
            double x = left + (level_of(&check->line[check->order[c->first + k]]) - low) * unit;
            vg_text_add(out, "<circle class=%s cx=%.1f cy=%.1f r=5 />", k < c->low ? "low" : "high", x, y);
        }
    }
    vg_text_add(out,
                "</svg><figcaption class=soft>Power of 70 to 98 Hz (52 to 58 Hz below 200 samples a second) "
                "over that of 5 to 15 Hz; a row for each person, a dot for each recording.</figcaption>"
                "</figure>");
}
