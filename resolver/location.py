"""Location: where a record sends a browser; its URL value as a URI that may stand in a header.

The simple form of the proxy contract: the URL value with the lowest index.  (Locations of 10320/loc come later.)
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import quote_from_bytes

from resolver.answer import MAX_TTL_SECONDS
from resolver.wire import HandleValue, TtlType

MAX_LOCATION_BYTES = (
    8_192  # longer ones are shown on the record page; servers and proxies refuse such headers
)

_PARTS = re.compile(rb"([A-Za-z][A-Za-z0-9+.-]*):(//([^/?#]*))?(.*)", re.DOTALL)
_CONTROLS = re.compile(rb"[\x00-\x1f\x7f]")
_HOST = re.compile(r"[A-Za-z0-9._~-]+")  # a name in IDNA
_PORT = re.compile(rb":[0-9]*\Z")
_NEED_A_HOST = frozenset({b"http", b"https", b"ws", b"wss", b"ftp"})  # browsers look for one anyhow
_RUNS_IN_THE_BROWSER = frozenset({b"javascript", b"vbscript", b"data", b"file", b"blob", b"about"})
_KEPT = ":/?#[]@!$&'()*+,;=%~"  # reserved characters of RFC 3986 and `%`: it may be encoded already


@dataclass(frozen=True, slots=True)
class Location:
    """Where to go: a URI in ASCII, and how many seconds that may be remembered."""

    uri: str
    ttl_seconds: int


def choose_location(
    values: Iterable[HandleValue], *, append: bytes = b"", now: int
) -> Location | None:
    """Return the location of the URL value with the lowest index, or None when no value can be followed.

    `append` is added to the value as it stands, but never changes where the value leads (see `append_to`); `now` is in
    epoch seconds.
    """
    for value in sorted(values, key=lambda value: value.index):
        if value.type.upper() == b"URL" and (uri := to_uri(append_to(value.data.strip(), append))):
            return Location(uri, ttl_seconds(value, now))
    return None


def append_to(iri: bytes, more: bytes) -> bytes:
    """Return the IRI with a text added by whoever follows it: in the path, query or fragment, never in the authority.

    A `/` is put between the two where the text would go on with the authority; where there is none that could be kept,
    the text is left out.
    """
    base, whole = _PARTS.fullmatch(iri), _PARTS.fullmatch(iri + more)
    if base is None or whole is None:
        return iri
    if not base[3] and (base[1].lower() in _NEED_A_HOST or base[3] != whole[3]):
        return iri
    return iri + more if base[3] == whole[3] else iri + b"/" + more


def ttl_seconds(value: HandleValue, now: int) -> int:
    """Return how many seconds from `now` (epoch) a value may be remembered; at most MAX_TTL_SECONDS."""
    remaining = value.ttl - now if value.ttl_type == TtlType.ABSOLUTE else value.ttl
    return max(0, min(remaining, MAX_TTL_SECONDS))


def to_uri(iri: bytes) -> str | None:
    """Return an absolute IRI as a URI (RFC 3987 §3.1), its host in IDNA.

    None for what is not absolute, is longer than MAX_LOCATION_BYTES, holds control characters, or would run in the
    browser that follows it.
    Nothing in the result can end a header line; in HTML it is escaped like any text.
    """
    parts = _PARTS.fullmatch(iri)
    if parts is None or _CONTROLS.search(iri) or parts[1].lower() in _RUNS_IN_THE_BROWSER:
        return None
    authority = "//" + _authority(parts[3]) if parts[2] else ""
    uri = f"{parts[1].decode()}:{authority}{_escape(parts[4])}"
    return uri if len(uri) <= MAX_LOCATION_BYTES else None


def _authority(authority: bytes) -> str:
    user, at, host = authority.rpartition(b"@")
    port = found[0] if (found := _PORT.search(host)) else b""
    return _escape(user + at) + _host(host.removesuffix(port)) + port.decode()


def _host(host: bytes) -> str:
    if host.isascii():
        return _escape(host)
    try:
        name = host.decode().encode("idna").decode()
    except UnicodeError:  # no host name; leave it to the browser to say so
        return _escape(host)
    # Python's codec passes ASCII as it is, and makes `/` and `@` of their full-width forms.
    return name if _HOST.fullmatch(name) else _escape(host)


def _escape(part: bytes) -> str:
    return quote_from_bytes(part, safe=_KEPT)
