#!/usr/bin/env bash
# Everything that wants a real GPU, in one command and ten minutes at most. tests/gpu/run.sh --help; what the parts are
# and how to read the results: tests/gpu/README.md. Runs from a checkout, and from a folder made by bundle.sh.
set -euo pipefail
cd "$(dirname "$0")/../.."
for python in python3 /usr/bin/python3; do
    if command -v "$python" >/dev/null; then exec "$python" -u tests/gpu/parts.py "$@"; fi
done
echo "tests/gpu/run.sh: needs python3 (nothing but its standard library; with PyTorch it compares speeds too)" >&2
exit 2
