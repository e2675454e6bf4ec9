"""The stations on MovieLens latest-small: few queries (tags) and no picture; what is missing is said, nothing fails."""

from __future__ import annotations

from pathlib import Path

import pytest

from seminar_core.data.dataset import open_dataset
from seminar_core.data.importers.movielens import import_movielens
from seminar_core.data.people import find_people
from seminar_core.data.report import report
from seminar_core.diagnostics.search_answer import retrieve
from seminar_core.diagnostics.study import make_codebooks, open_study
from seminar_core.training.finetune import finetune
from seminar_core.training.recipe import FinetuneConfig
from seminar_core.training.settings import load_config
from seminar_core.workspace import Workspace
from tests.app.conftest import words_of

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
    shown = {metric.label: metric.value for metric in at.metric}
    assert not at.exception and shown["Recall@K"] == f"{said['recall']:.1%}"
    assert f"{said['visible_events']:,} visible events" in words_of(at)


@pytest.mark.parametrize(
    "choices", [{"mask": "I"}, {"weights": "1,0,0,0"}, {"query": "robots"}, {"event": "3"}, {"method": "twin"}]
)
def test_a_setting_without_meaning_here_is_explained(open_app, films, choices):
    at = open_app(films, "retrieval", **{**HERE, **choices})
    assert not at.exception and (at.metric or at.error)
