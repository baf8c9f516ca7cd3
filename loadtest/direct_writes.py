"""Direct writes: registrations at a steady rate by the node's own code in a process of its own, past all workers.

    python -m loadtest.direct_writes --rate 500 --name a

With the settings of a running node in the environment.  Whoever measures a worker does not measure what it costs to
take writes, only what follows from them.
"""

import argparse
import asyncio
import sys
from collections.abc import Iterable, Sequence
from uuid import uuid4

import uvloop

from loadtest.administrators import HOME
from node.config import load
from node.registry.preparation import Policy
from node.registry.registrar import RecordRegistrar
from node.sealing import load_seal
from node.settings import Settings
from node.store.database import Database
from node.store.writing import SESSION
from resolver.identifier import IdentifierError
from resolver.registrar import Caller, Operation, Write
from resolver.schemes import parse_handle
from resolver.wire import HandleValue, ResponseCode

PAUSE_SECONDS = 0.02  # between two bursts
OPERATOR = Caller(b"0.NA/ROOT", 300, "operator", is_operator=True)
TEXT = b"https://example.org/products/item?lot=20260731&line=4"


class WriteRefused(Exception):
    """The node does not take what it must take."""


async def write(settings: Settings, rate: float, name: str) -> None:
    """Register for ever.  Raises WriteRefused, StoreUnavailable."""
    database = Database(settings.database_url, max_connections=2, settings=SESSION)
    async with database, asyncio.TaskGroup() as tasks:
        registrar = RecordRegistrar(
            database,
            database,
            Policy((), _canonical),
            load_seal(settings),
            spawn=tasks.create_task,
            on_written=_nobody,
            unique=uuid4,
        )
        loop, count = asyncio.get_running_loop(), 0
        began = loop.time()
        while True:
            due = int((loop.time() - began) * rate)
            await asyncio.gather(
                *(_register(registrar, f"{HOME}/{name}-{each}") for each in range(count, due))
            )
            count = due
            await asyncio.sleep(PAUSE_SECONDS)


async def _register(registrar: RecordRegistrar, handle: str) -> None:
    identifier = parse_handle(handle.encode(), case_sensitive=False)
    values = (HandleValue(1, b"URL", TEXT), HandleValue(2, b"URL", handle.encode()))
    verdict = await registrar.write(
        Write(operation=Operation.CREATE, identifier=identifier, values=values, caller=OPERATOR)
    )
    if verdict.code != ResponseCode.SUCCESS:
        raise WriteRefused(f"{handle}: {verdict}")


async def _nobody(_changes: Iterable[tuple[bytes, int]]) -> None:
    """The workers read the feed."""


def _canonical(handle: bytes) -> bytes | None:
    try:
        return parse_handle(handle, case_sensitive=False).key
    except IdentifierError:
        return None


def main(arguments: Sequence[str] | None = None) -> int:
    """Write until killed."""
    parser = argparse.ArgumentParser(prog="direct_writes", description=__doc__.splitlines()[0])
    parser.add_argument("--rate", type=float, required=True, help="registrations a second")
    parser.add_argument("--name", required=True, help="keeps the records of two runs apart")
    chosen = parser.parse_args(arguments)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(write(load(), chosen.rate, chosen.name))
    return 0


if __name__ == "__main__":
    sys.exit(main())
