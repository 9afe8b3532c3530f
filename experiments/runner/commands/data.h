/* The parts of 'vagus data', each in a file of its own. */
#ifndef VAGUS_EXPERIMENTS_RUNNER_COMMANDS_DATA_H
#define VAGUS_EXPERIMENTS_RUNNER_COMMANDS_DATA_H

#include "experiments/runner/commands/command.h"

#define VG_DATA_PART(name, summary) vg_status vg_data_##name(int argc, char **argv);
#include "experiments/runner/commands/data.def"
#undef VG_DATA_PART

#endif
