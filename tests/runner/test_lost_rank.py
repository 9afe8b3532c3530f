"""Ranks that are killed or stopped in the middle of a run: the others end in time and say whom they have lost, all start
again, and the run ends with the very bits of one that was left alone."""
import os
import random
import re
import signal
import socket
import time

from launching import PATIENCE, Launch, is_alive, send
from program import Folder, lines, read, run, synth, tiny

KILLS = 10
TIMEOUT = 4  # seconds after which a silent rank is given up
TRAIN = ["pretrain", "tiny.yaml", "threads=1", "data.seconds=0.5", "data.max_segments=64", "train.validation_segments=8",
         "train.epochs=4", "checkpoint.every_steps=3", "parallel.start_timeout=120"]


def train(folder, *more):
    return ["--", *TRAIN, f"output_dir=runs/{folder}", *more]


def steps(folder):
    try:
        return len(lines(f"runs/{folder}/metrics.jsonl"))
    except (OSError, ValueError):
        return 0


def same(a, b):
    a, b = f"runs/{a}", f"runs/{b}"
    assert read(a + "/metrics.jsonl") == read(b + "/metrics.jsonl"), b
    names = sorted(name for name in os.listdir(a + "/checkpoints") if name.startswith("step_"))
    assert names and names == sorted(name for name in os.listdir(b + "/checkpoints") if name.startswith("step_")), b
    for name in names:
        for file in ("model.safetensors", "optimizer.safetensors"):
            assert read(f"{a}/checkpoints/{name}/{file}") == read(f"{b}/checkpoints/{name}/{file}"), (b, name, file)
    assert os.readlink(a + "/checkpoints/best") == os.readlink(b + "/checkpoints/best"), b


def in_the_middle(launch, folder, total, ranks=3):
    """Returns the ranks' processes at a random moment of the run; None when it was over before."""
    processes = launch.ranks()
    if not launch.says(f"{ranks} ranks, started by", or_end=True):
        return None
    after = random.randint(0, total - 10)
    launch.wait_for(f"{after} lines of metrics", lambda: steps(folder) >= after, or_end=True)
    time.sleep(random.uniform(0, 0.01))
    return processes if launch.process.poll() is None else None


def was_in_the_middle(folder, total):
    """Asked after a disturbance: were there still steps to make, for which every rank was needed?"""
    return steps(folder) <= total - 3


def until_done(name, times, attempt):
    """On a busy machine a run may be over before this test has come to disturb it; such attempts do not count."""
    done = tries = 0
    while done < times:
        tries += 1
        assert tries <= times + 20, f"{name}: {done} of {tries} runs were still there when they were to be disturbed"
        done += bool(attempt(f"{name}{tries}"))
    print(f"{name}: {done} of {tries} runs", flush=True)


def first_start(told):
    """What was said before the ranks were started again."""
    assert re.search(r"^launch: restart 1 of \d+ in 1 s$", told, re.M), told
    return told.partition("launch: restart 1 of")[0]


def names_the_lost(told, lost, ranks):
    for rank in set(ranks) - {lost}:
        errors = re.findall(rf"^\[{rank}\] vagus: error: (.*)$", first_start(told), re.M)
        assert len(errors) == 1 and re.search(rf"\brank {lost}\b", errors[0]), (rank, lost, errors, told)


def killed(folder, total):
    """kill -9 of a random rank at a random moment. Every other one has 300 s until its own deadline, and does not need it."""
    lost = random.randrange(3)
    with Launch("-n", 3, "--grace", 200, *train(folder)) as launch:
        processes = in_the_middle(launch, folder, total)
        if not processes or not send(processes[lost], signal.SIGKILL) or not was_in_the_middle(folder, total):
            return False
        since = time.monotonic()
        launch.wait_for("the others ended", lambda: not any(map(is_alive, processes)))
        seconds = time.monotonic() - since
        assert seconds < PATIENCE / 2, f"{seconds} s until the others had ended"
        told = launch.end()
        assert f"rank {lost} (process {processes[lost]}) was ended by SIGKILL" in told, told
        names_the_lost(told, lost, range(3))
        same("whole", folder)
    lost_ranks.add(lost)
    return True


def stopped(total):
    """SIGSTOP: nobody hears of it, and the deadline tells. The launcher then ends the one that is stopped."""
    folder, lost = "stopped", random.randrange(3)
    with Launch("-n", 3, "--grace", 1, *train(folder, f"parallel.timeout={TIMEOUT}", "train.epochs=40")) as launch:
        processes = in_the_middle(launch, folder, total)
        send(processes[lost], signal.SIGSTOP)
        launch.says("restart 1 of")
        told = first_start(launch.told())
        for rank in {0, 1, 2} - {lost}:
            assert re.search(rf"^\[{rank}\] vagus: error: .*\brank {lost}\b", told, re.M), (rank, lost, told)
        assert not any(map(is_alive, processes)), told
        # It goes on, and can be stopped for good.
        launch.says(f"of 3 on {socket.gethostname()} again")
        launch.wait_for("a step of the second start", lambda: "started by" in launch.told().partition("again")[2])
        before = steps(folder)
        launch.wait_for("further steps", lambda: steps(folder) > before)
        launch.process.send_signal(signal.SIGTERM)
        launch.end(expect=75)


def launcher_killed(folder, total):
    with Launch("-n", 3, *train(folder)) as launch:
        processes = in_the_middle(launch, folder, total)
        if not processes:
            return False
        launch.process.kill()
        launch.process.wait()
        until = time.monotonic() + PATIENCE
        while any(map(is_alive, processes)):
            assert time.monotonic() < until, "a rank has outlived its launcher"
            time.sleep(0.005)
    if not was_in_the_middle(folder, total):
        return False
    with Launch("-n", 3, *train(folder), "--resume", "auto") as launch:
        launch.end()
    same("whole", folder)
    return True


def one_is_asked(folder, total):
    """SIGTERM to one rank: all agree to stop, save, and can go on."""
    words = ["-n", 3, *train(folder), "--resume", "auto"]
    with Launch(*words) as launch:
        processes = in_the_middle(launch, folder, total)
        if not processes or not send(random.choice(processes), signal.SIGTERM) or not was_in_the_middle(folder, total):
            return False
        told = launch.end(expect=75)
        assert "restart" not in told and "error" not in told, told
    with Launch(*words) as launch:
        launch.end()
    same("whole", folder)
    return True


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def two_nodes(folder, total):
    """Two launchers with a rank each; one of the two ranks is lost, and both launchers start theirs again."""
    master, lost = f"127.0.0.1:{free_port()}", random.randrange(2)
    nodes = ["-n", 1, "--nodes", 2, "--master", master, "--node-rank"]
    with Launch(*nodes, 1, *train(folder)) as second, Launch(*nodes, 0, *train(folder)) as first:
        launches = [first, second]
        processes = [launch.ranks()[0] for launch in launches]
        if not in_the_middle(first, folder, total, ranks=2):
            return False
        if not send(processes[lost], signal.SIGKILL) or not was_in_the_middle(folder, total):
            return False
        # The port is taken as long as node 0 is there, also while no rank listens.
        with Launch(*nodes, 0, *train("other")) as third:
            assert f"cannot listen at port {master.rpartition(':')[2]}" in third.end(expect=1)
        told = [launch.end() for launch in launches]
        assert f"rank {lost} (process {processes[lost]}) was ended by SIGKILL" in told[lost], told
        names_the_lost(told[1 - lost], lost, [1 - lost])
    same("two", folder)
    return True


lost_ranks = set()
with Folder():
    synth()
    tiny()
    run("launch", "-n", "3", *train("whole"))
    run("launch", "-n", "2", *train("two"))
    total = steps("whole")
    assert total == steps("two") > 25, total
    until_done("killed", KILLS, lambda folder: killed(folder, total))
    print(f"ranks lost: {sorted(lost_ranks)}")
    stopped(total)
    until_done("orphans", 1, lambda folder: launcher_killed(folder, total))
    until_done("asked", 1, lambda folder: one_is_asked(folder, total))
    until_done("nodes", 1, lambda folder: two_nodes(folder, total))
