"""Ranks with an emulated GPU each, over a stand-in of NCCL: what they train is what one rank trains, and what the CPU
trains with two; the same bits in every order of threads and streams, recorded or not; and a rank that is lost, silent or
refused ends the others in time. Usage: test_ranks_emulated.py VAGUS_EMULATED

The steps of one rank and of two differ by rounding (a sum of two ranks' sums is not the sum of one), by how much is bounded
as in tests/runner/test_ranks.py."""
import json
import os
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.environ["VAGUS_SOURCE"], "tests", "runner"))

from program import SANITIZED, Folder, read, run, skip, write
from ranks import apart, curve, curves_apart, last_checkpoint, run_ranks, same_bits

EMULATED = os.path.abspath(sys.argv[1])
STEPS = 4 if SANITIZED else 12
PATIENCE = 10 if SANITIZED else 1
TOLERANCE = 1e-5

EXPERIMENT = f"""
name: emulated
seed: 5
output_dir: runs/x
device: cuda
precision: fp32
threads: 1
data: {{stores: [ecg.h5], seconds: 1, validation: 0.25, max_segments: 32}}
model: {{conv_channels: [4, 8], conv_kernels: [9, 5], layers: 1, heads: 2, feedforward: 16, reconstruction_head: [8],
        classification_head: [8]}}
train: {{epochs: 99, batch_size: 4, log_every: 1, validation_segments: 4, max_steps: {STEPS}}}
optimizer: {{lr: 2e-3, clip_norm: 1}}
scheduler: {{kind: cosine, warmup_epochs: 0.5}}
checkpoint: {{every_steps: {STEPS // 2}, keep: 99}}
parallel: {{timeout: {30 * PATIENCE}, start_timeout: {30 * PATIENCE}, bucket_mib: 0.001}}
"""


def emulated(number, name, *words, order=0, gpus=2, **options):
    """A run by so many ranks, each with a GPU of its own."""
    folder = "runs/" + name
    told = run_ranks("launch" if number > 1 else "alone", number, "pretrain", "x.yaml", "output_dir=" + folder, *words,
                     program=EMULATED, timeout=120 * PATIENCE, EMULATED_ORDER=str(order), EMULATED_GPUS=str(gpus), **options)
    if not options.get("expect"):
        assert len(curve(folder)) == STEPS, curve(folder)
        assert number == 1 or f"{number} ranks, started by vagus launch, over nccl" in told, told
    return folder


def on_cpu(number, name, *words):
    folder = "runs/" + name
    run_ranks("launch" if number > 1 else "alone", number, "pretrain", "x.yaml", "output_dir=" + folder, "device=cpu", *words)
    return folder


def agree(a, b, what):
    loss, weights = curves_apart(a, b), apart(*(f"{last_checkpoint(folder)}/model.safetensors" for folder in (a, b)))
    print(f"{what}: losses {loss:.1e}, weights {weights:.1e} apart")
    assert loss <= TOLERANCE and weights <= TOLERANCE, what


def same_training():
    two = emulated(2, "two", order=1)
    agree(emulated(1, "one"), two, "1 and 2 ranks")
    same_bits(two, emulated(2, "again", order=2))
    same_bits(two, emulated(2, "not-recorded", "train.cuda_graph=false", order=3))
    for name, words in (("sharded", []), ("sharded-not-recorded", ["train.cuda_graph=false"])):
        agree(two, emulated(2, name, "parallel.shard_optimizer=true", *words, order=4), f"2 ranks, {name}")
    same_bits("runs/sharded", "runs/sharded-not-recorded")
    return two


def as_on_the_cpu(two):
    """Two right programs differ by rounding; the CPU's two backends show by how much (test_trainer.py)."""
    cpu = on_cpu(2, "cpu")
    usual = curves_apart(on_cpu(1, "cpu-one"), on_cpu(1, "ref-one", "backend=ref"))
    off = curves_apart(cpu, two)
    print(f"2 ranks over nccl and over tcp: losses {off:.1e} apart; the backends of the CPU {usual:.1e}")
    assert off <= 4 * max(usual, 2.0**-24), (off, usual)


def disturbed(name, restarts, step, expect, says):
    """A run whose rank 1 is killed when it has come so far; how long the rest took to end."""
    words = ["launch", "-n", "2", "--max-restarts", str(restarts), "--", "pretrain", "x.yaml", "output_dir=runs/" + name]
    with subprocess.Popen([EMULATED, *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
                          env={**os.environ, "EMULATED_GPUS": "2"}) as process:
        try:
            told, killed, ends = "", None, time.monotonic() + 120 * PATIENCE
            path = f"runs/{name}/metrics.jsonl"
            while killed is None and process.poll() is None and time.monotonic() < ends:
                time.sleep(0.01)
                if os.path.exists(path) and read(path).count(b"train.loss") >= step:
                    killed = time.monotonic()
                    os.kill(rank_one(process.pid), signal.SIGKILL)
            told, _ = process.communicate(timeout=120 * PATIENCE)
        finally:
            try:
                os.killpg(process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
    assert killed is not None, told
    assert process.returncode == expect, (process.returncode, told)
    for text in says:
        assert text in told, told
    return time.monotonic() - killed


def rank_one(launcher):
    """The process that was told to be rank 1, among the launcher's children."""
    for number in filter(str.isdigit, os.listdir("/proc")):
        try:
            environment = read(f"/proc/{number}/environ").split(b"\0")
            parent = int(read(f"/proc/{number}/stat").rsplit(b")", 1)[1].split()[1])
        except (OSError, IndexError):
            continue
        if b"RANK=1" in environment and parent == launcher:
            return int(number)
    raise AssertionError("rank 1 is not there")


def lost(two):
    took = disturbed("lost", 0, 3, 1, ["rank 1", "is lost"])
    assert took < 10 * PATIENCE, took  # known at once: the timeout is three times as long
    disturbed("restarted", 1, STEPS // 2 + 1, 0, ["rank 1"])
    same_bits(two, "runs/restarted")


def refused():
    emulated(2, "hangs", "parallel.timeout=3", expect=1, says="did not end within 3 s", EMULATED_NCCL="hang:1:30")
    emulated(2, "fails", expect=1, says=["rank 1", "the stand-in was told to fail", "NCCL_DEBUG=INFO"], EMULATED_NCCL="error:1:30")
    emulated(2, "shared", gpus=1, expect=1, says=["Duplicate GPU detected", "each needs its own"])
    emulated(3, "crowded", gpus=2, expect=2, says="3 ranks were started on this machine, which has 2 GPUs")


with Folder():
    if "stand-in" not in json.loads(run_ranks("alone", 1, "doctor", "--json", program=EMULATED))["transports"]["nccl"]:
        skip("the program was built without nccl.h")
    run("data", "synth", "--out", "ecg.h5", "--subjects=4", "--seconds=30", "--seed=3")
    write("x.yaml", EXPERIMENT)
    two = same_training()
    as_on_the_cpu(two)
    lost(two)
    refused()
