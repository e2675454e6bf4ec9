"""A tiny trained run with coarse codebooks for tests of retrieval, its views and its commands: about two seconds."""

from __future__ import annotations

from pathlib import Path

from seminar_core.search.study import make_codebooks, open_study
from seminar_core.training.finetune import finetune
from seminar_core.training.pretrain import pretrain
from seminar_core.training.recipe import FinetuneConfig, PretrainConfig
from seminar_core.training.settings import load_config
from seminar_core.workspace import Workspace
from tests.tiny import make_dataset

SPEC = "QC12,RQ4x4fs"
COARSE = "PQ4x4"
SMALL = (
    "width=16",
    "heads=2",
    "keep=6",
    "hidden=16",
    "max_length=100",
    "batch_size=6",
    "targets_per_life=4",
    "negatives=6",
    "steps=4",
    "evaluate_every=4",
    "validation_people=8",
)


def make_run(root: Path, *, people: int = 12) -> Workspace:
    """A workspace with data set `tiny`, runs `psu` and `run`, and codebooks `SPEC` and `COARSE` of `run`."""
    workspace = Workspace(root / "workspace")
    make_dataset(workspace, people=people, longest=60)
    chosen = {kind: load_config(kind, None, SMALL, seed=0, device="cpu") for kind in (PretrainConfig, FinetuneConfig)}
    pretrain(workspace, "tiny", "psu", config=chosen[PretrainConfig])
    finetune(workspace, "tiny", "run", model="seminar", parent="psu", config=chosen[FinetuneConfig])
    study = open_study(workspace, "run")
    for spec in (SPEC, COARSE):
        make_codebooks(study, spec)
    return workspace
