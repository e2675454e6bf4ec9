"""MovieLens (Harper and Konstan 2015): ratings as browsing events, tags as what a person typed for a film.

Data, import. Reads ratings.csv, tags.csv and movies.csv as published (older releases are written so first), and
plots.jsonl and posters/<movieId>.jpg where they are. A rating is an event without a query. A tag within 24 hours of the
same person's rating of the film is one event with it: the rating's time, the tag as its query; further tags of
that rating are events of their own at their own
time and carry its label too. Label 1 is a rating of 4.0 or more, 0 any other, none a tag without a rating.

Row numbers in the report count the rows of ratings.csv and go on through those of tags.csv; so does file order.
"""

from __future__ import annotations

import csv
import json
import re
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb

from ...errors import CorruptFileError, MissingFileError
from ...progress import Progress, silent
from ...workspace import Workspace
from ..build import build_dataset
from ..catalogue import Catalogue, items_of
from ..dataset import Dataset
from ..event_source import LATEST_TIME_S, EventSource, check_events, define_checked, write_rejected
from ..scratch import reading, scratch_connection
from ..stages import fingerprint, stage
from ..table_files import Table
from ..versions import importing
from .published import published_table
from .table import answer, refuse_reserved

LIKED_FROM = 4.0
SAME_EVENT_S = 24 * 3600
YEAR = re.compile(r"\((\d{4})\)\s*$")
NO_GENRE = "(no genres listed)"
EVENT_COLUMNS = ("person", "time", "item", "query", "action", "label")
FILES = {
    "ratings": ("userId", "movieId", "rating", "timestamp"),
    "tags": ("userId", "movieId", "tag", "timestamp"),
    "movies": ("movieId", "title", "genres"),
}


def import_movielens(
    workspace: Workspace,
    path: Path,
    name: str,
    rejected: Path | None = None,
    progress: Progress = silent,
) -> dict[str, Any]:
    """Import a MovieLens folder of any release.

    Args:
        path: folder with ratings.csv, tags.csv and movies.csv (latest, 20m, 25m, 32m), with ratings.dat and movies.dat
            (1m, 10m) or with u.data (100k); plots.jsonl and posters/ are used where they are.
        name: of the data set; one that exists is replaced once the new one is complete.
        rejected: where rows that could not be used are written, with number and reason.

    Raises:
        MissingFileError: one of the three files is not there.
        InvalidDataError: and its subclasses, when a file breaks the format.
    """
    started = time.perf_counter()
    path = Path(path)
    refuse_reserved(name)
    with importing(workspace, name) as scratch, reading(path):
        connection = scratch_connection(scratch)
        try:
            tables = as_latest(path, scratch)
            source = read_events(connection, tables, scratch)
            if rejected is not None:
                write_rejected(source, Path(rejected))
            catalogue = read_films(connection, tables, path, scratch)
            origin = {"format": "movielens", "path": str(path), "rows": "of ratings.csv, then of tags.csv"}
            version = build_dataset(
                workspace, name, source, catalogue, scratch=scratch, origin=origin, progress=progress
            )
        finally:
            connection.close()
    return answer(Dataset(name, version), started)


def as_latest(path: Path, scratch: Path) -> Path:
    """A folder with ratings.csv, tags.csv and movies.csv: the given one, or an older release written so in `scratch`.

    Raises:
        MissingFileError: it is no MovieLens folder.
    """
    if (path / "ratings.dat").is_file():
        files = {stem: (path / f"{stem}.dat", "::") for stem in FILES}
    elif (path / "u.data").is_file():
        files = {"ratings": (path / "u.data", "\t"), "tags": (path / "u.tag", "\t"), "movies": (path / "u.item", "|")}
    else:
        for stem in FILES:
            if not (path / f"{stem}.csv").is_file():
                raise MissingFileError(
                    f"{path / stem}.csv does not exist",
                    hint="give the unpacked MovieLens folder: ratings.csv (latest, 32m), ratings.dat (1m, 10m), u.data",
                )
        return path
    genres = old_genres(path / "u.genre")
    facts = {"source": fingerprint(*(file for file, _ in files.values())), "genres": genres}

    def write(folder: Path) -> None:
        for stem, (file, separator) in files.items():
            write_latest(folder / f"{stem}.csv", stem, file, separator, genres)

    return stage(scratch, "latest", facts, write)[0]


def write_latest(target: Path, stem: str, file: Path, separator: str, genres: list[str]) -> None:
    """Write a file of an older release as the latest ones are; one that is not there becomes a header alone."""
    with target.open("w", encoding="utf-8", newline="") as out:
        writer = csv.writer(out)
        writer.writerow(FILES[stem])
        if not file.is_file():
            return
        with file.open("rb") as lines:
            for line in lines:
                fields = old_text(line).rstrip("\r\n").split(separator)
                if stem == "movies" and separator == "|":
                    flags = fields[5 : 5 + len(genres)]
                    marked = [genre for genre, flag in zip(genres, flags, strict=False) if flag == "1"]
                    fields = [*fields[:2], "|".join(marked) or NO_GENRE]
                writer.writerow(fields)


def old_text(line: bytes) -> str:
    """A line of an older release: UTF-8 (10m), where it is none Latin-1 (100k, 1m)."""
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError:
        return line.decode("latin-1")


def old_genres(path: Path) -> list[str]:
    """Names of the genre flags of the 100k release, in order; empty without its u.genre."""
    if not path.is_file():
        return []
    return [line.partition("|")[0] for line in old_text(path.read_bytes()).splitlines() if line.strip()]


def _table(connection: duckdb.DuckDBPyConnection, path: Path, stem: str, scratch: Path) -> None:
    """Make the view `stem` over one of the published files."""
    published_table(connection, path / f"{stem}.csv", FILES[stem], scratch, of="MovieLens")


def read_events(connection: duckdb.DuckDBPyConnection, path: Path, scratch: Path) -> EventSource:
    """Ratings and tags as one events table, checked."""
    _table(connection, path, "ratings", scratch)
    _table(connection, path, "tags", scratch)
    with reading(path / "ratings.csv"):
        connection.execute(
            f"""CREATE TEMP TABLE rated AS SELECT "__row" AS row, "__problem" AS problem, trim(userId) AS person,
                trim(movieId) AS item, "timestamp" AS time, TRY_CAST("timestamp" AS BIGINT) AS time_s,
                CASE WHEN TRY_CAST(rating AS DOUBLE) >= {LIKED_FROM} THEN '1'
                WHEN TRY_CAST(rating AS DOUBLE) > 0 THEN '0' ELSE 'rating ' || coalesce(rating, '') END AS label
            FROM ratings"""
        )
    with reading(path / "tags.csv"):
        connection.execute(
            f"""CREATE TEMP TABLE tagged AS
            WITH t AS (SELECT "__row" + (SELECT coalesce(max(row), 0) FROM rated) AS row, "__problem" AS problem,
                    trim(userId) AS person, trim(movieId) AS item, "timestamp" AS time,
                    TRY_CAST("timestamp" AS BIGINT) AS time_s, tag FROM tags),
                usable AS (SELECT * FROM rated WHERE problem IS NULL AND label IN ('0', '1')
                    AND time_s BETWEEN 0 AND {LATEST_TIME_S}),
                nearest AS (SELECT t.*, r.row AS rating_row, r.label FROM t LEFT JOIN usable r ON t.problem IS NULL
                    AND t.person = r.person AND t.item = r.item AND abs(t.time_s - r.time_s) <= {SAME_EVENT_S}
                    QUALIFY row_number() OVER (PARTITION BY t.row ORDER BY abs(t.time_s - r.time_s), r.row) = 1)
            SELECT *, rating_row IS NOT NULL
                AND row_number() OVER (PARTITION BY rating_row ORDER BY time_s, row) = 1 AS of_rating FROM nearest"""
        )
    events = """SELECT r.row AS "__row", r.problem AS "__problem", r.person, r.time, r.item, t.tag AS query,
            'rate' AS action, r.label FROM rated r LEFT JOIN tagged t ON t.of_rating AND t.rating_row = r.row
        UNION ALL SELECT row, problem, person, time, item, tag, 'tag', label FROM tagged WHERE NOT of_rating"""
    define_checked(connection, events, dict.fromkeys(EVENT_COLUMNS, "VARCHAR"), problems=True)
    return check_events(connection, path / "ratings.csv", list(EVENT_COLUMNS), [])


def read_films(connection: duckdb.DuckDBPyConnection, tables: Path, path: Path, scratch: Path) -> Catalogue:
    """Films with genres as categories, decade, and director, actors, country, plot and poster where known.

    Args:
        tables: folder of movies.csv.
        path: folder of plots.jsonl and posters/.
    """
    _table(connection, tables, "movies", scratch)
    films = f"""SELECT "__row", "__problem", movieId AS item, title, nullif(genres, '{NO_GENRE}') AS category
        FROM movies"""
    header = dict.fromkeys(("item", "title", "category"), "VARCHAR")
    catalogue = items_of(connection, Table(tables / "movies.csv", header, films))
    plots = read_plots(path / "plots.jsonl")
    known = [plots.get(item, {}) for item in catalogue.ids]
    genres = catalogue.fields["category"]
    return replace(
        catalogue,
        description=[_description(g, facts.get("plot")) for g, facts in zip(genres, known, strict=True)],
        fields={
            **catalogue.fields,
            "decade": [_decade(title) for title in catalogue.title],
            **{field: [_names(facts.get(field)) for facts in known] for field in ("director", "actors", "country")},
        },
        pictures=lambda: _posters(path / "posters", catalogue.ids),
    )


def read_plots(path: Path) -> dict[str, dict[str, Any]]:
    """Facts by film id; empty when there is no file.

    Raises:
        CorruptFileError: a line is not a JSON object with a movieId.
    """
    facts: dict[str, dict[str, Any]] = {}
    if not path.is_file():
        return facts
    with path.open(encoding="utf-8") as file:
        for number, line in enumerate(file, start=1):
            try:
                row = json.loads(line)
                facts[str(row["movieId"])] = row
            except (ValueError, KeyError, TypeError) as error:
                raise CorruptFileError(
                    f"{path} line {number} is not a JSON object with a movieId: {error}",
                    hint="mend the line, or remove the file: plots are optional",
                ) from error
    return facts


def _description(genres: list[str], plot: Any) -> str | None:
    parts = [", ".join(genres), str(plot or "").strip()]
    return ". ".join(part for part in parts if part) or None


def _decade(title: str | None) -> list[str]:
    year = YEAR.search(title or "")
    return [f"{year.group(1)[:3]}0s"] if year else []


def _names(value: Any) -> list[str]:
    """Names of a comma-separated list; "N/A" is none."""
    names = (name.strip() for name in str(value or "").split(","))
    return list(dict.fromkeys(name for name in names if name and name != "N/A"))


def _posters(folder: Path, ids: list[str]) -> Iterator[tuple[int, bytes]]:
    for row, item in enumerate(ids, start=1):
        if item.isdecimal() and (folder / f"{item}.jpg").is_file():
            yield row, (folder / f"{item}.jpg").read_bytes()
