"""Commands about alignment: `gap`, `worklist`, `map`."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Any

import typer

from ..errors import UnknownNameError
from ..workspace import Workspace
from .main import command, report_progress

RunOption = Annotated[str, typer.Option("--run", help="Name of a run; `runs` lists them.")]
StageOption = Annotated[
    str | None, typer.Option("--stage", help="after, before or finetuned; else the first that the run has.")
]
SliceOption = Annotated[
    str | None, typer.Option("--slice", help="Only items with one value of an attribute: field=value.")
]
FORMATS = ("table", "embedding-atlas", "projector")


def gap(
    workspace: Workspace,
    run: RunOption,
    stage: StageOption = None,
    correction: Annotated[
        str, typer.Option("--correction", help="none, centred or procrustes: what remains after it?")
    ] = "none",
    seed: Annotated[int, typer.Option("--seed", min=0, help="Decides resampling and samples.")] = 0,
    slice_: SliceOption = None,
) -> dict[str, Any]:
    """The number card of alignment: how far apart the modalities are."""
    from ..alignment import stages as alignment

    return alignment.gap(workspace, run, stage, correction=correction, seed=seed, slice_=slice_)


def worklist(
    workspace: Workspace,
    run: RunOption,
    of: Annotated[str, typer.Option("--of", help="items or people")] = "items",
    stage: StageOption = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="How many rows.")] = 50,
    slice_: SliceOption = None,
) -> dict[str, Any]:
    """Items or people whose modalities disagree most, with a likely reason."""
    from ..alignment import worklist_rows

    return worklist_rows.worklist(workspace, run, of=of, stage=stage, limit=limit, slice_=slice_)


def map_(
    workspace: Workspace,
    run: RunOption,
    out: Annotated[Path, typer.Option("--out", help="Parquet file to write; a directory for --format projector.")],
    stages: Annotated[
        str | None, typer.Option("--stages", help="Stages on one joint layout, by commas; else before,after.")
    ] = None,
    method: Annotated[str, typer.Option("--method", help="umap or pca")] = "umap",
    seed: Annotated[int, typer.Option("--seed", min=0, max=2**32 - 1, help="Decides the sample and the layout.")] = 0,
    format: Annotated[str, typer.Option("--format", help="table, embedding-atlas or projector")] = "table",
) -> dict[str, Any]:
    """Coordinates of all modalities on one joint map."""
    if format not in FORMATS:
        raise UnknownNameError("format", format, FORMATS)
    from ..alignment import map_export
    from ..alignment import stages as alignment
    from ..alignment.map_store import MapRequest

    started = time.perf_counter()
    map_export.check_out(out, folder=format == "projector")
    names = [name.strip() for name in stages.split(",")] if stages else []
    answer, layout, dataset = alignment.map_answer(
        workspace, run, names, request=MapRequest(method=method, seed=seed), progress=report_progress()
    )
    if format == "projector":
        map_export.write_projector(layout, dataset.item_ids, dataset.titles, dataset.picture, out)
    elif format == "embedding-atlas":
        map_export.write_table(map_export.embedding_atlas_table(layout, dataset.item_ids, dataset.titles), out)
    else:
        map_export.write_table(map_export.map_table(layout, dataset.item_ids), out)
    return answer | {"out": out, "format": format, "seconds": time.perf_counter() - started}


def register(app: typer.Typer) -> None:
    """Add this area's commands."""
    command(app, "gap")(gap)
    command(app, "worklist")(worklist)
    command(app, "map")(map_)
