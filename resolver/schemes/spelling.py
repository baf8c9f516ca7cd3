"""Spelling: what is done to a text before the grammar of a scheme looks at it.

Laws:
1. A text is compared in Unicode form NFC, and control characters never pass (secondary-node §3.1).
2. Folding touches ASCII letters only; `é` and `É` stay two letters, as in the Handle protocol (handle-protocol §7).
3. Folding is stable: what it returns is in NFC again, so a canonical spelling reads back as itself.
   (`i` + U+0307 has no composed form, `I` + U+0307 has one; hence the second NFC.)
"""

import re
from unicodedata import normalize

from resolver.identifier import IdentifierError

MAX_IDENTIFIER_BYTES = 2048  # protocol limit (secondary-node §3.1); UTF-8
MAX_PREFIX_LABELS = (
    32  # a prefix is three or four labels deep; bounds the work a hostile name can cause
)

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


def clean(text: str) -> str:
    """Return the text in NFC.

    Raises IdentifierError when it is empty, longer than MAX_IDENTIFIER_BYTES, not Unicode text, or holds a control
    character.
    """
    if text.isascii():
        if text.isprintable() and 0 < len(text) <= MAX_IDENTIFIER_BYTES:
            return text
    else:
        text = _compose(text)
    _refuse_unusable(text)
    return text


def fold(text: str) -> bytes:
    """Return a cleaned text as UTF-8 with ASCII letters in upper case: equal bytes, equal names."""
    if text.isascii():
        return text.upper().encode()
    return normalize("NFC", text.encode().upper().decode()).encode()


def list_ancestors(prefix: bytes) -> tuple[bytes, ...]:
    """Return the prefix and the prefixes above it, most specific first: `88.118.8`, `88.118`, `88`.

    Raises IdentifierError beyond MAX_PREFIX_LABELS labels.
    """
    if prefix.count(b".") >= MAX_PREFIX_LABELS:
        raise IdentifierError(
            f"the prefix has more than {MAX_PREFIX_LABELS} parts; check where the `/` should be"
        )
    found = [prefix]
    cut = prefix.rfind(b".")
    while cut > 0:
        found.append(prefix[:cut])
        cut = prefix.rfind(b".", 0, cut)
    return tuple(found)


def drop_label(text: str, *labels: str) -> str:
    """Return the text without the first of the labels (`hdl:`) that it starts with, in whatever ASCII case."""
    for label in labels:
        if text[: len(label)].lower() == label:
            return text[len(label) :]
    return text


def _compose(text: str) -> str:
    try:
        size = len(text.encode())
    except UnicodeEncodeError as error:
        raise IdentifierError(
            "the text holds half of a surrogate pair; send it as valid UTF-8"
        ) from error
    return normalize("NFC", text) if size <= MAX_IDENTIFIER_BYTES else text


def _refuse_unusable(text: str) -> None:
    if not text:
        raise IdentifierError("the identifier is empty; write one, for example 88.118.8/item-1")
    if len(text.encode()) > MAX_IDENTIFIER_BYTES:
        raise IdentifierError(
            f"the identifier is longer than {MAX_IDENTIFIER_BYTES} bytes; shorten it"
        )
    if found := _CONTROL.search(text):
        raise IdentifierError(
            f"character {found.start() + 1} is the control character U+{ord(found[0]):04X}; remove it"
        )
