"""A measured result as a file that cannot hold an impossible number.

Evaluation. A result is written by code only, with what it takes to make it again: configuration, seed, data hash,
commit, command and time. Writing and reading both refuse numbers that break an identity of the metrics: HIT@1 = NDCG@1
<= MRR, NDCG@k <= HIT@k, both non-decreasing in k, everything within [0, 1]. The SEMINAR paper's released KuaiSAR logs
break them, which is why they are no target here.
"""

from __future__ import annotations

import subprocess
import zipfile
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import CorruptFileError, InvalidDataError, MissingFileError
from ..files import read_json, write_json
from .metrics import CUTOFFS
from .ranks import Ranks

TOLERANCE = 1e-9
ORIGIN = ("config", "seed", "data_hash", "command", "time", "commit")


def check_identities(metrics: dict[str, float], what: str = "result") -> None:
    """Raise `InvalidDataError` when the numbers cannot all come from one ranking."""
    present = [k for k in CUTOFFS if f"HIT@{k}" in metrics]
    rules: list[tuple[bool, str]] = [
        (-TOLERANCE <= value <= 1 + TOLERANCE, f"{name} = {value} lies outside [0, 1]")
        for name, value in metrics.items()
    ]
    for k in present:
        hit, ndcg = metrics[f"HIT@{k}"], metrics[f"NDCG@{k}"]
        rules.append((ndcg <= hit + TOLERANCE, f"NDCG@{k} = {ndcg} is larger than HIT@{k} = {hit}"))
    if 1 in present:
        hit, ndcg = metrics["HIT@1"], metrics["NDCG@1"]
        rules.append((abs(hit - ndcg) <= TOLERANCE, f"HIT@1 = {hit} differs from NDCG@1 = {ndcg}"))
        if "MRR" in metrics:
            rules.append((hit <= metrics["MRR"] + TOLERANCE, f"HIT@1 = {hit} is larger than MRR = {metrics['MRR']}"))
    for name in ("HIT", "NDCG"):
        for smaller, larger in zip(present, present[1:], strict=False):
            a, b = metrics[f"{name}@{smaller}"], metrics[f"{name}@{larger}"]
            rules.append((a <= b + TOLERANCE, f"{name}@{smaller} = {a} is larger than {name}@{larger} = {b}"))
    for holds, message in rules:
        if not holds:
            raise InvalidDataError(
                f"{what} breaks an identity: {message}", hint="measure again: no ranking gives these numbers"
            )


@dataclass(frozen=True)
class Result:
    """Metrics of one model on one set of targets, and where they come from.

    Fields:
        name: what was measured (a run, or a model and seed).
        metrics: metric -> mean over targets.
        interval: metric -> (low, high) over people.
        baselines: row name -> metric -> value; `oracle` may be None.
        protocol: mode, negatives, sampler, split, candidate seed, n.
        origin: `config`, `seed`, `data_hash`, `command`, `time`, `commit`.
        extra: slices, label metrics, people_per_s and the like.
    """

    name: str
    metrics: dict[str, float]
    interval: dict[str, tuple[float, float]]
    baselines: dict[str, dict[str, float] | None]
    protocol: dict[str, Any]
    origin: dict[str, Any]
    extra: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_identities(self.metrics, self.name)
        for row, values in self.baselines.items():
            if values is not None:
                check_identities(values, f"{self.name}: {row}")
        missing = [key for key in ORIGIN if key not in self.origin]
        if missing:
            raise InvalidDataError(
                f"{self.name}: the origin lacks {', '.join(missing)}", hint="a result states how it can be made again"
            )

    def __repr__(self) -> str:
        shown = ", ".join(f"{k}={self.metrics[k]:.3f}" for k in ("HIT@10", "MRR") if k in self.metrics)
        return f"Result({self.name}, n={self.protocol.get('n')}, {shown})"

    def write(self, path: Path) -> None:
        """Write the result as JSON at `path`."""
        write_json(path, asdict(self))


def read_result(path: Path) -> Result:
    """Read a result file.

    Raises:
        MissingFileError: nothing is there.
        CorruptFileError: not the JSON of a result.
        InvalidDataError: the numbers break an identity.
    """
    content = read_json(path)
    try:
        return Result(**{**content, "interval": {k: tuple(v) for k, v in content["interval"].items()}})
    except (TypeError, KeyError, AttributeError) as error:
        raise CorruptFileError(f"{path} is not a result file: {error}", hint="delete it and measure again") from error


def write_ranks(path: Path, ranks: Ranks) -> None:
    """Keep the standing of every target beside its result, for paired comparisons."""
    partial = path.with_name(f".partial-{path.name}")
    with partial.open("wb") as file:
        np.savez_compressed(
            file, better=ranks.better, ties=ranks.ties, candidates=ranks.candidates, person=ranks.person
        )
    partial.replace(path)


def read_ranks(path: Path) -> Ranks:
    """Read what `write_ranks` wrote.

    Raises:
        MissingFileError: nothing is there.
        CorruptFileError: not such a file.
    """
    if not path.is_file():
        raise MissingFileError(f"{path} does not exist", hint="evaluate the run first")
    try:
        with np.load(path, allow_pickle=False) as content:
            return Ranks(content["better"], content["ties"], content["candidates"], content["person"])
    except (ValueError, KeyError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise CorruptFileError(f"{path} holds no ranks: {error}", hint="evaluate the run again") from error


def current_commit() -> str | None:
    """The commit of this code, or None where it is not a Git checkout."""
    root = Path(__file__).resolve().parents[2]
    try:
        answer = subprocess.run(
            ["git", "-C", str(root), "rev-parse", "--short=12", "HEAD"], capture_output=True, text=True, timeout=10
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return answer.stdout.strip() or None if answer.returncode == 0 else None
