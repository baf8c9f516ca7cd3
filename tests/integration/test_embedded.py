"""The embedded servers: what they are started with, and that nothing a killed one left behind is believed."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import pytest
from redis.asyncio import Redis

from node.config import Settings
from node.errors import Kind, RegistryError
from node.process.account import OURSELVES, choose_account
from node.process.embedded import WORKER_CONNECTIONS, Server, embed_postgres, embed_valkey
from node.process.home import Home, open_home
from node.process.lock import DataDirectory
from node.process.machine import buffer_bytes, memory_bytes
from node.process.probe import ping_redis
from node.registry.searching import MAX_SEARCHES
from node.store.listing import LIST_CONNECTIONS
from node.store.records import HELD_CONNECTIONS, VAULT_READS
from node.writepath import WRITE_CONNECTIONS
from tests.support.nodes import is_alive
from tests.support.waiting import until


@dataclass
class Place:
    settings: Settings
    directory: DataDirectory
    home: Home

    async def postgres(self) -> Server:
        return await embed_postgres(self.home, self.directory, self.settings)

    def valkey(self) -> Server:
        return embed_valkey(self.home, self.directory)


@pytest.fixture
def place(server_directory: Path, request: pytest.FixtureRequest) -> Iterator[Place]:
    data_dir = server_directory / f"embedded-{abs(hash(request.node.name)):x}"
    settings = Settings(data_dir=data_dir)
    directory = DataDirectory.acquire(data_dir)
    yield Place(settings, directory, open_home(data_dir, settings.embedded_user))
    directory.release()


@asynccontextmanager
async def kept(server: Server) -> AsyncIterator[Server]:
    """Run it as the supervisor does."""
    async with asyncio.TaskGroup() as tasks, AsyncExitStack() as stack:
        stack.push_async_callback(server.child.stop)
        await server.child.start()
        tasks.create_task(server.child.keep())
        yield server


async def ask(url: str, statement: str) -> str:
    connection = await asyncpg.connect(url)
    try:
        return str(await connection.fetchval(statement))
    finally:
        await connection.close()


async def answers(url: str) -> bool:
    try:
        return await ask(url, "select 1") == "1"
    except (OSError, asyncpg.PostgresError):
        return False


def process_of(place: Place) -> int:
    return int((place.home.cluster / "postmaster.pid").read_text().splitlines()[0])


async def test_postgres_is_careful_and_listens_on_no_network(place: Place) -> None:
    async with kept(await place.postgres()) as server:
        for setting, value in {
            "fsync": "on",
            "synchronous_commit": "on",
            "full_page_writes": "on",
            "listen_addresses": "",
            "server_encoding": "UTF8",
            "timezone": "UTC",
            "max_connections": str(60 + WORKER_CONNECTIONS * place.settings.workers),
        }.items():
            assert await ask(server.url, f"show {setting}") == value
        assert await ask(server.url, "select current_database()") == "idnode"
        pages = await ask(
            server.url, "select setting from pg_settings where name = 'shared_buffers'"
        )
        assert int(pages) * 8192 == buffer_bytes(memory_bytes())
    assert place.home.sockets.stat().st_mode & 0o077 == 0


def test_postgres_takes_all_the_connections_of_a_worker() -> None:
    feed_and_prefixes = 1
    reads = HELD_CONNECTIONS + VAULT_READS + feed_and_prefixes + MAX_SEARCHES

    assert reads + WRITE_CONNECTIONS + LIST_CONNECTIONS <= WORKER_CONNECTIONS


async def test_valkey_forgets_the_least_used_and_keeps_no_file(place: Place) -> None:
    async with kept(place.valkey()) as server:
        client = Redis.from_url(server.url)
        config = await client.config_get("maxmemory*", "save", "appendonly")
        await client.aclose()

    assert config["maxmemory"] == str(256 << 20)
    assert config["maxmemory-policy"] == "allkeys-lru"
    assert (config["save"], config["appendonly"]) == ("", "no")


async def test_pid_file_that_names_a_living_process_is_not_believed(place: Place) -> None:
    async with kept(await place.postgres()):
        content = (place.home.cluster / "postmaster.pid").read_text().splitlines()
    living = "\n".join([str(os.getppid()), *content[1:]])
    (place.home.cluster / "postmaster.pid").write_text(living)
    place.home.account.own(place.home.cluster / "postmaster.pid")

    async with kept(await place.postgres()) as server:
        assert await ask(server.url, "select 1") == "1"


async def test_half_made_cluster_is_made_again(place: Place) -> None:
    half = place.home.cluster.with_name("postgres.partial")
    (half / "base").mkdir(parents=True)

    async with kept(await place.postgres()) as server:
        assert await ask(server.url, "select 1") == "1"
    assert not half.exists()


async def test_postgres_ends_with_its_tether_and_both_come_back(place: Place) -> None:
    async with kept(await place.postgres()) as server:
        await ask(server.url, "create table kept as select 1")
        tether, before = server.child.process_id, process_of(place)

        os.kill(tether, signal.SIGKILL)

        await until(lambda: server.child.process_id != tether, 20)
        await until(lambda: not is_alive(before), 20)

        async with asyncio.timeout(20):
            while not await answers(server.url):  # noqa: ASYNC110 - it is seen from outside
                await asyncio.sleep(0.05)
        assert await ask(server.url, "select count(*) from kept") == "1"


async def test_stopped_server_leaves_no_process_and_no_socket(place: Place) -> None:
    async with kept(await place.postgres()), kept(place.valkey()):
        process_id = process_of(place)

    assert not is_alive(process_id)
    assert list(place.home.sockets.iterdir()) == []


async def test_postgres_that_cannot_start_is_quoted(place: Place) -> None:
    async with kept(await place.postgres()):
        pass
    (place.home.cluster / "PG_VERSION").write_text("9.6\n")

    server = await place.postgres()
    with pytest.raises(RegistryError) as caught:
        await server.child.start()
    await server.child.stop()

    assert caught.value.kind is Kind.UNAVAILABLE
    assert "postgres.log" in caught.value.detail
    assert "9.6" in caught.value.detail


@pytest.mark.parametrize("name", ["nobody-of-that-name", "root"])
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_account_that_cannot_be_used_is_named(name: str, tmp_path: Path) -> None:
    with pytest.raises(RegistryError) as caught:
        choose_account(name, tmp_path / "new")

    assert caught.value.kind is Kind.MISCONFIGURED
    assert "IDNODE_EMBEDDED_USER" in caught.value.detail


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_data_stays_with_the_account_that_made_it(tmp_path: Path) -> None:
    os.chown(tmp_path, 1, 1)

    assert choose_account("nobody", tmp_path).uid == 1


@pytest.mark.skipif(os.geteuid() == 0, reason="needs an ordinary user")
def test_ordinary_user_is_its_own_account(tmp_path: Path) -> None:
    assert choose_account("nobody", tmp_path) == OURSELVES


async def test_what_is_not_redis_is_said_not_to_be(unused_tcp_port: int) -> None:
    async def chatter(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail.example ESMTP\r\n")
        writer.close()

    async with await asyncio.start_server(chatter, "127.0.0.1", unused_tcp_port):
        with pytest.raises(RegistryError, match="is not Redis"):
            await ping_redis(f"redis://127.0.0.1:{unused_tcp_port}")


async def test_password_that_redis_refuses_is_named(place: Place) -> None:
    async with kept(place.valkey()) as server:
        client = Redis.from_url(server.url)
        await client.config_set("requirepass", "right")
        await ping_redis(server.url.replace("unix://", "unix://:right@"))
        for url in (server.url, server.url.replace("unix://", "unix://:wrong@")):
            with pytest.raises(RegistryError) as caught:
                await ping_redis(url)
            assert caught.value.kind is Kind.FORBIDDEN
        await client.config_set("requirepass", "")
        await client.aclose()
