"""One session may start so many jobs, upload so many bytes and draw so many maps, and is told the number."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from app import limits
from seminar_core.errors import ResourceError
from seminar_core.jobs import control


@pytest.fixture
def session(monkeypatch) -> dict:
    """A session without a page."""
    state: dict = {}
    monkeypatch.setattr(limits, "st", SimpleNamespace(session_state=state))
    return state


def test_jobs_of_a_session_are_counted_while_they_live(session, workspace, monkeypatch):
    monkeypatch.setenv("SEMINAR_SESSION_JOBS", "2")
    states = {}

    def start(workspace, words):
        name = f"encode-{len(states):04d}"
        states[name] = "queued"
        return {"job": name}

    monkeypatch.setattr(control, "start", start)
    monkeypatch.setattr(control, "job_names", lambda workspace: list(states))
    monkeypatch.setattr(control, "show", lambda workspace, job: {"state": states[job]})
    started = [limits.start_job(workspace, ["encode"]) for _ in range(2)]
    with pytest.raises(ResourceError, match="2 jobs of this session are waiting or running, at most 2 may be") as no:
        limits.start_job(workspace, ["encode"])
    assert "SEMINAR_SESSION_JOBS" in no.value.hint and started[0] in no.value.message
    states[started[0]] = "done"
    assert limits.start_job(workspace, ["encode"]) == "encode-0002"
    session.clear()  # another session has its own share
    assert limits.start_job(workspace, ["encode"]) == "encode-0003"


def test_bytes_of_a_session_add_up(session, monkeypatch):
    monkeypatch.setenv("SEMINAR_SESSION_UPLOAD_MB", "3")
    limits.refuse_bytes(2_000_000)
    with pytest.raises(ResourceError, match=r"has uploaded 2\.0 MB already and now 1\.5 MB, at most 3 MB"):
        limits.refuse_bytes(1_500_000)
    limits.refuse_bytes(1_000_000)


def test_maps_of_a_session_are_counted_while_they_are_drawn(session):
    for key in ("a", "b"):
        limits.refuse_maps(["a", "x", "y"])
        limits.map_began(key)
    with pytest.raises(ResourceError, match="2 maps of this session are being drawn, at most 2 may be at once"):
        limits.refuse_maps(["a", "b", "x"])
    limits.refuse_maps(["b", "x"])


def test_a_thousand_what_ifs_a_second_meet_a_limit_that_is_named(session):
    answered = 0
    with pytest.raises(
        ResourceError, match="51 new questions of this session within a second, at most 50 are answered"
    ):
        for n in range(1_000):
            limits.refuse_haste(n / 1_000)
            answered += 1
    assert answered == 50
    limits.refuse_haste(1.0), limits.refuse_haste(1.01)  # those of a second ago are over
