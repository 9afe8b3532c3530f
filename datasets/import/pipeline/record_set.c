/* How many records the leads come from, for the report: a set of hashes, as large as there are records. */
#include <stdlib.h>

#include "datasets/import/pipeline/own.h"

static uint64_t add_text(uint64_t hash, const char *text)
{
    for (const char *c = text ? text : ""; *c; c++) hash = (hash ^ (unsigned char)*c) * 0x100000001b3u;
    return (hash ^ 0xff) * 0x100000001b3u; /* an end that no text has */
}

uint64_t vg__record_of(const vg__raw *raw)
{
    const char *const texts[] = {raw->file, raw->record, raw->session, raw->trial};
    uint64_t hash = 0xcbf29ce484222325u;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) hash = add_text(hash, texts[i]);
    return hash ? hash : 1;
}

/* Where the record stands, or the empty place where it belongs. */
static int64_t find(const vg__record_set *records, uint64_t record)
{
    int64_t at = (int64_t)(record & (uint64_t)(records->room - 1));
    while (records->place[at].record && records->place[at].record != record)
        at = (at + 1) & (records->room - 1);
    return at;
}

static vg_status grow(vg__record_set *records)
{
    vg__record_set larger = *records;
    larger.room = records->room ? 2 * records->room : 256;
    larger.place = calloc((size_t)larger.room, sizeof *larger.place);
    if (!larger.place)
        return vg_fail(VG_ERR_MEMORY, "no memory to count %lld records", (long long)larger.room);
    for (int64_t i = 0; i < records->room; i++)
        if (records->place[i].record)
            larger.place[find(&larger, records->place[i].record)] = records->place[i];
    free(records->place);
    *records = larger;
    return VG_OK;
}

vg_status vg__record_set_add(vg__record_set *records, uint64_t record, bool used)
{
    if (2 * records->count >= records->room) VG_TRY(grow(records));
    const int64_t at = find(records, record);
    if (!records->place[at].record) {
        records->place[at].record = record;
        records->count++;
    }
    if (used && !records->place[at].used) {
        records->place[at].used = true;
        records->used++;
    }
    return VG_OK;
}

void vg__record_set_free(vg__record_set *records)
{
    free(records->place);
    *records = (vg__record_set){0};
}
