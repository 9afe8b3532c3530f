"""experiments/quickstart.sh from a copy, at a tiny size: synthetic, fetched from a server of this machine, from a folder,
and with nothing to fetch from."""
import hashlib
import json
import os
import shutil
import socket
import subprocess

from program import Folder, VAGUS
from recordings import edf
from web import Web

ROOT = os.environ["VAGUS_SOURCE"]
TINY = ["model.conv_channels=[4,8]", "model.conv_kernels=[9,5]", "model.layers=1", "model.feedforward=16",
        "model.reconstruction_head=[8]", "model.classification_head=[8]", "train.epochs=1", "data.seconds=5", "threads=2"]
for name in [name for name in os.environ if name.lower().endswith("_proxy")] + ["VAGUS_MIRROR", "VAGUS_DATA"]:
    os.environ.pop(name, None)
os.environ["no_proxy"] = "127.0.0.1,localhost"


def quickstart(*words, expect=0, says=(), never=(), **environment):
    process = subprocess.run(["bash", "experiments/quickstart.sh", *words], text=True, stdout=subprocess.PIPE,
                             stderr=subprocess.STDOUT, env=dict(os.environ, VAGUS=VAGUS, **environment), timeout=250)
    told = process.stdout
    assert process.returncode == expect, f"{words}: exit {process.returncode}, want {expect}\n{told}"
    for text in says:
        assert text in told, f"{words}: does not say {text!r}\n{told}"
    for text in never:
        assert text not in told, f"{words}: says {text!r}\n{told}"
    assert "Sanitizer" not in told and "runtime error" not in told, told
    return told


def methods(folder):
    with open(folder + "/finetune/results.json") as file:
        return set(json.load(file)["methods"])


with Folder(), Web() as web:
    os.mkdir("experiments")
    for name in ("quickstart.sh", "pretrain", "finetune"):
        copy = shutil.copytree if os.path.isdir(f"{ROOT}/experiments/{name}") else shutil.copy
        copy(f"{ROOT}/experiments/{name}", "experiments/" + name)

    quickstart(*TINY, says=["SYNTHETIC", "Fine-tuning: tell calm from aroused", "heart_rate", "Made in"], never=["workload"])
    assert methods("runs/quickstart") == {"pretrained", "scratch", "heart_rate", "majority"}

    # Fetched: the part that the catalogue names, from a server of its own; then the store is another one.
    files = {f"Subject{s:02}_{t}.edf": edf(seconds=20, bpm=60 + s + 15 * t, seed=2 * s + t) for s in (0, 1, 2, 11, 20)
             for t in (1, 2)}
    web.files = {"/eegmat/1.0.0/" + name: body for name, body in files.items()}
    web.files["/eegmat/1.0.0/SHA256SUMS.txt"] = "".join(
        f"{hashlib.sha256(body).hexdigest()}  {name}\n" for name, body in files.items()).encode()
    real = ["workload, not emotion", "8 files fetched", "task: 0 in 4 recordings, 1 in 4 recordings", "target task",
            "which is no emotion", "heart_rate"]
    quickstart("--real", *TINY, says=real, never=["SYNTHETIC", "calm"], VAGUS_MIRROR=web.url)
    assert methods("runs/quickstart-2") == {"pretrained", "scratch", "heart_rate", "majority"}
    assert sorted(name for name in os.listdir("data/eegmat") if name.endswith(".edf")) == sorted(list(files)[:8])

    # The same from the folder, named in three ways, without a network.
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        nobody = f"http://127.0.0.1:{free.getsockname()[1]}"
        for words, environment in ((["--real", "eegmat", "--data", "data/eegmat", "--out", "mine"], {}),
                                   (["--real", "--out", "mine"], {"VAGUS_DATA": "data"}),
                                   (["--out", "mine", "--real"], {"VAGUS_DATA": "data/eegmat"})):
            quickstart(*words, *TINY, says=["files in", "target task"], VAGUS_MIRROR=nobody, **environment)
        assert methods("mine-3") == methods("mine") and os.path.exists("mine-2/eegmat.h5")
        shutil.rmtree("data")
        before = sorted(os.listdir("runs"))
        quickstart("--real", expect=1, VAGUS_MIRROR=nobody,
                   says=["cannot be reached", "Is this machine offline?", "--real eegmat --data FOLDER", "VAGUS_MIRROR=URL"])
        assert sorted(os.listdir("runs")) == before
    quickstart("--real", "eegmatt", expect=2, says=["is 'eegmat' meant?"])
    for words, says in ((["--reel"], "no option --reel"), (["no.h5"], "no store no.h5"), (["--data", "x"], "no folder x"),
                        (["--data", "."], "--data goes with --real"), (["--real", "mine/eegmat.h5"], "store of its own")):
        quickstart(*words, expect=2, says=[says])

    # The real recordings, all of them.
    given = os.environ.get("VAGUS_TEST_DATA", "") + "/eegmat"
    if os.path.isdir(given):
        told = quickstart("--real", "--data", given, *TINY, "data.seconds=10", "evaluation.methods=[heart_rate]",
                          says=["68 recordings", "4 of 72 records left out", "which is no emotion"])
        print(next(line for line in told.splitlines() if "heart_rate  " in line))
    else:
        print("not run: the recordings of eegmat (VAGUS_TEST_DATA is not set)")
