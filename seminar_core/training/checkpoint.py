"""Checkpoints: every tensor in safetensors, every scalar in JSON, one directory renamed into place.

Training, between the loop and the disk. A checkpoint holds the weights (frozen encoder tables are not weights: they
come from the data set), the optimisers' moments, the generators' states and the loop's counters: enough to go on
exactly where it stopped. No pickle anywhere. Departure from the paper's released code, which overwrites the best
weights by the last: `step-000000`, `best` and `last` are directories of their own.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.optim import Optimizer

from ..errors import CorruptFileError, MissingFileError, ShapeError, StaleError
from ..files import as_os_error, atomic_directory, read_json, settled, sha256_of, write_json
from ..sums import require_whole, seal

WEIGHTS, MOMENTS, STATE = "weights.safetensors", "moments.safetensors", "state.json"


@dataclass(frozen=True)
class Fingerprint:
    """What a checkpoint fits: the vocabulary its tables are indexed by.

    Fields:
        dataset_hash: hash of the data set whose rows the tables have.
        n_items, n_queries: catalogue items and distinct queries.
    """

    dataset_hash: str
    n_items: int
    n_queries: int


def save_checkpoint(
    path: Path,
    *,
    model: nn.Module,
    optimisers: Sequence[Optimizer],
    counters: Mapping[str, Any],
    fingerprint: Fingerprint,
) -> None:
    """Write a checkpoint at `path`, replacing an older one of that name as a whole.

    The run's directory must be there.

    Raises:
        OSError: it could not be written (a full disk); the older one is still there.
    """
    moments, scalars = _split_optimisers(optimisers)
    moments.update(_generator_states())
    path.parent.mkdir(exist_ok=True)
    with atomic_directory(path, replace=True, grow=False) as partial:
        for name, tensors in ((WEIGHTS, model.state_dict()), (MOMENTS, moments)):
            try:
                save_file(_own(tensors), partial / name)
            except SafetensorError as error:
                raise as_os_error(error, path) from error
        sums = {name: sha256_of(partial / name) for name in (WEIGHTS, MOMENTS)}
        write_json(
            partial / STATE,
            {
                "format": 1,
                "fingerprint": vars(fingerprint),
                "counters": dict(counters),
                "optimisers": scalars,
                "sha256": sums,
            },
        )
        seal(partial, sums)


def _own(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Contiguous copies on the CPU: safetensors refuses views that share memory."""
    return {name: value.detach().to("cpu", copy=True).contiguous() for name, value in tensors.items()}


def _split_optimisers(optimisers: Sequence[Optimizer]) -> tuple[dict[str, Tensor], list[dict[str, Any]]]:
    """Tensors under `optimiser/parameter/name`, and everything else as JSON."""
    tensors: dict[str, Tensor] = {}
    scalars = []
    for number, optimiser in enumerate(optimisers):
        content = optimiser.state_dict()
        rest: dict[str, dict[str, Any]] = {}
        for parameter, entries in content["state"].items():
            for name, value in entries.items():
                if isinstance(value, Tensor):
                    tensors[f"{number}/{parameter}/{name}"] = value
                else:
                    rest.setdefault(str(parameter), {})[name] = value
        scalars.append({"groups": content["param_groups"], "state": rest})
    return tensors, scalars


def _generator_states() -> dict[str, Tensor]:
    states = {"generator/cpu": torch.get_rng_state()}
    if torch.cuda.is_available():
        states["generator/cuda"] = torch.cuda.get_rng_state()
    return states


def read_state(path: Path) -> dict[str, Any]:
    """The checkpoint's JSON part, its tensors checked against their recorded sums.

    Raises:
        MissingFileError: there is no such checkpoint.
        CorruptFileError: a part is missing, cut short or was changed since.
        NotReadyError: it was replaced again and again.
    """
    return settled(path / STATE, lambda: _read_state(path))


def _read_state(path: Path) -> dict[str, Any]:
    if not path.is_dir():
        raise MissingFileError(f"checkpoint {path} does not exist", hint="train the run first, or name another stage")
    require_whole(path, "the checkpoint was changed or cut short")
    state = read_json(path / STATE)
    try:
        for name, recorded in state["sha256"].items():
            found = sha256_of(path / name) if (path / name).is_file() else "nothing"
            if found != recorded:
                raise CorruptFileError(
                    f"{path / name} was changed or cut short: sha256 {found[:12]}, recorded {recorded[:12]}",
                    hint="use another checkpoint of the run, or train it again",
                )
        Fingerprint(**state["fingerprint"])
        state["counters"], state["optimisers"]
    except (KeyError, TypeError, AttributeError) as error:
        raise CorruptFileError(
            f"{path / STATE} is not a checkpoint's state: {error!r}", hint="train the run again"
        ) from error
    return state


def weights_sum(path: Path) -> str:
    """Recorded sha256 of a checkpoint's weights, as `Run.weights` has it; nothing else is read.

    Raises:
        MissingFileError: there is no such checkpoint.
        CorruptFileError: its state is not one.
    """
    state = settled(path / STATE, lambda: read_json(path / STATE))
    try:
        return str(state["sha256"][WEIGHTS])
    except (KeyError, TypeError) as error:
        raise CorruptFileError(
            f"{path / STATE} is not a checkpoint's state: {error!r}", hint="train the run again"
        ) from error


def read_tensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file, on the CPU.

    Raises:
        CorruptFileError: it is not one.
    """
    try:
        return load_file(path)
    except (SafetensorError, OSError, json.JSONDecodeError) as error:
        raise CorruptFileError(f"{path} is not a safetensors file: {error}", hint="train the run again") from error


def check_fingerprint(path: Path, recorded: Mapping[str, Any], wanted: Fingerprint) -> None:
    """Raise `StaleError` when the checkpoint's tables belong to another vocabulary."""
    for name, value in vars(wanted).items():
        if recorded[name] != value:
            raise StaleError(
                f"checkpoint {path.name} was made with {name} = {recorded[name]}, the data set now has {value}",
                hint="train again on the present data set, or import the old one under another name",
            )


def load_weights(path: Path, model: nn.Module, fingerprint: Fingerprint) -> dict[str, Any]:
    """Put the weights of checkpoint `path` into `model`; its state is returned (`counters`, `sha256`, ...).

    Raises:
        StaleError: made with another vocabulary.
        ShapeError: a tensor has another width (both shapes are named), is missing, or has no place.
        CorruptFileError: changed or cut short.
        MissingFileError, NotReadyError: it is not there, or was replaced again and again.
    """
    state, weights = settled(path / STATE, lambda: (_read_state(path), read_tensors(path / WEIGHTS)))
    check_fingerprint(path, state["fingerprint"], fingerprint)
    put_weights(weights, model, path.name)
    return state


def put_weights(tensors: Mapping[str, Tensor], model: nn.Module, origin: str) -> None:
    """Copy `tensors` into `model` after checking every name and shape.

    Raises:
        ShapeError: they do not fit.
    """
    own = model.state_dict()
    tensors = spread_rows(tensors, own)
    if "short_match_scale" in own and "short_match_scale" not in tensors:
        raise ShapeError(
            f"checkpoint {origin} has no short-term branch: it was made by version 0.1, whose rankers had none",
            hint="train the run again (the same command), or set short_window = 0 in a new training to go without",
        )
    for name, value in tensors.items():
        if name in own and own[name].shape != value.shape:
            raise ShapeError(
                f"{name} in checkpoint {origin} has shape {tuple(value.shape)}, the model has {tuple(own[name].shape)}",
                hint="use the settings the checkpoint was made with (width, heads), or train again",
            )
    missing, foreign = sorted(own.keys() - tensors.keys()), sorted(tensors.keys() - own.keys())
    if missing or foreign:
        raise ShapeError(
            f"checkpoint {origin} does not fit the model: missing {missing[:3]}, without a place {foreign[:3]} "
            f"({len(missing)} and {len(foreign)} in all)",
            hint="use the model and settings the checkpoint was made with, or train again",
        )
    model.load_state_dict(dict(tensors))


def resume_from(
    path: Path, model: nn.Module, optimisers: Sequence[Optimizer], fingerprint: Fingerprint
) -> dict[str, Any]:
    """Put weights, moments and generator states of checkpoint `path` back; the counters are returned.

    Raises:
        ShapeError, StaleError, CorruptFileError: as `load_weights`.
    """
    state = load_weights(path, model, fingerprint)
    moments, scalars = read_tensors(path / MOMENTS), state["optimisers"]
    if len(scalars) != len(optimisers):
        raise ShapeError(
            f"checkpoint {path.name} has {len(scalars)} optimisers, the run has {len(optimisers)}",
            hint="resume with the settings the run was started with",
        )
    for number, (optimiser, saved) in enumerate(zip(optimisers, scalars, strict=True)):
        entries: dict[int, dict[str, Any]] = {int(k): dict(v) for k, v in saved["state"].items()}
        for name, value in moments.items():
            kind, *rest = name.split("/")
            if kind == str(number):
                parameter, entry = rest
                entries.setdefault(int(parameter), {})[entry] = value
        try:
            optimiser.load_state_dict({"state": entries, "param_groups": saved["groups"]})
        except ValueError as error:
            raise ShapeError(
                f"the moments in checkpoint {path.name} do not fit: {error}",
                hint="resume with the settings the run was started with",
            ) from error
        _lay_out_as_parameters(optimiser)
    torch.set_rng_state(moments["generator/cpu"])
    if "generator/cuda" in moments and torch.cuda.is_available():
        torch.cuda.set_rng_state(moments["generator/cuda"])
    return dict(state["counters"])


def _lay_out_as_parameters(optimiser: Optimizer) -> None:
    """Give moments the memory layout of their parameter.

    Safetensors stores in row-major order; the fused kernels pair a parameter with its moments by memory position, so
    that a parameter stored by columns would be paired with the wrong moments.
    """
    for parameter, entries in optimiser.state.items():
        for name, value in entries.items():
            if isinstance(value, Tensor) and value.shape == parameter.shape and value.stride() != parameter.stride():
                entries[name] = torch.empty_like(parameter, dtype=value.dtype).copy_(value)


ROWS, VALUES = ".rows", ".values"


def some_rows(tensors: Mapping[str, Tensor], keep: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """`tensors` with the tables in `keep` reduced to those rows (n,), stored as `<name>.rows` and `<name>.values`."""
    found = {name: value for name, value in tensors.items() if name not in keep}
    for name, rows in keep.items():
        if name in tensors:
            found[name + ROWS], found[name + VALUES] = rows, tensors[name][rows]
    return found


def spread_rows(tensors: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """What `some_rows` reduced, at the size that the model `own` has; rows that were left out are zero."""
    found = {name: value for name, value in tensors.items() if not name.endswith((ROWS, VALUES))}
    for name, rows in tensors.items():
        table = name.removesuffix(ROWS)
        if name.endswith(ROWS) and table in own:
            values = tensors[table + VALUES]
            found[table] = torch.zeros_like(own[table], device="cpu").index_copy_(0, rows.long(), values.float())
    return found
