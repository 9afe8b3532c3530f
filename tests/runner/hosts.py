"""A private machine for a test: namespaces of its own for processes, network, names and mounts, so that nothing it starts
outlives it, no port of the machine is taken and no file of the machine changes. And hosts inside it: a network and a name
for each, joined by cables that can be pulled."""
import atexit
import os
import shutil
import socket
import subprocess
import sys
import tempfile

from program import VAGUS, skip

# What an outer scheduler or launcher may have set here; a test's ranks are started by the test alone.
STARTERS = ("SLURM", "OMPI_", "PMI", "PMIX", "TORCHELASTIC", "VAGUS_LAUNCH", "VAGUS_JOB", "VAGUS_RESTARTS", "VAGUS_LISTENER")
RANKS = {"RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "GROUP_RANK", "MASTER_ADDR", "MASTER_PORT"}


def forget_starters():
    for name in list(os.environ):
        if name.startswith(STARTERS) or name in RANKS:
            del os.environ[name]


def processes(**environment):
    """Numbers of the processes of the program that were given these variables."""
    found = []
    wanted = {f"{name}={value}" for name, value in environment.items()}
    for number in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{number}/environ") as file:
                if wanted <= set(file.read().split("\0")) and os.path.realpath(f"/proc/{number}/exe") == os.path.realpath(VAGUS):
                    found.append(int(number))
        except OSError:
            pass  # it has ended since
    return found


def need(*programs):
    missing = [name for name in programs if not shutil.which(name, path=os.environ["PATH"] + ":/usr/sbin:/sbin")]
    if missing:
        skip(f"{', '.join(missing)}: not installed (docker/install-packages.sh test)")


def private_machine(root):
    """Runs this test again inside namespaces; returns in there. `root`: needs root on the machine itself, because programs
    change users; else user namespaces do. Skips where the machine does not allow it."""
    if os.environ.pop("VAGUS_TEST_PRIVATE", "") != "":
        init()
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
        return
    need("unshare", "nsenter", "ip", "mount")
    forget_starters()
    os.environ["PATH"] += ":/usr/sbin:/sbin"
    if root and os.geteuid() != 0:
        skip("this test needs root")
    command = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc", "--net", "--uts"]
    if os.geteuid() != 0:
        command += ["--user", "--map-root-user"]
    tried = subprocess.run([*command, "ip", "link", "add", "try0", "type", "veth", "peer", "name", "try1"], stdout=subprocess.DEVNULL,
                           stderr=subprocess.PIPE, text=True)
    if tried.returncode != 0:
        skip("no namespaces here: " + " ".join(tried.stderr.split()))
    os.environ["VAGUS_TEST_PRIVATE"] = "1"
    sys.stdout.flush()
    os.execvp("unshare", [*command, sys.executable, *sys.argv])


def init():
    """The first process of a process namespace takes in the orphans: it only waits, the test is its child. When the test
    ends, or is killed from outside, the kernel ends every process in here."""
    child = os.fork()
    if child == 0:
        return
    while True:
        ended, status = os.wait()
        if ended == child:
            code = os.waitstatus_to_exitcode(status)
            os._exit(code if code >= 0 else 128 - code)


class Host:
    """A name and a network inside the private machine. `words(...)` is a command line that runs there."""

    def __init__(self, name):
        self.name = name
        self.port = None
        ready = "hostname " + name + " && ip link set lo up && echo ready && exec sleep infinity"
        self.holder = subprocess.Popen(["unshare", "--net", "--uts", "sh", "-c", ready], stdout=subprocess.PIPE, text=True)
        atexit.register(self.holder.kill)
        assert self.holder.stdout.readline() == "ready\n", "no namespaces for " + name

    def words(self, *words):
        return ["nsenter", "--target", str(self.holder.pid), "--net", "--uts", *words]

    def run(self, *words):
        return subprocess.run(self.words(*words), check=True, stdout=subprocess.PIPE, text=True).stdout

    def cable(self, up):
        """Pulls the host's cable at the bridge, or puts it back: packets are lost, and nobody is told."""
        subprocess.run(["ip", "link", "set", self.port, "up" if up else "down"], check=True)


def connect(hosts, subnet="10.97.3", domain="test"):
    """Joins the hosts and the private machine itself by a bridge: host i has the address SUBNET.(i + 1), the machine
    SUBNET.254, and all know each other by NAME and NAME.DOMAIN. Returns the hosts' addresses."""
    addresses = {f"{subnet}.{index + 1}": host for index, host in enumerate(hosts)}
    run = lambda *words: subprocess.run(words, check=True)
    run("ip", "link", "add", "bridge", "type", "bridge")
    run("ip", "address", "add", f"{subnet}.254/24", "dev", "bridge")
    run("ip", "link", "set", "bridge", "up")
    for index, (address, host) in enumerate(addresses.items()):
        host.port = f"port{index}"
        run("ip", "link", "add", host.port, "type", "veth", "peer", "name", "eth0", "netns", str(host.holder.pid))
        run("ip", "link", "set", host.port, "master", "bridge", "up")
        host.run("ip", "address", "add", address + "/24", "dev", "eth0")
        host.run("ip", "link", "set", "eth0", "up")
    with tempfile.NamedTemporaryFile("w") as names:
        names.write(f"127.0.0.1 localhost\n{subnet}.254 {socket.gethostname()}\n")
        names.writelines(f"{address} {host.name} {host.name}.{domain}\n" for address, host in addresses.items())
        names.flush()
        run("mount", "--bind", names.name, "/etc/hosts")
    return list(addresses)
