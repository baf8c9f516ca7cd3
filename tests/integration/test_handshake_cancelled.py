"""Whoever is cancelled while TLS begins leaves no connection behind, whomever he asks."""

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import pytest

from node.ledger.cosigning import Cosigning
from node.ledger.logfiles import LogFiles
from node.ledger.quorum import Policy
from node.store.ledger import Cosignature
from resolver.client import Query, ask_http
from resolver.client.exchange import Asked, Exchange
from resolver.observe import CELL_COUNT, Tally
from tests.support.logs import WrittenLog, make_leaves
from tests.support.witnesses import ScriptedWitness, signed

SECONDS = 20.0

Ask = Callable[[str, Path], Awaitable[object]]


async def resolve(url: str, _directory: Path) -> None:
    await ask_http(url, Query(b"88.118/a"))


async def exchange(url: str, _directory: Path) -> None:
    asking = Exchange(url, {}, ssl.create_default_context())
    try:
        await asking.ask(Asked("GET", "/"))
    finally:
        await asking.close()


async def keep_rows(_rows: Sequence[Cosignature]) -> None:
    """Nobody cosigns anything here."""


async def cosign(url: str, directory: Path) -> None:
    log, files = WrittenLog(), LogFiles(directory)
    files.make()
    log.append(make_leaves(3))
    log.write(directory / "log", signed(log))
    witness = f"witness w {ScriptedWitness('top').cosigner.key} {url}"
    policy = Policy.parse(f"log {log.signer.key}\n{witness}\nquorum w\n".encode())
    cosigning = Cosigning(files, policy, Tally([0] * CELL_COUNT), keep_rows)
    try:
        await cosigning.run()
    finally:
        await cosigning.close()


@pytest.mark.parametrize("ask", [resolve, exchange, cosign])
async def test_who_is_cancelled_in_the_handshake_leaves_no_connection(
    ask: Ask, tmp_path: Path
) -> None:
    came: asyncio.Queue[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = asyncio.Queue()
    silent = await asyncio.start_server(lambda *ends: came.put_nowait(ends), "127.0.0.1", 0)
    port = silent.sockets[0].getsockname()[1]
    async with silent, asyncio.timeout(SECONDS):
        asking = asyncio.ensure_future(ask(f"https://127.0.0.1:{port}", tmp_path))
        reader, writer = await came.get()
        await reader.read(1)  # of its first words; it waits for ours
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        await reader.read()  # until it has closed
        writer.close()
