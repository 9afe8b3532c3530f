#include "datasets/import/mat/piece.h"

#include <stdlib.h>
#include <string.h>

enum { BUFFER = 1 << 15 };

vg_status vg__mat_wrong(vg__mat_stream *s, const char *what)
{
    return vg_fail(VG_ERR_FORMAT, "%s: %s: damaged: %s", vg__mat_stream_file(s), vg__mat_stream_path(s),
                   what);
}

vg_status vg__mat_no_memory(vg__mat_stream *s)
{
    return vg_fail(VG_ERR_MEMORY, "%s: %s: no memory for it", vg__mat_stream_file(s), vg__mat_stream_path(s));
}

/* ---- Pieces of an array ---------------------------------------------------------------------------- */

uint32_t vg__mat_word(const vg__mat_stream *s, const unsigned char *b)
{
    uint32_t value;
    memcpy(&value, b, sizeof value);
    return vg__mat_stream_swapped(s) ? __builtin_bswap32(value) : value;
}

/* The next tag; its content and padding are taken off `left` at once. */
vg_status vg__mat_read_tag(vg__mat_stream *s, int64_t *left, vg__mat_piece *p)
{
    unsigned char tag[VG__MAT_TAG];
    if (*left < VG__MAT_TAG) return vg__mat_wrong(s, "it ends where another part must stand");
    VG_TRY(vg__mat_take(s, tag, VG__MAT_TAG));
    *left -= VG__MAT_TAG;
    *p = (vg__mat_piece){.type = vg__mat_word(s, tag), .size = vg__mat_word(s, tag + 4)};
    if (p->type >> 16) { /* small: size and type share the first word */
        p->size = p->type >> 16;
        p->type &= 0xffff;
        p->small = true;
        memcpy(p->content, tag + 4, VG__MAT_SMALL);
        return p->size <= VG__MAT_SMALL ? VG_OK : vg__mat_wrong(s, "a small part of more than four bytes");
    }
    if (p->size > *left) return vg__mat_wrong(s, "a part is larger than what it stands in");
    p->padding = (p->type == VG__MAT_MATRIX ? 0 : -p->size & 7);
    if (p->padding > *left - p->size) p->padding = *left - p->size;
    *left -= p->size + p->padding;
    return VG_OK;
}

vg_status vg__mat_take_piece(vg__mat_stream *s, vg__mat_piece *p, void *bytes)
{
    if (p->small) {
        memcpy(bytes, p->content, p->size < VG__MAT_SMALL ? (size_t)p->size : VG__MAT_SMALL);
        return VG_OK;
    }
    VG_TRY(vg__mat_take(s, bytes, p->size));
    return vg__mat_skip(s, p->padding);
}

int vg__mat_width(uint32_t type)
{
    static const signed char width[] = {
        [VG__MAT_INT8] = 1,  [VG__MAT_UINT8] = 1,  [VG__MAT_INT16] = 2,  [VG__MAT_UINT16] = 2,
        [VG__MAT_INT32] = 4, [VG__MAT_UINT32] = 4, [VG__MAT_SINGLE] = 4, [VG__MAT_DOUBLE] = 8,
        [VG__MAT_INT64] = 8, [VG__MAT_UINT64] = 8, [VG__MAT_UTF8] = 1,   [VG__MAT_UTF16] = 2,
        [VG__MAT_UTF32] = 4};
    return type < sizeof width ? width[type] : 0;
}

static double number_at(const unsigned char *b, uint32_t type, bool swap)
{
    uint64_t wide = 0;
    uint32_t four = 0;
    uint16_t two = 0;
    switch (vg__mat_width(type)) {
    case 8:
        memcpy(&wide, b, 8);
        if (swap) wide = __builtin_bswap64(wide);
        break;
    case 4:
        memcpy(&four, b, 4);
        if (swap) four = __builtin_bswap32(four);
        break;
    case 2:
        memcpy(&two, b, 2);
        if (swap) two = __builtin_bswap16(two);
        break;
    }
    double real;
    float single;
    switch (type) {
    case VG__MAT_INT8:
        return (signed char)*b;
    case VG__MAT_INT16:
        return (int16_t)two;
    case VG__MAT_UTF16:
    case VG__MAT_UINT16:
        return two;
    case VG__MAT_INT32:
        return (int32_t)four;
    case VG__MAT_UTF32:
    case VG__MAT_UINT32:
        return four;
    case VG__MAT_INT64:
        return (double)(int64_t)wide;
    case VG__MAT_UINT64:
        return (double)wide;
    case VG__MAT_SINGLE:
        memcpy(&single, &four, sizeof single);
        return (double)single;
    case VG__MAT_DOUBLE:
        memcpy(&real, &wide, sizeof real);
        return real;
    default:
        return *b;
    }
}

/* All numbers of a piece whose tag was read. The memory grows as they come, so that a size that lies costs
 * no more than the bytes that are there. */
vg_status vg__mat_read_numbers(vg__mat_stream *s, vg__mat_piece *p, int64_t count, vg__mat_limits *limits,
                               double **out)
{
    vg_status status = VG_OK;
    unsigned char bytes[BUFFER];
    double *x = NULL;
    int64_t width = vg__mat_width(p->type), have = 0, room = 0;
    limits->bytes -= count * (int64_t)sizeof *x;
    if (limits->bytes < 0)
        return vg_fail(VG_ERR_UNSUPPORTED, "%s: %s: larger than an importer takes at once",
                       vg__mat_stream_file(s), vg__mat_stream_path(s));
    while (have < count) {
        int64_t part = count - have < BUFFER / width ? count - have : BUFFER / width;
        if (p->small)
            memcpy(bytes, p->content, p->size < VG__MAT_SMALL ? (size_t)p->size : VG__MAT_SMALL);
        else
            VG_TRY_OUT(vg__mat_take(s, bytes, part * width));
        if (have + part > room) {
            room = have == 0 && count <= BUFFER ? count : 2 * (have + part);
            if (room > count) room = count;
            double *grown = realloc(x, (size_t)room * sizeof *x);
            if (!grown) {
                status = vg__mat_no_memory(s);
                goto out;
            }
            x = grown;
        }
        for (int64_t i = 0; i < part; i++)
            x[have + i] = number_at(bytes + i * width, p->type, vg__mat_stream_swapped(s));
        have += part;
    }
    if (!p->small) VG_TRY_OUT(vg__mat_skip(s, p->padding));
    *out = x;
    x = NULL;
out:
    free(x);
    return status;
}

/* ---- Texts ----------------------------------------------------------------------------------------- */

static char *put_utf8(char *to, uint32_t code)
{
    if (code == 0 || code > 0x10ffff || (code >= 0xd800 && code < 0xe000)) code = 0xfffd;
    if (code < 0x80) {
        *to++ = (char)code;
    } else if (code < 0x800) {
        *to++ = (char)(0xc0 | code >> 6);
        *to++ = (char)(0x80 | (code & 63));
    } else if (code < 0x10000) {
        *to++ = (char)(0xe0 | code >> 12);
        *to++ = (char)(0x80 | (code >> 6 & 63));
        *to++ = (char)(0x80 | (code & 63));
    } else {
        *to++ = (char)(0xf0 | code >> 18);
        *to++ = (char)(0x80 | (code >> 12 & 63));
        *to++ = (char)(0x80 | (code >> 6 & 63));
        *to++ = (char)(0x80 | (code & 63));
    }
    return to;
}

/* Code points from units of UTF-8 or UTF-16, in place; units that form none stay as they are. */
static int64_t join_units(double *u, int64_t n, uint32_t type)
{
    int64_t codes = 0;
    for (int64_t i = 0; i < n; i++) {
        uint32_t c = (uint32_t)u[i];
        int more = 0;
        if (type == VG__MAT_UTF8 && c >= 0xc2 && c < 0xf5) more = c < 0xe0 ? 1 : c < 0xf0 ? 2 : 3;
        if (more > 0 && i + more < n) {
            uint32_t code = c & (0x3fu >> more);
            int k = 1;
            for (; k <= more && ((uint32_t)u[i + k] & 0xc0) == 0x80; k++)
                code = code << 6 | ((uint32_t)u[i + k] & 63);
            if (k > more) {
                c = code;
                i += more;
            }
        } else if ((type == VG__MAT_UTF16 || type == VG__MAT_UINT16) && c >= 0xd800 && c < 0xdc00 &&
                   i + 1 < n) {
            uint32_t low = (uint32_t)u[i + 1];
            if (low >= 0xdc00 && low < 0xe000) {
                c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
                i++;
            }
        }
        u[codes++] = c;
    }
    return codes;
}

/* A row of characters, or the rows of a matrix of them, one below the other without the blanks behind. */
vg_status vg__mat_read_text(vg__mat_stream *s, vg__mat_piece *p, vg__mat_limits *limits, vg__mat_value *value)
{
    vg_status status = VG_OK;
    double *u = NULL;
    int width = vg__mat_width(p->type);
    if (width == 0 || p->type == VG__MAT_SINGLE || p->type == VG__MAT_DOUBLE || width == 8 ||
        p->size % width != 0)
        return vg__mat_wrong(s, "a text of no known kind of characters");
    int64_t n = p->size / width;
    VG_TRY_OUT(vg__mat_read_numbers(s, p, n, limits, &u));
    for (int64_t i = 0; i < n; i++)
        if (u[i] < 0) u[i] = p->type == VG__MAT_INT8 ? u[i] + 256 : 0;
    n = join_units(u, n, p->type);
    int64_t rows = n > 0 && n == value->count ? value->rows : 1, columns = n / rows;
    char *to = value->text = malloc((size_t)(4 * n + rows + 1));
    if (!to) {
        status = vg__mat_no_memory(s);
        goto out;
    }
    for (int64_t r = 0; r < rows; r++) {
        char *start = to;
        for (int64_t c = 0; c < columns; c++) to = put_utf8(to, (uint32_t)u[c * rows + r]);
        while (rows > 1 && to > start && to[-1] == ' ') to--;
        if (r + 1 < rows) *to++ = '\n';
    }
    *to = 0;
out:
    free(u);
    return status;
}
