#!/usr/bin/env bash
# From nothing to a pre-trained and fine-tuned model on a CPU, in a few minutes.
#   experiments/quickstart.sh [STORE.h5]
# Installs the packages that are missing, builds, makes synthetic ECG, pre-trains on it (or on STORE.h5, made by
# `vagus data import`), fine-tunes to tell two synthetic states apart, and names the files it made.
# VAGUS=/path/to/vagus, or a vagus in PATH, is used instead of building. VAGUS_SKIP_PACKAGES=1 installs nothing.
set -euo pipefail
store=""
if [ $# -gt 1 ] || [ "${1:-}" = -h ] || [ "${1:-}" = --help ]; then
    sed -n '2,6s/^# \{0,1\}//p' "$0"
    [ $# -le 1 ]
    exit
fi
if [ $# -eq 1 ]; then
    [ -f "$1" ] || { echo "quickstart.sh: no store $1; 'vagus data import' makes one" >&2; exit 2; }
    store="$(realpath "$1")"
fi
cd "$(dirname "$0")/.."

# Threads that wait sleep: on a machine that is also busy with other things, a spinning one keeps the other from its core.
export OMP_WAIT_POLICY="${OMP_WAIT_POLICY:-passive}"

step() { printf '\n== %s\n' "$*"; }
run() { printf '$ %s\n' "$*"; "$@"; }

vagus="${VAGUS:-$(command -v vagus || true)}"
if [ -z "$vagus" ]; then
    step "Packages and program"
    docker/install-packages.sh build
    mkdir -p build/release
    # The kernels for GPUs take minutes to compile: those of this machine's GPU only, and none where there is no GPU.
    gpu="$(nvidia-smi --query-gpu=compute_cap --format=csv,noheader 2>/dev/null | head -n 1 | tr -cd 0-9 || true)"
    cuda="-DVAGUS_CUDA=OFF"
    [ -z "$gpu" ] || cuda="-DVAGUS_CUDA=AUTO -DVAGUS_CUDA_ARCHITECTURES=$gpu"
    for command in "cmake --preset release -DVAGUS_TESTS=OFF $cuda" "cmake --build build/release --target vagus -j $(nproc)"; do
        echo "\$ $command"
        if ! $command >build/release/quickstart.log 2>&1; then
            tail -n 40 build/release/quickstart.log >&2
            echo "quickstart.sh: the build failed (above: the end of build/release/quickstart.log)" >&2
            exit 1
        fi
    done
    vagus="$PWD/build/release/experiments/vagus"
fi
echo "Program: $vagus"

# A run directory is never written over: the second quickstart gets a folder of its own.
out=runs/quickstart
for ((number = 2; ; number++)); do
    [ -e "$out" ] || break
    out="runs/quickstart-$number"
done
mkdir -p "$out" 2>/dev/null || { echo "quickstart.sh: cannot make $PWD/$out; run it where this user may write" >&2; exit 1; }

step "Synthetic ECG: 12 subjects, calm and aroused, not a person among them"
run "$vagus" data synth --out "$out/ecg.h5" --subjects 12 --recordings 4 --seconds 60 --seed 1
run "$vagus" data info "$out/ecg.h5"

step "Pre-training: predict masked samples of ${store:-the synthetic ECG}"
run "$vagus" pretrain experiments/pretrain/quickstart.yaml \
    output_dir="$out/pretrain" "data.stores=[${store:-$out/ecg.h5}]"

step "Fine-tuning: tell calm from aroused in synthetic subjects never seen"
run "$vagus" finetune experiments/finetune/quickstart.yaml \
    output_dir="$out/finetune" "data.stores=[$out/ecg.h5]" checkpoint.init_from="$out/pretrain"

# A step that ends well and leaves nothing has not ended well.
for file in "$out/ecg.h5" "$out/pretrain/checkpoints/best/model.safetensors" "$out/finetune/results.json"; do
    [ -s "$file" ] || { echo "quickstart.sh: $file was not made" >&2; exit 1; }
done

step "Made in $((SECONDS / 60)) min $((SECONDS % 60)) s"
find "$out" -mindepth 1 -maxdepth 2 | LC_ALL=C sort | while read -r path; do
    printf '  %6s  %s\n' "$(du -sh "$path" | cut -f 1)" "$path"
done
cat <<END

The pre-trained weights: $out/pretrain/checkpoints/best/model.safetensors (readable from PyTorch)
What was really run:     config.yaml in each run directory, with every default written out
How it went, and ended:  log.txt and metrics.jsonl; result.json
Read next: README.md, then import recordings of your own: $vagus data import --help
END
