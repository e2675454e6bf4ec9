"""The picture encoder: features are shares that can be computed by hand, absent pictures are zero."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from seminar_core.encoders.image import CELLS, COLOUR_LEVELS, ORIENTATIONS, SIDE, WIDTH, Histogram, picture_features
from seminar_core.errors import CorruptFileError
from seminar_core.progress import silent


def plain(colour: tuple[int, int, int]) -> np.ndarray:
    return np.full((SIDE, SIDE, 3), colour, np.uint8)


def webp(pixels: np.ndarray) -> bytes:
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "WEBP", lossless=True)
    return out.getvalue()


def test_worked_example_of_a_plain_red_picture():
    features = picture_features(plain((255, 0, 0))[None])[0]
    assert features.shape == (WIDTH,)
    assert features[3 * COLOUR_LEVELS**2] == pytest.approx(1)  # level (3, 0, 0) holds every pixel
    assert features[: COLOUR_LEVELS**3].sum() == pytest.approx(1)
    assert not features[-(CELLS**2) * ORIENTATIONS :].any()  # nothing has an edge


def test_upright_and_level_stripes_differ_in_their_edges_alone():
    stripes = np.repeat(np.arange(SIDE) // 4 % 2 * 255, SIDE).reshape(SIDE, SIDE)
    level = np.repeat(stripes[..., None], 3, axis=2).astype(np.uint8)
    features = picture_features(np.stack((level, level.transpose(1, 0, 2))))
    edges = CELLS**2 * ORIENTATIONS
    assert features[0, :-edges] == pytest.approx(features[1, :-edges], abs=1e-6)
    assert abs(features[0, -edges:] - features[1, -edges:]).max() > 0.2
    orientation = (features**2)[:, -edges:].reshape(2, CELLS**2, ORIENTATIONS).sum(axis=1).argmax(axis=1)
    assert orientation.tolist() == [ORIENTATIONS // 2, 0]


def test_a_picture_in_a_batch_has_the_features_it_has_alone():
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (5, SIDE, SIDE, 3)).astype(np.uint8)
    together = picture_features(pixels)
    assert all(picture_features(p[None])[0] == pytest.approx(f) for p, f in zip(pixels, together, strict=True))


def test_absent_pictures_are_zero_and_the_others_have_length_one(make_dataset):
    pixels = [plain((255, 0, 0)), plain((0, 0, 255)), plain((250, 10, 5))]
    items = [(f"i{n}", None, None, webp(p)) for n, p in enumerate(pixels)]
    dataset = make_dataset([*items, ("none", None, None, None), ("bad", None, None, b"not a picture")], [None])
    encoded = Histogram().encode(dataset, silent)
    assert encoded.items_present.tolist() == [False, True, True, True, False, False]
    assert not encoded.items[~encoded.items_present].any()
    assert np.linalg.norm(encoded.items[1:4], axis=1) == pytest.approx(1, abs=1e-5)
    assert encoded.queries is None
    red, blue, reddish = encoded.items[1:4]
    assert red @ reddish > red @ blue


def test_one_picture_alone_is_encoded(make_dataset):
    encoded = Histogram().encode(make_dataset([("a", None, None, webp(plain((9, 200, 40))))], [None]), silent)
    assert encoded.items_present.tolist() == [False, True]


def test_a_catalogue_without_pictures_is_all_absent(make_dataset):
    encoded = Histogram().encode(make_dataset([("a", "a rug", None, None)], [None]), silent)
    assert not encoded.items_present.any() and encoded.items.shape == (2, WIDTH)


def test_planted_pictures_tell_category_style_and_colour(planted):
    encoded, truth = Histogram().encode(planted, silent), planted.truth
    right = np.array([name == "" for name in truth.picture_from])
    rows = np.flatnonzero(encoded.items_present & right)
    likeness = encoded.items[rows] @ encoded.items[rows].T
    np.fill_diagonal(likeness, -9)
    nearest = rows[likeness.argmax(axis=1)]
    for label, chance in ((planted.category, 1 / 12), (truth.item_topic % 5, 1 / 5), (truth.item_colour, 1 / 10)):
        assert (label[nearest] == label[rows]).mean() > 2 * chance


def test_stored_bytes_that_are_no_picture_name_the_item(make_dataset):
    dataset = make_dataset([("rug-1", None, None, webp(plain((1, 2, 3))))], [None])
    size = (dataset.path / "pictures.bin").stat().st_size
    (dataset.path / "pictures.bin").write_bytes(b"x" * size)
    with pytest.raises(CorruptFileError, match="the stored picture of item 'rug-1' cannot be read"):
        Histogram().encode(dataset, silent)
