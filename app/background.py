"""Background jobs as pages show them: the first run of a data set at every station, and a button that starts one job.

The jobs run outside the page; what is drawn here is read from their folders and redrawn by itself while one is live.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import streamlit as st

from app import limits, loaders, state, widgets
from seminar_core.access import may_operate
from seminar_core.errors import SeminarError, UnknownJobError
from seminar_core.jobs import control as jobs
from seminar_core.jobs import first_run as core
from seminar_core.jobs.state import LIVE

ENDED = "first_run_ended"
ENDED_AS = {"stopped": "was stopped", "failed": "failed", "lost": "was lost"}


def due(dataset_name: str) -> core.FirstRun:
    """How far the first run is; starts its next step where that is due."""
    now = core.state(loaders.workspace(), dataset_name)
    return core.advance(loaders.workspace(), dataset_name) if now.due and may_operate() else now


def first_run_goes_on(dataset_name: str) -> None:
    """While the first run of the data set is under way, show it and start its next step, at whichever station."""
    if st.session_state.get(ENDED) == dataset_name:
        return
    if dataset_name not in loaders.dataset_names():
        return
    with widgets.explained("first_run_next"):  # a next step that is refused says why, and the station is drawn
        if due(dataset_name).live:
            watch_first_run(dataset_name)
        else:
            st.session_state[ENDED] = dataset_name


def watch_first_run(dataset_name: str) -> None:
    """Show the first run, redrawn by itself, and start its steps until it has ended."""

    @st.fragment(run_every=1.0)
    def watch() -> None:
        with widgets.explained("first_run"):
            now = due(dataset_name)
            if not now.live:
                st.session_state[ENDED] = dataset_name
                if now.finished:
                    st.toast("The first run is ready: Alignment and Retrieval can be opened.", icon=":material/check:")
                st.rerun()
            with st.container(border=True):
                what = f"First run, step {now.done + 1} of {len(core.STEPS)}: {core.SAYS[now.next_step]}"
                progress(now.job or {}, what, key="first_run_cancel", done=now.done, steps=len(core.STEPS))

    watch()


def progress(job: dict[str, Any], what: str, *, key: str, done: int = 0, steps: int = 1) -> None:
    """A live job as a bar with its words and its time left, and a button that stops it.

    Args:
        job: its row.
        what: what it is, in fixed words.
        key: of the button.
        done, steps: where the job is one of several that follow each other.
    """
    share = min((job["step"] or 0) / job["steps"], 1.0) if job["steps"] else 0.0
    left = f"about {job['eta_s']:.0f} s left in this step" if job["eta_s"] else ""
    percent = f"{share:.0%}" if job["steps"] else ""
    message = job["message"] if job["state"] == "running" else job["state"]
    words = [what, percent, widgets.plain(message), left]
    st.progress((done + share) / steps, text=" · ".join(word for word in words if word))
    if job["state"] == "stopping":
        jobs.enforce(loaders.workspace().job_dir(job["job"]))
    elif st.button("Cancel", key=key, icon=":material/stop_circle:"):
        jobs.cancel(loaders.workspace(), job["job"], wait=False)
        st.rerun(scope="fragment" if state.in_part() else "app")  # the click may have come with a whole run


def first_run(dataset_name: str) -> None:
    """Where the data set has no run: offer to train a small one; while it grows, every station shows it at the top."""
    if any(row["run"] for row in loaders.runs(dataset_name) if row.get("kind") == "ranker"):
        return
    now = core.state(loaders.workspace(), dataset_name)
    if now.live or not may_operate():
        return

    def start() -> None:
        limits.refuse_jobs(loaders.workspace())
        limits.began(str(core.start(loaders.workspace(), dataset_name)["job"]))
        st.session_state.pop(ENDED, None)

    with st.container(border=True), widgets.explained("first_run_start"):
        if not now.started or now.job is None:
            st.write(
                "**No trained run yet.** Alignment and Retrieval need one. A small one takes about two minutes: "
                f"pretraining ({core.LIMITS['pretrain'][0]}), finetuning ({core.LIMITS['finetune'][0]}), codebooks "
                f"trained on {core.ROWS:,} rows. Each step runs outside this page; the next one is started while the "
                "app is open in a browser, at any station."
            )
            asked = st.button("Train a small run now", icon=":material/model_training:", key="first_run_start")
        else:
            error = now.job.get("error") or {}
            step = f"step {now.done + 1} of {len(core.STEPS)}, {core.SAYS[now.next_step]}"
            why = f": {widgets.plain(error['message'])}" if error.get("message") else ""
            next_step = f"\n\n**Next:** {widgets.plain(error['hint'])}" if error.get("hint") else ""
            st.warning(f"The first run {ENDED_AS[now.job['state']]} in {step}{why}.{next_step}")
            asked = st.button("Start this step again", key="first_run_again")
        if asked:
            start()
            st.rerun()


def job_button(label: str, words: list[str], *, key: str) -> None:
    """Start a background job and show it until it has ended; then the page is drawn again.

    Args:
        label: of the button.
        words: of the command.
        key: what it makes, of which run: another one has a button of its own.
    """
    running, failed = f"job_of_{key}", f"failed_{key}"

    def start() -> None:
        try:
            st.session_state[running] = limits.start_job(loaders.workspace(), words)
        except SeminarError as error:
            st.session_state[failed] = f"{error.message}. Next: {error.hint}"

    if st.session_state.get(failed):
        st.error(widgets.plain(st.session_state.pop(failed)))
    job = st.session_state.get(running)
    if not job:
        st.button(
            label, key=key, type="primary", icon=":material/play_arrow:", on_click=start, disabled=not may_operate()
        )
        return

    def ended(row: dict[str, Any] | None) -> None:
        st.session_state.pop(running, None)
        if row is not None and row["state"] != "done":
            error = row["error"] or {}
            st.session_state[failed] = str(error.get("message") or f"{job} {ENDED_AS[row['state']]}")

    watch(job, lambda _: job, key=key, ended=ended)


def watch(
    job: str,
    says: Callable[[dict[str, Any]], str],
    *,
    key: str,
    ended: Callable[[dict[str, Any] | None], None],
) -> None:
    """Show a job until it has ended, redrawn by itself; then the page is drawn again.

    Args:
        job: its name.
        says: what a row of it is, in fixed words.
        key: unique on the page.
        ended: told the job's row, or None where it was forgotten meanwhile (station Training).
    """

    @st.fragment(run_every=1.0)
    def look() -> None:
        with widgets.explained(f"watch_{key}"):
            now = known(job)
            if now is not None and now["state"] in LIVE:
                progress(now, says(now), key=f"cancel_{key}")
                return
            ended(now)
            st.rerun()

    look()


def known(job: str) -> dict[str, Any] | None:
    """A job's row; None where it was forgotten."""
    try:
        return jobs.show(loaders.workspace(), job)
    except UnknownJobError:
        return None
