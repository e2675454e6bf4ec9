"""The answer of `reproduce` as JSON types and as a Markdown page for the docs.

Training, the last step of a comparison. Every number comes from the answer; nothing is typed by hand.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..files import plain


def jsonable(value: Any) -> Any:
    """JSON types with floats shortened to six digits."""
    if isinstance(value, dict):
        return {str(key): jsonable(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [jsonable(entry) for entry in value]
    return round(value, 6) if isinstance(value, float) else plain(value)


def span(bounds: Sequence[float]) -> str:
    """An interval as text."""
    return f"[{bounds[0]:.3f}, {bounds[1]:.3f}]"


def signed(entry: dict[str, Any] | None) -> str:
    """A difference with its interval; bold where the interval excludes zero."""
    if entry is None:
        return ""
    low, high = entry["interval"]
    text = f"{entry['difference']:+.3f} {span((low, high))}"
    return f"**{text}**" if low > 0 or high < 0 else text


def curve_table(curves: dict[str, list[dict[str, float]]]) -> list[str]:
    """Validation HIT@10 and MRR by step, with the seconds that it took; one column for each of the best variants."""
    steps = sorted({point["step"] for points in curves.values() for point in points})
    at = {name: {point["step"]: point for point in points} for name, points in curves.items()}

    def cell(point: dict[str, float] | None) -> str:
        return "" if point is None else f"{point['HIT@10']:.3f} / {point['MRR']:.3f} ({point['seconds']:.0f} s)"

    return [
        "",
        "## Over the cost of training",
        "",
        "Validation HIT@10 / MRR and seconds so far (pretraining included), means over seeds; the best by validation.",
        "",
        "| steps | " + " | ".join(curves) + " |",
        "|" + "---|" * (len(curves) + 1),
        *(f"| {step} | " + " | ".join(cell(at[name].get(step)) for name in curves) + " |" for step in steps),
    ]


def pair_table(heading: str, pairs: list[dict[str, Any]]) -> list[str]:
    """Paired differences of two variants a line."""
    names = [name for name in pairs[0] if name not in ("a", "b")]
    return [
        "",
        f"## {heading}",
        "",
        "Paired differences, the same targets and seeds.",
        "",
        "| a | b | " + " | ".join(f"{name}, a minus b" for name in names) + " |",
        "|" + "---|" * (len(names) + 2),
        *(
            f"| {pair['a']} | {pair['b']} | " + " | ".join(signed(pair.get(name)) for name in names) + " |"
            for pair in pairs
        ),
    ]


def table_row(row: dict[str, Any]) -> str:
    """One line of the table."""
    metrics, bounds = row["metrics"], row["interval"]
    cold = row.get("cold")
    share = row.get("share_of_the_way")
    steps = row.get("steps")
    capped = (
        "" if not steps or set(row["ended_by"]) <= {"steps"} else " (" + ", ".join(sorted(set(row["ended_by"]))) + ")"
    )
    cells = [
        row["model"],
        str(row["seeds"] or ""),
        f"{metrics['HIT@10']:.3f} {span(bounds['HIT@10'])}",
        f"{metrics['NDCG@10']:.3f}",
        f"{metrics['MRR']:.3f} {span(bounds['MRR'])}",
        "" if share is None else f"{share:.0%}",
        "" if cold is None else f"{cold['HIT@10']:.3f} {span(cold['interval'])}",
        signed(row["beats_best_baseline"]),
        "" if not steps else f"{min(steps)}{'' if min(steps) == max(steps) else f'-{max(steps)}'}{capped}",
        "" if "seconds" not in row else f"{row['seconds']:.0f}",
    ]
    return "| " + " | ".join(cells) + " |"


def measured_by_others(answer: dict[str, Any]) -> list[str]:
    """A paragraph on the rows that were kept from another commit than the table's; none where there are none."""
    of_others = [
        f"{row['model']} ({', '.join(sorted({str(commit) for commit in row['commits']}))})"
        for row in answer["rows"]
        if set(row.get("commits", ())) - {answer["commit"]}
    ]
    return ["", f"Kept from measurements of other commits: {'; '.join(of_others)}."] if of_others else []


def markdown(answer: dict[str, Any]) -> str:
    """The whole page."""
    protocol, machine = answer["protocol"], answer["machine"]
    whose = "what anybody met" if protocol["pool"] == "met" else "the catalogue"
    pool = f"{whose} ({protocol['unmet_share']:.0%} of the catalogue nobody met)"
    headings = [
        "model", "seeds", "HIT@10", "NDCG@10", "MRR", "of the way to the oracle", "HIT@10, cold targets",
        f"MRR minus {answer['best_baseline'] or 'a baseline (none here)'}", "steps", "seconds",
    ]  # fmt: skip
    lines = [
        f"# All models on `{answer['dataset']}`, budget {answer['budget']}",
        "",
        f"Made by `{answer['command']}` at {answer['time']}, commit {answer['commit']}, data {answer['data_hash']}, on "
        f"{machine['processor']} ({machine['cores']} cores), torch {machine['torch']}.",
        "",
        f"{protocol['n']} test targets, {protocol['negatives']} {protocol['sampler']} rivals each out of {pool} "
        f"({protocol['fewer_rivals']} targets have fewer), mode {protocol['mode']}, split by {protocol['split']}, "
        f"{answer['cold_targets']} cold targets. Brackets: 95 % "
        "intervals over people and seeds. The last difference is paired; bold where its interval excludes zero; the "
        "baseline to beat was chosen by validation. Every model has the same number of supervised steps; seconds "
        "(of one thread, on the CPU) include pretraining; a step count says in brackets when something else than the "
        "steps ended a training.",
        "",
        "| " + " | ".join(headings) + " |",
        "|" + "---|" * len(headings),
        *(table_row(row) for row in answer["rows"]),
        *measured_by_others(answer),
    ]
    if answer["pretraining"]:
        lines += pair_table("What pretraining buys", answer["pretraining"])
    if answer["parts"]:
        lines += pair_table("What each part is worth", answer["parts"])
    if answer["curves"]:
        lines += curve_table(answer["curves"])
    if answer["slices"]:
        rival = answer["best_baseline"]
        lines += ["", "## Where it wins and loses", "", f"MRR by part of the targets, `seminar` beside `{rival}`.", ""]
        lines += [f"| part | targets | seminar | {rival} | difference |", "|---|---|---|---|---|"]
        for row in answer["slices"]:
            lines.append(f"| {row['slice']} | {row['n']} | {row['seminar']:.3f} | {row['rival']:.3f} | {signed(row)} |")
    return "\n".join(lines) + "\n"
