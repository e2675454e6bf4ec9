"""The desk where heavy questions wait for a process beside the server; knows nothing of Streamlit.

One question is answered once however many ask it: they share a ticket (single flight) with a place in the queue and its
progress, and it is stopped when nobody waits for it any more. Each process is a pool of one (loky), so that stopping
one, or its death, harms no other question; a question whose process died is asked once more, and says so.
"""

from __future__ import annotations

import atexit
import glob
import json
import logging
import os
import platform
import shutil
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from seminar_core.errors import Cancelled, ChildDiedError, RelayedError, ResourceError, SeminarError

from .kept import Kept
from .process import Task, begin, in_words, work

log = logging.getLogger(__name__)

LINGER_S = 3.0  # a page that is loaded again goes and comes back
POLL_S = 0.1
IDLE_S = 900.0  # a process that was not needed so long ends
FORGET_S = 60.0  # what could not be answered is asked again after that
MOST_WAITING = 64
MOST_OF_ONE = 16
DEATHS = 2
NOTES = "seminar-desk-"
"""Beginning of the temporary folder of a desk's notes; machine and process id of its server follow."""
UNFORESEEN = (OSError, RuntimeError, MemoryError, ValueError, TypeError, LookupError, AttributeError, ArithmeticError)
"""What a machine refuses, or a mistake of the program raises: told to who waits, and written to the server's log."""


@dataclass(eq=False)
class Ticket:
    """One question, shared by all who ask it.

    Fields:
        key: what was asked, and of which content.
        what: the same in words.
        task, arguments: of the call in the process.
        note: file that the process writes its progress to.
        keep: whether the answer is kept by its key.
        slow: takes so long that quick ones go first, and that only the first process works on it.
        askers: sessions that wait.
        left_s: since when nobody waits (monotonic seconds); None while somebody does.
        started_s: when its process began (monotonic seconds); None while it waits.
        deaths: processes that died over it.
        answer, error: how it ended.
    """

    key: str
    what: str
    task: Task
    arguments: tuple[Any, ...]
    note: Path
    keep: bool = True
    slow: bool = False
    askers: set[str] = field(default_factory=set)
    left_s: float | None = None
    started_s: float | None = None
    ended_s: float = 0.0
    deaths: int = 0
    answer: Any = None
    error: BaseException | None = None
    ended: threading.Event = field(default_factory=threading.Event)

    def progress(self) -> tuple[int, int, str]:
        """Units done, units in all and words, as the process last wrote them."""
        try:
            done, total, message = json.loads(self.note.read_text(encoding="utf-8"))
        except (OSError, ValueError):  # not begun, or just renamed
            return 0, 1, ""
        return int(done), int(total), str(message)


class Desk:
    """Questions in the order in which they were asked, and the processes that answer them.

    Args:
        kept: where answers are kept.
        processes: how many work at a time, only the first on slow questions; 0 = none, the asker works itself.
        here: whether a session is still there.
    """

    def __init__(self, kept: Kept, *, processes: int, here: Callable[[str], bool] = lambda asker: True):
        self.kept, self.processes, self._here = kept, processes, here
        self._lock = threading.RLock()
        self._changed = threading.Condition(self._lock)
        self._tickets: dict[str, Ticket] = {}
        self._failed: dict[str, Ticket] = {}
        self._pools: dict[int, Any] = {}
        self._threads: dict[int, threading.Thread] = {}
        self._closed = False
        remove_left_behind()
        self._folder = Path(tempfile.mkdtemp(prefix=f"{NOTES}{platform.node()}-{os.getpid()}-"))
        atexit.register(self.close)

    def ask(
        self,
        key: str,
        what: str,
        task: Task,
        *arguments: Any,
        asker: str = "",
        keep: bool = True,
        slow: bool = False,
    ) -> Ticket:
        """The ticket of a question: a new one, the one that others wait for, or one that failed a moment ago.

        Raises:
            ResourceError: too many wait.
        """
        with self._lock:
            failed = self._failed.get(key)
            if failed is not None and time.monotonic() - failed.ended_s < FORGET_S:
                return failed
            self._failed.pop(key, None)
            ticket = self._tickets.get(key)
            if ticket is None:
                self._refuse_a_crowd(asker)
                ticket = Ticket(key, what, task, arguments, self._folder / f"{key}.json", keep, slow)
                self._tickets[key] = ticket
            ticket.askers.add(asker)
            ticket.left_s = None
            if self.processes:
                self._open()
                self._changed.notify_all()
                return ticket
            if not ticket.ended.is_set():
                try:
                    self._end(ticket, *_finished(work(task, arguments, str(ticket.note))))
                except UNFORESEEN as error:
                    self._end(ticket, error=_unanswered(ticket, error))
            return ticket

    def _refuse_a_crowd(self, asker: str) -> None:
        own = sum(asker in ticket.askers for ticket in self._tickets.values())
        for waiting, most, who in (
            (own, MOST_OF_ONE, "this session"),
            (len(self._tickets), MOST_WAITING, "the server"),
        ):
            if waiting >= most:
                raise ResourceError(
                    f"{waiting} questions of {who} wait already, {most} may",
                    hint="wait until one is answered, or cancel one",
                )

    def place(self, ticket: Ticket) -> int:
        """Place in the queue: 0 = being worked on, 1 = next."""
        with self._lock:
            if ticket.started_s is not None:
                return 0
            waiting = self._queue()
            return waiting.index(ticket) + 1 if ticket in waiting else 0

    def _queue(self) -> list[Ticket]:
        """What nobody works on yet, next first: the quick before the slow, then as they were asked."""
        return sorted((t for t in self._tickets.values() if t.started_s is None), key=lambda ticket: ticket.slow)

    def live(self) -> list[str]:
        """Keys of what waits or is being worked on."""
        with self._lock:
            return list(self._tickets)

    def leave(self, asker: str, key: str) -> None:
        """Stop waiting for one question; where nobody else waits for it, it is stopped at once."""
        with self._lock:
            ticket = self._tickets.get(key)
            if ticket is not None:
                ticket.askers.discard(asker)
                if not ticket.askers:
                    ticket.left_s = -LINGER_S

    def wait_only_for(self, asker: str, keys: set[str]) -> None:
        """Leave every question but these: what a session does whose page asks for other things now."""
        with self._lock:
            for ticket in self._tickets.values():
                if ticket.key not in keys:
                    ticket.askers.discard(asker)

    def forget(self, key: str) -> None:
        """Ask again what could not be answered."""
        with self._lock:
            self._failed.pop(key, None)

    def close(self) -> None:
        """End the processes; nothing is answered any more."""
        with self._lock:
            self._closed = True
            self._changed.notify_all()
            pools = list(self._pools)
        for at in pools:
            self._drop(at)
        shutil.rmtree(self._folder, ignore_errors=True)
        atexit.unregister(self.close)

    def _open(self) -> None:
        """Start what answers, at the first question; again where it ended."""
        for at in range(self.processes):
            if at not in self._threads or not self._threads[at].is_alive():
                self._threads[at] = threading.Thread(target=self._serve, args=(at,), name=f"desk-{at}", daemon=True)
                self._threads[at].start()

    def _next(self, at: int) -> Ticket | None:
        """The first question that somebody waits for and process `at` may do; None when the desk is closed."""
        with self._changed:
            while not self._closed:
                for ticket in self._queue():
                    if self._unwanted(ticket):
                        self._end(ticket, error=_stopped(ticket))
                        continue
                    if ticket.slow and at > 0:
                        continue
                    ticket.started_s = time.monotonic()
                    return ticket
                self._changed.wait(1.0)
            return None

    def _unwanted(self, ticket: Ticket) -> bool:
        """Whether nobody has waited for it for a while."""
        with self._lock:
            ticket.askers = {asker for asker in ticket.askers if self._here(asker)}
            if ticket.askers:
                ticket.left_s = None
                return False
            now = time.monotonic()
            ticket.left_s = now if ticket.left_s is None else ticket.left_s
            return now - ticket.left_s >= LINGER_S

    def _serve(self, at: int) -> None:
        """Answer questions with process `at`, one after the other; no error of one keeps the next from its answer."""
        from loky.process_executor import ShutdownExecutorError

        while (ticket := self._next(at)) is not None:
            try:
                self._answer(at, ticket)
            except ShutdownExecutorError:  # the server ends
                self._end(ticket, error=_stopped(ticket))
                return
            except UNFORESEEN as error:  # no process could be started, or the answer cannot be kept
                self._drop(at)
                self._end(ticket, error=_unanswered(ticket, error))

    def _answer(self, at: int, ticket: Ticket) -> None:
        """Have one question answered by process `at`, unless nobody waits for it any more or the process dies."""
        future = self._submit(at, ticket)
        while not wait([future], POLL_S).done and not self._unwanted(ticket):
            pass
        if self._closed or not future.done():
            self._drop(at)
            self._end(ticket, error=_stopped(ticket))
            return
        error = future.exception()
        if isinstance(error, BrokenProcessPool):
            self._drop(at)
            self._died(ticket)
        elif error is not None:
            self._end(ticket, error=_unanswered(ticket, error))
        else:
            self._end(ticket, *_finished(future.result()))

    def _drop(self, at: int) -> None:
        """End process `at`; the next question starts another."""
        pool = self._pools.pop(at, None)
        try:
            if pool is not None:
                pool.shutdown(wait=True, kill_workers=True)
        except UNFORESEEN:
            log.exception("process %s of the desk did not end in order", at)

    def _submit(self, at: int, ticket: Ticket) -> Future[Any]:
        """Hand a question to process `at`, which is started where there is none or it died with nothing to do."""
        from loky import ProcessPoolExecutor
        from loky.process_executor import ShutdownExecutorError

        def pool() -> Any:
            return ProcessPoolExecutor(1, timeout=IDLE_S, initializer=begin, initargs=(os.getpid(),))

        with self._lock:
            if self._closed:
                raise ShutdownExecutorError("the desk is closed")
            self._pools.setdefault(at, None)
            if self._pools[at] is None:
                self._pools[at] = pool()
            words = (work, ticket.task, ticket.arguments, str(ticket.note))
            with suppress(BrokenProcessPool):
                return self._pools[at].submit(*words)
            self._pools[at] = pool()
            return self._pools[at].submit(*words)

    def _died(self, ticket: Ticket) -> None:
        """Ask once more, first in the queue; then say that it cannot be answered."""
        ticket.deaths += 1
        if ticket.deaths >= DEATHS:
            error = ChildDiedError(
                f"the process that worked on “{ticket.what}” died {ticket.deaths} times; it may need more memory than "
                "is free",
                hint="free memory on the server and ask again in a minute, or ask for less",
            )
            self._end(ticket, error=error)
            return
        with self._lock:
            ticket.started_s = None
            self._tickets = {ticket.key: ticket} | self._tickets
            self._changed.notify_all()

    def _end(self, ticket: Ticket, answer: Any = None, error: BaseException | None = None) -> None:
        """Keep how a question ended, and let go of it. With an error nothing is raised."""
        ticket.answer = self.kept.put(ticket.key, answer) if ticket.keep and error is None else answer
        with self._lock:
            ticket.error, ticket.ended_s = error, time.monotonic()
            self._tickets.pop(ticket.key, None)
            if error is not None and not isinstance(error, Cancelled):
                self._failed[ticket.key] = ticket
                while len(self._failed) > MOST_WAITING:
                    del self._failed[next(iter(self._failed))]
            with suppress(OSError):
                ticket.note.unlink(missing_ok=True)
            ticket.ended.set()


def _finished(said: tuple[Any, dict[str, str] | None]) -> tuple[Any, SeminarError | None]:
    """What a process said, its error as an exception again."""
    answer, wrong = said
    if wrong is None:
        return answer, None
    return None, RelayedError(**wrong)


def _unanswered(ticket: Ticket, error: BaseException) -> ChildDiedError:
    """An unforeseen error as pages explain it; its traceback goes to the server's log."""
    log.error("“%s” could not be answered", ticket.what, exc_info=error)
    return ChildDiedError(
        f"“{ticket.what}” could not be answered: {in_words(error)}",
        hint="free memory on the server if it ran out, and ask again; the server's log says more",
    )


def _stopped(ticket: Ticket) -> Cancelled:
    return Cancelled(f"“{ticket.what}” was stopped", hint="ask for it again")


def remove_left_behind() -> None:
    """Delete the notes of desks of this machine whose server was killed; those of other people are left alone."""
    ours = f"{NOTES}{platform.node()}-"
    for folder in Path(tempfile.gettempdir()).glob(f"{glob.escape(ours)}*-*"):
        server = folder.name.removeprefix(ours).partition("-")[0]
        if server.isdecimal() and len(server) < 10 and not psutil.pid_exists(int(server)):  # larger ones are not ours
            shutil.rmtree(folder, ignore_errors=True)
