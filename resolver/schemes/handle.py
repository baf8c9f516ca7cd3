"""Handles, and the VAA identifiers of China (`86.*`, `88.*`), which are handles with a three-level prefix.

Grammar (secondary-node §3.1): prefix `/` suffix, split at the first slash; a name without slash is a prefix and means
`0.NA/` + name (handle-protocol §7).  Any prefix resolves; the three-level grammar holds only for registration
(`check_registrable`).

Comparison: prefix and suffix without regard to ASCII case.  With `case_sensitive` the suffix is exact, except where
the name is of a prefix (`0.NA/…`) or a DOI (`10.…/…`): those compare without regard to case everywhere.
"""

import re

from resolver.identifier import PREFIX_HANDLE, Identifier, IdentifierError, Scheme
from resolver.schemes import spelling

NAME = Scheme.HANDLE
LABELS = ("hdl:",)

MAX_REGISTERED_CHARACTERS = 255  # secondary-node §3.1: enforced where identifiers are registered

_PREFIX_ALONE = re.compile(r"(?:[3-9]|[1-9][0-9]+)(?:\.[0-9A-Za-z_-]+)+")
_OF_OTHERS = re.compile(r"/|https?://|\([0-9]{2,4}\)|10\.[0-9]{4,9}(?:\.[0-9]+)*/", re.IGNORECASE)
_USUAL = re.compile(rb"([!-.0-9;-~]{1,31})/[ -~]+")  # too short for too many labels
_OF_PREFIXES = PREFIX_HANDLE[:-1]
_THREE_LEVELS = re.compile(r"(?:86|88)\.[0-9]+\.[0-9A-Za-z_-]+(?:\.[0-9A-Za-z_-]+)*")
_CHINESE_TOP = re.compile(r"8[68](?:\.|$)")
_CASELESS_PREFIX = re.compile(rb"(?:0\.NA|10(?:\..*)?)")


def accepts(text: str) -> bool:
    """Whether a text that names no scheme is a handle: `88.118.8/x`, or a prefix such as `88.118`.

    A path, a web address, a GS1 element string and a DOI may have a slash too, but are not.
    """
    if "/" not in text:
        return _PREFIX_ALONE.fullmatch(text) is not None
    return _OF_OTHERS.match(text) is None


def parse(text: str, *, case_sensitive: bool = False) -> Identifier:
    """Read a handle, with or without the label `hdl:`.  Raises IdentifierError."""
    bare = parse_bare(spelling.drop_label(text, *LABELS), case_sensitive=case_sensitive)
    return Identifier(NAME, text, bare.key, bare.prefixes)


def format(identifier: Identifier) -> str:  # noqa: A001 - one of the four names of a scheme
    """Return the canonical spelling.  It carries `hdl:` where it could be taken for another scheme."""
    name = identifier.key.decode()
    prefix = name.partition("/")[0]
    return f"{LABELS[0]}{name}" if ":" in prefix or prefix.startswith("(") else name


def parse_bare(text: str, *, case_sensitive: bool = False) -> Identifier:
    """Read a handle that carries no label: all of the text is the name.  Raises IdentifierError."""
    name = spelling.clean(text)
    slash = name.find("/")
    if slash < 0:
        name = PREFIX_HANDLE.decode() + name
    elif slash in (0, len(name) - 1):
        part = "prefix" if slash == 0 else "suffix"
        raise IdentifierError(f"the {part} is empty; write prefix/suffix, or a prefix without `/`")
    key = _key(name, case_sensitive=case_sensitive)
    return Identifier(NAME, text, key, _prefixes(key))


def usual_key(name: bytes) -> tuple[bytes, bytes] | None:
    """Return the key and the prefix of a handle that is spelled as most are: printable ASCII, no colon in the prefix.

    None for all others, prefix handles and what is no handle among them.  They are those of `parse_bare`, sooner.
    """
    found = _USUAL.fullmatch(name)
    if found is None or len(name) > spelling.MAX_IDENTIFIER_BYTES:
        return None
    key = name.upper()
    prefix = key[: found.end(1)]
    return None if prefix == _OF_PREFIXES else (key, prefix)


def check_registrable(text: str) -> Identifier:
    """Return the handle if it may be registered here; resolution is wider.

    At most 255 characters, all printable, not a prefix record; under `86` and `88` the prefix has three levels, top
    `.` secondary node `.` enterprise, of which the second is digits (secondary-node §3.1).  Raises IdentifierError.
    """
    name = spelling.clean(spelling.drop_label(text, *LABELS))
    identifier = parse(text)
    if identifier.is_prefix_handle:
        raise IdentifierError("this names a prefix; register the prefix, or add `/` and a suffix")
    if len(name) > MAX_REGISTERED_CHARACTERS:
        raise IdentifierError(
            f"{len(name)} characters; at most {MAX_REGISTERED_CHARACTERS} can be registered"
        )
    if not name.isprintable():
        raise IdentifierError("a character cannot be printed; use visible characters and spaces")
    prefix = name.partition("/")[0]
    if _CHINESE_TOP.match(prefix) and not _THREE_LEVELS.fullmatch(prefix):
        raise IdentifierError(
            f"prefix {prefix} is not top.node.enterprise, such as 88.118.8; correct the prefix"
        )
    return identifier


def _key(name: str, *, case_sensitive: bool) -> bytes:
    folded = spelling.fold(name)
    if not case_sensitive or _CASELESS_PREFIX.fullmatch(folded[: folded.index(b"/")]):
        return folded
    prefix, _, suffix = name.partition("/")
    return spelling.fold(prefix) + b"/" + suffix.encode()


def _prefixes(key: bytes) -> tuple[bytes, ...]:
    if not key.startswith(PREFIX_HANDLE):
        return spelling.list_ancestors(key[: key.index(b"/")])
    subject = key[len(PREFIX_HANDLE) :]
    if b"/" in subject:
        raise IdentifierError("a prefix holds no `/`; write 0.NA/ and the prefix alone")
    return spelling.list_ancestors(subject)
