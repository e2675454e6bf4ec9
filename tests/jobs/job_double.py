"""A stand-in for the job's process: the real `run_job` around a small loop that can be told to misbehave.

`--set steps=N`, `--set pause=S` (seconds a step), `--set mode=...`: `deaf` (one long step that never reports), `fill`
(a checkpoint larger than the disk), `raise`, `early` (before the run is made), `memory` (unless batch_size is at most
`--set fits=N`). It checkpoints every step, and on a further attempt goes on from there; `seen.txt` of the run gets one
line per step done, so that a test can see what was done twice.
"""

from __future__ import annotations

import logging
import sys
import time
from pathlib import Path
from typing import Any

from seminar_core.cli.job_runner import log_to, words_to_continue
from seminar_core.errors import Cancelled, ExistsError
from seminar_core.jobs.process import run_job
from seminar_core.jobs.state import JobSpec
from seminar_core.progress import installed


def settings(words: list[str]) -> dict[str, str]:
    return dict(word.split("=", 1) for word in words if "=" in word)


def slowly(run: str) -> dict[str, Any]:
    """An evaluation that takes its time and measures nothing."""
    report = installed()
    assert report is not None
    for done in range(600):
        report(done, 600, "asking people")
        time.sleep(0.05)
    return {"run": run}


def work(spec: JobSpec, continuing: bool) -> dict[str, Any]:
    run = Path(spec.workspace) / "runs" / (spec.run or "-")
    if spec.command == "evaluate":
        return slowly(run.name)
    words = words_to_continue(spec.words, run) if continuing else list(spec.words)
    told = settings(words)
    checkpoint = run / "checkpoints" / "last"
    if told.get("mode") == "early":
        raise ValueError("the data could not be read")
    if run.exists() and "--resume" not in words and "--overwrite" not in words:
        raise ExistsError(f"run {run.name} exists already", hint="choose another name or --overwrite")
    checkpoint.mkdir(parents=True, exist_ok=True)
    if "--resume" not in words:
        (run / "run.json").write_text("{}")
    first = int((checkpoint / "step").read_text()) if "--resume" in words and (checkpoint / "step").exists() else 0
    report, steps = installed(), int(told.get("steps", "5"))
    assert report is not None
    for step in range(first, steps):
        if told.get("mode") == "deaf":
            time.sleep(600)
        if told.get("mode") == "raise":
            raise ValueError("the loop broke")
        if told.get("mode") == "memory" and int(told.get("batch_size", "16")) > int(told.get("fits", "0")):
            raise MemoryError("no room for the batch")
        if told.get("mode") == "fill":
            (checkpoint / "weights").write_bytes(b"\0" * 2**24)
        time.sleep(float(told.get("pause", "0")))
        with (run / "seen.txt").open("a") as seen:
            seen.write(f"{step}\n")
        (checkpoint / "next").write_text(str(step + 1))
        (checkpoint / "next").replace(checkpoint / "step")
        try:
            report(step + 1, steps, "training")
        except Cancelled:
            (run / "stopped_at").write_text(str(step + 1))
            raise
    return {"run": run.name, "steps": steps}


if __name__ == "__main__":
    job = Path(sys.argv[1])
    log_to(job / "log")
    logging.basicConfig(level=logging.INFO, stream=sys.stderr)
    sys.exit(run_job(job, work, grace_s=float(sys.argv[2]) if len(sys.argv) > 2 else 10.0))
