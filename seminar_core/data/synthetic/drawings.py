"""A small picture for every planted item: its shape tells the category, its colour and pattern the rest.

Data, generation. Pillow draws each picture at twice its size and scales it down; position, size, angle and tint vary
from item to item, so that no two pictures of a topic are equal and an image encoder has something to see through.
WEBP without metadata: the same arguments give the same bytes with the pinned Pillow.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable

import numpy as np
from PIL import Image, ImageDraw

SIDE = 96
QUALITY = 50
_SCALE = 2
_CANVAS = SIDE * _SCALE

Points = list[tuple[float, float]]


def _ring(count: int, radius: Callable[[int], float], turn: float = 0.0) -> Points:
    """`count` points round the origin at radius(i)."""
    angles = [turn + 2 * math.pi * i / count for i in range(count)]
    return [(radius(i) * math.sin(a), -radius(i) * math.cos(a)) for i, a in enumerate(angles)]


def _box(left: float, top: float, right: float, bottom: float) -> Points:
    return [(left, top), (right, top), (right, bottom), (left, bottom)]


# Outlines in a square from -1 to 1, one list of polygons for each category in the order of `CATEGORIES`.
SHAPES: tuple[list[Points], ...] = (
    [_box(-0.6, -1, -0.3, 1), _box(-0.6, 0, 0.6, 0.3), _box(0.3, 0.1, 0.6, 1)],  # chair
    [[(-0.4, -0.9), (0.4, -0.9), (0.8, 0), (-0.8, 0)], _box(-0.08, 0, 0.08, 0.9), _box(-0.5, 0.8, 0.5, 1)],  # lamp
    [_box(-1, -0.55, 1, 0.55)],  # rug
    [_box(-0.7, -0.7, 0.4, 0.8), _box(0.4, -0.4, 0.9, -0.2), _box(0.7, -0.4, 0.9, 0.4), _box(0.4, 0.2, 0.9, 0.4)],
    [[(-0.8, -0.2), (0.8, -0.2), (1, 1), (-1, 1)], _box(-0.5, -0.8, -0.3, 0), _box(0.3, -0.8, 0.5, 0)],  # bag
    [[(-1, -0.5), (-0.4, -0.5), (0.2, 0), (1, 0.2), (1, 0.6), (-1, 0.6)]],  # shoe
    [[(-0.4, -1), (0.4, -1), (1, 0.2), (0.7, 0.4), (0.5, 0), (0.6, 1), (-0.6, 1), (-0.5, 0), (-0.7, 0.4), (-1, 0.2)]],
    [_ring(28, lambda i: 0.6), _box(-0.25, -1, 0.25, -0.5), _box(-0.25, 0.5, 0.25, 1)],  # watch
    [_ring(20, lambda i: 0.42), _ring(20, lambda i: 0.42), [(-0.5, -0.3), (0.35, -0.3), (0.1, 0.35)]],  # bicycle
    [[(0, -0.9), (1, 0.8), (0.25, 0.8), (0, 0.2), (-0.25, 0.8), (-1, 0.8)]],  # tent
    [_ring(24, lambda i: 0.62), _box(-0.1, -1, 0.1, 0), _ring(24, lambda i: 0.3, math.pi / 24)],  # guitar
    [[(-0.8, -0.1), (0.8, -0.1), (0.5, 1), (-0.5, 1)], _ring(10, lambda i: 0.55 if i % 2 else 0.25)],  # planter
)
# Where a shape has two round parts they stand apart: offsets of the polygons, (0, 0) unless named.
_OFFSETS = {8: ((-0.6, 0.35), (0.6, 0.35), (0, 0)), 10: ((0, 0.35), (0, 0), (0, -0.15)), 11: ((0, 0), (0, -0.45))}


def _pattern(style: int, period: float) -> np.ndarray:
    """(C, C) bool: where the second tone of a style lies, C the side of the canvas."""
    y, x = np.mgrid[0:_CANVAS, 0:_CANVAS] / _CANVAS
    if style == 1:  # checks
        return (np.floor(x * period) + np.floor(y * period)) % 2 == 0
    if style == 2:  # broad stripes
        return np.floor(y * period) % 2 == 0
    if style == 3:  # diagonal bands
        return np.floor((x + y) * period * 0.8) % 2 == 0
    if style == 4:  # dots
        return (x * period % 1 - 0.5) ** 2 + (y * period % 1 - 0.5) ** 2 < 0.07
    return np.zeros((_CANVAS, _CANVAS), bool)


def draw_picture(category: int, style: int, colour: tuple[int, int, int], rng: np.random.Generator) -> bytes:
    """One picture as WEBP, `SIDE` x `SIDE` pixels.

    Args:
        category: index of the shape.
        style: index of the pattern.
        colour: RGB of the thing; its tint varies a little.
        rng: source of position, size, angle and tint.
    """
    size, angle = rng.uniform(0.3, 0.4) * _CANVAS, rng.uniform(-0.2, 0.2)
    centre = _CANVAS / 2 + rng.uniform(-0.07, 0.07, 2) * _CANVAS
    tone = np.clip(np.array(colour) * rng.uniform(0.85, 1.1) + rng.uniform(-10, 10, 3), 0, 255)
    second = np.clip(tone + (255 - tone) * 0.6, 0, 255)
    ground = np.array([244, 242, 238]) - rng.uniform(0, 22)

    mask = Image.new("1", (_CANVAS, _CANVAS))
    pen = ImageDraw.Draw(mask)
    cos, sin = math.cos(angle), math.sin(angle)
    for polygon, (dx, dy) in zip(SHAPES[category], _OFFSETS.get(category, ((0, 0),) * 8), strict=False):
        turned = [
            (centre[0] + size * ((x + dx) * cos - (y + dy) * sin), centre[1] + size * ((x + dx) * sin + (y + dy) * cos))
            for x, y in polygon
        ]
        pen.polygon(turned, fill=1)
    inside = np.asarray(mask)
    lit = _pattern(style, rng.uniform(6.5, 8.5)) & inside
    pixels = np.empty((_CANVAS, _CANVAS, 3))
    pixels[:] = ground
    pixels[inside], pixels[lit] = tone, second
    picture = Image.fromarray(pixels.astype(np.uint8)).resize((SIDE, SIDE), Image.Resampling.BOX)
    out = io.BytesIO()
    picture.save(out, "WEBP", quality=QUALITY, method=4)
    return out.getvalue()
