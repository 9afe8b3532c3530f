"""vagus bench: every operation is there, what it counts is right, and its JSON is what the help says it is."""
import json
import os
import re

from program import run

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
    run("bench", expect=2, says="ops or step")
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
    assert "small" in run("bench", "step", *FAST, "ceilings=false")


help_text = run("bench", "--help")
ops(help_text)
rest(help_text)
step(help_text)
print("ok")
