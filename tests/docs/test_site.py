"""The documentation as a site: built strictly, whole, and without anything from elsewhere."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
pytest.importorskip("material", reason="the site is built by mkdocs-material: pip install -r requirements.txt")


class Fetched(HTMLParser):
    """Addresses that a browser fetches to show a page; a link that somebody may follow is none of them."""

    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.addresses += [str(found["src"])] if found.get("src") else []
        self.addresses += [str(found["href"])] if tag == "link" and found.get("rel") != "canonical" else []


def build(config: Path, out: Path) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, "-m", "mkdocs", "build", "--strict", "-f", str(config), "-d", str(out)]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    return subprocess.run(words, cwd=ROOT, env=environment, capture_output=True, text=True)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("site")
    done = build(DOCS / "site" / "mkdocs.yml", out)
    assert done.returncode == 0, done.stderr + done.stdout
    return out


def test_every_page_is_built_and_what_pages_link_to_comes_along(site: Path):
    pages = [p.relative_to(DOCS) for p in DOCS.rglob("*.md") if "site" not in p.relative_to(DOCS).parts]
    assert len(pages) > 20
    for page in pages:
        assert (site / page).with_suffix(".html").is_file(), page
    assert (site / "project" / "benchmarks" / "scale.json").read_bytes() == (
        ROOT / "benchmarks/scale.json"
    ).read_bytes()
    assert 'href="project/benchmarks/scale.json"' in (site / "scale.html").read_text(encoding="utf-8")


def test_a_page_fetches_nothing_from_elsewhere_and_every_file_it_shows_is_there(site: Path):
    for page in site.rglob("*.html"):
        reader = Fetched()
        reader.feed(page.read_text(encoding="utf-8"))
        assert reader.addresses
        for address in reader.addresses:
            assert not re.match(r"(https?:)?//", address), f"{page} fetches {address}"
            if not address.startswith("data:") and page.name != "404.html":  # which is of no folder
                assert (page.parent / re.split(r"[?#]", address)[0]).exists(), f"{page} shows {address}"
    styles = "".join(path.read_text(encoding="utf-8") for path in site.rglob("*.css"))
    assert not re.search(r"(url\(|@import )[\"']?(https?:)?//", styles)


def test_a_link_to_a_page_that_is_not_there_fails_the_build(tmp_path: Path):
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "index.md").write_text("# Page\n\n[gone](gone.md), [gone](../gone.json)\n", encoding="utf-8")
    (tmp_path / "site").mkdir()
    text = (DOCS / "site" / "mkdocs.yml").read_text(encoding="utf-8").partition("not_in_nav")[0]
    text = text.replace("docs_dir: ..", "docs_dir: ../docs").replace(
        "custom_dir: theme", f"custom_dir: {DOCS}/site/theme"
    )
    (tmp_path / "site" / "mkdocs.yml").write_text(
        text.replace("hooks.py", str(DOCS / "site" / "hooks.py")), encoding="utf-8"
    )
    done = build(tmp_path / "site" / "mkdocs.yml", tmp_path / "out")
    assert done.returncode == 1 and "'gone.md'" in done.stderr and "'../gone.json'" in done.stderr
