"""What a search trace says in numbers: recall, attention mass, errors, and the answer of the command `retrieve`.

Diagnostics, behind `search_trace`. Recall compares the two kept sets, attention mass what they are worth under the
exact softmax over the whole visible life, interest error and logits what the network makes of them.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..workspace import Workspace
from .study import Study, open_study
from .trace import Question, Side, Trace, trace


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
    scores = found.scores.astype(np.float64)
    powers = np.exp(scores - scores.max(1, keepdims=True))
    shares = []
    for row, left, right in zip(powers, found.exact.kept.events, found.approx.kept.events, strict=True):
        shares.append(row[right[right >= 0]].sum() / row[left[left >= 0]].sum())
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


def answer(study: Study, found: Trace) -> dict[str, Any]:
    """What the command `retrieve` answers."""
    return {
        "at_event": found.moment.event,
        "at_time_s": found.moment.time_s,
        "visible_events": len(found.moment.positions),
        "exact": rows(study, found, found.exact, with_exact=False),
        "approx": rows(study, found, found.approx, with_exact=True),
        "recall": recall(found),
        "recall_per_head": recall_per_head(found),
        "attention_mass": attention_mass(found),
        "interest_error": interest_error(found),
        "logit_exact": found.exact.outcome.logit,
        "logit_approx": found.approx.outcome.logit,
        "logit_parts": {"exact": found.exact.outcome.parts, "approx": found.approx.outcome.parts},
        "bytes_per_event": found.bytes_per_event,
        "latency_us": {"exact": found.exact.latency_us, "approx": found.approx.latency_us},
    }


def retrieve(workspace: Workspace, run: str, person: str, item: str, **settings: Any) -> dict[str, Any]:
    """Exact beside approximate retrieval for one target; `settings` are the further fields of `Question`."""
    study = open_study(workspace, run)
    return answer(study, trace(study, Question(person, item, **settings)))
