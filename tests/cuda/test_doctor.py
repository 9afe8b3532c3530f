#!/usr/bin/env python3
"""vagus doctor, and the program's word when a GPU is missing or too small: on the real program, whatever this machine
has, and on the emulator, which pretends what the environment says (machine.h). test_doctor.py VAGUS_EMULATED"""
import json
import os
import pathlib
import re
import sys

SOURCE = pathlib.Path(os.environ["VAGUS_SOURCE"])
sys.path.insert(0, str(SOURCE / "tests/runner"))
import program  # noqa: E402

OPERATIONS = re.findall(r"^VG_KERNEL\((\w+),", (SOURCE / "kernels/kernels.def").read_text(), re.M)
EMULATED = sys.argv[1]


def doctor(**machine):
    """What it says as text and as JSON, of which the text must hold the essentials."""
    env = {name: value for name, value in os.environ.items() if not name.startswith(("EMULATED_", "CUDA_"))}
    env.update({name: str(value) for name, value in machine.items()})
    text = program.run("doctor", env=env)
    told = json.loads(program.run("doctor", "--json", env=env))
    assert told["version"] in text and told["compiler"] in text and str(told["processors"]) in text
    for line in text.splitlines():
        assert line == line.rstrip(), f"blanks at the end of {line!r}"
    for device in told["devices"]:
        assert device["name"] in text and (device["problem"] is None or device["problem"] in text), (device, text)
        assert (device["problem"] is None) == ("served_by" in device), device
        if device["problem"] is None:
            assert list(device["served_by"]) == OPERATIONS, device
    if told["cuda"]["problem"] and told["cuda"]["built"]:
        assert told["cuda"]["problem"] in text, text
    for library in ("cublaslt", "cudnn"):
        found = told["cuda"][library]
        assert told["cuda"]["built"] == bool(found) and (found or "") in text, text
    for transport in ("nccl", "mpi"):
        assert told["transports"][transport] and told["transports"][transport] in text, text
    assert told["devices"][0]["name"] == "cpu" and set(told["devices"][0]["served_by"].values()) == {"cpu"}
    return told


def served(told):
    return [device["name"] for device in told["devices"] if device["problem"] is None]


def on_the_real_program():
    told = doctor()
    assert len(told["devices"]) > 1 or told["cuda"]["problem"], told
    told = doctor(VAGUS_CUDA_LIBRARIES="none")["transports"]
    assert "VAGUS_CUDA_LIBRARIES is none" in told["nccl"] or "nccl.h" in told["nccl"], told
    program.run("doctor", "--jsn", expect=2, says="--jsn")
    program.run("doctor", "--help", says="--json")


def on_emulated_machines():
    told = doctor(EMULATED_GPUS=2)
    assert served(told) == ["cpu", "cuda:0", "cuda:1"] and told["cuda"]["problem"] is None, told
    for device in told["devices"][1:]:
        assert set(device["served_by"].values()) == {"cuda"} and device["notes"], device
        assert device["compute_capability"] == 9.0 and device["memory"] == 512 << 20, device

    assert "libnccl.so.2" in told["transports"]["nccl"] or "nccl.h" in told["transports"]["nccl"], told
    assert "libcublasLt.so" in told["cuda"]["cublaslt"] and "libcudnn.so" in told["cuda"]["cudnn"], told

    told = doctor(EMULATED_COMPUTE=75)
    assert served(told) == ["cpu"] and "7.5" in told["devices"][1]["problem"], told
    for machine, words in (
        ({"EMULATED_DRIVER": 0}, "no NVIDIA driver"),
        ({"EMULATED_DRIVER": 12040}, "CUDA 12.4"),
        ({"EMULATED_GPUS": 0}, "no GPU"),
        ({"EMULATED_GPUS": 0, "CUDA_VISIBLE_DEVICES": "none"}, "CUDA_VISIBLE_DEVICES is 'none'"),
    ):
        told = doctor(**machine)
        assert served(told) == ["cpu"] and words in told["cuda"]["problem"], (machine, told)


def training_says_so():
    """The same sentences end a run; auto takes the host and says why."""
    program.tiny()
    program.synth(seconds=20)
    words = ["pretrain", "tiny.yaml", "train.epochs=1", "train.max_steps=1", "model.conv_channels=[4,4]"]

    def train(*more, expect=1, says=(), **machine):
        program.run(*words, *more, expect=expect, says=says, env={**os.environ, **machine})

    train("device=cuda", says="no NVIDIA driver", EMULATED_DRIVER="0")
    train("device=cuda", says=["too old", "12.4", "13.0"], EMULATED_DRIVER="12040")
    train("device=cuda:1", says="there is no GPU 1: this process sees 1")
    train("device=cuda", says="compute capability 7.0", EMULATED_COMPUTE="70")
    train("device=cuda", says="train.micro_batch", EMULATED_MEMORY="1")
    train("device=auto", "output_dir=runs/host", expect=0, says=["12.4", "device cpu"], EMULATED_DRIVER="12040")


with program.Folder():
    on_the_real_program()
    program.VAGUS = EMULATED
    on_emulated_machines()
    training_says_so()
print("ok")
