"""The Retrieval station's controls: the target, the what-if settings, and what repairs a missing codebook.

Every control is a choice in the URL (`app/state.py`); a changed weight, K or shortlist re-encodes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import streamlit as st

from app import background, loaders, state, widgets
from app.components.cards import Card, cards
from app.glossary import meaning
from app.stations.retrieval import loaders as sources
from app.stations.retrieval.kept_card import card, choose_event
from seminar_core.contracts import CHANNEL_NAMES, CHANNELS
from seminar_core.errors import NotReadyError, StaleError
from seminar_core.retrieval.spec import KNOWN, parse
from seminar_core.search.question import METHODS, Question, next_item

MOST_K = 1_000
WAYS = ("True next item", "Find an item", "Model's top 20")
SETTINGS = {
    "k": "K",
    "spec": "specification",
    "shortlist": "shortlist",
    "weights": "weights",
    "mask": "mask",
    "hide_from_s": "left out from",
    "hide_to_s": "left out to",
    "head": "head",
    "method": "method",
    "query": "query",
    "item": "target",
    "at": "seen from",
}
SETTINGS_INSIDE = tuple(
    name for name in SETTINGS if name not in ("query", "item", "at")
)  # of the answer, not the target


def newest_run(name: str) -> str:
    """The newest run of the data set whose first stage can be quantised; empty when none is."""
    return loaders.newest_run(name, models=("seminar", "seminar-pq", "psu"), codebooks=True)


def only_run(name: str) -> str:
    """The `newest_run`, chosen when none was, and a word on that."""
    run = newest_run(name)
    if run:
        widgets.trust_line(f"No run was chosen: showing {widgets.plain(run)}")
    return run


def target(name: str, run: str, person: str) -> Question | None:
    """The person, the target and the moment, as a question with default settings; None when nothing is chosen yet."""
    dataset = loaders.dataset(name)
    question = Question(person, "", query=state.get("query") or None, at=state.get("at") or None)
    with st.container(border=True, key="target"):
        with st.container(horizontal=True, vertical_alignment="bottom"):
            st.session_state.setdefault("way", WAYS[1] if state.get("item") else WAYS[0])
            if state.get("item") and st.session_state["way"] == WAYS[0]:
                st.session_state["way"] = WAYS[1]
            st.segmented_control("Target", WAYS, required=True, wrap=True, key="way", on_change=chose_way)
            st.text_input("with the query", placeholder="type any query", width=220, **state.bound("query"))
            st.text_input("seen from event", placeholder="last", width=120, **state.bound("at"))
        way = st.session_state["way"]
        upcoming = next_item(dataset, question)
        if way == WAYS[1]:
            find_item(name)
        elif way == WAYS[2]:
            top_twenty(name, run, question)
        item = state.get("item") or upcoming
        if item is None:
            widgets.empty(
                "At the end of the life there is no next item: find an item, or take one of the model's choices."
            )
            return None
        row = dataset.item_row(item)
        target_card(name, row, own=not state.get("item"))
    return replace(question, item=item)


def chose_way() -> None:
    """Asking for the true next item lets a chosen one go."""
    if st.session_state["way"] == WAYS[0]:
        state.put(item="", event=())


def find_item(name: str) -> None:
    """Search the catalogue by title or id."""
    text = st.text_input("Title or id contains", key="catalogue_text", placeholder="any text")
    if not text:
        return
    rows, count = loaders.find_items(name, text)
    if not rows:
        widgets.empty(f"No item has “{widgets.plain(text)}” in its title or id. Try a shorter text.")
        return
    listed: list[Card] = [item_card(name, row) for row in rows[:24]]
    cards(
        [{"heading": "Found", "note": f"showing {len(listed)} of {count:,}", "cards": listed}],
        key="found_items",
        strip=True,
        on_choose=lambda item: state.put(item=item, event=()),
    )


def top_twenty(name: str, run: str, question: Question) -> None:
    """The model's own first choices."""
    dataset = loaders.dataset(name)
    rows = sources.top_items(run, replace(question, item=dataset.item_ids[1]))
    listed: list[Card] = []
    for found in rows:
        card = item_card(name, dataset.item_row(found["item"]))
        card["lines"] = [f"rank {found['rank']} · logit {found['logit']:+.2f}"]
        listed.append(card)
    cards(
        [{"heading": "The model's top 20", "note": f"of {dataset.n_items:,} items", "cards": listed}],
        key="top_items",
        strip=True,
        on_choose=lambda item: state.put(item=item, event=()),
    )


def item_card(name: str, row: int) -> Card:
    """An item of the catalogue."""
    dataset = loaders.dataset(name)
    return {
        "id": dataset.item_ids[row],
        "title": dataset.titles[row] or "(no title)",
        "image": loaders.picture(name, row),
        "lines": [f"item {dataset.item_ids[row]}"],
        "chosen": dataset.item_ids[row] == state.get("item"),
    }


def target_card(name: str, row: int, *, own: bool) -> None:
    """The chosen target."""
    card = item_card(name, row)
    card["query"] = state.get("query")
    dataset = loaders.dataset(name)
    words = [*card["lines"], dataset.category_names[int(dataset.category[row])] or "no category"]
    missing = [w for w, absent in (("text", not dataset.titles[row]), ("picture", not card["image"])) if absent]
    card["lines"] = [" · ".join(words), f"without {' and '.join(missing)}: masked" if missing else ""]
    note = "what the person really met next" if own else "chosen"
    cards([{"heading": "The target", "note": note, "cards": [card]}], key="target_card", width="18rem")
    if not own:
        st.button("Back to the true next item", key="true_next", on_click=state.put, kwargs={"item": "", "event": ()})


def what_if(run: str, question: Question) -> Question:
    """The settings beside K and weights, which the answer itself holds; returns the question with all of them."""
    facts = sources.run_facts(run)
    with st.container(horizontal=True, vertical_alignment="bottom", key="what_if"):
        trained = spec_names(run)
        names = list(dict.fromkeys([*trained, *KNOWN]))
        if state.get("spec") not in names:
            names.append(state.get("spec"))
        st.selectbox(
            "Specification",
            names,
            format_func=lambda spec: spec if spec in trained or not needs_training(spec) else f"{spec} (not trained)",
            width=230,
            help=meaning("Specification"),
            **state.bound("spec", options=names),
        )
        st.number_input("Shortlist x K", 0, 64, width=110, help=meaning("Shortlist"), **state.bound("shortlist"))
        st.selectbox(
            "First stage",
            METHODS,
            format_func=lambda m: {"pq": "PQ (the specification)", "exact": "exact"}.get(m, m),
            width=200,
            **bound_method(),
        )
        heads = ["", *map(str, range(facts["heads"]))]
        st.selectbox("Head", heads, format_func=lambda h: h or "all", width=90, **state.bound("head", options=heads))
        st.pills(
            "Masked",
            CHANNELS,
            selection_mode="multi",
            format_func=CHANNEL_NAMES.__getitem__,
            **state.bound("mask", options=CHANNELS),
        )
    k = state.get("k") or int(facts["keep"])
    if k > MOST_K:
        widgets.trust_line(
            f"K is at most {MOST_K:,} per head on this page, not {k:,}; the command retrieve takes any K"
        )
    return replace(
        question,
        k=min(k, MOST_K),
        spec=state.get("spec"),
        shortlist=float(state.get("shortlist")),
        weights=state.get("weights") or None,
        mask=state.get("mask"),
        hide_from_s=state.get("hide_from_s"),
        hide_to_s=state.get("hide_to_s"),
        head=int(state.get("head")) if state.get("head") else None,
        method=state.get("method") or None,
    )


def bound_method() -> dict[str, Any]:
    """Binding of the first stage: the empty choice shows as PQ."""
    st.session_state["w_method"] = state.get("method") or "pq"

    def changed() -> None:
        method = st.session_state["w_method"]
        state.put(method="" if method == "pq" else method)

    return {"key": "w_method", "on_change": changed}


def spec_names(run: str) -> list[str]:
    """Specifications that the run has codebooks for."""
    return next((list(r.get("codebooks") or []) for r in loaders.runs() if r["run"] == run), [])


def needs_training(spec: str) -> bool:
    """Whether codebooks must be trained for it."""
    return bool(parse(spec).trained)


def left_out(question: Question) -> None:
    """The left-out period, and the button that takes it back."""
    if question.hide_from_s is None and question.hide_to_s is None:
        return
    zone = state.get("zone")
    ends = [
        "the beginning" if s is None else f"{widgets.times(np.array([s]), zone)[0]:%Y-%m-%d %H:%M}"
        for s in (question.hide_from_s, question.hide_to_s)
    ]
    with st.container(horizontal=True, vertical_alignment="center"):
        st.warning(f"Left out: {ends[0]} to {ends[1]} ({zone})", icon=":material/visibility_off:")
        st.button("Put it back", key="put_back", on_click=state.put, kwargs={"hide_from_s": None, "hide_to_s": None})


def previous(question: Question) -> Question | None:
    """The question as it was before the last change, when that change was a setting of it."""
    changes = {name: before for name, (before, _) in state.last_change().items() if name in SETTINGS}
    if not changes or len(changes) != len(state.last_change()):
        return None
    if "item" in changes and not (changes["item"] and state.get("item")):
        return None
    values: dict[str, Any] = dict(changes)
    for name, empty in (("weights", None), ("method", None), ("query", None), ("at", None)):
        if name in values:
            values[name] = values[name] or empty
    if "head" in values:
        values["head"] = int(values["head"]) if values["head"] else None
    if "shortlist" in values:
        values["shortlist"] = float(values["shortlist"])
    return replace(question, **values)


UNSET = {"weights": "the run's own", "at": "the last event", "method": "PQ", "head": "all"}


def say(value: Any, field: str = "") -> str:
    """A setting's value in words."""
    if value is None or value == ():
        return UNSET.get(field, "none")
    if field in ("hide_from_s", "hide_to_s"):
        return f"{widgets.times(np.array([value]), state.get('zone'))[0]:%Y-%m-%d %H:%M}"
    if isinstance(value, tuple):
        return ", ".join(f"{v:g}" if isinstance(v, float) else CHANNEL_NAMES.get(v, str(v)) for v in value)
    return f"{value:g}" if isinstance(value, float) else str(value)


@contextmanager
def repaired(run: str, question: Question) -> Iterator[None]:
    """Explain missing or stale codebooks and offer to train them as a background job."""
    try:
        yield
    except (NotReadyError, StaleError) as error:
        widgets.error_panel(error, key="codebooks")
        if "codebooks" in error.message:
            words = ["codebooks", "--run", run, "--spec", question.spec]
            key = f"train_codebooks_{run}_{question.spec}"
            background.job_button("Train these codebooks now", words, key=key)


def further_methods(name: str, run: str, question: Question) -> None:
    """Other first stages and other runs beside this one, as further columns."""
    runs = [r["run"] for r in loaders.runs(name) if r["run"] != run and r["model"] in ("seminar", "seminar-pq", "psu")]
    options = [m for m in METHODS if m not in ("exact", "pq")] + [f"run {r}" for r in runs]
    st.multiselect(
        "Further columns",
        options,
        placeholder="other first stages, other runs",
        **state.bound("methods", options=options),
    )
    chosen = [m for m in state.get("methods") if m in options]
    for start in range(0, len(chosen), 3):
        for place, method in zip(st.columns(3), chosen[start : start + 3], strict=False):
            with place, widgets.explained(f"method_{method}"):
                further_column(name, run, question, method)


def further_column(name: str, run: str, question: Question, method: str) -> None:
    """One further column."""
    other_run = method.removeprefix("run ") if method.startswith("run ") else run
    asked = question if method.startswith("run ") else replace(question, method=method)
    answered = sources.answered(other_run, asked)
    said = answered.said
    mine = {row["event"] for row in sources.answered(run, question).said["exact"]}
    verdict = {int(row["event"]): "kept" if row["event"] in mine else "gained" for row in said["approx"]}
    both = sum(v == "kept" for v in verdict.values())
    rows = said["approx"][:8]
    recall, mass = said["recall"], said["attention_mass"]
    note = f"recall {recall:.1%}, mass {mass:.1%}; " if recall is not None and mass is not None else ""
    cards(
        [
            {
                "heading": method,
                "note": f"{note}{both} of {len(verdict)} also kept by exact search; showing {len(rows)}",
                "cards": [card(name, answered, row, verdict) for row in rows],
            }
        ],
        key=f"method_{method}",
        on_choose=choose_event,
        width="100%",
    )
