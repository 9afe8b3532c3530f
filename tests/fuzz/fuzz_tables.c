/* Labels and subjects, the option `rating`, and patterns of file names: "option\npattern\n---\nCSV". */
#include "datasets/import/pipeline/table.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    vg__csv csv;
    vg__ratings ratings;
    vg__fields fields = {.subject = "1"};
    char *option = fuzz_take_text(&data, &size), *pattern = strchr(option, '\n');
    if (pattern) {
        *pattern++ = 0;
        pattern[strcspn(pattern, "\n")] = 0;
        if (fuzz_good(vg__pattern_check(pattern))) (void)vg__pattern_match(pattern, "S07_2-a.b", &fields);
    }
    const char *path = fuzz_file(0, data, size);
    for (int subjects = 0; subjects < 2; subjects++)
        if (fuzz_good(subjects ? vg__csv_read(path, &csv) : vg__csv_read_labels(path, &csv))) {
            char warning[200];
            for (int64_t i = 0; i < csv.rows; i++) {
                int64_t row = vg__csv_match(&csv, csv.cell[i * csv.columns + csv.record], "a/b.c");
                FUZZ_CHECK(row >= -1 && row < csv.rows);
            }
            (void)fuzz_good(vg__csv_check(&csv, "--subjects", "", warning, sizeof warning));
            vg__csv_free(&csv);
        }
    for (int with_file = 0; with_file < 2; with_file++)
        if (fuzz_good(vg__ratings_read(option, with_file ? path : "", "", &ratings))) {
            double *values = malloc(((size_t)ratings.count + 1) * sizeof *values);
            FUZZ_CHECK(values);
            const vg__csv *labels = &ratings.labels;
            int64_t row = labels->path ? vg__csv_match(labels, "a1", "") : -1;
            fields.labels = row >= 0 ? labels->cell + row * labels->columns : NULL;
            (void)fuzz_good(vg__ratings_look_up(&ratings, &fields, values));
            for (int i = 0; i < ratings.count; i++) free(vg__rating_describe(&ratings.rating[i]));
            free(values);
            vg__ratings_free(&ratings);
        }
    free(option);
    return 0;
}
