"""Patterns of reverse look-up, and the grams by which records are found that may match one; pure.

A text is compared without regard to case; `*` in a pattern stands for any characters, none included.  A gram is a hash
of three bytes in a row (UTF-8, so one Chinese character makes one) of a value of one type; the ends of a text count.

Law: a text that matches a pattern has all the grams of that pattern.  The reverse does not hold, so what the grams
find is compared.  Our own grams and not those of pg_trgm: that extension sees neither punctuation nor, with the C
locale, any Chinese, and it cannot tell the types apart.
"""

from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from zlib import crc32

from node.store.records import is_secret
from resolver.wire import HandleValue, WireError, decode_values

MAX_TEXT_CHARACTERS = 1_024  # of a value; what is beyond is not searched
MAX_RECORD_CHARACTERS = 16_384  # of all values of a record
MIN_LITERAL_BYTES = 3  # in a row, in each pattern
MAX_PATTERN_GRAMS = 64  # that one pattern is looked up by; more do not narrow it any further
GRAM_BYTES = 3
REMEMBERED_TEXTS = 2_000
REMEMBERED_CHARACTERS = 100
RULES_VERSION = 1  # goes up when other grams are made of the same text
ALL_TYPES = "*"

_START, _END = b"\x02", b"\x03"
_RESERVED = b"HS_"
_SIGNED = 1 << 31

Texts = Mapping[bytes, Sequence[str]]
"""Type in upper case -> the texts of the values of that type, folded."""


class PatternError(ValueError):
    """A pattern that is not searched for; the message says why, and what would be."""


@dataclass(frozen=True, slots=True)
class SearchedTypes:
    """The types whose values are searched: those named, or with `*` all but HS_ ones."""

    names: frozenset[bytes]

    @classmethod
    def of(cls, names: Iterable[str]) -> "SearchedTypes":
        """Take the names as the setting gives them."""
        return cls(frozenset(name.upper().encode() for name in names))

    def __contains__(self, value_type: bytes) -> bool:
        if value_type in self.names:
            return True
        return ALL_TYPES.encode() in self.names and not value_type.startswith(_RESERVED)

    def __bool__(self) -> bool:
        return bool(self.names)

    @property
    def rules(self) -> str:
        """What the grams in the store depend on."""
        return f"{RULES_VERSION} {','.join(sorted(name.decode() for name in self.names))}"


@dataclass(frozen=True, slots=True)
class Pattern:
    """What a value of one type (in upper case) must look like: the folded pieces between the asterisks."""

    type: bytes
    pieces: tuple[str, ...]

    @classmethod
    def read(cls, value_type: bytes, text: bytes) -> "Pattern":
        """Read a pattern as it was sent.  Raises PatternError."""
        try:
            pieces = tuple(text.decode().casefold().split(ALL_TYPES))
            kind = value_type.decode().upper().encode()
        except UnicodeDecodeError as error:
            raise PatternError("types and patterns must be UTF-8") from error
        if max(len(piece.encode()) for piece in pieces) < MIN_LITERAL_BYTES:
            raise PatternError(
                f"{kind.decode()}={text.decode()} matches too much: write at least three characters in a row "
                "that are no asterisk (a Chinese character counts as three)"
            )
        return cls(kind, pieces)

    def grams(self) -> list[int]:
        """Return the grams that every text has which matches."""
        first, *more = (piece.encode() for piece in self.pieces)
        runs = [_START + first, *more]
        runs[-1] += _END
        found = dict.fromkeys(gram for run in runs for gram in _grams(self.type, run))
        return list(found)[:MAX_PATTERN_GRAMS]

    def matches(self, text: str) -> bool:
        """Whether a folded text looks like this."""
        first, *middle = self.pieces
        if not middle:
            return text == first
        last = middle.pop()
        if not text.startswith(first) or len(text) < len(first) + len(last):
            return False
        place, end = len(first), len(text) - len(last)
        for piece in middle:
            place = text.find(piece, place, end)
            if place < 0:
                return False
            place += len(piece)
        return text.endswith(last)

    def finds(self, texts: Texts) -> bool:
        """Whether one of the values looks like this."""
        return any(self.matches(text) for text in texts.get(self.type, ()))


def searched_texts(wire: bytes, types: SearchedTypes) -> dict[bytes, list[str]]:
    """Return what is searched of a record's encoded public values: data that is text, folded, of these types.

    A record that cannot be read has none.
    """
    found: dict[bytes, list[str]] = {}
    left = MAX_RECORD_CHARACTERS
    for value in _decode(wire):
        kind = _upper(value.type)
        if kind not in types or is_secret(value):
            continue
        try:
            text = value.data.decode()[: min(left, MAX_TEXT_CHARACTERS)]
        except UnicodeDecodeError:
            continue  # no text
        found.setdefault(kind, []).append(text.casefold())
        left -= len(text)
    return found


def grams_of(texts: Texts) -> Sequence[int]:
    """Return the grams by which a record with these texts is found, each once."""
    found: set[int] = set()
    for kind, each in texts.items():
        for text in each:
            look_up = _grams_of_text if len(text) > REMEMBERED_CHARACTERS else _remembered_grams
            found.update(look_up(kind, text))
    return array("i", found)


def _grams_of_text(kind: bytes, text: str) -> Sequence[int]:
    return _grams(kind, _START + text.encode() + _END)


@lru_cache(maxsize=REMEMBERED_TEXTS)
def _remembered_grams(kind: bytes, text: str) -> Sequence[int]:
    """Records of one enterprise share most of their texts."""
    return array("i", _grams_of_text(kind, text))


def _decode(wire: bytes) -> Sequence[HandleValue]:
    try:
        return decode_values(wire)
    except WireError:
        return ()


def _upper(value_type: bytes) -> bytes:
    try:
        return value_type.decode().upper().encode()
    except UnicodeDecodeError:
        return value_type


def _grams(value_type: bytes, run: bytes) -> list[int]:
    """Return the hashes of all three bytes in a row, as signed 32-bit integers."""
    seed = crc32(value_type)
    return [
        crc32(run[place : place + GRAM_BYTES], seed) - _SIGNED
        for place in range(len(run) - GRAM_BYTES + 1)
    ]
