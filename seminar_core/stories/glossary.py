"""The words of a story that not everybody knows: each is explained where it first stands on a slide, and in a list."""

from __future__ import annotations

import html
import re

TERMS = {
    "attention": "How much each past event counts when the model scores an item; it adds up to one over all events.",
    "cosine": "How alike the directions of two vectors are: 1 is the same direction, 0 is unrelated.",
    "exact": "Every event is compared with the item by its full vectors.",
    "interests": "Groups of items with similar texts that one person came back to.",
    "modality": "A kind of description of an item: text, picture, attributes, or the queries that led to it.",
    "MRR": "Mean reciprocal rank: 1 if the right item always comes first, 0.5 if it always comes second.",
    "pretraining": "Training before any ranking: it brings text, picture, attributes and queries of an item together.",
    "quantisation": "Storing each event in a few bytes by the nearest of a few learnt vectors, instead of in full.",
    "shortlist": "More events than are needed, picked by the fast scan; exact scores then choose among them.",
    "UMAP": "A way to draw vectors of many dimensions on a page so that neighbours stay neighbours.",
}
BY_WORD = {term.casefold(): term for term in TERMS} | {"modalities": "modality", "quantised": "quantisation"}
WORD = re.compile(r"\b(" + "|".join(sorted(map(re.escape, BY_WORD), key=len, reverse=True)) + r")\b", re.IGNORECASE)


def explained(text: str, told: set[str]) -> str:
    """`text` as HTML, the terms that are not in `told` with their meaning one hover away; `told` grows by them."""
    parts, end = [], 0
    for found in WORD.finditer(text):
        term = BY_WORD[found[0].casefold()]
        if term in told:
            continue
        told.add(term)
        meaning = html.escape(TERMS[term], quote=True)
        parts += [html.escape(text[end : found.start()]), f'<abbr title="{meaning}">{html.escape(found[0])}</abbr>']
        end = found.end()
    return "".join(parts) + html.escape(text[end:])


def glossary(told: set[str]) -> str:
    """The list of these terms as HTML; empty where there is none."""
    if not told:
        return ""
    rows = "".join(f"<dt>{html.escape(t)}</dt><dd>{html.escape(TERMS[t])}</dd>" for t in sorted(told, key=str.casefold))
    return f"<footer><h2>Words used here</h2><dl>{rows}</dl></footer>"
