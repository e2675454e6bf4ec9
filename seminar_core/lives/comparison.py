"""Two lives over one time axis: the same interests in both, how much of each life they are, and what differs.

Diagnostics, beside `interests`. The items of both lives are clustered together, so that an interest has one name and
one colour in both; times and bins are common too.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from ..data.dataset import Dataset
from ..errors import ConfigError
from .interests import BINS, distinct_names, interest_clusters, interest_name, shares_between
from .lifeline import LifeFacts, density, facts, things

ALIKE = 0.1


@dataclass(frozen=True)
class LivesCompared:
    """Two people's interests side by side.

    Fields:
        people: their ids.
        facts: their lives in numbers.
        names: what each of the C interests is called.
        middle_s: (bins,) float64 middle of each span, UTC seconds.
        shares: (2, C, bins) float64 share of each interest among the events of a span; zero in spans without events.
        totals: (2, C) float64 share of each interest among all events of a life whose items have a vector.
        shared_items: distinct items that both met.
        source: what the clusters were made from.
    """

    people: tuple[str, str]
    facts: tuple[LifeFacts, LifeFacts]
    names: list[str]
    middle_s: np.ndarray
    shares: np.ndarray
    totals: np.ndarray
    shared_items: int
    source: str

    @property
    def overlap(self) -> float:
        """How much of the two lives is the same interests: the sum of the smaller shares, 0 (nothing) to 1 (alike)."""
        return float(self.totals.min(0).sum())

    def says(self) -> str:
        """What differs, in two or three sentences."""
        a, b = self.people
        sizes = f"{a} has {self.facts[0].events:,} events, {b} has {self.facts[1].events:,}."
        shared = f"They met {things(self.shared_items, 'item')} in common."
        if not self.names:
            return f"{sizes} None of their items has a vector, so interests cannot be told apart. {shared}"
        difference = (self.totals[0] - self.totals[1]).round(9)
        most = int(np.abs(difference).argmax())
        if abs(difference[most]) < ALIKE:
            words = f"no interest differs by {ALIKE:.0%} of the events or more"
        else:
            words = (
                f"they differ most in {self.names[most]}: {self.totals[0][most]:.0%} of the events of {a}, "
                f"{self.totals[1][most]:.0%} of those of {b}"
            )
        return f"{sizes} Their interests overlap by {self.overlap:.0%}; {words}. {shared}"

    def table(self) -> pd.DataFrame:
        """One row for each person, span and interest: person, time (UTC), interest, share."""
        bins = len(self.middle_s)
        return pd.concat(
            [
                pd.DataFrame(
                    {
                        "person": person,
                        "time": np.tile(pd.to_datetime(self.middle_s, unit="s", utc=True), len(self.names)),
                        "interest": np.repeat(self.names, bins),
                        "share": self.shares[number].ravel(),
                    }
                )
                for number, person in enumerate(self.people)
            ],
            ignore_index=True,
        )

    def as_dict(self) -> dict[str, object]:
        """What the command `life --beside` answers."""
        return {
            "people": list(self.people),
            "says": self.says(),
            "overlap": self.overlap,
            "shared_items": self.shared_items,
            "interests": [
                {"name": name, "share": dict(zip(self.people, self.totals[:, at].tolist(), strict=True))}
                for at, name in enumerate(self.names)
            ],
        }


def compare_lives(dataset: Dataset, person: str, other: str, bins: int = BINS) -> LivesCompared:
    """Cluster the items of two lives together and follow the clusters' shares in each.

    Raises:
        UnknownPersonError: one of them is not in the data set.
        ConfigError: both are the same person, or one has no event.
    """
    from ..encoders import load_encodings

    if person == other:
        raise ConfigError(f"{person!r} is compared with itself", hint="name another person")
    lives = [dataset.store.life(dataset.person_row(one)) for one in (person, other)]
    for one, life in zip((person, other), lives, strict=True):
        if not len(life):
            raise ConfigError(f"person {one!r} has no event", hint="choose a person with events")
    both = np.concatenate([life.item for life in lives])
    rows, at = np.unique(both, return_inverse=True)
    encodings = load_encodings(dataset)
    label = interest_clusters(
        np.asarray(encodings.text_items[rows]), np.asarray(encodings.text_items_present[rows])
    )  # of distinct items
    count = int(label.max(initial=-1)) + 1
    of_events = np.split(label[at], [len(lives[0])])
    times = [np.asarray(life.time_s) for life in lives]
    span = np.sort(np.concatenate(times))
    edges, _ = density(span, np.zeros(len(span), bool), bins)
    shares = np.stack([shares_between(edges, t, of, count)[:count] for t, of in zip(times, of_events, strict=True)])
    totals = np.stack([np.bincount(of[of >= 0], minlength=count) / max((of >= 0).sum(), 1) for of in of_events])
    return LivesCompared(
        (person, other),
        (facts(lives[0]), facts(lives[1])),
        distinct_names([interest_name(dataset, rows[label == c]) for c in range(count)]),
        (edges[:-1] + edges[1:]) / 2,
        shares,
        totals,
        len(np.intersect1d(lives[0].item, lives[1].item)),
        f"their text ({encodings.text_id})",
    )
