"""The joint map: PCA at once, UMAP when it is ready, linked panes, what was picked or lassoed, and the trust badge."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import streamlit as st

from app import loaders, state, widgets
from app.components.alignment_map import alignment_map, courier, payload
from app.stations.alignment import badge as alignment_badge
from app.stations.alignment import figures
from app.stations.alignment import loaders as sources
from app.stations.alignment import selection as alignment_selection
from app.stations.alignment import twin as alignment_twin
from app.stations.alignment.selections import keep_selection, read_selection
from app.work import waiting
from seminar_core.alignment.map_facts import worst_aligned
from seminar_core.alignment.map_store import MapRequest
from seminar_core.alignment.neighbours import point_neighbours
from seminar_core.alignment.projection import Layout
from seminar_core.contracts import CHANNEL_NAMES
from seminar_core.errors import StaleError

MOST_WORST = 500
PICKED, SEQUENCE, WANTED, NO_WEBGL = (f"alignment_{name}" for name in ("picked", "sequence", "wanted", "no_webgl"))
SENT = "alignment_selection_sent"  # which selection the map of which digest was told of last
CHANGED = "alignment_selection_changed"  # the rest of the page follows a selection that was made within the map's part


def render(run: str, names: tuple[str, ...], *, film: bool) -> None:
    """Draw the map, or PCA with the progress of UMAP."""
    request = MapRequest(seed=state.get("seed"))
    layout = sources.kept_layout(run, names, request)
    notices = st.container()  # there with nothing in it too: a map that moves up the page is mounted anew
    if layout is None:
        with notices:
            if sources.has_stale_map(run, names, request):
                widgets.trust_line(
                    "the kept map of this run was drawn from other vectors than it has now: it is drawn again"
                )
            widgets.trust_line("this is PCA until UMAP is drawn")
            with widgets.explained("umap_error"):
                sources.drawn(run, names, request)
        layout = sources.kept_layout(run, names, request) or sources.pca_layout(run, names, request.seed)
    block, digest, items = sources.block(run, names, layout, film=film)
    fragment(run, names, layout, block, digest, items)


@st.fragment
def fragment(*arguments: Any) -> None:
    """The part of the page that is redrawn alone; explains its own errors, for nothing around it hears them."""
    if st.session_state.pop(CHANGED, False):
        st.rerun()
    with waiting.part("map", alone=state.in_part()), widgets.explained("alignment_map_part"):
        drawn(*arguments)
    state.finish_part()


def drawn(run: str, names: tuple[str, ...], layout: Layout, block: bytes, digest: str, items: payload.MapItems) -> None:
    """The map with its colours, its badge and its selection."""
    dataset = loaders.dataset(state.get("dataset"))
    with st.container():
        chosen = selection(dataset.hash)
    cosines = sources.pair_cosines(digest, layout, items)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        colouring = pick_colour(layout, items, dataset.name, cosines)
        worst = pick_worst(items, cosines)
        st.toggle(
            "Same item, one panel per modality",
            help="Small multiples, without lines; WebGL2 rings the item under the pointer in every panel.",
            **state.bound("multiples"),
        )
    if state.get("drawing") == "webgl" and not st.session_state.get(NO_WEBGL):
        alignment_map(
            block,
            key=sources.MAP_KEY,
            on_pick=pick,
            on_lasso=lambda value: lassoed(value, digest, items, dataset.hash),
            on_no_webgl=lambda: st.session_state.__setitem__(NO_WEBGL, True),
        )
        picked = picked_point(digest)
        neighbours = None if picked is None else neighbours_of(picked, layout, items)
        carry(digest, items, colouring, chosen, neighbours, worst)
    else:
        plotly_map(layout, items, colouring, chosen, dataset, items.rows[worst])
        picked, neighbours = None, None
    alignment_badge.badge(layout)
    alignment_twin.render(layout, items, cosines, dataset, lambda rows: select_here(rows, dataset.hash))
    alignment_badge.export(layout, dataset.name, digest)
    if picked is not None and neighbours is not None:
        alignment_selection.neighbours(picked, neighbours, layout, items, dataset, on_close=pick_none)
    if len(chosen):
        alignment_selection.render(chosen, dataset, on_clear=clear)


def selection(dataset_hash: str, *, told: bool = True) -> np.ndarray:
    """Catalogue rows that are selected; a selection made elsewhere is dropped, and told where `told`."""
    try:
        return read_selection(loaders.workspace(), dataset_hash, state.get("selected"))
    except StaleError as error:
        if told:
            widgets.error_panel(error, key="selection_error")
        return np.zeros(0, np.int32)


def clear() -> None:
    """Let go of the selection, in the whole page."""
    state.put(selected="")
    st.session_state[CHANGED] = True


def select(rows: np.ndarray, dataset_hash: str) -> None:
    """Make catalogue rows the selection; the map follows."""
    state.put(selected=keep_selection(loaders.workspace(), dataset_hash, rows))


def select_here(rows: np.ndarray, dataset_hash: str) -> None:
    """`select` from within the map's part: the card and the work-list follow."""
    st.session_state[CHANGED] = True
    select(rows, dataset_hash)


def sequence(digest: str) -> int:
    """The number of the selection: the map takes one over whose number is larger than that of its own.

    It grows when the selection changed otherwise than on the map: by a button, undo, a link, or with another map.
    """
    now = (state.get("selected"), digest)
    if st.session_state.setdefault(SENT, now) != now:
        st.session_state[SEQUENCE] = max(int(time.time() * 1000), st.session_state.get(SEQUENCE, 0) + 1)
        st.session_state[SENT] = now
    return int(st.session_state.setdefault(SEQUENCE, 1 if now[0] else 0))


def lassoed(value: dict[str, Any], digest: str, items: payload.MapItems, dataset_hash: str) -> None:
    """Take over what was lassoed, searched or cleared on the map; nothing where another map has come meanwhile."""
    if value["digest"] != digest:
        return
    positions = payload.unpack_ids(value["ids"])
    pick_none()
    st.session_state[CHANGED] = True
    select(items.rows[positions], dataset_hash)
    st.session_state[SEQUENCE] = int(value["seq"])
    st.session_state[SENT] = (state.get("selected"), digest)  # the map shows it already


def pick_worst(items: payload.MapItems, cosines: np.ndarray) -> np.ndarray:
    """Positions of the worst aligned items at the last stage, as many as are asked for."""
    st.number_input(
        "Worst aligned joined",
        0,
        MOST_WORST,
        step=5,
        width=170,
        help="While nothing is selected, lines join the modalities of that many items: those whose pairs lie furthest "
        "below the mean cosine of that pair at the last stage.",
        **state.bound("worst", options=range(MOST_WORST + 1)),
    )
    if state.get("worst") > MOST_WORST:
        widgets.trust_line(f"at most {MOST_WORST} of the worst aligned are joined, not {state.get('worst'):,}")
    return worst_aligned(cosines[-1], min(state.get("worst"), MOST_WORST))


def pick_colour(layout: Layout, items: payload.MapItems, dataset: str, of: np.ndarray) -> payload.Colouring | None:
    """What colours the points: the modality, an attribute with few values, or a cosine."""
    frame = sources.items_frame(dataset).reindex(items.rows)
    attributes = sources.attributes_of(frame)
    cosines = {f"cosine {'–'.join(pair)}": at for at, pair in enumerate(_pairs(items))}
    named = {f"cosine {'–'.join(p)}": f"cosine {' – '.join(CHANNEL_NAMES[c] for c in p)}" for p in _pairs(items)}
    options = ["", *attributes, *cosines, "events"]
    st.selectbox(
        "Colour",
        options,
        format_func=lambda value: named.get(value, value) or "modality",
        width=220,
        **state.bound("colour", options=options),
    )
    colour = state.get("colour")
    if colour not in options:
        widgets.trust_line(f"{widgets.plain(colour)} cannot colour this map: the colours are those of the modalities")
    if colour in attributes:
        return payload.colour_by(colour, frame[colour].fillna("").astype(str).to_numpy())
    if colour in cosines:
        return payload.colour_by_number(f"{named[colour]}, last stage", of[-1][:, cosines[colour]])
    if colour == "events" and "events" in frame:
        return payload.colour_by_number("events", frame["events"].to_numpy(float))
    return None


def _pairs(items: payload.MapItems) -> list[tuple[str, str]]:
    from itertools import combinations

    return list(combinations(items.channels, 2))


def pick(value: dict[str, Any]) -> None:
    """Keep the point that was picked on the map, whose neighbours are shown; let go of it where it picked none."""
    if value["item"] is None:
        return pick_none()
    st.session_state[PICKED] = value


def pick_none() -> None:
    """Put the neighbours away."""
    st.session_state.pop(PICKED, None)


def picked_point(digest: str) -> dict[str, Any] | None:
    """The point that was clicked, when it is of the map that is shown."""
    value = st.session_state.get(PICKED)
    return value if value and value["digest"] == digest else None


def neighbours_of(picked: dict[str, Any], layout: Layout, items: payload.MapItems) -> dict[str, Any] | None:
    """Neighbours of a point within its stage: in the original space, and on the map only; as [position, channel]."""
    stage = layout.points.stages.index(picked["stage"])
    lane = items.channels.index(picked["channel"])
    point = int(items.point[stage, lane, picked["item"]])
    if point < 0:
        return None
    here = np.flatnonzero(layout.points.stage == stage)
    local = int(np.searchsorted(here, point))
    found = point_neighbours(local, layout.points.vectors[here], layout.xy[here])
    letters = {code: name for name, code in zip(items.channels, np.unique(layout.points.channel), strict=True)}

    def named(points: np.ndarray) -> list[list[Any]]:
        rows = here[points]
        positions = np.searchsorted(items.rows, layout.points.item[rows])
        return [[int(p), letters[c]] for p, c in zip(positions, layout.points.channel[rows], strict=True)]

    return {
        "stage": picked["stage"],
        "point": [int(picked["item"]), picked["channel"]],
        "true": named(found.true),
        "cosine": [float(c) for c in found.cosine],
        "missed": [bool(m) for m in found.missed],
        "false": named(found.drawn[found.false]),
    }


def carry(
    digest: str,
    items: payload.MapItems,
    colouring: payload.Colouring | None,
    chosen: np.ndarray,
    neighbours: dict[str, Any] | None,
    worst: np.ndarray,
) -> None:
    """Send colours, selection and neighbours to the map, and the pictures it asks for."""
    name, number = state.get("dataset"), sequence(digest)

    @st.fragment
    def pictures() -> None:
        titles = loaders.dataset(name).titles
        wanted = [p for p in st.session_state.get(WANTED, []) if 0 <= p < len(items.rows)]
        style = payload.style(
            key=sources.MAP_KEY,
            digest=digest,
            colouring=colouring,
            selection=items.positions(chosen),
            selection_seq=number,
            worst=worst,
            multiples=state.get("multiples"),
            neighbours=neighbours,
            pictures={
                p: {"image": loaders.picture(name, items.rows[p]), "title": titles[items.rows[p]] or ""} for p in wanted
            },
        )
        courier(style, key="alignment_courier", on_wanted=lambda asked: st.session_state.__setitem__(WANTED, asked))

    pictures()


def plotly_map(
    layout: Layout,
    items: payload.MapItems,
    colouring: payload.Colouring | None,
    chosen: np.ndarray,
    dataset: Any,
    worst: np.ndarray,
) -> None:
    """The map without WebGL2: says so, and selects by lasso just the same."""
    if st.session_state.get(NO_WEBGL):
        st.warning("This browser offers no WebGL2: the map is drawn with Plotly, without hover pictures and film.")
        st.button("Try WebGL2 again", key="try_webgl", on_click=lambda: st.session_state.pop(NO_WEBGL))

    def changed() -> None:
        rows = widgets.selected_ids(st.session_state["chart_alignment_map"])
        if rows:
            select_here(np.array(rows, np.int32), dataset.hash)

    colours = None
    if colouring is not None:
        codes = colouring.codes[np.searchsorted(items.rows, layout.points.item)]
        colours = figures.PointColours(codes, colouring.legend)
    multiples = state.get("multiples")
    each = f"each of {', '.join(layout.points.stages)}" + (" and each modality" if multiples else "")
    widgets.chart(
        figures.map_figure(
            layout,
            selected=chosen if len(chosen) else None,
            titles=dataset.titles,
            colours=colours,
            joined=chosen if len(chosen) else worst,
            multiples=multiples,
        ),
        name="alignment_map",
        alt=f"Joint map of {len(layout.points):,} of {widgets.count(layout.points.of)} points, one panel for {each}",
        table=lambda: alignment_badge.map_frame(layout, dataset),
        says=f"{joined_words(chosen, worst, multiples=multiples)} Shape: modality. "
        f"Colour: {widgets.plain(colouring.title) if colouring else 'modality'}.",
        on_select=changed,
        selection_mode=("lasso", "box", "points"),
    )


def joined_words(chosen: np.ndarray, worst: np.ndarray, *, multiples: bool) -> str:
    """What the lines of the Plotly map join."""
    if multiples:
        return "Each item is drawn once per modality, each modality in a panel of its own."
    joined, what = (chosen, "selected") if len(chosen) else (worst, "worst aligned")
    lines = f", {figures.MOST_LINES:,} of " if len(joined) > figures.MOST_LINES else ", "
    return (
        "Each item is drawn once per modality; grey lines join the modalities of the items that are "
        f"{what}{lines}{len(joined):,}."
    )
