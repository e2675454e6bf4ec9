"""The planted catalogue: items with a topic, a colour, a latent vector, texts and a picture that all say the same.

Data, generation. A topic is a category in a style (12 x 5). What an item is shows in every modality, and each modality
also knows something of its own: attributes name category, brand and material; text and picture show style and colour.
Some items lack text or picture, and some pictures are drawn as if the item belonged to another category.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .drawings import draw_picture
from .words import BRANDS, BRANDS_PER_CATEGORY, CATEGORIES, COLOURS, STYLES

CATEGORY_NAMES, STYLE_NAMES, COLOUR_NAMES = list(CATEGORIES), list(STYLES), list(COLOURS)
TOPICS = len(CATEGORY_NAMES) * len(STYLE_NAMES)
TOPIC_NAMES = [f"{style} {category}" for category in CATEGORY_NAMES for style in STYLE_NAMES]

LATENT = 16
VECTOR_WIDTH = 32
COLD_SHARE, NO_TEXT_SHARE, NO_PICTURE_SHARE, OTHER_PICTURE_SHARE = 0.05, 0.04, 0.04, 0.08
ZIPF_EXPONENT = 1.0
VECTOR_NOISE = 0.35
GAP_NORM = 1.2


@dataclass(frozen=True)
class PlantedItems:
    """I planted items; every array is by item index, 0 = the first item of the file.

    Fields:
        topic: (I,) int16, category * 5 + style.
        colour: (I,) int8.
        zipf: (I,) float64 popularity weight within the topic; cold items have 1 among themselves.
        cold: (I,) bool, only ever met from a person's validation target on.
        picture_from: (I,) int8 category that the picture shows.
        has_text, has_picture: (I,) bool.
        latent: (I, 16) float32.
        material: (I,) material name.
        brand: (I,) brand name.
        title, description: (I,) text or None.
    """

    topic: np.ndarray
    colour: np.ndarray
    zipf: np.ndarray
    cold: np.ndarray
    picture_from: np.ndarray
    has_text: np.ndarray
    has_picture: np.ndarray
    latent: np.ndarray
    material: list[str]
    brand: list[str]
    title: list[str | None]
    description: list[str | None]

    @property
    def category(self) -> np.ndarray:
        """(I,) category index."""
        return self.topic // len(STYLE_NAMES)

    @property
    def style(self) -> np.ndarray:
        """(I,) style index."""
        return self.topic % len(STYLE_NAMES)

    def __len__(self) -> int:
        return len(self.topic)


def _marked(rng: np.random.Generator, count: int, share: float) -> np.ndarray:
    """(count,) bool with exactly round(share * count) true."""
    marked = np.zeros(count, bool)
    marked[rng.choice(count, round(share * count), replace=False)] = True
    return marked


def _popularity(rng: np.random.Generator, topic: np.ndarray, cold: np.ndarray) -> np.ndarray:
    """(I,) Zipf weights by a random rank within each topic's warm items; 1 for cold ones."""
    weight = np.ones(len(topic))
    for number in range(TOPICS):
        warm = np.flatnonzero((topic == number) & ~cold)
        weight[rng.permutation(warm)] = np.arange(1, len(warm) + 1) ** -ZIPF_EXPONENT
    return weight


def _cold(rng: np.random.Generator, topic: np.ndarray) -> np.ndarray:
    """(I,) bool: every 20th item of a list sorted by topic, so that cold items are spread over the topics."""
    order = np.lexsort((rng.random(len(topic)), topic))
    step = round(1 / COLD_SHARE)
    cold = np.zeros(len(topic), bool)
    cold[order[step // 2 :: step]] = True
    return cold


def _latent(rng: np.random.Generator, topic: np.ndarray, colour: np.ndarray) -> np.ndarray:
    """(I, 16) unit-scale sum of a category's, a style's in that category, a colour's and the item's own direction."""
    category = rng.standard_normal((len(CATEGORY_NAMES), LATENT))
    topics, colours = rng.standard_normal((TOPICS, LATENT)), rng.standard_normal((len(COLOUR_NAMES), LATENT))
    own = rng.standard_normal((len(topic), LATENT))
    mixed = category[topic // len(STYLE_NAMES)] + topics[topic] + 0.6 * colours[colour] + 0.5 * own
    return (mixed / np.linalg.norm(mixed, axis=1, keepdims=True)).astype(np.float32)


def _texts(rng: np.random.Generator, category: int, style: int, colour: int, material: str, brand: str) -> list[str]:
    """Title and description of one item."""
    things, _, uses = CATEGORIES[CATEGORY_NAMES[category]]
    adjectives, look = STYLES[STYLE_NAMES[style]]
    shades = COLOURS[COLOUR_NAMES[colour]][0]
    title = f"{brand} {adjectives[0]} {shades[0]} {things[0]}"
    if rng.random() < 0.5:
        title += f" in {material}"
    thing, adjective, shade, use = rng.choice(things), rng.choice(adjectives), rng.choice(shades), rng.choice(uses)
    sentences = (
        f"A {adjective} {thing} in {shade} {material} with {look}.",
        f"{brand} makes this {thing} for {use}: {shade}, {adjective}, {material}.",
        f"{look.capitalize()}: a {shade} {thing} of {material} for {use}.",
    )
    return [title, sentences[int(rng.integers(3))]]


def plant_items(count: int, seed: int) -> PlantedItems:
    """Draw the catalogue; the same arguments give the same items."""
    rng = np.random.default_rng((seed, 1))
    topic = rng.permutation(np.arange(count) % TOPICS).astype(np.int16)
    colour = rng.integers(0, len(COLOUR_NAMES), count).astype(np.int8)
    cold = _cold(rng, topic)
    category = topic // len(STYLE_NAMES)
    other = _marked(rng, count, OTHER_PICTURE_SHARE)
    shift = rng.integers(1, len(CATEGORY_NAMES), count)
    has_text, has_picture = ~_marked(rng, count, NO_TEXT_SHARE), ~_marked(rng, count, NO_PICTURE_SHARE)
    materials, brands, titles, descriptions = [], [], [], []
    for item in range(count):
        own = CATEGORIES[CATEGORY_NAMES[category[item]]][1]
        materials.append(own[int(rng.integers(len(own)))])
        first = int(category[item]) * len(BRANDS) // len(CATEGORY_NAMES)
        brands.append(BRANDS[(first + int(rng.integers(BRANDS_PER_CATEGORY))) % len(BRANDS)])
        title, description = _texts(
            rng, category[item], topic[item] % len(STYLE_NAMES), colour[item], materials[-1], brands[-1]
        )
        titles.append(title if has_text[item] else None)
        descriptions.append(description if has_text[item] else None)
    return PlantedItems(
        topic=topic,
        colour=colour,
        zipf=_popularity(rng, topic, cold),
        cold=cold,
        picture_from=np.where(other, (category + shift) % len(CATEGORY_NAMES), category).astype(np.int8),
        has_text=has_text,
        has_picture=has_picture,
        latent=_latent(rng, topic, colour),
        material=materials,
        brand=brands,
        title=titles,
        description=descriptions,
    )


def draw_pictures(items: PlantedItems, seed: int) -> list[bytes | None]:
    """The items' pictures as WEBP, None where there is none."""
    rgb = [COLOURS[name][1] for name in COLOUR_NAMES]
    return [
        draw_picture(
            int(items.picture_from[i]),
            int(items.style[i]),
            rgb[items.colour[i]],
            np.random.default_rng((seed, 2, i)),
        )
        if items.has_picture[i]
        else None
        for i in range(len(items))
    ]


def plant_vectors(items: PlantedItems, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Text and image vectors with a planted gap: one shared image of the latent, noise, and a constant offset.

    The mean over the catalogue is taken out before the offset goes in, so that the distance of the two centroids over
    all items is `GAP_NORM` exactly. A picture of another category has the latent of an item of that category.

    Returns:
        text and image vectors, both (I, 32) float32; rows of absent texts and pictures are present too.
    """
    rng = np.random.default_rng((seed, 3))
    project = rng.standard_normal((LATENT, VECTOR_WIDTH))
    seen = items.latent.astype(np.float64).copy()
    for item in np.flatnonzero(items.picture_from != items.category):
        seen[item] = items.latent[rng.choice(np.flatnonzero(items.category == items.picture_from[item]))]
    offset = rng.standard_normal(VECTOR_WIDTH)
    offset *= GAP_NORM / 2 / np.linalg.norm(offset)
    made = []
    for latent, sign in ((items.latent, 1.0), (seen, -1.0)):
        signal = latent @ project
        signal /= np.sqrt((signal**2).sum(axis=1).mean())
        noise = rng.standard_normal(signal.shape) * (VECTOR_NOISE / np.sqrt(VECTOR_WIDTH))
        vectors = signal + noise
        made.append((vectors - vectors.mean(axis=0) + sign * offset).astype(np.float32))
    return made[0], made[1]
