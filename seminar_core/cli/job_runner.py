"""The process of one background job: `python -m seminar_core.cli.job_runner JOBDIR`.

Command line. Engines start it; people do not. It carries out the job's words with the very functions that the command
line calls, so that a job and a typed command cannot differ, and keeps the answer as the job's `result.json`.
"""

from __future__ import annotations

import contextlib
import io
import json
import logging
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..access import USER, keep_files_private
from ..data.intake.uploads import hold_upload
from ..data.versions import pin
from ..errors import RelayedError, SeminarError
from ..jobs.process import follow_job, run_job
from ..jobs.state import GRACE_S, JobSpec, read_spec
from ..training.placement import place
from ..workspace import Workspace


def words_to_continue(words: tuple[str, ...], run_dir: Path) -> list[str]:
    """The words of a further attempt: continue from the last checkpoint, or begin again when there is none."""
    kept = [word for word in words if word != "--overwrite"]
    if words[0] not in ("pretrain", "finetune"):
        return list(words)
    if (run_dir / "checkpoints" / "last").is_dir():
        return [*kept, "--resume"]
    return [*kept, "--overwrite"] if run_dir.exists() else kept


def execute(spec: JobSpec, continuing: bool) -> dict[str, Any]:
    """Carry out the words in this process and return the command's answer.

    Raises:
        RelayedError: the command answered with an error.
    """
    import typer.main

    from . import main

    if spec.folder:
        os.chdir(spec.folder)
    words = list(spec.words)
    if continuing:
        words = words_to_continue(spec.words, Path(spec.workspace) / "runs" / (spec.run or "-"))
    main.load_areas()
    heard = io.StringIO()
    with contextlib.redirect_stdout(heard):
        status = typer.main.get_command(main.app).main(
            args=[*words, "--json", "--workspace", spec.workspace], prog_name="seminar_core", standalone_mode=False
        )
    lines = [line for line in heard.getvalue().splitlines() if line.startswith("{")]
    answer = json.loads(lines[-1]) if lines else {}
    if "error" in answer:
        raise RelayedError(**answer["error"])
    if status:
        raise RelayedError("crash", f"the command ended with status {status}", "read the job's log")
    return answer


def prepare(job: Path) -> None:
    """Work on behalf of who asked for the job, and hold what it reads: the version of its data set that is current now,
    or the upload that it is to import. Both stay also while the job waits for its device.
    """
    keep_files_private(Workspace(job.absolute().parents[1]))
    with contextlib.suppress(SeminarError, TypeError):  # what is wrong is told by the job itself
        spec = read_spec(job)
        os.environ[USER] = spec.who
        if (name := spec.option("dataset")) is not None:
            pin(Workspace(Path(spec.workspace)), name)
        hold_upload(Workspace(Path(spec.workspace)), [Path(word) for word in spec.words[1:]])


def main_of(job: Path, run: Callable[..., dict[str, Any]] = execute, grace_s: float = GRACE_S) -> int:
    """Be the job, or one of the further processes that carry it out with the first; returns the exit status."""
    prepare(job)
    told = place()
    if told is not None and told[0] > 0:
        return follow_job(job, told[0], told[1], run)
    return run_job(job, run, grace_s=grace_s, command=[sys.executable, *sys.orig_argv[1:]])


def log_to(path: Path) -> None:
    """Send this process's standard output and standard error to the job's log, whoever started it."""
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(file, 1)
    os.dup2(file, 2)
    os.close(file)


if __name__ == "__main__":
    job = Path(sys.argv[1])
    log_to(job / "log")
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(name)s %(message)s")
    sys.exit(main_of(job))
