"""Two processes over gloo are one process with the double batch; with the gather switched off they are not."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from seminar_core.errors import ConfigError
from seminar_core.training.launch import Group, launched

SCRIPT = Path(__file__).with_name("shared_steps.py")
ROOT = Path(__file__).resolve().parents[2]


def run(out: Path, kind: str, *, processes: int, gather: bool = True, torchrun: bool = False) -> dict[str, Tensor]:
    """Train in one process, or in several that find each other by the launcher's environment; read what came of it."""
    line = [str(SCRIPT), str(out), kind, "1" if gather else "0"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}
    if torchrun:
        launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
        started = [subprocess.Popen([sys.executable, *launcher, *line], env=environment)]
    elif processes == 1:
        started = [subprocess.Popen([sys.executable, *line], env=environment)]
    else:
        with socket.socket() as found:
            found.bind(("127.0.0.1", 0))
            port = str(found.getsockname()[1])
        meeting = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "WORLD_SIZE": str(processes)}
        started = [
            subprocess.Popen([sys.executable, *line], env={**environment, **meeting, "RANK": str(r), "LOCAL_RANK": "0"})
            for r in range(processes)
        ]
    assert [process.wait(timeout=240) for process in started] == [0] * len(started)
    return load_file(out)


# A softmax does not see a constant: the gradient of its last bias is rounding noise, which Adam enlarges.
UNSEEN = {"weight/gsu.head.2.bias"}


def distance(a: dict[str, Tensor], b: dict[str, Tensor], prefix: str) -> float:
    names = [name for name in a if name.startswith(prefix) and name not in UNSEEN]
    assert names and set(a) == set(b)
    return max(float((a[name].double() - b[name].double()).abs().max()) for name in names)


@pytest.mark.parametrize(
    "kind",
    [
        "psu",
        *(
            pytest.param(kind, marks=pytest.mark.slow)
            for kind in ("psu-extras", "psu-sparse", "ranker", "ranker-labels")
        ),
    ],
)
def test_two_processes_equal_one_with_the_double_batch(tmp_path: Path, kind: str):
    alone = run(tmp_path / "alone", kind, processes=1)
    both = run(tmp_path / "both", kind, processes=2)
    assert distance(alone, both, "loss/") < 1e-5
    assert distance(alone, both, "weight/") < 1e-5


@pytest.mark.slow
def test_torchs_own_launcher_starts_it_too(tmp_path: Path):
    alone = run(tmp_path / "alone", "psu", processes=1)
    both = run(tmp_path / "both", "psu", processes=2, torchrun=True)
    assert distance(alone, both, "weight/") < 1e-5


def test_without_the_gather_it_is_another_training(tmp_path: Path):
    alone = run(tmp_path / "alone", "psu", processes=1)
    apart = run(tmp_path / "apart", "psu", processes=2, gather=False)
    assert distance(alone, apart, "loss/") > 1e-2
    assert distance(alone, apart, "weight/") > 1e-4


def test_a_batch_is_shared_out_evenly_or_refused():
    assert [Group(rank, 4, rank).share(8) for rank in (0, 3)] == [slice(0, 2), slice(6, 8)]
    with pytest.raises(ConfigError, match="a batch of 7 lives cannot be shared by 2 processes"):
        Group(0, 2, 0).share(7)


def test_an_ordinary_process_is_no_group(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    assert launched() is None
    for name, value in (("WORLD_SIZE", "2"), ("RANK", "1"), ("LOCAL_RANK", "1")):
        monkeypatch.setenv(name, value)
    assert launched() == Group(1, 2, 1) and not Group(1, 2, 1).writes
    assert torch.distributed.is_available()
