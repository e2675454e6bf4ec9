"""A run opened for retrieval: its vectors, codebooks and searches, kept warm between questions.

Diagnostics, between training (which opens runs) and retrieval (which knows no models). The command line opens a study
for one answer; the app keeps it, so that a changed weight costs a fold and a scan, never a re-encoding.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ..contracts import CHANNELS, ChannelVectors, Folded
from ..data.dataset import Dataset
from ..encoders.registry import find_encoder
from ..errors import ConfigError, CorruptFileError, MissingFileError, NotLinearError, NotReadyError, StaleError
from ..progress import Progress, silent
from ..retrieval.codebooks import TRAINING_ROWS, Codebooks, load_codebooks, save_codebooks, train_codebooks
from ..retrieval.events import EventSet
from ..retrieval.exact import ExactScorer, Scorer
from ..retrieval.quantisers import Additive
from ..retrieval.search import make_scorer
from ..retrieval.spec import DEFAULT, SpecError, parse
from ..training.run_files import list_runs
from ..training.runs import Run, load_run
from ..workspace import Workspace

WARM_SEARCHES = 16
TRAINING_TARGETS = 2048
WEIGHTINGS = 16
PRIOR = 4.0  # Dirichlet prior on users' channel weights


@dataclass
class Study:
    """One run and what has been prepared for searching it.

    Fields:
        workspace: where the run is.
        run: with its model on the CPU.
        vectors: channel vectors of the catalogue and the queries.
        typed: rows of queries that were typed and appended to the model.
    """

    workspace: Workspace
    run: Run
    vectors: ChannelVectors
    typed: dict[str, int] = field(default_factory=dict)
    _text_function: Callable[[list[str]], np.ndarray] | None = None
    _codebooks: dict[str, Codebooks] = field(default_factory=dict)
    _searches: OrderedDict[tuple[Any, ...], Any] = field(default_factory=OrderedDict)

    @property
    def dataset(self) -> Dataset:
        return self.run.dataset

    @property
    def model(self) -> Any:
        return self.run.model

    @property
    def heads(self) -> int:
        return int(self.model.values.heads)

    @property
    def linear(self) -> bool:
        return bool(self.model.linear_first_stage)

    def own_weights(self) -> np.ndarray:
        """(M,) the run's own channel weights in the order of `CHANNELS`."""
        return self.model.fusion.weights().detach().cpu().numpy().astype(np.float64)

    def facts(self) -> dict[str, Any]:
        """What a page says of the run before it asks: heads, K, and the channel weights as a list."""
        return {
            "heads": self.heads,
            "keep": int(self.run.config.model.keep),
            "own_weights": self.own_weights().tolist(),
        }

    def encode_query(self, text: str) -> np.ndarray | None:
        """(W,) vector of a text the data set does not hold; None where the encoder has no way to make one."""
        if self._text_function is None:
            named = find_encoder("text", self.run.config.encoders.text)
            if named.folder.startswith("given-"):  # a file of vectors encodes nothing, and need not be there any more
                return None
            encoder = named.make()
            if not hasattr(encoder, "unseen"):
                return None
            self._text_function = encoder.unseen(self.dataset, silent)
        return self._text_function([text])[0]

    @property
    def warm(self) -> bool:
        """Whether it has searched before."""
        return bool(self._searches)

    def codebooks(self, spec: str) -> Codebooks:
        """The codebooks of this specification, read once.

        Raises:
            SpecError: the specification needs none.
            NotReadyError: the run has none of this specification; the message lists those it has.
            StaleError: they were made from other vectors.
        """
        parsed = parse(spec)
        name = str(parsed)
        if not parsed.trained:
            have = ", ".join(self.codebook_names()) or "none"
            raise SpecError(
                f"{name} needs no codes, so nothing is lost in one",
                hint=f"choose codebooks of run {self.run.name!r}; it has: {have}",
            )
        if name not in self._codebooks:
            try:
                self._codebooks[name] = self._read_codebooks(name)
            except MissingFileError as error:
                have = ", ".join(other for other in self.codebook_names() if other != name) or "none"
                raise NotReadyError(
                    f"run {self.run.name!r} has no codebooks {name}; it has: {have}",
                    hint=f"train them: python -m seminar_core codebooks --run {self.run.name} --spec {name}",
                ) from error
        return self._codebooks[name]

    def _read_codebooks(self, name: str) -> Codebooks:
        """Those that lie in the workspace before those that a bundled run brings, unless they are of another run."""
        own, measured = self.run.path, self.workspace.measured_dir(self.run.name)
        folders = [codebook_directory(place, name) for place in dict.fromkeys((measured, own))]
        there = [folder for folder in folders if folder.is_dir()] or folders[-1:]
        for folder in there[:-1]:
            with suppress(StaleError, CorruptFileError, MissingFileError):
                return load_codebooks(folder, self.vectors)
        return load_codebooks(there[-1], self.vectors)

    def codebook_names(self) -> list[str]:
        """Specifications that the run has codebooks for."""
        folders = {self.run.path, self.workspace.measured_dir(self.run.name)}
        return sorted({name for folder in folders for name in codebook_names(folder)})

    def events(self, person_row: int, positions: np.ndarray) -> EventSet:
        """The events at `positions` (n,) of one life, ready to be searched."""
        life = self.dataset.store.life(person_row)
        return EventSet(np.ascontiguousarray(life.item[positions]), np.ascontiguousarray(life.query[positions]))

    def exact(self, key: tuple[Any, ...], events: EventSet) -> ExactScorer:
        """The exact search over `events`, kept warm under `key`."""
        return self._kept(("exact", *key), lambda: ExactScorer(self.vectors, events))

    def approximate(self, key: tuple[Any, ...], events: EventSet, spec: str) -> Scorer:
        """The one-stage search of `spec` over `events`, kept warm under `key`.

        Raises:
            SpecError: the specification cannot be read.
            NotReadyError, StaleError: see `codebooks`.
        """
        parsed = parse(spec)
        index: Codebooks | str = self.codebooks(spec) if parsed.trained else str(parsed)
        targets = training_targets(self, fixed=True) if str(parsed) == "fused,exact" else None
        return self._kept((str(parsed), *key), lambda: make_scorer(index, self.vectors, events, targets=targets))

    def _kept(self, key: tuple[Any, ...], make: Any) -> Any:
        if key not in self._searches:
            self._searches[key] = make()
            while len(self._searches) > WARM_SEARCHES:
                self._searches.popitem(last=False)
        self._searches.move_to_end(key)
        return self._searches[key]


def open_study(workspace: Workspace, run_name: str) -> Study:
    """Open a run for retrieval.

    Raises:
        UnknownRunError, StaleError, NotReadyError: see `training.runs.load_run`.
    """
    run = load_run(workspace, run_name, device="cpu")
    return Study(workspace, run, run.channel_vectors())


def codebook_directory(run_path: Path, spec: str) -> Path:
    """Where the codebooks of `spec` lie; the printed specification is a safe directory name."""
    return run_path / "codebooks" / str(parse(spec))


def codebook_names(run_path: Path) -> list[str]:
    """Specifications that the run has codebooks for."""
    return sorted(p.parent.name for p in (run_path / "codebooks").glob("[!.]*/meta.json"))


def fold(study: Study, item_row: int, query_row: int, weights: Sequence[float] | None) -> Folded:
    """One folded target; `weights` of Q, A, T, I, None = the run's own."""
    folded: Folded = study.model.fold(item_row, query_row, None if weights is None else list(weights))
    return folded


def training_targets(study: Study, *, fixed: bool = False, count: int = TRAINING_TARGETS, seed: int = 0) -> np.ndarray:
    """Folded targets of training events: what codebooks are trained for.

    Half of them keep their query and half are asked without; unless `fixed`, half are folded with the run's own
    weights and half with weights drawn from the prior over what users choose.

    Returns:
        (T, H, M, D) float32.
    """
    rng = np.random.default_rng(seed)
    item, query = _drawn_targets(study, count, rng)
    if fixed or study.model.fusion.item_absent == "renormalise":
        return study.model.fold_many(item, query)[0]
    parts = [study.model.fold_many(item, query)[0]]
    drawn = rng.dirichlet(np.full(len(CHANNELS), PRIOR), WEIGHTINGS)
    for rows, weights in zip(np.array_split(rng.permutation(len(item)), WEIGHTINGS), drawn, strict=True):
        if len(rows):
            parts.append(study.model.fold_many(item[rows], query[rows], weights.tolist())[0])
    return np.concatenate(parts)


def _drawn_targets(study: Study, count: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Item and query rows of at most `count` training events, without those that have no channel of the run's.

    Raises:
        NotReadyError: there is no such event.
    """
    store = study.dataset.store
    seen = np.minimum(study.run.material.split.train_end, store.lengths)
    ends = np.cumsum(seen)
    if not len(ends) or not ends[-1]:
        raise NotReadyError(
            f"data set {study.dataset.name!r} has no training event to train codebooks for",
            hint="people need at least three events",
        )
    drawn_events = np.sort(rng.choice(int(ends[-1]), min(count, int(ends[-1])), replace=False))
    person = np.searchsorted(ends, drawn_events, side="right")
    chosen = store.offsets[person] + drawn_events - (ends[person] - seen[person])
    item, query = np.array(store.item[chosen]), np.array(store.query[chosen])
    query[rng.random(len(query)) < 0.5] = 0
    there = study.vectors.item_present[item].any(1) | study.vectors.query_present[query]
    if not there.any():
        raise NotReadyError(
            f"none of {len(item):,} training events has a channel that run {study.run.name!r} has",
            hint="train a run with more channels",
        )
    return item[there], query[there]


def real_pairs(study: Study) -> np.ndarray:
    """(P, 2) item and query rows of all events that carry a query."""
    store = study.dataset.store
    searched = np.flatnonzero(np.asarray(store.query) > 0)
    return np.stack([store.item[searched], store.query[searched]], 1).astype(np.int64)


def make_codebooks(
    study: Study, spec: str = DEFAULT, *, rows: int | None = None, progress: Progress = silent
) -> dict[str, Any]:
    """Train codebooks, encode the catalogue and keep both with the run; what the command `codebooks` answers.

    Args:
        study: the run.
        spec: what to train.
        rows: most items, queries and pairs that they are trained on; None = `TRAINING_ROWS`. All are encoded.
        progress: called during training.

    Raises:
        ConfigError: fewer than one row.
        NotLinearError: the model has no linear first-stage score; the message lists runs that have one.
        SpecError: the specification cannot be read or needs no codebooks.
    """
    started = time.perf_counter()
    parsed = parse(spec)
    if rows is not None and rows < 1:
        raise ConfigError(f"--rows is {rows}, expected at least 1", hint=f"leave it out for {TRAINING_ROWS:,}")
    refuse_without_linear_stage(study)
    pairs = real_pairs(study)
    books = train_codebooks(
        parsed,
        study.vectors,
        training_targets(study, fixed=parsed.fused),
        pairs=pairs if len(pairs) else None,
        sample=rows or TRAINING_ROWS,
        seed=study.run.card.seed,
        progress=progress,
    )
    save_codebooks(books, codebook_directory(study.workspace.measured_dir(study.run.name), str(parsed)))
    study._codebooks[str(parsed)] = books
    dead = {
        name: int((part.coder.centroids.shape[1] - part.coder.live).sum())
        for name, part in books.parts.items()
        if isinstance(part.coder, Additive)
    }
    return {
        "run": study.run.name,
        "spec": str(parsed),
        "bytes_per_item": books.bytes_per_event,
        "distortion": books.distortion["item"],
        "distortion_by_part": books.distortion,
        "dead_codes": sum(dead.values()),
        "dead_codes_by_part": dead,
        "seconds": time.perf_counter() - started,
    }


def refuse_without_linear_stage(study: Study) -> None:
    """Raise `NotLinearError` for a model whose first stage cannot be quantised, naming the runs that can."""
    if study.linear:
        return
    rows = list_runs(study.workspace)["runs"]
    fit = [r["run"] for r in rows if r["model"] in ("psu", "seminar", "seminar-pq")]
    raise NotLinearError(
        f"run {study.run.name!r} ({study.run.card.model}) has no first-stage score that is linear in an event's "
        f"channel vectors; models that have one: psu, seminar, seminar-pq; such runs here: {', '.join(fit) or 'none'}",
        hint=f"use run {fit[0]!r}" if fit else "train one: finetune --model seminar",
    )
