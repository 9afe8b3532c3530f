#include "datasets/store/store.h"

#include <math.h>
#include <string.h>

#include "datasets/store/layout.h"

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

/* Two samples as one word, any NaN as the same, -0 as 0. Nothing in here branches, so that it can take vector
 * instructions. */
static inline uint64_t word_of(const float *samples)
{
    uint32_t bits[2];
    memcpy(bits, samples, sizeof bits);
    for (int i = 0; i < 2; i++) {
        bits[i] = (bits[i] & 0x7fffffffu) > 0x7f800000u ? 0x7fc00000u : bits[i];
        bits[i] = bits[i] == 0x80000000u ? 0 : bits[i];
    }
    return (uint64_t)bits[1] << 32 | bits[0];
}

static inline uint64_t fold(uint64_t hash, uint64_t word)
{
    hash = (hash ^ word) * 0xD6E8FEB86659FD93u;
    return hash ^ hash >> 32;
}

/* Multiply and fold, in lanes that do not wait for each other. Every step can be undone, so two signals that
 * differ in one word only never have the same. Not meant against an adversary. */
uint64_t vg_fingerprint(const float *samples, int64_t count)
{
    enum { LANES = 4 };
    uint64_t lane[LANES], hash = 0x9E3779B97F4A7C15u ^ (uint64_t)count;
    int64_t i = 0;
    for (int k = 0; k < LANES; k++) lane[k] = hash + (uint64_t)k;
    for (; i + 2 * LANES <= count; i += 2 * LANES)
        for (int k = 0; k < LANES; k++) lane[k] = fold(lane[k], word_of(samples + i + 2 * k));
    for (; i < count; i += 2) {
        const float rest[2] = {samples[i], i + 1 < count ? samples[i + 1] : 0};
        lane[0] = fold(lane[0], word_of(rest));
    }
    for (int k = 0; k < LANES; k++) hash = fold(hash, lane[k]);
    return hash;
}
