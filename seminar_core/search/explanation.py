"""Why one event was kept or lost: where its exact score comes from, and where the approximate score errs.

Diagnostics, behind a search trace; what the command `explain` answers. An event is explained for one head: one that
lost it, where there is such a head. Both decompositions are exact sums: contributions of channel pairs add up to the
exact score, errors (by channel, and by sub-space) to approximate minus exact. A residual quantiser has no sub-spaces of
its own, so its coded space is cut into as many equal blocks as it has code words; what a transform dropped before
coding is one last entry.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from ..contracts import CHANNELS, PAD
from ..errors import ConfigError
from ..retrieval.codebooks import Codebooks
from ..retrieval.events import pair_vectors as event_vectors
from ..retrieval.parts import PART_CHANNELS, Part
from ..retrieval.quantisers import Scalar
from .second_stage import channel_parts
from .study import Study
from .trace import Side, Trace

BLOCKS_OF_SCALAR = 8


@dataclass(frozen=True)
class Coded:
    """An event beside its code.

    Fields:
        part: codebooks that coded it.
        vector, near: (W,) its channel vectors and what the code stands for.
        code: (S,) code words.
        scale: factor on its whole score (events without a query).
    """

    part: Part
    vector: np.ndarray
    near: np.ndarray
    code: np.ndarray
    scale: float


def explain_event(study: Study, found: Trace, event: str) -> dict[str, Any]:
    """Explain one event of a traced life.

    Args:
        study: the run.
        found: the trace of the question.
        event: position in the life.

    Raises:
        ConfigError: the event is not among the searched ones.
        NotReadyError, SpecError: the specification has no codebooks.
    """
    place = searched_place(found, event)
    head = explained_head(found, place)
    books = study.codebooks(found.question.spec)
    coded = code_of(study, books, found, int(event))
    u = found.folded.u[head, PART_CHANNELS[coded.part.name]].reshape(-1)
    asked = found.asked.u[head, PART_CHANNELS[coded.part.name]].reshape(-1)
    return {
        "event": str(int(event)),
        "head": head if found.question.head is None else found.question.head,
        "kept_by_heads": {"exact": heads_of(found.exact, int(event)), "approx": heads_of(found.approx, int(event))},
        "score_exact": float(found.scores[head, place]),
        "score_approx": float(found.scores[head, place] + coded.scale * (asked @ coded.near - u @ coded.vector)),
        "contributions": contributions(study, found, int(event), head).tolist(),
        "error_by_subspace": error_by_subspace(coded, u, asked),
        "error_by_channel": error_by_channel(coded, u, asked),
        "code": coded.code.astype(int).tolist(),
        "shares_code_with": sharing(study, books, found, int(event)),
        "lost_in": lost_in(found, int(event)),
    }


def searched_place(found: Trace, event: str) -> int:
    """Index of an event among the searched ones.

    Raises:
        ConfigError: it is no position, not visible, or left out.
    """
    known = event.isascii() and event.isdecimal() and len(event) < 19
    at = np.searchsorted(found.moment.positions, int(event)) if known else -1
    if not 0 <= at < len(found.moment.positions) or found.moment.positions[at] != int(event):
        raise ConfigError(
            f"event {event!r} is not among the {len(found.moment.positions)} visible events of this target",
            hint="only events strictly before the target's time, outside a left-out period, are searched",
        )
    return int(at)


def heads_of(side: Side, event: int) -> list[int]:
    """The heads of one search that kept an event."""
    return next((heads for one, heads in zip(side.events, side.heads, strict=True) if one == event), [])


def explained_head(found: Trace, place: int) -> int:
    """The head, as a row of `found.scores`, that an event is explained for.

    It is one that exact search kept the event for and the other search did not; where there is none, one that kept it.
    The largest exact score decides among those, and among all heads for an event that nobody kept.
    """
    exact, approx = (np.flatnonzero((side.kept.events == place).any(1)) for side in (found.exact, found.approx))
    candidates = (np.setdiff1d(exact, approx), exact, approx, np.arange(len(found.scores)))
    among = next(rows for rows in candidates if len(rows))
    return int(among[found.scores[among, place].argmax()])


def code_of(study: Study, books: Codebooks, found: Trace, event: int) -> Coded:
    """The code of one event and what it stands for."""
    life = study.dataset.store.life(found.moment.person_row)
    item, query = life.item[event : event + 1], life.query[event : event + 1]
    searched = bool(query[0] != PAD and study.vectors.query_present[query[0]])
    part = books.parts["pair" if searched else "item"]
    code = books.pair_codes(study.vectors, item, query) if searched else books.codes["item"][item]
    width = study.vectors.query.shape[1]
    whole = event_vectors(study.vectors, item, query).reshape(1, len(CHANNELS), width)
    vector = whole[:, PART_CHANNELS[part.name]].reshape(-1)
    scale = 1.0 if searched else found.folded.item_scale_without_query
    return Coded(part, vector, part.decode(code)[0], code[0], scale)


def contributions(study: Study, found: Trace, event: int, head: int) -> np.ndarray:
    """(M, M) what each pair of a target channel (row) and an event channel (column) adds to one head's exact score."""
    life = study.dataset.store.life(found.moment.person_row)
    target = channel_parts(study.model, np.array([found.item_row]), np.array([found.query_row]), found.weighting)[0]
    there = channel_parts(study.model, life.item[[event]], life.query[[event]], found.weighting)[0]
    row = head if found.question.head is None else found.question.head
    with torch.no_grad():
        folded = study.model.score.fold(target)[:, row]  # (M, D)
        return (folded @ there.T).double().numpy()


def error_by_channel(coded: Coded, u: np.ndarray, asked: np.ndarray) -> dict[str, float]:
    """Approximate minus exact score, by the channel it arises in; channels outside the code have none.

    Args:
        coded: the event.
        u, asked: (W,) the folded target, and as the approximate search asked with it.
    """
    names = CHANNELS[PART_CHANNELS[coded.part.name]]
    terms = (asked * coded.near - u * coded.vector).reshape(len(names), -1).sum(1) * coded.scale
    found = dict(zip(names, terms.tolist(), strict=True))
    return {name: float(found.get(name, 0.0)) for name in CHANNELS}


def error_by_subspace(coded: Coded, u: np.ndarray, asked: np.ndarray) -> list[float]:
    """Approximate minus exact score, by sub-space of the coded space; the last entry is what the transform dropped.

    Arguments as of `error_by_channel`.
    """
    transform, coder = coded.part.transform, coded.part.coder
    z = transform.apply(coded.vector[None])[0]
    near = coder.decode(coded.code[None])[0]
    terms = ((asked @ transform.search) * near - (u @ transform.search) * z) * coded.scale  # (n,)
    if isinstance(coder, Scalar):
        owners = np.arange(len(terms)) * BLOCKS_OF_SCALAR // len(terms)
    elif coder.residual:
        owners = np.arange(len(terms)) * len(coded.code) // len(terms)
    else:
        owners = np.abs(coder.centroids).max(1).argmax(0)  # the sub-space whose centroids use this dimension
    blocks = np.bincount(owners, terms, minlength=int(owners.max()) + 1)
    outside = float(coded.scale * (asked @ coded.near - u @ coded.vector) - terms.sum())
    return [*blocks.tolist(), outside]


def sharing(study: Study, books: Codebooks, found: Trace, event: int) -> list[str]:
    """Other searched events, of another item or query, that have the same code: they cannot be told apart."""
    life = study.dataset.store.life(found.moment.person_row)
    positions = found.moment.positions
    item, query = life.item[positions], life.query[positions]
    searched = (query != PAD) & study.vectors.query_present[query]
    mine = int(np.searchsorted(positions, event))
    same = searched == searched[mine]
    codes = (
        books.pair_codes(study.vectors, item[same], query[same]) if searched[mine] else books.codes["item"][item[same]]
    )
    own = codes[np.flatnonzero(same).searchsorted(mine)]
    equal = (codes == own).all(1) & ((item[same] != item[mine]) | (query[same] != query[mine]))
    return [str(p) for p in positions[same][equal]]


def lost_in(found: Trace, event: int) -> str | None:
    """`scan` or `refine` for an event that exact search kept and the other did not; None for every other event."""
    if event not in found.exact.events or event in found.approx.events:
        return None
    if found.scanned is None:
        return "scan"
    place = int(np.searchsorted(found.moment.positions, event))
    heads = np.flatnonzero((found.exact.kept.events == place).any(1))
    return "refine" if any(event in found.scanned[head] for head in heads) else "scan"
