"""The card as a table: nothing is lost on the way, and every figure has a definition with a source."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from seminar_core.alignment.card import number_card
from seminar_core.alignment.card_table import card_table, compared, sentence
from seminar_core.alignment.definitions import CHANNEL_METRICS, CLASSIFIER, DEFINITIONS, PAIR_METRICS


@pytest.fixture(scope="module")
def cards() -> dict:
    rng = np.random.default_rng(0)
    base = rng.standard_normal((200, 8)).astype(np.float32)
    present = {"T": np.ones(200, bool), "I": np.arange(200) % 3 > 0, "Q": np.zeros(200, bool)}
    heldout = np.arange(200) % 4 == 0
    stages = {}
    for stage, noise in (("before", 3.0), ("after", 0.2)):
        image = base + noise * rng.standard_normal(base.shape).astype(np.float32)
        stages[stage] = number_card({"T": base, "I": image, "Q": base}, present, heldout=heldout, bootstrap=50)
    return stages


def test_every_figure_of_the_card_is_a_row(cards):
    table = card_table(cards)
    assert len(table) == 2 * 2 * (6 * len(PAIR_METRICS) + 3 * len(CHANNEL_METRICS) + 1)
    row = table[(table.stage == "after") & (table.part == "held out") & (table.pair == "T>I") & (table.metric == "mrr")]
    figure = cards["after"]["heldout"]["pairs"]["T>I"]["mrr"]
    assert row.iloc[0]["value"] == figure["value"] and row.iloc[0]["n"] == figure["n"]
    assert [row.iloc[0]["low"], row.iloc[0]["high"]] == figure["interval"]


def test_what_could_not_be_measured_keeps_its_row_and_reason(cards):
    table = card_table(cards)
    missing = table[(table.pair == "T>Q") & (table.metric == "recall@1")]
    assert missing["value"].isna().all() and missing["reason"].str.contains("only 0 items").all()
    assert (table[table["value"].notna()]["reason"] == "").all()


def test_two_stages_side_by_side_say_whether_their_intervals_are_apart(cards):
    table = compared(card_table(cards), "before", "after")
    row = table[(table.pair == "T>I") & (table.metric == "recall@10")].iloc[0]
    assert row["apart"] and row["value_second"] > row["value_first"]


def test_the_sentence_says_what_changed_on_how_many_held_out_items(cards):
    words = sentence(card_table(cards))
    assert words.startswith("Text finds its own picture among the ten nearest for ") and "(after), up from " in words
    assert "held-out items" in words and "by chance" in words
    assert "overlap" not in words


def test_the_sentence_is_of_the_first_pair_that_was_measured_where_there_are_no_pictures(cards):
    table = card_table(cards)
    renamed = {"T>I": "A>T", "I>T": "T>A"}
    without = table[~table["pair"].isin(renamed)]
    blind = table.assign(pair=table["pair"].replace(renamed))
    assert sentence(blind) == sentence(table).replace("Text finds its own picture", "Attribute finds its own text")
    assert sentence(without) == "No pair of modalities could be compared; the table says why."
    heldout = blind[blind["part"] == "held out"]
    assert sentence(heldout, part="in alignment") == sentence(blind)


def test_the_sentence_warns_of_a_change_within_the_intervals_and_counts_one_stage(cards):
    same = sentence(card_table({"first": cards["after"], "second": cards["after"]}))
    assert ", as much as " in same and same.endswith("; the two 95 % intervals overlap.")
    n = cards["after"]["heldout"]["pairs"]["T>I"]["recall@10"]["n"]
    assert f"% of {n} held-out items (by chance" in sentence(card_table({"after": cards["after"]}))


def test_every_figure_has_a_definition_with_source_and_a_place_in_the_documentation():
    assert set(DEFINITIONS) == {*PAIR_METRICS, *CHANNEL_METRICS, CLASSIFIER}
    text = (Path(__file__).resolve().parents[2] / "docs" / "alignment.md").read_text(encoding="utf-8")
    for name, definition in DEFINITIONS.items():
        assert definition.title in text and definition.source.split(",")[0] in text, name
