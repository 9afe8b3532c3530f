#!/usr/bin/env python3
"""Wrote this folder (pip install wfdb soundfile; wfdb 4.3.1, soundfile with libsndfile 1.2.2, 2026-11): WFDB records
of every format, and in physical.npz the physical samples as wfdb-python reads them, under "record|lead|rate|units".
wfdb-python writes all formats but 8, 61, 160, 310 and 311; records of those are written here, and only read by it.
The test beside this folder reads the records with `vagus data import`; nothing but this script needs wfdb-python."""
import os
import pathlib
import random
import warnings

import numpy as np
import wfdb

os.chdir(pathlib.Path(__file__).parent)
warnings.simplefilter("ignore")
draw = random.Random(42)
FRAMES, RATE = 61, 250
BITS = {"8": 8, "16": 16, "24": 24, "32": 32, "61": 16, "80": 8, "160": 16, "212": 12, "310": 10, "311": 10,
        "508": 8, "516": 16, "524": 24}
expected = {}


def values(format, count=FRAMES):
    """Random, with the ends of the range; the lowest value stands for a missing sample."""
    top = 1 << (BITS[format] - 1)
    out = [draw.randint(-top, top - 1) for _ in range(count)]
    out[:5] = [0, -1, top - 1, 1 - top, 1]
    for _ in range(4):
        out[draw.randrange(5, count)] = -top
    return np.array(out)


def keep(name):
    """What wfdb-python reads, every sample of a frame by itself."""
    record = wfdb.rdrecord(name, smooth_frames=False)
    for lead, units, per_frame, x in zip(record.sig_name, record.units, record.samps_per_frame, record.e_p_signal):
        expected[f"{name}|{lead}|{record.fs * per_frame:g}|{units}"] = np.asarray(x, np.float64)


def record(name, formats, files=None, per_frame=None, count=FRAMES, leads=None, **more):
    n = len(formats)
    per_frame = per_frame or [1] * n
    gains = [2e5 if format == "32" else gain for format, gain in zip(formats, [200.0, 1000.5, 51.2, 819.2, 2.5e5])]
    signals = [values(format, count * k) for format, k in zip(formats, per_frame)]
    r = wfdb.Record(record_name=name, n_sig=n, fs=RATE, sig_len=count, fmt=formats, adc_gain=gains, samps_per_frame=per_frame,
                    baseline=[0, -17, 300, 5, 1][:n], units=["mV", "mV", "uV", "mV", "V"][:n], sig_name=leads or [f"lead {name} {k}" for k in range(n)],
                    file_name=files or [name + ".dat"] * n, adc_res=[BITS[f] for f in formats], adc_zero=[0, 3, 0, 0, 0][:n],
                    block_size=[0] * n, e_d_signal=signals, **more)
    r.set_d_features(expanded=True)
    return r


def written(name, formats, **more):
    record(name, formats, **more).wrsamp(expanded=True)
    keep(name)


def packed(format, stream):
    """The bytes of a format that wfdb-python does not write, after signal(5)."""
    if format in ("310", "311"):
        out = b""
        for i in range(0, len(stream), 3):
            a, b, c = ([int(v) & 1023 for v in stream[i : i + 3]] + [0, 0])[:3]
            word = a | b << 10 | c << 20 if format == "311" else (a << 1 | (c & 31) << 11) | (b << 1 | c >> 5 << 11) << 16
            out += word.to_bytes(4, "little")
        return out
    kind = {"8": "i1", "61": ">i2", "160": "<u2"}[format]
    return (np.asarray(stream) + (32768 if format == "160" else 0)).astype(kind).tobytes()


def read_only(name, format, signals):
    """Three signals, of which wfdb-python reads what is written here."""
    stored = [values(format) for _ in range(signals)]
    pathlib.Path(name + ".dat").write_bytes(packed(format, np.stack(stored, 1).reshape(-1)))
    lines = [f"{name} {signals} {RATE} {FRAMES}"]
    for k, x in enumerate(stored):
        initial = draw.randint(-300, 300) if format == "8" else int(x[0])
        total = int(np.sum(np.cumsum(x) + initial if format == "8" else x)) & 0xFFFF
        lines.append(f"{name}.dat {format} {[200, 51.2, 1000][k]}({[0, -17, 300][k]})/mV 12 0 {initial} {total} 0 lead {name} {k}")
    pathlib.Path(name + ".hea").write_text("\n".join(lines) + "\n")
    keep(name)


for format in ("16", "24", "32", "80", "212", "508", "516", "524"):
    written("w" + format, [format] * 3)
for format in ("8", "61", "160", "310", "311"):
    read_only("r" + format, format, 3)
read_only("one311", "311", 1)
written("one212", ["212"])
written("one516", ["516"])
# Several samples a frame; in FLAC every signal of a file has as many.
written("frames", ["16", "16", "212", "212"], files=["frames_a.dat"] * 2 + ["frames_b.dat"] * 2, per_frame=[1, 4, 2, 1])
written("flac4", ["516"] * 3, per_frame=[4] * 3)
written("flac8", ["524"] * 5, per_frame=[2] * 5)
# Two files of different formats, one compressed; bytes before the samples; signals that lag (wfdb-python reads a lag
# only if the signals of a file agree in it and have one sample a frame).
written("mixed", ["516", "516", "24", "80"], files=["mixed_a.dat"] * 2 + ["mixed_b.dat", "mixed_c.dat"])
written("offset", ["16", "16"], byte_offset=[26, 26])
written("skew", ["16", "212", "212"], files=["skew_a.dat"] + ["skew_b.dat"] * 2, skew=[3, 11, 11])
# In a FLAC file the offset counts samples, not bytes: header(5) leaves it open, and both readers of WFDB do so.
record("late", ["516"] * 2, count=FRAMES + 10).wrsamp(expanded=True)
lines = pathlib.Path("late.hea").read_text().replace("late 2 250 71", "late 2 250 61").replace(" 516x1 ", " 516x1+10 ").splitlines()
raw = wfdb.rdrecord("late", physical=False).d_signal
for k in (0, 1):
    words = lines[1 + k].split()
    words[5:7] = [str(raw[10, k]), str(int(np.sum(raw[10:, k])) & 0xFFFF)]
    lines[1 + k] = " ".join(words)
pathlib.Path("late.hea").write_text("\n".join(lines) + "\n")
keep("late")
# Headers that say little: no baseline (the converter's zero is it), no gain at all.
wfdb.Record(record_name="bare", n_sig=2, fs=RATE, sig_len=FRAMES, fmt=["16"] * 2, d_signal=np.stack([values("16"), values("16")], 1),
            adc_gain=[100.0] * 2, baseline=[7, 7], units=["mV"] * 2, sig_name=["lead bare 0", "lead bare 1"], file_name=["bare.dat"] * 2,
            adc_res=[16] * 2, adc_zero=[7] * 2).wr_dats(expanded=False, write_dir="")
pathlib.Path("bare.hea").write_text(f"bare 2 {RATE} {FRAMES}\nbare.dat 16 100 16 7 0 0 0 lead bare 0\nbare.dat 16 0 16 0 0 0 0 lead bare 1\n")
keep("bare")

# Segments of a fixed layout (wfdb-python reads no gap in one); and of a variable one, with gaps, in which each segment
# has signals of its own choice.
leads = ["lead s 0", "lead s 1"]
parts = [record("fixed_1", ["212"] * 2, leads=leads), record("fixed_2", ["516"] * 2, leads=leads, count=57)]
wfdb.MultiRecord(segments=parts, layout="fixed", record_name="fixed", n_sig=2, fs=RATE, sig_len=118, seg_name=["fixed_1", "fixed_2"],
                 seg_len=[61, 57]).wrsamp(expanded=True)
keep("fixed")
written("part_1", ["516"] * 2, leads=["lead v 1", "lead v 0"])
written("part_2", ["16"], leads=["lead v 1"], count=40)
pathlib.Path("variable_layout.hea").write_text("variable_layout 2 250 0\n" + "".join(f"~ 0 200 0 0 0 0 0 lead v {k}\n" for k in (0, 1)))
pathlib.Path("variable.hea").write_text("variable/5 2 250 116\nvariable_layout 0\n~ 5\npart_1 61\n~ 10\npart_2 40\n")
keep("variable")

np.savez_compressed("physical.npz", **expected)
print(len(expected), "leads,", sum(len(x) for x in expected.values()), "samples")
