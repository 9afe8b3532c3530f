"""A user's first files, as they are: what is found out without being told, and what a refusal says."""
import gzip
import re
import subprocess

from formats_support import SEED, TEMP, VAGUS, expect, imported, np, refused, run, same
import h5py

print("seed", SEED)
draw = np.random.default_rng(SEED)
N = 900
x, y = np.round(draw.normal(size=N), 4), np.round(draw.normal(size=N), 4)
t = np.arange(N) / 250
told = ("--map", "rate=250,units=mV")


def csv(name, header, rows):
    lines = [header] if header else []
    lines += [",".join(v if isinstance(v, str) else f"{v:.6g}" for v in row) for row in rows]
    (TEMP / name).write_text("\n".join(lines) + "\n")
    return TEMP / name


def check(what, rows, *leads):
    expect(what, [row["lead"] for row in rows], [name for name, _ in leads])
    for row, (name, samples) in zip(rows, leads):
        same(f"{what}, {name}", row["samples"], samples)


# ---- Standard leads, units and times by the names of columns.
path = csv("a.csv", "time,I,II", zip(t, x, y))
check("standard leads", imported("csv", path, 250, "--units", "mV"), ("I", x), ("II", y))
path = csv("a.csv", "time_ms,ecg_mV,resp", zip(1000 * t, x, y))
check("a unit and a time unit", imported("csv", path, 250), ("ecg", x))
check("its whole name", imported("csv", path, 250, "--map", "signal=ecg_mV"), ("ecg", x))
check("told otherwise", imported("csv", path, 250, "--map", "time_units=ms,units=uV"), ("ecg", 1e-3 * x))
path = csv("a.csv", "Time [us],lead aVR,v,V1_uV", zip(1e6 * t, x, y, y))
check("brackets", imported("csv", path, 250, "--map", "units=mV"), ("lead aVR", x), ("V1", y))
path = csv("a.csv", "t,i,v1", zip(t, x, y))
refused("csv", path, "which of its 3 columns are ECG (t, i, v1)", "--map 'signal=NAME,units=mV'")
path = csv("a.csv", "n,a,b", zip(t, x, y))
refused("csv", path, "its sampling rate", "which of its 3 columns are ECG (n, a, b)", "the unit of its samples", "--units mV",
        "--map 'rate=250,signal=NAME,units=mV'")
path = csv("a.csv", "ecg", zip(x))
refused("csv", path, "nothing tells the unit of its samples", "--units mV", options=("--map", "rate=250"))
np.save(TEMP / "x.npy", x)
refused("npy", TEMP / "x.npy", "their sampling rate", "the unit of their samples", "--map 'rate=250,units=mV'")
with h5py.File(TEMP / "x.h5", "w") as f:
    f["ecg"] = np.stack([x, y])[None].transpose(0, 2, 1)
refused("hdf5", TEMP / "x.h5", "its sampling rate (no attribute \"fs\"", "the unit of its samples", "--map 'rate=400,units=mV'")

# ---- Dates and clocks.
def stamps(form, start="2026-12-31T23:59:58.200"):
    moments = np.datetime64(start, "ms") + (4 * np.arange(N)).astype("timedelta64[ms]")
    return [form(str(moment)) for moment in moments]


for what, form in (("ISO 8601", str), ("a blank", lambda s: s.replace("T", " ")), ("Z", lambda s: s + "Z"), ("a zone", lambda s: s + "+05:30"),
                   ("a short zone", lambda s: s + "-0800")):
    path = csv("d.csv", "timestamp,ecg_mV", zip(stamps(form), x))
    check(f"times with a date, {what}", imported("csv", path, 250), ("ecg", x))
path = csv("d.csv", None, zip(stamps(str, "2024-02-28T23:59:59"), x))
check("over the day that is sometimes missing", imported("csv", path, 250, "--map", "time=1,units=mV"), ("column 2", x))
zones = [s + ("+01:00" if i < 400 else "+02:00") for i, s in enumerate(stamps(str))]
zones[400:] = [s.replace("T", "T") + "+02:00" for s in stamps(str, "2027-01-01T00:59:58.200")[400:]]
zones = zones[:400] + [str(np.datetime64(s[:-6]) + np.timedelta64(0, "ms")) + "+02:00" for s in zones[400:]]
path = csv("d.csv", "time,ecg_mV", zip(zones, x))
check("a clock put forward", imported("csv", path, 250), ("ecg", x))
for time in ("2026-13-01T00:00:00", "2026-12-01", "2026-12-01T", "2026-12-01T1", "2026-12-01T00:00:00+1", "26-12-01T00:00", "soon",
             "2026-12-01T00:00:00Zulu", "2026-12-01T00:00:00+01:00Z"):
    path = csv("d.csv", "time,ecg_mV", [("2026-11-30T23:59:59", 1), (time, 2)])
    refused("csv", path, f"\"{time}\" is not a time (as 3.5, 1:02:03.5 and 2026-11-23T08:56:14.5 are)", "rate=250")

# ---- Files that are no text, rows that are too wide.
(TEMP / "e.csv.gz").write_bytes(gzip.compress(path.read_bytes()))
refused("csv", TEMP / "e.csv.gz", "is packed by gzip", "gunzip", options=told)
np.savez(TEMP / "e.npz", x)
(TEMP / "e.xlsx").write_bytes((TEMP / "e.npz").read_bytes())
refused("csv", TEMP / "e.xlsx", "is a ZIP file", "CSV", options=told)
path = csv("e.csv", "time,I,II", [("0,004", "0,1", "0,2"), ("0,008", "0,3", "0,1")])
refused("csv", path, "line 2 has 6 fields, the header 3", "decimal", options=("--units", "mV"))
path = csv("e.csv", None, [(1, 2), (1, 2, 3)])
refused("csv", path, "line 2 has 3 fields, the first line 2", options=("--map", "signal=1,rate=250,units=mV"))
path = csv("e.csv", "I,II", [(a, b, "", "") for a, b in zip(x, y)])
check("commas at the end", imported("csv", path, 250, *told), ("I", x), ("II", y))

# ---- A lead that a file does not have, in each format.
record = TEMP / "r.hea"
record.write_text("r 2 250 900\nr.dat 16 200 16 0 0 0 0 MLII\nr.dat 16 200 16 0 0 0 0 V1\n")
(TEMP / "r.dat").write_bytes(np.stack([1000 * x, 1000 * y], 1).astype("<i2").tobytes())
path = csv("f.csv", "I,II", zip(x, y))
np.save(TEMP / "f.npy", np.stack([x, y]))
lack = ("--leads", "V5")
refused("csv", path, "f.csv: no lead V5; it has I, II", options=(*told, *lack))
refused("npy", TEMP / "f.npy", "f.npy: no lead V5; it has lead 1, lead 2", options=("--map", "rate=250,units=mV,axes=leads|samples", *lack))
refused("npy", TEMP / "x.npy", "x.npy: no lead V5; it has one without a name", options=(*told, *lack))
refused("hdf5", TEMP / "x.h5", "x.h5: no lead V5; it has lead 1, lead 2", options=(*told, *lack))
refused("wfdb", record, "r.hea: no lead V5; it has MLII, V1", options=lack)
try:
    from scipy.io import savemat
    savemat(TEMP / "f.mat", {"ecg": np.stack([x, y], 1)})
    refused("mat", TEMP / "f.mat", "f.mat: no lead V5; it has I, II", options=("--map", "rate=250,units=mV,leads=I|II", *lack))
except ImportError as error:
    print("not mat:", error)
several = TEMP / "several"
several.mkdir()
for name, header in (("a", "I,II"), ("b", "V5,II")):
    path.write_text(header + path.read_text()[4:])
    (several / f"{name}.csv").write_text(path.read_text())
check("one of two has it", imported("csv", several, 250, *told, *lack), ("V5", x))

# ---- A link back to a folder is passed by.
(several / "deep").mkdir()
(several / "deep" / "up").symlink_to("..")
(several / "deep" / "self").symlink_to(".")
check("a loop of links", imported("csv", several, 250, *told, "--leads", "first"), ("I", x), ("V5", x))

# ---- The help of a format has all that its option map takes, and an example.
for format, keys in (("csv", 8), ("npy", 5), ("hdf5", 9), ("mat", 10)):
    said = subprocess.run([VAGUS, "data", "import", format, "--help"], stdout=subprocess.PIPE, text=True, timeout=60, check=True).stdout
    known = re.findall(r"(\w+)=", run(format, TEMP / "x.npy", 250, "--map", "nothing=1")[1].split("known for")[1])
    expect(f"{format}: keys", len(known), keys)
    missing = [key for key in known if not re.search(rf"^  (\w+=, )*{key}=", said, re.M)]
    expect(f"{format}: keys without help", missing, [])
general = subprocess.run([VAGUS, "data", "import", "--help"], stdout=subprocess.PIPE, text=True, timeout=60, check=True).stdout
formats = re.findall(r"^  (\w+) ", general.split("\noptions")[0].split("\nformats\n")[1], re.M)
expect("formats", [f for f in ("csv", "npy", "hdf5", "mat", "wfdb", "edf", "amigos", "case") if f not in formats], [])
for format in formats:
    said = subprocess.run([VAGUS, "data", "import", format, "--help"], stdout=subprocess.PIPE, text=True, timeout=60, check=True).stdout
    expect(f"{format}: examples", len(re.findall(rf"^  vagus data import {format} .*--out", said, re.M)), 1)
    expect(f"{format}: wide lines", [line for line in said.split("\n") if len(line) > 115], [])
print("passed")
