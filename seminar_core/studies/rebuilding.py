"""`repair`: makes what is damaged and can be derived again, and names what cannot.

Studies. Encoder vectors, codebooks and what was measured are made as their commands make them; the bundled sample is
imported again from its folder; sums that were changed are written anew where the files are still those they name. Of
everything else there is no second copy: `lost` says of each file what can be done.
"""

from __future__ import annotations

import re
from itertools import groupby
from pathlib import Path
from typing import Any

from ..data.dataset import SAMPLE, Dataset
from ..data.opening import import_sample
from ..encoders.store import make_again
from ..errors import NotReadyError, SeminarError
from ..progress import Progress, silent
from ..search.population import population
from ..search.study import make_codebooks, open_study
from ..sums import SUMS, renew
from ..training.assess import evaluate_run
from ..training.run_files import read_status
from ..workspace import Workspace, refuse_bundled
from .integrity import DERIVED, verify

POPULATION = re.compile(r"(?P<spec>.+)-(?P<k>\d+)\.json")
RESULT = re.compile(r"(\w+)-(\d+|full)-(\w+)-(\w+)(?:-(\w+)-(.+))?")
"""Names that `population` and `training.assess.protocol_name` give."""


def repair(workspace: Workspace, name: str, kind: str | None = None, progress: Progress = silent) -> dict[str, Any]:
    """Make again what is damaged and can be derived.

    Returns:
        name, kind, `rebuilt`: files and folders that were made again, `lost`: list of {file, problem, hint}.

    Raises:
        UnknownNameError, CorruptFileError: as `verify`.
        NotReadyError: the run is being trained.
        ExistsError: the run comes with the sample.
    """
    found = verify(workspace, name, kind, progress)
    folder = Path(found["path"])
    if found["kind"] == "run":
        refuse_bundled(name)
        if _is_training(folder):
            raise NotReadyError(f"run {name!r} is being trained", hint="wait for it, or stop it first")
    rebuilt: list[str] = []
    lost: list[dict[str, str]] = []
    for part, rows in groupby(sorted(found["problems"], key=_place), key=lambda row: _part(row["file"])):
        try:
            made = rebuild_part(workspace, found["kind"], name, folder, part, progress)
            because = {}
        except SeminarError as error:
            made, because = False, {"hint": f"{error.message}: {error.hint}"}
        if made:
            rebuilt.append(part)
        else:
            lost += [row | because for row in rows]
    return {"name": name, "kind": found["kind"], "rebuilt": rebuilt, "lost": lost}


def _is_training(folder: Path) -> bool:
    try:
        return bool(read_status(folder).get("state") == "running")
    except SeminarError:  # damaged itself: told among the lost
        return False


def _part(file: str) -> str:
    """What is made again as one: a folder of vectors or codebooks, both files of a result, else the file."""
    first, *rest = Path(file).parts
    if first in ("encodings", "codebooks") and rest:
        return f"{first}/{rest[0]}"
    return str(Path(file).with_suffix("")) if first == "results" else file


def _place(row: dict[str, str]) -> tuple[int, str]:
    """Own files come first, and what is derived after what it is derived from."""
    first = Path(row["file"]).parts[0]
    return DERIVED.index(first) + 1 if first in DERIVED else 0, _part(row["file"])


def rebuild_part(workspace: Workspace, kind: str, name: str, folder: Path, part: str, progress: Progress) -> bool:
    """Make one part again; whether there is a way to.

    Raises:
        SeminarError: there is, and what it needs is not there or damaged itself.
    """
    first, _, rest = part.partition("/")
    if kind == "dataset" and first == "encodings":
        make_again(Dataset(name, folder), rest, progress)
    elif kind == "dataset" and name == SAMPLE:
        import_sample(workspace, progress, again=True)
    elif first == "codebooks":
        make_codebooks(open_study(workspace, name), rest, progress=progress)
    elif first == "population" and (of := POPULATION.fullmatch(rest)):
        (folder / part).unlink(missing_ok=True)  # else it is read instead of measured
        population(workspace, name, spec=of["spec"], k=int(of["k"]), progress=progress)
    elif first == "results" and (asked := RESULT.fullmatch(rest)):
        mode, negatives, sampler, pool, held_out, stage = asked.groups()
        among = negatives if negatives == "full" else int(negatives)
        evaluate_run(
            workspace, name, mode=mode, negatives=among, sampler=sampler, pool=pool, part=held_out or "test",
            stage=stage or "best", progress=progress,
        )  # fmt: skip
    else:
        return Path(part).name == SUMS and renew((folder / part).parent)
    return True
