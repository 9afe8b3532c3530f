#!/usr/bin/env python3
"""Every .cu file with nvcc, for every architecture: does it compile, and what does each kernel cost?
test_nvcc.py NVCC ROOT SOURCE... prints a table of registers, spills and shared memory. A kernel that spills fails.
Without nvcc (NVCC empty or -NOTFOUND) it is skipped."""

import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

ARCHITECTURES = ("80", "90", "100")


def compile_one(nvcc, root, source, folder):
    command = [nvcc, "-std=c++17", "-O3", "-Xptxas", "-v", "-Xcompiler", "-Wall,-Wextra", "-Werror", "all-warnings"]
    command += ["-I", str(root), "-c", str(source), "-o", str(pathlib.Path(folder, "object.o"))]
    for architecture in ARCHITECTURES:
        command += ["-gencode", f"arch=compute_{architecture},code=sm_{architecture}"]
    return subprocess.run(command, capture_output=True, text=True)


def demangled(names):
    filt = shutil.which("c++filt")
    if not filt or not names:
        return names
    return subprocess.run([filt, "-p", *names], capture_output=True, text=True).stdout.splitlines()


def main(nvcc, root, sources):
    if not shutil.which(nvcc):
        print("skipped: no nvcc here")
        return 77
    failures, rows = 0, []
    with tempfile.TemporaryDirectory(prefix="vagus-nvcc-") as folder:
        for source in sources:
            done = compile_one(nvcc, root, source, folder)
            if done.returncode != 0:
                print(f"FAILED {source}\n{done.stdout}{done.stderr}")
                failures += 1
                continue
            pattern = r"Compiling entry function '(\w+)' for 'sm_(\w+)'.*?(\d+) bytes spill stores, (\d+) bytes spill loads.*?Used (\d+) registers([^\n]*)"
            found = re.findall(pattern, done.stderr, re.S)
            if not found:
                print(f"FAILED {source}: the compiler told nothing of its kernels\n{done.stderr[-2000:]}")
                failures += 1
            names = demangled([f[0] for f in found])
            for (_, architecture, stores, loads, registers, rest), name in zip(found, names):
                shared = re.search(r"(\d+) bytes smem", rest)
                rows.append((pathlib.Path(source).name, name.replace("(anonymous namespace)::", ""), architecture,
                             int(registers), int(stores) + int(loads), int(shared[1]) if shared else 0))
    print("file                 sm  registers spilled shared  kernel")
    for file, name, architecture, registers, spilled, shared in rows:
        print(f"{file:20} {architecture:4} {registers:8} {spilled:7} {shared:6}  {name}")
        if spilled:
            print(f"FAILED {name} spills {spilled} bytes on sm_{architecture}")
            failures += 1
    print(f"{len(rows)} kernels, {failures} failures")
    return 1 if failures or not rows else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2], sys.argv[3:]))
