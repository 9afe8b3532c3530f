/* A NumPy array's header: a magic word, two bytes of version, the length of a text, and the text, which is a
 * dictionary in Python's notation: {'descr': '<f8', 'fortran_order': False, 'shape': (3, 4), }. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "datasets/import/formats/npy.h"

enum { MAX_HEADER = 1 << 16 };

typedef struct text {
    const char *path, *p;
} text;

static void skip(text *t)
{
    t->p += strspn(t->p, " \t\n");
}

/* Moves over `sign`; false when something else stands there. */
static bool take(text *t, char sign)
{
    skip(t);
    if (*t->p != sign) return false;
    t->p++;
    return true;
}

static bool take_string(text *t, char out[64])
{
    skip(t);
    char quote = *t->p;
    if (quote != '\'' && quote != '"') return false;
    const char *end = strchr(t->p + 1, quote);
    if (!end || end - t->p > 63) return false;
    memcpy(out, t->p + 1, (size_t)(end - t->p - 1));
    out[end - t->p - 1] = 0;
    t->p = end + 1;
    return true;
}

static bool take_word(text *t, const char *word)
{
    skip(t);
    size_t length = strlen(word);
    if (strncmp(t->p, word, length) != 0) return false;
    t->p += length;
    return true;
}

static vg_status bad(const text *t, const char *what)
{
    return vg_fail(VG_ERR_FORMAT, "%s: its header is not NumPy's: %s at \"%.40s\"", t->path, what, t->p);
}

static vg_status take_type(text *t, vg__npy *npy)
{
    char name[64];
    skip(t);
    if (*t->p == '[')
        return vg_fail(VG_ERR_UNSUPPORTED,
                       "%s: is an array of records; save the field that is the ECG (numpy.save(\"ecg.npy\", "
                       "a[\"ecg\"]))",
                       t->path);
    if (!take_string(t, name)) return bad(t, "no type");
    static const char *const known[] = {"i1", "i2", "i4", "u1", "u2", "u4", "f4", "f8", "i8"};
    const char *plain = name + (*name && strchr("<>|=", *name) ? 1 : 0);
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (strcmp(plain, known[i]) != 0) continue;
        npy->kind = plain[0];
        npy->width = plain[1] - '0';
        npy->big_endian = *name == '>';
        return VG_OK;
    }
    return vg_fail(
        VG_ERR_UNSUPPORTED,
        "%s: holds numbers of type \"%s\", which are not read; save them as float64 (a.astype(\"f8\"))",
        t->path, name);
}

static vg_status take_shape(text *t, vg__npy *npy)
{
    if (!take(t, '(')) return bad(t, "no shape");
    npy->rank = 0;
    while (!take(t, ')')) {
        char *end;
        errno = 0;
        long long extent = strtoll(t->p, &end, 10);
        if (end == t->p || errno || extent < 0 || (*t->p && strchr("+-", *t->p))) return bad(t, "no extent");
        if (npy->rank == 3)
            return vg_fail(VG_ERR_UNSUPPORTED,
                           "%s: has more than three axes; recordings, samples and leads are known", t->path);
        npy->shape[npy->rank++] = extent;
        t->p = end;
        if (!take(t, ',')) {
            if (!take(t, ')')) return bad(t, "no end of the shape");
            break;
        }
    }
    if (npy->rank == 0) return vg_fail(VG_ERR_FORMAT, "%s: is a single number, not an array", t->path);
    return VG_OK;
}

static vg_status parse(text *t, vg__npy *npy, bool *fortran)
{
    bool type = false, order = false, shape = false;
    if (!take(t, '{')) return bad(t, "no dictionary");
    while (!take(t, '}')) {
        char key[64];
        if (!take_string(t, key) || !take(t, ':')) return bad(t, "no key");
        if (strcmp(key, "descr") == 0) {
            VG_TRY(take_type(t, npy));
            type = true;
        } else if (strcmp(key, "shape") == 0) {
            VG_TRY(take_shape(t, npy));
            shape = true;
        } else if (strcmp(key, "fortran_order") == 0) {
            *fortran = take_word(t, "True");
            if (!*fortran && !take_word(t, "False")) return bad(t, "neither True nor False");
            order = true;
        } else {
            return bad(t, "an unknown key");
        }
        if (!take(t, ',')) {
            if (!take(t, '}')) return bad(t, "no end of the dictionary");
            break;
        }
    }
    return type && order && shape ? VG_OK : bad(t, "descr, fortran_order or shape is missing");
}

/* Strides from the order, and the size, without overflow. */
static vg_status lay_out(const char *path, int64_t size, bool fortran, vg__npy *npy)
{
    int64_t bytes = npy->width;
    for (int i = 0; i < npy->rank; i++) {
        int axis = fortran ? i : npy->rank - 1 - i;
        npy->stride[axis] = bytes;
        if (npy->shape[axis] == 0)
            return vg_fail(VG_ERR_FORMAT, "%s: the array is empty (axis %d has no entries)", path, axis + 1);
        if (npy->shape[axis] > (size - npy->offset) / bytes)
            return vg_fail(
                VG_ERR_FORMAT,
                "%s: holds %lld bytes of numbers, too few for its shape (axis %d has %lld entries): it is "
                "cut short",
                path, (long long)(size - npy->offset), axis + 1, (long long)npy->shape[axis]);
        bytes *= npy->shape[axis];
    }
    npy->bytes = bytes;
    return VG_OK;
}

vg_status vg__npy_header(const char *path, FILE *file, int64_t size, vg__npy *npy)
{
    unsigned char head[12];
    bool fortran = false;
    memset(npy, 0, sizeof *npy);
    size_t got = fread(head, 1, sizeof head, file);
    if (got >= 2 && memcmp(head, "PK", 2) == 0)
        return vg_fail(VG_ERR_UNSUPPORTED, "%s: is a ZIP file; unpack it and import the .npy files in it",
                       path);
    if (got < sizeof head || memcmp(head, "\x93NUMPY", 6) != 0)
        return vg_fail(VG_ERR_FORMAT, "%s: does not begin as a NumPy array does", path);
    if (head[6] < 1 || head[6] > 3)
        return vg_fail(VG_ERR_UNSUPPORTED, "%s: NumPy format %d.%d is not known (1 to 3 are)", path, head[6],
                       head[7]);
    int64_t length = head[8] | head[9] << 8;
    npy->offset = 10;
    if (head[6] > 1) {
        length |= (int64_t)head[10] << 16 | (int64_t)head[11] << 24;
        npy->offset = 12;
    }
    if (length > MAX_HEADER || npy->offset + length > size)
        return vg_fail(VG_ERR_FORMAT, "%s: a header of %lld bytes cannot be (the file has %lld)", path,
                       (long long)length, (long long)size);
    char *words = calloc((size_t)length + 1, 1);
    if (!words) return vg_fail(VG_ERR_MEMORY, "%s: no memory for its header", path);
    vg_status status = VG_OK;
    if (fseeko(file, npy->offset, SEEK_SET) != 0 || fread(words, 1, (size_t)length, file) != (size_t)length) {
        status = vg_fail(VG_ERR_IO, "%s: its header cannot be read: %s", path, strerror(errno));
    } else {
        text t = {.path = path, .p = words};
        npy->offset += length;
        status = parse(&t, npy, &fortran);
        if (status == VG_OK) status = lay_out(path, size, fortran, npy);
    }
    free(words);
    return status;
}

double vg__npy_value(const vg__npy *npy, const unsigned char *b)
{
    uint64_t value = 0;
    for (int i = 0; i < npy->width; i++)
        value |= (uint64_t)b[npy->big_endian ? npy->width - 1 - i : i] << (8 * i);
    if (npy->kind == 'f' && npy->width == 4) {
        uint32_t bits = (uint32_t)value;
        float number;
        memcpy(&number, &bits, sizeof number);
        return (double)number;
    }
    if (npy->kind == 'f') {
        double number;
        memcpy(&number, &value, sizeof number);
        return number;
    }
    uint64_t sign = (uint64_t)1 << (8 * npy->width - 1);
    if (npy->kind == 'i' && value & sign) return -(double)((~value & (sign - 1)) + 1);
    return (double)value;
}
