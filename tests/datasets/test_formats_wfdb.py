"""WFDB as signal(5) and header(5) describe it, written here bit by bit and read by `vagus data import`; and the real
records of MIT-BIH read by a reader of their own."""
import random

from formats_support import DATA, SEED, TEMP, expect, imported, np, pathlib, refused, run, same

print("seed", SEED)
draw = random.Random(SEED)
BITS = {8: 8, 16: 16, 24: 24, 32: 32, 61: 16, 80: 8, 160: 16, 212: 12, 310: 10, 311: 10}


def pack(format, values):
    """The bytes of a signal file; values are what the converter gave (of format 8: differences)."""
    out = bytearray()
    if format in (310, 311, 212):
        group = 2 if format == 212 else 3
        for i in range(0, len(values), group):
            bits = [v % (1 << BITS[format]) for v in values[i : i + group]]
            count = len(bits)
            bits += [0] * (group - count)
            if format == 212:
                word = bytes([bits[0] & 255, bits[0] >> 8 | bits[1] >> 8 << 4, bits[1] & 255])
                out += word[: count + 1]
            elif format == 310:
                first = bits[0] << 1 | (bits[2] & 31) << 11
                second = bits[1] << 1 | bits[2] >> 5 << 11
                out += (first | second << 16).to_bytes(4, "little")[: 2 if count == 1 else 4]
            else:
                out += (bits[0] | bits[1] << 10 | bits[2] << 20).to_bytes(4, "little")[: count + 1 if count < 3 else 4]
        return bytes(out)
    offset = {80: 128, 160: 32768}.get(format, 0)
    for value in values:
        out += ((value + offset) % (1 << BITS[format])).to_bytes(BITS[format] // 8, "big" if format == 61 else "little")
    return bytes(out)


def make_record(name, frames, rate, groups, samples=None):
    """Writes a record of random samples. groups: [(format, [(per_frame, skew), ...], byte offset)]. Returns the
    expected leads: [(description, rate, physical samples)]."""
    lines, leads = [], []
    for g, (format, signals, skip) in enumerate(groups):
        top = 1 << (BITS[format] - 1)
        raw = []
        for per_frame, _ in signals:
            if format == 8:
                steps = [draw.randint(-128, 127) for _ in range(frames * per_frame)]
                raw.append((steps, draw.randint(-500, 500)))
            else:
                most = min(top, 40000000)  # a kilovolt is taken for damage
                values = [draw.randint(-most, most - 1) for _ in range(frames * per_frame)]
                values[:4] = [0, -1, most - 1, -top]
                raw.append((values, None))
        stream = []
        for f in range(frames):
            for (per_frame, _), (values, _) in zip(signals, raw):
                stream += values[f * per_frame : (f + 1) * per_frame]
        (TEMP / f"{name}_{g}.dat").write_bytes(bytes(draw.randrange(256) for _ in range(skip)) + pack(format, stream))
        for k, ((per_frame, skew), (values, initial)) in enumerate(zip(signals, raw)):
            if format == 8:
                values = list(np.cumsum(values) + initial)
            gain, baseline = draw.choice([200, 1000.5, 51.2]), draw.randint(-50, 50)
            first = initial if format == 8 else values[0]
            checksum = sum(int(v) for v in values) & 0xFFFF
            checksum = checksum - 0x10000 if checksum >= 0x8000 else checksum
            word = f"{format}" + (f"x{per_frame}" if per_frame > 1 else "") + (f":{skew}" if skew else "") + (f"+{skip}" if skip else "")
            lines.append(f"{name}_{g}.dat {word} {gain}({baseline})/mV 12 0 {first} {checksum} 0 lead {g}{k}")
            x = (np.array(values, float) - baseline) / gain
            if format != 8:
                x[np.array(values) == -top] = np.nan
            x = np.concatenate([x[skew * per_frame :], np.full(min(skew, frames) * per_frame, np.nan)])
            leads.append((f"lead {g}{k}", rate * per_frame, x))
    (TEMP / f"{name}.hea").write_text(f"{name} {len(lines)} {rate} {frames}\n" + "\n".join(lines) + "\n")
    return leads


def check(name, leads):
    """Import once for every rate, so that nothing is resampled."""
    for rate in sorted({lead[1] for lead in leads}):
        names = ",".join(lead[0] for lead in leads if lead[1] == rate)
        got = imported("wfdb", TEMP / f"{name}.hea", rate, "--leads", names)
        expect(f"{name} at {rate} Hz", [row["lead"] for row in got], names.split(","))
        for row, lead in zip(got, [lead for lead in leads if lead[1] == rate]):
            same(f"{name}, {lead[0]}", row["samples"], lead[2])


# Every format, alone and three signals together, with frames that leave a rest in the packed ones.
for format in BITS:
    for signals, frames in ((1, 601), (2, 401), (3, 503), (1, 602)):
        check("r", make_record("r", frames, 250, [(format, [(1, 0)] * signals, 0)]))
# Several files, samples a frame, skew and byte offsets, in every format at random.
for trial in range(12):
    groups = [(draw.choice(list(BITS)), [(draw.choice([1, 1, 2, 4]), draw.choice([0, 0, 3, 17])) for _ in range(draw.randint(1, 4))],
               draw.choice([0, 0, 24, 513])) for _ in range(draw.randint(1, 3))]
    check("m", make_record("m", draw.randint(100, 400), 125, groups))

# Longer than the blocks in which samples are decoded: signals that lag by more than one, and frames of more samples.
for format in BITS:
    check("b", make_record("b", 5001, 1000, [(format, [(1, 0), (1, 2500)], 0)]))
for format in (8, 16, 212, 311):
    check("f", make_record("f", 4, 1, [(format, [(2400, 1), (2000, 0), (2400, 2)], 0)]))

# Segments: a fixed layout with a gap, and a variable one in which a segment lacks the signal.
a, b = make_record("sa", 300, 250, [(212, [(1, 0), (2, 0)], 0)]), make_record("sb", 200, 250, [(16, [(1, 0), (2, 0)], 0)])
(TEMP / "fixed.hea").write_text("fixed/4 2 250 650\nsa 300\n~ 50\nsb 200\n~ 100\n")
for lead, per_frame in ((0, 1), (1, 2)):
    gap = lambda n: np.full(n * per_frame, np.nan)
    got = imported("wfdb", TEMP / "fixed.hea", 250 * per_frame, "--leads", f"lead 0{lead}")
    same("fixed layout", got[0]["samples"], np.concatenate([a[lead][2], gap(50), b[lead][2], gap(100)]))
c = make_record("sc", 250, 250, [(80, [(1, 0)], 0)])
(TEMP / "layout.hea").write_text("layout 2 250 0\n~ 0 200 0 0 0 0 0 lead 00\n~ 0 200 0 0 0 0 0 lead 01\n")
(TEMP / "variable.hea").write_text("variable/4 2 250 560\nlayout 0\nsa 300\n~ 10\nsc 250\n")
got = imported("wfdb", TEMP / "variable.hea", 250, "--leads", "lead 00")
same("variable layout", got[0]["samples"], np.concatenate([a[0][2], np.full(10, np.nan), c[0][2]]))
got = imported("wfdb", TEMP / "variable.hea", 500, "--leads", "lead 01")
same("variable layout, a signal that is missing", got[0]["samples"], np.concatenate([a[1][2], np.full(520, np.nan)]))
# Segments of a folder come with their record alone.
alone = TEMP / "alone"
alone.mkdir()
for name in ("fixed.hea", "sa.hea", "sb.hea", "sa_0.dat", "sb_0.dat"):
    (TEMP / name).rename(alone / name)
expect("recordings of the folder", len(imported("wfdb", alone, 250)), 2)
(alone / "sb.hea").write_text((alone / "sb.hea").read_text().replace(" 250 200", " 500 200"))
refused("wfdb", alone / "fixed.hea", "line 4", "has 500 frames a second, the record 250")
(alone / "fixed.hea").write_text("fixed/2 2 250\nsa 300\n~ 8000000000\n")
refused("wfdb", alone / "fixed.hea", "is missing for all but 300 of 8000000300 samples")

# What the header says otherwise is told, and what cannot be read says what to do.
make_record("w", 300, 250, [(16, [(1, 0)], 0)])
text = (TEMP / "w.hea").read_text().split(" ")
(TEMP / "w.hea").write_text(" ".join(text[:-4] + [str(int(text[-4]) + 1)] + text[-3:]))
imported("wfdb", TEMP / "w.hea", 250, warns="add up to checksum")
(TEMP / "w.hea").write_text("w 1 250 300\nw_0.dat 516 200\n")
refused("wfdb", TEMP / "w.hea", "w_0.dat: is not a FLAC file")

if DATA:
    records = sorted(pathlib.Path(DATA, "mitdb").glob("*.hea"))
    for header in records:
        line, *signals = [x.split() for x in header.read_text().splitlines() if x and x[0] != "#"]
        count = int(line[1])
        b = np.frombuffer(header.with_suffix(".dat").read_bytes(), np.uint8).astype(int).reshape(-1, 3)
        x = np.stack([b[:, 0] | (b[:, 1] & 15) << 8, b[:, 2] | (b[:, 1] >> 4) << 8], 1).reshape(-1, count)
        x = np.where(x > 2047, x - 4096, x)
        # A record of 30 minutes is judged, and one without beats would be left out in spite of the options.
        for row in imported("wfdb", header, 360, "--keep", "all"):
            k = [" ".join(s[8:]) for s in signals[:count]].index(row["lead"])
            gain = float(signals[k][2].split("(")[0].split("/")[0])
            same(f"{header.name}, {row['lead']}", row["samples"], (x[:, k] - int(signals[k][4])) / gain)
    print(len(records), "records of mitdb, every sample")
print("passed")
