"""Korean titles as their morphemes, for text fields with the tag terms=morphemes: 도로를 포장하는 -> 도로 포장.

Needs   kiwipiepy (requirements/korean.txt), which nothing else does
Serves  text.py, which hashes the morphemes as it hashes words

What carries meaning stays: nouns, roots, verbs and adjectives, adverbs, foreign words and numbers. Particles, endings
and punctuation go. Another version may take a title apart differently, so that a fit names the one it was made with.
"""

import unicodedata
from collections.abc import Iterator
from functools import cache
from importlib.metadata import version
from typing import TYPE_CHECKING

from bidrec.errors import ContractError, DependencyDown
from bidrec.features.schema import MORPHEMES

if TYPE_CHECKING:
    from kiwipiepy import Kiwi

KEPT = ("N", "XR", "XPN", "VV", "VA", "MA", "SL", "SH", "SN")
"""How the tags of the morphemes that stay begin (the Sejong tag set)."""


def morphemes(titles: list[str | None]) -> Iterator[str]:
    """Each title's morphemes, with spaces between them. Raises DependencyDown (69) without kiwipiepy."""
    plain = [unicodedata.normalize("NFKC", title or "") for title in titles]
    for tokens in _kiwi().tokenize(plain):
        yield " ".join(token.form for token in tokens if token.tag.startswith(KEPT))


def analyser_of(terms: str) -> str:
    """Name and version of the program that finds such terms; "" for none. Raises DependencyDown (69) without it."""
    if terms != MORPHEMES:
        return ""
    _kiwi()
    return f"kiwipiepy {version('kiwipiepy')}"


def require_analyser(field: str, terms: str, analyser: str) -> None:
    """Raise ContractError (65) where the terms of a field were found by another version than is here."""
    here = analyser_of(terms)
    if here != analyser:
        raise ContractError(
            f"the terms of {field} were found by {analyser} when the run was trained, and here is {here}",
            hint=f"pip install {analyser.replace(' ', '==')}, or train again: bidrec train --force",
        )


@cache
def _kiwi() -> "Kiwi":
    try:
        from kiwipiepy import Kiwi
    except ImportError as error:
        raise DependencyDown(
            "a text field has the tag terms=morphemes, and kiwipiepy is not installed",
            hint="pip install -r requirements/korean.txt",
        ) from error
    return Kiwi()
