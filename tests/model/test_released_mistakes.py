"""The mistakes of the paper's released code, one test each, for what no other file of this folder covers.

Covered elsewhere: frozen tables overwritten (test_channels), padding after top-K and repeated items (test_attention),
relevance and alignment in the wrong direction (test_psu, test_losses), unknown names (test_baselines), a batch of one,
state that does not move (test_every_model).
"""

import ast
from pathlib import Path

import pytest
import torch

from seminar_core import model as package
from seminar_core.model.baselines import MODELS
from seminar_core.model.losses import softmax_loss
from seminar_core.model.tensors import to_tensors
from tests.model.model_worlds import HEADS, make_batch, make_model, make_psu

SOURCES = sorted(Path(package.__file__).parent.glob("*.py"))


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.stem)
def test_nothing_squeezes_without_naming_the_axis_and_nothing_swallows_errors(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "squeeze":
            assert node.args or node.keywords, f"{path.name}:{node.lineno} squeezes without an axis"
        if isinstance(node, ast.ExceptHandler):
            assert node.type is not None and getattr(node.type, "id", "") not in ("Exception", "BaseException")


def test_every_head_is_registered_and_trained():
    """Heads in a plain list were never trained: here each head's rows of W^Q, W^K, W^V, W^O move."""
    model = make_model("seminar")
    before = {n: p.detach().clone() for n, p in model.named_parameters()}
    life, targets = to_tensors(*make_batch())
    softmax_loss(model(life, targets).logits, targets.valid).backward()
    torch.optim.SGD(model.parameters(), lr=1.0).step()
    for name in ("score.query", "score.key", "values.value"):
        moved = (dict(model.named_parameters())[name] - before[name]).abs().view(HEADS, -1).amax(1)
        assert (moved > 0).all()
    moved = (model.values.output - before["values.output"]).abs().view(-1, HEADS, 16 // HEADS).amax((0, 2))
    assert (moved > 0).all()


@pytest.mark.parametrize("name", MODELS)
def test_a_forward_pass_creates_no_parameters(name):
    model = make_model(name)
    before = [id(p) for p in model.parameters()], len(list(model.modules()))
    model(*to_tensors(*make_batch()))
    assert ([id(p) for p in model.parameters()], len(list(model.modules()))) == before


@pytest.mark.parametrize("name", MODELS)
def test_all_candidates_are_scored_in_one_pass(name):
    """Operations do not grow with heads, candidates or positions."""

    def operations(candidates: int, positions: int) -> int:
        life, targets = to_tensors(*make_batch(candidates=candidates, positions=positions))
        model = make_model(name).eval()
        with torch.no_grad(), torch.profiler.profile() as profile:
            model(life, targets)
        return sum(event.count for event in profile.key_averages())

    small, large = operations(3, 2), operations(30, 6)
    assert large < 1.3 * small


def test_one_pass_over_a_life_trains_many_positions():
    psu = make_psu(objectives={"next_pair": 1.0})
    life, targets = to_tensors(*make_batch(positions=6, lengths=(12, 12)))
    logits = psu(life, targets).logits
    for p in range(6):
        psu.zero_grad()
        softmax_loss(logits[:, p : p + 1], targets.valid[:, p : p + 1]).backward(retain_graph=True)
        assert psu.channels.id_embedding.grad.any()


def test_no_tensor_of_life_times_heads_times_width_is_made():
    """B L H D numbers would be 4 times the events; the largest tensor is the events or the scores themselves."""
    model = make_model("seminar").eval()
    life, targets = to_tensors(*make_batch(lengths=(64,) * 3, width=64, positions=1, candidates=2))
    with torch.no_grad(), torch.profiler.profile(record_shapes=True) as profile:
        model(life, targets)
    sizes = [
        torch.Size(shape).numel()
        for event in profile.events()
        for shape in event.input_shapes
        if shape and all(isinstance(side, int) for side in shape)
    ]
    assert max(sizes) < 3 * 64 * HEADS * 16
