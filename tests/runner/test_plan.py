"""vagus pretrain --plan: what it counts is counted here once more, what it foresees of memory is what a run allocates, and
its formulas give the limits that chosen rates must have."""
import json
import math
import os

from program import Folder, read, run, synth, tiny, write

PAPER = os.path.join(os.environ["VAGUS_SOURCE"], "experiments", "pretrain", "icpr2022.yaml")
SMALL = os.path.join(os.environ["VAGUS_SOURCE"], "experiments", "pretrain", "cpu-small.yaml")


def plan(path, *words):
    return json.loads(run("pretrain", path, "--plan", "--json", *words))


def near(a, b, tolerance=1e-12):
    assert abs(a - b) <= tolerance * max(abs(a), abs(b)), (a, b)


# ---- What is exact, in Python ---------------------------------------------------------------------------------------


class Model:
    def __init__(self, T=1280, convs=(64, 128, 256), kernels=(65, 33, 17), layers=2, heads=2, F=1024, head=(128,), pre=False,
                 normed=(0,), learned_position=False, learned_fill=False):
        self.T, self.convs, self.kernels, self.layers, self.heads, self.F, self.head = T, convs, kernels, layers, heads, F, head
        self.pre, self.normed, self.learned_position, self.learned_fill = pre, normed, learned_position, learned_fill
        self.C = convs[-1]

    def tensors(self):
        """Shapes of all parameters."""
        C, before = self.C, 1
        for i, (out, width) in enumerate(zip(self.convs, self.kernels)):
            yield from [(out, width, before), (out,)]
            if i in self.normed:
                yield from [(out,), (out,)]
            before = out
        yield (C,)
        if self.learned_position:
            yield (1 + self.T, C)
        for _ in range(self.layers):
            yield from [(3 * C, C), (3 * C,), (C, C), (C,), (C,), (C,), (self.F, C), (self.F,), (C, self.F), (C,), (C,), (C,)]
        if self.pre:
            yield from [(C,), (C,)]
        if self.learned_fill:
            yield (1,)
        before = C
        for out in (*self.head, 1):
            yield from [(out, before), (out,)]
            before = out

    def parameters(self):
        return sum(math.prod(shape) for shape in self.tensors())

    def padded(self):
        return sum((math.prod(shape) + 127) // 128 * 128 for shape in self.tensors())

    def flop(self):
        """(forward, both) of a segment, by kind."""
        T, R, C = self.T, 1 + self.T, self.C
        conv, before = [], 1
        for out, width in zip(self.convs, self.kernels):
            conv.append(2 * T * width * before * out)
            before = out
        linear = self.layers * 2 * R * (3 * C * C + C * C + 2 * C * self.F)
        before = C
        for out in (*self.head, 1):
            linear += 2 * R * before * out
            before = out
        attention = self.layers * 4 * R * R * C
        first = conv[0] if self.learned_fill else 0
        position = 2 * R * C if self.learned_position else 0
        forward = {"linear": linear, "attention": attention, "convolution": sum(conv), "rest": 0}
        both = {
            "linear": 3 * linear + position,
            "attention": attention * 3.5,
            "convolution": 3 * sum(conv) - conv[0] + first,
            "rest": 0,
        }
        return forward, both


def counts(told, model):
    forward, both = model.flop()
    for kind in forward:
        near(told["flop"]["segment_forward"][kind], forward[kind])
        near(told["flop"]["segment"][kind], both[kind])
    near(told["flop"]["segment"]["all"], sum(both.values()))
    near(told["flop"]["step"]["all"], sum(both.values()) * told["plan"]["batch"])
    parameters = told["parameters"]
    assert parameters["all"] == model.parameters(), (parameters, model.parameters())
    assert parameters["padded"] == model.padded(), (parameters, model.padded())
    assert parameters["all"] == sum(parameters[k] for k in parameters if k not in ("all", "padded"))
    # The norm reads every gradient; Adam reads gradients, and reads and writes parameters and both moments.
    copy = 2 if told["precision"] == "bf16" else 0
    wants = parameters["all"] * (4 + 4 + 3 * 8 + copy)
    assert abs(told["bytes"]["optimizer"]["all"] - wants) < 100, (told["bytes"]["optimizer"], wants)


def exact():
    with Folder():
        paper = plan(PAPER, "plan.segments=83401", "plan.gpus=8")
        counts(paper, Model())
        # The paper's size, as others have put it: 2.4 M parameters, 9.5 GFLOP forward, 30 with backward.
        assert abs(paper["flop"]["segment_forward"]["all"] - 9.5e9) < 0.2e9 and abs(paper["flop"]["segment"]["all"] - 30e9) < 1e9
        assert 2.3e6 < paper["parameters"]["all"] < 2.5e6 and paper["precision"] == "bf16"
        counts(plan(SMALL, "plan.gpu=cpu"),
               Model(convs=(16, 32, 64), F=256, head=(64,), pre=True))
        counts(plan(PAPER, "model.conv_norm=all", "model.position=learned", "masking.fill=learned", "model.activation=gelu",
                    "model.conv_activation=gelu", "model.reconstruction_head=[64,32]", "model.layers=3", "data.seconds=5",
                    "plan.gpu=cpu"),
               Model(T=640, layers=3, head=(64, 32), normed=(0, 1, 2), learned_position=True, learned_fill=True))
        counts(plan(PAPER, "model.conv_norm=none", "model.reconstruction_head=[]", "model.layers=0", "precision=fp32"),
               Model(layers=0, head=(), normed=()))

        # Slabs: bf16 values beside F32 masters, gradients and two moments.
        memory, padded = paper["plan"]["memory"], paper["parameters"]["padded"]
        assert (memory["values"], memory["masters"], memory["gradients"]) == (2 * padded, 4 * padded, 4 * padded), memory
        assert 8 * padded <= memory["moments"] <= 8 * padded + 1024, memory
        assert memory["total"] == sum(v for k, v in memory.items() if k != "total"), memory
        assert abs(memory["corpus"] - 83401 * (1280 * 4 + 3 * 8)) < 4096, memory  # samples, and where and how to scale
        assert paper["plan"]["reduced_bytes"] == 4 * padded and paper["plan"]["gathered_bytes"] == 0
        sharded = plan(PAPER, "plan.segments=83401", "plan.gpus=8", "parallel.shard_optimizer=true")
        assert 1 <= sharded["plan"]["memory"]["moments"] / padded < 1.1, sharded["plan"]["memory"]  # of 8, one in eight and a bit
        assert sharded["plan"]["gathered_bytes"] == 2 * padded and sharded["plan"]["reduced_bytes"] == 4 * padded
        alone = plan(PAPER)["plan"]
        assert alone["reduced_bytes"] == alone["exposed"] == 0 and "steps" not in alone, alone
        assert not os.listdir("."), os.listdir(".")


# ---- What a run allocates -----------------------------------------------------------------------------------------------


def against_a_run():
    with Folder():
        synth()
        tiny()
        told = plan("tiny.yaml", "plan.gpu=cpu")
        assert "read from" in told["segments"]["source"] and told["segments"]["length"] == 640, told["segments"]
        log = run("pretrain", "tiny.yaml", "train.max_steps=3", both=True)
        memory = told["plan"]["memory"]
        mib = lambda *keys: f"{sum(memory[k] for k in keys) / 2**20:.1f} MiB"
        for text in (f"{told['parameters']['all']} parameters, {mib('values', 'masters', 'gradients')} with their gradients",
                     f"activations {mib('activations')}, their gradients {mib('activation_gradients')}, at 8 segments"):
            assert text in log, (text, log)
        segments = told["segments"]
        assert f"{segments['train']} segments to train on, {segments['validation']} of held-out" in log, (segments, log)
        # ... and what lies in the checkpoint.
        folder = next(f for f in os.listdir("runs/tiny/checkpoints") if f.startswith("step_"))
        header = read(f"runs/tiny/checkpoints/{folder}/model.safetensors")
        size = int.from_bytes(header[:8], "little")
        tensors = json.loads(header[8 : 8 + size])
        stored = sum(math.prod(t["shape"]) for name, t in tensors.items() if name != "__metadata__")
        assert stored == told["parameters"]["all"], (stored, told["parameters"])
        # Steps of an epoch and of the run are the trainer's.
        whole = plan("tiny.yaml", "plan.gpu=cpu")["plan"]
        result = json.loads(read("runs/tiny/result.json"))
        assert whole["steps_per_epoch"] == segments["train"] // 8 and whole["steps"] == 3 * whole["steps_per_epoch"], whole
        assert plan("tiny.yaml", "train.max_steps=3", "plan.gpu=cpu")["plan"]["steps"] == 3 == result["steps"], result

        # A whole step, to the byte: what the benchmark's model and optimiser take of the device.
        step = json.loads(run("bench", "step", "--json", "device=cpu", "model=small", "batch=3", "samples=3", "sample_ms=1",
                              "threads=1", "ceilings=false"))["results"][0]
        small = plan(SMALL, "train.batch_size=3", "plan.gpu=cpu")["plan"]["memory"]
        assert abs(small["total"] - step["device_bytes"]) <= 4096, (small, step["device_bytes"])
        # The benchmark counts the FLOP of a step in the same way.
        near(plan(SMALL, "train.batch_size=3", "plan.gpu=cpu")["flop"]["step"]["all"], step["flop"])


# ---- What is foreseen ---------------------------------------------------------------------------------------------------


RATES = ["plan.peak_tflops=100", "plan.efficiency=0.5", "plan.memory_gbs=1000", "plan.link_gbs=100", "plan.network_gbs=10",
         "plan.bandwidth_efficiency=0.5", "plan.latency_us=10", "plan.operation_us=0", "plan.gpus_per_node=8",
         "plan.memory_gib=10", "precision=fp32"]


def all_reduce(R, count, rate, latency):
    if R == 1:
        return 0
    return min(2 * (R - 1) / R * count / rate + 2 * (R - 1) * latency,
               2 * count / rate + 2 * math.ceil(math.log2(R)) * latency)


def formulas():
    with Folder():
        told = plan(PAPER, "plan.segments=100000", "data.validation=0", "plan.table=[1,8,64,1024]", "train.epochs=3", *RATES,
                    "plan.price=2", "plan.currency=EUR")
        assert all(rate["by"] == "you" for rate in told["stated"] if "loader" not in rate["key"]), told["stated"]
        for table in ("same_batch", "same_share"):
            for row in told[table]:
                R, k = row["gpus"], row["buckets"] - 1  # and the vectors
                share = math.ceil(row["batch"] / R)
                assert row["share"] == share == row["micro_batch"] and (table == "same_share" or row["batch"] == 32), row
                if R > 1:
                    rate = 100e9 / 2 if R <= 8 else 10e9 / 2
                    bucket = all_reduce(R, row["reduced_bytes"] / k, rate, 1e-5)
                    small = all_reduce(R, 0, rate, 1e-5) + all_reduce(R, 24, rate, 1e-5)
                    assert k == math.ceil(row["reduced_bytes"] / 2**22)
                    near(row["collectives"], k * bucket + small)
                    near(row["exposed"], max(bucket, k * bucket - row["backward"] * (k - 1) / k) + small)
                near(row["step"], row["forward"] + row["backward"] + row["optimizer"] + row["exposed"])
                near(row["segments_s"], row["batch"] / row["step"])
                near(row["run"], row["training"] + row["validation"])
                near(row["training"], row["step"] * 3 * (100000 // row["batch"]))
                near(row["cost"], 2 * R * row["run"] / 3600)
                # Compute is at least what the FLOP take.
                assert row["forward"] + row["backward"] >= told["flop"]["segment"]["all"] * share / 50e12 * (1 - 1e-12), row
        # A bucket holds a matrix at least, of which there are 3 in convolutions, 4 a layer and 2 in the head.
        assert plan(PAPER, "parallel.bucket_mib=0.001", "plan.gpus=2")["plan"]["buckets"] == 3 + 2 * 4 + 2 + 1
        # A second micro-batch costs time and hides nothing more.
        halves = plan(PAPER, "train.micro_batch=16", *RATES, "plan.gpus=1")["plan"]
        assert halves["micro_batch"] == 16 and halves["memory"]["activations"] < told["same_batch"][0]["memory"]["activations"]
        # Sharded: gradients in halves of a ring, values gathered when all is done.
        row = plan(PAPER, "parallel.shard_optimizer=true", "plan.gpus=8", *RATES)["plan"]
        half = lambda count: 7 / 8 * count / 50e9 + 7e-5
        k, norm = row["buckets"] - 1, all_reduce(8, 8, 50e9, 1e-5)
        small = all_reduce(8, 0, 50e9, 1e-5) + all_reduce(8, 24, 50e9, 1e-5)
        gather = k * half(row["gathered_bytes"] / k) + half(0) + norm
        near(row["collectives"], k * half(row["reduced_bytes"] / k) + small + gather)
        near(row["exposed"], max(half(row["reduced_bytes"] / k),
                                 k * half(row["reduced_bytes"] / k) - row["backward"] * (k - 1) / k) + small + gather)


def limits():
    with Folder():
        limit = lambda *words: plan(PAPER, *RATES, *words)["plan"]["limit"]
        assert limit() == "compute" and limit("plan.gpus=8", "plan.latency_us=0") == "compute"
        assert limit("plan.gpus=33") == "batch"  # fewer than one segment each
        assert limit("plan.gpus=32", "plan.latency_us=0", "plan.network_gbs=1000") == "compute"
        assert limit("plan.operation_us=100000") == "batch"  # nothing is large enough
        assert limit("plan.segments=31") == "batch"  # the batch is never full
        assert limit("plan.gpus=32", "plan.network_gbs=0.01") == "all-reduce"
        assert limit("plan.gpus=8", "plan.link_gbs=0.01") == "all-reduce"
        assert limit("plan.gpus=8", "plan.network_gbs=0.01", "plan.latency_us=0") == "compute"  # within a node
        assert limit("plan.gpus=8", "plan.latency_us=100000") == "all-reduce"
        assert limit("plan.loader_gbs=0.0001") == "loader"
        assert limit("plan.loader_gbs=0.0001", "plan.segments=1000") == "compute"  # they lie on the GPU
        assert limit("plan.memory_gib=0.5") == "memory"
        told = plan(PAPER, *RATES, "plan.memory_gib=1")
        most = told["largest_micro_batch"]
        fits = lambda batch: plan(PAPER, *RATES, f"train.micro_batch={batch}", f"train.batch_size={batch}")["plan"]["memory"]["total"]
        assert fits(most) <= 7 / 8 * 2**30 < fits(most + 1), most
        rows = plan(PAPER, *RATES, "plan.latency_us=0.01", "plan.segments=83401", "plan.network_gbs=100", "train.epochs=1")
        assert [r["limit"] for r in rows["same_batch"]] == ["compute", "compute", "batch", "batch"], rows["same_batch"]
        assert [r["limit"] for r in rows["same_share"]] == ["compute"] * 4, rows["same_share"]


def documented():
    """The rates that PLAN.md lists are those that are counted with."""
    with open(os.path.join(os.environ["VAGUS_SOURCE"], "experiments", "PLAN.md")) as file:
        table = file.read().split("## What is stated\n")[1].split("\n\n")[0].splitlines()[2:]
    units = ["TFLOP/s"] * 3 + ["plan.memory_gib", "plan.memory_gbs", "plan.link_gbs", "plan.network_gbs"]
    assert len(table) == 6, table
    for line in table:
        gpu, *cells, per_node = [cell.strip() for cell in line.strip("|").split("|")]
        for i, precision in enumerate(("bf16", "tf32", "fp32")):
            if not cells[i]:
                run("pretrain", PAPER, "--plan", f"plan.gpu={gpu}", f"precision={precision}", expect=2, says="plan.peak_tflops")
                continue
            told = plan(PAPER, f"plan.gpu={gpu}", f"precision={precision}")
            stated = {rate["key"]: rate["value"] for rate in told["stated"]}
            wants = dict(zip(units[3:], (float(cell.split()[0]) for cell in cells[3:])))
            wants["plan.peak_tflops"] = float(cells[i])
            assert {key: stated[key] for key in wants} == wants, (gpu, precision, stated, wants)
            assert told["gpus_per_node"] == int(per_node), told["gpus_per_node"]


def words():
    with Folder():
        text = run("pretrain", PAPER, "--plan", "plan.segments=83401", "plan.gpus=8", "plan.price=2", "plan.currency=EUR")
        assert max(map(len, text.splitlines())) <= 100, max(text.splitlines(), key=len)
        for part in ("moments", "largest train.micro_batch", "attention", "ring", "EUR", "limit", "PLAN.md"):
            assert part in text, part
        rates = text.split("\nrates of ")[1].split("\n\n")[0].splitlines()[1:]
        assert len(rates) == 11 and all("stated" in line for line in rates) and "measured" not in "".join(rates), rates
        assert "EUR" not in run("pretrain", PAPER, "--plan") and "data/ecg.h5" in run("pretrain", PAPER, "--plan")
        assert "DOES NOT FIT" in run("pretrain", PAPER, "--plan", "plan.memory_gib=0.1")
        assert "stated" in run("pretrain", "--plan", "--help") and "plan.gpus" in run("pretrain", "--plan", "--help")
        assert "--plan" in run("pretrain", "--help")

        bad = lambda says, *words: run("pretrain", PAPER, "--plan", *words, expect=2, says=says)
        bad(["plan.gpus", "[1, 1000000]"], "plan.gpus=0")
        bad(["plan.gpu", "h100"], "plan.gpu=h10")
        bad(["plan.efficency", "'efficiency'"], "plan.efficency=0.3")
        bad(["plan.efficiency", "(0, 1]"], "plan.efficiency=1.5")
        bad(["plan.currency"], "plan.price=2")
        bad(["plan.table"], "plan.table=[0]")
        bad(["train.batch_sise", "'batch_size'"], "train.batch_sise=3")
        bad(["plan.peak_tflops", "bf16"], "plan.gpu=cpu", "precision=bf16")
        bad(["heads", "256"], "model.heads=3")
        bad(["data.seconds", "plan.sample_rate"], "data.seconds=3600", "plan.sample_rate=1000")
        run("pretrain", "--plan", expect=2, says="which YAML file")
        run("pretrain", "nothing.yaml", "--plan", expect=2, says="nothing.yaml")
        run("finetune", PAPER, "--plan", expect=2, says="--plan")
        plan(PAPER, "plan.gpu=cpu", "precision=bf16", "plan.peak_tflops=0.01")
        write("other.yaml", "extends: %s\nname: other\noutput_dir: runs/o\nplan: {gpus: 2}\n" % PAPER)
        run("pretrain", "other.yaml", "--plan", expect=2, says="plan")
        assert os.listdir(".") == ["other.yaml"], os.listdir(".")


exact()
against_a_run()
formulas()
limits()
documented()
words()
print("ok")
