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
from app.parameters import PARAMETERS
from app.stations.alignment import loaders as alignment
from app.stations.home.view import most_lost
from app.stations.life import loaders as life
from app.stations.retrieval import evidence
from app.stations.retrieval import loaders as sources
from app.work import waiting
from seminar_core.data.dataset import SAMPLE
from seminar_core.files import read_json, write_json
from seminar_core.search.question import SHORTLIST, Question, next_item

RUN = "sample-seminar"


def ask(answers: Path) -> None:
    """Home's picture, Alignment's cards and work-list, every person's losses, and the answers behind Home's doors.

    Args:
        answers: where they will lie; those about a target are to hold no times of this machine.
    """
    person = str(loaders.report(SAMPLE)["example_person"])
    waiting.answer(life.interests_question(SAMPLE, person))
    shown = tuple(alignment.stages(RUN))[:2]
    alignment.cards(RUN, shown, "none")
    alignment.encoders_card(RUN, shown[0], "none")
    alignment.worklist(RUN, shown[-1], "items")
    loaders.population(RUN)
    sources.run_facts(RUN)
    retrieve(person, SHORTLIST)
    retrieve((most_lost(RUN) or {})["person"], 0.0)
    for path in answers.rglob("*.json"):
        held = read_json(path)
        if isinstance(held["answer"], dict) and "latency_us" in held["answer"].get("said", ()):
            held["answer"]["said"]["latency_us"] = {"exact": None, "approx": None}
            write_json(path, held)


def retrieve(person: str, shortlist: float) -> None:
    """The page Retrieval as it opens for a person: the answer, and why its first event was kept or lost."""
    dataset = loaders.dataset(SAMPLE)
    item = next_item(dataset, Question(person, ""))
    assert item is not None
    question = Question(person, item, k=PARAMETERS["k"].default, shortlist=shortlist)
    events = evidence.lost_first(sources.answered(RUN, question).verdicts).event
    sources.explanation(RUN, question, str(events.iloc[0]))


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
        ask(answers)
        waiting.bundled().mkdir()
        for path in answers.rglob("*.json"):
            shutil.copy(path, waiting.bundled())


if __name__ == "__main__":
    main()
