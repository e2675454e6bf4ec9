"""Many sessions on one server: seconds to a station, the server's memory and CPU over time, errors.

The sessions are WebSocket clients that speak the app's own protocol, not browsers: they ask for pages, follow fragments
that redraw themselves and wait until nothing is under way, but draw nothing, so what a browser adds is not in it. Run
`python benchmarks/app_load.py --minutes 10 --out docs/results/app-load.json`. The clients run beside the server: with
three cores or more it gets two of its own and they get the rest; the CPU of both is in the answer.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import numpy as np  # noqa: E402 - after the root is on the path
import psutil  # noqa: E402

from benchmarks.app_client import Client, Visit  # noqa: E402
from benchmarks.served import served  # noqa: E402
from seminar_core.data.opening import open_dataset  # noqa: E402
from seminar_core.files import write_json  # noqa: E402
from seminar_core.runtime import machine_facts  # noqa: E402
from seminar_core.workspace import Workspace  # noqa: E402

STATIONS = ("home", "data", "life", "alignment", "retrieval", "training")
RUN = "sample-seminar"
KINDS = "WebSocket clients"


async def walk(address: str, people: list[str], until: float, think_s: float, started: float, seed: int) -> list[Visit]:
    """One session that goes from station to station with a person of its own, until the time is over."""
    rng, found = random.Random(seed), []
    async with Client(address) as client:
        while time.perf_counter() < until:
            person, k = rng.choice(people), rng.choice((10, 20, 50))
            for station in STATIONS:
                query = f"dataset=sample&run={RUN}&person={person}&k={k}&v=1"
                found.append(await client.visit(station, query, started))
                await asyncio.sleep(rng.uniform(0.5, 1.5) * think_s)
                if time.perf_counter() >= until:
                    break
    return found


async def rest(address: str, people: list[str], until: float, think_s: float, started: float, seed: int) -> list[Visit]:
    """One light session: it opens a page, looks at it for a long while, and opens another light one."""
    rng, found = random.Random(seed), []
    await asyncio.sleep(rng.uniform(0, think_s))
    async with Client(address) as client:
        while time.perf_counter() < until:
            query = f"dataset=sample&run={RUN}&person={rng.choice(people)}&v=1"
            found.append(await client.visit(rng.choice(("home", "data", "life")), query, started))
            await asyncio.sleep(rng.uniform(0.5, 1.5) * think_s)
    return found


def family(process: psutil.Process) -> tuple[float, float, float, float]:
    """MB and CPU seconds of the server, and of the processes that it started."""

    def of(one: psutil.Process) -> tuple[float, float]:
        try:
            times = one.cpu_times()
            return one.memory_info().rss / 1e6, times.user + times.system
        except psutil.NoSuchProcess:
            return 0.0, 0.0

    others = [of(child) for child in process.children(recursive=True)]
    return (*of(process), sum(mb for mb, _ in others), sum(cpu for _, cpu in others))


async def watch(process: psutil.Process, until: float, started: float, every_s: float) -> list[dict[str, float]]:
    """Memory and CPU of the server over time."""
    rows = []
    while time.perf_counter() < until:
        names = ("server_mb", "server_cpu_s", "workers_mb", "workers_cpu_s")
        rows.append(
            {"at_s": round(time.perf_counter() - started, 1)}
            | dict(zip(names, map(round_1, family(process)), strict=True))
        )
        await asyncio.sleep(every_s)
    return rows


def round_1(value: float) -> float:
    return round(value, 1)


def by_station(visits: list[Visit]) -> list[dict[str, Any]]:
    """Percentiles of each station and of all, in seconds."""
    rows = []
    for station in ("all", *dict.fromkeys(visit.station for visit in visits)):
        of = [v for v in visits if station in ("all", v.station)]
        row: dict[str, Any] = {"station": station, "pages": len(of), "errors": sum(bool(v.errors) for v in of)}
        for name in ("drawn_s", "whole_s"):
            taken = [getattr(v, name) for v in of if getattr(v, name) is not None]
            for share in (50, 95, 100):
                row[f"{name[:-2]}_p{share}_s"] = round(float(np.percentile(taken, share)), 2) if taken else None
        rows.append(row)
    return rows


async def load(
    address: str, server: int, people: list[str], sessions: int, seconds: float, think_s: float, light: bool
):
    """Sessions at once for a while: their visits, and the server over time."""
    process, started = psutil.Process(server), time.perf_counter()
    until = started + seconds
    own = time.process_time()
    one = rest if light else walk
    watching = asyncio.create_task(watch(process, until, started, max(0.5, seconds / 120)))
    asked = [one(address, people, until, think_s, started, seed) for seed in range(sessions)]
    told = await asyncio.gather(*asked, return_exceptions=True)
    visits = [visit for found in told if isinstance(found, list) for visit in found]
    lost = [repr(found) for found in told if not isinstance(found, list)]
    rows = await watching
    first, last = rows[0], rows[-1]
    flat = [row["server_mb"] for row in rows if row["at_s"] >= min(180.0, seconds / 2)]
    return {
        "sessions": sessions,
        "kind": "light" if light else "walking",
        "seconds": seconds,
        "think_s": think_s,
        "stations": by_station(visits),
        "errors": sorted({f"{v.station}: {e[:200]}" for v in visits for e in v.errors}),
        "sessions_lost": lost,
        "clients_cpu_s": round_1(time.process_time() - own),
        "server_cpu_s": round_1(last["server_cpu_s"] - first["server_cpu_s"]),
        "workers_cpu_s": round_1(last["workers_cpu_s"]),
        "server_mb": {
            "first": first["server_mb"],
            "last": last["server_mb"],
            "most": max(r["server_mb"] for r in rows),
        },
        "server_mb_after_third_minute": [min(flat), max(flat)] if flat else None,
        "over_time": rows,
    }


def apart(server: int) -> dict[str, Any]:
    """Give the server two cores and the clients the others, where there are at least three."""
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 3:
        return {"server_cores": cores, "client_cores": cores}
    os.sched_setaffinity(server, cores[:2])
    os.sched_setaffinity(0, cores[2:])
    return {"server_cores": cores[:2], "client_cores": cores[2:]}


def run(minutes: float, *, sessions: int = 10, light: int = 50, think_s: float = 4.0, note: str = "") -> dict[str, Any]:
    """The whole measurement over the bundled sample, in a workspace and a server of its own."""
    with tempfile.TemporaryDirectory() as folder:
        workspace = Workspace(Path(folder) / "workspace")
        people = [str(name) for name in open_dataset(workspace, "sample").person_ids[:40]]
        with served(workspace.root) as (process, address):
            cores = apart(process.pid)
            idle = psutil.Process(process.pid).memory_info().rss / 1e6
            loads = [asyncio.run(load(address, process.pid, people, sessions, 60 * minutes, think_s, False))]
            if light:
                loads.append(asyncio.run(load(address, process.pid, people, light, 18 * minutes, 5 * think_s, True)))
    return {
        "clients": f"{KINDS}: nothing is drawn, so what a browser adds is not in it",
        "machine": machine_facts(),
        "note": note,
        "busy": {"load_average": [round(x, 1) for x in os.getloadavg()]},
        **cores,
        "server_mb_idle": round_1(idle),
        "loads": loads,
    }


def main() -> None:
    """Measure, print the table and write the file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--minutes", type=float, default=10.0, help="of the walking sessions; the light ones take 0.3 of it"
    )
    parser.add_argument("--sessions", type=int, default=10)
    parser.add_argument("--light", type=int, default=50)
    parser.add_argument("--think", type=float, default=4.0, help="mean seconds between a page and the next")
    parser.add_argument("--note", default="", help="what else the machine was doing")
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    answer = run(given.minutes, sessions=given.sessions, light=given.light, think_s=given.think, note=given.note)
    for found in answer["loads"]:
        print(
            f"{found['sessions']} {found['kind']} sessions: server CPU {found['server_cpu_s']} s, {found['server_mb']}"
        )
        for row in found["stations"]:
            print("  " + json.dumps(row))
        for error in (*found["errors"], *found["sessions_lost"]):
            print(f"  ! {error}")
    if given.out:
        write_json(given.out, answer)


if __name__ == "__main__":
    main()
