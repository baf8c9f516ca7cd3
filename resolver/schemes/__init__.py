"""Identifier schemes: one file each, the same four names in the same order, pure."""

from resolver.identifier import Identifier, IdentifierError
from resolver.schemes import handle


def parse_handle(text: bytes, *, case_sensitive: bool = False) -> Identifier:
    """Read a name as the native port and `/api/handles/` do: always a handle.  Raises IdentifierError."""
    try:
        name = text.decode()
    except UnicodeDecodeError as error:
        raise IdentifierError("the handle is not valid UTF-8; send it as UTF-8") from error
    return handle.parse_bare(name, case_sensitive=case_sensitive)
