"""Commands with a deadline, and a log of all that they said."""
import os
import re
import signal
import subprocess
import threading
import time


class Log:
    """One file for everything; a command that floods it is cut."""

    MOST, OF_COMMAND = 12 << 20, 60000

    def __init__(self, path):
        self.file, self.size, self.lock = open(path, "w", errors="replace"), 0, threading.Lock()

    def write(self, text):
        with self.lock:
            if self.size < self.MOST:
                self.file.write(text)
                self.file.flush()
                self.size += len(text)

    def command(self, words, result):
        text = result.output
        if len(text) > self.OF_COMMAND:
            half = self.OF_COMMAND // 2
            text = f"{text[:half]}\n[... {len(text) - 2 * half} characters left out ...]\n{text[-half:]}"
        ended = "stopped at its deadline" if result.timed_out else f"exit {result.code}"
        self.write(f"$ {' '.join(words)}\n{text}{'' if text.endswith(chr(10)) or not text else chr(10)}"
                   f"-- {ended}, {result.seconds:.1f} s\n\n")


class Result:
    def __init__(self, code, output, errors, seconds, timed_out):
        self.code, self.stdout, self.seconds, self.timed_out = code, output, seconds, timed_out
        self.output = output + errors

    @property
    def ok(self):
        return self.code == 0 and not self.timed_out

    def how(self):
        """Why it is not ok, in a few words, with the last line that says something."""
        if self.timed_out:
            why = f"no end after {self.seconds:.0f} s"
        elif self.code < 0:
            try:
                why = f"died of {signal.Signals(-self.code).name}"
            except ValueError:
                why = f"died of signal {-self.code}"
        else:
            why = f"exit {self.code}"
        lines = [line.strip() for line in self.output.splitlines() if line.strip()]
        # The first that names a cause, of these kinds in this order; else the last line of all.
        for kind in (r"ERROR: ", r"\[  ERROR   \] --- (?!\[)", r"=+ (Invalid|Error|Warning|Race)", r"skipped: ", r".*([Ee]rror|FAILED)"):
            telling = [line for line in lines if re.match(kind, line)]
            if telling:
                return f"{why}: {telling[0][:500]}"
        return f"{why}: {lines[-1][:500]}" if lines else why


def run(words, limit, log, env=None, cwd=None):
    """Runs a command in a group of its own, which is killed when the limit is over."""
    start = time.monotonic()
    timed_out = False
    try:
        process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL,
                                   text=True, errors="replace", env={**os.environ, **(env or {})}, cwd=cwd,
                                   start_new_session=True)
    except OSError as error:
        result = Result(127, "", f"{words[0]}: {error.strerror}\n", 0.0, False)
        log.command(words, result)
        return result
    try:
        output, errors = process.communicate(timeout=max(limit, 1))
    except subprocess.TimeoutExpired:
        timed_out = True
        os.killpg(process.pid, signal.SIGKILL)
        try:
            output, errors = process.communicate(timeout=5)
        except subprocess.TimeoutExpired:  # in the driver, where no signal reaches it
            output, errors = "", "it does not even die of SIGKILL: the driver holds it\n"
    result = Result(process.returncode if process.returncode is not None else -9, output, errors,
                    time.monotonic() - start, timed_out)
    log.command(words, result)
    return result
