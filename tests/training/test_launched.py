"""The commands under torch's own launcher: two processes make the run that one makes with the same whole batch."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import weakref
from pathlib import Path

import pytest
from safetensors.torch import load_file

from seminar_core.errors import Cancelled
from seminar_core.files import read_json, read_lines
from seminar_core.training import launch
from seminar_core.training.launch import Group, launched
from tests.training.tiny_training import RANKER, SMALL, tiny_workspace

ROOT = Path(__file__).resolve().parents[2]
STEPS = 20
# A softmax over candidates does not see a constant: the last bias, and the bias of a unit that is on for all of them,
# have gradients of rounding noise, which Adam enlarges.
ENLARGED = ("mlp.2.bias", "mlp.4.bias")


def train(folder: Path, processes: int, words: list[str], settings: dict[str, object], seconds: int = 240):
    """Run a command of training in so many processes of a launcher; what came of it and the one answer."""
    line = [sys.executable]
    if processes > 1:
        line += ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes), "-m", "--"]
    line += [
        *([] if processes > 1 else ["-m"]),
        "seminar_core",
        *words,
        "--json",
        "--workspace",
        str(folder / "workspace"),
    ]
    line += [word for name, value in settings.items() for word in ("--set", f"{name}={value}")]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}
    return subprocess.run(
        line, env=environment, cwd=folder, capture_output=True, text=True, timeout=seconds, check=False
    )


def answer(done: subprocess.CompletedProcess[str]) -> dict:
    """The only line on standard output."""
    assert done.returncode == 0, done.stderr[-3000:]
    (line,) = done.stdout.splitlines()
    return json.loads(line)


def furthest(one: Path, other: Path) -> float:
    """Largest difference of two checkpoints' weights."""
    a, b = (load_file(path / "weights.safetensors") for path in (one, other))
    assert a.keys() == b.keys()
    return max(float((a[name] - b[name]).abs().max()) for name in a if name not in ENLARGED)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("launched")
    tiny_workspace(path)
    return path


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("words", "settings"),
    [
        (["pretrain", "--dataset", "tiny"], SMALL),
        (["pretrain", "--dataset", "tiny"], {**SMALL, "sparse": "true"}),
        (["finetune", "--dataset", "tiny", "--model", "seminar"], RANKER),
    ],
    ids=["pretrain", "sparse", "finetune"],
)
def test_two_processes_of_torchrun_make_the_run_of_one(folder: Path, words: list[str], settings: dict):
    settings = {**settings, "steps": STEPS, "evaluate_every": 10, "seconds": 1e6, "patience": 99}
    kind = f"{words[0]}-{settings.get('sparse', 'dense')}"
    alone = answer(train(folder, 1, [*words, "--run", f"{kind}-alone"], settings))
    both = answer(train(folder, 2, [*words, "--run", f"{kind}-both"], settings))
    assert (alone["processes"], both["processes"], both["steps"]) == (1, 2, STEPS)
    one, two = (folder / "workspace" / "runs" / f"{kind}-{name}" for name in ("alone", "both"))
    assert {p.name for p in (one / "checkpoints").iterdir()} == {p.name for p in (two / "checkpoints").iterdir()}
    assert furthest(one / "checkpoints" / "last", two / "checkpoints" / "last") < 1e-5
    assert read_json(two / "status.json")["state"] == "done"
    lines = [[line for line in read_lines(path / "metrics.jsonl") if line["step"] % 5 == 0] for path in (one, two)]
    assert [line["step"] for line in lines[0]] == [line["step"] for line in lines[1]]
    for name in alone["losses"]:
        if alone["losses"][name] is not None:
            assert both["losses"][name] == pytest.approx(alone["losses"][name], abs=1e-5)
    assert both["validation"] == pytest.approx(alone["validation"], abs=1e-6)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_stopped_by_the_clock_and_resumed_by_two_equals_one(folder: Path):
    settings = {**SMALL, "steps": STEPS, "evaluate_every": 10, "seconds": 1e6, "patience": 99}
    words = ["pretrain", "--dataset", "tiny", "--run", "whole"]
    answer(train(folder, 1, words, settings))
    part = answer(train(folder, 2, [*words[:-1], "parts"], {**settings, "seconds": 1e-6}))
    assert (part["ended_by"], part["steps"]) == ("seconds", 1)
    run = folder / "workspace" / "runs" / "parts"
    card = read_json(run / "run.json")
    card["config"]["budget"]["seconds"] = 1e6
    (run / "run.json").write_text(json.dumps(card))
    rest = answer(train(folder, 2, [*words[:-1], "parts", "--resume"], {}))
    assert (rest["ended_by"], rest["steps"]) == ("steps", STEPS)
    last = [folder / "workspace" / "runs" / name / "checkpoints" / "last" for name in ("whole", "parts")]
    assert furthest(*last) < 1e-5


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_batch_that_cannot_be_shared_is_refused_by_name(folder: Path):
    done = train(folder, 2, ["pretrain", "--dataset", "tiny", "--run", "odd"], {**SMALL, "batch_size": 5})
    assert done.returncode != 0
    told = json.loads(done.stdout.splitlines()[0])
    assert "a batch of 5 lives cannot be shared by 2 processes" in told["error"]["message"]
    assert not (folder / "workspace" / "runs" / "odd").exists()


STOPPED = """
import dataclasses, sys
from pathlib import Path
from test_loop import budget, toy_task
from seminar_core.errors import Cancelled
from seminar_core.training.launch import launched, together
from seminar_core.training.loop import Loop

def progress(done, total, message):
    if done == 7:
        raise Cancelled("stop", hint="resume it")

with together(launched()):
    group = launched()
    told = progress if group.writes else lambda done, total, message: None
    loop = Loop(dataclasses.replace(toy_task(), group=group), Path(sys.argv[1]), budget())
    try:
        ended = loop.run(progress=told).reason
    except Cancelled:
        ended = "cancelled"
(Path(sys.argv[1]) / f"ended-{group.rank}").write_text(f"{ended} {loop.counters.step}")
"""


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_first_process_is_cancelled_and_both_end_at_the_same_step(tmp_path: Path):
    (tmp_path / "stopped.py").write_text(STOPPED)
    line = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    paths = os.pathsep.join([str(ROOT), str(Path(__file__).parent)])
    environment = {**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}
    subprocess.run([*line, str(tmp_path / "stopped.py"), str(tmp_path)], env=environment, timeout=240, check=True)
    assert [(tmp_path / f"ended-{rank}").read_text() for rank in (0, 1)] == ["cancelled 7", "stopped 7"]
    assert read_json(tmp_path / "checkpoints" / "last" / "state.json")["counters"]["step"] == 7
    assert [line["step"] for line in read_lines(tmp_path / "metrics.jsonl")] == [0, 5, 7]


@pytest.mark.parametrize(
    "error", [Cancelled("asked to stop", hint="resume"), ValueError("broken")], ids=["cancel", "error"]
)
def test_what_an_ended_run_held_is_gone_before_its_group(monkeypatch: pytest.MonkeyPatch, error: Exception):
    held: list[weakref.ref] = []
    gone: list[bool] = []

    class Shared:
        """Stands for what holds on to the group."""

    def train() -> None:
        shared = Shared()
        held.append(weakref.ref(shared))
        raise error

    monkeypatch.setattr(launch, "join", lambda group: None)
    monkeypatch.setattr(launch, "wait_for_all", lambda group: None)
    monkeypatch.setattr(launch.dist, "is_initialized", lambda: True)
    monkeypatch.setattr(launch.dist, "destroy_process_group", lambda: gone.append(held[0]() is None))
    with pytest.raises(type(error)), launch.together(Group(0, 2, 0)):
        train()
    assert gone == [True]


def test_a_step_of_srun_is_a_group_and_an_allocation_alone_is_not(monkeypatch: pytest.MonkeyPatch):
    for name in ("WORLD_SIZE", "RANK", "SLURM_STEP_NUM_TASKS"):
        monkeypatch.delenv(name, raising=False)
    for name, value in (("SLURM_NTASKS", "4"), ("SLURM_PROCID", "0"), ("SLURM_LOCALID", "0")):
        monkeypatch.setenv(name, value)
    assert launched() is None
    for name, value in (("SLURM_STEP_NUM_TASKS", "4"), ("SLURM_PROCID", "3"), ("SLURM_LOCALID", "1")):
        monkeypatch.setenv(name, value)
    assert launched() == Group(3, 4, 1)
