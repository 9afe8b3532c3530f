#include "datasets/import/formats/sheet.h"

#include <ctype.h>
#include <errno.h>
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

/* ---- The first lines --------------------------------------------------------------------------------- */

static bool all_numbers(const vg__sheet *s)
{
    double value;
    for (int i = 0; i < s->cells; i++)
        if (!strchr(s->cell[i], ':') && !vg__sheet_number(s, s->cell[i], &value)) return false;
    return true;
}

/* No cell is a number or empty: with names above, these are units. */
static bool no_numbers(const vg__sheet *s)
{
    double value;
    for (int i = 0; i < s->cells; i++)
        if (vg__sheet_number(s, s->cell[i], &value)) return false;
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
