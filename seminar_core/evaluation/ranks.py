"""Where the true candidate stands among its rivals: how many score higher, how many tie.

Evaluation. Everything that is reported later is a function of three integers per target: `better` (rivals with a higher
score), `ties` (rivals with exactly the same score) and `candidates` (rivals and the positive together). Keeping the
integers instead of one rank lets ties be resolved in expectation, as if in random order: a constant scorer gets chance
and not HIT@1 = 1. The SEMINAR paper's released code ranks ties in the positive's favour; this is the departure.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..contracts import check_shape
from ..errors import EmptyDataError, NonFiniteError, ShapeError


@dataclass(frozen=True)
class Ranks:
    """The standing of n positives.

    Fields:
        better: (n,) int64 rivals that score strictly higher.
        ties: (n,) int64 rivals with exactly the positive's score.
        candidates: (n,) int64 candidates in all, the positive included.
        person: (n,) int32 person row of each target, the unit that intervals resample.
    """

    better: np.ndarray
    ties: np.ndarray
    candidates: np.ndarray
    person: np.ndarray

    def __post_init__(self) -> None:
        for name in ("ties", "candidates", "person"):
            check_shape(f"Ranks.{name}", getattr(self, name), self.better.shape)
        if (self.better < 0).any() or (self.ties < 0).any() or (self.better + self.ties >= self.candidates).any():
            raise ShapeError(
                "ranks need 0 <= better, 0 <= ties and better + ties < candidates", hint="count the positive once"
            )

    def __len__(self) -> int:
        return len(self.better)

    def __repr__(self) -> str:
        return f"Ranks(n={len(self)}, people={len(np.unique(self.person))})"

    def take(self, rows: np.ndarray) -> Ranks:
        """The ranks at `rows` (indices or a boolean mask)."""
        return Ranks(self.better[rows], self.ties[rows], self.candidates[rows], self.person[rows])


def ranks_from_scores(scores: np.ndarray, person: np.ndarray, *, allowed: np.ndarray | None = None) -> Ranks:
    """Rank candidate 0 of each row among the others.

    Args:
        scores: (n, N) higher is better, candidate 0 is the positive.
        person: (n,) person rows.
        allowed: (n, N) bool, rivals that count; None = all.

    Raises:
        NonFiniteError: a score that counts is NaN or infinite, so that no rank would be true.
    """
    check_shape("scores", scores, (len(person), None))
    return ranks_against(scores[:, 0], scores[:, 1:], person, allowed=None if allowed is None else allowed[:, 1:])


def ranks_against(
    positive: np.ndarray, rivals: np.ndarray, person: np.ndarray, *, allowed: np.ndarray | None = None
) -> Ranks:
    """Rank positives against their rivals.

    Args:
        positive: (n,) scores of the positives.
        rivals: (n, R) scores of the rivals.
        person: (n,) person rows.
        allowed: (n, R) bool, rivals that count; None = all.

    Raises:
        EmptyDataError: no target.
        NonFiniteError: a score that counts is NaN or infinite.
    """
    if not len(positive):
        raise EmptyDataError("there is no target to rank", hint="choose a mode or split that has targets")
    allowed = np.ones(rivals.shape, bool) if allowed is None else allowed
    bad = ~np.isfinite(positive) | (~np.isfinite(rivals) & allowed).any(axis=1)
    if bad.any():
        raise NonFiniteError(
            f"{int(bad.sum())} of {len(bad)} targets have NaN or infinite scores (first: row {int(bad.argmax())})",
            hint="the run diverged: train again with a lower learning rate",
        )
    better = ((rivals > positive[:, None]) & allowed).sum(axis=1)
    ties = ((rivals == positive[:, None]) & allowed).sum(axis=1)
    return Ranks(better.astype(np.int64), ties.astype(np.int64), allowed.sum(axis=1).astype(np.int64) + 1, person)


def chance_ranks(ranks: Ranks) -> Ranks:
    """What a constant scorer gets on the same targets: everything ties."""
    return Ranks(np.zeros_like(ranks.better), ranks.candidates - 1, ranks.candidates, ranks.person)


def join(parts: list[Ranks]) -> Ranks:
    """Several parts one after the other."""
    return Ranks(*(np.concatenate([getattr(p, f) for p in parts]) for f in ("better", "ties", "candidates", "person")))
