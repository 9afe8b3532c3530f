#include "experiments/runner/training/replay.h"

static vg_status run(vg_model *model, const vg_model_batch *batch, const vg_pass *pass)
{
    VG_TRY(vg_model_forward(model, batch, pass, NULL));
    return vg_model_backward(model);
}

static vg_status record(vg_replay *replay, vg_model *model, const vg_model_batch *batch, const vg_pass *pass)
{
    vg_device *device = replay->device;
    VG_TRY(vg_device_record_begin(device));
    vg_status status = run(model, batch, pass);
    if (status != VG_OK) {
        vg_device_record_abandon(device);
        return status;
    }
    VG_TRY(vg_device_record_end(device, &replay->recording));
    replay->count = batch->signal.dims[0];
    replay->epoch = pass->epoch;
    return VG_OK;
}

vg_status vg_replay_pass(vg_replay *replay, vg_device *device, vg_model *model, const vg_model_batch *batch,
                         const vg_pass *pass)
{
    int64_t count = batch->signal.dims[0];
    if (replay->off || !vg_device_records(device) || count < vg_model_get_options(model)->max_batch)
        return run(model, batch, pass);
    replay->device = device;
    if (replay->recording && (replay->allocations != device->allocations || replay->count != count ||
                              replay->epoch != pass->epoch))
        vg_replay_free(replay);
    if (!replay->recording) {
        /* The first pass allocates scratch and makes the libraries' plans, which no recording may do. */
        if (replay->ordinary == 0 || replay->allocations != device->allocations) {
            replay->ordinary = 1;
            VG_TRY(run(model, batch, pass));
            replay->allocations = device->allocations;
            return VG_OK;
        }
        VG_TRY(record(replay, model, batch, pass));
    }
    return vg_device_replay(device, replay->recording);
}

void vg_replay_free(vg_replay *replay)
{
    if (replay->recording) vg_recording_destroy(replay->device, replay->recording);
    replay->recording = NULL;
}
