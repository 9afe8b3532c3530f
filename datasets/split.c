#include "datasets/split.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/random.h"

static const char *const unit_names[] = {
#define NAME(name, text) [VG_SPLIT_##name] = text,
    VG_SPLIT_UNIT_MAP(NAME)
#undef NAME
};
enum { UNIT_COUNT = sizeof unit_names / sizeof *unit_names };

const char *vg_split_unit_name(vg_split_unit unit)
{
    VG_ASSERT((unsigned)unit < UNIT_COUNT);
    return unit_names[unit];
}

vg_status vg_split_unit_parse(const char *name, vg_split_unit *out)
{
    for (int i = 0; i < UNIT_COUNT; i++) {
        if (strcmp(name, unit_names[i]) != 0) continue;
        *out = (vg_split_unit)i;
        return VG_OK;
    }
    return vg_fail(VG_ERR_CONFIG, "'%s' is no way to split; choose segment, recording, subject or loso",
                   name);
}

/* "segments", "recordings", "subjects", for messages. */
static const char *plural(vg_split_unit unit)
{
    return unit == VG_SPLIT_SEGMENT ? "segments" : unit == VG_SPLIT_RECORDING ? "recordings" : "subjects";
}

static int64_t group_of(const vg_corpus *corpus, vg_split_unit unit, int64_t segment)
{
    const vg_segment *which = &corpus->segments[segment];
    return unit == VG_SPLIT_SEGMENT ? segment : unit == VG_SPLIT_RECORDING ? which->trial : which->subject;
}

static int64_t group_limit(const vg_corpus *corpus, vg_split_unit unit)
{
    return unit == VG_SPLIT_SEGMENT     ? corpus->segment_count
           : unit == VG_SPLIT_RECORDING ? corpus->trial_count
                                        : corpus->subject_count;
}

/* ---- Groups ------------------------------------------------------------------------------------------ */

/* The groups that the given segments fall into. */
struct groups {
    vg_split_unit unit;
    int64_t limit, count;
    int64_t *size;  /* [limit] segments of a group */
    int64_t *list;  /* [count] the groups that have any, ascending */
    int32_t *place; /* [limit] where a group was dealt to */
};

static void groups_free(struct groups *groups)
{
    free(groups->size);
    free(groups->list);
    free(groups->place);
    *groups = (struct groups){0};
}

static vg_status groups_init(struct groups *groups, const vg_corpus *corpus, vg_split_unit unit,
                             const int64_t *segments, int64_t count)
{
    *groups = (struct groups){.unit = unit, .limit = group_limit(corpus, unit)};
    groups->size = calloc((size_t)groups->limit, sizeof *groups->size);
    groups->list = calloc((size_t)groups->limit, sizeof *groups->list);
    groups->place = calloc((size_t)groups->limit, sizeof *groups->place);
    if (!groups->size || !groups->list || !groups->place) {
        groups_free(groups);
        return vg_fail(VG_ERR_MEMORY, "a split of %" PRId64 " %s", groups->limit, plural(unit));
    }
    for (int64_t i = 0; i < count; i++) groups->size[group_of(corpus, unit, segments[i])]++;
    for (int64_t i = 0; i < groups->limit; i++)
        if (groups->size[i]) groups->list[groups->count++] = i;
    return VG_OK;
}

struct sized {
    int64_t group, size, rank;
};

static int larger_first(const void *left, const void *right)
{
    const struct sized *a = left, *b = right;
    if (a->size != b->size) return a->size > b->size ? -1 : 1;
    return (a->rank > b->rank) - (a->rank < b->rank);
}

/* Shuffles the groups, then deals the largest first to the lightest fold (the one with fewest groups, then
 * the first, among equals). */
static vg_status deal(struct groups *groups, int folds, vg_random *random)
{
    struct sized *order = calloc((size_t)groups->count, sizeof *order);
    int64_t *weight = calloc((size_t)folds, sizeof *weight), *dealt = calloc((size_t)folds, sizeof *dealt);
    vg_status status = VG_OK;
    if (!order || !weight || !dealt) {
        status = vg_fail(VG_ERR_MEMORY, "a split of %" PRId64 " %s", groups->count, plural(groups->unit));
        goto out;
    }
    vg_random_shuffle(random, groups->list, groups->count);
    for (int64_t i = 0; i < groups->count; i++)
        order[i] = (struct sized){groups->list[i], groups->size[groups->list[i]], i};
    qsort(order, (size_t)groups->count, sizeof *order, larger_first);
    for (int64_t i = 0; i < groups->count; i++) {
        int lightest = 0;
        for (int f = 1; f < folds; f++)
            if (weight[f] < weight[lightest] || (weight[f] == weight[lightest] && dealt[f] < dealt[lightest]))
                lightest = f;
        groups->place[order[i].group] = lightest;
        weight[lightest] += order[i].size;
        dealt[lightest]++;
    }
out:
    free(order);
    free(weight);
    free(dealt);
    return status;
}

/* ---- A part out of another --------------------------------------------------------------------------- */

/* Moves about `share` of the training part into the validation part, group by group: shuffled groups are
 * taken as long as that brings the number of segments nearer to the share; at least one is taken and one
 * left. */
static vg_status set_aside(const vg_corpus *corpus, vg_fold *fold, vg_split_unit unit, double share,
                           vg_random *random)
{
    struct groups groups;
    vg_status status = VG_OK;
    VG_TRY(groups_init(&groups, corpus, unit, fold->train, fold->train_count));
    if (groups.count < 2) {
        status = vg_fail(VG_ERR_CONFIG,
                         "%s: the training part has %" PRId64
                         " %s, too few to set some aside for validation; split "
                         "validation by a smaller unit or switch it off",
                         fold->name, groups.count, plural(unit));
        goto out;
    }
    vg_random_shuffle(random, groups.list, groups.count);
    double wanted = share * (double)fold->train_count;
    int64_t taken = 0, taken_groups = 0;
    for (int64_t i = 0; i < groups.count && taken_groups < groups.count - 1; i++) {
        int64_t size = groups.size[groups.list[i]];
        bool nearer = fabs((double)(taken + size) - wanted) < fabs((double)taken - wanted);
        if (!nearer) continue;
        groups.place[groups.list[i]] = 1;
        taken += size;
        taken_groups++;
    }
    if (!taken_groups) { /* every group is more than twice the share: the smallest comes nearest */
        int64_t smallest = groups.list[0];
        for (int64_t i = 1; i < groups.count; i++)
            if (groups.size[groups.list[i]] < groups.size[smallest]) smallest = groups.list[i];
        groups.place[smallest] = 1;
        taken = groups.size[smallest];
    }
    fold->validation = calloc((size_t)taken, sizeof *fold->validation);
    if (!fold->validation) {
        status = vg_fail(VG_ERR_MEMORY, "a validation part of %" PRId64 " segments", taken);
        goto out;
    }
    int64_t kept = 0;
    for (int64_t i = 0; i < fold->train_count; i++) {
        int64_t segment = fold->train[i];
        if (groups.place[group_of(corpus, unit, segment)])
            fold->validation[fold->validation_count++] = segment;
        else
            fold->train[kept++] = segment;
    }
    fold->train_count = kept;
out:
    groups_free(&groups);
    return status;
}

/* ---- Folds ------------------------------------------------------------------------------------------- */

static int ascending(const void *left, const void *right)
{
    int64_t a = *(const int64_t *)left, b = *(const int64_t *)right;
    return (a > b) - (a < b);
}

/* A sorted copy of the list (or all segments) into *out; refuses numbers out of range and repeated ones. */
static vg_status copy_list(const vg_corpus *corpus, const int64_t *segments, int64_t *count, int64_t **out)
{
    if (!segments) *count = corpus->segment_count;
    if (*count < 1) return vg_fail(VG_ERR_DATA, "there is no segment to split");
    int64_t *list = malloc((size_t)*count * sizeof *list);
    if (!list) return vg_fail(VG_ERR_MEMORY, "a list of %" PRId64 " segments", *count);
    for (int64_t i = 0; i < *count; i++) list[i] = segments ? segments[i] : i;
    qsort(list, (size_t)*count, sizeof *list, ascending);
    for (int64_t i = 0; i < *count; i++) {
        bool repeated = i > 0 && list[i] == list[i - 1];
        if (list[i] >= 0 && list[i] < corpus->segment_count && !repeated) continue;
        vg_fail(VG_ERR_SHAPE, "segment %" PRId64 " is %s", list[i],
                repeated ? "listed twice" : "not in the corpus");
        free(list);
        return VG_ERR_SHAPE;
    }
    *out = list;
    return VG_OK;
}

/* Divides the list into test (groups dealt to `number`) and training. */
static vg_status fill_fold(vg_fold *fold, const vg_corpus *corpus, const struct groups *groups, int number,
                           const int64_t *list, int64_t count)
{
    int64_t tests = 0;
    for (int64_t i = 0; i < count; i++)
        tests += groups->place[group_of(corpus, groups->unit, list[i])] == number;
    fold->train = calloc((size_t)(count - tests) + 1, sizeof *fold->train);
    fold->test = calloc((size_t)tests + 1, sizeof *fold->test);
    if (!fold->train || !fold->test) return vg_fail(VG_ERR_MEMORY, "a fold of %" PRId64 " segments", count);
    for (int64_t i = 0; i < count; i++) {
        if (groups->place[group_of(corpus, groups->unit, list[i])] == number)
            fold->test[fold->test_count++] = list[i];
        else
            fold->train[fold->train_count++] = list[i];
    }
    return VG_OK;
}

static vg_status check_options(const vg_split_options *options)
{
    if (options->unit != VG_SPLIT_LOSO && (options->folds < 2 || options->folds > VG_SPLIT_MAX_FOLDS))
        return vg_fail(VG_ERR_CONFIG, "%d folds cannot be; give 2 to %d", options->folds, VG_SPLIT_MAX_FOLDS);
    if (!(options->validation >= 0 && options->validation < 1))
        return vg_fail(VG_ERR_CONFIG, "a validation share of %g cannot be; give at least 0 and less than 1",
                       options->validation);
    return VG_OK;
}

/* Deals the groups of the chosen unit; *folds is set to the subjects' number for LOSO. */
static vg_status deal_folds(struct groups *groups, const vg_split_options *options, int *folds)
{
    if (options->unit == VG_SPLIT_LOSO) {
        if (groups->count < 2)
            return vg_fail(VG_ERR_CONFIG,
                           "leaving one subject out needs two subjects, and the data have %" PRId64,
                           groups->count);
        if (groups->count > VG_SPLIT_MAX_FOLDS)
            return vg_fail(VG_ERR_CONFIG,
                           "leaving one subject out would make %" PRId64
                           " folds, more than %d; use folds by subject",
                           groups->count, VG_SPLIT_MAX_FOLDS);
        for (int64_t i = 0; i < groups->count; i++) groups->place[groups->list[i]] = (int32_t)i;
        *folds = (int)groups->count;
        return VG_OK;
    }
    *folds = options->folds;
    if (groups->count < *folds)
        return vg_fail(VG_ERR_CONFIG,
                       "%d folds by %s need as many %s, and the data have %" PRId64
                       "; lower the number of folds or split by a smaller unit",
                       *folds, vg_split_unit_name(options->unit), plural(options->unit), groups->count);
    vg_random random = vg_random_make(options->seed, VG_SITE_SPLIT, 0);
    return deal(groups, *folds, &random);
}

static vg_status new_split(int folds, vg_split **out)
{
    *out = calloc(1, sizeof **out);
    if (*out) (*out)->folds = calloc((size_t)folds, sizeof *(*out)->folds);
    if (!*out || !(*out)->folds) {
        free(*out);
        *out = NULL;
        return vg_fail(VG_ERR_MEMORY, "a split of %d folds", folds);
    }
    (*out)->count = folds;
    return VG_OK;
}

vg_status vg_split_create(const vg_corpus *corpus, const int64_t *segments, int64_t count,
                          const vg_split_options *options, vg_split **out)
{
    vg_status status = VG_OK;
    vg_split *split = NULL;
    int64_t *list = NULL;
    int folds = 0;
    *out = NULL;
    VG_TRY(check_options(options));
    VG_TRY(copy_list(corpus, segments, &count, &list));
    struct groups groups = {0};
    VG_TRY_OUT(groups_init(&groups, corpus, options->unit, list, count));
    VG_TRY_OUT(deal_folds(&groups, options, &folds));
    VG_TRY_OUT(new_split(folds, &split));
    for (int f = 0; f < folds; f++) {
        vg_fold *fold = &split->folds[f];
        if (options->unit == VG_SPLIT_LOSO)
            snprintf(fold->name, sizeof fold->name, "%s", corpus->subjects[groups.list[f]]);
        else
            snprintf(fold->name, sizeof fold->name, "fold %d of %d", f + 1, folds);
        VG_TRY_OUT(fill_fold(fold, corpus, &groups, f, list, count));
        /* A stream of its own for every fold, so that folds do not depend on how many came before. */
        vg_random random = vg_random_make(options->seed, VG_SITE_SPLIT, (uint32_t)f + 1);
        if (options->validation > 0)
            VG_TRY_OUT(set_aside(corpus, fold, options->validation_unit, options->validation, &random));
    }
out:
    groups_free(&groups);
    free(list);
    if (status != VG_OK)
        vg_split_destroy(split);
    else
        *out = split;
    return status;
}

vg_status vg_split_create_holdout(const vg_corpus *corpus, const int64_t *segments, int64_t count,
                                  double validation, uint64_t seed, vg_split **out)
{
    vg_status status = VG_OK;
    vg_split *split = NULL;
    *out = NULL;
    if (!(validation >= 0 && validation < 1))
        return vg_fail(VG_ERR_CONFIG, "a validation share of %g cannot be; give between 0 and 1", validation);
    VG_TRY(new_split(1, &split));
    vg_fold *fold = &split->folds[0];
    snprintf(fold->name, sizeof fold->name, "hold-out");
    VG_TRY_OUT(copy_list(corpus, segments, &count, &fold->train));
    fold->train_count = count;
    vg_random random = vg_random_make(seed, VG_SITE_SPLIT, 1);
    if (validation > 0) VG_TRY_OUT(set_aside(corpus, fold, VG_SPLIT_SUBJECT, validation, &random));
out:
    if (status != VG_OK)
        vg_split_destroy(split);
    else
        *out = split;
    return status;
}

void vg_split_destroy(vg_split *split)
{
    if (!split) return;
    for (int f = 0; f < split->count; f++) {
        free(split->folds[f].train);
        free(split->folds[f].validation);
        free(split->folds[f].test);
    }
    free(split->folds);
    free(split);
}

/* ---- Checks ------------------------------------------------------------------------------------------ */

vg_status vg_fold_shared(const vg_corpus *corpus, const vg_fold *fold, vg_split_unit unit, int64_t *out)
{
    int64_t limit = group_limit(corpus, unit);
    unsigned char *seen = calloc((size_t)limit, 1);
    if (!seen) return vg_fail(VG_ERR_MEMORY, "an audit of %" PRId64 " %s", limit, plural(unit));
    for (int64_t i = 0; i < fold->train_count; i++) seen[group_of(corpus, unit, fold->train[i])] |= 1;
    for (int64_t i = 0; i < fold->validation_count; i++)
        seen[group_of(corpus, unit, fold->validation[i])] |= 1;
    for (int64_t i = 0; i < fold->test_count; i++) seen[group_of(corpus, unit, fold->test[i])] |= 2;
    *out = 0;
    for (int64_t i = 0; i < limit; i++) *out += seen[i] == 3;
    free(seen);
    return VG_OK;
}

static vg_status check_part(const vg_corpus *corpus, const vg_fold *fold, const char *part,
                            const int64_t *segments, int64_t count)
{
    int64_t classes[2] = {0, 0};
    for (int64_t i = 0; i < count; i++) {
        float label = corpus->segments[segments[i]].label;
        if (isnan(label))
            return vg_fail(VG_ERR_DATA, "%s: segment %" PRId64 " of the %s part has no label", fold->name,
                           segments[i], part);
        classes[label > 0.5f]++;
    }
    if (classes[0] && classes[1]) return VG_OK;
    return vg_fail(VG_ERR_DATA,
                   "%s: all %" PRId64
                   " segments of the %s part have the label %d; choose another threshold, fewer "
                   "folds or another way to split",
                   fold->name, count, part, classes[1] ? 1 : 0);
}

vg_status vg_fold_check_labels(const vg_corpus *corpus, const vg_fold *fold, bool test_too)
{
    VG_TRY(check_part(corpus, fold, "training", fold->train, fold->train_count));
    return test_too ? check_part(corpus, fold, "test", fold->test, fold->test_count) : VG_OK;
}
