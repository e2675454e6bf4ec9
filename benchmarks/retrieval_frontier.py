"""The retrieval figures that the README claims: measures them and rewrites `retrieval_frontier.json` beside this file.

The same as `python -m seminar_core bench retrieval --full`; takes about ten minutes on one core. `--quick` measures the
small version and writes nothing.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before NumPy is imported: one thread is what is measured

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from seminar_core.files import write_json  # noqa: E402
from seminar_core.retrieval.benchmark import run  # noqa: E402


def tell(done: int, total: int, words: str) -> None:
    print(f"{done}/{total} {words}", file=sys.stderr)


def main() -> None:
    full = "--quick" not in sys.argv
    answer = run(full=full, progress=tell)
    if full:
        write_json(Path(__file__).with_suffix(".json"), answer)
    for row in answer["rows"]:
        print(
            f"{row['length']:8d} {row['method']:18} {row['stage']:6} {row['layout']:6} {row['weights']:5} "
            f"{row['bytes_per_event']:6.0f} B {row['latency_us']:9.1f} us  recall@100 {row['recall@100']:.3f}  "
            f"mass {row['attention_mass']:.4f}  {row['speedup_over_exact']:6.2f} x exact  "
            f"{row['speedup_over_free_exact']:6.2f} x free exact  {row['gigabytes_per_s']:5.1f} GB/s"
        )
    for row in answer["batch"]:
        print(
            f"{row['length']:8d} {row['method']} batch of {row['batch']} {row['stage']:6} {row['latency_us']:8.1f} us  "
            f"{row['speedup_over_free_product']:.1f} x one product over all channels, "
            f"{row['speedup_over_product']:.1f} x one pre-multiplied product"
        )
    for row in answer["paper_protocol"]:
        print(f"paper's protocol {row['method']:14} {row['bytes_per_event']:4.0f} B  recall@32 {row['recall@32']:.4f}")


if __name__ == "__main__":
    main()
