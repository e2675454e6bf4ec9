"""The work-list: items whose modalities disagree most, with a likely reason; and people in whose lives they do.

After the channel vectors (of a model or raw from the encoders: widths may differ), before a person who repairs the
catalogue. An item's modality is *supported* by another when its neighbours there are nearer to the item here than items
are on average: a wrong picture has neighbours that its text, attributes and company do not know. Disagreement is how
much of the typical support is missing: 0 = supported like most items, 1 = no more than by chance. Company means items
met next to each other in lives. Own definition; it needs no shared space and no training.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.sparse import coo_matrix, csr_matrix

from ..errors import EmptyDataError
from .channel_set import ChannelSet
from .neighbours import FEWEST_ITEMS, nearest

NEIGHBOURS = 10
COMPANY = "C"  # not a channel: the items met beside this one
WINDOW = 3
MOST_EVENTS = 4_000_000
COLD_EVENTS = 3
TINY_SIDE = 32
TELLING = 3.0
FEWEST_COMPANIONS = 5
SHARED_TITLE = 3
NAMES = {"Q": "queries", "A": "attributes", "T": "text", "I": "picture", COMPANY: "items met beside it"}


@dataclass(frozen=True)
class Disagreement:
    """How much each item's modalities disagree.

    Fields:
        rows: (n,) int32 catalogue rows.
        score: (n,) 0 = as most items, 1 = support at chance; NaN where fewer than two modalities can be compared.
        odd: (n,) the modality that the others know least, "" where there is none.
        by_modality: name -> (n,) mean disagreement with the others, NaN where it is absent.
    """

    rows: np.ndarray
    score: np.ndarray
    odd: np.ndarray
    by_modality: Mapping[str, np.ndarray]

    def order(self) -> np.ndarray:
        """Positions of the judged items, most divergent first."""
        judged = np.flatnonzero(np.isfinite(self.score))
        return judged[np.argsort(-self.score[judged], kind="stable")]


def company(item: np.ndarray, offsets: np.ndarray, n_items: int, *, k: int = NEIGHBOURS) -> np.ndarray:
    """The k items met most beside each item, for their popularity (pointwise mutual information, at least twice).

    Args:
        item: (E,) item rows of all lives, one life after the other; the last `MOST_EVENTS` are read.
        offsets: (P+1,) where each life starts.
        n_items: I.
        k: how many.

    Returns:
        (I+1, k) int32 item rows, 0 where there are fewer.
    """
    first = max(0, len(item) - MOST_EVENTS)
    person = np.searchsorted(offsets, np.arange(first, len(item)), side="right")
    seen = np.asarray(item[first:], dtype=np.int64)
    counts = csr_matrix((n_items + 1, n_items + 1), dtype=np.float64)
    for step in range(1, WINDOW + 1):
        keep = (
            (person[step:] == person[:-step]) & (seen[step:] != seen[:-step]) & (seen[step:] > 0) & (seen[:-step] > 0)
        )
        left, right = seen[:-step][keep], seen[step:][keep]
        counts = counts + coo_matrix((np.ones(len(left)), (left, right)), shape=counts.shape).tocsr()
    both = counts + counts.T
    popular = np.maximum(np.asarray(both.sum(axis=1)).ravel(), 1)
    table = np.zeros((n_items + 1, k), np.int32)
    for row in range(1, n_items + 1):
        start, stop = both.indptr[row : row + 2]
        often = both.data[start:stop] >= 2
        others, met = both.indices[start:stop][often], both.data[start:stop][often]
        lift = met * np.log1p(met) / popular[others]
        best = others[np.argsort(-lift, kind="stable")[:k]]
        table[row, : len(best)] = best
    return table


def item_disagreement(channels: ChannelSet, met: np.ndarray | None = None) -> Disagreement:
    """Score every item.

    Args:
        channels: vectors of n items; widths may differ.
        met: (I+1, k) rows from `company`, or None.

    Raises:
        EmptyDataError: fewer than two modalities with `FEWEST_ITEMS` items.
    """
    unit = channels.unit()
    usable = [name for name in unit.names if int(unit.present[name].sum()) >= FEWEST_ITEMS]
    if len(usable) < 2:
        raise EmptyDataError(
            f"only {len(usable)} modalities have at least {FEWEST_ITEMS} items: nothing to compare",
            hint="encode text and pictures first, or choose a wider slice",
        )
    tables = {name: _neighbour_positions(unit, name) for name in usable}
    if met is not None:
        tables[COMPANY] = _company_positions(unit, met)
    n = len(unit)
    against: dict[str, list[np.ndarray]] = {name: [] for name in tables}
    for source, table in tables.items():
        for judge in usable:
            if judge == source:
                continue
            missing = _shortfall(_support(unit, judge, table))
            against[source].append(missing)
            against[judge].append(missing)
    by_modality = {name: _mean_where_known(parts, n) for name, parts in against.items()}
    stacked = np.stack(list(by_modality.values()))
    known = np.isfinite(stacked)
    judged = known.sum(axis=0) >= 2
    filled = np.where(known, stacked, -np.inf)
    worst = filled.argmax(axis=0)
    score = np.where(judged, filled.max(axis=0), np.nan)
    odd = np.where(judged, np.array(list(by_modality))[worst], "")
    return Disagreement(unit.rows, score, odd, by_modality)


def _neighbour_positions(unit: ChannelSet, name: str) -> np.ndarray:
    """(n, k) positions of the nearest items in one channel, -1 where the item has no such vector."""
    where = np.flatnonzero(unit.present[name])
    table = np.full((len(unit), NEIGHBOURS), -1, np.int64)
    table[where] = where[nearest(unit.vectors[name][where], NEIGHBOURS)[0]]
    return table


def _company_positions(unit: ChannelSet, met: np.ndarray) -> np.ndarray:
    """(n, k) positions of each item's company within this set, -1 where there is none."""
    position = np.full(len(met), -1, np.int64)
    position[unit.rows] = np.arange(len(unit))
    position[0] = -1
    table = position[met[unit.rows]]
    table[(table >= 0).sum(axis=1) < FEWEST_COMPANIONS] = -1
    return table


def _support(unit: ChannelSet, judge: str, table: np.ndarray) -> np.ndarray:
    """(n,) how much nearer the listed items are, in the judge's space, than any item is; NaN where not known."""
    matrix, present = unit.vectors[judge], unit.present[judge]
    total, found = np.zeros(len(unit)), np.zeros(len(unit))
    for column in table.T:
        usable = (column >= 0) & present & present[np.maximum(column, 0)]
        total[usable] += np.einsum("nd,nd->n", matrix[usable], matrix[column[usable]])
        found += usable
    everywhere = matrix @ (matrix[present].mean(axis=0))
    return np.where(found > 0, total / np.maximum(found, 1) - everywhere, np.nan)


def _shortfall(support: np.ndarray) -> np.ndarray:
    """(n,) share of the typical support that is missing, NaN where unknown; shrunk where support says little.

    Where the median support is less than `TELLING` of its own spreads above zero, two modalities hardly know each other
    at all and one item's lack of support is noise; its square shrinks such pairs.
    """
    known = support[np.isfinite(support)]
    typical = float(np.median(known)) if len(known) else 0.0
    if typical <= 0:
        return np.where(np.isfinite(support), 0.0, np.nan)
    spread = 1.4826 * float(np.median(np.abs(known - typical)))
    reliability = min(1.0, typical / max(TELLING * spread, 1e-9)) ** 2
    return np.clip(1 - support / typical, -1, 2) * reliability


def _mean_where_known(parts: Sequence[np.ndarray], n: int) -> np.ndarray:
    if not parts:
        return np.full(n, np.nan)
    stacked = np.stack(parts)
    known = np.isfinite(stacked)
    return np.where(
        known.any(axis=0), np.where(known, stacked, 0).sum(axis=0) / np.maximum(known.sum(axis=0), 1), np.nan
    )


@dataclass(frozen=True)
class ItemFacts:
    """What a reason is read from.

    Fields:
        events: how often the item was met.
        same_title: how many items carry its title.
        picture_side: shorter side of its picture in pixels, None without one.
    """

    events: int
    same_title: int
    picture_side: int | None


def likely_reason(odd: str, facts: ItemFacts, others: Sequence[str]) -> str:
    """One sentence on why this item disagrees, from what is wrong most often down to the mere fact.

    Args:
        odd: the modality that the others know least.
        facts: about the item.
        others: the modalities it was compared with.
    """
    names = [NAMES[name] for name in others if name != odd]
    rest = " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names) or "the others"
    sentence = {
        "I": f"picture unlike its {rest}: perhaps another item's picture",
        "T": f"text unlike its {rest}",
        "A": f"attributes unlike its {rest}",
        "Q": f"query mismatch: people find it by queries unlike its {rest}",
        COMPANY: f"met beside items unlike its {rest}",
    }[odd]
    if odd == "I" and facts.picture_side is not None and facts.picture_side < TINY_SIDE:
        sentence = f"tiny picture: {facts.picture_side} px on its shorter side"
    elif odd == "T" and facts.same_title >= SHARED_TITLE:
        sentence = f"generic title: {facts.same_title} items carry it"
    elif odd in ("A", "Q", COMPANY) and facts.events < COLD_EVENTS:
        sentence = f"cold id: met {facts.events} time{'s' * (facts.events != 1)}"
    return sentence if facts.picture_side is not None or odd == "I" else f"{sentence}; missing picture"


@dataclass(frozen=True)
class PersonDisagreement:
    """How differently the modalities see one person's items.

    Fields:
        score: (P,) mean over pairs of modalities of (1 - correlation of the items' similarities) / 2; NaN where the
            person has fewer than `FEWEST_OF_A_LIFE` items with all of them.
        worst: (P,) the pair that disagrees most, for instance "T,I"; "" where there is none.
    """

    score: np.ndarray
    worst: np.ndarray


FEWEST_OF_A_LIFE = 8
MOST_OF_A_LIFE = 64


def people_disagreement(channels: ChannelSet, item: np.ndarray, offsets: np.ndarray) -> PersonDisagreement:
    """Score every person by how much the modalities disagree over the latest distinct items of the life.

    Args:
        channels: vectors of the catalogue, one row per item row 1..I in order.
        item: (E,) item rows of all lives.
        offsets: (P+1,) where each life starts.
    """
    unit = channels.unit()
    names = [name for name in unit.names if name != "Q" and unit.present[name].any()]
    pairs = [(a, b) for at, a in enumerate(names) for b in names[at + 1 :]]
    everywhere = np.logical_and.reduce([unit.present[name] for name in names])
    n_people = len(offsets) - 1
    score, worst = np.full(n_people, np.nan), np.full(n_people, "", dtype="<U3")
    for person in range(n_people):
        life = np.asarray(item[offsets[person] : offsets[person + 1]])[::-1]
        rows, at = np.unique(life, return_index=True)
        rows = rows[np.argsort(at)][:MOST_OF_A_LIFE]
        chosen = rows[rows > 0] - 1
        chosen = chosen[everywhere[chosen]]
        if len(chosen) < FEWEST_OF_A_LIFE or not pairs:
            continue
        upper = np.triu_indices(len(chosen), 1)
        seen = {}
        for name in names:
            matrix = unit.vectors[name][chosen]
            similarity = (matrix @ matrix.T)[upper]
            seen[name] = (similarity - similarity.mean()) / max(float(similarity.std()), 1e-9)
        apart = [(1 - float((seen[a] * seen[b]).mean())) / 2 for a, b in pairs]
        score[person] = np.mean(apart)
        worst[person] = ",".join(pairs[int(np.argmax(apart))])
    return PersonDisagreement(score, worst)
