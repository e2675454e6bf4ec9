"""The figures of the data layer: how fast events are imported, in how much memory, and how fast lives are read back.

Data. Behind `bench import` and `benchmarks/import_speed.py`. Events are generated in the order of a log (by time,
people mixed), so the sort is real; every import runs in a process of its own, whose peak memory and wall time are its
own. To reach: 500,000 events/s in under 2 GB; a life of 2,000 events in 5 ms, of 100,000 in 50 ms, a page in 20 ms.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from seminar_core.data.life_pages import life_page
from seminar_core.data.opening import open_dataset
from seminar_core.errors import SeminarError
from seminar_core.progress import Progress, silent
from seminar_core.runtime import machine_facts
from seminar_core.workspace import Workspace

EVENTS_PER_PERSON = 2_000
LONG_LIFE = 100_000
ITEMS = 50_000
QUERIES = 20_000
START_S = 1_600_000_000
BLOCK = 1_000_000


def write_log(directory: Path, people: int, ending: str, seed: int = 0) -> int:
    """Write events.parquet or events.csv: `people` x 2,000 events in time order and one person with 100,000 more.

    Returns:
        Events written.
    """
    rng = np.random.default_rng(seed)
    owners = np.repeat(np.arange(people, dtype=np.int32), EVENTS_PER_PERSON)
    rng.shuffle(owners)
    owners = np.concatenate([owners, np.zeros(LONG_LIFE, dtype=np.int32)])
    items = pa.array([f"item-{n}" for n in range(ITEMS)])
    queries = pa.array([f"query words {n}" for n in range(QUERIES)])
    directory.mkdir(parents=True)
    text = pa.string()
    schema = pa.schema([("person", text), ("time", pa.int64()), ("item", text), ("query", text), ("label", pa.int8())])
    path = directory / f"events.{ending}"
    writer: Any = pq.ParquetWriter(path, schema) if ending == "parquet" else pyarrow.csv.CSVWriter(path, schema)
    with writer:
        for start in range(0, len(owners), BLOCK):
            who = owners[start : start + BLOCK]
            size = len(who)
            searched = pa.array(rng.integers(0, QUERIES, size), mask=rng.random(size) < 0.7)
            columns = [
                pa.array(who).cast(pa.string()),
                pa.array(START_S + (start + np.arange(size)) // 4),
                items.take(pa.array(rng.zipf(1.3, size) % ITEMS)),
                queries.take(searched),
                pa.array((rng.random(size) < 0.2).astype(np.int8)),
            ]
            writer.write_table(pa.table(columns, schema=schema))
    return len(owners)


def median_ms(action: Callable[[], Any], repeats: int = 9) -> float:
    """Median wall time of `action` in milliseconds, after one call to warm it."""
    action()
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        action()
        times.append(1_000 * (time.perf_counter() - started))
    return float(np.median(times))


def measure_import(root: Path, people: int, ending: str) -> dict[str, Any]:
    """Import a generated log in a process of its own and read lives back.

    Raises:
        SeminarError: the import failed.
    """
    events = write_log(root / f"log-{ending}", people, ending)
    workspace = Workspace(root / f"workspace-{ending}")
    words = ["import", "table", str(root / f"log-{ending}"), "--name", "bench", "--workspace", str(workspace.root)]
    started = time.perf_counter()
    finished = subprocess.run(
        [sys.executable, "-m", "seminar_core", *words, "--json"], capture_output=True, text=True, check=False
    )
    wall_s = time.perf_counter() - started
    if finished.returncode != 0:
        raise SeminarError(
            f"the benchmark's import failed: {finished.stdout or finished.stderr}", hint="free disk space and try again"
        )
    answer = json.loads(finished.stdout)
    dataset = open_dataset(workspace, "bench")
    store = dataset.store
    short, long = str(people - 1), "0"

    def read(person: str) -> int:
        life = store.life(dataset.person_row(person))
        return sum(int(np.array(column).sum()) for column in (life.item, life.time_s, life.label))

    return {
        "format": ending,
        "events": events,
        "people": people,
        "seconds": answer["seconds"],
        "process_seconds": wall_s,
        "events_per_s": events / answer["seconds"],
        "peak_mb": answer["peak_mb"],
        "file_mb": (root / f"log-{ending}" / f"events.{ending}").stat().st_size / 1e6,
        "dataset_mb": sum(f.stat().st_size for f in dataset.path.rglob("*") if f.is_file()) / 1e6,
        "life_2000_ms": median_ms(lambda: read(short)),
        "life_100000_ms": median_ms(lambda: read(long)),
        "page_50_ms": median_ms(lambda: life_page(dataset, long, -50)),
        "page_2000_ms": median_ms(lambda: life_page(dataset, short)),
    }


def run(full: bool = False, progress: Progress = silent, *, large: bool = False) -> dict[str, Any]:
    """Measure both formats: 2 million events each, with `full` 20 million; with `large` also 100 million from Parquet.

    Returns:
        `machine` and `rows`, one per import.
    """
    people = 10_000 if full else 1_000
    imports = [(people, "parquet"), (people, "csv"), *([(50_000, "parquet")] if large else [])]
    rows = []
    for done, (count, ending) in enumerate(imports):
        progress(done, len(imports), f"importing {count * EVENTS_PER_PERSON:,} events from {ending}")
        with tempfile.TemporaryDirectory(prefix="seminar-import-") as folder:
            rows.append(measure_import(Path(folder), count, ending))
    return {"machine": machine_facts(), "rows": rows}
