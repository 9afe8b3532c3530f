/* vagus bench ops | step | comm | data */
#include "experiments/runner/bench/bench.h"

#include <stdlib.h>
#include <string.h>

#include "experiments/runner/commands/command.h"

static vg_status print_help(void)
{
    char *keys;
    VG_TRY(vg_schema_help(&vg_bench_schema, &keys));
    printf(
        "vagus bench ops|step|comm|data [--json] [key=value ...]\n\n"
        "  ops    every operation at the sizes of a model, in a table: how often a pre-training step calls "
        "it,\n"
        "         median time and spread (between the quartiles), what it at least moves and multiplies a\n"
        "         second, and the shares of the copy and of the matrix product that were measured here\n"
        "  step   whole pre-training steps on random signals; of several ranks each has a batch, and "
        "gradients are\n"
        "         summed as in training\n"
        "  comm   all-reduce, reduce-scatter and all-gather between ranks, checked on exact numbers: time of "
        "a\n"
        "         call, and the bandwidths of algorithm and bus as NVIDIA's nccl-tests define them; under\n"
        "         mpirun beside MPI_Allreduce called directly, and over tcp as well. Start several ranks:\n"
        "         vagus launch -n 2 -- bench comm; mpirun -n 2 vagus bench comm; srun -n 2 vagus bench comm\n"
        "  data   the loader over stores=[...]: batches a second, shuffled and normalised, filled inside the "
        "call\n"
        "         or ahead by its thread\n"
        "\n%s\n"
        "--json prints one object instead. Seconds, bytes and FLOP; null: not measured.\n"
        "  benchmark, version, device, backend, threads, ranks, starter, transport\n"
        "  ceilings: {copy_bytes_s, PRECISION_flop_s}\n"
        "  ops   model, batch, results: [{op, case, precision, served_by, times (a step), seconds (the "
        "median),\n"
        "        least, most, spread (a share), calls (of one timing), samples, sets (of operands, in "
        "turn),\n"
        "        bytes, flop, copy_share, product_share}], step_seconds: {PRECISION: all added up}\n"
        "  step  results: [{model, precision, batch (of a rank), seconds, least, most, spread, segments_s "
        "(of all\n"
        "        ranks), reduced_bytes (at each), without_sums (seconds), unhidden_share (of a step), flop,\n"
        "        product_share, floor_seconds, device_bytes, later_allocations, replayed, loss}]\n"
        "  comm  results: [{transport (mpi raw: the library's own), collective, bytes (of the array), "
        "count,\n"
        "        seconds (the median), least, most, spread, calls, samples, algbw_bytes_s, busbw_bytes_s,\n"
        "        of_raw (times the library's own all-reduce)}]\n"
        "  data  segments, segment_length, results: [{samples_in (memory or mapped), batch, prefetch, "
        "seconds (the\n"
        "        median, a batch), least, most, spread, segments_s, bytes_s}]\n",
        keys);
    free(keys);
    return VG_OK;
}

/* The defaults with the words of the command line over them. */
static vg_status read_options(int count, char **words, vg_bench_options *out)
{
    vg_yaml *yaml;
    vg_status status = VG_OK;
    VG_TRY(vg_yaml_parse("{}", 2, "bench", &yaml));
    for (int i = 0; i < count && status == VG_OK; i++)
        status = vg_schema_override(&vg_bench_schema, yaml, words[i]);
    if (status == VG_OK) status = vg_schema_load(&vg_bench_schema, out, vg_yaml_root(yaml));
    vg_yaml_destroy(yaml);
    return status;
}

static const char *const kinds[] = {
    [VG_BENCH_OPS] = "ops", [VG_BENCH_STEP] = "step", [VG_BENCH_COMM] = "comm", [VG_BENCH_DATA] = "data"};
enum { KINDS = sizeof kinds / sizeof *kinds };

static vg_status run_kind(vg_bench_kind kind, vg_bench *bench)
{
    if (kind == VG_BENCH_COMM) return vg_bench_comm(bench);
    if (kind == VG_BENCH_DATA) return vg_bench_data(bench);
    VG_TRY(vg_bench_ceilings(bench));
    return kind == VG_BENCH_OPS ? vg_bench_ops(bench) : vg_bench_step(bench);
}

static vg_status run(vg_bench_kind kind, const vg_bench_options *options, bool as_json)
{
    vg_json_writer json = vg_json_writer_make(true);
    vg_bench bench;
    bool writes = false;
    vg_json_begin_object(&json, NULL);
    vg_json_put_string(&json, "benchmark", kinds[kind]);
    vg_json_put_int(&json, "version", 1);
    vg_status status = vg_bench_open(kind, options, as_json ? NULL : stdout, as_json ? &json : NULL, &bench);
    if (status == VG_OK) {
        writes = bench.json;
        status = run_kind(kind, &bench);
        vg_bench_close(&bench, status);
    }
    if (status != VG_OK || !writes) {
        vg_json_writer_free(&json);
        return status;
    }
    vg_json_end(&json);
    return vg_json_print(&json);
}

static int find_kind(const char *name)
{
    int kind = 0;
    while (kind < KINDS && strcmp(kinds[kind], name) != 0) kind++;
    return kind;
}

vg_status vg_command_bench(int argc, char **argv)
{
    int kind = KINDS, words = 0;
    bool as_json = false;
    for (int i = 0; i < argc; i++) {
        if (!strcmp(argv[i], "--help") || !strcmp(argv[i], "-h")) return print_help();
        if (!strcmp(argv[i], "--json"))
            as_json = true;
        else if (argv[i][0] == '-')
            return vg_fail(VG_ERR_CONFIG, "bench: unknown option '%s'; 'vagus bench --help' lists them",
                           argv[i]);
        else if (strchr(argv[i], '='))
            argv[words++] = argv[i];
        else if (kind == KINDS && find_kind(argv[i]) < KINDS)
            kind = find_kind(argv[i]);
        else
            return vg_fail(VG_ERR_CONFIG, "bench: '%s' is neither ops, step, comm, data nor key=value",
                           argv[i]);
    }
    if (kind == KINDS)
        return vg_fail(VG_ERR_CONFIG, "bench: ops, step, comm or data? 'vagus bench --help' tells more");
    vg_bench_options options;
    VG_TRY(read_options(words, argv, &options));
    vg_status status = run((vg_bench_kind)kind, &options, as_json);
    vg_schema_free(&vg_bench_schema, &options);
    return status;
}
