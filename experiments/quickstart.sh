#!/usr/bin/env bash
# From nothing to a pre-trained and fine-tuned model on a CPU, in a few minutes.
#   experiments/quickstart.sh [STORE.h5]
#   experiments/quickstart.sh --real [NAME] [--data FOLDER]
# Installs the packages that are missing, builds, makes synthetic ECG, pre-trains on it (or on STORE.h5, made by
# `vagus data import`), fine-tunes to tell two synthetic states apart, and names the files it made.
# --real goes the same road on real recordings: a part of the open set NAME (eegmat) is downloaded, or the set's files
# in FOLDER (or in the folder VAGUS_DATA, or VAGUS_DATA/NAME) are taken. `vagus data list` shows the sets.
# --out FOLDER (runs/quickstart) is where the results go; words key=value go to both trainings.
# VAGUS=/path/to/vagus, or a vagus in PATH, is used instead of building. VAGUS_SKIP_PACKAGES=1 installs nothing.
set -euo pipefail
usage() { sed -n '2,11s/^# \{0,1\}//p' "$0"; }
refuse() { echo "quickstart.sh: $*" >&2; exit 2; }
folder_of() { [ -d "$1" ] || refuse "no folder $1"; realpath "$1"; }
store="" real="" data="" out="" settings=()
while [ $# -gt 0 ]; do
    case "$1" in
        -h | --help) usage; exit 0 ;;
        --real)
            real=eegmat
            case "${2:-}" in '' | -* | *=* | *.h5) ;; *) real="$2"; shift ;; esac ;;
        --data) [ $# -gt 1 ] || refuse "--data needs a folder"; data="$(folder_of "$2")"; shift ;;
        --out) [ $# -gt 1 ] || refuse "--out needs a folder"; out="$(realpath -m "$2")"; shift ;;
        -*) usage >&2; refuse "there is no option $1" ;;
        *=*) settings+=("$1") ;;
        *)
            [ -z "$store" ] || refuse "one store, not also $1"
            [ -f "$1" ] || refuse "no store $1; 'vagus data import' makes one"
            store="$(realpath "$1")" ;;
    esac
    shift
done
[ -z "$store" ] || [ -z "$real" ] || refuse "--real makes a store of its own; $store is a second"
[ -z "$data" ] || [ -n "$real" ] || refuse "--data goes with --real"
if [ -n "$real" ] && [ -z "$data" ] && [ -n "${VAGUS_DATA:-}" ]; then
    data="$(folder_of "$VAGUS_DATA")"
    [ ! -d "$data/$real" ] || data="$data/$real"
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
first="${out:-runs/quickstart}" out="${out:-runs/quickstart}"
for ((number = 2; ; number++)); do
    [ -e "$out" ] || break
    out="$first-$number"
done
mkdir -p "$out" 2>/dev/null || { echo "quickstart.sh: cannot make $out in $PWD; run it where this user may write" >&2; exit 1; }

made=("$out/pretrain/checkpoints/best/model.safetensors")
if [ -n "$real" ]; then
    ecg="$out/$real.h5"
    if [ -n "$data" ]; then
        step "Real ECG: $real, files in $data"
        words=(--from "$data")
    else
        step "Real ECG: a part of $real"
        words=(--to "data/$real" --only "$("$vagus" data list "$real" --json | sed -n 's/^  "part": "\(.*\)",$/\1/p')")
    fi
    code=0
    run "$vagus" data fetch "$real" "${words[@]}" --out "$ecg" || code=$?
    if [ $code != 0 ]; then
        rmdir "$out" 2>/dev/null || true
        [ $code != 75 ] || exit 75
        cat >&2 <<END
quickstart.sh: no recordings of $real. Without a network there are three ways on:
  files of the set that you have    experiments/quickstart.sh --real $real --data FOLDER
  a server that you can reach       VAGUS_MIRROR=URL experiments/quickstart.sh --real $real
  synthetic ECG, nothing to fetch   experiments/quickstart.sh
END
        exit $code
    fi
    run "$vagus" data info "$ecg"
    about="$real"
    title="" target=()
    if [ "$real" = eegmat ]; then
        title="tell rest from mental arithmetic (workload, not emotion) in people left out of the training"
        target=(data.target=task)
    fi
else
    ecg="$out/ecg.h5"
    step "Synthetic ECG: 12 subjects, calm and aroused, not a person among them"
    run "$vagus" data synth --out "$ecg" --subjects 12 --recordings 4 --seconds 60 --seed 1
    run "$vagus" data info "$ecg"
    about="${store:-the synthetic ECG}"
    title="tell calm from aroused in synthetic subjects never seen" target=()
fi

step "Pre-training: predict masked samples of $about"
run "$vagus" pretrain experiments/pretrain/quickstart.yaml \
    output_dir="$out/pretrain" "data.stores=[${store:-$ecg}]" "${settings[@]}"

if [ -n "$title" ]; then
    step "Fine-tuning: $title"
    run "$vagus" finetune experiments/finetune/quickstart.yaml \
        output_dir="$out/finetune" "data.stores=[$ecg]" checkpoint.init_from="$out/pretrain" "${target[@]}" "${settings[@]}"
    made+=("$out/finetune/results.json")
fi

# A step that ends well and leaves nothing has not ended well.
for file in "$ecg" "${made[@]}"; do
    [ -s "$file" ] || { echo "quickstart.sh: $file was not made" >&2; exit 1; }
done

step "Made in $((SECONDS / 60)) min $((SECONDS % 60)) s"
find "$out" -mindepth 1 -maxdepth 2 | LC_ALL=C sort | while read -r path; do
    printf '  %6s  %s\n' "$(du -sh "$path" | cut -f 1)" "$path"
done
if [ "$real" = eegmat ]; then
    cat <<END

What these figures say: two minutes of training on a few people, whose recordings without labels were also
pre-trained on. The labels are rest (0) and mental arithmetic (1): workload, which is no emotion. Rest always comes
first and lasts longer: read balanced accuracy, and beside it the line heart_rate, three features and no network.
END
elif [ -n "$real" ]; then
    echo
    echo "Pre-trained only: the labels of $real are no two states to tell apart ('vagus data list $real' says what they are)."
fi
cat <<END

The pre-trained weights: $out/pretrain/checkpoints/best/model.safetensors (readable from PyTorch)
What was really run:     config.yaml in each run directory, with every default written out
How it went, and ended:  log.txt and metrics.jsonl; result.json
Read next: README.md, then import recordings of your own: $vagus data import --help
END
