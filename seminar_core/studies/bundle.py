"""The trained run that comes with the sample, so that every station has something true to show before any training.

Studies, made by `sample --run`. A pretrained and a finetuned run of the default recipe, trained in a workspace of its
own and copied to `sample_data/run/`: the first, the best and a few checkpoints on the way without moments, codebooks,
the map of before and after, and what the codes lose for everybody. Rows of the token table that no query of the sample
has are left out, and weights are kept in half precision, which moves a score by less than a thousandth of itself.
"""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from ..alignment.stages import draw
from ..data.dataset import SAMPLE
from ..data.opening import open_dataset
from ..errors import ResourceError
from ..files import atomic_directory, read_json, sha256_of, write_json
from ..progress import Progress, silent
from ..search.population import population
from ..search.study import make_codebooks, open_study
from ..sums import seal
from ..training.checkpoint import MOMENTS, STATE, WEIGHTS, some_rows
from ..training.finetune import finetune, restored_of
from ..training.pretrain import pretrain
from ..training.recipe import FinetuneConfig, PretrainConfig
from ..training.run_files import read_card, write_card
from ..training.session import Orders
from ..training.settings import with_values
from ..workspace import Workspace

RUN, PSU = "sample-seminar", "sample-seminar-psu"
FRAMES = 3
MOST_BYTES = 8_000_000
KEPT = ("run.json", "status.json", "metrics.jsonl", "pretrain.json", "finetune.json", "codebooks", "population")


def make_bundle(sample: Path, *, settings: dict[str, Any] | None = None, progress: Progress = silent) -> dict[str, Any]:
    """Train the run of the bundled sample and put it into `sample`/run, replacing an older one.

    Args:
        sample: the folder of the sample, usually `sample_data/`.
        settings: of both trainings, instead of the recipe's; for tests.
        progress: of the training that runs.

    Returns:
        path, run, psu, bytes, seconds of both trainings, and the validation metrics of the ranker.

    Raises:
        ResourceError: it is larger than `MOST_BYTES`; the older one stays.
    """
    with tempfile.TemporaryDirectory() as scratch:
        workspace = Workspace(Path(scratch) / "workspace")
        orders = Orders(progress=progress, overwrite=True)
        given = {"device": "cpu", **(settings or {})}
        names = {PSU: f"{PSU}-made", RUN: f"{RUN}-made"}
        first = pretrain(
            workspace,
            SAMPLE,
            names[PSU],
            config=with_values(PretrainConfig(), {"frames": FRAMES, **given}),
            orders=orders,
        )
        last = finetune(
            workspace, SAMPLE, names[RUN], model="seminar", parent=names[PSU],
            config=with_values(FinetuneConfig(), given), orders=orders,
        )  # fmt: skip
        make_light(workspace, names[PSU], names[RUN])
        make_codebooks(open_study(workspace, names[RUN]), progress=progress)
        population(workspace, names[RUN], progress=progress)
        draw(workspace, names[RUN], ["before", "after"], progress=progress)
        with atomic_directory(sample / "run", replace=True) as folder:
            for name, made in names.items():
                copy_run(workspace.run_dir(made), folder / name, name, PSU if name == RUN else None)
            copy_maps(workspace.maps, folder / ".maps")
            size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
            if size > MOST_BYTES:
                raise ResourceError(
                    f"the run has {size:,} bytes, at most {MOST_BYTES:,} may come with the sample",
                    hint="keep fewer frames or a smaller width",
                )
    return {
        "path": str(sample / "run"),
        "run": RUN,
        "psu": PSU,
        "bytes": size,
        "seconds": first["seconds"] + last["seconds"],
        "validation": last["validation"],
    }


def used_tokens(workspace: Workspace) -> torch.Tensor:
    """Rows of the token table that a query of the sample has."""
    return torch.from_numpy(np.unique(open_dataset(workspace, SAMPLE).query_tokens).astype(np.int32))


def copy_run(made: Path, place: Path, name: str, parent: str | None) -> None:
    """Copy what a reader of the run needs, under its bundled name."""
    place.mkdir()
    for part in KEPT:
        if (made / part).is_dir():
            shutil.copytree(made / part, place / part)
        elif (made / part).is_file():
            shutil.copy(made / part, place / part)
    card = read_json(made / "run.json")
    write_json(place / "run.json", {**card, "name": name, "parent": parent})
    for checkpoint in sorted((made / "checkpoints").glob("[!.]*")):
        if checkpoint.name == "best" or (parent is None and checkpoint.name.startswith("step-")):
            shutil.copytree(checkpoint, place / "checkpoints" / checkpoint.name)
    seal(place)


def make_light(workspace: Workspace, psu: str, run: str) -> None:
    """Lighten the checkpoints of both runs; the second remembers the first as it then is."""
    tokens = used_tokens(workspace)
    for name in (psu, run):
        for checkpoint in sorted((workspace.run_dir(name) / "checkpoints").glob("[!.]*")):
            lighten(checkpoint, tokens)
    path = workspace.run_dir(run)
    write_card(path, replace(read_card(path), restored=restored_of(workspace, psu)))


def lighten(checkpoint: Path, tokens: torch.Tensor) -> None:
    """Leave a checkpoint's weights alone, in half precision and without rows of tokens that no query has."""
    weights = {n: v.half() if v.is_floating_point() else v for n, v in load_file(checkpoint / WEIGHTS).items()}
    state = read_json(checkpoint / STATE)
    with atomic_directory(checkpoint, replace=True) as partial:
        save_file(some_rows(weights, {"channels.token_embedding": tokens}), partial / WEIGHTS)
        save_file({}, partial / MOMENTS)
        sums = {file: sha256_of(partial / file) for file in (WEIGHTS, MOMENTS)}
        write_json(partial / STATE, {**state, "optimisers": [], "sha256": sums})
        seal(partial, sums)


def copy_maps(made: Path, place: Path) -> None:
    """Copy the maps, said to be of the run under its bundled name."""
    shutil.copytree(made, place)
    for path in place.glob("*/map.json"):
        facts = read_json(path)
        write_json(path, {**facts, "source": {**facts["source"], "run": RUN}})
