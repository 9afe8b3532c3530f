#include "datasets/import/formats/hdf5_signal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "datasets/import/formats/hdf5_parts.h"

static const int64_t MAX_RECORDINGS = 100000000, MAX_SAMPLES = (int64_t)1 << 31;

/* ---- Dimensions -------------------------------------------------------------------------------------- */

/* MATLAB puts a block of its own before HDF5's. */
static bool is_matlab(const char *path)
{
    static const char mark[] = "MATLAB 7.3 MAT-file";
    char start[sizeof mark - 1];
    FILE *file = fopen(path, "rb");
    bool good = file && fread(start, 1, sizeof start, file) == sizeof start;
    if (file) fclose(file);
    return good && memcmp(start, mark, sizeof start) == 0;
}

/* MATLAB counts the last dimension of HDF5 as its first. */
static void turn(vg__hdf5_signal *s)
{
    for (int i = 0, k = s->rank - 1; i < k; i++, k--) {
        int axis = s->axis[i];
        s->axis[i] = s->axis[k];
        s->axis[k] = axis;
    }
}

static vg_status assign_axes(vg__hdf5_signal *s, const char *axes)
{
    static const int standard[VG__AXES] = {VG__AXIS_RECORDINGS, VG__AXIS_SAMPLES, VG__AXIS_LEADS};
    memcpy(s->axis, standard, sizeof standard);
    if (*axes) {
        char array[VG__MAP_VALUE + 4096];
        snprintf(array, sizeof array, "%s: %s", s->path, s->name);
        VG_TRY(vg__map_axes(array, axes, s->rank, s->axis));
        if (s->matlab) turn(s);
    } else if (s->rank == 1) {
        s->axis[0] = VG__AXIS_SAMPLES;
    } else if (s->matlab && s->rank == 2) {
        const bool first = s->extent[0] > s->extent[1];
        s->axis[0] = first ? VG__AXIS_SAMPLES : VG__AXIS_LEADS;
        s->axis[1] = first ? VG__AXIS_LEADS : VG__AXIS_SAMPLES;
    } else if (s->matlab) {
        return vg_fail(VG_ERR_CONFIG,
                       "%s: %s has %llu x %llu x %llu numbers, and nothing tells what they are; say "
                       "axes=samples|leads|recordings, or what order they have, in the option map",
                       s->path, s->name, (unsigned long long)s->extent[2], (unsigned long long)s->extent[1],
                       (unsigned long long)s->extent[0]);
    }
    return VG_OK;
}

static vg_status check_block(vg__hdf5_signal *s)
{
    hsize_t extent[VG__AXES] = {1, 1, 1};
    s->many = false;
    for (int i = 0; i < s->rank; i++) {
        extent[s->axis[i]] = s->extent[i];
        s->many = s->many || s->axis[i] == VG__AXIS_RECORDINGS;
    }
    const hsize_t count = extent[VG__AXIS_RECORDINGS], samples = extent[VG__AXIS_SAMPLES],
                  leads = extent[VG__AXIS_LEADS];
    if (leads < 1 || leads > VG__HDF5_LEADS)
        return vg_fail(VG_ERR_FORMAT,
                       "%s: %s has %llu leads; axes=... in the option map tells which of its "
                       "dimensions are recordings, samples and leads",
                       s->path, s->name, (unsigned long long)leads);
    if (count < 1 || count > (hsize_t)MAX_RECORDINGS || samples < 1 || samples > (hsize_t)MAX_SAMPLES)
        return vg_fail(VG_ERR_FORMAT, "%s: %s is a block of %llu recordings of %llu samples, which cannot be",
                       s->path, s->name, (unsigned long long)count, (unsigned long long)samples);
    s->count = (int64_t)count;
    s->samples = (int64_t)samples;
    s->leads = (int)leads;
    return VG_OK;
}

/* ---- Offsets ----------------------------------------------------------------------------------------- */

/* They must rise and stay inside the signal. */
static vg_status check_offsets(const vg__hdf5_signal *s, const char *name)
{
    int64_t samples = (int64_t)s->extent[0];
    for (int64_t i = 0; i <= s->count; i++) {
        int64_t low = i > 0 ? s->offsets[i - 1] : 0;
        if (s->offsets[i] < low)
            return vg_fail(VG_ERR_FORMAT, "%s: %s[%lld] is %lld, below %lld: offsets cannot fall", s->path,
                           name, (long long)i, (long long)s->offsets[i], (long long)low);
        if (s->offsets[i] > samples)
            return vg_fail(VG_ERR_FORMAT, "%s: %s[%lld] is %lld, but %s has only %lld samples", s->path, name,
                           (long long)i, (long long)s->offsets[i], s->name, (long long)samples);
        if (s->offsets[i] - low > MAX_SAMPLES)
            return vg_fail(VG_ERR_FORMAT, "%s: %s[%lld]: a recording of %lld samples is too long", s->path,
                           name, (long long)i, (long long)(s->offsets[i] - low));
    }
    return VG_OK;
}

static vg_status read_offsets(vg__hdf5_signal *s, hid_t file, const char *name)
{
    vg_status status = VG_OK;
    hid_t dataset = H5Dopen2(file, name, H5P_DEFAULT);
    if (dataset < 0)
        return vg_fail(
            VG_ERR_FORMAT,
            "%s: %s has one dimension, so the dataset \"%s\" must tell where each recording begins; it is "
            "missing (the option map can name it, or say that it is one recording: axes=samples)",
            s->path, s->name, name);
    int64_t length = vg__hdf5_length(dataset);
    if (length < 2 || length > MAX_RECORDINGS) {
        status =
            vg_fail(VG_ERR_FORMAT, "%s: %s has %lld entries; one more than there are recordings is needed",
                    s->path, name, (long long)length);
        goto out;
    }
    VG_TRY_OUT(vg__hdf5_check(s->path, name, file, dataset));
    s->many = true;
    s->leads = 1;
    s->count = length - 1;
    s->offsets = malloc((size_t)length * sizeof *s->offsets);
    if (!s->offsets) {
        status = vg_fail(VG_ERR_MEMORY, "%s: %s: no memory", s->path, name);
        goto out;
    }
    if (H5Dread(dataset, H5T_NATIVE_INT64, H5S_ALL, H5S_ALL, H5P_DEFAULT, s->offsets) < 0) {
        status = vg__hdf5_part_fail(s->path, name);
        goto out;
    }
    status = check_offsets(s, name);
out:
    H5Dclose(dataset);
    return status;
}

/* ---- Opening and reading ------------------------------------------------------------------------------- */

vg_status vg__hdf5_signal_open(const char *path, hid_t file, const char *name, const char *axes,
                               const char *offsets, vg__hdf5_signal *s)
{
    *s = (vg__hdf5_signal){.path = path, .name = name, .matlab = is_matlab(path)};
    s->dataset = H5Dopen2(file, name, H5P_DEFAULT);
    if (s->dataset < 0) return vg__hdf5_part_fail(path, name);
    hid_t space = H5Dget_space(s->dataset), type = H5Dget_type(s->dataset);
    H5T_class_t kind = H5Tget_class(type);
    s->rank = H5Sget_simple_extent_ndims(space);
    if (s->rank >= 1 && s->rank <= VG__AXES) H5Sget_simple_extent_dims(space, s->extent, NULL);
    H5Tclose(type);
    H5Sclose(space);
    if (kind != H5T_INTEGER && kind != H5T_FLOAT)
        return vg_fail(VG_ERR_FORMAT, "%s: %s does not hold numbers%s", path, name,
                       kind == H5T_REFERENCE ? " (it is a cell array; save it with MATLAB's -v7, which the "
                                               "format mat reads)"
                                             : "");
    if (s->rank < 1 || s->rank > VG__AXES)
        return vg_fail(
            VG_ERR_FORMAT,
            "%s: %s has %d dimensions; [samples] with offsets, [n][samples] and [n][samples][leads] can be "
            "read",
            path, name, s->rank);
    VG_TRY(vg__hdf5_check(path, name, file, s->dataset));
    VG_TRY(assign_axes(s, axes));
    return s->rank == 1 && !*axes ? read_offsets(s, file, offsets) : check_block(s);
}

void vg__hdf5_signal_close(vg__hdf5_signal *s)
{
    if (s->dataset >= 0) H5Dclose(s->dataset);
    s->dataset = -1;
    free(s->offsets);
    s->offsets = NULL;
}

int64_t vg__hdf5_signal_length(const vg__hdf5_signal *s, int64_t i)
{
    return s->offsets ? s->offsets[i + 1] - s->offsets[i] : s->samples;
}

vg_status vg__hdf5_signal_read(const vg__hdf5_signal *s, int64_t i, int lead, double *x)
{
    const hsize_t count = (hsize_t)vg__hdf5_signal_length(s, i);
    const hsize_t from[VG__AXES] = {[VG__AXIS_SAMPLES] = s->offsets ? (hsize_t)s->offsets[i] : 0,
                                    [VG__AXIS_LEADS] = (hsize_t)lead,
                                    [VG__AXIS_RECORDINGS] = (hsize_t)i};
    hsize_t start[VG__AXES] = {0}, size[VG__AXES] = {0};
    for (int k = 0; k < s->rank; k++) {
        start[k] = from[s->axis[k]];
        size[k] = s->axis[k] == VG__AXIS_SAMPLES ? count : 1;
    }
    hid_t space = H5Dget_space(s->dataset), memory = H5Screate_simple(1, &count, NULL);
    bool good = H5Sselect_hyperslab(space, H5S_SELECT_SET, start, NULL, size, NULL) >= 0 &&
                H5Dread(s->dataset, H5T_NATIVE_DOUBLE, memory, space, H5P_DEFAULT, x) >= 0;
    vg_status status = VG_OK;
    if (!good) {
        char what[VG__MAP_VALUE + 64];
        snprintf(what, sizeof what, "%s, recording %lld", s->name, (long long)i);
        status = vg__hdf5_part_fail(s->path, what);
    }
    H5Sclose(memory);
    H5Sclose(space);
    return status;
}
