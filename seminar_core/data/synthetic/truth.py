"""The planted answer of a generated data set, and the oracle that ranks candidates by it.

Data, beside the events (`truth/` of the sample, copied into the data set at import). Rows are the data set's: people in
the order p0001, p0002, ..., item row = position in the item file + 1. The oracle is the true probability with which the
generator would have made each candidate the event in question, given everything planted and what the person had met.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from ...errors import CorruptFileError, ShapeError
from ...files import read_json

TARGETS_AT_ONCE = 64


def _columns(path: Path) -> dict[str, Any]:
    try:
        return pq.read_table(path).to_pydict()
    except (OSError, ValueError) as error:
        raise CorruptFileError(f"{path} cannot be read: {error}", hint="write the sample anew: `sample`") from error


@dataclass(frozen=True)
class Truth:
    """What was planted: T topics, I items, P people.

    Fields:
        parameters: the generator's settings, among them `noise`, `modality_gap` (norm of the offset between the
            centroids of the planted text and image vectors) and `topics` (names).
        item_topic: (I+1,) int16 topic of each item row, -1 at row 0.
        item_colour: (I+1,) int8, -1 at row 0.
        item_zipf: (I+1,) float64 popularity weight within the topic, 0 at row 0.
        item_frequency: (I+1,) int64 events of each item; in the noise version, of the sample that it imitates.
        cold: (I+1,) bool, never met before anybody's validation target.
        picture_from: (I+1,) category that the picture was drawn from where it is not the item's own, else "".
        latent: (I+1, 16) float32, 0 at row 0.
        taste: (P, colours) float64 log preference for colours.
        cold_from: (P,) int64 first event at which cold items could be met.
        returning: (P,) int16 topic that comes back in the last segment, -1 for none.
        last_before_return: (P,) int64 newest event of the earlier segment in which it was active, -1 for none.
        segment_start: (P,) list of (G,) event positions.
        segment_weight: (P,) list of (G, T) topic weights.
        met: three arrays (person row, event, item row): the first meeting of each person and item.
    """

    parameters: dict[str, Any]
    item_topic: np.ndarray
    item_colour: np.ndarray
    item_zipf: np.ndarray
    item_frequency: np.ndarray
    cold: np.ndarray
    picture_from: list[str]
    latent: np.ndarray
    taste: np.ndarray
    cold_from: np.ndarray
    returning: np.ndarray
    last_before_return: np.ndarray
    segment_start: list[np.ndarray]
    segment_weight: list[np.ndarray]
    met: tuple[np.ndarray, np.ndarray, np.ndarray]

    def __repr__(self) -> str:
        kind = "noise" if self.noise else "planted interests"
        return f"Truth({kind}, people={len(self.taste)}, items={len(self.item_topic) - 1}, topics={self.n_topics})"

    @property
    def noise(self) -> bool:
        """Whether items were drawn from their frequencies alone."""
        return bool(self.parameters["noise"])

    @property
    def topic_names(self) -> list[str]:
        """Names of the T topics."""
        return list(self.parameters["topics"])

    @property
    def n_topics(self) -> int:
        return len(self.parameters["topics"])

    @staticmethod
    def load(directory: Path) -> Truth:
        """Read a `truth/` directory.

        Raises:
            CorruptFileError: a file of it cannot be read.
            MissingFileError: it has no manifest.
        """
        parameters = read_json(directory / "manifest.json")
        items, people = _columns(directory / "items.parquet"), _columns(directory / "people.parquet")
        segments, met = _columns(directory / "segments.parquet"), _columns(directory / "met.parquet")
        weights = np.zeros((len(segments["person_row"]), len(parameters["topics"])))
        topics = np.array(segments["topic"], np.int64).reshape(len(weights), -1)
        weights[np.arange(len(weights))[:, None], topics] = np.array(segments["weight"]).reshape(topics.shape)
        edges = np.searchsorted(segments["person_row"], np.arange(1, len(people["person"])))
        return Truth(
            parameters=parameters,
            item_topic=np.array([-1, *items["topic"]], np.int16),
            item_colour=np.array([-1, *items["colour_index"]], np.int8),
            item_zipf=np.array([0.0, *items["zipf"]]),
            item_frequency=np.array([0, *items["frequency"]], np.int64),
            cold=np.array([False, *items["cold"]]),
            picture_from=["", *(name or "" for name in items["picture_from"])],
            latent=np.vstack((np.zeros(len(items["latent"][0])), items["latent"])).astype(np.float32),
            taste=np.array(people["taste"]),
            cold_from=np.array(people["cold_from"], np.int64),
            returning=np.array(people["returning"], np.int16),
            last_before_return=np.array(people["last_before_return"], np.int64),
            segment_start=np.split(np.array(segments["start"], np.int64), edges),
            segment_weight=np.split(weights, edges),
            met=(
                np.array(met["person_row"], np.int64),
                np.array(met["event"], np.int64),
                np.array(met["item_row"], np.int64),
            ),
        )

    def topic_weights(self, person: np.ndarray, event: np.ndarray) -> np.ndarray:
        """(n, T) planted weights of the topics at positions `event` (n,) of the lives `person` (n,)."""
        person, event = np.atleast_1d(person), np.atleast_1d(event)
        row = [
            self._first_segment[p] + np.searchsorted(self.segment_start[p], e, side="right") - 1
            for p, e in zip(person.tolist(), event.tolist(), strict=True)
        ]
        return self._all_weights[row]

    @cached_property
    def _first_segment(self) -> np.ndarray:
        return np.concatenate(([0], np.cumsum([len(s) for s in self.segment_start])))

    @cached_property
    def _all_weights(self) -> np.ndarray:
        return np.concatenate(self.segment_weight)

    @cached_property
    def _met_edges(self) -> np.ndarray:
        return np.searchsorted(self.met[0], np.arange(len(self.taste) + 1))

    def _met_before(self, person: np.ndarray, event: np.ndarray) -> np.ndarray:
        """(n, I+1) bool: the items that each person met before the event."""
        found = np.zeros((len(person), len(self.item_topic)), bool)
        for row, (p, e) in enumerate(zip(person.tolist(), event.tolist(), strict=True)):
            mine = slice(self._met_edges[p], self._met_edges[p + 1])
            found[row, self.met[2][mine][self.met[1][mine] < e]] = True
        return found

    def oracle_scores(self, person: int | np.ndarray, event: int | np.ndarray, items: np.ndarray) -> np.ndarray:
        """True probability of each candidate being the target at an event, higher is likelier.

        A target is a first meeting, so an item met before has probability 0.

        Args:
            person: person row, or (n,) of them.
            event: position of the target in the life, or (n,).
            items: (N,) or (n, N) item rows.

        Returns:
            float64 of the shape of `items`.

        Raises:
            ShapeError: `items` does not fit `person`.
        """
        people, events, rows = np.atleast_1d(person), np.atleast_1d(event), np.atleast_2d(items)
        if rows.shape[0] != len(people) or events.shape != people.shape:
            raise ShapeError(
                f"oracle of {len(people)} people, {len(events)} events and items {np.shape(items)}",
                hint="give (n,), (n,) and (n, N)",
            )
        scores = np.empty(rows.shape)
        for first in range(0, len(people), TARGETS_AT_ONCE):
            part = slice(first, first + TARGETS_AT_ONCE)
            table = self._item_probability(people[part], events[part])
            scores[part] = np.take_along_axis(table, rows[part].astype(np.int64), axis=1)
        return scores.reshape(np.shape(items))

    def _item_probability(self, person: np.ndarray, event: np.ndarray) -> np.ndarray:
        """(n, I+1) probability of every item."""
        met = self._met_before(person, event)
        if self.noise:
            mass = np.where(met, 0, self.item_frequency)
            return mass / np.maximum(mass.sum(axis=1, keepdims=True), 1)
        late = (event >= self.cold_from[person])[:, None]
        attraction = self.item_zipf * np.exp(self.taste[person][:, self.item_colour])
        warm = np.where(met | self.cold, 0, attraction)
        new = np.where(met | ~self.cold, 0, 1.0) * late
        warm[:, 0] = new[:, 0] = 0
        background = self.parameters["background"]
        topic = (1 - background) * self.topic_weights(person, event) + background / self.n_topics  # (n, T)
        chance = self.parameters["cold_chance"]
        warm_of, new_of = self._by_topic(warm), self._by_topic(new)
        topic *= warm_of > 0
        topic /= topic.sum(axis=1, keepdims=True)
        share = np.where(new_of > 0, chance, 0)
        per_warm = topic * (1 - share) / np.maximum(warm_of, 1e-300)
        per_new = topic * share / np.maximum(new_of, 1)
        at = self.item_topic.astype(np.int64)
        return warm * per_warm[:, at] + new * per_new[:, at]

    def _by_topic(self, values: np.ndarray) -> np.ndarray:
        """(n, T) sums of (n, I+1) values over the items of each topic."""
        order = np.argsort(self.item_topic[1:], kind="stable") + 1
        edges = np.searchsorted(self.item_topic[order], np.arange(self.n_topics + 1))
        running = np.concatenate((np.zeros((len(values), 1)), np.cumsum(values[:, order], axis=1)), axis=1)
        return np.maximum(running[:, edges[1:]] - running[:, edges[:-1]], 0)
