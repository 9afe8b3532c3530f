#!/usr/bin/env python3
"""tests/gpu/run.sh without a GPU: the whole of it on the processor, some of it on the emulator, and that it says so when
something fails, hangs or crashes. test_run.py BUILD"""
import json
import math
import os
import shutil
import stat
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
import compare  # noqa: E402
import parts  # noqa: E402

BUILD = os.path.abspath(sys.argv[1])
QUICK = ["--quick", "--ops", "bce,masked_mse"]


def run(out, *words, expect):
    done = subprocess.run([os.path.join(HERE, "run.sh"), "--out", out, *words], capture_output=True, text=True,
                          env={**os.environ, "OMP_NUM_THREADS": "2"})
    assert done.returncode == expect, f"{words}: exit {done.returncode}, want {expect}\n{done.stdout}{done.stderr}"
    if expect == 2:
        return done.stderr
    with open(os.path.join(out, "summary.json")) as file:
        summary = json.load(file)
    assert summary["passed"] == (expect == 0), summary
    assert len(os.listdir(out)) <= 8 and max(os.path.getsize(os.path.join(out, n)) for n in os.listdir(out)) < 16 << 20
    with open(os.path.join(out, "summary.txt")) as file:
        text = file.read()
    for part in summary["parts"]:
        assert part["part"] in text and part["verdict"] in text
    return {p["part"]: p for p in summary["parts"]}, summary


def comparisons():
    """A comparator that lets everything pass would be green for ever."""
    good = {step: (1.0 / step, 0.5) for step in range(1, 11)}
    assert compare.compare_training(good, dict(good), "fp32", 10)[0] == []
    for step, precision, loss, wrong in ((1, "fp32", 1 + 5e-6, False), (1, "fp32", 1 + 3e-5, True), (5, "fp32", 1 + 5e-5, False),
                                         (5, "fp32", 1 + 3e-4, True), (1, "bf16", 1.005, False), (1, "bf16", 1.03, True),
                                         (7, "bf16", 1.015, False), (7, "bf16", 1.05, True), (3, "bf16", math.nan, True),
                                         (3, "fp32", math.inf, True), (3, "fp32", -1, True), (3, "fp32", 0, True)):
        changed = {**good, step: (good[step][0] * loss, good[step][1])}
        assert bool(compare.compare_training(good, changed, precision, 10)[0]) == wrong, (step, precision, loss)
    assert compare.compare_training(good, {**good, 2: (good[2][0], math.nan)}, "bf16", 10)[0]
    assert compare.compare_training(good, {k: v for k, v in good.items() if k != 4}, "bf16", 10)[0]
    assert compare.compare_training({}, {}, "fp32", 10)[0]
    with tempfile.TemporaryDirectory() as folder:
        a, b = os.path.join(folder, "a"), os.path.join(folder, "b")
        for place in (a, b):
            os.makedirs(place + "/deep")
            for name in ("one", "deep/two"):
                with open(os.path.join(place, name), "wb") as file:
                    file.write(b"bytes")
        assert compare.same_files(a, b) == ([], 2)
        with open(b + "/deep/two", "wb") as file:
            file.write(b"bytez")
        with open(b + "/three", "wb") as file:
            file.write(b"")
        assert compare.same_files(a, b) == (["deep/two", "three (in one alone)"], 3)
    assert len(parts.operations()) >= 20


def whole(out):
    verdicts, summary = run(out, "--device", "cpu", "--programs", BUILD, *QUICK, expect=0)
    for part in ("ops", "training", "identity", "bench-ops", "bench-step"):
        assert verdicts[part]["verdict"] == parts.PASSED, verdicts[part]
    assert set(summary["details"]["ops"]) == {"bce", "masked_mse"}
    assert len(summary["details"]["training"]["fp32"]["loss"]) == parts.STEPS
    assert verdicts["memcheck"]["verdict"] == verdicts["nccl"]["verdict"] == parts.SKIPPED
    assert verdicts["pytorch"]["verdict"] in (parts.PASSED, parts.SKIPPED), verdicts["pytorch"]
    if verdicts["pytorch"]["verdict"] == parts.PASSED:
        with open(os.path.join(out, "pytorch.json")) as file:
            told = json.load(file)
        assert any(r["ratio"] for r in told["results"]), told


def emulated(out):
    verdicts, summary = run(out, "--device", "emulated", "--programs", BUILD, *QUICK, "--only",
                            "vocabulary,ops,nccl,nccl-two,nccl-training", expect=0)
    assert verdicts["vocabulary"]["verdict"] == verdicts["ops"]["verdict"] == parts.PASSED, verdicts
    told = {verdicts[name]["verdict"] for name in ("nccl", "nccl-two", "nccl-training")}
    assert told == {parts.PASSED} or (told == {parts.SKIPPED} and "nccl.h" in verdicts["nccl"]["note"]), verdicts
    assert set(summary["details"]["ops"]) == {f"{op} {p}" for op in ("bce", "masked_mse") for p in ("fp32", "bf16")}


def script(path, text):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w") as file:
        file.write("#!/bin/sh\n" + text)
    os.chmod(path, os.stat(path).st_mode | stat.S_IXUSR)


def troubles(out, folder):
    """Programs that hang, crash, fail, or do nothing and call it well."""
    script(folder + "/vagus", 'case "$1" in --version) echo vagus 9;; --help) echo "  vagus doctor";; doctor) kill -SEGV $$;; '
           '*) echo "vagus: error: nothing works" >&2; exit 1;; esac\n')
    script(folder + "/test_ops", 'case "$1" in bce) kill -ABRT $$;; masked_mse) echo "adamw   3 calls";; '
           'grad_norm) echo "grad_norm    7 calls";; adamw) echo "adamw   0 calls";; tokens_forward) exec sleep 600;; '
           'mask_forward) echo "[  SKIPPED ] test_mask_forward";; *) echo "it differs: error 3" ; exit 1;; esac\n')
    operations = "bce,masked_mse,grad_norm,adamw,mask_forward,pool_forward"
    verdicts, summary = run(out, "--device", "cpu", "--programs", folder, "--ops", operations, expect=1)
    told = {name: (d["verdict"], d["note"]) for name, d in summary["details"]["ops"].items()}
    assert told["bce"][0] == parts.FAILED and "SIGABRT" in told["bce"][1], told
    assert told["masked_mse"][0] == told["adamw"][0] == parts.FAILED and "without having called" in told["adamw"][1], told
    assert told["grad_norm"][0] == parts.PASSED and told["mask_forward"][0] == parts.SKIPPED, told
    assert told["pool_forward"] == (parts.FAILED, "exit 1: it differs: error 3"), told
    assert verdicts["doctor"]["verdict"] == parts.FAILED and "SIGSEGV" in verdicts["doctor"]["note"], verdicts
    for part in ("training", "identity", "bench-ops", "bench-step"):
        assert verdicts[part]["verdict"] == parts.FAILED and "nothing works" in verdicts[part]["note"], verdicts[part]

    # A hang ends at the deadline, here that of everything, and what came after it is said not to have run.
    verdicts, summary = run(out, "--device", "cpu", "--programs", folder, "--ops", "tokens_forward", "--minutes", "0.15",
                            "--only", "ops,training", expect=1)
    assert "no end after" in summary["details"]["ops"]["tokens_forward"]["note"], summary
    assert verdicts["training"]["verdict"] == parts.SKIPPED and "no time" in verdicts["training"]["note"], verdicts

    # Nothing ran: not green.
    run(out, "--device", "cpu", "--programs", folder, "--only", "memcheck", expect=1)
    os.remove(folder + "/vagus")
    verdicts, _ = run(out, "--device", "cpu", "--programs", folder, expect=1)
    assert verdicts["program"]["verdict"] == parts.FAILED and list(verdicts) == ["environment", "program"], verdicts
    assert "no nothing" in run(out, "--only", "nothing", expect=2)


comparisons()
work = tempfile.mkdtemp(prefix="vagus-test-")
try:
    troubles(work + "/troubles", work + "/programs")
    emulated(work + "/emulated")
    whole(work + "/whole")
finally:
    shutil.rmtree(work, ignore_errors=True)
print("ok")
