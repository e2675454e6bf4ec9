"""The image encoder that needs no weights: where which colours are, and which way the edges run.

Encoders. Each picture becomes a joint colour histogram, hue histograms of its quarters and gradient orientation
histograms on a grid (Dalal and Triggs 2005, without block normalisation), square-rooted, standardised over the data
set's pictures and brought to length one.
"""

from __future__ import annotations

import io

import numpy as np
from PIL import Image, UnidentifiedImageError

from ..data.dataset import Dataset
from ..data.pictures import FORMATS
from ..errors import CorruptFileError
from ..progress import Progress
from .encoded import Encoded, scattered

SIDE = 64
COLOUR_LEVELS = 4
HUES, QUARTERS = 12, 2
ORIENTATIONS, CELLS = 9, 4
BATCH = 256
WIDTH = COLOUR_LEVELS**3 + QUARTERS**2 * HUES + CELLS**2 * ORIENTATIONS


def read_picture(dataset: Dataset, row: int) -> Image.Image:
    """The picture of an item that has one, as RGB.

    Raises:
        CorruptFileError: the stored bytes are no picture.
    """
    data = dataset.picture(row) or b""
    try:
        return Image.open(io.BytesIO(data), formats=FORMATS).convert("RGB")
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError) as error:
        raise CorruptFileError(
            f"the stored picture of item {dataset.item_ids[row]!r} cannot be read: {error}",
            hint="import the data set again",
        ) from error


def _histogram(bins: np.ndarray, weights: np.ndarray, size: int) -> np.ndarray:
    """(B, size) weighted counts of bins (B, ...) per picture, as shares."""
    count = len(bins)
    flat = (bins.reshape(count, -1) + np.arange(count)[:, None] * size).ravel()
    totals = np.bincount(flat, weights.reshape(-1), count * size).reshape(count, size)
    return totals / np.maximum(totals.sum(axis=1, keepdims=True), 1e-9)


def _cell(cells: int) -> np.ndarray:
    """(SIDE, SIDE) number of the grid cell of each pixel."""
    place = np.arange(SIDE) * cells // SIDE
    return place[:, None] * cells + place


def picture_features(pixels: np.ndarray) -> np.ndarray:
    """Features of B pictures.

    Args:
        pixels: (B, SIDE, SIDE, 3) uint8 RGB.

    Returns:
        (B, WIDTH) float32 square roots of shares: joint colours, hues by quarter weighted by saturation, gradient
        orientations by cell weighted by strength.
    """
    level = (pixels.astype(np.int64) * COLOUR_LEVELS) // 256
    joint = (level[..., 0] * COLOUR_LEVELS + level[..., 1]) * COLOUR_LEVELS + level[..., 2]
    colours = _histogram(joint, np.ones(joint.shape), COLOUR_LEVELS**3)

    rgb = pixels.astype(np.float32) / 255
    red, green, blue = rgb[..., 0], rgb[..., 1], rgb[..., 2]
    hue = np.arctan2(np.sqrt(3.0, dtype=np.float32) * (green - blue), 2 * red - green - blue)
    hue_bin = np.minimum(((hue / (2 * np.pi) + 0.5) * HUES).astype(np.int64), HUES - 1)
    hues = _histogram(_cell(QUARTERS) * HUES + hue_bin, np.ptp(rgb, axis=-1), QUARTERS**2 * HUES)

    grey = rgb.mean(axis=-1)
    across, down = np.gradient(grey, axis=2), np.gradient(grey, axis=1)
    turn = np.arctan2(down, across) % np.pi
    turn_bin = np.minimum((turn / np.pi * ORIENTATIONS).astype(np.int64), ORIENTATIONS - 1)
    edges = _histogram(_cell(CELLS) * ORIENTATIONS + turn_bin, np.hypot(across, down), CELLS**2 * ORIENTATIONS)
    return np.sqrt(np.concatenate((colours, hues, edges), axis=1)).astype(np.float32)


class Histogram:
    """Colour and gradient histograms, standardised over the data set's pictures."""

    def encode(self, dataset: Dataset, progress: Progress) -> Encoded:
        """Encode all pictures."""
        rows = np.flatnonzero(dataset.has_picture).tolist()
        features = self.of_pictures(dataset, rows, progress)
        items, present = scattered(rows, self.finished(features), dataset.n_items + 1)
        return Encoded(items, present)

    def of_pictures(self, dataset: Dataset, rows: list[int], progress: Progress) -> np.ndarray:
        """(n, WIDTH) features of the pictures of `rows`, before they are standardised."""
        features = np.zeros((len(rows), WIDTH), np.float32)
        for first in range(0, len(rows), BATCH):
            part = rows[first : first + BATCH]
            pixels = np.stack(
                [np.asarray(read_picture(dataset, r).resize((SIDE, SIDE), Image.Resampling.BILINEAR)) for r in part]
            )
            features[first : first + BATCH] = picture_features(pixels)
            progress(first + len(part), len(rows), "encoding pictures")
        return features

    def finished(self, vectors: np.ndarray) -> np.ndarray:
        """(n, W) columns of mean 0 and deviation 1, then rows of length one; a single picture keeps its features."""
        if len(vectors) > 1:
            deviation = vectors.std(axis=0)
            vectors = (vectors - vectors.mean(axis=0)) / np.where(deviation > 1e-6, deviation, 1)
        length = np.linalg.norm(vectors, axis=1, keepdims=True)
        return vectors / np.where(length > 0, length, 1)
