"""Runs beside each other: what differs in their settings, and their test metrics with intervals and paired differences.

Diagnostics. Runs that are asked the same questions (the same targets with the same candidates) are subtracted: paired
by target and resampled by person, what makes a person hard for both runs cancels. A run that has not been evaluated is
evaluated first. Runs of different data sets, versions or splits are listed beside each other, but never subtracted.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..errors import ConfigError, MissingFileError
from ..evaluation.ranks import Ranks
from ..evaluation.result import Result
from ..progress import Progress, silent
from ..training.assess import differences as paired_differences
from ..training.assess import kept_result, measure_run
from ..training.run_files import RunCard, existing_run, read_card, read_status
from ..training.settings import flatten
from ..workspace import Workspace

CARD_FIELDS = ("model", "dataset", "dataset_hash", "parent", "seed")


def compare(
    workspace: Workspace,
    names: Sequence[str],
    *,
    mode: str = "recommendation",
    measure: bool = True,
    progress: Progress = silent,
) -> dict[str, Any]:
    """The `compare` answer; the first run is what the others are subtracted from.

    Args:
        workspace: where the runs are.
        names: two runs or more.
        mode: what is asked: recommendation, search or pair.
        measure: evaluate runs that have no result yet; without, their metrics are None.
        progress: called per run.

    Raises:
        ConfigError: fewer than two different runs.
        UnknownRunError: a run is not there.
    """
    if len(set(names)) < 2:
        raise ConfigError(f"compare needs two different runs, got {list(names)}", hint="name a second run")
    names = list(dict.fromkeys(names))
    cards = [read_card(existing_run(workspace, name)) for name in names]
    found: list[tuple[Result, Ranks] | None] = []
    for done, name in enumerate(names):
        progress(done, len(names), f"evaluating {name}")
        found.append(result_of(workspace, name, mode, measure))
    rows = [row(workspace, card, result, found[0], cards[0]) for card, result in zip(cards, found, strict=True)]
    return {"rows": rows, "differences": setting_differences(cards)}


def result_of(workspace: Workspace, name: str, mode: str, measure: bool) -> tuple[Result, Ranks] | None:
    """The kept result of a run and its ranks; measured now where there is none and that was asked for."""
    try:
        return kept_result(workspace, name, mode=mode)
    except MissingFileError:
        if not measure:
            return None
    _, result, ranks = measure_run(workspace, name, {"mode": mode})
    return result, ranks


def row(
    workspace: Workspace,
    card: RunCard,
    result: tuple[Result, Ranks] | None,
    first: tuple[Result, Ranks] | None,
    first_card: RunCard,
) -> dict[str, Any]:
    """One run: what it is, its metrics, and each metric minus that of the first run."""
    status = read_status(workspace.run_dir(card.name))
    minus_first = not_comparable = None
    if result is not None and first is not None and card.name != first_card.name:
        not_comparable = what_keeps_apart(card, result[0], first_card, first[0])
        minus_first = None if not_comparable else paired_differences(result[1], first[1])
    return {
        "run": card.name,
        "model": card.model,
        "dataset": card.dataset,
        "parent": card.parent,
        "seed": card.seed,
        "state": status.get("state"),
        "steps": status.get("steps"),
        "best_step": status.get("best_step"),
        "n": result[0].protocol["n"] if result else None,
        "metrics": result[0].metrics if result else None,
        "interval": result[0].interval if result else None,
        "minus_first": minus_first,
        "not_comparable": not_comparable,
    }


def what_keeps_apart(card: RunCard, result: Result, first_card: RunCard, first: Result) -> str | None:
    """Why two runs cannot be subtracted target by target, in words; None when they can."""
    if card.dataset != first_card.dataset:
        return f"it was tested on {card.dataset}, not on {first_card.dataset}"
    if card.dataset_hash != first_card.dataset_hash:
        return f"it was tested on version {card.dataset_hash} of {card.dataset}, not on {first_card.dataset_hash}"
    if result.origin.get("questions") == first.origin.get("questions"):
        return None
    for name, value in result.protocol.items():
        if value != first.protocol.get(name):
            return f"it was asked other questions: {name} = {value}, not {first.protocol.get(name)}"
    return "it was asked other questions: other targets or other rivals"


def setting_differences(cards: Sequence[RunCard]) -> list[dict[str, Any]]:
    """Only what differs: {"setting", "values": {run: value}} of cards and configurations."""
    settings = [
        {**{name: getattr(card, name) for name in CARD_FIELDS}, **flatten({k: v for k, v in card.config.items()})}
        for card in cards
    ]
    listed = []
    for name in dict.fromkeys(name for values in settings for name in values):
        values = [setting.get(name) for setting in settings]
        if any(value != values[0] for value in values[1:]):
            listed.append({"setting": name, "values": dict(zip((c.name for c in cards), values, strict=True))})
    return listed
