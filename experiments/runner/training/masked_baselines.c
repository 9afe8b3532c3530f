#include "experiments/runner/training/masked_baselines.h"

static double square(double x)
{
    return x * x;
}

static double visible_mean(const float *signal, const uint8_t *mask, int64_t length)
{
    double sum = 0;
    int64_t count = 0;
    for (int64_t t = 0; t < length; t++) {
        if (mask[t]) continue;
        sum += signal[t];
        count++;
    }
    return count ? sum / (double)count : 0;
}

void vg_masked_baselines_add(vg_masked_baselines *sums, const float *signal, const uint8_t *mask,
                             int64_t length)
{
    double mean = visible_mean(signal, mask, length);
    for (int64_t begin = 0; begin < length;) {
        if (!mask[begin]) {
            begin++;
            continue;
        }
        int64_t end = begin;
        while (end < length && mask[end]) end++;
        /* The gap is [begin, end); a missing neighbour takes the value of the other one. */
        double left = begin > 0 ? signal[begin - 1] : end < length ? signal[end] : 0;
        double right = end < length ? signal[end] : left;
        for (int64_t t = begin; t < end; t++) {
            double share = (double)(t - begin + 1) / (double)(end - begin + 1);
            sums->mean += square(signal[t] - mean);
            sums->interpolation += square(signal[t] - (left + share * (right - left)));
        }
        sums->count += end - begin;
        begin = end;
    }
}
