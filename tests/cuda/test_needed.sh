#!/usr/bin/env bash
# One binary for machines with and without CUDA: nothing of NVIDIA's is loaded at the start, nor libstdc++, which a
# program in C would need for CUDA alone; nor NCCL and MPI. test_needed.sh FILE...
set -euo pipefail
status=0
for file in "$@"; do
    needed="$(readelf -d "$file" | sed -n 's/.*(NEEDED).*\[\(.*\)\].*/\1/p')"
    grep -q '^libc\.so' <<<"$needed" || { echo "FAILED: $file needs no libc? '$needed'"; status=1; }
    foreign="$(grep -E '^lib(cuda|cublas|cudnn|nv|nccl|mpi|stdc\+\+)' <<<"$needed" || true)"
    [ -z "$foreign" ] || { echo "FAILED: $file needs" $foreign; status=1; }
    echo "$(basename "$file") needs" $needed
done
exit $status
