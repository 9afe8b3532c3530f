#!/usr/bin/env bash
# Makes a folder that takes the GPU tests to a machine where nothing can be installed or built.
#   tests/gpu/bundle.sh [ARCHITECTURE] [DIR]      default: 90, build/bundle-ARCHITECTURE
# It holds the program and its tests for one GPU architecture, experiment files, run.sh, and, in lib.tar.gz, the
# libraries they load (found by $ORIGIN, so the folder may lie anywhere). On the other machine DIR/tests/gpu/run.sh
# unpacks them and runs everything; to run the program alone: tar -xzf lib.tar.gz, then bin/vagus.
# That machine needs: Linux on x86-64 with AVX2, glibc 2.36 or newer (Debian 12, Ubuntu 23.04, RHEL 10), python3, a
# driver for CUDA 13, and for cuBLASLt, cuDNN and NCCL (218 MB, too much to travel) a CUDA 13 toolkit or a PyTorch built
# for CUDA 13.
# Built here: with nvcc and what docker/install-packages.sh build test cuda bundle installs. Less than 60 MB, or it fails.
set -euo pipefail
cd "$(dirname "$0")/../.."
architecture="${1:-90}"
folder="${2:-build/bundle-$architecture}"
build="${VAGUS_BUNDLE_BUILD:-build/for-bundle-$architecture}"
most=$((60 * 1000 * 1000))
[[ "$architecture" =~ ^[0-9]+a?$ ]] || { echo "tests/gpu/bundle.sh: \"$architecture\" is no architecture; 80, 90, 100 are" >&2; exit 2; }
if [ -e "$folder" ] && [ ! -e "$folder/bin/vagus" ]; then
    echo "tests/gpu/bundle.sh: $folder is there and is no bundle; name another folder" >&2
    exit 2
fi
docker/install-packages.sh build test cuda bundle

programs=(vagus test_gpu_ops test_gpu_ranks test_gpu_vocabulary test_ops)
cmake --preset release -B "$build" -DVAGUS_ARCH=x86-64-v3 -DVAGUS_CUDA=ON -DVAGUS_CUDA_ARCHITECTURES="$architecture" \
    -DVAGUS_TESTS=ON -DCMAKE_C_FLAGS="-ffile-prefix-map=$PWD/=" \
    -DVAGUS_NVCC_FLAGS="-O3 -lineinfo -Xcompiler=-ffile-prefix-map=$PWD/=" >/dev/null
cmake --build "$build" -j "${VAGUS_JOBS:-$(nproc)}" --target "${programs[@]}"

rm -rf "$folder"
mkdir -p "$folder/bin" "$folder/lib"
for program in "${programs[@]}"; do
    path="$(find "$build" -type f -perm -u+x -name "$program" | head -n 1)"
    strip -o "$folder/bin/$program" "$path"
    patchelf --set-rpath '$ORIGIN/../lib' "$folder/bin/$program"
done

# Every library that the programs need and glibc does not bring. The driver's (libcuda) is opened while running, and
# cuBLASLt, cuDNN and NCCL too, from where the other machine has them.
glibc='^(linux-vdso|ld-linux-x86-64|libc|libm|libpthread|libdl|librt|libresolv|libutil|libanl|libmvec|libnss_[a-z]+)\.so'
for program in "${programs[@]}"; do ldd "$build/$(cd "$build" && find . -type f -perm -u+x -name "$program" | head -n 1)"; done |
    awk '$2 == "=>" { print $1, $3 }' | sort -u | while read -r name path; do
    [[ "$name" =~ $glibc ]] && continue
    [ -f "$path" ] || { echo "tests/gpu/bundle.sh: $name is not found here" >&2; exit 1; }
    cp -L "$path" "$folder/lib/$name"
    chmod u+w "$folder/lib/$name"
    strip --strip-unneeded "$folder/lib/$name"
    patchelf --set-rpath '$ORIGIN' "$folder/lib/$name"
done
# Packed they are a third, and a folder that travels to a machine over the network is the lighter for it.
tar -C "$folder" --sort=name --owner=0 --group=0 --numeric-owner --mtime=@0 -cf - lib | gzip -9n >"$folder/lib.tar.gz"
rm -rf "$folder/lib"

for path in tests/gpu/run.sh tests/gpu/*.py tests/gpu/README.md kernels/kernels.def models/pytorch/vagus_torch.py \
    experiments/pretrain/*.yaml LICENSE; do
    mkdir -p "$folder/$(dirname "$path")"
    cp "$path" "$folder/$path"
done
rm -f "$folder"/tests/gpu/test_*.py

size="$(du -sb "$folder" | cut -f 1)"
echo "$folder: $((size / 1000000)) MB for sm_$architecture, $(git rev-parse --short HEAD 2>/dev/null || echo unknown)"
[ "$size" -lt "$most" ] || { echo "tests/gpu/bundle.sh: $folder is larger than 60 MB" >&2; exit 1; }
