"""A whole Slurm for a test: munged, slurmctld and a slurmd for each host, with a key, sockets and state of their own in a
temporary folder, inside the test's private machine (hosts.py)."""
import os
import re
import subprocess
import time

from hosts import Host, connect, need
from program import SANITIZED

CONFIG = """
ClusterName=vagus
SlurmctldHost=localhost(10.97.3.254)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket,cred_expire=5
SlurmctldPort=6817
SlurmdPort=6818
StateSaveLocation={folder}/state
SlurmctldPidFile={folder}/slurmctld.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdSpoolDir={folder}/spool-%h
SlurmdPidFile={folder}/slurmd-%h.pid
SlurmdLogFile={folder}/slurmd-%h.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SlurmdParameters=config_overrides
SchedulerParameters=sched_interval=1,batch_sched_delay=1,sched_min_interval=0
ReturnToService=2
KillWait=20
MailProg=/bin/true
{nodes}
PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


def need_slurm():
    need("munged", "slurmctld", "slurmd", "srun", "sbatch", "scontrol")


class Slurm:
    """`with Slurm(FOLDER, NAMES) as slurm`: started, its nodes idle. FOLDER is empty, and is left to the caller. The
    processes end with the private machine."""

    def __init__(self, folder, names):
        self.folder = folder
        self.hosts = [Host(name) for name in names]
        addresses = connect(self.hosts)
        # Each claims more processors than it has: the ranks are small and share them.
        nodes = "\n".join(f"NodeName={name} NodeHostname={name} NodeAddr={address} CPUs=4 State=UNKNOWN"
                          for name, address in zip(names, addresses))
        os.chmod(folder, 0o755)
        os.mkdir(folder + "/state")
        with open(folder + "/slurm.conf", "w") as file:
            file.write(CONFIG.format(folder=folder, nodes=nodes))
        with open(os.open(folder + "/munge.key", os.O_CREAT | os.O_WRONLY, 0o600), "wb") as file:
            file.write(os.urandom(128))
        os.environ["SLURM_CONF"] = folder + "/slurm.conf"
        self.daemons = []

    def __enter__(self):
        try:
            self.begin()
        except BaseException:
            self.__exit__(True)
            raise
        return self

    def begin(self):
        self.start("munged", "--foreground", "--force", "--num-threads=2", f"--key-file={self.folder}/munge.key",
                   f"--socket={self.folder}/munge.socket", f"--pid-file={self.folder}/munge.pid",
                   f"--log-file={self.folder}/munged.log", f"--seed-file={self.folder}/munge.seed")
        self.wait(lambda: os.path.exists(self.folder + "/munge.socket"), "munged")
        self.start("slurmctld", "-D")
        for host in self.hosts:
            self.start(*host.words("slurmd", "-D"))
        self.wait(lambda: self.states() == ["idle"] * len(self.hosts), "Slurm's nodes")

    def __exit__(self, error, *_):
        for daemon in reversed(self.daemons):
            daemon.kill()
            daemon.wait()
        if error:
            for name in sorted(os.listdir(self.folder)):
                if name.endswith(".out"):
                    with open(f"{self.folder}/{name}") as file:
                        print(f"---- {name}\n" + "".join(file.readlines()[-30:]))

    def start(self, *words):
        with open(f"{self.folder}/daemon{len(self.daemons)}.out", "w") as out:
            self.daemons.append(subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=out, stderr=out))

    def wait(self, true, what, seconds=60):
        seconds *= 10 if SANITIZED else 1
        end = time.monotonic() + seconds
        while not true():
            ended = [daemon.args for daemon in self.daemons if daemon.poll() is not None]
            assert not ended, f"ended while waiting for {what}: {ended}"
            assert time.monotonic() < end, f"{what}: not after {seconds} s\n" + self.tell("scontrol", "show", "nodes")
            time.sleep(0.1)

    @staticmethod
    def tell(*words):
        answer = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        return answer.stdout

    def states(self):
        return self.tell("sinfo", "--noheader", "--Node", "--format=%t").split()

    def submit(self, *words):
        """sbatch; returns the job's number."""
        told = self.tell("sbatch", "--parsable", *words)
        assert re.fullmatch(r"\d+\n", told), told
        return told.strip()

    def job(self, number, key):
        found = re.search(rf"\b{key}=(\S*)", self.tell("scontrol", "show", "job", number))
        return found[1] if found else None
