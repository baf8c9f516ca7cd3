"""Turns: so many questions, divided among the protocols, and exchanges enough for each turn."""

from collections.abc import Iterator, Sequence
from typing import TypeVar

from loadtest.exchange import Exchange, numbered

TURN = 50_000  # answers of one protocol before the next

Named = TypeVar("Named", bound=str)


def turns(resolutions: int, protocols: Sequence[Named]) -> Iterator[tuple[Named, int]]:
    """Divide questions among the protocols, and each share into turns."""
    left = {
        protocol: resolutions // len(protocols) + (place < resolutions % len(protocols))
        for place, protocol in enumerate(protocols)
    }
    while any(left.values()):
        for protocol in protocols:
            count = min(left[protocol], TURN)
            left[protocol] -= count
            if count:
                yield protocol, count


def repeated(exchanges: Sequence[Exchange], count: int) -> list[Exchange]:
    """Return so many exchanges, from the first to the last and round again."""
    rounds = -(-count // len(exchanges))
    return (list(exchanges) * rounds)[:count]


def all_numbered(exchanges: Sequence[Exchange]) -> list[Exchange]:
    """Give each request an id of its own; UDP does so by itself."""
    return [numbered(exchange, number) for number, exchange in enumerate(exchanges)]
