#include "experiments/runner/evaluation/prediction/recipe.h"

#include <stdio.h>
#include <string.h>

/* Recordings that were turned upright at import; which ones is not in the contract. */
static bool turned(const vg_preprocessing *contract)
{
    return !strncmp(contract->polarity, "turned", 6);
}

/* Which no shell takes for anything else. */
static const char plain_letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+-._";

/* What no option of the import can ask for. */
static vg_status importable(const vg_preprocessing *contract)
{
    const bool filtered = strcmp(contract->filter, "none") != 0;
    if (strcmp(contract->units, "mV"))
        return vg_fail(VG_ERR_UNSUPPORTED, "its samples are in '%s', and an import gives mV",
                       contract->units);
    if (contract->notch > 0)
        return vg_fail(VG_ERR_UNSUPPORTED, "it wants a mains notch at %.10g Hz, and no import has one",
                       contract->notch);
    if (filtered && (strcmp(contract->filter, "butterworth") || !contract->filter_zero_phase))
        return vg_fail(VG_ERR_UNSUPPORTED,
                       "it wants a %s '%s' filter, and an import has a zero-phase 'butterworth' one",
                       contract->filter_zero_phase ? "zero-phase" : "causal", contract->filter);
    return VG_OK;
}

vg_status vg_recipe_options(const vg_preprocessing *contract, vg_import_options *out)
{
    VG_TRY(importable(contract));
    out->rate = contract->rate;
    out->order = contract->filter_order;
    if (contract->filter_order) {
        out->low = contract->filter_low;
        out->high = contract->filter_high;
    }
    if (contract->lead[0]) out->leads = contract->lead;
    if (turned(contract)) out->flip = true;
    return VG_OK;
}

void vg_recipe_tell(const vg_preprocessing *contract, const char *how, vg_text *out)
{
    if (importable(contract) != VG_OK) {
        vg_text_add(out, "No import gives data for this model: %s", vg_cause());
        return;
    }
    vg_text_add(out, "%s: vagus data import FORMAT SOURCE... --out STORE --rate %.10g --order %d", how,
                contract->rate, contract->filter_order);
    if (contract->filter_order)
        vg_text_add(out, " --low %.10g --high %.10g", contract->filter_low, contract->filter_high);
    if (contract->lead[0]) {
        const bool plain = strspn(contract->lead, plain_letters) == strlen(contract->lead);
        vg_text_add(out, plain ? " --leads %s" : " --leads '%s'", contract->lead);
    }
    if (turned(contract)) vg_text_add(out, " --flip");
}
