/* What a sum over the ranks costs: collectives of growing size, in place, checked on numbers that are exact
 * and then timed, each call with the wait for it. Bandwidths are those of NVIDIA's nccl-tests: of the
 * algorithm, bytes of the array a second; of the bus, what a ring's every link must carry for that, which
 * compares with a link's rate whatever the number of ranks. */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/group/compare.h"
#include "experiments/runner/bench/bench.h"
#include "experiments/runner/bench/measure.h"

typedef vg_status (*collective)(vg_group *group, const char *what, void *array, int64_t count, vg_dtype type);

static const struct {
    const char *name;
    collective call;
    int times; /* that each piece travels all the way round but one */
    bool summed, pieces;
} collectives[] = {
    {"all_reduce", vg_group_all_reduce, 2, true, false},
    {"reduce_scatter", vg_group_reduce_scatter, 1, true, true},
    {"all_gather", vg_group_all_gather, 1, false, true},
};
enum { COLLECTIVES = sizeof collectives / sizeof *collectives };

/* One collective at one size over one group. */
typedef struct exchange {
    vg_bench *bench;
    vg_group *group;
    int which;
    float *array, *host; /* on the device; its copy */
    int64_t count;       /* as the collective takes it */
    int64_t total;       /* of the array */
} exchange;

static vg_status call_once(void *context, int64_t index)
{
    const exchange *x = context;
    (void)index;
    VG_TRY(collectives[x->which].call(x->group, "a benchmark", x->array, x->count, VG_F32));
    return vg_group_join(x->group);
}

static vg_status call_raw(void *context, int64_t calls)
{
    const exchange *x = context;
    return vg_group_raw_all_reduce(x->group, x->array, x->count, calls);
}

static double part_of(int64_t i, int rank)
{
    return (double)(i % 61 + rank + 1);
}

/* Small whole numbers in, and == on what comes out. Zeroes are left behind: sums of them stay what they are.
 */
static vg_status check(const exchange *x)
{
    vg_device *device = x->bench->device;
    const int size = vg_group_size(x->group), rank = vg_group_rank(x->group);
    const size_t bytes = (size_t)x->total * sizeof(float);
    for (int64_t i = 0; i < x->total; i++) x->host[i] = (float)part_of(i, rank);
    VG_TRY(vg_device_copy(device, x->array, x->host, bytes, VG_COPY_TO_DEVICE));
    VG_TRY(call_once((void *)x, 0));
    VG_TRY(vg_group_synchronize(x->group));
    VG_TRY(vg_device_copy(device, x->host, x->array, bytes, VG_COPY_TO_HOST));
    VG_TRY(vg_group_synchronize(x->group));
    for (int64_t i = 0; i < x->total; i++) {
        const int piece = collectives[x->which].pieces ? (int)(i / x->count) : rank;
        if (collectives[x->which].summed && piece != rank) continue; /* undefined there */
        double want = part_of(i, piece);
        if (collectives[x->which].summed) want = size * part_of(i, 0) + size * (size - 1) / 2.0;
        if (!(x->host[i] == (float)want))
            return vg_fail(VG_ERR_NUMERIC,
                           "%s of %" PRId64 " elements over %s: element %" PRId64
                           " is %g at rank %d and must be %g",
                           collectives[x->which].name, x->count, vg_group_transport(x->group), i,
                           (double)x->host[i], rank, want);
    }
    return vg_device_zero(device, x->array, bytes);
}

static vg_status measure(const exchange *x, bool raw, vg_bench_time *out)
{
    const vg_bench_options *options = x->bench->options;
    const vg_bench_task task = {.device = x->bench->device,
                                .group = x->group,
                                .call = call_once,
                                .calls = raw ? call_raw : NULL,
                                .context = (void *)x,
                                .samples = (int)options->samples,
                                .least_seconds = options->sample_ms * 1e-3};
    return vg_bench_measure(&task, out);
}

/* `raw`: seconds of the library's own call at this size, NaN when there is none to compare with. */
static void tell(const exchange *x, const char *transport, const vg_bench_time *time, double raw)
{
    const vg_bench *bench = x->bench;
    const double R = vg_group_size(x->group), bytes = (double)x->total * sizeof(float);
    const double algorithm = bytes / time->median,
                 bus = algorithm * collectives[x->which].times * (R - 1) / R;
    if (bench->out) {
        fprintf(bench->out, "%-9s %-14s %10.0f %12.2f %12.2f %5.1f%% %10.4f %10.4f", transport,
                collectives[x->which].name, bytes, time->median * 1e6, time->least * 1e6, time->spread * 100,
                algorithm * 1e-9, bus * 1e-9);
        if (isfinite(raw)) fprintf(bench->out, " %7.2f", time->median / raw);
        fprintf(bench->out, "\n");
        fflush(bench->out);
    }
    if (!bench->json) return;
    vg_json_begin_object(bench->json, NULL);
    vg_json_put_string(bench->json, "transport", transport);
    vg_json_put_string(bench->json, "collective", collectives[x->which].name);
    vg_json_put_double(bench->json, "bytes", bytes);
    vg_json_put_int(bench->json, "count", x->count);
    vg_bench_time_put(time, bench->json);
    vg_json_put_int(bench->json, "calls", time->calls);
    vg_json_put_int(bench->json, "samples", time->samples);
    vg_json_put_double(bench->json, "algbw_bytes_s", algorithm);
    vg_json_put_double(bench->json, "busbw_bytes_s", bus);
    vg_json_put_double(bench->json, "of_raw", time->median / raw);
    vg_json_end(bench->json);
}

/* One collective at one size: the library's own call first, then ours over each group. */
static vg_status run_size(vg_bench *bench, vg_group *const groups[2], int which, int64_t bytes, float *array,
                          float *host)
{
    const int size = vg_group_size(bench->group);
    const int64_t pieces = collectives[which].pieces ? size : 1, elements = bytes / (int64_t)sizeof(float);
    exchange x = {.bench = bench, .which = which, .array = array, .host = host};
    vg_bench_time time;
    double raw = NAN;
    x.count = elements / pieces ? elements / pieces : 1;
    x.total = x.count * pieces;
    x.group = bench->group;
    if (collectives[which].call == vg_group_all_reduce && !strcmp(vg_group_transport(bench->group), "mpi")) {
        VG_TRY(vg_device_zero(bench->device, array, (size_t)x.total * sizeof *array));
        VG_TRY(measure(&x, true, &time));
        raw = time.median;
        tell(&x, "mpi raw", &time, raw);
    }
    for (int i = 0; i < 2 && groups[i]; i++) {
        x.group = groups[i];
        VG_TRY(check(&x));
        VG_TRY(measure(&x, false, &time));
        tell(&x, vg_group_transport(x.group), &time, raw);
    }
    return VG_OK;
}

/* tcp beside mpi, where nobody chose one of them. */
static vg_status open_second(vg_bench *bench, vg_group **out)
{
    vg_place place;
    const vg_group_options options = {.transport = "tcp",
                                      .device = bench->device,
                                      .timeout = bench->options->timeout,
                                      .start_timeout = bench->options->timeout};
    if (bench->options->transport || strcmp(vg_group_transport(bench->group), "mpi")) return VG_OK;
    VG_TRY(vg_group_beside(bench->group, &place));
    return vg_group_open(&place, &options, out);
}

static int64_t largest(const vg_ints *sizes)
{
    int64_t most = 0;
    for (size_t i = 0; i < sizes->count; i++)
        if (sizes->items[i] > most) most = sizes->items[i];
    return most;
}

vg_status vg_bench_comm(vg_bench *bench)
{
    const vg_ints *sizes = &bench->options->bytes;
    /* A piece holds one element at least. */
    const int64_t most = largest(sizes), few = vg_group_size(bench->group) * (int64_t)sizeof(float);
    const size_t room = (size_t)(most > few ? most : few);
    vg_group *groups[2] = {bench->group, NULL};
    void *array = NULL;
    float *host = malloc(room);
    vg_status status;
    if (!host) return vg_fail(VG_ERR_MEMORY, "no memory for an array of %zu bytes", room);
    VG_TRY_OUT(vg_device_allocate(bench->device, room, &array));
    VG_TRY_OUT(open_second(bench, &groups[1]));
    if (bench->out)
        fprintf(
            bench->out,
            "\nF32, in place, each call with the wait for it\n%-9s %-14s %10s %12s %12s %6s %10s %10s%s\n",
            "transport", "collective", "bytes", "median us", "least us", "spread", "algbw GB/s", "busbw GB/s",
            strcmp(vg_group_transport(bench->group), "mpi") ? "" : "  of raw");
    if (bench->json) vg_json_begin_array(bench->json, "results");
    for (int which = 0; which < COLLECTIVES; which++)
        for (size_t i = 0; i < sizes->count; i++)
            VG_TRY_OUT(run_size(bench, groups, which, sizes->items[i], array, host));
    if (bench->json) vg_json_end(bench->json);
    if (bench->out && groups[1])
        fprintf(bench->out,
                "mpi raw: MPI_Allreduce, blocking, called in a row; of raw: times of it at this size\n");
out:
    vg_group_close(groups[1], status);
    if (array) vg_device_release(bench->device, array, room);
    free(host);
    return status;
}
