"""vagus data import from outside: options, what it counts, what it says of gaps and places, and how it is stopped.

Words on the command line name the parts to run; without any, all."""
import hashlib
import os
import signal
import stat
import struct
import subprocess
import sys
import time

from program import Folder, VAGUS, read, run, write
from recordings import beats, edf

RATE = 250
MISSING = -32768  # of WFDB's format 16


def record(name, leads, seconds=60, change=None, folder="."):
    """A WFDB record; leads: name -> factor on the beats. `change` may alter the list of samples of a lead."""
    os.makedirs(folder, exist_ok=True)
    x = beats(seconds, RATE, seed=len(name))
    columns = [[round(1000 * factor * v) for v in x] for factor in leads.values()]
    for column in columns:
        if change:
            change(column)
    head = f"{name} {len(leads)} {RATE} {len(x)}\n" + "".join(f"{name}.dat 16 1000/mV 16 0 {c[0]} 0 0 {lead}\n"
                                                            for lead, c in zip(leads, columns))
    write(f"{folder}/{name}.hea", head)
    with open(f"{folder}/{name}.dat", "wb") as file:
        file.write(struct.pack(f"<{len(x) * len(leads)}h", *(c[i] for i in range(len(x)) for c in columns)))


def load(source, *more, out="x.h5", **options):
    return run("data", "import", "wfdb", source, "--out", out, "--overwrite", *more, both=True, timeout=120, **options)


def info(store="x.h5"):
    return run("data", "info", store)


def parts(folder="."):
    return sorted(name for name in os.listdir(folder) if ".part-" in name)


def leads_that_point_down():
    """aVR and V1 point down in the healthy: neither is turned nor called upside down, a lead I that does so is."""
    record("ptb", {"I": 1, "aVR": -0.8, "v1": -0.9}, folder="down")
    load("down", "--flip", says="0 upside down")
    assert "upside_down" not in info(), info()
    run("data", "check", "x.h5", says="3 good")
    record("swapped", {"I": -1, "aVR": -0.8}, folder="down")
    load("down", "--flip", says="1 upside down")
    assert "swapped:I\n" in info(), info()
    run("data", "import", "--help", says="QRS and T wave point down, but not V1")


def bands():
    """A band that leaves nothing is refused before anything is read, an odd one warned of."""
    for words, said in ((("--low", "64", "--high", "0"), "half the store's rate, 64 Hz"),
                        (("--low", "100", "--high", "120"), "half the store's rate, 64 Hz"),
                        (("--low", "63.9", "--high", "64"), "less than 1 Hz"),
                        (("--low", "63.5", "--high", "0"), "less than 1 Hz"),
                        (("--min-quality", "5"), "min_quality: 5 is outside 0..1"),
                        (("--bridge", "1001"), "1001 ms is outside 0..1000")):
        run("data", "import", "wfdb", "nowhere", "--out", "n.h5", *words, expect=2, says=said)
    record("one", {"I": 1}, folder="one")
    load("one", "--low", "8", says=["warning: import option low", "P and T waves"])
    load("one", "--high", "80", says=["warning: import option high: 80 Hz", "the band ends at 64 Hz"])
    load("one", "--low", "120", "--high", "0", "--rate", "500", expect=1, says="at 250 Hz nothing lies in the band")
    load("one", "--low", "100", "--order", "0")  # no filter, so no band either
    assert "warning" not in load("one")


def holes(column):
    for at in range(RATE, len(column), 10 * RATE):
        column[at] = MISSING


def gaps():
    """One sample missing in every ten seconds: said as it is, and bridged on request."""
    record("holes", {"I": 1}, seconds=120, change=holes, folder="gaps")
    load("gaps", expect=1, says=["no usable ECG: missing", "12 of 12 windows hold a missing sample, 0.04 %", "option bridge"])
    run("data", "check", "wfdb", "gaps", says=["missing", "12 of 12 windows"])
    load("gaps", "--bridge", "3", expect=1, says="12 of 12 windows")  # a sample lasts 4 ms
    load("gaps", "--bridge", "4", says=["1 recording ", "12 gaps bridged"])
    assert "bridged: 12 gaps of up to 4 ms in 1 of 1 recordings (0.04 % of the samples) filled" in info(), info()
    assert b"straight lines: holes:I 12" in read("x.h5")
    # Longer ones stay gaps, and so do those at the ends; windows that are blanked say what was bridged.

    def more(column):
        holes(column)
        column[20 * RATE:30 * RATE] = [0] * (10 * RATE)  # a flat window, without its gap
        column[:2] = [MISSING] * 2
        column[5000 + 9000:5000 + 9010] = [MISSING] * 10
    record("holes", {"I": 1}, seconds=120, change=more, folder="gaps")
    told = load("gaps", "--bridge", "4", says="11 gaps bridged")
    assert "1 window of 10 s blanked" in told, told
    load("gaps", "--bridge", "60", says=["12 gaps bridged", "warning: import option bridge"])
    # Every tenth sample: what is between is too short for a filter, so no beat is found; bridged, it is an ECG.

    def tenth(column):
        column[5::10] = [MISSING] * len(column[5::10])
    record("holes", {"I": 1}, change=tenth, folder="gaps")
    load("gaps", expect=1, says=["no usable ECG: missing", "10 % of all samples"])
    load("gaps", "--bridge", "4", says="1500 gaps bridged")


def units():
    record("strong", {"I": 28}, seconds=20, folder="units")
    load("units", expect=1, says=["20 mV", "is the unit right?"])


def counts():
    """Leads, records and files that cannot be read are counted apart."""
    record("a", {"I": 1, "II": 0.9, "III": 0.8}, folder="count")
    record("bb", {"I": 1, "II": 0.00001}, folder="count")  # II is next to nothing
    record("ccc", {"I": 0.00001, "II": 0.00001}, folder="count")
    for broken in ("d", "e", "f"):
        write(f"count/{broken}.hea", f"{broken} 1 250 5000\n{broken}.dat 16 1000/mV 16 0 0 0 0 I\n")  # without its .dat
    told = load("count", says=["4 recordings (one a lead) of 2 records", "3 of 7 leads left out, 1 of 3 records left out wholly",
                               "no lead was had from 3 other files"])
    assert "6 of" not in told, told
    for name in ("a", "bb"):
        os.remove(f"count/{name}.hea")
    load("count", expect=1, says="left out (leads: 2, records: 1, sources without a lead: 3), the first:")


def flags():
    """Every way to say no, and a value that was forgotten."""
    def flat(column):
        column[20 * RATE:30 * RATE] = [0] * (10 * RATE)
    record("flat", {"I": 1}, change=flat, folder="flags")
    load("flags", says="1 window of 10 s blanked")
    for words in (["--drop-bad=false"], ["--no-drop-bad"], ["--drop-bad", "false"], ["--no-drop_bad"]):
        load("flags", *words, says="0 windows of 10 s blanked")
    load("flags", "--drop-bad", "true", "--no-flip", says="1 window of 10 s blanked")
    load("flags", "--no-drop-bad=true", expect=2, says="takes no value")
    load("flags", "--no-rate", expect=2, says="no-rate")
    load("flags", "--units", "--strict", expect=2, says=["--units needs a value", "'--strict' looks like the next option"])
    run("data", "import", "wfdb", "flags", "--units", "--out", "o.h5", expect=2, says="--units needs a value")
    run("data", "import", "--help", says=["--[no-]drop-bad", "--[no-]baseline", "--no-NAME is --NAME=false", "--bridge X"])
    run("data", "check", "wfdb", "flags", "--no-strict", says="flat.hea")
    os.makedirs("flagged", exist_ok=True)
    with open("flagged/Subject00_1.edf", "wb") as file:
        file.write(edf(seconds=20))
    run("data", "fetch", "eegmat", "--from", "flagged", "--no-drop-bad", says="1 recording ")


def here():
    """A store is called as the folder is, also when that is called "."."""
    os.makedirs("mine/set/below", exist_ok=True)
    with open("mine/set/Subject00_1.edf", "wb") as file:
        file.write(edf(seconds=20))
    run("data", "fetch", "eegmat", "--from", ".", says="1 recording ", cwd="mine/set")
    assert os.listdir("mine") and os.path.exists("mine/set.h5"), os.listdir("mine")
    assert sorted(os.listdir("mine/set")) == ["Subject00_1.edf", "below"], os.listdir("mine/set")
    run("data", "fetch", "eegmat", "--from", "below/..", "--overwrite", says="set.h5: 1 recording ", cwd="mine/set")
    assert sorted(os.listdir("mine")) == ["set", "set.h5"], os.listdir("mine")


def places():
    """A store that cannot be written or read is said to be so in words, before anything is read."""
    record("one", {"I": 1}, folder="one")

    def refused(out, *said):
        told = load("one", out=out, expect=1, says=said)
        assert "errno" not in told and "flags =" not in told, told
    refused("no/such/x.h5", "no/such/x.h5: the folder no/such does not exist")
    write("file", "")
    refused("file/x.h5", "file/x.h5: file is a file, not a folder")
    refused("one", "is a folder")
    load("one")
    run("data", "import", "wfdb", "one", "--out", "x.h5", expect=1,
        says="exists already; remove it, choose another name or replace it (--overwrite)")
    if os.geteuid() == 0:
        print("root reads and writes everywhere: two places are not tried")
        refused("/proc/x.h5", "/proc/x.h5")
        return
    os.makedirs("locked")
    os.chmod("locked", stat.S_IRUSR | stat.S_IXUSR)
    refused("locked/x.h5", "the folder locked cannot be written to: Permission denied")
    os.chmod("x.h5", 0)
    told = run("data", "info", "x.h5", expect=1, both=True, says="cannot be opened: Permission denied")
    assert "damaged" not in told, told
    os.remove("x.h5")


def long_source():
    """Thousands of records that share their samples: work for minutes, and few bytes."""
    record("one", {"I": 1}, seconds=120, folder="long")
    head = read("long/one.hea").decode()
    for i in range(6000):
        write(f"long/r{i:04}.hea", head.replace("one 1", f"r{i:04} 1"))


def begin(out):
    """Starts a long import and waits until its file grows."""
    process = subprocess.Popen([VAGUS, "data", "import", "wfdb", "long", "--out", out, "--overwrite"], stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, text=True)
    name, end = f"{out}.part-{process.pid}-0", time.time() + 60
    while not (os.path.exists(name) and os.path.getsize(name) > 100000) and time.time() < end and process.poll() is None:
        time.sleep(0.01)
    if process.poll() is not None or not os.path.exists(name):
        process.kill()
        raise AssertionError((process.returncode, *process.communicate()))
    return process, name


def stopped():
    """Ctrl-C and SIGTERM: a sentence, exit 75, nothing left, and the store that was there is as it was."""
    long_source()
    record("small", {"I": 1}, folder="small")
    load("small", out="s.h5")
    before = hashlib.md5(read("s.h5")).hexdigest()
    for how in (signal.SIGINT, signal.SIGTERM):
        process, _ = begin("s.h5")
        try:
            process.send_signal(how)
            out, told = process.communicate(timeout=60)
        finally:
            process.kill()
        assert process.returncode == 75, (process.returncode, out, told)
        assert f"stopped by {how.name}" in told and "nothing was written to s.h5" in told, told
        assert parts() == [] and hashlib.md5(read("s.h5")).hexdigest() == before, os.listdir(".")
        assert "Sanitizer" not in told, told


def leftovers():
    """What a killed import leaves is removed by the next one to the same store; what a living one writes is not."""
    long_source()
    record("small", {"I": 1}, folder="small")
    process, dead = begin("k.h5")
    process.kill()
    process.communicate()
    assert parts() == [dead], parts()
    other = "other.h5.part-1-0"
    write(other, "another store's")
    live, name = begin("k.h5")  # removes the dead one's
    try:
        assert not os.path.exists(dead) and os.path.exists(name), parts()
        load("small", out="k.h5")
        assert parts() == sorted([name, other]), parts()
        live.send_signal(signal.SIGTERM)
        live.communicate(timeout=60)
    finally:
        live.kill()
    assert parts() == [other], parts()
    os.remove(other)
    run("data", "info", "k.h5", says="source         small ")


PARTS = [leads_that_point_down, bands, gaps, units, counts, flags, here, places, stopped, leftovers]
wanted = sys.argv[1:] or [part.__name__ for part in PARTS]
for part in PARTS:
    if part.__name__ in wanted:
        with Folder():
            print(part.__name__, flush=True)
            part()
