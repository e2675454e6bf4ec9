"""Cells of CSV exports: text that a spreadsheet would run is guarded, everywhere."""

import pandas as pd
import pytest

from app.widgets import as_csv
from seminar_core.data.importers.table import import_table
from seminar_core.files import guarded


@pytest.mark.parametrize("text", ["=1+1", "+1+1", "-cmd", "@SUM(A1)", "\t=1", "\r=1"])
def test_a_cell_that_a_spreadsheet_would_run_is_guarded(text):
    assert guarded(text) == "'" + text


@pytest.mark.parametrize("text", ["", "shoe", "-5", "+1.5", "-1e3", "a=b"])
def test_a_plain_cell_and_a_number_stay_as_they_are(text):
    assert guarded(text) == text


def test_downloads_and_rejected_rows_hold_no_formula(workspace, tmp_path):
    frame = pd.DataFrame({"title": ["=HYPERLINK(1)", "ok", None], "n": [-1, 2, 3], "=x": ["+1+1", "-5", ""]})
    lines = as_csv(frame).decode().splitlines()
    assert lines == ["title,n,'=x", "'=HYPERLINK(1),-1,'+1+1", "ok,2,-5", ",3,"]
    (tmp_path / "events.csv").write_text("person,time,item,query\np,x,=1+1,-5\np,1,a,b\n")
    import_table(workspace, tmp_path / "events.csv", "data", tmp_path / "rejected.csv")
    assert (tmp_path / "rejected.csv").read_text().splitlines()[1] == "1,unreadable_time,p,x,'=1+1,-5"
