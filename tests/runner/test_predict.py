"""vagus predict: the very answers of a fold's test, the contract, what a folder's name stands for, and bad input.

Words on the command line name the parts to run; without any, all."""
import csv
import io
import json
import os
import re
import resource
import shutil
import signal
import struct
import subprocess
import sys
import time

import h5py

from program import PRETRAIN, VAGUS, Folder, read, run, start, synth, tiny, write
from recordings import beats

SCRATCH = ["finetune", "tune.yaml", "evaluation.methods=[scratch]"]
HEAD = "store,recording,lead,subject,session,trial,stimulus,{},label,probability,answer"


def table(text, head="start_s"):
    """The rows by column; the header is checked."""
    assert text.splitlines()[0] == HEAD.format(head), text[:200]
    return list(csv.DictReader(io.StringIO(text)))


def predict(model, *words, **options):
    return table(run("predict", "--model", model, "threads=1", *words, **options))


def tested(fold):
    """What the fine-tuning answered to a fold's test segments, by number."""
    with open(fold + "/predictions.json") as file:
        told = json.load(file)
    return dict(zip(told["segments"], told["probabilities"]))


def key(row):
    return row["subject"], row["recording"], row.get("trial"), row["start_s"]


def same_as_fold(run_folder, method, number, *words):
    """Every test segment of the fold: the network's probability bit for bit, and the judged one as printed."""
    fold = f"{run_folder}/{method}/fold-{number:03d}"
    rows = predict(fold, "ecg.h5", "evaluation.prior=training", *words)
    told = tested(fold)
    assert told and len(rows) > len(told)
    for segment, probability in told.items():
        assert float(rows[segment]["probability"]) == probability, (fold, segment, rows[segment], probability)
    assert len(set(told.values())) > len(told) // 2, "a constant answer would prove nothing"
    judged = predict(fold, "ecg.h5", *words)
    with open(run_folder + "/predictions.csv") as file:
        evaluated = [row for row in csv.DictReader(file) if int(row["fold"]) == number]
    assert len(evaluated) == len(told)
    for segment, row in zip(told, evaluated):
        mine = judged[segment]
        assert (mine["subject"], mine["recording"], mine["start_s"]) == (row["subject"], row["recording"], row["start_s"])
        assert mine["probability"] == row[method] and mine["label"] == row["label"], (mine, row)
        assert mine["answer"] == str(int(float(row[method]) > 0.5))
    return rows, judged


def the_very_answers():
    """Whatever the normalisation, the overlap and the size of a batch; of the best weights and of the last."""
    for scope in ("corpus", "recording"):
        folder = "runs/" + scope
        run(*SCRATCH, "data.normalize=" + scope, "output_dir=" + folder, "train.batch_size=7", "data.stride=2.5")
        for fold in (0, 1):
            same_as_fold(folder, "scratch", fold, f"train.micro_batch={random_batch(fold)}")
    # Unbalanced training parts, whose odds are taken out; trained so fast that the best weights are not the last.
    differing = 0
    for best in ("true", "false"):
        folder = "runs/best-" + best
        run("finetune", "tune.yaml", "output_dir=" + folder, "evaluation.folds=3", "optimizer.lr=0.05", "train.epochs=4", "seed=7",
            "data.max_segments=27", "evaluation.methods=[pretrained,scratch]", "evaluation.select_best=" + best,
            "scheduler.warmup_epochs=0", "data.validation=0.5", "evaluation.max_folds=1")
        for method in ("pretrained", "scratch"):
            raw, judged = same_as_fold(folder, method, 0)
            place = f"{folder}/{method}/fold-000/checkpoints"
            last = max((name for name in os.listdir(place) if name != "best"), key=lambda name: int(name[5:]))
            differing += os.path.basename(os.path.realpath(place + "/best")) != last
            assert [row["probability"] for row in raw] != [row["probability"] for row in judged]
    assert differing, "no fold's best weights were other than its last"


def random_batch(fold):
    return (5, 64)[fold]


def folders():
    """What a name may stand for: a fold, a checkpoint, a method's folds, a run of one method."""
    one, two = "runs/corpus/scratch/fold-000", "runs/corpus/scratch/fold-001"
    assert (len(predict(one, "ecg.h5")), len(predict(one, "ecg.h5", "data.stride=0"))) == (8 * 39, 8 * 20)
    first, second = predict(one, "ecg.h5"), predict(two, "ecg.h5")
    assert predict(one + "/checkpoints/best", "ecg.h5") == first
    shutil.copytree(os.path.realpath(one + "/checkpoints/best"), "alone")
    assert predict("alone", "ecg.h5") == first
    told = run("predict", "--model", "runs/corpus", "ecg.h5", both=True)
    for text in ("mean of 2 models", "very data of the fine-tuning", "do not evaluate", "predictions.csv"):
        assert text in told, told
    both = predict("runs/corpus", "ecg.h5")
    assert predict("runs/corpus/scratch", "ecg.h5") == both
    for a, b, mean in zip(first, second, both):
        p = (float(a["probability"]) + float(b["probability"])) / 2
        assert abs(float(mean["probability"]) - p) <= 1e-15, (a, b, mean)
    # Recordings: the mean of their segments.
    by_recording = table(run("predict", "--model", one, "ecg.h5", "--per", "recording"), "segments")
    assert len(by_recording) == 8 and sum(int(row["segments"]) for row in by_recording) == len(first)
    for row in by_recording:
        mine = [float(r["probability"]) for r in first if (r["subject"], r["trial"]) == (row["subject"], row["trial"])]
        assert len(mine) == int(row["segments"]) and abs(sum(mine) / len(mine) - float(row["probability"])) < 1e-12
        assert row["label"] in "01" and row["answer"] == str(int(float(row["probability"]) > 0.5))
    # Two methods stand for themselves; a fold that is not done is told.
    run("predict", "--model", "runs/best-true", "ecg.h5", expect=2, says=["several methods", "best-true/pretrained", "fold-000"])
    shutil.copytree("runs/corpus", "runs/half", symlinks=True)
    os.remove("runs/half/scratch/fold-001/predictions.json")
    assert predict("runs/half", "ecg.h5") == first
    run("predict", "--model", "runs/half", "ecg.h5", says=["fold-001", "not over", "left out"])
    run("predict", "--model", "runs/half/scratch/fold-001", "ecg.h5", says=["training of this fold is not over"])
    write("runs/half/scratch/fold-000/predictions.json", json.dumps({"step": 1, "segments": [], "probabilities": []}))
    run("predict", "--model", "runs/half/scratch/fold-000", "ecg.h5", says=["weights of step 1", "not there any more"])
    os.remove("runs/half/scratch/fold-000/predictions.json")
    run("predict", "--model", "runs/half", "ecg.h5", expect=2, says=["no fold is done", "--resume"])
    # Others' data get no warning of that kind; and their order does not matter.
    synth("more.h5", subjects=2, seconds=60, effect=0.5)
    several = predict(one, "more.h5", "ecg.h5")
    assert [row["probability"] for row in several if row["store"] == "ecg.h5"] == [row["probability"] for row in first]
    assert "very data" not in run("predict", "--model", one, "more.h5", both=True)


def output():
    """Files appear whole, are not written over, and hold what standard output would."""
    one = "runs/corpus/scratch/fold-000"
    words = ["predict", "--model", one, "ecg.h5", "threads=1"]
    text = run(*words)
    run(*words, "--out", "p.csv", says=["p.csv: 312 segments", "evaluation.prior=balanced", "SYNTHETIC", "scratch/fold-000"])
    assert read("p.csv").decode() == text
    assert run(*words, "--out=-") == text
    write("p.csv", "mine")
    run(*words, "--out", "p.csv", expect=1, says=["p.csv is there already", "--overwrite"])
    assert read("p.csv") == b"mine"
    run(*words, "--out", "p.csv", "--overwrite")
    assert read("p.csv").decode() == text
    # From files instead of memory, and by two ranks: the same.
    assert run(*words, "data.memory_gib=1e-7", says="mapped") == text
    ranks = table(run("launch", "-n", "2", "--", *words, "--out", "ranks.csv") or read("ranks.csv").decode())
    for a, b in zip(ranks, table(text)):
        assert key(a) == key(b) and abs(float(a["probability"]) - float(b["probability"])) < 1e-6
    # A full disk leaves the old file and nothing else.
    def small():
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    before = sorted(os.listdir("."))
    run(*words, "--out", "p.csv", "--overwrite", expect=1, says=["cannot write p.csv", "free space"], preexec_fn=small)
    assert read("p.csv").decode() == text and sorted(os.listdir(".")) == before
    with open("/dev/full", "w") as full:
        process = subprocess.run([VAGUS, *words], stdout=full, stderr=subprocess.PIPE, text=True)
        assert process.returncode == 1 and "standard output could not be written" in process.stderr, process.stderr
    run(*words, "--out", "ecg.h5", "--overwrite", expect=2, says="is an input")
    run(*words, "--out", "nowhere/p.csv", expect=1, says="nowhere/p.csv")
    run(*words, "--out", "runs", expect=2, says="runs is no file")


def stop():
    """Asked to stop, it exits with 75 and has written nothing."""
    os.makedirs("stopped")
    process = start("predict", "--model", "runs/corpus", "ecg.h5", "data.stride=0.0078125", "--out", "stopped/p.csv",
                    "train.micro_batch=1")
    told = ""
    while "segments/s" not in told:
        line = process.stderr.readline()
        assert line, told
        told += line
    process.send_signal(signal.SIGINT)
    told += process.communicate(timeout=60)[1]
    assert process.returncode == 75 and "nothing was written" in told, (process.returncode, told)
    assert "begin every 2.5 s" in told and "Sanitizer" not in told, told
    assert os.listdir("stopped") == []


def record(name, change=None):
    """A WFDB record of 40 s of two leads."""
    columns = [[round(1000 * factor * v) for v in beats(40, 250, 60 + 3 * len(name), seed=name)] for factor in (1, 0.7)]
    if change:
        change(columns)
    write(f"raw/{name}.hea", f"{name} 2 250 10000\n" + "".join(f"{name}.dat 16 1000/mV 16 0 {c[0]} 0 0 {lead}\n"
                                                             for lead, c in zip(("I", "II"), columns)))
    with open(f"raw/{name}.dat", "wb") as file:
        file.write(struct.pack("<20000h", *(c[i] for i in range(10000) for c in columns)))


def recordings():
    """What the refusal tells to type is what honours the contract, and --import does that by itself."""
    os.makedirs("raw")
    for person in ("a", "bb", "ccc", "dddd"):
        for task in (0, 1):
            record(f"{person}_{task}")
    names = ["--pattern", "{subject}_{trial}.hea", "--rating", "task:0=0,1=1"]
    run("data", "import", "wfdb", "raw", "--out", "fit.h5", "--rate=100", "--order=4", "--low=1.5", "--high=35", "--leads=II", *names)
    run(*SCRATCH, "data.stores=[fit.h5]", "data.target=task", "output_dir=runs/fit", "data.lead=II",
        "data.normalize=recording", "data.seconds=4")
    fold = "runs/fit/scratch/fold-000"
    run("data", "import", "wfdb", "raw", "--out", "other.h5", "--high=40", *names)
    told = run("predict", "--model", fold, "other.h5", expect=1, both=True)
    for text in ("the rate is 100 Hz in the model and 128 Hz in other.h5", "order is 4 in the model and 8",
                 "lower edge is 1.5 Hz", "upper edge is 35 Hz in the model and 40 Hz"):
        assert text in told, told
    command = re.search(r"vagus (data import) FORMAT SOURCE\.\.\. --out STORE( .*)", told)
    assert command, told
    options = command[2].split()
    assert options == "--rate 100 --order 4 --low 1.5 --high 35 --leads II".split(), options
    run("data", "import", "wfdb", "raw", "--out", "again.h5", *options, *names)
    want = predict(fold, "fit.h5")
    assert len(want) == 80 and {row["lead"] for row in want} == {"II"} and {row["label"] for row in want} == {"0", "1"}

    def but_store(rows):
        return [{name: value for name, value in row.items() if name != "store"} for row in rows]
    assert but_store(predict(fold, "again.h5")) == but_store(want)
    assert len(predict(fold, "fit.h5", "data.stride=1")) > 3 * len(want)
    run("predict", "--model", fold, "fit.h5", "data.stride=1", says="begin every 4 s (overlap 0 %) in the model and every 1 s")
    for lead, said in (("I", "'I' in fit.h5"), ("null", "any in fit.h5")):
        run("predict", "--model", fold, "fit.h5", "data.lead=" + lead, expect=1, says="the lead is 'II' in the model and " + said)
    # Not a store: what to do instead; and that works too, also without any lead left over.
    run("predict", "--model", fold, "raw", expect=1, says=["raw", "--import FORMAT", "--rate 100 --order 4"])
    run("predict", "--model", fold, "raw/a_0.hea", expect=1, says=["raw/a_0.hea", "HDF5", "--leads II"])
    os.makedirs("temporary")
    place = dict(os.environ, TMPDIR=os.path.abspath("temporary"))
    rows = predict(fold, "--import", "wfdb", "raw", *names, env=place)
    assert but_store(rows) == but_store(want) and {row["store"] for row in rows} == {"wfdb"}
    run("predict", "--model", fold, "--import", "wfdb", "raw", "--out", "temporary/p.csv", *names)
    assert but_store(table(read("temporary/p.csv").decode())) == but_store(want)
    run("predict", "--model", fold, "--import", "wfdb", "raw", "--rate", "128", env=place, expect=1,
        says=["the rate is 100 Hz in the model and 128 Hz in wfdb"])
    run("predict", "--model", fold, "--import", "wfdb", "missing", env=place, expect=1, says="missing")
    run("predict", "--model", fold, "--import", "wfbd", "raw", env=place, expect=2, says="wfbd")
    run("predict", "--model", fold, "--import", "wfdb", "raw", "--colour", "x", env=place, expect=2, says="unknown import option")
    run("predict", "--model", fold, "raw", "--rate", "100", expect=2, says="behind --import")
    assert os.listdir("temporary") == ["p.csv"], os.listdir("temporary")

    # Gaps: their segments have no line, which is told; a recording without any is named.
    def gap(columns):
        for column in columns:
            column[1000:2000] = [-32768] * 1000

    def gaps(columns):
        for column in columns:
            for at in range(0, 10000, 500):
                column[at:at + 5] = [-32768] * 5
    shutil.rmtree("raw")
    os.makedirs("raw")
    record("eeeee_0", gap)
    record("ffffff_0", gaps)
    told = run("predict", "--model", fold, "--import", "wfdb", "raw", "--keep", "all", "--out", "g.csv", both=True, env=place)
    assert "with missing samples" in told and "1 of 2 recordings have no usable segment" in told and "ffffff_0" in told, told
    starts = [float(row["start_s"]) for row in table(read("g.csv").decode())]
    assert starts and len(starts) < 10 and not set(starts) & {4.0}, starts


def bad_stores():
    one = "runs/corpus/scratch/fold-000"
    words = ["predict", "--model", one]
    whole = read("ecg.h5")
    write_bytes("cut.h5", whole[: len(whole) // 2])
    run(*words, "cut.h5", expect=1, says=["cut.h5", "truncated"])
    shutil.copy("ecg.h5", "old.h5")
    with h5py.File("old.h5", "r+") as file:
        file.attrs.modify("version", 1)
    run(*words, "old.h5", expect=1, says=["old.h5", "version 1", "vagus data import FORMAT"])
    synth("fast.h5", subjects=2, seconds=30, rate=250)
    run(*words, "ecg.h5", "fast.h5", expect=1, says=["250 Hz in fast.h5", "--rate 128 --order 0"])
    synth("short.h5", subjects=2, seconds=3)
    run(*words, "short.h5", expect=1, says=["no segment of 5 s", "4 recordings are shorter"])
    run(*words, "none.h5", expect=1, says="none.h5")
    run(*words, "ecg.h5", "./ecg.h5", expect=2, says="same store")
    run(*words, "ecg.h5", "data.lead=II", expect=1, says=["lead 'II'", "synthetic"])


def write_bytes(path, data):
    with open(path, "wb") as file:
        file.write(data)


def bad_models():
    for path, says in (("nowhere", "there is no folder nowhere"), ("tiny.yaml", "is a file"), ("runs", "neither a checkpoint")):
        run("predict", "--model", path, "ecg.h5", expect=2, says=says)
    run("predict", "--model", "runs/tiny", "ecg.h5", expect=2, says=["no classification head", "vagus finetune"])

    def broken(name, file, data, says):
        shutil.copytree("alone", name)
        if data is None:
            os.remove(f"{name}/{file}")
        else:
            write_bytes(f"{name}/{file}", data)
        run("predict", "--model", name, "ecg.h5", expect=1, says=says)
    weights = read("alone/model.safetensors")
    for number, share in enumerate((0, 0.1, 0.5, 0.999)):
        broken(f"broken{number}", "model.safetensors", weights[: int(share * len(weights))], says=[f"broken{number}/model.safetensors"])
    broken("bare", "preprocessing.json", None, says=["bare has no preprocessing.json", "whole checkpoint"])
    broken("torn", "preprocessing.json", read("alone/preprocessing.json")[:70], says=["torn/preprocessing.json"])
    contract = json.loads(read("alone/preprocessing.json"))
    broken("lying", "preprocessing.json", json.dumps(contract | {"seconds": 4}).encode(), says=["lying contradicts itself"])
    broken("dull", "preprocessing.json", json.dumps(contract | {"corpus_sd": -1}).encode(), says=["dull/preprocessing.json", "corpus_sd"])
    broken("notched", "preprocessing.json", json.dumps(contract | {"notch": 50}).encode(), says=["No import gives", "notch at 50 Hz"])
    meaning = json.loads(read("alone/classifier.json"))
    assert meaning["target"] == "synthetic_arousal" and meaning["training_positive"] > 0, meaning
    broken("odd", "classifier.json", json.dumps(meaning | {"training_positive": 0}).encode(), says=["odd/classifier.json"])
    broken("nan", "model.safetensors", weights[:-4] + b"\xff\xff\xff\x7f", says=["nan: an answer is not finite"])
    # Checkpoints of before there was a classifier.json give the network's own probabilities, and say so.
    shutil.copytree("runs/corpus/scratch/fold-000", "before", symlinks=True)
    for name in os.listdir("before/checkpoints"):
        if name != "best":
            os.remove(f"before/checkpoints/{name}/classifier.json")
    told = tested("before")
    write("before/predictions.json", json.dumps({"segments": list(told), "probabilities": list(told.values())}))
    rows = predict("before", "ecg.h5", says=["no classifier.json", "evaluation.prior=training"])
    assert all(float(rows[segment]["probability"]) == p for segment, p in told.items())
    assert {row["label"] for row in rows} == {""}
    run("predict", "--model", "before", "ecg.h5", "evaluation.prior=balanced", expect=2, says=["before", "cannot be had"])


def usage():
    run("predict", "--help", says=["--model", "--import", "--per recording", "evaluation.prior", "train.micro_batch"])
    run("--help", says="vagus predict --model DIR INPUT...")
    one = "runs/corpus/scratch/fold-000"
    run("predict", expect=2, says="--model")
    run("predict", "ecg.h5", expect=2, says="--model")
    run("predict", "--model", one, expect=2, says="which stores?")
    run("predict", "--model", expect=2, says="--model needs a value")
    run("predict", "--model", one, "ecg.h5", "--per", "subject", expect=2, says="segment or recording")
    run("predict", "--model", one, "ecg.h5", "--fast", expect=2, says="'--fast'")
    run("predict", "--model", one, "ecg.h5", "optimizer.lr=1", expect=2, says=["optimizer.lr cannot be chosen", "threads"])
    run("predict", "--model", one, "ecg.h5", "thread=1", expect=2, says=["thread", "threads"])
    run("predict", "--model", one, "ecg.h5", "threads=x", expect=2, says="threads")
    run("predict", "--model", one, "ecg.h5", "device=gpu", expect=2, says="gpu")
    run("predict", "--model", one, "ecg.h5", "data.stride=0.001", expect=2, says="stride")


with Folder():
    os.environ["OMP_NUM_THREADS"] = "1"  # several small ones would wait for each other most of the time
    synth()
    tiny()
    write("tiny.yaml", PRETRAIN.replace("threads: 2", "threads: 1"))
    run("pretrain", "tiny.yaml")
    parts = [the_very_answers, folders, output, stop, recordings, bad_stores, bad_models, usage]
    for part in parts:
        if len(sys.argv) < 2 or part.__name__ in sys.argv[1:]:
            began = time.monotonic()
            part()
            print(f"{part.__name__}: {time.monotonic() - began:.1f} s")
