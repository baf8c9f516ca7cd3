"""HTTP load: GET on keep-alive connections with the smallest header block, one request under way on each."""

from collections.abc import Callable, Sequence
from functools import partial

from loadtest.exchange import Exchange
from loadtest.streams import Check, WrongAnswer, prepare_streams

CONNECTIONS = 64
_BLANK_LINE = b"\r\n\r\n"
_HEADS_KEPT = 4096
_LENGTH = b"content-length:"


def response_splitter() -> Callable[[bytes], int]:
    """Return a function: received bytes -> where the body of a whole response begins, 0 while it is not whole.

    Header blocks repeat, so the Content-Length of each is looked up by its bytes.  More bytes than announced are a
    WrongAnswer, and so is a header block without Content-Length.
    """
    lengths: dict[bytes, int] = {}

    def split(data: bytes) -> int:
        end = data.find(_BLANK_LINE)
        if end < 0:
            return 0
        head = data[:end]
        length = lengths.get(head)
        if length is None:
            length = content_length(head)
            if len(lengths) < _HEADS_KEPT:
                lengths[head] = length
        body = end + len(_BLANK_LINE)
        missing = body + length - len(data)
        if missing < 0:
            raise WrongAnswer(f"http: {-missing} bytes more than announced: {data[:1024]!r}")
        return 0 if missing else body

    return split


def content_length(head: bytes) -> int:
    """Return the announced length of the body; raises WrongAnswer when none is announced."""
    at = head.lower().find(b"\r\n" + _LENGTH)
    if at < 0:
        raise WrongAnswer(f"http: no Content-Length in {head!r}")
    return int(head[at + 2 + len(_LENGTH) :].split(b"\r\n", 1)[0])


def check_http(exchanges: Sequence[Exchange]) -> Check:
    """Return the check of one whole response against the exchange of that number."""
    statuses = [exchange.head for exchange in exchanges]
    bodies = [exchange.tail for exchange in exchanges]
    split = response_splitter()

    def check(data: bytes, number: int) -> bool:
        at = split(data)
        if not at:
            return False
        body = bodies[number]
        if (
            len(data) == at + len(body)
            and data.endswith(body)
            and data.startswith(statuses[number])
        ):
            return True
        raise WrongAnswer(f"http request {number}: answer {data[:1024]!r}")

    return check


prepare_http = partial(prepare_streams, check=check_http, connections=CONNECTIONS)
"""A run over HTTP; see `prepare_streams`."""
