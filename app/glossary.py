"""What the words of this field mean, once: the app's help texts and the documentation's glossary read it here.

`docs/glossary.md` is written from it; on the site a term's meaning stands where the pointer rests on it.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from seminar_core.alignment.card_table import DEFINITIONS


@dataclass(frozen=True)
class Term:
    """One term.

    Fields:
        meaning: one or two plain sentences.
        everyday: an everyday word, which stands in the glossary but is not underlined wherever it is used.
        also: other spellings of it than the one within a sentence.
    """

    meaning: str
    everyday: bool = False
    also: tuple[str, ...] = ()

    def spellings(self, name: str) -> tuple[str, ...]:
        """How the term `name` may stand in a text: at the start of a sentence, within one, and otherwise."""
        within = name if name[1:2].isupper() else name[:1].lower() + name[1:]
        return tuple(dict.fromkeys((name, within, *self.also)))


@cache
def terms() -> dict[str, Term]:
    """Every term in the order of the alphabet; the figures of the number card by their own definitions."""
    found = {one.title: Term(f"{one.meaning} Better: {one.better}.") for one in DEFINITIONS.values()}
    text = Path(__file__).with_name("glossary.toml").read_text(encoding="utf-8")
    for name, row in tomllib.loads(text).items():
        found[name] = Term(row["meaning"], row.get("everyday", False), tuple(row.get("also", ())))
    return dict(sorted(found.items(), key=lambda one: one[0].casefold()))


def meaning(term: str) -> str:
    """What a term means, as a help text.

    Raises:
        KeyError: the glossary has no such term.
    """
    return terms()[term].meaning
