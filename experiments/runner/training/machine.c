#define _GNU_SOURCE /* sched_getaffinity */
#include "experiments/runner/training/machine.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/hash.h"
#include "core/log.h"
#include "core/progress.h"

/* ---- The device ---------------------------------------------------------------------------------------- */

vg_status vg_machine_choose_device(const char *wanted, const vg_place *place, char name[64])
{
    snprintf(name, 64, "%s", wanted);
    if (place->local_size == 1 || (strcmp(name, "auto") && strcmp(name, "cuda"))) return VG_OK;
    vg_gpu gpu;
    int gpus = 0;
    while (gpus <= place->local_rank && vg_gpu_look(gpus, &gpu) == VG_OK) gpus++;
    if (gpus == 0) return VG_OK; /* the CPU, or the reason why there is no GPU: vg_device_open() tells */
    if (gpus > 1 && place->local_rank >= gpus)
        return vg_fail(
            VG_ERR_CONFIG,
            "%d ranks were started on this machine, which has %d GPUs for them: start one a GPU, or "
            "take device=cpu",
            place->local_size, gpus);
    snprintf(name, 64, "cuda:%d", gpus > 1 ? place->local_rank : 0);
    return VG_OK;
}

static vg_status resolve_precision(const vg_experiment *experiment, vg_machine *machine)
{
    static const char *const names[] = {"fp32", "tf32", "bf16"};
    const char *wanted = vg_experiment_choice(experiment, "precision");
    bool gpu = !machine->device->ops->is_host;
    if (!strcmp(wanted, "auto")) wanted = gpu ? "bf16" : "fp32";
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (!strcmp(wanted, names[i])) machine->precision = names[i];
    bool bf16 = !strcmp(wanted, "bf16");
    machine->dtype = bf16 ? VG_BF16 : VG_F32;
    if (!gpu && !strcmp(wanted, "tf32"))
        return vg_fail(VG_ERR_CONFIG,
                       "precision is tf32, which only GPUs compute in, and no GPU was found; take fp32");
    if (!gpu && bf16)
        vg_warn("precision bf16 on the CPU is for checking: the plain loops that compute it are many times "
                "slower than fp32");
    return VG_OK;
}

/* ---- Ranks --------------------------------------------------------------------------------------------- */

/* A rank that `vagus launch` prints for has its number in front of its lines already. */
static char prefix[96];

static void other_rank_sink(vg_log_level level, const char *line, void *context)
{
    (void)context;
    char text[2048];
    if (level < VG_LOG_WARN) return;
    snprintf(text, sizeof text, "%s%s: %s", prefix, level == VG_LOG_ERROR ? "error" : "warning", line);
    vg_console_line(text);
}

static void quieten(const vg_place *place)
{
    char host[64] = "";
    if (place->rank == 0) return;
    if (place->starter != VG_STARTER_LAUNCH && gethostname(host, sizeof host - 1) == 0)
        snprintf(prefix, sizeof prefix, "rank %d (%s): ", place->rank, host);
    vg_log_set_sink(other_rank_sink, NULL);
}

/* A number that ranks share which run on the same cores of the same machine; exact as a double. */
static double cores_number(void)
{
    char host[64] = "";
    cpu_set_t cores;
    CPU_ZERO(&cores);
    (void)gethostname(host, sizeof host - 1);
    (void)sched_getaffinity(0, sizeof cores, &cores);
    const uint64_t hash = vg_hash_add(vg_hash_add(VG_HASH_NOTHING, host, sizeof host), &cores, sizeof cores);
    return (double)(hash >> 12);
}

vg_status vg_machine_share_cores(int threads, vg_group *group)
{
    int size = vg_group_size(group), rank = vg_group_rank(group), sharing = 0;
    vg_kernels_set_threads(threads);
    if (size == 1) return VG_OK;
    double *numbers = calloc((size_t)size, sizeof *numbers);
    if (!numbers) return vg_fail(VG_ERR_MEMORY, "no memory for %d ranks", size);
    double mine = numbers[rank] = cores_number();
    vg_status status = vg_group_sum(group, "cores", numbers, size);
    for (int i = 0; i < size; i++) sharing += numbers[i] <= mine && numbers[i] >= mine;
    free(numbers);
    VG_TRY(status);
    const char *chosen = getenv("OMP_NUM_THREADS");
    if (threads || (chosen && *chosen)) return VG_OK;
    const int share = vg_kernels_threads() / sharing;
    vg_kernels_set_threads(share > 1 ? share : 1);
    return VG_OK;
}

/* What is said before there is a log, such as why `auto` took the processor: kept for
 * vg_machine_describe(). */
static char kept[8][512];
static int kept_count;

static void keep_sink(vg_log_level level, const char *line, void *context)
{
    (void)context;
    if (level >= VG_LOG_WARN)
        fprintf(stderr, "vagus: %s: %s\n", level == VG_LOG_WARN ? "warning" : "error", line);
    else if (kept_count < (int)(sizeof kept / sizeof *kept))
        snprintf(kept[kept_count++], sizeof *kept, "%s", line);
}

/* ---- A machine ----------------------------------------------------------------------------------------- */

vg_status vg_machine_make(const vg_experiment *experiment, vg_machine *out)
{
    vg_place place;
    char name[64];
    vg_status status;
    *out = (vg_machine){0};
    VG_TRY(vg_place_find(&place));
    kept_count = 0;
    if (place.rank == 0) vg_log_set_sink(keep_sink, NULL);
    quieten(&place);
    /* The backends that can be named work on the host's memory. */
    const bool named = strcmp(vg_experiment_choice(experiment, "backend"), "auto") != 0;
    const char *wanted = named && !strcmp(experiment->device, "auto") ? "cpu" : experiment->device;
    VG_TRY_OUT(vg_machine_choose_device(wanted, &place, name));
    VG_TRY_OUT(vg_device_open(name, &out->device));
    VG_TRY_OUT(resolve_precision(experiment, out));
    vg_group_options options = {.transport = vg_experiment_choice(experiment, "parallel.transport"),
                                .device = out->device,
                                .timeout = experiment->parallel.timeout,
                                .start_timeout = experiment->parallel.start_timeout};
    VG_TRY_OUT(vg_group_open(&place, &options, &out->group));
    VG_TRY_OUT(vg_machine_share_cores((int)experiment->threads, out->group));
    VG_TRY_OUT(
        vg_kernels_create(out->device, vg_experiment_choice(experiment, "backend"), false, &out->kernels));
    out->kernels->tf32 = !strcmp(out->precision, "tf32");
out:
    if (place.rank == 0) vg_log_set_sink(NULL, NULL);
    if (status != VG_OK) vg_machine_free(out, status);
    return status;
}

void vg_machine_describe(const vg_machine *machine)
{
    const vg_place *place = vg_group_place(machine->group);
    for (int i = 0; i < kept_count; i++) vg_info("%s", kept[i]);
    kept_count = 0;
    vg_info("device %s, backend %s, precision %s, %d threads", machine->device->model,
            machine->kernels->backend, machine->precision, vg_kernels_threads());
    if (place->size > 1)
        vg_info("%d ranks, started by %s, over %s", place->size, vg_starter_name(place->starter),
                vg_group_transport(machine->group));
    if (place->restarts) vg_info("started again, time %d: goes on if there is a checkpoint", place->restarts);
}

void vg_machine_free(vg_machine *machine, vg_status status)
{
    bool other = machine->group && vg_group_rank(machine->group) > 0;
    vg_kernels_destroy(machine->kernels);
    vg_group_close(machine->group, status);
    vg_device_destroy(machine->device);
    if (other) vg_log_set_sink(NULL, NULL);
    *machine = (vg_machine){0};
}

bool vg_machine_writes(const vg_machine *machine)
{
    return vg_group_rank(machine->group) == 0;
}

void vg_machine_share(const vg_machine *machine, int64_t total, int64_t *first, int64_t *count)
{
    int64_t rank = vg_group_rank(machine->group), size = vg_group_size(machine->group);
    *first = total * rank / size;
    *count = total * (rank + 1) / size - *first;
}

int64_t vg_machine_most(const vg_machine *machine, int64_t batch)
{
    int64_t size = vg_group_size(machine->group);
    return (batch + size - 1) / size;
}
