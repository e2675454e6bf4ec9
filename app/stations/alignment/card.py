"""The number card: a small table beside the map, the full figure below it, definitions one click away."""

from __future__ import annotations

import numpy as np
import pandas as pd
import streamlit as st

from app import glossary, state, widgets
from app.stations.alignment import figures
from app.stations.alignment import loaders as sources
from seminar_core.alignment.card import WIDTH_FREE_METRICS, is_enough
from seminar_core.alignment.card_table import card_table, sentence
from seminar_core.alignment.definitions import CLASSIFIER, DEFINITIONS, ONE_WAY
from seminar_core.alignment.neighbours import FEWEST_ITEMS

FEWEST_OF_SLICE = 2 * FEWEST_ITEMS  # a tenth is held out and others lack a modality
MOST_SLICES = 200

SHORT = {
    "paired_cosine": "cosine",
    "centroid_gap": "gap",
    "recall@10": "R@10",
    "cka": "CKA",
}
TAKEN_OUT = {"none": "", "centred": "means taken out", "procrustes": "means and a rotation taken out"}
SHAPE = {"effective_rank": "effective rank", "uniformity": "uniformity", "hubness": "hubness"}


def definitions() -> None:
    """What every figure means, with its source."""
    with st.popover("Definitions", icon=":material/menu_book:"):
        for definition in DEFINITIONS.values():
            st.markdown(
                f"**{definition.title}** ({definition.better}). {definition.meaning}  \n"
                f":small[{widgets.plain(definition.source)}]"
            )


def part_name() -> str:
    """Which items the figures are of."""
    return "held out" if state.get("held_out") else "in alignment"


def table_of(run: str, names: tuple[str, ...], rows: tuple[int, ...] | None = None) -> pd.DataFrame:
    """The cards of several stages as one table."""
    return sources.table_of(run, names, state.get("correction"), rows)


def pick_slice() -> None:
    """Offer which items are measured: all, or those with one value of an attribute."""
    dataset, chosen = state.get("dataset"), state.get("slice")
    known = sources.slices(dataset, FEWEST_OF_SLICE)
    if chosen and chosen not in known:
        widgets.trust_line(
            f"{widgets.plain(chosen)} has fewer than {FEWEST_OF_SLICE} items here, or is no attribute with at most "
            f"{sources.MOST_VALUES:,} values: all are shown"
        )
    largest = list(known)[:MOST_SLICES]
    options = ["", *largest, *([chosen] if chosen in known and chosen not in largest else [])]
    st.selectbox(
        "Of which items",
        options,
        format_func=lambda value: f"{value.replace('=', ': ', 1)} ({known[value]:,})" if value else "all items",
        help="The card of one category or another attribute's value; with a selection on the map, of its items alone.",
        **state.bound("slice", options=options),
    )
    if len(known) > len(largest):
        widgets.trust_line(
            f"offering the {len(largest)} largest of {len(known):,} values with at least {FEWEST_OF_SLICE} items",
            "a link with slice=field=value opens any other",
        )


def slice_rows() -> tuple[int, ...] | None:
    """Catalogue rows of the chosen slice; None for all."""
    dataset, chosen = state.get("dataset"), state.get("slice")
    return sources.rows_of_slice(dataset, chosen) if chosen in sources.slices(dataset, FEWEST_OF_SLICE) else None


def measured_rows(run: str, stage: str, chosen: np.ndarray) -> tuple[int, ...] | None:
    """Catalogue rows that the card is of: the selection in the slice where it is large enough; None for all."""
    rows = slice_rows()
    within = selected_within(chosen, rows)
    large = len(within) >= FEWEST_ITEMS and is_enough(kept_out(run, stage, within))  # else no stage need be opened
    return within if large else rows


def kept_out(run: str, stage: str, rows: tuple[int, ...]) -> np.ndarray:
    """(m,) bool: which of these catalogue rows (m,) are held out, and measured apart."""
    return sources.stage_vectors(run, stage).kept_out(np.array(rows, np.int32))


def selected_within(chosen: np.ndarray, rows: tuple[int, ...] | None) -> tuple[int, ...]:
    """The selected catalogue rows that are in the slice `rows`."""
    return tuple(int(row) for row in (chosen if rows is None else np.intersect1d(chosen, rows)))


def of_which(run: str, stage: str, chosen: np.ndarray) -> str:
    """Whether the card is of the selection, in words."""
    if not len(chosen):
        return ""
    within = selected_within(chosen, slice_rows())
    held = kept_out(run, stage, within)
    if is_enough(held):
        return f"of the {len(within):,} selected items"
    apart = f", {held.sum()} of them held out and measured apart" if held.any() else ""
    needs = f"a number card needs at least {FEWEST_ITEMS} items"
    return f"{needs}; {len(within)} are selected{apart}: the card is not of them"


def available_part(table: pd.DataFrame) -> str:
    """The chosen part, unless it has too few items to measure every pair that the other can."""
    measured = table[table["value"].notna()].groupby("part")["pair"].nunique()
    other = {"held out": "in alignment", "in alignment": "held out"}[part_name()]
    return part_name() if measured.get(part_name(), 0) >= measured.get(other, 0) else other


def shown_part(table: pd.DataFrame, run: str, names: tuple[str, ...]) -> str:
    """`available_part`, with a word where it is not the chosen one."""
    part = available_part(table)
    if part != part_name() and all(sources.stage_vectors(run, name).heldout is None for name in names):
        widgets.trust_line("this run held no items out: all items are measured together")
    elif part == "held out" != part_name():
        widgets.trust_line("too few items are in alignment to measure every pair: the held-out ones are shown")
    elif part != part_name():
        widgets.trust_line("too few items were held out to measure every pair: the others are shown, the table has all")
    return part


def of_how_many(table: pd.DataFrame, part: str) -> str:
    """How many items the pairs of a part were measured on, and which."""
    counts = table[(table["part"] == part) & (table["metric"] == "cka")]["n"]
    kept = set(table["part"]) == {"in alignment", "held out"}
    which = {"held out": ", held-out items", "in alignment": ", without the held-out items"}[part] if kept else ""
    return f"n = {widgets.count(counts.min())} to {widgets.count(counts.max())} items a pair{which}"


def from_to(names: tuple[str, ...]) -> str:
    """What the arrows of the small tables lead from and to."""
    return f"{widgets.plain(names[0])} → {widgets.plain(names[-1])}" if len(names) > 1 else ""


def summary(run: str, names: tuple[str, ...], chosen: np.ndarray) -> None:
    """Each pair's figures at the first and the last stage, and of which items they are."""
    pick_slice()
    table = table_of(run, names, measured_rows(run, names[0], chosen))
    st.toggle(
        "Held-out items",
        help=glossary.meaning("Held-out items"),
        **state.bound("held_out"),
    )
    part = shown_part(table, run, names)
    st.markdown(f"**{sentence(table, part=part)}**")
    meant = {short: DEFINITIONS[metric].title for metric, short in (SHORT | SHAPE).items()}
    headings = widgets.headings(meant)
    st.dataframe(compact(table, part, names), hide_index=True, height="content", column_config=headings)
    st.dataframe(shapes(table, part, names), hide_index=True, height="content", column_config=headings)
    told = classifier_words(table, part)
    if told:
        st.caption(told)
    widgets.trust_line(
        f"run {widgets.plain(run)}",
        from_to(names),
        of_which(run, names[0], chosen),
        of_how_many(table, part),
        "original space, not the map",
        TAKEN_OUT[state.get("correction")],
        widgets.plain(state.get("slice").replace("=", ": ", 1)) if slice_rows() is not None else "",
    )


def classifier_words(table: pd.DataFrame, part: str) -> str:
    """How well a linear classifier tells the modality; at or below chance it cannot, which a low figure alone hides."""
    chosen = table[(table["part"] == part) & (table["metric"] == CLASSIFIER) & table["value"].notna()]
    if chosen.empty:
        return ""
    chance = chosen["random"].max()
    told = ", ".join(f"{row.stage} {row.value:.0%}" for row in chosen.itertuples())
    can = "cannot tell" if chosen["value"].max() <= chance else "tells"
    return f"A linear classifier {can} the modality from the vector: {told}; chance {chance:.0%}."


def _change(values: list[float | None]) -> str:
    """First and last value as `0.01→0.43`; a dash where it was not measured."""
    words = ["–" if value is None or pd.isna(value) else f"{round(value, 2) + 0.0:.2f}" for value in values]
    return "→".join(words if len(words) < 3 else [words[0], words[-1]])


def compact(table: pd.DataFrame, part: str, names: tuple[str, ...]) -> pd.DataFrame:
    """One row per pair (one way), the metrics that fit beside the map; the figure and its table have all."""
    rows = []
    for pair in ONE_WAY:
        chosen = table[(table["part"] == part) & (table["pair"] == pair)]
        if chosen.empty:
            continue
        row: dict[str, str] = {"pair": figures.pair_name(pair)}
        for metric, short in SHORT.items():
            of_metric = chosen[chosen["metric"] == metric].set_index("stage")["value"]
            row[short] = _change([of_metric.get(name) for name in names])
        rows.append(row)
    return pd.DataFrame(rows)


def shapes(table: pd.DataFrame, part: str, names: tuple[str, ...]) -> pd.DataFrame:
    """One row per modality: the shape of its cloud."""
    rows = []
    for channel in "QATI":
        chosen = table[(table["part"] == part) & (table["pair"] == channel)]
        if chosen.empty:
            continue
        row = {"modality": figures.pair_name(channel)}
        for metric, title in SHAPE.items():
            of_metric = chosen[chosen["metric"] == metric].set_index("stage")["value"]
            row[title] = _change([of_metric.get(name) for name in names])
        rows.append(row)
    return pd.DataFrame(rows)


def figure(run: str, names: tuple[str, ...], chosen: np.ndarray) -> None:
    """All pairs with intervals and chance, and everything as a table."""
    rows = measured_rows(run, names[0], chosen)
    table = table_of(run, names, rows)
    part = available_part(table)
    frozen, said = frozen_encoders(run, names[0], rows)
    table = pd.concat([table, frozen]) if len(frozen) else table
    of = "" if slice_rows() is None else f", {widgets.plain(state.get('slice').replace('=', ': ', 1))}"
    of += ", selected items" if len(chosen) and rows != slice_rows() else ""
    st.subheader(f"Number card{of}", anchor=False)
    widgets.chart(
        sources.card_figure(sources.asked_card(run, names, state.get("correction"), rows), part, table),
        name="alignment_card",
        alt=f"Alignment figures of {', '.join(names)} for each pair of modalities with 95 % intervals and chance. "
        + sentence(table, part=part),
        table=table,
        says=f"{sentence(table, part=part)} Bars: 95 % bootstrap intervals over items; orange ticks: random pairing."
        + said,
    )


def frozen_encoders(run: str, stage: str, rows: tuple[int, ...] | None) -> tuple[pd.DataFrame, str]:
    """What needs no shared space, of the encoders before any training, as rows of the card, and a word if any was."""
    card = sources.encoders_card(run, stage, state.get("correction"), rows)
    if card is None:
        return pd.DataFrame(), ""
    table = card_table({"encoders": card})
    table = table[table["metric"].isin(WIDTH_FREE_METRICS) & table["pair"].isin(("T>I", "I>T"))]
    if table["value"].isna().all():
        return table, ""
    named = " and ".join(widgets.plain(card["encodings"][kind]) for kind in ("text", "image"))
    return table, f" Encoders: {named} before any training; no shared space, so only k-NN overlap and CKA."


def film(run: str, frames: tuple[str, ...]) -> None:
    """The card over the checkpoints as small multiples; measured when asked for."""
    st.subheader("The card over the checkpoints", anchor=False)
    key = f"film_measured_{run}"
    if not st.session_state.get(key):
        st.button(
            f"Measure {len(frames)} checkpoints",
            icon=":material/straighten:",
            key="measure_film",
            help="A few seconds per checkpoint",
            on_click=lambda: st.session_state.__setitem__(key, True),
        )
        return
    cards = sources.cards(run, frames, state.get("correction"))
    steps = [sources.stage_vectors(run, frame).step for frame in frames]
    order = sorted(range(len(frames)), key=lambda at: steps[at])
    table = card_table({frames[at]: cards[frames[at]] for at in order})
    part = available_part(table)
    widgets.chart(
        figures.film_figure(table, [steps[at] for at in order], part),
        name="alignment_film",
        alt=f"Alignment figures of {len(frames)} checkpoints. {sentence(table, part=part)}",
        table=table,
        says=sentence(table, part=part),
    )
