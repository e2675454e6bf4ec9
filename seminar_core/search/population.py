"""Every person of a run: what quantisation loses, how long the life is, how far the modalities are apart.

Diagnostics, over all search traces. The distribution is what one reports, the person is the example. `pq_loss` is one
minus the attention mass that the quantised scan keeps for the person's last event, as `retrieve --shortlist 0` says:
after exact scores have ordered a shortlist of 4 K nearly nothing is lost of anybody. Kept with the run and made again
when its vectors or codebooks have changed.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ..contracts import ChannelVectors
from ..errors import CorruptFileError, MissingFileError, NotReadyError
from ..files import read_json, write_json
from ..progress import Progress, silent
from ..retrieval.codebooks import vectors_hash
from ..retrieval.exact import check_keep
from ..retrieval.spec import DEFAULT, parse
from ..sums import record
from ..workspace import Workspace
from .answer import attention_mass, recall
from .question import Question
from .study import Study, open_study
from .trace import trace

FORMAT = 2


def item_gaps(vectors: ChannelVectors) -> np.ndarray:
    """(I+1,) float64: one minus the mean cosine between the present channels of each item; NaN with fewer than two."""
    lengths = np.linalg.norm(vectors.item, axis=2, keepdims=True)
    unit = vectors.item / np.maximum(lengths, 1e-12)  # (I+1, 3, D)
    total, pairs = np.zeros(len(unit)), np.zeros(len(unit))
    for i, j in ((0, 1), (0, 2), (1, 2)):
        both = vectors.item_present[:, i] & vectors.item_present[:, j]
        total += np.where(both, np.einsum("nd,nd->n", unit[:, i], unit[:, j]), 0.0)
        pairs += both
    with np.errstate(invalid="ignore"):
        return np.where(pairs > 0, 1 - total / pairs, np.nan)


def person_gap(gaps: np.ndarray, items: np.ndarray) -> float | None:
    """Mean gap of the distinct items of a life; None where no item has two channels."""
    found = gaps[np.unique(items)]
    found = found[np.isfinite(found)]
    return float(found.mean()) if len(found) else None


def measure_person(study: Study, person_row: int, gaps: np.ndarray, spec: str | None, k: int | None) -> dict[str, Any]:
    """One row of the population; without `spec` its losses are None."""
    dataset = study.dataset
    life = dataset.store.life(person_row)
    row: dict[str, Any] = {
        "person": dataset.person_ids[person_row],
        "events": len(life),
        "searches": int((life.query > 0).sum()),
        "gap": person_gap(gaps, life.item),
        "pq_loss": None,
        "recall": None,
    }
    if len(life) and spec:
        item = dataset.item_ids[int(life.item[-1])]
        found = trace(study, Question(row["person"], item, spec=spec, k=k, shortlist=0), timed=False)
        mass = attention_mass(found)
        row["pq_loss"] = None if mass is None else 1 - mass
        row["recall"] = recall(found)
    return row


def _codebooks(study: Study, spec: str) -> tuple[str | None, str]:
    """Identity of the codebooks, or None and why there is nothing to lose."""
    if not study.linear:
        return None, f"the first stage of {study.run.card.model} cannot be quantised, so there is no PQ loss"
    try:
        return study.codebooks(spec).identity, ""
    except NotReadyError as error:
        return None, f"no PQ loss yet: {error.message}"


def _kept(path: Path) -> dict[str, Any]:
    """What was measured before; empty where it is missing or damaged, since it can be measured again."""
    try:
        found = read_json(path)
    except (MissingFileError, CorruptFileError):
        return {}
    return found if isinstance(found, dict) else {}


def population(
    workspace: Workspace,
    run: str,
    *,
    spec: str = DEFAULT,
    k: int | None = None,
    progress: Progress = silent,
    study: Study | None = None,
) -> dict[str, Any]:
    """Measure every person of a run, or read what was measured; what the command `population` answers.

    `k` events are kept per head, None = the run's own K. A run whose first stage cannot be quantised, or that has no
    codebooks of `spec` yet, has gaps but no PQ losses and says why in `note`.

    Raises:
        ConfigError: fewer than one event is to be kept.
        SpecError: `spec` is no specification; it is also the name of the file that keeps the answer.
    """
    spec = str(parse(spec))
    if k is not None:
        check_keep(k)
    study = study or open_study(workspace, run)
    books, note = _codebooks(study, spec)
    facts = {
        "format": FORMAT,
        "vectors": vectors_hash(study.vectors),
        "codebooks": books,
        "dataset": study.dataset.hash,
        "spec": spec,
        "k": k or study.run.config.model.keep,
    }
    name = f"population/{spec}-{facts['k']}.json"
    kept = next((k for k in map(_kept, (workspace.measured_dir(run) / name, study.run.path / name)) if k), {})
    if kept.get("facts") != facts:
        gaps = item_gaps(study.vectors)
        people = []
        for row in range(study.dataset.n_people):
            people.append(measure_person(study, row, gaps, spec if books else None, k))
            progress(row + 1, study.dataset.n_people, "measuring people")
        kept = {"facts": facts, "people": people}
        measured = workspace.measured_dir(run)
        write_json(measured / name, kept)
        record(measured, [measured / name])
    return {"run": run, "spec": spec, "k": facts["k"], "people": kept["people"], "note": note}
