"""The road from end to end: synthetic ECG, pre-training, fine-tuning, a sweep; and the same seed, the same bits."""
import json
import os

from program import Folder, lines, read, run, synth, tiny, write

with Folder():
    synth()
    run("data", "info", "ecg.h5", says=["synthetic", "4", "128"])
    tiny()

    told = run("pretrain", "tiny.yaml")
    for text in ("predicting the mean", "linear interpolation", "untrained", "held-out subjects"):
        assert text in told, told
    for name in ("config.yaml", "log.txt", "metrics.jsonl", "result.json", "checkpoints/best/model.safetensors",
                 "checkpoints/best/optimizer.safetensors", "checkpoints/best/trainer.json",
                 "checkpoints/best/preprocessing.json"):
        assert os.path.exists("runs/tiny/" + name), name
    assert any(name.startswith("events.out.tfevents.") for name in os.listdir("runs/tiny"))
    metrics = lines("runs/tiny/metrics.jsonl")
    assert metrics[0]["step"] == 0 and metrics[0]["baseline.mean"] > 0 and metrics[0]["baseline.interpolation"] > 0
    losses = [line["validation.loss"] for line in metrics if "validation.loss" in line]
    assert len(losses) == 4 and losses[-1] < losses[0], losses

    # config.yaml alone repeats the run, and one seed gives one result.
    run("pretrain", "runs/tiny/config.yaml", "output_dir=runs/again")
    last = max(name for name in os.listdir("runs/tiny/checkpoints") if name.startswith("step_"))
    for name in (f"checkpoints/{last}/model.safetensors", f"checkpoints/{last}/optimizer.safetensors", "metrics.jsonl"):
        assert read("runs/tiny/" + name) == read("runs/again/" + name), name
    run("pretrain", "tiny.yaml", "output_dir=runs/other", "seed=6")
    assert read("runs/tiny/metrics.jsonl") != read("runs/other/metrics.jsonl")

    # Small pieces of a batch, another number of prefetched batches: the same training but for rounding.
    run("pretrain", "tiny.yaml", "output_dir=runs/pieces", "train.micro_batch=3", "train.prefetch=0")
    pieces = lines("runs/pieces/metrics.jsonl")
    assert len(pieces) == len(metrics)
    assert abs(pieces[-1]["validation.loss"] - metrics[-1]["validation.loss"]) < 1e-3 * metrics[-1]["validation.loss"]

    told = run("finetune", "tune.yaml")
    for text in ("pretrained", "scratch", "heart_rate", "majority", "AUROC", "±"):
        assert text in told, told
    results = json.loads(read("runs/tuned/results.json"))
    assert set(results["methods"]) == {"pretrained", "scratch", "heart_rate", "majority"}
    assert results["methods"]["majority"]["auroc"]["mean"] == 0.5
    rows = read("runs/tuned/predictions.csv").decode().splitlines()
    assert len(rows) == results["test_segments"] + 1 and rows[0].endswith("pretrained,scratch,heart_rate"), rows[0]
    # Every subject is tested once and in one fold.
    folds = {}
    for row in rows[1:]:
        folds.setdefault(row.split(",")[1], set()).add(row.split(",")[0])
    assert len(folds) == 4 and all(len(fold) == 1 for fold in folds.values()), folds

    run("finetune", "tune.yaml", "output_dir=runs/segments", "evaluation.split=segment", "evaluation.methods=[scratch]",
        "evaluation.max_folds=1", "train.epochs=1", says=["memory of a recording", "only 1 of 2 folds"])

    # Three recordings a subject are unbalanced. The odds that training saw are taken out of a network's answers;
    # with two folds and no validation, what one fold trains on is what the other tests.
    synth("three.h5", subjects=3, recordings=3, seconds=50)
    words = ["finetune", "tune.yaml", "data.stores=[three.h5]", "data.validation=0", "evaluation.methods=[scratch]",
             "train.epochs=1"]
    run(*words, "output_dir=runs/prior")
    rows = [row.split(",") for row in read("runs/prior/predictions.csv").decode().splitlines()[1:]]
    for fold in ("0", "1"):
        seen = [row[-2] for row in rows if row[0] != fold]
        odds = seen.count("1") / seen.count("0")
        assert odds != 1, seen
        told = [float(row[-1]) for row in rows if row[0] == fold]
        raw = json.loads(read(f"runs/prior/scratch/fold-00{fold}/predictions.json"))["probabilities"]
        assert len(raw) == len(told) > 0
        for p, q in zip(raw, told):
            assert abs((p / (1 - p)) / (q / (1 - q)) - odds) < 1e-9, (p, q, odds)
    run(*words, "output_dir=runs/no-prior", "evaluation.prior=training")
    rows = [row.split(",") for row in read("runs/no-prior/predictions.csv").decode().splitlines()[1:]]
    assert [float(row[-1]) for row in rows if row[0] == "1"] == raw

    write("sweep.yaml", """
name: rates
experiment: tiny.yaml
command: pretrain
output_dir: runs/sweep
method: grid
metric: {name: validation.loss, goal: minimize}
parameters:
  optimizer.lr: {values: [1e-3, 3e-3]}
  train.epochs: {value: 1}
""")
    told = run("sweep", "sweep.yaml")
    ledger = lines("runs/sweep/trials.jsonl")
    assert len(ledger) == 2, ledger
    assert os.path.exists("runs/sweep/best.yaml")
    # Started again it has nothing left to do, and the best configuration is an experiment that runs.
    run("sweep", "sweep.yaml")
    assert lines("runs/sweep/trials.jsonl") == ledger
    run("pretrain", "runs/sweep/best.yaml", "output_dir=runs/best")
