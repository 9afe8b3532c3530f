#!/usr/bin/env python3
"""Every public header stands on its own, twice over, in C17 and in C++17, without a warning.
test_headers.py C_COMPILER CXX_COMPILER"""

import pathlib
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import rules  # noqa: E402

COMMON = ["-fsyntax-only", "-Wall", "-Wextra", "-Werror"]


def complaints(root, headers, c_compiler, cxx_compiler):
    found = []
    with tempfile.TemporaryDirectory(prefix="vagus-headers-") as folder:
        source = pathlib.Path(folder, "one")
        for path in headers:
            source.write_text(f'#include "{path}"\n#include "{path}"\nint main(void) {{ return 0; }}\n')
            for compiler in ([c_compiler, "-x", "c", "-std=c17", "-Wpedantic"], [cxx_compiler, "-x", "c++", "-std=c++17"]):
                done = subprocess.run([*compiler, *COMMON, "-I", root, source], capture_output=True, text=True)
                if done.returncode != 0:
                    found.append(f"{path} with {compiler[0]}:\n{done.stderr}")
    return found


def main(c_compiler, cxx_compiler):
    root = pathlib.Path(__file__).resolve().parents[2]
    headers = [
        path
        for path in rules.project_files(root, (".h",))
        if not path.startswith("tests/") and rules.is_public(rules.read(root, path))
    ]
    found = complaints(root, headers, c_compiler, cxx_compiler)
    if len(headers) < 5 or "core/status.h" not in headers:
        found.append(f"only {len(headers)} public headers found: {headers}")
    # The check must be able to fail: not self-contained, and not C++.
    with tempfile.TemporaryDirectory(prefix="vagus-headers-") as folder:
        for name, text in (("a.h", "static inline size_t vg_x(void) { return 0; }\n"), ("b.h", "int vg_x(int class);\n")):
            pathlib.Path(folder, name).write_text(text)
            if not complaints(folder, [name], c_compiler, cxx_compiler):
                found.append(f"a broken header was accepted: {text}")
    print("\n".join(found) or f"{len(headers)} public headers")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
