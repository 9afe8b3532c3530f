"""The whole program on the emulated GPU: what it trains is what the CPU trains, in every precision, in whatever order
threads, blocks and streams run, interrupted or not. Usage: test_trainer.py VAGUS_EMULATED

The bounds are no hand's. Two right programs differ by rounding, and by how much shows beside: the CPU backends `cpu` and
`ref` round fp32 differently, and `ref` in bf16 differs from fp32 as any program in bf16 does. The losses of the emulated
GPU may be off from those of `cpu` by four times as much (by norm over all steps: single steps may be lucky), with at
least eight units in the last place of a float for fp32."""
import csv
import json
import math
import os
import sys

sys.path.insert(0, os.path.join(os.environ["VAGUS_SOURCE"], "tests", "runner"))

import program
from program import SANITIZED, Folder, lines, read, run, write

EMULATED = os.path.abspath(sys.argv[1])
STEPS = 4 if SANITIZED else 20

EXPERIMENT = """
name: emulated
seed: 5
output_dir: runs/x
device: cpu
threads: 2
data: {stores: [ecg.h5], seconds: 1, validation: 0.25, max_segments: 32}
model: {conv_channels: [16, 32], conv_kernels: [9, 5], layers: 2, heads: 1, feedforward: 64, reconstruction_head: [16],
        classification_head: [16]}
train: {epochs: 9, batch_size: 4, micro_batch: 3, log_every: 1, validation_segments: 4}
optimizer: {lr: 2e-3, clip_norm: 1}
scheduler: {kind: cosine, warmup_epochs: 0.5}
checkpoint: {every_steps: 2, keep: 99}
"""

TUNE = """
extends: x.yaml
name: emulated-tune
data: {target: synthetic_arousal, max_segments: 8}
train: {epochs: 1}
checkpoint: {init_from: runs/bf16}
evaluation: {split: subject, folds: 2, max_folds: 1, methods: [pretrained]}
"""


def emulated(*words, order=0, memory=512, **options):
    """The same, on the emulated GPU."""
    cpu, program.VAGUS = program.VAGUS, EMULATED
    surroundings = os.environ | {"EMULATED_ORDER": str(order), "EMULATED_MEMORY": str(memory)}
    told = run(*words, "device=cuda", env=surroundings, **options)
    program.VAGUS = cpu
    return told


def pretrain(start, folder, *words, steps=STEPS, **options):
    return start("pretrain", "x.yaml", f"output_dir=runs/{folder}", f"train.max_steps={steps}", *words, **options)


def losses(folder):
    return [line["train.loss"] for line in lines(f"runs/{folder}/metrics.jsonl") if "train.loss" in line]


def off(folder, other):
    """|a - b| / |b| by norm."""
    a, b = losses(folder), losses(other)
    assert len(a) == len(b) == STEPS, (len(a), len(b))
    return math.sqrt(sum((x - y) ** 2 for x, y in zip(a, b)) / sum(y * y for y in b))


def follows(folder, yardstick, least):
    error, usual = off(folder, "cpu"), off(yardstick, "cpu")
    print(f"{folder}: losses of {STEPS} steps off by {error:.2g}; {yardstick} by {usual:.2g}")
    assert error <= 4 * max(usual, least), (folder, error, usual)
    validation = [line["validation.loss"] for line in lines(f"runs/{folder}/metrics.jsonl") if "validation.loss" in line]
    print(f"{folder}: masked loss of held-out segments {validation[0]:.4f} -> {validation[-1]:.4f}")
    assert validation[-1] < (1 if SANITIZED else 0.97) * validation[0], validation


def same(a, b):
    """Every checkpoint that both hold, bit for bit; returns how many."""
    here, there = (set(name for name in os.listdir(f"runs/{x}/checkpoints") if name.startswith("step_")) for x in (a, b))
    for name in here & there:
        for file in ("model.safetensors", "optimizer.safetensors", "trainer.json"):
            path = f"/checkpoints/{name}/{file}"
            assert read(f"runs/{a}" + path) == read(f"runs/{b}" + path), (a, b, path)
    return len(here & there)


def trained():
    pretrain(run, "cpu", "precision=fp32")
    pretrain(run, "ref", "precision=fp32", "backend=ref")
    pretrain(run, "ref-bf16", "precision=bf16", "backend=ref")
    pretrain(emulated, "fp32", "precision=fp32")
    pretrain(emulated, "bf16", says="device emulated GPU, backend cuda, precision bf16")
    follows("fp32", "ref", 2.0**-24)
    follows("bf16", "ref-bf16", 0)
    state = json.loads(read(f"runs/bf16/checkpoints/step_{STEPS}/trainer.json"))
    assert state["device"] == "emulated GPU" and state["precision"] == "bf16", state


def order_and_interruption():
    """Runs of four steps: another order of threads, and one that was stopped between (it goes on as if it had not)."""
    for order in (11, 12):
        pretrain(emulated, f"order{order}", steps=4, order=order)
    assert same("order11", "order12") >= 2
    # The schedule depends on the number of steps, so what goes on is the long run, from a checkpoint in its middle.
    folder = "runs/resumed/checkpoints"
    os.makedirs(folder)
    middle = 2 if SANITIZED else 16
    os.system(f"cp -r runs/bf16/checkpoints/step_{middle} {folder}/ && cp runs/bf16/config.yaml runs/bf16/metrics.jsonl runs/resumed/")
    text = read("runs/resumed/config.yaml").decode().replace("runs/bf16", "runs/resumed")
    write("runs/resumed/config.yaml", text)
    pretrain(emulated, "resumed", "--resume", order=13)
    assert same("resumed", "bf16") >= 2
    assert read("runs/resumed/metrics.jsonl") == read("runs/bf16/metrics.jsonl")


def probabilities(path):
    with open(path, newline="") as file:
        return [float(row["pretrained"]) for row in csv.DictReader(file)]


def portable():
    """A checkpoint of the GPU in bf16 starts a classifier on the GPU and on the CPU in fp32."""
    emulated("finetune", "tune.yaml", "output_dir=runs/tuned", "train.max_steps=2", says="precision bf16")
    run("finetune", "tune.yaml", "output_dir=runs/tuned-cpu", "train.max_steps=2", says="precision fp32")
    a, b = (probabilities(f"runs/{x}/predictions.csv") for x in ("tuned", "tuned-cpu"))
    assert len(a) == len(b) > 0 and all(0 < p < 1 for p in a)
    worst = max(abs(x - y) for x, y in zip(a, b))
    print(f"probabilities of the classifier in bf16 and fp32 differ by at most {worst:.2g}")


def memory():
    """What does not fit is refused with the batch that would (tests/models/test_memory.c trains on it), at once."""
    words = ["train.batch_size=32", "train.micro_batch=32", "model.feedforward=512"]
    says = ["the model does not fit", "at 32 segments of 128 samples", "12.0 MiB are free", "train.micro_batch="]
    told = pretrain(emulated, "large", *words, memory=12, steps=1, expect=1, says=says, both=True)
    assert 8 < int(told.split("train.micro_batch=")[1].split()[0]) < 32, told
    assert not os.path.exists("runs/large"), "a run that never began left a directory behind"


with Folder():
    run("data", "synth", "--out", "ecg.h5", "--subjects=4", "--seconds=30", "--seed=3")
    write("x.yaml", EXPERIMENT)
    write("tune.yaml", TUNE)
    trained()
    order_and_interruption()
    portable()
    memory()
