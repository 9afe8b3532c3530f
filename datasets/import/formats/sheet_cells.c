/* What stands in a cell: a number, a time, a moment. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "datasets/import/formats/sheet.h"

static bool is_missing(const char *text)
{
    static const char *const words[] = {"", "nan", "na", "n/a", "null", "none", "-"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strcasecmp(text, words[i]) == 0) return true;
    return false;
}

bool vg__sheet_number(const vg__sheet *s, const char *text, double *value)
{
    char *end, copy[64];
    if (is_missing(text)) {
        *value = NAN;
        return true;
    }
    const char *comma = s->delimiter != ',' ? strchr(text, ',') : NULL;
    if (comma) {
        if (strchr(text, '.') || strlen(text) >= sizeof copy) return false;
        strcpy(copy, text);
        copy[comma - text] = '.';
        text = copy;
    }
    *value = strtod(text, &end);
    return end != text && !*end;
}

static vg_status not_number(const vg__sheet *s, int column, const char *what)
{
    char name[VG__SHEET_NAME];
    return vg_fail(VG_ERR_FORMAT, "%s: line %lld, column %d (%s): \"%.60s\" is not a %s", s->path,
                   (long long)s->number, column + 1, vg__sheet_column(s, column, name), s->cell[column],
                   what);
}

static vg_status check_cell(const vg__sheet *s, int column)
{
    char name[VG__SHEET_NAME];
    if (column < s->cells) return VG_OK;
    return vg_fail(VG_ERR_FORMAT, "%s: line %lld has %d columns, so no column %d (%s)", s->path,
                   (long long)s->number, s->cells, column + 1, vg__sheet_column(s, column, name));
}

vg_status vg__sheet_value(const vg__sheet *s, int column, double *value)
{
    VG_TRY(check_cell(s, column));
    return vg__sheet_number(s, s->cell[column], value) ? VG_OK : not_number(s, column, "number");
}

/* "3.5", or "1:02:03.5" in seconds. */
static bool to_time(const vg__sheet *s, const char *text, double *value)
{
    const char *colon;
    char part[64];
    double whole = 0, number;
    while ((colon = strchr(text, ':')) != NULL) {
        if ((size_t)(colon - text) >= sizeof part) return false;
        snprintf(part, sizeof part, "%.*s", (int)(colon - text), text);
        if (!vg__sheet_number(s, part, &number) || !isfinite(number)) return false;
        whole = (whole + number) * 60;
        text = colon + 1;
    }
    if (!vg__sheet_number(s, text, &number) || !isfinite(number)) return false;
    *value = whole + number;
    return true;
}

/* "2026-11-23" at the beginning of a text, as days since one long ago; the text behind it, or NULL. */
static const char *take_date(const char *text, int64_t *day)
{
    int year, month, date, length = 0;
    if (strspn(text, "0123456789") != 4) return NULL;
    if (sscanf(text, "%4d-%2d-%2d%n", &year, &month, &date, &length) != 3 || length != 10) return NULL;
    if (month < 1 || month > 12 || date < 1 || date > 31 || !strchr("T ", text[length]) || !text[length])
        return NULL;
    /* Years that begin in March end with the day that is sometimes missing. */
    const int64_t from_march = (month + 9) % 12, of = year - (month < 3);
    *day = 365 * of + of / 4 - of / 100 + of / 400 + (153 * from_march + 2) / 5 + date;
    return text + length + 1;
}

/* The zone behind a time of day, cut off it, in seconds east; none is 0. */
static bool take_zone(char *time, double *east)
{
    const size_t length = strlen(time);
    char *sign = strpbrk(time, "+-");
    int hours, minutes = 0, used = 0;
    *east = 0;
    if (length > 0 && strchr("Zz", time[length - 1])) {
        time[length - 1] = 0;
        return !sign;
    }
    if (!sign) return true;
    const bool good = (sscanf(sign + 1, "%2d:%2d%n", &hours, &minutes, &used) == 2 && !sign[1 + used]) ||
                      (sscanf(sign + 1, "%2d%2d%n", &hours, &minutes, &used) == 2 && !sign[1 + used]);
    *east = (*sign == '-' ? -1 : 1) * (3600.0 * hours + 60.0 * minutes);
    *sign = 0;
    return good;
}

static bool to_moment(vg__sheet *s, const char *text, double *value)
{
    int64_t day;
    char time[64];
    double east;
    const char *rest = take_date(text, &day);
    if (!rest || strlen(rest) >= sizeof time) return false;
    strcpy(time, rest);
    if (!take_zone(time, &east) || !strchr(time, ':') || !to_time(s, time, value)) return false;
    if (s->first_day == 0) s->first_day = day;
    *value += 86400.0 * (double)(day - s->first_day) - east;
    return true;
}

vg_status vg__sheet_time(vg__sheet *s, int column, double *value)
{
    VG_TRY(check_cell(s, column));
    if (to_time(s, s->cell[column], value) || to_moment(s, s->cell[column], value)) return VG_OK;
    return not_number(s, column,
                      "time (as 3.5, 1:02:03.5 and 2026-11-23T08:56:14.5 are); where the rate is known, "
                      "rate=250 in the option map does without");
}
