#!/usr/bin/env python3
"""What one would write with NumPy and SciPy in place of `vagus data import`: reads the same files, filters and resamples
each lead as the import does by default, and writes one .npy each. No quality check, no exclusions, no compression, no
fingerprints. bench_numpy.py FORMAT FOLDER OUT prints one JSON object; the time begins after SciPy was loaded."""
import json
import pathlib
import resource
import sys
import time

begun = time.perf_counter()
import numpy as np  # noqa: E402
from scipy.signal import butter, resample_poly, sosfiltfilt  # noqa: E402

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


def main(kind, folder, out):
    pathlib.Path(out).mkdir(parents=True, exist_ok=True)
    begin, samples, stored, recordings = time.perf_counter(), 0, 0, 0
    for name, rate, x in {"wfdb": wfdb, "edf": edf}[kind](folder):
        sos = butter(ORDER, [LOW, min(HIGH, 0.45 * rate)], "bandpass", fs=rate, output="sos")
        y = resample_poly(sosfiltfilt(sos, x), RATE, int(rate)).astype(np.float32)
        np.save(pathlib.Path(out) / f"{name}.npy", y)
        samples, stored, recordings = samples + x.size, stored + y.size, recordings + 1
    print(json.dumps({"seconds": time.perf_counter() - begin, "loading": loaded, "recordings": recordings,
                      "samples": samples, "stored": stored,
                      "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}))


if __name__ == "__main__":
    main(*sys.argv[1:4])
