"""What one session may start: jobs that wait or run, uploads, maps at once, new questions to Retrieval in a second.

A session is one open page. The limits of the whole workspace (`jobs.control`) stand beside these; each has a variable
of the server's environment.
"""

from __future__ import annotations

import os
from typing import Any

import streamlit as st

from seminar_core.data.intake.uploads import whole_number
from seminar_core.errors import ResourceError
from seminar_core.jobs import control
from seminar_core.jobs.state import LIVE
from seminar_core.workspace import Workspace

MOST = {
    "SEMINAR_SESSION_JOBS": 20,
    "SEMINAR_SESSION_UPLOAD_MB": 2_000,
    "SEMINAR_SESSION_MAPS": 2,
    "SEMINAR_SESSION_QUESTIONS": 50,
}
STARTED, UPLOADED, MAPS, QUESTIONS = (f"session_{name}" for name in ("jobs", "uploaded", "maps", "questions"))


def most(variable: str) -> int:
    """The limit that a variable sets, else its default."""
    return whole_number(variable) if os.environ.get(variable) else MOST[variable]


def refuse_jobs(workspace: Workspace) -> None:
    """Raise when as many jobs of this session wait or run as may.

    Raises:
        ResourceError: with the number and the rule.
    """
    own = set(st.session_state.get(STARTED, ()))
    live = [name for name in sorted(own) if name in control.job_names(workspace) and is_live(workspace, name)]
    limit = most("SEMINAR_SESSION_JOBS")
    if len(live) >= limit:
        raise ResourceError(
            f"{len(live)} jobs of this session are waiting or running, at most {limit} may be ({', '.join(live)})",
            hint="wait for one or cancel one (station Training); SEMINAR_SESSION_JOBS sets another limit where the "
            "server is started",
        )


def is_live(workspace: Workspace, job: str) -> bool:
    """Whether a job waits or runs."""
    return control.show(workspace, job)["state"] in LIVE


def start_job(workspace: Workspace, words: list[str], **launch: Any) -> str:
    """Start a background job of this session, within its limit; its name.

    Raises:
        ResourceError: too many of this session wait or run.
        SeminarError: as `control.start`.
    """
    refuse_jobs(workspace)
    job = str(control.start(workspace, words, **launch)["job"])
    began(job)
    return job


def began(job: str) -> None:
    """Count a job that this session has started."""
    st.session_state[STARTED] = [*st.session_state.get(STARTED, ()), job]


def refuse_bytes(size: int) -> None:
    """Count what this session uploads, and raise beyond its limit.

    Raises:
        ResourceError: with the numbers.
    """
    before, limit = st.session_state.get(UPLOADED, 0), most("SEMINAR_SESSION_UPLOAD_MB")
    if before + size > limit * 1_000_000:
        raise ResourceError(
            f"this session has uploaded {before / 1e6:,.1f} MB already and now {size / 1e6:,.1f} MB, at most {limit:,} "
            "MB may be uploaded in one session",
            hint="SEMINAR_SESSION_UPLOAD_MB sets another limit where the server is started",
        )
    st.session_state[UPLOADED] = before + size


def refuse_maps(drawing: list[str]) -> None:
    """Raise when as many maps of this session are being drawn as may; `drawing` are those of the server.

    Raises:
        ResourceError: with the number and the rule.
    """
    own = [key for key in st.session_state.get(MAPS, ()) if key in drawing]
    limit = most("SEMINAR_SESSION_MAPS")
    if len(own) >= limit:
        raise ResourceError(
            f"{len(own)} maps of this session are being drawn, at most {limit} may be at once",
            hint="wait for one or stop it; SEMINAR_SESSION_MAPS sets another limit where the server is started",
        )


def map_began(key: str) -> None:
    """Count a map that this session has begun to draw."""
    st.session_state[MAPS] = [*st.session_state.get(MAPS, ()), key]


def refuse_haste(now_s: float) -> None:
    """Count a question to Retrieval that is not answered from memory, and raise beyond the limit of a second.

    Raises:
        ResourceError: with the number and the rule.
    """
    recent = [asked for asked in st.session_state.get(QUESTIONS, ()) if now_s - asked < 1]
    limit = most("SEMINAR_SESSION_QUESTIONS")
    if len(recent) >= limit:
        raise ResourceError(
            f"{len(recent) + 1} new questions of this session within a second, at most {limit} are answered",
            hint="wait a second; SEMINAR_SESSION_QUESTIONS sets another limit where the server is started",
        )
    st.session_state[QUESTIONS] = [*recent, now_s]
