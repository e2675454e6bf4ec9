"""The retrieval figures that the README claims: measures them and rewrites `retrieval_frontier.json` beside this file
and the tables of `docs/results/retrieval.md`.

The same as `python -m seminar_core bench retrieval --full`; takes about ten minutes on one core. The README's table is
written from the figures too. `--quick` measures the small version and writes nothing; `--tables` writes the tables
again from the figures that are there.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before NumPy is imported: one thread is what is measured

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.retrieval import MAIN, run  # noqa: E402
from seminar_core.files import read_json, write_json  # noqa: E402


def tell(done: int, total: int, words: str) -> None:
    print(f"{done}/{total} {words}", file=sys.stderr)


def tables(answer: dict[str, Any]) -> str:
    """The figures as Markdown, one table a length: each method's scan, and its shortlist of 4 K after exact scores."""
    machine, ground = answer["machine"], answer["ground"]
    parts = [
        "# Retrieval on the common ground",
        f"Made by `python benchmarks/retrieval_frontier.py` on {machine['date']}: {machine['processor']}, one thread, "
        f"process CPU time, load of the machine when it began {machine['load']:.1f} on {machine['cores']} cores, "
        f"faiss {machine['faiss-cpu']}, torch {machine['torch']}; a read in a row reaches "
        f"{machine['bandwidth_gb_per_s']:.0f} GB/s. {ground['items']:,} items, D = 64, M = 4, K = {ground['K']}, "
        f"codebooks trained on {ground['training_items']:,} items. Speed is against exact search of the same length "
        "with weights multiplied in beforehand (fixed) and with free weights, over one vector per event; distinct: the "
        "first over one vector per distinct pair, since these lives repeat items and ours score each pair once; 4K "
        "re-ranks a shortlist of 4 K pairs by exact scores. The shared layout scans the catalogue's codes of an item "
        "and of a query, gathered by id when a life is opened; a life holds two ids an event.",
    ]
    for length in sorted({row["length"] for row in answer["rows"]}):
        rows = [row for row in answer["rows"] if row["length"] == length]
        refined = {(row["method"], row["layout"]): row for row in rows if row["stage"] == "refine"}
        targets = max(row["targets"] for row in rows)
        scanned = min(row["scanned"] for row in rows)
        parts.append(f"## Lives of {length:,} events, {scanned:,} distinct pairs in the timed one, {targets:,} targets")
        lines = [
            "| method | layout | weights | bytes | recall@100 | mass | µs | × fixed | × distinct | × free | GB/s "
            "| 4K: recall@100 | mass | µs | × fixed | × distinct |",
            "|---|---|---|" + "---:|" * 13,
        ]
        for row in rows:
            after = refined.pop((row["method"], row["layout"]), None)
            if row["stage"] == "refine" and after is None:
                continue
            first = row if row["stage"] == "scan" else None
            lines.append("| " + " | ".join([*named(row), *figures(first, True), *figures(after, False)]) + " |")
        parts.append("\n".join(lines))
    parts.append("## Lives without repeats: each item once")
    lines = ["| events | layout | stage | recall@100 | µs | × fixed |", "|---:|---|---|" + "---:|" * 3]
    lines += [
        f"| {row['length']:,} | {row['layout']} | {row['stage']} | {row['recall@100']:.3f} | {row['latency_us']:.1f} "
        f"| {row['speedup_over_exact']:.1f} |"
        for row in answer["without_repeats"]
    ]
    parts.append("\n".join(lines))
    parts.append("## A batch of 32 targets, per target")
    lines = [
        "| events | stage | µs | × one product over all channels | × one pre-multiplied product |",
        "|---:|---|" + "---:|" * 3,
    ]
    lines += [
        f"| {row['length']:,} | {row['stage']} | {row['latency_us']:.1f} | {row['speedup_over_free_product']:.1f} "
        f"| {row['speedup_over_product']:.1f} |"
        for row in answer["batch"]
    ]
    parts.append("\n".join(lines))
    parts.append("## The paper's own protocol (D = 16, L = 2,048, top 32, fixed weights)")
    lines = ["| method | bytes | recall@32 |", "|---|---:|---:|"]
    lines += [
        f"| {r['method']} | {r['bytes_per_event']:.0f} | {r['recall@32']:.4f} |" for r in answer["paper_protocol"]
    ]
    parts.append("\n".join(lines))
    return "\n\n".join([*parts, *answer["advice"]["words"]]) + "\n"


README_LENGTHS = (10_000, 100_000, 1_000_000)
BEGIN, END = (
    "<!-- retrieval figures: written by benchmarks/retrieval_frontier.py -->",
    "<!-- end of retrieval figures -->",
)


def readme_table(answer: dict[str, Any]) -> str:
    """The README's table: the default specification in both layouts, at three lengths."""
    found = {
        (row["length"], row["layout"], row["stage"]): row
        for row in answer["rows"]
        if (row["method"], row["weights"]) == (MAIN, "free")
    }
    rivals = {(r["length"], r["stage"]): r for r in answer["rows"] if r["method"] == "SymPQ16x8"}
    exact = {r["length"]: r for r in answer["rows"] if (r["method"], r["layout"]) == ("fused,exact", "shared")}
    once = {(r["length"], r["layout"]): r for r in answer["without_repeats"] if r["stage"] == "scan"}

    def line(title: str, key: str, form: str, layout: str = "packed", stage: str = "scan") -> str:
        cells = [format(found[length, layout, stage][key], form) for length in README_LENGTHS]
        return f"| {title} | " + " | ".join(cells) + " |"

    lines = [
        f"| `{MAIN}` | " + " | ".join(f"{length:,} events" for length in README_LENGTHS) + " |",
        "|---|---|---|---|",
        "| distinct pairs among them | " + " | ".join(f"{exact[n]['scanned']:,}" for n in README_LENGTHS) + " |",
        line("scan, microseconds", "latency_us", ",.0f"),
        line("times exact search, a vector per event, weights multiplied in beforehand", "speedup_over_exact", ".1f"),
        line("the same over distinct pairs", "speedup_over_distinct_exact", ".1f"),
        line("times exact search with free weights", "speedup_over_free_exact", ".1f"),
        line("a shortlist of 4K refined, times the first", "speedup_over_exact", ".1f", stage="refine"),
        line("shared layout, times the first", "speedup_over_exact", ".1f", layout="shared"),
        line("recall@100 in one stage", "recall@100", ".3f"),
        line("a shortlist of 4K refined", "recall@100", ".3f", stage="refine"),
    ]
    scheme = [f"{rivals[8_192, stage]['recall@100']:.3f}" for stage in ("scan", "refine")]
    ours = [f"{found[8_192, 'packed', stage]['recall@100']:.3f}" for stage in ("scan", "refine")]
    longest = max(length for length, _ in once)
    speeds = [f"{once[length, 'packed']['speedup_over_exact']:.1f}" for length in (10_000, longest)]
    shared = [f"{once[length, 'shared']['speedup_over_exact']:.1f}" for length in (10_000, longest)]
    words = (
        f"At 8,192 events recall@100 is {ours[0]} in one stage and {ours[1]} refined; the paper's symmetric scheme has "
        f"{scheme[0]} and {scheme[1]} at the same bytes.\n"
        f"On lives without repeats of 10,000 and {longest:,} events the scan is {' and '.join(speeds)} times exact "
        f"search, in the shared layout {' and '.join(shared)}. "
        f"Measured at a load of {answer['machine']['load']:.1f} on {answer['machine']['cores']} cores."
    )
    return "\n".join([*lines, "", words])


def put_in_readme(text: str, table: str) -> str:
    """The README with its retrieval table replaced."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{table}\n{END}{after}"


def named(row: dict[str, Any]) -> list[str]:
    """What a row is of."""
    return [f"`{row['method']}`", row["layout"], row["weights"], f"{row['bytes_per_event']:,.0f}"]


def figures(row: dict[str, Any] | None, scan: bool) -> list[str]:
    """Recall, mass, latency and speed of one stage; empty cells where it was not measured."""
    if row is None:
        return [""] * (7 if scan else 5)
    shown = [
        f"{row['recall@100']:.3f}", f"{row['attention_mass']:.4f}", f"{row['latency_us']:,.1f}",
        f"{row['speedup_over_exact']:.2f}", f"{row['speedup_over_distinct_exact']:.2f}",
    ]  # fmt: skip
    return [*shown, f"{row['speedup_over_free_exact']:.2f}", f"{row['gigabytes_per_s']:.1f}"] if scan else shown


def write_pages(answer: dict[str, Any], page: Path) -> None:
    """Write the page of results and the README's table."""
    page.write_text(tables(answer), encoding="utf-8")
    readme = ROOT / "README.md"
    text = put_in_readme(readme.read_text(encoding="utf-8"), readme_table(answer))
    readme.write_text(text, encoding="utf-8")


def main() -> None:
    figures_file = Path(__file__).with_suffix(".json")
    page = ROOT / "docs" / "results" / "retrieval.md"
    if "--tables" in sys.argv:
        write_pages(read_json(figures_file), page)
        return
    full = "--quick" not in sys.argv
    answer = run(full=full, progress=tell)
    if full:
        write_json(figures_file, answer)
        write_pages(answer, page)
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
