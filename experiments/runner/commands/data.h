/* The parts of 'vagus data', each in a file of its own. */
#ifndef VAGUS_EXPERIMENTS_RUNNER_COMMANDS_DATA_H
#define VAGUS_EXPERIMENTS_RUNNER_COMMANDS_DATA_H

#include "datasets/import/importer.h"
#include "experiments/runner/commands/command.h"

#define VG_DATA_PART(name, summary) vg_status vg_data_##name(int argc, char **argv);
#include "experiments/runner/commands/data.def"
#undef VG_DATA_PART

/* Whether an option of the importer, with dashes in its name or without, can stand without a value. */
bool vg_data_is_flag(const char *wanted);

/* The warnings of an import to stderr and, when it is `done`, one line about the store `out`. */
void vg_data_print_report(const vg_import_report *report, const char *out, bool done);

#endif
