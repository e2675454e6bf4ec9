"""What only Data reads: counts for its figures, and a version that waits to be accepted; kept under its content."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import streamlit as st

from app import loaders
from app.stations.data import figures
from seminar_core.workspace import Workspace

if TYPE_CHECKING:
    import pandas as pd


def offered_version(name: str) -> str | None:
    """Hash of a version of `name` that waits to be accepted; None where none does."""
    from seminar_core.data.versions import offered

    return offered(loaders.workspace(), name)


@st.cache_data(max_entries=loaders.ENTRIES, show_spinner="Reading the report …")
def _offered_report(root: str, name: str, version: str, since: str) -> tuple[dict[str, Any], dict[str, Any]]:
    from seminar_core.data.dataset import Dataset
    from seminar_core.data.report import report as build

    opened = Dataset(name, Workspace(Path(root)).dataset_dir(name) / version)
    return build(opened), opened.manifest


def offered_report(name: str, version: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Report and manifest of a version that waits."""
    return _offered_report(str(loaders.workspace().root), name, version, loaders.imported(name, version))


@st.cache_data(max_entries=loaders.ENTRIES, show_spinner=False)
def _tables(root: str, name: str, key: str) -> tuple[Any, Any]:
    store = loaders.dataset(name).store
    return figures.length_table(store.lengths), figures.month_table(store.time_s, store.query > 0)


def length_table(name: str) -> pd.DataFrame:
    """People by life length."""
    return _tables(str(loaders.workspace().root), name, loaders.dataset(name).hash)[0]


def month_table(name: str) -> pd.DataFrame:
    """Events of both lanes over time."""
    return _tables(str(loaders.workspace().root), name, loaders.dataset(name).hash)[1]
