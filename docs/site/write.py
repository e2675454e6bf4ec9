"""Write the parts of pages that the program knows better: `make docs` does it before the site is built.

A part stands between `<!-- written: NAME -->` and `<!-- end -->` and is replaced as a whole. Commands and their options
come from the command line itself, terms from the app's glossary, figures from `docs/figures/facts.json`.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

DOCS = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(DOCS.parent))

from typer.main import get_command  # noqa: E402 - after the root is on the path

from app.glossary import terms  # noqa: E402 - the same
from seminar_core.cli.main import app, load_areas  # noqa: E402 - the same

PART = re.compile(r"(<!-- written: ([a-z-]+) -->\n).*?(<!-- end -->)", re.S)
EVERYWHERE = ("--json", "--workspace")
PAIR_NAMES = {"T>I": "text, image", "A>T": "attribute, text", "A>I": "attribute, image", "Q>T": "query, text",
              "Q>A": "query, attribute", "Q>I": "query, image"}  # fmt: skip
METRICS = ("HIT@10", "NDCG@10", "MRR", "AUC")


def table(head: tuple[str, ...], rows: list[tuple[Any, ...]]) -> str:
    """A Markdown table."""
    lines = ["| " + " | ".join(map(str, row)) + " |" for row in (head, ("---",) * len(head), *rows)]
    return "\n".join(lines) + "\n"


def commands(group: Any, words: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    """Every command of the command line with its words, groups opened."""
    for name, found in group.commands.items():
        if hasattr(found, "commands"):
            yield from commands(found, (*words, name))
        else:
            yield " ".join((*words, name)), found


def every_command() -> dict[str, Any]:
    """Words -> command, as `python -m seminar_core` knows them."""
    load_areas()
    return dict(commands(get_command(app)))


def option_row(option: Any) -> tuple[str, str, str]:
    """Name, what stands where nothing is given, and what it is."""
    name = option.opts[0] if option.opts[0].startswith("-") else option.opts[0].upper()
    unsaid = option.default is None or option.default is False or option.default == ""
    default = "needed" if option.required else "" if unsaid else f"`{option.default}`"
    again = " Repeatable." if getattr(option, "multiple", False) and "epeatable" not in (option.help or "") else ""
    return f"`{name}`", default, str(option.help or "").replace("|", "\\|") + again


def reference() -> str:
    """Each command with its options."""
    parts = []
    for words, found in every_command().items():
        rows = [option_row(one) for one in found.params if one.opts[0] not in EVERYWHERE]
        about = str(found.help or "").split("\n\n")[0]
        parts.append(f"### {words}\n\n{about}\n")
        if rows:
            parts.append(table(("option", "default", "what"), rows))
    return "\n".join(parts)


def glossary() -> str:
    """Every term with its meaning, a definition each."""
    return "\n".join(f"### {name}\n\n{one.meaning}\n" for name, one in terms().items())


def facts() -> dict[str, Any]:
    """What `docs/figures/make.py` has answered."""
    found: dict[str, Any] = json.loads((DOCS / "figures" / "facts.json").read_text(encoding="utf-8"))
    return found


def one_life(found: Mapping[str, Any]) -> str:
    """Both sentences of the answer."""
    asked = found["one_life"]
    return f"> The scan alone: {asked['scan']['says']}\n>\n> Refined: {asked['refined']['says']}\n"


def refining(found: Mapping[str, Any]) -> str:
    """Recall and attention mass of the scan alone and of the default shortlist."""
    rows = []
    for size in sorted({row["bytes"] for row in found["refining"]["rows"]}):
        by = {row["shortlist"]: row for row in found["refining"]["rows"] if row["bytes"] == size}
        cells = [f"{by[f][kind]:.1%}" for f in (0, 1, 4) for kind in ("recall", "mass")]
        rows.append((f"{size}", *cells))
    head = ("bytes an event", "scan: recall", "mass", "shortlist K: recall", "mass", "shortlist 4K: recall", "mass")
    return f"Means over {found['refining']['people']} people.\n\n" + table(head, rows)


def modalities(found: Mapping[str, Any]) -> str:
    """The gap and the way from one modality to the other, before and after pretraining."""
    before, after = found["modalities"]["before"], found["modalities"]["after"]
    rows = [
        (
            name,
            *(f"{stage[metric][pair]:.3f}" for metric in ("centroid_gap", "recall@10") for stage in (before, after)),
            f"{after['heldout_recall@10'][pair]:.3f}",
        )
        for pair, name in PAIR_NAMES.items()
    ]
    rows.append(("mean of the six gaps", f"{before['mean_gap']:.3f}", f"{after['mean_gap']:.3f}", "", "", ""))
    rows.append(
        ("modality classifier, accuracy", f"{before['classifier']:.3f}", f"{after['classifier']:.3f}", "", "", "")
    )
    head = ("pair", "centroid gap before", "after", "recall@10 before", "after", "after, held-out items")
    return table(head, rows)


def quality(found: Mapping[str, Any]) -> str:
    """Test metrics beside chance, popularity and the oracle."""
    said = found["quality"]
    rows = [("`sample-seminar`", *(f"{said['metrics'][m]:.3f}" for m in METRICS))]
    rows.append(("95 % interval", *("{:.3f} to {:.3f}".format(*said["interval"][m]) for m in METRICS)))
    rows += [(name, *(f"{row[m]:.3f}" for m in METRICS)) for name, row in said["baselines"].items()]
    rows.append(
        (f"its {said['cold']['n']} cold targets", f"{said['cold']['HIT@10']:.3f}", "", f"{said['cold']['MRR']:.3f}", "")
    )
    return f"{said['n']} test targets.\n\n" + table(("", *METRICS), rows)


def codes(found: Mapping[str, Any]) -> str:
    """What the scan alone loses over everybody."""
    said = found["scan_alone"]
    return (
        f"Over {said['people']} people the scan alone keeps {said['recall']:.1%} of what exact search keeps and "
        f"loses {said['pq_loss']:.2%} of the attention mass. Person {said['worst']['person']} loses most: "
        f"{said['worst']['pq_loss']:.1%}, with a recall of {said['worst']['recall']:.1%}.\n"
    )


def trainings(found: Mapping[str, Any]) -> str:
    """The two runs that come with the sample."""
    rows = [
        (
            f"`{name}`",
            row["model"],
            row["steps"],
            row["best_step"],
            row["seed"],
            row["created"],
            f"{row['bytes'] / 1e6:.1f}",
        )
        for name, row in sorted(found["trainings"].items())
    ]
    return table(("run", "model", "steps", "best step", "seed", "made", "MB"), rows)


def data(found: Mapping[str, Any]) -> str:
    """The counts of the sample."""
    said = found["data"]
    first, last = (datetime.fromtimestamp(said[f"{end}_time_s"], UTC).strftime("%Y-%m-%d") for end in ("first", "last"))
    length = said["life_length"]
    rows = [
        ("people", f"{said['people']:,}"),
        ("items", f"{said['items']:,}, of which {said['items_never_met']:,} are never met"),
        ("events", f"{said['events']:,}, from {first} to {last}"),
        ("events with a query", f"{said['events_with_query']:,} ({said['events_with_query'] / said['events']:.0%})"),
        ("items with a text", f"{said['items_with_text']:,}"),
        ("items with a picture", f"{said['items_with_image']:,}"),
        (
            "events in a life",
            f"median {length['median']:,.0f}, 90 % at most {length['p90']:,.0f}, longest {length['max']:,}",
        ),
        ("events that share their second with another of the same person", f"{said['tied_time_frac']:.1%}"),
    ]
    return table(("what", "how many"), rows)


PARTS: dict[str, Callable[[], str]] = {
    "commands": reference,
    "glossary": glossary,
    "one-life": lambda: one_life(facts()),
    "refining": lambda: refining(facts()),
    "modalities": lambda: modalities(facts()),
    "quality": lambda: quality(facts()),
    "codes": lambda: codes(facts()),
    "trainings": lambda: trainings(facts()),
    "data": lambda: data(facts()),
}


def written(text: str) -> str:
    """A page with its parts written anew."""
    return PART.sub(lambda found: f"{found[1]}\n{PARTS[found[2]]()}\n{found[3]}", text)


def main() -> None:
    """Write every page that has such parts; say which changed."""
    for path in sorted(DOCS.rglob("*.md")):
        old = path.read_text(encoding="utf-8")
        if (new := written(old)) != old:
            path.write_text(new, encoding="utf-8")
            print(path.relative_to(DOCS.parent))


if __name__ == "__main__":
    main()
