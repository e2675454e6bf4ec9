"""Codebooks of a run: trained for its scores, encoded once, saved with checks, refused when the run has changed.

Retrieval, sixth stop. Two layouts come from one set of codebooks. *Shared*: one code per catalogue item and one per
distinct query, looked up by id. *Packed*: one code per event, from the `item` part where the event has no query and
from the `pair` part (all channels together) where it has one. Files are safetensors and JSON: nothing in them runs.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import load_file, save_file

from ..contracts import CHANNELS, PAD, ChannelVectors, check_shape
from ..errors import ConfigError, CorruptFileError, EmptyDataError, MissingFileError, NonFiniteError, StaleError
from ..files import as_os_error, atomic_directory, read_json, settled, sha256_of, write_json
from ..progress import Progress, silent
from ..sums import seal
from .events import pair_keys, pair_vectors
from .parts import Part, train_part
from .quantisers import Additive, Scalar
from .spec import Spec, SpecError, check_fits, parse
from .transform import Transform, covariance

FORMAT = 1
META, TABLES, CODES = "meta.json", "tables.safetensors", "codes.safetensors"
TRAINING_ROWS = 20_000
MEASURED_ROWS = 5_000
MAX_STORED_PAIRS = 1_000_000
ENCODED_ROWS = 200_000  # at once: a large catalogue is never transformed whole


@dataclass(frozen=True)
class Codebooks:
    """Trained parts and the codes they gave to a run's catalogue.

    Fields:
        spec: the parsed specification.
        vectors_hash: `vectors_hash` of the run's vectors.
        identity: names these codebooks; codes carry it, so that another codebook's codes are refused.
        parts: by name: `item` always, `query` and `pair` where there are queries.
        codes: by part name: (I+1, S) and (Q+1, S) by row; `pair` (P, S) by `pair_key`.
        pair_key: (P,) int64 sorted keys of the pairs that were encoded beforehand.
        distortion: by part name: expected squared score error over expected squared centred score, on a sample of
            all that was encoded.
        seconds: how long training and encoding took.
    """

    spec: Spec
    vectors_hash: str
    identity: str
    parts: dict[str, Part]
    codes: dict[str, np.ndarray]
    pair_key: np.ndarray
    distortion: dict[str, float]
    seconds: float

    def __repr__(self) -> str:
        sizes = ", ".join(f"{name} {len(codes)}" for name, codes in self.codes.items())
        return f"Codebooks({self.spec}, {self.identity}, codes: {sizes})"

    @property
    def bytes_per_event(self) -> float:
        """Bytes of one packed code."""
        coder = next(iter(self.parts.values())).coder
        return float(len(coder.low)) if isinstance(coder, Scalar) else self.spec.code_bytes

    def with_pairs(self, vectors: ChannelVectors, pairs: np.ndarray) -> Codebooks:
        """The same codebooks with more pairs (P, 2) encoded beforehand."""
        keys = np.setdiff1d(_searched_keys(vectors, pairs), self.pair_key)
        more = self.parts["pair"].encode(pair_vectors(vectors, *_unkeyed(keys)))
        key = np.concatenate([self.pair_key, keys])
        order = np.argsort(key)
        pair = np.concatenate([self.codes["pair"], more])[order]
        return replace(self, pair_key=key[order], codes={**self.codes, "pair": pair})

    def pair_codes(self, vectors: ChannelVectors, item: np.ndarray, query: np.ndarray) -> np.ndarray:
        """Codes (n, S) of pairs with a query: looked up where they are kept, encoded where they are new."""
        keys = pair_keys(item, query)
        at = np.minimum(np.searchsorted(self.pair_key, keys), max(len(self.pair_key) - 1, 0))
        known = self.pair_key[at] == keys if len(self.pair_key) else np.zeros(len(keys), bool)
        stored = self.codes["pair"]
        out = np.empty((len(keys), stored.shape[1]), stored.dtype)
        out[known] = stored[at[known]]
        if not known.all():
            out[~known] = self.parts["pair"].encode(pair_vectors(vectors, item[~known], query[~known]))
        return out

    def check(self, vectors: ChannelVectors) -> None:
        """Raise `StaleError` unless these codebooks were made from `vectors`."""
        found = vectors_hash(vectors)
        if self.vectors_hash != found and self.vectors_hash != content_hash(vectors):  # that reads the whole table
            raise StaleError(
                f"codebooks {self.spec} were made from channel vectors {self.vectors_hash}, the run now has {found}",
                hint="train the codebooks again for this run",
            )


def vectors_hash(vectors: ChannelVectors) -> str:
    """What codebooks remember of their vectors: the origin where it is known, their content otherwise."""
    return vectors.origin or content_hash(vectors)


def content_hash(vectors: ChannelVectors) -> str:
    """First 12 hex digits of the sha256 over all channel vectors and presence masks, to the last bit."""
    digest = hashlib.sha256()
    for array in (vectors.item, vectors.item_present, vectors.query, vectors.query_present):
        digest.update(str((array.shape, array.dtype.str)).encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()[:12]


def train_codebooks(
    spec: Spec | str,
    vectors: ChannelVectors,
    targets: np.ndarray,
    *,
    pairs: np.ndarray | None = None,
    rows: np.ndarray | None = None,
    only: Sequence[str] | None = None,
    sample: int = TRAINING_ROWS,
    seed: int = 0,
    progress: Progress = silent,
) -> Codebooks:
    """Train codebooks for a run and encode its catalogue.

    Args:
        spec: specification or its string.
        vectors: the run's channel vectors.
        targets: (T, H, M, D) folded training targets, over heads and weightings; for `fused` of one weighting.
        pairs: (P, 2) int (item row, query row) of real events, repeats allowed; None draws pairs at random.
        rows: item rows to train on; None = all, at most `sample` of them drawn at random.
        only: parts to train; None = all. Where every event has a query, the packed layout needs `pair` alone.
        sample: most rows that each part is trained on; time grows with it.
        seed: decides samples and k-means.
        progress: called during training.

    Raises:
        SpecError: the specification has no codebooks or does not fit the width.
        NonFiniteError, ConfigError: NaN among targets; all weights zero.
        EmptyDataError: an empty catalogue.
    """
    spec = parse(spec) if isinstance(spec, str) else spec
    started = time.perf_counter()
    stacked = _check_targets(spec, vectors, targets)
    rng = np.random.default_rng(seed)
    items = np.flatnonzero(vectors.item_present.any(1)) if rows is None else np.asarray(rows)
    if not len(items):
        raise EmptyDataError("the catalogue has no item with a channel vector", hint="import items or train a run")
    if pairs is None and vectors.query_present.any():
        searched = np.flatnonzero(vectors.query_present)
        count = min(TRAINING_ROWS, 20 * (len(items) + len(searched)))
        pairs = np.stack([rng.choice(items, count), rng.choice(searched, count)], 1)
    keys = np.unique(_searched_keys(vectors, pairs)) if pairs is not None else np.empty(0, np.int64)
    training = {"item": vectors.item[_sample(rng, items, sample)].reshape(-1, 3 * vectors.item.shape[2])}
    if len(keys):
        training["pair"] = pair_vectors(vectors, *_unkeyed(_sample(rng, keys, sample)))
        training["query"] = vectors.query[_sample(rng, np.unique(_unkeyed(keys)[1]), sample)]
    training = {name: x for name, x in training.items() if only is None or name in only}
    parts = {name: train_part(name, spec, x, stacked, seed=seed, progress=progress) for name, x in training.items()}
    kept = keys[:MAX_STORED_PAIRS]
    progress(0, 1, "encoding the catalogue")
    codes = {name: _encode_all(parts[name], vectors, kept, progress) for name in parts}
    distortion = {
        name: _distortion(part, codes[name], vectors, kept, part.own(stacked), np.random.default_rng(seed))
        for name, part in parts.items()
    }
    of_vectors = vectors_hash(vectors)
    identity = hashlib.sha256(
        b"".join(a.tobytes() for part in parts.values() for a in _arrays(part).values())
    ).hexdigest()[:12]
    progress(1, 1, "encoding the catalogue")
    seconds = time.perf_counter() - started
    return Codebooks(spec, of_vectors, identity, parts, codes, kept, distortion, seconds)


def _vectors_of(name: str, vectors: ChannelVectors, pair_key: np.ndarray, rows: np.ndarray | slice) -> np.ndarray:
    """(n, W) what a part codes: rows of the items, of the queries, or of the given pairs."""
    if name == "pair":
        return pair_vectors(vectors, *_unkeyed(pair_key[rows]))
    found = (vectors.query if name == "query" else vectors.item)[rows]
    return found.reshape(len(found), -1)


def _encode_all(part: Part, vectors: ChannelVectors, pair_key: np.ndarray, progress: Progress) -> np.ndarray:
    """Codes of everything a part codes: all item rows, all query rows, or the given pairs."""
    count = len({"item": vectors.item, "query": vectors.query, "pair": pair_key}[part.name])
    blocks = []
    for start in range(0, count, ENCODED_ROWS):
        progress(start, count, f"encoding the catalogue: {part.name}")
        blocks.append(part.encode(_vectors_of(part.name, vectors, pair_key, slice(start, start + ENCODED_ROWS))))
    return blocks[0] if len(blocks) == 1 else np.concatenate(blocks)


def _check_targets(spec: Spec, vectors: ChannelVectors, targets: np.ndarray) -> np.ndarray:
    """Stack (T, H, M, D) targets as (T * H, M, D) float32 after checking that spec, targets and vectors fit."""
    if not spec.trained:
        raise SpecError(
            f"{spec} needs no codebooks", hint="search with it directly; only PQ, RQ, VQ and SQ are trained"
        )
    width = vectors.query.shape[1]
    check_shape("targets", targets, (None, None, len(CHANNELS), width))
    check_fits(spec, channels=len(CHANNELS), width=width)
    if not np.isfinite(targets).all():
        raise NonFiniteError("folded training targets hold NaN or infinity", hint="check the run and the weights")
    if not targets.any():
        raise ConfigError(
            "all weights are zero: the folded training targets vanish", hint="give at least one channel a weight"
        )
    return np.ascontiguousarray(targets.reshape(-1, *targets.shape[2:]), np.float32)  # (T * H, M, D)


def _sample(rng: np.random.Generator, values: np.ndarray, most: int) -> np.ndarray:
    return values if len(values) <= most else np.sort(rng.choice(values, most, replace=False))


def _searched_keys(vectors: ChannelVectors, pairs: np.ndarray) -> np.ndarray:
    pairs = np.asarray(pairs)
    check_shape("pairs", pairs, (None, 2))
    with_query = (pairs[:, 1] != PAD) & vectors.query_present[pairs[:, 1]]
    return pair_keys(pairs[with_query, 0], pairs[with_query, 1])


def _unkeyed(keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return keys >> 32, keys & 0xFFFFFFFF


def _distortion(
    part: Part,
    codes: np.ndarray,
    vectors: ChannelVectors,
    pair_key: np.ndarray,
    targets: np.ndarray,
    rng: np.random.Generator,
) -> float:
    """Expected squared score error over expected squared centred score; 0 = lossless, 1 = as good as the mean.

    Measured on at most `MEASURED_ROWS` of all that was encoded, not of what the part was trained on.
    """
    if not targets.any():
        return 0.0
    there = {"item": vectors.item_present.any(1), "query": vectors.query_present, "pair": np.ones(len(pair_key), bool)}
    rows = _sample(rng, np.flatnonzero(there[part.name]), MEASURED_ROWS)
    x = _vectors_of(part.name, vectors, pair_key, rows).astype(np.float64)
    c = covariance(targets, ridge=0.0)
    error, centred = x - part.decode(codes[rows]), x - part.transform.mean
    whole = float(np.einsum("nw,wv,nv->", centred, c, centred, optimize=True))
    return float(np.einsum("nw,wv,nv->", error, c, error, optimize=True)) / whole if whole else 0.0


def _arrays(part: Part) -> dict[str, np.ndarray]:
    coder = part.coder
    own = (
        {"low": coder.low, "step": coder.step}
        if isinstance(coder, Scalar)
        else {"centroids": coder.centroids, "live": coder.live}
    )
    basis = {} if part.basis is None else {"basis": part.basis}
    transform = part.transform
    return {"mean": transform.mean, "encode": transform.encode, "search": transform.search, **own, **basis}


def save_codebooks(codebooks: Codebooks, path: Path, *, replace: bool = True) -> None:
    """Write codebooks as a directory that appears at once: meta.json, tables.safetensors, codes.safetensors.

    Raises:
        OSError: they could not be written (a full disk).
    """
    with atomic_directory(path, replace=replace) as folder:
        tables = {
            f"{name}.{key}": np.ascontiguousarray(array)
            for name, part in codebooks.parts.items()
            for key, array in _arrays(part).items()
        }
        codes = {name: np.ascontiguousarray(array) for name, array in codebooks.codes.items()}
        owner = {"codebooks": codebooks.identity}
        try:
            save_file(tables, folder / TABLES, metadata=owner)
            save_file({**codes, "pair_key": codebooks.pair_key}, folder / CODES, metadata=owner)
        except SafetensorError as error:
            raise as_os_error(error, path) from error
        sums = {name: sha256_of(folder / name) for name in (TABLES, CODES)}
        write_json(folder / META, {**_meta(codebooks), "sha256": sums})
        seal(folder, sums)


def _meta(codebooks: Codebooks) -> dict[str, Any]:
    coders = {
        name: {"residual": part.coder.residual, "beam": part.coder.beam}
        for name, part in codebooks.parts.items()
        if isinstance(part.coder, Additive)
    }
    return {
        "format": FORMAT,
        "spec": str(codebooks.spec),
        "identity": codebooks.identity,
        "vectors_hash": codebooks.vectors_hash,
        "parts": list(codebooks.parts),
        "coders": coders,
        "distortion": codebooks.distortion,
        "seconds": codebooks.seconds,
    }


def load_codebooks(path: Path, vectors: ChannelVectors | None) -> Codebooks:
    """Read codebooks and check that they belong to `vectors` (None skips that check); again if they are replaced while
    they are read.

    Raises:
        MissingFileError, CorruptFileError: nothing usable is there.
        StaleError: another format, other vectors, or the codes of another codebook.
    """
    return settled(path / META, lambda: _load(path, vectors))


def _load(path: Path, vectors: ChannelVectors | None) -> Codebooks:
    meta = read_json(path / META)
    if not isinstance(meta, dict):
        raise CorruptFileError(f"{path / META} is no JSON object", hint="train the codebooks again")
    if meta.get("format") != FORMAT:
        raise StaleError(
            f"codebooks at {path.name} have format {meta.get('format')}, this version reads {FORMAT}",
            hint="train the codebooks again",
        )
    tables, table_owner = _read(path / TABLES)
    codes, code_owner = _read(path / CODES)
    if not (table_owner == code_owner == meta["identity"]):
        raise StaleError(
            f"codes of codebooks {code_owner} stand beside tables of {table_owner} (expected {meta['identity']})",
            hint="train the codebooks again; codes cannot be read with another codebook",
        )
    for name, recorded in meta.get("sha256", {}).items():  # codebooks of earlier days have none
        if (found := sha256_of(path / name)) != recorded:
            raise CorruptFileError(
                f"{path / name} was changed or cut short: sha256 {found[:12]}, recorded {recorded[:12]}",
                hint="train the codebooks again",
            )
    parts = {name: _part(name, tables, meta) for name in meta["parts"]}
    pair_key = codes.pop("pair_key")
    loaded = Codebooks(
        spec=parse(meta["spec"]),
        vectors_hash=meta["vectors_hash"],
        identity=meta["identity"],
        parts=parts,
        codes=codes,
        pair_key=pair_key,
        distortion=meta["distortion"],
        seconds=meta["seconds"],
    )
    if vectors is not None:
        loaded.check(vectors)
    return loaded


def _part(name: str, tables: dict[str, np.ndarray], meta: dict[str, Any]) -> Part:
    own = {key.partition(".")[2]: array for key, array in tables.items() if key.startswith(f"{name}.")}
    transform = Transform(own["mean"], own["encode"], own["search"])
    if "low" in own:
        return Part(name, transform, Scalar(own["low"], own["step"]), own.get("basis"))
    coder = meta["coders"][name]
    return Part(
        name, transform, Additive(own["centroids"], own["live"], coder["residual"], coder["beam"]), own.get("basis")
    )


def _read(path: Path) -> tuple[dict[str, np.ndarray], str]:
    if not path.is_file():
        raise MissingFileError(f"{path.name} is missing beside its meta.json", hint="train the codebooks again")
    try:
        with safe_open(path, framework="np") as file:
            owner = (file.metadata() or {}).get("codebooks", "")
        return load_file(path), owner
    except (SafetensorError, OSError, ValueError) as error:
        raise CorruptFileError(f"{path.name} cannot be read: {error}", hint="train the codebooks again") from error
