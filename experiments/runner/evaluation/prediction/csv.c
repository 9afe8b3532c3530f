/* Answers as a table: to a file that appears whole, or to standard output. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/file.h"
#include "core/text.h"
#include "experiments/runner/evaluation/prediction/answer.h"

/* Class 1 is answered above it, as in an evaluation. */
static const double THRESHOLD = 0.5;

/* Rows wait in `text` until there are so many bytes of them: a table may be larger than one wants in memory.
 */
enum { ENOUGH = 1 << 16 };

typedef struct table {
    const vg_answers *answers;
    const char *const *names;
    vg_file_writer *file; /* NULL: standard output */
    vg_text text;
} table;

static vg_status flush(table *t)
{
    char *bytes;
    size_t length = t->text.length;
    vg_status status = VG_OK;
    VG_TRY(vg_text_take(&t->text, &bytes));
    if (t->file)
        status = vg_file_writer_write(t->file, bytes, length);
    else if (fwrite(bytes, 1, length, stdout) != length || fflush(stdout))
        status = vg_fail(VG_ERR_IO, "standard output could not be written; --out FILE writes a file");
    free(bytes);
    return status;
}

static void add_names(table *t, const vg_corpus_recording *recording)
{
    const char *fields[] = {t->names[recording->store],
                            recording->source,
                            recording->lead,
                            t->answers->corpus->subjects[recording->subject],
                            recording->session,
                            recording->trial_name,
                            recording->stimulus};
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        vg_text_add_field(&t->text, fields[i]);
        vg_text_append(&t->text, ",", 1);
    }
}

/* The last columns; the label is empty where nobody knows it. */
static vg_status end_row(table *t, float label, double probability)
{
    char number[VG_DOUBLE_TEXT];
    if (t->answers->labelled && !isnan(label)) vg_text_add(&t->text, "%.0f", (double)label);
    vg_text_add(&t->text, ",%s,%d\n", vg_double_text(probability, number), probability > THRESHOLD);
    return t->text.length < ENOUGH ? VG_OK : flush(t);
}

static vg_status add_segments(table *t, const vg_corpus_recording *recording)
{
    const vg_corpus *corpus = t->answers->corpus;
    for (int64_t i = 0; i < recording->segment_count; i++) {
        const int64_t number = recording->first_segment + i;
        const vg_segment *segment = &corpus->segments[number];
        add_names(t, recording);
        vg_text_add(&t->text, "%.3f,", (double)(segment->start - recording->offset) / corpus->rate);
        VG_TRY(end_row(t, segment->label, t->answers->probability[number]));
    }
    return VG_OK;
}

static vg_status add_recording(table *t, const vg_corpus_recording *recording)
{
    double sum = 0;
    if (!recording->segment_count) return VG_OK;
    for (int64_t i = 0; i < recording->segment_count; i++)
        sum += t->answers->probability[recording->first_segment + i];
    add_names(t, recording);
    vg_text_add(&t->text, "%" PRId64 ",", recording->segment_count);
    return end_row(t, t->answers->corpus->segments[recording->first_segment].label,
                   sum / (double)recording->segment_count);
}

static vg_status add_all(table *t, vg_answer_rows rows)
{
    const vg_corpus *corpus = t->answers->corpus;
    const bool single = rows == VG_ROWS_SEGMENT;
    vg_text_add(&t->text, "store,recording,lead,subject,session,trial,stimulus,%s,label,probability,answer\n",
                single ? "start_s" : "segments");
    for (int64_t i = 0; i < corpus->recording_count; i++) {
        const vg_corpus_recording *recording = &corpus->recordings[i];
        VG_TRY(single ? add_segments(t, recording) : add_recording(t, recording));
    }
    return flush(t);
}

vg_status vg_answers_write(const vg_answers *answers, vg_answer_rows rows, const char *const *names,
                           const char *path)
{
    table t = {.answers = answers, .names = names};
    if (path) VG_TRY(vg_file_writer_open(path, &t.file));
    vg_status status = add_all(&t, rows);
    vg_text_free(&t.text);
    if (!path) return status;
    if (status == VG_OK) return vg_file_writer_commit(t.file);
    vg_file_writer_abandon(t.file);
    return status;
}
