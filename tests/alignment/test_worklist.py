"""The work-list finds what was planted: wrong pictures first, and says which modality is odd and why."""

from __future__ import annotations

import numpy as np
import pyarrow.parquet as pq
import pytest
from sklearn.metrics import roc_auc_score

from seminar_core.alignment.card import number_card
from seminar_core.alignment.channel_set import ChannelSet
from seminar_core.alignment.worklist import (
    COMPANY,
    ItemFacts,
    company,
    item_disagreement,
    likely_reason,
    people_disagreement,
)
from seminar_core.beside import sample_directory
from seminar_core.errors import EmptyDataError
from seminar_core.files import read_json

N = 400


@pytest.fixture(scope="module")
def planted() -> tuple[ChannelSet, np.ndarray]:
    """Twenty groups; a twentieth of the items wear the picture of an item of another group."""
    rng = np.random.default_rng(0)
    group = np.arange(N) % 20
    widths = {"A": 16, "T": 48, "I": 24}
    vectors = {}
    for name, width in widths.items():
        centres = rng.standard_normal((20, width))
        vectors[name] = (centres[group] + 0.5 * rng.standard_normal((N, width))).astype(np.float32)
    wrong = rng.permutation(N)[: N // 20]
    vectors["I"][wrong] = vectors["I"][(wrong + 7) % N]
    present = {name: np.ones(N, bool) for name in widths}
    return ChannelSet(np.arange(1, N + 1, dtype=np.int32), vectors, present), wrong


def test_wrong_pictures_head_the_list_and_the_picture_is_named(planted):
    channels, wrong = planted
    found = item_disagreement(channels)
    assert roc_auc_score(np.isin(np.arange(N), wrong), found.score) > 0.95
    top = found.order()[: len(wrong)]
    assert np.isin(top, wrong).mean() > 0.8
    assert (found.odd[np.intersect1d(top, wrong)] == "I").mean() > 0.9


def test_an_item_with_one_modality_is_not_judged_rather_than_called_agreeing(planted):
    channels, _ = planted
    present = {name: mask.copy() for name, mask in channels.present.items()}
    present["T"][0] = present["I"][0] = False
    found = item_disagreement(ChannelSet(channels.rows, channels.vectors, present))
    assert np.isnan(found.score[0]) and found.odd[0] == "" and 0 not in found.order()


def test_one_modality_alone_is_a_named_error(planted):
    channels, _ = planted
    with pytest.raises(EmptyDataError, match="only 1 modalities"):
        item_disagreement(ChannelSet(channels.rows, {"T": channels.vectors["T"]}, {"T": channels.present["T"]}))


def test_company_is_who_stands_beside_whom_within_a_life():
    item = np.array([1, 2, 1, 2, 5, 3, 4, 3, 4, 5])
    offsets = np.array([0, 5, 10])
    table = company(item, offsets, 5, k=2)
    assert table[1, 0] == 2 and table[2, 0] == 1 and table[3, 0] == 4
    assert 3 not in table[1] and table[0].tolist() == [0, 0]


def test_company_that_the_modalities_do_not_know_makes_an_item_odd(planted):
    channels, wrong = planted
    rows = np.arange(N + 1)
    met = np.stack([(rows - 1 + 20 * step) % N + 1 for step in range(1, 6)], axis=1)
    met[0] = 0
    met[11] = (met[11] + 6) % N + 1
    found = item_disagreement(channels, met)
    assert COMPANY in found.by_modality
    assert found.odd[10] == COMPANY or found.score[10] > np.quantile(found.score, 0.9)
    assert roc_auc_score(np.isin(np.arange(N), wrong), found.score) > 0.9


def test_on_the_samples_planted_vectors_the_wrong_pictures_head_the_list_and_the_gap_is_as_planted():
    folder = sample_directory()
    if not (folder / "truth" / "vectors_text.parquet").is_file():
        pytest.skip(f"{folder} is not there: write it with `python -m seminar_core sample`")
    truth = pq.read_table(folder / "truth" / "items.parquet", columns=["item", "picture_from"]).to_pydict()
    at = {item: row for row, item in enumerate(truth["item"])}
    vectors, present = {}, {}
    for name, file in (("T", "text"), ("I", "image")):
        table = pq.read_table(folder / "truth" / f"vectors_{file}.parquet")
        given = np.array(table["vector"].to_pylist(), np.float32)
        rows = [at[item] for item in table["item"].to_pylist()]
        vectors[name], present[name] = np.zeros((len(at), given.shape[1]), np.float32), np.zeros(len(at), bool)
        vectors[name][rows], present[name][rows] = given, True
    channels = ChannelSet(np.arange(1, len(at) + 1, dtype=np.int32), vectors, present)
    found = item_disagreement(channels)
    judged = np.isfinite(found.score)
    wrong = np.array([source is not None for source in truth["picture_from"]])
    assert roc_auc_score(wrong[judged], found.score[judged]) > 0.95
    planted = read_json(folder / "truth" / "manifest.json")["modality_gap"]
    figure = number_card(vectors, present)["pairs"]["T>I"]["centroid_gap"]
    assert figure["unscaled"] == pytest.approx(planted, rel=0.05)
    centred = number_card(vectors, present, correction="centred")["pairs"]["T>I"]["centroid_gap"]
    assert centred["value"] < 0.05 * figure["value"]


@pytest.mark.parametrize(
    ("odd", "facts", "expected"),
    [
        ("I", ItemFacts(9, 1, 24), "tiny picture: 24 px on its shorter side"),
        ("I", ItemFacts(9, 1, 96), "picture unlike its text and attributes: perhaps another item's picture"),
        ("T", ItemFacts(9, 12, 96), "generic title: 12 items carry it"),
        ("T", ItemFacts(9, 1, 96), "text unlike its picture and attributes"),
        ("A", ItemFacts(1, 1, 96), "cold id: met 1 time"),
        (
            "Q",
            ItemFacts(9, 1, None),
            "query mismatch: people find it by queries unlike its text, picture and attributes",
        ),
    ],
)
def test_the_reason_names_what_is_wrong_most_often(odd, facts, expected):
    assert likely_reason(odd, facts, ["T", "I", "A"]).startswith(expected)


def test_a_missing_picture_is_said_beside_the_reason():
    assert likely_reason("T", ItemFacts(9, 1, None), ["T", "A"]) == "text unlike its attributes; missing picture"


def test_people_whose_modalities_see_the_same_order_are_not_torn():
    rng = np.random.default_rng(1)
    base = rng.standard_normal((40, 6)).astype(np.float32)
    vectors = {"T": base, "I": base.copy()}
    vectors["I"][20:] = rng.standard_normal((20, 6))
    channels = ChannelSet(np.arange(1, 41, dtype=np.int32), vectors, {name: np.ones(40, bool) for name in vectors})
    item = np.concatenate([np.arange(1, 21), np.arange(21, 41), [1, 1, 1]])
    found = people_disagreement(channels, item, np.array([0, 20, 40, 43]))
    assert found.score[0] == pytest.approx(0, abs=1e-5) and found.score[1] > 0.3
    assert np.isnan(found.score[2]) and found.worst.tolist() == ["T,I", "T,I", ""]
