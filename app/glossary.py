"""What a term means, as a help text: the words of the field and the figures of the number card.

`docs/glossary.md` is written from it; on the site a term's meaning stands where the pointer rests on it.
"""

from __future__ import annotations

from functools import cache

from seminar_core import glossary
from seminar_core.alignment.definitions import DEFINITIONS
from seminar_core.glossary import Term


@cache
def terms() -> dict[str, Term]:
    """Name -> term, in the order of the alphabet; figures of the number card by their own definitions."""
    measured = {one.title: Term(f"{one.meaning} Better: {one.better}.") for one in DEFINITIONS.values()}
    return dict(sorted((measured | glossary.terms()).items(), key=lambda one: one[0].casefold()))


@cache
def by_spelling() -> dict[str, str]:
    """How a term may be spelt -> its name."""
    return {spelt: name for name, term in terms().items() for spelt in term.spellings(name)}


def meaning(term: str) -> str:
    """What a term means, in any of its spellings.

    Raises:
        KeyError: the glossary has no such term.
    """
    return terms()[by_spelling()[term]].meaning
