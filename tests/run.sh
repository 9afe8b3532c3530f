#!/usr/bin/env bash
# Installs what is missing, builds, runs the tests, and closes with "N passed, N failed, N skipped".
# Usage: see below, or tests/run.sh --help. What the tests are: tests/README.md.
set -euo pipefail
cd "$(dirname "$0")/.."

usage() {
    cat <<'END'
tests/run.sh [--list] [--all] [--sanitize address|thread] [PATTERN...]
  PATTERN   only the tests whose name (room/test_name) matches one of these regular expressions
  --list    name the tests instead of running them; "long" ones are marked
  --all     the long tests too
  --sanitize address   under AddressSanitizer and UndefinedBehaviorSanitizer (build/asan)
  --sanitize thread    under ThreadSanitizer (build/tsan)
Environment:
  VAGUS_TEST_DATA=DIR  real recordings (tests/README.md says which); tests that need them are skipped without
  VAGUS_TEST_SEED=N    replays the seed that a failed test printed
  VAGUS_SKIP_PACKAGES=1  installs nothing
  VAGUS_CUDA=OFF       without nvcc: the kernels for GPUs run on their emulator all the same
  VAGUS_CUDA_ARCHITECTURES=90  machine code for these alone, where there is an nvcc (default 80;86;89;90;100)
  OMP_NUM_THREADS=N    threads of one test (default 2)
Exit: 0 all that ran passed; 1 a failure, no test at all, or fewer than there are; 2 usage.
END
}

preset=release list=0 all=0 patterns=()
while [ $# -gt 0 ]; do
    case "$1" in
        --list) list=1 ;;
        --all) all=1 ;;
        --sanitize)
            case "${2:-}" in
                address) preset=asan ;;
                thread) preset=tsan ;;
                *) echo "tests/run.sh: --sanitize takes address or thread, not \"${2:-}\"" >&2; exit 2 ;;
            esac
            shift ;;
        -h | --help) usage; exit 0 ;;
        -*) echo "tests/run.sh: unknown option $1" >&2; usage >&2; exit 2 ;;
        *) patterns+=("$1") ;;
    esac
    shift
done
if [ -n "${VAGUS_TEST_DATA:-}" ] && [ ! -d "$VAGUS_TEST_DATA" ]; then
    echo "tests/run.sh: VAGUS_TEST_DATA=$VAGUS_TEST_DATA is not a folder" >&2
    exit 2
fi

# Runs a command with its output in a file; shows the end of the file when it fails.
quietly() {
    local title="$1" log="$2"
    shift 2
    local start=$SECONDS
    if ! "$@" >"$log" 2>&1; then
        tail -n 60 "$log" >&2
        echo "tests/run.sh: $title failed; all of its output is in $log" >&2
        exit 1
    fi
    [ $list = 1 ] || echo "$title: $((SECONDS - start)) s"
}

if [ $list = 1 ]; then docker/install-packages.sh build test cuda >&2; else docker/install-packages.sh build test cuda; fi

build="build/$preset"
jobs="$(nproc)"
mkdir -p "$build"
quietly configure "$build/configure.log" cmake --preset "$preset" -DVAGUS_TESTS=ON -DVAGUS_CUDA="${VAGUS_CUDA:-AUTO}" \
    -DVAGUS_CUDA_ARCHITECTURES="${VAGUS_CUDA_ARCHITECTURES:-80;86;89;90;100}"
if [ $list = 1 ]; then
    ctest --test-dir "$build" --show-only=json-v1 | python3 tests/support/report.py list "${patterns[@]}"
    exit
fi
quietly build "$build/build.log" cmake --build "$build" -j "$jobs"

# Two threads in each test, so that races and orders show, and waiting threads that sleep instead of spinning:
# more threads than cores are running here, and libgomp's spinning would make the suite several times slower.
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-2}" OMP_WAIT_POLICY=passive
# Suppressions concern libraries that are not ours; each has its reason beside it.
support="$PWD/tests/support"
# detect_stack_use_after_return stays off: with it gcc 12 misaligns vectors on the stack (gcc bug 110027).
export ASAN_OPTIONS="detect_stack_use_after_return=0:strict_string_checks=1:check_initialization_order=1"
export UBSAN_OPTIONS="print_stacktrace=1"
export LSAN_OPTIONS="suppressions=$support/lsan.supp:print_suppressions=0"
export TSAN_OPTIONS="suppressions=$support/tsan.supp:second_deadlock_stack=1"

arguments=(--test-dir "$build" --output-junit "$PWD/$build/tests.xml" -j "$jobs" --no-tests=ignore
    --test-output-size-passed 65536 --test-output-size-failed 1048576)
[ $all = 1 ] || arguments+=(-LE '^long$')
if [ ${#patterns[@]} -gt 0 ]; then
    arguments+=(-R "$(IFS='|'; echo "${patterns[*]}")")
fi
rm -f "$build/tests.xml" "$build/tests.log"
ctest "${arguments[@]}" --show-only=json-v1 >"$build/tests.json"
ctest "${arguments[@]}" 2>&1 | tee "$build/tests.log" | grep -E '^ *[0-9]+/[0-9]+ Test ' || true
exec python3 tests/support/report.py summary "$build" "${patterns[@]}"
