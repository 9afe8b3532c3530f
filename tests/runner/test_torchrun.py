"""torchrun (python3 -m torch.distributed.run) starts two ranks, starts them again when one is lost, and passes on
that they are asked to stop."""
import importlib.util
import os
import signal
import subprocess
import sys
import time

from hosts import forget_starters, processes
from program import SANITIZED, VAGUS, Folder, lines, skip, synth, tiny
from ranks import run_ranks, same_bits

if importlib.util.find_spec("torch") is None:
    skip("no PyTorch (docker/install-packages.sh test)")

RUN = ["pretrain", "tiny.yaml", f"train.epochs={3 if SANITIZED else 20}", "checkpoint.every_steps=10", "threads=1",
       "parallel.timeout=30"]


def torchrun(*words):
    """A command line. Who writes where is said for each rank: under Python 3.11 PyTorch 1.13 cannot read its own default."""
    return [sys.executable, "-m", "torch.distributed.run", "--nnodes=1", "--nproc_per_node=2", "--no_python", "--rdzv_backend=c10d",
            "--rdzv_endpoint=localhost:0", "--monitor_interval=0.2", "--log_dir=torchrun", "-t", "0:1,1:1", "-r", "0:2,1:2", *words]


def run(words, folder, meanwhile=None, expect=0):
    """Returns what torchrun and the ranks said. `meanwhile` is called once there are some steps."""
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True) as process:
        try:
            if meanwhile:
                wait_for_steps(process, folder)
                meanwhile(process)
            told = process.communicate(timeout=100)[0]
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
    for name, _, files in os.walk("torchrun"):
        for file in files:
            with open(f"{name}/{file}") as log:
                told += f"---- {name}/{file}\n" + log.read()
    subprocess.run(["rm", "-r", "torchrun"], check=True)
    assert process.returncode == expect, (process.returncode, told)
    assert "Sanitizer" not in told, told
    return told


def wait_for_steps(process, folder):
    while process.poll() is None:
        try:
            if len(lines(folder + "/metrics.jsonl")) >= 15:
                return
        except (OSError, ValueError):
            pass
        time.sleep(0.01)


def lose_one(_):
    for rank in processes(RANK=1, VAGUS_TEST_MARK=os.environ["VAGUS_TEST_MARK"]):
        os.kill(rank, signal.SIGKILL)


def ask_to_stop(process):
    process.send_signal(signal.SIGTERM)


with Folder():
    forget_starters()
    os.environ["VAGUS_TEST_MARK"] = str(os.getpid())
    synth()
    tiny()
    run_ranks("launch", 2, *RUN, "output_dir=runs/launched")
    told = run(torchrun(VAGUS, *RUN, "output_dir=runs/whole"), "runs/whole")
    assert "2 ranks, started by torchrun" in told, told
    same_bits("runs/launched", "runs/whole")

    told = run(torchrun("--max_restarts=1", VAGUS, *RUN, "output_dir=runs/lost"), "runs/lost", lose_one)
    assert "started again, time 1" in told and "is lost" in told, told
    same_bits("runs/launched", "runs/lost")

    # It passes SIGTERM on, and the ranks save; its own exit code tells nothing of that.
    words = [VAGUS, *RUN, "output_dir=runs/stopped"]
    told = run(torchrun(*words), "runs/stopped", ask_to_stop, expect=1)
    assert "stopped at step" in told, told
    run(torchrun(*words, "--resume"), "runs/stopped")
    same_bits("runs/launched", "runs/stopped")
