"""Starts the program as several ranks, by its own launcher or by mpirun, and compares what they leave behind."""
import json
import os
import shutil
import struct
import subprocess

from program import VAGUS, lines, read

MPIRUN = shutil.which("mpirun")
# Many ranks on few cores; root is whom containers run as; and one process may not read another's memory there.
MPI_OPTIONS = ["--oversubscribe", "--bind-to", "none", "--mca", "btl_vader_single_copy_mechanism", "none"]
MPI_ENVIRONMENT = {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}


def command(by, ranks, *words, program=VAGUS):
    if by == "alone":
        return [program, *words]
    if by == "mpirun":
        return [MPIRUN, "-n", str(ranks), *MPI_OPTIONS, program, *words]
    return [program, "launch", "-n", str(ranks), "--max-restarts", "0", "--", *words]


def run_ranks(by, ranks, *words, expect=0, says=(), timeout=120, program=VAGUS, **environment):
    """Returns what was said."""
    line = command(by, ranks, *words, program=program)
    with subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
                          env={**os.environ, **MPI_ENVIRONMENT, **environment}) as process:
        try:
            told, _ = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, 9)
            told, _ = process.communicate()
            raise AssertionError(f"{' '.join(line)}: not done within {timeout} s\n{told}") from None
    assert process.returncode == expect, f"{' '.join(line)}: exit {process.returncode}, want {expect}\n{told}"
    for text in [says] if isinstance(says, str) else says:
        assert text in told, f"{' '.join(line)}: does not say {text!r}\n{told}"
    assert "Sanitizer" not in told and "runtime error" not in told, told
    return told


def tensors(path):
    """Of a safetensors file of floats: {name: tuple of numbers}."""
    data = read(path)
    size = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8 : 8 + size])
    header.pop("__metadata__", None)
    out = {}
    for name, tensor in header.items():
        assert tensor["dtype"] == "F32", tensor
        first, last = tensor["data_offsets"]
        out[name] = struct.unpack(f"<{(last - first) // 4}f", data[8 + size + first : 8 + size + last])
    return out


def apart(a, b):
    """Norm of the difference of two files' tensors over the norm of the first; more than any tolerance if one is not a number.
    The bias of attention's keys is left out: it adds the same to all scores of a query, so that its true gradient is 0, and
    what Adam makes of the rounding in its place is as large as any other step."""
    difference = norm = 0.0
    one, two = tensors(a), tensors(b)
    assert one.keys() == two.keys()
    for name in one:
        assert len(one[name]) == len(two[name]), name
        if name.endswith("attention.qkv.bias"):
            third = len(one[name]) // 3
            one[name], two[name] = ((*t[name][:third], *t[name][2 * third :]) for t in (one, two))
        for x, y in zip(one[name], two[name]):
            difference += (x - y) ** 2
            norm += x * x
    ratio = (difference / norm) ** 0.5 if norm > 0 else float("inf")
    return ratio if ratio >= 0 else float("inf")


def curve(folder, name="train.loss"):
    return {line["step"]: line[name] for line in lines(folder + "/metrics.jsonl") if name in line}


def curves_apart(a, b, name="train.loss"):
    """The largest relative difference of two curves, which must have the same steps."""
    one, two = curve(a, name), curve(b, name)
    assert one.keys() == two.keys() and one, (sorted(one), sorted(two))
    worst = 0.0
    for step, value in one.items():
        off = abs(two[step] - value) / abs(value)
        if not off <= worst:
            worst = off
    return worst


def last_checkpoint(folder):
    steps = [int(name[5:]) for name in os.listdir(folder + "/checkpoints") if name.startswith("step_")]
    return f"{folder}/checkpoints/step_{max(steps)}"


def same_bits(a, b):
    for file in ("model.safetensors", "optimizer.safetensors"):
        assert read(f"{last_checkpoint(a)}/{file}") == read(f"{last_checkpoint(b)}/{file}"), file
    assert read(a + "/metrics.jsonl") == read(b + "/metrics.jsonl")
