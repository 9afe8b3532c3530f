"""Heart-rate variability with NumPy and SciPy, of the beats (seconds, float64) that test_hrv.c left in a folder
as N.in; the answers go to N.out in the order of vg_hrv. Ends with 77 when SciPy is missing.
"""
import glob
import os
import sys

os.environ.setdefault("OPENBLAS_CORETYPE", "Haswell")  # Debian 12's OpenBLAS misjudges newer processors
try:
    import numpy as np
    from scipy import signal
except ImportError as error:
    print("skipped:", error)
    sys.exit(77)


def powers(t, rr):
    """LF and HF in ms^2 from SciPy's periodogram; NaN where the stretch is too short."""
    y = 1000 * (rr - rr.mean())
    spacing = np.diff(t).mean()

    def band(low, high):
        hz = np.linspace(low, high, int(np.ceil((high - low) * 4 * (t[-1] - t[0]))) + 1)
        return np.trapz(2 * spacing * signal.lombscargle(t, y, 2 * np.pi * hz), hz)

    return (band(0.04, 0.15) if rr.sum() >= 120 else np.nan, band(0.15, 0.4) if rr.sum() >= 60 else np.nan)


def measure(beats):
    rr = np.diff(beats)
    middle = np.array([np.median(rr[max(0, i - 10) : i + 11]) for i in range(len(rr))])
    good = (rr >= 0.3) & (rr <= 2) & (np.abs(rr - middle) <= 0.3 * middle)
    step = np.diff(rr)[good[1:] & good[:-1]]
    t, kept = beats[1:][good], rr[good]
    parts = int((t[-1] - t[0]) / 300) if t[-1] - t[0] >= 600 else 1
    part = np.clip(np.ceil((t - t[0]) / (t[-1] - t[0]) * parts - 1e-12) - 1, 0, parts - 1)
    each = np.array([powers(t[part == k], kept[part == k]) for k in range(parts)])
    lf, hf = (np.nanmean(column) if np.isfinite(column).any() else np.nan for column in each.T)
    return [60 / kept.mean(), 1000 * kept.std(ddof=1), 1000 * np.sqrt((step**2).mean()),
            100 * (np.abs(step) > 0.05).mean(), lf, hf, lf / hf, len(kept)]


for name in glob.glob(sys.argv[1] + "/*.in"):
    np.array(measure(np.fromfile(name)), dtype=np.float64).tofile(name[:-3] + ".out")
