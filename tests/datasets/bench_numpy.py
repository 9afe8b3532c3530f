#!/usr/bin/env python3
"""What one would write with NumPy and SciPy in place of `vagus data import`: reads the same files, filters and resamples
each lead as the import does by default, and writes one .npy each. No quality check, no exclusions, no fingerprints.

    bench_numpy.py FORMAT FOLDER OUT [judged] [libraries]

judged: it also does what else the import does, in the shortest way NumPy has: looks for flat, clipped and weak windows,
finds beats by two detectors, compares them with the average beat, takes a spectrum, and writes one HDF5 file, which is
not compressed, as the store's samples are not. libraries: files are read by wfdb and mne, as most scripts do, and not by
the shortest code that reads just these. Prints one JSON object; the time begins after the libraries were loaded, and
exits with 77 when one is missing."""
import json
import pathlib
import resource
import sys
import time

begun = time.perf_counter()
import numpy as np  # noqa: E402
from scipy.ndimage import uniform_filter1d  # noqa: E402
from scipy.signal import butter, find_peaks, resample_poly, sosfiltfilt, welch  # noqa: E402

if "judged" in sys.argv:
    import h5py  # noqa: E402
if "libraries" in sys.argv:
    try:
        import mne
        import wfdb as physionet
    except ImportError:
        sys.exit(77)

loaded = time.perf_counter() - begun
RATE, LOW, HIGH, ORDER = 128, 0.8, 50, 8


def wfdb(folder):
    """(name, rate, samples of one lead in mV) of every record of format 16 or 212."""
    for header in sorted(pathlib.Path(folder).glob("*.hea")):
        lines = [line for line in header.read_text().splitlines() if line and not line.startswith("#")]
        words = lines[0].split()
        leads, rate = int(words[1]), float(words[2].split("/")[0])
        first = lines[1].split()
        kind, skip = first[1].split("+") if "+" in first[1] else (first[1], 0)
        raw = np.fromfile(header.with_name(first[0]), np.uint8)[int(skip):]
        if kind.startswith("212"):
            three = raw[: raw.size // 3 * 3].reshape(-1, 3).astype(np.int16)
            values = np.empty(2 * len(three), np.int16)
            values[0::2] = three[:, 0] | (three[:, 1] & 0x0F) << 8
            values[1::2] = three[:, 2] | (three[:, 1] & 0xF0) << 4
            values[values > 2047] -= 4096
        else:
            values = raw[: raw.size // 2 * 2].view("<i2")
        values = values[: values.size // leads * leads].reshape(-1, leads)
        for k in range(leads):
            words = lines[1 + k].split()
            gain = float(words[2].split("/")[0].split("(")[0])
            yield f"{header.stem}_{k}", rate, (values[:, k] - float(words[4])) / gain


def edf(folder):
    """The ECG channels of every EDF file."""
    for path in sorted(pathlib.Path(folder).glob("*.edf")):
        raw = path.read_bytes()
        size, records, seconds, n = int(raw[184:192]), int(raw[236:244]), float(raw[244:252]), int(raw[252:256])

        def field(start, width):
            at = 256 + n * start
            return [raw[at + i * width:at + (i + 1) * width].decode().strip() for i in range(n)]

        labels, counts = field(0, 16), [int(x) for x in field(216, 8)]
        low, high, least, most = ([float(x) for x in field(at, 8)] for at in (104, 112, 120, 128))
        blocks = np.frombuffer(raw, "<i2", offset=size, count=records * sum(counts)).reshape(records, -1)
        for i, label in enumerate(labels):
            if "ECG" not in label and "EKG" not in label:
                continue
            at = sum(counts[:i])
            digital = blocks[:, at:at + counts[i]].reshape(-1)
            unit = {"uV": 1e-3, "mV": 1, "V": 1e3}[field(96, 8)[i]]
            x = ((digital - least[i]) * ((high[i] - low[i]) / (most[i] - least[i])) + low[i]) * unit
            yield f"{path.stem}_{i}", counts[i] / seconds, x


def wfdb_library(folder):
    for header in sorted(pathlib.Path(folder).glob("*.hea")):
        record = physionet.rdrecord(str(header.with_suffix("")))
        for k in range(record.n_sig):
            yield f"{header.stem}_{k}", record.fs, record.p_signal[:, k]


def edf_library(folder):
    for path in sorted(pathlib.Path(folder).glob("*.edf")):
        raw = mne.io.read_raw_edf(path, include=["ECG ECG"], preload=True, verbose="error")
        for k, x in enumerate(raw.get_data()):
            yield f"{path.stem}_{k}", raw.info["sfreq"], 1e3 * x


READERS = {"wfdb": (wfdb, wfdb_library), "edf": (edf, edf_library)}


def band(x, low, high, rate):
    return sosfiltfilt(butter(2, [low, min(high, 0.45 * rate)], "bandpass", fs=rate, output="sos"), x)


def judge(x, rate):
    """What the import finds out of a recording before it takes it."""
    width, half = int(10 * rate), int(0.3 * rate)
    windows = x[: x.size // width * width].reshape(-1, width)
    size = np.ptp(windows, axis=1)
    still = np.diff(windows, axis=1) == 0
    flat = uniform_filter1d(still.astype(np.float32), int(0.5 * rate), axis=1).max(axis=1) > 0.999
    clipped = ((windows == x.max()) | (windows == x.min())).mean(axis=1) > 0.01
    steep = band(x, 8, 20, rate)
    envelope = np.sqrt(np.maximum(uniform_filter1d(np.diff(steep, prepend=0) ** 2, int(0.1 * rate)), 0))
    typical = np.median(envelope[: envelope.size // width * width].reshape(-1, width).max(axis=1))
    beats = find_peaks(envelope, height=0.35 * typical, distance=int(0.22 * rate))[0]
    squared = steep**2
    fast, slow = uniform_filter1d(squared, int(0.097 * rate)), uniform_filter1d(squared, int(0.611 * rate))
    edges = np.flatnonzero(np.diff((fast > slow + 0.08 * squared.mean()).astype(np.int8)))
    clean = band(x, 0.8, 40, rate)
    beats = beats[(beats > half) & (beats < x.size - half - 1)]
    each = clean[beats[:, None] + np.arange(-half, half + 1)]
    each = each - each.mean(axis=1, keepdims=True)
    mean = each.mean(axis=0)
    match = (each @ mean) / (np.linalg.norm(each, axis=1) * np.linalg.norm(mean) + 1e-12)
    power = welch(x, rate, nperseg=int(2 * rate))[1]
    interval = np.diff(beats) / rate
    if interval.size < 3:
        return None
    return (match.mean(), edges.size, power.sum(), (size < 0.05) | (size > 20) | flat | clipped, interval.std(),
            np.sqrt(np.mean(np.diff(interval) ** 2)))


def main(kind, folder, out, *more):
    judged, read = "judged" in more, READERS[kind]["libraries" in more]
    pathlib.Path(out).mkdir(parents=True, exist_ok=True)
    begin, samples, stored, recordings = time.perf_counter(), 0, 0, 0
    store = h5py.File(pathlib.Path(out) / "all.h5", "w") if judged else None
    for name, rate, x in read(folder):
        if judged:
            judge(x, rate)
        sos = butter(ORDER, [LOW, min(HIGH, 0.45 * rate)], "bandpass", fs=rate, output="sos")
        y = resample_poly(sosfiltfilt(sos, x), RATE, int(rate)).astype(np.float32)
        if judged:
            store.create_dataset(name, data=y)
        else:
            np.save(pathlib.Path(out) / f"{name}.npy", y)
        samples, stored, recordings = samples + x.size, stored + y.size, recordings + 1
    if judged:
        store.close()
    print(json.dumps({"seconds": time.perf_counter() - begin, "loading": loaded, "recordings": recordings,
                      "samples": samples, "stored": stored,
                      "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}))


if __name__ == "__main__":
    main(*sys.argv[1:])
