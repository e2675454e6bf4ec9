"""One run in Training's Compare: words on it, putting it away, pruning its checkpoints, deleting it with a question.

Several people may have the same run open: a field that is changed is written alone, into the note as it is by then, and
a field that somebody else has changed shows their words.
"""

from __future__ import annotations

from typing import Any

import streamlit as st

from app import loaders, state, widgets
from app.stations.training import notes
from seminar_core.errors import SeminarError
from seminar_core.jobs import removal

FIELDS = ("name", "text", "tags", "archived")
"""Of a note; a field's widget has the key `FIELD_RUN`."""


def about(name: str, note: notes.Note) -> None:
    """What is written on run `name`, and what can be done with it."""
    with st.expander(f"{widgets.plain(name)}: name, note, delete", key=f"about_{name}"), widgets.explained(name):
        words(name, note)
        with st.popover("Prune old checkpoints", icon=":material/cleaning_services:", key=f"prune_{name}"):
            prune(name)
        with st.popover("Delete this run", icon=":material/delete:", key=f"delete_{name}"):
            delete(name)


def words(run: str, note: notes.Note) -> None:
    """The four fields of a note, bound to the file."""
    prime(run, note)
    st.text_input("Name to show", max_chars=notes.LONGEST_NAME, **bound(run, "name"))
    st.text_area("Note", max_chars=notes.LONGEST_NOTE, **bound(run, "text"))
    st.multiselect("Tags", sorted(note.tags), accept_new_options=True, **bound(run, "tags"))
    st.toggle("Archived: not offered in lists", **bound(run, "archived"))
    if st.session_state.pop(f"saved_{run}", False):
        st.caption("Saved.")
    for field in FIELDS:
        if refused := st.session_state.get(f"refused_{field}_{run}"):
            widgets.error_panel(refused, key=f"{run}_{field}")


def prime(run: str, note: notes.Note) -> None:
    """Show what is stored in the fields that are new on the page or were changed since this session saw them last."""
    seen = st.session_state.get(f"seen_note_{run}")
    for field in FIELDS:
        key, stored = f"{field}_{run}", getattr(note, field)
        if key not in st.session_state or seen is None or getattr(seen, field) != stored:
            st.session_state[key] = sorted(stored) if field == "tags" else stored
            st.session_state.pop(f"refused_{field}_{run}", None)
    st.session_state[f"seen_note_{run}"] = note


def bound(run: str, field: str) -> dict[str, Any]:
    """Key and callback of a field's widget; what cannot be written stays in the widget, with the reason below it."""
    key, refused = f"{field}_{run}", f"refused_{field}_{run}"

    def changed() -> None:
        value = st.session_state[key]
        value = tuple(sorted(value)) if field == "tags" else value.strip() if field == "name" else value
        st.session_state.pop(refused, None)
        try:
            st.session_state[f"saved_{run}"] = notes.change_note(loaders.workspace(), run, **{field: value})
        except SeminarError as error:
            st.session_state[refused] = error

    return {"key": key, "on_change": changed}


def prune(run: str) -> None:
    """The question before checkpoints are deleted."""
    workspace = loaders.workspace()
    st.write("First, best and last stay; the map of this run loses the frames between them.")
    if st.button("Yes, prune them", key=f"prune_yes_{run}"):
        pruned = len(removal.old_checkpoints(workspace, run))
        removal.delete(workspace, "checkpoints", run)
        st.caption(f"{pruned} checkpoints were deleted.")


def delete(run: str) -> None:
    """The question before the run is deleted, with what depends on it."""
    workspace = loaders.workspace()
    depending = removal.dependents(workspace, "run", run)
    listed = "; ".join(f"{what} {', '.join(names)}" for what, names in depending.items())
    st.write(f"Depends on it: {widgets.plain(listed) or 'nothing'}. Its checkpoints are deleted for good.")
    if st.button("Yes, delete it", key=f"delete_yes_{run}"):
        removal.delete(workspace, "run", run)
        state.put(runs=tuple(other for other in state.get("runs") if other != run))
        st.rerun()
