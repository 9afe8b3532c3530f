"""Filters and resamples with SciPy what test_signal_scipy.c left in a folder.

cases.txt holds one case a line: "filter NAME btype order low high rate" or "resample NAME up down"; NAME.in is
the signal (float64), NAME.out the answer. Ends with 77 when SciPy is missing.
"""
import os
import sys

os.environ.setdefault("OPENBLAS_CORETYPE", "Haswell")  # Debian 12's OpenBLAS misjudges newer processors
try:
    import numpy as np
    from scipy import signal
except ImportError as error:
    print("skipped:", error)
    sys.exit(77)

folder = sys.argv[1]
for line in open(folder + "/cases.txt"):
    kind, name, *rest = line.split()
    x = np.fromfile(f"{folder}/{name}.in")
    if kind == "filter":
        btype, order, low, high, rate = rest[0], int(rest[1]), *map(float, rest[2:])
        edges = {"lowpass": high, "highpass": low, "bandpass": [low, high]}[btype]
        y = signal.sosfiltfilt(signal.butter(order, edges, btype, fs=rate, output="sos"), x)
    else:
        up, down = map(int, rest)
        # A long filter, so that the comparison is about the signal and not about SciPy's default window.
        half = 64 * max(up, down)
        taps = signal.firwin(2 * half + 1, 0.95 / max(up, down), window=("kaiser", 12.0))
        y = signal.resample_poly(x, up, down, window=taps, padtype="line")
    np.asarray(y, dtype=np.float64).tofile(f"{folder}/{name}.out")
