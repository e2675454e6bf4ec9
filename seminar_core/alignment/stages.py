"""Alignment of a run: its stages, and its number card and its map at each of them.

Diagnostics, where a trained run meets the pure measures. Stages: `before` = step 0 of the run's PSU, `after` = that
PSU's best checkpoint, `finetuned` = the ranker's best; a run without PSU has `before` (its own step 0) and `finetuned`.
Items that were kept out of the alignment objective are measured apart. An item's query vector is the mean over the
distinct queries of its training events.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..data.dataset import Dataset
from ..encoders import load_encodings
from ..errors import NotReadyError, StaleError, UnknownNameError
from ..model.losses import heldout_items
from ..progress import Progress, silent
from ..training.checkpoint import read_state, weights_sum
from ..training.run_files import BEST, RunCard, read_card, untrained_note
from ..training.runs import existing_run, load_run
from ..workspace import Workspace
from .card import number_card
from .channel_set import ChannelSet, from_channel_vectors
from .map_store import MapRequest, drawn_map
from .projection import Layout
from .slices import rows_of_slice

STAGES = ("after", "before", "finetuned")


@dataclass(frozen=True)
class StageVectors:
    """The catalogue's vectors at one stage of a run.

    Fields:
        run: name of the run whose checkpoint this is (the run itself or its parent).
        stage: `before`, `after`, `finetuned`, or a kept checkpoint such as `step-000200`.
        step: training step of the checkpoint.
        dataset: opened.
        channels: one row per item, Q A T I.
        heldout: (I,) bool, items kept out of alignment; None where the run has no alignment objective.
        notes: what must be known of it: a run without pretraining, "best" being the untrained model.
    """

    run: str
    stage: str
    step: int
    dataset: Dataset
    channels: ChannelSet
    heldout: np.ndarray | None
    notes: tuple[str, ...]

    def kept_out(self, items: np.ndarray) -> np.ndarray:
        """(m,) bool: which of the catalogue rows `items` (m,) were kept out of alignment."""
        return (
            np.isin(items, self.channels.rows[self.heldout]) if self.heldout is not None else np.zeros(len(items), bool)
        )

    def __repr__(self) -> str:
        return f"StageVectors({self.run!r} {self.stage}, step {self.step}, {self.channels!r})"


def stages_of(workspace: Workspace, run: str) -> dict[str, tuple[str, str]]:
    """Stages that a run has, each as (run to open, checkpoint).

    Raises:
        UnknownRunError: the workspace has no such run, or no longer has the one it was restored from.
    """
    card = read_card(existing_run(workspace, run))
    if card.kind == "psu":
        return {"before": (run, "before"), "after": (run, "best")}
    if card.parent is None:
        return {"before": (run, "before"), "finetuned": (run, "best")}
    existing_run(workspace, card.parent)
    return {"before": (card.parent, "before"), "after": (card.parent, "best"), "finetuned": (run, "best")}


def checkpoints_of(workspace: Workspace, run: str) -> list[str]:
    """Kept checkpoints of the run that pretraining filled, in the order of their steps, and `best` at the end."""
    folder = workspace.run_dir(_psu_of(workspace, run)) / "checkpoints"
    return [*sorted(path.name for path in folder.glob("step-*")), *(["best"] if (folder / "best").is_dir() else [])]


def film_frames(workspace: Workspace, run: str) -> list[str]:
    """Kept checkpoints in the order of their steps, each step once: `best` only where its step was not kept."""
    found = checkpoints_of(workspace, run)
    folder = workspace.run_dir(_psu_of(workspace, run)) / "checkpoints"
    steps = {name: int(name.removeprefix("step-")) for name in found if name.startswith("step-")}
    if "best" in found:
        best = int(read_state(folder / "best")["counters"]["step"])
        if best not in steps.values():
            steps["best"] = best
    return sorted(steps, key=steps.__getitem__)


def source_of(workspace: Workspace, run: str, stage: str) -> tuple[str, str]:
    """A stage, or a kept checkpoint of the pretraining, as (run to open, checkpoint)."""
    known = stages_of(workspace, run)
    return known[stage] if stage in known else (_psu_of(workspace, run), stage)


def notes_of(workspace: Workspace, run: str, stages: Sequence[str]) -> list[str]:
    """What must be known of these stages before they are compared: one that is named trained and is not."""
    sources = [source_of(workspace, run, stage) for stage in stages]
    best = dict.fromkeys(source for source, checkpoint in sources if checkpoint == "best")
    notes = (untrained_note(workspace.run_dir(source)) for source in best)
    return [note for note in notes if note is not None]


def _said_with(workspace: Workspace, run: str, stages: Sequence[str]) -> list[str]:
    """The `notes` of an answer about these stages: a run without pretraining first, then `notes_of`."""
    first = without_pretraining(workspace, run)
    return [*([first] if first else []), *notes_of(workspace, run, stages)]


def without_pretraining(workspace: Workspace, run: str) -> str | None:
    """What to say of a run that has no stage `after`, else None."""
    if "after" in stages_of(workspace, run):
        return None
    return f"run {run!r} was trained without pretraining: it has before (its own step 0) and finetuned"


def _psu_of(workspace: Workspace, run: str) -> str:
    stages = stages_of(workspace, run)
    return (stages.get("after") or stages["finetuned"])[0]


def chosen_stage(workspace: Workspace, run: str, stage: str | None) -> str:
    """`stage`, or by default the first of `STAGES` that the run has.

    Raises:
        UnknownNameError: the run has no such stage; its stages are listed.
    """
    known = stages_of(workspace, run)
    if stage is None:
        return next(name for name in STAGES if name in known)
    if stage in known or stage in checkpoints_of(workspace, run):
        return stage
    raise UnknownNameError(
        "stage", stage, [*known, *checkpoints_of(workspace, run)], hint=without_pretraining(workspace, run)
    )


def open_stage(workspace: Workspace, run: str, stage: str | None = None) -> StageVectors:
    """Load the vectors of one stage.

    Raises:
        UnknownRunError, UnknownNameError, NotReadyError: see `training.runs.load_run` and `chosen_stage`.
        StaleError: the run's data set has changed, or the stage is of a PSU that has been trained anew since.
    """
    name = chosen_stage(workspace, run, stage)
    source, checkpoint = source_of(workspace, run, name)
    if source != run:
        _refuse_other_psu(workspace, read_card(existing_run(workspace, run)))
    opened = load_run(workspace, source, stage=checkpoint, device="cpu")
    train_end, offsets = opened.material.split.train_end, np.asarray(opened.dataset.store.offsets)
    event = np.arange(offsets[-1]) - np.repeat(offsets[:-1], np.diff(offsets))
    trained = event < np.repeat(train_end, np.diff(offsets))
    store = opened.dataset.store
    channels = from_channel_vectors(
        opened.channel_vectors(), np.asarray(store.item)[trained], np.asarray(store.query)[trained]
    )
    heldout = _heldout(workspace, opened.card, opened.dataset.n_items)
    notes = tuple(_said_with(workspace, run, [name]))
    return StageVectors(source, name, opened.step, opened.dataset, channels, heldout, notes)


def _refuse_other_psu(workspace: Workspace, card: RunCard) -> None:
    """Raise `StaleError` where the run's PSU no longer has the weights that the run was restored from.

    Cards of versions that did not write these weights are believed.
    """
    if card.parent is None or card.restored is None:
        return
    now = weights_sum(existing_run(workspace, card.parent) / "checkpoints" / BEST)
    then = card.restored["weights"]
    if now != then:
        raise StaleError(
            f"run {card.name!r} was restored from weights {then[:12]} of {card.parent!r}, which has been trained since "
            f"and has {now[:12]}: what {card.name!r} was before and after pretraining is gone",
            hint=f"name the stage finetuned, look at {card.parent!r} itself, or finetune from it again",
        )


def _heldout(workspace: Workspace, card: RunCard, n_items: int) -> np.ndarray | None:
    """(I,) items kept out of the alignment objective of a run or of the PSU it was restored from; None without one."""
    if card.restored is not None:
        seed, share = card.restored["seed"], card.restored["held_out"]
    else:
        trained = card if card.parent is None else read_card(existing_run(workspace, card.parent))
        seed, share = trained.seed, float(trained.config.get("objectives", {}).get("held_out", 0))
    return heldout_items(n_items, seed, share)[1:] if share > 0 else None


def raw_channels(dataset: Dataset, text: str, image: str) -> ChannelSet:
    """The frozen encoders' vectors as channels T and I; their widths may differ."""
    found = load_encodings(dataset, text=text, image=image)
    vectors, present = {}, {}
    for name, table, mask in (
        ("T", found.text_items, found.text_items_present),
        ("I", found.image_items, found.image_items_present),
    ):
        if table is not None and mask is not None:
            vectors[name], present[name] = np.asarray(table[1:]), np.asarray(mask[1:])
    return ChannelSet(np.arange(1, dataset.n_items + 1, dtype=np.int32), vectors, present)


def card_of(
    opened: StageVectors, *, items: np.ndarray | None = None, correction: str = "none", seed: int = 0
) -> dict[str, Any]:
    """Number card of one stage, of all items or of the catalogue rows `items` (a category, a lasso)."""
    channels, heldout = opened.channels, opened.heldout
    if items is not None:
        chosen = np.isin(channels.rows, items)
        channels = channels.take(chosen)
        heldout = None if heldout is None else heldout[chosen]
    card = number_card(channels.vectors, channels.present, seed=seed, heldout=heldout, correction=correction)
    return card | {"notes": [*opened.notes, *card["notes"]]}


def encoders_card(
    workspace: Workspace,
    opened: StageVectors,
    *,
    items: np.ndarray | None = None,
    correction: str = "none",
    seed: int = 0,
) -> dict[str, Any] | None:
    """Number card of the frozen encoders' vectors that a run was trained on, with `encodings`; None without both.

    Of the same items as `card_of`: those kept out of alignment are measured apart.

    Args:
        workspace: where the run is.
        opened: a stage of the run.
        items: only these catalogue rows.
        correction: as in `number_card`.
        seed: as in `number_card`.
    """
    encodings = dict(read_card(existing_run(workspace, opened.run)).encodings)
    raw = raw_channels(opened.dataset, encodings["text"], encodings["image"])
    if len(raw.names) < 2:
        return None
    chosen = np.ones(len(raw), bool) if items is None else np.isin(raw.rows, items)
    heldout = None if opened.heldout is None else opened.heldout[chosen]
    raw = raw.take(chosen)
    card = number_card(raw.vectors, raw.present, seed=seed, heldout=heldout, correction=correction)
    return card | {"encodings": encodings}


def gap(
    workspace: Workspace,
    run: str,
    stage: str | None = None,
    *,
    correction: str = "none",
    seed: int = 0,
    slice_: str | None = None,
) -> dict[str, Any]:
    """The number card of a run at one stage, with the encoders' own card beside it; of a slice where one is named.

    Returns:
        `run`, `stage`, `stages` (those it has), `step`, `slice`, then the keys of `number_card`, and `encoders`: the
        text and picture encoders' vectors before any training.
    """
    opened = open_stage(workspace, run, stage)
    items = None if slice_ is None else rows_of_slice(opened.dataset.items_frame(), slice_)
    encoders = encoders_card(workspace, opened, items=items, correction=correction, seed=seed)
    answer = {"run": run, "stage": opened.stage, "stages": list(stages_of(workspace, run)), "step": opened.step}
    card = card_of(opened, items=items, correction=correction, seed=seed)
    return answer | {"slice": slice_} | card | {"encoders": encoders}


def open_stages(workspace: Workspace, run: str, stages: Sequence[str]) -> dict[str, StageVectors]:
    """Open several stages of a run, in the order given."""
    if not stages:
        raise NotReadyError("no stage was named", hint=f"name some of {', '.join(stages_of(workspace, run))}")
    return {chosen_stage(workspace, run, stage): open_stage(workspace, run, stage) for stage in stages}


def map_source(run: str, opened: Mapping[str, StageVectors]) -> dict[str, Any]:
    """What a kept map is of: the words that say which run and data it depends on."""
    dataset = next(iter(opened.values())).dataset
    return {"run": run, "stages": list(opened), "dataset": dataset.name, "dataset_hash": dataset.hash}


def draw(
    workspace: Workspace,
    run: str,
    stages: Sequence[str],
    *,
    request: MapRequest | None = None,
    progress: Progress = silent,
) -> tuple[str, Layout, Dataset]:
    """One joint map of a run's stages: its key, the map, and the data set its rows are of."""
    opened = open_stages(workspace, run, stages)
    channels = {name: vectors.channels for name, vectors in opened.items()}
    key, layout = drawn_map(
        workspace, channels, request or MapRequest(), source=map_source(run, opened), progress=progress
    )
    return key, layout, next(iter(opened.values())).dataset


def map_answer(
    workspace: Workspace,
    run: str,
    stages: Sequence[str] = (),
    *,
    request: MapRequest | None = None,
    progress: Progress = silent,
) -> tuple[dict[str, Any], Layout, Dataset]:
    """What `map` answers of some stages, by default the first two that the run has; the map, and its data set.

    Returns:
        `run`, `map` (its key), `notes`, `seconds` in all and `fit_seconds` of the layout, and the facts of the layout.
    """
    started = time.perf_counter()
    known = stages_of(workspace, run)
    names = list(stages) or [name for name in ("before", "after", "finetuned") if name in known][:2]
    key, layout, dataset = draw(workspace, run, names, request=request, progress=progress)
    answer = {"run": run, "map": key, "notes": _said_with(workspace, run, names)} | dict(layout.facts)
    seconds = {"seconds": time.perf_counter() - started, "fit_seconds": layout.facts["seconds"]}
    return answer | seconds, layout, dataset
