"""One session of the app without a browser: a WebSocket client that speaks the app's own protocol and draws nothing.

It asks for pages, follows fragments that redraw themselves and waits until nothing is under way, so what it measures is
the server's part.
"""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import dataclass, field
from typing import Any

import websockets
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

GIVEN_UP_S = 90.0
TRIGGER = "$$STREAMLIT_INTERNAL_KEY_{}__events"
"""Under which name the frontend sends what a component's triggers say."""


@dataclass
class Visit:
    """One page that was asked for.

    Fields:
        at_s: since the start of the load.
        station: name.
        drawn_s: until the page had been drawn, parts that are still being worked out shown as such; None = given up.
        whole_s: until nothing was under way any more; None = given up.
        errors: what the page said was wrong.
    """

    at_s: float
    station: str
    drawn_s: float | None = None
    whole_s: float | None = None
    errors: list[str] = field(default_factory=list)


class Client:
    """One session: what a browser's frontend does with the protocol, without drawing."""

    def __init__(self, address: str):
        self.address = address.replace("http", "ws") + "/_stcore/stream"
        self.query, self.page, self.hashes = "", "", dict[str, str]()
        self.timers: dict[str, float] = {}
        self.components: dict[str, tuple[str, str]] = {}  # name -> its widget, the fragment around it

    async def __aenter__(self) -> Client:
        self.socket = await websockets.connect(
            self.address, subprotocols=["streamlit"], max_size=None, compression=None, open_timeout=GIVEN_UP_S
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.socket.close()

    async def ask(self, fragment: str = "", trigger: tuple[str, str, Any] | None = None) -> None:
        """Send a rerun of the page or of one fragment, by its timer or by a component's (widget, event, value)."""
        message = BackMsg()
        state = message.rerun_script
        state.query_string, state.fragment_id = self.query, fragment
        state.is_auto_rerun = bool(fragment) and trigger is None
        state.page_name = "" if self.page == "home" else self.page  # the default page has the bare address
        state.page_script_hash = self.hashes.get(self.page, "")
        if trigger is not None:
            widget, event, value = trigger
            said = state.widget_states.widgets.add(id=TRIGGER.format(widget))
            said.json_trigger_value = json.dumps([{"event": event, "value": value}])
        await self.socket.send(message.SerializeToString())

    async def press(self, component: str, event: str, value: Any, *, whole: bool = False) -> Visit:
        """Say something through a component of the page, and follow what that draws.

        Args:
            component: its name; `event` and `value` are what its JavaScript sends.
            whole: until nothing is under way any more; else until the first answer.

        Raises:
            KeyError: the page that was visited last has no such component.
        """
        widget, fragment = self.components[component]
        found = Visit(0.0, self.page)
        began = time.perf_counter()
        await self.ask(fragment, (widget, event, value))
        return await self._follow(found, began, whole=whole)

    async def visit(self, station: str, query: str, started: float) -> Visit:
        """Open a page and follow it until nothing is under way."""
        self.page, self.query, self.timers = station, query, {}
        began = time.perf_counter()
        await self.ask()
        return await self._follow(Visit(round(began - started, 2), station), began, whole=True)

    async def _follow(self, found: Visit, began: float, *, whole: bool) -> Visit:
        """Take what the server sends; redraw what wants to be redrawn, as its timers say."""
        due = {name: began + interval for name, interval in self.timers.items()}
        running = True
        try:
            async with asyncio.timeout(GIVEN_UP_S):
                while running or (whole and self.timers):
                    now = time.perf_counter()
                    wait = None if running else max(0.0, min(due.values()) - now)
                    try:
                        raw = await asyncio.wait_for(self.socket.recv(), wait)
                    except TimeoutError:
                        name = min(due, key=due.__getitem__)
                        due[name] = time.perf_counter() + self.timers[name]
                        running = True
                        await self.ask(name)
                        continue
                    message = ForwardMsg()
                    message.ParseFromString(raw)
                    kind = message.WhichOneof("type")
                    if kind == "new_session":
                        running = True
                        if not message.metadata.run.fragment_ids:
                            self.timers, due, found.errors = {}, {}, []
                    elif kind == "navigation":
                        self.hashes = {
                            page.url_pathname: page.page_script_hash for page in message.navigation.app_pages
                        }
                        self.hashes["home"] = next(
                            p.page_script_hash for p in message.navigation.app_pages if p.is_default
                        )
                    elif kind == "page_info_changed":
                        self.query = message.page_info_changed.query_string
                    elif kind == "auto_rerun":
                        name = message.auto_rerun.fragment_id
                        self.timers[name] = message.auto_rerun.interval
                        due[name] = time.perf_counter() + message.auto_rerun.interval
                    elif kind == "stop_auto_rerun":
                        for name in message.stop_auto_rerun.fragment_ids or list(self.timers):
                            self.timers.pop(name, None)
                            due.pop(name, None)
                    elif kind == "delta":
                        self.note(message, found)
                    elif kind == "script_finished" and message.script_finished != ForwardMsg.FINISHED_EARLY_FOR_RERUN:
                        running = False
                        if found.drawn_s is None:
                            found.drawn_s = time.perf_counter() - began
                if whole:
                    found.whole_s = time.perf_counter() - began
        except TimeoutError:
            found.errors.append(f"given up after {GIVEN_UP_S:g} s")
        return found

    def note(self, message: ForwardMsg, found: Visit) -> None:
        """Take note of a component, or of an error that the page shows."""
        element = message.delta.new_element
        kind = element.WhichOneof("type")
        if kind == "bidi_component":
            component = element.bidi_component
            self.components[component.component_name] = component.id, message.delta.fragment_id
        if kind == "exception":
            found.errors.append(element.exception.message)
        elif kind == "alert" and element.alert.format == element.alert.ERROR:
            found.errors.append(element.alert.body)
