"""Amazon reviews (McAuley lab, releases 2014, 2018, 2023) with metadata, as product search with constructed queries.

Data, import. Each line of the reviews is one event with the action `review`; label 1 is a rating of 4.0 or more, 0 any
other. The logs hold no searches, so the query of an event is made of its item, as product search on these data is
evaluated: from a category path of the item with at least two levels, its words in order, without stop words and
repeated ones (Van Gysel et al. 2016, Ai et al. 2017); where an item has several paths, its events take turns, while the
source pairs each event with all of them. Or, on request, the first five words of the title. Either way a query tells
what was bought: it is a protocol, not evidence of what people type.

Of the metadata title, description (with the features of 2018 and 2023), path, brand (2023: store) are read; pictures
are addresses on the network and are not fetched.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ...errors import ConfigError, CorruptFileError, MissingColumnError, MissingFileError
from ...progress import Progress, silent
from ...workspace import Workspace
from ..scratch import literal, pattern, reading, scratch_connection
from ..stages import fingerprint
from .json_lines import records
from .written import EventsWriter, import_written

ENDINGS = (".json", ".jsonl", ".json.gz", ".jsonl.gz")
METADATA = "meta_"
REVIEW_KEYS = {"asin": ("reviewerID", "asin", "unixReviewTime", "overall"),
               "parent_asin": ("user_id", "parent_asin", "timestamp", "rating")}  # fmt: skip
QUERIES = ("category", "first-words")
LIKED_FROM = 4.0
FEWEST_LEVELS, FIRST_WORDS = 2, 5
BATCH = 50_000
WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)?")
ITEMS = pa.schema([(name, pa.string()) for name in ("item", "title", "description", "category", "brand")])
PATHS = pa.schema([("item", pa.string()), ("queries", pa.list_(pa.string()))])


def import_amazon(
    workspace: Workspace,
    path: Path,
    name: str,
    rejected: Path | None = None,
    progress: Progress = silent,
    queries: str = "category",
) -> dict[str, Any]:
    """Import a folder of Amazon reviews and metadata of one release.

    Args:
        path: folder with `meta_*.json(l)(.gz)` and the reviews beside it.
        queries: what an event's query is made of, one of `QUERIES`.

    Raises:
        ConfigError: `queries` is not known.
        MissingFileError: there are no reviews, or no metadata to make queries of.
        MissingColumnError, CorruptFileError: a line is not as published.
    """
    if queries not in QUERIES:
        raise ConfigError(f"queries {queries!r} are not known", hint=f"one of {', '.join(QUERIES)}")
    reviews, metadata = files_of(path)

    def write(folder: Path) -> None:
        item_key = write_reviews(reviews, folder)
        write_products(metadata, item_key, query_maker(queries), folder)
        join_queries(reviews[0], folder)

    facts = {"source": fingerprint(*reviews, *metadata), "queries": queries}
    return import_written(workspace, path, name, "amazon", write, facts=facts, rejected=rejected, progress=progress)


def files_of(path: Path) -> tuple[list[Path], list[Path]]:
    """The files of reviews and those of metadata.

    Raises:
        MissingFileError: one of the two kinds is not there.
    """
    found = sorted(p for p in path.iterdir() if p.name.endswith(ENDINGS) and p.is_file()) if path.is_dir() else []
    metadata = [p for p in found if p.name.startswith(METADATA)]
    reviews = [p for p in found if not p.name.startswith(METADATA)]
    for kind, files in (("reviews", reviews), ("metadata (meta_*)", metadata)):
        if not files:
            raise MissingFileError(
                f"{path} has no file of {kind} that ends in {', '.join(ENDINGS)}",
                hint="put the reviews and the metadata of a category into one folder",
            )
    return reviews, metadata


def write_reviews(files: list[Path], folder: Path) -> str:
    """Write the reviews as events without queries, line by line.

    Returns:
        The key that names an item: `asin`, or `parent_asin` in the release of 2023.

    Raises:
        MissingColumnError: the first record is of no release that is known.
        CorruptFileError: a rating or a time is no number.
    """
    item_key = ""
    with EventsWriter(folder, "reviews.parquet") as events:
        columns: dict[str, list[Any]] = {"person": [], "time": [], "item": [], "action": [], "label": []}
        for file, number, record in records(files):
            item_key = item_key or release_of(file, record)
            person, item, when, rating = (record.get(key) for key in REVIEW_KEYS[item_key])
            try:
                stars = None if rating is None else float(rating)
                seconds = None if when is None else int(when) // (1000 if item_key == "parent_asin" else 1)
            except (TypeError, ValueError, OverflowError) as error:
                raise CorruptFileError(
                    f"{file}, line {number}: a rating or a time is no number: {error}", hint="download the file again"
                ) from error
            columns["person"].append(text_of(person))
            columns["time"].append(seconds)
            columns["item"].append(text_of(item))
            columns["action"].append("review")
            columns["label"].append(None if stars is None else int(stars >= LIKED_FROM))
            if len(columns["item"]) == BATCH:
                events.add(**columns)
                columns = {name: [] for name in columns}
        events.add(**columns)
    return item_key or "asin"


def release_of(file: Path, record: dict[str, Any]) -> str:
    """The key of items that the first review has.

    Raises:
        MissingColumnError: it is a review of no release.
    """
    for item_key, keys in REVIEW_KEYS.items():
        if keys[0] in record and keys[1] in record:
            return item_key
    raise MissingColumnError(
        f"{file}: the first record has neither reviewerID and asin (2014, 2018) nor user_id and parent_asin (2023); "
        f"it has {', '.join(map(repr, record)) or 'nothing'}",
        hint="give the reviews as published: review files of JSON lines, not the files of ratings only",
    )


def write_products(
    files: list[Path], item_key: str, make: Callable[[str, list[list[str]]], list[str]], folder: Path
) -> None:
    """Write the metadata as items, and what the queries of an item may be."""
    with (
        pq.ParquetWriter(folder / "items.parquet", ITEMS) as items,
        pq.ParquetWriter(folder / "queries.parquet", PATHS) as queries,
    ):
        rows: list[dict[str, Any]] = []
        for _, _, record in records(files):
            title, paths = text_of(record.get("title")), paths_of(record)
            known = [text_of(record.get("description")), text_of(record.get("features", record.get("feature")))]
            levels = dict.fromkeys(level.replace("|", "/") for path in paths for level in path)
            rows.append(
                {
                    "item": text_of(record.get(item_key)),
                    "title": title,
                    "description": " ".join(filter(None, known)) or None,
                    "category": "|".join(levels) or None,
                    "brand": text_of(record.get("store", record.get("brand"))),
                    "queries": make(title or "", paths),
                }
            )
            if len(rows) == BATCH:
                flush(rows, items, queries)
        flush(rows, items, queries)


def flush(rows: list[dict[str, Any]], items: pq.ParquetWriter, queries: pq.ParquetWriter) -> None:
    """Write the rows that wait, and forget them."""
    items.write_table(pa.Table.from_pylist(rows, schema=ITEMS))
    queries.write_table(pa.Table.from_pylist([row for row in rows if row["queries"]], schema=PATHS))
    rows.clear()


def join_queries(source: Path, folder: Path) -> None:
    """Make events.parquet of the reviews with their queries, in the order of the lines; an item's paths take turns."""
    reviews, queries, events = (folder / f"{stem}.parquet" for stem in ("reviews", "queries", "events"))
    connection = scratch_connection(folder)
    try:
        with reading(source):
            connection.execute(
                f"""COPY (WITH q AS (SELECT item, arg_min(queries, file_row_number) AS queries
                    FROM read_parquet({pattern(queries)}, file_row_number=true) GROUP BY item)
                SELECT r.person, r.time, r.item, q.queries[1 + r.file_row_number % len(q.queries)] AS query, r.action,
                    r.label FROM read_parquet({pattern(reviews)}, file_row_number=true) r LEFT JOIN q ON q.item = r.item
                ORDER BY r.file_row_number) TO {literal(events)} (FORMAT parquet)"""
            )
    finally:
        connection.close()
    reviews.unlink()
    queries.unlink()


def paths_of(record: dict[str, Any]) -> list[list[str]]:
    """The category paths of a product, each from the widest level: many in 2014, one in 2018 and 2023."""
    found = record.get("categories") or record.get("category") or []
    if not isinstance(found, list):
        return []
    paths = found if found and isinstance(found[0], list) else [found]
    return [[level for part in path if (level := text_of(part))] for path in paths if isinstance(path, list)]


def query_maker(queries: str) -> Callable[[str, list[list[str]]], list[str]]:
    """What makes the possible queries of an item of its title and its category paths."""
    from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

    def of_paths(title: str, paths: list[list[str]]) -> list[str]:
        made = []
        for path in paths:
            words = [word for level in path for word in WORD.findall(level.lower()) if word not in ENGLISH_STOP_WORDS]
            if len(path) >= FEWEST_LEVELS and words:
                made.append(" ".join(dict.fromkeys(words)))
        return list(dict.fromkeys(made))

    def of_title(title: str, paths: list[list[str]]) -> list[str]:
        words = title.split()[:FIRST_WORDS]
        return [" ".join(words)] if words else []

    return of_paths if queries == "category" else of_title


def text_of(value: Any) -> str | None:
    """A cell as text: lists joined, entities of HTML resolved; None for nothing."""
    if isinstance(value, list):
        value = " ".join(filter(None, map(text_of, value)))
    if value is None or isinstance(value, dict | bool):
        return None
    return html.unescape(str(value)).strip() or None
