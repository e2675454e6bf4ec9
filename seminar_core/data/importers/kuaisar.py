"""KuaiSAR (CIKM 2023, arXiv 2306.07705): one app's recommendations and searches, with anonymised words.

Data, import. Each row of rec_inter.csv is an event without a query; its action is the strongest of follow, forward,
like and click, else view. Each row of src_inter.csv is a search event: an item that was shown for the keywords, which
are kept as words of a query. Label 1 is a click, 0 none. Times are milliseconds. Of item_features.csv the caption is
the title, the four levels of categories are one path (English names), author, item type and upload type are
attributes; what user_features.csv says of a person stands in people.parquet. social_network.csv is not read.

Row numbers in the report count the rows of rec_inter.csv and go on through those of src_inter.csv; so does file order.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import duckdb

from ...errors import CorruptFileError, MissingFileError
from ...progress import Progress, silent
from ...workspace import Workspace
from ..build import build_dataset
from ..catalogue import Catalogue, items_of
from ..dataset import Dataset
from ..event_source import EventSource, check_events, define_checked, id_sql, write_rejected
from ..hints import EVENT_COLUMNS, Hints
from ..scratch import literal, reading, scratch_connection
from ..table_files import Table
from ..versions import importing
from .published import published_table
from .table import answer, refuse_reserved

LEVELS = ("first", "second", "third", "fourth")
EMPTY = ("", "empty", "空", "0", "nan")
FLAGS = ("follow", "forward", "like", "click")  # the strongest first
FILES = {
    "rec_inter": ("user_id", "item_id", "timestamp", *FLAGS),
    "src_inter": ("user_id", "item_id", "search_session_timestamp", "keyword", "click_cnt"),
    "item_features": (
        "item_id", "caption", "author_id", "item_type", "upload_type",
        *(f"{level}_level_category_name_en" for level in LEVELS),
    ),
    "user_features": ("user_id", "search_active_level", "rec_active_level", "onehot_feat1", "onehot_feat2"),
}  # fmt: skip


def import_kuaisar(
    workspace: Workspace,
    path: Path,
    name: str,
    rejected: Path | None = None,
    progress: Progress = silent,
) -> dict[str, Any]:
    """Import a KuaiSAR folder, full or small.

    Args:
        path: folder with rec_inter.csv and src_inter.csv; item_features.csv and user_features.csv where they are.

    Raises:
        MissingFileError, MissingColumnError: a file is not there or not as published.
        InvalidDataError: and its subclasses, when a file breaks the format.
    """
    started = time.perf_counter()
    path = Path(path)
    refuse_reserved(name)
    for stem in ("rec_inter", "src_inter"):
        if not (path / f"{stem}.csv").is_file():
            raise MissingFileError(
                f"{path / stem}.csv does not exist", hint="give the unpacked KuaiSAR folder, with both kinds of events"
            )
    with importing(workspace, name) as scratch, reading(path):
        connection = scratch_connection(scratch)
        try:
            progress(0, 100, "reading rec_inter.csv and src_inter.csv")
            source = read_events(connection, path, scratch)
            if rejected is not None:
                write_rejected(source, Path(rejected))
            version = build_dataset(
                workspace,
                name,
                source,
                read_videos(connection, path, scratch),
                scratch=scratch,
                origin={"format": "kuaisar", "path": str(path), "rows": "of rec_inter.csv, then of src_inter.csv"},
                progress=progress,
                people=read_people(connection, path, scratch),
            )
        finally:
            connection.close()
    return answer(Dataset(name, version), started)


def words_sql(column: str) -> str:
    """SQL of a list such as `[20, 34, 3]` as words."""
    return f"trim(regexp_replace({column}, '[\\[\\],\\s]+', ' ', 'g'))"


def read_events(connection: duckdb.DuckDBPyConnection, path: Path, scratch: Path) -> EventSource:
    """Recommendations and searches as one events table, checked."""
    for stem in ("rec_inter", "src_inter"):
        published_table(connection, path / f"{stem}.csv", FILES[stem], scratch, of="KuaiSAR")
    with reading(path / "rec_inter.csv"):
        ((before,),) = connection.execute('SELECT coalesce(max("__row"), 0) FROM rec_inter').fetchall()
    action = " ".join(f"WHEN TRY_CAST(\"{flag}\" AS DOUBLE) = 1 THEN '{flag}'" for flag in FLAGS)
    count = "TRY_CAST(click_cnt AS DOUBLE)"
    events = f"""SELECT "__row", "__problem", user_id AS person, "timestamp" AS time, item_id AS item,
            CAST(NULL AS VARCHAR) AS query, CASE {action} ELSE 'view' END AS action, click AS label FROM rec_inter
        UNION ALL SELECT "__row" + {before}, "__problem", user_id, search_session_timestamp, item_id,
            {words_sql("keyword")}, 'search',
            CASE WHEN {count} > 0 THEN '1' WHEN {count} = 0 THEN '0' ELSE click_cnt END
        FROM src_inter"""
    kinds = dict.fromkeys(EVENT_COLUMNS, "VARCHAR")
    define_checked(connection, events, kinds, problems=True, hints=Hints(time_unit="ms"))
    return check_events(connection, path / "rec_inter.csv", list(EVENT_COLUMNS), [], {"time_unit": "ms"})


def read_videos(connection: duckdb.DuckDBPyConnection, path: Path, scratch: Path) -> Catalogue | None:
    """Items with caption, categories and attributes; None without item_features.csv."""
    file = path / "item_features.csv"
    if not file.is_file():
        return None
    published_table(connection, file, FILES["item_features"], scratch, of="KuaiSAR")
    known = ", ".join(f"CASE WHEN {_known(f'{level}_level_category_name_en')} THEN {level}_level_category_name_en END"
                      for level in LEVELS)  # fmt: skip
    columns = {
        "item": id_sql("item_id", "VARCHAR"),
        "title": f"nullif({words_sql('caption')}, '')",
        "category": f"nullif(concat_ws('|', {known}), '')",
        "author": f"CASE WHEN {_known('author_id')} THEN {id_sql('author_id', 'VARCHAR')} END",
        **{name: f"CASE WHEN {_known(name)} THEN {name} END" for name in ("item_type", "upload_type")},
    }
    cells = ", ".join(f"{cell} AS {name}" for name, cell in columns.items())
    videos = f'SELECT "__row", "__problem", {cells} FROM item_features'
    return items_of(connection, Table(file, dict.fromkeys(columns, "VARCHAR"), videos))


def _known(column: str) -> str:
    """SQL of whether a cell says something."""
    return f"lower(trim({column})) NOT IN ({', '.join(map(literal, EMPTY))})"


def read_people(
    connection: duckdb.DuckDBPyConnection, path: Path, scratch: Path
) -> dict[str, dict[str, str | None]] | None:
    """What user_features.csv says: feature -> person -> value; None without it.

    Raises:
        CorruptFileError: a row has more values than the header has columns.
    """
    file = path / "user_features.csv"
    if not file.is_file():
        return None
    person, *features = FILES["user_features"]
    published_table(connection, file, FILES["user_features"], scratch, of="KuaiSAR")
    with reading(file):
        wrong = connection.execute(
            'SELECT "__row", "__problem" FROM user_features WHERE "__problem" IS NOT NULL ORDER BY "__row" LIMIT 1'
        ).fetchone()
        if wrong is not None:
            raise CorruptFileError(
                f"{file}, row {wrong[0]}: {wrong[1].replace('_', ' ')}, expected one value for each column",
                hint="download the file again, or mend the row; without user_features.csv people have no features",
            )
        rows = connection.execute(
            f'SELECT {id_sql(person, "VARCHAR")}, {", ".join(features)} FROM user_features ORDER BY "__row"'
        ).fetchall()
    return {feature: {row[0]: row[n] for row in reversed(rows)} for n, feature in enumerate(features, start=1)}
