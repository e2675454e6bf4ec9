"""What every station draws alike: the thread of choices, errors with their next step, charts with table and export.

Nothing here computes; each function draws what it is given. Text that comes from data (titles, queries, ids) goes
through `plain()` before it meets Markdown.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Literal

import numpy as np
import pandas as pd
import streamlit as st
from plotly.graph_objects import Figure

from seminar_core.errors import Cancelled, ChildDiedError, SeminarError
from seminar_core.files import guarded
from seminar_core.progress import Progress

from . import glossary, loaders, state
from .work import waiting

SelectionMode = Literal["lasso", "points", "box"]

PAGES = "seminar_pages"
ASK_AGAIN = (Cancelled, ChildDiedError)
MARKDOWN = re.compile(r"([\\`*_{}\[\]()<>#+\-.!|$~:^])")
# Fixed text only: tighter margins, so that the first screen shows what was asked for.
STYLE = """<style>
.stMainBlockContainer { padding-top: 3.6rem; padding-bottom: 3rem; }
.st-key-thread { border-bottom: 1px solid rgba(128, 128, 128, .3); padding-bottom: .7rem; }
@media (max-width: 640px) {
  .stMainBlockContainer { padding-left: .8rem; padding-right: .8rem; }
  /* on a phone the thread is one line that is swept sideways, and so are the settings of a what-if */
  .st-key-thread, .st-key-what_if { flex-wrap: nowrap !important; overflow-x: auto; }
  .st-key-thread > *, .st-key-what_if > * { flex: none; }
  .st-key-palette_open { position: sticky; right: 0; }
  .st-key-palette_open kbd { display: none !important; }
  /* its name is for screen readers there: the glass alone covers less of what is swept under it */
  .st-key-palette_open [data-testid="stMarkdownContainer"] { position: absolute; width: 1px; height: 1px;
    overflow: hidden; clip-path: inset(50%); }
}
/* white on the light blue that links have at night is too faint */
[data-testid="stBaseButton-primary"], [data-testid="stBaseButton-primary"] * {
  color: light-dark(#fff, #0e1117) !important; }
/* Streamlit's own ring is faint on some of its controls */
a:focus-visible, button:focus-visible, summary:focus-visible, [role="tab"]:focus-visible, [tabindex]:focus-visible {
  outline: 3px solid var(--st-primary-color, #0b6e99); outline-offset: 2px; }
@media (prefers-reduced-motion: reduce) {
  *, *::before, *::after { animation-duration: .01ms !important; animation-iteration-count: 1 !important;
    transition-duration: .01ms !important; scroll-behavior: auto !important; }
}
</style>"""
# What an error's kind offers as its next step: label, and the choices to change.
DEFAULTS: tuple[str, dict[str, Any]] = (
    "Back to the default settings",
    {"k": 50, "shortlist": 4, "weights": (), "mask": (), "head": "", "at": ""},
)
NEXT_STEPS: dict[str, tuple[str, dict[str, Any]]] = {
    "unknown_dataset": ("Use the bundled sample", {"dataset": loaders.SAMPLE}),
    "unknown_run": ("Choose another run", {"run": ""}),
    "unknown_person": ("Choose another person", {"person": "", "at": "", "item": ""}),
    "unknown_item": ("Go back to the person's next item", {"item": ""}),
    "config": DEFAULTS,
    "channel_weights": DEFAULTS,
}


def plain(text: object) -> str:
    """`text` with every Markdown sign escaped, so that it is shown as it is."""
    return MARKDOWN.sub(r"\\\1", str(text)).replace("\n", " ")


def count(number: float) -> str:
    """A number for people: 12,480."""
    return f"{number:,.0f}"


def error_panel(error: SeminarError, *, key: str = "error") -> None:
    """What was wrong, and the next step, with a button where a choice has to change."""
    words = f"{plain(error.message)}\n\n**Next:** {plain(error.hint)}"
    if error.kind == "cancelled":
        st.info(words, icon=":material/stop_circle:")
    else:
        st.error(words, icon=":material/error:")
    if error.kind in NEXT_STEPS:
        label, changes = NEXT_STEPS[error.kind]
        if any(state.get(name) != value for name, value in changes.items()):
            st.button(label, key=f"{key}_{error.kind}", on_click=state.put, kwargs=changes)
    if isinstance(error, ASK_AGAIN):
        st.button("Ask again", key=f"{key}_again", icon=":material/refresh:", on_click=waiting.start_again)


@contextmanager
def explained(key: str = "error") -> Iterator[None]:
    """Draw a `SeminarError` raised inside as an error panel, or what is waited for; the rest of the page goes on."""
    try:
        yield
    except waiting.Pending as pending:
        waiting.panel(pending)
    except SeminarError as error:
        error_panel(error, key=key)


def headings(terms: Mapping[str, str]) -> dict[str, Any]:
    """Column headings of a table that say what they mean: name of the column -> term of the glossary."""
    return {column: st.column_config.Column(help=glossary.meaning(term)) for column, term in terms.items()}


def empty(text: str, *, icon: str = ":material/inbox:") -> None:
    """An empty state: what would be here, and what brings it."""
    st.info(text, icon=icon)


def trust_line(*facts: str) -> None:
    """One quiet line: unit, n, source run, seed, what is left out."""
    st.caption(" · ".join(fact for fact in facts if fact))


def chart(
    figure: Figure,
    *,
    name: str,
    alt: str,
    table: pd.DataFrame | Callable[[], pd.DataFrame],
    says: str = "",
    on_select: Callable[[], None] | None = None,
    selection_mode: tuple[SelectionMode, ...] = ("points",),
) -> Any:
    """Draw a figure with its sentence, its alternative text, its table and its downloads.

    Args:
        figure: from `app/figures`.
        name: unique on the page; also the file name of downloads and the chart's key (`chart_<name>`).
        alt: what a reader who cannot see it has to know.
        table: the data behind it, or a function that makes it (called only when it is asked for).
        says: one sentence saying what it shows.
        on_select: callback for selections; read `selected_ids(st.session_state["chart_<name>"])` in it.
        selection_mode: as in `st.plotly_chart`.
    """
    config: dict[str, Any] = {
        "displaylogo": False,
        "toImageButtonOptions": {"format": state.get("picture"), "filename": name, "scale": 2},
        "modeBarButtonsToRemove": ["autoScale2d"],
    }
    event = st.plotly_chart(
        figure,
        width="stretch",
        key=f"chart_{name}",
        on_select=on_select or "ignore",
        selection_mode=selection_mode,
        config=config,
        alt=alt,
    )
    if says:
        st.caption(says)
    with st.expander("Table and download", key=f"behind_{name}", on_change="rerun", type="compact") as behind:
        if behind.open:
            frame = table() if callable(table) else table
            st.dataframe(frame, hide_index=True, height=min(320, 40 + 35 * len(frame)))
            downloads(frame, name=name)
            picture_format(name)
    return event


def picture_format(name: str) -> None:
    """What the camera button of figure `name` saves."""
    key = f"picture_{name}"
    st.session_state[key] = state.get("picture")  # also after Undo, or a choice at another figure
    st.segmented_control(
        "Picture format of the camera button",
        ("png", "svg"),
        required=True,
        format_func=str.upper,
        key=key,
        on_change=lambda: state.put(picture=st.session_state[key] or "png"),
    )


def selected_ids(event: Any, field: int = 0) -> list[int]:
    """Ids (`customdata[field]`) of the points in a chart's selection event, in order, each once."""
    points = (event or {}).get("selection", {}).get("points", [])
    found: dict[int, None] = {}
    for point in points:
        data = point.get("customdata")
        if data is not None:
            value = data[field] if isinstance(data, list | tuple) else data
            found[int(value)] = None
    return list(found)


def selected_range(event: Any) -> tuple[float | str, float | str] | None:
    """The x range of a box selection, low first; None where there is none."""
    boxes = (event or {}).get("selection", {}).get("box", [])
    if not boxes:
        return None
    low, high = sorted(boxes[-1]["x"])
    return low, high


def times(seconds_utc: np.ndarray, zone: str) -> list[pd.Timestamp]:
    """Wall-clock times in `zone` (without a zone of their own, so that figures draw them as they are)."""
    stamps = pd.to_datetime(np.asarray(seconds_utc, np.float64), unit="s", utc=True)
    return list(stamps.tz_convert(zone).tz_localize(None))


def seconds(wall_clock: float | str, zone: str) -> int:
    """UTC seconds of a wall-clock time in `zone`, as a figure's selection gives it."""
    stamp = pd.Timestamp(wall_clock, unit="ms") if isinstance(wall_clock, float | int) else pd.Timestamp(wall_clock)
    return int(stamp.tz_localize(zone, ambiguous=True, nonexistent="shift_forward").timestamp())


def as_parquet(frame: pd.DataFrame) -> bytes:
    """`frame` as the bytes of a Parquet file."""
    buffer = io.BytesIO()
    frame.to_parquet(buffer, index=False)
    return buffer.getvalue()


def as_csv(frame: pd.DataFrame) -> bytes:
    """CSV in UTF-8 in which no cell is a formula: text that a spreadsheet would run has a `'` before it."""
    columns = {
        name: [guarded(value) if isinstance(value, str) else value for value in column]
        if column.dtype == object or pd.api.types.is_string_dtype(column)
        else column
        for name, column in frame.items()
    }
    safe = pd.DataFrame(columns, index=frame.index)
    safe.columns = [guarded(str(name)) for name in frame.columns]
    return safe.to_csv(index=False).encode()


def downloads(frame: pd.DataFrame, *, name: str) -> None:
    """Buttons that save `frame` as CSV and as Parquet; the files are made when they are clicked."""
    with st.container(horizontal=True):
        st.download_button(
            "CSV",
            lambda: as_csv(frame),
            f"{name}.csv",
            "text/csv",
            key=f"csv_{name}",
            on_click="ignore",
            icon=":material/download:",
        )
        st.download_button(
            "Parquet",
            lambda: as_parquet(frame),
            f"{name}.parquet",
            "application/vnd.apache.parquet",
            key=f"parquet_{name}",
            on_click="ignore",
            icon=":material/download:",
        )


@contextmanager
def progress_bar(label: str) -> Iterator[Progress]:
    """A progress bar for work inside the block; gone when it ends."""
    place = st.empty()
    place.progress(0.0, text=label)

    def progress(done: int, total: int, message: str) -> None:
        place.progress(min(1.0, done / max(total, 1)), text=f"{label}: {plain(message)} ({done:,} of {total:,})")

    try:
        yield progress
    finally:
        place.empty()


def open_station(station: str) -> None:
    """Open another station with the same choices."""
    state.moved_on()
    st.switch_page(st.session_state[PAGES][station])


def pick_dataset() -> str:
    """Selector of the data set; an unknown name from a link stays chosen, and the view explains it."""
    names = loaders.dataset_names()
    if state.get("dataset") not in names:
        names = [*names, state.get("dataset")]

    def changed() -> None:
        state.put(dataset=st.session_state["w_dataset"])

    st.session_state["w_dataset"] = state.get("dataset")
    st.selectbox("Data set", names, key="w_dataset", on_change=changed, width=190)
    return state.get("dataset")


def pick_person() -> None:
    """Field of the person's id; the target stays, what belongs to the life of the person before does not."""

    def changed() -> None:
        state.another_person(st.session_state["w_person"].strip())

    st.session_state["w_person"] = state.get("person")
    st.text_input("Person", placeholder="person id", key="w_person", on_change=changed, width=130)


def pick_run(name: str = "run", label: str = "Run", *, kinds: tuple[str, ...] = ()) -> str:
    """Selector of a run of the chosen data set, kept as choice `name`; empty where there is none.

    Args:
        name: `run` or `run_b`.
        label: what the selector is called.
        kinds: only runs of these kinds (`psu`, `ranker`); all when empty.
    """
    rows = [r for r in loaders.runs(state.get("dataset")) if not kinds or r["kind"] in kinds]
    found = [r["run"] for r in rows]
    says = {r["run"]: run_label(r) for r in rows}
    if state.get(name) and state.get(name) not in found:
        found = [*found, state.get(name)]
    st.selectbox(
        label,
        ["", *found],
        format_func=lambda value: says.get(value, value) or ("choose a run" if found else "no run yet"),
        disabled=not found,
        width=220,
        **state.bound(name, options=["", *found]),
    )
    return state.get(name)


def run_label(row: dict[str, Any]) -> str:
    """A run as lists show it: name, model, and what is wrong with it."""
    trouble = "damaged" if row["error"] and not row["kind"] else ("stale" if row.get("stale") else "")
    state_of = row.get("state")
    unfinished = f"{state_of}" if state_of not in ("done", None, "damaged") else ""
    return " · ".join(part for part in (row["run"], row["model"] or "", trouble, unfinished) if part)


def take_back() -> None:
    """Undo the last change, or say that there is none."""
    if not state.undo():
        st.toast("There is no change to take back.")


def thread_bar() -> st.delta_generator.DeltaGenerator:
    """What is chosen and stays chosen from station to station: data set, run, person; undo and link.

    Returns its row, for what else stands there.
    """
    bar = st.container(horizontal=True, vertical_alignment="bottom", key="thread")
    with bar:
        pick_dataset()
        pick_run()
        pick_person()
        st.button(
            "Undo",
            icon=":material/undo:",
            key="undo",
            on_click=take_back,
            help="Take back the last change of a choice or setting",
        )
        with st.popover("Link", icon=":material/link:", key="link", on_change="rerun") as opened:
            if opened.open:  # what was drawn with the page would be old: parts that are drawn alone change it
                st.write("This address opens the same page with the same choices:")
                address = str(st.context.url or "").split("?")[0]
                st.code(f"{address}{state.link()}", language=None, wrap_lines=True)
    return bar


def notices() -> None:
    """What a link held that could not be used; shown until dismissed."""
    for sentence in state.notices():
        st.warning(plain(sentence), icon=":material/link_off:")
    if state.notices():
        st.button("Dismiss", key="dismiss_notices", on_click=state.dismiss_notices)
