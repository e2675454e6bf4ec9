"""Two small data sets for the encoders: one generated with pictures, one written by hand."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from seminar_core.data.dataset import Dataset
from seminar_core.data.importers.table import import_table
from seminar_core.data.opening import open_dataset
from seminar_core.data.synthetic.sample import write_sample
from seminar_core.workspace import Workspace


@pytest.fixture(scope="session")
def planted(tmp_path_factory) -> Dataset:
    folder = tmp_path_factory.mktemp("planted")
    write_sample(folder / "sample", people=10, items=240)
    workspace = Workspace(folder / "workspace")
    import_table(workspace, folder / "sample", "planted")
    return open_dataset(workspace, "planted")


@pytest.fixture
def make_dataset(tmp_path: Path):
    """A data set of items (id, title, description, picture bytes) and queries asked for the first item."""

    def make(items: list[tuple[str, str | None, str | None, bytes | None]], queries: list[str | None]) -> Dataset:
        folder = tmp_path / "made"
        folder.mkdir()
        ids, titles, descriptions, images = zip(*items, strict=True)
        table = {
            "item": pa.array(ids),
            "title": pa.array(titles, pa.string()),
            "description": pa.array(descriptions, pa.string()),
            "image": pa.array(images, pa.binary()),
        }
        pq.write_table(pa.table(table), folder / "items.parquet")
        events = {
            "person": ["p"] * len(queries),
            "time": list(range(100, 100 + len(queries))),
            "item": [ids[0]] * len(queries),
            "query": pa.array(queries, pa.string()),
        }
        pq.write_table(pa.table(events), folder / "events.parquet")
        workspace = Workspace(tmp_path / "workspace")
        import_table(workspace, folder, "made")
        return open_dataset(workspace, "made")

    return make
