#!/usr/bin/env python3
"""What `vagus data info` says of stores that an import made: who the people are as far as anybody told, which band the
samples have, and what an importer took for granted or did not see verified."""
import os
import sys

sys.path[:0] = [os.path.dirname(os.path.abspath(__file__)), os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "runner")]
import program

try:
    import mat_files
except ImportError as missing:
    program.skip(str(missing))

UNTOUCHED = ["--order", "0", "--min-seconds", "0", "--min-quality", "0", "--drop-bad=false", "--overwrite"]


def told(*words, options=()):
    """What data info says of an import, lines joined."""
    program.run("data", "import", *words, "--out", "out.h5", *(options or UNTOUCHED), both=True)
    return " ".join(program.run("data", "info", "out.h5").split())


def expect(text, says=(), never=()):
    for words in says:
        assert words in text, (words, text)
    for words in never:
        assert words not in text, (words, text)


def test_amigos():
    mat_files.amigos("amigos", 1, nan=(3,), count=4)
    mat_files.amigos("amigos", 8, missing_long=True)
    known = ["19 records x 2 leads (left arm, right arm)", "of 2 people", "4 files or trials hold no ECG"]
    text = told("amigos", "amigos")
    expect(text, known + ["Assumed was that the samples are in mV, which the files do not state", "2 signals (a lead of a record each)",
                          "The 5 s before each video were kept", "was not tried on its real files"], ["each record was taken"])
    text = told("amigos", "amigos", "--baseline=false", "--units", "uV")
    expect(text, ["The 5 s before each video were cut off", "unit of the source: uV, given by hand"], ["Assumed", "assumed"])


def test_other_corpora():
    os.mkdir("dreamer")
    path = mat_files.dreamer("dreamer")[0]
    text = told("dreamer", path, "--baseline=false")
    expect(text, ["a count of the recorder is 0.0042 mV", "The recordings before the films were left out", "Not verified"])
    mat_files.ascertain("ascertain")
    expect(told("ascertain", "ascertain"), ["Assumed was that the samples are in mV", "was not tried on its real files"])
    os.mkdir("FR")
    mat_files.pspm("FR")
    expect(told("pspm", "FR"), ["was not tried on all of the published sets", "Who was recorded is not known"])
    for folder, line, rows in (("physiological", "daqtime,ecg,video", [f"{i},{i % 7 - 3},1" for i in range(2000)]),
                               ("annotations", "jstime,valence,arousal,video", [f"{i},5,5,1" for i in range(20)])):
        os.makedirs("case/" + folder)
        program.write(f"case/{folder}/sub_1.csv", "\n".join([line] + rows) + "\n")
    text = told("case", "case")
    expect(text, ["follows the description of CASE and was not tried on its real files", "of 1 person"], ["not known"])


def test_people_and_band():
    import numpy
    for name in ("a", "b"):
        numpy.save(f"rest_{name}.npy", numpy.round(mat_files.noise(3000), 3))
    sources = ["npy", "rest_a.npy", "rest_b.npy", "--map", "rate=360,units=mV"]
    unknown = "Who was recorded is not known: each record was taken as one person."
    expect(told(*sources), [unknown, "2; unknown: each record was taken as one person"])
    expect(told(*sources, "--pattern", "rest_{subject}.npy"), ["of 2 people."], [unknown])
    # A table that calls people as their records knows them nevertheless.
    program.write("who.csv", "record,subject\nrest_a,rest_a\nrest_b,rest_a\n")
    expect(told(*sources, "--subjects", "who.csv"), ["of 1 person."], [unknown])
    text = told(*sources, options=["--high", "500", "--overwrite", "--min-seconds", "0", "--keep", "all"])
    expect(text, ["from 0.8 to 162 Hz", "nothing above 64 Hz", "Kept in spite of their length or quality"])


def test_command():
    program.run("--help", says="data list|fetch|import|check|info|synth")
    program.run("data", "info", "--help", says="--all")
    program.run("data", "info", "out.h5", "--al", expect=2, says="there is no option --al")
    program.run("data", "info", expect=2, says="which store")


with program.Folder():
    os.mkdir("amigos"), os.mkdir("ascertain")
    tests = [value for name, value in list(globals().items()) if name.startswith("test_")]
    for test in tests:
        test()
        print(test.__name__ + ": passed")
