"""gap, worklist and map of a run: stages as they are meant, documented keys, explained refusals."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest
import typer.main

from seminar_core.alignment import stages as alignment
from seminar_core.alignment import worklist_rows
from seminar_core.alignment.map_store import MapRequest, map_key
from seminar_core.cli import main
from seminar_core.errors import SeminarError, StaleError, UnknownNameError, UnknownRunError
from seminar_core.files import read_json, write_json
from seminar_core.model.losses import heldout_items
from seminar_core.training.finetune import finetune
from seminar_core.training.pretrain import pretrain
from seminar_core.training.recipe import FinetuneConfig, PretrainConfig
from seminar_core.training.run_files import read_card
from seminar_core.training.runs import load_run
from seminar_core.training.session import Orders
from seminar_core.training.settings import load_config
from tests.tiny_run import SMALL, make_run


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    return make_run(tmp_path_factory.mktemp("alignment"))


def answer(capsys, workspace, *words: str) -> dict:
    main.load_areas()
    typer.main.get_command(main.app).main(
        args=[*words, "--json", "--workspace", str(workspace.root)], standalone_mode=False
    )
    return json.loads(capsys.readouterr().out.strip().splitlines()[-1])


def test_stages_of_a_psu_and_of_the_run_restored_from_it(workspace):
    assert alignment.stages_of(workspace, "psu") == {"before": ("psu", "before"), "after": ("psu", "best")}
    of_ranker = alignment.stages_of(workspace, "run")
    assert of_ranker == {"before": ("psu", "before"), "after": ("psu", "best"), "finetuned": ("run", "best")}
    assert alignment.open_stage(workspace, "psu").stage == "after"


def test_a_film_shows_every_step_once_and_in_order(workspace, monkeypatch):
    best = alignment.open_stage(workspace, "psu", "best").step
    same, later = f"step-{best:06d}", f"step-{best + 1:06d}"
    for kept, frames in (([same, later], [same, later]), ([later], ["best", later])):
        monkeypatch.setattr(alignment, "checkpoints_of", lambda *_, kept=kept: [*kept, "best"])
        assert alignment.film_frames(workspace, "run") == frames


def test_a_stage_shows_the_models_own_vectors_and_the_items_kept_out(workspace):
    opened = alignment.open_stage(workspace, "psu", "before")
    run = load_run(workspace, "psu", stage="before", device="cpu")
    assert opened.step == 0
    assert np.array_equal(opened.channels.vectors["T"], run.model.channel_vectors().item[1:, 1])
    held = heldout_items(run.dataset.n_items, run.config.seed, run.config.objectives.held_out)[1:]
    assert np.array_equal(opened.heldout, held)


def test_a_map_is_found_again_where_a_processor_rounds_otherwise(workspace):
    names = ("before", "finetuned")
    stages = {name: alignment.open_stage(workspace, "run", name).channels for name in names}
    rounded = {
        name: replace(channels, vectors={n: np.nextafter(v, np.float32(1)) for n, v in channels.vectors.items()})
        for name, channels in stages.items()
    }
    unknown = {name: replace(channels, origin="") for name, channels in rounded.items()}
    request = MapRequest(method="pca")
    assert stages["before"].origin != stages["finetuned"].origin
    assert map_key(rounded, request) == map_key(stages, request) != map_key(unknown, request)


def test_a_query_vector_is_of_training_events_only(workspace):
    opened = alignment.open_stage(workspace, "psu", "before")
    run = load_run(workspace, "psu", stage="before", device="cpu")
    store, train_end = run.dataset.store, run.material.split.train_end
    asked = set()
    for person in range(store.n_people):
        life = store.life(person)
        searched = np.asarray(life.query[: train_end[person]]) > 0
        asked |= set(np.asarray(life.item[: train_end[person]])[searched].tolist())
    assert set(opened.channels.rows[opened.channels.present["Q"]].tolist()) == asked


def test_gap_answers_the_documented_keys(workspace, capsys):
    card = answer(capsys, workspace, "gap", "--run", "run", "--stage", "before")
    assert card["stage"] == "before" and card["n_items"] > 0
    assert {"A>T", "T>A", "Q>I"} <= set(card["pairs"])
    figure = card["pairs"]["A>T"]
    assert set(figure["recall@1"]) == {"value", "random", "n", "interval"}
    assert {"mean", "p5", "p95", "random", "n", "interval"} == set(figure["paired_cosine"])
    assert {"effective_rank", "uniformity", "hubness"} <= set(card["channels"]["A"])
    assert {"modality_classifier_accuracy", "heldout", "encoders"} <= set(card)


def test_a_run_without_pretraining_says_so_with_every_stage(workspace, capsys, tmp_path):
    settings = load_config(FinetuneConfig, None, SMALL, seed=0, device="cpu")
    finetune(workspace, "tiny", "alone", model="seminar", config=settings)
    said = "run 'alone' was trained without pretraining: it has before (its own step 0) and finetuned"
    card = answer(capsys, workspace, "gap", "--run", "alone")
    assert card["stage"] == "before" and card["stages"] == ["before", "finetuned"] and card["notes"][0] == said
    assert said in alignment.gap(workspace, "alone", "finetuned")["notes"]
    with pytest.raises(UnknownNameError) as refused:
        alignment.gap(workspace, "alone", "after")
    assert refused.value.hint == said
    drawn = answer(capsys, workspace, "map", "--run", "alone", "--out", str(tmp_path / "m.parquet"), "--method", "pca")
    assert drawn["stages"] == ["before", "finetuned"] and said in drawn["notes"]
    assert not any("without pretraining" in note for note in alignment.gap(workspace, "run")["notes"])


@pytest.fixture
def trained_anew(tmp_path):
    """A workspace whose PSU was trained anew with another seed after `run` was restored from it."""
    workspace = make_run(tmp_path)
    settings = load_config(PretrainConfig, None, (*SMALL, "held_out=0.3"), seed=7, device="cpu")
    pretrain(workspace, "tiny", "psu", config=settings, orders=Orders(overwrite=True))
    return workspace


def test_a_psu_that_was_trained_anew_is_not_shown_as_what_a_run_was_restored_from(workspace, trained_anew):
    for stage in ("before", "after", "step-000000"):
        with pytest.raises(StaleError, match="of 'psu', which has been trained since") as refused:
            alignment.open_stage(trained_anew, "run", stage)
        assert "name the stage finetuned" in refused.value.hint
        alignment.open_stage(workspace, "run", stage)
    with pytest.raises(StaleError):
        alignment.gap(trained_anew, "run")
    alignment.open_stage(trained_anew, "psu", "after")


def test_the_held_out_items_of_a_run_are_those_of_the_psu_it_was_restored_from(workspace, trained_anew):
    here, there = (alignment.open_stage(one, "run", "finetuned") for one in (workspace, trained_anew))
    card = read_card(workspace.run_dir("run"))
    assert card.restored["held_out"] == 0.1 and card.restored["seed"] == 0
    held = heldout_items(here.dataset.n_items, 0, 0.1)[1:]
    assert np.array_equal(here.heldout, held) and np.array_equal(there.heldout, held)


def test_a_run_whose_card_does_not_remember_its_psu_opens_as_ever(trained_anew):
    path = trained_anew.run_dir("run") / "run.json"
    earlier = read_json(path)
    del earlier["restored"]
    write_json(path, earlier)
    for stage in ("before", "after", "finetuned"):
        opened = alignment.open_stage(trained_anew, "run", stage)
        assert opened.heldout.mean() == pytest.approx(0.3, abs=0.1)


def test_the_encoders_are_measured_on_the_items_asked_for_and_the_held_out_apart(workspace):
    opened = alignment.open_stage(workspace, "run", "before")
    everything = alignment.encoders_card(workspace, opened)
    raw = alignment.raw_channels(opened.dataset, **everything["encodings"])
    assert everything["n_items"] == (~opened.heldout).sum() < opened.dataset.n_items
    rows = raw.rows[:40]
    some = alignment.encoders_card(workspace, opened, items=rows)
    assert some["n_items"] == 40 - opened.heldout[:40].sum()
    both = raw.present["T"] & raw.present["I"] & ~opened.heldout
    assert some["pairs"]["T>I"]["cka"]["n"] == both[:40].sum()


def test_gap_measures_the_encoders_on_the_items_of_the_card_and_with_its_correction(workspace):
    opened = alignment.open_stage(workspace, "run", "after")
    plain = alignment.gap(workspace, "run", "after")
    centred = alignment.gap(workspace, "run", "after", correction="centred")
    for card in (plain, centred):
        encoders = card["encoders"]
        assert encoders["n_items"] == card["n_items"] and encoders["correction"] == card["correction"]
        assert encoders == alignment.encoders_card(workspace, opened, correction=card["correction"])
    assert plain["encoders"]["pairs"]["T>I"]["knn_overlap"] != centred["encoders"]["pairs"]["T>I"]["knn_overlap"]


def test_the_worklists_answer_rows_with_reasons(workspace, capsys):
    rows = answer(capsys, workspace, "worklist", "--run", "psu", "--limit", "5")["rows"]
    assert len(rows) == 5 and {"id", "title", "disagreement", "reason"} <= set(rows[0])
    scores = [row["disagreement"] for row in rows]
    assert scores == sorted(scores, reverse=True) and all(row["reason"] for row in rows)
    people = answer(capsys, workspace, "worklist", "--run", "psu", "--of", "people")
    assert people["judged"] + people["left_out"] == load_run(workspace, "psu", device="cpu").dataset.n_people


def test_gap_and_the_work_list_of_a_slice_are_of_its_items_alone(workspace, capsys):
    opened = alignment.open_stage(workspace, "psu")
    frame = opened.dataset.items_frame()
    value = frame["brand"].value_counts().index[0]
    rows = frame.loc[frame["brand"] == value, "item_row"].to_numpy()
    card = answer(capsys, workspace, "gap", "--run", "psu", "--slice", f"brand={value}")
    expected = alignment.card_of(opened, items=rows)
    assert card["slice"] == f"brand={value}" and card["n_items"] == expected["n_items"] <= len(rows)
    assert card["pairs"]["A>T"] == expected["pairs"]["A>T"] and card["encoders"]["n_items"] == card["n_items"]
    listed = answer(capsys, workspace, "worklist", "--run", "psu", "--slice", f"brand={value}", "--limit", "999")
    everything = worklist_rows.worklist(workspace, "psu", limit=999)["rows"]
    assert listed["rows"] == [row for row in everything if row["item_row"] in set(rows)]
    assert listed["judged"] + listed["left_out"] == len(rows)
    for slice_, says in (
        ("lamps", "slice 'lamps' is not field=value"),
        ("maker=x", "attribute 'maker' is not known"),
        ("brand=None", "value of brand 'None' is not known"),
        ("title=x", "attribute 'title' is not known"),
        ("brand=zzz", f"value of brand 'zzz' is not known; known: .*{value}"),
    ):
        with pytest.raises(SeminarError, match=says):
            alignment.gap(workspace, "psu", slice_=slice_)
    with pytest.raises(SeminarError, match="is of items, not of people"):
        worklist_rows.worklist(workspace, "psu", of="people", slice_=f"brand={value}")


def test_map_writes_coordinates_on_one_joint_layout(workspace, capsys, tmp_path):
    out = tmp_path / "map.parquet"
    words = ("map", "--run", "run", "--stages", "before,after,finetuned", "--out", str(out), "--method", "pca")
    said = answer(capsys, workspace, *words)
    table = pq.read_table(out).to_pandas()
    assert list(table.columns) == ["item", "channel", "stage", "x", "y"]
    assert len(table) == said["points"] == said["of"] and set(table["stage"]) == {"before", "after", "finetuned"}
    assert 0 <= said["trustworthiness"] <= 1 and said["trustworthiness_n"] > 0 and said["seed"] == 0
    kept = json.loads((workspace.maps / said["map"] / "map.json").read_text())
    assert kept["source"]["run"] == "run" and kept["source"]["dataset"] == "tiny"


def test_unknown_stages_runs_and_lists_are_named_with_the_known_ones(workspace):
    with pytest.raises(UnknownNameError, match="after, before"):
        alignment.open_stage(workspace, "psu", "finetuned")
    with pytest.raises(UnknownRunError, match="psu"):
        alignment.gap(workspace, "nothing")
    with pytest.raises(UnknownNameError, match="items, people"):
        worklist_rows.worklist(workspace, "psu", of="pictures")
