"""A real Slurm of two nodes starts runs through srun and docker/cluster/slurm.sbatch: two ranks train as one; a job that is asked
to stop, is taken away, or loses a rank is queued again and ends with the weights of one that was left alone. With the word
`time` the only test is that a job near its time limit is stopped and queued again, which takes Slurm a minute."""
import os
import signal
import subprocess
import sys
import time

from hosts import private_machine, processes
from program import SANITIZED, VAGUS, Folder, lines, read, synth, tiny
from ranks import run_ranks, same_bits
from slurm import Slurm, need_slurm

need_slurm()
private_machine(root=True)

SCRIPT = os.path.abspath(os.environ["VAGUS_SOURCE"] + "/docker/cluster/slurm.sbatch")
RUN = ["pretrain", "tiny.yaml", f"train.epochs={3 if SANITIZED else 20}", "checkpoint.every_steps=10", "threads=1",
       "parallel.timeout=30"]


def steps(folder):
    try:
        return len(lines(folder + "/metrics.jsonl"))
    except (OSError, ValueError):
        return 0


def through_srun(slurm):
    """Two ranks on two nodes, and two on one."""
    run_ranks("launch", 2, *RUN, "output_dir=runs/launched")
    for spread in (["--nodes=2"], ["--nodes=1", "--overcommit"]):
        folder = "runs/" + spread[0]
        told = slurm.tell("srun", "-n", "2", *spread, VAGUS, *RUN, "output_dir=" + folder)
        assert "2 ranks, started by srun" in told, told
        same_bits("runs/launched", folder)


def lost(slurm):
    """The other rank ends by itself, and with it the step, long before `parallel.timeout`."""
    words = ["srun", "-n", "2", "--nodes=2", VAGUS, *RUN, "train.epochs=1000", "output_dir=runs/lost"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as srun:
        slurm.wait(lambda: steps("runs/lost") >= 5, "steps")
        for rank in processes(SLURM_PROCID=1):
            os.kill(rank, signal.SIGKILL)
        begun = time.monotonic()
        told = srun.communicate(timeout=60)[0]
        took = time.monotonic() - begun
    print(f"a rank was killed: srun ended {took:.1f} s later with {srun.returncode}")
    assert srun.returncode not in (0, 2, 75), (srun.returncode, told)
    assert "rank 1 (node2) is lost" in told and took < 20, (took, told)


def alone(slurm):
    """A batch script has the variables of its job's first task; without srun there is one rank, which waits for nobody."""
    job = slurm.submit("--ntasks=2", "--nodes=2", "--output=%j.log", f"--wrap={VAGUS} {' '.join(RUN)} output_dir=runs/alone")
    told = ended(slurm, job, 0)
    assert "ranks" not in told, told


def batch(slurm, *words, options=()):
    """Submits docker/cluster/slurm.sbatch for two ranks, one a node; returns the job's number."""
    options = ["--nodes=2", "--ntasks-per-node=1", "--output=%j.log", "--export=ALL,VAGUS=" + VAGUS, *options]
    return slurm.submit(*options, SCRIPT, *words)


def ended(slurm, job, restarts):
    over = ("COMPLETED", "FAILED", "TIMEOUT", "CANCELLED", "NODE_FAIL")
    slurm.wait(lambda: slurm.job(job, "JobState") in over, "the end of job " + job, 120)
    told = read(job + ".log").decode()
    state = [slurm.job(job, key) for key in ("JobState", "ExitCode", "Restarts")]
    assert state == ["COMPLETED", "0:0", str(restarts)], f"{state}\n{told}"
    assert "Sanitizer" not in told, told
    return told


def queued_again(slurm):
    """One is disturbed after the other, each as soon as it trains; their second starts, for which Slurm waits some seconds,
    come together."""
    jobs = {}
    for name in ("signalled", "taken", "lost-in-batch"):
        jobs[name] = job = batch(slurm, *RUN, "output_dir=runs/" + name)
        slurm.wait(lambda: steps("runs/" + name) >= 15, "steps of " + name)
        if name == "signalled":  # as --signal does near the end of the time
            subprocess.run(["scancel", "--signal=TERM", job], check=True)
        elif name == "taken":  # as preemption does
            subprocess.run(["scontrol", "requeue", job], check=True)
        else:
            for rank in processes(SLURM_JOB_ID=job, SLURM_PROCID=1):
                os.kill(rank, signal.SIGKILL)
    for name, job in jobs.items():
        told = ended(slurm, job, 1)
        print(f"{name}: {told}")
        assert "started again, time 1" in told, told
        same_bits("runs/launched", "runs/" + name)


def out_of_time(slurm):
    job = batch(slurm, *RUN, "train.epochs=1000000", "output_dir=runs/time", options=["--time=1", "--signal=TERM@20"])
    slurm.wait(lambda: slurm.job(job, "Restarts") == "1", "the time limit of job " + job, 120)
    subprocess.run(["scancel", job], check=True)
    told = read(job + ".log").decode()
    assert "DUE TO TIME LIMIT" not in told and steps("runs/time") >= 5, told
    saved = [name for name in os.listdir("runs/time/checkpoints") if name.startswith("step_")]
    assert saved, told
    print(told)


with Folder() as folder:
    os.mkdir("slurm")
    synth()
    tiny()
    with Slurm(folder + "/slurm", ["node1", "node2"]) as slurm:
        for test in [out_of_time] if sys.argv[1:] == ["time"] else [through_srun, lost, alone, queued_again]:
            begun = time.monotonic()
            test(slurm)
            print(f"{test.__name__}: {time.monotonic() - begun:.1f} s")
