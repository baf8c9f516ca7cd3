"""`idnode resolve` from outside: what it prints, and its exit codes."""

import asyncio
import json
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from node.cli import main
from resolver.wire import HandleValue
from tests.support.native import NativeServer
from tests.support.web import Web, serving


@pytest.fixture
def web() -> Web:
    web = Web()
    web.store.put("0.NA/88.118.8", ())
    url = HandleValue(1, b"URL", "https://example.org/产品".encode(), timestamp=5)
    evil = HandleValue(2, b"\x1b[2J", b"[bold]x[/bold]\xe2\x80\xae", timestamp=5)
    web.store.put("88.118.8/item", (url, evil))
    web.store.put("0.NA/88.300", (HandleValue(1, b"HS_SITE", b"somewhere", timestamp=5),))
    web.store.homed.discard(b"88.300")
    web.store.delegated.add(b"88.300")
    return web


@pytest_asyncio.fixture(params=["tcp", "udp", "http"])
async def way(web: Web, request: pytest.FixtureRequest) -> AsyncIterator[list[str]]:
    """The options that ask the node one way."""
    if request.param == "http":
        async with serving(web.app) as (host, port):
            yield ["--over", "http", "--server", f"{host}:{port}"]
    else:
        async with NativeServer(web.responder).listening() as server:
            yield ["--over", request.param, "--server", f"{server.host}:{server.port}"]


async def idnode(*words: str) -> int:
    return await asyncio.to_thread(main, ["resolve", *words])


async def test_record_is_shown_as_a_table(
    way: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    code = await idnode(*way, "hdl:88.118.8/item")

    shown = capsys.readouterr()
    assert (code, shown.err) == (0, "")
    assert "https://example.org/产品" in shown.out
    assert "86400" in shown.out
    assert "[bold]" in shown.out
    assert "\x1b" not in shown.out
    assert "\u202e" not in shown.out


async def test_json_is_that_of_the_api(way: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    code = await idnode(*way, "88.118.8/ITEM", "--json", "--type", "URL", "--index", "9")

    answer = json.loads(capsys.readouterr().out)
    assert (code, answer["responseCode"], answer["handle"]) == (0, 1, "88.118.8/ITEM")
    assert [value["index"] for value in answer["values"]] == [1]


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (["88.118.8/none"], 3, "no such identifier"),
        (["88.118.8/item", "--index", "9"], 3, "no such public values"),
        (["99.9/x"], 3, "prefix is not served there"),
        (["88.300/x"], 3, "another server has it"),
        (["not-an-identifier"], 2, "no identifier scheme"),
        (["88.118.8/item", "--index", "-1"], 2, "--index"),
    ],
)
async def test_failure_has_its_code_and_a_sentence(
    way: list[str],
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    code: int,
    sentence: str,
) -> None:
    assert await idnode(*way, *words) == code
    assert sentence in capsys.readouterr().err


async def test_busy_server_is_not_available(
    web: Web, way: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    web.store.is_down = True

    assert await idnode(*way, "88.118.8/item") == 7
    assert "busy" in capsys.readouterr().err


@pytest.mark.parametrize("over", ["tcp", "udp", "http"])
async def test_nobody_there_is_not_available(
    over: str, unused_tcp_port: int, capsys: pytest.CaptureFixture[str]
) -> None:
    code = await idnode("--over", over, "--server", f"127.0.0.1:{unused_tcp_port}", "88.118.8/x")

    assert code == 7
    assert str(unused_tcp_port) in capsys.readouterr().err


@pytest.mark.parametrize(
    "words",
    [
        ["--server", "nowhere", "88.118.8/x"],
        ["--over", "http", "--server", "ftp://127.0.0.1", "88.118.8/x"],
        ["--over", "http", "--server", "http://", "88.118.8/x"],
    ],
)
async def test_server_that_is_no_address_is_wrong_use(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert await idnode(*words) == 2
    assert "--server" in capsys.readouterr().err
