"""Progress and cancellation for long work.

Foundation. Long functions call `progress(done, total, message)` often; the caller draws it. A caller that wants to stop
raises `Cancelled` from it, and the function's atomic writes see to it that nothing is left half-made. A background job
installs its own callback with `reporting_to`, so that a command need not know whether it runs in a terminal or a job.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Protocol


class Progress(Protocol):
    """Called with the units done, the units in all, and what is being done now."""

    def __call__(self, done: int, total: int, message: str) -> None: ...


def silent(done: int, total: int, message: str) -> None:
    """Report nothing."""


_INSTALLED: ContextVar[Progress | None] = ContextVar("installed progress", default=None)


def installed() -> Progress | None:
    """The callback of the background job this code runs in; None outside jobs."""
    return _INSTALLED.get()


@contextmanager
def reporting_to(progress: Progress) -> Iterator[None]:
    """Make `progress` the callback that `installed` answers inside the block."""
    token = _INSTALLED.set(progress)
    try:
        yield
    finally:
        _INSTALLED.reset(token)
