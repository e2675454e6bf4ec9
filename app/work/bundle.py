"""Answer beforehand what the sample's first pages ask: `python -m app.work.bundle` writes `sample_data/run/.answers/`.

Asked in a workspace of its own and by the loaders that pages use, so the keys are theirs. To be made again when the
bundled run, or how such a question is answered, has changed (`waiting.FORMAT`); a test compares.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from app import loaders
from app.stations.alignment import loaders as alignment
from app.work import waiting
from seminar_core.data.dataset import SAMPLE

RUN = "sample-seminar"


def ask() -> None:
    """Home's picture, Alignment's cards and work-list, and every person's losses."""
    person = str(loaders.report(SAMPLE)["example_person"])
    waiting.answer(loaders.interests_question(SAMPLE, person))
    shown = tuple(alignment.stages(RUN))[:2]
    alignment.cards(RUN, shown, "none")
    alignment.encoders_card(RUN, shown[0], "none")
    alignment.worklist(RUN, shown[-1], "items")
    loaders.population(RUN)


@contextmanager
def fresh(folder: Path) -> Iterator[Path]:
    """A workspace in which nothing was asked yet; where its answers will lie."""
    before = {name: os.environ.get(name) for name in ("SEMINAR_WORKSPACE", "SEMINAR_WORKERS")}
    os.environ |= {"SEMINAR_WORKSPACE": str(folder), "SEMINAR_WORKERS": "0"}
    try:
        yield folder / "answers"
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


def main() -> None:
    """Make them anew."""
    shutil.rmtree(waiting.bundled(), ignore_errors=True)
    with tempfile.TemporaryDirectory() as place, fresh(Path(place)) as answers:
        ask()
        shutil.copytree(answers, waiting.bundled())


if __name__ == "__main__":
    main()
