#include "datasets/store.h"

#include <math.h>
#include <string.h>

#include "datasets/store_layout.h"

static vg_status check_edge(double edge, const char *field, const char *name)
{
    if (isfinite(edge) && edge >= 0) return VG_OK;
    return vg_fail(VG_ERR_CONFIG, "%s: attribute %s is %g Hz; give a frequency, or 0 for none", name, field,
                   edge);
}

vg_status vg__store_info_check(const vg_store_info *info, const char *name)
{
#define CHECK_TEXT(field)                                                                                    \
    if (info->field && strlen(info->field) > VG_STORE_MAX_TEXT)                                              \
        return vg_fail(VG_ERR_CONFIG, "%s: attribute %s is %zu bytes long, more than %d", name, #field,      \
                       strlen(info->field), VG_STORE_MAX_TEXT);
    VG_STORE_TEXTS(CHECK_TEXT)
#undef CHECK_TEXT
    if (!info->source || !info->source[0])
        return vg_fail(VG_ERR_CONFIG, "%s: attribute source is empty; name the data set", name);
    if (!info->units || !info->units[0])
        return vg_fail(VG_ERR_CONFIG, "%s: attribute units is empty; say mV, or a.u. when nobody knows",
                       name);
    if (!(isfinite(info->rate) && info->rate > 0))
        return vg_fail(VG_ERR_CONFIG, "%s: attribute rate is %g Hz; it must be above 0", name, info->rate);
    if (!info->filter || !info->filter[0])
        return vg_fail(VG_ERR_CONFIG, "%s: attribute filter is empty; say none when there is no filter",
                       name);
    VG_TRY(check_edge(info->filter_low, "filter_low", name));
    VG_TRY(check_edge(info->filter_high, "filter_high", name));
    VG_TRY(check_edge(info->notch, "notch", name));
    if (info->filter_high > 0 && info->filter_low >= info->filter_high)
        return vg_fail(VG_ERR_CONFIG, "%s: attributes filter_low and filter_high give the band %g to %g Hz",
                       name, info->filter_low, info->filter_high);
    if (info->filter_order < 0 || info->filter_order > 1000)
        return vg_fail(VG_ERR_CONFIG, "%s: attribute filter_order is %d", name, info->filter_order);
    return VG_OK;
}

/* Multiply and fold, one word of 32 bits a step: 2 ns a sample would already be 0.2 s for the 106 million
 * samples of 230 hours at 128 Hz, so nothing cleverer is needed. Not meant against an adversary. */
uint64_t vg_fingerprint(const float *samples, int64_t count)
{
    uint64_t hash = 0x9E3779B97F4A7C15u ^ (uint64_t)count;
    for (int64_t i = 0; i < count; i++) {
        uint32_t bits;
        memcpy(&bits, &samples[i], sizeof bits);
        if ((bits & 0x7fffffffu) > 0x7f800000u) bits = 0x7fc00000u;
        if (bits == 0x80000000u) bits = 0;
        hash = (hash ^ bits) * 0xD6E8FEB86659FD93u;
        hash ^= hash >> 32;
    }
    hash *= 0xD6E8FEB86659FD93u;
    return hash ^ hash >> 32;
}
