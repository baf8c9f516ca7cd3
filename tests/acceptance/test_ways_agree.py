"""HTTP and the native protocol never disagree: every record is asked for both ways, and the answers are compared."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from resolver.client import Query, Reply, ask_http, ask_tcp
from resolver.wire import ResponseCode
from tests.support.native import NativeServer
from tests.support.web import Web, serving

FIXTURE = Path(__file__).parents[1] / "conformance" / "handle-fixture.ndjson"
ABSENT = [
    "20.500.12345/nope",
    "0.NA/20.500.12345.9",
    "20.500.12345",
    "88.1000",
    "999.9/x",
    "0",
    "12",
]
CHOICES = [
    {},
    {"types": (b"url",)},
    {"types": (b"URL.",)},
    {"types": (b"HS_SITE", b"EMAIL"), "indexes": (100,)},
    {"indexes": (1, 2, 3)},
    {"types": (b"",)},
    {"indexes": (0,), "authoritative": True},
]  # fmt: skip


def queries() -> Iterator[Query]:
    handles = [json.loads(line)["handle"] for line in FIXTURE.read_text("utf-8").splitlines()]
    for handle in [*handles, *[handle.lower() for handle in handles], *ABSENT]:
        for choice in CHOICES:
            yield Query(handle.encode(), **choice)  # type: ignore[arg-type]


def by_index(reply: Reply) -> tuple[int, bytes, list[object]]:
    """Return what both ways must agree on; JSON puts the values in order."""
    values = sorted(reply.values, key=lambda value: value.index)
    return reply.code, reply.referral, list(values)


@pytest.mark.parametrize("is_down", [False, True])
async def test_every_record_is_the_same_both_ways(is_down: bool) -> None:
    web = Web()
    web.store.load(FIXTURE)
    web.store.homed.discard(b"86.1000.1")
    web.store.delegated.add(b"86.1000.1")
    web.store.is_down = is_down
    async with serving(web.app) as (host, port), NativeServer(web.responder).listening() as native:
        for query in queries():
            over_http = await ask_http(f"http://{host}:{port}", query)
            over_tcp = await ask_tcp(native.host, native.port, query, 1)

            assert by_index(over_http) == by_index(over_tcp), query
            assert not is_down or over_tcp.code in (
                ResponseCode.SERVER_BUSY,
                ResponseCode.SERVER_NOT_RESPONSIBLE,
                ResponseCode.HANDLE_NOT_FOUND,
            )
