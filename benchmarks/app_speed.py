"""How fast the app answers in a real browser: first screen, what-if, bytes on the wire, traffic of an idle page.

Prints one JSON object {machine, rows}; rows: {what, value, unit, reach, people_events}. Run by `bench app`. A workspace
of its own holds a small trained run; lives of 2,000 events (and 100,000 with --full) are generated.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import numpy as np  # noqa: E402 - after the root is on the path
import pyarrow as pa  # noqa: E402 - after the root is on the path
import pyarrow.parquet as pq  # noqa: E402
from playwright.sync_api import Browser, Page, sync_playwright  # noqa: E402

from benchmarks.app_client import GIVEN_UP_S, Client  # noqa: E402
from benchmarks.served import CHROMIUM, FLAGS, served  # noqa: E402
from seminar_core.runtime import machine_facts  # noqa: E402
from seminar_core.workspace import Workspace  # noqa: E402

# Asked of the page once per picture: the waits of Playwright's locators look again after up to half a second.
ANSWERED = """old => { for (const host of document.querySelectorAll('[data-testid="stBidiComponentIsolated"]')) {
    const drawn = host.shadowRoot?.querySelector(".answer")?.dataset.drawn;
    if (drawn && drawn !== old) return drawn;
} return false; }"""
AT_REST = """() => !!document.querySelector('[data-testid="stApp"][data-test-script-state="notRunning"]')"""
SHOWN = """([selector, words]) => [...document.querySelectorAll(selector)].some(e => e.textContent.includes(words))"""
SPEC = "QC16,RQ8x4fs"
SETTINGS = ("width=16", "heads=2", "keep=50", "steps=2", "batch_size=4", "targets_per_life=2", "validation_people=4")
IDLE_S = 6


def write_events(folder: Path, lengths: list[int], items: int = 500) -> None:
    """A table of people with lives of these lengths."""
    rng = np.random.default_rng(0)
    columns: dict[str, list[Any]] = {"person": [], "time": [], "item": [], "query": []}
    for person, length in enumerate(lengths):
        rows = rng.integers(0, items, length)
        columns["person"] += [f"p{person}"] * length
        columns["time"] += [1_600_000_000 + 600 * t for t in range(length)]
        columns["item"] += [f"i{row}" for row in rows]
        columns["query"] += [f"query {row % 40}" if row % 3 == 0 else None for row in rows]
    folder.mkdir(parents=True)
    pq.write_table(pa.table(columns), folder / "events.parquet")
    titles = [f"thing {n} of kind {n % 25}" for n in range(items)]
    catalogue = {"item": [f"i{n}" for n in range(items)], "title": titles, "category": [t[-2:] for t in titles]}
    pq.write_table(pa.table(catalogue), folder / "items.parquet")


def prepare(root: Path, lengths: list[int]) -> Workspace:
    """A workspace with the data set `speed`, the run `speed-run`, and the sample as it is once it was looked at."""
    from seminar_core.data.dataset import SAMPLE
    from seminar_core.data.importers.table import import_table
    from seminar_core.data.opening import open_dataset
    from seminar_core.encoders import load_encodings
    from seminar_core.search.study import make_codebooks, open_study
    from seminar_core.training.finetune import finetune
    from seminar_core.training.recipe import FinetuneConfig
    from seminar_core.training.settings import load_config

    workspace = Workspace(root / "workspace")
    write_events(root / "table", lengths)
    import_table(workspace, root / "table", "speed")
    config = load_config(FinetuneConfig, None, SETTINGS, seed=0, device="cpu")
    finetune(workspace, "speed", "speed-run", model="seminar", config=config)
    make_codebooks(open_study(workspace, "speed-run"), SPEC)
    load_encodings(open_dataset(workspace, SAMPLE))
    return workspace


def settle(page: Page) -> None:
    """Wait until the page has been drawn."""
    page.wait_for_function(AT_REST, timeout=120_000)


def answered(page: Page, old: str = "") -> str:
    """Wait until the page shows an answer other than the `old`; what it is known by."""
    return str(page.wait_for_function(ANSWERED, arg=old, timeout=120_000).json_value())


def shown(page: Page, selector: str, words: str = "") -> None:
    """Wait until an element of the page says `words`."""
    page.wait_for_function(SHOWN, arg=[selector, words], timeout=120_000)


@dataclass
class Wire:
    """Bytes that a page's WebSocket received."""

    received: int = 0

    def watch(self, page: Page) -> None:
        def came(frame: str | bytes) -> None:
            self.received += len(frame)

        page.on("websocket", lambda socket: socket.on("framereceived", came))


def what_if_s(page: Page) -> tuple[float, float]:
    """Seconds from a key on a weight's slider to the drawn answer, and to the page at rest; medians of seven."""
    slider = page.get_by_role("slider", name=re.compile("Text"))
    taken = []
    for _ in range(7):
        old, drawn = page.url, answered(page)
        slider.focus()
        started = time.perf_counter()
        slider.press("ArrowRight")
        answered(page, drawn)
        seen = time.perf_counter()
        page.wait_for_function("old => location.href !== old", arg=old, timeout=60_000)
        settle(page)
        taken.append((seen - started, time.perf_counter() - started))
        page.wait_for_timeout(300)
    answer, whole = (sorted(values)[3] for values in zip(*taken, strict=True))
    return answer, whole


async def server_part_s(address: str, query: str, times: int = 15) -> float:
    """Median seconds from a moved weight to the last byte of its answer, for a client that draws nothing."""
    taken = []
    async with Client(address) as client:
        for station, asked in (("home", ""), ("retrieval", query)):  # the first page tells where the others are
            found = await client.visit(station, asked, time.perf_counter())
            if found.errors:
                raise RuntimeError(f"{station} says: {found.errors}")
        await asyncio.sleep(3)  # somebody reads the answer
        for turn in range(1, times + 1):
            await asyncio.sleep(0.4)
            weights = [0.25, 0.25, round(0.3 + 0.01 * turn, 2), 0.25]
            said = {"what": "weights", "value": weights, "gesture": f"press-{turn}", "done": True, "turn": turn}
            taken.append((await client.press("seminar_answer", "asked", said)).drawn_s or GIVEN_UP_S)
    return sorted(taken)[times // 2]


def other_moment_s(page: Page, length: int) -> float:
    """Seconds from another moment to look from, which draws the whole page, to its answer; median of seven."""
    taken = []
    for moment in range(length - 70, length, 10):
        drawn = answered(page)
        page.get_by_label("seen from event").fill(str(moment))
        started = time.perf_counter()
        page.keyboard.press("Enter")
        answered(page, drawn)
        taken.append(time.perf_counter() - started)
        settle(page)
        page.wait_for_timeout(500)
    return sorted(taken)[3]


def empty_page_s(browser: Browser, workspace: Workspace) -> float:
    """Seconds to a page of Streamlit with nothing but a title: what the framework itself takes; median of five."""
    script = workspace.root.parent / "empty.py"
    script.write_text("import streamlit\n\nstreamlit.title('empty')\n")
    taken = []
    with served(workspace.root, script=str(script)) as (_, address):
        for _ in range(5):
            page = browser.new_page()
            started = time.perf_counter()
            page.goto(address)
            shown(page, "h1")
            settle(page)
            taken.append(time.perf_counter() - started)
            page.close()
    return sorted(taken)[2]


def first_screen_s(browser: Browser, workspace: Workspace, link: str, shows: Callable[[Page], object]) -> float:
    """Seconds until a fresh server shows what the page at `link` is for."""
    with served(workspace.root) as (_, address):
        page = browser.new_page()
        started = time.perf_counter()
        page.goto(f"{address}/{link}")
        shows(page)
        return time.perf_counter() - started


def opened_s(page: Page, open_it: Callable[[], object]) -> float:
    """Seconds until the page shows its answer and is at rest."""
    started = time.perf_counter()
    open_it()
    answered(page)
    settle(page)
    return time.perf_counter() - started


def visits(browser: Browser, link: str) -> dict[str, float]:
    """Medians of five ways to an answer of a server that has given it before, in seconds."""
    taken: dict[str, list[float]] = {}
    with browser.new_context() as known:
        page = known.new_page()
        page.goto(link)
        answered(page)
        for _ in range(5):
            with browser.new_context() as new:
                first = new.new_page()
                way = "first answer, warm, in a browser that never saw the app"
                taken.setdefault(way, []).append(opened_s(first, lambda first=first: first.goto(link)))
            tab = known.new_page()
            taken.setdefault("first answer, warm", []).append(opened_s(tab, lambda tab=tab: tab.goto(link)))
            tab.close()
            taken.setdefault("the same page again", []).append(opened_s(page, page.reload))
            page.get_by_role("link", name="Training").first.click()
            shown(page, "h2", "Training")
            page.wait_for_timeout(1500)
            click = page.get_by_role("link", name="Retrieval").first.click
            taken.setdefault("answer from another station", []).append(opened_s(page, click))
    return {way: sorted(values)[2] for way, values in taken.items()}


def measure(full: bool) -> list[dict[str, Any]]:
    """All rows."""
    lengths = [100] * 5 + [2_000] * 2 + ([100_000] if full else [])
    rows: list[dict[str, Any]] = []

    def row(what: str, value: float, unit: str, reach: float, events: int = 0) -> None:
        rows.append({"what": what, "value": round(value, 3), "unit": unit, "reach": reach, "events": events})

    def query(person: int) -> str:
        return f"dataset=speed&run=speed-run&person=p{person}&spec={SPEC}"

    with tempfile.TemporaryDirectory() as folder, sync_playwright() as driver:
        workspace = prepare(Path(folder), lengths)
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        for what, link, shows in (
            ("first screen", "", lambda page: shown(page, "strong", "What does quantisation lose?")),
            (
                "first screen, a link to Data",
                "data?dataset=speed",
                lambda page: shown(page, '[data-testid="stMetric"]'),
            ),
            ("first screen, a link to an answer about the sample", "retrieval", answered),
            ("first screen, a link to an answer never given", f"retrieval?{query(5)}", answered),
        ):
            row(what, first_screen_s(browser, workspace, link, shows), "s", 2.0)
        with served(workspace.root) as (_, address):
            page = browser.new_page()
            page.goto(address)
            shown(page, "strong", "What does quantisation lose?")
            page.wait_for_timeout(4000)  # somebody reads the first screen; the server imports what comes next
            page.close()
            for person, length in enumerate(lengths):
                if person < 6:
                    continue
                page = browser.new_page()
                wire = Wire()
                wire.watch(page)
                link = f"{address}/retrieval?{query(person)}"
                fresh = length == 2_000  # the first that this server is asked
                taken = opened_s(page, lambda page=page, link=link: page.goto(link))
                row("first answer, fresh process" if fresh else "first answer to a question", taken, "s", 2.0, length)
                row("page on the wire", wire.received / 1e6, "MB", 2.0, length)
                for way, value in visits(browser, link).items():
                    row(way, value, "s", 1.0, length)
                answer, whole = what_if_s(page)
                row("what-if", whole, "s", 0.3 if length == 2_000 else 0.5, length)
                row("what-if, answer drawn", answer, "s", 0.3 if length == 2_000 else 0.5, length)
                row("another target, the whole page", other_moment_s(page, length), "s", 0.5, length)
                page.wait_for_timeout(1500)
                before = wire.received
                page.wait_for_timeout(IDLE_S * 1000)
                row("idle traffic", float(wire.received - before), f"bytes in {IDLE_S} s", 0.0, length)
                page.close()
                with ThreadPoolExecutor(1) as beside:  # this thread's event loop is the browser driver's
                    server = beside.submit(asyncio.run, server_part_s(address, query(person))).result()
                row("what-if, server's part", server, "s", 0.06, length)
            row("an empty page of Streamlit", empty_page_s(browser, workspace), "s", 0.0)
        browser.close()
    return rows


def main() -> None:
    """Print the answer."""
    rows = measure("--full" in sys.argv[1:])
    print(json.dumps({"machine": machine_facts(), "rows": rows}))


if __name__ == "__main__":
    main()
