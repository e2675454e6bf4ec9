"""Twenty steps of a small training, alone or shared; started by `test_distributed.py`, also under torchrun.

python shared_steps.py OUT KIND GATHER     KIND: psu, psu-extras, psu-sparse, ranker, ranker-labels; GATHER: 1 or 0
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from safetensors.torch import save_file

from seminar_core.model.baselines import build_model
from seminar_core.model.channels import Channels
from seminar_core.model.fusion import Fusion
from seminar_core.model.losses import weighted_sum
from seminar_core.model.psu import PSU
from seminar_core.model.tensors import LifeTensors, TargetTensors
from seminar_core.training import distributed, launch

ITEMS, QUERIES, LIVES, LENGTH, POSITIONS, CANDIDATES, STEPS = 40, 15, 8, 12, 3, 4, 20
LABEL_WEIGHT = {"label": 0.5}


def small_channels(sparse: bool) -> Channels:
    draw = torch.Generator().manual_seed(1)
    attributes = torch.randint(0, 6, (ITEMS + 1, 2), generator=draw)
    tokens = torch.randint(0, 30, (QUERIES + 1, 3), generator=draw)
    text, image = (torch.randn(ITEMS + 1, 5, generator=draw) for _ in range(2))
    attributes[0], tokens[0], text[0], image[0] = 0, 0, 0, 0
    image[::3] = 0
    return Channels(
        width=8, n_items=ITEMS, attributes=attributes, n_attribute_values=6, query_tokens=tokens, n_query_tokens=30,
        text_items=text, image_items=image, sparse=sparse,
    )  # fmt: skip


def batch(step: int) -> tuple[LifeTensors, TargetTensors]:
    """The whole batch of a step: lives of unequal length, so that processes hold unequal numbers of targets."""
    draw = torch.Generator().manual_seed(1000 + step)
    lengths = torch.arange(LIVES) % LENGTH + 1
    valid = torch.arange(LENGTH) < lengths[:, None]
    item = torch.randint(1, ITEMS + 1, (LIVES, LENGTH), generator=draw) * valid
    query = torch.randint(0, QUERIES + 1, (LIVES, LENGTH), generator=draw) * valid
    time_s = torch.arange(LENGTH).expand(LIVES, LENGTH) * 3600
    shape = (LIVES, POSITIONS)
    targets = TargetTensors(
        torch.randint(1, ITEMS + 1, (*shape, CANDIDATES), generator=draw),
        torch.randint(0, QUERIES + 1, (*shape, CANDIDATES), generator=draw),
        torch.full(shape, LENGTH * 3600),
        lengths[:, None].expand(shape).contiguous(),
        torch.arange(POSITIONS) < (torch.arange(LIVES) % POSITIONS + 1)[:, None],
        torch.ones(shape, dtype=torch.int8),
    )
    return LifeTensors(item, query, time_s, valid), targets


def labelled_events(step: int) -> TargetTensors:
    """Labelled events of the same lives, of which some lives have none."""
    draw = torch.Generator().manual_seed(2000 + step)
    shape = (LIVES, 2)
    visible = (torch.arange(LIVES) % LENGTH + 1)[:, None].expand(shape).contiguous()
    return TargetTensors(
        torch.randint(1, ITEMS + 1, (*shape, 1), generator=draw),
        torch.zeros(*shape, 1, dtype=torch.int64),
        torch.full(shape, LENGTH * 3600),
        visible,
        torch.arange(2) < (torch.arange(LIVES) % 3)[:, None],
        torch.randint(0, 2, shape, generator=draw).to(torch.int8),
    )


def main(out: Path, kind: str, gather: bool) -> None:
    group = launch.launched()
    torch.manual_seed(0)
    channels = small_channels(kind == "psu-sparse")
    ranker, labels = kind.startswith("ranker"), kind == "ranker-labels"
    if ranker:
        model = build_model("sim-soft", channels=channels, fusion=Fusion(), heads=2, keep=4, tasks=1 + labels)
    else:
        extras = {"masked_attribute": 0.5, "masked_event": 0.5} if kind == "psu-extras" else {}
        objectives = {"next_pair": 1.0, "alignment": 0.5, "relevance": 0.5, **extras}
        hard = {"in_batch_negatives": 3, "hard_negatives": 4} if extras else {}
        model = PSU(channels=channels, fusion=Fusion(), heads=2, keep=4, objectives=objectives, sample=16, **hard)
    tables = [p for n, p in model.named_parameters() if n.endswith(("id_embedding", "token_embedding"))]
    sparse = {id(p) for p in tables} if kind == "psu-sparse" else set()
    optimisers = [torch.optim.AdamW([p for p in model.parameters() if id(p) not in sparse], lr=1e-3)]
    if sparse:
        optimisers.append(torch.optim.SparseAdam(tables, lr=1e-3))
    step_of = None
    if group is not None:
        launch.join(group)
        share = (
            distributed.SharedRanker(model, "bce", group, LABEL_WEIGHT)
            if ranker
            else distributed.SharedPSU(model, group, gather=gather)
        )
        step_of = distributed.shared(share, "cpu", ("id_embedding", "token_embedding") if sparse else ())
    history: list[list[float]] = []
    names: list[str] = []
    for step in range(STEPS):
        life, targets = batch(step)
        extra = (torch.Generator().manual_seed(step),) if not ranker else (labelled_events(step),) if labels else ()
        if step_of is not None:
            total, losses = step_of(life, targets, *extra)
        elif ranker:
            losses = model.losses("bce", life, targets, *extra)
            total = weighted_sum(losses, LABEL_WEIGHT)
        else:
            output = model(life, targets, *extra)
            total, losses = output.total, output.losses
        for optimiser in optimisers:
            optimiser.zero_grad(set_to_none=True)
        total.backward()
        for optimiser in optimisers:
            optimiser.step()
        shown = distributed.averaged(losses) if group is not None else losses
        names = list(shown)
        history.append([float(value.detach()) for value in shown.values()])
    if group is None or group.writes:
        state = {f"weight/{name}": value.contiguous() for name, value in model.state_dict().items()}
        save_file(
            {**state, **{f"loss/{n}": torch.tensor([row[i] for row in history]) for i, n in enumerate(names)}}, out
        )
    # DDP must be gone before the group is: the last to let go of a gloo group joins its thread with the GIL held, and
    # that thread may be waiting for the GIL.
    del step_of
    launch.leave(group)


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(Path(sys.argv[1]), sys.argv[2], sys.argv[3] == "1")
