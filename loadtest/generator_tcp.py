"""TCP load: native messages on kept-open connections, one or several (pipelined) requests under way on each."""

from collections.abc import Sequence
from math import inf

from loadtest.exchange import BODY_AT, Exchange, frame_length
from loadtest.run import Prepared
from loadtest.streams import Check, StreamGenerator, WrongAnswer

CONNECTIONS = 16
PIPELINED = 32


def prepare_tcp(
    address: tuple[str, int],
    exchanges: Sequence[Exchange],
    *,
    seconds: float = inf,
    once: bool = False,
    connections: int = CONNECTIONS,
    depth: int = 1,
) -> Prepared:
    """Return a run over the exchanges, round and round, or each `once`, that ends after `seconds` at the latest.

    Requests travel in blocks of `depth`; the next block of a connection is sent when all answers of the last one came.
    Exchanges that do not fill a block are left out.
    """
    blocks = [exchanges[at : at + depth] for at in range(0, len(exchanges) - depth + 1, depth)]
    requests = [b"".join(exchange.request for exchange in block) for block in blocks]
    check = _single(exchanges) if depth == 1 else _block(blocks)
    generator = StreamGenerator(address, requests, check, connections=connections, depth=depth)
    return lambda: generator.run(seconds, once=once)


def _single(exchanges: Sequence[Exchange]) -> Check:
    heads = [exchange.head for exchange in exchanges]
    tails = [exchange.tail for exchange in exchanges]

    def check(data: bytes, number: int) -> bool:
        tail = tails[number]
        if (
            len(data) == BODY_AT + len(tail)
            and data.startswith(heads[number])
            and data.endswith(tail)
        ):
            return True
        if len(data) < 20 or len(data) < frame_length(data):
            return False
        raise WrongAnswer(f"tcp request {number}: answer {data[:1024].hex()}")

    return check


def _block(blocks: Sequence[Sequence[Exchange]]) -> Check:
    plans = [[(one.head, one.tail, BODY_AT + len(one.tail)) for one in block] for block in blocks]
    totals = [sum(length for _, _, length in plan) for plan in plans]

    def check(data: bytes, number: int) -> bool:
        if len(data) < totals[number]:
            _refuse_wrong_start(data, number, plans[number][0][0])
            return False
        at, starts_with = 0, data.startswith
        for head, tail, length in plans[number]:
            if not (starts_with(head, at) and starts_with(tail, at + BODY_AT)):
                raise WrongAnswer(f"tcp block {number}: at byte {at} {data[at : at + 1024].hex()}")
            at += length
        if at != len(data):
            raise WrongAnswer(f"tcp block {number}: {len(data) - at} bytes too many")
        return True

    return check


def _refuse_wrong_start(data: bytes, number: int, head: bytes) -> None:
    """A first answer that is wrong and short would otherwise be waited for until the time-out."""
    if len(data) >= len(head) and not data.startswith(head):
        raise WrongAnswer(f"tcp block {number}: {data[:1024].hex()}")
