"""What the words of this field mean, once: stories, the app's help texts and the documentation read them here.

Foundation. The words lie in `glossary.toml`; figures of the number card have their definitions where they are measured.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path


@dataclass(frozen=True)
class Term:
    """One term.

    Fields:
        meaning: one or two plain sentences.
        everyday: an everyday word, which stands in the glossary but is not underlined wherever it is used.
        also: other spellings of it than the one within a sentence.
        story: explained on the slides of a story.
    """

    meaning: str
    everyday: bool = False
    also: tuple[str, ...] = ()
    story: bool = False

    def spellings(self, name: str) -> tuple[str, ...]:
        """How the term `name` may stand in a text: at the start of a sentence, within one, and otherwise."""
        within = name if name[1:2].isupper() else name[:1].lower() + name[1:]
        return tuple(dict.fromkeys((name, within, *self.also)))


@cache
def terms() -> dict[str, Term]:
    """Name -> term, in the order of the alphabet."""
    text = Path(__file__).with_name("glossary.toml").read_text(encoding="utf-8")
    rows = tomllib.loads(text)
    return {
        name: Term(row["meaning"], row.get("everyday", False), tuple(row.get("also", ())), row.get("story", False))
        for name, row in sorted(rows.items(), key=lambda one: one[0].casefold())
    }
