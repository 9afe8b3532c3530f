"""Two trainings of one seed beside one another: are they the same within rounding, or to the bit?"""
import json
import math
import os

# Largest relative difference of (loss, gradient norm) at the first step, where both have the same weights, and at the
# later ones, where differences have been through Adam, which divides by the root of a small number.
# fp32: sums in another order. A float holds 6e-8, sums of some 1e5 terms lose two digits of that, and ten steps
# at a rate of 1e-4 a further one or two.
# bf16: a value holds 4e-3 (8 bits); the loss averages over thousands of samples, the gradient's norm is a sum of squares
# whose relative error is twice that of its terms.
BOUNDS = {"fp32": ((1e-5, 1e-4), (1e-4, 1e-3)), "bf16": ((1e-2, 5e-2), (2e-2, 1e-1))}


def read_steps(run):
    """{step: (loss, gradient norm)} of a run directory."""
    steps = {}
    with open(os.path.join(run, "metrics.jsonl")) as file:
        for line in file:
            told = json.loads(line)
            if "train.loss" in told and told["train.loss"] is not None:
                norm = told.get("train.gradient_norm")
                steps[told["step"]] = (told["train.loss"], math.nan if norm is None else norm)
    return steps


def difference(a, b):
    """Relative to the larger; NaN when either is not a number."""
    size = max(abs(a), abs(b))
    return abs(a - b) / size if size > 0 else abs(a - b)


def compare_training(reference, candidate, precision, steps):
    """(problems, worst) of two dictionaries of read_steps(). `worst` names the largest differences found."""
    problems, worst = [], {"loss": 0.0, "gradient_norm": 0.0}
    if sorted(reference) != sorted(candidate) or len(reference) != steps:
        return [f"{len(reference)} steps of the reference and {len(candidate)} to compare; expected {steps} each"], worst
    for number, step in enumerate(sorted(reference)):
        for name, bound, a, b in zip(worst, BOUNDS[precision][min(number, 1)], reference[step], candidate[step]):
            apart = difference(a, b)
            if not apart <= worst[name]:
                worst[name] = apart
            if not apart <= bound:
                problems.append(f"step {step}: {name} {b:.7g}, reference {a:.7g}: {apart:.2g} apart, at most {bound:g}")
    return problems, worst


def same_files(first, second):
    """Names of the files of two folders that differ in any byte, or that only one of them has; and how many there are."""
    names = set()
    for folder in (first, second):
        for path, _, files in os.walk(folder):
            names.update(os.path.relpath(os.path.join(path, name), folder) for name in files)
    wrong = []
    for name in sorted(names):
        try:
            with open(os.path.join(first, name), "rb") as a, open(os.path.join(second, name), "rb") as b:
                if a.read() != b.read():
                    wrong.append(name)
        except OSError:
            wrong.append(name + " (in one alone)")
    return wrong, len(names)
