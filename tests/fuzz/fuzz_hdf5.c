/* HDF5 arrays: the option map in a first line, then a file in the form whose metadata has checksums, or else
 * a recipe by which the library makes one. Damage to the metadata of older files, and to the heap that texts
 * of variable length lie in, HDF5 1.10 does not survive, so neither is tried here (README.md). */
#include <hdf5.h>
#include <unistd.h>

#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/fuzz_pipeline.h"

extern const vg__importer vg__importer_hdf5;

enum { SIGNATURE = 8, WITH_CHECKSUMS = 2, MOST = 4096, USER_BLOCK = 512 };

typedef struct recipe {
    const uint8_t *at;
    size_t left;
} recipe;

/* The next byte; 0 when there is none. */
static uint8_t next(recipe *r)
{
    if (r->left == 0) return 0;
    r->left--;
    return *r->at++;
}

/* Mostly small, sometimes anything. */
static hsize_t next_extent(recipe *r)
{
    hsize_t extent = next(r);
    if (extent < 250) return extent % 25;
    for (int i = 0; i < 8; i++) extent = extent << 8 | next(r);
    return extent;
}

static hid_t next_number_type(recipe *r)
{
    const hid_t types[] = {H5T_STD_I8LE,   H5T_STD_U8BE,   H5T_STD_I16LE, H5T_STD_U16BE,
                           H5T_STD_I32BE,  H5T_STD_U32LE,  H5T_STD_I64LE, H5T_STD_U64BE,
                           H5T_IEEE_F32LE, H5T_IEEE_F64BE, H5T_STD_B16LE, H5T_NATIVE_LDOUBLE};
    hid_t type = H5Tcopy(types[next(r) % (sizeof types / sizeof *types)]);
    uint8_t odd = next(r);
    if (odd & 1) H5Tset_precision(type, next(r) % 80u);
    if (odd & 2) H5Tset_offset(type, next(r) % 64u);
    if (odd & 4) H5Tset_size(type, 1 + next(r) % 16u);
    return type;
}

static hid_t next_type(recipe *r)
{
    uint8_t kind = next(r) % 8;
    if (kind < 4) return next_number_type(r);
    if (kind < 6) {
        hid_t text = H5Tcopy(H5T_C_S1);
        H5Tset_size(text, kind == 4 ? H5T_VARIABLE : 1 + (size_t)next(r) * (next(r) % 8 ? 1 : 400));
        H5Tset_strpad(text, (H5T_str_t)(next(r) % 3));
        H5Tset_cset(text, (H5T_cset_t)(next(r) % 2));
        return text;
    }
    hid_t part = next_number_type(r), type;
    const hsize_t extent = 1 + next(r) % 4u;
    switch (next(r) % 5) {
    case 0:
        type = H5Tarray_create2(part, 1, &extent);
        break;
    case 1:
        type = H5Tvlen_create(part);
        break;
    case 2:
        type = H5Tcreate(H5T_OPAQUE, extent);
        break;
    case 3:
        type = H5Tenum_create(H5T_STD_I16LE);
        break;
    default:
        type = H5Tcreate(H5T_COMPOUND, 32);
        H5Tinsert(type, "a", 0, part);
    }
    H5Tclose(part);
    return type;
}

/* Values for `bytes` bytes of this type from the recipe; NULL where they would be too many, or memory of the
 * library's own. */
static void *next_values(recipe *r, hid_t type, double count)
{
    static char text[32];
    bool variable = H5Tis_variable_str(type) > 0;
    size_t size = H5Tget_size(type);
    if (!(count * (double)size <= MOST) || size == 0 || H5Tget_class(type) == H5T_VLEN) return NULL;
    size_t n = (size_t)count;
    uint8_t *values = calloc(n + 1, size);
    FUZZ_CHECK(values);
    for (size_t i = 0; !variable && i < n * size; i++) values[i] = next(r);
    for (size_t i = 0; variable && i < sizeof text - 1; i++) text[i] = (char)next(r);
    for (size_t i = 0; variable && i < n; i++) {
        const char *where = next(r) % 4 ? text + next(r) % sizeof text : NULL;
        memcpy(values + i * size, &where, sizeof where);
    }
    return values;
}

static hid_t next_space(recipe *r, double *count)
{
    hsize_t extent[5];
    int rank = next(r) % 8;
    *count = 1;
    if (rank > 4) return H5Screate(rank == 7 ? H5S_NULL : H5S_SCALAR);
    for (int i = 0; i < rank; i++) *count *= (double)(extent[i] = next_extent(r));
    return H5Screate_simple(rank, extent, NULL);
}

static void add_dataset(hid_t file, recipe *r)
{
    static const char *const names[] = {"ecg",     "tracings", "signal",  "offsets",
                                        "records", "subjects", "exam_id", "x"};
    double count;
    hsize_t chunk[5];
    const char *name = names[next(r) % 8];
    hid_t type = next_type(r), space = next_space(r, &count), made = H5Pcreate(H5P_DATASET_CREATE);
    int rank = H5Sget_simple_extent_ndims(space);
    uint8_t how = next(r);
    if (how & 1) {
        for (int i = 0; i < rank; i++) chunk[i] = 1 + next_extent(r);
        if (rank > 0) H5Pset_chunk(made, rank, chunk);
        if (how & 2) H5Pset_deflate(made, 1);
    } else if (how & 2) {
        H5Pset_layout(made, H5D_COMPACT);
    }
    /* Space for what is not written would be taken on the disk. */
    if (count <= MOST || how & 1) {
        hid_t dataset = H5Dcreate2(file, name, type, space, H5P_DEFAULT, made, H5P_DEFAULT);
        void *values = dataset >= 0 && (how & 12) ? next_values(r, type, count) : NULL;
        double chunk_size = 1;
        for (int i = 0; (how & 1) && i < rank; i++) chunk_size *= (double)chunk[i];
        if (values && chunk_size <= MOST) H5Dwrite(dataset, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, values);
        free(values);
        if (dataset >= 0) H5Dclose(dataset);
    }
    H5Pclose(made);
    H5Sclose(space);
    H5Tclose(type);
}

static void add_attribute(hid_t file, recipe *r)
{
    static const char *const names[] = {"fs", "units"}, *const places[] = {".", "ecg", "tracings", "signal"};
    double count;
    const char *name = names[next(r) % 2], *place = places[next(r) % 4];
    hid_t type = next_type(r), space = next_space(r, &count);
    hid_t attribute =
        count <= MOST && (*place == '.' || H5Lexists(file, place, H5P_DEFAULT) > 0)
            ? H5Acreate_by_name(file, place, name, type, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT)
            : -1;
    void *values = attribute >= 0 ? next_values(r, type, count) : NULL;
    if (values) H5Awrite(attribute, type, values);
    free(values);
    if (attribute >= 0) H5Aclose(attribute);
    H5Sclose(space);
    H5Tclose(type);
}

static void make(const char *path, recipe *r)
{
    hid_t access = H5Pcreate(H5P_FILE_ACCESS);
    H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
    if (next(r) % 2) H5Pset_libver_bounds(access, H5F_LIBVER_LATEST, H5F_LIBVER_LATEST);
    hid_t file = H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, access);
    FUZZ_CHECK(file >= 0);
    while (r->left > 2)
        if (next(r) % 3)
            add_dataset(file, r);
        else
            add_attribute(file, r);
    FUZZ_CHECK(H5Fclose(file) >= 0);
    H5Pclose(access);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *end = memchr(data, '\n', size);
    if (!end) return 0;
    recipe r = {end + 1, size - (size_t)(end - data) - 1};
    /* MATLAB's block before it decides which dimension is what. */
    const size_t start = r.left > USER_BLOCK && !memcmp(r.at, "MATLAB", 6) ? USER_BLOCK : 0;
    const bool whole = r.left > start + SIGNATURE && !memcmp(r.at + start, "\x89HDF\r\n\x1a\n", SIGNATURE);
    if (whole && r.at[start + SIGNATURE] < WITH_CHECKSUMS) return 0;
    for (size_t i = 0; whole && i + 4 <= r.left; i++)
        if (!memcmp(r.at + i, "GCOL", 4)) return 0;
    char *map = strndup((const char *)data, (size_t)(end - data));
    FUZZ_CHECK(map);
    const char *path = fuzz_named_file("a.h5", r.at, whole ? r.left : 0);
    if (!whole) make(path, &r);
    fuzz_import(&vg__importer_hdf5, path, map);
    /* The library knows a file again that it has not let go of, by its number on the disk. */
    FUZZ_CHECK(unlink(path) == 0);
    FUZZ_CHECK(whole || H5Fget_obj_count((hid_t)H5F_OBJ_ALL, H5F_OBJ_ALL) == 0);
    free(map);
    return 0;
}
