"""The station Alignment: the card beside the map, what a link selects, and states that explain themselves."""

from __future__ import annotations

import base64
import io
import json
import re
import shutil
import time
import zipfile
from itertools import combinations

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
from streamlit.testing.v1 import AppTest

from app import state
from app.components.alignment_map import payload
from app.stations.alignment import card as alignment_card
from app.stations.alignment import loaders as alignment_loaders
from app.stations.alignment import twin as alignment_twin
from app.stations.alignment import worklist as alignment_worklist
from app.stations.alignment.selections import keep_selection
from seminar_core.alignment.card import number_card
from seminar_core.alignment.card_table import card_table
from seminar_core.alignment.map_facts import worst_aligned
from seminar_core.alignment.map_store import MapRequest
from seminar_core.alignment.projection import joint_points, lay_out
from seminar_core.alignment.stages import draw, open_stage
from seminar_core.data.importers.table import import_table
from seminar_core.data.opening import open_dataset
from seminar_core.training.finetune import finetune
from seminar_core.training.pretrain import pretrain
from seminar_core.training.recipe import FinetuneConfig, PretrainConfig
from seminar_core.training.settings import load_config
from seminar_core.workspace import Workspace
from tests.app.conftest import choose_row, words_of
from tests.tiny import make_dataset, write_table
from tests.tiny_run import SMALL, make_run


def drawn(open_app, workspace, **choices):
    """Open the page and wait until UMAP has replaced PCA."""
    return settled(open_app(workspace, "alignment", dataset="tiny", **choices))


def settled(at):
    """The page once UMAP has replaced PCA."""
    until = time.monotonic() + 90
    while "**PCA**" in words_of(at) and time.monotonic() < until:
        time.sleep(0.5)
        at = at.run()
    assert not at.exception
    return at


def test_without_a_run_the_page_says_what_it_needs(open_app, workspace):
    from tests.tiny import make_dataset

    make_dataset(workspace, "tiny", people=12, items=30, seed=0, shortest=12, longest=20)
    at = open_app(workspace, "alignment", dataset="tiny")
    assert not at.exception and "Alignment needs a trained run" in words_of(at)


def test_the_page_shows_card_map_badge_and_worklist(open_app, tiny_workspace):
    at = drawn(open_app, tiny_workspace, run="psu")
    words = words_of(at)
    assert "among the ten nearest" in words and "by chance" in words
    assert "only neighbours mean anything" in words and "trustworthiness" in words and "shown of" in words
    assert "**UMAP**" in words
    assert len(at.get("plotly_chart")) == 1 and len(at.get("bidi_component")) >= 3
    assert "judged" in words


def test_the_figure_shows_the_frozen_encoders_where_no_shared_space_is_needed(open_app, tiny_workspace):
    at = drawn(open_app, tiny_workspace, run="psu", held_out="0")
    spec = json.loads(next(chart.proto.spec for chart in at.get("plotly_chart")))
    lines = [trace for trace in spec["data"] if trace["name"] == "encoders"]
    values = [np.frombuffer(base64.b64decode(trace["x"]["bdata"]), trace["x"]["dtype"]) for trace in lines]
    shown = [int(np.isfinite(panel).sum()) for panel in values]
    assert shown == [0, 0, 0, 0, 1, 1], "text > image in the panels k-NN overlap and CKA"
    assert "before any training; no shared space" in words_of(at)


def test_a_link_with_a_selection_shows_its_rows_and_a_small_one_has_no_card(open_app, tiny_workspace):
    dataset = open_dataset(tiny_workspace, "tiny")
    digest = keep_selection(tiny_workspace, dataset.hash, np.array([2, 3, 5]))
    at = drawn(open_app, tiny_workspace, run="psu", selected=digest)
    words = words_of(at)
    alone = keep_selection(tiny_workspace, dataset.hash, np.array([4]))
    assert "1 item selected" in words_of(drawn(open_app, tiny_workspace, run="psu", selected=alone))
    assert "3 items selected" in words and "needs at least 15 items; 3 are selected: the card is not of them" in words
    assert "of the 3 selected items" in words and "match the filter" not in words
    assert set(at.dataframe[-1].value["id"]) <= {dataset.item_ids[r] for r in (2, 3, 5)}


def test_the_card_follows_a_selection_and_is_of_the_part_that_is_chosen_and_says_how_many(open_app, tmp_path):
    workspace = Workspace(tmp_path / "workspace")
    dataset = run_of(workspace, "wide", items=400, people=200)
    digest = keep_selection(workspace, dataset.hash, np.arange(1, 351))
    opened = open_stage(workspace, "wide-psu", "after")
    pairs = [opened.channels.present[a] & opened.channels.present[b] for a, b in combinations("QATI", 2)]
    for held_out, chosen in (("1", opened.heldout), ("0", ~opened.heldout)):
        words = words_of(
            open_app(workspace, "alignment", dataset="wide", run="wide-psu", selected=digest, held_out=held_out)
        )
        which = "held-out items" if held_out == "1" else "without the held-out items"
        told = re.findall(rf"of the 350 selected items · n = \d+ to (\d+) items a pair, {which}", words)
        assert [int(most) for most in told] == [max((b & chosen)[:350].sum() for b in pairs)], words


def test_held_out_items_of_a_selection_are_counted_apart(open_app, tmp_path):
    workspace = Workspace(tmp_path / "workspace")
    dataset = run_of(workspace, "wide", items=400, people=200)
    opened = open_stage(workspace, "wide-psu", "after")
    rows, held = opened.channels.rows, opened.heldout
    for inside, outside, told in (
        (2, 14, "16 are selected, 2 of them held out and measured apart: the card is not of them"),
        (20, 0, "too few items are in alignment to measure every pair: the held-out ones are shown"),
    ):
        chosen = np.concatenate([rows[held][:inside], rows[~held][:outside]])
        digest = keep_selection(workspace, dataset.hash, chosen)
        at = open_app(workspace, "alignment", dataset="wide", run="wide-psu", selected=digest, held_out="0")
        assert not at.exception and not at.error and told in words_of(at)
        assert ("of the 20 selected items" in words_of(at)) == (inside == 20)


def test_a_run_without_alignment_says_that_it_kept_no_items_out(open_app, tmp_path):
    workspace = Workspace(tmp_path / "workspace")
    make_dataset(workspace, "tiny", people=12, longest=60)
    config = load_config(FinetuneConfig, None, SMALL, seed=0, device="cpu")
    finetune(workspace, "tiny", "scratch", model="seminar", config=config)
    words = words_of(open_app(workspace, "alignment", dataset="tiny", run="scratch"))
    assert "this run held no items out" in words and "too few items were held out" not in words


def test_a_colour_and_a_list_that_are_not_known_here_are_told(open_app, tiny_workspace):
    words = words_of(drawn(open_app, tiny_workspace, run="psu", colour="zzz", list_stage="qq"))
    assert "zzz cannot colour this map" in words and "this run has no stage qq: the list is of after" in words
    words = words_of(drawn(open_app, tiny_workspace, run="psu", colour="category", list_stage="before"))
    assert "cannot colour" not in words and "has no stage" not in words


def test_a_stage_that_the_run_does_not_have_is_named_and_others_are_shown(open_app, tiny_workspace):
    words = words_of(drawn(open_app, tiny_workspace, run="psu", stages="finetuned"))
    assert "run psu has no stage finetuned: showing before and after" in words
    assert "Choose at least one stage" not in words and "(before); by chance" in words


def test_a_selection_made_elsewhere_is_told(open_app, tiny_workspace):
    at = drawn(open_app, tiny_workspace, run="psu", selected="0123456789ab")
    assert "is not known here for this version of the data" in words_of(at)


def test_an_unknown_run_is_explained_with_a_next_step(open_app, tiny_workspace):
    at = open_app(tiny_workspace, "alignment", dataset="tiny", run="nothing")
    assert not at.exception and "'nothing' is not known" in words_of(at)


def test_plotly_draws_the_map_where_it_is_chosen(open_app, tiny_workspace):
    at = drawn(open_app, tiny_workspace, run="psu", drawing="plotly")
    assert len(at.get("plotly_chart")) == 2


def test_the_export_buttons_give_the_files_that_they_name(open_app, tiny_workspace, monkeypatch):
    offered = {}
    monkeypatch.setattr(
        "app.stations.alignment.badge.st.download_button",
        lambda label, data, name, mime, *, key, **rest: offered.__setitem__(name, data),
    )
    open_app(tiny_workspace, "alignment", dataset="tiny", run="psu", stages="before,after", drawing="plotly")
    points = sum(
        open_stage(tiny_workspace, "psu", s).channels.present[c].sum() for s in ("before", "after") for c in "QATI"
    )
    atlas = pq.read_table(io.BytesIO(offered["alignment_map.parquet"]()))
    assert len(atlas) == points and {"x", "y", "neighbors", "title"} <= set(atlas.column_names)
    with zipfile.ZipFile(io.BytesIO(offered["alignment_projector.zip"]())) as archive:
        assert len(archive.read("projector/vectors.tsv").splitlines()) == points
        assert archive.read("projector/sprite.png").startswith(b"\x89PNG")


def test_plotly_draws_one_panel_per_modality_where_that_is_chosen(open_app, tiny_workspace):
    at = drawn(open_app, tiny_workspace, run="psu", drawing="plotly", multiples="1")
    spec = next(json.loads(chart.proto.spec) for chart in at.get("plotly_chart") if "alignment_map" in chart.proto.id)
    assert len({trace["xaxis"] for trace in spec["data"]}) == 8
    assert "each modality in a panel of its own" in words_of(at) and "grey lines" not in words_of(at)


def test_plotly_colours_by_an_attribute_and_says_so(open_app, tiny_workspace):
    at = drawn(open_app, tiny_workspace, run="psu", drawing="plotly", colour="category")
    assert "Colour: category" in words_of(at)
    spec = next(json.loads(chart.proto.spec) for chart in at.get("plotly_chart") if "alignment_map" in chart.proto.id)
    assert {"lamp", "chair"} & {trace.get("name") for trace in spec["data"]}


def test_plotly_says_how_many_items_are_joined_and_names_a_cosine_in_words(open_app, tiny_workspace, monkeypatch):
    monkeypatch.setattr("app.stations.alignment.figures.MOST_LINES", 7)
    words = words_of(drawn(open_app, tiny_workspace, run="psu", drawing="plotly", colour="cosine T–I"))
    assert "join the modalities of the items that are worst aligned, 7 of 10" in words
    assert "Colour: cosine text – image, last stage" in words


def test_attributes_that_say_the_same_are_offered_once():
    kinds = ["mugs", None, "tents"] * 4
    frame = pd.DataFrame({"category": kinds, "categories": kinds, "brand": ["a", "b", "c"] * 4, "events": range(12)})
    assert alignment_loaders.attributes_of(frame) == ["category", "brand"]


def test_a_link_shows_the_card_of_one_value_of_an_attribute(open_app, tmp_path):
    workspace = Workspace(tmp_path / "workspace")
    counts = run_of(workspace, "wide", items=200).items_frame()["colour"].value_counts()
    at = open_app(workspace, "alignment", dataset="wide", run="wide-psu", slice=f"colour={counts.index[0]}")
    words = words_of(at)
    assert not at.exception and f"Number card, colour: {counts.index[0]}" in words
    most = int(re.search(r"n = \d+ to (\d+) items a pair", words)[1])
    assert 15 <= most <= counts.iloc[0]


def test_the_largest_slices_are_offered_and_a_link_opens_any_other(open_app, tmp_path, monkeypatch):
    workspace = Workspace(tmp_path / "workspace")
    counts = run_of(workspace, "wide", items=200).items_frame()["colour"].value_counts()
    monkeypatch.setattr(alignment_card, "MOST_SLICES", 1)
    smallest = f"colour={counts[counts >= 30].index[-1]}"
    at = open_app(workspace, "alignment", dataset="wide", run="wide-psu", slice=smallest)
    field = at.selectbox(key="w_slice")
    assert not at.exception and field.value == smallest and len(field.options) == 3
    every = len(alignment_loaders.slices("wide", 30))
    assert every > 2 and f"offering the 1 largest of {every} values with at least 30 items" in words_of(at)
    assert f"Number card, {smallest.replace('=', ': ')}" in words_of(at)


def test_a_slice_that_is_too_small_is_told_and_all_items_are_shown(open_app, tiny_workspace):
    at = drawn(open_app, tiny_workspace, run="psu", slice="colour=mauve")
    assert "colour=mauve has fewer than 30 items here" in words_of(at)


def test_the_worklist_has_a_stage_of_its_own(open_app, tiny_workspace):
    at = drawn(open_app, tiny_workspace, run="run", list_stage="before")
    assert "stage before" in words_of(at)
    at = at.selectbox(key="w_list_stage").select("finetuned").run()
    assert not at.exception and "stage finetuned" in words_of(at)


def test_the_worklist_says_who_is_left_out_what_its_score_means_and_what_matches(open_app, tiny_workspace, monkeypatch):
    at = drawn(open_app, tiny_workspace, run="psu")
    assert set(at.dataframe[-1].value["odd"]) <= set(alignment_worklist.ODD.values())
    title = next(title for title in at.dataframe[-1].value["title"] if title)
    words = words_of(at.text_input(key="worklist_text").input(title).run())
    assert "0 = supported like most items, 1 = no more than by chance" in words and " match the filter" in words
    monkeypatch.setattr(
        "app.stations.alignment.loaders.worklist",
        lambda *_: (pd.DataFrame([{"id": "p1", "title": "", "disagreement": 0.3, "reason": "", "events": 9}]), 1, 3),
    )
    words = words_of(open_app(tiny_workspace, "alignment", dataset="tiny", run="psu", of="people"))
    assert "2 left out: fewer than 8 different items that have every modality" in words
    assert "0.5 = unrelated" in words and "fewer than two modalities" not in words


def test_a_row_chosen_in_one_list_of_people_is_chosen_in_no_other_and_may_be_gone(open_app, tiny_workspace):
    at = open_app(tiny_workspace, "alignment", dataset="tiny", run="psu", of="people")
    at = choose_row(at, "worklist_table", 1)
    first = at.dataframe[-1].value["id"].iloc[1]
    assert at.button(key="torn_life").label == f"Read the life of {first}"
    at = at.selectbox(key="w_list_stage").select("before").run()
    assert not at.exception and "stage before" in words_of(at)
    assert not [button for button in at.button if button.key == "torn_life"]
    gone = choose_row(at, "worklist_table", 250)
    assert not gone.exception and not [button for button in gone.button if button.key == "torn_life"]


def run_of(workspace, name, **size):
    """A pretrained run `<name>-psu` of a data set of its own."""
    dataset = make_dataset(workspace, name, **({"people": 12, "longest": 40} | size))
    pretrain(workspace, name, f"{name}-psu", config=load_config(PretrainConfig, None, SMALL, seed=0, device="cpu"))
    return dataset


def test_fewer_than_fifteen_items_are_explained_and_the_page_goes_on(open_app, tmp_path):
    workspace = Workspace(tmp_path / "workspace")
    run_of(workspace, "few", items=12)
    at = open_app(workspace, "alignment", dataset="few", run="few-psu")
    words = words_of(at)
    assert not at.exception
    assert "too few for a number card: it needs at least 15" in words and "Work-list" in words


def test_a_modality_that_is_missing_entirely_is_dashed_and_never_drawn(open_app, tmp_path, monkeypatch):
    workspace = Workspace(tmp_path / "workspace")
    monkeypatch.setattr("tests.tiny.draw", lambda *_: None)
    run_of(workspace, "blind", items=60)
    at = open_app(workspace, "alignment", dataset="blind", run="blind-psu", drawing="plotly")
    at = settled(at)
    assert not at.exception
    spec = next(json.loads(chart.proto.spec) for chart in at.get("plotly_chart") if "alignment_map" in chart.proto.id)
    names = {trace.get("name") for trace in spec["data"]}
    assert "text" in names and "image" not in names
    pairs = next(frame.value for frame in at.dataframe if "pair" in frame.value.columns)
    image = pairs[pairs["pair"].str.contains("image")]
    assert image.empty or set(image["cosine"]) == {"–→–"}
    assert "Attribute finds its own text among the ten nearest" in words_of(at) and "No pair" not in words_of(at)
    assert "Encoders:" not in words_of(at), "without a picture nothing of the encoders could be compared"


def test_a_map_of_older_vectors_is_never_shown_but_drawn_again_with_a_word(open_app, tmp_path):
    workspace = make_run(tmp_path)
    drawn(open_app, workspace, run="psu")
    old = {path.name for path in workspace.maps.iterdir()}
    shutil.rmtree(workspace.run_dir("psu"))
    config = load_config(PretrainConfig, None, SMALL, seed=1, device="cpu")
    pretrain(workspace, "tiny", "psu", config=config)
    at = open_app(workspace, "alignment", dataset="tiny", run="psu")
    assert "drawn from other vectors than it has now" in words_of(at)
    settled(at)
    assert {path.name for path in workspace.maps.iterdir() if not path.name.startswith(".")} > old


def test_the_page_shows_the_map_that_the_command_drew_also_of_three_stages(open_app, tmp_path):
    workspace, names = make_run(tmp_path), ["before", "after", "finetuned"]
    draw(workspace, "run", names)
    words = words_of(open_app(workspace, "alignment", dataset="tiny", run="run", stages=",".join(names)))
    assert "**UMAP**" in words and "this is PCA" not in words and "other vectors" not in words


def test_a_map_with_other_limits_is_not_said_to_be_of_other_vectors(open_app, tmp_path):
    workspace = make_run(tmp_path)
    for limits in ({"fit_limit": 40}, {"show_limit": 60}):
        draw(workspace, "psu", ["before", "after"], request=MapRequest(**limits))
    words = words_of(open_app(workspace, "alignment", dataset="tiny", run="psu"))
    assert "this is PCA" in words and "other vectors" not in words


def test_a_run_of_older_data_is_explained_once(open_app, tmp_path):
    workspace = Workspace(tmp_path / "workspace")
    run_of(workspace, "grown", items=40)
    assert not open_app(workspace, "alignment", dataset="grown", run="grown-psu").error  # now in the server's memory
    import_table(workspace, write_table(tmp_path / "more", people=13, items=40, longest=40), "grown")
    at = open_app(workspace, "alignment", dataset="grown", run="grown-psu")
    assert not at.exception and len(at.error) == 1
    assert "was trained on version" in words_of(at)


def test_the_small_table_shows_first_and_last_stage_and_dashes_what_was_not_measured():
    rng = np.random.default_rng(0)
    base = rng.standard_normal((60, 6)).astype(np.float32)
    present = {"T": np.ones(60, bool), "I": np.ones(60, bool), "A": np.zeros(60, bool)}
    cards = {
        stage: number_card({"T": base, "I": base + noise, "A": base}, present, bootstrap=10)
        for stage, noise in (("before", rng.standard_normal((60, 6)).astype(np.float32)), ("after", np.float32(0)))
    }
    small = alignment_card.compact(card_table(cards), "in alignment", ("before", "after")).set_index("pair")
    assert small.loc["text > image", "R@10"].endswith("→1.00")
    assert small.loc["attribute > text", "CKA"] == "–→–"


def test_a_figure_that_rounds_to_nothing_has_no_sign():
    assert alignment_card._change([-0.001, 0.34]) == "0.00→0.34" and alignment_card._change([-0.01]) == "-0.01"


def test_a_classifier_at_or_below_chance_is_said_to_be_none():
    row = {"part": "in alignment", "metric": "modality_classifier_accuracy", "random": 0.25}
    table = pd.DataFrame([row | {"stage": "before", "value": 0.17}, row | {"stage": "after", "value": 0.17}])
    assert "cannot tell the modality" in alignment_card.classifier_words(table, "in alignment")
    assert "before 17%, after 17%; chance 25%" in alignment_card.classifier_words(table, "in alignment")
    table.loc[1, "value"] = 0.7
    assert "classifier tells the modality" in alignment_card.classifier_words(table, "in alignment")
    assert alignment_card.classifier_words(table, "held out") == ""


def test_the_map_of_the_bundled_run_is_there_at_once(open_app, workspace):
    at = open_app(workspace, "alignment", dataset="sample", run="sample-seminar")
    said = words_of(at)
    assert not at.exception and "**UMAP**" in said and "this is PCA" not in said


def test_a_link_to_a_work_list_of_nothing_known_is_explained(open_app, tiny_workspace):
    at = open_app(tiny_workspace, "alignment", dataset="tiny", run="run", of="PQ16x8")
    assert not at.exception and "“of=PQ16x8” is not work-list of items or people" in words_of(at)


def test_how_many_of_the_worst_aligned_are_joined_travels_in_the_link_and_has_a_limit(open_app, tiny_workspace):
    at = drawn(open_app, tiny_workspace, run="psu", worst="3", drawing="plotly")
    assert at.number_input(key="w_worst").value == 3 and "worst aligned, 3" in words_of(at)
    assert "at most 500 of the worst aligned are joined, not 9,000" in words_of(
        drawn(open_app, tiny_workspace, run="psu", worst="9000", drawing="plotly")
    )


def test_the_table_of_the_map_lists_worst_aligned_items_first_and_the_gaps_of_both_stages(open_app, tiny_workspace):
    layout = alignment_loaders_layout(tiny_workspace)
    items = payload.items_of(layout)
    dataset = open_dataset(tiny_workspace, "tiny")
    cosines = payload.pair_cosines(layout, items)
    table = alignment_twin.items_table(items, cosines, dataset)
    assert table["below the mean"].dropna().is_monotonic_decreasing
    assert set(table["item_row"].head(4)) == set(items.rows[worst_aligned(cosines[-1], 4)])
    gaps = alignment_twin.gap_frame(layout)
    assert list(gaps.columns) == ["pair", "before", "after", "items"] and len(gaps) == 6 and (gaps["before"] > 0).all()


def alignment_loaders_layout(workspace):
    """The PCA picture of both stages of `psu`."""
    stages = {name: open_stage(workspace, "psu", name).channels for name in ("before", "after")}
    return lay_out(joint_points(stages), method="pca")


def test_the_cards_figure_is_made_once_for_all_sessions_of_the_same_content(open_app, tiny_workspace):
    assert not open_app(tiny_workspace, "alignment", dataset="tiny", run="run", drawing="plotly").exception
    table = alignment_loaders.table_of("run", ("before", "after"), "none")
    assert alignment_loaders.table_of("run", ("before", "after"), "none") is table
    asked = alignment_loaders.asked_card("run", ("before", "after"), "none", None)
    figure = alignment_loaders.card_figure(asked, "in alignment", table)
    assert alignment_loaders.card_figure(asked, "in alignment", table) is figure
    assert (
        alignment_loaders.card_figure(
            alignment_loaders.asked_card("run", ("after",), "none", None), "in alignment", table
        )
        is not figure
    )
    before = figure.to_json()
    open_app(tiny_workspace, "alignment", dataset="tiny", run="run", drawing="plotly")
    assert figure.to_json() == before, "drawing it changes nothing in it"


def twin_script(layout, dataset):
    """The map's table alone, with a button that clears what it selects and one that undoes."""
    import streamlit as st

    from app import state
    from app.components.alignment_map import payload
    from app.stations.alignment import twin

    state.begin()
    items = payload.items_of(layout)
    st.button("Clear", on_click=state.put, kwargs={"selected": ""})
    st.button("Undo", on_click=state.undo)
    st.selectbox("Colour", ["", "events"], **state.bound("colour", options=["", "events"]))
    cosines = payload.pair_cosines(layout, items)
    twin.render(layout, items, cosines, dataset, lambda rows: state.put(selected=",".join(map(str, rows))))
    state.finish()


def test_ticks_of_the_maps_table_go_with_the_selection_that_they_made_and_stay_with_it(tiny_workspace):
    layout, dataset = alignment_loaders_layout(tiny_workspace), open_dataset(tiny_workspace, "tiny")
    at = AppTest.from_function(twin_script, kwargs={"layout": layout, "dataset": dataset}, default_timeout=60)
    at.session_state["map_twin"] = True

    def keys_after(at: AppTest) -> tuple[str, str]:
        assert not at.exception
        table = next(frame for frame in at.dataframe if "below the mean" in frame.value.columns)
        return table.proto.id, at.session_state[state.CHOICES]["selected"]

    first, selected = keys_after(at.run())
    row = alignment_twin.items_table(items := payload.items_of(layout), payload.pair_cosines(layout, items), dataset)
    assert keys_after(choose_row(at, "map_twin_rows", 2)) == (first, str(row["item_row"].iloc[2])) and not selected
    assert keys_after(at.selectbox[0].select("events").run())[0] == first, "what is ticked is selected still"
    cleared, selected = keys_after(at.button[0].click().run())
    assert cleared != first and not selected
    assert keys_after(choose_row(at, "map_twin_rows", 1))[0] == cleared
    undone, selected = keys_after(at.button[1].click().run())
    assert undone not in (first, cleared) and not selected
    at.session_state["map_twin_ticks"] = (9, b"rows of another map", "")
    assert "rows_10" in keys_after(at.run())[0]
