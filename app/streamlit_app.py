"""The frame of the app: Home, five stations, Stories and the thread through them. Start it with `make app`."""

from __future__ import annotations

import os
import sys
from importlib import import_module, util
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
ROOT = str(Path(__file__).resolve().parents[1])
if ROOT not in sys.path:
    sys.path.insert(0, ROOT)

import streamlit as st  # noqa: E402 - after the environment is set

if __name__ == "streamlit_app":  # the server imports this file by its bare name, to serve it behind the guard
    from starlette.middleware import Middleware
    from streamlit.starlette import App

    from app.guard import Guard
    from app.startup import prepare

    prepare()
    app = App(__file__, middleware=[Middleware(Guard)])
else:  # a session runs it, or a test imports it
    from app import background, command_palette, loaders, saving, sign_in, state, tour, widgets
    from app.work import waiting

STATIONS = {
    "home": ("Home", ":material/home:", "What is this, and where to begin?"),
    "data": ("Data", ":material/database:", "What is in this data set, and what is wrong with it?"),
    "life": ("Life", ":material/timeline:", "Who is this person: what did they search, and what did it lead to?"),
    "alignment": ("Alignment", ":material/hub:", "Are the modalities in one space? What did pretraining change?"),
    "retrieval": ("Retrieval", ":material/manage_search:", "Which past events does the model look at, which are lost?"),
    "training": ("Training", ":material/model_training:", "Train, watch, stop, resume and compare."),
    "stories": ("Stories", ":material/slideshow:", "Saved views in order: present them, or save them as one page."),
}


def station(name: str) -> None:
    """Draw one station under the thread of choices."""
    title, _, question = STATIONS[name]
    if not sign_in.admitted():
        return
    with st.container():  # what comes and goes has a place of its own: what moves on a page is mounted anew
        widgets.notices()
    with widgets.thread_bar():
        saving.button(name)
        command_palette.button(name, {other: STATIONS[other][0] for other in STATIONS})
    with st.container():
        tour.bar(name)
        background.first_run_goes_on(state.get("dataset"))
    st.header(title, anchor=False, help=question)
    if util.find_spec(f"app.stations.{name}.view") is None:
        widgets.empty(f"The station {title} is not there yet.", icon=":material/construction:")
    else:
        with waiting.page(), widgets.explained(f"{name}_error"):
            import_module(f"app.stations.{name}.view").render()
    command_palette.remember(name, title)


def page(name: str) -> st.Page:
    """The navigation entry of a station."""
    title, icon, question = STATIONS[name]

    def draw() -> None:
        station(name)

    return st.Page(draw, title=title, icon=icon, url_path=name, help=question, default=name == "home")


def main() -> None:
    """Run the app once."""
    st.set_page_config(
        page_title="SEMINAR Explorer", page_icon=str(Path(__file__).with_name("icon.png")), layout="wide"
    )
    st.html(widgets.STYLE)
    state.begin()
    pages = {name: page(name) for name in STATIONS}
    st.session_state[widgets.PAGES] = pages
    chosen = st.navigation([*pages.values()], position="top")
    chosen.run()
    state.finish()
    loaders.warm_up()


if __name__ == "__main__":
    main()
