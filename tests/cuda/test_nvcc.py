#!/usr/bin/env python3
"""Every .cu file with nvcc, for every architecture: does it compile, and what does each kernel cost?

    test_nvcc.py NVCC ROOT SOURCE[@ARCHITECTURE,...]... [--update] [--only TEXT]

A source with architectures of its own (90a for wgmma and TMA) is compiled for those, the others for ARCHITECTURES. A
kernel that spills registers to memory fails, and so does a kernel whose cost is not the one that kernels/cuda/RESOURCES.md
has for it, if that was written with the same nvcc; --update writes the file anew. --only takes the sources with TEXT in
their names, and then compares only those. Two compilers run at once (VAGUS_JOBS).
Without nvcc (NVCC empty or -NOTFOUND) it is skipped."""

import argparse
import concurrent.futures
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

ARCHITECTURES = ("80", "86", "89", "90", "100")
# Files whose kernels hold a tile in registers: they must be there, and none of theirs may spill, whatever else changes.
MUST_HOLD = ("attention_forward.cu", "attention_backward.cu")
HEAD = """# What each kernel costs
Written by `tests/cuda/test_nvcc.py ... --update`, which a long test repeats and compares; not to be edited. Registers a
thread on each architecture, and bytes of static shared memory a block; dynamic shared memory is asked for at the launch and
depends on the shape. A kernel that spills is marked, and fails the test. **Figures of the compiler; nothing here was run on a GPU.**

"""
ENTRY = re.compile(r"Compiling entry function '(\w+)' for 'sm_(\w+)'.*?(\d+) bytes spill stores, (\d+) bytes spill loads"
                   r".*?Used (\d+) registers([^\n]*)", re.S)


def compile_one(nvcc, root, source, architectures, folder):
    words = [nvcc, "-std=c++17", "-O3", "-Xptxas", "-v", "-Xcompiler", "-Wall,-Wextra", "-Werror", "all-warnings",
             "-DVAGUS_CUDA", "-I", str(root), "-c", str(source), "-o", str(pathlib.Path(folder, source.stem + ".o"))]
    for architecture in architectures:
        words += ["-gencode", f"arch=compute_{architecture},code=sm_{architecture}"]
    return subprocess.run(words, capture_output=True, text=True)


def demangled(names):
    filt = shutil.which("c++filt")
    if not filt or not names:
        return names
    return subprocess.run([filt, "-p", *names], capture_output=True, text=True).stdout.splitlines()


def short(name):
    return re.sub(r"\(anonymous namespace\)::|^void ", "", name).replace("__nv_bfloat16", "bf16")


def costs(nvcc, root, sources, failures):
    """{(file, kernel): ({architecture: registers, as text}, [shared])}"""
    table = {}
    with tempfile.TemporaryDirectory(prefix="vagus-nvcc-") as folder:
        with concurrent.futures.ThreadPoolExecutor(int(os.environ.get("VAGUS_JOBS", "2"))) as pool:
            done = pool.map(lambda s: compile_one(nvcc, root, s[0], s[1], folder), sources)
            for (source, architectures), told in zip(sources, done):
                if told.returncode != 0:
                    failures.append(f"{source} does not compile\n{told.stdout}{told.stderr}")
                    continue
                found = ENTRY.findall(told.stderr)
                if not found and "GPU_KERNEL(" in source.read_text():
                    failures.append(f"{source}: the compiler told nothing of its kernels\n{told.stderr[-2000:]}")
                names = [short(n) for n in demangled([f[0] for f in found])]
                for (_, architecture, stores, loads, registers, rest), name in zip(found, names):
                    shared = re.search(r"(\d+) bytes smem", rest)
                    row = table.setdefault((source.name, name), ({}, []))
                    spilled = int(stores) + int(loads)
                    row[0][architecture] = registers + (f" ({spilled} bytes spilled)" if spilled else "")
                    row[1].append(int(shared[1]) if shared else 0)
                    if spilled:
                        failures.append(f"{source.name}: {name} spills {stores} + {loads} bytes on sm_{architecture}")
                for (file, name), row in table.items():
                    if file == source.name and set(row[0]) != set(architectures):
                        failures.append(f"{file}: {name} was compiled for {sorted(row[0])}, not {sorted(architectures)}")
                print(f"{source.name}: {len(set(names))} kernels for {len(architectures)} architectures", flush=True)
    return table


def page(version, table):
    text = HEAD + f"{version}, `-O3`.\n"
    for file in sorted({file for file, _ in table}):
        rows = {name: row for (f, name), row in table.items() if f == file}
        columns = sorted({a for row in rows.values() for a in row[0]}, key=lambda a: (int(re.match(r"\d+", a)[0]), a))
        text += f"\n## {file}\n| kernel | {' | '.join('sm_' + a for a in columns)} | shared |\n|---|{'---|' * len(columns)}---|\n"
        for name in sorted(rows):
            registers = " | ".join(str(rows[name][0].get(a, "")) for a in columns)
            text += f"| `{name}` | {registers} | {max(rows[name][1])} |\n"
    return text


def section(text, file):
    found = re.search(rf"^## {re.escape(file)}\n(.*?)(?=^## |\Z)", text, re.M | re.S)
    return found[1].strip().splitlines() if found else []


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("nvcc")
    parser.add_argument("root", type=pathlib.Path)
    parser.add_argument("sources", nargs="+")
    parser.add_argument("--update", action="store_true")
    parser.add_argument("--only", default="")
    options = parser.parse_args()
    if not shutil.which(options.nvcc):
        print("skipped: no nvcc here")
        return 77
    release = re.search(r"release (\S+),", subprocess.run([options.nvcc, "--version"], capture_output=True, text=True).stdout)
    version = f"nvcc {release[1] if release else 'of unknown version'}"
    sources = []
    for word in options.sources:
        path, _, architectures = word.partition("@")
        if options.only in path:
            sources.append((pathlib.Path(path), tuple(architectures.split(",")) if architectures else ARCHITECTURES))
    failures = []
    table = costs(options.nvcc, options.root, sources, failures)
    for file in MUST_HOLD if not options.only else ():
        if not any(f == file for f, _ in table):
            failures.append(f"{file}: none of its kernels was compiled")

    kept = options.root / "kernels" / "cuda" / "RESOURCES.md"
    ours = {key: row for key, row in table.items() if "tile.cu" not in key[0]}  # the tests' own kernels are no one's cost
    now, before = page(version, ours), kept.read_text() if kept.exists() else ""
    if options.update and not options.only and not any("does not compile" in f for f in failures):
        kept.write_text(now)
        print(f"{kept} is written")
    elif f"{version}, `-O3`." not in before:
        print(f"{kept.name} was not written with {version}: costs are not compared, spills are\n{now}")
    else:
        for file in sorted({f for f, _ in ours} | (set() if options.only else set(re.findall(r"^## (\S+)$", before, re.M)))):
            if section(now, file) != section(before, file):
                lines = [f"  now    {x}" for x in section(now, file) if x not in section(before, file)]
                lines += [f"  before {x}" for x in section(before, file) if x not in section(now, file)]
                failures.append(f"{file}: not what {kept.name} has; --update writes it anew\n" + "\n".join(lines))
    for failure in failures:
        print("FAILED " + failure)
    print(f"{len(table)} kernels, {len(failures)} failures")
    return 1 if failures or not table else 0


if __name__ == "__main__":
    sys.exit(main())
