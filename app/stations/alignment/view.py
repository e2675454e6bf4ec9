"""Station Alignment: are the modalities in one space, and what did pretraining change?

This module lays the page out: what is compared, the joint map with its badge, the number card beside it. The map itself
is drawn by `alignment_map`, the card by `alignment_card`, the list of what to repair by `alignment_worklist`.
"""

from __future__ import annotations

import streamlit as st

from app import background, loaders, state, widgets
from app.stations.alignment import card as alignment_card
from app.stations.alignment import loaders as sources
from app.stations.alignment import map as alignment_map
from app.stations.alignment import worklist as alignment_worklist

VIEWS = {"stages": "Stages", "film": "Film"}
DRAWINGS = {"webgl": "WebGL2", "plotly": "Plotly"}


def render() -> None:
    """Draw the station."""
    name = state.get("dataset")
    with st.container():
        run = state.get("run") or _only_run(name)
    if not run:
        widgets.empty("Alignment needs a trained run of this data set. Choose one at the top of the page.")
        background.first_run(name)
        return
    loaders.dataset(name)  # an unknown data set is explained before a run that cannot be of it
    loaders.check_run_of(run, name)
    with widgets.explained("alignment_run"):
        with st.container():
            names = pick(run)
        if not names:
            widgets.empty("Choose at least one stage.")
            return
        film = state.get("view") == "film"
        measured = names if not film else tuple(sources.stages(run))[:2]
        sources.channel_sets(run, measured)  # a run that cannot be opened is explained once, not by every part below
        chosen = alignment_map.selection(loaders.dataset(name).hash, told=False)
        left, right = st.columns([9, 6], gap="medium")
        with left, widgets.explained("alignment_map_error"):
            alignment_map.render(run, names, film=film)
        with right, widgets.explained("alignment_card_error"):
            alignment_card.summary(run, measured, chosen)
        with widgets.explained("alignment_figure_error"):
            alignment_card.figure(run, measured, chosen)
        if film:
            with widgets.explained("alignment_film_error"):
                alignment_card.film(run, names)
        with widgets.explained("alignment_worklist_error"):
            alignment_worklist.render(run, measured[-1], tuple(sources.stages(run)), chosen)


def _only_run(dataset: str) -> str:
    """The newest run of the data set, when none was chosen."""
    run = loaders.newest_run(dataset)
    if run:
        widgets.trust_line(f"No run was chosen: showing the newest, {widgets.plain(run)}")
    return run


def pick(run: str) -> tuple[str, ...]:
    """What is compared: stages or checkpoints, and what is taken out before measuring."""
    known = list(sources.stages(run))
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.segmented_control(
            "View", list(VIEWS), format_func=VIEWS.__getitem__, required=True, **state.bound("view", options=VIEWS)
        )
        if state.get("view") == "stages":
            if not state.get("stages"):
                state.assume(stages=tuple(known[:2]))
            st.pills("Stages", known, selection_mode="multi", **state.bound("stages", options=known))
        st.segmented_control(
            "Remove before measuring",
            ["none", "centred", "procrustes"],
            format_func={"none": "Nothing", "centred": "Means", "procrustes": "Means and rotation"}.__getitem__,
            required=True,
            help="Offset or real disagreement? A gap that remains once each modality's mean is removed is more than "
            "an offset; one that remains after a rotation fitted on other items is more than a rotation.",
            **state.bound("correction", options=["none", "centred", "procrustes"]),
        )
        st.selectbox(
            "Drawing",
            list(DRAWINGS),
            format_func=DRAWINGS.__getitem__,
            width=110,
            **state.bound("drawing", options=DRAWINGS),
        )
        alignment_card.definitions()
    if "after" not in known:
        widgets.trust_line(f"run {widgets.plain(run)} was trained without pretraining: it has {' and '.join(known)}")
    if state.get("view") == "film":
        frames, total = sources.checkpoints(run)
        widgets.trust_line(
            f"{len(frames)} of {total} kept checkpoints",
            "" if len(frames) > 2 else "train with keep_every=N to keep more checkpoints for the film",
        )
        return tuple(frames)
    shown = tuple(stage for stage in known if stage in state.get("stages"))
    for note in sources.notes(run, shown):
        st.warning(f"Read with care: {note}", icon=":material/warning:")
    strange = [stage for stage in state.get("stages") if stage not in known]
    if strange:
        shown = shown or tuple(known[:2])
        widgets.trust_line(
            f"run {widgets.plain(run)} has no stage {widgets.plain(', '.join(strange))}: showing {' and '.join(shown)}"
        )
    return shown
