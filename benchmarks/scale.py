"""How large a catalogue one machine trains: one step of an id table with dense and with sparse gradients.

    python benchmarks/scale.py [OUT.json]

Each row in a process of its own, one thread, process CPU time: gather of 20,000 rows of a (I, 64) table, backward, and
the optimiser's step (Adam, or SparseAdam). Peak memory is the process's, torch's own 0.2 GB included.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROWS, WIDTH, STEPS = 20_000, 64, 5
ITEMS = (10_000, 100_000, 1_000_000, 3_000_000)


def measure(items: int, sparse: bool) -> dict[str, object]:
    """One row, in this process."""
    import time

    import torch
    from torch.nn import functional

    from seminar_core.runtime import peak_memory_mb

    torch.set_num_threads(1)
    table = torch.nn.Parameter(torch.randn(items, WIDTH) * 0.1)
    optimiser = torch.optim.SparseAdam([table]) if sparse else torch.optim.Adam([table], fused=True)
    best = float("inf")
    for step in range(STEPS):
        rows = torch.randint(items, (ROWS,), generator=torch.Generator().manual_seed(step))
        began = time.process_time()
        functional.embedding(rows, table, sparse=sparse).square().mean().backward()
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        best = min(best, time.process_time() - began)
    kind = "sparse" if sparse else "dense"
    return {"items": items, "gradient": kind, "step_ms": round(1000 * best, 2), "peak_mb": round(peak_memory_mb())}


def main() -> None:
    if sys.argv[1:2] == ["--row"]:
        print(json.dumps(measure(int(sys.argv[2]), sys.argv[3] == "sparse")))
        return
    from seminar_core.runtime import machine_facts

    rows = []
    for items in ITEMS:
        for kind in ("dense", "sparse"):
            line = [sys.executable, __file__, "--row", str(items), kind]
            rows.append(json.loads(subprocess.run(line, capture_output=True, text=True, check=True).stdout))
            print(rows[-1], file=sys.stderr)
    out = Path(sys.argv[1]) if sys.argv[1:] else Path(__file__).with_name("scale.json")
    out.write_text(json.dumps({"machine": machine_facts(), "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    main()
