"""A run that is killed and resumed ends with the very bits of one that was left alone."""
import json
import os
import random
import signal
import time

from program import Folder, lines, read, run, start, synth, tiny, write


def steps(folder):
    try:
        return len(lines(folder + "/metrics.jsonl"))
    except (OSError, ValueError):
        return 0


def same(a, b):
    names = [name for name in sorted(os.listdir(a + "/checkpoints")) if name.startswith("step_")]
    assert names == [name for name in sorted(os.listdir(b + "/checkpoints")) if name.startswith("step_")], names
    for name in names:
        for file in ("model.safetensors", "optimizer.safetensors", "trainer.json", "preprocessing.json"):
            path = f"/checkpoints/{name}/{file}"
            assert read(a + path) == read(b + path), path
    assert os.readlink(a + "/checkpoints/best") == os.readlink(b + "/checkpoints/best")
    assert read(a + "/metrics.jsonl") == read(b + "/metrics.jsonl")


def interrupt(words, folder, by, after):
    """Starts the program and sends a signal once its metrics have `after` lines. Returns the exit code."""
    process = start(*words)
    while process.poll() is None and steps(folder) < after:
        time.sleep(0.002)
    if process.poll() is None:
        process.send_signal(by)
    told = "".join(process.communicate())
    assert "Sanitizer" not in told, told
    return process.returncode


def precision_and_device():
    """bf16 keeps its masters: it resumes with the same bits too. It is part of what a run is, the device is not."""
    short = ["data.seconds=0.5", "data.max_segments=40", "train.validation_segments=8", "train.epochs=2"]
    short += ["checkpoint.every_steps=1", "checkpoint.keep=9"]
    words = ["pretrain", "tiny.yaml", *short, "precision=bf16"]
    run(*words, "output_dir=runs/bf16-whole", says="bf16 on the CPU")
    words.append("output_dir=runs/bf16-killed")
    assert interrupt(words, "runs/bf16-killed", signal.SIGKILL, 4) == -signal.SIGKILL
    run(*words[:-2], words[-1], "--resume", expect=2, says=["trained in bf16", "in fp32", "precision=bf16"])
    last = max(os.listdir("runs/bf16-killed/checkpoints"), key=lambda name: int(name.partition("step_")[2] or 0))
    path = f"runs/bf16-killed/checkpoints/{last}/trainer.json"
    original = read(path).decode()
    state = json.loads(original)
    assert state["precision"] == "bf16" and state["device"] == "cpu", state
    write(path, json.dumps(state | {"device": "a device of old"}))
    run(*words, "--resume", says=["another device (a device of old)", "(cpu)"])
    write(path, original)
    same("runs/bf16-whole", "runs/bf16-killed")


with Folder():
    synth()
    tiny()
    run("pretrain", "tiny.yaml", "output_dir=runs/whole")
    total = steps("runs/whole")

    # Without --resume a run is never gone over.
    run("pretrain", "tiny.yaml", "output_dir=runs/whole", expect=2, says="runs/whole")
    # A finished run has nothing left to do, and stays as it is.
    before = read("runs/whole/metrics.jsonl")
    run("pretrain", "tiny.yaml", "output_dir=runs/whole", "--resume")
    assert read("runs/whole/metrics.jsonl") == before

    killed = 0
    for attempt in range(3):
        folder = f"runs/killed{attempt}"
        words = ["pretrain", "tiny.yaml", "output_dir=" + folder]
        for kill in sorted(random.sample(range(2, total - 2), 2)):
            code = interrupt(words, folder, signal.SIGKILL, kill)
            killed += code == -signal.SIGKILL
            words = words if "--resume" in words else words + ["--resume"]
        run(*words)
        # config.yaml differs in output_dir alone
        same("runs/whole", folder)
    assert killed >= 3, f"only {killed} of 6 runs were still alive when they were to be killed"

    # Asked to stop, it saves, says how to go on and exits with 75.
    folder = "runs/stopped"
    words = ["pretrain", "tiny.yaml", "output_dir=" + folder]
    codes = [interrupt(words, folder, signal.SIGTERM, 4), interrupt(words + ["--resume"], folder, signal.SIGINT, 12)]
    assert 75 in codes and set(codes) <= {0, 75}, codes
    run(*words, "--resume")
    a, b = lines("runs/whole/metrics.jsonl"), lines(folder + "/metrics.jsonl")
    assert a == b

    # Stopped before its first step, it measures nothing twice; and what was never validated has no best.
    for place, words in (("runs/at-once", []), ("runs/at-once-unvalidated", ["data.validation=0"])):
        words = ["pretrain", "tiny.yaml", "output_dir=" + place, "train.epochs=1", "threads=1", *words]
        process = start(*words)
        while process.poll() is None and not os.path.exists(place + "/config.yaml"):
            time.sleep(0.0005)
        process.send_signal(signal.SIGTERM)
        told = "".join(process.communicate())
        assert process.returncode == 75, (process.returncode, told)
        run(*words, "--resume")
        validated = "data.validation=0" not in words
        assert [line["step"] for line in lines(place + "/metrics.jsonl")].count(0) == validated
        assert os.path.lexists(place + "/checkpoints/best") == validated

    # A configuration that was written before there was some key is that of a run with the key's default.
    config = read(folder + "/config.yaml").decode()
    assert "  weights: []\n" in config, config
    write(folder + "/config.yaml", config.replace("  weights: []\n", ""))
    run("pretrain", "tiny.yaml", "output_dir=" + folder, "--resume")
    run("pretrain", "tiny.yaml", "output_dir=" + folder, "--resume", "data.weights=[1]", expect=2, says="weights:")
    write(folder + "/config.yaml", config)

    # Other settings are another run, and so is other data under the same name.
    run("pretrain", "tiny.yaml", "output_dir=" + folder, "--resume", "optimizer.lr=1e-4", expect=2, says="lr:")
    precision_and_device()
    os.rename("ecg.h5", "kept.h5")
    synth(rate=125)
    run("pretrain", "tiny.yaml", "output_dir=" + folder, "--resume", expect=1, says=["125 Hz", "data.stores"])
    os.replace("kept.h5", "ecg.h5")

    # Fine-tuning: folds that are done are not run again, the one that was cut off goes on.
    run("pretrain", "tiny.yaml")
    run("finetune", "tune.yaml", "output_dir=runs/tuned-whole")
    folder = "runs/tuned-killed"
    words = ["finetune", "tune.yaml", "output_dir=" + folder]
    interrupt(words, folder + "/scratch/fold-000", signal.SIGKILL, random.randint(2, 5))
    run(*words, "--resume")
    for name in ("results.json", "predictions.csv"):
        assert read("runs/tuned-whole/" + name) == read(f"{folder}/{name}"), name
