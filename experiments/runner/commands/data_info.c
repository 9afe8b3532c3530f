/* vagus data info */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "datasets/summary.h"
#include "experiments/runner/commands/data.h"

vg_status vg_data_info(int argc, char **argv)
{
    if (argc == 0 || !strcmp(argv[0], "--help")) {
        printf("vagus data info STORE...\n\nSubjects, hours, rates, preprocessing, ratings and what was left "
               "out; the preprocessing as a paragraph for a paper.\n");
        return argc ? VG_OK : vg_fail(VG_ERR_CONFIG, "data info: which store?");
    }
    for (int i = 0; i < argc; i++) {
        vg_store *store;
        char *text = NULL, *methods = NULL;
        VG_TRY(vg_store_open(argv[i], &store));
        vg_status status = vg_store_summarise(store, &text);
        if (status == VG_OK) status = vg_store_methods(store, &methods);
        vg_store_close(store);
        if (status == VG_OK) printf("%s%s\nfor a section on methods\n\n%s", i ? "\n" : "", text, methods);
        free(text);
        free(methods);
        VG_TRY(status);
    }
    return VG_OK;
}
