"""What an HTTP request says of its sender, as far as the ledger asks: agent, chain of proxies, request id, token."""

from collections.abc import Iterable
from typing import NamedTuple

MAX_TOKEN_BYTES = 256
CAMPAIGN_HEADER = b"idnode-campaign"  # shows the token of an announced load test

_AGENT, _FORWARDED = b"user-agent", b"x-forwarded-for"
_REQUEST_IDS = (b"idempotency-key", b"x-request-id")  # the first that is there
_ASKED = frozenset((_AGENT, _FORWARDED, CAMPAIGN_HEADER, *_REQUEST_IDS))


class Headers(NamedTuple):
    """The values; empty when they were not sent.  Those of a header that was sent twice are joined by a comma."""

    agent: bytes = b""
    forwarded: str = ""
    request_id: bytes = b""
    token: bytes = b""


def of_pairs(pairs: Iterable[tuple[bytes, bytes]]) -> Headers:
    """Read headers as ASGI has them: names in small letters, values without blanks around."""
    found: dict[bytes, bytes] = {}
    for name, value in pairs:
        if name in _ASKED:
            found[name] = found[name] + b"," + value if name in found else value
    return Headers(
        found.get(_AGENT, b""),
        found.get(_FORWARDED, b"").decode("latin-1"),
        next((found[name] for name in _REQUEST_IDS if found.get(name)), b""),
        found.get(CAMPAIGN_HEADER, b"")[:MAX_TOKEN_BYTES],
    )


def of_block(block: bytes) -> Headers:
    """Read a header block, lines as they came."""
    return of_pairs(_pair(line) for line in block.split(b"\r\n"))


def _pair(line: bytes) -> tuple[bytes, bytes]:
    name, _, value = line.partition(b":")
    return name.lower(), value.strip(b" \t")
