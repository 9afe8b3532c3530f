"""A `vagus launch` that a test looks at while it runs: what it says goes to a file. Killed with its ranks when the test fails."""
import os
import re
import subprocess
import time

from program import SANITIZED, VAGUS

PATIENCE = 600 if SANITIZED else 60  # for what takes a second on an idle machine


def is_alive(process):
    """A zombie that nobody has fetched yet is not."""
    try:
        with open(f"/proc/{process}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


class Launch:
    count = 0

    def __init__(self, *words):
        Launch.count += 1
        self.words = [VAGUS, "launch", *map(str, words)]
        self.path = f"launch{Launch.count}.txt"
        with open(self.path, "wb") as file:
            self.process = subprocess.Popen(self.words, stdout=file, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
                                            start_new_session=True, env={**os.environ, "OMP_WAIT_POLICY": "passive"})

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()  # takes its ranks with it
            self.process.wait()

    def told(self):
        with open(self.path, errors="replace") as file:
            return file.read()

    def fail(self, what):
        raise AssertionError(f"{' '.join(self.words)}: {what}\n{self.told()}")

    def wait_for(self, what, found, or_end=False):
        """Waits until found() is true; None when the launch ended instead, which is an error unless `or_end`."""
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            running = self.process.poll() is None
            result = found()
            if result:
                return result
            if not running:
                return None if or_end else self.fail(f"ended before {what}")
            time.sleep(0.002)
        return self.fail(f"{what}: not within {PATIENCE} s")

    def says(self, text, or_end=False):
        return self.wait_for(f"it said {text!r}", lambda: text in self.told(), or_end)

    def ranks(self, start=0):
        """The processes of the ranks, of the first start or a later one."""
        pattern = r"^launch: .*\(process(?:es)?((?: \d+)+)\)$"
        line = self.wait_for("the ranks were started", lambda: re.findall(pattern, self.told(), re.M)[start:])[0]
        return [int(process) for process in line.split()]

    def end(self, expect=0):
        try:
            code = self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.fail(f"not over within {PATIENCE} s")
        told = self.told()
        if code != expect:
            self.fail(f"exit {code}, want {expect}")
        assert "Sanitizer" not in told and "runtime error" not in told, told
        left = [process for start in re.findall(r"\(process(?:es)?((?: \d+)+)\)$", told, re.M) for process in start.split()]
        if any(is_alive(process) for process in left):
            self.fail("a rank has outlived its launcher")
        return told


def send(process, number):
    """False when there is no such process any more."""
    try:
        os.kill(process, number)
    except ProcessLookupError:
        return False
    return True
