"""The speeds that the README claims: measures training and evaluation and rewrites `training_speed.json` and
`evaluation_speed.json` beside this file.

The same as `python -m seminar_core bench training --full` and `bench evaluation --full`; name one of the two to measure
it alone. Takes a few minutes on one core.
"""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.training import run_evaluation, run_training  # noqa: E402
from seminar_core.files import write_json  # noqa: E402

MEASURES = {"training": run_training, "evaluation": run_evaluation}


def tell(done: int, total: int, words: str) -> None:
    print(f"{done}/{total} {words}", file=sys.stderr)


def main() -> None:
    for name in sys.argv[1:] or MEASURES:
        answer = MEASURES[name](full=True, progress=tell)
        write_json(Path(__file__).with_name(f"{name}_speed.json"), answer)
        for row in answer["rows"]:
            words = f"{row['shape']:15} {row['phase']:9} {row['model']:10} {row['per_s']:9.1f} {row['unit']}/s"
            print(f"{words}  {row['ratio']:6.1f} x {row['reference']} (goal {row['goal']:g})  {row['peak_mb']:6.0f} MB")


if __name__ == "__main__":
    main()
