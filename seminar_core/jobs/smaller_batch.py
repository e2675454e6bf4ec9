"""Out of memory: the same job again from its last checkpoint with half the lives in a step.

Training, background jobs. Only `batch_size` is halved: targets of a life, negatives and length stay, so that the
objective stays the same and only its noise grows. The run's card and the job's words both say the new size.
"""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path

from ..errors import NoMemoryError, NotReadyError, SeminarError
from ..files import write_json
from ..training.run_files import RunCard, read_card
from .state import JobSpec, JobStatus, write_spec

SETTING = "batch_size"
CLOCK_SLACK_S = 0.1


def own_card(spec: JobSpec, status: JobStatus) -> RunCard | None:
    """The card of the run that the job itself has made; None where it came to none."""
    directory = Path(spec.workspace) / "runs" / (spec.run or "-")
    try:
        made = (directory / "run.json").stat().st_mtime
        began = status.first_started_s
        return read_card(directory) if began is not None and made >= began - CLOCK_SLACK_S else None
    except (FileNotFoundError, SeminarError):
        return None


def batch_size(spec: JobSpec, status: JobStatus) -> int:
    """Lives in a step: as the run's card says, else the job's words, else the default."""
    from ..training.recipe import BatchConfig

    card = own_card(spec, status)
    if card is not None:
        return int(card.config["batches"][SETTING])
    settings = [word.removeprefix("--set=").partition("=") for word in spec.words]
    told = [value for name, _, value in settings if name.rpartition(".")[2] == SETTING]
    return int(told[-1]) if told else BatchConfig().batch_size


def offered(spec: JobSpec, status: JobStatus) -> int | None:
    """The batch size to resume a job with that ran out of memory; None for any other job.

    Half the present one, rounded down to what the job's processes can share out evenly.
    """
    if status.state != "failed" or (status.error or {}).get("kind") != NoMemoryError.kind:
        return None
    if spec.command not in ("pretrain", "finetune"):
        return None
    half = batch_size(spec, status) // 2
    return half - half % spec.processes or None


def halve(job_dir: Path, spec: JobSpec, status: JobStatus) -> JobSpec:
    """Write half the batch size into the run's card and the job's words.

    Raises:
        NotReadyError: the job did not run out of memory, or its batch is one life already.
    """
    size = offered(spec, status)
    if size is None:
        raise NotReadyError(
            f"job {job_dir.name} cannot be resumed with a smaller batch",
            hint="only a training that ran out of memory with more than one life of each process in a step can; else "
            "lower max_length",
        )
    card = own_card(spec, status)
    if card is not None:
        config = {**card.config, "batches": {**card.config["batches"], SETTING: size}}
        write_json(Path(spec.workspace) / "runs" / card.name / "run.json", asdict(replace(card, config=config)))
    spec = replace(spec, words=(*spec.words, "--set", f"{SETTING}={size}"))
    write_spec(job_dir, spec)
    return spec
