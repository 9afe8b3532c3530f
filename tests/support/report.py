"""Reads what ctest wrote, for tests/run.sh. Part of the tests: a runner that miscounts is worse than none.

report.py list [PATTERN...]                       ctest's list (JSON) on standard input, names on standard output
report.py summary BUILD_DIR [PATTERN...]          failures and skips, then "N passed, N failed, N skipped"; from
    tests.json (what was to run), tests.xml (what came of it) and tests.log (ctest's screen, for "Timeout")
"""

import json
import pathlib
import re
import sys
import xml.etree.ElementTree as xml

TAIL_LINES = 40


def labels(test):
    for item in test.get("properties", []):
        if item["name"] == "LABELS":
            return item["value"]
    return []


def print_list(patterns):
    names = [(test["name"], labels(test)) for test in json.load(sys.stdin)["tests"]]
    for name, marks in sorted(names):
        if not patterns or any(re.search(pattern, name) for pattern in patterns):
            print(name + ("  (" + ", ".join(marks) + ")" if marks else ""))


def reason_of_skip(output):
    """The last line that speaks of skipping, else the last line at all."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    for line in reversed(lines):
        if "skip" in line.lower():
            return re.sub(r"^skipped:?\s*", "", line)
    return lines[-1] if lines else "the test gave no reason"


def read_reasons(path):
    """name -> "Timeout", "Exception: SegFault" or "Failed", which ctest says on the screen alone."""
    text = path.read_text(errors="replace") if path.exists() else ""
    return dict(re.findall(r"Test +#\d+: (\S+) \.*\s*\*\*\*(.+?) +[\d.]+ sec", text))


def read_results(path, reasons):
    """name -> ("passed" | "failed" | "skipped", reason, output). Whatever is not plainly passed or skipped by the
    test's own exit code 77 is a failure: ctest also calls a missing executable "not run"."""
    results = {}
    for case in xml.parse(path).getroot().iter("testcase"):
        output = case.findtext("system-out") or ""
        skipped, failure = case.find("skipped"), case.find("failure")
        if case.get("status") == "run" and failure is None:
            results[case.get("name")] = ("passed", "", output)
        elif skipped is not None and "SKIP_RETURN_CODE" in (skipped.get("message") or ""):
            results[case.get("name")] = ("skipped", reason_of_skip(output), output)
        else:
            mark = failure if failure is not None else skipped
            reason = (mark.get("message") if mark is not None else "") or reasons.get(case.get("name"), "Failed")
            results[case.get("name")] = ("failed", reason, output)
    return results


def test_sources(root):
    """Files that must each have become at least one registered test."""
    return [path for path in root.glob("tests/*/test_*") if path.suffix in (".c", ".cpp", ".py", ".sh")]


def summarise(build, patterns, root="."):
    build = pathlib.Path(build)
    wanted = {test["name"] for test in json.loads((build / "tests.json").read_text())["tests"]}
    results = {}
    if (build / "tests.xml").exists():
        results = read_results(build / "tests.xml", read_reasons(build / "tests.log"))
    problems = []

    failed = sorted(name for name, result in results.items() if result[0] == "failed")
    skipped = sorted(name for name, result in results.items() if result[0] == "skipped")
    for name in failed:
        _, reason, output = results[name]
        print(f"\n--- {name} failed ({reason}); the end of its output:")
        print("\n".join(output.splitlines()[-TAIL_LINES:]))
    if skipped:
        print("\nSkipped:")
        for name in skipped:
            print(f"  {name}: {results[name][1]}")
    if failed:
        print("\nFailed:")
        for name in failed:
            print(f"  {name}: {results[name][1]}")

    lost = sorted(wanted - set(results))
    if lost:
        problems.append(f"{len(lost)} tests never reported: {', '.join(lost)}")
    passed = sum(result[0] == "passed" for result in results.values())
    if passed + len(failed) == 0:
        problems.append("no test ran" + (" (the long ones need --all)" if patterns else ""))
    if not patterns:
        # The floor follows the source tree: a runner that finds far fewer tests than there are files is broken.
        files = len(test_sources(pathlib.Path(root)))
        if len(results) < 0.8 * files:
            problems.append(f"{len(results)} tests reported, but tests/ has {files} test files")
        if len(skipped) > passed:
            problems.append(f"more tests were skipped ({len(skipped)}) than passed ({passed})")
    for problem in problems:
        print(f"\ntests/run.sh: {problem}")

    print(f"\n{passed} passed, {len(failed) + len(lost)} failed, {len(skipped)} skipped", flush=True)
    return 1 if failed or problems else 0


if __name__ == "__main__":
    if len(sys.argv) >= 2 and sys.argv[1] == "list":
        print_list(sys.argv[2:])
    elif len(sys.argv) >= 3 and sys.argv[1] == "summary":
        sys.exit(summarise(sys.argv[2], sys.argv[3:]))
    else:
        sys.exit(__doc__)
