"""Whole workers over a real Postgres and a real Redis: what changes is seen by all, and never taken back."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import orjson
import pytest

from node.config import Settings
from node.ledger.tags import packed_address
from node.registry.records import load_file
from node.store.database import Database
from resolver.frontends.datagrams import Datagram
from resolver.frontends.udp import UdpFrontEnd
from resolver.recorder import MOST_AT_ONCE
from resolver.wire import Flag, Message, ReferralAnswer, ResponseCode
from tests.support.workers import Native, Running, question, running_worker

pytestmark = [pytest.mark.db, pytest.mark.cache]

SEEN_SECONDS = (
    2.0  # a change is seen within one; the other is for a machine that does other things besides
)
HANDLE = b"88.1.1/x"
GTIN = b"gs1:01/09506000134352/21/7"


class Records:
    """Loads records into the test's database."""

    def __init__(self, database_url: str, directory: Path) -> None:
        self._url = database_url
        self._file = directory / "records.ndjson"

    async def load(self, *lines: dict[str, object]) -> None:
        self._file.write_bytes(b"\n".join(map(orjson.dumps, lines)))
        report = await load_file(
            self._url, str(self._file), sealing_key=self._file.with_name("sealing-key")
        )
        assert report.errors == 0, report.first_errors

    async def write(self, handle: bytes, text: str) -> None:
        """Write one record whose only value says this."""
        values = [{"index": 1, "type": "URL", "data": text}]
        await self.load({"handle": handle.decode(), "values": values})

    async def prefix(self, name: str, *, delegated: bool = False) -> None:
        await self.load({"handle": f"0.NA/{name}", "values": [], "delegated": delegated})


@pytest.fixture
async def records(database_url: str, tmp_path: Path) -> Records:
    made = Records(database_url, tmp_path)
    await made.prefix("88.1.1")
    await made.prefix("GS1:9506000")
    await made.write(HANDLE, "0")
    await made.write(GTIN, "0")
    return made


@pytest.fixture
async def pair(
    records: Records, database_url: str, redis_url: str, tmp_path: Path
) -> AsyncIterator[tuple[Running, Running]]:
    """Two workers on one Redis; one keeps no records in memory, only ready replies."""
    async with AsyncExitStack() as stack:
        running = []
        for number, memory_entries in enumerate((100, 0)):
            directory = tmp_path / str(number)
            directory.mkdir()
            settings = Settings(
                database_url=database_url, redis_url=redis_url, memory_entries=memory_entries
            )
            running.append(await stack.enter_async_context(running_worker(settings, directory)))
        yield running[0], running[1]


async def in_time(holds: Callable[[], Awaitable[bool]]) -> None:
    """Wait until it holds.  Raises TimeoutError after the time in which a change must be seen."""
    async with asyncio.timeout(SEEN_SECONDS):
        while not await holds():  # noqa: ASYNC110  as seen from outside
            await asyncio.sleep(0.005)


async def test_a_change_is_seen_by_every_worker_in_time_and_never_taken_back(
    pair: tuple[Running, Running], records: Records
) -> None:
    async with AsyncExitStack() as stack:
        natives = [await stack.enter_async_context(each.native()) for each in pair]
        https = [await stack.enter_async_context(each.http()) for each in pair]
        newest = {id(each): 0 for each in (*natives, *https)}

        async def said() -> set[int]:
            for native in natives:
                newest[id(native)] = check(newest[id(native)], int(await native.text(HANDLE)))
            for client in https:
                body = (await client.get("/api/handles/88.1.1/x")).json()
                text = body["values"][0]["data"]["value"]
                newest[id(client)] = check(newest[id(client)], int(text))
            return set(newest.values())

        for number in range(1, 6):
            await records.write(HANDLE, str(number))

            async def all_say(number: int = number) -> bool:
                return await said() == {number}

            await in_time(all_say)


class Inbox:
    """Datagrams that have come, and to whom answers were sent."""

    def __init__(self, datagrams: list[tuple[bytes, str]]) -> None:
        self._came = datagrams
        self.sent: list[str] = []

    def receive(self) -> list[Datagram]:
        return [(data, bytes(2), packed_address(host)) for data, host in self._came]

    def address(self, slot: int) -> tuple[str, int]:
        return self._came[slot][1], 0

    def name(self, slot: int) -> tuple[str, int]:
        return self.address(slot)

    def address_of(self, name: tuple[str, int]) -> tuple[str, int]:
        return name

    def reply(self, slots: Sequence[int], replies: Sequence[bytes]) -> None:
        self.answer([self.address(slot) for slot in slots], replies)

    def answer(self, names: Sequence[tuple[str, int]], replies: Sequence[bytes]) -> None:
        self.sent += [host for (host, _), _ in zip(names, replies, strict=True)]

    def sendto(self, data: bytes, address: tuple[Any, ...]) -> None:
        self.sent.append(address[0])

    def read_no_more(self) -> None:
        pass

    def close(self) -> None:
        pass


async def test_udp_answers_are_counted_by_customer_network_ready_or_not(
    records: Records, database_url: str, redis_url: str, tmp_path: Path
) -> None:
    settings = Settings(
        database_url=database_url,
        redis_url=redis_url,
        udp_answers_per_second=1,
        udp_answers_burst=3,
    )
    async with running_worker(settings, tmp_path) as running, running.native() as native:
        await native.text(HANDLE)
        worker, asked = running.worker, question(HANDLE)
        front = UdpFrontEnd(
            worker.responder,
            worker.reading.hot_wire,
            worker.guard,
            worker.tally,
            worker.recorder,
            lambda answer: answer.close(),
            max_datagrams=4,
        )
        addresses = ["2001:db8::1", "2001:db8::2", "2001:db8::3", "2001:db8::4", "2001:db8:0:1::1"]
        inbox = Inbox([(asked, each) for each in (*addresses, "192.0.2.1", "192.0.2.2")])
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sock:
            front.listen(sock, lambda _sock, _readable: inbox)
        front.answer_batch()

    assert inbox.sent == [*addresses[:3], addresses[4], "192.0.2.1", "192.0.2.2"]


async def test_more_questions_at_once_than_are_recorded_together_are_answered_in_order(
    pair: tuple[Running, Running],
) -> None:
    worker, _ = pair
    known = question(HANDLE)
    asked = [
        known[:8] + number.to_bytes(4, "big") + known[12:] for number in range(2 * MOST_AT_ONCE + 5)
    ]
    async with worker.native() as native:
        await native.text(HANDLE)
        before = worker.counted("memory")
        native.writer.write(b"".join(asked))
        said = await native.answers(len(asked))

    assert [each.envelope.request_id for each in said] == list(range(len(asked)))
    assert {each.header.response_code for each in said} == {ResponseCode.SUCCESS}
    assert worker.counted("memory") - before == len(asked)


def check(before: int, now: int) -> int:
    assert now >= before
    return now


@pytest.mark.parametrize("flags", [Flag.AUTHORITATIVE | Flag.PUBLIC_ONLY, Flag.AUTHORITATIVE])
async def test_after_an_authoritative_answer_none_is_older(
    pair: tuple[Running, Running], records: Records, flags: int
) -> None:
    for running in pair:
        async with running.native() as native, running.http() as http:
            for number in range(1, 8):
                await native.text(HANDLE)
                await http.get("/api/handles/88.1.1/x")  # both are ready now
                await records.write(HANDLE, str(number))

                assert await native.text(HANDLE, flags=int(flags)) == b"%d" % number
                assert await native.text(HANDLE) == b"%d" % number
                assert f'"value":"{number}"' in (await http.get("/api/handles/88.1.1/x")).text


async def test_nor_after_one_that_was_read_because_it_asked_for_something_else(
    pair: tuple[Running, Running], records: Records
) -> None:
    """The worker without records in memory reads such a one from Redis or Postgres."""
    _, without_memory = pair
    async with without_memory.native() as native:
        for number in range(1, 8):
            await native.text(HANDLE)
            await records.write(HANDLE, str(number))
            other = await native.text(HANDLE, b"URL")

            assert int(await native.text(HANDLE)) >= int(other)


async def test_a_new_record_is_seen_in_time_by_those_who_knew_there_was_none(
    pair: tuple[Running, Running], records: Records
) -> None:
    async with pair[0].native() as one, pair[1].native() as two:
        for native in (one, two):
            answer = await native.ask(b"88.1.1/new")
            assert answer.header.response_code == ResponseCode.HANDLE_NOT_FOUND
        await records.write(b"88.1.1/new", "here")

        for native in (one, two):

            async def is_here(native: Native = native) -> bool:
                return await native.text(b"88.1.1/new") == b"here"

            await in_time(is_here)


@pytest.mark.parametrize(
    ("prefix", "handle"), [("88.1.1", HANDLE), ("GS1:9506000", GTIN)], ids=["handle", "gs1"]
)
async def test_when_a_prefix_is_delegated_ready_replies_below_it_end(
    pair: tuple[Running, Running], records: Records, prefix: str, handle: bytes
) -> None:
    for running in pair:
        async with running.native() as native:
            assert await native.text(handle) == b"0"
    await records.prefix(prefix, delegated=True)

    for running in pair:
        async with running.native() as native, running.http() as http:

            async def is_referred(native: Native = native) -> bool:
                return _is_referral(await native.ask(handle))

            await in_time(is_referred)
            answer = await native.ask(handle)
            assert ReferralAnswer.decode(answer.body).handle == f"0.NA/{prefix}".encode()
            assert (await http.get(f"/api/handles/{handle.decode()}")).status_code == 300


def _is_referral(answer: Message) -> bool:
    return answer.header.response_code == ResponseCode.SERVICE_REFERRAL


async def test_a_homed_prefix_that_is_delegated_no_longer_leads_here(
    pair: tuple[Running, Running], records: Records
) -> None:
    async with pair[0].native() as native:
        assert await native.text(b"0.NA/88.1.1", b"HS_SITE")
        await records.prefix("88.1.1", delegated=True)

        async def is_gone() -> bool:
            return not await native.text(b"0.NA/88.1.1", b"HS_SITE")

        await in_time(is_gone)


async def test_a_restored_database_is_another_one(
    pair: tuple[Running, Running], records: Records, database: Database
) -> None:
    """Under a new epoch nothing that was kept before is given, though no change says so."""
    async with pair[0].native() as one, pair[1].native() as two:
        for native in (one, two):
            assert await native.text(HANDLE) == b"0"
        await records.write(HANDLE, "restored")
        async with database.transaction() as connection:
            await connection.execute("delete from change")
            await connection.execute(
                "update change_counter set epoch = gen_random_uuid(), serial = 2"
            )

        for native in (one, two):

            async def is_restored(native: Native = native) -> bool:
                return await native.text(HANDLE) == b"restored"

            await in_time(is_restored)


async def test_what_one_worker_read_the_other_takes_from_redis(
    pair: tuple[Running, Running], records: Records
) -> None:
    one, two = pair
    handles = [b"88.1.1/shared%d" % number for number in range(20)]
    for handle in handles:
        await records.write(handle, "shared")
    async with one.native() as first, two.native() as second:

        async def is_shared() -> bool:
            """Ask the one for new spellings of what is asked of the other, so that no reply is ready."""
            before = two.counted("redis")
            for handle in handles:
                assert await first.text(handle) == b"shared"
                assert await second.text(handle.upper()) == b"shared"
            return two.counted("redis") == before + len(handles)

        await in_time(is_shared)


async def test_memory_keeps_a_record_only_for_who_gets_no_ready_reply(
    pair: tuple[Running, Running], records: Records
) -> None:
    await records.write(HANDLE, "0")
    running, _ = pair
    reading = running.worker.reading
    async with running.native() as native, running.http() as client:
        for _ in range(3):
            assert await native.text(HANDLE) == b"0"
        assert (len(reading.hot_wire), len(reading.memory)) == (1, 0)

        before = running.counted("memory")
        for _ in range(3):
            assert (await client.head("/api/handles/88.1.1/x")).status_code == 200

        assert (len(reading.hot_wire), len(reading.memory)) == (1, 1)
        assert running.counted("memory") == before + 2


async def test_a_worker_ends_with_connections_open_and_questions_under_way(
    records: Records, database_url: str, redis_url: str, tmp_path: Path
) -> None:
    settings = Settings(database_url=database_url, redis_url=redis_url)
    async with AsyncExitStack() as stack:
        async with running_worker(settings, tmp_path) as running:
            natives = [await stack.enter_async_context(running.native()) for _ in range(5)]
            asking = [
                asyncio.create_task(native.ask(b"88.1.1/%d" % number))
                for number, native in enumerate(natives)
            ]
            await asyncio.sleep(0)
        answers = await asyncio.gather(*asking, return_exceptions=True)

    assert all(isinstance(each, Message | AssertionError | OSError) for each in answers)
