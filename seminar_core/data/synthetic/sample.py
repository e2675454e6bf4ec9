"""The bundled sample: a generated data set whose answer is known, and its noise version.

Data, generation. Writes a folder in the `table` format: events.parquet, items.parquet with WEBP pictures, the planted
answer in truth/, manifest.json with seed, command and hashes, README.md. The same seed gives the same bytes with the
pinned packages. Planted: interests that drift and return, a gap between the modalities, missing pictures and texts,
cold items, pictures drawn from another category. The noise version has the same people, times and search events, but
each event's item is drawn from the sample's item frequencies and each query is that of a random other event, so that
nothing but item frequencies can be learnt; in both, only a person's first meeting with an item can be a target.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import ConfigError, CorruptFileError, ExistsError, MissingFileError
from ...files import atomic_directory, read_json, sha256_of, write_json
from ...progress import Progress, silent
from .catalogue import TOPICS, draw_pictures, plant_items
from .folder import readme, write_events, write_items, write_truth
from .lives import PlantedLife, draw_length, draw_life, draw_outcomes
from .truth import Truth

__all__ = ["Truth", "write_sample"]

FORMAT = "seminar-sample-1"
FEWEST_ITEMS = 2 * TOPICS
_OWN_FILES = {"events.parquet", "items.parquet", "truth", "manifest.json", "README.md", "run"}


def write_sample(
    out: Path,
    *,
    seed: int = 0,
    people: int = 400,
    items: int = 3000,
    noise: bool = False,
    progress: Progress = silent,
) -> dict[str, Any]:
    """Write the sample data set to the folder `out`, by rename; an older sample there is replaced, its runs stay.

    Args:
        noise: draw items from their frequencies alone.

    Returns:
        `path`, `sha256`, `people`, `items`, `events`.

    Raises:
        ConfigError: fewer than one person or too few items for the topics.
        ExistsError: `out` holds something that is not a sample, or runs that were trained on other data.
    """
    out = Path(out)
    if people < 1 or items < FEWEST_ITEMS:
        raise ConfigError(
            f"{people} people and {items} items were asked for; the least is 1 person and {FEWEST_ITEMS} items",
            hint=f"the planted catalogue has {TOPICS} topics: use at least {FEWEST_ITEMS} items",
        )
    _refuse_foreign(out)
    catalogue = plant_items(items, seed)
    lives = []
    for person in range(people):
        rng = np.random.default_rng((seed, 4, person))
        lives.append(draw_life(rng, catalogue, draw_length(rng)))
        progress(person + 1, people, "lives")
    frequency = np.bincount(np.concatenate([life.item for life in lives]), minlength=items)
    if noise:
        lives = _as_noise(lives, frequency, np.random.default_rng((seed, 5)))
    with atomic_directory(out, replace=True) as folder:
        write_events(folder / "events.parquet", lives)
        write_items(folder / "items.parquet", catalogue, draw_pictures(catalogue, seed))
        (folder / "truth").mkdir()
        write_truth(folder / "truth", catalogue, lives, frequency, seed, noise)
        events = sum(len(life.item) for life in lives)
        answer = _finish(folder, out, seed=seed, people=people, items=items, events=events, noise=noise)
        _keep_runs(out, folder, answer["sha256"])
    return answer


def _refuse_foreign(out: Path) -> None:
    """Raise unless `out` is absent, empty or an older sample."""
    if not out.exists():
        return
    if not out.is_dir():
        raise ExistsError(f"{out} is a file", hint="choose a folder with --out")
    foreign = sorted(set(os.listdir(out)) - _OWN_FILES)
    if foreign:
        raise ExistsError(
            f"{out} holds {foreign[0]!r}, which no sample has; nothing was replaced",
            hint="choose an empty or a new folder with --out",
        )


def _keep_runs(out: Path, folder: Path, sha256: str) -> None:
    """Take the runs that come with the sample in `out` along into `folder`; they are of the data with this sum alone.

    Raises:
        ExistsError: there are some, and those data were others.
    """
    runs = sorted(path.parent.name for path in (out / "run").glob("[!.]*/run.json"))
    if not runs:
        return
    try:
        before = read_json(out / "manifest.json").get("sha256")
    except (MissingFileError, CorruptFileError):
        before = None
    if before != sha256:
        raise ExistsError(
            f"{out} comes with run {runs[0]!r}, which was trained on other data than these; nothing was replaced",
            hint=f"choose another folder with --out, or move {out / 'run'} away first",
        )
    shutil.copytree(out / "run", folder / "run")


def _as_noise(lives: list[PlantedLife], frequency: np.ndarray, rng: np.random.Generator) -> list[PlantedLife]:
    """The same people and seconds with items drawn independently; queries are handed round among search events."""
    texts = [text for life in lives for text in life.query if text is not None]
    shuffled: Iterable[str] = iter([texts[i] for i in rng.permutation(len(texts))])
    made = []
    for life in lives:
        length = len(life.item)
        item = rng.choice(len(frequency), length, p=frequency / frequency.sum()).astype(np.int32)
        first = np.zeros(length, bool)
        first[np.unique(item, return_index=True)[1]] = True
        label, action = draw_outcomes(rng, length)
        label, action = np.where(first, label, 0).astype(np.int8), np.where(first, action, 0).astype(np.int8)
        query = [next(shuffled) if text is not None else None for text in life.query]  # type: ignore[call-overload]
        made.append(
            PlantedLife(life.time_s, item, query, action, label, first, life.cold_from, life.taste, life.interests)
        )
    return made


def _finish(folder: Path, out: Path, *, seed: int, people: int, items: int, events: int, noise: bool) -> dict[str, Any]:
    """Hash the files, write manifest and README, and answer as the command `sample` does."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    sha256 = sha256_of(*files)
    command = f"python -m seminar_core sample --out {out.name} --seed {seed} --people {people}"
    command += " --noise" if noise else ""
    counts = {"people": people, "items": items, "events": events}
    hashes = {str(path.relative_to(folder)): sha256_of(path) for path in files}
    write_json(
        folder / "manifest.json",
        {
            "format": FORMAT,
            "command": command,
            "seed": seed,
            "noise": noise,
            "sha256": sha256,
            **counts,
            "files": hashes,
        },
    )
    (folder / "README.md").write_text(readme(command, seed, sha256, counts, noise), encoding="utf-8")
    return {"path": str(out), "sha256": sha256, **counts}
