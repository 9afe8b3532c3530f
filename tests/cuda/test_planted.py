#!/usr/bin/env python3
"""The test of the test: every planted bug is seen, for the right reason, and without bugs nothing is seen.
test_planted.py FOLDER: where the programs planted_* are."""

import pathlib
import re
import subprocess
import sys

RIGHT = r"nothing seen"
RESULT = r"seen: .* is \S+ and not"
RACE = r"ThreadSanitizer: data race"
ASAN = r"AddressSanitizer"
SHARED = r"wrote outside an array of its shared memory|index \d+ out of bounds for type|" + ASAN
DEVICE = r"wrote outside its device memory|" + ASAN
PRODUCTS = ("linear", "linear_dw", "conv", "conv_dw")
# program (planted_NAME), case, what its output must show
CASES = [
    *(("none", case, RIGHT) for case in ("tile", "layernorm", "attention", "masked_mse", "tokens", "pool", "masking", "gather", "streams")),
    ("barrier", "tile", RESULT + "|" + RACE),
    ("barrier", "layernorm", RESULT + "|" + RACE),
    ("barrier", "tokens", RESULT + "|" + RACE),
    ("barrier", "pool", RESULT + "|" + RACE),
    ("barrier", "masking", RESULT + "|" + RACE),
    ("barrier", "attention", RESULT + "|" + RACE),
    ("shared", "tile", SHARED + "|" + RESULT + "|" + RACE),
    ("shared", "layernorm", SHARED + "|" + RACE),
    ("shared", "attention", SHARED + "|" + RACE),
    ("wait", "tile", RESULT + "|" + RACE),
    ("wait", "attention", RESULT + "|copies not waited for|" + RACE),
    ("tail", "tile", RESULT + "|" + DEVICE),
    ("tail", "attention", RESULT),
    ("tail", "masked_mse", RESULT + "|" + DEVICE),
    ("tail", "tokens", RESULT + "|" + DEVICE),
    ("tail", "gather", RESULT + "|" + DEVICE),
    *(("none", case, RIGHT) for case in PRODUCTS + ("first", "narrow_dw")),
    *(("barrier", case, RESULT + "|" + RACE) for case in PRODUCTS + ("first", "narrow_dw")),
    *(("shared", case, SHARED + "|" + RESULT + "|" + RACE) for case in PRODUCTS),
    *(("wait", case, RESULT + "|" + RACE) for case in PRODUCTS),
    *(("tail", case, RESULT + "|" + DEVICE) for case in PRODUCTS[::2]),  # dw has whole tiles of columns or ignores them
    ("none", "streams_without_event", RESULT),
    ("none", "host_reads_early", RESULT),
    ("none", "outside", DEVICE),
    ("none", "host_follows_pointer", r"^$|" + ASAN + r"|ThreadSanitizer: SEGV"),
]


def main(folder):
    failures = 0
    for name, case, wanted in CASES:
        done = subprocess.run(
            [pathlib.Path(folder, "planted_" + name), case], capture_output=True, text=True, timeout=300
        )
        output = done.stdout + done.stderr
        good = (done.returncode == 0) == (wanted == RIGHT) and re.search(wanted, output)
        shown = next((line for line in output.splitlines() if re.search(wanted, line)), output.strip()[:300])
        print(f"{'ok    ' if good else 'FAILED'} planted_{name} {case}: exit {done.returncode}, {shown}")
        failures += not good
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
