#!/usr/bin/env python3
"""The importers of MAT files through the program: files in the restricted corpora's layouts come out as exactly the
samples and ratings that went in, and what cannot be used is written down with its reason. h5py reads the stores."""
import os
import struct
import sys

sys.path[:0] = [os.path.dirname(os.path.abspath(__file__)), os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "runner")]
try:
    import h5py
    import numpy
    import scipy.io
except ImportError as missing:
    print(f"skipped: {missing}")
    sys.exit(77)
import mat_files
import program

UNTOUCHED = ["--order", "0", "--min-seconds", "0", "--min-quality", "0", "--drop-bad=false", "--overwrite"]


def load(path):
    """(recordings, exclusions) of a store, in its order."""
    with h5py.File(path) as store:
        text = lambda name: [value.decode() for value in store[name][:]]
        signal, ratings = store["signal"][:], store["ratings/values"][:]
        at = zip(store["recordings/offset"][:], store["recordings/length"][:])
        recordings = list(zip(text("recordings/subject"), text("recordings/trial"), text("recordings/stimulus"),
                              text("recordings/lead"), [signal[o : o + n] for o, n in at], ratings))
        exclusions = list(zip(text("exclusions/source"), text("exclusions/reason")))
        names = text("ratings/names") if len(store["ratings/names"]) else []
        info = {name: store.attrs[name] for name in ("source", "licence", "citation", "original_rates")}
    return recordings, exclusions, names, info


def check(path, recordings, exclusions):
    got, left_out, names, info = load(path)
    key = lambda recording: recording[:4]
    assert sorted(map(key, got)) == sorted(map(key, recordings)), (sorted(map(key, got)), sorted(map(key, recordings)))
    want = {key(recording): recording for recording in recordings}
    for recording in got:
        samples, ratings = want[key(recording)][4:]
        expected = numpy.asarray(samples, dtype=numpy.float64).astype(numpy.float32)
        assert recording[4].shape == expected.shape, (key(recording), recording[4].shape, expected.shape)
        assert numpy.array_equal(recording[4], expected, equal_nan=True), key(recording)
        assert numpy.array_equal(recording[5], numpy.asarray(ratings, dtype=float), equal_nan=True), (key(recording), recording[5], ratings)
    assert len(left_out) == len(exclusions), (left_out, exclusions)
    rest = list(left_out)
    for source, reason in exclusions:
        found = [line for line in rest if source in line[0] and reason in line[1]]
        assert found, (source, reason, rest)
        rest.remove(found[0])
    return names, info


def imported(kind, *sources, rate=128, options=(), says=()):
    return program.run("data", "import", kind, *sources, "--out", "out.h5", "--rate", str(rate), *UNTOUCHED, *options, says=says, both=True)


def test_amigos():
    recordings, exclusions = [], []
    for options in ({"number": 1, "nan": (3,), "part_nan": (4,)}, {"number": 8, "missing_long": True},
                    {"number": 32, "unrated_long": True}, {"number": 5, "packed": False, "odd": (2,)}):
        path, some, out = mat_files.amigos("amigos", **options)
        recordings += some
        exclusions += out
        if options["number"] == 1:
            mat_files.spoil_checksums(path)
    told = imported("amigos", "amigos", says=["P01.mat: the checksum of labels_selfassessment, VideoIDs, joined_data does not fit", "trial 17 has no ratings"])
    names, info = check("out.h5", recordings, exclusions)
    assert names[:3] == ["arousal", "valence", "dominance"] and len(names) == 12, names
    assert info["source"] == b"amigos" or info["source"] == "amigos", info
    assert "Miranda" in str(info["citation"]) and "licence" in str(info["licence"]), info
    assert "P05" not in told.replace("P05.mat:joined_data", ""), told
    # One lead, without the five seconds before the video.
    recordings = [r[:4] + (r[4][640:], r[5]) for r in recordings if r[3] == "left arm"]
    exclusions = exclusions[1:]  # the NaN trial's other lead
    imported("amigos", "amigos", options=["--leads", "left arm", "--baseline=false"])
    check("out.h5", recordings, exclusions)


def test_amigos_original():
    path, recordings, exclusions = mat_files.amigos("original", 7, original=True, seconds=3, missing_long=True)
    imported("amigos", "original", rate=256)
    _, info = check("out.h5", recordings, exclusions)
    assert "256" in str(info["original_rates"]), info
    # The same person's pre-processed file beside it would be the same trials twice.
    mat_files.amigos("original", 7, seconds=1)
    imported("amigos", "original", rate=256)
    check("out.h5", recordings, exclusions + [("Data_Preprocessed_P07.mat", "hold the same trials")])


def test_dreamer():
    for struct_array in (False, True):
        folder = f"dreamer{struct_array}"
        os.mkdir(folder)
        path, recordings, exclusions = mat_files.dreamer(folder, packed=not struct_array, struct_array=struct_array)
        imported("dreamer", path, rate=256)
        names, _ = check("out.h5", recordings, exclusions)
        assert names == ["valence", "arousal", "dominance"], names
        imported("dreamer", path, rate=256, options=["--baseline=false", "--leads", "first"])
        check("out.h5", [r for r in recordings if r[3] == "1" and r[2]], exclusions)
        imported("dreamer", path, rate=256, options=["--units", "uV"])
        check("out.h5", [r[:4] + (numpy.round(r[4] / mat_files.DREAMER_MV) * 1e-3, r[5]) for r in recordings], exclusions)


def test_ascertain():
    recordings, exclusions = mat_files.ascertain("ascertain")
    for source in ("ascertain", "ascertain/ASCERTAIN_Raw", "ascertain/ASCERTAIN_Raw/ECGData"):
        imported("ascertain", source, rate=256)
        names, _ = check("out.h5", recordings, exclusions)
        assert names == ["arousal", "valence", "engagement", "liking", "familiarity"], names
    os.rename("ascertain/ASCERTAIN_Features", "elsewhere")
    told = imported("ascertain", "ascertain", rate=256, says="no Dt_SelfReports.mat was found")
    check("out.h5", [r[:5] + (numpy.full(5, numpy.nan),) for r in recordings], exclusions)
    program.run("data", "import", "ascertain", "elsewhere", "--out", "none.h5", expect=1, says="no file ECG_ClipN.mat")
    assert not os.path.exists("none.h5"), told


def test_pspm():
    os.mkdir("FR")
    recordings, exclusions = mat_files.pspm("FR")
    imported("pspm", "FR", rate=256)
    _, info = check("out.h5", recordings, exclusions)
    assert "FR" in str(info["source"]), info


def test_own_files():
    os.mkdir("own")
    x, upside = mat_files.noise(900, 2), mat_files.noise(1, 700)
    scipy.io.savemat("own/a.mat", {"ecg": x, "fs": 250, "units": "mV", "id": "ann", "big": {"x": mat_files.cells([1, upside])}},
                     do_compression=True)
    imported("mat", "own/a.mat", rate=250, options=["--map", "subject=id,leads=I|II,trial='rest'"])
    check("out.h5", [("ann", "rest", "", "I", x[:, 0], []), ("ann", "rest", "", "II", x[:, 1], [])], [])
    imported("mat", "own/a.mat", rate=200, options=["--map", "signal=big.x{2},rate=200,scale=2"])
    check("out.h5", [("a", "", "", "", 2 * upside[0], [])], [])
    imported("mat", "own/a.mat", rate=200, options=["--map", "signal=big.x,rate=200"])
    check("out.h5", [("a", "1", "", "", [1.0], []), ("a", "2", "", "", upside[0], [])], [])
    # Every type of numbers and both orders of bytes come to the same.
    steps = numpy.arange(-100, 100).repeat(5)
    for kind in ("i1", "i2", "i4", "i8", "f4", "f8", ">i2", ">f8"):
        scipy.io.savemat("own/b.mat", {"val": steps.astype(kind)[:, None]})
        imported("mat", "own/b.mat", options=["--map", "rate=128,units=mV"])
        check("out.h5", [("b", "", "", "", steps, [])], [])
    swapped = bytearray(open("own/b.mat", "rb").read()[:128]) + b""
    swapped[124:128] = b"\x01\x00MI"
    body = (b"\0\0\0\6\0\0\0\x08" b"\0\0\0\6\0\0\0\0" b"\0\0\0\5\0\0\0\x08" b"\0\0\0\4\0\0\0\1" b"\0\3\0\1val\0"
            b"\0\0\0\3\0\0\0\x08" + numpy.array([5, -6, 7, -8], ">i2").tobytes())
    open("own/c.mat", "wb").write(swapped + b"\0\0\0\x0e" + len(body).to_bytes(4, "big") + body)
    assert scipy.io.loadmat("own/c.mat")["val"].ravel().tolist() == [5, -6, 7, -8]
    imported("mat", "own/c.mat", options=["--map", "rate=128,units=mV"])
    check("out.h5", [("c", "", "", "", [5, -6, 7, -8], [])], [])


def refused(kind, path, says, expect=1, options=()):
    program.run("data", "import", kind, path, "--out", "none.h5", *options, expect=expect, says=says)
    assert not os.path.exists("none.h5")


def test_refusals():
    os.mkdir("bad")
    with h5py.File("bad/h.mat", "w", userblock_size=512) as file:
        file["ecg"] = [1.0, 2.0]
    head = bytearray(b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM")
    data = bytearray(open("bad/h.mat", "rb").read())
    data[:128] = head
    open("bad/h.mat", "wb").write(data)
    refused("mat", "bad/h.mat", ["version 7.3, which is HDF5", "format hdf5"])
    scipy.io.savemat("bad/4.mat", {"ecg": mat_files.noise(20, 1)}, format="4")
    refused("mat", "bad/4.mat", "MAT file of level 4")
    program.write("bad/t.mat", "no such thing, but long enough to be looked at for a header of a MAT file" * 3)
    refused("mat", "bad/t.mat", "is no MAT file")
    scipy.io.savemat("bad/5.mat", {"x": mat_files.noise(20, 1), "s": {"a": mat_files.cells([1.0, 2.0])}})
    refused("mat", "bad/5.mat", ["has no variable ecg, signal or val, but x, s"])
    refused("mat", "bad/5.mat", "s.a is a cell [1 x 2] and has no \"{3}\"", options=["--map", "signal=s.a{3},rate=100,units=mV"])
    refused("mat", "bad/5.mat", "nothing tells its sampling rate", options=["--map", "signal=x"])
    refused("mat", "bad/5.mat", ["a text itself stands in single quotes", "has no variable ann"],
            options=["--map", "signal=x,rate=128,units=mV,subject=ann"])
    refused("mat", "bad/5.mat", "known for mat are", expect=2, options=["--map", "sygnal=x"])
    refused("amigos", "bad/5.mat", "neither joined_data nor ECG_DATA, but x, s")
    refused("dreamer", "bad/5.mat", "no variable DREAMER, but x, s")
    # A cell array that claims to be larger than the file.
    data = bytearray(open("bad/5.mat", "rb").read())
    at = data.rindex(struct.pack("<II", 1, 2))
    data[at : at + 8] = struct.pack("<II", 1 << 19, 1 << 10)
    open("bad/6.mat", "wb").write(data)
    refused("mat", "bad/6.mat", "s.a: damaged: more elements than its bytes can hold", options=["--map", "signal=s,rate=100,units=mV"])


with program.Folder():
    os.mkdir("amigos"), os.mkdir("original"), os.mkdir("ascertain")
    tests = [value for name, value in list(globals().items()) if name.startswith("test_")]
    for test in tests:
        test()
        print(test.__name__ + ": passed")
