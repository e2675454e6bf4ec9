"""The planted lives: interests that drift and come back, discoveries, revisits, searches and sessions.

Data, generation. An event is a *discovery* (an item this person has not met) or a *revisit*. Only discoveries can be
targets: a negative is by definition an item the person never met, so a revisited positive could be told from its
negatives by looking it up in the history, and neither popularity nor the planted interest would matter. A discovery's
topic is drawn from the current segment's weights, its item from the topic's unmet items by popularity and the person's
taste in colours; drawing without replacement is done at once by Gumbel keys (Efraimidis and Spirakis 2006).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .catalogue import CATEGORY_NAMES, COLOUR_NAMES, STYLE_NAMES, TOPICS, PlantedItems
from .words import CATEGORIES, COLOURS, STYLES

SHORTEST, LONGEST = 50, 2000
BACKGROUND, BACKGROUND_OF_PASSED = 0.03, 0.5
COLD_CHANCE = 0.12
TASTE = 0.7
ACTIVE_TOPICS = 4
TOPIC_EXPONENT = 0.9
SEARCH_OF_DISCOVERY, SEARCH_OF_REVISIT, TYPO = 0.4, 0.08, 0.015
PERIOD_START_S, PERIOD_END_S = 1_640_995_200, 1_704_067_200  # 2022-01-01 .. 2024-01-01 UTC
EVENTS_PER_SESSION = 8
DISCOVERY, DISCOVERY_FALL = 0.5, 0.25
RETURN_AFTER = (850, 1150)
ACTIONS = ("view", "click", "purchase")


@dataclass(frozen=True)
class Interests:
    """What a person is after, piecewise constant over the life.

    Fields:
        start: (G,) first event of each segment.
        topic: (G, A) active topics.
        weight: (G, A) their weights, summing to one.
        returning: topic that comes back in the last segment after about 1,000 events, -1 for none.
        last_before_return: newest event of an earlier segment in which it was active, -1 for none.
    """

    start: np.ndarray
    topic: np.ndarray
    weight: np.ndarray
    returning: int
    last_before_return: int


@dataclass(frozen=True)
class PlantedLife:
    """One person's L events in time order, and the state that made them.

    Fields:
        time_s: (L,) int64.
        item: (L,) int32 item index.
        query: (L,) text or None.
        action: (L,) int8 index into `ACTIONS`.
        label: (L,) int8 1, 0, -1 = none.
        discovery: (L,) bool.
        cold_from: event from which on cold items could be met (the validation target).
        taste: (colours,) log preference.
        interests: segments.
    """

    time_s: np.ndarray
    item: np.ndarray
    query: list[str | None]
    action: np.ndarray
    label: np.ndarray
    discovery: np.ndarray
    cold_from: int
    taste: np.ndarray
    interests: Interests


def draw_length(rng: np.random.Generator) -> int:
    """Events of one life: log-uniform between the shortest and the longest, bent towards the short."""
    return round(SHORTEST * (LONGEST / SHORTEST) ** (rng.random() ** 1.25))


def topic_popularity() -> np.ndarray:
    """(T,) chance of each topic to become an interest: Zipf over an order that mixes categories and styles."""
    weight = (np.arange(TOPICS) * 17 % TOPICS + 1.0) ** -TOPIC_EXPONENT
    return weight / weight.sum()


def _another_topic(rng: np.random.Generator, taken: np.ndarray) -> int:
    """A topic that is not taken, by popularity."""
    weight = topic_popularity()
    weight[taken] = 0
    return int(rng.choice(TOPICS, p=weight / weight.sum()))


def draw_interests(rng: np.random.Generator, length: int) -> Interests:
    """Segments of 60 to 160 events; from one to the next one active topic is exchanged and the weights move."""
    starts = [0]
    while starts[-1] + 85 < length:
        starts.append(starts[-1] + int(rng.integers(60, 161)))
    starts = [start for start in starts if start + 25 <= length or start == 0]
    topics = [rng.choice(TOPICS, ACTIVE_TOPICS, replace=False, p=topic_popularity())]
    for _ in starts[1:]:
        current = topics[-1].copy()
        current[rng.integers(ACTIVE_TOPICS)] = _another_topic(rng, current)
        topics.append(current)
    weight = rng.dirichlet(np.full(ACTIVE_TOPICS, 4.0), len(starts))
    returning, last_seen = -1, -1
    ends = np.append(starts[1:], length)
    back = int(rng.integers(*RETURN_AFTER))
    earlier = np.searchsorted(starts, starts[-1] - back, side="right") - 1
    if earlier >= 0 and len(starts) > 3:
        returning = int(topics[earlier][0])
        for segment in range(earlier + 1, len(starts) - 1):  # silent in between
            clash = topics[segment] == returning
            topics[segment][clash] = _another_topic(rng, np.append(topics[segment], returning))
        last_seen = int(ends[earlier]) - 1
        others = topics[-1][topics[-1] != returning][: ACTIVE_TOPICS - 1]
        topics[-1] = np.concatenate(([returning], others))
        weight[-1] = np.sort(weight[-1])[::-1]
    return Interests(np.array(starts), np.array(topics), weight, returning, last_seen)


def draw_outcomes(rng: np.random.Generator, length: int) -> tuple[np.ndarray, np.ndarray]:
    """(L,) labels and actions of first meetings: clicked or bought (1), viewed (none), passed over (0)."""
    outcome = rng.choice(4, length, p=(0.45, 0.12, 0.18, 0.25))
    return np.array([1, 1, -1, 0], np.int8)[outcome], np.array([1, 2, 0, 0], np.int8)[outcome]


def _draw_discoveries(rng: np.random.Generator, length: int) -> np.ndarray:
    """(L,) bool: first meetings, rarer as a life grows; the first event is always one."""
    chance = np.clip(DISCOVERY * ((np.arange(length) + 1) / SHORTEST) ** -DISCOVERY_FALL, 0.1, 0.75)
    discovery = rng.random(length) < chance
    discovery[0] = True
    return discovery


def _draw_topics(
    rng: np.random.Generator, interests: Interests, discovery: np.ndarray, label: np.ndarray
) -> np.ndarray:
    """(L,) topic of each discovery: the segment's, or with the background's chance any."""
    length = len(discovery)
    segment = np.searchsorted(interests.start, np.arange(length), side="right") - 1
    column = (rng.random(length)[:, None] > np.cumsum(interests.weight, axis=1)[segment]).sum(axis=1)
    own = interests.topic[segment, np.minimum(column, ACTIVE_TOPICS - 1)]
    off = rng.random(length) < np.where(label == 0, BACKGROUND_OF_PASSED, BACKGROUND)
    return np.where(off, rng.integers(0, TOPICS, length), own)


def _count_in_topic(topic: np.ndarray, counted: np.ndarray) -> np.ndarray:
    """(L,) how many earlier counted events have the same topic."""
    places = np.flatnonzero(counted)
    order = np.argsort(topic[places], kind="stable")
    by_topic = topic[places][order]
    first = np.searchsorted(by_topic, by_topic)
    count = np.zeros(len(topic), np.int64)
    count[places[order]] = np.arange(len(places)) - first
    return count


def draw_life(rng: np.random.Generator, items: PlantedItems, length: int) -> PlantedLife:
    """One life of `length` events."""
    interests = draw_interests(rng, length)
    taste = TASTE * rng.standard_normal(len(COLOUR_NAMES))
    discovery = _draw_discoveries(rng, length)
    label, action = draw_outcomes(rng, length)
    topic = _draw_topics(rng, interests, discovery, label)
    # One order of the warm items per topic: sorted Gumbel keys are a draw without replacement.
    keys = np.log(items.zipf) + taste[items.colour] + rng.gumbel(size=len(items))
    order = np.lexsort((-keys, items.topic, items.cold))
    warm = order[: int((~items.cold).sum())]
    start = np.searchsorted(items.topic[warm], np.arange(TOPICS + 1))
    exhausted = _count_in_topic(topic, discovery) >= np.diff(start)[topic]
    discovery &= ~exhausted
    discovery[0] = True
    label[~discovery], action[~discovery] = 0, 0
    targets = np.flatnonzero(discovery & (label != 0))
    late = targets[-2:]
    cold_from = int(late[0]) if len(late) == 2 else length
    cold_start = np.searchsorted(items.topic[order[len(warm) :]], np.arange(TOPICS + 1)) + len(warm)
    is_cold = np.zeros(length, bool)
    is_cold[late] = (rng.random(len(late)) < COLD_CHANCE) & (np.diff(cold_start)[topic[late]] > 0)
    if len(late) == 2 and is_cold[late].all() and topic[late[0]] == topic[late[1]]:
        is_cold[late[1]] = False
    item = warm[np.minimum(start[topic] + _count_in_topic(topic, discovery & ~is_cold), len(warm) - 1)]
    chosen = [order[rng.integers(cold_start[topic[at]], cold_start[topic[at] + 1])] for at in np.flatnonzero(is_cold)]
    item[is_cold] = chosen
    item = _revisit(rng, item, discovery)
    searched = rng.random(length) < np.where(discovery, SEARCH_OF_DISCOVERY, SEARCH_OF_REVISIT)
    query = [write_query(rng, items, int(i)) if asked else None for i, asked in zip(item, searched, strict=True)]
    return PlantedLife(
        draw_times(rng, length), item.astype(np.int32), query, action, label, discovery, cold_from, taste, interests
    )


def _revisit(rng: np.random.Generator, item: np.ndarray, discovery: np.ndarray) -> np.ndarray:
    """Fill the events that are no discoveries with items met before, newer ones more often."""
    met = np.cumsum(discovery) - discovery  # discoveries before each event
    back = np.floor(met * rng.random(len(item)) ** 2.5).astype(np.int64)
    places = np.flatnonzero(discovery)
    return np.where(discovery, item, item[places[np.maximum(met - 1 - back, 0)]])


def write_query(rng: np.random.Generator, items: PlantedItems, item: int) -> str:
    """A search that could lead to an item: its thing, and one or two of style, colour, material and brand."""
    things = CATEGORIES[CATEGORY_NAMES[items.category[item]]][0]
    adjectives = STYLES[STYLE_NAMES[items.style[item]]][0]
    shades = COLOURS[COLOUR_NAMES[items.colour[item]]][0]
    extra = [
        adjectives[int(rng.integers(len(adjectives)))],
        shades[int(rng.integers(len(shades)))],
        items.material[item],
        items.brand[item].lower(),
    ]
    picked = np.sort(rng.choice(4, int(rng.integers(1, 3)), replace=False, p=(0.45, 0.3, 0.15, 0.1)))
    text = " ".join([*(extra[i] for i in picked), things[int(rng.integers(len(things)))]])
    if rng.random() < TYPO:
        at = int(rng.integers(1, len(text) - 1))
        text = text[:at] + text[at + 1] + text[at] + text[at + 2 :]
    return text


def draw_times(rng: np.random.Generator, length: int) -> np.ndarray:
    """(L,) ascending seconds: sessions of about eight events over up to two years, the last in the final month."""
    session = np.minimum(np.arange(length), np.cumsum(rng.random(length) < 1 / EVENTS_PER_SESSION))
    end = PERIOD_END_S - int(rng.integers(86_400, 30 * 86_400))
    begin = int(rng.integers(PERIOD_START_S, PERIOD_START_S + 300 * 86_400))
    starts = np.sort(rng.integers(begin, end, int(session[-1]) + 1))
    starts[-1] = end
    gaps = np.floor(rng.exponential(70, length)).astype(np.int64)
    within = np.cumsum(gaps)
    first = np.searchsorted(session, session)
    return np.maximum.accumulate(starts[session] + within - within[first])
