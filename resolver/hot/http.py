"""Ready replies over HTTP (see `resolver.hot.table`), and which header blocks leave an answer as it is."""

import re
from email.utils import formatdate
from time import perf_counter_ns

from resolver.answer import Answer, Status
from resolver.freshness import Freshness
from resolver.hot.table import NS, HotTable

_MAX_BLOCKS = 4_096
_MAX_BLOCK_BYTES = 1_024
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
        expires_ns = perf_counter_ns() + stored.ttl_seconds * NS
        vary = _VARY if len(body) >= COMPRESSED_FROM_BYTES else b""
        tag = _ETAG % stored.version if stored.version else b""
        tail = b"".join(
            (_JSON_TAIL % (vary, tag, len(body)), body)
        )  # takes no more than its length
        for known in (key, stored.handle):
            if known == raw_path:
                raw_path = known  # one object for all who know this record
        subject = self.subject_of(key, ())
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
