"""The client of records against servers that lose answers, are busy, or say no: over real sockets."""

import asyncio
import logging
import socket
from base64 import b64decode
from collections.abc import Awaitable, Callable
from contextlib import closing
from pathlib import Path

import orjson
import pytest

from resolver.client import (
    Basic,
    Busy,
    Certificate,
    Client,
    ClientError,
    ConditionFailed,
    Conflict,
    Credentials,
    Forbidden,
    Gone,
    InsecureLogin,
    Invalid,
    LoginFailed,
    LoginNeeded,
    NodeUnreachable,
    NotFound,
    NotOffered,
    Record,
    ServerFault,
    Terms,
    Token,
    Written,
)
from resolver.client.exchange import (
    ATTEMPTS,
    FIRST_PAUSE_SECONDS,
    LONGEST_PAUSE_SECONDS,
    pause_lengths,
)
from resolver.registrar import MUST_EXIST
from resolver.schemes import parse
from resolver.wire import HandleValue
from tests.support.cutting import Script, asking, cut, cutting, saying

URL = HandleValue(1, b"URL", b"https://example.org/1")
DONE = saying(201, '{"responseCode":1,"handle":"88.1/x"}', ETag='"1"')
NO_API = saying(
    404, '{"responseCode":4,"message":"Unknown HTTP API endpoint GET /api/handles/88.1/x"}'
)


Do = Callable[[Client], Awaitable[Written]]


async def test_write_whose_answer_was_lost_is_sent_again_with_the_same_key() -> None:
    async with cutting(cut, cut, DONE) as server, asking(server.url) as client:
        written = await client.put("88.1/x", (URL,))

    assert (written.handle, written.version, written.created) == ("88.1/x", 1, True)
    assert len(server.arrived) == 3
    assert len({(each.line, each.key, each.body) for each in server.arrived}) == 1
    assert len(server.arrived[0].key) == 32


HARMFUL_TWICE = pytest.mark.parametrize(
    "write",
    [
        lambda client: client.put("88.1", (URL,), mint=True),
        lambda client: client.add("88.1/x", (URL,)),
    ],
    ids=["mint", "add"],
)


@HARMFUL_TWICE
@pytest.mark.parametrize("lost", [cut, saying(503, '{"responseCode":3}')], ids=["lost", "busy"])
async def test_what_does_harm_twice_is_not_sent_again_to_a_server_that_may_not_know_keys(
    write: Do, lost: Script
) -> None:
    async with cutting(DONE, lost, DONE) as server, asking(server.url) as client:
        await client.put("88.1/x", (URL,))
        with pytest.raises((NodeUnreachable, Busy)) as raised:
            await write(client)

    assert len(server.arrived) == 2
    assert isinstance(raised.value, NodeUnreachable | Busy)
    assert raised.value.idempotency_key == server.arrived[1].key


@HARMFUL_TWICE
async def test_what_does_harm_twice_is_sent_again_once_the_server_has_said_it_honours_keys(
    write: Do,
) -> None:
    said = saying(409, '{"responseCode":101}', Idempotency_Key_Honoured="true")
    async with cutting(said, cut, DONE) as server, asking(server.url) as client:
        with pytest.raises(Conflict):
            await client.put("88.1/x", (URL,), overwrite=False)
        await write(client)

    assert len(server.arrived) == 3


@HARMFUL_TWICE
async def test_busy_answer_that_says_keys_are_honoured_is_reason_to_send_again(write: Do) -> None:
    busy = saying(503, '{"responseCode":3}', Idempotency_Key_Honoured="true")
    async with cutting(busy, cut, DONE) as server, asking(server.url) as client:
        await write(client)

    assert len(server.arrived) == 3


async def test_each_write_has_a_key_of_its_own() -> None:
    async with cutting(DONE) as server, asking(server.url) as client:
        await client.put("88.1/x", (URL,))
        await client.put("88.1/x", (URL,))

    assert server.arrived[0].key != server.arrived[1].key


async def test_busy_server_is_asked_again_after_as_long_as_it_says() -> None:
    paused: list[float] = []

    async def pause(seconds: float) -> None:
        paused.append(seconds)

    busy = saying(503, '{"responseCode":3}', Retry_After="2")
    for_ever = saying(503, '{"responseCode":3}', Retry_After="86400")
    async with cutting(busy, for_ever, DONE) as server, Client(server.url, sleep=pause) as client:
        await client.put("88.1/x", (URL,))

    assert paused == [2.0, LONGEST_PAUSE_SECONDS]
    assert len({each.key for each in server.arrived}) == 1


async def test_silent_server_is_asked_again() -> None:
    held = asyncio.Event()

    async def silent(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await held.wait()
        writer.close()

    async with await asyncio.start_server(silent, "127.0.0.1", 0) as server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with asking(url, seconds=0.05) as client:
            with pytest.raises(NodeUnreachable, match=r"no answer in 0\.05 s") as raised:
                await client.delete("88.1/x", Terms(idempotency_key="mine"))
        held.set()

    assert raised.value.idempotency_key == "mine"


async def test_asking_again_is_bounded_and_says_how_to_go_on() -> None:
    async with cutting(cut) as server, asking(server.url) as client:
        with pytest.raises(NodeUnreachable) as raised:
            await client.delete("88.1/x")

    assert len(server.arrived) == ATTEMPTS
    assert raised.value.idempotency_key == server.arrived[0].key

    async with (
        cutting(saying(503, '{"responseCode":3,"message":"soon"}')) as server,
        asking(server.url) as client,
    ):
        with pytest.raises(Busy, match="soon") as refused:
            await client.delete("88.1/x")

    assert len(server.arrived) == ATTEMPTS
    assert refused.value.idempotency_key == server.arrived[0].key


async def test_write_that_never_left_is_known_not_to_be_carried_out() -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as unused:
        port = unused.getsockname()[1]
    async with asking(f"http://127.0.0.1:{port}") as client:
        with pytest.raises(NodeUnreachable, match=str(port)) as raised:
            await client.put("88.1/x", (URL,))

    assert raised.value.idempotency_key == ""


def test_pauses_grow_and_differ() -> None:
    longest, shortest = list(pause_lengths(lambda: 0.0)), list(pause_lengths(lambda: 1.0))

    assert longest == [FIRST_PAUSE_SECONDS * 2**place for place in range(ATTEMPTS - 1)]
    assert shortest == [each / 2 for each in longest]


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (404, '{"responseCode":100}', NotFound),
        (400, '{"responseCode":200}', NotFound),
        (400, '{"responseCode":301}', NotFound),
        (300, '{"responseCode":302}', NotFound),
        (409, '{"responseCode":101}', Conflict),
        (409, '{"responseCode":201}', Conflict),
        (412, '{"responseCode":2,"version":7}', ConditionFailed),
        (401, '{"responseCode":402}', LoginNeeded),
        (403, '{"responseCode":402}', LoginNeeded),
        (401, '{"responseCode":403}', LoginFailed),
        (403, '{"responseCode":400}', Forbidden),
        (400, '{"responseCode":4}', Invalid),
        (400, '{"responseCode":202}', Invalid),
        (501, '{"responseCode":5}', NotOffered),
        (500, '{"responseCode":2}', ServerFault),
        (429, "", Busy),
        (405, "<html>", NotOffered),
        (418, "", ServerFault),
        (200, "<html>", NodeUnreachable),
        (200, '{"responseCode":"1"}', NodeUnreachable),
    ],
)
async def test_refusal_is_of_its_kind(status: int, body: str, kind: type[ClientError]) -> None:
    async with cutting(saying(status, body)) as server, asking(server.url) as client:
        with pytest.raises(kind) as raised:
            await client.put("88.1/x", (URL,))

    assert type(raised.value) is kind


async def test_refusal_tells_what_the_server_said_and_what_it_knows() -> None:
    body = '{"responseCode":409,"detail":"it is at 7","version":7}'
    async with cutting(saying(412, body)) as server, asking(server.url) as client:
        with pytest.raises(ConditionFailed, match="it is at 7") as failed:
            await client.put("88.1/x", (URL,), Terms(if_version=3))
    assert failed.value.version == 7

    gone = '{"responseCode":100,"at":"2026-01-02T03:04:05Z","reason":"sold"}'
    async with cutting(NO_API, saying(410, gone)) as server, asking(server.url) as client:
        with pytest.raises(Gone) as tombstone:
            await client.get("88.1/x")
    assert (tombstone.value.at, tombstone.value.reason) == ("2026-01-02T03:04:05Z", "sold")


@pytest.mark.parametrize(
    ("terms", "headers"),
    [
        (Terms(if_version=3), {"if-match": '"3"'}),
        (Terms(if_version=MUST_EXIST), {"if-match": "*"}),
        (Terms(if_version=0), {"if-none-match": "*"}),
        (Terms(idempotency_key="mine"), {"idempotency-key": "mine"}),
    ],
)
async def test_terms_are_sent_as_headers(terms: Terms, headers: dict[str, str]) -> None:
    async with cutting(DONE) as server, asking(server.url) as client:
        await client.put("88.1/x", (URL,), terms)

    assert headers.items() <= server.arrived[0].headers.items()


async def test_handle_json_api_is_asked_in_its_own_way() -> None:
    record = '{"responseCode":1,"handle":"88.1/X","values":[{"index":1,"type":"URL","data":"u"}]}'
    async with (
        cutting(DONE, DONE, saying(200, record, ETag='"4"'), DONE, DONE, DONE) as server,
        asking(server.url) as client,
    ):
        await client.put("hdl:88.1/a b?", (URL,), overwrite=False, mint=True)
        await client.add("88.1/x", (URL,), Terms(reason="why not"), overwrite=True)
        shown = await client.get("88.1/x")
        await client.remove("88.1/x", (1, 2))
        await client.delete("88.1/x")
        await client.put(parse("1.2.156.1000", None), (URL,))

    assert shown == Record("88.1/X", 4, (HandleValue(1, b"URL", b"u"),))
    assert [each.line.rpartition(" ")[0] for each in server.arrived] == [
        "PUT /api/handles/88.1/a%20b%3F?overwrite=false&mintNewSuffix=true",
        "PUT /api/handles/88.1/x?index=1&reason=why%20not&overwrite=true",
        "GET /api/handles/88.1/x?auth=true",
        "DELETE /api/handles/88.1/x?index=1&index=2",
        "DELETE /api/handles/88.1/x",
        "PUT /api/handles/oid:1.2.156.1000?overwrite=true",
    ]
    sent = orjson.loads(server.arrived[0].body)
    assert [value["index"] for value in sent["values"]] == [1]


async def test_modify_over_the_handle_json_api_changes_nothing_that_is_not_there() -> None:
    record = '{"responseCode":1,"handle":"88.1/x","values":[{"index":1,"type":"URL","data":"u"}]}'
    async with (
        cutting(saying(200, record), saying(200, record), DONE) as server,
        asking(server.url) as client,
    ):
        with pytest.raises(NotFound, match="missing: 2"):
            await client.modify("88.1/x", (HandleValue(2, b"URL", b"u"),))
        await client.modify("88.1/x", (URL,))

    assert [each.line.split(" ")[0] for each in server.arrived] == ["GET", "GET", "PUT"]


async def test_segments_of_dots_arrive_as_they_are() -> None:
    async with cutting(DONE) as server, asking(server.url) as client:
        await client.delete("88.1/a/../b//./c")

    assert server.arrived[0].line.split(" ")[1] == "/api/handles/88.1/a/%2E%2E/b//%2E/c"


async def test_server_without_the_handle_json_api_is_asked_by_ours_from_then_on() -> None:
    done = saying(200, '{"handle":"88.1/x","version":2,"created":false}', ETag='"2"')
    async with cutting(NO_API, done) as server, asking(server.url) as client:
        written = await client.put("88.1/x", (URL,))
        await client.modify("88.1/x", (URL,), Terms(reason="because"))

    assert (written.version, written.created) == (2, False)
    assert [each.line.rpartition(" ")[0] for each in server.arrived] == [
        "PUT /api/handles/88.1/x?overwrite=true",
        "PUT /v1/records/88.1/x?scheme=handle&overwrite=true",
        "PATCH /v1/records/88.1/x?scheme=handle&reason=because",
    ]
    assert len({each.key for each in server.arrived[:2]}) == 1
    assert list(orjson.loads(server.arrived[2].body)) == ["modify"]


async def test_server_that_offers_neither_is_told() -> None:
    async with cutting(saying(404, "<html>")) as server, asking(server.url) as client:
        with pytest.raises(NotOffered):
            await client.get("88.1/x")
        with pytest.raises(NotOffered):
            await client.history("88.1/x")


@pytest.mark.parametrize(
    ("credentials", "sent"),
    [
        (Basic("300:88.1/a:b 工", "ge:heim"), b"300%3A88.1/a%3Ab%20%E5%B7%A5:ge:heim"),
        (Token("idnt_1"), b""),
    ],
)
async def test_credentials_are_sent_and_never_shown(
    credentials: Basic | Token, sent: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    secret = credentials.secret if isinstance(credentials, Basic) else credentials.text
    async with cutting(DONE, cut) as server, asking(server.url, credentials) as client:
        await client.put("88.1/x", (URL,))
        with pytest.raises(NodeUnreachable) as raised:
            await client.put("88.1/x", (URL,))
    header = server.arrived[0].headers["authorization"]

    kind, _, text = header.partition(" ")
    assert (kind == "Basic" and b64decode(text) == sent) or header == f"Bearer {secret}"
    seen = f"{credentials!r} {raised.value} {caplog.text}"
    assert secret not in seen
    assert text not in seen


@pytest.mark.parametrize(
    ("url", "credentials", "cleartext", "error"),
    [
        ("http://192.0.2.7", Token("x"), False, InsecureLogin),
        ("http://id.example.cn:8000", Basic("300:88.1/A", "x"), False, InsecureLogin),
        ("http://127.0.0.1", Certificate(Path("c")), True, InsecureLogin),
        ("ftp://127.0.0.1", None, False, ClientError),
        ("http://", None, False, ClientError),
        ("https://user:geheim@127.0.0.1", None, False, ClientError),
        ("https://127.0.0.1", Certificate(Path("/nowhere")), False, ClientError),
    ],
)
def test_way_that_shows_a_secret_is_refused(
    url: str, credentials: Credentials | None, cleartext: bool, error: type[ClientError]
) -> None:
    with pytest.raises(error) as raised:
        Client(url, credentials, cleartext=cleartext)

    assert "geheim" not in str(raised.value).replace(url, "")


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.0.1", "[::1]", "localhost", "LocalHost"])
async def test_this_machine_may_be_told_secrets(host: str) -> None:
    async with Client(f"http://{host}:1", Token("x")):
        pass


async def test_cleartext_may_be_allowed_on_purpose() -> None:
    async with Client("http://192.0.2.7", Token("x"), cleartext=True):
        pass
