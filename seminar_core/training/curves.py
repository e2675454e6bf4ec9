"""Learning curves as they are written: read incrementally, thinned for drawing, trouble told in words.

Training, for the page and for comparison. `metrics.jsonl` is append-only within an attempt; a further attempt goes on
from the last checkpoint, so lines at or after the step it goes on with are superseded by its own.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ..files import whole_lines

CLOCK = ("step", "time_s")
HARDWARE = ("examples_per_s", "memory_mb", "device_memory_mb")
TAIL = 4096
"""Bytes of the lines read last that are compared: a run that was trained anew may lie at the same inode."""
DRAWN = 400
"""Points of one curve that are drawn; the table behind the chart has them all."""


class Curves:
    """The lines of one metrics.jsonl, followed as it grows."""

    def __init__(self, path: Path):
        self.path = path
        self.lines: list[dict[str, Any]] = []
        self._offset = 0
        self._tail = b""

    def update(self) -> int:
        """Read what was written since; return how many new lines there were. A half-written last line waits."""
        fresh = self._unread()
        whole = fresh[: fresh.rfind(b"\n") + 1]
        self._offset += len(whole)
        self._tail = (self._tail + whole)[-TAIL:]
        new = whole_lines(whole)
        for line in new:
            if self.lines and line["step"] < self.lines[-1]["step"]:
                self.lines = [kept for kept in self.lines if kept["step"] < line["step"]]
            self.lines.append(line)
        return len(new)

    def _unread(self) -> bytes:
        """What stands behind the lines read so far; everything where other lines stand in their place."""
        try:
            with self.path.open("rb") as file:
                file.seek(self._offset - len(self._tail))
                found = file.read()
                if found.startswith(self._tail):
                    return found[len(self._tail) :]
                file.seek(0)
                everything = file.read()
        except FileNotFoundError:
            everything = b""
        self.lines, self._offset, self._tail = [], 0, b""
        return everything

    def names(self) -> list[str]:
        """Curves in order of first appearance, losses and validation metrics first."""
        found = list(dict.fromkeys(name for line in self.lines for name in line if name not in CLOCK))
        return sorted(found, key=lambda name: (not name.startswith(("loss/", "validation/")), found.index(name)))

    def series(self, name: str) -> pd.DataFrame:
        """Columns step, time_s, value of one curve; a missing value is NaN."""
        rows = [(line["step"], line.get("time_s"), line[name]) for line in self.lines if name in line]
        return pd.DataFrame(rows, columns=["step", "time_s", "value"]).astype(float)

    def table(self) -> pd.DataFrame:
        """All lines, one row each."""
        return pd.DataFrame(self.lines)


def thinned(series: pd.DataFrame, points: int = DRAWN) -> pd.DataFrame:
    """At most `points` rows that keep the outline: the lowest and the highest value of each stretch, and both ends."""
    if len(series) <= points:
        return series
    values = series["value"].to_numpy()
    edges = np.linspace(0, len(series), (points - 2) // 2 + 1).astype(int)
    kept = {0, len(series) - 1}
    for low, high in zip(edges[:-1], edges[1:], strict=True):
        part = values[low:high]
        if np.isnan(part).all():
            kept.add(low)
        else:
            kept |= {low + int(np.nanargmin(part)), low + int(np.nanargmax(part))}
    return series.iloc[sorted(kept)]


@dataclass(frozen=True)
class Alert:
    """Something to look at: what was seen, and one suggested change."""

    kind: str
    says: str
    change: str


def alerts(curves: Curves, error: dict[str, str] | None) -> list[Alert]:
    """What is wrong with a training, in words: not finite, diverging, out of memory, no longer improving."""
    found = []
    if error is not None and error["kind"] in ("diverged", "out_of_memory", "device", "disk_full"):
        found.append(Alert(error["kind"], error["message"], error["hint"]))
    total = curves.series("loss/total")["value"].to_numpy()
    if len(total) >= 10 and np.isfinite(total).all():
        first, last = float(np.median(total[:3])), float(np.median(total[-3:]))
        if last > 1.2 * first + 1e-6:
            found.append(
                Alert(
                    "diverging",
                    f"the total loss has risen from {first:.3g} to {last:.3g}",
                    "lower learning_rate to a third",
                )
            )
    for name in curves.names():
        if name == "validation/MRR":
            series = curves.series(name)["value"].to_numpy()
            since = len(series) - 1 - int(np.argmax(series)) if len(series) else 0
            if since >= 3 and math.isfinite(series[-1]):
                found.append(
                    Alert(
                        "no_better",
                        f"validation MRR was best {since} validations ago ({series.max():.3f}, now {series[-1]:.3f})",
                        "stop here (the best checkpoint is kept apart), or add negatives or targets_per_life",
                    )
                )
    return found
