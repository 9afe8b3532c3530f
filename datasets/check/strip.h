/* The drawings of a check's page. Internal to check_*.c. */
#ifndef VAGUS_DATASETS_CHECK_STRIP_H
#define VAGUS_DATASETS_CHECK_STRIP_H

#include "datasets/check/check.h"

/* Text with &, <, > and quotes as entities, without control characters. */
void vg__check_escape(const char *text, vg_text *out);

/* 10 s from the middle of the recording, with its beats. */
VG_NODISCARD vg_status vg__check_strip(const vg_check *check, const vg_check_line *line, vg_text *out);

/* A row for each change of the recorder's filter: where its recordings lie above 50 Hz. */
void vg__check_levels(const vg_check *check, vg_text *out);

#endif
