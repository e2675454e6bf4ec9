"""Station Training, part Start: recipe, data, model, budget and device; what it will cost; the same in words."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pandas as pd
import streamlit as st

from app import background, limits, loaders, state, widgets
from app.stations.training import menu
from seminar_core.errors import ExistsError, NotReadyError, UnknownJobError
from seminar_core.jobs import control as jobs
from seminar_core.jobs import warmup
from seminar_core.jobs.engines import ENGINES
from seminar_core.jobs.state import LIVE
from seminar_core.training.recipe import FinetuneConfig, PretrainConfig
from seminar_core.training.settings import leaves

BUDGET = ("steps", "seconds", "evaluate_every")


def render() -> None:
    """Draw the form beside what it will do."""
    left, right = st.columns([3, 2], gap="large")
    with left:
        choice, launch = form()
    with right, widgets.explained("training_start"):
        consequences(choice, launch)


def form() -> tuple[menu.Choice, dict[str, Any]]:
    """Ask for everything a training needs; every field has a sensible value already."""
    recipes = list(menu.RECIPES)
    st.selectbox(
        "Recipe", recipes, format_func=lambda r: menu.RECIPES[r].title, **state.bound("recipe", options=recipes)
    )
    recipe = state.get("recipe") if state.get("recipe") in recipes else recipes[0]
    card = menu.RECIPES[recipe]
    st.caption(card.about)
    model, parent = "", ""
    if len(card.models) > 1:
        model = st.selectbox("Model", card.models, key="start_model", help="What is trained on the same batches")
    if card.needs_parent:
        found = [r["run"] for r in loaders.runs(state.get("dataset")) if r.get("kind") == "psu" and not r.get("stale")]
        parent = st.selectbox(
            "Starts from", found, key="start_parent", help="A pretraining of this data set as it is now"
        )
        if not found:
            st.info("This data set, as it is now, has no pretrained run yet: choose the recipe Pretrain first.")
    run = st.text_input(
        "Name of the run", value=free_name(recipe), key=f"start_run_{recipe}", max_chars=80,
        help="Letters, digits, dot, dash and underscore",
    )  # fmt: skip
    preset = st.segmented_control(
        "Budget", list(menu.PRESETS), format_func=lambda p: menu.PRESETS[p][0], default="default", required=True,
        wrap=True, key="start_preset",
        help="Training ends when the budget does, or sooner when validation no longer improves",
    )  # fmt: skip
    with st.container(horizontal=True):
        device = st.selectbox(
            "Device", ("auto", "cpu", "cuda"), key="start_device", width=130, help="auto: the GPU if there is one"
        )
        engine = st.selectbox(
            "Engine", list(ENGINES), key="start_engine", width=130, help="local: this machine; slurm: a cluster"
        )
        processes = st.number_input(
            "Processes", 1, 1024, 1, key="start_processes", width=130,
            help="Train one batch together, each on a GPU of its own or all on the CPU; batch_size is shared out",
        )  # fmt: skip
        nodes = 1
        if engine != "local":
            nodes = st.number_input(
                "Nodes", 1, 1024, 1, key="start_nodes", width=130, help="Machines that the processes are spread over"
            )
        seed = st.number_input(
            "Seed", 0, 10**6, 0, key="start_seed", width=130, help="Decides initial weights, batches and samples"
        )
    settings = all_settings(card.command, {**menu.PRESETS[preset or "default"][1], **card.settings})
    chosen = menu.Choice(
        recipe, state.get("dataset"), run.strip(), str(model or ""), str(parent or ""), preset or "default",
        device, int(seed), settings,
    )  # fmt: skip
    return chosen, {"engine": engine, "processes": int(processes), "nodes": int(nodes)}


def free_name(recipe: str) -> str:
    """A run name that is not taken: `pretrain-1`."""
    taken = {r["run"] for r in loaders.runs()} | {row["run"] for row in jobs.rows(loaders.workspace())}
    return next(name for number in range(1, 10**6) if (name := f"{recipe}-{number}") not in taken)


def all_settings(command: str, given: dict[str, str]) -> tuple[tuple[str, str], ...]:
    """Every setting with its explanation, editable; what was changed comes back."""
    kind = PretrainConfig if command == "pretrain" else FinetuneConfig
    said = menu.explanations(kind)
    start = {name.rpartition(".")[2]: value for name, value in leaves(kind()).items() if name.count(".")}
    values = {name: str(given.get(name, value)) for name, value in start.items()}
    with st.expander("All settings, explained", key="start_settings", icon=":material/tune:"):
        shown = pd.DataFrame(
            {
                "setting": list(values),
                "value": list(values.values()),
                "default": [str(v) for v in start.values()],
                "what it is": [said.get(name, "") for name in values],
            }
        )
        edited = st.data_editor(
            shown, hide_index=True, disabled=["setting", "default", "what it is"], height=420,
            key=f"settings_{command}_{hash(tuple(given.items())) % 10**8}",
            column_config={"what it is": st.column_config.TextColumn(width="large")},
        )  # fmt: skip
    changed = zip(edited["setting"], edited["value"], values.values(), strict=True)
    return tuple((name, str(value)) for name, value, before in changed if str(value) != before)


def consequences(choice: menu.Choice, launch: dict[str, Any]) -> None:
    """The command line and file it amounts to, its cost, and the button."""
    words = choice.words()
    choice.config()
    if st.button("Start", type="primary", icon=":material/rocket_launch:", key="start_now", width="stretch"):
        if choice.run in {row["run"] for row in loaders.runs()}:
            raise ExistsError(
                f"run {choice.run!r} exists already",
                hint="give the new run another name, or delete the old one under Compare runs",
            )
        state.put(part="watch", job=limits.start_job(loaders.workspace(), words, **launch))
        st.rerun()
    budget(choice, launch)
    st.write("**The same on the command line**")
    st.code(menu.command_line(words, **launch), language="sh", wrap_lines=True)
    with st.expander("The same as a file (TOML)", key="start_toml"):
        st.code(choice.toml(), language="toml", height=360)


def budget(choice: menu.Choice, launch: dict[str, Any]) -> None:
    """What it will take: measured when asked for, by a warm-up that is started as the training would be."""
    config = choice.config().budget
    st.write(
        f"Ends after {config.steps:,} steps or {config.seconds:,.0f} s, whichever comes first, or when "
        f"{config.patience} validations in a row are no better."
    )
    measured = st.session_state.get("warmup")
    asked = {"words": choice.words(), "launch": launch}
    now = None if measured is None or measured["asked"] != asked else warm_up(measured["job"])
    if now is not None and now["state"] in LIVE:
        watch(now["job"])
        return
    if now is not None:
        with widgets.explained("warmup"):
            outcome(now, choice, now["job"])
    label = "Measure time and memory first" if now is None else "Measure again"
    if st.button(label, icon=":material/timer:", key="measure", width="stretch"):
        if measured is not None:
            with suppress(NotReadyError, UnknownJobError):  # over, or gone
                warmup.cancel(loaders.workspace(), measured["job"])
        st.session_state["warmup"] = {
            "asked": asked,
            "job": warmup.begin(loaders.workspace(), choice.words(), **launch),
        }
        st.rerun()


def warm_up(job: str) -> dict[str, Any] | None:
    """A warm-up's row; None where it was tidied away."""
    try:
        return warmup.row(loaders.workspace(), job)
    except UnknownJobError:
        return None


def watch(job: str) -> None:
    """Show a warm-up until it has ended; then the page is drawn again."""

    @st.fragment(run_every=1.0)
    def look() -> None:
        with widgets.explained("warmup"):
            now = warm_up(job)
            if now is None or now["state"] not in LIVE:
                st.rerun()
            share = now["step"] / now["steps"] if now["steps"] else 0.0
            st.progress(min(share, 1.0), text=f"Warming up: {widgets.plain(now['message'])}")
            if st.button("Stop measuring", key="measure_stop"):
                warmup.cancel(loaders.workspace(), job)

    look()


def outcome(now: dict, choice: menu.Choice, job: str) -> None:
    """The finished warm-up in numbers, or why there is none."""
    if now["state"] != "done":
        why = f": {widgets.plain(now['error']['message'])}" if now["error"] else ""
        st.warning(f"The warm-up {background.ENDED_AS[now['state']]}{why}.")
        return
    settings = {name: getattr(choice.config().budget, name) for name in BUDGET}
    found = warmup.estimate(loaders.workspace(), job, **settings)
    with st.container(horizontal=True):
        st.metric("About", f"{found.total_s:,.0f} s", width="content")
        st.metric("Memory", f"{found.memory_mb:,.0f} MB", width="content")
        st.metric("Examples a second", f"{found.examples_per_s:,.0f}", width="content")
    widgets.trust_line(
        f"measured {'here' if now['engine'] == 'local' else 'on the cluster'} over {warmup.STEPS} steps",
        f"{1000 * found.step_s:.0f} ms a step",
        f"{found.validation_s:.1f} s a validation",
        f"{found.start_s:.1f} s to start",
        f"{found.steps:,} steps fit",
    )
