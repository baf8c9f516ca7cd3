"""Names: handles of records as they are registered, read by what is known of their prefixes.

Law: what is read here is what `parse_handle` and `check_name` say of it.
"""

from functools import lru_cache
from typing import NamedTuple
from unicodedata import is_normalized

from resolver.identifier import Identifier, IdentifierError, Scheme
from resolver.schemes import parse_handle
from resolver.schemes.handle import MAX_REGISTERED_CHARACTERS, check_registrable

REMEMBERED_PREFIXES = 4096

_SUFFIX, _FOLDED = b"a", b"A"  # which of both a key ends in says whether it keeps the case


class Name(NamedTuple):
    """A record's canonical key, the prefixes that it can be found under, and its spelling."""

    key: bytes
    prefixes: tuple[bytes, ...]
    spelling: bytes


class _Start(NamedTuple):
    """How the names of a prefix begin, up to the slash, and whether the rest is in upper case."""

    key: bytes
    prefixes: tuple[bytes, ...]
    folds: bool


class NameReader:
    """Reads handles; of one whose prefix was met before only the suffix is looked at."""

    def __init__(self, *, case_sensitive: bool) -> None:
        self._case_sensitive = case_sensitive
        self._starts: dict[bytes, _Start | None] = {}

    def read(self, spelling: bytes) -> Name | None:
        """Return the name of a record; None for that of a prefix, and for none.

        `spelling` holds neither quotes nor control characters.
        """
        prefix, _, suffix = spelling.partition(b"/")
        try:
            start = self._starts[prefix]
        except KeyError:
            start = self._remember(prefix)
        if start and suffix and len(spelling) <= MAX_REGISTERED_CHARACTERS and _is_plain(spelling):
            return Name(
                start.key + (suffix.upper() if start.folds else suffix), start.prefixes, spelling
            )
        return self._read_any(spelling)

    def _read_any(self, spelling: bytes) -> Name | None:
        try:
            identifier = parse_handle(spelling, case_sensitive=self._case_sensitive)
            check_name(identifier)
        except IdentifierError:
            return None
        if identifier.is_prefix_handle:
            return None
        return Name(identifier.key, identifier.prefixes, identifier.text.encode())

    def _remember(self, prefix: bytes) -> _Start | None:
        if len(self._starts) >= REMEMBERED_PREFIXES:
            self._starts.clear()
        found = self._starts[prefix] = self._find_start(prefix)
        return found

    def _find_start(self, prefix: bytes) -> _Start | None:
        """Return how names begin whose prefix is spelled so; None if these are not handles, or not so simple."""
        if not _is_plain(prefix):
            return None
        try:
            found = parse_handle(prefix + b"/" + _SUFFIX, case_sensitive=self._case_sensitive)
            check_name(found)
        except IdentifierError:
            return None
        if found.scheme is not Scheme.HANDLE or found.is_prefix_handle:
            return None
        return _Start(found.key[: -len(_SUFFIX)], found.prefixes, found.key.endswith(_FOLDED))


def _is_plain(spelling: bytes) -> bool:
    """Whether nothing but folding can make another of it, and folding that by bytes."""
    try:
        text = spelling.decode()
    except UnicodeDecodeError:
        return False
    if not text.isprintable():
        return False
    return text.isascii() or (
        is_normalized("NFC", text) and is_normalized("NFC", spelling.upper().decode())
    )


def check_name(identifier: Identifier) -> None:
    """Apply what holds for handles at registration only; see `handle.check_registrable`."""
    if identifier.scheme is Scheme.HANDLE and not identifier.is_prefix_handle:
        text = identifier.text
        if len(text) > MAX_REGISTERED_CHARACTERS or not text.isprintable():
            check_registrable(text)
        _check_prefix(text.partition("/")[0])


@lru_cache(maxsize=REMEMBERED_PREFIXES)
def _check_prefix(prefix: str) -> None:
    check_registrable(f"{prefix}/x")
