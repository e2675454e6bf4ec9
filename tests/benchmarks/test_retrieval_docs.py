"""docs/retrieval.md is true: its snippet runs, every specification is explained, tables show the committed figures."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from benchmarks.retrieval_frontier import BEGIN, END, put_in_readme, readme_table, tables
from seminar_core.files import read_json
from seminar_core.retrieval.codebooks import train_codebooks
from seminar_core.retrieval.events import EventSet
from seminar_core.retrieval.search import make_scorer
from seminar_core.retrieval.spec import DEFAULT, KNOWN
from tests.retrieval.retrieval_worlds import life, targets, vectors

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "retrieval.md").read_text(encoding="utf-8")


def test_the_snippet_runs():
    from seminar_core.contracts import Folded

    (snippet,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    world = vectors(items=40, queries=10, width=32)
    events = life(world, 80)
    names = {
        "EventSet": EventSet, "Folded": Folded, "make_scorer": make_scorer, "train_codebooks": train_codebooks,
        "item_rows": events.item, "query_rows": events.query, "vectors": world, "targets": targets(world),
        "u": targets(world)[0], "scale": 2.0,
    }  # fmt: skip
    exec(snippet, names)
    assert names["kept"].events.shape == names["exact"].search(names["Folded"](names["u"], 2.0), 50).events.shape
    assert np.isfinite(names["kept"].scores).all()


@pytest.mark.parametrize("part", sorted({re.sub(r"[\dx]+.*", "", p) for k in KNOWN for p in k.split(",")}))
def test_every_kind_of_part_is_explained(part):
    assert f"`{part}" in PAGE


def test_the_default_is_named():
    assert f"The default is `{DEFAULT}`" in PAGE


def test_the_pages_show_the_committed_figures():
    answer = read_json(ROOT / "benchmarks" / "retrieval_frontier.json")
    assert (ROOT / "docs" / "results" / "retrieval.md").read_text(encoding="utf-8") == tables(answer)
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert put_in_readme(readme, readme_table(answer)) == readme


def test_the_readmes_table_is_replaced_and_nothing_else():
    begun = f"before\n{BEGIN}\nold\n{END}\nafter\n"
    assert put_in_readme(begun, "new") == f"before\n{BEGIN}\nnew\n{END}\nafter\n"
