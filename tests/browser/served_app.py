"""A real server on a free port and what a browser needs to open it; shared by browser tests and screenshots."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    # WebGL in software: the map is drawn for real, without a graphics card
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


def entered(page, field, text: str, in_address: str) -> None:
    """Type `text` into `field` and press Enter until the page's address holds `in_address`.

    On a loaded machine a rerun that is still under way may put the field's old value back under the typing.
    """
    for _ in range(4):
        field.fill(text)
        field.press("Enter")
        until = time.monotonic() + 20
        while time.monotonic() < until:
            if in_address in page.url:
                return
            page.wait_for_timeout(100)
    raise AssertionError(f"{in_address} never stood in the address, which is {page.url}")


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def serve(workspace: Path, log: Path, *options: str, port: int | None = None) -> tuple[subprocess.Popen[bytes], str]:
    """Start the app over `workspace` with Streamlit's `options`; return the process and its address once it answers."""
    port = port or free_port()
    environment = {**os.environ, "SEMINAR_WORKSPACE": str(workspace), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "streamlit", "run", "app/streamlit_app.py", "--server.port", str(port), *options]
    with log.open("wb") as output:
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=output, stderr=subprocess.STDOUT)
    address = f"http://127.0.0.1:{port}"
    for _ in range(240):
        try:
            with urllib.request.urlopen(f"{address}/_stcore/health", timeout=2) as answer:
                if answer.status == 200:
                    return process, address
        except OSError:
            time.sleep(0.25)
        if process.poll() is not None:
            break
    process.kill()
    raise RuntimeError(f"the app did not start: {log.read_text(errors='replace')[-2000:]}")
