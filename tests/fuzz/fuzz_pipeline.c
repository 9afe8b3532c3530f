#include "tests/fuzz/fuzz_pipeline.h"

#include "tests/fuzz/fuzz.h"

struct vg__pipeline {
    const vg__importer *importer;
    vg_import_options options;
    volatile double sum; /* so that the samples are read */
    volatile size_t length;
};

const vg_import_options *vg__pipeline_options(const vg__pipeline *pipeline)
{
    return &pipeline->options;
}

static void read_text(vg__pipeline *pipeline, const char *text)
{
    if (text) pipeline->length += strlen(text);
}

vg_status vg__pipeline_add(vg__pipeline *pipeline, const vg__raw *raw)
{
    FUZZ_CHECK(raw->file && raw->record && raw->count >= 0 && raw->samples);
    read_text(pipeline, raw->file);
    read_text(pipeline, raw->record);
    read_text(pipeline, raw->subject);
    read_text(pipeline, raw->session);
    read_text(pipeline, raw->trial);
    read_text(pipeline, raw->stimulus);
    read_text(pipeline, raw->lead);
    read_text(pipeline, raw->units);
    double sum = raw->rate;
    for (int64_t i = 0; i < raw->count; i++) sum += raw->samples[i];
    for (int i = 0; raw->ratings && i < pipeline->importer->rating_count; i++) sum += raw->ratings[i];
    pipeline->sum = sum;
    return VG_OK;
}

vg_status vg__pipeline_exclude(vg__pipeline *pipeline, vg_exclusion_kind kind, const char *file,
                               const char *subject, double seconds, const char *format, ...)
{
    FUZZ_CHECK(kind < VG_EXCLUSION_KIND_COUNT && *format);
    read_text(pipeline, file);
    read_text(pipeline, subject);
    pipeline->sum = seconds;
    return VG_OK;
}

vg_status vg__pipeline_reject(vg__pipeline *pipeline, vg_status status, const char *file)
{
    FUZZ_CHECK(status != VG_OK && *vg_cause());
    read_text(pipeline, file);
    /* Memory that a damaged file asks for in vain: libFuzzer's limit tells of it. */
    return status == VG_ERR_MEMORY ? status : VG_OK;
}

void vg__pipeline_warn(vg__pipeline *pipeline, const char *format, ...)
{
    (void)pipeline;
    FUZZ_CHECK(*format);
}

vg_status vg__pipeline_note(vg__pipeline *pipeline, const char *key, const char *text)
{
    FUZZ_CHECK(*key);
    read_text(pipeline, text);
    return VG_OK;
}

/* As "all" says. */
bool vg__pipeline_wants_lead(const vg__pipeline *pipeline, const char *name, int index)
{
    (void)pipeline;
    FUZZ_CHECK(name && index >= 0);
    return true;
}

/* importer.c, which has the options, asks for it; nothing here calls that. */
vg_status vg__pipeline_run(const vg__importer *importer, const char *const *sources, int count,
                           const vg_import_options *options, const char *out, bool overwrite,
                           vg_import_report *report)
{
    (void)importer, (void)sources, (void)count, (void)options, (void)out, (void)overwrite, (void)report;
    abort();
}

void fuzz_import(const vg__importer *importer, const char *source, const char *map)
{
    vg__pipeline pipeline = {.importer = importer, .options = vg_import_default_options()};
    pipeline.options.map = map;
    pipeline.options.units = "mV"; /* so that seeds need not tell it */
    (void)fuzz_good(importer->import(&pipeline, &source, 1));
}

void fuzz_import_mapped(const vg__importer *importer, const uint8_t *data, size_t size)
{
    const uint8_t *end = memchr(data, '\n', size);
    if (!end) return;
    const size_t length = (size_t)(end - data);
    char *map = strndup((const char *)data, length);
    FUZZ_CHECK(map);
    fuzz_import(importer, fuzz_file(0, end + 1, size - length - 1), map);
    free(map);
}
