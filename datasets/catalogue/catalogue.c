#include "datasets/catalogue/catalogue.h"

#include <string.h>

#include "core/text.h"

static const vg_dataset sets[] = {
#define VG_DATASET(...) {__VA_ARGS__},
#include "datasets/catalogue/catalogue.def"
#undef VG_DATASET
};
enum { SETS = sizeof sets / sizeof *sets };

const vg_dataset *vg_dataset_at(int index)
{
    return index >= 0 && index < SETS ? &sets[index] : NULL;
}

vg_status vg_dataset_find(const char *name, const vg_dataset **out)
{
    const char *names[SETS];
    for (int i = 0; i < SETS; i++) {
        names[i] = sets[i].name;
        if (strcmp(name, names[i])) continue;
        *out = &sets[i];
        return VG_OK;
    }
    size_t near = vg_text_nearest(name, names, SETS);
    return vg_fail(VG_ERR_CONFIG, "the catalogue has no data set '%s'%s%s%s; 'vagus data list' shows them",
                   name, near < SETS ? "; is '" : "", near < SETS ? names[near] : "",
                   near < SETS ? "' meant?" : "");
}

bool vg_dataset_doubts(const vg_dataset *dataset, const char *fact)
{
    size_t length = strlen(fact);
    for (const char *p = dataset->unverified ? dataset->unverified : ""; *p; p += strspn(p, " ")) {
        size_t word = strcspn(p, " ");
        if (word == length && !strncmp(p, fact, length)) return true;
        p += word;
    }
    return false;
}
