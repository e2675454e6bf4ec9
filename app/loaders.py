"""What several stations read from the workspace, kept under the content it was read from; stations have their own too.

Every function takes plain names and returns what the core returned; keys carry the data set's hash or the run's last
change, so a replaced data set or a retrained run is never shown from memory. Core modules that pull torch, faiss or
duckdb are imported where they are used: the first screen does not wait for them.
"""

from __future__ import annotations

import gc
import hashlib
import threading
from collections.abc import Callable, Collection
from contextlib import suppress
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import streamlit as st

from app.work import tasks, waiting
from app.work.waiting import Heavy
from seminar_core.errors import SeminarError
from seminar_core.files import read_json
from seminar_core.workspace import Workspace, checked_name, default_workspace

if TYPE_CHECKING:
    from seminar_core.data.dataset import Dataset
    from seminar_core.data.sequence_store import Life

SAMPLE = "sample"
ENTRIES = 64


def workspace() -> Workspace:
    """The workspace that the app serves: `$SEMINAR_WORKSPACE`, else `./workspace`."""
    return default_workspace()


def dataset_key(name: str) -> str:
    """Content hash that `name` points to now; empty when it has not been imported."""
    pointer = workspace().dataset_dir(name) / "dataset.json"
    return _current(pointer, pointer.stat().st_mtime_ns) if pointer.is_file() else ""


@lru_cache(maxsize=ENTRIES)
def _current(pointer: Path, changed_ns: int) -> str:
    """The hash that a pointer file holds since `changed_ns`: a page asks for it a hundred times while it is drawn."""
    return str(read_json(pointer)["current"])


def imported(name: str, version: str) -> str:
    """When a version of `name` was last imported: its manifest and report are other ones then, under the same hash."""
    folder = workspace().dataset_dir(name) / version
    return ",".join(changed(folder / file) for file in ("manifest.json", "report.json"))


def run_key(name: str) -> str:
    """What changes when run `name` or its data set does: times of description, status, checkpoints and codebooks, and
    the hash that the data set's name points to."""
    folder = workspace().run_dir(name)
    parts = [folder / part for part in ("run.json", "status.json", "codebooks", "checkpoints")]
    times = [changed(part) for part in (*parts, workspace().measured_dir(name) / "codebooks")]
    return ",".join([*times, _data_key(name)])


def _data_key(run_name: str) -> str:
    """The hash that a run's data set points to now; a dash where its description names none."""
    of = dataset_of(run_name)
    return dataset_key(of) if of else "-"


def changed(path: Path) -> str:
    """When a file or directory changed last, in nanoseconds; a dash where there is none."""
    try:
        return str(path.stat().st_mtime_ns)
    except OSError:
        return "-"


def dataset_of(run_name: str) -> str:
    """Name of the data set that a run was trained on; empty where its description does not say."""
    description = workspace().run_dir(run_name) / "run.json"
    return _dataset_of(description, changed(description))


@lru_cache(maxsize=ENTRIES)
def _dataset_of(description: Path, since: str) -> str:
    """What a description says since then; nothing where that is no name."""
    with suppress(SeminarError, KeyError, TypeError):
        return checked_name(str(read_json(description)["dataset"]), "data set")
    return ""


def run_content(name: str) -> str:
    """Digest of what run `name` holds, its description and the sums of checkpoints and codebooks, and of its data."""
    return _content(workspace(), name, run_key(name), _data_key(name))


@lru_cache(maxsize=ENTRIES)
def _content(of: Workspace, name: str, key: str, data: str) -> str:
    """`run_content` since `key`; a run without sums is known by its files' times."""
    digest = hashlib.sha256(data.encode())
    for folder in dict.fromkeys((of.run_dir(name), of.measured_dir(name))):
        for path in (folder / "run.json", *sorted(folder.glob("*/*/sums.json"))):
            if path.is_file():
                digest.update(f"{path.parent.name}/{path.name}".encode() + path.read_bytes())
    if not (of.run_dir(name) / "sums.json").is_file():
        digest.update(key.encode())
    return digest.hexdigest()


@st.cache_resource(max_entries=8, show_spinner=False)
def _dataset(root: str, name: str, key: str, since: str) -> Dataset:
    from seminar_core.data.opening import open_dataset

    return open_dataset(Workspace(Path(root)), name)


def dataset(name: str) -> Dataset:
    """The data set `name`, opened once per import.

    Raises:
        UnknownDatasetError: the workspace does not hold it.
    """
    key = dataset_key(name)
    if not key:
        from seminar_core.data.opening import open_dataset

        key = open_dataset(workspace(), name).hash
    return _dataset(str(workspace().root), name, key, imported(name, key))


def life(name: str, person: str) -> Life:
    """One person's events, oldest first."""
    opened = dataset(name)
    return opened.store.life(opened.person_row(person))


def dataset_names() -> list[str]:
    """Names of the data sets that can be chosen, the bundled sample first."""
    folder = workspace().datasets
    made = sorted(p.parent.name for p in folder.glob("*/dataset.json")) if folder.is_dir() else []
    return [SAMPLE, *(name for name in made if name != SAMPLE)]


def runs(dataset_name: str | None = None) -> list[dict[str, Any]]:
    """The workspace's runs as the command `runs` lists them, newest first; of one data set where it is named."""
    from seminar_core.training.run_files import list_runs

    found = sorted(list_runs(workspace())["runs"], key=lambda row: str(row.get("created") or ""), reverse=True)
    return [row for row in found if dataset_name is None or row["dataset"] == dataset_name]


def newest_run(
    dataset_name: str, *, kinds: Collection[str] = (), models: Collection[str] = (), codebooks: bool = False
) -> str:
    """The run that is shown where none was chosen: the newest that is done and not stale; empty where there is none.

    Args:
        dataset_name: the run was trained on it.
        kinds, models: only of these; of all where empty.
        codebooks: one with codebooks comes before one without, and then a ranker before a pretrained unit.
    """
    found = [
        row
        for row in runs(dataset_name)
        if row["state"] == "done"
        and not row.get("stale")
        and (not kinds or row["kind"] in kinds)
        and (not models or row["model"] in models)
    ]
    if codebooks:
        found.sort(key=lambda row: (bool(row.get("codebooks")), row["kind"] == "ranker"), reverse=True)
    return str(found[0]["run"]) if found else ""


def check_run_of(run_name: str, dataset_name: str) -> None:
    """Refuse a run that was trained on another data set than the chosen one.

    Raises:
        UnknownRunError: it was, or there is no such run.
    """
    from seminar_core.training.run_files import check_run_of as check

    check(workspace(), run_name, dataset_name)


@st.cache_resource(max_entries=8, show_spinner="Opening the run …")
def _run(root: str, name: str, key: str) -> Any:
    return import_module("seminar_core.training.runs").load_run(Workspace(Path(root)), name)


def run(name: str) -> Any:
    """The trained run `name`, loaded once per content.

    Raises:
        UnknownRunError: the workspace does not hold it.
    """
    return _run(str(workspace().root), name, run_key(name))


@st.cache_data(max_entries=ENTRIES, show_spinner="Reading the data set …")
def _report(root: str, name: str, key: str, since: str) -> dict[str, Any]:
    from seminar_core.data.report import report as build

    return build(dataset(name))


def report(name: str) -> dict[str, Any]:
    """The data report of data set `name`, as the command `report` answers."""
    key = dataset(name).hash
    return _report(str(workspace().root), name, key, imported(name, key))


@st.cache_data(max_entries=ENTRIES, show_spinner="Looking for people …")
def _people(
    root: str, name: str, key: str, query: str, sort: str, run_at: str, _measured: list[dict[str, Any]]
) -> list[dict[str, Any]]:
    from seminar_core.lives.people import find_people

    opened = dataset(name)
    gap = pq_loss = None
    if _measured:
        gap, pq_loss = ({row["person"]: row[column] for row in _measured} for column in ("gap", "pq_loss"))
    return find_people(opened, query or None, sort, max(opened.n_people, 1), gap=gap, pq_loss=pq_loss)


def people(name: str, query: str, sort: str, run_name: str = "") -> list[dict[str, Any]]:
    """All people that were found, in order, as the command `people` lists them.

    Raises:
        Pending: every person is being measured.
    """
    measured, at = [], ""
    if run_name and sort != "length":
        check_run_of(run_name, name)
        measured, at = population(run_name)["people"], run_content(run_name)
    return _people(str(workspace().root), name, dataset(name).hash, query, sort, at, measured)


@st.cache_data(max_entries=ENTRIES, show_spinner=False)
def _life_facts(root: str, name: str, key: str, person: str) -> Any:
    from seminar_core.lives.lifeline import facts

    return facts(life(name, person))


def life_facts(name: str, person: str) -> Any:
    """A life in numbers: events, searches, items, sessions, days."""
    return _life_facts(str(workspace().root), name, dataset(name).hash, person)


def _encode(name: str, text: str = "", image: str = "") -> Heavy:
    words = f"Encoding the texts and pictures of {name}"
    arguments = (str(workspace().root), name, text, image)
    return Heavy(words, tasks.encode, arguments, (name, dataset(name).hash, text, image), keep=False)


def encode_ahead(name: str) -> None:
    """Have the data set's texts and pictures encoded before a page needs them."""
    waiting.ahead(_encode(name))


def encoded(name: str) -> None:
    """Have the data set's texts and pictures encoded.

    Raises:
        Pending: they are being encoded.
    """
    from seminar_core.encoders import is_encoded

    if not is_encoded(dataset(name)):
        waiting.answer(_encode(name))


def encoding_of(run_name: str) -> tuple[Heavy, Callable[[], bool]]:
    """The encoding of the data set that a run was trained on, as the run needs it; and what says whether it is there.

    Raises:
        UnknownRunError, UnknownDatasetError: the workspace does not hold the run, or its data set.
    """
    from seminar_core.training.run_files import existing_run, read_card

    card = read_card(existing_run(workspace(), run_name))
    given = {kind: str(card.encodings[kind]) for kind in ("text", "image") if kind in card.encodings}
    opened = dataset(card.dataset)

    def is_there() -> bool:
        from seminar_core.encoders import is_encoded

        return is_encoded(opened, **given)

    return _encode(card.dataset, **given), is_there


def encoded_for(run_name: str) -> None:
    """Have what the run was trained on encoded, where its data set has not been yet.

    Raises:
        Pending: it is being encoded.
        UnknownRunError: the workspace does not hold the run.
    """
    encode, is_there = encoding_of(run_name)
    if not is_there():
        waiting.answer(encode)


@st.cache_data(max_entries=ENTRIES, show_spinner=False)
def _find_items(root: str, name: str, key: str, text: str) -> tuple[list[int], int]:
    from seminar_core.search.targets import find_items

    return find_items(dataset(name), text)


def find_items(name: str, text: str) -> tuple[list[int], int]:
    """Item rows whose title or id contains `text`, and how many there are."""
    return _find_items(str(workspace().root), name, dataset(name).hash, text)


def population(run_name: str, spec: str | None = None, k: int | None = None) -> dict[str, Any]:
    """PQ loss, length and gap of every person, as the command `population` answers; `k` None = the run's own K.

    Raises:
        Pending: every person is being measured.
    """
    from seminar_core.retrieval.spec import DEFAULT

    version = run_content(run_name)
    asked = (run_name, version, spec or DEFAULT, k)
    return waiting.answer(Heavy("Measuring every person", tasks.population, (str(workspace().root), *asked), asked))


def kept_population(run_name: str, spec: str) -> tuple[list[dict[str, Any]], int]:
    """Rows of the population that was measured before with `spec` and the run's own K, without opening the run; that K.

    None where nobody measured it, or its data were replaced.
    """
    from seminar_core.training.run_files import is_stale, read_card

    folders = (workspace().measured_dir(run_name), workspace().run_dir(run_name))
    with suppress(SeminarError, KeyError, TypeError):
        card = read_card(workspace().run_dir(run_name))
        keep = int(card.config["model"]["keep"])
        files = (folder / "population" / f"{spec}-{keep}.json" for folder in folders)
        kept = next((path for path in files if path.is_file()), None)
        if kept and not is_stale(workspace(), card):
            return list(read_json(kept)["people"]), keep
    return [], 0


@st.cache_data(max_entries=20_000, show_spinner=False)
def _picture(key: str, name: str, item_row: int) -> str:
    import base64

    blob = dataset(name).picture(item_row)
    return f"data:image/webp;base64,{base64.b64encode(blob).decode()}" if blob else ""


def picture(dataset_name: str, item_row: int) -> str:
    """Picture of an item as a data URI; empty when it has none."""
    return _picture(dataset(dataset_name).hash, dataset_name, int(item_row))


@st.cache_resource(show_spinner=False)
def warm_up() -> threading.Thread:
    """Import what later stations need (torch, faiss and what is built on them) behind the first screen; once."""

    def load() -> None:
        for name in ("torch", "faiss", "seminar_core.search.study", "seminar_core.search.trace"):
            import_module(name)
        leave_out_of_collections()

    thread = threading.Thread(target=load, name="warm-up", daemon=True)
    thread.start()
    return thread


def leave_out_of_collections() -> None:
    """Keep what was imported and opened out of the full collection that Streamlit makes after every run.

    Walking through it made every click some 0.2 s slower. What was garbage since the last time goes first.
    """
    gc.unfreeze()
    gc.collect()
    gc.freeze()
