"""EDF, EDF+, BDF, BDF+ and GDF written here from their specifications and read by `vagus data import`; a second
reader, MNE, reads the same files where python3-mne is installed; and eegmat's real files by a reader of their own."""
import random
import struct
import warnings

from formats_support import DATA, SEED, TEMP, close, expect, imported, np, pathlib, refused, same

print("seed", SEED)
draw = random.Random(SEED)
try:
    import mne

    mne.set_log_level("ERROR")
    warnings.simplefilter("ignore")
except ImportError:
    mne = None


def text(value, width):
    return str(value).encode().ljust(width)


def edf(path, labels, units, limits, digital, samples, records, data, duration=1, reserved="", width=2):
    """data[channel][record]: stored integers, or bytes for annotations."""
    n = len(labels)
    head = (b"\xffBIOSEMI" if width == 3 else text(0, 8)) + text("X X X X", 80) + text("Startdate X X X X", 80) + b"01.01.8500.00.00"
    head += text(256 * (n + 1), 8) + text(reserved, 44) + text(records, 8) + text(duration, 8) + text(n, 4)
    for values, size in ((labels, 16), ([""] * n, 80), (units, 8), ([a for a, _ in limits], 8), ([b for _, b in limits], 8),
                         ([a for a, _ in digital], 8), ([b for _, b in digital], 8), ([""] * n, 80), (samples, 8), ([""] * n, 32)):
        head += b"".join(text(value, size) for value in values)
    body = b""
    for r in range(records):
        for c in range(n):
            block = data[c][r]
            if not isinstance(block, bytes):
                block = b"".join((int(v) % (1 << 8 * width)).to_bytes(width, "little") for v in block)
            body += block.ljust(samples[c] * width, b"\0")
    path.write_bytes(head + body)


def physical(values, limits, digital):
    values = np.concatenate([np.asarray(v, float) for v in values])
    return limits[0] + (values - digital[0]) * ((limits[1] - limits[0]) / (digital[1] - digital[0]))


def by_mne(path, label, scale):
    """The channel in millivolt as MNE reads it."""
    reader = {".edf": "read_raw_edf", ".bdf": "read_raw_bdf", ".gdf": "read_raw_gdf"}[path.suffix]
    raw = getattr(mne.io, reader)(path, preload=True, stim_channel=None)
    return raw.get_data(picks=[raw.ch_names.index(label)])[0] * scale


compared = 0
# The last has data records of 16 800 bytes, which are too long to be read several at once.
for suffix, width, plus in ((".edf", 2, ""), (".edf", 2, "EDF+C"), (".bdf", 3, "24BIT"), (".bdf", 3, "BDF+C"), (".edf", 2, "long")):
    top = 1 << (8 * width - 1)
    digital, limits = (-top, top - 1), (-8.3, 8.4)
    records, samples = 7, [100, 250, 250, 30]
    seconds = 1
    if plus == "long":
        records, seconds, samples = 3, 14, [1400, 3500, 3500, 30]
    labels = ["EEG Fp1", "ECG II", "EKG", "BDF Annotations" if width == 3 else "EDF Annotations"]
    data = [[[draw.randint(-top, top - 1) for _ in range(samples[c])] for _ in range(records)] for c in range(3)]
    data[1][0][:4] = [0, -1, top - 1, -top]
    data.append([f"+{r}\x14\x14\0+{r}.5\x15{0.25}\x14ECG on\x14\0".encode() for r in range(records)])
    if "+" not in plus:
        labels, samples, data = labels[:3], samples[:3], data[:3]
    n = len(labels)
    path = TEMP / ("x" + suffix)
    edf(path, labels, ["uV", "mV", "uV", ""][:n], [(-3000, 3000), limits, (5000, -4000), (-1, 1)][:n],
        [digital] * n, samples, records, data, seconds, reserved=plus, width=width)
    got = imported("edf", path, 250)
    expect(f"leads of {suffix} {plus}", [row["lead"] for row in got], ["II", "EKG"])
    want = physical(data[1], limits, digital)
    same(f"{suffix} {plus}, mV", got[0]["samples"], want)
    close(f"{suffix} {plus}, uV, upside down", got[1]["samples"], 1e-3 * physical(data[2], (5000, -4000), digital), 1e-6)
    if mne:
        close(f"{suffix} {plus} by MNE", got[0]["samples"], by_mne(path, "ECG II", 1e3), 1e-6)
        compared += 1
    expect("the EEG channel by name", imported("edf", path, 100, "--leads", "EEG Fp1")[0]["lead"], "EEG Fp1")

# Discontinuous: records at their own times, with a gap of 1.5 s and one of a sample.
for suffix, width in ((".edf", 2), (".bdf", 3)):
    kind = "BDF" if width == 3 else "EDF"
    times, digital = [2, 2.5, 4.5, 5.004], (-2048, 2047)
    data = [[[draw.randint(-2048, 2047) for _ in range(125)] for _ in times], [f"+{t:g}\x14\x14\0".encode() for t in times]]
    path = TEMP / ("gaps" + suffix)
    words = dict(duration=0.5, reserved=kind + "+D", width=width)
    edf(path, ["ECG", kind + " Annotations"], ["mV", ""], [(-2, 2), (-1, 1)], [digital] * 2, [125, 20], 4, data, **words)
    want = [physical([block], (-2, 2), digital) for block in data[0]]
    gap = lambda n: np.full(n, np.nan)
    same(suffix + " with gaps", imported("edf", path, 250)[0]["samples"],
         np.concatenate([want[0], want[1], gap(375), want[2], gap(1), want[3]]))
    data[1][2] = b"+2.2\x14\x14\0"
    edf(path, ["ECG", kind + " Annotations"], ["mV", ""], [(-2, 2), (-1, 1)], [digital] * 2, [125, 20], 4, data, **words)
    refused("edf", path, "data record 3 begins at 2.2 s, before")
    data[1][2] = b"no time"
    edf(path, ["ECG", kind + " Annotations"], ["mV", ""], [(-2, 2), (-1, 1)], [digital] * 2, [125, 20], 4, data, **words)
    refused("edf", path, "data record 3 does not say when it begins")
    edf(path, ["ECG"], ["mV"], [(-2, 2)], [digital], [125], 4, data[:1], **words)
    refused("edf", path, "has no annotations")

TYPES = {1: "i1", 2: "u1", 3: "<i2", 4: "<u2", 5: "<i4", 6: "<u4", 7: "<i8", 8: "<u8", 16: "<f4", 17: "<f8", 279: 3, 535: 3}


def gdf(path, version, kind, records, samples, values, limits, digital, unit="uV", duration=(1, 1), extra=0):
    """Two channels: one of texts' type int16 that is no ECG, and the ECG of the type `kind`."""
    second = version >= "2"
    n, pad = 2, bytes(256 * extra)
    head = b"GDF " + version.encode() + bytes(176)
    head += struct.pack("<H", 3 + extra).ljust(52, b"\0") if second else struct.pack("<q", 768).ljust(52, b"\0")
    head += struct.pack("<q", records)
    head += struct.pack("<d", duration[0] / duration[1]) if version >= "2.21" else struct.pack("<II", *duration)
    head += struct.pack("<HH", n, 0) if second else struct.pack("<I", n)
    assert len(head) == 256
    code = {"uV": 4275, "mV": 4274, "V": 4256}[unit]
    head += b"EEG".ljust(16) + b"ECG lead".ljust(16) + bytes(160)
    head += bytes(12) + struct.pack("<HH", 4275, code) if second else b"uV".ljust(8) + unit.encode().ljust(8)
    head += struct.pack("<dddd", -1, limits[0], 1, limits[1])
    head += struct.pack("<dddd" if second else "<qqqq", -5, digital[0], 5, digital[1])
    head += bytes(160) + struct.pack("<IIII", 10, samples, 3, kind) + bytes(64)
    assert len(head) == 768
    body = b""
    for r in range(records):
        block = values[r * samples : (r + 1) * samples]
        if TYPES[kind] == 3:
            block = b"".join((int(v) % (1 << 24)).to_bytes(3, "little") for v in block)
        else:
            block = np.asarray(block).astype(TYPES[kind]).tobytes()
        body += struct.pack("<10h", *range(10)) + block
    events = struct.pack("<BBBBf", 1, 0, 0, 0, 250.0) if second else struct.pack("<BBBBI", 1, 250, 0, 0, 0)  # none
    path.write_bytes(head + pad + body + events)


path = TEMP / "x.gdf"
for version in ("1.25", "2.10", "2.20", "2.51"):
    for kind in TYPES if version == "2.20" else (3, 17, 279):
        low, high = {1: (-128, 127), 2: (0, 255), 3: (-32768, 32767), 4: (0, 65535), 16: (-10000, 10000), 17: (-10000, 10000),
                     279: (-(1 << 23), (1 << 23) - 1), 535: (0, (1 << 24) - 1), 6: (0, 1 << 31), 8: (0, 1 << 52)}.get(kind, (-(1 << 30), 1 << 30))
        values = [draw.uniform(low, high) if kind in (16, 17) else draw.randint(low, high) for _ in range(1000)]
        if kind == 16:
            values = list(np.asarray(values, np.float32).astype(float))
        gdf(path, version, kind, 8, 125, values, (-2000, 2500), (low, high), duration=(1, 2), extra=int(version == "2.51"))
        want = physical([values], (-2000, 2500), (low, high))
        got = imported("edf", path, 250)
        expect("lead of GDF", [row["lead"] for row in got], ["lead"])
        close(f"GDF {version}, type {kind}", got[0]["samples"], 1e-3 * want, 3e-7)
        # MNE 1.3 reads no durations of version 2.21 and up, and channels of one type alone.
        if mne and version < "2.21" and kind == 3:
            close(f"GDF {version}, type {kind} by MNE", got[0]["samples"], by_mne(path, "ECG lead", 1e3), 3e-7)
            compared += 1
gdf(path, "2.20", 3, 4, 250, [0] * 1000, (-2, 2), (-5, 5), unit="V")
whole = path.read_bytes()
path.write_bytes(whole[:-600])
refused("edf", path, "it is cut short or the count is wrong")
path.write_bytes(whole[:600])
refused("edf", path, "inside its header")
path.write_bytes(b"GDF 1.92" + whole[8:])
refused("edf", path, "save2gdf")

if DATA:
    files = sorted(pathlib.Path(DATA, "eegmat").glob("*.edf"))[:12]
    for number, path in enumerate(files):
        b = path.read_bytes()
        field = lambda at, width: float(b[at : at + width])
        n, records = int(field(252, 4)), int(field(236, 8))
        head, labels = 256 * (n + 1), [b[256 + 16 * i : 272 + 16 * i].decode().strip() for i in range(n)]
        samples = [int(field(256 + 216 * n + 8 * i, 8)) for i in range(n)]
        for row in imported("edf", path, 500, "--keep", "all"):
            c = next(i for i, label in enumerate(labels) if label.endswith(row["lead"]))
            limit = [field(256 + at * n + 8 * c, 8) for at in (104, 112, 120, 128)]
            stored = np.frombuffer(b[head:], "<i2").reshape(records, sum(samples))[:, sum(samples[:c]) : sum(samples[: c + 1])]
            unit = {"uV": 1e-3, "mV": 1}[b[256 + 96 * n + 8 * c : 264 + 96 * n + 8 * c].decode().strip()]
            close(path.name, row["samples"], unit * physical([stored.ravel()], limit[:2], limit[2:]), 1e-6)
            if mne and number < 2:  # it takes seconds for a file
                close(path.name + " by MNE", row["samples"], by_mne(path, labels[c], 1e3), 1e-6)
                compared += 1
    print(len(files), "files of eegmat, every sample")
print("passed;", f"{compared} files compared with MNE too" if mne else "python3-mne is not here: no second reader")
