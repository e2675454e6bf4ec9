"""The words of a story that not everybody knows: each is explained where it first stands on a slide, and in a list."""

from __future__ import annotations

import html
import re

from ..glossary import terms

TERMS = {name: term for name, term in terms().items() if term.story}
BY_WORD = {spelt.casefold(): name for name, term in TERMS.items() for spelt in term.spellings(name)}
WORD = re.compile(r"\b(" + "|".join(sorted(map(re.escape, BY_WORD), key=len, reverse=True)) + r")\b", re.IGNORECASE)


def explained(text: str, told: set[str]) -> str:
    """`text` as HTML, the terms that are not in `told` with their meaning one hover away; `told` grows by them."""
    parts, end = [], 0
    for found in WORD.finditer(text):
        term = BY_WORD[found[0].casefold()]
        if term in told:
            continue
        told.add(term)
        meaning = html.escape(TERMS[term].meaning, quote=True)
        parts += [html.escape(text[end : found.start()]), f'<abbr title="{meaning}">{html.escape(found[0])}</abbr>']
        end = found.end()
    return "".join(parts) + html.escape(text[end:])


def glossary(told: set[str]) -> str:
    """The list of these terms as HTML; empty where there is none."""
    if not told:
        return ""
    rows = "".join(
        f"<dt>{html.escape(t)}</dt><dd>{html.escape(TERMS[t].meaning)}</dd>" for t in sorted(told, key=str.casefold)
    )
    return f"<footer><h2>Words used here</h2><dl>{rows}</dl></footer>"
