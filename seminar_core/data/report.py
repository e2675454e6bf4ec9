"""The data report: what a data set holds and what is wrong with it, with the rows to look at.

Data. Made once at import, while the source file's row numbers are known, and stored beside the data; a row number
counts the data rows of a file from 1, the header left out: the events file, or the items file where the problem is one
of items. Nothing is repaired silently: what is dropped or treated as absent has a line here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..files import read_json
from .catalogue import Catalogue, CatalogueWritten
from .event_source import EXAMPLES, EventSource, hint_of
from .event_writer import Tallies
from .intake.guesses import guesses_of
from .life_checks import LifeChecks
from .scratch import literal, reading

if TYPE_CHECKING:
    from .dataset import Dataset

Problem = dict[str, Any]


def report(dataset: Dataset) -> dict[str, Any]:
    """The data report of a data set."""
    found = read_json(dataset.path / "report.json")
    assert isinstance(found, dict)
    return found


DOUBTFUL_S = (1_000_000, 631_152_000)  # smaller numbers are an order, later times than 1990-01-01 are likely
NULL_WORDS = ("nan", "none", "null", "na", "n/a", "<na>")


def problem(kind: str, count: int, rows: list[int], hint: str) -> Problem:
    """One line of the report."""
    return {"kind": kind, "count": int(count), "example_rows": [int(r) for r in rows[:EXAMPLES]], "hint": hint}


def make_report(
    source: EventSource,
    given: Catalogue | None,
    catalogue: Catalogue,
    unknown: list[str],
    written: CatalogueWritten,
    checks: LifeChecks,
    tallies: Tallies,
    people: list[str],
) -> dict[str, Any]:
    """Count what is there and name what is wrong.

    Args:
        source: the events with what was rejected.
        given: the items file as read, None when there was none.
        catalogue: the same with the items that only events name.
        unknown: those items.
        written: texts and pictures that are there.
        checks: what the sorted events showed.
        tallies: counts per person.
        people: person ids by row.
    """
    lengths = np.diff(tallies.offsets)
    events = int(lengths.sum())
    problems = rejected_problems(source) + order_problems(checks) + doubts(source, checks, people)
    never_met = int((tallies.events_per_item[1:] == 0).sum())
    if given is None:
        problems.append(
            problem(
                "no_items_file", 1, [], "items come from the events alone: add items.parquet with titles and pictures"
            )
        )
    else:
        problems += item_problems(source, catalogue, unknown, written)
        if given.ids and never_met == len(given.ids):
            hint = "no item of the items file was ever met: do both files write the ids alike?"
            problems.append(problem("catalogue_never_met", never_met, given.source_rows, hint))
    return {
        "events": events,
        "people": len(people),
        "items": len(catalogue.ids),
        "events_with_query": int(tallies.searches.sum()),
        "items_never_met": never_met,
        "first_time_s": checks.first_s,
        "last_time_s": checks.last_s,
        "read_as": source.guesses,
        "guesses": guesses_of(
            source.guesses,
            source.hints,
            source.types,
            given.guesses if given is not None else {},
            people,
            catalogue.ids,
        ),
        "items_with_text": int(written.has_text.sum()),
        "items_with_image": int(written.has_picture.sum()),
        "life_length": {
            "median": float(np.median(lengths)),
            "p90": float(np.percentile(lengths, 90)),
            "max": int(lengths.max()),
        },
        "tied_time_frac": checks.tied / events,
        "example_person": people[example_row(lengths, tallies.searches)],
        "problems": problems,
    }


def example_row(lengths: np.ndarray, searches: np.ndarray) -> int:
    """The person to show first: most searches among those with a long life (90th percentile or more), else longest."""
    long = lengths >= np.percentile(lengths, 90)
    return int(np.lexsort((-lengths, -np.where(long, searches, -1)))[0])


def rejected_problems(source: EventSource) -> list[Problem]:
    """Rows that were left out, and columns that no event has a place for."""
    problems = [
        problem(kind, count, rows, hint_of(source, kind)) for kind, (count, rows) in sorted(source.rejected.items())
    ]
    for name in source.ignored:
        problems.append(
            problem("ignored_column", 1, [], f"column {name!r} of the events is not read: properties belong to items")
        )
    return problems


def doubts(source: EventSource, checks: LifeChecks, people: list[str]) -> list[Problem]:
    """What was read and is probably not meant."""
    found = []
    if DOUBTFUL_S[0] <= checks.last_s < DOUBTFUL_S[1]:
        hint = (
            "all times lie before 1990: dates such as 20210101 are read with --time-format %Y%m%d, seconds of another "
            "start need an offset; where only the order is known, write 1, 2, 3 ... and read nothing from the dates"
        )
        found.append(problem("early_times", source.events, [], hint))
    null_like = [person for person in people if person.casefold() in NULL_WORDS]
    if null_like:
        named = ", ".join(map(repr, null_like[:EXAMPLES]))
        hint = f"people are called {named}: leave the person empty where there is none"
        found.append(problem("null_like_person", len(null_like), _first_rows(source, null_like, "person"), hint))
    return found


def order_problems(checks: LifeChecks) -> list[Problem]:
    """What the order of events shows; none of it loses an event."""
    found = (
        ("unsorted", checks.unsorted, checks.unsorted_rows, "nothing to do: events were sorted by time"),
        (
            "duplicate_event",
            checks.duplicates,
            checks.duplicate_rows,
            "the same person, time, item and query occurs again; it is kept: drop it from the file if it is a copy",
        ),
        (
            "tied_time",
            checks.tied,
            checks.tied_rows,
            "events of one person share their second; file order decides, and none of them is evidence for another",
        ),
    )
    return [problem(kind, count, rows, hint) for kind, count, rows, hint in found if count]


def item_problems(
    source: EventSource, catalogue: Catalogue, unknown: list[str], written: CatalogueWritten
) -> list[Problem]:
    """Gaps of the catalogue; row numbers count the rows of the items file unless the hint says otherwise."""
    hints = {
        "item_without_id": "rows of the items file without an item id are left out",
        "duplicate_item": "the item id occurs again in the items file; its first row counts",
        "item_unclosed_quote": "rows of the items file with a quote that nothing closes are left out: close it",
        "item_extra_columns": "rows of the items file with more columns than its header are left out: quote commas",
    }
    problems = [problem(kind, count, rows, hints[kind]) for kind, (count, rows) in catalogue.problems.items()]
    for name in catalogue.ignored:
        problems.append(
            problem("ignored_column", 1, [], f"column {name!r} of the items is neither text nor a list of texts")
        )
    rows = np.array(catalogue.source_rows, dtype=np.int64)
    known = rows > 0
    for kind, missing, hint in (
        ("item_without_text", ~written.has_text & known, "add a title; until then the text channel is absent there"),
        (
            "item_without_image",
            ~written.has_picture & known,
            "add a picture; until then the image channel is absent there",
        ),
    ):
        if missing.any():
            problems.append(problem(kind, missing.sum(), rows[missing][:EXAMPLES].tolist(), hint))
    if written.unreadable:
        problems.append(
            problem(
                "unreadable_image",
                len(written.unreadable),
                rows[np.array(written.unreadable) - 1][:EXAMPLES].tolist(),
                "the picture is missing, damaged, too large or of another format; it counts as absent",
            )
        )
    if unknown:
        problems.append(
            problem(
                "unknown_item",
                len(unknown),
                _first_rows(source, unknown),
                "the items file lacks items that events name (rows of the events file); add them",
            )
        )
    return problems


def _first_rows(source: EventSource, values: list[str], column: str = "item") -> list[int]:
    """Rows of the events file that first have some of `values` in a column."""
    listed = ", ".join(literal(value) for value in values[:EXAMPLES])
    with reading(source.path):
        rows = source.connection.execute(
            f"SELECT min(row) FROM clean WHERE {column} IN ({listed}) GROUP BY {column}"
        ).fetchall()
    return sorted(row[0] for row in rows)
