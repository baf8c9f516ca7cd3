"""Ready answers: the exact bytes of a request -> the finished reply, after permissions, homing and profile.

Most answers of a busy node come from here, so entries are plain tuples of bytes and integers (the garbage collector
leaves such tuples alone) and a table is two dicts, young and old, that approximate least-recently-used.  Laws:

1. an entry is made only from a reply as the ordinary way gives it, for the stored spelling (replies echo the spelling);
2. `drop(key)` removes every entry of a changed record, and a reply read before that change is not let in; nor is one
   that was decided before everything, or all below a prefix, was dropped (`era`);
3. what a front end does not fully understand has no entry, and goes the ordinary way;
4. whoever keeps the record itself is told of the first reply made from it (`on_first`), and may let it go: most records
   are asked for in one way only, and then nobody needs them twice.
"""

import re
import struct
from collections.abc import Callable
from email.utils import formatdate
from time import perf_counter_ns
from typing import Any, NamedTuple

from resolver.answer import Answer, Status
from resolver.freshness import Freshness
from resolver.wire import Opcode, ResponseCode

ANSWER_LIFE_SECONDS = (
    43_200  # the expiration in an answer's header: half a day, as the reference server says
)
_MAX_PROFILES = 4_096
_MAX_BLOCKS = 4_096
_MAX_SHARED = 16_384
_NS = 1_000_000_000
_MAX_BLOCK_BYTES = 1_024
_LENGTHS, _FOUND = struct.Struct(">II"), struct.Struct(">IIII")
_CONTENT_AT = 20  # behind the envelope
_NAME_AT = 48  # in a resolution request: behind envelope, header and the name's length
_NOTHING_MORE = bytes(12)  # behind the name: no indexes, no types, no credential
_SHORTEST_REQUEST = _NAME_AT + len(_NOTHING_MORE)
_NO_CREDENTIAL = bytes(4)
_NO_TEXT = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
_PASSIVE = frozenset(
    b"host user-agent accept-encoding accept-language connection x-request-id cache-control pragma sec-fetch-mode "
    b"sec-fetch-site sec-fetch-dest x-forwarded-for x-real-ip traceparent tracestate from referer dnt".split()
)  # headers that change nothing in an answer
_JSON_TYPES = (b"*/*", b"application/json", b"application/*")
_JSON_START = (
    b"HTTP/1.1 200 OK\r\ndate: %b\r\ncontent-type: application/json;charset=utf-8\r\n"
    b"access-control-allow-origin: *\r\n"
)
_REFUSALS = {404: b"HTTP/1.1 404 Not Found\r\n", 503: b"HTTP/1.1 503 Service Unavailable\r\n"}
_JSON_TAIL = b"%b%bcontent-length: %d\r\n\r\n"
COMPRESSED_FROM_BYTES = (
    1_024  # the application compresses such bodies when it may; a ready reply is never compressed
)
_ETAG = b'etag: "%d"\r\n'
_VARY = b"vary: Accept-Encoding\r\n"
_ONLY_COMPRESSED = re.compile(
    rb"(?:identity|\*)[ \t]*;[ \t]*q=0(?:\.0*)?[ \t]*(?:,|$)", re.IGNORECASE
)
_MAX_REQUESTS_PER_KEY = (
    32  # spellings of what can be asked of one record are without number; most are asked once
)
_OVERHEAD_BYTES = (
    460  # dict slots here and in the index, tuple, headers of the objects, the subject
)


Ready = tuple[int, int, bool, bytes, bytes, bytes, int, bytes, Any]
"""One finished reply: expires_ns, cell, public_only, head, tail, key, serial, lengths, subject.

`expires_ns` is on the clock of `time.perf_counter_ns`; `cell` is where it is counted; `public_only` says that the
record has restricted values, so that only a request for public values may have this reply; `head` and `tail` are its
bytes; `key` and `serial` those of the record; `lengths` the request's own (native ones say theirs twice); `subject`
is what `Recorder.subject` makes of the key.
"""

WireReply = tuple[int, bytes, Any]
"""What `HotWire.reply` finds: the UDP cell, the finished reply to a whole request message, and the subject."""

_Index = dict[bytes, bytes | tuple[bytes, ...]]
"""Canonical key -> the requests that have an entry, but for the key itself; one is kept bare, as with most."""


class PlainRequest(NamedTuple):
    """A native request for all values of a handle (or all public ones): what its reply begins with, and its number."""

    handle: bytes
    public_only: bool
    start: bytes
    flags: bytes
    number: bytes


class HotTable:
    """Ready replies by request bytes, bounded by number and by size, with an index by canonical key."""

    def __init__(self, freshness: Freshness, *, max_entries: int, max_bytes: int) -> None:
        """The bounds hold for both generations together; `max_entries` 0 keeps nothing."""
        self.subject_of: Callable[[bytes], Any] = _nobody  # that of the worker's recorder
        self.on_first: Callable[[bytes], object] = _nobody
        self.era = 0  # counts what was dropped without looking at serials
        self._freshness = freshness
        self._max_entries = max_entries // 2
        self._max_bytes = max_bytes // 2
        self.young: dict[bytes, Ready] = {}
        self._old: dict[bytes, Ready] = {}
        self._young_index: _Index = {}
        self._old_index: _Index = {}
        self._young_bytes = 0
        self._old_bytes = 0
        self._shared: dict[Any, Any] = {}

    def __len__(self) -> int:
        return len(self.young) + len(self._old)

    @property
    def size_bytes(self) -> int:
        """Roughly what the entries take, in bytes."""
        return self._young_bytes + self._old_bytes

    def promote(self, request: bytes) -> Ready | None:
        """Find an entry that is not among the young; move it there."""
        ready = self._old.pop(request, None)
        if ready is not None:
            self._old_bytes -= _size(request, ready)
            self._insert(request, ready)
        return ready

    def put(self, request: bytes, ready: Ready, era: int) -> None:
        """Keep a reply, unless its record has changed since it was read; `era` is that of when it was asked for."""
        key = ready[5]
        if self._max_entries and era == self.era and ready[6] >= self._freshness.floor(key):
            is_first = not self._replies(request, key)
            self._insert(request, self._thrifty(ready))
            if is_first:
                self.on_first(key)

    def _replies(self, request: bytes, key: bytes) -> bool:
        """True when a reply made from this record is kept already, and it is not that of this request, out of date."""
        known = self.young.get(request) or self._old.get(request)
        if known is not None:
            return known[0] > perf_counter_ns()
        places = (self.young, self._old, self._young_index, self._old_index)
        return any(key in place for place in places)

    def _thrifty(self, ready: Ready) -> Ready:
        """Return the same entry with one object for what many have alike: less memory, and it stays in the cache."""
        expires_ns, cell, public_only, head, tail, key, serial, lengths, subject = ready
        if len(self._shared) >= _MAX_SHARED:
            self._shared.clear()
        share = self._shared.setdefault
        second = expires_ns - expires_ns % _NS  # a moment early rather than late
        return (
            share(second, second),
            cell,
            public_only,
            share(head, head),
            tail,
            key,
            share(serial, serial),
            share(lengths, lengths),
            subject,
        )

    def drop(self, key: bytes) -> bool:
        """Forget every reply made from this record; true when there was one."""
        young, old = (
            (key, *_requests(self._young_index.pop(key, ()))),
            (key, *_requests(self._old_index.pop(key, ()))),
        )
        known = len(self)
        for request in young:
            if (ready := self.young.pop(request, None)) is not None:
                self._young_bytes -= _size(request, ready)
        for request in old:
            if (ready := self._old.pop(request, None)) is not None:
                self._old_bytes -= _size(request, ready)
        return len(self) < known

    def drop_below(self, is_below: Callable[[bytes], bool]) -> None:
        """Forget every reply whose canonical key passes the test; looks at all entries."""
        self.era += 1
        entries = (*self.young.values(), *self._old.values())
        keys = {ready[5] for ready in entries if is_below(ready[5])}
        for key in keys:
            self.drop(key)

    def clear(self) -> None:
        """Forget everything."""
        self.era += 1
        self.young, self._old = {}, {}
        self._young_index, self._old_index = {}, {}
        self._young_bytes = self._old_bytes = 0

    def _insert(self, request: bytes, ready: Ready) -> None:
        if len(self.young) >= self._max_entries or self._young_bytes >= self._max_bytes:
            self._old, self._old_index, self._old_bytes = (
                self.young,
                self._young_index,
                self._young_bytes,
            )
            self.young, self._young_index, self._young_bytes = {}, {}, 0
        before = self.young.get(request)
        self.young[request] = ready
        self._young_bytes += _size(request, ready) - (_size(request, before) if before else 0)
        requests = _requests(self._young_index.get(ready[5], ()))
        if request == ready[5] or request in requests:
            return
        if len(requests) >= _MAX_REQUESTS_PER_KEY:
            oldest, *requests_left = requests
            if (gone := self.young.pop(oldest, None)) is not None:
                self._young_bytes -= _size(oldest, gone)
            requests = tuple(requests_left)
        self._young_index[ready[5]] = (*requests, request) if requests else request


class HotWire(HotTable):
    """Ready replies of the Handle protocol, for requests that ask for nothing special.

    A request's first bytes (version, session id, opcode, flags) select a *profile*, which says how an answer to such
    requests begins; its body selects the entry.  Only the request id and the expiration are written anew.  Offsets are
    those of the envelope (20 bytes) and header (24) of RFC 3652 §2.
    """

    def __init__(self, freshness: Freshness, *, max_entries: int, max_bytes: int) -> None:
        """See HotTable."""
        super().__init__(freshness, max_entries=max_entries, max_bytes=max_bytes)
        self._profiles: dict[bytes, tuple[bytes, bytes, bool]] = {}
        self._expiration = bytes(4)

    def tick(self, epoch_seconds: float) -> None:
        """Once a second: renew the expiration that answers carry."""
        self._expiration = (int(epoch_seconds) + ANSWER_LIFE_SECONDS).to_bytes(4, "big")

    def reply(self, request: bytes, now_ns: int) -> WireReply | None:
        """Return the ready reply to a whole request message; None: go the ordinary way."""
        profile = self._profiles.get(request[:8] + request[20:36])
        if profile is None:
            return None
        body = request[40:]
        ready = self.young.get(body) or self.promote(body)
        if ready is None:
            return None
        expires_ns, cell, public_only, head, tail, _, _, lengths, subject = ready
        start, flags, asks_public_only = profile
        if (
            expires_ns <= now_ns
            or request[12:20] != lengths
            or (public_only and not asks_public_only)
        ):
            return None
        return cell, b"".join((start, request[8:12], head, flags, self._expiration, tail)), subject

    def asked(self, request: bytes) -> "PlainRequest | None":
        """Take apart a whole request message for all values of a handle.

        None for one whose answer could not be ready, and for one unlike all that were answered before.
        """
        profile = self._profiles.get(request[:8] + request[20:36])
        if profile is None or len(request) < _SHORTEST_REQUEST:
            return None
        sequence, content = _LENGTHS.unpack_from(request, 12)
        body, handle = _LENGTHS.unpack_from(request, 40)
        end = _NAME_AT + handle
        if (
            sequence
            or content != len(request) - _CONTENT_AT
            or body != handle + 12
            or request[end:] != _NOTHING_MORE
        ):
            return None
        start, flags, public_only = profile
        return PlainRequest(request[_NAME_AT:end], public_only, start, flags, request[8:12])

    def found(self, asked: "PlainRequest", values: bytes) -> bytes:
        """Return the reply to a request that `asked` understood: these values, encoded, of the handle."""
        handle, _, start, flags, number = asked
        body = len(handle) + len(values) + 4
        lengths = _FOUND.pack(0, body + 28, Opcode.RESOLUTION, ResponseCode.SUCCESS)
        sizes = _LENGTHS.pack(body, len(handle))
        parts = (
            *(start, number, lengths, flags, self._expiration),
            *(sizes, handle, values, _NO_CREDENTIAL),
        )
        return b"".join(parts)

    def remember(
        self,
        request: bytes,
        reply: bytes,
        *,
        public_only: bool,
        restricted: bool,
        expires_ns: int,
        cell: int,
        key: bytes,
        serial: int,
        era: int,
    ) -> None:
        """Take in a reply that went the ordinary way; `public_only` says that the request was treated as such."""
        if len(self._profiles) >= _MAX_PROFILES:
            self._profiles.clear()
        profile = request[:8] + request[20:36]
        self._profiles[profile] = (reply[:8], reply[28:36], public_only)
        head, tail, lengths = reply[12:28], reply[40:], request[12:20]
        subject = self.subject_of(key)
        entry = (expires_ns, cell, restricted, head, tail, key, serial, lengths, subject)
        self.put(request[40:], entry, era)


def no_reply(_request: bytes, _now_ns: int) -> None:
    """Stands for `HotWire.reply` where nothing is ready, since every answer waits for its record to be durable."""


class HotHttp(HotTable):
    """Ready HTTP replies by raw path, the header blocks that change nothing, and the date line."""

    def __init__(self, freshness: Freshness, *, max_entries: int, max_bytes: int) -> None:
        """See HotTable."""
        super().__init__(freshness, max_entries=max_entries, max_bytes=max_bytes)
        self.blocks: set[bytes] = set()
        self.start = b""

    def tick(self, epoch_seconds: float) -> None:
        """Once a second: renew the first lines of a reply."""
        date = formatdate(epoch_seconds, usegmt=True).encode()
        self.start = _JSON_START % date

    def remember(
        self, raw_path: bytes, body: bytes, answer: Answer, key: bytes, counted: int, era: int
    ) -> bytes:
        """Take in the JSON body that a plain GET of this path is answered with; return what follows `start` then."""
        stored = answer.stored
        if answer.status is not Status.FOUND or stored is None:
            return b""
        expires_ns = perf_counter_ns() + stored.ttl_seconds * _NS
        vary = _VARY if len(body) >= COMPRESSED_FROM_BYTES else b""
        tag = _ETAG % stored.version if stored.version else b""
        tail = b"".join(
            (_JSON_TAIL % (vary, tag, len(body)), body)
        )  # takes no more than its length
        for known in (key, stored.handle):
            if known == raw_path:
                raw_path = known  # one object for all who know this record
        subject = self.subject_of(key)
        entry = (expires_ns, counted, False, b"", tail, key, stored.serial, b"", subject)
        self.put(raw_path, entry, era)
        return tail

    def refusal(self, status: int, body: bytes) -> bytes:
        """Return the response that says with this JSON body that there is no such record (404), or not now (503)."""
        head = _REFUSALS[status] + self.start.partition(b"\r\n")[2]
        vary = _VARY if len(body) >= COMPRESSED_FROM_BYTES else b""
        return b"".join((head, _JSON_TAIL % (vary, b"", len(body)), body))

    def accepts(self, block: bytes) -> bool:
        """True when no header of this block asks for anything but the plain JSON answer on a kept connection."""
        if len(block) > _MAX_BLOCK_BYTES or not is_plain(block):
            return False
        if len(self.blocks) >= _MAX_BLOCKS:
            self.blocks.clear()
        self.blocks.add(block)
        return True


def is_plain(block: bytes) -> bool:
    """True when a header block is whole, and every header in it leaves the answer as it is."""
    lines = block.split(b"\r\n")
    if lines[-2:] != [b"", b""] or b"" in lines[:-2]:
        return False
    names = []
    for line in lines[:-2]:
        name, colon, value = line.partition(b":")
        name, value = name.lower(), value.strip(b" \t")
        if not colon or not _leaves_answer(name, value):
            return False
        names.append(name)
    return names.count(b"host") == 1


def _leaves_answer(name: bytes, value: bytes) -> bool:
    if name == b"connection":
        return value.lower() == b"keep-alive"
    if name == b"accept":
        types = [part.partition(b";")[0].strip().lower() for part in value.split(b",")]
        return any(kind in _JSON_TYPES for kind in types)
    if name == b"accept-encoding" and _ONLY_COMPRESSED.search(value):
        return False
    return name in _PASSIVE and _NO_TEXT.search(value) is None


def _nobody(_key: bytes) -> None:
    """Nobody records, or keeps records."""


def _requests(indexed: bytes | tuple[bytes, ...]) -> tuple[bytes, ...]:
    return (indexed,) if isinstance(indexed, bytes) else indexed


def _size(request: bytes, ready: Ready) -> int:
    return len(request) + len(ready[3]) + len(ready[4]) + len(ready[5]) + _OVERHEAD_BYTES
