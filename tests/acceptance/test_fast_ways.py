"""The ready way and the ordinary way give the same bytes, on UDP, TCP and HTTP, whatever comes and in whatever pieces.

Two nodes share one database, key and public address: one has the ready way (and no records in memory, so that whatever
is counted with the tier "memory" went that way), the other has it switched off.
"""

import json
import random
import re
import shutil
import socket
import struct
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from time import monotonic
from urllib.parse import quote

import httpx
import pytest

from node.config import Settings
from resolver.wire import (
    Envelope,
    Flag,
    Header,
    Message,
    NameRequest,
    Opcode,
    ResolutionRequest,
    ResponseCode,
    Version,
)
from tests.support.exchange import Asker, Stream, answered, asking, connected, happened, metrics
from tests.support.nodes import NodeProcess, eventually, node_in

pytestmark = pytest.mark.slow

FIXTURE = Path(__file__).parents[1] / "conformance" / "handle-fixture.ndjson"
MORE = {
    "88.118.8/产品-001": [{"index": 1, "type": "URL", "data": "https://example.org/产品"}],
    "88.118.8/电机 2 号": [{"index": 7, "type": "DESC", "data": "三相异步电机" * 100}],
    "88.118.8/hidden": [{"index": 2, "type": "PIN", "data": "1234", "permissions": "1100"}],
    "88.118.8/empty": [],
    "88.118.8/now": [{"index": 1, "type": "URL", "data": "x", "ttl": 0}],
    "88.118.8/refs": [
        {"index": 1, "type": "URL", "data": "a"},
        {"index": 2, "type": "URL.MIRROR", "data": "b", "ttl": 60},
    ],
    "0.NA/88.118.8": [{"index": 1, "type": "DESC", "data": "an enterprise"}],
}
RECORDS = (
    "20.500.12345/h000001",
    "20.500.12345/MIXED",
    "20.500.12345/BIG",
    "20.500.12345/ALIAS",
    "20.500.12345/RESTRICTED",
    "86.1000.1/test001",
    "0.NA/88.1000.1",
    *MORE,
)
LONG = "20.500.12345/" + "n" * 1_200  # whose answer the framework compresses where it may
OTHERS = ("20.500.12345/H000001", "88.1000.1", "20.500.12345/nope", LONG, "999.9/x", "")
HIDING = (
    "20.500.12345/RESTRICTED",
    "0.NA/88.1000.1",
    "88.118.8/hidden",
)  # not ready but for public values
NEVER_READY = ("88.118.8/now",)  # may not be kept

USUAL = Flag.RECURSIVE | Flag.CACHE_CERTIFY | Flag.PUBLIC_ONLY
NO_FLAGS = Flag(0)


@dataclass(frozen=True)
class Profile:
    """How a client writes its requests."""

    version: Version
    suggested: Version
    session_id: int = 0
    flags: Flag = USUAL

    @property
    def is_login_client(self) -> bool:
        return (2, 10) in (self.version, self.suggested)


PROFILES = (
    Profile((1, 0), (1, 0)),
    Profile((2, 3), (2, 3)),
    Profile((2, 3), (2, 11)),
    Profile((2, 3), (2, 10), flags=NO_FLAGS),
    Profile((2, 10), (2, 11), session_id=10_001),
    Profile((2, 11), (2, 11)),
    Profile((2, 11), (2, 11), flags=NO_FLAGS),
    Profile((2, 11), (2, 11), session_id=77, flags=Flag.PUBLIC_ONLY),
)
CHOICES: tuple[tuple[tuple[int, ...], tuple[bytes, ...]], ...] = (
    ((), ()),
    ((), (b"URL",)),
    ((), (b"url.",)),
    ((1, 7), ()),
    ((100,), (b"DESC",)),
    ((), (b"NOSUCH",)),
)


@dataclass(frozen=True)
class Nodes:
    """The two nodes; `process` is the one with the ready way."""

    process: NodeProcess
    fast: Settings
    plain: Settings


@pytest.fixture(scope="module")
def directory() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="idnode-", dir="/tmp") as made:
        Path(made).chmod(0o755)
        yield Path(made)


@pytest.fixture(scope="module")
def nodes(directory: Path) -> Iterator[Nodes]:
    limits = {"IDNODE_UDP_MAX_DATAGRAMS": "16", "IDNODE_UDP_ANSWERS_PER_SECOND": "0"}
    with node_in(directory / "fast", IDNODE_MEMORY_ENTRIES="0", **limits) as process:
        fast = process.start()
        load(process, directory)
        with node_in(directory / "plain", **beside(fast), **limits) as other:
            (directory / "plain").mkdir()
            shutil.copy2(fast.data_dir / "server-key.pem", directory / "plain")
            plain = other.start()
            is_there = request_for("88.118.8/refs", 1)
            eventually(lambda: {code_of(ask_once(each, is_there)) for each in (fast, plain)} == {1})
            eventually(lambda: level(fast, "feed_serial") == level(plain, "feed_serial"))
            yield Nodes(process, fast, plain)


def beside(settings: Settings) -> dict[str, str]:
    """Return the settings of a node on the same servers that seems to be at the same place, and keeps nothing ready."""
    native, http = settings.native_listen[0], settings.http_listen[0]
    return {
        "IDNODE_DATABASE_URL": settings.database_url,
        "IDNODE_REDIS_URL": settings.redis_url,
        "IDNODE_PUBLIC_ADDRESS": f"{native.host}:{native.port}:{http.port}",
        "IDNODE_HOT_ENTRIES": "0",
        "IDNODE_MEMORY_ENTRIES": "0",
    }


def load(process: NodeProcess, directory: Path) -> None:
    lines = [json.dumps({"handle": name, "values": values}) for name, values in MORE.items()]
    (directory / "more.ndjson").write_text("\n".join(lines) + "\n", "utf-8")
    for file in (FIXTURE, directory / "more.ndjson"):
        loaded = process.run("load", str(file))
        assert loaded.returncode == 0, loaded.stderr


def request_for(
    handle: str,
    request_id: int,
    profile: Profile = PROFILES[5],
    indexes: tuple[int, ...] = (),
    types: tuple[bytes, ...] = (),
) -> bytes:
    body = ResolutionRequest(handle.encode(), indexes, types).encode()
    envelope = Envelope(*profile.version, *profile.suggested, profile.session_id, request_id)
    header = Header(Opcode.RESOLUTION, 0, int(profile.flags), 0xFFFF, 0, 0x7FFF_FFFF, len(body))
    return Message(envelope, header, body).encode()


def site_request(request_id: int) -> bytes:
    body = NameRequest(b"/").encode()
    header = Header(Opcode.GET_SITE_INFO, 0, int(USUAL), 0xFFFF, 0, 0x7FFF_FFFF, len(body))
    return Message(Envelope(2, 11, 2, 11, 0, request_id), header, body).encode()


def renumbered(request: bytes, request_id: int) -> bytes:
    return request[:8] + request_id.to_bytes(4, "big") + request[12:]


def code_of(reply: bytes) -> int:
    return Message.decode(reply).header.response_code


def ask_once(settings: Settings, request: bytes) -> bytes:
    with connected(settings.native_listen[0]) as stream:
        return ask_stream(stream, request)


def ask_stream(stream: Stream, request: bytes) -> bytes:
    stream.send(request)
    reply = stream.receive()
    assert reply is not None
    return reply


def comparable(reply: bytes) -> bytes:
    """Return a reply without what may differ: request id, expiration (and a signature of it), a challenge's numbers."""
    known = reply[:8] + bytes(4) + reply[12:36] + bytes(4) + reply[40:]
    if code_of(reply) == ResponseCode.AUTHENTICATION_NEEDED:
        return known[:4] + bytes(4) + known[8:-20]  # session id; nonce and (empty) credential
    return known[: len(known) - len(Message.decode(reply).credential)]


def native_requests() -> list[tuple[str, Profile, bytes]]:
    asked = product((*RECORDS, *OTHERS), PROFILES, CHOICES)
    return [(name, how, request_for(name, 0, how, *what)) for name, how, what in asked]


def is_to_be_ready(handle: str, profile: Profile, reply: bytes) -> bool:
    """True when the second of two requests may not need the ordinary way."""
    public_only = Flag.PUBLIC_ONLY in profile.flags or profile.is_login_client
    return (
        handle in RECORDS
        and handle not in NEVER_READY
        and (public_only or handle not in HIDING)
        and profile.version >= (2, 0)
        and code_of(reply) in (ResponseCode.SUCCESS, ResponseCode.VALUES_NOT_FOUND)
    )


def test_udp_replies_are_the_same_both_ways(nodes: Nodes) -> None:
    with asking(nodes.fast.native_listen[0]) as fast, asking(nodes.plain.native_listen[0]) as plain:
        compare_native(nodes, "udp", fast.ask, plain.ask)


def test_tcp_replies_are_the_same_both_ways(nodes: Nodes) -> None:
    with (
        connected(nodes.fast.native_listen[0]) as fast,
        connected(nodes.plain.native_listen[0]) as plain,
    ):
        compare_native(
            nodes,
            "tcp",
            lambda request: ask_stream(fast, request),
            lambda request: ask_stream(plain, request),
        )


def compare_native(
    nodes: Nodes,
    protocol: str,
    fast: Callable[[bytes], bytes],
    plain: Callable[[bytes], bytes],
) -> None:
    """Ask everything the ordinary way, then again, then the other node."""
    requests = native_requests()
    first = [fast(renumbered(request, 1)) for _, _, request in requests]
    before = answered(nodes.fast, protocol, ["memory"])
    again = [fast(renumbered(request, 2)) for _, _, request in requests]

    ordinary = [plain(renumbered(request, 3)) for _, _, request in requests]

    for (name, how, _), *replies in zip(requests, first, again, ordinary, strict=True):
        assert [reply[8:12] for reply in replies] == [b"\0\0\0\1", b"\0\0\0\2", b"\0\0\0\3"]
        assert len({comparable(reply) for reply in replies}) == 1, (name, how)
    expected = [
        is_to_be_ready(name, how, reply)
        for (name, how, _), reply in zip(requests, first, strict=True)
    ]
    assert sum(expected) > len(requests) / 3
    eventually(lambda: answered(nodes.fast, protocol, ["memory"]) - before >= sum(expected))
    assert answered(nodes.fast, protocol, ["memory"]) - before == sum(expected)
    assert answered(nodes.plain, protocol, ["memory"]) == 0


# HTTP


SENTINEL = b"GET /robots.txt HTTP/1.1\r\nHost: sentinel\r\nConnection: close\r\n\r\n"
DATE = re.compile(rb"(?im)^date: [^\r]*")
CHALLENGE = re.compile(rb'sessionId="[^"]*", nonce="[^"]*"')
PATH = b"/api/handles/20.500.12345/h000001"
HOST = b"Host: idnode.test\r\n"
PLAIN = b"GET %b HTTP/1.1\r\n%b\r\n" % (PATH, HOST)


def get(path: bytes, *headers: bytes) -> bytes:
    lines = b"".join(b"%b\r\n" % header for header in headers)
    return b"GET %b HTTP/1.1\r\n%b%b\r\n" % (path, HOST, lines)


def length_of(data: bytes, is_head: bool) -> int | None:
    """Return the length of the first whole response in data, or None."""
    head, end, _ = data.partition(b"\r\n\r\n")
    if not end:
        return None
    stated = re.search(rb"(?im)^content-length: (\d+)", head)
    body = 0 if is_head or stated is None else int(stated[1])
    return len(head) + 4 + body if len(data) >= len(head) + 4 + body else None


def comparable_stream(data: bytes) -> bytes:
    """Return responses without their dates and challenges, and with their headers in alphabetical order."""

    def sorted_head(head: re.Match[bytes]) -> bytes:
        undated = CHALLENGE.sub(b'sessionId="-", nonce="-"', DATE.sub(b"date: -", head[0]))
        first, *lines = undated.strip().split(b"\r\n")
        return b"\r\n".join([first, *sorted(lines), b"", b""])

    return re.sub(rb"(?s)HTTP/1\.[01] .*?\r\n\r\n", sorted_head, data)


def converse(settings: Settings, pieces: list[bytes], count: int = 1) -> bytes:
    """Send pieces, await so many responses, ask for something else, and return all that came."""
    with connected(settings.http_listen[0]) as stream:
        stream.send(*pieces)
        data, found, start = b"", 0, 0
        is_head = pieces[0].startswith(b"HEAD")
        while found < count:
            chunk = stream.read()
            if not chunk:
                return comparable_stream(data)
            data += chunk
            while (length := length_of(data[start:], is_head)) is not None:
                found, start = found + 1, start + length
        with suppress(OSError):
            stream.send(SENTINEL)
        return comparable_stream(data + stream.read_to_end())


def http_paths() -> list[tuple[bytes, bool]]:
    """Return paths, each with whether it is answered from ready bytes the second time."""
    found = [name for name in RECORDS if name != "88.118.8/empty" and name != "88.118.8/hidden"]
    root = "/api/handles/"
    ready = [(root + quote(name), name not in NEVER_READY) for name in found]
    ready += [(root + quote(found[0], safe=""), True), (root + found[0].replace("h", "%68"), True)]
    others = [root + quote(name) for name in OTHERS]
    others += [root + quote(found[0]) + "?" + query for query in ("type=URL", "pretty", "")]
    others += [root + "88.118.8/empty", root + "88.118.8/hidden"]
    return [(path.encode(), is_ready) for path, is_ready in [*ready, *((p, False) for p in others)]]


BLOCKS = (
    (),
    (b"Accept: */*", b"User-Agent: curl/8.5.0"),
    (b"accept: text/html, application/json;q=0.9", b"Connection: Keep-Alive", b"DNT: 1"),
)


FRAMEWORK = b"X-Of-No-Meaning: 1"  # a header that only the framework reads


def test_http_replies_are_the_same_all_ways(nodes: Nodes) -> None:
    """From ready bytes; read past the framework, and kept ready or not; and by the framework."""
    asked = [(path, block, ready) for (path, ready), block in product(http_paths(), BLOCKS)]
    requests = [(get(path, *block), ready) for path, block, ready in asked]
    first = [converse(nodes.fast, [request]) for request, _ in requests]
    before = answered(nodes.fast, "http_json", ["memory"])
    again = [converse(nodes.fast, [request]) for request, _ in requests]

    read = [converse(nodes.plain, [request]) for request, _ in requests]
    ordinary = [converse(nodes.plain, [get(path, *block, FRAMEWORK)]) for path, block, _ in asked]

    replies = zip(requests, first, again, read, ordinary, strict=True)
    for (request, _), one, two, three, four in replies:
        assert one == two == three == four, request
    expected = sum(is_ready for _, is_ready in requests)
    eventually(lambda: answered(nodes.fast, "http_json", ["memory"]) - before >= expected)
    assert answered(nodes.fast, "http_json", ["memory"]) - before == expected
    assert answered(nodes.plain, "http_json", ["memory"]) == 0


def test_ready_reply_tells_the_version(nodes: Nodes) -> None:
    for settings in (nodes.fast, nodes.fast, nodes.plain):
        assert b'\r\netag: "1"\r\n' in converse(settings, [PLAIN])


def test_chinese_handle_typed_as_it_is_has_the_same_reply(nodes: Nodes) -> None:
    request = get("/api/handles/88.118.8/产品-001".encode())

    replies = [converse(settings, [request]) for settings in (nodes.fast, nodes.fast, nodes.plain)]

    assert b"https://example.org/\xe4\xba\xa7\xe5\x93\x81" in replies[0]
    assert len(set(replies)) == 1


def test_ready_reply_is_the_same_record_for_a_client_that_takes_gzip(nodes: Nodes) -> None:
    """The one difference: a ready reply is not compressed."""
    record = []
    for settings in (nodes.fast, nodes.fast, nodes.plain):
        host, port = settings.http_listen[0]
        url = f"http://{host}:{port}/api/handles/20.500.12345/BIG"
        response = httpx.get(url, trust_env=False)
        assert response.headers["vary"] == "Accept-Encoding"
        record.append(response.json())
    assert record[0] == record[1] == record[2]


ORDINARY: dict[str, tuple[bytes, int]] = {
    "Connection: close": (get(PATH, b"Connection: close"), 1),
    "Connection of several": (get(PATH, b"Connection: keep-alive, TE"), 1),
    "Range": (get(PATH, b"Range: bytes=0-9"), 1),
    "If-None-Match": (get(PATH, b'If-None-Match: "x"'), 1),
    "If-Modified-Since": (get(PATH, b"If-Modified-Since: Mon, 23 Nov 2026 00:00:00 GMT"), 1),
    "Accept without JSON": (get(PATH, b"Accept: text/html"), 1),
    "Accept-Encoding that forbids plain": (
        get(PATH, b"Accept-Encoding: gzip, identity;q=0"),
        1,
    ),
    "Authorization": (get(PATH, b"Authorization: Basic eDp5"), 1),
    "Cookie": (get(PATH, b"Cookie: a=b"), 1),
    "Origin": (get(PATH, b"Origin: https://example.org"), 1),
    "Expect: 100-continue": (get(PATH, b"Expect: 100-continue"), 1),
    "Content-Length: 0": (get(PATH, b"Content-Length: 0"), 1),
    "duplicate Host": (get(PATH, b"Host: other.test"), 1),
    "missing Host": (b"GET %b HTTP/1.1\r\n\r\n" % PATH, 1),
    "missing Host, other header": (b"GET %b HTTP/1.1\r\nAccept: */*\r\n\r\n" % PATH, 1),
    "HTTP/1.0": (b"GET %b HTTP/1.0\r\n%b\r\n" % (PATH, HOST), 1),
    "HTTP/1.0 kept": (b"GET %b HTTP/1.0\r\n%bConnection: keep-alive\r\n\r\n" % (PATH, HOST), 1),
    "HTTP/2.0": (b"GET %b HTTP/2.0\r\n%b\r\n" % (PATH, HOST), 1),
    "no version": (b"GET %b\r\n%b\r\n" % (PATH, HOST), 1),
    "obs-fold": (get(PATH, b"Accept: application/json,\r\n text/html"), 1),
    "absolute form": (b"GET http://idnode.test%b HTTP/1.1\r\n%b\r\n" % (PATH, HOST), 1),
    "lower-case method": (b"get %b HTTP/1.1\r\n%b\r\n" % (PATH, HOST), 1),
    "HEAD": (b"HEAD %b HTTP/1.1\r\n%b\r\n" % (PATH, HOST), 1),
    "OPTIONS": (b"OPTIONS %b HTTP/1.1\r\n%b\r\n" % (PATH, HOST), 1),
    "body": (get(PATH, b"Content-Length: 5") + b"hello", 1),
    "chunked body": (get(PATH, b"Transfer-Encoding: chunked") + b"2\r\nhi\r\n0\r\n\r\n", 1),
    "long header": (get(PATH, b"User-Agent: " + b"a" * 1_100), 1),
    "NUL in a header": (get(PATH, b"User-Agent: a\0b"), 1),
    "NUL in a name": (get(PATH, b"User\0Agent: a"), 1),
    "NUL in the path": (get(PATH + b"\0"), 1),
    "control character in a header": (get(PATH, b"User-Agent: a\x0bb"), 1),
    "space before the colon": (get(PATH, b"User-Agent : a"), 1),
    "no colon": (get(PATH, b"User-Agent"), 1),
    "bare LF": (get(PATH, b"User-Agent: a\nAccept: text/html"), 1),
    "two spaces": (b"GET  %b HTTP/1.1\r\n%b\r\n" % (PATH, HOST), 1),
    "space after the version": (b"GET %b HTTP/1.1 \r\n%b\r\n" % (PATH, HOST), 1),
    "version twice": (b"GET %b HTTP/1.1 HTTP/1.1\r\n%b\r\n" % (PATH, HOST), 1),
    "fragment": (get(PATH + b"#x"), 1),
    "dot segment": (get(b"/api/handles/../handles/20.500.12345/h000001"), 1),
    "line before": (b"\r\n" + PLAIN, 1),
    "pipelined pair": (PLAIN + PLAIN, 2),
    "three pipelined, unlike": (PLAIN + get(PATH + b"?type=URL") + PLAIN, 3),
    "trailing garbage": (PLAIN + b"garbage\r\n\r\n", 2),
    "trailing line": (PLAIN + b"\r\n", 1),
    "upgrade": (get(PATH, b"Connection: Upgrade", b"Upgrade: websocket"), 1),
    "TLS": (bytes.fromhex("160301020001000001fc0303") + bytes(40), 1),
}


@pytest.mark.parametrize("name", ORDINARY)
def test_what_is_not_plain_goes_the_ordinary_way(nodes: Nodes, name: str) -> None:
    request, count = ORDINARY[name]
    converse(nodes.fast, [PLAIN])
    before = answered(nodes.fast, "http_json", ["memory"])

    reply = converse(nodes.fast, [request], count)

    assert reply == converse(nodes.plain, [request], count)
    assert reply.startswith(b"HTTP/1.")
    assert answered(nodes.fast, "http_json", ["memory"]) == before


def test_hundred_headers_have_the_same_reply(nodes: Nodes) -> None:
    request = get(PATH, *[b"DNT: 1"] * 100)
    converse(nodes.fast, [PLAIN])

    assert converse(nodes.fast, [request]) == converse(nodes.plain, [request])


def test_http_request_in_two_pieces_has_the_same_reply(nodes: Nodes) -> None:
    converse(nodes.fast, [PLAIN])
    ends = [match.end() for match in re.finditer(rb"\r\n?| ", PLAIN)]
    for position in sorted({*ends, *range(1, len(PLAIN), 9)} - {len(PLAIN)}):
        pieces = [PLAIN[:position], PLAIN[position:]]

        assert converse(nodes.fast, pieces) == converse(nodes.plain, pieces), position


@pytest.mark.parametrize("seed", range(6))
def test_http_requests_on_one_connection_have_the_same_replies_in_any_pieces(
    nodes: Nodes, seed: int
) -> None:
    """Ready and ordinary requests mixed; a piece may hold the end of one and the beginning of the next."""
    chance = random.Random(seed)  # noqa: S311
    kinds = [PLAIN, PLAIN, get(PATH + b"?type=URL"), get(b"/api/handles/20.500.12345/nope")]
    requests = [chance.choice(kinds) for _ in range(8)]
    whole = b"".join(requests)
    cuts = sorted(chance.sample(range(1, len(whole)), 6))
    pieces = [whole[start:end] for start, end in zip([0, *cuts], [*cuts, None], strict=True)]

    for sent in (pieces, requests):
        assert converse(nodes.fast, sent, 8) == converse(nodes.plain, sent, 8)


# TCP


def mixed_requests(seed: int, count: int) -> list[bytes]:
    """Return requests with ids 1, 2, …: of those that are ready, some that never are, some that fail."""
    chance = random.Random(seed)  # noqa: S311
    usual = PROFILES[5]
    certified = Profile((2, 11), (2, 11), flags=USUAL | Flag.CERTIFY)
    digested = Profile((2, 11), (2, 11), flags=USUAL | Flag.REQUEST_DIGEST)
    kinds: list[Callable[[int], bytes]] = [
        *[lambda number: request_for("20.500.12345/h000001", number, usual)] * 4,
        *[lambda number: request_for("20.500.12345/BIG", number, usual)] * 2,
        lambda number: request_for("20.500.12345/nope", number, usual),
        lambda number: request_for("20.500.12345/MIXED", number, digested),
        lambda number: request_for("20.500.12345/MIXED", number, certified),
        site_request,
    ]
    return [chance.choice(kinds)(number) for number in range(1, count + 1)]


@pytest.mark.parametrize("seed", range(5))
def test_pipelined_messages_are_answered_in_order_in_any_pieces(nodes: Nodes, seed: int) -> None:
    requests = mixed_requests(seed, 40)
    expected = [comparable(ask_once(nodes.plain, request)) for request in requests]
    chance = random.Random(seed)  # noqa: S311
    whole = b"".join(requests)
    cuts = sorted(chance.sample(range(1, len(whole)), seed * 3))
    pieces = [whole[start:end] for start, end in zip([0, *cuts], [*cuts, None], strict=True)]

    with connected(nodes.fast.native_listen[0]) as stream:
        stream.send(*pieces)
        replies = [stream.receive() or b"" for _ in requests]

    assert [int.from_bytes(reply[8:12], "big") for reply in replies] == list(range(1, 41))
    assert [comparable(reply) for reply in replies] == expected


def test_more_messages_than_may_wait_are_answered_in_order(nodes: Nodes) -> None:
    requests = mixed_requests(99, 500)

    with connected(nodes.fast.native_listen[0]) as stream:
        stream.send(b"".join(requests))
        replies = [stream.receive() or b"" for _ in requests]

    assert [int.from_bytes(reply[8:12], "big") for reply in replies] == list(range(1, 501))


READY = request_for("20.500.12345/h000001", 1)
UNREADY = request_for("20.500.12345/nope", 2)
LOST = Envelope(2, 11, 2, 11, 0, 7).encode()[:16] + b"\x7f\xff\xff\xff" + b"what follows"


@pytest.mark.parametrize(
    "before",
    [[], [READY], [UNREADY], [READY, UNREADY], [UNREADY, READY], [READY, UNREADY, READY]],
    ids=lambda before: "+".join("ready" if each is READY else "ordinary" for each in before),
)
def test_lost_framing_is_told_after_what_was_asked_before(
    nodes: Nodes, before: list[bytes]
) -> None:
    ask_once(nodes.fast, READY)
    unreadable = happened(nodes.fast, "tcp_unreadable")
    with connected(nodes.fast.native_listen[0]) as stream:
        stream.send(b"".join(before) + LOST)

        replies = [stream.receive() or b"" for _ in before]
        error = stream.receive()

        assert [reply[8:12] for reply in replies] == [request[8:12] for request in before]
        assert error is not None
        assert (code_of(error), error[8:12]) == (ResponseCode.PROTOCOL_ERROR, LOST[8:12])
        assert stream.receive() is None
    assert happened(nodes.fast, "tcp_unreadable") == unreadable + 1


def test_client_that_has_said_all_still_gets_its_answers(nodes: Nodes) -> None:
    requests = [READY, UNREADY, READY, *mixed_requests(7, 10)]
    with connected(nodes.fast.native_listen[0]) as stream:
        stream.send(b"".join(requests))
        stream.finish()

        replies = [stream.receive() or b"" for _ in requests]

        assert [reply[8:12] for reply in replies] == [request[8:12] for request in requests]
        assert stream.receive() is None


@pytest.mark.parametrize("is_reset", [False, True])
def test_client_that_leaves_early_harms_nobody(nodes: Nodes, is_reset: bool) -> None:
    with connected(nodes.fast.native_listen[0]) as patient:
        ask_stream(patient, READY)
        eventually(lambda: level(nodes.fast, "connections") == 1)
        for position in range(20):
            for endpoint, said in (
                (nodes.fast.native_listen[0], b"".join(mixed_requests(position, 30))[:-9]),
                (nodes.fast.http_listen[0], (PLAIN + get(PATH + b"?type=URL")) * 5 + b"GET /a"),
            ):
                leave_early(endpoint, said[: len(said) - position * 7], is_reset)

        assert ask_stream(patient, UNREADY)[8:12] == UNREADY[8:12]
        eventually(lambda: level(nodes.fast, "connections") == 1)
    assert converse(nodes.fast, [PLAIN]) == converse(nodes.plain, [PLAIN])
    assert "an answer failed" not in nodes.process.said()
    assert "Traceback" not in nodes.process.said()


def leave_early(endpoint: tuple[str, int], said: bytes, is_reset: bool) -> None:
    with socket.create_connection(endpoint) as made:
        if is_reset:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        made.sendall(said)


def level(settings: Settings, gauge: str) -> int:
    """Return the sum of a level over the workers."""
    series = metrics(settings).items()
    return int(sum(value for name, value in series if name.startswith(f"idnode_{gauge}{{")))


# UDP


def test_unreadable_datagrams_are_dropped_and_counted(nodes: Nodes) -> None:
    runts = [b"x" * length for length in (1, 3, 19)]
    runts += [short_message(length) for length in (0, 1, 23)]
    whole = request_for("20.500.12345/h000001", 1)
    unreadable = [whole[:-1], whole + b"x", whole[:16] + b"\xff\xff\xff\xff" + whole[20:]]
    unreadable += [whole[:12] + b"\0\0\0\1" + whole[16:], bytes(60)]
    before = {each: happened(nodes.fast, each) for each in ("udp_runt", "udp_unreadable")}
    with asking(nodes.fast.native_listen[0]) as asker:
        asker.send(*runts, *unreadable)
        eventually(
            lambda: (
                {each: happened(nodes.fast, each) - count for each, count in before.items()}
                == {"udp_runt": len(runts), "udp_unreadable": len(unreadable)}
            )
        )

        assert asker.ask(renumbered(whole, 9))[8:12] == b"\0\0\0\x09"
        assert asker.is_silent()


def short_message(length: int) -> bytes:
    return (
        Envelope(2, 11, 2, 11, 0, 5, 0, length).encode()[:16]
        + struct.pack(">I", length)
        + bytes(length)
    )


@pytest.fixture(scope="module")
def ipv6(nodes: Nodes, directory: Path) -> Iterator[Settings]:
    """A third node, on IPv6 too, with a low rate of UDP answers."""
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        pytest.skip("this machine has no IPv6")
    rate = {"IDNODE_UDP_ANSWERS_PER_SECOND": "5", "IDNODE_UDP_ANSWERS_BURST": "5"}
    listen = {"IDNODE_HTTP_LISTEN": "[::1]:0", "IDNODE_NATIVE_LISTEN": "[::1]:0,127.0.0.1:0"}
    servers = {
        "IDNODE_DATABASE_URL": nodes.fast.database_url,
        "IDNODE_REDIS_URL": nodes.fast.redis_url,
    }
    with node_in(directory / "ipv6", **rate, **listen, **servers) as lent:
        yield lent.start()


def test_ipv6_listener_answers_every_way(nodes: Nodes, ipv6: Settings) -> None:
    endpoint = ipv6.native_listen[0]
    expected = comparable(ask_once(nodes.plain, READY))

    with asking(endpoint) as asker:
        assert [comparable(asker.ask(READY)) for _ in range(2)] == [expected] * 2
    with connected(endpoint) as stream:
        assert [comparable(ask_stream(stream, READY)) for _ in range(2)] == [expected] * 2
    with connected(ipv6.http_listen[0]) as stream:
        stream.send(get(PATH, b"Connection: close"))
        assert b'"handle":"20.500.12345/h000001"' in stream.read_to_end()


def test_source_that_asks_too_often_is_not_answered(ipv6: Settings) -> None:
    """Ready answers and ordinary ones alike; others are answered, and so is the source later."""
    sent, endpoint = 60, ipv6.native_listen[1]
    with asking(endpoint, "127.0.0.77") as asker, asking(endpoint, "127.0.0.78") as other:
        before, began = happened(ipv6, "udp_rate_limited"), monotonic()
        asker.send(*[READY, UNREADY] * (sent // 2))
        received = 0

        def is_all_accounted_for() -> bool:
            nonlocal received
            while not asker.is_silent():
                asker.receive()
                received += 1
            return received + happened(ipv6, "udp_rate_limited") - before == sent

        eventually(is_all_accounted_for)
        assert 5 <= received <= 5 * (monotonic() - began + 2)
        assert other.ask(READY)[8:12] == READY[8:12]
        eventually(lambda: is_answered(asker))


def is_answered(asker: Asker) -> bool:
    asker.send(READY)
    return not asker.is_silent(0.1)
