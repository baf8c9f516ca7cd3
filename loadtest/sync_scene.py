"""Scene: a node, the top-level node, the relay between them, writers that never rest, and what they were told.

`agree` ends an act: the writers rest, both sides come to stand at one serial, and then everything is compared.
"""

import asyncio
import json
import re
import shutil
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random
from typing import NamedTuple

import httpx

from loadtest.agreement import Agreement, compare, keep_diary, read_ours, read_theirs
from loadtest.moved_clock import MovedClock
from loadtest.object_changes import Changed, ObjectWriter
from loadtest.registrations import Registrations
from loadtest.relay import Relay
from loadtest.stand import get
from loadtest.toplevels import TopLevel, operator_token
from loadtest.victims import Running, Victim, kill, make_whole
from node.store.database import StoreUnavailable, connect
from node.store.synced import MASTERS
from sync.change import END, Place

SESSIONS = 6
REGISTRATIONS, CHANGES = 120.0, 10.0  # a second
AGAIN_SHARE = 0.3
IN_STEP_SECONDS = 240.0  # the sender waits for a minute at most, and a walk takes its time
POLL_SECONDS = 0.1
_EVIDENCE = """
select extract(epoch from at), pages, repaired from sync_evidence order by id desc limit 1
"""
_OBJECTS = "select kind, id, version from object_version"


class Extent(NamedTuple):
    """How long a fault lasts, how long the peer is away, how often somebody is killed."""

    seconds: float
    down_seconds: float
    kills: int
    is_small: bool = False


class Told(NamedTuple):
    """What writers were told until now."""

    done: dict[str, float]
    newest: dict[str, int]
    changes: list[Changed]


class Scene:
    """Everything on it, and the serial behind which the diary is whole (None: rows alone are compared)."""

    def __init__(
        self,
        running: Running,
        top: TopLevel,
        relay: Relay,
        clock: MovedClock,
        extent: Extent,
        seed: int,
    ) -> None:
        self.running, self.top, self.relay, self.clock = running, top, relay, clock
        self.extent = extent
        self.dice = Random(seed)
        self.records = Registrations(
            lambda: running.node.native, f"s{seed}", sessions=SESSIONS, again=AGAIN_SHARE
        )
        self.objects = ObjectWriter(lambda: running.node)
        self.diary_from: int | None = None
        self._stop = asyncio.Event()
        self._writing: asyncio.Task[None] | None = None
        self._killed: tuple[Victim, list[int]] = (Victim.SUPERVISOR, [])

    @asynccontextmanager
    async def played(self) -> AsyncIterator[None]:
        """The scene is set, and cleared at the end."""
        await self.relay.start()
        await self.objects.settle()
        try:
            yield
        finally:
            await self.rest()
            await self.relay.close()

    async def begin_diary(self) -> None:
        """Both sides stand at one serial; from here on it is noted what is put."""
        await self.until_in_step()
        keep_diary(self.top)
        self.diary_from = read_theirs(self.top.database).serial

    def write(self) -> None:
        """Have the writers write, until `rest`."""
        if self._writing is None:
            self._stop.clear()
            self._writing = asyncio.create_task(self._write())

    async def rest(self) -> None:
        """Have the writers end what they began."""
        self._stop.set()
        if self._writing is not None:
            await self._writing
            self._writing = None

    async def agree(self) -> Agreement:
        """Wait until both sides stand at one serial, and compare; a new diary is begun where there was none.

        Raises TimeoutError.
        """
        await self.rest()
        await self.until_in_step()
        found = await compare(self.running.node, self.top, diary_from=self.diary_from)
        found.faults += self._lost(found)
        found.faults += await self._forgotten()
        if self.diary_from is None:
            await self.begin_diary()
        return found

    async def until_in_step(self) -> None:
        """Wait until the top-level node stands where the node does.  Raises TimeoutError."""
        deadline = time.monotonic() + IN_STEP_SECONDS
        while not await self._is_in_step():
            if time.monotonic() > deadline:
                raise TimeoutError(f"not in step after {IN_STEP_SECONDS:.0f} s: {self.status()}")
            await asyncio.sleep(POLL_SECONDS)

    async def kill(self, victim: Victim) -> None:
        """Kill a process of the node, or all."""
        self._killed = victim, kill(self.running.node, victim, self.dice)

    async def mend(self) -> None:
        """Wait until the node is whole again.  Raises NotWhole."""
        await make_whole(self.running, *self._killed)

    async def back_up(self) -> Path:
        """Stop the node, copy all that it has, and start it again; return the copy."""
        copy = self.running.node.settings.data_dir.with_name("backup")
        await self._restart(lambda: _copy(self.running.node.settings.data_dir, copy))
        return copy

    async def restore(self, copy: Path) -> None:
        """Stop the node, put a copy in the place of what it has, and start it again."""
        await self._restart(lambda: _copy(copy, self.running.node.settings.data_dir))

    def told(self) -> Told:
        """Return what writers were told until now."""
        return Told(dict(self.records.done), dict(self.records.newest), list(self.objects.done))

    def forget(self, told: Told) -> None:
        """Expect no more than this, since the node was restored."""
        self.records.done, self.records.newest = dict(told.done), dict(told.newest)
        self.objects.done = list(told.changes)

    def status(self, path: str = "/v1/sync", method: str = "GET") -> dict[str, object]:
        """Return what the node's operator is told.  Raises httpx.HTTPError."""
        host, port = self.running.node.admin
        headers = {"Authorization": f"Bearer {operator_token(self.running.node)}"}
        url = f"http://{host}:{port}{path}"
        with httpx.Client(trust_env=False, timeout=30) as client:
            answer = client.request(method, url, headers=headers).raise_for_status()
        told: dict[str, object] = answer.json()
        return told

    def metric(self, name: str) -> float | None:
        """Return what a series without labels shows; None when it is not there."""
        _, text = get(self.running.node.admin, "/metrics")
        found = re.search(rf"^{name} (\S+)$", text.decode(), re.MULTILINE)
        return float(found[1]) if found else None

    async def evidence(self) -> tuple[float, int, int]:
        """Return when the node last compared all rows, how many pages there were, and how many differed."""
        connection = await connect(self.running.node.settings.database_url)
        try:
            (row,) = await connection.fetch(_EVIDENCE)
        finally:
            await connection.close()
        return float(row[0]), row[1], row[2]

    async def _write(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.records.run(REGISTRATIONS, self._stop))
            tasks.create_task(self.objects.run(CHANGES, self._stop))
        await self.objects.close()

    async def _is_in_step(self) -> bool:
        theirs = read_theirs(self.top.database)
        try:
            ours = await read_ours(self.running.node)
        except StoreUnavailable:
            return False
        stands = (ours.session, ours.serial, END) == theirs
        return stands and ours.complete and ours.acknowledged == ours.serial

    async def _restart(self, between: Callable[[], object]) -> None:
        node = self.running.node
        await asyncio.to_thread(_stop, node.process)
        await asyncio.to_thread(between)
        await make_whole(self.running, Victim.SUPERVISOR, [])

    def _lost(self, found: Agreement) -> Iterator[str]:
        """Say which records that somebody was told of the top-level node does not have, or otherwise."""
        for key in self.records.done:
            if Place(MASTERS, key) not in found.bodies:
                yield f"lost: {key} was acknowledged"
        for key, operation in self.records.newest.items():
            body = found.bodies.get(Place(MASTERS, key), b"{}")
            if json.loads(body).get("operation") != operation:
                yield f"lost: {key} was changed ({operation}), and there it is {body!r}"

    async def _forgotten(self) -> list[str]:
        """Say which changes of objects that somebody was told of the node does not have."""
        connection = await connect(self.running.node.settings.database_url)
        try:
            kept = {tuple(row) for row in await connection.fetch(_OBJECTS)}
        finally:
            await connection.close()
        return [f"lost: {each}" for each in self.objects.done if each[1:4] not in kept]


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    process.wait()


def _copy(source: Path, target: Path) -> None:
    """Copy a directory with owners and rights, in the place of what is there."""
    shutil.rmtree(target, ignore_errors=True)
    subprocess.run(["cp", "-a", str(source), str(target)], check=True)
