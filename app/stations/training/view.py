"""Station Training: start a training, watch it, stop and resume it, and compare what came of it.

Jobs run outside the page, in processes of their own; this view only reads their folders. It redraws by itself while a
job is live and makes no traffic when none is.
"""

from __future__ import annotations

import time
from typing import Any

import pandas as pd
import streamlit as st

from app import limits, loaders, state, widgets
from app.stations.training import compare as training_compare
from app.stations.training import figures, menu
from app.stations.training import start as training_start
from seminar_core.jobs import control as jobs
from seminar_core.jobs.state import LIVE, OF_A_RUN, TRAININGS
from seminar_core.training.curves import HARDWARE, Curves, alerts, thinned

PARTS = {"watch": "Watch", "start": "Start a training", "compare": "Compare runs"}
EVERY_S = 1.0
LOG_LINES = 40
PANEL = 340
SIGNS = {"queued": "⏳", "running": "▶", "stopping": "◐", "stopped": "■", "failed": "✕", "done": "✓", "lost": "?"}
SEARCHED = ("seminar", "seminar-pq")  # rankers whose first stage Retrieval can show
SHOWN_METRICS = ("validation/MRR", "validation/HIT@10", "validation/NDCG@10")


def render() -> None:
    """Draw the station."""
    st.segmented_control(
        "Part", list(PARTS), format_func=PARTS.__getitem__, required=True, label_visibility="collapsed",
        **state.bound("part", options=PARTS),
    )  # fmt: skip
    if state.get("part") == "start":
        training_start.render()
    elif state.get("part") == "compare":
        training_compare.render()
    else:
        watch()


def watch() -> None:
    """All jobs, and the chosen one in detail."""
    rows = jobs.rows(loaders.workspace())
    if not rows:
        widgets.empty("No training has been started yet. A first one takes about a minute.")
        st.button("Start a training", type="primary", on_click=state.put, kwargs={"part": "start"})
        return
    names = [row["job"] for row in reversed(rows)]
    about = {row["job"]: f"{row['job']} · {row['run'] or row['command']}" for row in rows}
    chosen = chosen_job(rows)["job"]
    if state.get("job") not in ("", chosen):
        widgets.trust_line(f"job {widgets.plain(state.get('job'))} is not known here: showing the newest")
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.selectbox("Job", names, format_func=about.__getitem__, width=340, **state.bound("job", options=names))
        st.segmented_control(
            "Curves by", list(figures.CLOCKS), format_func={"step": "step", "time_s": "time"}.__getitem__,
            required=True, **state.bound("clock", options=figures.CLOCKS),
        )  # fmt: skip
        st.button("Refresh", icon=":material/refresh:", help="Look for jobs that were started elsewhere")
    live = any(row["state"] in LIVE for row in rows)

    @st.fragment(run_every=EVERY_S if live else None)
    def panel() -> None:
        with widgets.explained("job_panel"):
            now = jobs.rows(loaders.workspace())
            shown = next((row for row in now if row["job"] == chosen), None)
            if shown is None:  # forgotten elsewhere: the whole page chooses another
                st.rerun(scope="app")
            detail(shown)
            st.dataframe(
                table(now), hide_index=True, height=min(320, 40 + 35 * len(now)), key="jobs_table",
                column_config={"what it says": st.column_config.TextColumn(width="large")},
            )  # fmt: skip
            if live and not any(row["state"] in LIVE for row in now):
                st.rerun()

    panel()


def chosen_job(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """The job that is watched: the chosen one, or the newest where that is not known."""
    return next((row for row in rows if row["job"] == state.get("job")), rows[-1])


def table(rows: list[dict[str, Any]]) -> pd.DataFrame:
    """The jobs, newest first, in words."""
    return pd.DataFrame(
        {
            "job": [row["job"] for row in reversed(rows)],
            "run": [row["run"] or "" for row in reversed(rows)],
            "state": [f"{SIGNS[row['state']]} {row['state']}" for row in reversed(rows)],
            "done": [percent(row) for row in reversed(rows)],
            "left": [duration(row["eta_s"]) for row in reversed(rows)],
            "device": [row["device"] or "" for row in reversed(rows)],
            "attempt": [row["attempt"] for row in reversed(rows)],
            "what it says": [(row["error"] or {}).get("message") or row["message"] for row in reversed(rows)],
        }
    )


def percent(row: dict[str, Any]) -> str:
    """Share of the present phase that is done; a finished job is done, whatever its last phase said."""
    if row["state"] == "done":
        return "100 %"
    return f"{100 * row['step'] / row['steps']:.0f} %" if row["steps"] else ""


def duration(seconds: float | None) -> str:
    """Seconds for people: 45 s, 3 min 20 s, 2 h 5 min."""
    if seconds is None:
        return ""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def detail(row: dict[str, Any]) -> None:
    """One job: how far it is, what can be done with it, its curves and its log."""
    st.subheader(f"{SIGNS[row['state']]} {widgets.plain(row['run'] or row['command'])}: {row['state']}", anchor=False)
    if row["state"] in LIVE:
        share = row["step"] / row["steps"] if row["steps"] else 0.0
        left = f" · about {duration(row['eta_s'])} left" if row["eta_s"] is not None else ""
        st.progress(min(share, 1.0), text=f"{percent(row)} {widgets.plain(row['message'])}{left}")
        if row["state"] == "stopping":
            jobs.enforce(loaders.workspace().job_dir(row["job"]))
    if row["error"]:
        st.error(f"{widgets.plain(row['error']['message'])}\n\n**Next:** {widgets.plain(row['error']['hint'])}")
    actions(row)
    numbers(row)
    curves = followed(row)
    if curves is not None:
        for alert in alerts(curves, None if row["state"] == "failed" else row["error"]):
            st.warning(f"{widgets.plain(alert.says)}. **Try:** {widgets.plain(alert.change)}")
        draw(row, curves)
    with st.expander("Log, and how this was started", key="job_log"):
        st.code(menu.command_line(row["words"], **launched_with(row)), language="sh", wrap_lines=True)
        lines = jobs.logs(loaders.workspace(), row["job"], LOG_LINES)
        st.code("\n".join(lines) or "The log is empty.", language=None, height=260)


def numbers(row: dict[str, Any]) -> None:
    """Step, time, memory and device of a job."""
    until = row["ended_s"] or time.time()
    took = until - row["started_s"] if row["started_s"] else None
    facts = [
        ("Step", f"{row['step']:,} of {row['steps']:,}" if row["steps"] else "–"),
        (
            ("Running for" if row["state"] in LIVE else "Took")
            + (f" (attempt {row['attempt']})" if row["attempt"] > 1 else ""),
            duration(took) or "–",
        ),
        ("Memory", f"{row['memory_mb']:,.0f} MB" if row["memory_mb"] else "–"),
        ("Device", row["device"] or "–"),
        ("Processor", f"{row['cpu_percent']:.0f} %" if row["cpu_percent"] is not None else "–"),
    ]
    if row["device_memory_mb"]:
        facts.append(("Device memory", f"{row['device_memory_mb']:,.0f} MB"))
    with st.container(horizontal=True):
        for label, value in facts:
            st.metric(label, value, width="content")


def actions(row: dict[str, Any]) -> None:
    """What can be done in the job's present state; a button is one job's, so that no click is taken for another's."""
    workspace, job = loaders.workspace(), row["job"]
    with st.container(horizontal=True):
        if row["state"] in ("queued", "running") and st.button(
            "Cancel", icon=":material/stop_circle:", key=f"cancel_{job}"
        ):
            jobs.cancel(workspace, job, wait=False)
            st.rerun(scope="app")
        if row["state"] in ("stopped", "failed", "lost") and st.button(
            "Resume", icon=":material/play_circle:", key=f"resume_{job}",
            help="A training continues from its last checkpoint, an encoding with the shards that are missing",
        ):  # fmt: skip
            jobs.resume(workspace, job)
            st.rerun(scope="app")
        if row["smaller_batch"] and st.button(
            f"Resume with {row['smaller_batch']} lives a step", icon=":material/compress:", key=f"smaller_{job}",
            help="Half the batch, from the last checkpoint; negatives, targets of a life and length stay",
        ):  # fmt: skip
            jobs.resume(workspace, job, smaller_batch=True)
            st.rerun(scope="app")
        if row["state"] == "done" and row["command"] in TRAININGS:
            ways_on(row)
        if row["command"] in TRAININGS and st.button(
            "Repeat with three seeds",
            icon=":material/repeat:",
            key=f"seeds_{job}",
            help="Starts three runs of their own",
        ):
            for seed in range(1, 4):
                words = menu.with_seed(row["words"], seed)
                limits.start_job(workspace, words, folder=row["folder"], **launched_with(row))
            st.rerun(scope="app")
        if row["state"] not in LIVE:
            forget(job)


def forget(job: str) -> None:
    """The question before a job's folder is deleted."""
    with st.popover("Forget this job", icon=":material/delete:", key=f"forget_{job}"):
        st.write("Deletes the job's folder and log. What it made stays.")
        if st.button("Yes, forget it", key=f"forget_yes_{job}"):
            jobs.delete(loaders.workspace(), job)
            state.put(job="")
            st.rerun(scope="app")


def launched_with(row: dict[str, Any]) -> dict[str, Any]:
    """By whom, in how many processes and on how many machines a job was started."""
    return {"engine": row["engine"] or "local", "processes": row["processes"], "nodes": row["nodes"]}


def ways_on(row: dict[str, Any]) -> None:
    """From a finished run to its map, its retrieval and its comparison with a baseline."""
    chosen = {"dataset": row["dataset"] or state.get("dataset"), "run": row["run"]}
    if st.button("Open its map", type="primary", icon=":material/hub:", key="open_map"):
        state.put(**chosen)
        widgets.open_station("alignment")
    models = {r["run"]: r.get("model") for r in loaders.runs(chosen["dataset"])}
    if models.get(row["run"]) in SEARCHED and st.button(
        "Open its retrieval", icon=":material/manage_search:", key="open_r"
    ):
        state.put(**chosen)
        widgets.open_station("retrieval")
    others = [r for r in loaders.runs(chosen["dataset"]) if r["run"] != row["run"] and r["state"] == "done"]
    others.sort(key=lambda r: (r.get("model") not in menu.BASELINES, r.get("kind") != "ranker"))
    if others and st.button("Compare it", icon=":material/compare_arrows:", key="open_compare"):
        state.put(part="compare", runs=(others[0]["run"], row["run"]))
        st.rerun(scope="app")


def followed(row: dict[str, Any]) -> Curves | None:
    """The curves of a job's run, read on from where this session last read; None where there are none."""
    if row["command"] not in OF_A_RUN or not row["run"]:
        return None
    path = loaders.workspace().run_dir(row["run"]) / "metrics.jsonl"
    known: dict[str, Curves] = st.session_state.setdefault("training_curves", {})
    curves = known.setdefault(str(path), Curves(path))
    curves.update()
    return curves if curves.lines else None


def draw(row: dict[str, Any], curves: Curves) -> None:
    """Each loss and the main validation metrics on their own panels, and the machine's figures behind them."""
    names = [n for n in curves.names() if n.startswith("loss/") or n in SHOWN_METRICS]
    mrr = curves.series("validation/MRR")
    best = mrr.iloc[int(mrr["value"].argmax())] if len(mrr) else None
    with st.container(horizontal=True, key="curves"):
        for name in names:
            series = curves.series(name)
            figure = figures.curve(
                thinned(series),
                name,
                state.get("clock"),
                best=None if best is None else float(best[state.get("clock")]),
            )
            alt = (
                f"{figures.title(name)} of run {row['run']}: {len(series)} points, last {series['value'].iloc[-1]:.4g}."
            )
            with st.container(width=PANEL):
                st.plotly_chart(figure, width="stretch", key=f"curve_{name}", alt=alt, config={"displaylogo": False})
    if best is not None:
        last = mrr.iloc[-1]
        st.caption(
            f"Validation MRR was best, {best['value']:.3f}, at step {best['step']:.0f} (dotted line); "
            f"last, {last['value']:.3f}, at step {last['step']:.0f}."
        )
    with st.expander("Table and download", key="behind_curves", on_change="rerun", type="compact") as behind:
        if behind.open:
            st.dataframe(curves.table(), hide_index=True, height=320)
            widgets.downloads(curves.table(), name=f"curves_{row['run']}")
    speed = curves.series(HARDWARE[0])
    if len(speed):
        widgets.trust_line(
            f"{speed['value'].iloc[-1]:,.0f} examples a second",
            f"peak memory {curves.series('memory_mb')['value'].max():,.0f} MB",
            f"{len(curves.lines):,} lines of run {widgets.plain(row['run'])}; a loss is the mean since the line before",
        )
