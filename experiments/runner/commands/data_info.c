/* vagus data info */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "datasets/summary.h"
#include "experiments/runner/commands/data.h"
#include "experiments/runner/commands/words.h"

enum { SHOWN = 20 };

static void print_help(void)
{
    printf(
        "vagus data info STORE... [--all]\n\nSubjects, hours, rates, preprocessing, ratings, and what was "
        "left out: the first %d files with their\nreasons, or --all; then the preprocessing as a paragraph "
        "for a paper.\n",
        SHOWN);
}

static vg_status show(const char *path, bool all, bool first)
{
    vg_store *store;
    char *text = NULL, *methods = NULL;
    VG_TRY(vg_store_open(path, &store));
    vg_status status = vg_store_summarise(store, all ? 0 : SHOWN, &text);
    if (status == VG_OK) status = vg_store_methods(store, &methods);
    vg_store_close(store);
    if (status == VG_OK) printf("%s%s\nfor a section on methods\n\n%s", first ? "" : "\n", text, methods);
    free(text);
    free(methods);
    return status;
}

vg_status vg_data_info(int argc, char **argv)
{
    vg_words list = {.count = argc, .words = argv};
    bool all = false;
    int stores = 0;
    while (vg_words_next(&list)) {
        if (!strcmp(list.name, "help")) {
            print_help();
            return VG_OK;
        } else if (!strcmp(list.name, "all")) {
            all = true;
        } else if (list.name[0]) {
            return vg_fail(VG_ERR_CONFIG,
                           "data info: there is no option --%s; 'vagus data info --help' "
                           "shows how it is called",
                           list.name);
        } else {
            argv[stores++] = (char *)list.value; /* never ahead of what was read */
        }
    }
    if (!stores) return vg_fail(VG_ERR_CONFIG, "data info: which store?");
    for (int i = 0; i < stores; i++) VG_TRY(show(argv[i], all, i == 0));
    return VG_OK;
}
