"""Every station in every state that a workspace or a link can be in: it opens, and says what is missing or wrong."""

from __future__ import annotations

import json
import shutil

import pytest

from seminar_core.data.opening import open_dataset
from seminar_core.jobs import control as jobs
from seminar_core.workspace import Workspace
from tests.app.conftest import cards_of, numbers_of, words_of
from tests.tiny import make_dataset
from tests.tiny_run import COARSE, SPEC

STATIONS = ("home", "data", "life", "alignment", "retrieval", "training")
HERE = {"dataset": "tiny", "run": "run", "person": "p1", "spec": COARSE, "shortlist": "0", "k": "6"}


@pytest.fixture(scope="module")
def bare(tmp_path_factory) -> Workspace:
    """A workspace in which nothing was ever made."""
    return Workspace(tmp_path_factory.mktemp("bare") / "workspace")


@pytest.fixture(scope="module")
def stale(tiny_workspace, tmp_path_factory) -> Workspace:
    """The tiny workspace, its coarse codebooks being of other vectors than the run has."""
    workspace = Workspace(tmp_path_factory.mktemp("stale") / "workspace")
    shutil.copytree(tiny_workspace.root, workspace.root)
    meta = workspace.run_dir("run") / "codebooks" / COARSE / "meta.json"
    meta.write_text(meta.read_text().replace('"vectors_hash": "', '"vectors_hash": "x'))
    return workspace


@pytest.fixture(scope="module")
def two(tiny_workspace, tmp_path_factory) -> Workspace:
    """The tiny workspace with a second, smaller data set and a run `foreign` that says it was trained on that."""
    workspace = Workspace(tmp_path_factory.mktemp("two") / "workspace")
    shutil.copytree(tiny_workspace.root, workspace.root)
    make_dataset(workspace, "other", people=3, items=20)
    shutil.copytree(workspace.run_dir("run"), workspace.run_dir("foreign"))
    card = workspace.run_dir("foreign") / "run.json"
    card.write_text(json.dumps({**json.loads(card.read_text()), "name": "foreign", "dataset": "other"}))
    return workspace


@pytest.mark.parametrize(
    ("station", "says"),
    [
        ("home", "You are looking at the run that came with the sample"),
        ("data", "Read the life of person"),
        ("life", "Choose a person in the table above"),
        ("alignment", "showing the newest, sample-seminar"),
        ("retrieval", "run sample-seminar"),
        ("training", "No training has been started yet"),
    ],
)
def test_an_empty_workspace_has_the_sample_and_its_run_and_says_what_comes_next(open_app, bare, station, says):
    at = open_app(bare, station)
    assert not at.exception and not at.error
    assert says in words_of(at) + " ".join(str(button.label) for button in at.button)
    assert not bare.runs.exists()


@pytest.mark.parametrize("station", [name for name in STATIONS if name != "retrieval"])
def test_stale_codebooks_do_not_touch_the_stations_that_need_none(open_app, stale, station):
    at = open_app(stale, station, **HERE)
    assert not at.exception and not at.error


def test_stale_codebooks_of_another_specification_are_told_in_the_budget_alone(open_app, stale):
    at = open_app(stale, "retrieval", **{**HERE, "spec": SPEC})
    assert not at.error and numbers_of(at)
    at.session_state["budget"] = True
    at = at.run()
    assert not at.exception and numbers_of(at) and len(at.error) == 1 and "the run now has" in words_of(at)
    assert "Train these codebooks now" not in {button.label for button in at.button}  # it would train the wrong ones


def test_without_losses_the_list_by_loss_says_why(open_app, tiny_workspace):
    at = open_app(tiny_workspace, "life", dataset="tiny", run="run", sort="pq-loss")
    words = words_of(at)
    assert "no PQ loss yet" in words and "the longest lives are shown" in words
    lengths = at.dataframe[0].value.events.tolist()
    assert lengths == sorted(lengths, reverse=True)


@pytest.mark.parametrize("station", STATIONS)
@pytest.mark.parametrize("name", ["person", "item", "event", "at", "job", "runs", "selected"])
def test_an_unknown_id_never_breaks_a_station(open_app, tiny_workspace, station, name):
    for value in ("zzz", "9999999"):
        at = open_app(tiny_workspace, station, **{**HERE, name: value})
        assert not at.exception, (value, at.exception[0].stack_trace)


@pytest.mark.parametrize(
    ("station", "choices", "says"),
    [
        ("life", {"person": "zzz"}, "person 'zzz' is not known"),
        ("life", {"sort": "gap", "run": "gone"}, "run 'gone' is not known"),
        ("retrieval", {"person": "zzz"}, "person 'zzz' is not known"),
        ("retrieval", {"item": "zzz"}, "item 'zzz' is not known"),
        ("retrieval", {"run": "gone"}, "run 'gone' is not known"),
        ("retrieval", {"run_b": "gone"}, "run 'gone' is not known"),
        ("retrieval", {"event": "9999999"}, "9999999"),
        ("retrieval", {"event": "last"}, "“event=last” is not events whose loss is explained"),
        ("retrieval", {"head": "first"}, "“head=first” is not one attention head"),
        ("retrieval", {"weights": "1,0"}, "“weights=1,0” is not explicit channel weights"),
        ("retrieval", {"at": "zzz"}, "is no event of person"),
        ("alignment", {"run": "gone"}, "run 'gone' is not known"),
        ("alignment", {"stages": "last"}, "has no stage last: showing"),
        ("training", {"part": "compare", "runs": "run,gone"}, "not known here and left out: gone"),
    ],
)
def test_what_is_not_known_is_named_with_its_value(open_app, tiny_workspace, station, choices, says):
    at = open_app(tiny_workspace, station, **{**HERE, **choices})
    assert not at.exception and says in words_of(at)


@pytest.mark.parametrize("station", ["life", "retrieval"])
def test_a_time_zone_that_does_not_exist_is_told_and_utc_is_used(open_app, tiny_workspace, station):
    at = open_app(tiny_workspace, station, **HERE, zone="Mars/Olympus")
    assert not at.exception and "“zone=Mars/Olympus” is not time zone" in words_of(at) and "UTC" in words_of(at)


def test_an_unknown_job_is_told_and_the_newest_is_shown(open_app, two, monkeypatch: pytest.MonkeyPatch):
    rows = [{"job": "pretrain-0001", "run": "r", "command": "pretrain", "state": "done"}]
    monkeypatch.setattr(jobs, "rows", lambda workspace: rows)
    monkeypatch.setattr("app.stations.training.view.detail", lambda row: None)
    monkeypatch.setattr("app.stations.training.view.table", lambda rows: {"job": ["pretrain-0001"]})
    at = open_app(two, "training", job="pretrain-0009")
    assert not at.exception and "job pretrain-0009 is not known here: showing the newest" in words_of(at)


@pytest.mark.parametrize(("station", "choices"), [("alignment", {}), ("retrieval", {}), ("life", {"sort": "gap"})])
def test_a_run_of_another_data_set_is_refused_by_name(open_app, two, station, choices):
    at = open_app(two, station, **{**HERE, "dataset": "other", "person": "", **choices})
    assert not at.exception
    assert "among the runs of data set 'other', run 'run' is not known; known: foreign" in words_of(at)
    assert "it was trained on data set 'tiny'" in words_of(at)
    at = next(button for button in at.button if button.label == "Choose another run").click().run()
    assert "run" not in at.query_params


def test_a_second_run_of_another_data_set_is_refused_and_the_page_goes_on(open_app, two):
    at = open_app(two, "retrieval", **HERE, run_b="foreign")
    assert not at.exception and numbers_of(at)
    assert "among the runs of data set 'tiny', run 'foreign' is not known; known: psu, run" in words_of(at)


def test_an_unknown_data_set_is_explained_before_its_run(open_app, tiny_workspace):
    for station in ("alignment", "retrieval", "life"):
        at = open_app(tiny_workspace, station, **{**HERE, "dataset": "nowhere"})
        assert not at.exception and "data set 'nowhere' is not known" in words_of(at), station


def test_an_address_without_its_version_opens_the_map_too(open_app, tiny_workspace):
    at = open_app(tiny_workspace, "alignment", dataset="tiny", run="run", stages="finetuned")
    assert not at.exception and "Number card" in "".join(str(s.value) for s in at.subheader)


def test_a_target_without_text_or_picture_says_that_they_are_masked(open_app, tiny_workspace):
    dataset = open_dataset(tiny_workspace, "tiny")
    rows = range(1, dataset.n_items + 1)
    bare_rows = {
        "text": next(row for row in rows if not dataset.titles[row] and dataset.picture(row)),
        "picture": next(row for row in rows if dataset.titles[row] and not dataset.picture(row)),
    }
    for what, row in bare_rows.items():
        at = open_app(tiny_workspace, "retrieval", **HERE, item=dataset.item_ids[row])
        (card,) = cards_of(at, "target_card")[0]["cards"]
        assert not at.exception and numbers_of(at) and f"without {what}: masked" in card["lines"]


def test_a_target_without_text_and_picture_in_a_life_without_a_past_offers_the_end_of_the_life(
    open_app, tiny_workspace, tmp_path, monkeypatch
):
    workspace = Workspace(tmp_path / "workspace")
    shutil.copytree(tiny_workspace.root, workspace.root)
    monkeypatch.setattr("app.loaders.picture", lambda name, row: "")
    row = next(r for r in range(1, 61) if not open_dataset(workspace, "tiny").titles[r])
    at = open_app(workspace, "retrieval", **HERE, item=open_dataset(workspace, "tiny").item_ids[row], at="0")
    (card,) = cards_of(at, "target_card")[0]["cards"]
    assert "without text and picture: masked" in card["lines"] and "there is nothing to retrieve" in words_of(at)
    at = at.button(key="look_end").click().run()
    assert not at.exception and at.query_params["at"] == "end" and numbers_of(at)


def test_a_link_from_an_older_version_shows_what_it_can_on_the_page_of_retrieval(open_app, tiny_workspace):
    at = open_app(tiny_workspace, "retrieval", **HERE, v="0", colour_by="x")
    words = words_of(at)
    assert "another version of the app" in words and "“colour_by” is not known here" in words
    assert not at.exception and numbers_of(at) and at.query_params["person"] == "p1"
