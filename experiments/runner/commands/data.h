/* The parts of 'vagus data', each in a file of its own. */
#ifndef VAGUS_EXPERIMENTS_RUNNER_COMMANDS_DATA_H
#define VAGUS_EXPERIMENTS_RUNNER_COMMANDS_DATA_H

#include "datasets/import/importer.h"
#include "experiments/runner/commands/command.h"
#include "experiments/runner/commands/words.h"

#define VG_DATA_PART(name, summary) vg_status vg_data_##name(int argc, char **argv);
#include "experiments/runner/commands/data.def"
#undef VG_DATA_PART

/* The value of the importer's option that was just read: flags stand alone ("--flip"), with "true" or "false"
 * behind them or behind '=', and as "--no-flip". Afterwards list->name and list->value are what
 * vg_import_set() takes. */
VG_NODISCARD vg_status vg_data_take_option(vg_words *list);

/* vg_import(), stopped by SIGINT and SIGTERM (ERR_PREEMPTED). Its warnings go to stderr and, when it
 * succeeds, a line about the store to stdout. */
VG_NODISCARD vg_status vg_data_run_import(const char *format, const char *const *sources, int count,
                                          const vg_import_options *options, const char *out, bool overwrite);

#endif
