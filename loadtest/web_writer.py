"""A writer over HTTP for those who watch answers: it counts records up, and lets things happen to others."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from random import Random

from loadtest.administrators import ADMIN
from loadtest.http_writes import HttpConnection, Said, ask_until_told, delete, put
from loadtest.stand import Node
from loadtest.watch import Subject, note_commit

THINK_SECONDS = 0.06  # at most, between two writes


class WriteRefused(Exception):
    """A write that must succeed did not; the message holds the answer."""


class WebWriter:
    """Writes as an administrator of the server, each write with a key of its own, until there is a verdict."""

    def __init__(self, node: Node, seed: int) -> None:
        self._node = node
        self._name = f"w{seed}"
        self._dice = Random(f"web {seed}")
        self._connection = HttpConnection()
        self._number = 0
        self.counts: Counter[str] = Counter()

    async def count_up(self, subjects: Sequence[Subject], stop: asyncio.Event) -> None:
        """Raise the numbers of records that nobody else writes, until told to stop.  Raises WriteRefused."""
        while not stop.is_set():
            subject = self._dice.choice(subjects)
            self._number += 1
            key = f"Idempotency-Key: {self._name}-{self._number}"
            await self._send(_numbered(subject.handle, subject.newest + 1, key), self._connection)
            note_commit([subject])
            await asyncio.sleep(self._dice.uniform(0.0, THINK_SECONDS))

    async def send_alone(self, request: bytes) -> None:
        """Send one write on a connection of its own.  Raises WriteRefused."""
        connection = HttpConnection()
        try:
            await self._send(request, connection)
        finally:
            connection.close()

    def close(self) -> None:
        """Let go of the connection."""
        self._connection.close()

    async def _send(self, request: bytes, connection: HttpConnection) -> Said:
        said = await ask_until_told(connection, lambda: self._node.http, request, self.counts)
        if said is None or said.status not in (200, 201):
            raise WriteRefused(f"{said} to {request!r}")
        return said


def creation(handle: bytes, number: int) -> bytes:
    """Return the request that creates a record with version 1 of a subject."""
    return _numbered(handle, 1, f"Idempotency-Key: event-{number}")


def deletion(handle: bytes, number: int) -> bytes:
    """Return the request that deletes a record."""
    return delete(handle.decode(), ADMIN.header, f"Idempotency-Key: event-{number}")


def _numbered(handle: bytes, number: int, key: str) -> bytes:
    pairs = [(1, f"http://idnode.test/#{number}#")]
    return put(handle.decode(), pairs, ADMIN.header, key)
