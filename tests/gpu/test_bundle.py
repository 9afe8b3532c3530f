#!/usr/bin/env python3
"""The folder that bundle.sh makes: under 60 MB, nothing absolute in it, and it runs where the build folder is not.
test_bundle.py NVCC"""
import os
import re
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
# From outside there may come what belongs to glibc, and nothing else.
OF_GLIBC = re.compile(r"(linux-vdso|ld-linux-x86-64|libc|libm|libpthread|libdl|librt|libresolv|libutil|libanl|libmvec)\.so")

nvcc = "".join(sys.argv[1:])  # empty, and by some left out, in a build without CUDA
if not shutil.which(nvcc):
    print("skipped: no nvcc here")
    sys.exit(77)
for tool in ("patchelf", "cmake", "ninja"):
    if not shutil.which(tool):
        print(f"skipped: no {tool} here")
        sys.exit(77)


def run(words, **options):
    done = subprocess.run(words, capture_output=True, text=True, errors="replace", **options)
    assert done.returncode == 0, f"{words}: exit {done.returncode}\n{done.stdout[-3000:]}{done.stderr[-3000:]}"
    return done.stdout


def dynamic(path):
    """RPATH and RUNPATH of an ELF file."""
    return re.findall(r"\((?:RPATH|RUNPATH)\).*?\[(.*)\]", run(["readelf", "-d", path]))


work = tempfile.mkdtemp(prefix="vagus-bundle-")
try:
    made = os.path.join(work, "made")
    print(run([os.path.join(HERE, "bundle.sh"), "90", made]).strip().splitlines()[-1])
    moved = os.path.join(work, "another place", "bundle")
    os.makedirs(os.path.dirname(moved))
    shutil.move(made, moved)
    size = sum(os.path.getsize(os.path.join(f, n)) for f, _, names in os.walk(moved) for n in names)
    assert size < 60e6, f"{size} bytes"
    assert not any(os.path.islink(os.path.join(f, n)) for f, _, names in os.walk(moved) for n in names)

    # As on the other machine: no variable of ours, another working folder.
    clean = {"PATH": "/usr/bin:/bin", "HOME": work, "OMP_NUM_THREADS": "2", "OMP_WAIT_POLICY": "passive"}
    out = os.path.join(work, "out")
    print(run([os.path.join(moved, "tests/gpu/run.sh"), "--device", "cpu", "--quick", "--ops", "bce,masked_mse", "--only",
               "doctor,ops,training", "--out", out], env=clean, cwd=work).strip().splitlines()[-2])

    for folder, _, names in os.walk(moved):
        for name in names:
            path = os.path.join(folder, name)
            with open(path, "rb") as file:
                content = file.read()
            if content[:4] != b"\x7fELF":
                assert name.endswith(".gz") or ROOT.encode() not in content, f"{path} names the folder it was made in"
                continue
            # Of the host's code; the GPU's has a table of lines with file names, for compute-sanitizer to tell.
            assert ROOT not in run(["readelf", "-p", ".rodata", path]), f"{path} names the folder it was built from"
            for place in dynamic(path):
                assert place.startswith("$ORIGIN"), f"{path}: looks in {place}"
            for line in run(["ldd", path], env=clean, cwd=work).splitlines():
                found = re.match(r"\s*(\S+) => (.*?)(?: \(0x[0-9a-f]+\))?$", line)
                if not found:
                    continue
                library, place = found.groups()
                assert "not found" not in place, f"{path}: {library} is not found"
                assert place.startswith(moved + "/") or OF_GLIBC.match(library), f"{path}: {library} comes from {place}"
    versions = set()
    for folder in ("bin", "lib"):
        for name in os.listdir(os.path.join(moved, folder)):
            versions.update(re.findall(r"GLIBC_2\.(\d+)", run(["readelf", "-V", os.path.join(moved, folder, name)])))
    newest = max(int(v) for v in versions)
    assert newest <= 36, f"needs glibc 2.{newest}, and Debian 12 has 2.36"
    print(f"{size / 1e6:.1f} MB, glibc 2.{newest}")
finally:
    shutil.rmtree(work, ignore_errors=True)
