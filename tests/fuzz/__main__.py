"""`python -m tests.fuzz MINUTES [NAME...]` (`make fuzz MINUTES=10`): draw inputs of every kind for so long.

Prints each finding once with the smallest input that shows it, and at the end what was drawn; the status is 1 when
something was found. What is found belongs into `test_findings.py`.
"""

from __future__ import annotations

import os
import sys
import time
import traceback
from collections import Counter

from tests.fuzz.properties import PROPERTIES, clean_up, run

EXAMPLES = 100


def place_of(error: BaseException) -> str:
    """Kind of the error and the line of the project that it came through last."""
    last = ""
    for frame in traceback.extract_tb(error.__traceback__):
        if "seminar_core" in frame.filename or f"{os.sep}app{os.sep}" in frame.filename:
            last = f"{os.path.basename(frame.filename)}:{frame.lineno}"
    return f"{type(error).__name__} at {last}"


def main(minutes: float, names: list[str]) -> int:
    """Draw until the time is over."""
    end = time.monotonic() + 60 * minutes
    drawn: Counter[str] = Counter()
    found: dict[str, str] = {}
    while time.monotonic() < end:
        for name in names:
            seen: list[int] = []
            try:
                run(name, EXAMPLES, seen)
            except BaseException as error:
                if isinstance(error, KeyboardInterrupt):
                    raise
                for one in getattr(error, "exceptions", [error]):
                    place = f"{name}: {place_of(one)}"
                    if place not in found:
                        found[place] = "".join(traceback.format_exception(one)[-1:])
                        notes = "\n".join(getattr(one, "__notes__", []))[:3000]
                        print(f"--- {place}\n{found[place]}{notes}\n", flush=True)
            drawn[name] += len(seen)
            if time.monotonic() > end:
                break
    clean_up()
    print(f"{minutes:g} minutes, inputs: {dict(drawn)}, {sum(drawn.values()):,} in all; findings: {len(found)}")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1]), sys.argv[2:] or list(PROPERTIES)))
