#!/usr/bin/env python3
"""run.py NAME PROGRAM RUNS LIMIT: tries the seeds of corpus/NAME, then RUNS inputs made from them.

VAGUS_FUZZ_SECONDS=600 searches for that long instead; VAGUS_FUZZ_CORPUS=DIR keeps what is found in DIR/NAME, so
that a later search goes on from there. A finding stays as PROGRAM-crash-..., and its bytes are printed.
"""
import os
import pathlib
import subprocess
import sys
import tempfile

name, program, runs, limit = sys.argv[1:]
if not os.access(program, os.X_OK):
    print("skipped: the fuzzers need clang-14 and libclang-rt-14-dev")
    sys.exit(77)
seeds = pathlib.Path(__file__).parent / "corpus" / name
if not any(seeds.iterdir()):
    sys.exit(f"{seeds} holds no seeds")
seconds = os.environ.get("VAGUS_FUZZ_SECONDS")
kept = os.environ.get("VAGUS_FUZZ_CORPUS")
with tempfile.TemporaryDirectory(dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None) as folder:
    corpus = pathlib.Path(kept, name) if kept else pathlib.Path(folder, "corpus")
    corpus.mkdir(parents=True, exist_ok=True)
    arguments = [program, f"-max_len={limit}", "-timeout=10", "-rss_limit_mb=1024", "-malloc_limit_mb=256",
                 f"-artifact_prefix={program}-", "-print_final_stats=1", "-close_fd_mask=0",
                 f"-seed={os.environ.get('VAGUS_TEST_SEED', '1')}"]
    # Ends by itself; the time is for a machine that is busy.
    arguments += [f"-max_total_time={seconds}"] if seconds else [f"-runs={runs}", "-max_total_time=15"]
    environment = {**os.environ, "VAGUS_FUZZ_FOLDER": folder,
                   "ASAN_OPTIONS": "allocator_may_return_null=1:detect_leaks=1:detect_stack_use_after_return=0",
                   "LSAN_OPTIONS": f"suppressions={pathlib.Path(__file__).parents[1]}/support/lsan.supp:print_suppressions=0",
                   "UBSAN_OPTIONS": "print_stacktrace=1"}
    result = subprocess.run([*arguments, corpus, seeds], env=environment, stdin=subprocess.DEVNULL,
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    text = result.stdout.decode(errors="replace")
    if result.returncode != 0:
        # Without the lines about each input that was kept.
        told = "\n".join(line for line in text.splitlines() if not line.startswith("#"))
        sys.exit(told[-8000:] + f"\nfuzz/{name}: a finding (exit {result.returncode}); run {program} with the file named above")
    stats = dict(line[6:].split(":", 1) for line in text.splitlines() if line.startswith("stat::"))
    executed = int(stats.get("number_of_executed_units", "0"))
    first = [line for line in text.splitlines() if " INITED " in line]
    print(f"fuzz/{name}: {executed} inputs, {stats.get('average_exec_per_sec', '?').strip()} a second; "
          f"{first[0].strip() if first else ''}")
    print(text.splitlines()[-1] if not stats else "\n".join(line for line in text.splitlines() if "DONE" in line))
    if executed < 100:
        sys.exit(f"fuzz/{name}: only {executed} inputs were tried")
