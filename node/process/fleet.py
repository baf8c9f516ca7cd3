"""Fleet: the workers of a node, one a slot, and how they are replaced without a question being lost.

Each counts in a lane of its own; there is one lane more than there are slots.  A worker that is replaced goes on until
its successor, which takes the free lane, has all it needs and has taken the sockets (`node.handover`); then it is told
to stop, parts with what it has, and its lane is the free one.  One after the other, so that one lane is enough.
"""

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path

from node.counters import Counters, Place, lanes_of, slot_path
from node.errors import RegistryError
from node.process.child import Child, Program

ProgramOf = Callable[[Place], Program]

logger = logging.getLogger(__name__)


class Fleet:
    """The workers, kept running between `start` and `stop`."""

    def __init__(self, directory: Path, slots: int, tasks: asyncio.TaskGroup) -> None:
        """`directory` is where their counters are; `tasks` is where they are kept running."""
        self._directory = directory
        self._tasks = tasks
        self._workers: dict[Place, Child] = {}
        self._leaving: list[Child] = []
        self._slots = slots

    async def start(self, program_of: ProgramOf) -> None:
        """Start all at once.  Raises RegistryError when one cannot be."""
        places = [Place(slot, slot) for slot in range(self._slots)]
        self._workers = {place: Child(program_of(place)) for place in places}
        self._vacate(self._free_lane())
        async with asyncio.TaskGroup() as starting:
            for child in self._workers.values():
                starting.create_task(self._start(child))

    async def replace(self, program_of: ProgramOf) -> None:
        """Replace one after the other.

        Raises RegistryError when a successor is not ready: it is ended, and the worker that was there goes on.
        """
        for place in sorted(self._workers):
            await self._replace(place, Place(place.slot, self._free_lane()), program_of)

    async def stop(self) -> None:
        """End all, side by side."""
        async with asyncio.TaskGroup() as stopping:
            for child in (*self._workers.values(), *self._leaving):
                stopping.create_task(child.stop())

    async def _start(self, child: Child) -> None:
        await child.start()
        self._tasks.create_task(child.keep())

    async def _replace(self, place: Place, next_place: Place, program_of: ProgramOf) -> None:
        child, successor = self._workers[place], Child(program_of(next_place))
        self._leaving.append(successor)  # it is neither here nor there yet, but is ended with all
        try:
            await successor.start()
        except RegistryError:
            self._vacate(next_place.lane)
            raise
        finally:
            self._leaving.remove(successor)
        self._tasks.create_task(successor.keep())
        del self._workers[place]
        self._workers[next_place] = successor
        self._leaving.append(child)
        await child.stop()
        self._leaving.remove(child)
        self._vacate(place.lane)
        identities = {"process_id": successor.process_id, "predecessor": child.process_id}
        logger.info("worker replaced", extra={"slot": place.slot, **identities})

    def _free_lane(self) -> int:
        taken = {place.lane for place in self._workers}
        return next(lane for lane in lanes_of(self._slots) if lane not in taken)

    def _vacate(self, lane: int) -> None:
        counters = Counters.open(slot_path(self._directory, lane))
        counters.vacate()
        counters.close()
