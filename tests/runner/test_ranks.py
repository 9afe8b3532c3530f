"""The same run by 1, 2, 3 and 4 ranks, over OpenMPI and over our own sockets: same batches, and weights that differ by
rounding alone."""
import os
import shutil
import sys

from program import VAGUS, Folder, read, run, skip, synth, tiny, write
from ranks import MPIRUN, apart, curve, curves_apart, last_checkpoint, run_ranks, same_bits

BY = sys.argv[1]  # "mpirun" or "launch"
if BY == "mpirun" and not MPIRUN:
    skip("there is no mpirun (Debian's openmpi-bin)")

# 50 steps of 12 segments; a rank's share of them in one piece.
STEPS = ["train.batch_size=12", "train.epochs=1000", "train.max_steps=50", "train.log_every=1", "threads=1",
         "checkpoint.every_steps=5", "checkpoint.keep=9", "parallel.timeout=60", "parallel.bucket_mib=0.001"]
TOLERANCE = 1e-5


def pretrain(ranks, name, *words, by=None, **options):
    folder = "runs/" + name
    run_ranks(by or BY, ranks, "pretrain", "tiny.yaml", "output_dir=" + folder, *STEPS, *words, **options)
    return folder


def agree(a, b, what):
    loss, weights = curves_apart(a, b), apart(f"{last_checkpoint(a)}/model.safetensors", f"{last_checkpoint(b)}/model.safetensors")
    print(f"{what}: losses {loss:.1e}, weights {weights:.1e} apart")
    assert loss <= TOLERANCE and weights <= TOLERANCE, what
    for name in ("validation.loss", "baseline.mean", "baseline.interpolation"):
        assert curves_apart(a, b, name) <= TOLERANCE, (what, name)


def numbers_of_ranks():
    one = pretrain(1, "one", by="alone")
    assert len(curve(one)) == 50
    for ranks in (1, 2, 3, 4):
        agree(one, pretrain(ranks, f"n{ranks}"), f"{ranks} ranks")
    again = pretrain(3, "n3-again")
    same_bits("runs/n3", again)
    return one


def pieces(one):
    """Smaller pieces of a batch, buckets of another size, shards: the same step."""
    agree(one, pretrain(2, "micro", "train.micro_batch=2"), "2 ranks in micro-batches of 2")
    agree(one, pretrain(2, "bucket", "parallel.bucket_mib=4"), "2 ranks, one bucket")
    for ranks in (2, 3):
        sharded = pretrain(ranks, f"sharded{ranks}", "parallel.shard_optimizer=true")
        agree(f"runs/n{ranks}", sharded, f"{ranks} ranks, sharded optimiser")
        one_state, state = (f"{last_checkpoint(folder)}/optimizer.safetensors" for folder in (f"runs/n{ranks}", sharded))
        assert apart(one_state, state) <= 1e-4


def odd_batches():
    """10 segments for 3 and 4 ranks; and 3 for 4, one of which has nothing to do."""
    for batch in (10, 3):
        words = [f"train.batch_size={batch}", "train.max_steps=20"]
        one = pretrain(1, f"odd{batch}", *words, by="alone")
        for ranks in (3, 4):
            agree(one, pretrain(ranks, f"odd{batch}-{ranks}", *words), f"batches of {batch}, {ranks} ranks")


def other_number():
    """Saved by 3 ranks with sharded moments, gone on by 2, by 1 and by 3."""
    whole = "runs/sharded3"
    for ranks in (3, 2, 1):
        folder = f"runs/resumed{ranks}"
        shutil.copytree(whole, folder, symlinks=True)
        while not last_checkpoint(folder).endswith("step_25"):  # in the middle of an epoch
            shutil.rmtree(last_checkpoint(folder))
        write(folder + "/config.yaml", read(folder + "/config.yaml").decode().replace(whole, folder))
        words = ["parallel.shard_optimizer=true"] if ranks == 3 else []
        told = run_ranks(BY if ranks > 1 else "alone", ranks, "pretrain", "tiny.yaml", "output_dir=" + folder, *STEPS, *words,
                         "--resume", "auto")
        if ranks == 3:
            same_bits(whole, folder)
        else:
            assert f"was trained by 3 ranks and goes on with {ranks}" in told, told
            agree(whole, folder, f"3 ranks resumed by {ranks}")


def finetuning():
    """Folds, labels and answers are those of one rank; a run that is whole is not run again."""
    run("pretrain", "tiny.yaml", "threads=1")
    words = ["finetune", "tune.yaml", "threads=1", "parallel.timeout=60"]
    run(*words, "output_dir=runs/tuned1")
    told = run_ranks(BY, 2, *words, "output_dir=runs/tuned2")
    assert told.count("all test segments taken together") == 1, told  # rank 0 alone prints results
    one, two = (read(f"runs/tuned{n}/predictions.csv").decode().splitlines() for n in (1, 2))
    assert len(one) == len(two) > 10
    for a, b in zip(one[1:], two[1:]):
        for x, y in zip(a.split(","), b.split(",")):
            try:
                assert abs(float(x) - float(y)) <= 1e-4, (a, b)
            except ValueError:
                assert x == y, (a, b)
    before = read("runs/tuned2/predictions.csv")
    run_ranks(BY, 2, *words, "output_dir=runs/tuned2", "--resume")
    assert read("runs/tuned2/predictions.csv") == before


def at_odds():
    """Ranks that were not given the same work say so and stop; nothing is left of the run."""
    script = write("other.sh", f"""#!/bin/sh
if [ "$OMPI_COMM_WORLD_RANK" = 1 ]; then set -- "$@" $OTHER; fi
exec {VAGUS} "$@"
""")
    os.chmod(script, 0o755)
    words = ["pretrain", "tiny.yaml", "output_dir=runs/odds", *STEPS]
    program = os.path.abspath(script)
    run_ranks(BY, 2, *words, program=program, OTHER="optimizer.lr=0.5", expect=2, says=["rank 1 (", "0.5"])
    assert not os.path.exists("runs/odds")
    # The same file name, other samples: each rank starts in a folder of its own.
    os.mkdir("elsewhere")
    run("data", "synth", "--out", "elsewhere/ecg.h5", "--subjects=4", "--seconds=100", "--seed=4")
    write("elsewhere/tiny.yaml", read("tiny.yaml").decode())
    write(script, f"""#!/bin/sh
if [ "$OMPI_COMM_WORLD_RANK" = 1 ]; then cd elsewhere; fi
exec {VAGUS} "$@"
""")
    run_ranks(BY, 2, *words, program=program, expect=2, says=["rank 1 (", "data.stores", "fingerprint"])
    assert not os.path.exists("runs/odds") and not os.path.exists("elsewhere/runs")


with Folder():
    synth()
    tiny()
    one = numbers_of_ranks()
    pieces(one)
    odd_batches()
    other_number()
    finetuning()
    if BY == "mpirun":
        at_odds()
