"""Bring your own: files are uploaded, imported in a process of their own, reported, and used only when accepted."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

import streamlit as st

from app import background, limits, loaders, state, widgets
from app.stations.data import loaders as sources
from app.stations.data.hints import CONTROLS, for_page
from app.stations.data.report import problems, read_line
from seminar_core.access import may_operate
from seminar_core.data.intake.uploads import UploadLimits, is_upload, keep_upload
from seminar_core.errors import RelayedError, SeminarError
from seminar_core.jobs import control as jobs
from seminar_core.jobs.state import LIVE
from seminar_core.workspace import checked_name

ENDINGS = ["csv", "tsv", "txt", "jsonl", "ndjson", "parquet", "gz", "zst"]
DELIMITERS = {"": "guess", "comma": "comma", "semicolon": "semicolon", "tab": "tab", "pipe": "|"}
ENCODINGS = ("", "utf-8", "latin-1", "cp1252", "utf-16")
UNITS = {"": "seconds", "ms": "ms", "us": "µs", "ns": "ns"}
JOB, DONE, FAILED, SETTLED = "upload_job", "uploaded", "upload_failed", "upload_settled"


def bring_your_own() -> None:
    """Upload, import under supervision, report; the data set is used only when the reader says so."""
    if not may_operate():
        st.info("Only an operator may import data here.", icon=":material/lock:")
        return
    if settled := st.session_state.pop(SETTLED, None):
        st.success(widgets.plain(settled), icon=":material/inventory:")
    for name in loaders.dataset_names():
        with suppress(SeminarError):  # a damaged data set is told where it is opened
            if waiting := sources.offered_version(name):
                offer(name, waiting)
    if job := st.session_state.get(JOB) or running_upload():
        st.session_state[JOB] = job
        watch(job)
        return
    if failed := st.session_state.get(FAILED):
        widgets.error_panel(failed, key="upload_failed")
    if done := st.session_state.get(DONE):
        report_of_upload(done)
    form()


def form() -> None:
    """The files, the name, and how they are written."""
    st.write(
        "One row per event: `person`, `time` (UTC seconds or a date), `item`, and if you have them `query`, `action`, "
        "`label`. Items are optional: `item`, `title`, `description`, `category`, further attributes, and `image` "
        "(the picture's bytes)."
    )
    with st.form("upload", enter_to_submit=False):
        files = {
            "events": st.file_uploader("Events (CSV, JSON lines or Parquet)", type=ENDINGS, key="upload_events"),
            "items": st.file_uploader("Items (optional)", type=ENDINGS, key="upload_items"),
        }
        name = st.text_input("Name", placeholder="my-data", key="upload_name")
        replace = st.checkbox(
            "Replace a data set of this name",
            key="upload_replace",
            help="The new version is shown beside the old one first, and takes its place when you accept it.",
        )
        with st.expander("How the files are written, where the guess is wrong"):
            told = how_written()
        asked = st.form_submit_button("Check and import", type="primary")
    most = UploadLimits.of_environment()
    widgets.trust_line(
        f"at most {most.size_mb:,} MB and {most.rows:,} rows a file",
        f"imported in a process of its own with {most.memory_mb:,} MB of memory and {most.seconds:,} s",
    )
    if asked:
        take_in(name, files, told, replace)


def how_written() -> dict[str, Any]:
    """The controls that say what the flags of `import` say."""
    left, right = st.columns(2)
    return {
        "delimiter": left.selectbox(
            CONTROLS["--delimiter"], DELIMITERS, format_func=lambda name: DELIMITERS[name], key="upload_delimiter"
        ),
        "encoding": right.selectbox(
            CONTROLS["--encoding"], ENCODINGS, format_func=lambda name: name or "guess", key="upload_encoding"
        ),
        "time_unit": left.selectbox(
            CONTROLS["--time-unit"], UNITS, format_func=lambda name: UNITS[name], key="upload_time_unit"
        ),
        "time_format": right.text_input(
            CONTROLS["--time-format"], placeholder="%m/%d/%Y %H:%M", key="upload_time_format"
        ),
        "columns": st.text_input(
            CONTROLS["--column"],
            placeholder="person=userId, time=when",
            key="upload_columns",
            help="Our name = the name in your file, or its number where the file has no header; separated by commas.",
        ),
        "no_header": st.checkbox(CONTROLS["--no-header"], key="upload_no_header"),
    }


def hint_words(told: dict[str, Any]) -> list[str]:
    """What the controls say as options of `import`.

    Raises:
        ConfigError: a value that means nothing.
    """
    from seminar_core.data.hints import make_hints

    columns = [part.strip() for part in told["columns"].split(",") if part.strip()]
    said = {key: told[key].strip() or None for key in ("delimiter", "encoding", "time_unit", "time_format")}
    make_hints(columns=columns, header=not told["no_header"], **said)
    words = [f"--{key.replace('_', '-')}={value}" for key, value in said.items() if value is not None]
    return [*words, *(f"--column={pair}" for pair in columns), *(["--no-header"] if told["no_header"] else [])]


def take_in(name: str, files: dict[str, Any], told: dict[str, Any], replace: bool) -> None:
    """Keep the uploaded files and start their import as a job."""
    st.session_state.pop(DONE, None)
    st.session_state.pop(FAILED, None)
    if files["events"] is None:
        st.warning("Choose a file of events first.", icon=":material/upload_file:")
        return
    if checked_name(name, "data set") == loaders.SAMPLE:
        st.warning("The name sample is kept for the bundled sample. Choose another name.", icon=":material/lock:")
        return
    if name in loaders.dataset_names() and not replace:
        st.warning(
            f"There is a data set {widgets.plain(name)} already. Choose another name, or tick the box to replace it: "
            "runs made on the old one are then shown as stale.",
            icon=":material/content_copy:",
        )
        return
    try:
        words = hint_words(told)
        st.session_state[JOB] = start(name, files, words)
    except SeminarError as error:
        raise RelayedError(error.kind, for_page(error.message), for_page(error.hint)) from error
    st.rerun()


def start(name: str, files: dict[str, Any], words: list[str]) -> str:
    """Keep the files and start the import; its job."""
    workspace, most = loaders.workspace(), UploadLimits.of_environment()
    limits.refuse_bytes(sum(file.size for file in files.values() if file is not None))
    folder = keep_upload(workspace, files, most)
    words = ["import", "table", str(folder), f"--name={name}", "--offer", *most.words(), *words]
    try:
        return limits.start_job(workspace, words)
    except SeminarError:
        from seminar_core.data.stages import remove

        remove(folder)
        raise


def running_upload() -> str | None:
    """The import of an upload that is under way, whichever session began it; the page may have been loaded anew."""
    workspace = loaders.workspace()
    for row in reversed(jobs.rows(workspace)):
        words = row.get("words") or []
        if row["state"] in LIVE and words[:2] == ["import", "table"] and is_upload(workspace, Path(words[2])):
            return str(row["job"])
    return None


def watch(job: str) -> None:
    """Show the import until it has ended, with a button that stops it."""

    def ended(row: dict[str, Any] | None) -> None:
        st.session_state.pop(JOB, None)
        if row is None:
            return
        if row["state"] != "done":
            st.session_state[FAILED] = why_failed(row)
            return
        try:
            st.session_state[DONE] = jobs.result(loaders.workspace(), job)
        except SeminarError as error:  # its folder went a moment ago
            st.session_state[FAILED] = error

    background.watch(job, lambda row: f"Importing {widgets.plain(row['run'])}", key="upload", ended=ended)


def why_failed(row: dict[str, Any]) -> SeminarError:
    """How an import that brought nothing ended, in the words of the page."""
    if row["state"] == "stopped":
        return RelayedError("cancelled", "the import was cancelled; nothing was changed", "upload the files again")
    error = row["error"] or {}
    message = error.get("message") or f"the import {row['job']} {background.ENDED_AS[row['state']]}"
    hint = error.get("hint") or "upload the files again"
    if row["state"] == "lost":
        hint = "the machine may have run out of memory: bring fewer rows, and upload the files again"
    return RelayedError(error.get("kind") or row["state"], for_page(message), for_page(hint))


def counts(done: dict[str, Any]) -> str:
    """Events, people, items and rejected rows in words."""
    return (
        f"{done['events']:,} events of {done['people']:,} people and {done['items']:,} items, "
        f"{done['rejected']:,} rows rejected"
    )


def offer(name: str, version: str) -> None:
    """A version that waits: what it is, its report, and the two buttons that decide."""
    from seminar_core.data.versions import settle

    found, manifest = sources.offered_report(name, version)
    shown = widgets.plain(name)

    def decide(accept: bool) -> None:
        try:
            settle(loaders.workspace(), name, version, accept=accept)
        except SeminarError as error:
            st.session_state[FAILED] = error
            return
        verb = "has taken the place of the old one" if accept else "was discarded; the old one is as it was"
        st.session_state[SETTLED] = f"The new version of {name} {verb}."
        st.session_state.pop(DONE, None)

    with st.container(border=True):
        st.warning(
            f"A new version of **{shown}** waits: {counts(manifest['counts'])}. The old one is used until you accept "
            "the new one; runs made on the old one are then shown as stale.",
            icon=":material/pending_actions:",
        )
        read_line(found)
        problems(found, key=f"offer_{name}", by_page=True)
        with st.container(horizontal=True):
            st.button(f"Accept: replace {shown}", type="primary", key=f"accept_{name}", on_click=decide, args=(True,))
            st.button("Discard the new version", key=f"discard_{name}", on_click=decide, args=(False,))


def report_of_upload(done: dict[str, Any]) -> None:
    """What was imported and what is wrong with it, and the button that chooses it."""
    name = done["dataset"]
    if done.get("offered"):  # it stands above, with its report; or it was settled elsewhere
        return
    used = state.get("dataset") == name
    st.success(
        f"{widgets.plain(name)} is imported: {counts(done)}, in {done['seconds']:.1f} s. "
        + ("It is chosen now." if used else "Nothing uses it until you choose it."),
        icon=":material/inventory:",
    )
    found = loaders.report(name)
    read_line(found)
    problems(found, key="upload_problems", by_page=True)
    if used:
        widgets.trust_line("lengths, shares and the catalogue stand in the first tab, This data set")
        if st.button("Read a life of it", type="primary", icon=":material/timeline:", key="upload_life"):
            state.another_person(str(found["example_person"]))
            widgets.open_station("life")
        return
    st.button(
        f"Use {widgets.plain(name)}",
        type="primary",
        key="use_upload",
        on_click=state.put,
        kwargs={"dataset": name},
    )
