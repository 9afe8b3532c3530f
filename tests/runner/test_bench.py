"""vagus bench: every operation is there, what it counts is right, and its JSON is what the help says it is; between ranks,
collectives and steps."""
import json
import os
import re
import shutil
import signal
import socket
import subprocess

from program import VAGUS, Folder, run, synth

FAST = ["device=cpu", "model=small", "batch=1", "samples=3", "sample_ms=0.5", "threads=2"]


def result_keys(help_text, of):
    """The keys that the help promises for a result of `of`."""
    schema = help_text.split("--json prints")[1]
    listed = re.search(r"\n  " + of + r"\s+.*?results: \[\{(.*?)\}\]", schema, re.S)[1]
    return [re.sub(r"\s*\(.*", "", key.strip()) for key in re.sub(r"\([^)]*\)", "", listed).split(",")]


def ops(help_text):
    told = json.loads(run("bench", "ops", "--json", *FAST))
    assert (told["benchmark"], told["version"], told["device"], told["batch"]) == ("ops", 1, "host", 1), told
    assert told["threads"] == 2 and told["ceilings"]["copy_bytes_s"] > 0 and told["ceilings"]["fp32_flop_s"] > 0
    with open(os.path.join(os.environ["VAGUS_SOURCE"], "kernels", "kernels.def")) as file:
        names = re.findall(r"^VG_KERNEL\((\w+),", file.read(), re.M)
    results = {(r["op"], r["case"]): r for r in told["results"]}
    assert {op for op, _ in results} == set(names), "not every operation was timed"
    total = 0
    for key, r in results.items():
        assert list(r) == result_keys(help_text, "ops"), (list(r), result_keys(help_text, "ops"))
        assert 0 < r["least"] <= r["seconds"] <= r["most"] and r["spread"] >= 0 and r["calls"] >= 1, r
        assert r["bytes"] > 0 and r["copy_share"] > 0 and r["samples"] == 3 and r["sets"] >= 1, r
        assert (r["product_share"] is None) == (r["flop"] == 0), r
        total += r["times"] * r["seconds"]
    assert abs(told["step_seconds"]["fp32"] - total) <= 1e-9 * total, (told["step_seconds"], total)

    # What a few of them count, added up here once more. T 1280, channels 16, 32, 64, 2 heads.
    tokens, samples, width = 1281, 1280, 64
    assert results["linear_forward", "qkv"]["flop"] == 2 * tokens * width * 3 * width
    assert results["linear_forward", "qkv"]["bytes"] == 4 * (tokens * 4 * width + 3 * width * (width + 1))
    assert results["linear_backward", "ff2"]["flop"] == 4 * tokens * width * 256
    assert results["attention_forward", ""]["flop"] == 4 * tokens**2 * width
    assert results["attention_forward", ""]["bytes"] == 4 * (4 * tokens * width + 2 * tokens)
    assert results["attention_backward", ""]["flop"] == 10 * tokens**2 * width
    assert results["conv1d_forward", "conv2"]["flop"] == 2 * samples * 16 * 32 * 33
    assert results["conv1d_backward", "conv1"]["flop"] == 2 * samples * 16 * 65  # nothing before it wants a gradient
    assert results["conv1d_backward", "conv2"]["flop"] == 4 * samples * 16 * 32 * 33
    assert results["layernorm_forward", "conv1 relu"]["bytes"] == 4 * (2 * samples * 16 + 2 * 16 + 2 * samples)
    assert results["masked_mse", ""]["bytes"] == samples * (3 * 4 + 1) + 2 * 16
    assert results["masked_mse", ""]["flop"] == 0 and results["residual_layernorm_forward", "dropout"]["times"] == 4


def rest(help_text):
    table = run("bench", "ops", "only=masked", *FAST, "ceilings=false")
    assert "masked_mse" in table and "linear" not in table, table
    run("bench", "ops", "only=nothing", *FAST, "ceilings=false", expect=2, says="only=nothing")
    run("bench", "ops", "batches=3", expect=2, says=["batches", "batch"])
    run("bench", "ops", "samples=1", expect=2, says=["samples", "[3, 1000]"])
    run("bench", expect=2, says="ops, step, comm or data")
    run("bench", "opps", expect=2, says="opps")
    run("bench", "ops", "--jsn", expect=2, says="--jsn")
    run("bench", "ops", "device=gpu", expect=2, says=["gpu", "cuda"])
    run("bench", "ops", "device=cpu", "precision=bf16", expect=2, says=["bf16", "precision=fp32"])


def step(help_text):
    told = json.loads(run("bench", "step", "--json", *FAST))
    (result,) = told["results"]
    assert list(result) == result_keys(help_text, "step"), result
    assert result["later_allocations"] == 0 and result["loss"] > 0 and result["device_bytes"] > 1e6, result
    assert result["batch"] == 1 and abs(result["segments_s"] * result["seconds"] - 1) < 1e-9, result
    assert 0 < result["floor_seconds"] and 0 < result["product_share"], result
    assert result["reduced_bytes"] == 0 and result["without_sums"] is result["unhidden_share"] is None, result
    assert told["ranks"] == 1 and told["transport"] == told["starter"] == "alone", told
    assert "small" in run("bench", "step", *FAST, "ceilings=false")


# ---- Several ranks ------------------------------------------------------------------------------------------------------


def ended(processes, timeout=100):
    """[(exit code, stdout, stderr)] of processes that are each the head of a group; no group is left over."""
    out = []
    try:
        for process in processes:
            told, errors = process.communicate(timeout=timeout)
            assert "Sanitizer" not in told + errors, told + errors
            out.append((process.returncode, told, errors))
    finally:
        for process in processes:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.communicate()
    return out


def start(line, **options):
    return subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True, **options)


def ranks(count, *words):
    """As `vagus launch` starts them: rank 0 inherits a socket that listens."""
    listener = socket.create_server(("127.0.0.1", 0))
    processes = []
    for rank in range(count):
        environment = {"VAGUS_LAUNCH": "1", "VAGUS_JOB": f"bench-{os.getpid()}", "RANK": rank, "WORLD_SIZE": count,
                       "LOCAL_RANK": rank, "LOCAL_WORLD_SIZE": count, "MASTER_ADDR": "127.0.0.1",
                       "MASTER_PORT": listener.getsockname()[1]}
        if rank == 0:
            environment["VAGUS_LISTENER"] = listener.fileno()
        environment = {**os.environ, **{key: str(value) for key, value in environment.items()}}
        processes.append(start([VAGUS, *words], env=environment, pass_fds=[listener.fileno()] if rank == 0 else []))
    listener.close()
    return ended(processes)


def mpirun(count, *words):
    """Many ranks on few cores, whatever the user, and without reading one another's memory, which containers forbid."""
    environment = {**os.environ, "OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
                   "ASAN_OPTIONS": "detect_leaks=0:" + os.environ.get("ASAN_OPTIONS", "")}
    line = ["mpirun", "-n", str(count), "--oversubscribe", "--bind-to", "none", "--mca", "btl_vader_single_copy_mechanism",
            "none", VAGUS, *words]
    ((code, told, errors),) = ended([start(line, env=environment)])
    assert code == 0, (code, told, errors)
    return told


def exchanges(told, count, transports, keys):
    """What `comm` told of `count` ranks: every collective at every size over every transport, its bandwidths those of its
    time."""
    assert told["benchmark"] == "comm" and told["ranks"] == count, told
    seen = set()
    factors = {"all_reduce": 2, "reduce_scatter": 1, "all_gather": 1}
    for r in told["results"]:
        assert list(r) == keys, (list(r), keys)
        assert 0 < r["least"] <= r["seconds"] <= r["most"] and r["samples"] == 3, r
        assert abs(r["algbw_bytes_s"] * r["seconds"] / r["bytes"] - 1) < 1e-9, r
        factor = factors[r["collective"]] * (count - 1) / count
        assert abs(r["busbw_bytes_s"] / r["algbw_bytes_s"] / factor - 1) < 1e-9, r
        assert r["bytes"] == 4 * r["count"] * (1 if r["collective"] == "all_reduce" else count), r
        seen.add((r["transport"], r["collective"], r["bytes"]))
    # Of pieces there is one number each at least, and each rank's is as large.
    sizes = {4, 20, 4096}
    pieces = {4 * count * max(1, size // (4 * count)) for size in sizes}
    wants = {(t, c, b) for t in transports for c in factors for b in (sizes if c == "all_reduce" else pieces)
             if t != "mpi raw" or c == "all_reduce"}
    assert seen == wants, seen ^ wants
    assert (told["transport"] == "mpi") == ("mpi raw" in transports), told["transport"]


def comm(help_text):
    run("bench", "comm", "device=cpu", expect=2, says=["one rank alone", "vagus launch -n 2", "mpirun"])
    words = ["bench", "comm", "--json", "device=cpu", "bytes=[4,20,4096]", "samples=3", "sample_ms=0.2", "timeout=60"]
    keys = result_keys(help_text, "comm")
    for count in (2, 3):
        (first, *others) = ranks(count, *words)
        assert first[0] == 0 and all(other[:2] == (0, "") for other in others), (first, others)
        told = json.loads(first[1])
        exchanges(told, count, {"tcp"}, keys)
        assert all(r["of_raw"] is None for r in told["results"]), told
    (first, second) = ranks(2, *[word for word in words if word != "--json"])
    assert "all_gather" in first[1] and "of raw" not in first[1] and second[1] == "", (first, second)
    for code, _, errors in ranks(2, *words, "transport=nccl"):
        assert code == 2 and "nccl" in errors, (code, errors)
    for code, _, errors in ranks(2, "bench", "ops", *FAST):
        assert code == 2 and "bench ops" in errors, (code, errors)
    if not shutil.which("mpirun") or "thread" in os.environ.get("VAGUS_SANITIZED", ""):
        print("not compared with MPI: no mpirun, or ThreadSanitizer, which cannot follow it")
        return
    told = json.loads(mpirun(2, *words))
    if told["transport"] == "tcp":
        print("not compared with MPI: its library was not found, or this program was built without it")
        return
    exchanges(told, 2, {"mpi raw", "mpi", "tcp"}, keys)
    raw = {r["bytes"]: r["seconds"] for r in told["results"] if r["transport"] == "mpi raw"}
    for r in told["results"]:
        wants = r["seconds"] / raw[r["bytes"]] if r["collective"] == "all_reduce" else None
        assert r["of_raw"] is wants is None or abs(r["of_raw"] / wants - 1) < 1e-9, (r, wants)


def step_of_ranks(help_text):
    words = ["threads=1", "ceilings=false", "timeout=60"]
    (first, second) = ranks(2, "bench", "step", "--json", *FAST[:-1], *words, "bucket_mib=0.1")
    assert first[0] == second[0] == 0 and second[1] == "", (first, second)
    told = json.loads(first[1])
    (result,) = told["results"]
    assert list(result) == result_keys(help_text, "step"), result
    assert told["ranks"] == 2 and told["transport"] == "tcp" and told["starter"] == "vagus launch", told
    assert result["later_allocations"] == 0 and result["loss"] > 0, result
    assert abs(result["segments_s"] * result["seconds"] / 2 - 1) < 1e-9, result  # of both, a segment each
    assert abs(result["unhidden_share"] - (1 - result["without_sums"] / result["seconds"])) < 1e-9, result
    # What is summed is what a plan foresees: all gradients, and the loss, its count and whether to stop.
    config = os.path.join(os.environ["VAGUS_SOURCE"], "experiments", "pretrain", "cpu-small.yaml")
    plan = json.loads(run("pretrain", config, "--plan", "--json", "plan.gpus=2", "plan.gpu=cpu"))["plan"]
    assert result["reduced_bytes"] == plan["reduced_bytes"] + 24, (result, plan["reduced_bytes"])
    (first, _) = ranks(2, "bench", "step", *FAST[:-1], *words)
    assert "2 ranks" in first[1] and "not hidden" in first[1], first


def data(help_text):
    with Folder():
        synth("ecg.h5")
        for more, where in ((), "memory"), (("memory_gib=1e-9",), "mapped"):
            told = json.loads(run("bench", "data", "--json", "stores=[ecg.h5]", "device=cpu", "batch=3", *FAST[3:5], *more))
            assert told["segment_length"] == 1280 and told["segments"] > 3, told
            assert [r["prefetch"] for r in told["results"]] == [0, 2], told
            for r in told["results"]:
                assert list(r) == result_keys(help_text, "data"), (list(r), result_keys(help_text, "data"))
                assert r["samples_in"] == where and r["batch"] == 3, r
                assert abs(r["segments_s"] * r["seconds"] - 3) < 1e-9 and r["least"] <= r["seconds"] <= r["most"], r
                assert abs(r["bytes_s"] / (r["segments_s"] * 1280 * 4) - 1) < 1e-9, r
        assert "segments/s" in run("bench", "data", "stores=[ecg.h5]", "device=cpu", *FAST[3:5])
        run("bench", "data", "device=cpu", expect=2, says="stores")
        run("bench", "data", "stores=[none.h5]", "device=cpu", expect=1, says="none.h5")


help_text = run("bench", "--help")
ops(help_text)
rest(help_text)
step(help_text)
comm(help_text)
step_of_ranks(help_text)
data(help_text)
print("ok")
