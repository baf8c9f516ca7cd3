"""Identifier: one name in one scheme, with the canonical key under which everything stores it.

Law: two texts that name the same thing have the same `key`; the `text` is what the caller wrote.
"""

from dataclasses import dataclass
from enum import StrEnum

PREFIX_HANDLE = b"0.NA/"


class Scheme(StrEnum):
    """The identifier schemes (标识体系) that the node serves."""

    HANDLE = "handle"
    DOI = "doi"
    ECODE = "ecode"
    OID = "oid"
    GS1 = "gs1"
    DID = "did"


class IdentifierError(ValueError):
    """The text is not an identifier of the scheme asked for; the message says what is wrong and what to do."""


@dataclass(frozen=True, slots=True)
class Identifier:
    """A parsed identifier (标识).

    `key` is canonical and unique over all schemes.  `prefixes` are the canonical names that could be homed for it,
    the most specific first: for a handle its prefix and the ancestors of that; for the others each namespace that
    contains it, spelled with the scheme's label (`OID:1.2.156`).  Prefix names compare in upper-case ASCII.
    """

    scheme: Scheme
    text: str
    key: bytes
    prefixes: tuple[bytes, ...]

    @property
    def prefix_key(self) -> bytes:
        """The key of the prefix record (`0.NA/…`) of the most specific prefix."""
        return PREFIX_HANDLE + self.prefixes[0]

    @property
    def is_prefix_handle(self) -> bool:
        """True for `0.NA/88.118`: the record that describes a prefix rather than an object."""
        return self.key.startswith(PREFIX_HANDLE)
