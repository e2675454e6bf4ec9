"""A part of a page, drawn alone while its answer is worked out, goes on watching however often it is asked."""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor

from benchmarks.app_client import Client
from benchmarks.served import served
from seminar_core.data.opening import open_dataset
from seminar_core.encoders import is_encoded
from seminar_core.workspace import Workspace


async def moved_while_encoding(address: str, workspace: Workspace) -> list[tuple[bool, bool]]:
    """K moved three times on the sample's first answer: each time whether texts were encoded, and the page watched."""
    found = []
    async with Client(address) as client:
        for station in ("home", "retrieval"):
            assert not (await client.visit(station, "", time.perf_counter())).errors
        for turn, k in enumerate((7, 8, 9), start=1):
            said = {"what": "k", "value": k, "gesture": "one", "done": k == 9, "turn": turn}
            visit = await client.press("seminar_answer", "asked", said, whole=k == 9)
            assert not visit.errors
            found.append((is_encoded(open_dataset(workspace, "sample")), bool(client.timers)))
    return found


def test_a_slider_that_moves_while_texts_are_encoded_gets_its_answer(tmp_path):
    workspace = Workspace(tmp_path / "workspace")
    # in a thread of its own: a browser test of the same process leaves its event loop running
    with served(workspace.root) as (_, address), ThreadPoolExecutor(1) as apart:
        found = apart.submit(asyncio.run, moved_while_encoding(address, workspace)).result()
    assert found == [(False, True), (False, True), (True, False)]
