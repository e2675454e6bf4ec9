"""Jobs tell the truth: they run outside the caller, queue for their device, stop when asked and continue exactly."""

from __future__ import annotations

import json
import os
import socket
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from seminar_core.errors import (
    ConfigError,
    CorruptFileError,
    ExistsError,
    NotReadyError,
    UnknownJobError,
    UnknownNameError,
    UnsafePathError,
)
from seminar_core.files import read_lines
from seminar_core.jobs import control as jobs
from seminar_core.jobs import engines
from seminar_core.jobs.process import Eta
from seminar_core.jobs.removal import delete
from seminar_core.jobs.slots import slot_name
from seminar_core.jobs.state import (
    JobSpec,
    JobStatus,
    is_alive,
    read_status,
    write_spec,
    write_status,
)
from seminar_core.processes import process_identity
from seminar_core.training.run_files import RunCard, list_runs, new_run
from seminar_core.workspace import Workspace

DOUBLE = Path(__file__).with_name("job_double.py")


@pytest.fixture(autouse=True)
def double(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "runner_command", lambda job_dir: [sys.executable, str(DOUBLE), str(job_dir), "1"])


def words(run: str = "r", **told: object) -> list[str]:
    line = ["pretrain", "--dataset", "small", "--run", run]
    for key, value in told.items():
        line += ["--set", f"{key}={value}"]
    return line


def wait_for(what: Callable[[], bool], seconds: float = 20) -> None:
    until = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < until, "waited in vain"
        time.sleep(0.02)


def wait_until(workspace: Workspace, job: str, *states: str) -> dict:
    wait_for(lambda: jobs.show(workspace, job)["state"] in states)
    return jobs.show(workspace, job)


def test_a_job_runs_to_done_and_keeps_its_answer(workspace: Workspace):
    started = jobs.start(workspace, words(steps=3))
    assert started["job"] == "pretrain-0001" and started["pid"] and started["attempt"] == 1
    row = wait_until(workspace, started["job"], "done")
    assert (row["step"], row["steps"], row["error"], row["device"]) == (3, 3, None, "cpu")
    answer = json.loads((workspace.job_dir(started["job"]) / "result.json").read_text())
    assert answer == {"run": "r", "steps": 3}


def test_a_further_attempt_tells_the_device_it_has_not_that_of_the_attempt_before(workspace: Workspace):
    job = jobs.start(workspace, words(steps=3))["job"]
    wait_until(workspace, job, "done")
    status = read_status(workspace.job_dir(job))
    status.state, status.device = "failed", "cuda:0"  # as if that machine had a GPU and this one has none
    write_status(workspace.job_dir(job), status)
    jobs.resume(workspace, job)
    assert wait_until(workspace, job, "done")["device"] == "cpu"


def test_the_pid_is_the_training_process_in_a_session_of_its_own(workspace: Workspace):
    row = jobs.start(workspace, words(steps=50, pause=0.1))
    assert row["pid"] != os.getpid() and os.getpgid(row["pid"]) == row["pid"] == os.getsid(row["pid"])
    assert jobs.show(workspace, row["job"])["heartbeat_age_s"] < 5
    jobs.cancel(workspace, row["job"])


def test_a_second_press_of_the_same_button_is_refused(workspace: Workspace):
    row = jobs.start(workspace, words(steps=100, pause=0.05))
    with pytest.raises(ExistsError, match=r"pretrain-0001 is (queued|running) and makes 'r' already"):
        jobs.start(workspace, words(steps=100))
    assert len(jobs.rows(workspace)) == 1
    jobs.cancel(workspace, row["job"])
    with pytest.raises(NotReadyError, match="only a queued or running job can be cancelled"):
        jobs.cancel(workspace, row["job"])
    done = [(line["action"], line["outcome"]) for line in read_lines(workspace.root / "audit.jsonl")]
    assert done[-2:] == [("cancel job", "done"), ("cancel job", "failed: not_ready")]


def test_only_what_makes_the_same_is_refused_whatever_it_is_called(workspace: Workspace):
    jobs.start(workspace, words("r", steps=1000, pause=0.05))
    reading = [["evaluate", "--run", "r"], ["evaluate", "--run", "r", "--mode", "pair"], ["codebooks", "--run", "r"]]
    another = [["import", "table", "there", "--name", "r"], ["map", "--run", "r", "--out", "m.parquet"]]
    for line in [*reading, *another]:
        assert jobs.start(workspace, line)["words"] == line
    for line, says in (
        (["evaluate", "--run", "r"], r"evaluate-0002 is .* and makes 'evaluate --run r' already"),
        (["finetune", "--dataset", "other", "--run=r"], r"pretrain-0001 is .* and makes 'r' already"),
        (["map", "--run", "s", "--out", "./m.parquet"], r"map-0006 is .* and makes '/.*/m\.parquet' already"),
    ):
        with pytest.raises(ExistsError, match=says):
            jobs.start(workspace, line)
    for job in reversed(jobs.job_names(workspace)):  # the last in the queue first, so that none begins
        with suppress(NotReadyError):  # over
            jobs.cancel(workspace, job)


@pytest.mark.parametrize("reading", [["evaluate", "--run", "r"], ["finetune", "--run", "s", "--from=r"]])
def test_a_run_is_not_replaced_while_a_live_job_reads_it(workspace: Workspace, reading: list[str]):
    busy = jobs.start(workspace, words("busy", steps=1000, pause=0.05))["job"]
    waiting = jobs.start(workspace, reading)["job"]
    with pytest.raises(NotReadyError, match=rf"run 'r' cannot be replaced now: job {waiting} is queued and reads it"):
        jobs.start(workspace, [*words("r"), "--overwrite"])
    jobs.cancel(workspace, waiting)
    jobs.cancel(workspace, jobs.start(workspace, [*words("r"), "--overwrite"])["job"])
    jobs.cancel(workspace, busy)


def test_a_forgotten_jobs_name_is_not_given_again_and_numbers_are_in_order(workspace: Workspace):
    for _ in range(2):
        job = jobs.start(workspace, words(steps=1, mode="raise"))["job"]
        wait_until(workspace, job, "failed")
        jobs.delete(workspace, job)
    assert job == "pretrain-0002" and jobs.rows(workspace) == []
    for name in ("map-9999", "encode-10000", "made-by-hand"):
        workspace.job_dir(name).mkdir()
    assert jobs.job_names(workspace) == ["made-by-hand", "map-9999", "encode-10000"]
    assert jobs.next_number(workspace) == 10001


def test_the_device_is_given_in_order_of_arrival(workspace: Workspace):
    first = jobs.start(workspace, words("a", steps=1000, pause=0.02))
    second = jobs.start(workspace, words("b", steps=1))
    third = jobs.start(workspace, words("c", steps=1))
    wait_for(lambda: "2 ahead, first pretrain-0001" in jobs.show(workspace, third["job"])["message"])
    assert jobs.show(workspace, second["job"])["state"] == "queued"
    jobs.cancel(workspace, first["job"])
    done = [wait_until(workspace, row["job"], "done") for row in (second, third)]
    assert done[0]["ended_s"] <= done[1]["started_s"]


def test_a_queued_job_can_be_cancelled(workspace: Workspace):
    first = jobs.start(workspace, words("a", steps=1000, pause=0.02))
    second = jobs.start(workspace, words("b", steps=1))
    assert jobs.cancel(workspace, second["job"])["state"] == "stopped"
    assert not workspace.run_dir("b").exists()
    jobs.cancel(workspace, first["job"])


def test_cancel_ends_at_a_checkpoint_and_resume_does_no_step_twice(workspace: Workspace):
    job = jobs.start(workspace, words(steps=30, pause=0.05))["job"]
    wait_for(lambda: jobs.show(workspace, job)["step"] >= 3)
    began = time.monotonic()
    stopped = jobs.cancel(workspace, job)
    assert stopped["state"] == "stopped" and stopped["error"] is None and time.monotonic() - began < 10
    resumed = jobs.resume(workspace, job)
    assert resumed["attempt"] == 2
    assert wait_until(workspace, job, "done")["step"] == 30
    seen = (workspace.run_dir("r") / "seen.txt").read_text().split()
    assert seen == [str(step) for step in range(30)]


def test_a_deaf_job_is_killed_after_the_grace_period(workspace: Workspace):
    job = jobs.start(workspace, words(mode="deaf"))["job"]
    wait_until(workspace, job, "running")
    row = jobs.cancel(workspace, job)
    assert row["state"] == "stopped" and "without reaching a safe point" in row["message"]
    wait_for(lambda: process_identity(row["pid"]) is None)


def test_only_what_fits_the_state_is_accepted(workspace: Workspace):
    job = jobs.start(workspace, words(steps=1))["job"]
    wait_until(workspace, job, "done")
    with pytest.raises(NotReadyError, match="is done; only a queued or running job can be cancelled"):
        jobs.cancel(workspace, job)
    with pytest.raises(NotReadyError, match="is done; only a stopped, failed or lost job can be resumed"):
        jobs.resume(workspace, job)
    with pytest.raises(UnknownJobError, match="pretrain-0001"):
        jobs.show(workspace, "pretrain-9")
    jobs.delete(workspace, job)
    assert jobs.rows(workspace) == []


@pytest.mark.parametrize(
    ("mode", "kind", "text"), [("raise", "crash", "ValueError: the loop broke"), ("memory", "out_of_memory", "no room")]
)
def test_an_error_is_the_jobs_reason(workspace: Workspace, mode: str, kind: str, text: str):
    job = jobs.start(workspace, words(mode=mode))["job"]
    error = wait_until(workspace, job, "failed")["error"]
    assert error["kind"] == kind and text in error["message"] and error["hint"]
    assert any("Traceback" in line for line in jobs.logs(workspace, job))


def test_out_of_memory_is_resumed_with_half_the_batch_and_the_negatives_stay(workspace: Workspace):
    told = {"mode": "memory", "fits": 4, "batch_size": 16, "negatives": 20, "steps": 3}
    job = jobs.start(workspace, words(**told))["job"]
    assert wait_until(workspace, job, "failed")["smaller_batch"] == 8
    jobs.resume(workspace, job, smaller_batch=True)
    row = wait_until(workspace, job, "failed")
    assert (row["error"]["kind"], row["smaller_batch"]) == ("out_of_memory", 4)
    jobs.resume(workspace, job, smaller_batch=True)
    row = wait_until(workspace, job, "done")
    assert row["words"][-2:] == ["--set", "batch_size=4"] and "negatives=20" in row["words"]
    assert row["smaller_batch"] is None and row["attempt"] == 3


def test_a_smaller_batch_is_for_those_who_ran_out_of_memory(workspace: Workspace):
    job = jobs.start(workspace, words(mode="raise"))["job"]
    assert wait_until(workspace, job, "failed")["smaller_batch"] is None
    with pytest.raises(NotReadyError, match="cannot be resumed with a smaller batch"):
        jobs.resume(workspace, job, smaller_batch=True)
    job = jobs.start(workspace, words("one", mode="memory", batch_size=1))["job"]
    assert wait_until(workspace, job, "failed")["smaller_batch"] is None


def test_an_existing_run_fails_with_the_commands_own_error_and_resume_does_not_touch_it(workspace: Workspace):
    workspace.run_dir("r").mkdir(parents=True)
    job = jobs.start(workspace, words())["job"]
    assert wait_until(workspace, job, "failed")["error"]["kind"] == "exists"
    jobs.resume(workspace, job)
    assert wait_until(workspace, job, "failed")["error"]["kind"] == "exists"
    assert list(workspace.run_dir("r").iterdir()) == []


def test_a_run_that_was_to_be_overwritten_is_not_continued_when_the_job_died_before_replacing_it(workspace: Workspace):
    old = workspace.run_dir("r")
    (old / "checkpoints" / "last").mkdir(parents=True)
    (old / "checkpoints" / "last" / "step").write_text("4")
    (old / "run.json").write_text("{}")
    job = jobs.start(workspace, [*words(steps=5), "--set", "mode=raise", "--overwrite"])["job"]
    os.utime(old / "run.json", (1, 1))
    wait_until(workspace, job, "failed")
    os.utime(old / "run.json", (1, 1))
    spec_path = workspace.job_dir(job) / "spec.json"
    spec_path.write_text(spec_path.read_text().replace("mode=raise", "mode=fine"))
    jobs.resume(workspace, job)
    wait_until(workspace, job, "done")
    assert (old / "seen.txt").read_text().split() == ["0", "1", "2", "3", "4"]


def test_a_run_that_somebody_made_after_the_job_failed_without_one_is_not_continued(workspace: Workspace):
    job = jobs.start(workspace, words(mode="early"))["job"]
    assert "could not be read" in wait_until(workspace, job, "failed")["error"]["message"]
    theirs = workspace.run_dir("r")
    (theirs / "checkpoints" / "last").mkdir(parents=True)
    (theirs / "checkpoints" / "last" / "step").write_text("4")
    (theirs / "run.json").write_text("{}")
    spec_path = workspace.job_dir(job) / "spec.json"
    spec_path.write_text(spec_path.read_text().replace("mode=early", "mode=fine"))
    jobs.resume(workspace, job)
    assert wait_until(workspace, job, "failed", "done")["error"]["kind"] == "exists"
    assert not (theirs / "seen.txt").exists()


def test_a_specification_edited_by_hand_fails_with_the_known_keys(workspace: Workspace):
    job = jobs.start(workspace, words(steps=1))["job"]
    wait_until(workspace, job, "done")
    job_dir = workspace.job_dir(job)
    spec = json.loads((job_dir / "spec.json").read_text())
    (job_dir / "spec.json").write_text(json.dumps({**spec, "speed": 11}))
    write_status(job_dir, JobStatus(state="stopped"))
    row = jobs.show(workspace, job)
    assert row["error"]["kind"] == "config" and "unknown keys ['speed']" in row["error"]["message"]
    with pytest.raises(ConfigError, match="known keys: created_s, engine"):
        jobs.resume(workspace, job)


def test_unknown_commands_and_engines_are_refused_with_the_known_ones(workspace: Workspace):
    with pytest.raises(UnknownNameError, match="job command 'gap' is not known; known: bench, codebooks, encode"):
        jobs.start(workspace, ["gap", "--run", "r"])
    with pytest.raises(UnknownNameError, match="engine 'ray' is not known; known: local, slurm"):
        jobs.start(workspace, words(), engine="ray")
    assert jobs.rows(workspace) == []


@pytest.mark.parametrize("option", ["--run", "--from", "--name"])
def test_a_name_that_leaves_the_workspace_is_refused_before_anything_starts(workspace: Workspace, option: str):
    with pytest.raises(UnsafePathError, match=r"'\.\./x' is not allowed"):
        jobs.start(workspace, ["import", "table", "there", option, "../x"])
    assert jobs.rows(workspace) == []


@pytest.mark.parametrize("left", ["", '{"state": "run', "[]", '{"state": "resting"}'])
def test_a_damaged_status_is_that_jobs_failure_and_stops_no_other(workspace: Workspace, left: str):
    broken = jobs.start(workspace, words("a", steps=3))["job"]
    wait_until(workspace, broken, "done")
    (workspace.job_dir(broken) / "status.json").write_text(left)
    other = jobs.start(workspace, words("b", steps=3))["job"]
    wait_until(workspace, other, "done")
    first, second = jobs.rows(workspace)
    assert (first["state"], first["error"]["kind"], first["run"]) == ("failed", "corrupt_file", "a")
    assert second["state"] == "done"
    with pytest.raises(CorruptFileError, match=r"status\.json"):
        jobs.resume(workspace, broken)


@pytest.mark.parametrize("left", ["", '{"state": "run', "[]", "{}"])
def test_a_run_with_a_damaged_status_is_listed_as_damaged_and_can_be_deleted(workspace: Workspace, left: str):
    card = RunCard("broken", "ranker", "din", "d", "h", {}, {}, 0)
    directory = new_run(workspace, card, overwrite=False)
    (directory / "status.json").write_text(left)
    (row,) = [row for row in list_runs(workspace)["runs"] if row["run"] == "broken"]
    assert row["state"] == "damaged" and "status.json" in row["error"]
    assert delete(workspace, "run", "broken")["deleted"] == "broken" and not directory.exists()


@pytest.mark.parametrize(
    ("left", "says"),
    [
        ("[]", "no table whose 'words' are a list"),
        ('{"words": 5, "workspace": "w"}', "no table whose 'words' are a list"),
        ('{"words": ["map"], "workspace": "w", "threads": "two"}', "a value of the wrong kind"),
        ('{"words": ["map"], "workspace": "w", "engine": "ray"}', "engine 'ray' is not known"),
    ],
)
def test_a_damaged_specification_is_that_jobs_failure_and_stops_no_other(workspace: Workspace, left: str, says: str):
    for name in ("map-0001", "map-0002"):
        workspace.job_dir(name).mkdir(parents=True)
        write_spec(workspace.job_dir(name), JobSpec(("map", "--run", "r"), str(workspace.root)))
        write_status(workspace.job_dir(name), JobStatus())
    (workspace.job_dir("map-0001") / "spec.json").write_text(left)
    first, second = jobs.rows(workspace)
    assert (first["state"], second["state"]) == ("failed", "queued") and says in first["error"]["message"]


def test_options_are_read_from_the_words():
    spec = JobSpec(("finetune", "--run=a", "--device", "cuda", "--run", "b"), "/w")
    assert (spec.run, spec.device, spec.option("from")) == ("b", "cuda", None)
    assert JobSpec(("import", "table", "x", "--name", "n"), "/w").run == "n"


def test_slots_are_one_per_device(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert slot_name("pretrain", "auto") == slot_name("map", "cuda") == "cpu"
    assert slot_name("pretrain", "cuda") == "cuda:0" and slot_name("finetune", "cuda:1") == "cuda:1"


def test_a_used_again_pid_is_not_life():
    started = process_identity(os.getpid())
    assert started is not None
    assert is_alive(JobStatus(pid=os.getpid(), pid_identity=started))
    assert not is_alive(JobStatus(pid=os.getpid(), pid_identity=started + "0"))


def test_a_step_of_the_clock_neither_loses_a_running_job_nor_lets_its_run_be_deleted(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
):
    job = jobs.start(workspace, words(steps=1000, pause=0.02))["job"]
    wait_until(workspace, job, "running")
    real = psutil.Process.create_time
    monkeypatch.setattr(psutil.Process, "create_time", lambda process: real(process) + 3600)  # as a set clock does
    assert jobs.show(workspace, job)["state"] == "running"
    with pytest.raises(NotReadyError, match=job):
        delete(workspace, "run", "r")
    jobs.cancel(workspace, job)


def test_a_zombie_is_not_life():
    import subprocess

    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    started = process_identity(child.pid)
    assert is_alive(JobStatus(pid=child.pid, pid_identity=started))
    child.kill()
    wait_for(lambda: not is_alive(JobStatus(pid=child.pid, pid_identity=started)))
    child.wait()


def test_time_left_follows_the_speed_of_the_present_phase():
    eta = Eta()
    assert eta.update(0, 100, "reading", 0.0) is None
    assert eta.update(50, 100, "reading", 5.0) == pytest.approx(5.0)
    assert eta.update(1, 40, "training", 6.0) is None
    assert eta.update(11, 40, "training", 16.0) == pytest.approx(29.0)


def test_time_left_is_told_where_the_number_of_steps_follows_the_pace():
    eta = Eta()
    assert eta.update(1, 400, "training, loss 2.900", 0.0) is None
    assert eta.update(11, 390, "training, loss 2.800", 10.0) == pytest.approx(379.0)
    assert eta.update(21, 385, "training, loss 2.700", 20.0) == pytest.approx(364.0)
    assert eta.update(1, 50, "training", 30.0) is None  # begins again


@pytest.mark.parametrize(
    ("command", "told"), [("pretrain", "continues from its last checkpoint"), ("evaluate", "begins anew")]
)
def test_a_lost_job_says_what_a_resumed_one_does(workspace: Workspace, command: str, told: str):
    job_dir = workspace.job_dir(f"{command}-0001")
    job_dir.mkdir(parents=True)
    write_spec(job_dir, JobSpec((command, "--run", "r"), str(workspace.root), "local", str(workspace.root), 1, 0.0))
    write_status(
        job_dir, JobStatus(state="running", pid=2**22 + 1, pid_identity="another boot+1", host=socket.gethostname())
    )
    row = jobs.show(workspace, job_dir.name)
    assert row["state"] == "lost" and told in row["error"]["hint"] and row["ended_s"] is None
    (job_dir / "heartbeat").touch()
    os.utime(job_dir / "heartbeat", (1000.0, 1000.0))
    assert jobs.show(workspace, job_dir.name)["ended_s"] == pytest.approx(1000.0, abs=0.1)  # when it last lived
