"""Holds the model to its PyTorch twin: every activation, the loss, every gradient, ten steps of Adam and of
AdamW with clipping, in every case of dump_model.c.

    test_pytorch.py DUMP_MODEL BACKEND [CASE...]     default: the small cases
    test_pytorch.py --comparator                     can the comparison fail at all?

Errors are relative by norm. The forward and backward pass is compared with PyTorch in double, training at the
paper's size with PyTorch in float. Exit code 77: no PyTorch, or no such backend.
"""
import os
import subprocess
import sys
import tempfile
import time

# Debian 12's OpenBLAS is older than many processors and may choose kernels that are wrong on them. Haswell's are
# right wherever there is AVX2.
os.environ.setdefault("OPENBLAS_CORETYPE", "Haswell")

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "models", "pytorch"))
try:
    import torch
except ImportError:
    print("skipped: no PyTorch for", sys.executable)
    sys.exit(77)
import vagus_torch

TOLERANCE = 1e-4  # the contract; what is measured is printed
# After ten steps. Adam divides by the gradient's own size, so an element whose gradient is near zero turns a
# rounding error into a step of full length: the tolerance is on the norm of a whole tensor, and looser. At the
# paper's size ReLU's sides differ (SameBranches) in every step, and a bias that started from zero ends up to 1 %
# away: there the tolerance is on all parameters together; the small cases hold every tensor to it.
FINAL_TOLERANCE = 1e-3


class Comparison:
    """Collects the largest error of each kind; anything not inside the tolerance fails, NaN included."""

    def __init__(self, case):
        self.case, self.worst, self.failed, self.flips = case, {}, False, 0

    def fail(self, text):
        self.failed = True
        print(f"FAIL {self.case}: {text}")

    def check(self, kind, name, got, want, tolerance=TOLERANCE, floor=0.0):
        got, want = got.detach().double().flatten(), want.detach().double().flatten()
        if got.shape != want.shape:
            return self.fail(f"{kind} {name}: {tuple(got.shape)} numbers, want {tuple(want.shape)}")
        error = ((got - want).norm() / max(want.norm().item(), floor, 1e-30)).item()
        if not error <= tolerance:
            self.fail(f"{kind} {name}: relative error {error:.3g} > {tolerance:g}")
        if not error <= self.worst.get(kind, (0.0, ""))[0]:
            self.worst[kind] = (error, name)

    def names(self, kind, got, want):
        if set(got) != set(want):
            self.fail(f"{kind}: only in vagus {sorted(set(got) - set(want))}, only in PyTorch "
                      f"{sorted(set(want) - set(got))}")
        if not want:
            self.fail(f"{kind}: nothing to compare")


def part(tensors, prefix):
    return {name[len(prefix):]: t for name, t in tensors.items() if name.startswith(prefix)}


def check_masks(c, data, masking):
    """The fills as the masks say, recomputed here."""
    signal, seen, mask = data["input.signal"], data["activation.masking.signal"], data["activation.masking.mask"]
    if not 0 < (mask != 0).float().mean() < 1:
        c.fail("nothing or everything is masked")
    same = (mask == 0) | (mask == 3)
    if not torch.equal(seen[same], signal[same]):
        c.fail("visible samples were changed")
    for b in range(len(signal)):
        filled, visible = mask[b] == 1, mask[b] == 0
        if masking["fill"] in ("zero", "learned") and not torch.all(seen[b][filled] == 0):
            c.fail("filled samples are not zero")
        if masking["fill"] == "mean" and filled.any():
            mean = signal[b][visible].double().mean()
            c.check("masks", "mean", seen[b][filled], mean.expand(int(filled.sum())), 1e-5)
        for value in seen[b][mask[b] == 2]:
            if not (signal[b] == value).any():
                c.fail("a random fill is no sample of the segment")


def encoder_input(model, data, dtype):
    """What the encoder sees: masks come from the file, a learned value from the model."""
    if model.kind != "reconstruction":
        return data["input.signal"].to(dtype)
    seen = data["activation.masking.signal"].to(dtype)
    if hasattr(model, "masking"):
        seen = torch.where(data["activation.masking.mask"] == 1, model.masking.fill, seen)
    return seen


def loss_of(model, data, output):
    """The sum that vagus calls loss, and what it is divided by."""
    if model.kind == "reconstruction":
        mask = data["activation.masking.mask"] != 0
        return ((output - data["input.signal"].to(output.dtype)) ** 2)[mask].sum(), int(mask.sum())
    labels = data["input.labels"].to(output.dtype)
    return torch.nn.functional.binary_cross_entropy_with_logits(output, labels, reduction="sum"), len(labels)


def new_model(path, dtype):
    return vagus_torch.load(path).to(dtype)


class SameBranches:
    """ReLU that takes the side vagus took.

    Among the millions of units of the paper's size about one a pass lies within a rounding error of zero, and
    float and double may then disagree about its side. Both are right, yet one such unit changed the gradients
    of one layer by 9e-4. So the twin follows vagus there, provided that the unit really is that near to zero;
    anything else fails.
    """

    def __init__(self, c, data, model):
        config, taken = model.config, part(data, "activation.")
        names = []
        if config["conv_activation"] == "relu":
            names += [f"encoder.conv_norm.{i}" if str(i) in model.encoder.conv_norm else f"encoder.conv.{i}"
                      for i in range(len(model.encoder.conv))]
        if config["activation"] == "relu":
            names += [f"encoder.layers.{i}.linear1" for i in range(config["layers"])]
        names += [f"head.{model.kind}.{i}" for i in range(len(model.head[model.kind]) - 1)]
        self.c, self.queue, self.flips = c, [(name, taken[name]) for name in names], 0

    def __call__(self, x):
        name, y = self.queue.pop(0)
        if name.startswith("encoder.conv"):
            y = y.transpose(1, 2)
        y = y.reshape(x.shape)
        flipped = (y > 0) != (x > 0)
        if flipped.any():
            self.flips += int(flipped.sum())
            if not x[flipped].abs().max() <= 1e-6 * x.abs().max():
                self.c.fail(f"{name}: another side of ReLU at {x[flipped].abs().max():.3g}")
        return x * (y > 0)

    def __enter__(self):
        self.plain, vagus_torch._ACTIVATIONS["relu"] = vagus_torch._ACTIVATIONS["relu"], self
        return self

    def __exit__(self, *error):
        vagus_torch._ACTIVATIONS["relu"] = self.plain
        if self.queue and not error[0]:
            self.c.fail(f"ReLU never ran for {self.queue[0][0]}")


def check_pass(c, path, data):
    model = new_model(path, torch.float64)
    trace = {}

    def note(name, value):
        trace[name] = value
        return value

    with SameBranches(c, data, model) as branches:
        output = model(encoder_input(model, data, torch.float64), note)
    c.flips = branches.flips
    loss, count = loss_of(model, data, output)
    loss.backward()
    got = part(data, "activation.")
    for name in ("masking.signal", "masking.mask", "encoder.chosen"):
        got.pop(name, None)
    c.names("activations", got, trace)
    for name in sorted(set(got) & set(trace)):
        c.check("activation", name, got[name], trace[name])
    c.check("loss", "sum", data["stats"][0], loss)
    if int(data["stats"][1]) != count:
        c.fail(f"count {data['stats'][1]}, want {count}")
    gradients = vagus_torch.from_state_dict({n: p.grad for n, p in model.named_parameters()})
    got = part(data, "gradient.")
    c.names("gradients", got, gradients)
    whole = torch.cat([g.flatten() for g in gradients.values()]).norm().item()
    for name in sorted(set(got) & set(gradients)):
        # A gradient that is zero in exact arithmetic has no relative error; it must be nothing beside the rest.
        c.check("gradient", name, got[name], gradients[name], floor=1e-6 * whole)


def check_training(c, path, data, kind, dtype):
    model = new_model(path, dtype)
    make = torch.optim.Adam if kind == "adam" else torch.optim.AdamW
    optimizer = make(model.parameters(), lr=data["training.lr"].item(), weight_decay=0.01)
    losses, norms = [], []
    for _ in range(10):
        optimizer.zero_grad()
        loss, count = loss_of(model, data, model(encoder_input(model, data, dtype)))
        (loss / count).backward()
        norms.append(torch.nn.utils.clip_grad_norm_(model.parameters(), 0.5))
        optimizer.step()
        losses.append((loss / count).detach())
    c.check(kind, "losses", data[f"{kind}.losses"], torch.stack(losses))
    c.check(kind, "gradient norms", data[f"{kind}.norms"], torch.stack(norms), FINAL_TOLERANCE)
    for i, (got, want) in enumerate(zip(data[f"{kind}.losses"], losses)):
        c.check(kind, f"loss of step {i + 1}", got, want)
    if not data[f"{kind}.losses"][-1] < data[f"{kind}.losses"][0]:
        c.fail(f"{kind}: ten steps did not lower the loss")
    final, got = vagus_torch.from_state_dict(model.state_dict()), part(data, f"{kind}.final.")
    c.names(f"{kind} parameters", got, final)
    ours, theirs = [], []
    for name in sorted(set(got) & set(final)):
        a, b = got[name], final[name]
        if name.endswith("qkv.bias"):
            # Softmax does not see a bias of the keys: its gradient is rounding, which Adam blows up.
            width = len(b) // 3
            a, b = (torch.cat([t[:width], t[2 * width:]]) for t in (a, b))
        if dtype == torch.float64:
            c.check(f"{kind} final", name, a, b, FINAL_TOLERANCE)
        ours.append(a.flatten()), theirs.append(b.flatten())
    c.check(f"{kind} final", "all parameters", torch.cat(ours), torch.cat(theirs), FINAL_TOLERANCE)


def check_files(c, program, folder, path, data):
    """model.safetensors -> PyTorch gives vagus' own prediction; -> save -> vagus -> the same bytes again."""
    model = new_model(path, torch.float64).eval()
    with torch.no_grad():
        c.check("predict", "output", data["predict.output"], model(data["input.signal"].double()))
    back, again = os.path.join(folder, "back.safetensors"), os.path.join(folder, "again.safetensors")
    vagus_torch.save(vagus_torch.load(path), back)
    if subprocess.run([program, "--copy", back, again]).returncode:
        return c.fail("vagus does not read what the twin writes")
    with open(path, "rb") as a, open(again, "rb") as b:
        if a.read() != b.read():
            c.fail("the model changed on its way through PyTorch")


def run(program, backend, case):
    start = time.time()
    with tempfile.TemporaryDirectory() as folder:
        code = subprocess.run([program, backend, case, folder]).returncode
        if code:
            sys.exit(77 if code == 77 else f"dump_model {backend} {case}: exit code {code}")
        dumped = time.time() - start
        data, _ = vagus_torch.read_safetensors(os.path.join(folder, "case.safetensors"))
        path = os.path.join(folder, "model.safetensors")
        c = Comparison(f"{backend}/{case}")
        masking = vagus_torch.load(path).masking_config
        if masking:
            check_masks(c, data, masking)
        check_pass(c, path, data)
        check_files(c, program, folder, path, data)
        dtype = torch.float32 if case.startswith("paper") else torch.float64
        for kind in ("adam", "adamw") if data["training.lr"] > 0 else ():
            check_training(c, path, data, kind, dtype)
    worst = ", ".join(f"{kind} {error:.1e} ({name})" for kind, (error, name) in c.worst.items())
    print(f"{'FAIL' if c.failed else 'ok  '} {c.case} ({dumped:.1f} s + {time.time() - start - dumped:.1f} s, "
          f"{c.flips} units on ReLU's edge): {worst}",
          flush=True)
    return not c.failed


def check_comparator():
    """Each of these spoilt results must be refused."""
    want = torch.linspace(1, 2, 50)
    one_wrong = want.clone()
    one_wrong[7] += 1e-2
    nan = want.clone()
    nan[3] = float("nan")
    spoilt = {"sign": -want, "one element": one_wrong, "NaN": nan, "infinity": want / 0, "shape": want[1:],
              "zeros": 0 * want, "NaN in both": nan}
    bad = 0
    for name, got in spoilt.items():
        c = Comparison("comparator")
        c.check("spoilt", name, got, nan if name == "NaN in both" else want)
        bad += not c.failed
    for got, wanted in (({"a": want}, {"a": want, "b": want}), ({"a": want, "b": want}, {"a": want}), ({}, {})):
        c = Comparison("comparator")
        c.names("spoilt names", got, wanted)
        bad += not c.failed
    c = Comparison("comparator")
    c.check("sound", "itself", want * (1 + 1e-6), want)
    bad += c.failed
    print(f"{bad} of 11 verdicts are wrong")
    sys.exit(bad != 0)


def main():
    if sys.argv[1:] == ["--comparator"]:
        check_comparator()
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    program, backend, cases = sys.argv[1], sys.argv[2], sys.argv[3:]
    if not cases:
        cases = subprocess.run([program, "--list"], capture_output=True, text=True, check=True).stdout.split()
        cases = [case for case in cases if not case.startswith("paper")]
    results = [run(program, backend, case) for case in cases]
    print(f"{sum(results)} of {len(results)} cases agree with PyTorch {torch.__version__}")
    sys.exit(0 if results and all(results) else 1)


main()
