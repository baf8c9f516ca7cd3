"""Troubles: which of them are events (annex 2): what lasts for five seconds is abnormal, what is well for five is over.

What is watched is a list of signs, each of something that this node needs to resolve, register or count.  An event
bears the sentence that `/readyz` says.  Its class is judged by the kind of the sign alone: a node cannot know that it
is attacked.
"""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from enum import IntEnum
from typing import NamedTuple

from node.store.monitoring import StateEvent
from node.store.synced import RowChange
from node.upstream.figures import moment
from sync.channels.tables import STATE_EVENT

PATIENCE_SECONDS = 5.0
MAX_CAUSE_CHARACTERS = 1_024


class CauseClass(IntEnum):
    """原因分类, as annex 2 has it."""

    NETWORK = 1
    SYSTEM = 2
    ATTACK = 3
    OTHER = 4


class Sign(NamedTuple):
    """How something stands; `ok` is None when that cannot be told now.

    Without what is vital nothing can be resolved or registered: its bad seconds count as such.
    """

    name: str
    ok: bool | None
    sentence: str
    cause_class: CauseClass = CauseClass.SYSTEM
    is_vital: bool = False


class Watch:
    """Tells what becomes of the signs; `open` are the events that are not over, by the name of their sign."""

    def __init__(
        self,
        open_events: dict[str, StateEvent],
        unique: Callable[[], str],
        patience_seconds: float = PATIENCE_SECONDS,
    ) -> None:
        """`unique` gives the ends of event numbers."""
        self.open = open_events
        self._unique = unique
        self._patience_seconds = patience_seconds
        self._turns: dict[
            str, float
        ] = {}  # since when a sign says something else than what is known

    def look(self, now: float, signs: Iterable[Sign]) -> list[StateEvent]:
        """Return the events that this look completes; `now` is in POSIX seconds."""
        return [event for sign in signs if (event := self._judge(now, sign)) is not None]

    def _judge(self, now: float, sign: Sign) -> StateEvent | None:
        if sign.ok is None:
            return None
        if sign.ok != (sign.name in self.open):  # as it is known
            self._turns.pop(sign.name, None)
            return None
        since = self._turns.setdefault(sign.name, now)
        if now - since < self._patience_seconds:
            return None
        del self._turns[sign.name]
        return self._recovered(since, sign) if sign.ok else self.begin(since, sign)

    def begin(self, at: float, sign: Sign) -> StateEvent:
        """Open an event, and return it."""
        event = self._event(at, sign, "")
        self.open[sign.name] = event
        return event

    def _recovered(self, at: float, sign: Sign) -> StateEvent:
        return self._event(at, sign, self.open.pop(sign.name).event)

    def _event(self, at: float, sign: Sign, answers: str) -> StateEvent:
        number = f"{datetime.fromtimestamp(at, UTC):%Y%m%dT%H%M%SZ}-{self._unique()}"
        cause = sign.sentence[:MAX_CAUSE_CHARACTERS]
        return StateEvent(number, answers, int(at), cause, int(sign.cause_class))


def event_row(node_prefix: str, event: StateEvent) -> RowChange:
    """Return the row of E.  Raises Fault when it cannot be said."""
    row: dict[str, object] = {
        "event": event.event,
        "prefix": node_prefix,
        "type": "recovered" if event.answers else "abnormal",
        "answers": event.answers or None,
        "at": moment(event.at),
        "cause": event.cause or None,
        "cause_class": event.cause_class,
    }
    return RowChange(STATE_EVENT.number, event.event, STATE_EVENT.encode(row))
