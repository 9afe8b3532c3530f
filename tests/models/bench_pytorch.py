"""Training speed beside PyTorch: the same model, batch and threads, one after the other on this machine.

    bench_pytorch.py VAGUS [EXPERIMENT.yaml] [BATCH] [THREADS]     default: the paper's model, 8, 2

A whole training step each (masks, dropout, forward, backward, Adam), on synthetic ECG. Vagus: the difference of a
long and a short run, so that loading does not count; PyTorch: the best of several steps of the twin.
"""
import os
import subprocess
import sys
import tempfile
import time

here = os.path.dirname(os.path.abspath(__file__))
root = os.path.dirname(os.path.dirname(here))
sys.path.insert(0, os.path.join(root, "models", "pytorch"))
vagus = os.path.abspath(sys.argv[1])
experiment = os.path.abspath(sys.argv[2] if len(sys.argv) > 2 else root + "/experiments/pretrain/icpr2022.yaml")
batch = int(sys.argv[3]) if len(sys.argv) > 3 else 8
threads = int(sys.argv[4]) if len(sys.argv) > 4 else 2
SHORT, LONG = 5, 25


def pretrain(steps):
    start = time.time()
    subprocess.run([vagus, "pretrain", experiment, "data.stores=[ecg.h5]", f"output_dir=run{steps}", "train.epochs=1000",
                    f"train.max_steps={steps}", f"train.batch_size={batch}", "data.validation=0", f"threads={threads}"],
                   check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.time() - start


def torch_steps(count):
    import torch
    import vagus_torch

    torch.set_num_threads(threads)
    folder = f"run{SHORT}/checkpoints/step_{SHORT}"
    model = vagus_torch.load(folder + "/model.safetensors").train()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-4, weight_decay=0.005)
    signal = torch.randn(batch, 1280)
    mask = torch.rand(batch, 1280) < 0.48
    for _ in range(count):
        start = time.time()
        optimizer.zero_grad()
        vagus_torch.masked_mse(model(signal * ~mask), signal, mask).backward()
        optimizer.step()
        yield time.time() - start


with tempfile.TemporaryDirectory() as folder:
    os.chdir(folder)
    subprocess.run([vagus, "data", "synth", "--out", "ecg.h5", "--subjects", "8"], check=True, stdout=subprocess.DEVNULL)
    short, long = pretrain(SHORT), pretrain(LONG)
    ours = (long - short) / (LONG - SHORT)
    theirs = min(torch_steps(6))
    os.chdir("/")
print(f"a step of {batch} segments on {threads} threads: vagus {1000 * ours:.0f} ms ({batch / ours:.1f} segments/s), "
      f"PyTorch {1000 * theirs:.0f} ms ({batch / theirs:.1f} segments/s): {theirs / ours:.1f} times as fast")
