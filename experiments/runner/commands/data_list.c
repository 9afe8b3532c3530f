/* vagus data list */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/json.h"
#include "datasets/catalogue/catalogue.h"
#include "experiments/runner/commands/data.h"
#include "experiments/runner/commands/words.h"

static const char *how_to_get(const vg_dataset *set)
{
    return set->kind == VG_DATASET_RESTRICTED ? "ask" : set->base ? "fetch" : "by hand";
}

/* "24", "437?" for what was not verified, "-" for what is not known. */
static const char *number(const vg_dataset *set, const char *fact, double value, char text[32])
{
    if (value > 0)
        snprintf(text, 32, "%.*f%s", value < 10 ? 1 : 0, value, vg_dataset_doubts(set, fact) ? "?" : "");
    else
        snprintf(text, 32, "-");
    return text;
}

static const char *mark(const vg_dataset *set, const char *fact)
{
    return vg_dataset_doubts(set, fact) ? " (not verified)" : "";
}

static void print_table(void)
{
    const vg_dataset *set;
    char hours[32], people[32], leads[32];
    printf("%-10s %6s %7s %5s  %-8s %-68s %s\n", "name", "hours", "people", "leads", "get", "title",
           "licence");
    for (int i = 0; (set = vg_dataset_at(i)); i++) {
        snprintf(leads, sizeof leads, "%s%s", set->leads, vg_dataset_doubts(set, "leads") ? "?" : "");
        printf("%-10s %6s %7s %5s  %-8s %-68s %s%s\n", set->name, number(set, "hours", set->hours, hours),
               number(set, "subjects", set->subjects, people), leads, how_to_get(set), set->title,
               set->licence, vg_dataset_doubts(set, "licence") ? "?" : "");
    }
    printf("\n-: not known; ?: not verified. 'vagus data list NAME' tells everything about one: whom to "
           "cite, what "
           "its labels are,\nhow to get it. 'vagus data fetch NAME' downloads and imports those that anybody "
           "may "
           "fetch.\n");
}

static void print_one(const vg_dataset *set)
{
    char text[32];
    printf("%s: %s\n\n", set->name, set->title);
    printf("  hours      %s\n", number(set, "hours", set->hours, text));
    printf("  people     %s\n", number(set, "subjects", set->subjects, text));
    printf("  leads      %s%s\n", set->leads, mark(set, "leads"));
    printf("  rate       %s Hz%s\n", set->rate, mark(set, "rate"));
    printf("  labels     %s%s\n", set->labels, mark(set, "labels"));
    printf("  licence    %s%s\n", set->licence, mark(set, "licence"));
    printf("  cite       %s%s\n", set->citation, mark(set, "citation"));
    printf("  page       %s\n", set->page);
    if (set->importer)
        printf("  imported   as format %s\n", set->importer);
    else
        printf("  imported   not yet: no format of this program reads it as it is\n");
    for (int i = 0; i < VG_DATASET_OPTIONS && set->options[i].name; i++)
        printf("             --%s '%s'\n", set->options[i].name, set->options[i].value);
    if (set->subjects_file)
        printf("             --subjects %s\n", set->subjects_file);
    else if (set->subjects_text)
        printf("             --subjects, a table made from what is known about it\n");
    if (set->base) {
        printf("  files      %s%s: %s\n", set->base, set->below, set->wanted);
        printf("             %s MB, checked against its %s\n", number(set, "size", set->megabytes, text),
               set->sums);
        printf("  to get it  vagus data fetch %s\n", set->name);
        if (set->part) printf("             a part: vagus data fetch %s --only '%s'\n", set->name, set->part);
    } else {
        printf("  to get it  %s%s\n", set->how, mark(set, "how"));
        printf("  files      %s%s\n", set->files, mark(set, "files"));
        if (set->importer) printf("  then       vagus data fetch %s --from FOLDER\n", set->name);
    }
}

static void put_number(vg_json_writer *json, const char *key, double value)
{
    if (value > 0)
        vg_json_put_double(json, key, value);
    else
        vg_json_put_null(json, key);
}

static void put_words(vg_json_writer *json, const char *key, const char *words)
{
    vg_json_begin_array(json, key);
    for (const char *p = words ? words : ""; *p; p += strspn(p, " ")) {
        char word[64];
        size_t length = strcspn(p, " ");
        snprintf(word, sizeof word, "%.*s", (int)length, p);
        vg_json_put_string(json, NULL, word);
        p += length;
    }
    vg_json_end(json);
}

static void put_one(vg_json_writer *json, const vg_dataset *set)
{
    vg_json_begin_object(json, NULL);
    vg_json_put_string(json, "name", set->name);
    vg_json_put_string(json, "title", set->title);
    vg_json_put_string(json, "kind", set->kind == VG_DATASET_OPEN ? "open" : "restricted");
    vg_json_put_string(json, "get", how_to_get(set));
    put_number(json, "hours", set->hours);
    if (set->subjects)
        vg_json_put_int(json, "subjects", set->subjects);
    else
        vg_json_put_null(json, "subjects");
    vg_json_put_string(json, "leads", set->leads);
    vg_json_put_string(json, "rate", set->rate);
    vg_json_put_string(json, "labels", set->labels);
    vg_json_put_string(json, "licence", set->licence);
    vg_json_put_string(json, "citation", set->citation);
    vg_json_put_string(json, "page", set->page);
    put_words(json, "unverified", set->unverified);
    vg_json_put_string(json, "importer", set->importer);
    vg_json_begin_object(json, "options");
    for (int i = 0; i < VG_DATASET_OPTIONS && set->options[i].name; i++)
        vg_json_put_string(json, set->options[i].name, set->options[i].value);
    vg_json_end(json);
    vg_json_put_string(json, "base", set->base);
    vg_json_put_string(json, "below", set->below);
    vg_json_put_string(json, "sums", set->sums);
    vg_json_put_string(json, "wanted", set->wanted);
    vg_json_put_string(json, "part", set->part);
    put_number(json, "megabytes", set->megabytes);
    vg_json_put_string(json, "how", set->how);
    vg_json_put_string(json, "files", set->files);
    vg_json_end(json);
}

vg_status vg_data_list(int argc, char **argv)
{
    vg_words list = {.count = argc, .words = argv};
    const vg_dataset *one = NULL, *set;
    bool as_json = false;
    while (vg_words_next(&list)) {
        if (!strcmp(list.name, "help")) {
            printf(
                "vagus data list [NAME] [--json]\n\nThe catalogue of data sets, or everything about one of "
                "them.\n");
            return VG_OK;
        } else if (!strcmp(list.name, "json") && !list.value) {
            as_json = true;
        } else if (!list.name[0] && !one) {
            VG_TRY(vg_dataset_find(list.value, &one));
        } else {
            return vg_fail(VG_ERR_CONFIG, "data list takes a name and --json; '%s%s' is neither",
                           list.name[0] ? "--" : "", list.name[0] ? list.name : list.value);
        }
    }
    if (!as_json && one) print_one(one);
    if (!as_json && !one) print_table();
    if (!as_json) return VG_OK;
    vg_json_writer json = vg_json_writer_make(true);
    if (!one) vg_json_begin_array(&json, NULL);
    if (one) put_one(&json, one);
    for (int i = 0; !one && (set = vg_dataset_at(i)); i++) put_one(&json, set);
    if (!one) vg_json_end(&json);
    return vg_json_print(&json);
}
