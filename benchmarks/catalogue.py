"""What a large catalogue costs: `python benchmarks/catalogue.py [--items 1000000] [--most-mb 8000] [--out FILE]`.

Items with a title and a category, each met by somebody; 20,000 people. Every step (import, encode, a short training
with sparse gradients, codebooks from a sample, one retrieval) is a process of its own whose memory and time are
watched; one that goes over `--most-mb` is killed, and it and what needs it stand in the result as not done.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from seminar_core.files import write_json  # noqa: E402 - after the root is on the path
from seminar_core.jobs.governor import private_mb  # noqa: E402 - the same
from seminar_core.runtime import machine_facts  # noqa: E402 - the same

PEOPLE = 20_000
WORDS = 4_000
CATEGORIES = 500
BLOCK = 500_000
POLL_S = 0.05


def write_table(folder: Path, items: int, seed: int = 0) -> int:
    """Write events.parquet and items.parquet: every item once and half of them again; how many events."""
    rng = np.random.default_rng(seed)
    words = np.array([f"word{n}" for n in range(WORDS)], dtype=object)
    folder.mkdir(parents=True)
    text = pa.string()
    schema = pa.schema([("item", text), ("title", text), ("category", text)])
    with pq.ParquetWriter(folder / "items.parquet", schema) as writer:
        for start in range(0, items, BLOCK):
            numbers = range(start, min(start + BLOCK, items))
            parts = words[rng.integers(0, WORDS, (len(numbers), 4))]
            titles = [" ".join(row) for row in parts]
            groups = [f"group {n}" for n in rng.integers(0, CATEGORIES, len(numbers))]
            writer.write_table(pa.table([[f"item-{n}" for n in numbers], titles, groups], schema=schema))
    met = np.concatenate([rng.permutation(items), rng.integers(0, items, items // 2)])
    schema = pa.schema([("person", text), ("time", pa.int64()), ("item", text), ("query", text)])
    with pq.ParquetWriter(folder / "events.parquet", schema) as writer:
        for start in range(0, len(met), BLOCK):
            part = met[start : start + BLOCK]
            people = [f"p{n}" for n in rng.integers(0, PEOPLE, len(part))]
            asked = [str(words[n]) if n % 5 == 0 else None for n in rng.integers(0, WORDS, len(part))]
            times = np.arange(start, start + len(part)) + 1_600_000_000
            writer.write_table(pa.table([people, times, [f"item-{n}" for n in part], asked], schema=schema))
    return len(met)


def watched(words: list[str], workspace: Path, most_mb: int) -> dict[str, Any]:
    """Run a command; its answer with `wall_s` and `private_mb`, or why there is none."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "passive"}
    command = [sys.executable, "-m", "seminar_core", words[0], "--json", *words[1:], "--workspace", str(workspace)]
    started, peak = time.perf_counter(), 0.0
    with tempfile.TemporaryFile("w+") as out:
        child = subprocess.Popen(command, env=environment, stdout=out, stderr=subprocess.DEVNULL)
        while child.poll() is None:
            peak = max(peak, private_mb(child.pid))
            if peak > most_mb:
                child.kill()
            time.sleep(POLL_S)
        out.seek(0)
        text = out.read().strip()
    facts = {"wall_s": round(time.perf_counter() - started, 1), "private_mb": round(peak)}
    if peak > most_mb:
        return facts | {"error": f"stopped at {peak:,.0f} MB, at most {most_mb:,} MB were allowed"}
    answer = json.loads(text) if text else {"error": {"message": f"ended with {child.returncode}"}}
    return facts | ({"error": answer["error"]["message"]} if "error" in answer else {"answer": answer})


def steps(folder: Path) -> list[list[str]]:
    """The commands in their order; each needs those before it."""
    sets = ["steps=20", "sparse=true", "batch_size=8", "max_length=200", "evaluate_every=20", "patience=99"]
    training = [word for pair in sets for word in ("--set", pair)]
    return [
        ["import", "table", str(folder), "--name", "large"],
        ["encode", "--dataset", "large", "--text", "hashing-256"],
        ["finetune", "--dataset", "large", "--run", "r", "--model", "seminar", "--set", "text=hashing-256", *training],
        ["codebooks", "--run", "r", "--rows", "20000"],
        ["retrieve", "--run", "r", "--person", "p7", "--item", "item-5"],
    ]


def measure(items: int, most_mb: int) -> dict[str, Any]:
    """All steps on a catalogue of so many items."""
    with tempfile.TemporaryDirectory() as directory:
        folder, workspace = Path(directory) / "in", Path(directory) / "workspace"
        rows: list[dict[str, Any]] = []
        events = write_table(folder, items)
        for words in steps(folder):
            found = watched(words, workspace, most_mb)
            found.pop("answer", None)
            rows.append({"step": words[0], **found})
            print(json.dumps(rows[-1]), flush=True)
            if "error" in found:
                break
        size = sum(path.stat().st_size for path in workspace.rglob("*") if path.is_file())
    return {"items": items, "events": events, "most_mb": most_mb, "workspace_mb": round(size / 1e6), "rows": rows}


def main() -> None:
    """Measure and print; with `--out` also write the result file, where figures of other sizes stay."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, default=1_000_000)
    parser.add_argument("--most-mb", type=int, default=8_000)
    parser.add_argument("--out", type=Path)
    told = parser.parse_args()
    found = measure(told.items, told.most_mb)
    if told.out:
        before = json.loads(told.out.read_text())["sizes"] if told.out.is_file() else []
        others = [row for row in before if row["items"] != told.items]
        sizes = sorted([*others, found], key=lambda row: int(row["items"]))
        write_json(told.out, {"machine": machine_facts(), "sizes": sizes})


if __name__ == "__main__":
    main()
