/* Options that contradict each other or the nature of an ECG. */
#include "datasets/import/pipeline/own.h"
#include "datasets/signal/filter.h"

/* P and T waves lie below this; and the narrowest band, in Hz, that leaves something of a signal. */
static const double HIGHEST_LOW = 5, NARROWEST = 1;

/* A straight line of more milliseconds than this can hide half a QRS complex; of more than a second, beats.
 */
static const double LONG_BRIDGE = 50, LONGEST_BRIDGE = 1000;

static vg_status check_band(const vg_import_options *options)
{
    const double low = options->low, high = options->high, half = options->rate / 2;
    const double upper = high > 0 && high < half ? high : half;
    if (options->order == 0) return VG_OK;
    if (low > 0 && high > 0 && !(low < high))
        return vg_fail(VG_ERR_CONFIG, "import options low and high: %g Hz is not below %g Hz", low, high);
    if (!(low < half))
        return vg_fail(
            VG_ERR_CONFIG,
            "import option low: %g Hz is not below half the store's rate, %g Hz, so nothing would be "
            "left; an ECG needs what lies above 0.5 to 1 Hz",
            low, half);
    if (!(upper - low >= NARROWEST))
        return vg_fail(
            VG_ERR_CONFIG,
            "import options low and high: from %g to %g Hz is a band of less than %g Hz, which holds "
            "no ECG",
            low, upper, NARROWEST);
    return VG_OK;
}

vg_status vg__options_check(const vg_import_options *options)
{
    if (!(options->rate >= VG__SLOWEST_HZ && options->rate <= 1e5))
        return vg_fail(VG_ERR_CONFIG, "import option rate: %g Hz is outside %d..100000", options->rate,
                       VG__SLOWEST_HZ);
    if (options->order > VG_FILTER_MAX_ORDER)
        return vg_fail(VG_ERR_CONFIG, "import option order: %d is above %d", options->order,
                       VG_FILTER_MAX_ORDER);
    if (!(options->min_quality >= 0 && options->min_quality <= 1))
        return vg_fail(VG_ERR_CONFIG, "import option min_quality: %g is outside 0..1", options->min_quality);
    if (!(options->bridge >= 0 && options->bridge <= LONGEST_BRIDGE))
        return vg_fail(VG_ERR_CONFIG, "import option bridge: %g ms is outside 0..%g; longer gaps hold beats",
                       options->bridge, LONGEST_BRIDGE);
    VG_TRY(check_band(options));
    return vg__pattern_check(options->pattern);
}

void vg__options_warn(vg__pipeline *pipeline)
{
    const vg_import_options *options = pipeline->options;
    if (options->order > 0 && options->low > HIGHEST_LOW)
        vg__pipeline_warn(
            pipeline,
            "import option low: the band begins at %g Hz; P and T waves, which lie below %g Hz, are lost",
            options->low, HIGHEST_LOW);
    if (options->order > 0 && options->high > options->rate / 2)
        vg__pipeline_warn(
            pipeline, "import option high: %g Hz is above half the store's rate, so the band ends at %g Hz",
            options->high, options->rate / 2);
    if (options->bridge > LONG_BRIDGE)
        vg__pipeline_warn(pipeline, "import option bridge: a straight line of %g ms can hide a QRS complex",
                          options->bridge);
}
