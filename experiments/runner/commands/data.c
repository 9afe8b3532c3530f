/* vagus data PART ...: only finds the part. */
#include "experiments/runner/commands/data.h"

#include <stdio.h>
#include <string.h>

vg_status vg_command_data(int argc, char **argv)
{
    static const struct {
        const char *name, *summary;
        vg_command_function run;
    } parts[] = {
#define VG_DATA_PART(name, summary) {#name, summary, vg_data_##name},
#include "experiments/runner/commands/data.def"
#undef VG_DATA_PART
    };
    enum { PARTS = sizeof parts / sizeof *parts };
    const char *name = argc ? argv[0] : "";
    for (int i = 0; i < PARTS; i++)
        if (!strcmp(name, parts[i].name)) return parts[i].run(argc - 1, argv + 1);
    bool help = !strcmp(name, "--help");
    for (int i = 0; i < PARTS; i++)
        fprintf(help ? stdout : stderr, "  vagus data %-10s %s\n", parts[i].name, parts[i].summary);
    return help ? VG_OK : vg_fail(VG_ERR_CONFIG, "data: there is no part '%s'", name);
}
