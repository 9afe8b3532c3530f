#include "datasets/preprocessing.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "core/json.h"
#include "core/log.h"

static const char *const normalize_names[] = {
#define NAME(name, text) [VG_NORMALIZE_##name] = text,
    VG_NORMALIZE_MAP(NAME)
#undef NAME
};
enum { NORMALIZE_COUNT = sizeof normalize_names / sizeof *normalize_names };

const char *vg_normalize_name(vg_normalize scope)
{
    VG_ASSERT((unsigned)scope < NORMALIZE_COUNT);
    return normalize_names[scope];
}

vg_status vg_normalize_parse(const char *name, vg_normalize *out)
{
    for (int i = 0; i < NORMALIZE_COUNT; i++) {
        if (strcmp(name, normalize_names[i]) != 0) continue;
        *out = (vg_normalize)i;
        return VG_OK;
    }
    return vg_fail(VG_ERR_CONFIG,
                   "'%s' is no normalisation; choose none, segment, recording, subject or corpus", name);
}

/* Copies into a fixed field; ERR_DATA when it does not fit. */
static vg_status take_text(char *field, size_t size, const char *text, const char *name)
{
    if (!text) text = "";
    if (strlen(text) >= size)
        return vg_fail(VG_ERR_DATA, "%s is longer than %zu bytes: %.80s...", name, size - 1, text);
    memcpy(field, text, strlen(text) + 1);
    return VG_OK;
}
#define TAKE(field, text, name) VG_TRY(take_text((field), sizeof(field), (text), (name)))

/* The same for what is said but not compared: a text that is too long ends in dots. */
static void take_remark(char *field, size_t size, const char *text)
{
    int length = snprintf(field, size, "%s", text ? text : "");
    if (length >= (int)size) memcpy(field + size - 4, "...", 4);
}

vg_status vg_preprocessing_from_store(const vg_store_info *info, vg_preprocessing *out)
{
    *out = (vg_preprocessing){.rate = info->rate,
                              .filter_order = info->filter_order,
                              .filter_low = info->filter_low,
                              .filter_high = info->filter_high,
                              .notch = info->notch,
                              .filter_zero_phase = info->filter_zero_phase,
                              .corpus_sd = 1,
                              .synthetic = info->synthetic};
    TAKE(out->units, info->units, "attribute units");
    TAKE(out->filter, info->filter, "attribute filter");
    take_remark(out->resampling, sizeof out->resampling, info->resampling);
    take_remark(out->polarity, sizeof out->polarity, info->polarity);
    take_remark(out->sources, sizeof out->sources, info->source);
    return VG_OK;
}

/* ---- Comparison -------------------------------------------------------------------------------------- */

struct differences {
    char text[1024];
    size_t used;
    const char *wanted_name, *data_name;
};

static void differ(struct differences *all, const char *what, const char *wanted, const char *data)
{
    int length =
        snprintf(all->text + all->used, sizeof all->text - all->used, "%s%s is %s in %s and %s in %s",
                 all->used ? "; " : "", what, wanted, all->wanted_name, data, all->data_name);
    if (length > 0) all->used += (size_t)length;
    if (all->used > sizeof all->text - 1) all->used = sizeof all->text - 1;
}

static void compare_numbers(struct differences *all, const char *what, double wanted, double data,
                            const char *unit)
{
    /* A rate written as 128.0 and read back through JSON is exact; the tolerance is for rates given as
     * quotients by other programs. */
    if (fabs(wanted - data) <= 1e-9 * fmax(fabs(wanted), fabs(data))) return;
    char a[48], b[48];
    snprintf(a, sizeof a, "%.10g%s", wanted, unit);
    snprintf(b, sizeof b, "%.10g%s", data, unit);
    differ(all, what, a, b);
}

static void compare_texts(struct differences *all, const char *what, const char *wanted, const char *data)
{
    char a[VG_PREPROCESSING_TEXT + 2], b[VG_PREPROCESSING_TEXT + 2];
    if (strcmp(wanted, data) == 0) return;
    snprintf(a, sizeof a, "'%s'", wanted);
    snprintf(b, sizeof b, "'%s'", data);
    differ(all, what, a, b);
}

/* A model of one lead has not seen another; one of all leads has seen what there was. */
static void compare_leads(struct differences *all, const vg_preprocessing *wanted,
                          const vg_preprocessing *data)
{
    if (!wanted->lead_known || !data->lead_known || !wanted->lead[0]) return;
    if (data->lead[0])
        compare_texts(all, "the lead", wanted->lead, data->lead);
    else {
        char one[VG_PREPROCESSING_TEXT + 2];
        snprintf(one, sizeof one, "'%s'", wanted->lead);
        differ(all, "the lead", one, "any");
    }
}

/* How much neighbouring windows share, in per cent of one. */
static double overlap(const vg_preprocessing *p)
{
    return p->stride < p->seconds ? 100 * (1 - p->stride / p->seconds) : 0;
}

static void remark_overlap(const vg_preprocessing *wanted, const char *wanted_name,
                           const vg_preprocessing *data, const char *data_name)
{
    if (wanted->stride == 0 || data->stride == 0) return;
    if (fabs(wanted->stride - data->stride) <= 1e-9 * fmax(wanted->stride, data->stride)) return;
    vg_warn(
        "the windows begin every %.10g s (overlap %.3g %%) in %s and every %.10g s (overlap %.3g %%) in %s "
        "(data.stride)",
        wanted->stride, overlap(wanted), wanted_name, data->stride, overlap(data), data_name);
}

vg_status vg_preprocessing_check(const vg_preprocessing *wanted, const char *wanted_name,
                                 const vg_preprocessing *data, const char *data_name)
{
    struct differences all = {.wanted_name = wanted_name, .data_name = data_name};
    compare_numbers(&all, "the rate", wanted->rate, data->rate, " Hz");
    compare_texts(&all, "the unit", wanted->units, data->units);
    compare_texts(&all, "the filter", wanted->filter, data->filter);
    compare_numbers(&all, "the filter's order", wanted->filter_order, data->filter_order, "");
    compare_numbers(&all, "the filter's lower edge", wanted->filter_low, data->filter_low, " Hz");
    compare_numbers(&all, "the filter's upper edge", wanted->filter_high, data->filter_high, " Hz");
    if (wanted->filter_zero_phase != data->filter_zero_phase)
        differ(&all, "the filter's phase", wanted->filter_zero_phase ? "zero" : "causal",
               data->filter_zero_phase ? "zero" : "causal");
    compare_numbers(&all, "the mains notch", wanted->notch, data->notch, " Hz");
    compare_numbers(&all, "the segment", wanted->seconds, data->seconds, " s");
    if (wanted->normalize != data->normalize)
        differ(&all, "the normalisation", vg_normalize_name(wanted->normalize),
               vg_normalize_name(data->normalize));
    compare_leads(&all, wanted, data);
    if (!all.used) {
        remark_overlap(wanted, wanted_name, data, data_name);
        return VG_OK;
    }
    return vg_fail(VG_ERR_DATA,
                   "the preprocessing differs: %s. Rate, unit and filter are chosen when the data are "
                   "imported, segment, lead and normalisation in the experiment (data.seconds, data.lead, "
                   "data.normalize)",
                   all.text);
}

/* ---- preprocessing.json ------------------------------------------------------------------------------ */

vg_status vg_preprocessing_write(const vg_preprocessing *preprocessing, const char *path)
{
    const vg_preprocessing *p = preprocessing;
    vg_json_writer json = vg_json_writer_make(true);
    vg_json_begin_object(&json, NULL);
    vg_json_put_string(&json, "format", "vagus-preprocessing");
    vg_json_put_int(&json, "version", 1);
    vg_json_put_double(&json, "rate", p->rate);
    vg_json_put_string(&json, "units", p->units);
    vg_json_put_string(&json, "filter", p->filter);
    vg_json_put_int(&json, "filter_order", p->filter_order);
    vg_json_put_double(&json, "filter_low", p->filter_low);
    vg_json_put_double(&json, "filter_high", p->filter_high);
    vg_json_put_bool(&json, "filter_zero_phase", p->filter_zero_phase);
    vg_json_put_double(&json, "notch", p->notch);
    vg_json_put_double(&json, "seconds", p->seconds);
    if (p->stride > 0) vg_json_put_double(&json, "stride", p->stride);
    if (p->lead_known) vg_json_put_string(&json, "lead", p->lead);
    vg_json_put_string(&json, "normalize", vg_normalize_name(p->normalize));
    vg_json_put_double(&json, "corpus_mean", p->corpus_mean);
    vg_json_put_double(&json, "corpus_sd", p->corpus_sd);
    vg_json_put_string(&json, "resampling", p->resampling);
    vg_json_put_string(&json, "polarity", p->polarity);
    vg_json_put_string(&json, "sources", p->sources);
    vg_json_put_bool(&json, "synthetic", p->synthetic);
    vg_json_end(&json);
    return vg_json_write(&json, path);
}

/* A number that is finite and not below `low`. */
static vg_status get_number(const vg_json *json, const char *path, const char *key, double low, double *out)
{
    VG_TRY(vg_json_get_double(json, NULL, key, out));
    if (isfinite(*out) && *out >= low) return VG_OK;
    return vg_fail(VG_ERR_FORMAT, "%s: %s is %g; it must be a number of at least %g", path, key, *out, low);
}

static vg_status get_text(const vg_json *json, const char *path, const char *key, char *field, size_t size)
{
    const char *text;
    VG_TRY(vg_json_get_string(json, NULL, key, &text));
    if (take_text(field, size, text, key) == VG_OK) return VG_OK;
    return vg_context(VG_ERR_FORMAT, "%s", path);
}

/* Keys that the first files of this version did not have. */
static vg_status take_later_keys(const vg_json *json, const char *path, vg_preprocessing *p)
{
    const vg_json_value *root = vg_json_root(json);
    p->lead_known = vg_json_find(root, "lead") != NULL;
    if (p->lead_known) VG_TRY(get_text(json, path, "lead", p->lead, sizeof p->lead));
    if (!vg_json_find(root, "stride")) return VG_OK;
    VG_TRY(get_number(json, path, "stride", 0, &p->stride));
    if (p->stride > 0) return VG_OK;
    return vg_fail(VG_ERR_FORMAT, "%s: stride is 0; windows must begin at different places", path);
}

static vg_status take_document(const vg_json *json, const char *path, vg_preprocessing *p)
{
    const char *format, *normalize;
    int64_t version, order;
    VG_TRY(vg_json_get_string(json, NULL, "format", &format));
    VG_TRY(vg_json_get_int(json, NULL, "version", &version));
    if (strcmp(format, "vagus-preprocessing") != 0)
        return vg_fail(VG_ERR_FORMAT, "%s: format is '%s', not 'vagus-preprocessing'", path, format);
    if (version != 1)
        return vg_fail(VG_ERR_UNSUPPORTED, "%s: version %lld, and this program reads version 1", path,
                       (long long)version);
    VG_TRY(get_number(json, path, "rate", 0, &p->rate));
    VG_TRY(get_text(json, path, "units", p->units, sizeof p->units));
    VG_TRY(get_text(json, path, "filter", p->filter, sizeof p->filter));
    VG_TRY(vg_json_get_int(json, NULL, "filter_order", &order));
    VG_TRY(get_number(json, path, "filter_low", 0, &p->filter_low));
    VG_TRY(get_number(json, path, "filter_high", 0, &p->filter_high));
    VG_TRY(vg_json_get_bool(json, NULL, "filter_zero_phase", &p->filter_zero_phase));
    VG_TRY(get_number(json, path, "notch", 0, &p->notch));
    VG_TRY(get_number(json, path, "seconds", 0, &p->seconds));
    VG_TRY(take_later_keys(json, path, p));
    VG_TRY(vg_json_get_string(json, NULL, "normalize", &normalize));
    if (vg_normalize_parse(normalize, &p->normalize) != VG_OK) return vg_context(VG_ERR_FORMAT, "%s", path);
    VG_TRY(get_number(json, path, "corpus_mean", -HUGE_VAL, &p->corpus_mean));
    VG_TRY(get_number(json, path, "corpus_sd", 0, &p->corpus_sd));
    VG_TRY(get_text(json, path, "resampling", p->resampling, sizeof p->resampling));
    VG_TRY(get_text(json, path, "polarity", p->polarity, sizeof p->polarity));
    VG_TRY(get_text(json, path, "sources", p->sources, sizeof p->sources));
    VG_TRY(vg_json_get_bool(json, NULL, "synthetic", &p->synthetic));
    if (order < 0 || order > 1000 || !(p->rate > 0) || !(p->seconds > 0))
        return vg_fail(VG_ERR_FORMAT, "%s: rate %g, seconds %g and filter_order %lld cannot be", path,
                       p->rate, p->seconds, (long long)order);
    p->filter_order = (int)order;
    return VG_OK;
}

vg_status vg_preprocessing_read(const char *path, vg_preprocessing *out)
{
    vg_json *json;
    vg_preprocessing read = {0};
    VG_TRY(vg_json_read(path, &json));
    vg_status status = take_document(json, path, &read);
    vg_json_destroy(json);
    if (status == VG_OK) *out = read;
    return status;
}
