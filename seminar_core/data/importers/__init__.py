"""Importers: one file per format, all with one call; a new format is a new file and a line here."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

from ...progress import Progress, silent
from ...workspace import Workspace
from .amazon import import_amazon
from .jdsearch import import_jdsearch
from .kuaisar import import_kuaisar
from .movielens import import_movielens
from .table import import_table
from .taobao_mm import import_taobao_mm


class Importer(Protocol):
    """Import what lies at `path` as data set `name`; the answer is that of the command `import`."""

    def __call__(
        self,
        workspace: Workspace,
        path: Path,
        name: str,
        rejected: Path | None = None,
        progress: Progress = silent,
    ) -> dict[str, Any]: ...


IMPORTERS: dict[str, Importer] = {
    "table": import_table,
    "movielens": import_movielens,
    "kuaisar": import_kuaisar,
    "amazon": import_amazon,
    "jdsearch": import_jdsearch,
    "taobao-mm": import_taobao_mm,
}
