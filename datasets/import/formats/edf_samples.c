/* How EDF, BDF and GDF store samples. */
#include <string.h>

#include "datasets/import/formats/edf.h"

int vg__edf_width(vg__edf_type type)
{
    switch (type) {
    case VG__EDF_INT8:
    case VG__EDF_UINT8:
        return 1;
    case VG__EDF_INT16:
    case VG__EDF_UINT16:
        return 2;
    case VG__EDF_INT24:
    case VG__EDF_UINT24:
        return 3;
    case VG__EDF_INT32:
    case VG__EDF_UINT32:
    case VG__EDF_FLOAT32:
        return 4;
    case VG__EDF_INT64:
    case VG__EDF_UINT64:
    case VG__EDF_FLOAT64:
        return 8;
    }
    return 0;
}

double vg__edf_sample(vg__edf_type type, const unsigned char *b)
{
    const int width = vg__edf_width(type);
    uint64_t value = 0;
    for (int i = 0; i < width; i++) value |= (uint64_t)b[i] << (8 * i);
    switch (type) {
    case VG__EDF_FLOAT32: {
        uint32_t bits = (uint32_t)value;
        float number;
        memcpy(&number, &bits, sizeof number);
        return (double)number;
    }
    case VG__EDF_FLOAT64: {
        double number;
        memcpy(&number, &value, sizeof number);
        return number;
    }
    case VG__EDF_UINT8:
    case VG__EDF_UINT16:
    case VG__EDF_UINT24:
    case VG__EDF_UINT32:
    case VG__EDF_UINT64:
        return (double)value;
    default: {
        uint64_t sign = (uint64_t)1 << (8 * width - 1);
        return value & sign ? -(double)((~value & (sign - 1)) + 1) : (double)value;
    }
    }
}

void vg__edf_samples(vg__edf_type type, const unsigned char *b, int64_t count, double *values)
{
    /* EDF's own type: the compiler makes vectors of it. BDF's comes next, the others are rare. */
    if (type == VG__EDF_INT16)
        for (int64_t i = 0; i < count; i++) values[i] = (int16_t)(b[2 * i] | b[2 * i + 1] << 8);
    else if (type == VG__EDF_INT24)
        for (int64_t i = 0; i < count; i++, b += 3)
            values[i] = (int32_t)((uint32_t)b[0] << 8 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 24) >> 8;
    else
        for (int64_t i = 0, width = vg__edf_width(type); i < count; i++, b += width)
            values[i] = vg__edf_sample(type, b);
}
