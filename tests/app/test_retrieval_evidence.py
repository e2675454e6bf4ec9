"""The evidence of Retrieval is the command line's: `explain`, `frontier` and `population` say the same numbers."""

from __future__ import annotations

import numpy as np
import pytest

from app.stations.retrieval import evidence
from app.stations.retrieval import loaders as sources
from seminar_core.search.budget import frontier
from seminar_core.search.explanation import explain_event
from seminar_core.search.population import population
from seminar_core.search.question import Question
from seminar_core.search.study import open_study
from seminar_core.search.trace import trace
from tests.app.conftest import words_of
from tests.app.test_retrieval_view import HERE, last_item
from tests.tiny_run import COARSE


def open_sections(at, *names: str):
    """The page with these expanders opened."""
    for name in names:
        at.session_state[name] = True
    return at.run()


def tables_of(at) -> list:
    return [element.value for element in at.dataframe]


def test_why_says_what_explain_answers(open_app, tiny_workspace):
    question = Question("p1", last_item(tiny_workspace), k=6, spec=COARSE, shortlist=0.0)
    study = open_study(tiny_workspace, "run")
    found = trace(study, question)
    lost = [int(e) for e in found.exact.events if e not in found.approx.events]
    event = str(lost[0] if lost else found.exact.events[0])
    said = explain_event(study, found, event)
    at = open_app(tiny_workspace, "retrieval", **HERE, event=event)
    words = words_of(at)
    assert (
        f"Exact score {said['score_exact']:.4f}, approximate {said['score_approx']:.4f} (head {said['head']})" in words
    )
    assert evidence.kept_for(said["kept_by_heads"]) in words
    assert f"Code: {' '.join(map(str, said['code']))}" in words
    at = open_sections(at, f"behind_contributions_{event}", f"behind_errors_{event}")
    contributions, errors = tables_of(at)[-2:]
    assert contributions[["Q", "A", "T", "I"]].to_numpy().ravel() == pytest.approx(np.ravel(said["contributions"]))
    assert errors.error.tolist() == pytest.approx([*said["error_by_channel"].values(), *said["error_by_subspace"]])


def test_the_heads_that_kept_an_event_are_said_in_words():
    said = evidence.kept_for({"exact": [0, 2], "approx": []})
    assert said == "Kept for heads 0, 2 by exact search, for no head by the approximate one."
    assert evidence.kept_for({"exact": [1], "approx": [1]}).startswith("Kept for head 1 by exact search, for head 1 ")


def test_the_budget_is_the_frontier_of_this_person(open_app, tiny_workspace):
    at = open_sections(open_app(tiny_workspace, "retrieval", **HERE), "budget", "behind_budget")
    said = frontier(tiny_workspace, "run", person="p1")
    shown = next(table for table in tables_of(at) if "speedup_over_exact" in table)
    keys = ["spec", "stage", "bytes_per_event", "recall", "attention_mass", "people"]  # latencies are measured anew
    assert shown[keys].to_dict("records") == [{key: row[key] for key in keys} for row in said["rows"]]
    best = sources.frontier("run", "p1")
    assert (best["says"] or "Nothing reaches recall") in words_of(at)


def test_everybody_is_the_population_at_the_pages_setting(open_app, tiny_workspace):
    at = open_sections(open_app(tiny_workspace, "retrieval", **HERE), "population", "behind_population")
    said = population(tiny_workspace, "run", spec=HERE["spec"])["people"]
    shown = next(table for table in tables_of(at) if "pq_loss" in table)
    losses = [None if loss != loss else loss for loss in shown.pq_loss]
    assert shown.person.tolist() == [row["person"] for row in said] and losses == [row["pq_loss"] for row in said]
    known = [loss for loss in losses if loss is not None]
    assert max(known) > 0
    assert f"{len(known)} of {len(said)} people" in words_of(at)
