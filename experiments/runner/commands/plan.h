/* 'vagus pretrain --plan': a command of its own behind an option of another. */
#ifndef VAGUS_EXPERIMENTS_RUNNER_COMMANDS_PLAN_H
#define VAGUS_EXPERIMENTS_RUNNER_COMMANDS_PLAN_H

#include <stdbool.h>

#include "core/status.h"

/* Is --plan among the words after the command? Then vg_plan_command() takes all of them. */
bool vg_plan_asked(int argc, char **argv);
VG_NODISCARD vg_status vg_plan_command(int argc, char **argv);

#endif
