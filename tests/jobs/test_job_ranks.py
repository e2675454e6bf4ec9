"""A job of several processes: one run, one status, and the reason names which process died and of what."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from seminar_core.errors import ConfigError
from seminar_core.files import read_json, read_lines
from seminar_core.jobs import control as jobs
from seminar_core.jobs import ranks, smaller_batch
from seminar_core.jobs.ranks import Death, cause
from seminar_core.jobs.slots import slot_names
from seminar_core.jobs.state import JobSpec, JobStatus
from seminar_core.processes import process_identity
from seminar_core.workspace import Workspace
from tests.training.tiny_training import SMALL, tiny_workspace


@pytest.fixture
def tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Workspace]:
    monkeypatch.chdir(tmp_path)
    workspace = tiny_workspace(tmp_path)
    yield workspace
    for row in jobs.rows(workspace):
        if row["state"] in ("queued", "running"):
            jobs.cancel(workspace, row["job"])


def words(run: str = "both", **told: object) -> list[str]:
    settings = {**SMALL, "evaluate_every": 4, "seconds": 1e6, "patience": 10**6, "frames": 0, **told}
    return ["pretrain", "--dataset", "tiny", "--run", run] + [
        word for name, value in settings.items() for word in ("--set", f"{name}={value}")
    ]


def wait_for(what: Callable[[], bool], seconds: float = 90) -> None:
    until = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < until, "waited in vain"
        time.sleep(0.1)


def finish(workspace: Workspace, job: str) -> dict:
    wait_for(lambda: jobs.show(workspace, job)["state"] not in ("queued", "running", "stopping"))
    return jobs.show(workspace, job)


def training(workspace: Workspace, job: str) -> int:
    """Wait until it trains; the process id of its follower."""
    begun = jobs.show(workspace, job)
    wait_for(lambda: (row := jobs.show(workspace, job))["message"].startswith("training") or row["state"] == "failed")
    row = jobs.show(workspace, job)
    assert row["state"] == "running", (begun, row["error"], jobs.logs(workspace, job, 40))
    (follower,) = psutil.Process(row["pid"]).children()
    return follower.pid


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_two_processes_make_one_run_and_one_answer(tiny: Workspace):
    job = jobs.start(tiny, words(), processes=2)["job"]
    row = finish(tiny, job)
    assert (row["state"], row["error"], row["processes"], row["attempt"]) == ("done", None, 2, 1)
    answer = read_json(tiny.job_dir(job) / "result.json")
    assert (answer["processes"], answer["steps"]) == (2, 12)
    lines = read_lines(tiny.run_dir("both") / "metrics.jsonl")
    assert len({(line["step"], tuple(line)) for line in lines}) == len(lines)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_reason_names_the_process_that_was_killed_and_the_job_goes_on_from_its_checkpoint(tiny: Workspace):
    job = jobs.start(tiny, words(steps=100_000), processes=2)["job"]
    follower = training(tiny, job)
    os.kill(follower, signal.SIGKILL)
    row = finish(tiny, job)
    assert (row["state"], row["error"]["kind"]) == ("failed", "process_died")
    assert row["error"]["message"].startswith("process 1 of 2 ")
    assert row["error"]["message"].endswith("was killed by signal 9 (SIGKILL)")
    assert read_json(tiny.run_dir("both") / "status.json")["state"] == "failed"
    wait_for(lambda: process_identity(row["pid"]) is None, 20)
    last = read_json(tiny.run_dir("both") / "checkpoints" / "last" / "state.json")["counters"]["step"]
    jobs.resume(tiny, job)
    follower = training(tiny, job)
    wait_for(lambda: jobs.show(tiny, job)["step"] > last)
    began = time.monotonic()
    assert jobs.cancel(tiny, job)["state"] == "stopped" and time.monotonic() - began < 10
    wait_for(lambda: process_identity(follower) is None, 30)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_killed_first_process_takes_the_others_along(tiny: Workspace):
    job = jobs.start(tiny, words(steps=100_000), processes=2)["job"]
    follower = training(tiny, job)
    os.kill(jobs.show(tiny, job)["pid"], signal.SIGKILL)
    row = finish(tiny, job)
    assert row["state"] == "lost" and row["error"]["message"].startswith("process 0 of 2 ")
    wait_for(lambda: process_identity(follower) is None, 20)


def test_a_signal_comes_before_an_error_and_an_error_before_its_consequences():
    peer = Death(2, 3, "a", 1, {"kind": "process_died", "message": "lost the others", "hint": "h"}, time_s=1.0)
    own = Death(1, 3, "a", 1, {"kind": "out_of_memory", "message": "no room", "hint": "h"}, time_s=2.0)
    killed = Death(0, 3, "a", -9, time_s=3.0)
    assert cause([]) is None and cause([peer]) == peer
    assert cause([peer, own]) == own and cause([peer, own, killed]) == killed


@pytest.mark.parametrize(
    ("death", "kind", "says"),
    [
        (Death(1, 2, "n", -9), "process_died", "killed by signal 9 (SIGKILL)"),
        (Death(1, 2, "n", -11), "process_died", "killed by signal 11 (SIGSEGV)"),
        (Death(1, 2, "n", -9, ran_out=True), "out_of_memory", "(SIGKILL): its machine ran out of memory"),
        (Death(1, 2, "n", -11, ran_out=True), "process_died", "killed by signal 11 (SIGSEGV)"),
        (Death(1, 2, "n", 3), "process_died", "ended with exit status 3"),
        (Death(1, 2, "n", 1, {"kind": "k", "message": "no room", "hint": "h"}), "k", ": no room"),
    ],
)
def test_a_death_in_words(death: Death, kind: str, says: str):
    error = death.as_error()
    assert error["kind"] == kind and error["hint"]
    assert error["message"].startswith("process 1 of 2 (counted from 0, on n)") and error["message"].endswith(says)


def test_words_of_an_earlier_attempt_are_not_heard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv(ranks.ATTEMPT, "one")
    ranks.tell(tmp_path, Death(1, 2, "n", -9))
    assert ranks.told(tmp_path, 1) == Death(1, 2, "n", -9)
    monkeypatch.setenv(ranks.ATTEMPT, "two")
    assert ranks.told(tmp_path, 1) is None


@pytest.mark.parametrize(
    ("command", "engine", "processes", "nodes", "says"),
    [
        ("pretrain", "slurm", 3, 2, "3 processes cannot be spread evenly over 2 nodes"),
        ("pretrain", "local", 0, 1, "0 processes cannot be spread"),
        ("map", "local", 2, 1, "map works in one process, 2 were asked for"),
        ("pretrain", "local", 2, 2, "the local engine has this machine only, 2 nodes were asked for"),
    ],
)
def test_processes_that_do_not_fit_are_refused(command: str, engine: str, processes: int, nodes: int, says: str):
    with pytest.raises(ConfigError, match=says):
        JobSpec((command, "--run", "r"), "/w", engine, processes=processes, nodes=nodes)


def test_a_gpu_for_each_process_is_queued_for():
    assert slot_names("pretrain", "cpu", 2) == ["cpu"]
    assert slot_names("pretrain", "cuda", 2) == ["cuda:0", "cuda:1"]


@pytest.mark.parametrize(
    ("processes", "before", "after"),
    [(1, 6, 3), (2, 6, 2), (2, 8, 4), (2, 3, None), (4, 8, 4), (4, 4, None), (1, 1, None)],
)
def test_half_the_batch_can_still_be_shared_out_evenly(tmp_path: Path, processes: int, before: int, after: int | None):
    failed = JobStatus(state="failed", error=Death(1, 2, "n", -9, ran_out=True).as_error())
    for told in (("--set", f"batch_size={before}"), (f"--set=batches.batch_size={before}",)):
        spec = JobSpec(("pretrain", *told), str(tmp_path), processes=processes)
        assert smaller_batch.offered(spec, failed) == after


@pytest.mark.slow
def test_two_processes_encode_together(tiny: Workspace):
    encode = ["encode", "--dataset", "tiny", "--text", "hashing-256"]
    job = jobs.start(tiny, encode, processes=2)
    row = finish(tiny, job["job"])
    assert row["state"] == "done" and row["processes"] == 2, jobs.logs(tiny, job["job"])
    answer = jobs.result(tiny, job["job"])
    assert answer["text"]["encoder"] == "hashing-256" and answer["text"]["items"] > 0
    with pytest.raises(ConfigError, match="map works in one process, 2 were asked for"):
        JobSpec(("map", "--run", "r"), str(tiny.root), processes=2)
