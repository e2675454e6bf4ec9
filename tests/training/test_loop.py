"""The training loop on a toy model: exact resume, best kept from last, divergence, budgets, stop requests."""

import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from seminar_core.errors import Cancelled, CorruptFileError, DivergedError, NoMemoryError
from seminar_core.files import read_lines
from seminar_core.training.checkpoint import Fingerprint, load_weights
from seminar_core.training.counters import Counters, frame_stride
from seminar_core.training.loop import Loop, StepLosses, Task
from seminar_core.training.recipe import BudgetConfig, OptimiserConfig

FINGERPRINT = Fingerprint("abc", 3, 2)


class Toy(nn.Module):
    """A table with sparse gradients and a layer with dropout, so that resuming needs every kind of state."""

    def __init__(self):
        super().__init__()
        self.table = nn.Embedding(6, 4, sparse=True)
        self.layer = nn.Linear(4, 1)
        self.dropout = nn.Dropout(0.3)

    def forward(self, rows):
        return self.layer(self.dropout(self.table(rows)))[..., 0]


def toy_task(*, poison_at=None, score=None, seed=0):
    torch.manual_seed(seed)
    model = Toy()
    optimisers = [
        torch.optim.Adam(model.layer.parameters(), lr=0.05),
        torch.optim.SparseAdam(list(model.table.parameters()), lr=0.05),
    ]
    wanted = torch.linspace(-1, 1, 6)

    def losses(step):
        rows = torch.from_numpy(np.random.default_rng((1, step)).integers(0, 6, 8))
        total = ((model(rows) - wanted[rows]) ** 2).mean()
        if step == poison_at:
            total = total * float("nan")
        return StepLosses(total, {"square": total * 1.0}, examples=8)

    def validate():
        error = float(((model(torch.arange(6)) - wanted) ** 2).mean())
        return {"score": -error if score is None else score.pop(0)}

    rate = OptimiserConfig(warmup=3, final_rate=0.1).rate
    return Task(model, optimisers, losses, validate, select="score", fingerprint=FINGERPRINT, rate=rate)


def budget(**changes):
    return BudgetConfig(**{"steps": 40, "seconds": 1e9, "evaluate_every": 10, "patience": 100, **changes})


def test_training_goes_down_and_leaves_first_best_and_last(tmp_path):
    outcome = Loop(toy_task(), tmp_path, budget(steps=150)).run()
    lines = [line for line in read_lines(tmp_path / "metrics.jsonl") if "loss/total" in line]
    assert lines[-1]["loss/total"] < 0.5 * lines[0]["loss/total"]
    assert {p.name for p in (tmp_path / "checkpoints").iterdir()} == {"step-000000", "best", "last"}
    assert outcome.reason == "steps" and outcome.counters.step == 150 and outcome.counters.examples == 1200
    assert {"step", "time_s", "examples_per_s", "memory_mb", "loss/square"} <= lines[0].keys()


@pytest.mark.parametrize("half", [20, 13])
def test_stopped_and_resumed_equals_uninterrupted(tmp_path, half):
    whole = toy_task()
    Loop(whole, tmp_path / "whole", budget()).run()
    asked = iter(range(10_000))
    first = Loop(toy_task(), tmp_path / "parts", budget()).run(should_stop=lambda: next(asked) >= half)
    assert first.reason == "stopped" and first.counters.step == half
    torch.manual_seed(999)
    second = toy_task(seed=5)
    outcome = Loop(second, tmp_path / "parts", budget()).run(resume=True)
    for name, value in whole.model.state_dict().items():
        assert torch.allclose(value, second.model.state_dict()[name], atol=1e-6), name
    assert outcome.counters.step == 40
    a, b = (
        [
            (line["step"], line["validation/score"])
            for line in read_lines(tmp_path / d / "metrics.jsonl")
            if len(line) == 3
        ]
        for d in ("whole", "parts")
    )
    assert np.allclose(a, b, atol=1e-6)


def test_the_best_is_not_overwritten_by_the_last(tmp_path):
    task = toy_task(score=[0.1, 0.2, 0.9, 0.3, 0.2])
    outcome = Loop(task, tmp_path, budget()).run()
    best, last = Toy(), Toy()
    at = load_weights(tmp_path / "checkpoints" / "best", best, FINGERPRINT)
    load_weights(tmp_path / "checkpoints" / "last", last, FINGERPRINT)
    assert at["counters"]["step"] == 20 == outcome.counters.best_step and outcome.counters.validation == {"score": 0.9}
    assert not torch.equal(best.layer.weight, last.layer.weight)
    assert torch.equal(last.layer.weight, task.model.layer.weight)


def test_patience_ends_a_run_that_no_longer_improves(tmp_path):
    outcome = Loop(toy_task(score=[0.5, 0.4, 0.3, 0.2]), tmp_path, budget(patience=3)).run()
    assert (outcome.reason, outcome.counters.step, outcome.counters.best_step) == ("patience", 30, 0)


def test_seconds_end_a_run_and_what_was_learnt_since_is_measured(tmp_path):
    ticks = iter(np.arange(0, 10_000, 1.0))
    outcome = Loop(toy_task(), tmp_path, budget(seconds=15), clock=lambda: next(ticks)).run()
    assert outcome.reason == "seconds" and 10 < outcome.counters.step < 20
    assert [line["step"] for line in read_lines(tmp_path / "metrics.jsonl") if "validation/score" in line][-1] == (
        outcome.counters.step
    )


def test_slow_steps_get_a_line_of_their_own_at_least_every_second(tmp_path):
    ticks = iter(np.arange(0, 10_000, 0.6))
    Loop(toy_task(), tmp_path, budget(steps=12), clock=lambda: next(ticks)).run()
    lines = [line for line in read_lines(tmp_path / "metrics.jsonl") if "loss/total" in line]
    assert [line["step"] for line in lines] == [2, 4, 5, 7, 9, 10, 12]
    assert np.diff([line["time_s"] for line in lines]).max() < 2


def test_a_loss_that_is_not_finite_names_the_step_and_keeps_the_best(tmp_path):
    with pytest.raises(
        DivergedError, match=r"step 25 gave numbers that are not finite.*best checkpoint is that of step"
    ) as caught:
        Loop(toy_task(poison_at=25), tmp_path, budget()).run()
    assert "learning_rate" in caught.value.hint
    load_weights(tmp_path / "checkpoints" / "best", Toy(), FINGERPRINT)
    model = Toy()
    load_weights(tmp_path / "checkpoints" / "last", model, FINGERPRINT)
    assert all(torch.isfinite(p).all() for p in model.parameters())


@pytest.mark.parametrize("said", [MemoryError(), RuntimeError("DefaultCPUAllocator: can't allocate memory: 9 bytes")])
def test_no_memory_is_named_and_the_checkpoints_stay(tmp_path, said):
    task = toy_task()

    def losses(step):
        if step == 12:
            raise said
        return task.losses(step)

    with pytest.raises(NoMemoryError, match="cpu ran out of memory at step 12") as caught:
        Loop(dataclasses.replace(task, losses=losses), tmp_path, budget()).run()
    assert caught.value.kind == "out_of_memory" and "half the batch_size" in caught.value.hint
    assert Loop(toy_task(), tmp_path, budget()).run(resume=True).counters.step == 40


def test_cancelling_through_progress_leaves_a_checkpoint_to_resume(tmp_path):
    def progress(done, total, message):
        assert total == 40 and message.startswith("training")
        if done == 17:
            raise Cancelled("stop", hint="resume it")

    with pytest.raises(Cancelled):
        Loop(toy_task(), tmp_path, budget()).run(progress=progress)
    assert Loop(toy_task(), tmp_path, budget()).run(resume=True).counters.step == 40


def test_no_step_at_all_is_a_run_with_its_first_checkpoint(tmp_path):
    outcome = Loop(toy_task(), tmp_path, budget(steps=0)).run()
    assert outcome.counters.best_step == 0 and (tmp_path / "checkpoints" / "best").is_dir()


def test_checkpoints_on_the_way_are_kept_when_asked(tmp_path):
    Loop(toy_task(), tmp_path, budget(keep_every=15)).run()
    assert {"step-000015", "step-000030"} <= {p.name for p in (tmp_path / "checkpoints").iterdir()}


@pytest.mark.parametrize(("steps", "kept"), [(4, []), (30, [5, 10, 15, 20, 25, 30]), (40, [10, 20, 30, 40])])
def test_a_film_has_few_frames_evenly_spread_wherever_the_run_ends(tmp_path, steps, kept):
    Loop(toy_task(), tmp_path, budget(steps=steps, frames=6)).run()
    names = sorted(path.name for path in (tmp_path / "checkpoints").glob("step-*"))
    assert names == [f"step-{step:06d}" for step in [0, *kept]]
    if kept:  # a frame is shown and never resumed from, so it holds no moments of the optimisers
        frame, last = (tmp_path / "checkpoints" / name for name in (names[-1], "last"))
        load_weights(frame, Toy(), FINGERPRINT)
        sizes = [(path / "moments.safetensors").stat().st_size for path in (frame, last)]
        assert sizes[0] < sizes[1]


@given(step=st.integers(1, 10**6), frames=st.integers(1, 20))
def test_frames_never_exceed_their_number_nor_fall_below_half(step, frames):
    stride = frame_stride(step, frames)
    assert step // stride <= frames
    assert step < 5 * frames or step // stride >= frames // 2


def test_resumed_runs_keep_the_same_frames(tmp_path):
    asked = iter(range(10_000))
    Loop(toy_task(), tmp_path, budget(frames=6)).run(should_stop=lambda: next(asked) >= 27)
    Loop(toy_task(), tmp_path, budget(frames=6)).run(resume=True)
    assert len(list((tmp_path / "checkpoints").glob("step-*"))) == 5


def test_broken_counters_are_named():
    with pytest.raises(CorruptFileError, match="counters"):
        Counters.from_json({"steps": 3})


def test_rates_rise_and_fall_in_straight_lines_over_the_budget(tmp_path):
    task, seen = toy_task(), []
    first = task.losses
    task = dataclasses.replace(
        task, losses=lambda step: (seen.append([o.param_groups[0]["lr"] for o in task.optimisers]), first(step))[1]
    )
    Loop(task, tmp_path, budget(steps=11)).run()
    seen.append([o.param_groups[0]["lr"] for o in task.optimisers])
    expected = [min(1, (n + 1) / 3) * (1 - 0.9 * n / 10) * 0.05 for n in range(11)]
    assert np.allclose(seen[1:], np.array(expected)[:, None])  # a step sees the rate of the step before it
    constant = OptimiserConfig(warmup=0, final_rate=1)
    assert {constant.rate(step, 10) for step in range(20)} == {1.0}
