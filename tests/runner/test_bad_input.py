"""Bad input: a message that names the thing and the place, the right exit code, nothing written over."""
import os
import re
import shutil
import struct
import subprocess
import sys

from program import PRETRAIN, VAGUS, Folder, read, run, synth, tiny, write


def experiment(text, *words, expect=2, says=()):
    write("bad.yaml", text)
    run("pretrain", "bad.yaml", *words, expect=expect, says=says)


def usage():
    run(expect=2, says="vagus pretrain")
    run("pretrian", expect=2, says="pretrian")
    run("pretrain", expect=2, says="which YAML file")
    run("pretrain", "none.yaml", expect=2, says="none.yaml")
    run("pretrain", "tiny.yaml", "--fast", expect=2, says="--fast")
    run("pretrain", "--help", says=["optimizer.lr", "--resume"])
    run("data", "import", "--help", says=["wfdb", "edf", "hdf5", "--high"])
    run("data", "import", "wfbd", "x", "--out", "y.h5", expect=2, says="wfbd")
    run("data", "synth", "--out", "y.h5", "--subjects=-1", expect=2, says="--subjects")
    run("data", "synth", "--out", "y.h5", "--subject=1", expect=2, says="--subject")
    run("data", "info", "none.h5", expect=1, says="none.h5")
    run("--version", says="vagus")


def configurations():
    experiment(PRETRAIN + "optimiser: {lr: 1}\n", says=["bad.yaml:", "optimiser", "optimizer"])
    experiment(PRETRAIN.replace("lr: 3e-3", "lr: fast"), says=["bad.yaml:11:", "optimizer.lr", "fast"])
    experiment(PRETRAIN.replace("lr: 3e-3", "lr: -1"), says=["optimizer.lr", "-1", "(0, 10]"])
    experiment(PRETRAIN.replace("epochs: 3,", "epochs: 3, epochs: 4,"), says=["bad.yaml:10:", "epochs"])
    experiment(PRETRAIN.replace("epochs: 3", "epoch: 3"), says=["bad.yaml:10:", "train.epoch", "epochs"])
    experiment(PRETRAIN.replace("name: tiny\n", ""), says="name")
    experiment(PRETRAIN.replace("kind: cosine", "kind: cosin"), says=["cosin", "cosine"])
    experiment("extends: bad.yaml\n", says="circle")
    experiment("extends: nothing.yaml\n", says=["bad.yaml:1", "nothing.yaml"])
    experiment("name: [unclosed\n", says="bad.yaml")
    experiment(PRETRAIN, "train.epochs=many", says=["command line", "train.epochs", "many"])
    experiment(PRETRAIN, "train.epohcs=1", says=["epohcs", "epochs"])
    experiment(PRETRAIN, "model.heads=3", says="heads")
    experiment(PRETRAIN, "model.conv_kernels=[4,5]", says=["conv_kernels", "odd"])
    experiment(PRETRAIN, "model.conv_kernels=[5]", says="conv_kernels")
    experiment(PRETRAIN, "train.micro_batch=9", says="micro_batch")
    experiment(PRETRAIN, "train.epochs=0", says="train.epochs")
    experiment(PRETRAIN, "device=gpu", says=["'gpu'", "cuda:N"])
    experiment(PRETRAIN, "device=cuda:x", says=["'cuda:x'", "cuda:N"])
    experiment(PRETRAIN, "device=cuda:-1", says="cuda:-1")
    experiment(PRETRAIN, "device=cuda", "backend=cpu", says=["backend 'cpu'", "device is 'cuda'"])
    experiment(PRETRAIN, "precision=fp16", says=["fp16", "bf16"])
    experiment(PRETRAIN, "precision=tf32", says=["tf32", "fp32"])
    experiment(PRETRAIN, "data.validation=0", "early_stopping.patience=3", says=["patience", "data.validation"])
    assert not os.path.exists("runs"), "a refused configuration left a run behind"


def stores():
    whole = read("ecg.h5")
    for share in (0, 0.01, 0.3, 0.7, 0.999):
        write_bytes("cut.h5", whole[: int(share * len(whole))])
        run("pretrain", "tiny.yaml", "data.stores=[cut.h5]", "output_dir=runs/cut", expect=1, says="cut.h5")
        assert not os.path.exists("runs/cut"), "a run that never began left a directory behind"
    write_bytes("text.h5", b"this is no store\n" * 100)
    run("data", "info", "text.h5", expect=1, says="text.h5")
    run("pretrain", "tiny.yaml", "data.stores=[ecg.h5,ecg.h5]", "output_dir=runs/twice", expect=2, says="ecg.h5")
    # A store is never written over unless that is asked for.
    run("data", "synth", "--out", "ecg.h5", expect=1, says=["ecg.h5", "overwrite"])
    assert read("ecg.h5") == whole
    run("finetune", "tune.yaml", "data.target=valence", "output_dir=runs/x", expect=2, says=["valence", "synthetic_arousal"])
    run("finetune", "tune.yaml", "evaluation.folds=9", "output_dir=runs/y", expect=2, says="9")
    run("finetune", "tune.yaml", "evaluation.methods=[svm]", "output_dir=runs/z", expect=2, says=["svm", "scratch"])
    run("finetune", "tune.yaml", "checkpoint.init_from=nowhere", "output_dir=runs/w", expect=2, says="nowhere")
    shutil.rmtree("runs", ignore_errors=True)


def write_bytes(path, data):
    with open(path, "wb") as file:
        file.write(data)


def recordings():
    write("a.hea", "a 1 360 1000\na.dat 16 200 11 0 0 0 0 MLII\n")
    run("data", "import", "wfdb", "a", "--out", "w.h5", expect=1, says=["a.dat"])
    write("b.hea", "b one 360 1000\n")
    run("data", "import", "wfdb", "b", "--out", "w.h5", expect=1, says=["b.hea"])
    # Flat and missing samples alone leave nothing to store.
    write("flat.hea", "flat 1 128 2560\nflat.dat 16 200 16 0 0 0 0 ECG\n")
    write_bytes("flat.dat", struct.pack("<2560h", *[7] * 2560))
    run("data", "import", "wfdb", "flat", "--out", "w.h5", expect=1, says=["flat"])
    write("nan.hea", "nan 1 128 2560\nnan.dat 16 200 16 0 0 0 0 ECG\n")
    write_bytes("nan.dat", struct.pack("<2560h", *[-32768] * 2560))
    run("data", "import", "wfdb", "nan", "--out", "w.h5", expect=1, says=["nan"])
    head = b"0       " + b" " * 160 + b"01.01.2001.01.01" + b"512     " + b" " * 44 + b"9999    " + b"1       " + b"1   "
    signal = b"ECG".ljust(16) + b" " * 80 + b"mV".ljust(8) + b"-5".ljust(8) + b"5".ljust(8) + b"-32768".ljust(8)
    signal += b"32767".ljust(8) + b" " * 80 + b"128".ljust(8) + b" " * 32
    write_bytes("count.edf", head + signal + struct.pack("<2560h", *range(2560)))
    run("data", "import", "edf", "count.edf", "--out", "w.h5", expect=1, says=["count.edf", "9999"])
    assert not os.path.exists("w.h5")


def checkpoints():
    run("pretrain", "tiny.yaml")
    best = "runs/tiny/checkpoints/best"
    weights = read(best + "/model.safetensors")
    other = ["finetune", "tune.yaml", "evaluation.methods=[pretrained]", "evaluation.max_folds=1"]
    run(*other, "model.feedforward=24", "output_dir=runs/a", expect=1, says=["model.safetensors", "feedforward"])
    run(*other, "data.seconds=4", "output_dir=runs/b", expect=1, says=["5 s", "4 s", "pre-trained"])
    run(*other, "data.normalize=segment", "output_dir=runs/c", expect=1, says="normali")
    target = os.path.realpath(best) + "/model.safetensors"
    first = re.search(rb'"data_offsets": ?\[0,', weights)
    assert first
    lies = [struct.pack("<Q", 1 << 40) + weights[8:], weights[:-4], weights[:100], b"",
            weights[: first.end() - 2] + b"4" + weights[first.end() - 1 :]]
    for number, bad in enumerate(lies):
        write_bytes(target, bad)
        run(*other, f"output_dir=runs/lie{number}", expect=1, says="model.safetensors")
    write_bytes(target, weights)
    run(*other, "output_dir=runs/good")
    predictions = "runs/good/pretrained/fold-000/predictions.json"
    whole = read(predictions)
    write_bytes(predictions, whole[:50])
    run(*other, "output_dir=runs/good", "--resume", expect=1, says=[predictions, "remove it"])
    write_bytes(predictions, whole)
    # A fine-tuning that is done is neither gone over nor taken away, whatever the settings.
    results = read("runs/good/results.json")
    for words in ([], ["optimizer.lr=1e-4"]):
        run(*other, "output_dir=runs/good", *words, expect=2, says=["runs/good", "already holds a run"])
        assert read("runs/good/results.json") == results


def places():
    write("file", "in the way")
    run("pretrain", "tiny.yaml", "output_dir=file/run", expect=1, says="file")
    os.makedirs("mine")
    write("mine/thesis.txt", "not a run")
    run("pretrain", "tiny.yaml", "output_dir=mine", expect=2, says="mine")
    assert os.listdir("mine") == ["thesis.txt"]
    # What a run that fails at once leaves of a folder is what was there before it.
    os.makedirs("hidden")
    write("hidden/.keep", "mine")
    run("pretrain", "tiny.yaml", "output_dir=hidden", "data.stores=[none.h5]", expect=1, says="none.h5")
    assert os.listdir("hidden") == [".keep"]
    # Killed before it had done anything, it may be begun again with other settings.
    os.makedirs("early")
    write("early/config.yaml", "name: early\n")
    run("pretrain", "tiny.yaml", "output_dir=early", "train.max_steps=1")
    assert "max_steps: 1" in read("early/config.yaml").decode()
    if os.geteuid() != 0:
        os.makedirs("locked", mode=0o500)
        run("pretrain", "tiny.yaml", "output_dir=locked/run", expect=1, says=["locked", "ermission"])
    else:
        run("pretrain", "tiny.yaml", "output_dir=/proc/run", expect=1, says="/proc/run")


def full_disk():
    """A disk that fills up while checkpoints are written: the last good one survives, and the run goes on later."""
    os.makedirs("disk")
    script = f"""set -e
mount -t tmpfs -o size=160k tmpfs disk
set +e
"{VAGUS}" pretrain tiny.yaml output_dir=disk/run checkpoint.keep=100 2>disk-error
code=$?
cp -a disk/run survived
exit $code
"""
    for prefix in (["unshare", "-m"], ["unshare", "-Urm"]):
        try:
            probe = subprocess.run(prefix + ["sh", "-c", "mount -t tmpfs tmpfs disk"], capture_output=True)
        except FileNotFoundError:
            probe = None
        if probe and probe.returncode == 0:
            break
    else:
        print("full disk: not tested, no small file system can be mounted here")
        return
    process = subprocess.run(prefix + ["sh", "-c", script], capture_output=True, text=True)
    told = read("disk-error").decode()
    assert process.returncode == 1, (process.returncode, told, process.stderr)
    assert "No space left" in told and "disk/run" in told, told
    saved = [name for name in os.listdir("survived/checkpoints") if name.startswith("step_")]
    assert saved, "no checkpoint survived"
    shutil.copytree("survived", "runs/moved", symlinks=True)
    config = read("runs/moved/config.yaml").decode().replace("disk/run", "runs/moved")
    write("runs/moved/config.yaml", config)
    run("pretrain", "runs/moved/config.yaml", "--resume", says="goes on from")


with Folder():
    synth()
    tiny()
    parts = [usage, configurations, stores, recordings, checkpoints, places, full_disk]
    for part in parts:
        if len(sys.argv) < 2 or part.__name__ in sys.argv[1:]:
            part()
