"""UDP load with answers of several datagrams: one question under way on each of many sockets, pieces put together.

Every piece repeats the envelope (20 bytes, with the length of the whole message), and all but the last carry exactly
492 bytes of it (RFC 3652 §2.3; hdllib counts on that).  A lost piece ends the run: there is nothing to lose datagrams
on, with so few under way on one machine.
"""

import socket
from collections.abc import Sequence
from functools import partial

from loadtest.exchange import BODY_AT, HEAD_BYTES, Exchange, frame_length
from loadtest.source import bind_source
from loadtest.streams import Address, Check, WrongAnswer, prepare_streams

CONNECTIONS = 16
ENVELOPE_BYTES, PIECE_BYTES = 20, 492


def join_pieces(data: bytes) -> bytes | None:
    """Return the message whose pieces stand one after another, None while some are missing.

    The envelope is that of the first piece.  Raises WrongAnswer when they do not fit together.
    """
    if len(data) < ENVELOPE_BYTES:
        return None
    length = frame_length(data) - ENVELOPE_BYTES
    pieces = max(1, -(-length // PIECE_BYTES))
    missing = length + pieces * ENVELOPE_BYTES - len(data)
    if missing > 0:
        return None
    step = ENVELOPE_BYTES + PIECE_BYTES
    parts = [data[at : at + step] for at in range(0, len(data), step)]
    numbers = [int.from_bytes(part[12:16], "big") for part in parts]
    if missing or numbers != list(range(pieces)):
        raise WrongAnswer(f"pieces {numbers} of {pieces}, {-missing} bytes too many")
    return data[:ENVELOPE_BYTES] + b"".join(part[ENVELOPE_BYTES:] for part in parts)


def _check(exchanges: Sequence[Exchange]) -> Check:
    heads = [exchange.head[ENVELOPE_BYTES:HEAD_BYTES] for exchange in exchanges]
    ids = [exchange.head[8:12] for exchange in exchanges]
    tails = [exchange.tail for exchange in exchanges]

    def check(data: bytes, number: int) -> bool:
        message = join_pieces(data)
        if message is None:
            return False
        if (
            message[8:12] == ids[number]
            and message.startswith(heads[number], ENVELOPE_BYTES)
            and message[BODY_AT:] == tails[number]
        ):
            return True
        raise WrongAnswer(f"udp request {number}: answer {message[:1024].hex()}")

    return check


def _connect(address: Address) -> socket.socket:
    owner = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    bind_source(owner)
    owner.connect(address)
    owner.setblocking(False)
    return owner


prepare_pieces = partial(prepare_streams, check=_check, connections=CONNECTIONS, connect=_connect)
"""A run over UDP with answers in pieces; see `prepare_streams`."""
