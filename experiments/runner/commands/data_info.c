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
               "out.\n");
        return argc ? VG_OK : vg_fail(VG_ERR_CONFIG, "data info: which store?");
    }
    for (int i = 0; i < argc; i++) {
        vg_store *store;
        char *text;
        VG_TRY(vg_store_open(argv[i], &store));
        vg_status status = vg_store_summarise(store, &text);
        vg_store_close(store);
        VG_TRY(status);
        printf("%s%s", i ? "\n" : "", text);
        free(text);
    }
    return VG_OK;
}
