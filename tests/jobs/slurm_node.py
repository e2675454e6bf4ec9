"""A one-node Slurm from Debian's packages (`apt-get install slurm-wlm munge`), on ports and folders of its own."""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import subprocess
import time
from pathlib import Path

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "scancel", "scontrol")

CONFIGURATION = """
ClusterName=one
SlurmctldHost={host}
SlurmctldPort={port}
SlurmdPort={node_port}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
JobRequeue=1
KillWait=30
MinJobAge=300
SchedulerParameters=sched_interval=1,batch_sched_delay=0
ReturnToService=2
NodeName={host} CPUs={cpus} State=UNKNOWN
PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


class SlurmNode:
    """Starts munged, slurmctld and slurmd; `reason` says why not when it cannot."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.reason: str | None = None
        self._processes: list[subprocess.Popen[bytes]] = []
        missing = [name for name in PROGRAMS if shutil.which(name) is None]
        if missing:
            self.reason = f"not installed: {', '.join(missing)} (apt-get install slurm-wlm munge)"
        elif os.geteuid() != 0:
            self.reason = "a one-node Slurm is started by root only"
        else:
            self.start()

    def start(self) -> None:
        folder = self.folder
        for name in ("state", "spool"):
            (folder / name).mkdir(parents=True)
        key = folder / "munge.key"
        key.write_bytes(secrets.token_bytes(128))
        key.chmod(0o600)
        (folder / "slurm.conf").write_text(
            CONFIGURATION.format(
                host=socket.gethostname(), folder=folder, cpus=os.cpu_count(), port=free_port(), node_port=free_port()
            )
        )
        os.environ["SLURM_CONF"] = str(folder / "slurm.conf")
        self._run(
            "munged", "--foreground", "--force", f"--socket={folder}/munge.socket", f"--key-file={key}",
            f"--pid-file={folder}/munge.pid", f"--log-file={folder}/munge.log", f"--seed-file={folder}/munge.seed",
        )  # fmt: skip
        self._run("slurmctld", "-D", "-c")
        self._run("slurmd", "-D")
        until = time.monotonic() + 20
        while "idle" not in self.ask("sinfo", "--noheader", "--format", "%T"):
            if time.monotonic() > until:
                logs = "".join(path.read_text()[-600:] for path in folder.glob("*.out"))
                self.stop()
                self.reason = f"the node did not become idle within 20 s: {logs}"
                return
            time.sleep(0.1)

    def _run(self, *line: str) -> None:
        with (self.folder / f"{line[0]}.out").open("wb") as out:
            self._processes.append(subprocess.Popen(line, stdout=out, stderr=out))

    def ask(self, *line: str) -> str:
        """The standard output of a Slurm command."""
        return subprocess.run(line, capture_output=True, text=True, timeout=30, check=False).stdout.strip()

    def stop(self) -> None:
        """End what still runs on the node, then the node."""
        self.ask("scancel", "--full", "--user=root")
        until = time.monotonic() + 10
        while self.ask("squeue", "--noheader") and time.monotonic() < until:
            time.sleep(0.1)
        for process in reversed(self._processes):
            process.terminate()
            process.wait(timeout=30)
        os.environ.pop("SLURM_CONF", None)


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]
