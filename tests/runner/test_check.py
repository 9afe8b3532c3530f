"""`vagus data check` of a store and of files: table, JSON, page, and that nothing is left behind."""
import json
import os

from program import Folder, run, synth, write

with Folder() as folder:
    os.mkdir("temporary")
    place = dict(os.environ, TMPDIR=os.path.join(folder, "temporary"))
    synth("ecg.h5", subjects=3, seconds=60)
    run("data", "check", "ecg.h5", says=["6 good", "0.10 h usable", "verdict", "no change"])

    told = run("data", "check", "ecg.h5", "ecg.h5", "--json", "--html=page.html", "--min-quality", "1")
    found = json.loads(told)
    assert len(found["recordings"]) == 12 and found["min_quality"] == 1, told
    assert all(not line["usable"] and line["reason"] for line in found["recordings"]), told
    with open("page.html", encoding="utf-8") as page:
        text = page.read()
    assert text.startswith("<!doctype html>") and text.count("<svg") == 6 and "Synthetic" in text

    # Samples of another kind: a WFDB record of 20 s that never moves, which an import would leave out.
    os.mkdir("wfdb")
    write("wfdb/flat.hea", "flat 1 250 5000\nflat.dat 16 200 16 0 0 0 0 I\n")
    with open("wfdb/flat.dat", "wb") as file:
        file.write(bytes(10000))
    run("data", "import", "wfdb", "wfdb", "--out", "x.h5", expect=1, says="no usable ECG: flat")
    run("data", "check", "wfdb", "wfdb", env=place, says=["flat.hea", "it does not move", "1 flat"])
    run("data", "import", "wfdb", "wfdb", "--out", "x.h5", "--keep", "flat")
    run("data", "info", "x.h5", says=["note           kept: flat: it does not move"])
    run("data", "check", "x.h5", says="1 flat")
    run("data", "check", "wfdb", "nothing", env=place, expect=1, says="nothing")
    assert os.listdir("temporary") == [], os.listdir("temporary")

    run("data", "check", expect=2, says="which store?")
    run("data", "check", "--help", says="--html")
    run("data", "check", "ecg.h5", "--colour=red", expect=2, says="unknown import option")
    run("data", "check", "missing.h5", expect=1, says="missing.h5")
    run("data", "check", "ecg.h5", "--html=no/folder/page.html", expect=1, says="no/folder/page.html")
