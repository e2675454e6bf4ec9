"""The stations on MovieLens latest-small: few queries (tags), pictures only where there are posters; nothing fails."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from seminar_core.alignment.stages import card_of, open_stage
from seminar_core.data.importers.movielens import import_movielens
from seminar_core.data.opening import open_dataset
from seminar_core.data.report import report
from seminar_core.files import read_lines
from seminar_core.lives.people import find_people
from seminar_core.search.answer import retrieve
from seminar_core.search.study import make_codebooks, open_study
from seminar_core.training.finetune import finetune
from seminar_core.training.recipe import FinetuneConfig
from seminar_core.training.settings import load_config
from seminar_core.workspace import Workspace
from tests.app.conftest import numbers_of, words_of

SPEC = "PQ4x8"
SETTINGS = ("width=16", "heads=2", "keep=10", "steps=2", "batch_size=4", "targets_per_life=2", "validation_people=4")
HERE = {"dataset": "movielens", "run": "ml", "person": "1", "spec": SPEC, "shortlist": "0", "k": "10"}


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory, movielens_dir: Path) -> Workspace:
    """MovieLens with a run of two steps and coarse codebooks."""
    workspace = Workspace(tmp_path_factory.mktemp("films") / "workspace")
    import_movielens(workspace, movielens_dir, "movielens")
    finetune(workspace, "movielens", "ml", model="seminar", config=load_config(FinetuneConfig, None, SETTINGS, seed=0))
    make_codebooks(open_study(workspace, "ml"), SPEC, rows=500)
    return workspace


def test_data_says_how_few_queries_there_are(open_app, films):
    at = open_app(films, "data", dataset="movielens")
    said = report(open_dataset(films, "movielens"))
    shown = {metric.label: metric.value for metric in at.metric}
    assert (
        not at.exception
        and shown["Events"] == f"{said['events']:,}"
        and shown["Events with a query"] == f"{said['events_with_query']:,}"
    )


def test_life_reads_a_life_without_searches_and_finds_those_with_a_tag(open_app, films):
    at = open_app(films, "life", dataset="movielens", person="1")
    assert not at.exception and not at.error
    found = find_people(open_dataset(films, "movielens"), "robots")
    at = open_app(films, "life", dataset="movielens", find="robots")
    assert found and at.dataframe[0].value.person.tolist() == [row["person"] for row in found]


def test_retrieval_answers_as_the_command_does(open_app, films):
    at = open_app(films, "retrieval", **HERE)
    dataset = open_dataset(films, "movielens")
    item = dataset.item_ids[int(dataset.store.life(dataset.person_row("1")).item[-1])]
    said = retrieve(films, "ml", "1", item, k=10, spec=SPEC, shortlist=0.0)
    shown = numbers_of(at)
    assert not at.exception and shown["Recall@K"] == f"{said['recall']:.1%}"
    assert f"{said['visible_events']:,} visible events" in words_of(at)


@pytest.mark.parametrize(
    "choices", [{"mask": "I"}, {"weights": "1,0,0,0"}, {"query": "robots"}, {"event": "3"}, {"method": "twin"}]
)
def test_a_setting_without_meaning_here_is_explained(open_app, films, choices):
    at = open_app(films, "retrieval", **{**HERE, **choices})
    assert not at.exception and (numbers_of(at) or at.error)


def test_alignment_says_the_cards_numbers_and_its_map_can_be_stopped(open_app, films, monkeypatch):
    monkeypatch.setenv("SEMINAR_WORKERS", "2")
    at = open_app(films, "alignment", dataset="movielens", run="ml", stages="finetuned", drawing="plotly")
    until = time.monotonic() + 120
    while not [frame for frame in at.dataframe if "pair" in frame.value.columns]:
        assert time.monotonic() < until and not at.exception and not at.error
        time.sleep(0.5)
        at.run()
    pairs = next(frame.value for frame in at.dataframe if "pair" in frame.value.columns).set_index("pair")
    said = card_of(open_stage(films, "ml", "finetuned"))["pairs"]["A>T"]
    assert pairs.loc["attribute > text", ["gap", "R@10", "CKA"]].tolist() == [
        f"{said[metric]['value']:.2f}" for metric in ("centroid_gap", "recall@10", "cka")
    ]
    assert "trained without pretraining: it has before and finetuned" in words_of(at)


def test_training_offers_the_chosen_data_and_shows_its_run(open_app, films):
    at = open_app(films, "training", dataset="movielens", part="start")
    assert not at.exception and not at.error
    assert any("jobs start pretrain --dataset movielens --run pretrain-1" in code.value for code in at.code)
    at = open_app(films, "training", dataset="movielens", part="compare", runs="ml", metric="loss/total")
    last = [row["loss/total"] for row in read_lines(films.run_dir("ml") / "metrics.jsonl") if "loss/total" in row][-1]
    assert not at.exception and f"last values: ml {last:.4g}" in words_of(at)
