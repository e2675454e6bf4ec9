"""Station Training, part Compare: curves overlaid, what differs in the settings, metrics with paired differences."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pandas as pd
import streamlit as st

from app import limits, loaders, state, widgets
from app.stations.training import about, figures, notes
from seminar_core.errors import ExistsError
from seminar_core.jobs import control as jobs
from seminar_core.jobs.state import LIVE
from seminar_core.training.curves import Curves, thinned

EVERY_S = 1.0
HEADLINE = ("MRR", "HIT@1", "HIT@10", "NDCG@10", "AUC")


def render() -> None:
    """Draw the comparison of the chosen runs."""
    workspace = loaders.workspace()
    found = loaders.runs()
    with st.container(horizontal=True, vertical_alignment="bottom"):
        put_away = st.toggle("Show archived runs", key="show_archived")
        written = {r["run"]: notes.read_note(workspace, r["run"]) for r in found}
        names = [name for name, note in written.items() if put_away or not note.archived or name in state.get("runs")]
    if not names:
        widgets.empty("There is no run yet: start a training first.")
        return

    def label(name: str) -> str:
        tags = " ".join(f"[{tag}]" for tag in written[name].tags)
        shown = f"{written[name].name} ({name})" if written[name].name else name
        return f"{shown} {tags}".strip()

    st.multiselect(
        "Runs; the others are measured against the first", names, format_func=label, placeholder="choose two or more",
        **state.bound("runs", options=names, to=tuple),
    )  # fmt: skip
    chosen = [name for name in state.get("runs") if name in names]
    if gone := [name for name in state.get("runs") if name not in names]:
        widgets.trust_line(f"not known here and left out: {widgets.plain(', '.join(gone))}")
    if chosen:
        overlaid(chosen)
    if len(chosen) > 1:
        with widgets.explained("compare"):
            beside_each_other(chosen)
    for name in chosen:
        about.about(name, written[name])


def overlaid(chosen: list[str]) -> None:
    """One metric of all runs over step or time."""
    curves = {}
    for name in chosen:
        curves[name] = Curves(loaders.workspace().run_dir(name) / "metrics.jsonl")
        curves[name].update()
    metrics = list(dict.fromkeys(metric for one in curves.values() for metric in one.names()))
    if not metrics:
        widgets.empty("None of these runs has written a line yet.")
        return
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.selectbox("Curve", metrics, format_func=figures.title, width=260, **state.bound("metric", options=metrics))
        st.segmented_control(
            "By", list(figures.CLOCKS), format_func={"step": "step", "time_s": "time"}.__getitem__, required=True,
            **state.bound("clock", options=figures.CLOCKS),
        )  # fmt: skip
    metric = state.get("metric") if state.get("metric") in metrics else metrics[0]
    series = {name: one.series(metric) for name, one in curves.items()}
    last = "; ".join(f"{name} {table['value'].iloc[-1]:.4g}" for name, table in series.items() if len(table))
    widgets.chart(
        figures.overlay({name: thinned(table) for name, table in series.items()}, metric, state.get("clock")),
        name="overlay",
        alt=f"{figures.title(metric)} of {len(series)} runs; last values: {last}.",
        table=lambda: pd.concat([table.assign(run=name) for name, table in series.items()], ignore_index=True),
        says=f"{figures.title(metric)} over {figures.CLOCKS[state.get('clock')]}; last values: {last}.",
    )


def beside_each_other(chosen: list[str]) -> None:
    """Differences of settings, metrics, and differences of metrics."""
    from seminar_core.studies.compare import compare

    answer = compare(loaders.workspace(), chosen, measure=False)
    missing = [row["run"] for row in answer["rows"] if row["metrics"] is None]
    if missing:
        evaluation(missing)
    st.write("**What differs in their settings**")
    if answer["differences"]:
        rows = [{"setting": d["setting"], **{k: str(v) for k, v in d["values"].items()}} for d in answer["differences"]]
        st.dataframe(pd.DataFrame(rows), hide_index=True)
    else:
        st.write("Nothing: the same settings and the same seed.")
    measured = [row for row in answer["rows"] if row["metrics"] is not None]
    if measured:
        metrics(measured)


def evaluation(missing: list[str]) -> None:
    """Runs without test metrics are evaluated by background jobs: started, watched and cancelled here."""
    workspace = loaders.workspace()
    st.info(f"Not evaluated yet: {widgets.plain(', '.join(missing))}.")
    live = any(row["state"] in LIVE for row in evaluations(missing))

    @st.fragment(run_every=EVERY_S if live else None)
    def watch() -> None:
        with widgets.explained("evaluation"):
            now = evaluations(missing)
            for row in now:
                how_far(row)
            going = [row for row in now if row["state"] in LIVE]
            if live and not going:
                st.rerun()
            if not going and st.button("Evaluate now", key="evaluate_missing", icon=":material/grading:"):
                for run in missing:
                    with suppress(ExistsError):  # the same evaluation has just been started elsewhere: it is shown
                        limits.start_job(workspace, ["evaluate", "--run", run])
                st.rerun()
            if going and st.button("Cancel", key="evaluate_cancel", icon=":material/stop_circle:"):
                for row in going:
                    jobs.cancel(workspace, row["job"], wait=False)
                st.rerun()

    watch()


def evaluations(runs: list[str]) -> list[dict[str, Any]]:
    """The newest evaluation job of each of `runs` that has one."""
    rows = jobs.rows(loaders.workspace())
    newest = {row["run"]: row for row in rows if row["command"] == "evaluate" and row["run"] in runs}
    return list(newest.values())


def how_far(row: dict[str, Any]) -> None:
    """One evaluation: its progress while it lives, else why there is no result."""
    run = widgets.plain(row["run"])
    if row["state"] in LIVE:
        share = row["step"] / row["steps"] if row["steps"] else 0.0
        st.progress(min(share, 1.0), text=f"Evaluating {run}: {row['state']}, {widgets.plain(row['message'])}")
        if row["state"] == "stopping":
            jobs.enforce(loaders.workspace().job_dir(row["job"]))
    elif row["error"]:
        said, hint = widgets.plain(row["error"]["message"]), widgets.plain(row["error"]["hint"])
        st.error(f"The evaluation of {run} is {row['state']}: {said}\n\n**Next:** {hint}")
    elif row["state"] == "stopped":
        st.caption(f"The evaluation of {run} was cancelled.")


def metrics(rows: list[dict[str, Any]]) -> None:
    """Test metrics with intervals, and where it can be told what each run gains on the first."""
    table = pd.DataFrame(
        [
            {
                "run": row["run"], "model": row["model"], "n": row["n"], "best step": row["best_step"],
                **{m: f"{row['metrics'][m]:.3f} [{row['interval'][m][0]:.3f}, {row['interval'][m][1]:.3f}]"
                   for m in HEADLINE if m in row["metrics"]},
            }
            for row in rows
        ]
    )  # fmt: skip
    st.write("**Test metrics** with 95 % intervals over people")
    st.dataframe(table, hide_index=True, column_config=widgets.headings({name: name for name in HEADLINE}))
    for row in rows:
        if row["not_comparable"]:
            first = widgets.plain(rows[0]["run"])
            widgets.trust_line(f"{widgets.plain(row['run'])} minus {first} is not shown: {row['not_comparable']}")
    if any(row["minus_first"] for row in rows):
        differences(rows)


def differences(rows: list[dict[str, Any]]) -> None:
    """What each run gains on the first in one metric, paired by target."""
    metric = st.selectbox("Metric of the differences", HEADLINE, key="compare_metric", width=200)
    gained = pd.DataFrame(
        [
            {
                "run": row["run"], "difference": row["minus_first"][metric]["difference"],
                "low": row["minus_first"][metric]["interval"][0], "high": row["minus_first"][metric]["interval"][1],
            }
            for row in rows if row["minus_first"]
        ],
        columns=["run", "difference", "low", "high"],
    )  # fmt: skip
    said = "; ".join(
        f"{r.run} {r.difference:+.3f} [{r.low:+.3f}, {r.high:+.3f}]" for r in gained.itertuples(name="Row")
    )
    widgets.chart(
        figures.differences(gained, metric),
        name="differences",
        alt=f"Paired difference of {metric} to {rows[0]['run']}: {said}.",
        table=gained,
        says=f"Paired by target against {rows[0]['run']}: {said}. An interval that contains zero shows no difference.",
    )
