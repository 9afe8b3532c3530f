#!/usr/bin/env python3
"""Writes the seeds of the fuzzers into corpus/NAME/: small files of each format, as good as they come, so that a
search begins inside the parsers. `seeds.py NAME ...` writes those alone. Crashing inputs that were found stand
beside them as found-*, and are not made by this."""
import json
import pathlib
import struct
import sys

HERE = pathlib.Path(__file__).parent
MAKERS = {}


def maker(function):
    MAKERS[function.__name__[5:]] = function
    return function


@maker
def make_json():
    yield "object", b'{"step": 12, "loss": [0.5, null, -1e-3], "a": {"b": true, "c": "\\u00e9\\n"}}'
    yield "array", b'[1, 2.5e300, "x", [], {}, false]'
    yield "number", b"9007199254740993"


@maker
def make_tables():
    yield "labels", b"rhythm:N=0,A=1,~=3\n\n---\nrecord,rhythm,score\na1,N,3\na2,A,2.5\n# c\na3,~,\n"
    yield "quoted", b'task@trial:rest=0,count=1;who@subject\nS{subject}_{trial}-{}.{record}\n---\na1,"x ""y""",2\na2,"p,q",3\n'
    yield "pattern", b"task@trial:2=5\nS{subject}_{trial}-a.{stimulus}"


def safetensors(tensors, body, metadata=None):
    header = {name: {"dtype": dtype, "shape": shape, "data_offsets": span} for name, dtype, shape, span in tensors}
    if metadata:
        header["__metadata__"] = metadata
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + body


@maker
def make_safetensors():
    yield "two", safetensors([("w", "F32", [2, 2], [0, 16]), ("b", "I64", [1], [16, 24])], bytes(24), {"format": "pt"})
    yield "empty", safetensors([("e", "F16", [0, 3], [0, 0])], b"")
    yield "scalar", safetensors([("s", "BF16", [], [0, 2])], b"\x80\x3f")


@maker
def make_sums():
    """One for each set of the catalogue that is fetched; the first byte counts them."""
    line = lambda digit, path, blank="  ": f"{64 * digit}{blank}{path}\n".encode()
    yield "cinc2017", b"\0" + line("0", "training/A00001.hea") + line("a", "REFERENCE-v3.csv") + line("F", "RECORDS")
    yield "part", b"\1" + line("0", "training/A00001.hea") + line("1", "training/A00011.mat", " *") + line("2", "x y%\u00e9.mat", "\t")
    for number in range(1, 7):
        paths = "drive01.hea", "Subject01_1.edf", "subject-info.csv", "f1o01.dat", "100.atr", "records500/00000/00001_hr.dat"
        yield f"set{number}", bytes([2 * number]) + b"\r\n".join(line("b", path)[:-1] for path in paths)
    yield "outside", b"\2" + line("c", "../drive1.dat") + line("d", "/drive1.dat")
    yield "twins", b"\2" + 2 * line("e", "drive01.dat")
    yield "page", b"\4<html>log in</html>\n"


@maker
def make_yaml():
    yield "run", b'name: x\nseed: 3\noutput_dir: "runs"\ntrain:\n  epochs: 2\n  batch_size: 8\noptimizer: {lr: 1e-3, betas: [0.9, 0.99]}\n'
    yield "list", b"data:\n  - a\n  - 'b: c'\n  - |\n    two\n    lines\n"
    yield "plain", b"a: ~\nb: [1, .inf, true]\n\"c\": {}\n"


def wfdb(header, segment=b"", body=b""):
    return b"---\n".join([header, segment, body])


@maker
def make_csv():
    yield "named", b"\n# a comment\ntime,ecg [mV],ecg2\n0,1,2\n0.004,1.5,NaN\n0.008,2,\n0.02,1,1\n"
    yield "units", b"signal=2,time=1\n'Elapsed time','MLII'\n'hh:mm:ss.mmm','mV'\n'0:00.000',-0.145\n'0:00.004',-0.1\n"
    yield "plain", b"signal=1|2,rate=250,units=uV,scale=2,leads=I|II\n1 2\n3 4.5e1\n\n-1 0\n"
    yield "comma", b"rate=250,delimiter=semicolon\nEKG;t\n1,5;2\n\"2,5\";3\n"
    yield "dates", b"\ntimestamp,lead_mV,V1\n2026-12-31T23:59:59.9Z,1,\n2027-01-01 00:00:00+0100,2,\n2027-01-01T01:00:00.1+01:00,3,,\n"
    yield "suffix", b"\ntime_ms,ecg_uV\n0,1\n4,2\n8,2\n"
    yield "tab", b"time=t,time_units=ms,signal=x\n\xef\xbb\xbft\tx\n1\t2\n3\t4\n5\t6\n7\t8\n"


def npy(version, text, body):
    text = text.encode()
    length = struct.pack("<H" if version == 1 else "<I", len(text))
    return b"\x93NUMPY" + bytes([version, 0]) + length + text + body


@maker
def make_npy():
    yield "one", b"rate=250,units=mV\n" + npy(1, "{'descr': '<f8', 'fortran_order': False, 'shape': (3,), }\n", bytes(24))
    yield "two", b"rate=250,axes=samples|leads,leads=I|II,scale=2\n" + npy(2, "{'descr': '>i2', 'fortran_order': True, 'shape': (3, 2)}", bytes(12))
    yield "three", b"rate=1e2\n" + npy(3, "{'shape': (2, 3, 2), 'descr': '|u1', 'fortran_order': False}", bytes(12))
    yield "zip", b"rate=1\nPK\3\4" + bytes(20)
    yield "object", b"rate=1\n" + npy(1, "{'descr': '|O', 'fortran_order': False, 'shape': (3,), }\n", bytes(24))


@maker
def make_store():
    """A store as datasets/README.md describes it, written by h5py: needs it, and is left out without."""
    import io
    import h5py
    import numpy as np
    out = io.BytesIO()
    with h5py.File(out, "w", libver=("v108", "v110")) as f:
        for key in ("format", "source", "units", "original_rates", "filter", "resampling", "polarity", "licence", "citation", "importer"):
            f.attrs.create(key, np.bytes_({"format": "vagus-ecg-store", "units": "mV", "filter": "none"}.get(key, "x")), dtype=None)
        for key, value in (("version", 3), ("filter_order", 0), ("filter_zero_phase", 0), ("synthetic", 1)):
            f.attrs.create(key, value, dtype="<i8")
        for key in ("rate", "filter_low", "filter_high", "notch"):
            f.attrs.create(key, 128.0 if key == "rate" else 0.0, dtype="<f8")
        f.create_dataset("signal", data=np.zeros(6, "<f4"))
        for key, value in (("offset", [0, 3]), ("length", [3, 3])):
            f["recordings/" + key] = np.array(value, "<i8")
        f["recordings/fingerprint"] = np.array([0, 0], "<u8")
        for key in ("subject", "session", "trial", "stimulus", "lead", "source"):
            f["recordings/" + key] = np.array([b"a", b"b"])
        f["ratings/names"] = np.array([b"mood"])
        f["ratings/values"] = np.array([[1.0], [2.0]])
        for key in ("source", "subject", "reason"):
            f["exclusions/" + key] = np.array([b"c"])
        f["exclusions/kind"] = np.array([b"unread"])
        f["exclusions/seconds"] = np.array([1.0])
        f["features/names"] = np.array([b"mean_bpm"])
        f["features/values"] = np.array([[60.0], [float("nan")]])
        f["beats/position"] = np.array([0.5, 1.5, 2.0])
        f["beats/end"] = np.array([2, 3], "<i8")
        f.create_group("notes")
    yield "two", out.getvalue()


@maker
def make_hdf5():
    """Files in the form whose metadata has checksums, and recipes for the fuzzer to make some."""
    import io
    import h5py
    import numpy as np

    def file(map, fill, matlab=b""):
        out = io.BytesIO()
        with h5py.File(out, "w", libver=("v110", "v110"), userblock_size=512 if matlab else 0) as f:
            fill(f)
        return map + b"\n" + matlab + out.getvalue()[len(matlab):]

    def ragged(f):
        f["ecg"] = np.arange(12, dtype="<i2")
        f["offsets"] = np.array([0, 5, 12])
        f["records"] = np.array([b"r1", b"r02"])
        f["subjects"] = np.array([7, 9])
        f.attrs["fs"] = 128.0
        f.attrs.create("units", np.bytes_("uV"))

    def block(f):
        f.create_dataset("tracings", data=np.arange(24, dtype="<f8").reshape(2, 4, 3), chunks=(1, 4, 3), compression="gzip", shuffle=True)
        f["exam_id"] = np.array([11, 12], "<u2")

    def told(f):
        f["val"], f["fs"], f["u"] = np.arange(18.0).reshape(3, 6), [[250.0]], np.array([[109], [86]], "<u2")
        f["u"].attrs["MATLAB_class"] = np.bytes_("char")

    yield "ragged", file(b"", ragged)
    yield "axes", file(b"axes=leads|samples,units=u", told)
    yield "matlab", file(b"units=u", told, b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(124) + b"\0\2IM")
    yield "block", file(b"rate=400,records=exam_id", block)
    yield "flat", file(b"rate=1e3,signal=x,units=V", lambda f: f.create_dataset("x", data=np.zeros((2, 3), "i1")))

    names = "ecg tracings signal offsets records subjects exam_id x".split()
    i8, i16, i32, f32, f64, long = (bytes([0, kind, 0]) for kind in (0, 2, 4, 8, 9, 11))
    text, texts = b"\5\2\1\1\0", b"\4\0\1"

    def dataset(name, type, extent, values, how=4, chunk=()):
        return bytes([1, names.index(name)]) + type + bytes([len(extent), *extent, how, *chunk]) + values

    def attribute(name, type, values):
        return bytes([0, ["fs", "units"].index(name), 0]) + type + b"\5" + values

    def pointers(string, *starts):
        return string.ljust(31, b"\0") + b"".join(bytes([1, start]) for start in starts)

    rest = attribute("fs", i16, b"\x80\0") + attribute("units", text, b"mV\0")
    offsets = dataset("offsets", i8, [3], bytes([0, 5, 12]))
    yield "made-ragged", b"\n\1" + rest + dataset("ecg", i16, [12], bytes(range(24))) + offsets + dataset("records", text, [2], b"abcdef")
    yield "made-texts", b"\n\0" + rest + dataset("ecg", f64, [12], bytes(range(96))) + offsets + dataset("subjects", texts, [2], pointers(b"ann\0bo", 0, 4))
    yield "made-units", b"rate=9\n\1" + attribute("units", texts, pointers(b"uV", 0)) + dataset("tracings", f32, [2, 3, 2], bytes(range(48)))
    yield "made-packed", b"rate=9,leads=I|II\n\1" + dataset("signal", i8, [2, 9, 2], bytes(range(36)), 7, [0, 8, 1]) + dataset("records", i32, [2], bytes(8))
    yield "made-long", b"rate=9,units=V,signal=x\n\0" + dataset("x", long, [2, 3], bytes(96))
    yield "made-empty", b"rate=9,units=V,signal=x\n\0" + dataset("x", i32, [2, 255, 0, 0, 0, 0, 255, 0, 0, 0], b"", 1, [0, 24])
    yield "made-compound", b"rate=9\n\1" + dataset("ecg", b"\6\0\0\0\4", [4], bytes(32)) + rest


def edf(reserved, labels, samples, body, records, duration="1", first=b"0       "):
    """An EDF or BDF file (first=b"\\xffBIOSEMI")."""
    def text(value, width):
        return str(value).encode().ljust(width)
    n = len(labels)
    head = first + text("X", 80) + text("Startdate", 80) + b"01.01.0000.00.00" + text(256 + 256 * n, 8) + text(reserved, 44)
    head += text(records, 8) + text(duration, 8) + text(n, 4)
    for column, width in ((labels, 16), ([""] * n, 80), (["mV"] * n, 8), (["-3.2768"] * n, 8), (["3.2767"] * n, 8),
                          (["-32768"] * n, 8), (["32767"] * n, 8), ([""] * n, 80), (samples, 8), ([""] * n, 32)):
        head += b"".join(text(value, width) for value in column)
    return head + body


def gdf(version, kind, width, duration):
    """One channel of 4 samples a record, 2 records."""
    second = version >= "2"
    head = b"GDF " + version.encode() + bytes(176)
    head += struct.pack("<H", 2) + bytes(50) if second else struct.pack("<q", 512) + bytes(44)
    head += struct.pack("<q", 2) + duration + (struct.pack("<HH", 1, 0) if second else struct.pack("<I", 1))
    limits = struct.pack("<dd", -1, 1) + (struct.pack("<dd", -100, 100) if second else struct.pack("<qq", -100, 100))
    head += b"ECG".ljust(16) + bytes(80) + (bytes(6) + struct.pack("<H", 4274) if second else b"mV".ljust(8)) + limits
    head += bytes(80) + struct.pack("<II", 4, kind) + bytes(32)
    return head + bytes(range(8 * width))


@maker
def make_edf():
    samples = struct.pack("<8h", *range(8))
    yield "edf", edf("", ["ECG I"], [4], samples, 2)
    yield "edf-open", edf("EDF+C", ["EEG", "EKG"], [2, 2], samples, -1)
    times = [b"+0\x14\x14\0", b"+2.5\x14\x14\0"]
    body = b"".join(samples[8 * i : 8 * i + 8] + time.ljust(12, b"\0") for i, time in enumerate(times))
    yield "edf-gaps", edf("EDF+D", ["ECG", "EDF Annotations"], [4, 6], body, 2)
    yield "bdf", edf("24BIT", ["ECG"], [4], bytes(range(24)), 2, first=b"\xffBIOSEMI")
    body = b"".join(bytes(12) + time.ljust(12, b"\0") for time in times)
    yield "bdf-gaps", edf("BDF+D", ["ECG", "BDF Annotations"], [4, 4], body, 2, first=b"\xffBIOSEMI")
    fraction = struct.pack("<II", 1, 2)
    yield "gdf1", gdf("1.25", 3, 2, fraction)
    yield "gdf2", gdf("2.20", 16, 4, fraction)
    yield "gdf2-long", gdf("2.51", 279, 3, struct.pack("<d", 0.5))
    yield "gdf2-wide", gdf("2.10", 8, 8, fraction)


@maker
def make_wfdb():
    for name in ("8", "16", "24", "32", "61", "80", "160", "212", "310", "311", "16+24"):
        bits = {"8": 8, "16": 16, "24": 24, "32": 32, "61": 16, "80": 8, "160": 16, "212": 12, "16+24": 16}.get(name, 11)
        body = bytes(range(7, 7 + 4 * bits + 24))
        yield "format" + name.replace("+", "-"), wfdb(b"f 2 250 12\nf.dat %b 200(3)/mV 12 0 7 99 0 I\nf.dat %b 100/uV 12 5 -1\n" % (2 * (name.encode(),)), b"", body)
    yield "frames", wfdb(b"f 2 125/9(2) 6 10:00:00 1/2/2003\n#c\nf.dat 16x2 1\nf.dat 16x3:2 1 16 0 0 0 0 V5\n", b"", bytes(60))
    yield "open", wfdb(b"f 1 360\r\nf.dat 16\r\n", b"", bytes(33))
    yield "fixed", wfdb(b"f/4 1 250 18\ns 6\n~ 4\ns 6\n~ 2\n", b"s 1 250 6\nf.dat 16 200 16 0 0 0 0 II\n", bytes(12))
    yield "layout", wfdb(b"f/3 2 250 12\ns 0\ns 6\ns 6\n", b"s 2 250\nf.dat 212 200 12 0 0 0 0 II\n~ 0 200 0 0 0 0 0 V\n", bytes(9))
    for name, line, count in (("w508", b"508", 3), ("one516", b"516", 1), ("flac4", b"516x4", 3), ("late", b"524+10", 2)):
        packed = (HERE.parent / "datasets/wfdb_python" / (name + ".dat")).read_bytes()
        yield "flac-" + name, wfdb(b"f %d 250 61\n" % count + b"f.dat %b 200(3)/mV 12 0 7 99 0 I\n" % line * count, b"", packed)


def mat(choice, variables, packed=False, tail=b""):
    """The fuzzer's first byte and a MAT file by SciPy, whose header would hold the time."""
    import io
    import scipy.io

    file = io.BytesIO()
    scipy.io.savemat(file, variables, do_compression=packed)
    return bytes([choice]) + b"MATLAB 5.0 MAT-file".ljust(116) + bytes(8) + file.getvalue()[124:] + tail


@maker
def make_mat():
    import numpy

    def cells(items, upright=False):
        array = numpy.empty((len(items), 1) if upright else (1, len(items)), dtype=object)
        for i, item in enumerate(items):
            array.flat[i] = item
        return array

    def ramp(rows, columns, kind="f4"):
        return numpy.arange(rows * columns).astype(kind).reshape(columns, rows).T

    none, pack, spoil = numpy.zeros((0, 0)), 0x80, 0xC0
    amigos = {"joined_data": cells([ramp(5, 17), none, ramp(4, 17, "i2")]), "VideoIDs": cells(["10", "N1", "P1"]),
              "labels_selfassessment": cells([ramp(1, 12, "f8"), none, none])}
    yield "amigos", mat(0, amigos)
    yield "amigos-pack", mat(pack, amigos)
    yield "amigos-spoil", mat(spoil, amigos)
    yield "amigos-packed", mat(0, amigos, packed=True)
    yield "amigos-original", mat(0, {"ECG_DATA": cells([ramp(9, 6), none])})
    ecg = {"baseline": cells([ramp(4, 2), none], True), "stimuli": cells([ramp(5, 2), ramp(6, 1)], True)}
    person = {"Age": "22", "EEG": {"baseline": cells([ramp(2, 3)])}, "ECG": ecg, "ScoreValence": ramp(2, 1), "ScoreArousal": ramp(2, 1)}
    yield "dreamer", mat(1, {"DREAMER": {"Data": cells([person, {"Age": 3}]), "noOfSubjects": 2}})
    array = numpy.empty((1, 2), dtype=[("ECG", object), ("ScoreArousal", object)])
    array[0, 0], array[0, 1] = (ecg, ramp(2, 1)), (none, none)
    yield "dreamer-array", mat(1, {"DREAMER": {"Data": array}})
    yield "ascertain-5", mat(2, {"Data_ECG": ramp(9, 5), "timeECG": ramp(9, 1)})
    yield "ascertain-7", mat(pack | 2, {"Data_ECG": ramp(6, 7)})
    yield "ascertain-reports", mat(7, {"Ratings": numpy.arange(30.0).reshape(5, 3, 2), "Data_ECG": ramp(9, 3)})
    channels = [{"header": {"chantype": "ecg", "sr": 100, "units": "mV"}, "data": ramp(6, 1)},
                {"header": {"channeltype": "ecg", "sr": 50, "units": "V"}, "data": ramp(1, 6)},
                {"header": {"chantype": "hb", "sr": 1, "units": "events"}, "data": none}]
    yield "pspm", mat(3, {"infos": {"duration": 6}, "data": cells(channels, True)})
    yield "pspm-pack", mat(pack | 3, {"infos": {"duration": 6}, "data": cells(channels[2:])})
    for kind in ("i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f4", "f8", "c16", "bool"):
        yield "mat-" + kind, mat(4, {"ecg": ramp(3, 2, kind)})
    yield "mat-texts", mat(6, {"c": cells(["\u00e9t\u00e9", numpy.array(["ab", "cde"]), ramp(1, 8), numpy.zeros((2, 2, 2))])})
    yield "mat-places", mat(5, {"s": {"b": cells([1, {"c": ramp(4, 2)}]), "fs": 100}, "id": "ann", "t": cells(["mV"])})
    plain = mat(4, {"ecg": ramp(3, 1, "f8")})
    swapped = (b"\0\0\0\x0e\0\0\0\x40\0\0\0\6\0\0\0\x08\0\0\0\6\0\0\0\0\0\0\0\5\0\0\0\x08\0\0\0\4\0\0\0\1\0\3\0\1ecg\0"
               b"\0\0\0\3\0\0\0\x08\0\1\0\2\0\3\0\4\0\0\0\0\0\0\0\0")
    yield "mat-swapped", plain[:125] + b"\1\0MI" + swapped
    yield "mat-two", plain + plain[129:]


for name in sys.argv[1:] or MAKERS:
    folder = HERE / "corpus" / name
    folder.mkdir(parents=True, exist_ok=True)
    for seed, content in MAKERS[name]():
        (folder / seed).write_bytes(content)
