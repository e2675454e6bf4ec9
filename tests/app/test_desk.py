"""The desk: one fit for many askers, places, progress, stopping, processes that die, and the bounds of what is kept."""

from __future__ import annotations

import errno
import os
import platform
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from loky import ProcessPoolExecutor

from app.work import desk as desk_module
from app.work.desk import MOST_OF_ONE, Desk
from app.work.kept import Kept, drop_oldest
from seminar_core.errors import ChildDiedError, ResourceError
from tests.app import heavy_tasks

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    desk = Desk(Kept(tmp_path_factory.mktemp("answers")), processes=1)
    yield desk
    desk.close()


@pytest.fixture
def begun(tmp_path: Path) -> Path:
    folder = tmp_path / "begun"
    folder.mkdir()
    return folder


def until(true, seconds: float = 30.0) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_ten_sessions_that_ask_the_same_share_one_fit(shared: Desk, begun: Path):
    barrier, tickets = threading.Barrier(10), []

    def asks(session: int) -> None:
        barrier.wait()
        ticket = shared.ask("same", "a fit", heavy_tasks.slow, str(begun), 0.5, asker=f"s{session}")
        assert ticket.ended.wait(60)
        tickets.append(ticket)

    threads = [threading.Thread(target=asks, args=(session,)) for session in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(list(begun.iterdir())) == 1 and len(set(map(id, tickets))) == 1
    assert tickets[0].error is None and tickets[0].answer["process"] != os.getpid()
    assert shared.kept.get("same") == {"answer": tickets[0].answer}


def test_a_question_shows_its_place_and_then_its_progress(shared: Desk, begun: Path):
    first = shared.ask("first", "first", heavy_tasks.slow, str(begun), 1.5, asker="a")
    second, third = (shared.ask(name, name, heavy_tasks.slow, str(begun), 0.0, asker="a") for name in ("2", "3"))
    until(lambda: shared.place(first) == 0 and first.progress()[0] > 0)
    assert first.progress()[1:] == (30, "counting")
    assert [shared.place(ticket) for ticket in (first, second, third)] == [0, 1, 2]
    assert all(ticket.ended.wait(30) for ticket in (first, second, third)) and shared.live() == []


def test_a_question_is_stopped_when_the_last_asker_leaves(shared: Desk, begun: Path):
    ticket = shared.ask("stopped", "a long one", heavy_tasks.slow, str(begun), 60.0, asker="a")
    assert shared.ask("stopped", "a long one", heavy_tasks.slow, str(begun), 60.0, asker="b") is ticket
    until(lambda: ticket.progress()[0] > 0)
    shared.leave("a", "stopped")
    assert not ticket.ended.wait(0.5), "b waits for it still"
    shared.leave("b", "stopped")
    assert ticket.ended.wait(10) and ticket.error is not None
    assert str(ticket.error) == "“a long one” was stopped" and shared.kept.get("stopped") is None
    again = shared.ask("stopped", "a short one", heavy_tasks.slow, str(begun), 0.0, asker="a")
    assert again.ended.wait(30) and again.error is None


def test_a_client_that_goes_away_frees_its_place(tmp_path: Path, begun: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(desk_module, "LINGER_S", 0.2)
    there = {"a", "b"}
    desk = Desk(Kept(tmp_path / "answers"), processes=1, here=there.__contains__)
    try:
        gone = desk.ask("gone", "of a", heavy_tasks.slow, str(begun), 60.0, asker="a")
        waits = desk.ask("waits", "of b", heavy_tasks.slow, str(begun), 0.0, asker="b")
        until(lambda: desk.place(gone) == 0)
        there.remove("a")
        assert waits.ended.wait(30) and waits.error is None and gone.ended.is_set() and gone.answer is None
    finally:
        desk.close()


def test_a_page_that_asks_for_other_things_waits_for_those_alone(shared: Desk, begun: Path):
    old = shared.ask("old", "old", heavy_tasks.slow, str(begun), 60.0, asker="a")
    shared.ask("new", "new", heavy_tasks.slow, str(begun), 0.0, asker="a")
    shared.wait_only_for("a", {"new"})
    assert old.ended.wait(desk_module.LINGER_S + 10) and "was stopped" in str(old.error)


def test_a_quick_question_does_not_wait_behind_a_map(tmp_path: Path, begun: Path):
    desk = Desk(Kept(tmp_path / "answers"), processes=2)
    try:
        maps = [desk.ask(f"map-{n}", "map", heavy_tasks.slow, str(begun), 60.0, asker="a", slow=True) for n in "12"]
        until(lambda: desk.place(maps[0]) == 0)
        quick = desk.ask("card", "card", heavy_tasks.slow, str(begun), 0.0, asker="b")
        assert quick.ended.wait(30) and not maps[0].ended.is_set() and desk.place(maps[1]) == 1
    finally:
        desk.close()


def test_a_process_that_dies_is_started_again_and_its_question_says_so(shared: Desk, begun: Path):
    ticket = shared.ask("dies-once", "an unlucky one", heavy_tasks.dies, str(begun), 1, asker="a")
    assert ticket.ended.wait(60) and ticket.error is None
    assert (ticket.answer, ticket.deaths, len(list(begun.iterdir()))) == ("done", 1, 2)


def test_a_question_that_kills_every_process_ends_and_the_next_one_is_answered(shared: Desk, begun: Path):
    ticket = shared.ask("dies", "a map too large", heavy_tasks.dies, str(begun), 9, asker="a")
    assert ticket.ended.wait(60) and ticket.error is not None
    assert "the process that worked on “a map too large” died 2 times" in str(ticket.error)
    assert shared.ask("dies", "a map too large", heavy_tasks.dies, str(begun), 9) is ticket, "not tried for ever"
    after = shared.ask("after", "the next", heavy_tasks.slow, str(begun), 0.0, asker="a")
    assert after.ended.wait(60) and after.error is None


def test_what_was_wrong_is_said_in_the_cores_words_and_asked_again_on_request(shared: Desk, begun: Path):
    def ask():
        ticket = shared.ask("refused", "codebooks", heavy_tasks.refuses, str(begun), asker="a")
        assert ticket.ended.wait(30)
        return ticket

    error = ask().error
    assert (error.kind, error.message, error.hint) == ("not_ready", "run 'x' has no codebooks", "train them")
    ask()
    assert len(list(begun.iterdir())) == 1
    shared.forget("refused")
    ask()
    assert len(list(begun.iterdir())) == 2
    broken = shared.ask("broken", "a mistake", heavy_tasks.breaks, asker="a")
    assert broken.ended.wait(30) and isinstance(broken.error, ChildDiedError)
    assert broken.error.message == "“a mistake” could not be answered: ZeroDivisionError: a mistake of the program"


def test_where_no_process_can_be_started_the_question_says_so_and_the_next_is_answered(
    tmp_path: Path, begun: Path, monkeypatch: pytest.MonkeyPatch
):
    starts, refused = ProcessPoolExecutor._adjust_process_count, []

    def refuse_once(pool: ProcessPoolExecutor) -> None:
        if not refused:
            refused.append(1)
            raise OSError(errno.ENOMEM, os.strerror(errno.ENOMEM))
        starts(pool)

    monkeypatch.setattr(ProcessPoolExecutor, "_adjust_process_count", refuse_once)
    desk = Desk(Kept(tmp_path / "answers"), processes=1)
    try:
        first = desk.ask("first", "a map", heavy_tasks.slow, str(begun), 0.0, asker="a")
        assert first.ended.wait(30) and isinstance(first.error, ChildDiedError), "pages offer to ask again"
        assert "“a map” could not be answered: OSError: [Errno 12] Cannot allocate memory" in str(first.error)
        second = desk.ask("second", "the next", heavy_tasks.slow, str(begun), 0.0, asker="a")
        assert second.ended.wait(60) and second.error is None and desk.live() == []
    finally:
        desk.close()


def test_an_answer_that_cannot_be_kept_ends_its_question(shared: Desk, begun: Path):
    wrong = shared.ask("unwritable", "a card", heavy_tasks.unwritable, asker="a")
    assert wrong.ended.wait(30) and "“a card” could not be answered: " in str(wrong.error)
    after = shared.ask("kept", "the next", heavy_tasks.slow, str(begun), 0.0, asker="a")
    assert after.ended.wait(30) and after.error is None


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_desk_goes_on_after_a_thread_of_it_ended(tmp_path: Path, begun: Path):
    def here(asker: str) -> bool:
        if asker == "a" and not ended:
            ended.append(1)
            raise RuntimeError("the server is being closed")
        return True

    ended: list[int] = []
    desk = Desk(Kept(tmp_path / "answers"), processes=1, here=here)
    try:
        desk.ask("first", "first", heavy_tasks.slow, str(begun), 0.0, asker="a")
        until(lambda: not desk._threads[0].is_alive())
        second = desk.ask("second", "second", heavy_tasks.slow, str(begun), 0.0, asker="b")
        assert second.ended.wait(60) and second.error is None
    finally:
        desk.close()


def test_a_question_whose_notes_were_swept_away_is_answered(tmp_path: Path, begun: Path):
    desk = Desk(Kept(tmp_path / "answers"), processes=1)
    try:
        ticket = desk.ask("swept", "swept", heavy_tasks.notes_swept, str(begun), asker="a")
        assert ticket.ended.wait(60) and ticket.error is None and ticket.answer == 1
    finally:
        desk.close()
        desk._folder.unlink()


def test_one_session_cannot_fill_the_queue(shared: Desk, begun: Path):
    tickets = [
        shared.ask(f"many-{n}", "one of many", heavy_tasks.slow, str(begun), 5.0, asker="greedy")
        for n in range(MOST_OF_ONE)
    ]
    with pytest.raises(ResourceError, match=f"{MOST_OF_ONE} questions of this session wait already, {MOST_OF_ONE} may"):
        shared.ask("one-more", "one more", heavy_tasks.slow, str(begun), 0.0, asker="greedy")
    modest = shared.ask("modest", "of another", heavy_tasks.slow, str(begun), 0.0, asker="modest")
    for ticket in tickets:
        shared.leave("greedy", ticket.key)
    assert modest.ended.wait(30) and modest.error is None


def test_without_processes_the_asker_works_itself_and_once(tmp_path: Path, begun: Path):
    desk = Desk(Kept(tmp_path / "answers"), processes=0)
    ticket = desk.ask("here", "here", heavy_tasks.slow, str(begun), 0.0)
    assert ticket.ended.is_set() and ticket.answer == {"process": os.getpid()}
    broken = desk.ask("broken", "a mistake", heavy_tasks.breaks)
    assert "“a mistake” could not be answered: ZeroDivisionError" in str(broken.error) and desk.live() == []
    desk.close()


def test_processes_end_with_a_server_that_is_killed(tmp_path: Path):
    code = (
        "import sys, time; from pathlib import Path; from app.work.desk import Desk; from app.work.kept import Kept\n"
        "from tests.app import heavy_tasks\n"
        "if __name__ == '__main__':\n"
        "    folder = Path(sys.argv[1]); desk = Desk(Kept(folder / 'kept'), processes=1)\n"
        "    desk.ask('k', 'w', heavy_tasks.slow, str(folder), 60.0); time.sleep(60)\n"
    )
    server = psutil.Popen([sys.executable, "-c", code, str(tmp_path)], cwd=ROOT)
    until(lambda: any(path.is_file() for path in tmp_path.iterdir()))
    workers = server.children(recursive=True)
    assert workers
    server.kill()
    server.wait(10)
    until(lambda: not [w for w in workers if w.is_running() and w.status() != psutil.STATUS_ZOMBIE], 15)


def test_notes_of_a_server_that_was_killed_go_with_the_next_desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    here = platform.node()
    names = (f"{here}-{gone.pid}-ab", f"{here}-{os.getpid()}-cd", f"x{here}-{gone.pid}-ef")
    left, alive, other = (tmp_path / f"seminar-desk-{name}" for name in names)
    for folder in (left, alive, other):
        folder.mkdir()
    Desk(Kept(tmp_path / "answers"), processes=0).close()
    assert not left.exists() and alive.exists() and other.exists()


def test_answers_on_disk_stay_within_their_bound_and_the_oldest_unused_go_first(tmp_path: Path):
    kept = Kept(tmp_path, most_on_disk=3_500, most_in_memory=0)
    for at, name in enumerate("abc"):
        kept.put(name, "x" * 1_000)
        os.utime(tmp_path / f"{name}.json", (at, at))
    assert kept.get("a") == {"answer": "x" * 1_000}, "used just now"
    kept.put("d", "x" * 1_000)
    assert sorted(path.stem for path in tmp_path.iterdir()) == ["a", "c", "d"]
    (tmp_path / "c.json").write_text("{")
    assert kept.get("c") is None and kept.get("b") is None
    for name in "mn":
        (tmp_path / name).mkdir()
        (tmp_path / name / "points").write_bytes(bytes(2_000))
        os.utime(tmp_path / name, (9, 9) if name == "m" else None)
    drop_oldest(tmp_path, 2_100)
    assert [path.name for path in tmp_path.iterdir()] == ["n"]


def test_answers_in_memory_stay_within_their_bound(tmp_path: Path):
    kept = Kept(tmp_path, most_in_memory=2_500)
    for name in "abc":
        kept.put(name, "x" * 1_000)
    assert list(kept._memory) == ["b", "c"]
