"""The station Retrieval shows the command line's numbers, says what a setting changed, and explains what is missing."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pandas as pd
import pytest

from app.components.answer import payload
from app.components.block import head_of
from app.stations.retrieval import figures
from seminar_core.data.opening import open_dataset
from seminar_core.errors import UnknownJobError
from seminar_core.search.answer import retrieve, verdicts
from seminar_core.search.study import make_codebooks, open_study
from seminar_core.workspace import Workspace
from tests.app.conftest import answer_of, ask_of, cards_of, numbers_of, words_of
from tests.tiny import make_dataset
from tests.tiny_run import COARSE

HERE = {"dataset": "tiny", "run": "run", "person": "p1", "spec": COARSE, "shortlist": "0", "k": "6"}


def last_item(workspace: Workspace, person: str = "p1") -> str:
    dataset = open_dataset(workspace, "tiny")
    return dataset.item_ids[int(dataset.store.life(dataset.person_row(person)).item[-1])]


def test_every_number_is_the_commands(open_app, tiny_workspace):
    at = open_app(tiny_workspace, "retrieval", **HERE)
    said = retrieve(tiny_workspace, "run", "p1", last_item(tiny_workspace), k=6, spec=COARSE, shortlist=0.0)
    shown = numbers_of(at)
    assert shown["Recall@K"] == f"{said['recall']:.1%}" and shown["Attention mass"] == f"{said['attention_mass']:.2%}"
    assert shown["Logit, exact"] == f"{said['logit_exact']:+.3f}"
    assert f"{said['visible_events']:,} visible events strictly before event {said['at_event']}" in words_of(at)
    assert said["says"] in words_of(at)
    exact, approx = ({row["event"]: row for row in said[side]} for side in ("exact", "approx"))
    lost, gained, both = exact.keys() - approx.keys(), approx.keys() - exact.keys(), exact.keys() & approx.keys()
    differ, kept = answer_of(at)["lists"]["groups"]
    assert f"{len(lost)} lost, {len(gained)} gained" in differ["note"]
    assert {card["id"] for card in differ["cards"]} <= lost | gained
    assert f"showing {min(len(both), 12)} of {len(both)}" in kept["note"]
    larger = {event: max(exact[event]["weight"], approx[event]["weight"]) for event in both}
    first = kept["cards"][0]["id"]
    assert larger[first] == max(larger.values())
    weights = f"weight {exact[first]['weight']:.4f} exact, {approx[first]['weight']:.4f} approximate"
    assert weights in kept["cards"][0]["lines"][0]


def test_the_parts_of_the_score_are_drawn_and_add_up(open_app, tiny_workspace):
    at = open_app(tiny_workspace, "retrieval", **HERE, figure="parts")
    said = retrieve(tiny_workspace, "run", "p1", last_item(tiny_workspace), k=6, spec=COARSE, shortlist=0.0)
    assert sum(said["logit_parts"]["exact"].values()) == pytest.approx(said["logit_exact"], abs=1e-4)
    spec = json.loads(at.get("plotly_chart")[0].proto.spec)
    assert [trace["name"] for trace in spec["data"]] == ["exact", "approximate"]


def test_a_changed_weight_says_what_it_changed_and_can_be_undone(open_app, tiny_workspace):
    at = open_app(tiny_workspace, "retrieval", **HERE)
    at = ask_of(at, "weights", [0.1, 0.2, 1.0, 0.3])
    assert not at.exception and at.query_params["weights"] == "0.1,0.2,1,0.3"
    changed = answer_of(at)["headline"]["changed"]
    assert changed["what"] == "weights: the run's own → 0.1, 0.2, 1, 0.3" and "left the exact set" in changed["events"]
    at.button(key="undo").click().run()
    assert "weights" not in at.query_params and answer_of(at)["dials"]["own"]


def test_the_answers_on_the_way_of_a_slider_are_one_step_to_undo(open_app, tiny_workspace):
    at = open_app(tiny_workspace, "retrieval", **HERE)
    for k, done in ((9, False), (8, False), (4, True)):
        at = ask_of(at, "k", k, gesture="k-1", done=done)
        assert answer_of(at)["dials"]["k"] == k
        assert answer_of(at)["headline"]["changed"]["what"] == f"K: 6 → {k}"
    at = ask_of(at, "k", 5, gesture="k-2")
    assert answer_of(at)["headline"]["changed"]["what"] == "K: 4 → 5"
    for k in ("4", "6"):
        at.button(key="undo").click().run()
        assert at.query_params["k"] == k
    at.button(key="undo").click().run()
    assert at.toast[0].value == "There is no change to take back."


def test_the_answer_is_told_which_question_it_answers_and_what_is_asked_is_checked(open_app, tiny_workspace):
    at = open_app(tiny_workspace, "retrieval", **HERE)
    at = ask_of(at, "k", 10**9)
    assert answer_of(at)["turn"] == 1 and at.query_params["k"] == "1000"
    at = ask_of(at, "weights", [7, -1, 0.25, 0.5])
    assert answer_of(at)["turn"] == 2 and at.query_params["weights"] == "1,0,0.25,0.5"
    at = ask_of(at, "weights", [])
    assert "weights" not in at.query_params
    at = ask_of(at, "event", "3")
    assert at.query_params["event"] == "3" and answer_of(at)["lanes"]["chosen"] == [3]


def test_a_larger_k_than_the_page_shows_is_told(open_app, tiny_workspace):
    at = open_app(tiny_workspace, "retrieval", **{**HERE, "k": "1000000"})
    assert not at.exception and "K is at most 1,000 per head on this page, not 1,000,000" in words_of(at)


def test_weights_that_leave_nothing_keep_the_sliders_on_the_page(open_app, tiny_workspace):
    at = ask_of(open_app(tiny_workspace, "retrieval", **HERE), "weights", [0, 0, 0, 0])
    assert any("zero" in error.value for error in at.error)
    shown = answer_of(at)
    assert shown["headline"] is None and [one["value"] for one in shown["dials"]["weights"]] == [0, 0, 0, 0]
    at = ask_of(at, "weights", [0, 0, 1, 0])
    assert not at.error and numbers_of(at)


def test_a_picture_travels_once_unless_the_browser_asks_again(open_app, tiny_workspace):
    at = open_app(tiny_workspace, "retrieval", **HERE)
    first = answer_of(at)
    wanted = {card["picture"] for group in first["lists"]["groups"] for card in group["cards"] if "picture" in card}
    assert wanted and set(first["pictures"]) == wanted
    assert all(image.startswith("data:image/webp;base64,") for image in first["pictures"].values())
    at = ask_of(at, "k", 7)
    again = answer_of(at)
    shown = {card["picture"] for group in again["lists"]["groups"] for card in group["cards"] if "picture" in card}
    assert shown & wanted and set(again["pictures"]) == shown - wanted
    lost = sorted(shown)[0]
    assert answer_of(ask_of(at, "pictures", [lost]))["pictures"] == {
        lost: {**first["pictures"], **again["pictures"]}[lost]
    }


def test_a_marked_period_is_left_out_in_seconds_of_the_shown_zone(open_app, tiny_workspace):
    at = open_app(tiny_workspace, "retrieval", **HERE, zone="Asia/Tokyo")
    low, high = answer_of(at)["lanes"]["span"]
    at = ask_of(at, "period", [low, (low + high) / 2])
    assert int(at.query_params["hide_from_s"]) == low / 1000 - 9 * 3600
    assert int(at.query_params["hide_to_s"]) == (low + high) // 2000 - 9 * 3600
    assert any(warning.value.startswith("Left out:") for warning in at.warning)


@pytest.mark.parametrize(
    "choices",
    [
        {"weights": "1,0,0,0.5", "query": "lamp"},
        {"mask": "Q,I"},
        {"head": "1"},
        {"method": "eta"},
        {"methods": "din,muse,run psu"},
        {"query": "a query that nobody asked"},
        {"at": "7"},
        {"hide_from_s": "1700000000", "hide_to_s": "1700300000"},
        {"item": "i3", "event": "2,3"},
        {"shortlist": "2"},
    ],
)
def test_every_setting_opens_from_a_link(open_app, tiny_workspace, choices):
    at = open_app(tiny_workspace, "retrieval", **{**HERE, **choices})
    assert not at.exception, at.exception
    for name, value in choices.items():
        assert at.query_params[name] == value


def test_without_a_person_the_example_person_is_shown_and_named(open_app, tiny_workspace):
    at = open_app(tiny_workspace, "retrieval", dataset="tiny", run="run", spec=COARSE)
    assert "showing the example person" in words_of(at) and numbers_of(at)


@pytest.mark.parametrize(
    ("choices", "says"),
    [
        ({"item": "i999"}, "item 'i999' is not known"),
        ({"person": "p99"}, "person 'p99' is not known"),
        ({"at": "900"}, "is no event of person"),
        ({"weights": "0,0,0,0"}, "zero"),
        ({"spec": "PQ8x4"}, "has no codebooks PQ8x4"),
        ({"spec": "PQ"}, "'PQ'"),
        ({"at": "0"}, "has no visible event before this target"),
    ],
)
def test_what_cannot_be_answered_explains_itself(open_app, tiny_workspace, choices, says):
    at = open_app(tiny_workspace, "retrieval", **{**HERE, **choices})
    assert not at.exception and says in words_of(at)


def test_missing_codebooks_offer_to_train_them(open_app, tiny_workspace):
    at = open_app(tiny_workspace, "retrieval", **{**HERE, "spec": "PQ8x4"})
    assert at.button(key="train_codebooks_run_PQ8x4").label == "Train these codebooks now"


def test_codebooks_under_way_are_shown_where_they_are_missing_and_nowhere_else(open_app, tiny_workspace, monkeypatch):
    row = {"job": "codebooks-0001", "run": "run", "state": "running", "step": 1, "steps": 4, "eta_s": None}
    live = {"codebooks-0001": row | {"message": "clustering", "error": None}}

    def show(workspace, job):
        if job not in live:
            raise UnknownJobError("job", job, live)
        return live[job]

    monkeypatch.setattr("app.background.limits.start_job", lambda workspace, words: "codebooks-0001")
    monkeypatch.setattr("app.background.jobs.show", show)
    at = open_app(tiny_workspace, "retrieval", **{**HERE, "spec": "PQ8x4"})
    at.button(key="train_codebooks_run_PQ8x4").click().run()
    assert "clustering" in at.get("progress")[0].proto.text
    at.query_params["spec"] = "PQ2x4"
    at.run()
    assert not at.get("progress") and at.button(key="train_codebooks_run_PQ2x4")
    at.query_params["spec"] = "PQ8x4"
    at.run()
    assert at.get("progress")
    live.clear()
    at.run()
    assert not at.exception and not at.get("progress") and at.button(key="train_codebooks_run_PQ8x4")


def test_stale_codebooks_are_told_as_stale(open_app, tiny_workspace, tmp_path):
    workspace = Workspace(tmp_path / "workspace")
    shutil.copytree(tiny_workspace.root, workspace.root, ignore=shutil.ignore_patterns("answers"))
    meta = workspace.run_dir("run") / "codebooks" / COARSE / "meta.json"
    meta.write_text(meta.read_text().replace('"vectors_hash": "', '"vectors_hash": "x'))
    at = open_app(workspace, "retrieval", **HERE)
    assert not at.exception and "the run now has" in words_of(at)


def test_a_run_of_replaced_data_is_told_as_stale(open_app, tiny_workspace, tmp_path):
    workspace = Workspace(tmp_path / "workspace")
    shutil.copytree(tiny_workspace.root, workspace.root)
    make_dataset(workspace, people=5, seed=9)
    at = open_app(workspace, "retrieval", **HERE)
    assert not at.exception and "was trained on version" in words_of(at)


def test_a_data_set_without_runs_offers_one(open_app, tiny_workspace, tmp_path):
    workspace = Workspace(tmp_path / "workspace")
    shutil.copytree(tiny_workspace.datasets, workspace.datasets)
    at = open_app(workspace, "retrieval", dataset="tiny")
    assert not at.exception and "needs a trained run" in words_of(at)


def rows(events, weights, near=None):
    made = [
        {"event": str(e), "item": "i", "score": 1.0 / (n + 1), "weight": w, "rank": n + 1, "heads": [0]}
        for n, (e, w) in enumerate(zip(events, weights, strict=True))
    ]
    return made if near is None else [{**row, "score_exact": row["score"]} for row in made]


def test_a_verdict_for_each_event_that_either_kept():
    table = verdicts(rows([5, 3], [0.7, 0.3]), rows([5, 9], [0.6, 0.4], near=True), {"3": 0.1})
    assert dict(zip(table.event, table.verdict, strict=True)) == {5: "kept", 3: "lost", 9: "gained"}
    lost = table[table.event == 3].iloc[0]
    assert lost.weight_approx == 0 and np.isnan(lost.rank_approx) and lost.score_approx == 0.1


def test_figures_carry_event_ids_and_survive_emptiness():
    table = verdicts(rows([5, 3], [0.7, 0.3]), rows([5, 9], [0.6, 0.4], near=True))
    ids = {int(i) for trace in figures.rank_shift(table).data for i in np.ravel(trace.customdata)}
    assert ids == {5, 3, 9}
    assert {int(i) for t in figures.scores(table).data if t.customdata is not None for i in t.customdata} == {5, 3, 9}
    nothing = verdicts([], [])
    for figure in (figures.rank_shift(nothing), figures.scores(nothing)):
        assert figure.layout.annotations[0].text == "Nothing was kept."


def charts_of(at) -> int:
    return len(at.get("plotly_chart"))


@pytest.mark.parametrize(("figure", "says"), [("rank_shift", "ranks by attention weight"), ("scores", "a lasso")])
def test_a_further_figure_is_drawn_when_it_is_asked_for(open_app, tiny_workspace, figure, says):
    at = open_app(tiny_workspace, "retrieval", **HERE)
    assert charts_of(at) == 0 and "First-stage hits above" in answer_of(at)["lanes"]["says"]
    at = open_app(tiny_workspace, "retrieval", **HERE, figure=figure)
    assert charts_of(at) == 1 and says in words_of(at)


def test_a_chosen_event_comes_with_its_two_figures_and_another_on_request(open_app, tiny_workspace):
    at = open_app(tiny_workspace, "retrieval", **HERE)
    assert "nothing chosen: showing the" in words_of(at) and "Code: " in words_of(at)
    toggle = next(t for t in at.toggle if t.label.startswith("Figures"))
    assert charts_of(toggle.set_value(True).run()) == 2
    assert charts_of(open_app(tiny_workspace, "retrieval", **HERE, event="2,3")) == 4


def test_an_unknown_figure_in_a_link_shows_the_timeline(open_app, tiny_workspace):
    at = open_app(tiny_workspace, "retrieval", **HERE, figure="pie")
    assert not at.exception and charts_of(at) == 0 and "First-stage hits above" in answer_of(at)["lanes"]["says"]


def test_another_target_stands_beside_the_first_and_can_take_its_place(open_app, tiny_workspace):
    at = open_app(tiny_workspace, "retrieval", **HERE, item_b="i3")
    for number, item in enumerate((last_item(tiny_workspace), "i3")):
        said = retrieve(tiny_workspace, "run", "p1", item, k=6, spec=COARSE, shortlist=0.0)
        target, listed = cards_of(at, f"beside_{number}")
        assert {f"item {item}", f"Recall@K {said['recall']:.1%}"} <= set(target["cards"][0]["lines"])
        assert [card["id"] for card in listed["cards"]] == [row["event"] for row in said["exact"][:6]]
    at.button(key="swap").click().run()
    assert (at.query_params["item"], at.query_params["item_b"]) == ("i3", last_item(tiny_workspace))


def test_another_run_stands_beside_the_first(open_app, tiny_workspace, tmp_path):
    workspace = Workspace(tmp_path / "workspace")
    shutil.copytree(tiny_workspace.root, workspace.root)
    at = open_app(workspace, "retrieval", **HERE, run_b="psu")
    assert not at.exception and f"has no codebooks {COARSE}" in words_of(at)
    make_codebooks(open_study(workspace, "psu"), COARSE)
    at = open_app(workspace, "retrieval", **HERE, run_b="psu")
    said = retrieve(workspace, "psu", "p1", last_item(workspace), k=6, spec=COARSE, shortlist=0.0)
    target, _ = cards_of(at, "beside_1")
    assert target["note"] == "run psu" and f"Recall@K {said['recall']:.1%}" in target["cards"][0]["lines"]


def test_an_unknown_second_target_is_explained_and_the_page_goes_on(open_app, tiny_workspace):
    at = open_app(tiny_workspace, "retrieval", **HERE, item_b="i999")
    assert not at.exception and "item 'i999' is not known" in words_of(at) and numbers_of(at)


def test_asking_for_the_true_next_item_lets_a_chosen_one_go(open_app, tiny_workspace):
    at = open_app(tiny_workspace, "retrieval", **HERE, item="i3")
    way = next(control for control in at.get("button_group") if control.key == "way")
    assert way.value == "Find an item"
    way.set_value("True next item").run()
    assert "item" not in at.query_params and not at.exception
    assert cards_of(at, "target_card")[0]["note"] == "what the person really met next"


def test_what_was_wrong_with_the_setting_before_is_not_said_of_the_present_one(open_app, tiny_workspace):
    at = open_app(tiny_workspace, "retrieval", **HERE)
    moment = next(field for field in at.text_input if field.label == "seen from event")
    moment.set_value("900").run()
    assert any("is no event of person" in error.value.replace("\\", "") for error in at.error)
    next(field for field in at.text_input if field.label == "seen from event").set_value("5").run()
    assert not at.error and numbers_of(at)


def test_a_left_out_period_is_told_in_dates(open_app, tiny_workspace):
    at = open_app(tiny_workspace, "retrieval", **HERE, hide_from_s="1", hide_to_s="1700000000")
    at.button(key="put_back").click().run()
    said = answer_of(at)["headline"]["changed"]["what"]
    assert "left out from: 1970-01-01 00:00 → none; left out to: 2023-11-14 22:13 → none" in said


def test_a_period_that_leaves_nothing_can_be_put_back(open_app, tiny_workspace):
    at = open_app(tiny_workspace, "retrieval", **HERE, hide_from_s="1")
    assert "outside the left-out period" in words_of(at)
    at.button(key="put_back").click().run()
    assert numbers_of(at) and "hide_from_s" not in at.query_params


def test_masked_channels_are_told_to_the_sliders_and_may_not_be_all(open_app, tiny_workspace):
    at = open_app(tiny_workspace, "retrieval", **HERE, mask="Q,I", weights="0.5,0.3,0.1,0.1")
    dials = answer_of(at)["dials"]
    assert dials["masked"] == ["Q", "I"] and not dials["own"]
    assert [(one["name"], one["value"]) for one in dials["weights"]] == [
        ("Query", 0.5), ("Attribute", 0.3), ("Text", 0.1), ("Image", 0.1),
    ]  # fmt: skip
    at = open_app(tiny_workspace, "retrieval", **HERE, mask="Q,A,T,I")
    assert any("not masked" in error.value for error in at.error)
    next(button for button in at.button if button.label == "Back to the default settings").click().run()
    assert numbers_of(at) and "mask" not in at.query_params


def test_without_any_run_retrieval_does_not_ask_to_choose_one(open_app, tiny_workspace, tmp_path):
    workspace = Workspace(tmp_path / "workspace")
    shutil.copytree(tiny_workspace.datasets, workspace.datasets)
    at = open_app(workspace, "retrieval", dataset="tiny")
    assert "there is none yet" in words_of(at) and "choose one at the top" not in words_of(at)


def test_the_budget_marks_the_present_stage_and_only_it():
    row = {"spec": "A", "bytes_per_event": 16.0, "latency_us": 5.0}
    rows = pd.DataFrame(
        [
            {**row, "stage": "scan", "recall": 0.8, "attention_mass": 0.9},
            {**row, "stage": "refine", "recall": 1.0, "attention_mass": 1.0},
        ]
    )
    figure = figures.budget(rows, x="bytes_per_event", current=("A", "scan"), suggestion=("A", "refine"))
    marks = {trace.name: list(trace.y) for trace in figure.data}
    assert marks["current"] == [0.8] and marks["suggested"] == [1.0]
    assert marks["recall@K, scan alone"] == [0.8] and marks["recall@K, shortlist refined"] == [1.0]
    assert "current" not in {trace.name for trace in figures.budget(rows, x="latency_us", current=("A", "")).data}


def test_no_loss_at_all_lies_at_the_foot_of_its_axis():
    people = pd.DataFrame({"person": ["a", "b"], "events": [5, 9], "gap": [0.1, 0.2], "pq_loss": [0.0, 0.0]})
    low, high = figures.population(people).layout.yaxis.range
    assert -0.0005 < low < 0 < high < 0.01


def test_the_lanes_get_the_kept_events_in_the_order_of_time_with_each_title_once():
    table = verdicts(rows([5, 3], [0.7, 0.3]), rows([5, 9], [0.6, 0.4], near=True), {"3": 0.1})
    titles, arrays = payload.marks(table, np.array([30.0, 10.0, 20.0]), ["a lamp", "", "a lamp"])
    assert arrays["event"].tolist() == [3, 9, 5] and arrays["time"].tolist() == [10, 20, 30]
    assert [payload.VERDICTS[code] for code in arrays["verdict"]] == ["lost", "gained", "kept"]
    assert [titles[at] for at in arrays["title"]] == ["", "a lamp", "a lamp"] and len(titles) == 2
    assert arrays["exact"].tolist() == pytest.approx([0.3, 0, 0.7])
    block = payload.pack(key="k", turn=3, dials={}, headline=None, arrays=arrays)
    assert {one["name"]: one["length"] for one in head_of(block)["buffers"]} == dict.fromkeys(arrays, 3)


@pytest.mark.parametrize("blocks", [0, 1, 4, 32])
def test_every_channel_is_named_beside_however_many_sub_spaces(blocks):
    names = {"Q": "query", "A": "attribute", "T": "text", "I": "image"}
    figure = figures.errors(dict.fromkeys(names, 0.1), [0.01] * (blocks + 1), names)
    named = figure.layout.xaxis.tickvals
    assert named[:4] == tuple(names.values()) and named[-1] == "dropped"
    assert min(blocks, 4) <= len(named) - 5 <= figures.SUBSPACES_NAMED


def test_one_head_is_one_head(open_app, tiny_workspace):
    assert "per head, 1 head ·" in words_of(open_app(tiny_workspace, "retrieval", **HERE, head="0"))
