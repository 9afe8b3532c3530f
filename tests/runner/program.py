"""Runs the program for the end-to-end tests: a temporary folder, tiny experiments, exit codes and messages."""
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile

VAGUS = os.environ["VAGUS_PROGRAM"]
SEED = int(os.environ.get("VAGUS_TEST_SEED", "20220601"))
SANITIZED = os.environ.get("VAGUS_SANITIZED", "") != ""


def skip(reason):
    print("skipped: " + reason)
    sys.exit(77)


class Folder:
    """A temporary folder as the working directory; its removal at exit."""

    def __enter__(self):
        self.path = tempfile.mkdtemp(prefix="vagus-test-")
        self.before = os.getcwd()
        os.chdir(self.path)
        print(f"seed {SEED} (set VAGUS_TEST_SEED to replay another)")
        random.seed(SEED)
        return self.path

    def __exit__(self, *_):
        os.chdir(self.before)
        shutil.rmtree(self.path, ignore_errors=True)


def start(*words, **options):
    return subprocess.Popen([VAGUS, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)


def run(*words, expect=0, says=(), both=False, **options):
    """Runs a command; checks its exit code and that its output holds every text of `says`. Returns stdout, with `both` also
    stderr."""
    process = subprocess.run([VAGUS, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)
    told = process.stdout + process.stderr
    line = "vagus " + " ".join(words)
    assert process.returncode == expect, f"{line}: exit {process.returncode}, want {expect}\n{told}"
    for text in [says] if isinstance(says, str) else says:
        assert text in told, f"{line}: does not say {text!r}\n{told}"
    assert "Sanitizer" not in told and "runtime error" not in told, told
    return told if both else process.stdout


def write(path, text):
    with open(path, "w") as file:
        file.write(text)
    return path


def read(path):
    with open(path, "rb") as file:
        return file.read()


def lines(path):
    with open(path) as file:
        return [json.loads(line) for line in file]


def synth(path="ecg.h5", subjects=4, seconds=100, **options):
    words = [f"--{name.replace('_', '-')}={value}" for name, value in options.items()]
    run("data", "synth", "--out", path, f"--subjects={subjects}", f"--seconds={seconds}", "--seed=3", *words)
    return path


# A model of a thousand weights on 5 s segments: a step takes milliseconds.
PRETRAIN = """
name: tiny
seed: 5
output_dir: runs/tiny
device: cpu
threads: 2
data: {stores: [ecg.h5], seconds: 5, validation: 0.25}
model: {conv_channels: [4, 8], conv_kernels: [9, 5], layers: 1, heads: 2, feedforward: 16, reconstruction_head: [8],
        classification_head: [8]}
train: {epochs: 3, batch_size: 8, log_every: 1}
optimizer: {lr: 3e-3, clip_norm: 1}
scheduler: {kind: cosine, warmup_epochs: 0.5}
checkpoint: {every_steps: 4, keep: 2}
"""

FINETUNE = """
extends: tiny.yaml
name: tiny-finetune
output_dir: runs/tuned
data: {target: synthetic_arousal}
train: {epochs: 2}
checkpoint: {init_from: runs/tiny}
evaluation: {split: subject, folds: 2}
"""


def tiny():
    write("tiny.yaml", PRETRAIN)
    write("tune.yaml", FINETUNE)
