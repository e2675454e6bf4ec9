"""The load test: real sessions over the protocol, in small; and what its table says."""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor

import psutil
import pytest

from benchmarks.app_client import Client
from benchmarks.app_load import Visit, by_station, run
from benchmarks.served import served


def test_percentiles_are_of_the_pages_that_came_and_errors_are_counted():
    visits = [Visit(0.0, "life", 1.0, 2.0), Visit(1.0, "life", 3.0, 4.0), Visit(2.0, "data", None, None, ["gone"])]
    everything, life, data = by_station(visits)
    assert (everything["pages"], everything["errors"], everything["whole_p50_s"]) == (3, 1, 3.0)
    assert (life["drawn_p50_s"], life["whole_p100_s"], life["errors"]) == (2.0, 4.0, 0)
    assert (data["drawn_p95_s"], data["errors"]) == (None, 1)


def test_a_server_that_cannot_start_says_why(tmp_path):
    with (
        pytest.raises(RuntimeError, match="no-such-option"),
        served(tmp_path / "workspace", tmp_path / "log", "--no-such-option"),
    ):
        pass


def test_two_sessions_walk_the_app_without_an_error():
    with ThreadPoolExecutor(1) as apart:  # a browser test of the same process leaves its event loop running
        found = apart.submit(run, 0.02, sessions=2, light=1, think_s=0.1).result()
    walking, light = found["loads"]
    assert not walking["errors"] and not walking["sessions_lost"] and not light["errors"]
    assert walking["stations"][0]["pages"] >= 2 and walking["stations"][0]["whole_p50_s"] > 0
    assert walking["server_mb"]["most"] > 20 and walking["server_cpu_s"] >= 0
    assert "WebSocket" in found["clients"]


async def pressed(address: str) -> tuple[str, float]:
    """What the address says after a weight was moved, and how long that took."""
    async with Client(address) as client:
        with pytest.raises(KeyError):
            await client.press("seminar_answer", "asked", {})
        for station in ("home", "retrieval"):
            await client.visit(station, "", time.perf_counter())
        said = {"what": "weights", "value": [0, 0, 1, 0], "gesture": "one", "done": True, "turn": 1}
        pressed = await client.press("seminar_answer", "asked", said)
        return client.query, pressed.drawn_s or 0.0


def test_a_client_moves_a_weight_of_the_answer_and_the_server_s_processes_end_with_it(tmp_path):
    with served(tmp_path / "workspace") as (process, address), ThreadPoolExecutor(1) as apart:
        query, taken = apart.submit(asyncio.run, pressed(address)).result()
        processes = psutil.Process(process.pid).children(recursive=True)
    assert processes and not any(one.is_running() for one in processes)
    assert "weights=0%2C0%2C1%2C0" in query and 0 < taken < 60
