"""`import auto`: which format a folder is in, and why."""

from __future__ import annotations

from pathlib import Path

from ...errors import MissingFileError
from ..table_files import ENDINGS


def recognised(path: Path) -> tuple[str, str]:
    """The format's name and what it was known by.

    Raises:
        MissingFileError: nothing is known.
    """
    if (path.is_file() or path.is_dir()) and path.suffix == ".parquet":
        return "table", f"a Parquet of events, {path.name}"
    if path.is_file() and path.name.endswith(ENDINGS):
        return "table", f"a single file of events, {path.name}"
    names = sorted(p.name for p in path.iterdir()) if path.is_dir() else []
    for kind, is_one in (
        ("movielens", lambda name: name in ("ratings.csv", "ratings.dat", "u.data")),
        ("taobao-mm", lambda name: "user_features" in name and name.endswith(".parquet")),
        ("kuaisar", lambda name: name in ("rec_inter.csv", "src_inter.csv")),
        (
            "amazon",
            lambda name: name.startswith("meta_") and name.endswith((".json", ".jsonl", ".json.gz", ".jsonl.gz")),
        ),
        ("jdsearch", lambda name: name.startswith("user_behavior_data")),
        ("table", lambda name: name.startswith("events.") and name.endswith(ENDINGS)),
    ):
        known = next((name for name in names if is_one(name)), None)
        if known is not None:
            return kind, f"the file {known}"
    raise MissingFileError(
        f"{path} is in no format that is known: it has {', '.join(names[:8]) or 'no files'}",
        hint="name the format, or bring the table format: docs/data-format.md",
    )
