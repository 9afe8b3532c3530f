"""Arrays of several files and of MATLAB 7.3: whose leads are whose, and which dimension is what."""
from formats_support import TEMP, SEED, expect, imported, np, refused, run, same
import h5py

print("seed", SEED)
draw = np.random.default_rng(SEED)
N = 900
rate = ("--map", "rate=250,units=mV")


def people(rows):
    return [(row["subject"].rsplit("/", 1)[-1], row["lead"], row["source"].rsplit("/", 1)[-1]) for row in rows]


def check(what, rows, *leads):
    expect(what, [row["lead"] for row in rows], [name for name, _ in leads])
    for row, (name, samples) in zip(rows, leads):
        same(f"{what}, {name}", row["samples"], samples)


# ---- Records of the same number in two files are two people; the leads of one record are one.
folder = TEMP / "both"
folder.mkdir()
blocks = {}
for name in ("n3", "n4"):
    blocks[name] = draw.normal(size=(2, N, 2))
    np.save(folder / f"{name}.npy", blocks[name])
    with h5py.File(folder / f"{name}.h5", "w") as f:
        f["ecg"] = blocks[name]
two = [(f"{name}:{r}", f"lead {l + 1}", f"{name}.@:{r}") for name in ("n3", "n4") for r in range(2) for l in range(2)]
got = imported("npy", folder, 250, *rate)
expect("people of two npy files", people(got), [(s, l, f.replace("@", "npy")) for s, l, f in two])
got = imported("hdf5", folder, 250, *rate)
expect("people of two hdf5 files", people(got), [(s, l, f.replace("@", "h5")) for s, l, f in two])
for row, (name, r, l) in zip(got, [(name, r, l) for name in ("n3", "n4") for r in range(2) for l in range(2)]):
    same("samples of two files", row["samples"], blocks[name][r, :, l])
for part in ("a", "b"):
    (folder / part).mkdir()
    np.save(folder / part / "x.npy", blocks["n3"])
got = imported("npy", folder, 250, *rate)
expect("two files of one name", sorted({row["subject"] for row in got}),
       [f"{n}:{r}" for n in ("a/x", "b/x", "n3", "n4") for r in range(2)])
got = imported("npy", folder / "n3.npy", 250, *rate)
expect("one file", [row["subject"] for row in got], ["n3:0", "n3:0", "n3:1", "n3:1"])
# A table of labels finds the records of one file by number, of several by file and number.
(TEMP / "labels.csv").write_text("record,mood\n0,3\n1,4\n")
got = imported("npy", folder / "n3.npy", 250, *rate, "--labels", str(TEMP / "labels.csv"))
expect("labels by number", [row["ratings"]["mood"] for row in got], [3, 3, 4, 4])
(TEMP / "labels.csv").write_text("record,mood\nn3:0,3\nn3:1,4\nn4:0,5\nn4:1,6\n")
for name in ("a/x.npy", "b/x.npy"):
    (folder / name).unlink()
for format in ("npy", "hdf5"):
    got = imported(format, folder, 250, *rate, "--labels", str(TEMP / "labels.csv"))
    expect("labels by file and number", [row["ratings"]["mood"] for row in got], [3, 3, 4, 4, 5, 5, 6, 6])


# ---- MATLAB 7.3: 512 bytes of its own, then HDF5 whose dimensions stand the other way round.
def matlab(name, **variables):
    path = TEMP / name
    with h5py.File(path, "w", userblock_size=512) as f:
        for key, value in variables.items():
            if isinstance(value, str):
                f[key] = np.array([[ord(c)] for c in value], "<u2")
                f[key].attrs["MATLAB_class"] = np.bytes_("char")
            else:
                value = np.atleast_2d(np.asarray(value, float))
                f[key] = value.transpose()  # as MATLAB shows it, and as it stores it
                f[key].attrs["MATLAB_class"] = np.bytes_("double")
    with open(path, "r+b") as f:
        f.write(b"MATLAB 7.3 MAT-file, Platform: GLNXA64, Created on: Mon Nov 23 09:00:00 2026".ljust(124) + b"\0\2IM")
    return path


x = draw.normal(size=(N, 3))
three = [(f"lead {l + 1}", x[:, l]) for l in range(3)]
path = matlab("m.mat", ecg=x, fs=250, units="µV")
got = imported("hdf5", path, 250, "--map", "rate=fs,scale=1000")
check("samples x leads", got, *three)
expect("one person", [row["subject"] for row in got], ["m"] * 3)
check("found out", imported("hdf5", path, 250, "--units", "mV"), *three)
check("on its side", imported("hdf5", matlab("m.mat", val=x.T, fs=250, units="mV"), 250), *three)
check("a vector", imported("hdf5", matlab("m.mat", val=x[:, 0], fs=250, units="mV"), 250), ("", x[:, 0]))
check("a struct", imported("hdf5", matlab("m.mat", **{"s/ecg": x, "s/fs": 250}), 250, "--map", "signal=s/ecg,rate=s/fs,units=mV"), *three)
path = matlab("m.mat", ecg=x, fs=250)
check("names", imported("hdf5", path, 250, "--map", "units=mV,axes=samples|leads,leads=I|II|III"), *zip(("I", "II", "III"), x.T))
got = imported("hdf5", matlab("m.mat", ecg=x.T, fs=250), 250, "--map", "units=mV,axes=recordings|samples")
check("recordings on demand", got, *[("", column) for column in x.T])
expect("of unknown people", [row["subject"] for row in got], [""] * 3)
deep = draw.normal(size=(N, 2, 3))
path = matlab("m.mat", ecg=deep, fs=250)
refused("hdf5", path, "900 x 2 x 3", "axes=samples|leads|recordings", options=("--units", "mV"))
got = imported("hdf5", path, 250, "--map", "units=mV,axes=samples|leads|recordings")
check("three dimensions", got, *[(f"lead {l + 1}", deep[:, l, r]) for r in range(3) for l in range(2)])
expect("whose they are", [row["subject"] for row in got], ["m:0", "m:0", "m:1", "m:1", "m:2", "m:2"])
refused("hdf5", matlab("m.mat", ecg=x), "sampling rate", "rate=400", options=("--units", "mV"))
refused("hdf5", matlab("m.mat", ecg=x, fs=[250, 250]), "sampling rate", options=("--units", "mV"))
refused("mat", path, "version 7.3", "format hdf5")

# ---- HDF5 of others.
path = TEMP / "long.h5"
with h5py.File(path, "w") as f:
    f["ecg"], f["records"] = blocks["n3"], np.array([b"r" * 140 + b"1", b"r" * 140 + b"2"])
got = imported("hdf5", path, 250, *rate)
expect("two names too long for a subject are two people", len({row["subject"] for row in got}), 2)
path = TEMP / "plain.h5"
with h5py.File(path, "w") as f:
    f["ecg"], f["fs"], f["units"] = x.T, 250, "mV"
got = imported("hdf5", path, 250, warns="axes=leads|samples")
check("recordings unless told", got, *[("", column) for column in x.T])
got = imported("hdf5", path, 250, "--map", "axes=leads|samples")
check("leads by samples", got, *three)
expect("one person", [row["subject"] for row in got], ["plain"] * 3)
with h5py.File(path, "w") as f:
    f["ecg"] = x[:, 0] * 0 + np.r_[np.zeros(5), x[5:, 0]]
check("one row", imported("hdf5", path, 250, "--map", "axes=samples,rate=250,units=mV"), ("", np.r_[np.zeros(5), x[5:, 0]]))
for axes, words in (("leads", "one of the axes must be samples"), ("samples|leads", "has 1 axes, but the option map names 2"),
                    ("samples|samples", "each axis is one of"), ("time", "each axis is one of")):
    refused("hdf5", path, words, options=("--map", f"rate=250,units=mV,axes={axes}"))
print("passed")
