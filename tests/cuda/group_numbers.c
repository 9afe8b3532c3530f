#include "tests/cuda/group_numbers.h"

#include "tests/core/group_ranks.h"

int64_t ranks_number(int rank, int64_t i)
{
    return (i * 7 + rank * 13) % 31 - 15;
}

int ranks_pieces(vg__collective_kind kind, const vg_place *place)
{
    return kind == VG__REDUCE_SCATTER || kind == VG__ALL_GATHER ? place->size : 1;
}

void ranks_fill(void *array, vg__collective_kind kind, vg_dtype type, int64_t count, const vg_place *place)
{
    for (int64_t i = 0; i < count * ranks_pieces(kind, place); i++) {
        const int64_t value = ranks_number(place->rank, i);
        if (type == VG_F32) ((float *)array)[i] = (float)value;
        if (type == VG_F64) ((double *)array)[i] = (double)value;
        if (type == VG_I64) ((int64_t *)array)[i] = value;
        if (type == VG_BF16) ((uint16_t *)array)[i] = vg_bf16_from_float((float)value);
    }
}

static bool is(const void *array, vg_dtype type, int64_t i, int64_t value)
{
    if (type == VG_F32) return ((const float *)array)[i] == (float)value;
    if (type == VG_F64) return ((const double *)array)[i] == (double)value;
    if (type == VG_I64) return ((const int64_t *)array)[i] == value;
    return vg_bf16_to_float(((const uint16_t *)array)[i]) == (float)value;
}

void ranks_judge(const void *array, vg__collective_kind kind, vg_dtype type, int64_t count,
                 const vg_place *place)
{
    for (int64_t i = 0; i < count * ranks_pieces(kind, place); i++) {
        int64_t sum = 0;
        for (int r = 0; r < place->size; r++) sum += ranks_number(r, i);
        if (kind == VG__ALL_REDUCE || (kind == VG__REDUCE_SCATTER && i / count == place->rank))
            CLAIM(is(array, type, i, sum));
        if (kind == VG__ALL_GATHER) CLAIM(is(array, type, i, ranks_number((int)(i / count), i)));
        if (kind == VG__BROADCAST) CLAIM(is(array, type, i, ranks_number(0, i)));
    }
}
