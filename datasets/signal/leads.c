#include "datasets/signal/leads.h"

#include <stddef.h>
#include <string.h>
#include <strings.h>

bool vg_lead_points_down(const char *name)
{
    static const char *const before[] = {"ECG ", "EKG ", "lead "};
    static const char *const leads[] = {"V1", "V3R", "V4R", "aVR"};
    for (size_t i = 0; i < sizeof before / sizeof *before; i++)
        if (strncasecmp(name, before[i], strlen(before[i])) == 0) {
            name += strlen(before[i]);
            break;
        }
    for (size_t i = 0; i < sizeof leads / sizeof *leads; i++)
        if (strcasecmp(name, leads[i]) == 0) return true;
    return false;
}
