"""Runs beside each other: only what differs is listed, and differences are paired by target."""

from __future__ import annotations

import numpy as np
import pytest

from app.stations.training.notes import Note, read_note, write_note
from seminar_core.errors import ConfigError, UnknownRunError
from seminar_core.evaluation.metrics import mean_metrics
from seminar_core.evaluation.protocol import summary
from seminar_core.evaluation.ranks import Ranks
from seminar_core.evaluation.result import Result, write_ranks
from seminar_core.files import write_json
from seminar_core.studies.compare import compare
from seminar_core.training.checkpoint import WEIGHTS
from seminar_core.workspace import Workspace

PEOPLE = 40


def make(
    workspace: Workspace, name: str, better: np.ndarray, *, data: str = "h", split: str = "position", **config: object
) -> None:
    """A finished run with a kept result: `better` (40,) candidates stand above each positive, of 100."""
    directory = workspace.run_dir(name)
    write_json(
        directory / "run.json",
        {
            "name": name, "kind": "ranker", "model": "din", "dataset": "d", "dataset_hash": data, "encodings": {},
            "config": {"batches": {"negatives": 20, **config}}, "seed": 0, "parent": None,
        },
    )  # fmt: skip
    write_json(directory / "status.json", {"state": "done", "steps": 10, "best_step": 5})
    ranks = Ranks(better, np.zeros(PEOPLE, int), np.full(PEOPLE, 100), np.arange(PEOPLE))
    metrics, interval = summary(ranks)
    origin = dict.fromkeys(("config", "seed", "data_hash", "command", "time", "commit"))
    origin |= {"weights": f"weights of {name}", "questions": f"by {split}"}
    write_json(directory / "checkpoints" / "best" / "state.json", {"sha256": {WEIGHTS: f"weights of {name}"}})
    (directory / "results").mkdir()
    write_ranks(directory / "results" / "recommendation-99-uniform-met.npz", ranks)
    result = Result(name, metrics, interval, {}, {"n": PEOPLE, "mode": "recommendation", "split": split}, origin)
    result.write(directory / "results" / "recommendation-99-uniform-met.json")


def test_differences_are_paired_and_exact(workspace: Workspace):
    rng = np.random.default_rng(0)
    worse = rng.integers(1, 50, PEOPLE)
    make(workspace, "a", worse)
    make(workspace, "b", worse - 1, negatives=50)
    answer = compare(workspace, ["a", "b"])
    first, second = answer["rows"]
    assert first["minus_first"] is None and first["n"] == PEOPLE
    assert first["not_comparable"] is None and second["not_comparable"] is None
    gain = second["minus_first"]["MRR"]
    assert gain["difference"] == pytest.approx(second["metrics"]["MRR"] - first["metrics"]["MRR"])
    assert 0 < gain["interval"][0] <= gain["difference"] <= gain["interval"][1]
    assert answer["differences"] == [{"setting": "batches.negatives", "values": {"a": 20, "b": 50}}]


def test_runs_of_other_data_are_listed_and_never_subtracted(workspace: Workspace):
    better = np.arange(PEOPLE)
    make(workspace, "a", better)
    make(workspace, "b", better, data="other")
    answer = compare(workspace, ["a", "b"])
    assert answer["rows"][1]["minus_first"] is None
    assert answer["rows"][1]["not_comparable"] == "it was tested on version other of d, not on h"
    assert [d["setting"] for d in answer["differences"]] == ["dataset_hash"]


def test_runs_that_were_asked_other_questions_are_never_subtracted(workspace: Workspace):
    make(workspace, "a", np.arange(PEOPLE))
    make(workspace, "b", np.arange(PEOPLE), split="time")  # other targets of the same people
    row = compare(workspace, ["a", "b"])["rows"][1]
    assert row["minus_first"] is None and row["metrics"] is not None
    assert row["not_comparable"] == "it was asked other questions: split = time, not position"


def test_a_result_of_earlier_weights_is_none(workspace: Workspace):
    make(workspace, "a", np.arange(PEOPLE))
    make(workspace, "b", np.arange(PEOPLE))
    state = workspace.run_dir("b") / "checkpoints" / "best" / "state.json"
    write_json(state, {"sha256": {WEIGHTS: "later"}})
    assert [r["metrics"] is None for r in compare(workspace, ["a", "b"], measure=False)["rows"]] == [False, True]


def test_a_run_without_a_result_has_no_metrics_unless_asked_to_be_measured(workspace: Workspace):
    make(workspace, "a", np.arange(PEOPLE))
    make(workspace, "b", np.arange(PEOPLE))
    (workspace.run_dir("b") / "results" / "recommendation-99-uniform-met.json").unlink()
    rows = compare(workspace, ["a", "b"], measure=False)["rows"]
    ranks = Ranks(np.arange(PEOPLE), np.zeros(PEOPLE, int), np.full(PEOPLE, 100), np.arange(PEOPLE))
    assert rows[0]["metrics"] == mean_metrics(ranks)
    assert rows[1]["metrics"] is None


def test_two_different_runs_are_needed(workspace: Workspace):
    make(workspace, "a", np.arange(PEOPLE))
    with pytest.raises(ConfigError, match="compare needs two different runs"):
        compare(workspace, ["a", "a"])
    with pytest.raises(UnknownRunError, match="run 'x' is not known; known: a"):
        compare(workspace, ["a", "x"])


def test_words_on_a_run_stay_and_are_bounded(workspace: Workspace):
    make(workspace, "a", np.arange(PEOPLE))
    assert read_note(workspace, "a") == Note()
    write_note(workspace, "a", Note("good", ("best", "paper"), True))
    assert read_note(workspace, "a") == Note("good", ("best", "paper"), True)
    write_note(workspace, "a", Note(name="The one with pictures"))
    assert read_note(workspace, "a").name == "The one with pictures"
    with pytest.raises(ConfigError, match="the note has 4001 signs"):
        Note("x" * 4001)
    with pytest.raises(UnknownRunError):
        write_note(workspace, "x", Note("y"))
