"""Identifier schemes (标识体系): one file each, the same four names in the same order, pure.

Each file has NAME; `accepts(text)`, whether a text that names no scheme is of this one; `parse(text)`; and
`format(identifier)`, the canonical spelling, which `parse` reads back as the same key.
"""

from typing import Protocol

from resolver.identifier import Identifier, IdentifierError, Scheme
from resolver.schemes import did, doi, ecode, gs1, handle, oid, spelling

__all__ = ["SCHEMES", "format_identifier", "parse", "parse_handle"]


class SchemeModule(Protocol):
    """What each scheme's file offers."""

    @property
    def NAME(self) -> Scheme:  # noqa: N802 - a constant of the module
        """The scheme."""
        ...

    @property
    def LABELS(self) -> tuple[str, ...]:  # noqa: N802 - a constant of the module
        """The labels that name it in a text, in lower case."""
        ...

    def accepts(self, text: str) -> bool:
        """Whether a text that names no scheme is of this one."""
        ...

    def parse(self, text: str) -> Identifier:
        """Read a text of this scheme.  Raises IdentifierError."""
        ...

    def format(self, identifier: Identifier) -> str:
        """Return the canonical spelling."""
        ...


# The order of detection (secondary-node §3).  What an earlier scheme owns, a later one does not accept, so that two
# acceptances are a true ambiguity (13 digits: a GTIN and an Ecode V1) and not a matter of order.
SCHEMES: tuple[SchemeModule, ...] = (did, gs1, oid, doi, handle, ecode)

_BY_NAME = {scheme.NAME: scheme for scheme in SCHEMES}
_LONGEST_LABEL = max(len(label) for scheme in SCHEMES for label in scheme.LABELS)
_OTHERS_AMONG_HANDLES: dict[str, SchemeModule] = {
    "ecode": ecode,
    "oid": oid,
    "gs1": gs1,
    "did": did,
}


def parse(text: str, scheme: Scheme | None = None, *, case_sensitive: bool = False) -> Identifier:
    """Read an identifier of the scheme named, or of the one that its label or its form tells.

    Raises IdentifierError: not of that scheme, of no scheme known, or of two.
    """
    found = _detect(text) if scheme is None else _BY_NAME[scheme]
    if found.NAME is Scheme.HANDLE:
        return handle.parse(text, case_sensitive=case_sensitive)
    return found.parse(text)


def parse_handle(text: bytes, *, case_sensitive: bool = False) -> Identifier:
    """Read a name as the native port and `/api/handles/` do: always a handle, slash or not.

    Only the labels `ecode:`, `oid:`, `gs1:` and `did:` name another scheme.  Raises IdentifierError.
    """
    try:
        name = text.decode()
    except UnicodeDecodeError as error:
        raise IdentifierError("the handle is not valid UTF-8; send it as UTF-8") from error
    if ":" in name:
        other = _OTHERS_AMONG_HANDLES.get(name.partition(":")[0].lower())
        if other is not None:
            return other.parse(name)
    return handle.parse_bare(name, case_sensitive=case_sensitive)


def format_identifier(identifier: Identifier) -> str:
    """Return the canonical spelling of an identifier of any scheme; `parse` gives the same key for it."""
    return _BY_NAME[identifier.scheme].format(identifier)


def _detect(text: str) -> SchemeModule:
    text = spelling.clean(text)
    start = text[:_LONGEST_LABEL].lower()
    for scheme in SCHEMES:
        if start.startswith(scheme.LABELS):
            return scheme
    found = [scheme for scheme in SCHEMES if scheme.accepts(text)]
    if len(found) == 1:
        return found[0]
    if not found:
        raise IdentifierError(
            "no identifier scheme has this form; write prefix/suffix, or name the scheme"
        )
    names = " and of ".join([scheme.NAME for scheme in found])
    labels = " or ".join([scheme.LABELS[-1] for scheme in found])
    raise IdentifierError(
        f"this can be an identifier of {names}; name the scheme, or begin with {labels}"
    )
