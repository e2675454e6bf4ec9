"""Drawing a map behind a page: PCA is on the screen while UMAP runs in a thread, with progress and cancel.

Diagnostics, for the app. A thread and not a job's process, because the first fit of a process pays some fifteen seconds
of compilation: here it is paid once per server (`warm_up`). The finished map is kept by content, so a page that was
closed finds it; nothing is kept of a cancelled one.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..errors import Cancelled, SeminarError
from ..workspace import Workspace
from .channel_set import ChannelSet
from .map_store import MapRequest, drawn_map
from .projection import warm


@dataclass
class Drawing:
    """A map that is being drawn.

    Fields:
        key: of the map.
        done, total, message: progress.
        started_s: when it began (monotonic seconds).
        error: why it ended without a map, None while it runs or when it is done.
        finished: whether the thread has ended.
    """

    key: str
    done: int = 0
    total: int = 1
    message: str = "waiting for the compiler (once per server)"
    started_s: float = field(default_factory=time.monotonic)
    error: SeminarError | None = None
    finished: bool = False
    stop: threading.Event = field(default_factory=threading.Event)

    def progress(self, done: int, total: int, message: str) -> None:
        """Take note of progress, and stop where that was asked for."""
        if self.stop.is_set():
            raise Cancelled("drawing the map was stopped", hint="draw it again; the PCA picture stays")
        self.done, self.total, self.message = done, total, message

    @property
    def left_s(self) -> float | None:
        """Seconds left by the pace so far; None before there is one."""
        if self.done < 5:
            return None
        return (time.monotonic() - self.started_s) * (self.total - self.done) / self.done


class Drawings:
    """All maps of one server that are being drawn, one at a time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._one_at_a_time = threading.Lock()
        self._drawings: dict[str, Drawing] = {}
        self._warming: threading.Thread | None = None

    def warm_up(self) -> None:
        """Compile UMAP in the background, once."""
        with self._lock:
            if self._warming is None:
                self._warming = threading.Thread(target=warm, name="warm-umap", daemon=True)
                self._warming.start()

    def get(self, key: str) -> Drawing | None:
        """The drawing of map `key`, if one was started."""
        return self._drawings.get(key)

    def live(self) -> list[str]:
        """Keys of the maps that are being drawn or wait for it."""
        with self._lock:
            return [key for key, drawing in self._drawings.items() if not drawing.finished]

    def forget(self, key: str) -> None:
        """Drop a drawing that has ended."""
        with self._lock:
            if key in self._drawings and self._drawings[key].finished:
                del self._drawings[key]

    def start(
        self,
        key: str,
        workspace: Workspace,
        stages: Mapping[str, ChannelSet],
        request: MapRequest,
        source: Mapping[str, Any],
    ) -> Drawing:
        """Begin to draw, or return the drawing that is under way."""
        with self._lock:
            running = self._drawings.get(key)
            if running is not None and not running.finished:
                return running
            drawing = self._drawings[key] = Drawing(key)
        arguments = (drawing, workspace, stages, request, source)
        threading.Thread(target=self._draw, args=arguments, name=f"map-{key}", daemon=True).start()
        return drawing

    def _draw(
        self,
        drawing: Drawing,
        workspace: Workspace,
        stages: Mapping[str, ChannelSet],
        request: MapRequest,
        source: Mapping[str, Any],
    ) -> None:
        try:
            with self._one_at_a_time:
                drawing.started_s = time.monotonic()
                drawn_map(workspace, stages, request, source=source, progress=drawing.progress)
        except SeminarError as error:
            drawing.error = error
        finally:
            drawing.finished = True
