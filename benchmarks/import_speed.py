"""Import speed, memory and read latency: `python benchmarks/import_speed.py [--quick|--large] [--note WORDS]`
writes docs/results/import.json.

20 million events (10,000 people x 2,000, and one life of 102,000) from Parquet and from CSV, each imported in a process
of its own; `--quick` takes 2 million, `--large` adds 100 million (50,000 people x 2,000) from Parquet, which needs
about 12 GB of disk. The measuring is `benchmarks.importing`, as in `bench import`.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.importing import run  # noqa: E402 - after the root is on the path
from seminar_core.files import write_json  # noqa: E402 - the same


def main() -> None:
    """Measure, write the result file, print it."""
    result = run(full="--quick" not in sys.argv[1:], large="--large" in sys.argv[1:])
    if "--note" in sys.argv:
        result["note"] = sys.argv[sys.argv.index("--note") + 1]
    write_json(ROOT / "docs" / "results" / "import.json", result)
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
