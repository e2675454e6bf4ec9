"""The work-list of a run: its items or people, most divergent first, with what is known of each and a likely reason.

Diagnostics, where the work-list's measures meet a stage of a run; what the command `worklist` answers.
"""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from PIL import Image, UnidentifiedImageError

from ..data.dataset import Dataset
from ..errors import ConfigError, UnknownNameError
from ..workspace import Workspace
from .slices import rows_of_slice
from .stages import StageVectors, open_stage
from .worklist import ItemFacts, company, item_disagreement, likely_reason, people_disagreement

WORKLISTS = ("items", "people")


def worklist(
    workspace: Workspace,
    run: str,
    *,
    of: str = "items",
    stage: str | None = None,
    limit: int = 50,
    slice_: str | None = None,
) -> dict[str, Any]:
    """Items or people whose modalities disagree most, most divergent first; of a slice of the items where one is named.

    Returns:
        `run`, `stage`, `of`, `slice`, `judged`, `left_out`, `rows`: list of {id, title, disagreement, reason, ...}.
    """
    if of not in WORKLISTS:
        raise UnknownNameError("work-list", of, WORKLISTS)
    if slice_ is not None and of == "people":
        raise ConfigError(f"slice {slice_!r} is of items, not of people", hint="leave out --slice, or name --of items")
    opened = open_stage(workspace, run, stage)
    items = None if slice_ is None else rows_of_slice(opened.dataset.items_frame(), slice_)
    rows, judged, total = item_rows(opened, limit, items) if of == "items" else people_rows(opened, limit)
    answer = {"run": run, "stage": opened.stage, "of": of, "slice": slice_, "judged": judged}
    return answer | {"left_out": total - judged, "rows": rows}


def item_rows(
    opened: StageVectors, limit: int | None = None, items: np.ndarray | None = None
) -> tuple[list[dict[str, Any]], int, int]:
    """Rows of the work-list of items, how many items were judged, and how many there are.

    With `items` only these catalogue rows are listed and counted, each compared with the whole catalogue as ever.
    """
    dataset = opened.dataset
    store = dataset.store
    met = company(np.asarray(store.item), np.asarray(store.offsets), dataset.n_items)
    found = item_disagreement(opened.channels, met)
    listed = found.rows if items is None else items
    order = found.order()
    order = order[np.isin(found.rows[order], listed)]
    events = np.bincount(np.asarray(store.item), minlength=dataset.n_items + 1)
    titles = dataset.titles
    carried: dict[str | None, int] = {}
    for title in titles[1:]:
        carried[title] = carried.get(title, 0) + 1
    rows = []
    for at in order[:limit]:
        row = int(found.rows[at])
        facts = ItemFacts(int(events[row]), carried[titles[row]] if titles[row] else 0, picture_side(dataset, row))
        compared = [name for name, values in found.by_modality.items() if np.isfinite(values[at])]
        odd = str(found.odd[at])
        rows.append(
            {
                "id": dataset.item_ids[row],
                "title": titles[row] or "",
                "disagreement": float(found.score[at]),
                "reason": likely_reason(odd, facts, compared),
                "odd": odd,
                "events": facts.events,
                "item_row": row,
            }
        )
    return rows, len(order), len(listed)


def people_rows(opened: StageVectors, limit: int | None = None) -> tuple[list[dict[str, Any]], int, int]:
    """Rows of the work-list of people, how many people were judged, and how many there are."""
    store, dataset = opened.dataset.store, opened.dataset
    found = people_disagreement(opened.channels, np.asarray(store.item), np.asarray(store.offsets))
    judged = np.flatnonzero(np.isfinite(found.score))
    order = judged[np.argsort(-found.score[judged], kind="stable")]
    words = {"A": "attributes", "T": "text", "I": "pictures"}
    rows = []
    for person in order[:limit]:
        first, second = (words[name] for name in str(found.worst[person]).split(","))
        events = int(store.lengths[person])
        rows.append(
            {
                "id": dataset.person_ids[person],
                "title": f"{events} events",
                "disagreement": float(found.score[person]),
                "reason": f"{first} and {second} order this person's items most differently",
                "events": events,
            }
        )
    return rows, len(order), len(found.score)


def picture_side(dataset: Dataset, row: int) -> int | None:
    """Shorter side of an item's picture in pixels, None without one."""
    content = dataset.picture(row)
    if content is None:
        return None
    try:
        return min(Image.open(io.BytesIO(content)).size)
    except (UnidentifiedImageError, OSError):
        return None
