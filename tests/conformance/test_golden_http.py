"""Every recorded HTTP exchange is answered with the recorded status, headers and body.

Recorded on loopback from the Handle.Net reference server 9.2.0 (raw requests; `handle-golden.json`), with the records
of `handle-fixture.ndjson`.  What is different on purpose is listed below by name, with the reason.

They came over plain HTTP, where the reference lets nobody log in; so does this server, except from the same machine.
Our side is therefore asked as if from another one.  Writing, which was recorded over TLS, is in
`test_golden_http_writes`.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path

import pytest
import pytest_asyncio

from resolver.wire import ENVELOPE_BYTES, decode_site
from tests.support.memory import MemoryStore
from tests.support.raw_http import RawReply
from tests.support.web import Web, from_afar, serving

FILES = Path(__file__).parent
VECTORS: dict[str, dict[str, str]] = {
    vector["name"]: vector
    for vector in json.loads((FILES / "handle-golden.json").read_text("utf-8"))["vectors"]
    if vector["transport"] == "http"
}
EXPIRATION = slice(ENVELOPE_BYTES + 16, ENVELOPE_BYTES + 20)
RECORDED_EXPIRATION = b"k\x046u"
OWN_BODY = {
    "http_redirect": "our own short page, with the same link",
    "http_noredirect": "our own record page; the reference shows its maker's logo and contact",
    "http_put_no_auth": "the message says what is wrong, instead of naming the reference's Java class",
    "http_json_create_plain_http": "a message says why the login was not looked at",
    "http_native_post": "compared as a message: the expiration is the time of the answer",
}
SAME_BODY = sorted(set(VECTORS) - set(OWN_BODY))
HEADERS_OF_THE_CONNECTION = {"connection", "date", "content-length"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def address() -> AsyncIterator[tuple[str, int]]:
    store = MemoryStore()
    store.load(FILES / "handle-fixture.ndjson")
    own = next(
        value for value in store.values_by_key[b"0.NA/20.500.12345"] if value.type == b"HS_SITE"
    )
    async with serving(from_afar(Web(store, site=decode_site(own.data)).app)) as bound:
        yield bound


async def ask(address: tuple[str, int], name: str) -> tuple[RawReply, RawReply]:
    """Send a recorded request; return our reply and the recorded one."""
    vector = VECTORS[name]
    reader, writer = await asyncio.open_connection(*address)
    writer.write(vector["request_text"].encode("latin-1"))
    ours = RawReply(await reader.read())
    writer.close()
    await writer.wait_closed()
    return ours, RawReply(vector["response_text"].encode())


pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.mark.parametrize("name", sorted(VECTORS))
async def test_status_and_headers_are_as_recorded(address: tuple[str, int], name: str) -> None:
    ours, recorded = await ask(address, name)

    assert ours.status == recorded.status
    for header in recorded.headers.keys() - HEADERS_OF_THE_CONNECTION - {"expires"}:
        assert ours.headers.get(header) == recorded.headers[header]


@pytest.mark.parametrize("name", SAME_BODY)
async def test_body_is_as_recorded_to_the_byte(address: tuple[str, int], name: str) -> None:
    ours, recorded = await ask(address, name)

    assert ours.body.decode() == recorded.body.decode()


async def test_redirect_may_be_kept_as_long_as_recorded(address: tuple[str, int]) -> None:
    ours, recorded = await ask(address, "http_redirect")

    kept = [
        parsedate_to_datetime(reply.header("expires") or "")
        - parsedate_to_datetime(reply.header("date") or "")
        for reply in (ours, recorded)
    ]
    assert abs(kept[0] - kept[1]) <= timedelta(seconds=1)  # the date line is renewed once a second
    assert b'<a href="https://example.org/landing/h000001">' in ours.body


async def test_record_page_shows_every_value(address: tuple[str, int]) -> None:
    ours, _ = await ask(address, "http_noredirect")

    for text in (b"URL", b"https://example.org/landing/h000001", b"EMAIL", b"HS_ADMIN"):
        assert text in ours.body


async def test_put_without_values_is_told_apart_from_put_without_login(
    address: tuple[str, int],
) -> None:
    ours, _ = await ask(address, "http_put_no_auth")

    assert json.loads(ours.body) == {
        "responseCode": 4,
        "message": "Invalid JSON in PUT request: value None: index must be a number from 0 to 2147483647, not None",
    }


async def test_login_over_plain_http_is_not_looked_at(address: tuple[str, int]) -> None:
    ours, recorded = await ask(address, "http_json_create_plain_http")
    body = json.loads(ours.body)

    assert "https" in body.pop("message")
    assert body == json.loads(recorded.body)


async def test_native_message_by_post_is_answered_as_recorded(address: tuple[str, int]) -> None:
    ours, recorded = await ask(address, "http_native_post")
    message = bytearray(ours.body)
    message[EXPIRATION] = RECORDED_EXPIRATION

    assert message.decode(errors="replace") == recorded.body.decode()
