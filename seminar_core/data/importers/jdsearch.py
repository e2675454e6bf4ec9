"""JDsearch (SIGIR 2023, repository rucliujn/JDsearch): personalised product search with anonymised queries.

Data, import. One row of `user_behavior_data*.txt` is one person: a query with its candidates and labels, and the
history before it with the query of each event (`-1` = none), what was done, and the seconds since the event before.
Only these gaps are known, so times count from 1. Terms are ids joined by a control character, kept as words of a text.
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterator
from itertools import accumulate
from pathlib import Path
from typing import Any

from ...errors import CorruptFileError, MissingColumnError, MissingFileError
from ...progress import Progress, silent
from ...workspace import Workspace
from ..stages import fingerprint
from .written import EventsWriter, import_written

TERM, JOINED, NO_QUERY = "\x18", "_", "-1"
BEHAVIOUR = (
    "query", "candidate_wid_list", "candidate_label_list", "history_qry_list", "history_wid_list", "history_type_list",
    "history_time_list",
)  # fmt: skip
PRODUCT = ("wid", "name", "brand_name", "cate_name_1")


def import_jdsearch(
    workspace: Workspace,
    path: Path,
    name: str,
    rejected: Path | None = None,
    progress: Progress = silent,
) -> dict[str, Any]:
    """Import a JDsearch folder.

    Args:
        path: folder with `user_behavior_data*.txt` and `product_meta_data*.txt`.

    Raises:
        MissingFileError, MissingColumnError, CorruptFileError: a file is not there or not as published.
    """
    behaviour, products = (only_file(path, stem) for stem in ("user_behavior_data", "product_meta_data"))

    def write(folder: Path) -> None:
        write_events(behaviour, folder)
        write_items(products, folder)

    facts = {"source": fingerprint(behaviour, products)}
    return import_written(workspace, path, name, "jdsearch", write, facts=facts, rejected=rejected, progress=progress)


def only_file(path: Path, stem: str) -> Path:
    """The file that begins with `stem`.

    Raises:
        MissingFileError: there is none, or there are two.
    """
    found = sorted(p for p in path.iterdir() if p.name.startswith(stem) and p.is_file()) if path.is_dir() else []
    if len(found) != 1:
        raise MissingFileError(
            f"{path} has {len(found)} files that begin with {stem!r}, one is needed", hint="give the unpacked folder"
        )
    return found[0]


def rows_of(file: Path, wanted: tuple[str, ...]) -> Iterator[dict[str, str]]:
    """Rows of one of the tab-separated files, each with the columns of the header.

    Raises:
        MissingColumnError: a published column is not there.
        CorruptFileError: a row has fewer or more fields than the header, or the file is not UTF-8.
    """
    csv.field_size_limit(sys.maxsize)
    number = 0
    with file.open(encoding="utf-8", newline="") as lines:
        try:
            reader = csv.reader(lines, delimiter="\t", quoting=csv.QUOTE_NONE)
            header = next(reader, [])
            missing = [column for column in wanted if column not in header]
            if missing:
                raise MissingColumnError(
                    f"{file} has no column {missing[0]!r}; it has {', '.join(header) or 'none'}",
                    hint=f"JDsearch has the columns {', '.join(wanted)}",
                )
            for number, fields in enumerate(reader, start=1):
                if len(fields) != len(header):
                    raise CorruptFileError(
                        f"{file}, row {number}: {len(fields)} fields, the header has {len(header)}",
                        hint="download the file again",
                    )
                yield dict(zip(header, fields, strict=True))
        except (UnicodeDecodeError, csv.Error) as error:
            raise CorruptFileError(
                f"{file}, after row {number}: {error}", hint="the file is UTF-8 and tab-separated: download it again"
            ) from error


def words(terms: str) -> str | None:
    """Term ids as words; None for no query."""
    return None if terms in ("", NO_QUERY) else " ".join(terms.split(TERM))


def write_events(file: Path, folder: Path) -> None:
    """Write every person's history and, at the time of the query, its candidates.

    Raises:
        CorruptFileError: lists of one row differ in length, or a number cannot be read.
    """
    with EventsWriter(folder) as events:
        for number, row in enumerate(rows_of(file, BEHAVIOUR), start=1):
            lists = {column: row[column].split(JOINED) if row[column] else [] for column in BEHAVIOUR[1:]}
            candidates, labels, queries, items, kinds, gaps = lists.values()
            try:
                times = [1 + second for second in accumulate(int(float(gap)) for gap in gaps)]
                clicked = [int(float(label) > 0) for label in labels]
                if not (len(items) == len(queries) == len(kinds) == len(times) - 1 and len(candidates) == len(clicked)):
                    raise ValueError("the lists of the row differ in length")
            except (ValueError, OverflowError) as error:
                raise CorruptFileError(f"{file}, row {number}: {error}", hint="download the file again") from error
            person, asked = str(number), words(row["query"])
            events.add(
                person=[person] * (len(items) + len(candidates)),
                time=[*times[:-1], *[times[-1]] * len(candidates)],
                item=[*items, *candidates],
                query=[*map(words, queries), *[asked] * len(candidates)],
                action=[*(kind.lower() for kind in kinds), *["candidate"] * len(candidates)],
                label=[*[None] * len(items), *clicked],
            )


def write_items(file: Path, folder: Path) -> None:
    """Write the products: name as title, first category, brand."""
    with (folder / "items.csv").open("w", encoding="utf-8", newline="") as out:
        writer = csv.writer(out)
        writer.writerow(["item", "title", "category", "brand"])
        for row in rows_of(file, PRODUCT):
            writer.writerow([row["wid"], *(words(row[name]) for name in ("name", "cate_name_1", "brand_name"))])
