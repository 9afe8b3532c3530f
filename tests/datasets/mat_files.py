"""Files in exactly the layouts of AMIGOS, DREAMER, ASCERTAIN and the PsPM sets, written by SciPy's savemat with noise
instead of people. Each writer returns what an import must make of them: recordings [(subject, trial, stimulus, lead,
samples, ratings)] and exclusions [(part of the source, part of the reason)]."""
import os
import struct
import sys
import zlib

import numpy
from scipy.io import savemat

RANDOM = numpy.random.default_rng(20220601)
AMIGOS_RATINGS = 12


def cells(items, upright=False):
    """A MATLAB cell array, 1 x n or n x 1."""
    array = numpy.empty((len(items), 1) if upright else (1, len(items)), dtype=object)
    for i, item in enumerate(items):
        array.flat[i] = item
    return array


def noise(*shape):
    return RANDOM.normal(0, 0.4, shape)


def empty():
    return numpy.zeros((0, 0))


def elements(data):
    """Offset and size of the content of each top-level element of a file."""
    at = 128
    while at < len(data):
        kind, size = struct.unpack("<II", data[at : at + 8])
        yield at + 8, size, kind == 15
        at += 8 + size


def spoil_checksums(path):
    """Every packed element's adler32 made wrong; zlib itself refuses each of them afterwards."""
    data = bytearray(open(path, "rb").read())
    spoiled = 0
    for at, size, packed in elements(data):
        assert packed
        data[at + size - 4 : at + size] = bytes(b ^ 0x5A for b in data[at + size - 4 : at + size])
        try:
            zlib.decompress(bytes(data[at : at + size]))
        except zlib.error:
            spoiled += 1
    assert spoiled > 0
    open(path, "wb").write(data)


# ---- AMIGOS -------------------------------------------------------------------------------------------------------

VIDEOS = ["10", "13", "138", "18", "19", "20", "23", "30", "31", "34", "36", "4", "5", "58", "80", "9", "N1", "P1", "B1", "U1"]


def amigos(folder, number, original=False, missing_long=False, unrated_long=False, nan=(), part_nan=(), odd=(), packed=True,
           seconds=6, baseline=True, count=20):
    subject = f"P{number:02d}"
    kind = "Original" if original else "Preprocessed"
    path = os.path.join(folder, f"Data_{kind}_{subject}", f"Data_{kind}_{subject}.mat")
    os.makedirs(os.path.dirname(path))
    rate = 256 if original else 128
    right, left = (1, 2) if original else (14, 15)
    trials, labels, recordings, exclusions = [], [], [], []
    for trial in range(1, count + 1):
        n = rate * seconds + 3 * trial
        place = ("ECG_DATA" if original else "joined_data") + f"{{{trial}}}"
        if missing_long and trial > 16:
            trials.append(empty())
            labels.append(empty())
            exclusions.append((f"{subject}.mat:{place}", "is empty: no recording of this long video"))
            continue
        x = noise(n, 6 if original else 12 if trial in odd else 17)
        if original:
            x[:, 0] = 1.5e9 + numpy.round(1000 * numpy.arange(n) / rate)
        if trial in nan:
            x[:, [right, left]] = numpy.nan
        if trial in part_nan:
            x[10:40, left] = numpy.nan
        ratings = numpy.round(RANDOM.uniform(1, 9, (1, AMIGOS_RATINGS)), 2)
        trials.append(x)
        labels.append(empty() if unrated_long and trial > 16 else ratings)
        values = numpy.full(AMIGOS_RATINGS, numpy.nan) if unrated_long and trial > 16 else ratings[0]
        if trial in odd:
            exclusions.append((place, "[%d x 12] where 17 columns" % n))
            continue
        for lead, column in (("left arm", left), ("right arm", right)):
            if trial in nan:
                exclusions.append((place, "no usable ECG"))
            else:
                recordings.append((subject, str(trial), VIDEOS[trial - 1], lead, x[0 if baseline else 5 * rate :, column], values))
    savemat(path, {("ECG_DATA" if original else "joined_data"): cells(trials), "labels_selfassessment": cells(labels),
                   "labels_ext_annotation": cells([noise(3, 4)] * count), "VideoIDs": cells(VIDEOS[:count])}, do_compression=packed)
    return path, recordings, exclusions


# ---- DREAMER ------------------------------------------------------------------------------------------------------


DREAMER_MV = 3000 / 4095 / 175


def dreamer(folder, packed=True, people=3, films=4, broken=True, struct_array=False, rate=256):
    """Fewer people and films than the real 23 and 18. The second has an empty and a one-column cell."""
    path = os.path.join(folder, "DREAMER.mat")
    data, recordings, exclusions = [], [], []
    for person in range(1, people + 1):
        subject = f"S{person:02d}"
        scores = RANDOM.integers(1, 6, (3, films)).astype(float)
        parts = {"baseline": [], "stimuli": []}
        for part, held in parts.items():
            for film in range(1, films + 1):
                x = numpy.round(2000 + 200 * noise(rate * (3 if part == "baseline" else 4) + film, 2))  # as the recorder counts
                place = f"DREAMER.Data{{{person}}}.ECG.{part}{{{film}}}"
                if struct_array:
                    place = place.replace("{%d}" % person, "(%d)" % person, 1)
                trial = str(film) if part == "stimuli" else f"baseline {film}"
                if broken and person == 2 and part == "stimuli" and film < 3:
                    x = empty() if film == 1 else x[:, :1]
                    exclusions.append((place, f"trial {film} is empty" if film == 1 else "where two columns"))
                else:
                    for lead in (0, 1):
                        ratings = scores[:, film - 1] if part == "stimuli" else numpy.full(3, numpy.nan)
                        recordings.append((subject, trial, str(film) if part == "stimuli" else "", str(lead + 1), DREAMER_MV * x[:, lead], ratings))
                held.append(x)
        eeg = {"baseline": cells([noise(20, 14)] * films, True), "stimuli": cells([noise(30, 14)] * films, True)}
        data.append({"Age": "22", "Gender": "male", "EEG": eeg,
                     "ECG": {part: cells(held, True) for part, held in parts.items()},
                     "ScoreValence": scores[0].reshape(-1, 1), "ScoreArousal": scores[1].reshape(-1, 1),
                     "ScoreDominance": scores[2].reshape(-1, 1)})
    if struct_array:
        array = numpy.empty((1, people), dtype=[(name, object) for name in data[0]])
        for i, person in enumerate(data):
            array[0, i] = tuple(person.values())
    savemat(path, {"DREAMER": {"Data": array if struct_array else cells(data), "EEG_SamplingRate": 128, "ECG_SamplingRate": 256,
                               "EEG_Electrodes": cells(["AF3", "F7"]), "noOfSubjects": people, "noOfVideoSequences": films,
                               "Disclaimer": "none", "Provider": "nobody", "Version": "1.0.2", "Acknowledgement": ""}},
            do_compression=packed)
    return path, recordings, exclusions


# ---- ASCERTAIN ----------------------------------------------------------------------------------------------------


def ascertain(folder, people=(1, 58), clips=(1, 2, 36), samples=1500):
    """The first person's clips have 5 columns, the other's 7; rates differ; one clip has no rising time."""
    recordings, exclusions = [], []
    reports = numpy.round(RANDOM.uniform(-3, 6, (5, 58, 36)))
    reports[2, 57, 35] = numpy.nan
    features = os.path.join(folder, "ASCERTAIN_Features")
    os.makedirs(features)
    savemat(os.path.join(features, "Dt_SelfReports.mat"), {"Ratings": reports, "Legend": cells(["Arousal", "Valence"])}, do_compression=True)
    for person in people:
        home = os.path.join(folder, "ASCERTAIN_Raw", "ECGData", f"Movie_P{person:02d}")
        os.makedirs(home)
        for clip in clips:
            wide = person != people[0]
            n = samples + 10 * clip
            x = noise(n, 7 if wide else 5)
            x[:, 0] = 4000 + numpy.round(1000 * numpy.arange(n) / 256)
            path = os.path.join(home, f"ECG_Clip{clip}.mat")
            if wide and clip == 2:
                x[:, 0] = 7
                exclusions.append((path, "do not rise"))
            else:
                for lead, name in enumerate(("right arm", "left arm")):
                    recordings.append((f"P{person:02d}", str(clip), str(clip), name, x[:, (4 if wide else 1) + lead],
                                       reports[:, person - 1, clip - 1]))
            savemat(path, {"Data_ECG": x, "timeECG": x[:, :1] / 1000}, do_compression=wide)
    # Other signals of the set lie beside; they are passed over.
    other = os.path.join(folder, "ASCERTAIN_Raw", "GSRData", "Movie_P01")
    os.makedirs(other)
    savemat(os.path.join(other, "GSR_Clip1.mat"), {"Data_GSR": noise(10, 5)})
    return recordings, exclusions


# ---- PsPM ---------------------------------------------------------------------------------------------------------


def channel(kind, data, rate, units="mV", older=False):
    return {"header": {"channeltype" if older else "chantype": kind, "sr": rate, "units": units}, "data": data}


def pspm(folder):
    recordings, exclusions = [], []

    def put(name, channels, duration=6.0, **options):
        path = os.path.join(folder, name)
        savemat(path, {"infos": {"duration": duration, "source": {"type": "spike"}}, "data": cells(channels, True)}, **options)
        return path

    def expect(subject, lead, samples):
        recordings.append((subject, "", "", lead, numpy.ravel(samples), []))

    upright, lying, short = noise(1536, 1), noise(1, 1536), noise(1200, 1)
    put("FR_spike_01.mat", [channel("scr", noise(50, 1), 10), channel("ecg", upright, 256), channel("marker", noise(4, 1), 1)])
    expect("FR_01", "ecg", upright)
    put("FR_spike_02.mat", [channel("ecg", lying, 256, older=True)], do_compression=True)  # transposed, the older name
    expect("FR_02", "ecg", lying)
    put("FR_spike_03.mat", [channel("ecg", empty(), 256), channel("ecg", short, 256)], duration=1200 / 256)
    exclusions.append(("FR_spike_03.mat:data{1}", "its ECG channel is empty"))
    expect("FR_03", "ecg 2", short)
    put("FR_spike_04.mat", [channel("hb", numpy.arange(1, 6.0), 1), channel("scr", noise(50, 1), 10)])
    exclusions.append(("FR_spike_04.mat", "holds times of heart beats and no signal; its channels are hb, scr"))
    put("FR_spike_05.mat", [channel("ecg", short, 256, units="unknown")])
    exclusions.append(("FR_spike_05.mat", "unknown unit"))
    put("FR_spike_06.mat", [channel("ecg", noise(40, 3), 256)])
    exclusions.append(("FR_spike_06.mat:data{1}", "one row or column"))
    put("FR_spike_07.mat", [channel("ecg", (1000 * upright).astype(numpy.float32), 256, units="uV")])
    expect("FR_07", "ecg", (1000 * upright).astype(numpy.float32).astype(float) * 1e-3)
    savemat(os.path.join(folder, "FR_cogent_01.mat"), {"data": cells([noise(3, 1)]), "infos": {"duration": 1.0}})
    savemat(os.path.join(folder, "readme.mat"), {"note": "nothing to see"})
    exclusions.append(("readme.mat", "no file of PsPM: it has no variable data, but note"))
    return recordings, exclusions


def write_small(folder):
    """A small file of each kind, for damage, below folder/KIND."""
    def home(kind):
        os.makedirs(os.path.join(folder, kind))
        return os.path.join(folder, kind)

    amigos(home("amigos"), 1, seconds=0, count=2)
    amigos(home("amigos-plain"), 2, seconds=0, count=1, packed=False)
    dreamer(home("dreamer"), people=1, films=1, broken=False, rate=4)
    ascertain(home("ascertain"), people=(1,), clips=(2,), samples=40)
    savemat(os.path.join(home("pspm"), "F_spike_01.mat"),
            {"infos": {"duration": 0.2}, "data": cells([channel("hb", noise(2, 1), 1), channel("ecg", noise(1, 50), 256)], True)},
            do_compression=True)
    savemat(os.path.join(home("mat"), "a.mat"), {"ecg": noise(30, 2), "fs": 200, "units": "mV"}, do_compression=True)


if __name__ == "__main__":
    write_small(sys.argv[1])
