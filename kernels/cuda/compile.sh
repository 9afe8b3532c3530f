#!/bin/sh
# compile.sh REPORT NVCC...: runs nvcc and keeps what it tells of each kernel in REPORT (tests/cuda/test_costs.py reads
# it); shows it only when the compilation failed.
report="$1"
shift
"$@" >"$report" 2>&1 && exit 0
status=$?
cat "$report" >&2
exit $status
