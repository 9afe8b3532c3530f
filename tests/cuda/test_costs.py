#!/usr/bin/env python3
"""What each CUDA kernel costs, from what nvcc told when the program was built.

    test_costs.py FOLDER ROOT NVCC [--update]

FOLDER holds a report NAME.costs for each .cu file (kernels/cuda/compile.sh). A kernel that spills registers to memory
fails, and so does one whose cost is far from the one that kernels/cuda/RESOURCES.md has for it, if that was written with
the same nvcc; a build for fewer architectures is compared in those. --update writes the file anew, from a build for all
of them. Without an nvcc (NVCC empty or -NOTFOUND) it is skipped."""

import pathlib
import re
import shutil
import subprocess
import sys

ARCHITECTURES = ("80", "86", "89", "90", "100")
# Files whose kernels hold a tile in registers: they must be there, and none of theirs may spill, whatever else changes.
MUST_HOLD = ("attention_forward", "attention_backward")
HEAD = """# What each kernel costs
Written by `tests/cuda/test_costs.py ... --update` from the compiler's reports, and compared with them by the daily tests;
not to be edited. Registers a thread on each architecture, and bytes of static shared memory a block; dynamic shared memory
is asked for at the launch and depends on the shape. A kernel that spills fails the test. **Figures of the compiler; nothing
here was run on a GPU.**

"""
# Two runs of the same nvcc on the same file were seen to differ by a register. A GPU hands registers out by eights.
LOOSE = 8
ENTRY = re.compile(r"Compiling entry function '(\w+)' for 'sm_(\w+)'.*?(\d+) bytes spill stores, (\d+) bytes spill loads"
                   r".*?Used (\d+) registers([^\n]*)", re.S)


def demangled(names):
    filt = shutil.which("c++filt")
    if not filt or not names:
        return names
    return subprocess.run([filt, "-p", *names], capture_output=True, text=True).stdout.splitlines()


def short(name):
    return re.sub(r"\(anonymous namespace\)::|^void ", "", name).replace("__nv_bfloat16", "bf16")


def costs(folder, root, failures):
    """{(file, kernel): ({architecture: registers}, bytes of shared memory)}"""
    table = {}
    for source in sorted((root / "kernels" / "cuda").glob("*.cu")):
        report = folder / (source.stem + ".costs")
        if not report.exists():
            failures.append(f"{source.name}: no {report}; is it in VAGUS_CUDA_SOURCES?")
            continue
        text = report.read_text()
        found = ENTRY.findall(text)
        if not found and (source.stem in MUST_HOLD or "GPU_KERNEL(" in source.read_text()):
            failures.append(f"{source.name}: the compiler told nothing of its kernels\n{text[-2000:]}")
        for (_, architecture, stores, loads, registers, rest), name in zip(found, demangled([f[0] for f in found])):
            shared = re.search(r"(\d+) bytes smem", rest)
            row = table.setdefault((source.name, short(name)), ({}, []))
            row[0][architecture] = registers
            row[1].append(int(shared[1]) if shared else 0)
            if int(stores) + int(loads):
                failures.append(f"{source.name}: {short(name)} spills {stores} + {loads} bytes on sm_{architecture}")
    return {key: (registers, str(max(shared))) for key, (registers, shared) in table.items()}


def page(version, table):
    text = HEAD + f"{version}, `-O3`.\n"
    for file in sorted({file for file, _ in table}):
        rows = {name: row for (f, name), row in table.items() if f == file}
        columns = sorted({a for row in rows.values() for a in row[0]}, key=lambda a: (int(re.match(r"\d+", a)[0]), a))
        text += f"\n## {file}\n| kernel | {' | '.join('sm_' + a for a in columns)} | shared |\n|---|{'---|' * len(columns)}---|\n"
        for name in sorted(rows):
            registers = " | ".join(rows[name][0].get(a, "") for a in columns)
            text += f"| `{name}` | {registers} | {rows[name][1]} |\n"
    return text


def read_page(text):
    table, file, columns = {}, "", []
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split(" | ")]
        if line.startswith("## "):
            file = line[3:]
        elif line.startswith("| kernel"):
            columns = [cell.removeprefix("sm_") for cell in cells[1:-1]]
        elif line.startswith("| `"):
            table[file, cells[0].strip("`")] = ({a: r for a, r in zip(columns, cells[1:-1]) if r}, cells[-1])
    return table


def differences(kept, table):
    for key in sorted(set(kept) | set(table)):
        before, now = kept.get(key), table.get(key)
        if not before or not now:
            yield f"{key[0]}: {key[1]} is {'new' if now else 'gone'}"
            continue
        changed = [f"sm_{a} {before[0].get(a, 'none')} -> {r}" for a, r in now[0].items()
                   if a not in before[0] or abs(int(before[0][a]) - int(r)) > LOOSE]
        if before[1] != now[1]:
            changed.append(f"shared {before[1]} -> {now[1]}")
        if changed:
            yield f"{key[0]}: {key[1]}: {', '.join(changed)}"


def main():
    arguments = [a for a in sys.argv[1:] if a != "--update"]
    if len(arguments) != 3:
        print(__doc__, file=sys.stderr)
        return 2
    folder, root, nvcc = pathlib.Path(arguments[0]), pathlib.Path(arguments[1]), arguments[2]
    if not shutil.which(nvcc):
        print("skipped: built without nvcc")
        return 77
    release = re.search(r"V(\d\S+)", subprocess.run([nvcc, "--version"], capture_output=True, text=True).stdout)
    version = f"nvcc {release[1] if release else 'of unknown version'}"
    failures = []
    table = costs(folder, root, failures)
    built = {a for registers, _ in table.values() for a in registers}
    kept = root / "kernels" / "cuda" / "RESOURCES.md"
    before = kept.read_text() if kept.exists() else ""
    if "--update" in sys.argv:
        if failures or not built.issuperset(ARCHITECTURES):
            failures.append(f"{kept.name} is not written: that takes a build for {', '.join(ARCHITECTURES)} without failures")
        else:
            kept.write_text(page(version, table))
            print(f"{kept} is written")
    elif f"{version}, `-O3`." in before:
        found = list(differences(read_page(before), table))
        if found:
            failures.append(f"not what {kept.name} has (--update writes it anew):\n  " + "\n  ".join(found))
    else:
        print(f"{kept.name} was not written with {version}: costs are not compared, spills are")
    for failure in failures:
        print("FAILED " + failure)
    print(f"{len(table)} kernels on {', '.join('sm_' + a for a in sorted(built, key=lambda a: (len(a), a)))}: {len(failures)} failures")
    return 1 if failures or not table else 0


if __name__ == "__main__":
    sys.exit(main())
