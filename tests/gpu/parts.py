#!/usr/bin/env python3
"""Everything that wants a real GPU, part by part, each with a deadline of its own. Called by run.sh.

A part that fails, hangs or crashes does not stop the others: each runs in processes of its own, each operation's test
too. What comes out, in --out: summary.txt and summary.json (verdicts), log.txt (all that was said), ops.json, step.json,
pytorch.json (figures). Exit: 0 all that ran passed, 1 something failed or nothing ran, 2 usage.
"""
import argparse
import concurrent.futures
import glob
import json
import os
import platform
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, HERE)
import commands  # noqa: E402
import compare  # noqa: E402

PASSED, FAILED, SKIPPED = "passed", "FAILED", "skipped"
STEPS = 10
# Where the programs lie below a build folder, by device; a bundle has all of them in bin/.
PROGRAMS = {
    "cuda": {"vagus": "experiments/vagus", "ops": "tests/gpu/test_gpu_ops", "vocabulary": "tests/gpu/test_gpu_vocabulary",
             "ranks": "tests/gpu/test_gpu_ranks"},
    "emulated": {"vagus": "tests/cuda/vagus_emulated", "ops": "tests/gpu/test_emulated_ops",
                 "vocabulary": "tests/gpu/test_emulated_vocabulary", "ranks": "tests/gpu/test_emulated_ranks"},
    "cpu": {"vagus": "experiments/vagus", "ops": "tests/kernels/test_ops"},
}
TINY = ["data.seconds=5", "model.conv_channels=[4,8]", "model.conv_kernels=[9,5]", "model.layers=1", "model.heads=2",
        "model.feedforward=16", "model.reconstruction_head=[8]", "train.batch_size=4"]
PAPER = ["train.batch_size=8"]
# Two ranks on one GPU: NCCL refuses them unless it takes them to be on two machines, which speak over the loopback.
APART = {"NCCL_SOCKET_IFNAME": "lo", "NCCL_IB_DISABLE": "1", "NCCL_MNNVL_ENABLE": "0", "NCCL_MAX_CTAS": "1"}


class Skip(Exception):
    """A part that cannot run here, and why."""


class Failure(Exception):
    """A part that failed, and how."""


class Session:
    def __init__(self, options):
        self.options, self.device = options, options.device
        self.began = time.monotonic()
        self.ends = self.began + 60 * options.minutes
        os.makedirs(options.out, exist_ok=True)
        self.log = commands.Log(self.file("log.txt"))
        self.work = tempfile.mkdtemp(prefix="vagus-gpu-")
        self.programs, self.environment = {}, {"OMP_WAIT_POLICY": "passive"}
        self.parts, self.facts, self.details = [], {"device": self.device}, {}

    def file(self, name):
        return os.path.join(self.options.out, name)

    def left(self):
        return self.ends - time.monotonic()

    def run(self, words, limit, **environment):
        if self.left() < 2:
            raise Skip("no time was left")
        return commands.run([str(w) for w in words], min(limit, self.left()), self.log,
                            {**self.environment, **environment}, self.work)

    def program(self, name):
        path = self.programs.get(name)
        if not path:
            raise Skip(f"there is no program for '{name}' on the device {self.device}")
        return path

    def fact(self, name, value):
        self.facts[name] = value
        print(f"  {name}: {value}", flush=True)

    def part(self, name, function):
        """Runs a part and keeps its verdict."""
        if self.options.only and name not in self.options.only:
            return
        start = time.monotonic()
        print(f"{name} ...", flush=True)
        self.log.write(f"==== {name}\n")
        try:
            verdict, note = PASSED, function(self) or ""
        except Skip as reason:
            verdict, note = SKIPPED, str(reason)
        except Failure as reason:
            verdict, note = FAILED, str(reason)
        except Exception as error:  # of this script: told as a failure of the part, and the rest goes on
            verdict, note = FAILED, f"{type(error).__name__}: {error}"
        seconds = time.monotonic() - start
        self.parts.append({"part": name, "verdict": verdict, "seconds": round(seconds, 1), "note": note})
        print(f"{name}: {verdict} in {seconds:.0f} s" + (f": {note}" if note else ""), flush=True)
        self.log.write(f"==== {name}: {verdict}: {note}\n\n")
        self.save()

    def save(self):
        """After every part, so that something is left whatever happens next."""
        ran = [p for p in self.parts if p["verdict"] != SKIPPED and p["part"] not in ("environment", "program")]
        good = bool(ran) and all(p["verdict"] == PASSED for p in self.parts if p["verdict"] != SKIPPED)
        summary = {"version": 1, "passed": good, "seconds": round(time.monotonic() - self.began, 1), **self.facts,
                   "parts": self.parts, "details": self.details}
        with open(self.file("summary.json"), "w") as file:
            json.dump(summary, file, indent=1)
            file.write("\n")
        lines = [f"{p['verdict']:8} {p['seconds']:6.1f} s  {p['part']:14} {p['note']}" for p in self.parts]
        facts = [f"{name}: {value}" for name, value in self.facts.items()]
        counts = ", ".join(f"{sum(p['verdict'] == v for p in self.parts)} {v.lower()}" for v in (PASSED, FAILED, SKIPPED))
        with open(self.file("summary.txt"), "w") as file:
            file.write("\n".join(facts + [""] + lines + ["", f"{counts}; {summary['seconds']:.0f} s"]) + "\n")
        return good


# ---- What is here ----------------------------------------------------------------------------------------------------


def cuda_libraries():
    """Folders with cuBLASLt, cuDNN and NCCL of a PyTorch installation, found without loading it."""
    script = ("import importlib.util, os\n"
              "spec = importlib.util.find_spec('nvidia')\n"
              "for place in (spec.submodule_search_locations if spec else []):\n"
              "    for folder, _, names in os.walk(place):\n"
              "        if any(n.startswith(('libcublasLt.so', 'libcudnn.so', 'libnccl.so')) for n in names): print(folder)\n")
    try:
        told = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60).stdout
    except (OSError, subprocess.TimeoutExpired):
        return []
    return told.split()


def environment(s):
    s.fact("machine", f"{platform.node()}, {os.cpu_count()} processors, {platform.platform()}")
    s.fact("glibc", " ".join(platform.libc_ver()))
    s.fact("python", platform.python_version())
    s.fact("date", time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()))
    if s.device == "cuda" or shutil.which("nvidia-smi"):
        keys = "name,compute_cap,driver_version,memory.total,memory.used,clocks.sm,clocks.max.sm,clocks.mem,power.limit,ecc.mode.current"
        told = s.run(["nvidia-smi", f"--query-gpu={keys}", "--format=csv,noheader"], 30)
        if told.ok and told.stdout.strip():
            s.fact("gpu", told.stdout.strip().splitlines()[0])
            s.facts["compute"] = told.stdout.split(",")[1].strip()
        elif s.device == "cuda":
            s.fact("gpu", "nvidia-smi says nothing: " + told.how())
        s.run(["nvidia-smi", "-q", "-d", "CLOCK,PERFORMANCE,POWER,TEMPERATURE"], 30)
    if s.device != "cuda":
        return ""
    given = os.environ.get("VAGUS_CUDA_LIBRARIES")
    folders = [] if given else cuda_libraries()
    if folders:
        s.environment["VAGUS_CUDA_LIBRARIES"] = ":".join(folders)
        s.environment["LD_LIBRARY_PATH"] = ":".join(folders + [os.environ.get("LD_LIBRARY_PATH", "")]).rstrip(":")
    s.fact("cuda_libraries", given or ":".join(folders) or "none of PyTorch's; the system's, if there are any")
    return ""


def compute_of_gpu(s):
    match = re.fullmatch(r"(\d+)\.(\d+)", s.facts.get("compute", ""))
    return match[1] + match[2] if match else ""


def unpack(s):
    """A bundle travels with its libraries packed; the programs look for them beside themselves."""
    archive, folder = os.path.join(ROOT, "lib.tar.gz"), os.path.join(ROOT, "lib")
    if not os.path.exists(archive) or os.path.isdir(folder):
        return
    told = s.run(["tar", "-xzf", archive, "-C", ROOT], 60)
    if not told.ok:
        raise Failure(f"{archive} cannot be unpacked: {told.how()}")


def build(s):
    """For the GPU that is here and nothing else."""
    for tool in ("cmake", "ninja", "cc"):
        if not shutil.which(tool):
            raise Failure(f"no bundle is here, and {tool} to build with is missing; tests/gpu/bundle.sh makes a bundle "
                          "on another machine")
    folder = os.path.join(ROOT, "build", "gpu")
    words = ["cmake", "--preset", "release", "-S", ROOT, "-B", folder, "-DVAGUS_TESTS=ON"]
    if s.device == "cuda":
        words += ["-DVAGUS_CUDA=ON"]
        if compute_of_gpu(s):
            words += [f"-DVAGUS_CUDA_ARCHITECTURES={compute_of_gpu(s)}"]
    told = s.run(words, 60)
    if not told.ok:
        raise Failure("configuring: " + told.how())
    targets = [os.path.basename(path) for path in PROGRAMS[s.device].values()]
    told = s.run(["cmake", "--build", folder, "-j", os.cpu_count(), "--target", *targets], 300)
    if not told.ok:
        raise Failure("building: " + told.how())
    return folder


def program(s):
    wanted = PROGRAMS[s.device]
    if s.options.programs:
        folders = [s.options.programs]
    else:
        folders = [os.path.join(ROOT, "bin"), os.path.join(ROOT, "build", "gpu"), os.path.join(ROOT, "build", "release")]
    unpack(s)
    problems = []
    for attempt in ("found", "built"):
        for folder in folders:
            paths = {}
            for name, below in wanted.items():
                for path in (os.path.join(folder, below), os.path.join(folder, os.path.basename(below))):
                    if os.access(path, os.X_OK) and os.path.isfile(path):
                        paths[name] = path
            if set(paths) != set(wanted):
                continue
            told = s.run([paths["vagus"], "--version"], 30)
            if told.ok:
                s.programs = paths
                s.fact("program", f"{told.stdout.strip()}, {attempt} in {folder}")
                return ""
            problems.append(f"{paths['vagus']}: {told.how()}")
        if attempt == "built" or s.options.programs:
            break
        folders = [build(s)]
    raise Failure("; ".join(problems) or f"not all of {', '.join(wanted.values())} are in {', '.join(folders)}")


def doctor(s):
    vagus = s.program("vagus")
    if " doctor" not in s.run([vagus, "--help"], 30).stdout:
        raise Skip("this program has no 'doctor'")
    told = s.run([vagus, "doctor"], 60)
    if not told.ok:
        raise Failure(told.how())
    return ""


# ---- Operations ------------------------------------------------------------------------------------------------------


def vocabulary(s):
    told = s.run([s.program("vocabulary")], 60)
    if told.code == 77:
        raise Failure(told.how())  # it is here to run on this device
    if not told.ok or "[  PASSED  ]" not in told.output:
        raise Failure(told.how())
    return ""


def operations():
    with open(os.path.join(ROOT, "kernels", "kernels.def")) as file:
        return re.findall(r"^VG_KERNEL\((\w+),", file.read(), re.M)


def precisions_of(s, operation):
    if s.device == "cpu":
        return [""]
    product = re.match(r"(conv1d|linear|attention)_", operation)
    return ["fp32", "bf16"] + (["tf32"] if product else [])


def verdict_of_operation(told, operation):
    """A test that was not run is not a passed one: the line that counts its calls has to be there."""
    if told.ok and re.search(rf"^{operation}\s+[1-9]\d* calls$", told.output, re.M):
        return PASSED, ""
    if told.ok and "SKIPPED" in told.output:
        return SKIPPED, "the backend does not serve it"
    return FAILED, told.how() if not told.ok else "it ended well without having called the operation"


def each_operation(s, title, limit, budget, jobs, wrap=(), **environment):
    """The test of each operation and precision in a process of its own, several at once: each within `limit` seconds,
    all within `budget`."""
    path, ends = s.program("ops"), min(s.ends, time.monotonic() + budget)
    chosen = s.options.ops or operations()
    tasks = [(operation, precision) for operation in chosen for precision in precisions_of(s, operation)]
    details = s.details.setdefault(title, {})

    def one(task):
        operation, precision = task
        left = ends - time.monotonic()
        if left < 5:
            return SKIPPED, "no time was left"
        variables = {**environment, **({"VAGUS_TEST_PRECISION": precision} if precision else {})}
        return verdict_of_operation(s.run([*wrap, path, operation], min(limit, left), **variables), operation)

    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        for (operation, precision), (verdict, note) in zip(tasks, pool.map(one, tasks)):
            name = f"{operation} {precision}".strip()
            details[name] = {"verdict": verdict, "note": note}
            if verdict != PASSED:
                print(f"  {name}: {verdict}: {note}", flush=True)
    wrong = [name for name, d in details.items() if d["verdict"] == FAILED]
    skipped = [name for name, d in details.items() if d["verdict"] == SKIPPED]
    count = f"{len(tasks) - len(wrong) - len(skipped)} of {len(tasks)} passed"
    if skipped:
        count += f", {len(skipped)} skipped"
    if wrong:
        raise Failure(f"{count}; failed: {', '.join(wrong)}")
    if len(skipped) == len(tasks):
        raise Skip(count)
    return count


def ops(s):
    jobs = 4 if s.device == "cuda" else max(1, (os.cpu_count() or 1) // 2)
    reduced = {"VAGUS_TEST_REDUCED": "1"} if s.options.quick else {}
    return each_operation(s, "ops", 90, 240, jobs, OMP_NUM_THREADS="4" if s.device == "cuda" else "2", **reduced)


def sanitizer(tool):
    def part(s):
        if s.device != "cuda":
            raise Skip("no GPU")
        found = shutil.which("compute-sanitizer") or next(iter(sorted(glob.glob(
            "/usr/local/cuda*/bin/compute-sanitizer") + glob.glob("/opt/nvidia/*/compute-sanitizer"))), None)
        if not found:
            raise Skip("compute-sanitizer is not here")
        wrap = [found, "--tool", tool, "--error-exitcode", "9", "--print-limit", "20"]
        return each_operation(s, tool, 60, 100, 4, wrap, VAGUS_TEST_REDUCED="1", OMP_NUM_THREADS="2")
    return part


# ---- Training --------------------------------------------------------------------------------------------------------


def store(s):
    path = os.path.join(s.work, "ecg.h5")
    if not os.path.exists(path):
        told = s.run([s.program("vagus"), "data", "synth", "--out", path, "--subjects=8", "--seconds=200", "--seed=3"], 60)
        if not told.ok:
            raise Failure("data synth: " + told.how())
    return path


def pretrain(s, name, *words, limit=120, keep=False, **environment):
    """A short training of ten steps; its run directory, which is a new one unless it is to be kept."""
    run = os.path.join(s.work, name)
    if not keep:
        shutil.rmtree(run, ignore_errors=True)
    size = PAPER if s.device == "cuda" else TINY
    told = s.run([s.program("vagus"), "pretrain", os.path.join(ROOT, "experiments/pretrain/icpr2022.yaml"),
                  f"data.stores=[{store(s)}]", f"output_dir={run}", "data.validation=0", *size, "train.epochs=100",
                  f"train.max_steps={STEPS}", "train.log_every=1", "optimizer.lr=1e-4", "scheduler.kind=constant",
                  "scheduler.warmup_epochs=0", "optimizer.clip_norm=1", *words], limit, **environment)
    if not told.ok:
        raise Failure(f"{' '.join(words)}: {told.how()}")
    return run


def candidates(s):
    """What is compared: (precision, words of the candidate), and the words of the reference."""
    if s.device == "cpu":
        return [("fp32", ["backend=cpu"])], ["backend=ref"]
    return [("fp32", ["device=cuda", "precision=fp32"]), ("bf16", ["device=cuda", "precision=bf16"])], ["device=cpu"]


def training(s):
    pairs, reference = candidates(s)
    expected = compare.read_steps(pretrain(s, "reference", *reference))
    problems, notes = [], []
    for precision, words in pairs:
        try:
            got = compare.read_steps(pretrain(s, precision, *words))
        except Failure as reason:
            problems.append(str(reason))
            continue
        wrong, worst = compare.compare_training(expected, got, precision, STEPS)
        s.details.setdefault("training", {})[precision] = {
            "worst": worst, "loss": [got[k][0] for k in sorted(got)], "reference": [expected[k][0] for k in sorted(expected)]}
        notes.append(f"{precision}: loss {worst['loss']:.2g}, gradient norm {worst['gradient_norm']:.2g} apart at most")
        problems += [f"{precision}: {text}" for text in wrong[:3]]
    if problems:
        raise Failure("; ".join(problems + notes))
    return "; ".join(notes)


def identity(s):
    pairs, _ = candidates(s)
    problems, files = [], 0
    for precision, words in pairs:
        runs = [pretrain(s, f"identity-{precision}-{i}", *words) for i in range(2)]
        folders = [os.path.join(run, "checkpoints", f"step_{STEPS}") for run in runs]
        wrong, count = compare.same_files(*folders)
        files += count
        if count < 4:
            problems.append(f"{precision}: only {count} files in {folders[0]}")
        problems += [f"{precision}: {name} differs between two runs of one seed" for name in wrong]
    if problems:
        raise Failure("; ".join(problems))
    return f"{files} files of two runs each are the same, byte for byte"


# ---- Ranks -----------------------------------------------------------------------------------------------------------


def ranks(which):
    """Collectives by NCCL: of one rank alone, of two on one GPU."""
    def part(s):
        if s.device == "cpu":
            raise Skip("no GPU")
        told = s.run([s.program("ranks"), which], 70)
        lines = [line for line in told.stdout.splitlines() if line.startswith(("NCCL ", "all-reduce of "))]
        s.details["nccl " + which] = lines
        for line in lines:
            print("  " + line, flush=True)
        if told.code == 77:
            raise Skip(next((line[9:] for line in told.stdout.splitlines() if line.startswith("skipped: ")), told.how()))
        if not told.ok or "collectives right" not in told.stdout:
            raise Failure(told.how())
        return next(line for line in told.stdout.splitlines() if "collectives right" in line)
    return part


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def two_ranks(s):
    """A training by two ranks on one GPU, beside one of one rank with the same batches. Best effort: where NCCL does not
    connect the two, there is nothing to be said of the program."""
    if s.device == "cpu":
        raise Skip("no GPU")
    before = next((p for p in s.parts if p["part"] == "nccl-two"), None)
    if before and before["verdict"] != PASSED:
        raise Skip("their collectives did not run")
    words = ["device=cuda:0", "precision=fp32", "parallel.timeout=30", "parallel.start_timeout=30"]
    if s.device == "emulated":
        words += ["data.seconds=1", "data.max_segments=16", "train.max_steps=3"]
    steps = 3 if s.device == "emulated" else STEPS
    expected = compare.read_steps(pretrain(s, "one-rank", *words))
    port = free_port()
    place = {"WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        started = [pool.submit(pretrain, s, "two-ranks", *words, keep=True, RANK=str(rank), LOCAL_RANK=str(rank),
                               NCCL_HOSTID=f"machine-{rank}", **place, **APART) for rank in range(2)]
        problems = [str(one.exception()) for one in started if one.exception()]
    if problems:
        raise (Skip if all("NCCL" in text for text in problems) else Failure)("; ".join(problems))
    got = compare.read_steps(started[0].result())
    wrong, worst = compare.compare_training(expected, got, "fp32", steps)
    s.details["two ranks"] = {"worst": worst, "loss": [got[k][0] for k in sorted(got)],
                              "one rank": [expected[k][0] for k in sorted(expected)]}
    if wrong:
        raise Failure("; ".join(wrong[:3]))
    return f"loss {worst['loss']:.2g}, gradient norm {worst['gradient_norm']:.2g} apart at most from one rank's"


# ---- Speed -----------------------------------------------------------------------------------------------------------


def bench(what):
    def part(s):
        size = {"cuda": [], "cpu": ["model=small", "batch=1", "samples=3", "sample_ms=1"],
                "emulated": ["model=small", "batch=1", "samples=3", "sample_ms=0.1", "ceilings=false", "precision=fp32"]}[s.device]
        if s.options.quick and what == "ops":
            size.append("only=layernorm")
        if s.device == "emulated":
            if what == "step":
                raise Skip("the emulator takes minutes a step")
            size.append("only=masked_mse")
        device = "cpu" if s.device == "cpu" else "cuda"
        told = s.run([s.program("vagus"), "bench", what, "--json", f"device={device}", *size], 120)
        if not told.ok:
            raise Failure(told.how())
        with open(s.file(what + ".json"), "w") as file:
            file.write(told.stdout)
        results = json.loads(told.stdout)["results"]
        if not results:
            raise Failure("it told no figures")
        if what == "step":
            return "; ".join(f"{r['model']} {r['precision']} batch {r['batch']}: {r['seconds'] * 1e3:.3f} ms, "
                             f"{r['segments_s']:.0f} segments/s" for r in results)
        return f"{len(results)} figures"
    return part


def python_with_pytorch():
    """This one, or the system's own where this one has no PyTorch."""
    for python in dict.fromkeys((sys.executable, shutil.which("python3"), "/usr/bin/python3")):
        if python and subprocess.run([python, "-c", "import importlib.util as u, sys; sys.exit(not u.find_spec('torch'))"],
                                     stderr=subprocess.DEVNULL).returncode == 0:
            return python
    return sys.executable


def pytorch(s):
    words = [python_with_pytorch(), os.path.join(HERE, "bench_pytorch.py"), "--out", s.file("pytorch.json"),
             "--device", "cuda" if s.device == "cuda" else "cpu", "--seconds", str(int(min(8 if s.options.quick else 130, s.left() - 30)))]
    words += ["--sizes", "paper", "--batch", "32"] if s.device == "cuda" else ["--sizes", "small", "--batch", "1"]
    for name in ("ops", "step"):
        if os.path.exists(s.file(name + ".json")):
            words += ["--" + name, s.file(name + ".json")]
    model = os.path.join(s.work, "reference", "checkpoints", f"step_{STEPS}", "model.safetensors")
    if os.path.exists(model):
        words += ["--model", model]
    told = s.run(words, 170)
    if told.code == 77:
        raise Skip(told.stdout.strip().replace("skipped: ", ""))
    if not told.ok:
        raise Failure(told.how())
    lines = [line for line in told.stdout.splitlines() if re.match(r"(attention|step)", line)]
    s.details["pytorch"] = lines
    for line in lines:
        print("  " + line, flush=True)
    return told.stdout.splitlines()[-1]


PARTS = [("environment", environment), ("program", program), ("doctor", doctor), ("vocabulary", vocabulary), ("ops", ops),
         ("training", training), ("identity", identity), ("nccl", ranks("one")), ("nccl-two", ranks("two")),
         ("nccl-training", two_ranks), ("bench-ops", bench("ops")), ("bench-step", bench("step")),
         ("memcheck", sanitizer("memcheck")), ("pytorch", pytorch), ("racecheck", sanitizer("racecheck"))]


def main():
    parser = argparse.ArgumentParser(prog="tests/gpu/run.sh", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=sorted(PROGRAMS), default="cuda", help="cpu and emulated try this script itself")
    parser.add_argument("--out", default=os.environ.get("OUT") or os.path.join(ROOT, "runs", "gpu"),
                        help="folder of the results (default: $OUT, else runs/gpu)")
    parser.add_argument("--minutes", type=float, default=9.5, help="for everything; what is left then is skipped")
    parser.add_argument("--only", type=lambda t: t.split(","), help="these parts alone: " + ",".join(n for n, _ in PARTS))
    parser.add_argument("--ops", type=lambda t: t.split(","), help="these operations alone")
    parser.add_argument("--programs", help="folder of a build, or of the programs, instead of looking for one")
    parser.add_argument("--quick", action="store_true", help="reduced grids in the operations' tests")
    options = parser.parse_args()
    options.out = os.path.abspath(options.out)
    if options.programs:
        options.programs = os.path.abspath(options.programs)
    unknown = [n for n in options.only or [] if n not in dict(PARTS)] + [n for n in options.ops or [] if n not in operations()]
    if unknown:
        parser.error(f"there is no {', '.join(unknown)}")
    if options.only:
        options.only += ["environment", "program"]
    session = Session(options)
    try:
        for name, function in PARTS:
            session.part(name, function)
            if name == "program" and not session.programs:
                break
    finally:
        good = session.save()
        shutil.rmtree(session.work, ignore_errors=True)
    with open(session.file("summary.txt")) as file:
        print("\n" + file.read() + f"results in {options.out}")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
