"""Asking a node over real sockets: each way gives the same reply, and silence or rubbish is told as such."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import closing

import pytest
import pytest_asyncio

from resolver.client import (
    NodeUnreachable,
    Query,
    Reply,
    ask_http,
    ask_tcp,
    ask_udp,
    resolution,
    wire_name,
)
from resolver.identifier import Scheme
from resolver.schemes import parse
from resolver.wire import HandleValue, ResponseCode
from tests.support.native import NativeServer
from tests.support.web import Web, serving

LONG = HandleValue(7, b"DESC", b"x" * 3_000, timestamp=5)
RECORD = (
    HandleValue(1, b"URL", b"https://example.org/1", timestamp=5),
    HandleValue(2, b"NOTE", b"\xff\x00", timestamp=5, ttl_type=1, ttl=2_000_000_000),
    HandleValue(3, b"SECRET", b"x", permissions=0b1100, timestamp=5),
)


@pytest.fixture
def web() -> Web:
    web = Web()
    web.store.put("0.NA/88.118.8", ())
    web.store.put("88.118.8/item", RECORD)
    web.store.put("88.118.8/工业 a/b?c#d", RECORD[:1])
    web.store.put("88.118.8/long", (LONG,))
    web.store.put("0.NA/88.300", (HandleValue(1, b"HS_SITE", b"x", timestamp=5),))
    web.store.homed.discard(b"88.300")
    web.store.delegated.add(b"88.300")
    return web


@pytest_asyncio.fixture
async def native(web: Web) -> AsyncIterator[NativeServer]:
    async with NativeServer(web.responder).listening() as server:
        yield server


Ask = Callable[[Query], Awaitable[Reply]]


@pytest_asyncio.fixture(params=["udp", "tcp", "http"])
async def ask(web: Web, native: NativeServer, request: pytest.FixtureRequest) -> AsyncIterator[Ask]:
    if request.param == "udp":
        yield lambda query: ask_udp(native.host, native.port, query, 7)
    elif request.param == "tcp":
        yield lambda query: ask_tcp(native.host, native.port, query, 7)
    else:
        async with serving(web.app) as (host, port):
            yield lambda query: ask_http(f"http://{host}:{port}", query)


@pytest.mark.parametrize(
    ("query", "values"),
    [
        (Query(b"88.118.8/item"), RECORD[:2]),
        (Query(b"88.118.8/ITEM", types=(b"url",)), RECORD[:1]),
        (Query(b"88.118.8/item", types=(b"URL",), indexes=(2,), authoritative=True), RECORD[:2]),
        (Query("88.118.8/工业 a/b?c#d".encode()), RECORD[:1]),
        (Query(b"88.118.8/long"), (LONG,)),
    ],
)
async def test_each_way_brings_the_same_values(
    ask: Ask, query: Query, values: tuple[HandleValue, ...]
) -> None:
    assert await ask(query) == Reply(ResponseCode.SUCCESS, values)


@pytest.mark.parametrize(
    ("handle", "code"),
    [
        (b"88.118.8/none", ResponseCode.HANDLE_NOT_FOUND),
        (b"99.9/x", ResponseCode.SERVER_NOT_RESPONSIBLE),
    ],
)
async def test_each_way_brings_the_same_refusal(
    ask: Ask, handle: bytes, code: ResponseCode
) -> None:
    reply = await ask(Query(handle))

    assert (reply.code, reply.values) == (code, ())


async def test_each_way_brings_the_referral(ask: Ask) -> None:
    reply = await ask(Query(b"88.300/x"))

    assert (reply.code, reply.referral) == (ResponseCode.SERVICE_REFERRAL, b"0.NA/88.300")
    assert [value.type for value in reply.values] == [b"HS_SITE"]


async def test_lost_datagram_is_sent_again(
    native: NativeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resolution, "UDP_WAITS_SECONDS", (0.05, 0.05, 1.0))
    native.drop = 2

    reply = await ask_udp(native.host, native.port, Query(b"88.118.8/item"), 7)

    assert reply.code == ResponseCode.SUCCESS


async def test_silence_by_udp_says_to_use_tcp(
    native: NativeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resolution, "UDP_WAITS_SECONDS", (0.01, 0.01))
    native.drop = 2

    with pytest.raises(NodeUnreachable, match="ask by TCP"):
        await ask_udp(native.host, native.port, Query(b"88.118.8/item"), 7)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda _: b"\0" * 19,
        lambda reply: reply[:8] + b"\0\0\0\1" + reply[12:],
        lambda reply: reply[:16] + b"\xff\xff\xff\xff" + reply[20:],
    ],
    ids=["runt", "another id", "another length"],
)
async def test_rubbish_by_udp_is_no_answer(
    native: NativeServer, monkeypatch: pytest.MonkeyPatch, spoil: Callable[[bytes], bytes]
) -> None:
    monkeypatch.setattr(resolution, "UDP_WAITS_SECONDS", (0.05,))
    native.spoil = spoil

    with pytest.raises(NodeUnreachable):
        await ask_udp(native.host, native.port, Query(b"88.118.8/item"), 7)


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (lambda _: b"HTTP/1.1 400 Bad Request\r\n\r\n" * 20, "does not speak"),
        (lambda reply: reply[:40] + b"\xff\xff\xff\xff" + reply[44:], "cannot be read"),
        (lambda reply: reply[:60], "no answer"),
    ],
    ids=["another protocol", "broken body", "half"],
)
async def test_rubbish_by_tcp_is_told(
    native: NativeServer,
    monkeypatch: pytest.MonkeyPatch,
    spoil: Callable[[bytes], bytes],
    why: str,
) -> None:
    monkeypatch.setattr(resolution, "TCP_SECONDS", 0.3)
    native.spoil = spoil

    with pytest.raises(NodeUnreachable, match=why):
        await ask_tcp(native.host, native.port, Query(b"88.118.8/item"), 7)


async def test_nobody_there_is_told_by_every_way() -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as unused:
        port = unused.getsockname()[1]
    query = Query(b"88.118.8/item")

    for asked in (
        ask_udp("127.0.0.1", port, query, 7),
        ask_tcp("127.0.0.1", port, query, 7),
        ask_http(f"http://127.0.0.1:{port}", query),
    ):
        with pytest.raises(NodeUnreachable, match=str(port)):
            await asked


@pytest.mark.parametrize(
    "body", [b"<html>", b"[]", b'{"responseCode":"1"}', b'{"responseCode":1,"values":[1]}']
)
async def test_http_server_that_is_no_handle_server_is_told(body: bytes) -> None:
    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(NodeUnreachable, match="JSON API"):
            await ask_http(f"http://127.0.0.1:{port}", Query(b"88.118.8/item"))


@pytest.mark.parametrize(
    ("text", "scheme", "name"),
    [
        ("hdl:88.118.8/X", None, b"88.118.8/X"),
        ("88.118", None, b"88.118"),
        ("doi:10.1000/A:b", None, b"10.1000/A:b"),
        ("88.118.8/hdl:x", None, b"88.118.8/hdl:x"),
        ("urn:oid:1.2.156", None, b"oid:1.2.156"),
        ("(01)09506000134352", None, b"gs1:01/09506000134352"),
        ("11234567", Scheme.ECODE, b"ecode:11234567"),
    ],
)
def test_identifier_is_spelled_for_the_wire(text: str, scheme: Scheme | None, name: bytes) -> None:
    assert wire_name(parse(text, scheme)) == name
