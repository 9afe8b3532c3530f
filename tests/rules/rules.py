#!/usr/bin/env python3
"""The rules of the house that a machine can check. rules.py RULE [ROOT] prints one line a violation and exits 1
when there is any; test_rules.py plants violations and sees that each is found.

includes    who may include whom, foreign headers in their cages, no circle
guards      every header has its own VAGUS_..._H, unless its opening comment says that it has no include guard
names       what a public header declares begins with vg_ or VG_
registered  every source and every test file stands in its room's CMakeLists.txt
nan         no test compares so that NaN passes
format      .clang-format, with clang-format 14 (exit 77 without it)
"""

import os
import pathlib
import re
import shutil
import subprocess
import sys

ROOMS = ("core", "kernels", "models", "datasets", "experiments", "tests")
SOURCES = (".c", ".h", ".cpp", ".cu", ".cuh", ".def")
SKIPPED_FOLDERS = {"build", "runs", "data", "__pycache__"}

# The room table. A file belongs to the longest matching prefix; it may include what its list names: "a/" is the
# folder with all below it, "a/*" the files of the folder alone, the rest are files. Includes run downwards only.
KERNELS = ["kernels/kernels.h", "kernels/kernels.def"]
BELOW_RUNNER = ["core/", "models/", "datasets/", *KERNELS]
IMPORT = "datasets/import/"
BELOW_IMPORT = ["core/", "datasets/*", "datasets/signal/", "datasets/store/", IMPORT + "importer.h"]
RUNNER = "experiments/runner/"
BASE = [RUNNER + "experiment.h", RUNNER + "experiment.def"]
TABLE = {
    "core/": ["core/"],
    "kernels/": ["core/", "kernels/*"],
    "kernels/ref/": ["core/", "kernels/*", "kernels/ref/"],
    "kernels/cpu/": ["core/", "kernels/*", "kernels/cpu/"],
    # of tests/: the other halves of gpu.h and runtime.h, for the emulator
    "kernels/cuda/": ["core/", "kernels/*", "kernels/cuda/", "tests/cuda/emu.h", "tests/cuda/runtime.h"],
    "models/": ["core/", "models/", *KERNELS],
    "datasets/": ["core/", "datasets/"],
    IMPORT + "pipeline/": [*BELOW_IMPORT, IMPORT + "pipeline/"],
    IMPORT + "mat/": [*BELOW_IMPORT, IMPORT + "pipeline/", IMPORT + "mat/"],
    IMPORT + "formats/": [*BELOW_IMPORT, IMPORT + "pipeline/", IMPORT + "mat/", IMPORT + "formats/"],
    IMPORT + "corpora/": [*BELOW_IMPORT, IMPORT + "pipeline/", IMPORT + "mat/", IMPORT + "formats/", IMPORT + "corpora/"],
    RUNNER: [*BELOW_RUNNER, *BASE],
    RUNNER + "training/": [*BELOW_RUNNER, *BASE, RUNNER + "training/"],
    RUNNER + "evaluation/": [*BELOW_RUNNER, *BASE, RUNNER + "training/", RUNNER + "evaluation/"],
    RUNNER + "search/": [*BELOW_RUNNER, *BASE, RUNNER + "training/", RUNNER + "evaluation/", RUNNER + "search/"],
    RUNNER + "launch/": ["core/", RUNNER + "launch/"],
    RUNNER + "bench/": [*BELOW_RUNNER, RUNNER + "training/", RUNNER + "bench/"],
    RUNNER + "plan/": [*BELOW_RUNNER, *BASE, RUNNER + "training/", RUNNER + "bench/", RUNNER + "plan/"],
    RUNNER + "report/": [*BELOW_RUNNER, *BASE, RUNNER + "training/", RUNNER + "evaluation/", RUNNER + "report/"],
    RUNNER + "commands/": [*BELOW_RUNNER, RUNNER],
}

# Foreign headers and where they may stand; `one` allows a single file of those.
CAGES = [
    (r"hdf5(_hl)?\.h", r"datasets/store/\w+\.[ch]|datasets/import/formats/hdf5\w*\.[ch]", False),
    (r"yaml\.h", r"core/\w+\.c", True),
    (r"(cjson/)?cJSON\.h", r"core/\w+\.c", True),
    (r"curl/\w+\.h", r"core/download_transfer\.c", True),
    (r"openssl/\w+\.h", r"core/sha256\.c", True),
    (r"FLAC/\w+\.h", r"datasets/import/formats/flac\.c", True),
    (r"soxr\.h", r"datasets/signal/\w+\.c", True),
    (r"zlib\.h", r"datasets/import/mat/stream\.c", True),
    (r"oneapi/dnnl/.*|dnnl\w*\.h", r"kernels/cpu/\w+\.[ch]", False),
    (r"omp\.h", r"kernels/cpu/parallel\.c", True),
    (r"nccl\.h", r"core/group/\w+\.c", True),
    (r"mpi\.h", r"core/group/\w+\.c", True),
    (r"cuda\w*\.h|cuda_\w+\.h|cublas\w*\.h|cudnn\w*\.h|cooperative_groups.*|mma\.h", r"kernels/cuda/.*|core/device_cuda\.\w+", False),
    (r"\w*mmintrin\.h|immintrin\.h|arm_neon\.h", r"kernels/.*", False),
    (r"sanitizer/\w+\.h", r"kernels/cpu/.*|kernels/cuda/.*", False),
    (r"cmocka\.h", r"tests/.*", False),
]
C_LIBRARY = set(
    """assert complex ctype errno fenv float inttypes iso646 limits locale math setjmp signal stdalign stdarg stdatomic
    stdbool stddef stdint stdio stdlib stdnoreturn string tgmath threads time uchar wchar wctype
    arpa/inet dirent dlfcn endian fcntl fnmatch ftw getopt glob grp ifaddrs langinfo libgen malloc net/if netdb netinet/in
    netinet/tcp poll pthread pwd regex sched semaphore spawn strings syslog termios ucontext unistd wordexp
    sys/file sys/ioctl sys/mman sys/prctl sys/random sys/resource sys/select sys/socket sys/stat sys/statvfs sys/syscall
    sys/sysinfo sys/time sys/types sys/uio sys/un sys/utsname sys/wait""".split()
)

INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*([<"])([^>"]+)[>"]', re.M)


def project_files(root, suffixes=SOURCES):
    """Paths of the rooms' files, relative to the root with forward slashes, sorted."""
    for room in ROOMS:
        for folder, folders, names in os.walk(root / room):
            folders[:] = sorted(name for name in folders if name not in SKIPPED_FOLDERS)
            for name in sorted(names):
                path = pathlib.Path(folder, name)
                if path.suffix in suffixes:
                    yield path.relative_to(root).as_posix()


def read(root, path):
    return (root / path).read_text(encoding="utf-8")


def without_comments(text):
    """Comments blanked out, line numbers kept; string literals are stepped over so that "//" in one stays."""
    pattern = re.compile(r'"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'|/\*.*?\*/|//[^\n]*', re.S)
    return pattern.sub(lambda m: m[0] if m[0][0] in "\"'" else re.sub(r"[^\n]", " ", m[0]), text)


def line_of(text, position):
    return text.count("\n", 0, position) + 1


def is_public(text):
    return "VG_API" in text


def allowed(path, target):
    rules = TABLE[max((prefix for prefix in TABLE if path.startswith(prefix)), key=len)]
    folder = target.rsplit("/", 1)[0] + "/"
    return any(
        target.startswith(rule) if rule.endswith("/") else rule in (target, folder + "*") for rule in rules
    )


def rule_includes(root):
    caged_in = {pattern: [] for pattern, _, _ in CAGES}
    graph = {}
    for path in project_files(root):
        text = without_comments(read(root, path))
        graph[path] = []
        in_tests = path.startswith("tests/")
        if not in_tests and not any(path.startswith(prefix) for prefix in TABLE):
            yield f"{path}: no room of the table holds this file"
            continue
        for match in INCLUDE.finditer(text):
            kind, name = match.groups()
            place = f"{path}:{line_of(text, match.start())}"
            if kind == '"':
                if not (root / name).is_file():
                    if in_tests:
                        continue  # a test may include the neighbour it is written with
                    yield f'{place}: "{name}" is not a file below the top folder; includes are rooted there'
                    continue
                graph[path].append(name)
                if not in_tests and not allowed(path, name):
                    yield f'{place}: {path.rsplit("/", 1)[0]}/ may not include "{name}"'
                elif path.endswith(".h") and is_public(text) and name.endswith(".h") and not is_public(read(root, name)):
                    yield f'{place}: a public header includes "{name}", which is not public'
                continue
            cage = next((cage for cage in CAGES if re.fullmatch(cage[0], name)), None)
            if cage is None:
                if re.sub(r"\.h$", "", name) not in C_LIBRARY and not in_tests and path.endswith((".c", ".h")):
                    yield f"{place}: <{name}> is neither of the C library nor in a cage of tests/rules/rules.py"
                continue
            if in_tests:
                continue
            caged_in[cage[0]].append(path)
            if not re.fullmatch(cage[1], path):
                yield f"{place}: <{name}> is caged in {cage[1]}"
            elif path.endswith(".h") and is_public(text):
                yield f"{place}: a public header includes the foreign <{name}>"
        if not in_tests and path != "kernels/cpu/parallel.c":
            for match in re.finditer(r'^[ \t]*#[ \t]*pragma[ \t]+omp\b|_Pragma\("omp', text, re.M):
                yield f"{path}:{line_of(text, match.start())}: OpenMP is caged in kernels/cpu/parallel.c"
    for pattern, where, one in CAGES:
        files = sorted(set(caged_in[pattern]))
        if one and len(files) > 1:
            yield f"<{pattern}> is known to {len(files)} files, not one: {', '.join(files)}"
    yield from circles(graph)


def circles(graph):
    state = {}

    def visit(path, chain):
        state[path] = "open"
        for target in graph.get(path, []):
            if state.get(target) == "open":
                yield "circle of includes: " + " -> ".join(chain[chain.index(target) :] + [target])
            elif target not in state:
                yield from visit(target, chain + [target])
        state[path] = "done"

    for path in graph:
        if path not in state:
            yield from visit(path, [path])


def rule_guards(root):
    owners = {}
    for path in project_files(root, (".h", ".cuh")):
        text = without_comments(read(root, path))
        if re.search(r"#\s*pragma\s+once", text):
            yield f"{path}: #pragma once; a guard VAGUS_..._H instead"
        if "no include guard" in " ".join(read(root, path).split("*/", 1)[0].replace("*", " ").split()):
            continue  # lines of an X-macro list made into something else at each inclusion
        words = text.split()
        guard = words[1] if words[:1] == ["#ifndef"] else ""
        if not re.fullmatch(r"VAGUS_[A-Z0-9_]+_(CU)?H", guard) or words[2:4] != ["#define", guard] or words[-1] != "#endif":
            yield f"{path}: does not stand between #ifndef VAGUS_..._H (_CUH), #define of the same and #endif"
        elif guard in owners:
            yield f"{path}: has the guard of {owners[guard]}, {guard}"
        elif not guard.endswith("_" + re.sub(r"\W", "_", path.rsplit("/", 1)[-1]).upper()):
            yield f"{path}: the guard {guard} does not end with the file's name"
        owners.setdefault(guard, path)


def rule_names(root):
    for path in project_files(root, (".h",)):
        text = without_comments(read(root, path))
        if not is_public(text) or path.startswith("tests/"):
            continue
        flat = re.sub(r"__attribute__\s*\(\(.*?\)\)(?=\s*[;,)\n])", " ", text)
        # VG_API may be followed by other upper-case marks and the type; the name is the last word before "(".
        for match in re.finditer(r"^(?![ \t]*#)[^\n]*?\bVG_API\b([^(;{]*)[(;]", flat, re.M):
            words = re.findall(r"\w+", match[1])
            if words and not re.fullmatch(r"vg_{1,2}[a-z0-9]\w*", words[-1]):
                yield f"{path}:{line_of(flat, match.start())}: {words[-1]}() is public and not called vg_..."
        for match in re.finditer(r"\bstatic\s+inline\b([^(;{]*)\(", flat):
            if not re.fullmatch(r"vg_{1,2}[a-z0-9]\w*", re.findall(r"\w+", match[1])[-1]):
                yield f"{path}:{line_of(flat, match.start())}: an inline function of a public header not called vg_..."
        for match in re.finditer(r"^[ \t]*#[ \t]*define[ \t]+(\w+)", flat, re.M):
            if not re.match(r"VG_|vg_|VAGUS_", match[1]):
                yield f"{path}:{line_of(flat, match.start())}: the macro {match[1]} of a public header is not VG_..."
        for match in re.finditer(r"^\}[ \t]*(\w+)[ \t]*;|^(?:struct|enum|union)[ \t]+(\w+)[ \t]*\{", flat, re.M):
            name = match[1] or match[2]
            if not name.startswith("vg_"):
                yield f"{path}:{line_of(flat, match.start())}: the type {name} of a public header is not called vg_..."


def listed_words(root, folder):
    """Words of the CMakeLists.txt files from a folder up to the top, comments left out."""
    words = set()
    folder = pathlib.PurePosixPath(folder)
    for parent in [folder, *folder.parents]:
        path = root / parent / "CMakeLists.txt"
        if path.is_file():
            text = re.sub(r"#[^\n]*", "", path.read_text(encoding="utf-8"))
            for word in re.findall(r"[\w./${}+-]+", text):
                word = re.sub(r"^\$\{\w+\}/", "", word)  # ${SOME_DIR}/file
                words.add((root / parent / word).resolve().as_posix())
                words.add((root / parent / (word + ".c")).resolve().as_posix())
    return words


def rule_registered(root):
    found, words = 0, {}
    for path in project_files(root, (".c", ".cpp", ".cu", ".py", ".sh")):
        name = path.rsplit("/", 1)[-1]
        if path.startswith("tests/") and path.endswith((".py", ".sh")):
            if not name.startswith("test_"):
                continue  # a helper of a test
        elif not path.endswith((".c", ".cpp", ".cu")):
            continue
        found += 1
        folder = path.rsplit("/", 1)[0]
        if folder not in words:
            words[folder] = listed_words(root, folder)
        if (root / path).resolve().as_posix() not in words[folder]:
            what = "test" if path.startswith("tests/") else "source"
            yield f"{path}: this {what} stands in no CMakeLists.txt, so it is never {'run' if what == 'test' else 'built'}"
    if found == 0:
        yield "no source file was found at all"


def rule_nan(root):
    """`if (err > tol) fail` lets NaN through; `if (!(err <= tol)) fail` does not."""
    error = r"(?:fabsf?\s*\((?:[^()]|\([^()]*\))*\)|\w*(?:err|error|diff|distance)\b(?:\[[^]]*\])?)"
    pattern = re.compile(r"\bif\s*\(\s*" + error + r"\s*>=?[^=;][^;]*?\bfail")
    for path in project_files(root, (".c", ".cpp", ".h")):
        if path.startswith("tests/"):
            text = without_comments(read(root, path))
            for match in pattern.finditer(text):
                yield f"{path}:{line_of(text, match.start())}: NaN passes `{' '.join(match[0].split())}`; write if (!(error <= bound))"


def rule_format(root):
    for name in ("clang-format-14", "clang-format"):
        program = shutil.which(name)
        if program and re.search(r"version 14\.", subprocess.run([program, "--version"], capture_output=True, text=True).stdout):
            break
    else:
        print("skipped: no clang-format 14 here")
        sys.exit(77)
    files = list(project_files(root, (".c", ".h", ".cpp", ".cu", ".cuh")))
    run = subprocess.run([program, "--dry-run", "--style=file", *files], cwd=root, capture_output=True, text=True)
    for line in run.stderr.splitlines():
        if "clang-format-violations" in line:
            yield line.split(": ", 1)[0] + ": not as clang-format 14 lays it out; run clang-format -i"
    if run.returncode != 0:
        yield f"clang-format failed: {run.stderr.strip()[-500:]}"


RULES = {name[5:]: rule for name, rule in list(globals().items()) if name.startswith("rule_")}


def main(arguments):
    if not 1 <= len(arguments) <= 2 or arguments[0] not in RULES:
        sys.exit(__doc__)
    root = pathlib.Path(arguments[1] if len(arguments) == 2 else pathlib.Path(__file__).parents[2]).resolve()
    violations = list(RULES[arguments[0]](root))
    print("\n".join(violations) if violations else f"{arguments[0]}: {sum(1 for _ in project_files(root))} files, no violation")
    return 1 if violations else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
