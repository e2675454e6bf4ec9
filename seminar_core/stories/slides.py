"""A slide made real: its sentence and its figure, from the data set and the run that it names.

Stories. Each view takes what the commands answer and draws it with Plotly. What cannot be shown (a run that was
deleted, a person who is not there) is said on the slide, and the others go on.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from ..alignment.map_export import map_table
from ..alignment.stages import draw, gap
from ..contracts import CHANNEL_NAMES
from ..data.opening import open_dataset
from ..errors import ConfigError, NotReadyError, SeminarError
from ..files import read_lines
from ..lives.interests import life_interests
from ..lives.lifeline import facts as life_facts
from ..search.answer import ask
from ..search.population import population
from ..search.question import Question, next_item
from ..search.study import Study, open_study
from ..training.run_files import existing_run, read_card
from ..workspace import Workspace
from .story import VIEWS, Slide

BARS = 200  # a bar of an event is at least this part of the life wide, to be seen at all
TEXT, COUNT = (str, "a text"), (int, "a whole number")
SETTINGS: dict[str, tuple[Any, str]] = {
    **dict.fromkeys(("query", "at", "spec", "method"), TEXT),
    **dict.fromkeys(("k", "head", "hide_from_s", "hide_to_s"), COUNT),
    "weights": ((int, float), "a list of numbers"),
    "mask": (str, "a list of texts"),
}
LISTS = ("weights", "mask")
"""What a slide may set of a `Question`, and of which kind it is; of these, each element of a list is."""
COLOURS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#999999")


@dataclass(frozen=True)
class Shown:
    """A slide ready to be drawn.

    Fields:
        slide: what was asked for.
        words: one or two sentences with its figures.
        figure: the picture; None where there is none.
        missing: what cannot be shown and why; empty where all is there.
    """

    slide: Slide
    words: str
    figure: go.Figure | None
    missing: str = ""


class Stage:
    """Shows slides; a run is opened once."""

    def __init__(self, workspace: Workspace):
        self.workspace = workspace
        self.study = cache(self._study)

    def _study(self, run: str) -> Study:
        return open_study(self.workspace, run)

    def show(self, slide: Slide) -> Shown:
        """The slide with its figure, or with what is missing."""
        if slide.view not in VIEWS:
            return Shown(
                slide, "", None, f"This version does not know the view {slide.view!r}; it has {', '.join(VIEWS)}."
            )
        try:
            words, figure = getattr(self, slide.view)(slide)
        except SeminarError as error:
            return Shown(slide, "", None, f"{error.message}. {error.hint or ''}".strip())
        figure.update_layout(
            template="plotly_white",
            margin={"l": 70, "r": 20, "t": 50, "b": 60},
            legend={
                "orientation": "h",
                "x": 0,
                "y": 1.02,
                "yanchor": "bottom",
                "itemsizing": "constant",
                "traceorder": "normal",
            },
        )
        return Shown(slide, words, figure)

    def data(self, slide: Slide) -> tuple[str, go.Figure]:
        """Events over the months, with and without a search before them."""
        dataset = open_dataset(self.workspace, slide.dataset)
        store = dataset.store
        month = pd.to_datetime(store.time_s, unit="s").to_period("M").to_timestamp()
        figure, searched = go.Figure(), np.asarray(store.query) > 0
        for name, chosen, colour in (("search", searched, COLOURS[1]), ("browsing", ~searched, COLOURS[0])):
            counts = pd.Series(1, index=month[chosen]).groupby(level=0).sum()
            figure.add_bar(x=counts.index, y=counts.to_numpy(), name=name, marker_color=colour)
        figure.update_layout(barmode="stack")
        figure.update_yaxes(title="events a month")
        words = (
            f"{slide.dataset}: {dataset.n_people:,} people, {len(month):,} events, {searched.sum():,} of them searches."
        )
        return words, figure

    def life(self, slide: Slide) -> tuple[str, go.Figure]:
        """Interests of a life as bands over time."""
        dataset = open_dataset(self.workspace, slide.dataset)
        found = life_interests(dataset, slide.person)
        facts = life_facts(dataset.store.life(dataset.person_row(slide.person)))
        figure = go.Figure()
        when = pd.to_datetime(found.middle_s, unit="s")
        for number, name in enumerate(found.names):
            colour = COLOURS[number % len(COLOURS)]
            figure.add_scatter(
                x=when, y=found.shares[number], name=name, stackgroup="all", line={"shape": "hvh", "color": colour}
            )
        figure.update_yaxes(tickformat=".0%", range=[0, 1], title="share of events")
        words = (
            f"Person {slide.person}: {facts.events:,} events with {facts.searches:,} searches and {facts.items:,} "
            f"distinct items over {facts.days:,.0f} days."
        )
        return words, figure

    def retrieve(self, slide: Slide) -> tuple[str, go.Figure]:
        """Attention weights over the life, exact above and approximate below."""
        study, question = self.study(slide.run), question_of(slide)
        item = slide.item or next_item(study.dataset, question)
        if item is None:
            raise NotReadyError(
                f"at the end of the life of {slide.person!r} there is no next item",
                hint="save the view with a chosen item, or seen from an event",
            )
        life = study.dataset.store.life(study.dataset.person_row(slide.person))
        answered = ask(study, replace(question, item=item), timed=False)
        table = answered.verdicts
        events = table.event.to_numpy(np.int64)
        titles = [study.dataset.titles[int(row)] or "" for row in life.item[events]]
        when = pd.to_datetime(life.time_s[events], unit="s")
        width_ms = 1000 * max(86_400.0, float(life.time_s[-1] - life.time_s[0]) / BARS)
        figure = go.Figure()
        for verdict, colour in (("kept", COLOURS[0]), ("lost", COLOURS[5]), ("gained", COLOURS[2])):
            part = (table.verdict == verdict).to_numpy()
            for column, sign in (("weight_exact", 1), ("weight_approx", -1)):
                figure.add_bar(
                    x=when[part],
                    y=sign * table[column].to_numpy()[part],
                    name=verdict,
                    legendgroup=verdict,
                    showlegend=sign > 0 and bool(part.any()),
                    marker={"color": colour, "line": {"width": 0}},
                    width=width_ms,
                    hovertext=[t for t, there in zip(titles, part, strict=True) if there],
                )
        figure.update_layout(barmode="overlay")
        figure.update_yaxes(title="attention: exact above, quantised below")
        return str(answered.said["says"]), figure

    def population(self, slide: Slide) -> tuple[str, go.Figure]:
        """What the quantised scan loses, for everybody."""
        question = question_of(slide)
        found = population(self.workspace, slide.run, spec=question.spec, k=question.k)
        lost = np.array([row["pq_loss"] for row in found["people"] if row["pq_loss"] is not None])
        recall = np.array([row["recall"] for row in found["people"] if row["recall"] is not None])
        if not len(lost):
            raise NotReadyError(f"it is not known what quantisation loses in {slide.run!r}", hint=str(found["note"]))
        figure = go.Figure(go.Histogram(x=lost, nbinsx=40, marker_color=COLOURS[0]))
        figure.update_xaxes(title="attention lost by the quantised scan", tickformat=".1%")
        figure.update_yaxes(title="people")
        words = (
            f"On average over {len(lost):,} people, the quantised scan keeps {recall.mean():.1%} of the events that "
            f"exact search keeps, and loses {lost.mean():.1%} of the attention; "
            f"{np.quantile(lost, 0.95):.1%} or less for 95 of 100 people ({found['spec']}, K = {found['k']})."
        )
        return words, figure

    def map(self, slide: Slide) -> tuple[str, go.Figure]:
        """All modalities on one layout, before and after."""
        _, layout, dataset = draw(self.workspace, slide.run, ["before", "after"])
        table = map_table(layout, dataset.item_ids).to_pandas()
        items = np.random.default_rng(0).permutation(table.item.unique())[:600]
        table = table[table.item.isin(items)]
        figure = go.Figure()
        for number, (stage, axis) in enumerate((("before", ""), ("after", "2"))):
            for colour, (channel, name) in zip(COLOURS, CHANNEL_NAMES.items(), strict=False):
                part = table[(table.stage == stage) & (table.channel == channel)]
                figure.add_scattergl(
                    x=part.x, y=part.y, mode="markers", name=name, legendgroup=channel, showlegend=number == 0,
                    marker={"size": 3, "color": colour, "opacity": 0.6}, xaxis=f"x{axis}", yaxis=f"y{axis}",
                    hovertext=part.item,
                )  # fmt: skip
        figure.update_layout(
            xaxis={"domain": [0, 0.48], "title": "before"},
            xaxis2={"domain": [0.52, 1], "title": "after"},
            yaxis2={"anchor": "x2"},
        )
        words = (
            f"{len(items):,} of {len(dataset.item_ids) - 1:,} items, each seen through up to four modalities, on one "
            f"layout ({layout.facts['method'].upper()}); only neighbourhoods mean anything on it."
        )
        return words, figure

    def gap(self, slide: Slide) -> tuple[str, go.Figure]:
        """Paired cosine and recall at ten between text and picture, before and after."""
        cards = {stage: gap(self.workspace, slide.run, stage) for stage in ("before", "after")}
        figure, parts = go.Figure(), []
        for number, metric in enumerate(("paired_cosine", "recall@10")):
            values = [figure_of(card["pairs"]["T>I"][metric]) for card in cards.values()]
            label = {
                "paired_cosine": "cosine of text and picture",
                "recall@10": "own picture among the ten nearest to the text",
            }[metric]
            figure.add_bar(x=list(cards), y=values, name=label, marker_color=COLOURS[number])
            parts.append(f"{label} {round(values[0], 2) + 0:.2f} before, {round(values[1], 2) + 0:.2f} after")
        return f"Pretraining: {'; '.join(parts)}.", figure

    def training(self, slide: Slide) -> tuple[str, go.Figure]:
        """Validation over the steps of the pretraining and of the training that was restored from it."""
        path = existing_run(self.workspace, slide.run)
        parent = read_card(path).parent
        figure, parts = go.Figure(), []
        for name, colour in zip([n for n in (parent, slide.run) if n], COLOURS, strict=False):
            lines = read_lines(existing_run(self.workspace, name) / "metrics.jsonl")
            found = [(line["step"], line["validation/MRR"]) for line in lines if "validation/MRR" in line]
            if not found:
                continue
            steps, values = zip(*found, strict=True)
            figure.add_scatter(x=steps, y=values, name=name, mode="lines+markers", line={"color": colour})
            parts.append(f"{name} from {values[0]:.3f} to {max(values):.3f}")
        figure.update_xaxes(title="steps")
        figure.update_yaxes(title="validation MRR")
        return f"Validation MRR: {'; '.join(parts)}.", figure


def question_of(slide: Slide) -> Question:
    """What a slide asks of its run; settings that this version does not know are left out, as are those that are null.

    Raises:
        ConfigError: a setting is of another kind than the question's.
    """
    given = {name: value for name, value in slide.settings.items() if name in SETTINGS and value is not None}
    for name, value in given.items():
        kind, words = SETTINGS[name]
        if name in LISTS:
            fits = isinstance(value, list | tuple) and all(isinstance(one, kind) for one in value)
        else:
            fits = isinstance(value, kind)
        if not fits:
            raise ConfigError(f"the slide's {name} is {value!r}, expected {words}", hint="save the view again")
    settings: dict[str, Any] = {name: tuple(value) if name in LISTS else value for name, value in given.items()}
    return replace(Question(slide.person, slide.item, shortlist=slide.shortlist), **settings)


def figure_of(found: Any) -> float:
    """The value of a figure of the number card."""
    if isinstance(found, dict):
        found = found.get("value", found.get("mean"))
    if found is None:
        raise NotReadyError("text and picture cannot be compared", hint="both encoders and enough items are needed")
    return float(found)
