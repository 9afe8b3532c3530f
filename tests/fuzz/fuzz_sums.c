/* The list of checksums by which a data set is fetched: it comes over the network, and whatever it says,
 * files are written into the folder of the set alone, each once, from below the set's own address. The first
 * byte chooses the set of the catalogue, and whether all of it is wanted. */
#include "core/sha256.h"
#include "datasets/catalogue/fetch_list.h"
#include "tests/fuzz/fuzz.h"

static void check(const vg__fetch_list *list, const vg_dataset *set)
{
    static const char folder[] = "data/x/";
    FUZZ_CHECK(list->count > 0 && list->count <= list->listed);
    for (int64_t i = 0; i < list->count; i++) {
        const vg_download *file = &list->file[i];
        const char *below = file->path + strlen(folder);
        FUZZ_CHECK(vg_sha256_is_text(file->sha256));
        FUZZ_CHECK(!strncmp(file->path, folder, strlen(folder)) && *below && *below != '/');
        FUZZ_CHECK(!strstr(file->path, "//") && !strstr(file->path, "/../") && !strstr(file->path, "/./"));
        FUZZ_CHECK(strcmp(below, "..") && strcmp(below, ".") && below[strlen(below) - 1] != '/');
        FUZZ_CHECK(!strncmp(file->url, set->base, strlen(set->base)));
        FUZZ_CHECK(!strncmp(file->url + strlen(set->base), set->below, strlen(set->below)));
        for (const char *p = file->url; *p; p++) FUZZ_CHECK(*p > ' ' && *p < 127 && !strchr("\"<>\\#?", *p));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const vg_dataset *sets[64];
    int count = 0;
    vg__fetch_list list = {0};
    for (int i = 0; vg_dataset_at(i) && count < 64; i++)
        if (vg_dataset_at(i)->base) sets[count++] = vg_dataset_at(i);
    if (size < 1) return 0;
    const vg_dataset *set = sets[(data[0] >> 1) % count];
    const char *only = data[0] & 1 ? set->part : NULL, *sums = fuzz_file(0, data + 1, size - 1);
    if (fuzz_good(vg__fetch_list_read(&list, sums, set->base, set, "data/x", only))) check(&list, set);
    vg__fetch_list_free(&list);
    return 0;
}
