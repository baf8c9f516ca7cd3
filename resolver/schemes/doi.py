"""DOIs: handles with a prefix `10.…`, compared without regard to ASCII case in whole (secondary-node §3.2).

A DOI has the key of its handle, so a record loaded as `10.1000/182` is found by either name.
"""

import re

from resolver.identifier import Identifier, IdentifierError, Scheme
from resolver.schemes import spelling

NAME = Scheme.DOI
LABELS = ("doi:",)

_GRAMMAR = re.compile(r"(10\.[0-9]{4,9}(?:\.[0-9]+)*)/\S+")


def accepts(text: str) -> bool:
    """Whether a text that names no scheme is a DOI."""
    return _GRAMMAR.fullmatch(text) is not None


def parse(text: str) -> Identifier:
    """Read a DOI, with or without the label `doi:`.  Raises IdentifierError."""
    name = spelling.clean(spelling.drop_label(text, *LABELS))
    found = _GRAMMAR.fullmatch(name)
    if not found:
        raise IdentifierError(
            "not a DOI: write 10., four to nine digits, `/` and a suffix without spaces,"
            " such as 10.1000/182"
        )
    return Identifier(NAME, text, spelling.fold(name), spelling.list_ancestors(found[1].encode()))


def format(identifier: Identifier) -> str:  # noqa: A001 - one of the four names of a scheme
    """Return the canonical spelling, without label."""
    return identifier.key.decode()
