"""Command `encode`: frozen vectors of items and queries."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from ..workspace import Workspace
from .main import command, report_progress


def encode(
    workspace: Workspace,
    dataset: Annotated[str, typer.Option("--dataset", help="Name of a data set; `datasets` lists them.")],
    text: Annotated[
        str,
        typer.Option(
            "--text",
            help="tfidf-svd-256, hashing-256, minilm, wordllama, given:FILE, sentence-transformers:PATH or clip:PATH.",
        ),
    ] = "tfidf-svd-256",
    image: Annotated[
        str, typer.Option("--image", help="histogram, efficientnet-lite0, given:FILE or clip:PATH.")
    ] = "histogram",
) -> dict[str, Any]:
    """Compute the frozen text and image vectors of a data set."""
    from ..data.opening import open_dataset
    from ..encoders import encode as encode_dataset

    progress = report_progress()
    return encode_dataset(open_dataset(workspace, dataset, progress), text=text, image=image, progress=progress)


def register(app: typer.Typer) -> None:
    """Add the command."""
    command(app, "encode")(encode)
