"""Ways: how a question travels to a node and what a whole answer to it is, one for each way that a ledger counts.

A way packs one or several questions into one write, and reads answers until all have come; it gives each question when
its answer is whole and right.  What says "busy" or "unavailable" may or may not be counted, so it is given to nobody.
"""

import json
from asyncio import StreamReader
from collections.abc import AsyncIterator, Callable, Sequence
from typing import NamedTuple

from loadtest.exchange import ID_AT, ID_END, native_request
from loadtest.replies import read_frame, read_http
from node.ledger.record import Proto

PIPELINED = 8  # native requests of one write
BATCH = 20  # items of one request
FOUND, NO_SUCH_HANDLE = 1, 100
_CODE = slice(24, 28)
_HOST = "node.test"
_ID_HEADER = "X-Request-Id"
_STATUSES = (b"200", b"302", b"404")
_CODES = frozenset({FOUND, NO_SUCH_HANDLE})
_ITEM_STATUSES = ("found", 404)


class Question(NamedTuple):
    """An identifier, and the four bytes that the client calls its request."""

    name: str
    number: bytes


Questions = Sequence[Question]
Answers = AsyncIterator[Question]


class Way(NamedTuple):
    """One way: its protocol in the ledger, whether it comes to the native port, questions a write, and what is sent."""

    proto: Proto
    is_native: bool
    at_once: int
    pack: Callable[[Questions], bytes]
    read: Callable[[StreamReader, Questions], Answers]


def pack_native(questions: Questions) -> bytes:
    """Return native requests, one behind the other."""
    return b"".join(_native(each) for each in questions)


def is_answer(question: Question, message: bytes) -> bool:
    """True for a whole native message that answers this question."""
    code = int.from_bytes(message[_CODE], "big")
    return message[ID_AT:ID_END] == question.number and code in _CODES


async def _read_native(reader: StreamReader, questions: Questions) -> Answers:
    for question in questions:
        if is_answer(question, await read_frame(reader)):
            yield question


def _pack_ready(questions: Questions) -> bytes:
    """The smallest header block: a ready answer, if there is one."""
    return _get(f"/api/handles/{questions[0].name}", questions[0])


def _pack_past_caches(questions: Questions) -> bytes:
    return _get(f"/api/handles/{questions[0].name}?auth", questions[0])


def _pack_resolve(questions: Questions) -> bytes:
    return _get(f"/v1/resolve/{questions[0].name}", questions[0])


def _pack_page(questions: Questions) -> bytes:
    return _get(f"/{questions[0].name}", questions[0])


def _pack_tunnel(questions: Questions) -> bytes:
    return _post("/", "application/x-hdl-message", pack_native(questions), questions[0])


def _pack_batch(questions: Questions) -> bytes:
    items = json.dumps([each.name for each in questions]).encode()
    return _post("/v1/resolve", "application/json", items, questions[0])


async def _read_http(reader: StreamReader, questions: Questions) -> Answers:
    response = await read_http(reader)
    if response[9:12] in _STATUSES:
        yield questions[0]


async def _read_tunnel(reader: StreamReader, questions: Questions) -> Answers:
    response = await read_http(reader)
    if is_answer(questions[0], response.partition(b"\r\n\r\n")[2]):
        yield questions[0]


async def _read_batch(reader: StreamReader, questions: Questions) -> Answers:
    """Give items as their lines come; all of a batch have one request id."""
    head = await reader.readuntil(b"\r\n\r\n")
    if head[9:12] != b"200":
        raise EOFError("the batch was refused; its connection is not used again")
    line, left = b"", list(questions)
    while length := int(await reader.readline(), 16):
        *lines, line = (line + await reader.readexactly(length)).split(b"\n")
        await reader.readexactly(2)
        for each in lines:
            question = left.pop(0)
            if json.loads(each)["status"] in _ITEM_STATUSES:
                yield question
    await reader.readexactly(2)


def _native(question: Question) -> bytes:
    return native_request(question.name.encode(), int.from_bytes(question.number, "big"))


def _get(target: str, question: Question) -> bytes:
    head = (
        f"GET {target} HTTP/1.1\r\nHost: {_HOST}\r\n{_ID_HEADER}: {question.number.hex()}\r\n\r\n"
    )
    return head.encode()


def _post(target: str, kind: str, body: bytes, question: Question) -> bytes:
    head = (
        f"POST {target} HTTP/1.1\r\nHost: {_HOST}\r\nContent-Type: {kind}\r\n"
        f"{_ID_HEADER}: {question.number.hex()}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


STREAMS = (
    Way(Proto.HTTP_JSON, False, 1, _pack_ready, _read_http),
    Way(Proto.HTTP_JSON, False, 1, _pack_past_caches, _read_http),
    Way(Proto.HTTP_JSON, False, 1, _pack_resolve, _read_http),
    Way(Proto.HTTP_PAGE, False, 1, _pack_page, _read_http),
    Way(Proto.TCP, True, 1, pack_native, _read_native),
    Way(Proto.TCP, True, PIPELINED, pack_native, _read_native),
    Way(Proto.NATIVE_HTTP, False, 1, _pack_tunnel, _read_tunnel),
    Way(Proto.BATCH, False, BATCH, _pack_batch, _read_batch),
)
"""Every way over a stream; datagrams are asked by themselves."""
