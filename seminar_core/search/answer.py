"""What a search trace says: recall, attention mass, errors, one sentence, and the answer of the command `retrieve`.

Diagnostics, behind a search trace. Recall compares the two kept sets, attention mass what they are worth under the
exact softmax over the whole visible life, interest error and logits what the network makes of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ..workspace import Workspace
from .question import Question

if TYPE_CHECKING:  # what was answered before is read without a model
    from .study import Study
    from .trace import Side, Trace

COLUMNS = (
    "event",
    "verdict",
    "rank_exact",
    "rank_approx",
    "score_exact",
    "score_approx",
    "weight_exact",
    "weight_approx",
)


def recall(found: Trace) -> float | None:
    """Overlap of the two unions over the exact union; None when nothing is visible."""
    exact = set(found.exact.events.tolist())
    return len(exact & set(found.approx.events.tolist())) / len(exact) if exact else None


def recall_per_head(found: Trace) -> list[float | None]:
    """The same for each head."""
    out: list[float | None] = []
    for left, right in zip(found.exact.kept.events, found.approx.kept.events, strict=True):
        a, b = set(left[left >= 0].tolist()), set(right[right >= 0].tolist())
        out.append(len(a & b) / len(a) if a else None)
    return out


def attention_mass(found: Trace) -> float | None:
    """Mean over heads of the softmax mass of the approximate over that of the exact kept set, None if empty."""
    if not found.scores.shape[1]:
        return None
    shares = []
    for row, left, right in zip(found.scores, found.exact.kept.events, found.approx.kept.events, strict=True):
        top = float(row.max())
        approx, exact = (np.exp(row[kept[kept >= 0]].astype(np.float64) - top).sum() for kept in (right, left))
        shares.append(approx / exact)
    return float(np.mean(shares))


def interest_error(found: Trace) -> float | None:
    """L2 of the difference of the interests over L2 of the exact one; None when that is zero."""
    exact = found.exact.outcome.interest
    size = float(np.linalg.norm(exact))
    return float(np.linalg.norm(found.approx.outcome.interest - exact)) / size if size else None


def rows(study: Study, found: Trace, side: Side, *, with_exact: bool) -> list[dict[str, Any]]:
    """The kept events as the command lists them, most attended first."""
    life = study.dataset.store.life(found.moment.person_row)
    out = []
    for i, event in enumerate(side.events.tolist()):
        row = {
            "event": str(event),
            "item": study.dataset.item_ids[int(life.item[event])],
            "score": float(side.score[i]),
            "weight": float(side.weight[i]),
            "rank": i + 1,
            "heads": side.heads[i],
        }
        if with_exact:
            row["score_exact"] = float(side.score_exact[i])
        out.append(row)
    return out


def sentence(study: Study, found: Trace, share: float | None, mass: float | None) -> str:
    """The answer in one or two sentences of plain English, with its figures: recall and attention mass."""
    visible, kept = len(found.moment.positions), len(found.exact.events)
    if not visible:
        return "No event lies before this moment, so nothing speaks for or against the item."
    title = study.dataset.titles[found.item_row] or study.dataset.item_ids[found.item_row]
    first = f"Of {visible:,} events, {kept:,} speak for {title}."
    if share is None or mass is None:
        return first
    question = found.question
    name = "The quantised scan" if question.method in (None, "pq") else f"The first stage of {question.method}"
    size = "" if found.bytes_per_event is None else f" at {found.bytes_per_event:,.0f} bytes an event"
    refined = question.shortlist > 0 and question.method in (None, "pq")
    how = f", with a shortlist of {question.shortlist:g} times K scored exactly," if refined else ""
    keeps = "all of them" if share == 1 else f"{share:.1%} of them and {mass:.1%} of the attention"
    exact, approx = found.exact.outcome.logit, found.approx.outcome.logit
    moves = f"stays at {exact:.2f}" if f"{exact:.2f}" == f"{approx:.2f}" else f"moves from {exact:.2f} to {approx:.2f}"
    return f"{first} {name}{size}{how} keeps {keeps}, and the score {moves}."


def answer(study: Study, found: Trace) -> dict[str, Any]:
    """What the command `retrieve` answers."""
    share, mass = recall(found), attention_mass(found)
    return {
        "at_event": found.moment.event,
        "at_time_s": found.moment.time_s,
        "visible_events": len(found.moment.positions),
        "exact": rows(study, found, found.exact, with_exact=False),
        "approx": rows(study, found, found.approx, with_exact=True),
        "recall": share,
        "recall_per_head": recall_per_head(found),
        "attention_mass": mass,
        "interest_error": interest_error(found),
        "logit_exact": found.exact.outcome.logit,
        "logit_approx": found.approx.outcome.logit,
        "says": sentence(study, found, share, mass),
        "logit_parts": {"exact": found.exact.outcome.parts, "approx": found.approx.outcome.parts},
        "bytes_per_event": found.bytes_per_event,
        "latency_us": {"exact": found.exact.latency_us, "approx": found.approx.latency_us},
    }


def verdicts(
    exact: Sequence[dict[str, Any]], approx: Sequence[dict[str, Any]], near: Mapping[str, float] | None = None
) -> pd.DataFrame:
    """One row for each event that exact or approximate search kept, best exact rank first.

    Args:
        exact: rows with `event`, `item`, `score`, `weight`, `rank`, `heads`.
        approx: the same, and `score_exact`.
        near: approximate score by event, also of events that the approximation did not keep.

    Returns:
        `COLUMNS` and `item`; `verdict` is kept, lost or gained; ranks and weights are missing where not kept.
    """
    left, right = {row["event"]: row for row in exact}, {row["event"]: row for row in approx}
    rows = []
    for event in dict.fromkeys([*left, *right]):
        a, b = left.get(event), right.get(event)
        rows.append(
            {
                "event": int(event),
                "item": (a or b or {})["item"],
                "verdict": "kept" if a and b else ("lost" if a else "gained"),
                "rank_exact": a["rank"] if a else None,
                "rank_approx": b["rank"] if b else None,
                "score_exact": a["score"] if a else (b or {}).get("score_exact"),
                "score_approx": b["score"] if b else (near or {}).get(event),
                "weight_exact": a["weight"] if a else 0.0,
                "weight_approx": b["weight"] if b else 0.0,
            }
        )
    return pd.DataFrame(rows, columns=[*COLUMNS[:1], "item", *COLUMNS[1:]])


@dataclass(frozen=True)
class Answered:
    """One question answered whole: what the command prints and the page draws. All of it can be kept as JSON.

    Fields:
        question: what was asked.
        said: what the command `retrieve` prints.
        near: largest approximate per-head score by event, of events that either side kept; empty where the other
            search has no scores of its own.
        span: positions in the life of the first and the last searched event; empty where none was.
        keep: places per head, K or the whole life.
    """

    question: Question
    said: dict[str, Any]
    near: dict[str, float]
    span: list[int]
    keep: int

    @property
    def heads(self) -> int:
        """How many heads searched."""
        return len(self.said["recall_per_head"])

    @cached_property
    def verdicts(self) -> pd.DataFrame:
        """One row for each event that either side kept, see `verdicts`."""
        return verdicts(self.said["exact"], self.said["approx"], self.near)


def answered(study: Study, found: Trace) -> Answered:
    """What a trace says."""
    near = {str(event): score for event, score in found.near_scores.items()}
    span = [int(found.moment.positions[end]) for end in (0, -1)] if len(found.moment.positions) else []
    return Answered(found.question, answer(study, found), near, span, found.exact.kept.events.shape[1])


def ask(study: Study, question: Question, *, timed: bool = True) -> Answered:
    """Answer one question."""
    from .trace import trace

    return answered(study, trace(study, question, timed=timed))


def retrieve(workspace: Workspace, run: str, person: str, item: str, **settings: Any) -> dict[str, Any]:
    """Exact beside approximate retrieval for one target; `settings` are the further fields of `Question`."""
    from .study import open_study

    return ask(open_study(workspace, run), Question(person, item, **settings)).said
