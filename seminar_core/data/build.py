"""Building a data set: from checked events and a catalogue to the directory that everything downstream maps.

Data, import. The order of the steps of an import, whatever its format: vocabularies, sorted events, items and pictures,
report, hash, and at the end the switch to the new version.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ..errors import EmptyDataError, InvalidDataError, ResourceError
from ..files import write_json
from ..progress import Progress, silent
from ..workspace import Workspace
from .catalogue import Catalogue, CatalogueWritten, with_items_of_events, write_catalogue
from .event_source import EventSource, hint_of
from .event_writer import EventWriter, Rows, Tallies, sorted_blocks
from .limits import BYTES, require_room
from .report import make_report
from .scratch import reading
from .versions import FORMAT_VERSION, copy_truth, publish, version_hash
from .vocabulary import natural_order, query_token_table

MOST_ACTIONS = 255
PERCENT = 100


def build_dataset(
    workspace: Workspace,
    name: str,
    source: EventSource,
    catalogue: Catalogue | None,
    *,
    scratch: Path,
    origin: dict[str, Any],
    truth: Path | None = None,
    progress: Progress = silent,
    people: dict[str, dict[str, str | None]] | None = None,
    offer: bool = False,
) -> Path:
    """Build a data set and make it the current version of `name`; the caller holds `dataset_lock`.

    Args:
        workspace: where the data set goes.
        name: of the data set.
        source: clean events.
        catalogue: items, or None when only events name them.
        scratch: directory for partial files, on the workspace's file system.
        origin: where the data came from, kept in the manifest.
        truth: directory of a planted answer, copied along.
        progress: called with percent done; may raise `Cancelled`, and nothing has changed then.
        people: what is known of the people, feature -> person -> value: further columns of people.parquet.
        offer: leave the version that is current, see `versions.publish`.

    Returns:
        Directory of the version.

    Raises:
        EmptyDataError: no clean event.
        ResourceError: its people, items and queries do not fit into memory.
        InvalidDataError: more different actions than a byte can number.
    """
    refuse_empty(source)
    refuse_too_many_names(source)
    version = scratch / "version"
    version.mkdir()
    progress(10, PERCENT, "collecting people, items and queries")
    full, unknown = with_items_of_events(catalogue, source.distinct("item"))
    rows = collect_rows(source, full)
    progress(20, PERCENT, "sorting events")
    writer = EventWriter(version, rows, source.events)
    for block in sorted_blocks(source, rows):
        writer.add(block)
        progress(30 + 50 * writer.written // source.events, PERCENT, "writing events")
    tallies = writer.close()
    progress(80, PERCENT, "writing items and pictures")
    written = write_catalogue(version, full, tallies.events_per_item)
    write_vocabularies(version, rows, tallies, people or {})
    if truth is not None:
        copy_truth(truth, version / "truth")
    progress(95, PERCENT, "writing the report")
    digest = version_hash(version, tallies.digest, rows.actions)
    facts = make_report(source, catalogue, full, unknown, written, writer.checks, tallies, rows.people)
    write_json(version / "report.json", facts)
    counts = {
        "events": source.events,
        "people": len(rows.people),
        "queries": len(rows.queries) - 1,
        "labelled": tallies.labelled,
        "rejected": source.n_rejected,
        **written.counts,
    }
    write_json(version / "manifest.json", make_manifest(name, digest, origin, counts, rows, full, written))
    path = publish(workspace, name, version, digest, offer=offer)
    progress(PERCENT, PERCENT, "imported")
    return path


def refuse_empty(source: EventSource) -> None:
    """Raise `EmptyDataError` unless an event is left."""
    if source.events == 0:
        reasons = ", ".join(f"{count} {kind}" for kind, (count, _) in source.rejected.items())
        raise EmptyDataError(
            f"{source.path}: no event is left, all {source.n_rejected} rows were rejected ({reasons})",
            hint=hint_of(source, max(source.rejected, key=lambda kind: source.rejected[kind][0])),
        )


def refuse_too_many_names(source: EventSource) -> None:
    """Raise `ResourceError` when people, items and queries do not fit into memory; counted where they might not."""
    try:
        require_room(source.path, dict.fromkeys(BYTES, source.events), BYTES, source.events)
    except ResourceError:
        kinds = ", ".join(f"approx_count_distinct({kind})" for kind in BYTES)
        with reading(source.path):
            (found,) = source.connection.execute(f"SELECT {kinds} FROM clean").fetchall()
        require_room(source.path, dict(zip(BYTES, found, strict=True)), BYTES, source.events)


def collect_rows(source: EventSource, catalogue: Catalogue) -> Rows:
    """Number people, queries and actions of the clean events."""
    actions = sorted(source.distinct("action"))
    if len(actions) > MOST_ACTIONS:
        raise InvalidDataError(
            f"{source.path}: column 'action' has {len(actions)} different values, at most {MOST_ACTIONS} are possible",
            hint="an action is a kind of event such as click or buy; leave the column out if it is free text",
        )
    return Rows(
        people=natural_order(source.distinct("person")),
        items=["", *catalogue.ids],
        queries=["", *sorted(source.distinct("query"))],
        actions=actions,
    )


def write_vocabularies(version: Path, rows: Rows, tallies: Tallies, features: dict[str, dict[str, str | None]]) -> None:
    """Write people.parquet, queries.parquet and the hashed words of the queries."""
    people: dict[str, Any] = {
        "person_row": pa.array(range(len(rows.people)), pa.int32()),
        "person": pa.array(rows.people, pa.string()),
        "events": np.diff(tallies.offsets),
        "searches": tallies.searches,
        "first_s": tallies.first_s,
        "last_s": tallies.last_s,
    }
    for name, values in features.items():
        people[name] = pa.array([values.get(person) for person in rows.people], pa.string())
    queries = {
        "query_row": pa.array(range(1, len(rows.queries)), pa.int32()),
        "query": pa.array(rows.queries[1:], pa.string()),
        "events": tallies.events_per_query[1:],
    }
    pq.write_table(pa.table(people), version / "people.parquet", compression="zstd")
    pq.write_table(pa.table(queries), version / "queries.parquet", compression="zstd")
    np.save(version / "query_tokens.npy", query_token_table(rows.queries), allow_pickle=False)


def make_manifest(
    name: str,
    digest: str,
    origin: dict[str, Any],
    counts: dict[str, int],
    rows: Rows,
    catalogue: Catalogue,
    written: CatalogueWritten,
) -> dict[str, Any]:
    """What manifest.json holds, see docs/data-format.md."""
    return {
        "name": name,
        "format_version": FORMAT_VERSION,
        "hash": digest,
        "source": origin,
        "counts": counts,
        "actions": rows.actions,
        "category_field": "category" if "category" in catalogue.fields else None,
        "category_names": written.category_names,
        "attribute_fields": list(catalogue.fields),
        "time_zone": "UTC",
        "created": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }
