#include "experiments/runner/search/method.h"

#include <string.h>

const vg_search_method *vg_search_method_find(const char *name)
{
    static const vg_search_method *const methods[] = {
#define METHOD(name) &vg__search_##name,
        VG_SEARCH_METHOD_MAP(METHOD)
#undef METHOD
    };
    for (size_t i = 0; i < sizeof methods / sizeof *methods; i++)
        if (strcmp(methods[i]->name, name) == 0) return methods[i];
    return NULL;
}

const char *vg_search_method_names(void)
{
#define LISTED(name) ", " #name
    return &VG_SEARCH_METHOD_MAP(LISTED)[2];
#undef LISTED
}
