"""Object identifiers (GB/T 26231, ISO/IEC 29168-1; secondary-node §3.4).

Arcs of decimal digits without leading zeros, joined by dots.  The first arc is 0, 1 or 2; under 0 and 1 the second is
at most 39.  China is 1.2.156 and 2.16.156.  `86.*` and `88.*` are handle prefixes and can never be OIDs.
"""

import re

from resolver.identifier import Identifier, IdentifierError, Scheme
from resolver.schemes import spelling

NAME = Scheme.OID
LABELS = ("urn:oid:", "oid:")

MAX_CHARACTERS = 255

_GRAMMAR = re.compile(r"[0-2](?:\.(?:0|[1-9][0-9]*))+")
_MAX_SECOND_ARC = 39


def accepts(text: str) -> bool:
    """Whether a text that names no scheme is an OID."""
    return _GRAMMAR.fullmatch(text) is not None


def parse(text: str) -> Identifier:
    """Read an OID, with or without `urn:oid:` or `oid:`.  Raises IdentifierError."""
    name = spelling.clean(spelling.drop_label(text, *LABELS))
    if len(name) > MAX_CHARACTERS:
        raise IdentifierError(
            f"the OID is longer than {MAX_CHARACTERS} characters; use a shorter one"
        )
    if not _GRAMMAR.fullmatch(name):
        raise IdentifierError(
            "not an OID: write arcs without leading zeros joined by dots, the first 0, 1 or 2,"
            " such as 1.2.156.1000"
        )
    first, second, *_ = name.split(".")
    if first != "2" and int(second) > _MAX_SECOND_ARC:
        raise IdentifierError(f"arc {second} under {first} is above 39; correct the second arc")
    return Identifier(NAME, text, f"oid:{name}".encode(), _prefixes(name))


def format(identifier: Identifier) -> str:  # noqa: A001 - one of the four names of a scheme
    """Return the canonical spelling, with the label `oid:`."""
    return identifier.key.decode()


def _prefixes(name: str) -> tuple[bytes, ...]:
    arcs = name.split(".")
    return tuple([f"OID:{'.'.join(arcs[:end])}".encode() for end in range(len(arcs), 0, -1)])
