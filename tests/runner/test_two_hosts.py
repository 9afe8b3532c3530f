"""Two hosts, each with a network and a name of its own, start one run with `vagus launch --nodes 2`: the run of two ranks on
one host. A cable that is pulled ends both by the deadline, each naming the other; who does not come is named. The command line
is that of docker/cluster/kubernetes.yaml."""
import os
import signal
import subprocess
import time

from hosts import Host, connect, private_machine
from program import SANITIZED, VAGUS, Folder, lines, read, skip, synth, tiny
from ranks import run_ranks, same_bits

try:
    import yaml
except ImportError:
    skip("no python3-yaml (docker/install-packages.sh test)")
private_machine(root=False)

SLOW = 4 if SANITIZED else 1
TIMEOUT = 4 * SLOW
RUN = ["pretrain", "tiny.yaml", f"train.epochs={3 if SANITIZED else 20}", "checkpoint.every_steps=10", "threads=1",
       f"parallel.timeout={TIMEOUT}", f"parallel.start_timeout={30 * SLOW}"]
MASTER = "10.97.3.1:29400"


def launch(node, *words, master=MASTER, restarts=0):
    return ["launch", "-n", "1", "--nodes", "2", "--node-rank", str(node), "--master", master, "--max-restarts", str(restarts), "--",
            *words]


class Nodes:
    """Launchers on hosts; what each said and how it ended."""

    def __init__(self, *commands):
        self.files = [f"node{index}.out" for index in range(len(commands))]
        self.processes = []
        for name, (host, words) in zip(self.files, commands):
            with open(name, "w") as out:
                self.processes.append(subprocess.Popen(host.words(VAGUS, *words), stdin=subprocess.DEVNULL, stdout=out, stderr=out))

    def told(self):
        return [read(name).decode() for name in self.files]

    def wait(self, expect, seconds=120):
        try:
            codes = [process.wait(seconds * SLOW) for process in self.processes]
        except subprocess.TimeoutExpired:
            codes = f"not after {seconds * SLOW} s"
        told = self.told()
        assert codes == expect, f"exit {codes}, want {expect}\n" + "\n----\n".join(told)
        assert "Sanitizer" not in "".join(told), told
        return told

    def wait_until(self, true, seconds=120):
        end = time.monotonic() + seconds * SLOW
        while not true():
            ended = [process.poll() for process in self.processes]
            assert time.monotonic() < end and ended == [None] * len(ended), f"ended: {ended}\n" + "\n----\n".join(self.told())
            time.sleep(0.01)

    def wait_for_steps(self, folder, count=15):
        self.wait_until(lambda: steps(folder) >= count)


def steps(folder):
    try:
        return len(lines(folder + "/metrics.jsonl"))
    except (OSError, ValueError):
        return 0


def cable(hosts):
    """It is pulled: both ends give up by the deadline. It is put back: the launchers start the ranks again, and the run ends as
    if nothing had been."""
    nodes = Nodes(*[(host, launch(node, *RUN, "output_dir=runs/cable", restarts=2)) for node, host in enumerate(hosts)])
    nodes.wait_for_steps("runs/cable")
    hosts[1].cable(up=False)
    pulled = time.monotonic()
    nodes.wait_until(lambda: all("restart 1 of 2" in told for told in nodes.told()))
    took, told = time.monotonic() - pulled, nodes.told()
    print(f"both ends gave up {took:.1f} s after the cable was pulled; timeout {TIMEOUT} s")
    assert took <= 2 * TIMEOUT + 3 * SLOW, (took, told)
    assert "rank 1" in told[0] and hosts[1].name in told[0], told[0]
    assert "rank 0" in told[1] and hosts[0].name in told[1], told[1]
    hosts[1].cable(up=True)
    nodes.wait([0, 0])
    same_bits("runs/one-host", "runs/cable")


def missing(hosts):
    """All at once: nobody comes; nobody listens there; nobody is there; nobody has that name."""
    words = [*RUN, "output_dir=runs/missing", f"parallel.start_timeout={2 * SLOW}"]
    masters = ["10.97.3.1:29401", "10.97.3.77:29402", "no-such-host:29403"]
    nodes = Nodes((hosts[0], launch(0, *words)), *[(hosts[1], launch(1, *words, master=master)) for master in masters])
    told = nodes.wait([1] * 4)
    assert "rank 1" in told[0] and "did not arrive" in told[0], told[0]
    for master, said in zip(masters, told[1:]):
        host, port = master.split(":")
        error = said[said.index("error:"):]
        assert host in error and port in error and hosts[1].name in error, said


def kubernetes(hosts):
    """What the pods of the manifest run, with other files and one rank a pod; one pod is asked to go, both save."""
    with open(os.environ["VAGUS_SOURCE"] + "/docker/cluster/kubernetes.yaml") as file:
        service, job = yaml.safe_load_all(file)
    pod = job["spec"]["template"]["spec"]
    container = pod["containers"][0]
    words = list(container["args"])
    names = [f"{job['metadata']['name']}-{index}" for index in range(job["spec"]["completions"])]
    assert names == [host.name for host in hosts]
    assert words[words.index("--master") + 1].split(":")[0] == f"{names[0]}.{service['metadata']['name']}"
    assert pod["subdomain"] == service["metadata"]["name"]
    assert service["spec"]["selector"]["job-name"] == job["metadata"]["name"]
    assert int(words[words.index("--nodes") + 1]) == len(names) == job["spec"]["parallelism"]
    assert int(words[words.index("-n") + 1]) == container["resources"]["limits"]["nvidia.com/gpu"]
    rules = job["spec"]["podFailurePolicy"]["rules"]
    assert {rule["onExitCodes"]["values"][0]: rule["action"] for rule in rules[:2]} == {2: "FailJob", 75: "Ignore"}

    words[words.index("-n") + 1] = "1"
    first = words.index("pretrain")
    words[first:words.index("--resume")] = [*RUN, "output_dir=runs/pods"]
    commands = [(host, [word.replace("$(JOB_COMPLETION_INDEX)", str(index)) for word in words]) for index, host in enumerate(hosts)]
    nodes = Nodes(*commands)
    nodes.wait_for_steps("runs/pods")
    nodes.processes[1].send_signal(signal.SIGTERM)
    nodes.wait([75, 75])
    Nodes(*commands).wait([0, 0])
    same_bits("runs/one-host", "runs/pods")


with Folder():
    hosts = [Host("vagus-0"), Host("vagus-1")]
    connect(hosts, domain="vagus")
    synth()
    tiny()
    run_ranks("launch", 2, *RUN, "output_dir=runs/one-host")
    told = Nodes(*[(host, launch(node, *RUN, "output_dir=runs/two-hosts")) for node, host in enumerate(hosts)]).wait([0, 0])
    assert "2 ranks, started by vagus launch" in told[0], told
    same_bits("runs/one-host", "runs/two-hosts")
    for test in (cable, missing, kubernetes):
        begun = time.monotonic()
        test(hosts)
        print(f"{test.__name__}: {time.monotonic() - begun:.1f} s")
