"""vagus launch as users call it: its words, its messages, its exit codes, and Ctrl-C at a terminal."""
import json
import os
import pty
import re
import time

from launching import PATIENCE, Launch
from program import VAGUS, Folder, lines, run, synth, tiny

TINY = ["pretrain", "tiny.yaml", "threads=1", "data.seconds=0.5", "data.max_segments=60", "train.validation_segments=8"]


def words():
    told = run("launch", "--help")
    for text in ("--max-restarts", "--grace", "--node-rank", "--master HOST:PORT", "75"):
        assert text in told, text
    for line, says in (
        ([], "which command?"),
        (["-n", "2"], "which command?"),
        (["-n", "2", "--"], "which command?"),
        (["-n"], "-n needs a value"),
        (["-n", "--", "doctor"], "-n needs a value"),
        (["-n", "0", "doctor"], "-n '0'"),
        (["-n=2.5", "doctor"], "-n '2.5'"),
        (["--rank", "2", "doctor"], "unknown option '--rank'"),
        (["-n", "1", "--max-restarts", "-1", "doctor"], "--max-restarts '-1'"),
        (["-n", "1", "--grace", "nan", "doctor"], "--grace 'nan'"),
        (["-n", "1", "--nodes", "2", "doctor"], "needs --master HOST:PORT"),
        (["-n", "1", "--nodes", "2", "--master", "a:1", "doctor"], "needs --node-rank"),
        (["-n", "1", "--nodes", "2", "--master", "a:1", "--node-rank", "2", "doctor"], "from 0 to 1"),
        (["-n", "1", "--node-rank", "1", "doctor"], "--node-rank 1"),
        (["-n", "1", "--master", "nowhere", "doctor"], "--master nowhere"),
        (["-n", "1", "--", "launch", "-n", "1", "doctor"], "ranks do not launch ranks"),
    ):
        run("launch", *line, expect=2, says=says)
    run("launch", "-n", "1", "doctor", expect=2, says="rank of another", env={**os.environ, "VAGUS_LAUNCH": "1"})


def lines_of_ranks():
    told = run("launch", "-n", "11", "--", "--version")
    version = run("--version")
    assert sorted(told.splitlines(True)) == [f"[{rank:2}] {version}" for rank in range(11)], told
    # Each as it would be alone, whole and in its order.
    alone = run("doctor").splitlines()
    told = run("launch", "-n=2", "doctor").splitlines()
    for rank in range(2):
        own = [line[4:] for line in told if line.startswith(f"[{rank}] ")]
        assert len(own) == len(alone) and own[0] == alone[0], told
    assert len(told) == 2 * len(alone)


def gpus():
    devices = json.loads(run("doctor", "--json"))["devices"]
    if len(devices) == 1:
        run("launch", "doctor", expect=2, says=["Say -n N", "no GPU tells"])
    else:
        told = run("launch", "--", "--version")
        assert len(told.splitlines()) == len(devices) - 1, told


def exit_codes():
    told = run("launch", "-n", "2", "--", "pretrain", "missing.yaml", expect=2, says="ended with exit code 2 first", both=True)
    assert "restart" not in told and told.count("cannot open missing.yaml") == 2, told
    told = run("launch", "-n", "2", "--max-restarts", "1", "--", "data", "info", "missing.h5", expect=1, both=True,
               says=["restart 1 of 1 in 1 s", "the restarts are used up (1)"])
    assert told.count("missing.h5: ") == 4 and len(re.findall(r"meeting at 127.0.0.1:(\d+) ", told)) == 2, told
    assert len(set(re.findall(r"meeting at 127.0.0.1:(\d+) ", told))) == 1, told


def terminal():
    """Ctrl-C reaches every process of the terminal's foreground; the ranks must hear of it once, or they would not save."""
    run("launch", "-n", "2", "--", *TINY, "output_dir=runs/whole")
    process, screen = pty.fork()
    if process == 0:
        os.environ["OMP_WAIT_POLICY"] = "passive"
        os.execv(VAGUS, [VAGUS, "launch", "-n", "2", "--", *TINY, "output_dir=runs/stopped", "train.epochs=1000"])
    told, pressed, until = b"", False, time.monotonic() + PATIENCE
    try:
        while time.monotonic() < until:
            try:
                piece = os.read(screen, 4096)
            except OSError:  # the other side is closed
                piece = b""
            if not piece:
                break
            told += piece
            if not pressed and b"step 1/" in told:
                os.write(screen, b"\x03")
                pressed = True
        code = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
        process = 0
    finally:
        if process:
            os.kill(process, 9)
    assert code == 75, (code, told.decode())
    assert b"SIGINT, passed on to 2 ranks" in told and b"second" not in told, told.decode()
    steps = [line["step"] for line in lines("runs/stopped/metrics.jsonl")]
    assert any(name.startswith("step_") for name in os.listdir("runs/stopped/checkpoints")) and steps


def second_interrupt():
    with Launch("-n", 2, "--", *TINY, "output_dir=runs/killed", "train.epochs=100000") as launch:
        launch.says("step 1/")
        launch.process.send_signal(2)
        launch.says("SIGINT, passed on")
        launch.process.send_signal(2)
        # They may just have saved in between.
        code = launch.process.wait(PATIENCE)
        assert code in (130, 75), launch.told()
        assert (code == 130) == ("a second SIGINT" in launch.told()), launch.told()


with Folder():
    words()
    lines_of_ranks()
    gpus()
    exit_codes()
    synth()
    tiny()
    terminal()
    second_interrupt()
