"""Text encoders: one space for items and queries, absent rows are zero, nothing depends on order or chance."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sparse

from seminar_core.encoders.text import RARE_FROM, Hashing, TfidfSvd, _counters
from seminar_core.progress import silent

ENCODERS = pytest.mark.parametrize("encoder", [TfidfSvd(), Hashing()], ids=["tfidf-svd", "hashing"])
ITEMS = [
    ("a", "red wool rug", "A soft rug of wool.", None),
    ("b", "steel racing bicycle", None, None),
    ("c", None, None, None),
    ("d", None, "A blue bicycle made of steel.", None),
    ("e", "???", None, None),
]


@ENCODERS
def test_a_query_is_nearest_to_the_item_that_it_describes(encoder, make_dataset):
    dataset = make_dataset(ITEMS, ["bicycles of steel", "wool rugs", None])
    encoded = encoder.encode(dataset, silent)
    nearest = encoded.queries @ encoded.items.T
    assert nearest[dataset.query_row("wool rugs")].argmax() == dataset.item_row("a")
    assert nearest[dataset.query_row("bicycles of steel")].argmax() in (dataset.item_row("b"), dataset.item_row("d"))


@ENCODERS
def test_absent_texts_are_zero_and_the_others_have_length_one(encoder, make_dataset):
    dataset = make_dataset(ITEMS, ["wool", None])
    encoded = encoder.encode(dataset, silent)
    assert encoded.items_present[:5].tolist() == [False, True, True, False, True]
    assert not encoded.items[~encoded.items_present].any()
    assert np.linalg.norm(encoded.items[encoded.items_present], axis=1) == pytest.approx(1, abs=1e-5)
    assert encoded.queries_present.tolist() == [False, True]
    assert encoded.items.dtype == encoded.queries.dtype == np.float32


@ENCODERS
def test_the_same_texts_give_the_same_vectors(encoder, planted):
    first, second = encoder.encode(planted, silent), type(encoder)().encode(planted, silent)
    assert (first.items == second.items).all() and (first.queries == second.queries).all()


@ENCODERS
def test_vectors_of_planted_texts_know_the_topic(encoder, planted):
    encoded = encoder.encode(planted, silent)
    rows = np.flatnonzero(encoded.items_present)
    likeness = encoded.items[rows] @ encoded.items[rows].T
    np.fill_diagonal(likeness, -1)
    category = planted.category[rows]
    assert (category[likeness.argmax(axis=1)] == category).mean() > 0.5  # chance is 1/12


def test_the_width_is_the_rank_where_that_is_smaller(make_dataset):
    assert TfidfSvd().encode(make_dataset(ITEMS, ["wool"]), silent).width <= 6


def test_with_enough_dimensions_latent_likeness_is_that_of_tfidf_itself():
    texts = ["red rug", "red wool rug", "blue bike", "bike of steel", "wool"]
    vectors = TfidfSvd(256)._vectors(texts, silent)
    full = sparse.hstack([counter.fit_transform(texts) for counter in _counters(len(texts))]).toarray()
    full /= np.linalg.norm(full, axis=1, keepdims=True)
    assert vectors @ vectors.T == pytest.approx(full @ full.T, abs=1e-4)


@ENCODERS
def test_without_any_text_everything_is_absent(encoder, make_dataset):
    encoded = encoder.encode(make_dataset([("a", None, None, None)], [None]), silent)
    assert not encoded.items_present.any() and encoded.width >= 1


def test_long_catalogues_are_fitted_on_a_part_and_encoded_whole(planted, monkeypatch):
    monkeypatch.setattr("seminar_core.encoders.text.FITTED_DOCUMENTS", 100)
    monkeypatch.setattr("seminar_core.encoders.text.CHUNK", 64)
    encoded = TfidfSvd().encode(planted, silent)
    assert encoded.width <= 100
    assert encoded.items_present.sum() == sum(title is not None for title in planted.titles)


def test_a_catalogue_in_which_no_word_occurs_twice_is_compared_by_its_characters(make_dataset):
    names = [(f"i{n}", f"SKU{n:06}", None, None) for n in range(RARE_FROM)]
    encoded = TfidfSvd().encode(make_dataset(names, [None]), silent)
    assert encoded.items_present[1:].all()
    likeness = encoded.items[1:] @ encoded.items[1:].T
    assert likeness[123, 124] > likeness[123, 456]


def test_texts_that_share_nothing_at_all_are_absent(make_dataset):
    names = [(f"i{n}", "".join(map(chr, range(0x4E00 + 4 * n, 0x4E04 + 4 * n))), None, None) for n in range(RARE_FROM)]
    dataset = make_dataset(names, [None])
    encoded = TfidfSvd().encode(dataset, silent)
    assert not encoded.items_present.any() and encoded.width == 1
    assert not TfidfSvd().unseen(dataset, silent)(["anything"]).any()
