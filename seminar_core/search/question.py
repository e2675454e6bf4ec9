"""What is asked of a run about one life, and from where that life is looked at.

Diagnostics, before a search trace; nothing here needs a model.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..contracts import CHANNELS
from ..data.dataset import Dataset
from ..errors import ConfigError, UnknownNameError
from ..retrieval.spec import DEFAULT

SHORTLIST = 4.0
RIVALS = ("din", "sim-hard", "eta", "qin", "muse")  # other rules for a first stage, in `rival_stages`
METHODS = ("pq", "exact", "HNSW", "LSH", *RIVALS)


@dataclass(frozen=True)
class Question:
    """What is asked of a run.

    Fields:
        person, item: ids as in the source data.
        query: text typed with the target; None or empty = none.
        at: event before whose time the life is visible, or "end"; None = the person's last event.
        k: events kept per head; None = the run's own K.
        spec: of the approximation.
        shortlist: the scan keeps this many times K distinct pairs and exact scores order them; 0 = one stage.
        weights: of Q, A, T, I on both sides; None = the run's own.
        mask: channels with weight zero.
        hide_from_s, hide_to_s: events within this period (both ends included) are left out; None = open end.
        head: one head alone; None = all.
        method: another first stage in place of `spec`; see `METHODS`.
    """

    person: str
    item: str
    query: str | None = None
    at: str | None = None
    k: int | None = None
    spec: str = DEFAULT
    shortlist: float = SHORTLIST
    weights: tuple[float, ...] | None = None
    mask: tuple[str, ...] = ()
    hide_from_s: int | None = None
    hide_to_s: int | None = None
    head: int | None = None
    method: str | None = None

    def __post_init__(self) -> None:
        if self.k is not None and self.k < 1:
            raise ConfigError(f"k is {self.k}, expected at least 1", hint="choose K >= 1")
        if self.shortlist != 0 and not 1 <= self.shortlist <= 1000:
            raise ConfigError(
                f"shortlist is {self.shortlist:g}, expected 0 (one stage) or a factor from 1 to 1000", hint="4 is usual"
            )
        for name in self.mask:
            if name not in CHANNELS:
                raise UnknownNameError("channel", name, CHANNELS)
        if self.method is not None and self.method not in METHODS:
            raise UnknownNameError("method", self.method, METHODS)
        hidden = (self.hide_from_s, self.hide_to_s)
        if None not in hidden and hidden[0] > hidden[1]:  # type: ignore[operator]
            raise ConfigError(
                f"the left-out period begins at {hidden[0]} and ends before that, at {hidden[1]}",
                hint="choose an end at or after the beginning",
            )


@dataclass(frozen=True)
class Moment:
    """From where a life is looked at: the asked event, its time, and the visible events (n,) that are searched."""

    event: str
    time_s: int
    person_row: int
    positions: np.ndarray


def moment(dataset: Dataset, question: Question) -> Moment:
    """The visible life of a question.

    Raises:
        UnknownPersonError: no such person.
        ConfigError: `at` is no position of the life.
    """
    row = dataset.person_row(question.person)
    life = dataset.store.life(row)
    at = str(len(life) - 1) if question.at in (None, "") else str(question.at)
    if at == "end":
        when = int(life.time_s[-1]) + 1 if len(life) else 0
    else:
        if not (at.isascii() and at.isdecimal() and len(at) < 19) or int(at) >= len(life):
            raise ConfigError(
                f"{at!r} is no event of person {question.person!r}, whose events are 0 to {len(life) - 1}",
                hint="give a position in the life, or `end` for the whole life",
            )
        at = str(int(at))
        when = int(life.time_s[int(at)])
    visible = np.arange(dataset.store.visible(row, when))
    times = life.time_s[: len(visible)]
    hidden = np.zeros(len(visible), bool)
    if question.hide_from_s is not None or question.hide_to_s is not None:
        low = -np.inf if question.hide_from_s is None else question.hide_from_s
        high = np.inf if question.hide_to_s is None else question.hide_to_s
        hidden = (times >= low) & (times <= high)
    return Moment(at, when, row, visible[~hidden])


def next_item(dataset: Dataset, question: Question) -> str | None:
    """Id of the item of the event that the life is looked at from; None at the end of the life."""
    at = moment(dataset, question)
    if at.event == "end":
        return None
    life = dataset.store.life(at.person_row)
    return dataset.item_ids[int(life.item[int(at.event)])]
