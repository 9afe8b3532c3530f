/* The option `map`: "key=value,key=value". Which keys there are is the importer's. Internal to import/. */
#ifndef VAGUS_DATASETS_IMPORT_FORMATS_MAPPING_H
#define VAGUS_DATASETS_IMPORT_FORMATS_MAPPING_H

#include "core/status.h"

enum { VG__MAP_VALUE = 256, VG__MAP_WORDS = 64 };

typedef struct vg__map_key {
    const char *name;
    char *value; /* [VG__MAP_VALUE]; "" when the option does not have it */
} vg__map_key;

/* Fills the values. VG_ERR_CONFIG names what is not a key and lists those that `format` ("csv") has. */
VG_NODISCARD vg_status vg__map_read(const char *format, const char *text, const vg__map_key *keys, int count);

/* A value "A|B|C" cut into words; at most VG__MAP_WORDS. */
typedef struct vg__map_words {
    char word[VG__MAP_WORDS][VG__MAP_VALUE];
    int count;
} vg__map_words;
VG_NODISCARD vg_status vg__map_split(const char *key, const char *value, vg__map_words *words);

/* What the dimensions of an array are, of a value "samples|leads": axis[rank], each one of these and each of
 * these once, samples always. Errors name the array. */
enum { VG__AXIS_SAMPLES, VG__AXIS_LEADS, VG__AXIS_RECORDINGS, VG__AXES };
VG_NODISCARD vg_status vg__map_axes(const char *array, const char *value, int rank, int axis[VG__AXES]);

/* What neither a file nor the option map tells, collected so that one refusal names all of it. */
typedef struct vg__missing {
    char what[512], how[256];
    int count;
} vg__missing;
/* `what` ends "nothing tells ...", `how` is what the map can say. */
void vg__missing_add(vg__missing *missing, const char *what, const char *how);
/* VG_ERR_FORMAT with all that was added; VG_OK when nothing was. */
VG_NODISCARD vg_status vg__missing_check(const vg__missing *missing, const char *path);

/* The value as a number above 0; `fallback` when it is "". */
VG_NODISCARD vg_status vg__map_positive(const char *key, const char *value, double fallback, double *number);

#endif
