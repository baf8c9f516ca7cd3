"""Plain lines: lines of NDJSON as most programs write them, read value by value, by their text.

Law: JSON has one reading.  A line that is `{"handle":"…","values":[`, objects with commas between them, and `]}` has
these objects for its values; so one whose text was met before need not be parsed again, and one that differs from
another in nothing but plain text need not be encoded again.  What is not so is left to who reads every line.
"""

from dataclasses import dataclass
from hashlib import blake2b
from typing import NamedTuple

import orjson

from node.registry.chunks import MAX_LINE_BYTES
from node.registry.encoding import (
    MAX_RECORD_BYTES,
    REMEMBERED_BYTES,
    REMEMBERED_VALUES,
    EncodedValue,
    Frame,
    ValueReader,
)
from node.registry.merging import WITHHELD
from node.registry.names import Name, NameReader
from node.registry.rowplans import Kind, RowPlan, plan_row
from node.store.load import PackedRow, join_row

ENCODING = b"idnode load 1"  # another name makes every line differ from the one loaded before
MAX_OPENINGS = 8  # ways to begin a value that are remembered: `{"index":`, `{"type":`
MAX_OPENING_BYTES = 64
MAX_FRAMED_BYTES = 2 * REMEMBERED_BYTES  # of a value in a line
REMEMBERED_TEXTS = 256  # of one frame: those of a URL are all different, those of a product are few
REMEMBERED_PLAN = 64  # values; hardly two longer records are alike

_BLANK = blake2b(digest_size=16, person=ENCODING)
_COUNT_BYTES = 4
_WITHHELD = WITHHELD.encode()
_ESCAPE = b"\\u"  # with which a word can be spelled in another way
_END = b"}]}"
_RESERVED = "HS_"
_TOO_MUCH = (b"{", b"[", b"\\", b'"data"')  # around a text that is a value's whole data


class PlainRecord(NamedTuple):
    """The row of a record, and the prefixes that it can be found under."""

    row: PackedRow
    prefixes: tuple[bytes, ...]


class _Form(NamedTuple):
    """How a program puts lines together: with spaces or without."""

    start: bytes
    middle: bytes
    comma: bytes
    data: bytes


_COMPACT = _Form(b'{"handle":"', b'","values":[', b"},", b'"data":"')
_SPACED = _Form(b'{"handle": "', b'", "values": [', b"}, ", b'"data": "')
_FORMS = (_COMPACT, _SPACED)


class _Part(NamedTuple):
    """A value: the number of its kind, and its bytes."""

    kind: int
    wire: bytes
    json: bytes


@dataclass(slots=True)
class _Frame:
    """What surrounds a text in a value that is plain text; `filled` is how often it was put round another one."""

    kind: int
    wire: bytes
    json: bytes
    end: bytes
    filled: int = 0

    def fill(self, text: bytes) -> _Part:
        wire = b"%b%b%b\0\0\0\0" % (self.wire, len(text).to_bytes(_COUNT_BYTES, "big"), text)
        return _Part(self.kind, wire, b'%b"value":"%b"%b' % (self.json, text, self.end))


class _Opening:
    """Values that begin alike: what is between two of them, and those met before by the rest of their text."""

    def __init__(self, text: bytes, form: _Form) -> None:
        self.text = text
        self.between = form.comma + text
        self.data = form.data
        self.known: dict[bytes, _Part] = {}


class PlainReader:
    """Reads plain lines; values without a timestamp are stamped `now`."""

    def __init__(self, now: int, *, case_sensitive: bool) -> None:
        self._names = NameReader(case_sensitive=case_sensitive)
        self._values = ValueReader(now)
        self._forget()

    def _forget(self) -> None:
        """Parts, frames and plans speak of kinds by their numbers, so all of them go at once."""
        self._openings: dict[_Form, dict[bytes, _Opening]] = {form: {} for form in _FORMS}
        self._frames: dict[tuple[bytes, bytes, bytes], _Frame | None] = {}
        self._kinds: list[Kind] = []
        self._numbers: dict[Kind, int] = {}
        self._plans: dict[tuple[int, ...], RowPlan | None] = {}

    def read(self, line: bytes) -> PlainRecord | None:
        """Return the record of a line; None when it is not plain, is about a prefix, or is wrong."""
        if max(len(self._kinds), len(self._plans)) >= REMEMBERED_VALUES:
            self._forget()
        form = _COMPACT if line.startswith(_COMPACT.start) else _SPACED
        if not line.startswith(form.start):
            return None
        head, _, body = line.partition(form.middle)
        spelling = head[len(form.start) :]
        if (
            not body.endswith(_END)
            or b'"' in spelling
            or b"\\" in spelling
            or len(line) >= MAX_LINE_BYTES
        ):
            return None
        name = self._names.read(spelling)
        parts = self._read_values(body, form) if name else None
        if name is None or parts is None:
            return None
        return self._join(name, parts, digest_of(line))

    def _join(self, name: Name, parts: list[_Part], digest: bytes) -> PlainRecord | None:
        kinds, wires, jsons = zip(*parts, strict=True)
        try:
            plan = self._plans[kinds]
        except KeyError:
            plan = self._make_plan(kinds)
        if plan is None:
            return None
        wire, json, whole = plan.join(wires, jsons)
        if len(whole or wire) > MAX_RECORD_BYTES:
            return None
        key, prefixes, spelling = name
        row = join_row(key, prefixes[0], spelling, plan.times, wire, json, whole, digest)
        return PlainRecord(row, prefixes)

    def _read_values(self, body: bytes, form: _Form) -> list[_Part] | None:
        text = body[: body.find(b":") + 1]
        openings = self._openings[form]
        opening = openings.get(text)
        if opening is None:
            if len(openings) >= MAX_OPENINGS or not 0 < len(text) <= MAX_OPENING_BYTES:
                return None
            opening = openings[text] = _Opening(text, form)
        known, found = opening.known, []
        for core in body[len(text) : -len(_END)].split(opening.between):
            part = known.get(core)
            if part is None:
                part = self._read_value(opening, core)
                if part is None:
                    return None
            found.append(part)
        return found

    def _read_value(self, opening: _Opening, core: bytes) -> _Part | None:
        """Return a value that was not met before, or None when it is none or stands for one that is stored."""
        if _WITHHELD in core or _ESCAPE in core:
            return None
        head, _, rest = core.partition(opening.data)
        text, quote, tail = rest.partition(b'"')
        part = None
        if quote and len(core) <= MAX_FRAMED_BYTES and b"\\" not in text:
            try:
                frame = self._frames[opening.text, head, tail]
            except KeyError:
                frame = self._remember_frame(opening, head, tail)
            if frame is not None and _is_text(text):
                part = frame.fill(text)
                frame.filled += 1
                if frame.filled > REMEMBERED_TEXTS:
                    return part
        part = part or self._parse(opening.text + core + b"}")
        if part is not None and len(core) <= REMEMBERED_BYTES:
            if len(opening.known) >= REMEMBERED_VALUES:
                opening.known.clear()
            opening.known[core] = part
        return part

    def _parse(self, text: bytes) -> _Part | None:
        try:
            value = self._values.read_one(orjson.loads(text))
        except ValueError:
            return None
        return _Part(self._kind_of(value), value.wire, value.json)

    def _remember_frame(self, opening: _Opening, head: bytes, tail: bytes) -> _Frame | None:
        if len(self._frames) >= REMEMBERED_VALUES:
            self._frames.clear()
        key = opening.text, head, tail
        found = self._frames[key] = self._find_frame(*key, opening.data)
        return found

    def _find_frame(self, start: bytes, head: bytes, tail: bytes, data: bytes) -> _Frame | None:
        """Return what surrounds a text between these; None if it is not all of a value's data, or not as it is."""
        around = start[1:] + head + b"\n" + tail
        if any(each in around for each in _TOO_MUCH):
            return None
        try:
            item = orjson.loads(b'%b%b%b"%b}' % (start, head, data, tail))
            if item["type"][: len(_RESERVED)].upper() == _RESERVED:
                return None
            empty = self._values.read_one(item)
        except (ValueError, KeyError, TypeError):
            return None
        frame = Frame.around(empty)
        return _Frame(self._kind_of(empty), frame.wire_head, frame.json_head, frame.json_tail)

    def _kind_of(self, value: EncodedValue) -> int:
        kind = Kind.of(value)
        if kind not in self._numbers:
            self._numbers[kind] = len(self._kinds)
            self._kinds.append(kind)
        return self._numbers[kind]

    def _make_plan(self, numbers: tuple[int, ...]) -> RowPlan | None:
        found = plan_row([self._kinds[each] for each in numbers])
        if len(numbers) <= REMEMBERED_PLAN:
            self._plans[numbers] = found
        return found


def digest_of(line: bytes) -> bytes:
    """Return what tells this line from others; see `RecordRow.loaded`."""
    digest = _BLANK.copy()
    digest.update(line)
    return digest.digest()


def _is_text(data: bytes) -> bool:
    """Whether every codec writes it as it is."""
    try:
        return data.decode().isprintable()
    except UnicodeDecodeError:
        return False
