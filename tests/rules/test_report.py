#!/usr/bin/env python3
"""tests/run.sh's own counting, against result files as ctest writes them: what did not run must never be green."""

import contextlib
import io
import json
import pathlib
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
import report  # noqa: E402

PASS = '<testcase name="{}" status="run"><system-out>fine</system-out></testcase>'
FAIL = '<testcase name="{}" status="fail"><failure message=""/><system-out>seed 7\nboom</system-out></testcase>'
SKIP = ('<testcase name="{}" status="notrun"><skipped message="SKIP_RETURN_CODE=77"/>'
        "<system-out>skipped: no recordings</system-out></testcase>")
GONE = '<testcase name="{}" status="notrun"><skipped message="Unable to find executable"/><system-out></system-out></testcase>'

failures = []


def case(what, results, status, *expected, wanted=None, patterns=(), files=0, log=""):
    names = [f"room/test_{index}" for index in range(len(results))]
    with tempfile.TemporaryDirectory(prefix="vagus-report-") as folder:
        root = pathlib.Path(folder)
        (root / "tests/room").mkdir(parents=True)
        for index in range(files):
            (root / f"tests/room/test_{index}.c").touch()
        listed = names if wanted is None else wanted
        (root / "tests.json").write_text(json.dumps({"tests": [{"name": name} for name in listed]}))
        (root / "tests.log").write_text(log)
        body = "".join(text.format(name) for text, name in zip(results, names))
        if results:
            (root / "tests.xml").write_text(f'<?xml version="1.0"?><testsuite name="x">{body}</testsuite>')
        output = io.StringIO()
        with contextlib.redirect_stdout(output):
            got = report.summarise(root, patterns, root)
    if got != status:
        failures.append(f"{what}: exit {got}, not {status}")
    for text in expected:
        if text not in output.getvalue():
            failures.append(f"{what}: the output does not say {text!r}:\n{output.getvalue()}")


case("all pass", [PASS, PASS], 0, "\n2 passed, 0 failed, 0 skipped\n", files=2)
case("one fails", [PASS, FAIL], 1, "boom", "seed 7", "\n1 passed, 1 failed, 0 skipped\n")
case("one takes too long", [PASS, FAIL], 1, "room/test_1: Timeout",
     log="2/2 Test #2: room/test_1 .......***Timeout  60.01 sec\n")
case("one crashes", [FAIL, PASS], 1, "room/test_0: Exception: SegFault",
     log="1/2 Test  #1: room/test_0 ..***Exception: SegFault  0.01 sec\n")
case("one skips, with its reason", [PASS, PASS, SKIP], 0, "room/test_2: no recordings", "\n2 passed, 0 failed, 1 skipped\n")
case("an executable is gone", [PASS, GONE], 1, "Unable to find", "\n1 passed, 1 failed, 0 skipped\n")
case("all skip", [SKIP, SKIP], 1, "no test ran")
case("most skip", [PASS, SKIP, SKIP], 1, "more tests were skipped")
case("nothing registered", [], 1, "no test ran", "\n0 passed, 0 failed, 0 skipped\n")
case("ctest died", [PASS], 1, "never reported: room/test_1", "\n1 passed, 1 failed, 0 skipped\n",
     wanted=["room/test_0", "room/test_1"])
case("no result file", [], 1, "no test ran", "\n0 passed, 1 failed, 0 skipped\n", wanted=["room/test_0"])
case("far fewer than files", [PASS], 1, "10 test files", files=10)
case("a pattern asks for few", [PASS], 0, "\n1 passed, 0 failed, 0 skipped\n", files=10, patterns=["test_0"])

print("\n".join(failures) or "13 cases")
sys.exit(1 if failures else 0)
