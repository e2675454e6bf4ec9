"""What the site does beyond MkDocs: words of the glossary say what they mean, and files that pages link to come along.

Pages are also read in the repository, where `../benchmarks/scale.json` is a file. In the site such a file lies under
`project/`; a link to a file that is not there fails the strict build. The first place on a page where a word of the
glossary stands is an `abbr`: its meaning is shown where the pointer rests.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
sys.path.insert(0, str(ROOT))

from app.glossary import terms  # noqa: E402 - after the root is on the path

ABBREVIATION = re.compile(r'<abbr title="([^"]*)">([^<]*)</abbr>')
LINK = re.compile(r"\]\(((?:\.\./)+[^)#\s]+)")


def outside(markdown: str, page: Path) -> Iterator[tuple[str, Path]]:
    """Links of a page of `docs/` that lead to files of the project elsewhere: the link, and the file from the root."""
    for link in LINK.findall(markdown):
        target = (page.parent / link).resolve()
        if target.is_file() and target.is_relative_to(ROOT) and not target.is_relative_to(DOCS):
            yield link, target.relative_to(ROOT)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add what pages link to outside of `docs/`."""
    found = {
        target
        for file in files.documentation_pages()
        for _, target in outside(file.content_string, DOCS / file.src_uri)
    }
    for target in sorted(found):
        files.append(File.generated(config, f"project/{target.as_posix()}", abs_src_path=str(ROOT / target)))
    return files


def abbreviations() -> str:
    """The glossary as definitions of the Markdown extension `abbr`."""
    return "\n".join(
        f"*[{spelling}]: {term.meaning}"
        for name, term in terms().items()
        if not term.everyday
        for spelling in term.spellings(name)
    )


def on_page_content(html: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Keep the meaning of a word where it first stands on a page."""
    seen: set[str] = set()

    def first(found: re.Match[str]) -> str:
        if found[1] in seen:
            return found[2]
        seen.add(found[1])
        return found[0]

    return ABBREVIATION.sub(first, html)


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Turn links that lead outside of `docs/` to the copies; add the glossary."""
    up = "../" * page.file.src_uri.count("/")
    for link, target in set(outside(markdown, DOCS / page.file.src_uri)):
        markdown = markdown.replace(f"]({link}", f"]({up}project/{target.as_posix()}")
    return markdown if page.file.src_uri == "glossary.md" else f"{markdown}\n\n{abbreviations()}\n"
