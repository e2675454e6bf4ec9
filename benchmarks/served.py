"""A real server on a free port and what a browser needs to open it; shared by measurements, tests and screenshots."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parents[1]
CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
WITH_WEBGL = [  # in software: the map is drawn for real, without a graphics card
    *FLAGS,
    "--use-gl=angle",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
]
DRAWN = '[data-testid="stApp"][data-test-script-state="notRunning"]'


def settled(page, timeout_s: float = 60) -> None:
    """Wait until the app has drawn everything it was asked for."""
    page.wait_for_selector(DRAWN, timeout=timeout_s * 1000)
    page.wait_for_timeout(150)
    page.wait_for_selector(DRAWN, timeout=timeout_s * 1000)


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@contextmanager
def served(
    workspace: Path,
    log: Path | None = None,
    *options: str,
    script: str = "app/streamlit_app.py",
    port: int | None = None,
) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """The app over `workspace`, or another script of Streamlit: its process and its address, once it answers.

    After the block the server has ended and so has every process that it started, those of jobs too: nothing writes
    into the workspace any more.

    Args:
        log: where its output goes; nowhere without it.
        options: of Streamlit's command line.
    """
    port = port or free_port()
    environment = {**os.environ, "SEMINAR_WORKSPACE": str(workspace), "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "streamlit", "run", script, "--server.port", str(port), *options]
    with (log or Path(os.devnull)).open("wb") as output:
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=output, stderr=subprocess.STDOUT)
    address = f"http://127.0.0.1:{port}"
    try:
        if not _answers(process, address):
            said = log.read_text(errors="replace")[-2000:] if log else "nothing that was kept"
            raise RuntimeError(f"the app did not start within a minute; it said: {said}")
        yield process, address
    finally:
        _end(process)


def _answers(process: subprocess.Popen[bytes], address: str) -> bool:
    """Wait up to a minute for a server that answers."""
    until = time.monotonic() + 60
    while time.monotonic() < until and process.poll() is None:
        try:
            with urllib.request.urlopen(f"{address}/_stcore/health", timeout=2) as answer:
                if answer.status == 200:
                    return True
        except OSError:
            time.sleep(0.25)
    return False


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a server and wait for the processes that it started, which see its end within seconds."""
    try:
        others = psutil.Process(process.pid).children(recursive=True)
    except psutil.NoSuchProcess:
        others = []
    process.terminate()
    process.wait(timeout=20)
    _, late = psutil.wait_procs(others, timeout=20)
    for other in late:
        other.kill()
    psutil.wait_procs(late, timeout=20)
