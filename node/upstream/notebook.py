"""Notebook: the small file in the data directory with what Postgres does not have yet of the node's own troubles.

It outlives a keeper that is killed while Postgres is away: an event that was begun is ended by its number, none is lost
and none is told twice.  Its time of change is when the node was last seen alive.
"""

import json
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

from node.ledger.durable import read_if_there, write_durably
from node.store.monitoring import StateEvent, Stop

NOTEBOOK_FILE = "monitoring.json"
MAX_WAITING = 10_000  # events, and stops; the oldest go first


@dataclass(slots=True)
class Notes:
    """What stands in the notebook."""

    open: dict[str, StateEvent] = field(default_factory=dict)  # not over, by the name of their sign
    events: list[StateEvent] = field(default_factory=list)  # not in Postgres
    stops: list[Stop] = field(default_factory=list)  # not in Postgres
    is_stopped: bool = False  # in order

    @classmethod
    def parse(cls, text: bytes) -> Self:
        """Read them.  Raises ValueError."""
        try:
            found: Any = json.loads(text)
            return cls(
                {name: StateEvent(**each) for name, each in found["open"].items()},
                [StateEvent(**each) for each in found["events"]],
                [Stop(*each) for each in found["stops"]],
                found["stopped"],
            )
        except (TypeError, KeyError, AttributeError, RecursionError) as error:
            raise ValueError(f"this is no notebook: {error}") from error

    def encode(self) -> bytes:
        """Return what `parse` reads."""
        found = {
            "open": {name: asdict(each) for name, each in self.open.items()},
            "events": [asdict(each) for each in self.events[-MAX_WAITING:]],
            "stops": self.stops[-MAX_WAITING:],
            "stopped": self.is_stopped,
        }
        return json.dumps(found, ensure_ascii=False, indent=1).encode()

    def settle(self, events: Iterable[StateEvent], stops: Iterable[Stop]) -> None:
        """Postgres has these now."""
        written, over = set(events), set(stops)
        self.events = [each for each in self.events if each not in written]
        self.stops = [each for each in self.stops if each not in over]


class Notebook:
    """The file; one process writes it."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> tuple[Notes, int]:
        """Return what stands in it, and the POSIX second in which the node was last seen; 0 for never.

        Raises OSError, ValueError.
        """
        text = read_if_there(self._path)
        return (
            (Notes(), 0) if text is None else (Notes.parse(text), int(self._path.stat().st_mtime))
        )

    def write(self, text: bytes, now: float) -> None:
        """Keep notes, encoded; the node is seen.  Raises OSError."""
        write_durably(self._path, text)
        self.touch(now)

    def touch(self, now: float) -> None:
        """The node is seen at this POSIX time.  Raises OSError."""
        os.utime(self._path, (now, now))
