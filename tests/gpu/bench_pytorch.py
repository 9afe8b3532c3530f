#!/usr/bin/env python3
"""PyTorch beside 'vagus bench' on the same machine: operations, and whole training steps of the twin.

    bench_pytorch.py [--device cuda|cpu] [--ops ops.json] [--step step.json] [--model model.safetensors]
                     [--batch N] [--sizes paper|small] [--seconds S] [--out pytorch.json]

ops.json and step.json are what `vagus bench ops|step --json` printed; each result is set beside ours and a ratio told:
PyTorch's time over ours, so above 1 we are faster. --model is a checkpoint of a pre-training, from which the twin
(models/pytorch/vagus_torch.py) is made; without it there is no step. Times are taken as ours are: the median of
several timings, each of so many queued calls and one synchronisation that it lasts 20 ms, the operands in turn.
Parts that this PyTorch lacks are named and left out. Nothing new is begun after --seconds.
"""
import argparse
import json
import math
import os
import sys
import time

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--device", default="cuda")
parser.add_argument("--ops")
parser.add_argument("--step")
parser.add_argument("--model")
parser.add_argument("--batch", type=int, default=32)
parser.add_argument("--sizes", choices=("paper", "small"), default="paper")
parser.add_argument("--seconds", type=float, default=150)
parser.add_argument("--out")
options = parser.parse_args()
began = time.monotonic()

try:
    import torch
    import torch.nn.functional as F
except ImportError:
    print("skipped: python3 has no PyTorch")
    sys.exit(77)

cuda = options.device.startswith("cuda")
if cuda and not torch.cuda.is_available():
    print("skipped: PyTorch sees no GPU")
    sys.exit(77)
device = torch.device("cuda" if cuda else "cpu")
SAMPLE, SAMPLES = 0.02, 9
told = {"pytorch": torch.__version__, "device": torch.cuda.get_device_name() if cuda else "cpu", "results": [],
        "steps": [], "left_out": []}


def synchronize():
    if cuda:
        torch.cuda.synchronize()


def timing(call, calls):
    synchronize()
    start = time.perf_counter()
    for i in range(calls):
        call(i)
    synchronize()
    return time.perf_counter() - start


def measure(call):
    """Median and spread between the quartiles, in seconds a call."""
    for i in range(3):
        took = timing(call, 1)
    calls = 1
    while took < SAMPLE and calls < 1 << 20:
        calls = int(calls * min(10, 1.2 * SAMPLE / took)) + 1
        took = timing(call, calls)
    values = sorted(timing(call, calls) / calls for _ in range(SAMPLES))
    return values[SAMPLES // 2], (values[3 * SAMPLES // 4] - values[SAMPLES // 4]) / values[SAMPLES // 2]


def read(path, key):
    if not path:
        return []
    try:
        with open(path) as file:
            return json.load(file)[key]
    except (OSError, ValueError, KeyError) as error:
        told["left_out"].append(f"{path}: {error}")
        return []


ours = {(r["op"], r["case"], r["precision"]): r["seconds"] for r in read(options.ops, "results")}
our_steps = {(r["model"], r["precision"]): r for r in read(options.step, "results")}


def tell(op, case, precision, seconds, spread):
    mine = ours.get((op, case, precision))
    ratio = seconds / mine if mine else None
    told["results"].append({"op": op, "case": case, "precision": precision, "seconds": seconds, "spread": spread,
                            "vagus_seconds": mine, "ratio": ratio})
    print(f"{op:28} {case:17} {precision:5} PyTorch {seconds * 1e3:10.4f} ms {spread:6.1%}"
          + (f"   vagus {mine * 1e3:10.4f} ms   ratio {ratio:6.2f}" if mine else ""), flush=True)


def both(name, case, precision, inputs, function, output_shape, dtype):
    """Forward and backward of one layer. `inputs()` makes a set of tensors that want gradients."""
    size = sum(t.numel() * t.element_size() for t in inputs())
    count = max(1, min(16, math.ceil((256 if cuda else 64) * 2**20 / size)))
    try:
        sets = [inputs() for _ in range(count)]
        gradient = torch.randn(output_shape, device=device, dtype=dtype)
        seconds, spread = measure(lambda i: function(*sets[i % count]))
        tell(name + "_forward", case, precision, seconds, spread)
        outputs = [function(*s) for s in sets]
        seconds, spread = measure(
            lambda i: torch.autograd.grad(outputs[i % count], sets[i % count], gradient, retain_graph=True))
        tell(name + "_backward", case, precision, seconds, spread)
    except (RuntimeError, NotImplementedError) as error:
        left_out(f"{name} {case} {precision}: {str(error).splitlines()[0]}")


def left_out(text):
    told["left_out"].append(text)
    print("left out: " + text, flush=True)


def enough(what):
    if time.monotonic() - began < options.seconds:
        return False
    left_out(f"{what}: no time was left")
    return True


def operations(precision, dtype):
    B, T = options.batch, 1280
    convs, H, ff = ((64, 128, 256), 2, 1024) if options.sizes == "paper" else ((16, 32, 64), 2, 256)
    C = convs[-1]

    def make(*shape, scale=1.0):
        return (torch.rand(shape, device=device, dtype=torch.float32) * 2 - 1).mul(scale).to(dtype).requires_grad_()

    if hasattr(F, "scaled_dot_product_attention"):
        def attention(dropout):
            def run(qkv):
                q, k, v = qkv.unbind(2)  # (B, T, H, D) each, read where they lie, as ours are
                y = F.scaled_dot_product_attention(q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2),
                                                   dropout_p=dropout)
                return y.transpose(1, 2)
            return run
        for case, dropout in (("", 0.0), ("dropout", 0.1)):
            if enough(f"attention {case} {precision}"):
                return
            both("attention", case, precision, lambda: (make(B, 1 + T, 3, H, C // H),), attention(dropout),
                 (B, 1 + T, H, C // H), dtype)
    else:
        left_out(f"attention: PyTorch {torch.__version__} has no scaled_dot_product_attention")
    layers = [
        ("layernorm", "tokens", lambda: (make(B, 1 + T, C), make(C), make(C)),
         lambda x, g, b: F.layer_norm(x, (C,), g, b), (B, 1 + T, C)),
        ("layernorm", "conv1 relu", lambda: (make(B, T, convs[0]), make(convs[0]), make(convs[0])),
         lambda x, g, b: F.relu(F.layer_norm(x, (convs[0],), g, b)), (B, T, convs[0])),
        ("residual_layernorm", "dropout", lambda: (make(B, 1 + T, C), make(B, 1 + T, C), make(C), make(C)),
         lambda x, r, g, b: F.layer_norm(r + F.dropout(x, 0.1), (C,), g, b), (B, 1 + T, C)),
        ("linear", "qkv", lambda: (make(B, 1 + T, C), make(3 * C, C, scale=C**-0.5), make(3 * C)), F.linear,
         (B, 1 + T, 3 * C)),
        ("linear", "ff1 relu dropout", lambda: (make(B, 1 + T, C), make(ff, C, scale=C**-0.5), make(ff)),
         lambda x, w, b: F.dropout(F.relu(F.linear(x, w, b)), 0.1), (B, 1 + T, ff)),
        ("linear", "ff2", lambda: (make(B, 1 + T, ff), make(C, ff, scale=ff**-0.5), make(C)), F.linear, (B, 1 + T, C)),
    ]
    for i, (before, width) in enumerate(((convs[0], 33), (convs[1], 17))):
        after = convs[i + 1]
        layers.append(("conv1d", f"conv{i + 2}",
                       lambda before=before, width=width, after=after: (
                           make(B, before, T), make(after, before, width, scale=(before * width)**-0.5), make(after)),
                       lambda x, w, b, width=width: F.relu(F.conv1d(x, w, b, padding=width // 2)), (B, after, T)))
    for name, case, inputs, function, shape in layers:
        if enough(f"{name} {case} {precision}"):
            return
        both(name, case, precision, inputs, function, shape, dtype)


def step(precision, compiled):
    """One step of the twin: mask, forward, loss, backward, Adam."""
    sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "models", "pytorch"))
    import vagus_torch

    model = vagus_torch.load(options.model).train().to(device)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-4, weight_decay=0.005, **({"fused": True} if cuda else {}))
    signal = torch.randn(options.batch, model.config["segment_length"], device=device)
    mask = (torch.rand(signal.shape, device=device) < 0.48).float()
    forward = torch.compile(model) if compiled else model

    def run(_):
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=precision == "bf16"):
            prediction = forward(signal * (1 - mask)).float()
        (((prediction - signal) ** 2 * mask).sum() / mask.sum()).backward()
        optimizer.step()

    seconds, spread = measure(run)
    sizes = {(64, 128, 256): "paper", (16, 32, 64): "small"}.get(tuple(model.config["conv_channels"]), "other")
    mine = our_steps.get((sizes, precision))
    ratio = seconds / mine["seconds"] if mine and mine["batch"] == options.batch else None
    told["steps"].append({"model": sizes, "precision": precision, "batch": options.batch, "compiled": compiled,
                          "seconds": seconds, "spread": spread,
                          "vagus_seconds": mine["seconds"] if mine else None, "ratio": ratio})
    print(f"step {sizes} {precision} batch {options.batch} {'compiled' if compiled else 'eager'}: PyTorch "
          f"{seconds * 1e3:.3f} ms {spread:.1%}" + (f"   ratio {ratio:.2f}" if ratio else ""), flush=True)


precisions = [("bf16", torch.bfloat16), ("fp32", torch.float32)] if cuda else [("fp32", torch.float32)]
for name, dtype in precisions:
    operations(name, dtype)
for compiled in (False, True):
    for name, _ in precisions:
        what = f"step {name} {'compiled' if compiled else 'eager'}"
        if enough(what):
            continue
        if not options.model:
            left_out(what + ": no --model")
        elif compiled and not hasattr(torch, "compile"):
            left_out(f"{what}: PyTorch {torch.__version__} has no compiler")
        else:
            try:
                step(name, compiled)
            except Exception as error:  # a compiler may fail in many ways, and the rest counts
                left_out(f"{what}: {type(error).__name__}: {(str(error).splitlines() or [''])[0]}")
text = json.dumps(told, indent=1)
if options.out:
    with open(options.out, "w") as file:
        file.write(text + "\n")
print(f"{len(told['results'])} operations, {len(told['steps'])} steps, {len(told['left_out'])} left out")
