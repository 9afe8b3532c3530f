"""What the tests of the formats share: an import that leaves samples as they are, and its store read by h5py."""
import os
import pathlib
import subprocess
import sys
import tempfile

try:
    import h5py
    import numpy as np
except ImportError as error:
    print("skipped:", error)
    sys.exit(77)

VAGUS = os.environ["VAGUS_PROGRAM"]
SEED = int(os.environ.get("VAGUS_TEST_SEED", "1"))
DATA = os.environ.get("VAGUS_TEST_DATA")
folder = tempfile.TemporaryDirectory()
TEMP = pathlib.Path(folder.name)
# Samples untouched, whatever they look like. Recordings of the tests last less than a window of the quality check.
UNTOUCHED = ["--order", "0", "--min-seconds", "0", "--min-quality", "0", "--drop-bad=false", "--overwrite"]


def run(format, source, rate, *options):
    store = TEMP / "out.h5"
    words = [VAGUS, "data", "import", format, str(source), "--out", str(store), "--rate", str(rate), *UNTOUCHED, *options]
    result = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=120)
    return result.returncode, result.stdout, store


def imported(format, source, rate, *options, warns=None):
    """The recordings of the store, dictionaries of their columns; `warns`: words that the output must hold."""
    code, said, store = run(format, source, rate, *options)
    if code != 0:
        sys.exit(f"{format} {source}: exit {code}\n{said}")
    if warns and warns not in said:
        sys.exit(f"{format} {source}: does not warn \"{warns}\":\n{said}")
    if warns is None and "checksum" in said:
        sys.exit(f"{format} {source}: warns of nothing:\n{said}")
    out = []
    with h5py.File(store) as f:
        table, signal = f["recordings"], f["signal"][:]
        names = [name.decode() for name in f["ratings/names"][:]]
        for i, (offset, length) in enumerate(zip(table["offset"][:], table["length"][:])):
            row = {key: table[key][i].decode() for key in ("subject", "trial", "stimulus", "lead", "source")}
            row["samples"] = signal[offset : offset + length]
            row["ratings"] = dict(zip(names, f["ratings/values"][i]))
            out.append(row)
    return out


def refused(format, source, *words, options=()):
    """The import must fail with each of the words in what it says."""
    code, said, _ = run(format, source, 250, *options)
    missing = [word for word in words if word not in said]
    if code == 0 or code < 0 or missing:
        sys.exit(f"{format} {source}: exit {code}, does not say {missing}:\n{said}")


def same(what, got, want):
    """Samples bit for bit as float32, NaN where NaN is wanted."""
    want = np.asarray(want, np.float64).astype(np.float32)
    if got.shape != want.shape:
        sys.exit(f"{what}: {got.shape} samples, not {want.shape}")
    differ = ~((got == want) | (np.isnan(got) & np.isnan(want)))
    if differ.any():
        i = int(np.argmax(differ))
        sys.exit(f"{what}: {int(differ.sum())} samples differ, the first is {i}: {got[i]!r}, not {want[i]!r}")


def close(what, got, want, bound):
    error = np.max(np.abs(np.asarray(got, np.float64) - want)) if len(got) == len(want) else np.inf
    if not error <= bound:
        sys.exit(f"{what}: differs by {error:g}, more than {bound:g} ({len(got)} and {len(want)} samples)")


def expect(what, got, want):
    if got != want:
        sys.exit(f"{what}: {got!r}, not {want!r}")
