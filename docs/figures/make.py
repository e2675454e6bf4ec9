"""Make the figures of docs/method.md and the facts that pages quote, from the sample and its run: `make figures`.

Writes SVG files and `facts.json` beside this file. Takes about two minutes and a Chromium, with which kaleido draws. A
test answers `facts.json` anew, so that figures and pages that no longer agree with the program are found.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1]))

from app import palette  # noqa: E402 - after the root is on the path
from app.stations.alignment.figures import card_figure  # noqa: E402 - the same
from seminar_core.alignment.card_table import card_table, sentence  # noqa: E402 - the same
from seminar_core.alignment.stages import gap  # noqa: E402 - the same
from seminar_core.beside import bundled_runs  # noqa: E402 - the same
from seminar_core.data.opening import open_dataset  # noqa: E402 - the same
from seminar_core.data.report import report  # noqa: E402 - the same
from seminar_core.errors import NotReadyError  # noqa: E402 - the same
from seminar_core.files import plain  # noqa: E402 - the same
from seminar_core.search.answer import ask, attention_mass, recall  # noqa: E402 - the same
from seminar_core.search.population import population  # noqa: E402 - the same
from seminar_core.search.question import Question  # noqa: E402 - the same
from seminar_core.search.study import Study, make_codebooks, open_study  # noqa: E402 - the same
from seminar_core.search.trace import trace  # noqa: E402 - the same
from seminar_core.stories.slides import Stage  # noqa: E402 - the same
from seminar_core.stories.story import Slide  # noqa: E402 - the same
from seminar_core.training.assess import evaluate_run  # noqa: E402 - the same
from seminar_core.training.run_files import list_runs  # noqa: E402 - the same
from seminar_core.workspace import Workspace  # noqa: E402 - the same

RUN, PERSON, ITEM = "sample-seminar", "p0302", "i00878"
SPECS = {"QC64,RQ8x4fs": 4, "QC64,RQ16x4fs": 8, "QC64,RQ32x4fs": 16}  # bytes of a distinct pair
SHORTLISTS = (0, 1, 2, 4, 8)
ASKED_PEOPLE = 50
PAIRS = ("T>I", "A>T", "A>I", "Q>T", "Q>A", "Q>I")
SAID = ("visible_events", "recall", "attention_mass", "interest_error", "logit_exact", "logit_approx", "says")


def one_life(study: Study, shortlist: float) -> dict[str, Any]:
    """What `retrieve` says about one item in one life."""
    said = ask(study, Question(PERSON, ITEM, shortlist=shortlist), timed=False).said
    return {key: said[key] for key in SAID} | {"exact": len(said["exact"]), "bytes": said["bytes_per_event"]}


def lanes(
    table: pd.DataFrame, time: pd.Series, span: tuple[pd.Timestamp, pd.Timestamp], *, zone: str = "UTC"
) -> go.Figure:
    """The life's timeline in two lanes: first-stage hits, and second-stage weights (exact up, approximate down).

    Args:
        table: `Answered.verdicts`.
        time: time of each row of `table`.
        span: first and last time of the visible life.
        zone: time zone of `time`.
    """
    if table.empty:
        return palette.empty("Nothing was kept.")
    figure = go.Figure()
    for verdict, (colour, symbol, _) in palette.VERDICTS.items():
        chosen = (table.verdict == verdict).to_numpy()
        if chosen.any():
            figure.add_scatter(
                x=time[chosen],
                y=np.full(chosen.sum(), 1.35),
                mode="markers",
                name=f"{verdict} ({chosen.sum()})",
                marker={"color": colour, "symbol": symbol, "size": 9, "opacity": 0.8},
                customdata=table.event[chosen].to_numpy(np.int32),
                hovertemplate="event %{customdata}<br>%{x|%Y-%m-%d %H:%M}<extra>" + verdict + "</extra>",
            )
    top = max(float(table[["weight_exact", "weight_approx"]].max().max()), 1e-9)
    for column, sign, colour, dash in (
        ("weight_exact", 1, palette.SKY, "solid"),
        ("weight_approx", -1, palette.ORANGE, "dot"),
    ):
        x: list[Any] = [v for t in time for v in (t, t, None)]
        y: list[float | None] = [v for w in table[column] for v in (0.0, sign * float(w) / top, None)]
        figure.add_scatter(
            x=x,
            y=y,
            mode="lines",
            name=f"{'exact' if sign > 0 else 'approximate'} weight",
            line={"color": colour, "width": 2, "dash": dash},
            hoverinfo="skip",
        )
    palette.frame(figure, height=320, x=f"time ({zone})")
    # fixed margins: finding them out costs the browser a second layout at every change of a weight
    figure.update_layout(margin={"l": 84, "b": 44})
    figure.update_xaxes(range=list(span), automargin=False)
    ticks = [-1, -0.5, 0, 0.5, 1, 1.35]
    labels = [f"{abs(v) * top:.2g}" for v in ticks[:-1]] + ["first stage"]
    figure.update_yaxes(
        tickvals=ticks,
        ticktext=labels,
        range=[-1.15, 1.6],
        fixedrange=True,
        title="weight",
        zeroline=True,
        automargin=False,
    )
    return figure


def one_life_figure(study: Study) -> go.Figure:
    """The scan alone beside exact search, much as the station Retrieval draws them."""
    answered = ask(study, Question(PERSON, ITEM, shortlist=0), timed=False)
    life = study.dataset.store.life(study.dataset.person_row(PERSON))
    when = pd.Series(pd.to_datetime(life.time_s, unit="s"))
    events = answered.verdicts.event.to_numpy(np.int64)
    return lanes(answered.verdicts, when.iloc[events].reset_index(drop=True), (when.iloc[0], when.iloc[-1]))


def modalities(workspace: Workspace) -> tuple[dict[str, Any], go.Figure]:
    """The number card before and after pretraining: what `gap` prints, and its figure."""
    cards = {stage: gap(workspace, RUN, stage) for stage in ("before", "after")}
    table = card_table(cards)
    facts: dict[str, Any] = {"says": sentence(table)}
    for stage, card in cards.items():
        gaps = [card["pairs"][pair]["centroid_gap"]["value"] for pair in PAIRS]
        facts[stage] = {
            "n_items": card["n_items"],
            "mean_gap": float(np.mean(gaps)),
            "classifier": card["modality_classifier_accuracy"],
            "recall@10": {pair: card["pairs"][pair]["recall@10"]["value"] for pair in PAIRS},
            "centroid_gap": dict(zip(PAIRS, gaps, strict=True)),
            "heldout_recall@10": {pair: card["heldout"]["pairs"][pair]["recall@10"]["value"] for pair in PAIRS},
        }
    return facts, card_figure(table, "held out")


def people_asked(study: Study) -> list[Question]:
    """The true next item of every eighth person, whose events before it are more than two times K."""
    asked = []
    for row in range(0, study.dataset.n_people, study.dataset.n_people // ASKED_PEOPLE):
        life = study.dataset.store.life(row)
        if len(life) > 2 * study.run.config.model.keep:
            asked.append(Question(study.dataset.person_ids[row], study.dataset.item_ids[int(life.item[-1])]))
    return asked


def refining(study: Study, specs: Sequence[str] = tuple(SPECS)) -> dict[str, Any]:
    """Mean recall and attention mass for each specification and length of the shortlist."""
    questions = people_asked(study)
    rows = []
    for spec in specs:
        try:
            study.codebooks(spec)
        except NotReadyError:
            make_codebooks(study, spec)
        for shortlist in SHORTLISTS:
            asked = [Question(q.person, q.item, spec=spec, shortlist=shortlist) for q in questions]
            found = [trace(study, question, timed=False) for question in asked]
            row = {"recall": np.mean([recall(f) for f in found]), "mass": np.mean([attention_mass(f) for f in found])}
            rows.append({"spec": spec, "bytes": SPECS[spec], "shortlist": shortlist} | plain(row))
    return {"people": len(questions), "rows": rows}


def refining_figure(facts: dict[str, Any]) -> go.Figure:
    """Recall over the length of the shortlist, a line for each size of code."""
    figure, table = go.Figure(), pd.DataFrame(facts["rows"])
    for number, (size, part) in enumerate(table.groupby("bytes")):
        figure.add_scatter(
            x=[str(f) if f else "scan alone" for f in part.shortlist], y=part.recall, name=f"{size} bytes an event",
            line={"color": palette.SERIES[number], "dash": palette.DASHES[number], "width": 2},
            marker={"symbol": palette.SYMBOLS[number], "size": 9}, mode="lines+markers",
        )  # fmt: skip
    palette.frame(figure, height=340, x="length of the shortlist, in times K", y="recall of what exact search keeps")
    figure.update_yaxes(tickformat=".0%")
    return figure


def quality(workspace: Workspace) -> dict[str, Any]:
    """What `evaluate` prints of the run."""
    said = evaluate_run(workspace, RUN)
    names = ("HIT@10", "NDCG@10", "MRR", "AUC")
    cold = next(row for row in said["slices"] if row["slice"] == "cold target")
    return {
        "n": said["n"],
        "metrics": {name: said["metrics"][name] for name in names},
        "interval": {name: said["interval"][name] for name in names},
        "baselines": {row: {name: said["baselines"][row][name] for name in names} for row in said["baselines"]},
        "cold": {"n": cold["n"], "HIT@10": cold["metrics"]["HIT@10"], "MRR": cold["metrics"]["MRR"]},
    }


def scan_alone(workspace: Workspace, study: Study) -> dict[str, Any]:
    """What the scan alone keeps and loses over everybody: `population`."""
    people = population(workspace, RUN, study=study)["people"]
    lost = np.array([row["pq_loss"] for row in people])
    kept = np.array([row["recall"] for row in people])
    worst = {"person": people[int(lost.argmax())]["person"], "recall": kept[lost.argmax()], "pq_loss": lost.max()}
    return {"people": len(people), "recall": kept.mean(), "pq_loss": lost.mean(), "worst": worst}


def data(workspace: Workspace) -> dict[str, Any]:
    """What `report` prints of the sample."""
    said = report(open_dataset(workspace, "sample"))
    counts = ("people", "items", "events", "events_with_query", "items_with_text", "items_with_image")
    facts = {name: said[name] for name in (*counts, "items_never_met", "first_time_s", "last_time_s")}
    return facts | {"life_length": said["life_length"], "tied_time_frac": said["tied_time_frac"]}


def trainings(workspace: Workspace) -> dict[str, Any]:
    """What `runs` prints of the two runs that come with the sample, and the bytes they take."""
    rows = {row["run"]: row for row in list_runs(workspace)["runs"]}
    kept = ("model", "steps", "best_step", "seed", "created")
    facts = {name: {key: rows[name][key] for key in kept} for name in bundled_runs()}
    for name, folder in bundled_runs().items():
        facts[name]["bytes"] = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    return facts


def quick_facts(workspace: Workspace, study: Study) -> tuple[dict[str, Any], go.Figure]:
    """Every fact but the slow ones of `refining`, and the figure of the number card."""
    card, figure = modalities(workspace)
    facts = {
        "one_life": {"scan": one_life(study, 0), "refined": one_life(study, 4)},
        "modalities": card,
        "quality": quality(workspace),
        "scan_alone": scan_alone(workspace, study),
        "data": data(workspace),
        "trainings": trainings(workspace),
    }
    return plain(facts), figure


def save(figure: go.Figure, name: str) -> None:
    """One figure as SVG on white, so that it can be read on a dark page too."""
    figure.update_layout(template="plotly_white", paper_bgcolor="white", font={"family": "sans-serif", "size": 13})
    if figure.layout.height is None:
        figure.update_layout(height=320, margin={"l": 60, "r": 10, "t": 10, "b": 45})
    figure.write_image(HERE / f"{name}.svg", width=900)
    print(f"docs/figures/{name}.svg")


def main() -> None:
    """Write every figure and the facts."""
    os.environ.setdefault("BROWSER_PATH", "/usr/bin/chromium")
    with tempfile.TemporaryDirectory() as folder:
        workspace = Workspace(Path(os.environ.get("SEMINAR_WORKSPACE", folder)))
        study = open_study(workspace, RUN)
        facts, card = quick_facts(workspace, study)
        facts["refining"] = refining(study)
        (HERE / "facts.json").write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
        save(Stage(workspace).life(Slide("life", dataset="sample", person=PERSON))[1], "interests")
        save(one_life_figure(study), "one-life")
        save(refining_figure(facts["refining"]), "refining")
        save(card, "modalities")
        save(Stage(workspace).training(Slide("training", run=RUN))[1], "training")


if __name__ == "__main__":
    main()
