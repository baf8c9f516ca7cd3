"""Sources whose answers come when the test says so, with the laws of a real store: one snapshot an answer."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field

from resolver.answer import Stored, Tier
from resolver.source import Give, SourceUnavailable
from resolver.wire import HandleValue, encode_values


def record(
    serial: int, text: bytes = b"", *, ttl: int = 86_400, restricted: bool = False
) -> Stored:
    """Return a record with one value, as Postgres would give it at that serial."""
    wire = encode_values([HandleValue(1, b"URL", text or b"at %d" % serial)])
    return Stored(serial, b"88.1/x", ttl, restricted, wire, b"[]", Tier.POSTGRES)


def absence(serial: int) -> Stored:
    """Return the negative answer of that serial."""
    return Stored(serial, None, 60, False, b"", b"", Tier.POSTGRES)


@dataclass
class Call:
    """One question that waits: the test answers it, or refuses."""

    key: bytes
    at_least: int
    answer: "asyncio.Future[Stored]" = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )

    def give(self, stored: Stored) -> None:
        self.answer.set_result(stored)

    def fail(self) -> None:
        self.answer.set_exception(SourceUnavailable("away"))


class EachAlone(ABC):
    """A source that looks several keys up one by one, all at the same time."""

    @abstractmethod
    async def lookup(self, key: bytes, *, at_least: int = 0) -> Stored:
        """See resolver.source.Source."""

    async def gather(self, keys: Sequence[bytes], give: Give) -> None:
        """See resolver.source.Source."""
        ended = await asyncio.gather(
            *(self._give(key, give) for key in keys), return_exceptions=True
        )
        for error in filter(None, ended):
            raise error

    async def _give(self, key: bytes, give: Give) -> None:
        give({key: await self.lookup(key)})


class HeldSource(EachAlone):
    """A source that answers nothing by itself; `calls` are the questions in the order they came."""

    def __init__(self) -> None:
        self.calls: list[Call] = []

    async def lookup(self, key: bytes, *, at_least: int = 0) -> Stored:
        call = Call(key, at_least)
        self.calls.append(call)
        return await call.answer


async def turns(count: int = 10) -> None:
    """Let everything run that can."""
    for _ in range(count):
        await asyncio.sleep(0)
