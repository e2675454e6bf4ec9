"""The curves of a run as TensorBoard event files, so that people can use their own tracker.

Training, beside curves. Written from metrics.jsonl when a job ends, into `runs/<run>/tensorboard/`; an option in the
sense that nothing reads them here and nothing is missed where TensorBoard is not installed.
"""

from __future__ import annotations

import importlib.util
import shutil
from pathlib import Path

from ..errors import NotReadyError
from .curves import CLOCK, Curves


def write_events(run_dir: Path) -> Path:
    """Write every scalar of the run's metrics as event files, replacing older ones; returns their directory.

    Raises:
        NotReadyError: TensorBoard is not installed, or the run has written no line yet.
    """
    if importlib.util.find_spec("tensorboard") is None:
        raise NotReadyError("TensorBoard is not installed", hint="pip install tensorboard")
    curves = Curves(run_dir / "metrics.jsonl")
    if not curves.update():
        raise NotReadyError(f"run {run_dir.name!r} has written no metrics yet", hint="wait for its first line")
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.summary.writer.event_file_writer import EventFileWriter

    folder = run_dir / "tensorboard"
    shutil.rmtree(folder, ignore_errors=True)
    writer = EventFileWriter(str(folder))
    for line in curves.lines:
        values = [
            Summary.Value(tag=name, simple_value=float(value))
            for name, value in line.items()
            if name not in CLOCK and isinstance(value, int | float)
        ]
        writer.add_event(Event(step=int(line["step"]), wall_time=float(line["time_s"]), summary=Summary(value=values)))
    writer.close()
    return folder
