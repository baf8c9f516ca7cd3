"""Ready replies of the Handle protocol (see `resolver.hot.table`)."""

import struct
from time import perf_counter_ns
from typing import Any, NamedTuple

from resolver.answer import Stored
from resolver.freshness import Freshness
from resolver.hot.table import NS, HotTable
from resolver.quickly import quickly
from resolver.recorder import Prefixes
from resolver.wire import Opcode, ResponseCode

ANSWER_LIFE_SECONDS = (
    43_200  # the expiration in an answer's header: half a day, as the reference server says
)
_MAX_PROFILES = 4_096
_LENGTHS, _FOUND = struct.Struct(">II"), struct.Struct(">IIII")
_CONTENT_AT = 20  # behind the envelope
_NAME_AT = 48  # in a resolution request: behind envelope, header and the name's length
_NOTHING_MORE = bytes(12)  # behind the name: no indexes, no types, no credential
_SHORTEST_REQUEST = _NAME_AT + len(_NOTHING_MORE)
_NO_CREDENTIAL = bytes(4)

WireReply = tuple[int, bytes, Any]
"""What `HotWire.reply` finds: the UDP cell, the finished reply to a whole request message, and the subject."""


class PlainRequest(NamedTuple):
    """A native request for all values of a handle (or all public ones): what its reply begins with, and its number."""

    handle: bytes
    public_only: bool
    start: bytes
    flags: bytes
    number: bytes


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
        asked = request[_NAME_AT:end], public_only, start, flags, request[8:12]
        return quickly(PlainRequest, asked)

    def answer(
        self,
        request: bytes,
        asked: "PlainRequest",
        stored: Stored,
        cell: int,
        key: bytes,
        prefixes: Prefixes,
        era: int,
    ) -> tuple[bytes, Any]:
        """Return the reply with a record's public values to a request that `asked` understood, and keep it ready.

        `cell` is where it is counted when it is given again; `era` that of before the record was read.  Beside it comes
        what the recorder makes of the key, for which `prefixes` help.
        """
        handle, _, start, flags, number = asked
        _, _, ttl_seconds, restricted, values, *_ = stored
        body = len(handle) + len(values) + 4
        head = _FOUND.pack(0, body + 28, Opcode.RESOLUTION, ResponseCode.SUCCESS)
        sizes = _LENGTHS.pack(body, len(handle))
        tail = b"".join((sizes, handle, values, _NO_CREDENTIAL))
        subject = self.subject_of(key, prefixes)
        if self.keeps:
            expires_ns = perf_counter_ns() + ttl_seconds * NS
            lengths, serial = request[12:20], stored.serial
            entry = (expires_ns, cell, restricted, head, tail, key, serial, lengths, subject)
            self.put(request[40:], entry, era)
        return b"".join((start, number, head, flags, self._expiration, tail)), subject

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
        subject = self.subject_of(key, ())
        entry = (expires_ns, cell, restricted, head, tail, key, serial, lengths, subject)
        self.put(request[40:], entry, era)


def no_reply(_request: bytes, _now_ns: int) -> None:
    """Stands for `HotWire.reply` where nothing is ready, since every answer waits for its record to be durable."""
