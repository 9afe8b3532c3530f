/* vagus doctor: what this program is, what it finds on this machine, and who would compute what. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/group/group.h"
#include "experiments/runner/commands/command.h"
#include "kernels/kernels.h"

/* What the build was allowed to use of the processor; oneDNN finds out for itself what there is. */
#ifdef __AVX512BF16__
#define PROCESSOR "AVX-512 with bf16"
#elif defined __AVX512F__
#define PROCESSOR "AVX-512"
#elif defined __AVX2__
#define PROCESSOR "AVX2"
#else
#define PROCESSOR "neither AVX2 nor AVX-512"
#endif

#ifdef __clang__
#define COMPILER __VERSION__ /* begins with its name */
#else
#define COMPILER "gcc " __VERSION__
#endif

enum { MOST_GPUS = 15 };

typedef struct found_device {
    char name[16]; /* "cpu", "cuda:0": as experiments name it */
    vg_gpu gpu;    /* of a GPU */
    vg_device *device;
    vg_kernels *kernels; /* NULL: cannot be used */
    char problem[512];   /* and why */
} found_device;

typedef struct findings {
    long processors;
    int threads;
    double memory; /* bytes */
    vg_cuda_report cuda;
    char nccl[600], mpi[600];            /* the library's version and file, or why it cannot be used */
    found_device devices[1 + MOST_GPUS]; /* the host first */
    int count;
} findings;

/* That a device cannot be used is a finding and no error. */
static void try_device(found_device *device)
{
    vg_status status = vg_device_open(device->name, &device->device);
    if (status == VG_OK) status = vg_kernels_create(device->device, "auto", false, &device->kernels);
    if (status != VG_OK) snprintf(device->problem, sizeof device->problem, "%s", vg_cause());
}

static void look_for_transport(const char *name, char text[600])
{
    if (vg_group_find(name, text, 600) != VG_OK) snprintf(text, 600, "%s", vg_cause());
}

static void look(findings *out)
{
    *out = (findings){.processors = sysconf(_SC_NPROCESSORS_ONLN),
                      .threads = vg_kernels_threads(),
                      .memory = (double)sysconf(_SC_PAGESIZE) * (double)sysconf(_SC_PHYS_PAGES)};
    vg_cuda_look(&out->cuda);
    look_for_transport("nccl", out->nccl);
    look_for_transport("mpi", out->mpi);
    const int gpus = out->cuda.gpus < MOST_GPUS ? out->cuda.gpus : MOST_GPUS;
    for (int i = -1; i < gpus; i++) {
        found_device *device = &out->devices[out->count++];
        if (i < 0)
            snprintf(device->name, sizeof device->name, "cpu");
        else
            snprintf(device->name, sizeof device->name, "cuda:%d", i);
        if (i < 0 || vg_gpu_look(i, &device->gpu) == VG_OK)
            try_device(device);
        else
            snprintf(device->problem, sizeof device->problem, "%s", vg_cause());
    }
}

static void close_all(findings *f)
{
    for (int i = 0; i < f->count; i++) {
        vg_kernels_destroy(f->devices[i].kernels);
        vg_device_destroy(f->devices[i].device);
    }
}

static void line(const char *label, const char *text)
{
    printf("  %-12s %s\n", label, text);
}

/* A line of the table: who serves an operation on each device that can be used; -1: the devices' names. */
static void print_row(const findings *f, const char *label, int op)
{
    printf("%s%-*s", op < 0 ? "\n" : "  ", op < 0 ? 29 : 27, label);
    int spaces = 1;
    for (int i = 0; i < f->count; i++) {
        if (!f->devices[i].kernels) continue;
        const char *text = op < 0 ? f->devices[i].name : f->devices[i].kernels->served_by[op];
        printf("%*s%s", spaces, "", text);
        spaces = 9 - (int)strlen(text);
    }
    printf("\n");
}

static void print_findings(const findings *f)
{
    printf("vagus %s\n", VAGUS_VERSION);
    line("compiler", COMPILER);
    line("processors", "built for those with " PROCESSOR);
    if (f->cuda.built)
        printf("  %-12s %s, for compute capability %s and newer\n", "CUDA", f->cuda.version,
               f->cuda.architectures);
    else
        line("CUDA", "not built in");

    printf("\nthis machine\n");
    printf("  %-12s %ld, of which %d threads are used\n", "processors", f->processors, f->threads);
    printf("  %-12s %.1f GiB\n", "memory", f->memory / (1 << 30));
    if (*f->cuda.driver) printf("  %-12s knows CUDA %s\n", "GPU driver", f->cuda.driver);
    for (int i = 1; i < f->count; i++) {
        const found_device *d = &f->devices[i];
        printf("  %-12s %s, compute capability %d.%d, %d multiprocessors, %.1f GiB\n", d->name, d->gpu.name,
               d->gpu.compute / 10, d->gpu.compute % 10, d->gpu.multiprocessors,
               (double)d->gpu.memory / (1 << 30));
        if (*d->problem) line("", d->problem);
        if (d->kernels && d->kernels->notes) line("", d->kernels->notes);
    }
    if (f->count == 1) printf("  %-12s none: %s\n", "GPUs", f->cuda.problem);
    if (f->cuda.built) {
        line("cuBLASLt", f->cuda.cublaslt);
        line("cuDNN", f->cuda.cudnn);
    }
    line("NCCL", f->nccl);
    line("MPI", f->mpi);
    if (*f->devices[0].problem) line("cpu", f->devices[0].problem);

    print_row(f, "served on", -1);
    for (int op = 0; op < VG_KERNEL_COUNT; op++) print_row(f, vg_kernel_name((vg_kernel_id)op), op);
}

static void put_device(vg_json_writer *json, const found_device *d)
{
    vg_json_begin_object(json, NULL);
    vg_json_put_string(json, "name", d->name);
    vg_json_put_string(json, "problem", *d->problem ? d->problem : NULL);
    if (strcmp(d->name, "cpu") != 0) {
        vg_json_put_string(json, "model", d->gpu.name);
        vg_json_put_double(json, "compute_capability", d->gpu.compute / 10.0);
        vg_json_put_int(json, "multiprocessors", d->gpu.multiprocessors);
        vg_json_put_double(json, "memory", (double)d->gpu.memory);
    }
    if (d->kernels) {
        vg_json_put_string(json, "backend", d->kernels->backend);
        vg_json_put_string(json, "notes", d->kernels->notes);
        vg_json_begin_object(json, "served_by");
        for (int op = 0; op < VG_KERNEL_COUNT; op++)
            vg_json_put_string(json, vg_kernel_name((vg_kernel_id)op), d->kernels->served_by[op]);
        vg_json_end(json);
    }
    vg_json_end(json);
}

static vg_status print_json(const findings *f)
{
    vg_json_writer json = vg_json_writer_make(true);
    vg_json_begin_object(&json, NULL);
    vg_json_put_string(&json, "version", VAGUS_VERSION);
    vg_json_put_string(&json, "compiler", COMPILER);
    vg_json_put_string(&json, "built_for", PROCESSOR);
    vg_json_put_int(&json, "processors", f->processors);
    vg_json_put_int(&json, "threads", f->threads);
    vg_json_put_double(&json, "memory", f->memory);
    vg_json_begin_object(&json, "cuda");
    vg_json_put_bool(&json, "built", f->cuda.built);
    vg_json_put_string(&json, "version", f->cuda.built ? f->cuda.version : NULL);
    vg_json_put_string(&json, "architectures", f->cuda.built ? f->cuda.architectures : NULL);
    vg_json_put_string(&json, "driver", *f->cuda.driver ? f->cuda.driver : NULL);
    vg_json_put_string(&json, "problem", *f->cuda.problem ? f->cuda.problem : NULL);
    vg_json_put_string(&json, "cublaslt", f->cuda.built ? f->cuda.cublaslt : NULL);
    vg_json_put_string(&json, "cudnn", f->cuda.built ? f->cuda.cudnn : NULL);
    vg_json_end(&json);
    vg_json_begin_object(&json, "transports");
    vg_json_put_string(&json, "nccl", f->nccl);
    vg_json_put_string(&json, "mpi", f->mpi);
    vg_json_end(&json);
    vg_json_begin_array(&json, "devices");
    for (int i = 0; i < f->count; i++) put_device(&json, &f->devices[i]);
    vg_json_end(&json);
    vg_json_end(&json);
    return vg_json_print(&json);
}

vg_status vg_command_doctor(int argc, char **argv)
{
    bool as_json = false;
    for (int i = 0; i < argc; i++) {
        if (!strcmp(argv[i], "--help") || !strcmp(argv[i], "-h")) {
            printf(
                "vagus doctor [--json]\n\nWhat this program was built with, the processors, memory and GPUs "
                "of this "
                "machine, why a GPU cannot be used,\nwhat there is for ranks to speak through, and which "
                "backend serves each operation on each device. "
                "--json: the same as one object.\n");
            return VG_OK;
        }
        if (strcmp(argv[i], "--json") != 0)
            return vg_fail(VG_ERR_CONFIG, "doctor: unknown argument '%s'; it knows --json and --help",
                           argv[i]);
        as_json = true;
    }
    findings found;
    look(&found);
    vg_status status = VG_OK;
    if (as_json)
        status = print_json(&found);
    else
        print_findings(&found);
    close_all(&found);
    return status;
}
