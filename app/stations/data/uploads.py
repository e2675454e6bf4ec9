"""Files that come in through the page: kept in the workspace only until they are imported."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from seminar_core.data.stages import held
from seminar_core.errors import InvalidDataError, SeminarError
from seminar_core.progress import Progress
from seminar_core.workspace import Workspace


class Uploaded(Protocol):
    """What a file uploader returns."""

    name: str

    def getvalue(self) -> bytes: ...


@contextmanager
def as_table(workspace: Workspace, events: Uploaded, items: Uploaded | None) -> Iterator[Path]:
    """The uploaded files as a `table` directory that is gone when the block ends.

    Raises:
        InvalidDataError: a file that is neither CSV nor Parquet by its name.
    """
    folder = workspace.root / f".upload-{uuid.uuid4().hex[:8]}"
    folder.mkdir(parents=True)
    given: dict[str, str] = {}
    try:
        with held(folder):
            for stem, file in (("events", events), ("items", items)):
                if file is None:
                    continue
                ending = Path(file.name).suffix.lower()
                if ending not in (".csv", ".parquet"):
                    raise InvalidDataError(
                        f"{file.name} is neither .csv nor .parquet", hint="save it as CSV or Parquet and upload it"
                    )
                path = folder / f"{stem}{ending}"
                path.write_bytes(file.getvalue())
                given[str(path)] = file.name
            yield folder
    except SeminarError as error:
        for path_kept, name in given.items():  # the reader knows the file by the name it was uploaded with
            error.message = error.message.replace(path_kept, name)
            error.hint = error.hint.replace(path_kept, name)
        raise
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def import_upload(
    workspace: Workspace, name: str, events: Uploaded, items: Uploaded | None, progress: Progress
) -> dict[str, Any]:
    """Import uploaded files as data set `name`; the answer is that of the command `import`."""
    from seminar_core.data.importers.table import import_table

    with as_table(workspace, events, items) as folder:
        return import_table(workspace, folder, name, progress=progress)
