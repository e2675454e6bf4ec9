"""How far a run is: its counters, as every checkpoint stores them, and which steps are kept as frames of a film."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from typing import Any

from ..errors import CorruptFileError

LOG_EVERY = 5  # steps


@dataclass
class Counters:
    """How far a run is; stored in every checkpoint.

    Fields:
        step: steps done.
        seconds: training time so far, validation included.
        examples: targets served so far.
        best_step, best_value: where the selected metric was best.
        misses: validations since then.
        losses: the parts at the last logged step.
        validation: metrics at the best step.
    """

    step: int = 0
    seconds: float = 0.0
    examples: int = 0
    best_step: int = -1
    best_value: float = -math.inf
    misses: int = 0
    losses: dict[str, float] = field(default_factory=dict)
    validation: dict[str, float] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """JSON types; minus infinity, before the first validation, becomes null."""
        return {**asdict(self), "best_value": self.best_value if math.isfinite(self.best_value) else None}

    @staticmethod
    def from_json(values: dict[str, Any]) -> Counters:
        """What `as_json` wrote.

        Raises:
            CorruptFileError: other fields.
        """
        try:
            best = values["best_value"]
            return Counters(**{**values, "best_value": -math.inf if best is None else best})
        except (TypeError, KeyError) as error:
            raise CorruptFileError(f"a checkpoint's counters are broken: {error!r}", hint="train again") from error


def frame_stride(step: int, frames: int) -> int:
    """Steps between the frames that are kept at `step`: `LOG_EVERY`, doubled until at most `frames` of them fit.

    It depends on the step alone, so a run that ends early, for whatever reason, has its frames evenly spread too, and a
    resumed run keeps the same ones.
    """
    stride = LOG_EVERY
    while step // stride > frames:
        stride *= 2
    return stride
