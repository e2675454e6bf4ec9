"""The Python interface: the commands' answers as tables, JSON and pictures; light to import; its examples run."""

import doctest
import subprocess
import sys

import pytest

import seminar_core as sc
from seminar_core import interface
from seminar_core.alignment.stages import gap
from seminar_core.cli.alignment import map_
from seminar_core.errors import ExistsError, UnknownDatasetError, UnknownRunError
from seminar_core.files import plain
from seminar_core.search.answer import retrieve
from tests.tiny_run import COARSE, make_run

TRAINING = {"width": 16, "heads": 2, "steps": 2, "evaluate_every": 2, "batch_size": 4, "validation_people": 6}


@pytest.fixture(scope="module")
def ds(tmp_path_factory) -> interface.Lives:
    workspace = make_run(tmp_path_factory.mktemp("interface"))
    return sc.open("tiny", workspace.root)


@pytest.fixture(scope="module")
def names(ds) -> tuple[str, str]:
    return str(ds.people(limit=1).person[0]), ds.dataset.item_ids[3]


def test_importing_the_package_imports_nothing_heavy():
    code = "import sys, seminar_core; print(len({'torch', 'pandas', 'numpy', 'streamlit'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "0\n"
    assert {"open", "datasets", "Run"} <= set(dir(sc))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = sc.nothing


def test_retrieve_is_the_commands_answer_and_one_table(ds, names):
    run = ds.run("run")
    answer = run.retrieve(*names, spec=COARSE, k=4, shortlist=0)
    expected = plain(retrieve(ds.workspace, "run", *names, spec=COARSE, k=4, shortlist=0))
    assert {**answer.as_dict(), "latency_us": None} == {**expected, "latency_us": None}
    frame = answer.frame()
    sides = {side: {row["event"] for row in expected[side]} for side in ("exact", "approx")}
    assert set(frame.event) == sides["exact"] | sides["approx"]
    kept = frame.set_index("event").kept
    assert {e for e in kept.index if kept[e] in ("both", "exact alone")} == sides["exact"]
    assert {e for e in kept.index if kept[e] in ("both", "approximate alone")} == sides["approx"]
    assert sum(answer["logit_parts"]["exact"].values()) == pytest.approx(answer["logit_exact"], abs=1e-5)
    assert len(answer.figure().data) == 2 and "<table" in answer._repr_html_() and "event" in repr(answer)


def test_masks_weights_and_periods_are_named_as_the_command_names_them(ds, names):
    run = ds.run("run")
    plainly, masked = (run.retrieve(*names, spec=COARSE, mask=mask) for mask in ((), ("t",)))
    assert plainly["logit_exact"] != masked["logit_exact"]
    assert run.retrieve(*names, spec=COARSE, hide_from=0)["visible_events"] == 0
    assert run.retrieve(*names, spec=COARSE, weights=[0, 1, 0, 0])["exact"]


def test_what_is_none_is_left_out_as_it_is_for_the_command(ds, names):
    run = ds.run("run")
    fields = ("query", "at", "k", "spec", "shortlist", "weights", "mask", "hide_from", "hide_to", "head", "method")
    assert run._question(*names, dict.fromkeys(fields)) == run._question(*names, {})
    unset = run.retrieve(*names, spec=COARSE, mask=None, shortlist=None)
    assert unset["says"] == run.retrieve(*names, spec=COARSE)["says"]


def test_one_string_is_one_stage_of_a_map(ds):
    assert set(ds.run("run").map("after", method="pca").frame().stage) == {"after"}
    assert set(ds.run("run").map(None, method="pca").frame().stage) == {"before", "after"}


def test_a_map_answers_what_the_command_does_but_for_its_file(ds, tmp_path):
    path = tmp_path / "map.parquet"
    printed = map_(ds.workspace, "run", path, method="pca")
    said = ds.run("run").map(method="pca").as_dict()
    assert said.keys() == printed.keys() - {"out", "format"}
    same = said.keys() - {"seconds"}
    assert {name: said[name] for name in same} == {name: plain(printed[name]) for name in same}
    assert said["fit_seconds"] != said["seconds"] > 0


def test_every_other_question_has_a_table_and_those_with_a_picture_draw_it(ds, names):
    run = ds.run("run")
    event = run.retrieve(*names, spec=COARSE).frame().event[0]
    explained = run.explain(*names, event, spec=COARSE)
    assert explained.frame().to_numpy().sum() == pytest.approx(explained["score_exact"], abs=1e-4)
    measured = run.evaluate(negatives=5)
    assert (measured.frame().low <= measured.frame().value).all() and measured.figure().data
    card = run.gap()
    assert card.as_dict() == plain(gap(ds.workspace, "run")) and list(card.frame().index) == list(card["pairs"])
    brand = ds.dataset.items_frame()["brand"].value_counts().index[0]
    part = run.gap(slice_=f"brand={brand}")
    assert part.as_dict() == plain(gap(ds.workspace, "run", slice_=f"brand={brand}")) != card.as_dict()
    with pytest.raises(interface.NotReadyError, match="no picture"):
        card.figure()
    drawn = run.map(method="pca")
    assert {"item", "channel", "stage", "x", "y"} <= set(drawn.frame()) and drawn.figure().data
    rows = run.frontier()
    assert rows.frame().spec.tolist() == [row["spec"] for row in rows["rows"]] and rows.figure().data


def test_a_data_set_lists_its_people_lives_and_runs(ds, names):
    life = ds.life(names[0])
    assert len(life) == ds.people(limit=1).events[0] and list(ds.runs().run) == ["psu", "run"]
    assert "tiny" in repr(ds) and "tiny" in sc.datasets(ds.workspace.root)


def test_trainings_give_runs_and_what_is_wrong_is_named(ds, names):
    first = ds.pretrain("nb-psu", **TRAINING)
    second = ds.train("nb", parent=first.name, **{k: v for k, v in TRAINING.items() if k not in ("width", "heads")})
    assert second.retrieve(*names, spec="exact")["recall"] == 1
    with pytest.raises(ExistsError, match="'nb' exists"):
        ds.train("nb", steps=1)
    with pytest.raises(UnknownRunError, match="nothing"):
        ds.run("nothing")
    with pytest.raises(UnknownDatasetError, match="none-such"):
        sc.open("none-such", ds.workspace.root)


def test_the_examples_in_the_docstrings_run(ds, names, monkeypatch, tmp_path):
    monkeypatch.setenv("SEMINAR_WORKSPACE", str(tmp_path))
    given = {"ds": ds, "run": ds.run("run"), "person": names[0], "item": names[1]}
    found = doctest.testmod(interface, extraglobs=given)
    assert found.attempted >= 5 and not found.failed
