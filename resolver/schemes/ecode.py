"""Ecode, the unified identification code of things (GB/T 31866-2023; secondary-node §3.3).

Unverified: the table below comes from the 2015 edition.  The text of 2023 could not be read, so conformance is not
claimed until somebody has compared it with a bought copy.

Ecode = version + NSI (编码体系标识, the coding system) + MD (主码, the main code):

    V   NSI            MD                                    characters
    0   2 hex digits   1 to 61 hex digits (244 bits)         binary, written here as hex
    1   4 digits       1 to 20                               decimal digits
    2   4 digits       1 to 28                               decimal digits
    3   5 digits       1 to 39                               digits and ASCII letters; case matters
    4   5 digits       1 or more                             Unicode; case matters

Versions 5 to 9 are reserved, A to F forbidden.  The structure of an MD is known to its coding system only, and no
public list of those exists: which NSIs are served here is said by homing `ECODE:` + version + NSI.
"""

import re

from resolver.identifier import Identifier, IdentifierError, Scheme
from resolver.schemes import spelling

NAME = Scheme.ECODE
LABELS = ("ecode:",)

_GRAMMARS = {
    "0": re.compile(r"(0[0-9A-F]{2})[0-9A-F]{1,61}"),
    "1": re.compile(r"(1[0-9]{4})[0-9]{1,20}"),
    "2": re.compile(r"(2[0-9]{4})[0-9]{1,28}"),
    "3": re.compile(r"(3[0-9]{5})[0-9A-Za-z]{1,39}"),
    "4": re.compile(r"(4[0-9]{5}).+"),
}
_STRUCTURES = {
    "0": "0, 2 hex digits of NSI, 1 to 61 hex digits of main code",
    "1": "1, 4 digits of NSI, 1 to 20 digits of main code",
    "2": "2, 4 digits of NSI, 1 to 28 digits of main code",
    "3": "3, 5 digits of NSI, 1 to 39 digits or letters of main code",
    "4": "4, 5 digits of NSI, any main code",
}
_NEEDS_LABEL = (
    "0",
    "",
)  # V0 is binary: its hex form is ours, and would swallow every GTIN-14 with a leading 0


def accepts(text: str) -> bool:
    """Whether a text that names no scheme is an Ecode.

    V0 needs the label: it is binary, and the hex form, which is ours, would take every GTIN-14 that begins with 0.
    So does a code with a slash, which is a handle without it.
    """
    grammar = _GRAMMARS.get(text[:1])
    if grammar is None or text[0] == "0" or "/" in text:
        return False
    return grammar.fullmatch(text) is not None


def parse(text: str) -> Identifier:
    """Read an Ecode, with or without the label `ecode:`.  Raises IdentifierError."""
    name = spelling.clean(spelling.drop_label(text, *LABELS))
    version = name[0]
    if version not in _GRAMMARS:
        raise IdentifierError(_explain_version(version))
    if version == "0":
        name = name.upper()
    found = _GRAMMARS[version].fullmatch(name)
    if not found:
        raise IdentifierError(f"not an Ecode of version {version}: write {_STRUCTURES[version]}")
    return Identifier(NAME, text, f"ecode:{name}".encode(), (f"ECODE:{found[1]}".encode(),))


def format(identifier: Identifier) -> str:  # noqa: A001 - one of the four names of a scheme
    """Return the canonical spelling, with the label `ecode:`."""
    return identifier.key.decode()


def _explain_version(version: str) -> str:
    if version in "56789":
        return f"version {version} of Ecode is reserved; use one of 0 to 4"
    if version in "ABCDEFabcdef":
        return f"version {version.upper()} of Ecode is forbidden; use one of 0 to 4"
    return f"an Ecode begins with its version, 0 to 4, not with {version!r}"
