"""The pages agree with the program: written parts are of today, and no command, option, error or name is missing."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

import seminar_core as sc
from seminar_core.errors import NoMemoryError, SeminarError
from seminar_core.retrieval.spec import SpecError

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"


def kinds() -> set[str]:
    """The kind of every error class of the core and the app, read from their sources."""
    found = {"SeminarError": SeminarError.kind}
    classes = [
        node
        for part in ("seminar_core", "app")
        for path in sorted((ROOT / part).rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ClassDef)
    ]
    while True:
        known = len(found)
        for node in classes:
            base = next((b.id for b in node.bases if isinstance(b, ast.Name) and b.id in found), None)
            if base is not None and node.name not in found:
                said = [n.value for n in node.body if isinstance(n, ast.Assign) and n.targets[0].id == "kind"]
                found[node.name] = ast.literal_eval(said[0]) if said else found[base]
        if len(found) == known:
            return set(found.values())


def test_what_the_program_writes_into_pages_is_of_today(write):
    parts = []
    for path in DOCS.rglob("*.md"):
        text = path.read_text(encoding="utf-8")
        parts += [found[2] for found in write.PART.finditer(text)]
        assert write.written(text) == text, f"{path.name} is of another version: make docs"
    assert set(parts) == set(write.PARTS)


def test_a_part_that_was_changed_by_hand_is_found(write):
    page = (DOCS / "command-line.md").read_text(encoding="utf-8")
    assert write.written(page.replace("Events kept per head", "Events")) == page
    with pytest.raises(KeyError):
        write.written("<!-- written: nothing -->\n<!-- end -->")


def test_every_command_and_every_option_stands_in_the_reference(write):
    page = (DOCS / "command-line.md").read_text(encoding="utf-8")
    found = write.every_command()
    assert len(found) > 30 and {"jobs start", "story export", "retrieve"} <= found.keys()
    for words, command in found.items():
        section = re.search(rf"^### {words}\n(.*?)(?=^### |^<!-- end)", page, re.M | re.S)
        assert section, words
        for option in command.params:
            if option.opts[0].startswith("--") and option.opts[0] not in write.EVERYWHERE:
                assert f"`{option.opts[0]}`" in section[1], f"{words} {option.opts[0]}"


def test_a_command_is_written_as_the_command_line_knows_it_on_whatever_page(write):
    """Also in running text and in pages whose examples need files of the reader's own."""
    known, seen = write.every_command(), 0
    pages = [*ROOT.glob("*.md"), *DOCS.rglob("*.md"), *(ROOT / part / "README.md" for part in ("app", "sample_data"))]
    for page in pages:
        if page.name in ("CHANGELOG.md", "log.md") or page.parent.name in ("results", "decisions"):
            continue  # what was said once, of the version that it was said of
        text = page.read_text(encoding="utf-8").replace("\\\n", " ")
        for line in re.findall(r"(?:python -m seminar_core|\bseminar) ([a-z][^`\n]*)", text):
            words = line.partition(" #")[0].split()
            name = next((n for n in (" ".join(words[:2]), words[0]) if n in known), None)
            if name is None and not line.startswith(("jobs ", "story ")) and "--" not in line:
                continue  # running text that names the program
            assert name is not None, f"{page.name}: {line}"
            options = {option for one in known[name].params for option in one.opts}
            told = {word.partition("=")[0] for word in words if word.startswith("--") and len(word) > 2}
            if name == "jobs start":  # the rest are the words of the command that it starts
                options |= {option for one in known[words[2]].params for option in one.opts}
            assert told <= options | {"--help"}, f"{page.name}: {line}"
            seen += 1
    assert seen > 60


def test_every_kind_of_error_has_its_cause_and_next_step():
    page = (DOCS / "troubleshooting.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (`.*?`) \| (.+?) \| (.+?) \|$", page, re.M)
    listed = [kind for names, _, _ in rows for kind in re.findall(r"`([a-z_]+)`", names)]
    assert {SpecError.kind, NoMemoryError.kind} <= kinds()
    assert sorted(listed) == sorted(kinds())


def test_every_public_name_of_the_package_is_explained():
    page = (DOCS / "python.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^\| `(\w+)` \|", page, re.M)) == set(sc.__all__)
    for kind in (sc.Lives, sc.Run, sc.Answer):
        (row,) = re.findall(rf"^\| `{kind.__name__}` \| (.+) \|$", page, re.M)
        methods = {name for name in vars(kind) if not name.startswith("_") and callable(getattr(kind, name))}
        assert methods == set(re.findall(r"\.(\w+)\(", row)), kind


def test_a_page_of_every_station_shows_its_screenshot():
    from app.streamlit_app import STATIONS

    for name, (title, *_) in STATIONS.items():
        page = (DOCS / "stations" / f"{name}.md").read_text(encoding="utf-8")
        assert page.startswith(f"# {title}\n\n"), name
        assert f"](../screens/{name}-1280-light.png)" in page, name


def test_every_link_of_the_pages_outside_of_docs_leads_somewhere():
    pages = [*ROOT.glob("*.md"), *(ROOT / part / "README.md" for part in ("app", "seminar_core", "sample_data"))]
    links = [(page, link) for page in pages for link in re.findall(r"\]\(([^)#\s]+)", page.read_text(encoding="utf-8"))]
    assert len(links) > 30
    assert not [(page.name, link) for page, link in links if ":" not in link and not (page.parent / link).exists()]
