"""The one training loop, for pretraining and finetuning alike.

Training. Step -> losses -> a line in metrics.jsonl; validation at intervals on a fixed subset of people; the best and
the last checkpoint kept apart. What a step sees depends on its number alone, so a run that is stopped and resumed ends
where an uninterrupted one ends. The loop reads values back from the device only when it writes a line, so that a GPU is
never waited for inside a step. Started several times by a launcher, all processes step together, decide by the first
one's clock and measurements, and only the first writes. Departures from the paper's released code: no broad `except`
around an epoch, and a loss that is not finite ends the run with a named error while the best checkpoint stays.
"""

from __future__ import annotations

import math
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from ..errors import Cancelled, DivergedError, NoMemoryError, NonFiniteError
from ..files import HeldDirectory, append_line, read_lines
from ..progress import Progress, silent
from ..runtime import peak_memory_mb
from .checkpoint import Fingerprint, resume_from, save_checkpoint
from .counters import LOG_EVERY, Counters, frame_stride
from .distributed import averaged
from .launch import Group, agree, from_first
from .recipe import BudgetConfig
from .run_files import BEST, FIRST, LAST

LOG_SECONDS = 1.0
"""A line is written every `LOG_EVERY` steps, and after the first step that ends this long after the last line."""


def no_room(error: MemoryError | RuntimeError) -> bool:
    """Whether it says that memory ran out; on the CPU torch says so with a plain RuntimeError."""
    return isinstance(error, (MemoryError, torch.OutOfMemoryError)) or "can't allocate memory" in str(error)


@dataclass(frozen=True)
class StepLosses:
    """The losses of one step.

    Fields:
        total: scalar with a gradient.
        parts: name -> scalar, for the log.
        examples: targets that the step served.
    """

    total: Tensor
    parts: dict[str, Tensor]
    examples: int


@dataclass(frozen=True)
class Task:
    """What the loop trains.

    Fields:
        model: in training mode during steps, in evaluation mode during validation.
        optimisers: each steps once per step.
        losses: step number -> losses; must depend on nothing but the step and the weights.
        validate: metrics on the validation people.
        select: the validation metric that decides; higher is better.
        fingerprint: vocabulary of the data set.
        device: where the model lives.
        bfloat16: whether products run in bfloat16.
        clip: largest gradient norm, 0 = none.
        group: the processes that share every step, None for one alone; the losses are then this process's share.
        rate: (step, steps in all) -> factor on the optimisers' learning rates.
    """

    model: nn.Module
    optimisers: Sequence[Optimizer]
    losses: Callable[[int], StepLosses]
    validate: Callable[[], dict[str, float]]
    select: str
    fingerprint: Fingerprint
    device: str = "cpu"
    bfloat16: bool = False
    clip: float = 0.0
    group: Group | None = None
    rate: Callable[[int, int], float] = lambda step, steps: 1.0

    @property
    def writes(self) -> bool:
        """Whether this process keeps the run's files."""
        return self.group is None or self.group.writes


@dataclass(frozen=True)
class Outcome:
    """How a run ended: its counters, and `reason`: "steps", "seconds", "patience" or "stopped"."""

    counters: Counters
    reason: str

    @property
    def examples_per_s(self) -> float:
        return self.counters.examples / max(self.counters.seconds, 1e-9)


class Loop:
    """Runs a task in a run directory.

    Args:
        task: what to train.
        directory: the run directory; `metrics.jsonl` and `checkpoints/` are written there.
        budget: when to end and how often to validate.
        clock: seconds, rising.
    """

    def __init__(
        self, task: Task, directory: Path, budget: BudgetConfig, *, clock: Callable[[], float] = time.monotonic
    ):
        self.task, self.directory, self.budget, self.clock = task, directory, budget, clock
        self.counters = Counters()
        self._pending: list[dict[str, Tensor]] = []
        self._cancelled: Cancelled | None = None
        self._held: HeldDirectory | None = None

    def run(
        self,
        *,
        resume: bool = False,
        progress: Progress = silent,
        should_stop: Callable[[], bool] = lambda: False,
    ) -> Outcome:
        """Train until the budget, patience or `should_stop` ends it.

        Raises:
            DivergedError: a loss is not finite; the best checkpoint stays.
            NoMemoryError: the device or this machine ran out of memory.
            GoneError: the run directory was moved or deleted meanwhile.
            Cancelled: raised by `progress`; the last checkpoint was written first.
        """
        if self.task.writes:
            self.directory.mkdir(exist_ok=True)
            hint = "resume it where it lies now, or train the run again"
            self._held = HeldDirectory(self.directory, "the run's directory", hint)
        try:
            return self._run(resume, progress, should_stop)
        except OSError:
            self._check_directory()
            raise
        except (MemoryError, RuntimeError) as error:
            if not no_room(error):
                raise
            said = (str(error).splitlines() or [type(error).__name__])[0]
            raise NoMemoryError(
                f"{self.task.device} ran out of memory at step {self.counters.step}: {said}",
                hint="resume with half the batch_size (the checkpoints stay), or lower targets_per_life or max_length",
            ) from error
        except Cancelled:
            self._save(LAST)
            raise
        finally:
            if self._held is not None:
                self._held.close()

    def _check_directory(self) -> None:
        if self._held is not None:
            self._held.check()

    def _run(self, resume: bool, progress: Progress, should_stop: Callable[[], bool]) -> Outcome:
        counters, budget = self._start(resume), self.budget
        began, before = self.clock(), counters.seconds
        reason, logged = "steps", before
        while counters.step < budget.steps:
            wanted = should_stop() or self._cancelled is not None
            counters.seconds, stop = agree(self.task.group, seconds=counters.seconds, stop=wanted)
            if not self._pending or counters.seconds - logged >= LOG_SECONDS:
                self._log()
                logged = counters.seconds
            if stop:
                reason = "stopped"
                break
            if counters.seconds >= budget.seconds:
                reason = "seconds"
                break
            self._pending.append(self._step(counters.step))
            counters.step += 1
            counters.seconds = before + self.clock() - began
            if counters.step % LOG_EVERY == 0 or counters.step == budget.steps:
                self._log()
            if counters.step % budget.evaluate_every == 0 or counters.step == budget.steps:
                self._validate()
                counters.seconds = before + self.clock() - began
                self._save(LAST)
                if counters.misses >= budget.patience:
                    reason = "patience"
                    break
            if budget.keep_every and counters.step % budget.keep_every == 0:
                self._save(f"step-{counters.step:06d}")
            elif budget.frames and not budget.keep_every:
                self._keep_frame()
            self._report(progress)
        self._finish(reason)
        if self._cancelled is not None:
            raise self._cancelled
        return Outcome(counters, reason)

    def _report(self, progress: Progress) -> None:
        """Tell how far the run is; one process of several that is cancelled first lets the others know."""
        try:
            progress(*self._advance(), self._words())
        except Cancelled as asked:
            if self.task.group is None or self.counters.step == self.budget.steps:
                raise
            self._cancelled = asked

    def _start(self, resume: bool) -> Counters:
        """Counters at the start: those of the last checkpoint when resuming, else fresh with a step-0 checkpoint."""
        task = self.task
        if resume:
            path = self.directory / "checkpoints" / LAST
            self.counters = Counters.from_json(resume_from(path, task.model, task.optimisers, task.fingerprint))
            self._forget_later_lines()
        else:
            if task.writes:
                (self.directory / "metrics.jsonl").unlink(missing_ok=True)
            self._validate()
            self._save(FIRST)
            self._save(LAST)
        return self.counters

    def _forget_later_lines(self) -> None:
        """Drop lines written after the checkpoint that training goes on from; they will be written again."""
        if not self.task.writes:
            return
        path = self.directory / "metrics.jsonl"
        kept = [line for line in read_lines(path) if line["step"] <= self.counters.step]
        partial = path.with_name(".partial-metrics.jsonl")
        partial.write_text("", encoding="utf-8")
        for line in kept:
            append_line(partial, line)
        partial.replace(path)

    def _step(self, step: int) -> dict[str, Tensor]:
        """One step of every optimiser; the losses stay on the device."""
        task = self.task
        task.model.train()
        kind = torch.device(task.device).type
        with torch.autocast(kind, dtype=torch.bfloat16, enabled=task.bfloat16):
            losses = task.losses(step)
        for optimiser in task.optimisers:
            optimiser.zero_grad(set_to_none=True)
        losses.total.backward()
        if task.clip:
            dense = [p for p in task.model.parameters() if p.grad is not None and not p.grad.is_sparse]
            nn.utils.clip_grad_norm_(dense, task.clip, foreach=True)
        if kind == "cpu" and task.group is None and not math.isfinite(float(losses.total.detach())):
            self._diverged({"total": float(losses.total.detach())}, step)
        factor = task.rate(step, self.budget.steps)
        for optimiser in task.optimisers:
            for part in optimiser.param_groups:
                part["lr"] = part.setdefault("initial_lr", part["lr"]) * factor
            optimiser.step()
        self.counters.examples += losses.examples
        return {"total": losses.total.detach(), **{name: part.detach() for name, part in losses.parts.items()}}

    def _diverged(self, losses: dict[str, float], step: int) -> NoReturn:
        shown = ", ".join(f"{name} = {value}" for name, value in losses.items())
        raise DivergedError(
            f"step {step} gave numbers that are not finite ({shown}); the best checkpoint is that of step "
            f"{self.counters.best_step}",
            hint="lower learning_rate or embedding_std, or set clip",
        )

    def _log(self) -> None:
        """Write the mean losses since the last line; here values are read back from the device."""
        if not self._pending:
            return
        names = list(self._pending[0])
        stacked = torch.stack([torch.stack([row[name].float() for name in names]) for row in self._pending])
        mean = dict(zip(names, stacked.mean(dim=0).unbind(), strict=True))
        if self.task.group is not None:
            mean = averaged(mean)
        means = {name: float(value) for name, value in mean.items()}
        self._pending.clear()
        counters = self.counters
        if not all(math.isfinite(value) for value in means.values()):
            self._diverged(means, counters.step - 1)
        counters.losses = means
        line = {
            "step": counters.step,
            "time_s": round(counters.seconds, 3),
            **{f"loss/{name}": value for name, value in means.items()},
            "examples_per_s": round(counters.examples / max(counters.seconds, 1e-9), 1),
            "memory_mb": round(peak_memory_mb(), 1),
        }
        if torch.device(self.task.device).type == "cuda":
            line["device_memory_mb"] = round(torch.cuda.max_memory_allocated() / 2**20, 1)
        self._write(line)

    def _write(self, line: dict[str, Any]) -> None:
        if self.task.writes:
            self._check_directory()
            append_line(self.directory / "metrics.jsonl", line)

    def _validate(self) -> None:
        """Measure, log, and keep the best checkpoint when this one is it."""
        counters = self.counters
        self.task.model.eval()
        try:
            with torch.no_grad():
                measured = self.task.validate()
        except NonFiniteError:
            self._diverged({self.task.select: math.nan}, counters.step)
        line = {"step": counters.step, "time_s": round(counters.seconds, 3)}
        self._write({**line, **{f"validation/{k}": v for k, v in measured.items()}})
        value = from_first(self.task.group, measured[self.task.select])
        if value > counters.best_value:
            counters.best_step, counters.best_value, counters.misses = counters.step, value, 0
            counters.validation = measured
            self._save(BEST)
        else:
            counters.misses += 1

    def _finish(self, reason: str) -> None:
        """Measure what has not been measured yet, and leave a last checkpoint."""
        self._log()
        counters = self.counters
        if reason == "seconds" and counters.step % self.budget.evaluate_every:
            self._validate()
        self._save(LAST)

    def _keep_frame(self) -> None:
        """Keep this step's weights when it is its turn, and drop older frames that have become too many."""
        step, stride = self.counters.step, frame_stride(self.counters.step, self.budget.frames)
        if step % stride or not self.task.writes:
            return
        self._save(f"step-{step:06d}", moments=False)
        for path in (self.directory / "checkpoints").glob("step-*"):
            if int(path.name.removeprefix("step-")) % stride:
                shutil.rmtree(path, ignore_errors=True)

    def _save(self, name: str, *, moments: bool = True) -> None:
        if not self.task.writes:
            return
        self._check_directory()
        save_checkpoint(
            self.directory / "checkpoints" / name,
            model=self.task.model,
            optimisers=self.task.optimisers if moments else (),
            counters=self.counters.as_json(),
            fingerprint=self.task.fingerprint,
        )

    def _advance(self) -> tuple[int, int]:
        """Steps done and steps in all as the time budget will allow them."""
        counters, budget = self.counters, self.budget
        pace = counters.seconds / max(counters.step, 1)
        affordable = int(budget.seconds / pace) if pace > 0 else budget.steps
        return counters.step, max(counters.step, min(budget.steps, affordable))

    def _words(self) -> str:
        counters = self.counters
        loss = counters.losses.get("total")
        shown = "training" if loss is None else f"training, loss {loss:.3f}"
        if counters.best_step >= 0:
            shown += f", best {self.task.select} {counters.best_value:.3f} at step {counters.best_step}"
        return shown
