#include "experiments/runner/training/replay.h"

static vg_status run(vg_model *model, const vg_model_batch *batch, const vg_pass *pass)
{
    VG_TRY(vg_model_forward(model, batch, pass, NULL));
    return vg_model_backward(model);
}

static vg_status record(vg_replay *replay, vg_model *model, bool last, const vg_model_batch *batch,
                        const vg_pass *pass)
{
    vg_device *device = replay->device;
    VG_TRY(vg_device_record_begin(device));
    vg_status status = run(model, batch, pass);
    if (status != VG_OK) {
        vg_device_record_abandon(device);
        return status;
    }
    VG_TRY(vg_device_record_end(device, &replay->recording[last]));
    replay->count = batch->signal.dims[0];
    replay->epoch = pass->epoch;
    return VG_OK;
}

vg_status vg_replay_pass(vg_replay *replay, vg_device *device, vg_model *model, vg_parallel *parallel,
                         bool last, const vg_model_batch *batch, const vg_pass *pass)
{
    int64_t count = batch->signal.dims[0];
    last = last && parallel;
    if (last) vg_parallel_last(parallel);
    if (replay->off || !vg_device_records(device) || count < vg_model_get_options(model)->max_batch)
        return run(model, batch, pass);
    replay->device = device;
    bool fresh = replay->allocations != device->allocations;
    if (fresh || replay->count != count || replay->epoch != pass->epoch) vg_replay_free(replay);
    /* A first pass allocates scratch, makes the libraries' plans and connects the ranks, which no recording
     * may do. */
    if (fresh || !replay->ran[last]) {
        VG_TRY(run(model, batch, pass));
        if (fresh || replay->allocations != device->allocations) replay->ran[!last] = false;
        replay->ran[last] = true;
        replay->allocations = device->allocations;
        return VG_OK;
    }
    if (!replay->recording[last])
        VG_TRY(record(replay, model, last, batch, pass));
    else if (last)
        vg_parallel_replayed(parallel);
    return vg_device_replay(device, replay->recording[last]);
}

void vg_replay_free(vg_replay *replay)
{
    for (int i = 0; i < 2; i++) {
        if (replay->recording[i]) vg_recording_destroy(replay->device, replay->recording[i]);
        replay->recording[i] = NULL;
    }
}
