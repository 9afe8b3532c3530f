#include "datasets/import/formats/sheet.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

/* ---- Lines and cells --------------------------------------------------------------------------------- */

/* The next line that holds something, without its end, into sheet->line. */
static vg_status read_line(vg__sheet *s, bool *more)
{
    for (;;) {
        *more = fgets(s->line, VG__SHEET_LINE, s->file) != NULL;
        if (!*more) {
            if (ferror(s->file))
                return vg_fail(VG_ERR_IO, "%s: line %lld: cannot be read: %s", s->path,
                               (long long)s->number + 1, strerror(errno));
            return VG_OK;
        }
        s->number++;
        size_t length = strlen(s->line);
        if (length + 1 == VG__SHEET_LINE && s->line[length - 1] != '\n')
            return vg_fail(VG_ERR_FORMAT, "%s: line %lld is longer than %d bytes; is this a text file?",
                           s->path, (long long)s->number, VG__SHEET_LINE);
        if (length == 0)
            return vg_fail(VG_ERR_FORMAT, "%s: line %lld holds a zero byte, so this is not a text file",
                           s->path, (long long)s->number);
        bool ended = s->line[length - 1] == '\n' || feof(s->file);
        if (!ended)
            return vg_fail(VG_ERR_FORMAT, "%s: line %lld holds a zero byte, so this is not a text file",
                           s->path, (long long)s->number);
        while (length > 0 && strchr("\r\n", s->line[length - 1])) s->line[--length] = 0;
        if (s->number == 1 && strncmp(s->line, "\xef\xbb\xbf", 3) == 0)
            memmove(s->line, s->line + 3, length - 2);
        const char *start = s->line + strspn(s->line, " \t");
        if (*start && *start != '#' && *start != '%') return VG_OK;
    }
}

/* Files that look like text only by their names. */
static vg_status check_packed(const vg__sheet *s)
{
    unsigned char start[4] = {0};
    const size_t got = fread(start, 1, sizeof start, s->file);
    rewind(s->file);
    if (got == sizeof start && start[0] == 0x1f && start[1] == 0x8b)
        return vg_fail(VG_ERR_UNSUPPORTED,
                       "%s: is packed by gzip; unpack it (\"gunzip\") and import the text", s->path);
    if (got == sizeof start && memcmp(start, "PK\3\4", 4) == 0)
        return vg_fail(VG_ERR_UNSUPPORTED,
                       "%s: is a ZIP file, as spreadsheets are too; unpack it, or save it as CSV", s->path);
    return VG_OK;
}

/* Cuts off blanks and quotes round a cell. */
static char *trim(char *cell)
{
    cell += strspn(cell, " \t");
    size_t length = strlen(cell);
    while (length > 0 && strchr(" \t", cell[length - 1])) cell[--length] = 0;
    if (length >= 2 && strchr("\"'", cell[0]) && cell[length - 1] == cell[0]) {
        cell[length - 1] = 0;
        cell++;
    }
    return cell;
}

/* Where the cell that begins at `p` ends: at a delimiter outside of quotes, or at the end of the line. */
static char *cell_end(const vg__sheet *s, char *p)
{
    char *start = p + strspn(p, " ");
    if (*start == '"' || *start == '\'') {
        char *close = strchr(start + 1, *start);
        if (close) p = close + 1;
    }
    while (*p && *p != s->delimiter && !(s->delimiter == ' ' && *p == '\t')) p++;
    return p;
}

static vg_status cut(vg__sheet *s)
{
    char *p = s->line;
    s->cells = 0;
    for (bool more = true; more;) {
        if (s->delimiter == ' ') {
            p += strspn(p, " \t");
            if (!*p) break;
        }
        if (s->cells == VG__SHEET_COLUMNS)
            return vg_fail(VG_ERR_FORMAT, "%s: line %lld has more than %d columns", s->path,
                           (long long)s->number, VG__SHEET_COLUMNS);
        char *end = cell_end(s, p);
        more = *end != 0;
        *end = 0;
        s->cell[s->cells++] = trim(p);
        p = end + 1;
    }
    return VG_OK;
}

static char find_delimiter(const char *line)
{
    if (strchr(line, '\t')) return '\t';
    if (strchr(line, ';')) return ';';
    return strchr(line, ',') ? ',' : ' ';
}

/* ---- Numbers ----------------------------------------------------------------------------------------- */

static bool is_missing(const char *text)
{
    static const char *const words[] = {"", "nan", "na", "n/a", "null", "none", "-"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strcasecmp(text, words[i]) == 0) return true;
    return false;
}

static bool to_number(const vg__sheet *s, const char *text, double *value)
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
    return to_number(s, s->cell[column], value) ? VG_OK : not_number(s, column, "number");
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
        if (!to_number(s, part, &number) || !isfinite(number)) return false;
        whole = (whole + number) * 60;
        text = colon + 1;
    }
    if (!to_number(s, text, &number) || !isfinite(number)) return false;
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

/* ---- The first lines --------------------------------------------------------------------------------- */

static bool all_numbers(const vg__sheet *s)
{
    double value;
    for (int i = 0; i < s->cells; i++)
        if (!strchr(s->cell[i], ':') && !to_number(s, s->cell[i], &value)) return false;
    return true;
}

/* No cell is a number or empty: with names above, these are units. */
static bool no_numbers(const vg__sheet *s)
{
    double value;
    for (int i = 0; i < s->cells; i++)
        if (to_number(s, s->cell[i], &value)) return false;
    return true;
}

/* "name [unit]" into its two parts. */
static void take_name(vg__sheet *s, int column)
{
    const char *text = s->cell[column];
    size_t length = strlen(text), open = length;
    if (length > 2 && strchr("])", text[length - 1]))
        for (open = length - 1; open > 0 && text[open] != (text[length - 1] == ']' ? '[' : '('); open--)
            ;
    if (open > 0 && open < length)
        snprintf(s->unit[column], VG__SHEET_NAME, "%.*s", (int)(length - open - 2), text + open + 1);
    else
        open = length;
    while (open > 0 && text[open - 1] == ' ') open--;
    snprintf(s->name[column], VG__SHEET_NAME, "%.*s", (int)open, text);
    /* Not "_V", which is as often the lead V. */
    static const char *const units[] = {"mV", "uV", "\u00b5V", "nV"};
    char *suffix = strrchr(s->name[column], '_');
    for (size_t i = 0; !*s->unit[column] && suffix > s->name[column] && i < sizeof units / sizeof *units; i++)
        if (strcmp(suffix + 1, units[i]) == 0) {
            strcpy(s->unit[column], units[i]);
            *suffix = 0;
            break;
        }
}

vg_status vg__sheet_open(const char *path, char delimiter, vg__sheet *s)
{
    struct stat info;
    bool more;
    memset(s, 0, sizeof *s);
    s->path = path;
    s->line = malloc(VG__SHEET_LINE);
    if (!s->line) return vg_fail(VG_ERR_MEMORY, "%s: no memory to read it", path);
    s->file = fopen(path, "r");
    if (!s->file)
        return vg_fail(errno == ENOENT ? VG_ERR_NOT_FOUND : VG_ERR_IO, "%s: cannot be opened: %s", path,
                       strerror(errno));
    if (fstat(fileno(s->file), &info) != 0 || !S_ISREG(info.st_mode))
        return vg_fail(VG_ERR_IO, "%s: is not a file", path);
    VG_TRY(check_packed(s));
    VG_TRY(read_line(s, &more));
    if (!more) return vg_fail(VG_ERR_FORMAT, "%s: holds no line", path);
    s->delimiter = delimiter ? delimiter : find_delimiter(s->line);
    VG_TRY(cut(s));
    s->columns = s->cells;
    s->waiting = true;
    if (all_numbers(s)) return VG_OK;
    s->named = true;
    for (int i = 0; i < s->columns; i++) take_name(s, i);
    VG_TRY(read_line(s, &more));
    s->waiting = false;
    if (!more) return VG_OK;
    VG_TRY(cut(s));
    s->waiting = s->cells != s->columns || !no_numbers(s);
    for (int i = 0; !s->waiting && i < s->columns; i++) {
        /* "'mV'", and "(mV)" as some write. */
        const char *text = s->cell[i] + (*s->cell[i] == '(' || *s->cell[i] == '[');
        snprintf(s->unit[i], VG__SHEET_NAME, "%.*s", (int)strcspn(text, "])"), text);
    }
    return VG_OK;
}

void vg__sheet_close(vg__sheet *s)
{
    if (s->file) fclose(s->file);
    free(s->line);
    s->file = NULL;
    s->line = NULL;
}

/* What stands beyond the columns would shift what is read, unseen: as when the commas that separate cells are
 * decimal commas too. */
static vg_status check_width(const vg__sheet *s)
{
    int cells = s->cells;
    while (cells > s->columns && !*s->cell[cells - 1]) cells--;
    if (cells <= s->columns) return VG_OK;
    return vg_fail(VG_ERR_FORMAT, "%s: line %lld has %d fields, the %s %d%s", s->path, (long long)s->number,
                   cells, s->named ? "header" : "first line", s->columns,
                   s->delimiter == ',' ? "; where commas are decimal, another sign must stand between fields"
                                       : "");
}

vg_status vg__sheet_next(vg__sheet *s, bool *more)
{
    *more = true;
    if (!s->waiting) {
        VG_TRY(read_line(s, more));
        if (*more) VG_TRY(cut(s));
    }
    s->waiting = false;
    return *more ? check_width(s) : VG_OK;
}

const char *vg__sheet_column(const vg__sheet *s, int column, char text[VG__SHEET_NAME])
{
    if (column < s->columns && s->named && *s->name[column]) return s->name[column];
    snprintf(text, VG__SHEET_NAME, "column %d", column + 1);
    return text;
}

vg_status vg__sheet_find(const vg__sheet *s, const char *name, int *column)
{
    char known[512] = "";
    char *end;
    for (int i = 0; s->named && i < s->columns; i++) {
        size_t used = strlen(known);
        char whole[2 * VG__SHEET_NAME];
        snprintf(whole, sizeof whole, "%s_%s", s->name[i], s->unit[i]);
        if (strcasecmp(s->name[i], name) == 0 || strcasecmp(whole, name) == 0) {
            *column = i;
            return VG_OK;
        }
        snprintf(known + used, sizeof known - used, "%s%s", i ? ", " : "", s->name[i]);
    }
    long number = strtol(name, &end, 10);
    if (end != name && !*end && number >= 1 && number <= s->columns) {
        *column = (int)number - 1;
        return VG_OK;
    }
    if (s->named) return vg_fail(VG_ERR_FORMAT, "%s: has no column \"%s\"; it has %s", s->path, name, known);
    return vg_fail(VG_ERR_FORMAT,
                   "%s: has no column \"%s\": its %d columns have no names, so number them 1 to %d", s->path,
                   name, s->columns, s->columns);
}
