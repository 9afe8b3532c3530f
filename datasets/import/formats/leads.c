#include "datasets/import/formats/leads.h"

#include <stdio.h>
#include <string.h>

bool vg__leads_take(const vg__pipeline *pipeline, vg__leads *leads, const char *name, int index)
{
    const size_t used = strlen(leads->names);
    snprintf(leads->names + used, sizeof leads->names - used, "%s%s", leads->count ? ", " : "",
             *name ? name : "one without a name");
    leads->count++;
    const bool take = vg__pipeline_wants_lead(pipeline, name, index);
    leads->taken += take;
    return take;
}

vg_status vg__leads_check(vg__pipeline *pipeline, const vg__leads *leads, const char *file,
                          const char *subject, double seconds)
{
    if (leads->taken > 0 || leads->count == 0) return VG_OK;
    return vg__pipeline_exclude(pipeline, VG_EXCLUSION_LEADS, file, subject, seconds,
                                "no lead %.200s; it has %s", vg__pipeline_options(pipeline)->leads,
                                leads->names);
}
