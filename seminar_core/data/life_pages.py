"""Pages of a life: the events of one person as a reader wants them, with the texts.

Data. duckdb reads events.parquet and skips every row group whose person rows lie elsewhere, so a page costs the same in
a data set of any size. The process has one empty database in memory, because opening one costs 20 ms and a page 8, and
each call a connection to it; no file is ever locked.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import duckdb

from ..errors import ConfigError
from .dataset import Dataset
from .scratch import literal, reading

PAGE = """SELECT CAST(e.event AS VARCHAR) AS event, e.time_s, e.item, i.title, e.query, e.action,
    CASE WHEN e.label < 0 THEN NULL ELSE e.label END AS label
FROM (SELECT * FROM read_parquet({events}) WHERE person_row = ? AND event >= ? AND event < ?) e
LEFT JOIN (SELECT item_row, title FROM read_parquet({items})) i ON i.item_row = e.item_row
ORDER BY e.event"""


@cache
def _database() -> duckdb.DuckDBPyConnection:
    """The process's empty database; pages are small, so one thread reads them."""
    return duckdb.connect(config={"threads": 1})


def life_page(
    dataset: Dataset, person_id: str, start: int | None = None, stop: int | None = None
) -> list[dict[str, Any]]:
    """Events `start` to `stop` (exclusive) of one life, oldest first.

    Args:
        dataset: the data set.
        person_id: as in the source data.
        start: first position, default 0; negative counts from the end.
        stop: position after the last, default the life's length; negative counts from the end.

    Returns:
        Rows of event (position as a string), time_s, item, title, query, action, label (1, 0 or None).

    Raises:
        UnknownPersonError: no such person.
        ConfigError: `start` lies behind `stop`.
    """
    row = dataset.person_row(person_id)
    length = int(dataset.store.lengths[row])
    first, last, _ = slice(start, stop).indices(length)
    if start is not None and stop is not None and first > last:
        raise ConfigError(
            f"the page from {start} to {stop} is empty: from lies behind to", hint=f"positions run from 0 to {length}"
        )
    events = dataset.path / "events.parquet"
    sql = PAGE.format(events=literal(events), items=literal(dataset.path / "items.parquet"))
    with reading(events), _database().cursor() as connection:
        found = connection.execute(sql, [row, first, last])
        names = [column[0] for column in found.description or ()]
        return [dict(zip(names, values, strict=True)) for values in found.fetchall()]


def life(dataset: Dataset, person_id: str, start: int | None = None, stop: int | None = None) -> dict[str, Any]:
    """What the command `life` answers: the person and a page of events, newest last."""
    return {"person": person_id, "events": life_page(dataset, person_id, start, stop)}
