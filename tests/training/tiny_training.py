"""What the training tests share: a tiny data set in a workspace, and settings of a few small steps."""

from pathlib import Path

from tiny import make_dataset

from seminar_core.workspace import Workspace

SMALL = {
    "width": 16,
    "heads": 2,
    "keep": 8,
    "hidden": 16,
    "max_length": 40,
    "batch_size": 6,
    "targets_per_life": 4,
    "negatives": 6,
    "steps": 12,
    "evaluate_every": 6,
    "validation_people": 20,
    "sample": 64,
    "device": "cpu",
}
RANKER = {**{name: value for name, value in SMALL.items() if name != "sample"}, "spec": "QC32,RQ8x4fs"}


def tiny_workspace(folder: Path, seed: int = 0) -> Workspace:
    """A workspace in `folder` with the data set "tiny"; the same folder again replaces the data set."""
    workspace = Workspace(folder / "workspace")
    make_dataset(workspace, "tiny", people=24, items=80, seed=seed, shortest=12, longest=30)
    return workspace
