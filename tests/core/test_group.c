/* Collectives and small words of a group, on values whose sums are exact. Without arguments: over tcp, with
 * forked ranks. With the name of a transport: as one of the ranks that mpirun started, over what `auto` takes
 * there, which must be that (test_group_mpi.sh). */
#include <dirent.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/group/mpi.h"
#include "core/hash.h"
#include "tests/core/group_ranks.h"

/* Every allocation of the program and the library passes here. */
static atomic_llong allocations;
void *__real_malloc(size_t bytes);
void *__wrap_malloc(size_t bytes);
void *__real_calloc(size_t count, size_t bytes);
void *__wrap_calloc(size_t count, size_t bytes);

void *__wrap_malloc(size_t bytes)
{
    atomic_fetch_add(&allocations, 1);
    return __real_malloc(bytes);
}
void *__wrap_calloc(size_t count, size_t bytes)
{
    atomic_fetch_add(&allocations, 1);
    return __real_calloc(count, bytes);
}

enum { GUARD = 8 }; /* elements before and behind every array that nobody may touch */

/* What rank r has at i; small whole numbers, so that sums are exact in every type. */
static int64_t value(int rank, int64_t i)
{
    return (i * 7 + rank * 13 + rank * i % 5) % 1000 - 500;
}

static void put(void *array, vg_dtype type, int64_t at, int64_t number)
{
    if (type == VG_F32) ((float *)array)[at] = (float)number;
    if (type == VG_F64) ((double *)array)[at] = (double)number;
    if (type == VG_I64) ((int64_t *)array)[at] = number;
    if (type == VG_BF16) ((uint16_t *)array)[at] = (uint16_t)number; /* moved as they are */
}

static int64_t get(const void *array, vg_dtype type, int64_t at)
{
    if (type == VG_F32) return (int64_t)((const float *)array)[at];
    if (type == VG_F64) return (int64_t)((const double *)array)[at];
    if (type == VG_I64) return ((const int64_t *)array)[at];
    return (int16_t)((const uint16_t *)array)[at];
}

typedef enum what { ALL_REDUCE, REDUCE_SCATTER, ALL_GATHER, BROADCAST, WHATS } what;

typedef struct work {
    what kind;
    vg_dtype type;
    int64_t count, all; /* of a piece; of the array */
    char *memory;
} work;

static void *array_of(const work *w)
{
    return w->memory + GUARD * vg_dtype_size(w->type);
}

static work start(vg_group *group, what kind, vg_dtype type, int64_t count)
{
    const int size = vg_group_size(group), rank = vg_group_rank(group);
    const bool pieces = kind == REDUCE_SCATTER || kind == ALL_GATHER;
    work w = {kind, type, count, pieces ? size * count : count, NULL};
    w.memory = calloc((size_t)w.all + 2 * GUARD, vg_dtype_size(type));
    CLAIM(w.memory);
    for (int64_t i = 0; i < GUARD; i++) {
        put(w.memory, type, i, 77);
        put(w.memory, type, GUARD + w.all + i, 77);
    }
    void *array = array_of(&w);
    for (int64_t i = 0; i < w.all; i++)
        put(array, type, i, kind == ALL_GATHER && i / count != rank ? -999 : value(rank, i));
    if (kind == ALL_REDUCE) CLAIM(vg_group_all_reduce(group, "a", array, count, type) == VG_OK);
    if (kind == REDUCE_SCATTER) CLAIM(vg_group_reduce_scatter(group, "b", array, count, type) == VG_OK);
    if (kind == ALL_GATHER) CLAIM(vg_group_all_gather(group, "c", array, count, type) == VG_OK);
    if (kind == BROADCAST) CLAIM(vg_group_broadcast(group, "d", array, count, type) == VG_OK);
    return w;
}

static int64_t wanted(const vg_group *group, const work *w, int64_t i)
{
    int64_t sum = 0;
    if (w->kind == BROADCAST) return value(0, i);
    if (w->kind == ALL_GATHER) return value((int)(i / w->count), i);
    for (int r = 0; r < vg_group_size(group); r++) sum += value(r, i);
    return sum;
}

static void finish(const vg_group *group, work *w)
{
    const int64_t rank = vg_group_rank(group);
    const bool own = w->kind == REDUCE_SCATTER;
    const int64_t from = own ? rank * w->count : 0, to = own ? from + w->count : w->all;
    for (int64_t i = from; i < to; i++)
        if (get(array_of(w), w->type, i) != wanted(group, w, i)) {
            fprintf(stderr, "collective %d, %s, count %lld: element %lld is %lld and not %lld\n", w->kind,
                    vg_dtype_name(w->type), (long long)w->count, (long long)i,
                    (long long)get(array_of(w), w->type, i), (long long)wanted(group, w, i));
            CLAIM(!"the right value");
        }
    for (int64_t i = 0; i < GUARD; i++)
        CLAIM(get(w->memory, w->type, i) == 77 && get(w->memory, w->type, GUARD + w->all + i) == 77);
    free(w->memory);
}

/* All collectives of all types with this count, queued one after the other and joined once. */
static void all_of(vg_group *group, int64_t count, bool one_array)
{
    static const vg_dtype types[] = {VG_F32, VG_F64, VG_I64, VG_BF16};
    work works[4 * WHATS];
    int n = 0;
    for (int t = 0; t < 4; t++)
        for (what kind = 0; kind < WHATS; kind++) {
            const bool sums = kind == ALL_REDUCE || kind == REDUCE_SCATTER;
            const bool pieces = kind == REDUCE_SCATTER || kind == ALL_GATHER;
            if ((types[t] == VG_BF16 && sums) || (one_array && pieces)) continue;
            works[n++] = start(group, kind, types[t], count);
        }
    CLAIM(vg_group_join(group) == VG_OK);
    for (int i = 0; i < n; i++) finish(group, &works[i]);
}

static vg_status every_size(vg_group *group, const vg_place *place)
{
    static const int64_t odd[] = {509, 1021, 4099, 65537};
    /* with sanitizers not quite every one, since they take ten times as long */
    for (int64_t count = 0; count <= 257; count += ranks_patience() > 1 && count > 40 ? 7 : 1) {
        vg_group_at(group, count);
        all_of(group, count, false);
    }
    for (size_t i = 0; i < sizeof odd / sizeof *odd; i++) all_of(group, odd[i], false);
    all_of(group, 1000003, true);
    CLAIM(vg_group_rank(group) == place->rank && vg_group_size(group) == place->size);
    return VG_OK;
}

/* Several on one array without a join between them; and the caller computes meanwhile. */
static vg_status in_order(vg_group *group, const vg_place *place)
{
    enum { N = 300001 };
    const int size = place->size;
    double *a = malloc(N * sizeof *a), *b = malloc(N * sizeof *b), sum = 0;
    CLAIM(a && b);
    for (int round = 0; round < 5; round++) {
        for (int64_t i = 0; i < N; i++) a[i] = place->rank + 1, b[i] = (double)value(place->rank, i);
        CLAIM(vg_group_all_reduce(group, "twice", a, N, VG_F64) == VG_OK);
        CLAIM(vg_group_all_reduce(group, "twice", a, N, VG_F64) == VG_OK);
        CLAIM(vg_group_broadcast(group, "same everywhere", a, N, VG_F64) == VG_OK);
        CLAIM(vg_group_all_reduce(group, "beside", b, N, VG_F64) == VG_OK);
        for (int64_t i = 0; i < N; i++) sum += (double)(i % 10); /* work of the caller's own */
        CLAIM(vg_group_join(group) == VG_OK);
        for (int64_t i = 0; i < N; i++) {
            int64_t all = 0;
            for (int r = 0; r < size; r++) all += value(r, i);
            CLAIM(a[i] == size * (size * (size + 1) / 2.0));
            CLAIM(b[i] == (double)all);
        }
    }
    CLAIM(sum > 0);
    free(a);
    free(b);
    return VG_OK;
}

static void fill_inexact(float *a, int64_t count, int rank)
{
    uint64_t state = 88172645463325252u + (uint64_t)rank;
    for (int64_t i = 0; i < count; i++) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        a[i] = (float)((double)(state >> 11) * 0x1p-53 - 0.5) * (float)(i % 17 + 1) * 0.1f;
    }
}

/* Rounded sums are the same bits at all ranks and at every time, and those of reduce-scatter. */
static vg_status same_bits(vg_group *group, const vg_place *place)
{
    static const int64_t counts[] = {5, 300, 5001, 100003};
    for (size_t c = 0; c < 4; c++) {
        const int64_t count = counts[c], all = count * place->size;
        float *a = malloc((size_t)all * sizeof *a), *b = malloc((size_t)all * sizeof *b);
        uint64_t first = 0;
        for (int round = 0; round < 3; round++) {
            fill_inexact(a, all, place->rank);
            fill_inexact(b, all, place->rank);
            CLAIM(vg_group_all_reduce(group, "rounded", a, all, VG_F32) == VG_OK);
            CLAIM(vg_group_reduce_scatter(group, "rounded", b, count, VG_F32) == VG_OK);
            CLAIM(vg_group_join(group) == VG_OK);
            const uint64_t now = vg_hash_add(VG_HASH_NOTHING, a, (size_t)all * sizeof *a);
            if (!round) first = now;
            CLAIM(now == first);
            CLAIM(!memcmp(a + place->rank * count, b + place->rank * count, (size_t)count * sizeof *a));
        }
        char text[32];
        snprintf(text, sizeof text, "%016llx", (unsigned long long)first);
        CLAIM(vg_group_same(group, "the sums", text) == VG_OK);
        free(a);
        free(b);
    }
    return VG_OK;
}

static vg_status words(vg_group *group, const vg_place *place)
{
    char host[64] = "", own[] = "first\nsecond\nthird", *text = place->rank ? NULL : own;
    gethostname(host, sizeof host - 1);
    CLAIM(vg_group_share(group, "a text", &text) == VG_OK);
    CLAIM(!strcmp(text, own));
    CLAIM(vg_group_same(group, "the configuration", text) == VG_OK);
    if (place->rank) free(text);

    if (place->size > 1) {
        const bool odd = place->rank == place->size - 1;
        const vg_status status = vg_group_same(group, "the configuration",
                                               odd ? "seed: 1\nlr: 0.2\nx: 1" : "seed: 1\nlr: 0.1\nx: 1");
        char expected[200];
        snprintf(expected, sizeof expected, "rank %d (%s)", place->size - 1, host);
        CLAIM_FAILS(status, VG_ERR_CONFIG, expected);
        CLAIM_FAILS(status, VG_ERR_CONFIG, "line 2 is 'lr: 0.2' there and 'lr: 0.1' at rank 0");
        CLAIM_FAILS(vg_group_same(group, "it", odd ? "a\n" : "a"), VG_ERR_CONFIG,
                    "more lines there, from line 2 on");
    }
    double sums[3] = {place->rank, 1, 0.1};
    const int size = place->size;
    CLAIM(vg_group_sum(group, "three numbers", sums, 3) == VG_OK);
    double tenths = 0.1;
    for (int r = 1; r < size; r++) tenths += 0.1;
    CLAIM(sums[0] == size * (size - 1) / 2.0 && sums[1] == size && sums[2] == tenths);
    return VG_OK;
}

/* Errors of the caller, which leave the group as it is. */
static vg_status arguments(vg_group *group, const vg_place *place)
{
    uint16_t half[4] = {1, 2, 3, 4};
    float one = 1;
    (void)place;
    CLAIM_FAILS(vg_group_all_reduce(group, "halves", half, 4, VG_BF16), VG_ERR_SHAPE,
                "all-reduce of halves: elements of type BF16 cannot be summed");
    CLAIM_FAILS(vg_group_broadcast(group, "bytes", half, 4, VG_U8), VG_ERR_SHAPE, "cannot be moved");
    CLAIM_FAILS(vg_group_all_reduce(group, "less", &one, -1, VG_F32), VG_ERR_SHAPE, "a count of -1");
    CLAIM_FAILS(vg_group_all_gather(group, "more", &one, INT64_MAX / 2, VG_F64), VG_ERR_SHAPE, "cannot be");
    CLAIM_FAILS(vg_group_broadcast(group, "nothing", NULL, 3, VG_F32), VG_ERR_SHAPE, "there is no array");
    CLAIM(vg_group_all_reduce(group, "nothing", NULL, 0, VG_F32) == VG_OK);
    CLAIM(vg_group_join(group) == VG_OK);
    CLAIM(vg_group_synchronize(group) == VG_OK);
    return VG_OK;
}

/* After the first steps a step allocates nothing. */
static vg_status no_allocation(vg_group *group, const vg_place *place)
{
    enum { N = 20000, BUCKETS = 100 };
    float *a = calloc(N, sizeof *a);
    (void)place;
    for (int step = 0; step < 10; step++) {
        const long long before = atomic_load(&allocations);
        vg_group_at(group, step);
        for (int i = 0; i < BUCKETS; i++)
            CLAIM(vg_group_all_reduce(group, "bucket", a + i * (N / BUCKETS), N / BUCKETS, VG_F32) == VG_OK);
        CLAIM(vg_group_all_reduce(group, "whole", a, N, VG_F32) == VG_OK);
        CLAIM(vg_group_join(group) == VG_OK);
        if (step > 2) CLAIM(atomic_load(&allocations) == before);
    }
    /* words that come from other ranks allocate: not before all have counted */
    CLAIM(vg_group_all_reduce(group, "the end", a, 1, VG_F32) == VG_OK && vg_group_join(group) == VG_OK);
    free(a);
    return VG_OK;
}

/* A collective is queued at once, whoever is missing, and only join waits. */
static vg_status beside(vg_group *group, const vg_place *place)
{
    enum { N = 1000003 };
    float *a = calloc(N, sizeof *a);
    CLAIM(a);
    double sums[1] = {0};
    CLAIM(vg_group_sum(group, "together", sums, 1) == VG_OK);
    if (place->rank == 1) ranks_meet(); /* it comes when the others have queued theirs */
    a[0] = 1;
    CLAIM(vg_group_all_reduce(group, "beside", a, N, VG_F32) == VG_OK);
    if (place->rank != 1) ranks_meet();
    CLAIM(vg_group_join(group) == VG_OK);
    CLAIM(a[0] == (float)place->size && a[1] == 0);
    free(a);
    return VG_OK;
}

static const ranks_body bodies[] = {every_size, in_order, same_bits, words, arguments, no_allocation, beside};

static vg_status all_bodies(vg_group *group, const vg_place *place)
{
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) VG_TRY(bodies[i](group, place));
    return VG_OK;
}

/* ---- Forked ---- */

static void test_sizes(void **state)
{
    (void)state;
    static const int sizes[] = {2, 3, 4, 7};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) ranks_run(sizes[i], all_bodies, NULL);
}

static int entries(const char *folder)
{
    int count = 0;
    DIR *dir = opendir(folder);
    while (readdir(dir)) count++;
    closedir(dir);
    return count;
}

/* One rank: neither a thread nor a descriptor, and arrays stay as they are. */
static void test_alone(void **state)
{
    (void)state;
    const int threads = entries("/proc/self/task"), files = entries("/proc/self/fd");
    const vg_place place = {.size = 1, .local_size = 1, .listener = -1};
    vg_device *device;
    assert_ok(vg_device_create_host(&device));
    vg_group *group;
    assert_ok(vg_group_open(&place, &(vg_group_options){.transport = "auto", .device = device}, &group));
    assert_string_equal(vg_group_transport(group), "alone");
    assert_ok(all_bodies(group, &place));
    assert_int_equal(entries("/proc/self/task"), threads);
    assert_int_equal(entries("/proc/self/fd"), files);
    vg_group_close(group, VG_OK);
    vg_group_close(NULL, VG_OK);
    vg_device_destroy(device);
}

/* Once more with counts that take many calls of MPI each. */
static vg_status all_of_mpi(vg_group *group, const vg_place *place)
{
    VG_TRY(all_bodies(group, place));
    vg__mpi_most = 7;
    all_of(group, 5, false);
    all_of(group, 7, false);
    all_of(group, 100, false);
    return VG_OK;
}

int main(int argc, char **argv)
{
    if (argc == 2 && !strcmp(argv[1], "has-mpi")) {
        char text[512];
        const bool has = vg_group_find("mpi", text, sizeof text) == VG_OK;
        printf("%s\n", has ? text : vg_cause());
        return has ? 0 : 1;
    }
    if (argc == 2) return ranks_be_of_mpirun(argv[1], 60, all_of_mpi);
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_alone), cmocka_unit_test(test_sizes)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
