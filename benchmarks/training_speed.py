"""The training figures that the README claims: measures them and rewrites `training_speed.json` beside this file.

The same as `python -m seminar_core bench training --full`; takes a few minutes on one core.
"""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.training import run_training  # noqa: E402
from seminar_core.files import write_json  # noqa: E402


def tell(done: int, total: int, words: str) -> None:
    print(f"{done}/{total} {words}", file=sys.stderr)


def main() -> None:
    answer = run_training(full=True, progress=tell)
    write_json(Path(__file__).with_suffix(".json"), answer)
    for row in answer["rows"]:
        words = f"{row['shape']:15} {row['phase']:9} {row['model']:10} {row['per_s']:9.1f} {row['unit']}/s"
        print(f"{words}  {row['ratio']:6.1f} x {row['reference']} (goal {row['goal']:g})  {row['peak_mb']:6.0f} MB")


if __name__ == "__main__":
    main()
