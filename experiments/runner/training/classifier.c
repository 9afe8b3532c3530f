#include "experiments/runner/training/classifier.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "core/json.h"

vg_status vg_classifier_name(vg_classifier *classifier, const char *target)
{
    int length = snprintf(classifier->target, sizeof classifier->target, "%s", target);
    if (length >= 0 && (size_t)length < sizeof classifier->target) return VG_OK;
    return vg_fail(VG_ERR_DATA, "the name of the rating is longer than %zu bytes: %.80s...",
                   sizeof classifier->target - 1, target);
}

double vg_classifier_without_prior(const vg_classifier *classifier, double probability)
{
    double odds = (double)classifier->positive / (double)classifier->negative;
    return probability / (probability + (1 - probability) * odds);
}

vg_status vg_classifier_write(const vg_classifier *classifier, const char *path)
{
    vg_json_writer json = vg_json_writer_make(true);
    vg_json_begin_object(&json, NULL);
    vg_json_put_string(&json, "format", "vagus-classifier");
    vg_json_put_int(&json, "version", 1);
    vg_json_put_string(&json, "target", classifier->target);
    vg_json_put_double(&json, "threshold", classifier->threshold);
    vg_json_put_int(&json, "training_positive", classifier->positive);
    vg_json_put_int(&json, "training_negative", classifier->negative);
    vg_json_put_string(&json, "prior", classifier->balanced ? "balanced" : "training");
    vg_json_put_double(&json, "flat_below", classifier->flat_below);
    vg_json_put_double(&json, "clipped_share", classifier->clipped_share);
    vg_json_end(&json);
    return vg_json_write(&json, path);
}

static vg_status take(const vg_json *json, const char *path, vg_classifier *out)
{
    const char *format, *target, *prior;
    int64_t version;
    VG_TRY(vg_json_get_string(json, NULL, "format", &format));
    VG_TRY(vg_json_get_int(json, NULL, "version", &version));
    if (strcmp(format, "vagus-classifier"))
        return vg_fail(VG_ERR_FORMAT, "%s: format is '%s', not 'vagus-classifier'", path, format);
    if (version != 1)
        return vg_fail(VG_ERR_UNSUPPORTED, "%s: version %lld, and this program reads version 1", path,
                       (long long)version);
    VG_TRY(vg_json_get_string(json, NULL, "target", &target));
    VG_TRY(vg_json_get_double(json, NULL, "threshold", &out->threshold));
    VG_TRY(vg_json_get_int(json, NULL, "training_positive", &out->positive));
    VG_TRY(vg_json_get_int(json, NULL, "training_negative", &out->negative));
    VG_TRY(vg_json_get_string(json, NULL, "prior", &prior));
    VG_TRY(vg_json_get_double(json, NULL, "flat_below", &out->flat_below));
    VG_TRY(vg_json_get_double(json, NULL, "clipped_share", &out->clipped_share));
    out->balanced = !strcmp(prior, "balanced");
    if (vg_classifier_name(out, target) != VG_OK) return vg_context(VG_ERR_FORMAT, "%s", path);
    if (out->positive < 1 || out->negative < 1 || !(out->flat_below >= 0) ||
        !(out->clipped_share > 0 && out->clipped_share <= 1) || (!out->balanced && strcmp(prior, "training")))
        return vg_fail(VG_ERR_FORMAT,
                       "%s: %lld and %lld training segments, flat_below %g, clipped_share %g and prior '%s' "
                       "cannot be",
                       path, (long long)out->positive, (long long)out->negative, out->flat_below,
                       out->clipped_share, prior);
    return VG_OK;
}

vg_status vg_classifier_read(const char *path, vg_classifier *out)
{
    vg_json *json;
    vg_classifier read = {0};
    VG_TRY(vg_json_read(path, &json));
    vg_status status = take(json, path, &read);
    vg_json_destroy(json);
    if (status == VG_OK) *out = read;
    return status;
}
