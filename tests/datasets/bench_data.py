#!/usr/bin/env python3
"""Import and loader beside what one would write instead, on the same files, in turn, on the same two cores.

    bench_data.py PROGRAM DATA [ROUNDS]

PROGRAM is vagus; DATA the folder with mitdb, cinc2017 and eegmat. Times of the program are those of the whole process,
from its start to the store renamed; those of the script begin once its libraries are loaded, which favours it. "judged"
is the script with what else the import does, "libraries" the one that reads by wfdb and mne (bench_numpy.py; left out
without them; VAGUS_PYTHON names a Python that has them). The machine may be shared, so each ratio is that of neighbours in
time, and the median and extremes over the rounds are told; CPU time (user and system, all threads) stands beside it."""
import datetime
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

SETS = (("wfdb", "mitdb"), ("wfdb", "cinc2017"), ("edf", "eegmat"))
PYTHON = os.environ.get("VAGUS_PYTHON") or ("/usr/bin/python3" if os.path.exists("/usr/bin/python3") else sys.executable)
SCRIPTS = ((), ("judged",), ("libraries",))
CORES = sorted(os.sched_getaffinity(0))[:2]


def run(*command):
    """(wall seconds, CPU seconds, peak MiB, output)"""
    begin = time.perf_counter()
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, preexec_fn=lambda: os.sched_setaffinity(0, CORES),
                             env={**os.environ, "OMP_NUM_THREADS": "2", "OPENBLAS_NUM_THREADS": "2"})
    output = child.stdout.read()
    _, status, used = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode == 77:
        return None
    if child.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {child.returncode}")
    return time.perf_counter() - begin, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024, output


def script(kind, folder, out, *more):
    """(wall seconds, CPU seconds, peak MiB) of the script, without the loading of its libraries, and what it told; None
    when they are not there."""
    ran = run(PYTHON, os.path.join(os.path.dirname(__file__), "bench_numpy.py"), kind, folder, out, *more)
    if ran is None:
        return None
    _, cpu, peak, output = ran
    told = json.loads(output)
    return (told["seconds"], cpu * told["seconds"] / (told["seconds"] + told["loading"]), peak), told


def ratios(ours, theirs, which):
    each = sorted(t[which] / o[which] for o, t in zip(ours, theirs))
    return f"{statistics.median(each):6.2f} ({each[0]:.2f}, {each[-1]:.2f})"


def compare(program, data, rounds, scratch):
    for kind, name in SETS:
        folder, store = os.path.join(data, name), os.path.join(scratch, f"{name}.h5")
        size = sum(f.stat().st_size for f in pathlib.Path(folder).iterdir() if f.is_file()) / 2**20
        ours, theirs, told = [], {more: [] for more in SCRIPTS}, None
        for _ in range(rounds):
            ours.append(run(program, "data", "import", kind, folder, "--out", store, "--overwrite"))
            for more, times in theirs.items():
                ran = script(kind, folder, os.path.join(scratch, name), *more)
                if ran:
                    times.append(ran[0])
                    told = told or ran[1]
        wall, cpu = (statistics.median(o[i] for o in ours) for i in (0, 1))
        print(f"\n{name}: {told['recordings']} recordings, {size:.1f} MiB, {told['samples'] / 1e6:.1f} million samples\n"
              f"  import            {wall:7.3f} s, {cpu:6.2f} s of CPU, {size / wall:6.1f} MiB/s, "
              f"{told['stored'] / 1280 / wall:6.0f} segments/s, peak {max(o[2] for o in ours):.0f} MiB")
        for more, times in theirs.items():
            if not times:
                continue
            what = ", ".join(("script", *more))
            print(f"  {what:17} {statistics.median(t[0] for t in times):7.3f} s, "
                  f"{statistics.median(t[1] for t in times):6.2f} s of CPU, peak {max(t[2] for t in times):.0f} MiB; "
                  f"the import is {ratios(ours, times, 0)} times as fast, in CPU time {ratios(ours, times, 1)}",
                  flush=True)


def loader(program, scratch):
    store = os.path.join(scratch, "mitdb.h5")
    told = json.loads(run(program, "bench", "data", "--json", f"stores=[{store}]", "device=cpu")[3])
    step = json.loads(run(program, "bench", "step", "--json", "device=cpu", "ceilings=false", "samples=3")[3])
    mapped = json.loads(run(program, "bench", "data", "--json", f"stores=[{store}]", "device=cpu", "memory_gib=0.001")[3])
    best = told["results"][1]["segments_s"]
    for result in told["results"] + mapped["results"]:
        print(f"loader, {result['samples_in']}, {result['prefetch']} batches ahead: {result['segments_s']:.0f} segments/s, "
              f"{result['bytes_s'] / 1e9:.2f} GB/s")
    for result in step["results"]:
        print(f"training, {result['model']} {result['precision']}: {result['segments_s']:.1f} segments/s; the loader "
              f"{best / result['segments_s']:.0f} times that")


def main(program, data, rounds=5):
    print(datetime.date.today(), "cores", CORES, "load", *(f"{x:.1f}" for x in os.getloadavg()))
    with tempfile.TemporaryDirectory() as scratch:
        compare(program, data, int(rounds), scratch)
        loader(program, scratch)


if __name__ == "__main__":
    main(*sys.argv[1:])
