"""Everybody's PQ loss, length and gap; and the budget of a run."""

from __future__ import annotations

import numpy as np
import pytest

from seminar_core.contracts import ChannelVectors
from seminar_core.data.opening import open_dataset
from seminar_core.errors import ConfigError
from seminar_core.retrieval.spec import SpecError
from seminar_core.search.answer import retrieve
from seminar_core.search.budget import frontier
from seminar_core.search.population import item_gaps, person_gap, population
from seminar_core.search.study import open_study
from tests.tiny_run import COARSE, SPEC, make_run


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    return make_run(tmp_path_factory.mktemp("population"))


def test_a_gap_is_one_minus_the_mean_cosine_of_present_channels():
    item = np.zeros((4, 3, 2), np.float32)
    item[1] = [[1, 0], [2, 0], [0, 3]]  # A and T agree, I is at a right angle
    item[2] = [[1, 0], [-1, 0], [0, 0]]  # opposite, no picture
    item[3] = [[1, 0], [0, 0], [0, 0]]  # nothing to compare
    present = (item != 0).any(2)
    gaps = item_gaps(ChannelVectors(item, present, np.zeros((1, 2), np.float32), np.zeros(1, bool)))
    assert gaps[1] == pytest.approx(1 - 1 / 3) and gaps[2] == pytest.approx(2) and np.isnan(gaps[[0, 3]]).all()
    assert person_gap(gaps, np.array([1, 1, 2, 3])) == pytest.approx((2 / 3 + 2) / 2)
    assert person_gap(gaps, np.array([3])) is None


@pytest.mark.parametrize("k", [None, 3])
def test_a_persons_loss_is_what_the_codes_alone_lose_of_their_last_event(workspace, k):
    said = population(workspace, "run", spec=COARSE, k=k)
    assert any(row["pq_loss"] > 0 for row in said["people"])
    dataset, asked = open_study(workspace, "run").dataset, {"spec": COARSE, "k": k, "shortlist": 0}
    assert len(said["people"]) == dataset.n_people
    for row in said["people"][:4]:
        life = dataset.store.life(dataset.person_row(row["person"]))
        one = retrieve(workspace, "run", row["person"], dataset.item_ids[int(life.item[-1])], **asked)
        assert row["pq_loss"] == pytest.approx(1 - one["attention_mass"], abs=1e-9)
        assert row["recall"] == pytest.approx(one["recall"]) and row["events"] == len(life)


def test_what_was_measured_is_kept_until_the_codebooks_change(workspace):
    study = open_study(workspace, "run")
    first = population(workspace, "run", spec=COARSE, study=study)
    calls: list[str] = []
    again = population(workspace, "run", spec=COARSE, study=study, progress=lambda *a: calls.append("measured"))
    assert again == first and calls == []


@pytest.mark.parametrize("left", ["", '{"facts": {', "[]"])
def test_what_was_kept_and_is_damaged_is_measured_again(workspace, left):
    first = population(workspace, "run", spec=COARSE)
    (workspace.run_dir("run") / "population" / f"{COARSE}-{first['k']}.json").write_text(left)
    assert population(workspace, "run", spec=COARSE) == first


def test_a_run_without_codebooks_has_gaps_and_says_why_it_has_no_losses(workspace):
    said = population(workspace, "psu")
    assert "no PQ loss yet" in said["note"]
    assert all(row["pq_loss"] is None and row["gap"] is not None for row in said["people"])


@pytest.mark.parametrize("run", ["psu", "run"])
def test_a_specification_that_is_none_is_refused_and_names_no_file(workspace, run):
    with pytest.raises(SpecError, match="unknown part"):
        population(workspace, run, spec="../../elsewhere")
    assert not list(workspace.root.rglob("elsewhere*"))


def test_a_specification_with_blanks_is_the_same_specification(workspace):
    assert population(workspace, "run", spec=" " + COARSE)["spec"] == COARSE
    assert {path.stem.rpartition("-")[0] for path in (workspace.run_dir("run") / "population").iterdir()} == {COARSE}


def test_the_frontier_measures_every_specification_once_per_stage(workspace):
    said = frontier(workspace, "run", target_recall=0.0)
    assert {(row["spec"], row["stage"]) for row in said["rows"]} >= {
        (spec, stage) for spec in (SPEC, COARSE) for stage in ("scan", "refine")
    }
    for row in said["rows"]:
        assert 0 <= row["recall"] <= 1 and 0 <= row["attention_mass"] <= 1 + 1e-9 and row["latency_us"] > 0
    cheapest = min(row["bytes_per_event"] for row in said["rows"])
    assert said["suggestion"]["bytes_per_event"] == cheapest
    assert "crossover_length" in said and said["suggestion"]["spec"] in said["says"]


def test_a_row_of_the_frontier_is_what_retrieve_answers(workspace):
    row = next(r for r in frontier(workspace, "run", person="p3")["rows"] if (r["spec"], r["shortlist"]) == (COARSE, 0))
    dataset = open_dataset(workspace, "tiny")
    item = dataset.item_ids[int(dataset.store.life(dataset.person_row("p3")).item[-1])]
    said = retrieve(workspace, "run", "p3", item, spec=COARSE, shortlist=0.0)
    assert (row["recall"], row["attention_mass"]) == pytest.approx((said["recall"], said["attention_mass"]))
    assert row["bytes_per_event"] == said["bytes_per_event"]


def test_one_persons_frontier_asks_that_person(workspace):
    said = frontier(workspace, "run", person="p3")
    assert {row["people"] for row in said["rows"]} == {1}
    with pytest.raises(ConfigError, match=r"1\.5"):
        frontier(workspace, "run", target_recall=1.5)
