"""CSV, CASE and NumPy arrays, written here and read by `vagus data import`."""
import io
import random

from formats_support import SEED, TEMP, expect, imported, np, refused, same

print("seed", SEED)
draw = np.random.default_rng(SEED)
random.seed(SEED)
N = 900
x, y = np.round(draw.normal(size=N), 4), np.round(draw.normal(size=N), 4)
t = np.arange(N) / 250


def csv(name, rows, header=None, separator=",", number="{:.6g}".format, end="\n"):
    lines = [separator.join(header)] if header else []
    lines += [separator.join(v if isinstance(v, str) else number(v) for v in row) for row in rows]
    (TEMP / name).write_text(end.join(lines) + end)
    return TEMP / name


def check(what, got, *leads):
    expect(what, [row["lead"] for row in got], [name for name, _ in leads])
    for row, (name, samples) in zip(got, leads):
        same(f"{what}, {name}", row["samples"], samples)


# ---- CSV: names, numbers, units, delimiters, decimal commas, quotes, times.
columns = list(zip(t, x, y))
path = csv("a.csv", columns, ["time", "ECG I [mV]", "resp"])
check("found out", imported("csv", path, 250), ("ECG I", x))
check("by name", imported("csv", path, 250, "--map", "signal=resp|ecg i,units=uV,leads=A|B,scale=2"), ("A", 2e-3 * y), ("B", 2e-3 * x))
check("by number", imported("csv", path, 500, "--map", "signal=2,rate=500"), ("ECG I", x))
path = csv("b.csv", columns, ["t", "a", "b"], ";", lambda v: f"{v:.6f}".replace(".", ","), "\r\n")
check("decimal commas", imported("csv", path, 250, "--map", "signal=b", "--units", "mV"), ("b", y))
path = csv("c.txt", [(a, b) for a, b in zip(x, y)], separator="  ")
check("no names", imported("csv", path, 200, "--map", "signal=1|2,rate=200,units=V"), ("column 1", 1e3 * x), ("column 2", 1e3 * y))
path = csv("d.tsv", [(f"'{int(s) // 60}:{s % 60:06.3f}'", v) for s, v in zip(t + 58, x)], ["'Elapsed time'", "'MLII'"], "\t")
path.write_text(path.read_text().replace("\n", "\n'hh:mm:ss.mmm'\t'mV'\n", 1))
check("clock times and a line of units", imported("csv", path, 250), ("MLII", x))
path = csv("e.csv", [(f"{1000 * s:.0f}", v) for s, v in zip(np.arange(N) / 360, x)], ["stamp", "ecg"])
check("times in rounded milliseconds", imported("csv", path, 360, "--map", "time=stamp,time_units=ms,rate=360,units=mV"), ("ecg", x))
with_holes = [(s, "" if i == 5 else "NaN" if i == 6 else v) for i, (s, v) in enumerate(zip(t, x)) if not 100 <= i < 140 and i != 300]
path = csv("f.csv", with_holes, ["time", "ekg"])
want = x.copy()
want[[5, 6, 300]] = want[100:140] = np.nan
check("missing values and rows", imported("csv", path, 250, "--units", "mV"), ("ekg", want))
(TEMP / "g.csv").write_bytes(b"\xef\xbb\xbf# made by hand\n\n\"ecg, left\",n\n" + "".join(f'"{v}",1\n' for v in x).encode())
check("quotes, comments, a byte order mark", imported("csv", TEMP / "g.csv", 250, "--map", "rate=250,units=mV"), ("ecg, left", x))
(TEMP / "labels.csv").write_text("record,mood\na,3\n")
got = imported("csv", TEMP / "a.csv", 250, "--labels", str(TEMP / "labels.csv"), "--pattern", "{subject}.csv")
expect("rating and subject", (got[0]["ratings"]["mood"], got[0]["subject"]), (3.0, "a"))
together = TEMP / "together"
together.mkdir()
(together / "labels.csv").write_text("record,mood\na,3\n")
(TEMP / "a.csv").rename(together / "a.csv")
got = imported("csv", together, 250, "--labels", str(together / "labels.csv"), "--strict")
expect("recordings beside their labels", [row["ratings"]["mood"] for row in got], [3.0])

rate = ("--map", "rate=250,units=mV")
for text, words, options in (
    ("ecg,n\n1,2\n3,x4\n", (), rate),
    ("ecg,n\n1,2\n3a,4\n", ("bad.csv: line 3, column 1 (ecg): \"3a\" is not a number",), rate),
    ("n,ecg\n1,2\n3\n", ("line 3 has 1 columns, so no column 2 (ecg)",), rate),
    ("a,b\n1,2\n", ("which of its 2 columns are ECG (a, b)", "signal=NAME"), rate),
    ("a,b\n1,2\n", ("has no column \"ecg\"; it has a, b",), ("--map", "signal=ecg,rate=250,units=mV")),
    ("1,2\n3,4\n", ("has no column \"ecg\"", "number them 1 to 2"), ("--map", "signal=ecg,rate=250,units=mV")),
    ("ecg\n1\n2\n", ("nothing tells its sampling rate", "rate=250"), ()),
    ("time,ecg\n0,1\n0.004,2\n0.002,3\n", ("line 4, column 1 (time): the time 0.002 s lies before",), ("--units", "mV")),
    ("time,ecg\n0,1\nsoon,2\n", ("line 3, column 1 (time): \"soon\" is not a time",), ("--units", "mV")),
    ("time,ecg\n0,1\n0,2\n0,3\n", ("the times do not tell a sampling rate",), ("--units", "mV")),
    ("time,ecg\n" + "".join(f"{s},1\n" for s in (0, 4, 8, 12, 900000)), ("time_units=ms",), ("--map", "time=time,rate=250,units=mV")),
    ("", ("holds no line",), rate),
    ("ecg\n1\0\n2\n", ("zero byte",), rate),
    ("ecg\n" + "1," * 70000, ("longer than",), rate),
    ("ecg\n1\n", ("speed=", "known for csv are signal="), ("--map", "speed=3")),
    ("ecg\n1\n", ("rate=fast",), ("--map", "rate=fast")),
    ("ecg\n1\n", ("time_units=h",), ("--map", "time_units=h")),
):
    (TEMP / "bad.csv").write_text(text)
    if words:
        refused("csv", TEMP / "bad.csv", *words, options=options)

# ---- NumPy: types, byte orders, C and Fortran, versions, shapes.
def save(array, version=None):
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, array, version=version)
    (TEMP / "x.npy").write_bytes(buffer.getvalue())
    return TEMP / "x.npy"


whole = draw.integers(-3000, 3000, size=(3, 400, 2))
for kind in ("<i2", ">i2", "<i4", ">i4", "<f4", ">f4", "<f8", ">f8", "|i1", "|u1", "<u2", "<i8"):
    array = (whole % 100).astype(kind) if kind[1:] in ("u1", "i1", "u2") else whole.astype(kind) / (8 if "f" in kind else 1)
    array = array.astype(kind)
    for order in "CF":
        for version in ((1, 0), (2, 0), (3, 0)) if kind == "<i2" else (None,):
            path = save(np.array(array, order=order), version)
            got = imported("npy", path, 250, "--map", "rate=250,units=mV,leads=I|II,scale=0.5")
            check(f"{kind} {order} {version}", got, *[("I II".split()[l], 0.5 * array[r, :, l].astype(float)) for r in range(3) for l in range(2)])
expect("sources", [row["source"].rsplit(":", 1)[-1] for row in got], list("001122"))
check("one axis", imported("npy", save(x), 250, *rate), ("", x))
pair = np.stack([x, y], 1)
check("samples by leads", imported("npy", save(pair), 250, "--map", "rate=250,units=mV,axes=samples|leads"), ("lead 1", x), ("lead 2", y))
check("leads by samples", imported("npy", save(pair.T), 250, "--map", "rate=250,units=mV,axes=leads|samples"), ("lead 1", x), ("lead 2", y))
check("recordings", imported("npy", save(np.asfortranarray(pair.T)), 250, "--map", "rate=250,units=mV,axes=recordings|samples"), ("", x), ("", y))
array = whole.transpose(2, 0, 1).astype("<f8")
got = imported("npy", save(array), 250, "--map", "rate=250,units=mV,axes=leads|recordings|samples")
check("any order", got, *[(f"lead {l + 1}", array[l, r]) for r in range(3) for l in range(2)])
wide = draw.normal(size=(2000, 40)).astype("<f4")  # rows beyond the buffer
check("a lead of many", imported("npy", save(wide), 250, "--map", "rate=250,units=mV,axes=samples|leads", "--leads", "lead 40"), ("lead 40", wide[:, 39]))
for array, words, options in (
    (pair, ("900 x 2", "axes=samples|leads"), rate),
    (pair, ("2 axes, but the option map names 3",), ("--map", "rate=250,units=mV,axes=recordings|samples|leads")),
    (pair, ("one of the axes must be samples",), ("--map", "rate=250,units=mV,axes=recordings|leads")),
    (x, ("sampling rate", "rate=250"), ()),
    (np.zeros((2, 3, 4, 5)), ("more than three axes",), rate),
    (np.zeros((0,)), ("the array is empty",), rate),
    (x.astype(complex), ("\"<c16\"", "a.astype(\"f8\")"), rate),
    (np.zeros(3, [("ecg", "f4")]), ("array of records", "numpy.save"), rate),
):
    refused("npy", save(array), *words, options=options)
path = save(x)
path.write_bytes(path.read_bytes()[:-1])
refused("npy", path, "it is cut short", options=rate)
path.write_bytes(b"\x93NUMPY\x09\0" + path.read_bytes()[8:])
refused("npy", path, "NumPy format 9.0", options=rate)
np.savez(TEMP / "x.npz", x=x)
refused("npy", TEMP / "x.npz", "ZIP file of arrays; unpack it", options=rate)
path.write_bytes((TEMP / "x.npz").read_bytes())
refused("npy", path, "is a ZIP file", options=rate)

# ---- CASE, in the layout of its description.
case = TEMP / "interpolated"
for name in ("physiological", "annotations"):
    (case / name).mkdir(parents=True)
plan = [(10, 2.0), (1, 3.1), (11, 2.5), (5, 4.0), (11, 2.0), (12, 1.5)]
for subject in (1, 12):
    ecg, video = np.round(draw.normal(size=15100), 5), np.repeat([v for v, _ in plan], [int(1000 * s) for _, s in plan])
    times = np.arange(len(video))
    csv(f"interpolated/physiological/sub_{subject}.csv", [(s, e, 0.5, v) for s, e, v in zip(times, ecg, video)],
        ["daqtime", "ecg", "bvp", "video"], number="{:.10g}".format)
    marks = np.round(draw.uniform(0.5, 9.5, size=(len(video[::50]), 2)), 3)
    csv(f"interpolated/annotations/sub_{subject}.csv", [(50 * i, a, b, v) for i, ((a, b), v) in enumerate(zip(marks, video[::50]))],
        ["jstime", "valence", "arousal", "video"])
got = imported("case", case, 1000, warns="not tried on its real files")
expect("recordings of CASE", len(got), 2 * len(plan))
got = [row for row in got if row["subject"] == "sub_12"]
start = 0
for i, (row, (number, seconds)) in enumerate(zip(got, plan)):
    end = start + int(1000 * seconds)
    expect("trial and stimulus", (row["trial"], row["stimulus"]), (str(i + 1), str(number)))
    same(f"CASE, video {number}", row["samples"], ecg[start:end])
    mean = marks[video[::50] == number].mean(0) if number < 10 else (np.nan, np.nan)
    if not np.allclose([row["ratings"]["valence"], row["ratings"]["arousal"]], mean, 1e-12, equal_nan=True):
        raise SystemExit(f"video {number}: {row['ratings']}, not {mean}")
    start = end
path = case / "physiological" / "sub_1.csv"
refused("case", together / "a.csv", "lies in no folder \"physiological\"")
(case / "annotations" / "sub_1.csv").unlink()
refused("case", path, "annotations/sub_1.csv: cannot be opened")
csv("interpolated/annotations/sub_1.csv", [(0, 5, 5, 1)], ["jstime", "valence", "arousal", "video"])
path.write_text("daqtime,ecg,video\n0,1,1\n1,1,77\n")
refused("case", path, "line 3, column 3: 77 is not the number of a video")
path.write_text("daqtime,ecg,video\n" + "".join(f"{4 * i},1,1\n" for i in range(100)))
refused("case", path, "times are 4 apart in the mean")
refused("case", TEMP / "alone", "no such file")
print("passed")
