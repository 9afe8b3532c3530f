#!/usr/bin/env python3
"""The rules themselves are tested: each violation is planted into a copy of the real tree, must be found, and must
be the only thing that is. A checker that finds nothing in a broken tree would otherwise be green for ever."""

import pathlib
import shutil
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
import rules  # noqa: E402

HEADER = "#ifndef VAGUS_{0}_PLANTED_H\n#define VAGUS_{0}_PLANTED_H\n{1}\n#endif\n"

# rule, file, text (written, or appended to a file that exists), what the message must contain
PLANTS = [
    ("includes", "models/planted.c", '#include "datasets/store/store.h"\n', 'models/ may not include "datasets/store/store.h"'),
    ("includes", "datasets/planted.c", '#include "kernels/kernels.h"\n', "datasets/ may not include"),
    ("includes", "core/planted.c", '#include "kernels/kernels.h"\n', "core/ may not include"),
    ("includes", "models/planted.c", '#include "kernels/backend.h"\n', "models/ may not include"),
    ("includes", "kernels/ref/planted.c", '#include "kernels/cpu/parallel.h"\n', "kernels/ref/ may not include"),
    ("includes", "models/planted.c", '#include "experiments/runner/commands/command.h"\n', "models/ may not include"),
    ("includes", "models/planted.c", "#include <hdf5.h>\n", "<hdf5.h> is caged"),
    ("includes", "models/planted.c", "  #  include <dnnl.h>\n", "<dnnl.h> is caged"),
    ("includes", "models/planted.c", "#include <oneapi/dnnl/dnnl.h>\n", "is caged"),
    ("includes", "kernels/cpu/planted.c", "#include <omp.h>\n", "<omp.h> is caged"),
    ("includes", "kernels/cpu/planted.c", "void f(void)\n{\n#pragma omp parallel\n    ;\n}\n", "OpenMP is caged"),
    ("includes", "datasets/planted.c", "#include <yaml.h>\n", "<yaml.h> is caged"),
    ("includes", "core/planted.c", "#include <curl/curl.h>\n", "<curl/curl.h> is caged"),
    ("includes", "core/planted.c", "#include <openssl/evp.h>\n", "<openssl/evp.h> is caged"),
    ("includes", "core/planted.c", "#include <archive.h>\n", "<archive.h> is neither"),
    ("includes", "core/planted.c", '#include "status.h"\n', "includes are rooted there"),
    ("includes", "models/sub/planted.c", '\n\n#include "datasets/store/store.h"\n', "models/sub/planted.c:3:"),
    ("guards", "core/planted.h", "int vg_x;\n", "core/planted.h: does not stand between"),
    ("guards", "core/planted.h", "#pragma once\n" + HEADER.format("CORE", ""), "#pragma once"),
    ("guards", "core/planted.h", "#ifndef VAGUS_CORE_STATUS_H\n#define VAGUS_CORE_STATUS_H\n#endif\n", "the guard"),
    ("names", "core/planted.h", HEADER.format("CORE", "VG_API int count_things(int a);"), "count_things() is public"),
    ("names", "core/planted.h", HEADER.format("CORE", "VG_NODISCARD VG_API const char *\nname(int a);"), "name() is public"),
    ("names", "core/planted.h", HEADER.format("CORE", "VG_API int vg_x(void);\n#define MAX(a) a"), "the macro MAX"),
    ("names", "core/planted.h", HEADER.format("CORE", "VG_API int vg_x(void);\nstruct thing {\nint a;\n};"), "type thing"),
    ("registered", "core/planted.c", "int vg_planted;\n", "core/planted.c: this source"),
    ("registered", "tests/core/test_planted.c", "int main(void) { return 0; }\n", "tests/core/test_planted.c: this test"),
    ("registered", "tests/rules/test_planted.py", "", "tests/rules/test_planted.py: this test"),
    ("nan", "tests/core/planted.h", "if (fabs(got[i] - want[i]) > 1e-6) fail();\n", "NaN passes"),
    ("nan", "tests/core/planted.c", "if (max_err > tol) fail();\n", "NaN passes"),
    ("format", "core/planted.c", "int  f(void) {return 1 ;}\n", "core/planted.c:1:"),
]
# What must not be taken for a violation.
FINE = [
    ("includes", "models/planted.c", '/* #include "datasets/store/store.h" */\n// #include <hdf5.h>\n'),
    ("includes", "kernels/cpu/planted.c", '#include "kernels/kernels.h"\n#include <dnnl.h>\n#include <string.h>\n'),
    ("includes", "tests/core/planted.c", '#include "datasets/store/store.h"\n#include "models/model.h"\n#include <hdf5.h>\n'),
    ("names", "core/planted.h", HEADER.format("CORE", "VG_NODISCARD VG_API int vg_a(int (*f)(int), const char *s);")),
    ("nan", "tests/core/planted.c", "if (!(max_err <= tol)) fail();\n"),
]

failures = []


def check(claim, text):
    if not claim:
        failures.append(text)


def run(rule, root):
    """Through the command line, as ctest calls it."""
    done = subprocess.run([sys.executable, HERE / "rules.py", rule, root], capture_output=True, text=True)
    return done.returncode, done.stdout


with tempfile.TemporaryDirectory(prefix="vagus-rules-") as folder:
    root = pathlib.Path(folder)
    for room in rules.ROOMS:
        shutil.copytree(HERE.parents[1] / room, root / room, ignore=shutil.ignore_patterns("__pycache__"))
    for name in (".clang-format", "CMakeLists.txt"):
        shutil.copy(HERE.parents[1] / name, root / name)
    # Violations that stand in the tree already are the business of the rules' own tests.
    before = {rule: set(run(rule, root)[1].splitlines()) for rule in rules.RULES}

    for rule, path, text, *expected in PLANTS + FINE:
        file = (root / path).resolve()
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        status, output = run(rule, root)
        file.unlink()
        if status == 77:
            print(f"skipped in part: {output.strip()}")
            continue
        new = [line for line in output.splitlines() if line not in before[rule] and not line.endswith("no violation")]
        if expected:
            check(status == 1 and any(expected[0] in line for line in new), f"{rule}: {text!r} in {path}: {new}")
        else:
            check(not new, f"{rule}: {text!r} in {path} is fine, but: {new}")

    # Two files each right alone, wrong together.
    for name, other in (("one", "two"), ("two", "one")):
        (root / f"core/{name}.h").write_text(f'#include "core/{other}.h"\n')
    check("circle of includes: core/one.h -> core/two.h -> core/one.h" in run("includes", root)[1], "circle not found")
    for name in ("one", "two"):
        (root / f"core/{name}.h").unlink()
        (root / "core/group").mkdir(exist_ok=True)
        (root / f"core/group/{name}.c").write_text("#include <mpi.h>\n")
    check("is known to 3 files" in run("includes", root)[1], "two more files with mpi.h not found")
    for name in ("one", "two"):
        (root / f"core/group/{name}.c").unlink()
    for rule in rules.RULES:
        check(set(run(rule, root)[1].splitlines()) == before[rule], f"{rule}: the copy was not restored")

print("\n".join(failures) or f"{len(PLANTS) + len(FINE) + 2} cases")
sys.exit(1 if failures else 0)
