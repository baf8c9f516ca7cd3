"""Learning right answers: drawn from the corpus, held against it, refused when they differ."""

import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from loadtest.exchange import native_request
from loadtest.learn import (
    LearningError,
    Sample,
    draw,
    is_handle,
    is_plain_path,
    learn_http,
    learn_native,
    relearn_http,
)
from loadtest.scenarios import database_of
from loadtest.streams import Address

RECORD = {
    "handle": "88.118/x",
    "values": [
        {"index": 2, "type": "URL", "data": {"format": "string", "value": "https://example.cn"}},
        {"index": 1, "type": "产品名称", "data": "柴油机"},
        {"index": 7, "type": "EMAIL", "data": "a@example.cn", "permissions": "1100"},
    ],
}
PUBLIC = [
    {"index": 1, "type": "产品名称", "data": {"format": "string", "value": "柴油机"}, "ttl": 86400},
    {"index": 2, "type": "URL", "data": {"format": "string", "value": "https://example.cn"}},
]
BODY = {"responseCode": 1, "handle": "88.118/x", "values": PUBLIC}


def _text(*parts: str) -> bytes:
    return b"".join(len(part.encode()).to_bytes(4, "big") + part.encode() for part in parts)


def _native(count: int = 2, product: str = "柴油机", code: int = 1) -> bytes:
    """An answer as far as the check looks: handle, number of values, and the parts with their lengths."""
    body = (
        _text("88.118/x")
        + count.to_bytes(4, "big")
        + _text("产品名称", product, "URL", "https://example.cn")
    )
    header = bytes((0, 0, 0, 1, 0, 0, 0, code)) + bytes(12) + len(body).to_bytes(4, "big")
    rest = header + body + bytes(4)
    return b"\2\x0b\2\x0b" + bytes(12) + len(rest).to_bytes(4, "big") + rest


def _http(body: object, status: str = "200 OK") -> bytes:
    data = json.dumps(body).encode()
    return b"HTTP/1.1 %b\r\nContent-Length: %d\r\n\r\n%b" % (status.encode(), len(data), data)


def test_draw_takes_object_records_once_and_the_same_for_a_seed(tmp_path: Path) -> None:
    corpus = tmp_path / "corpus.ndjson"
    handles = ["0.NA/88.118", *(f"88.118/{number}" for number in range(50))]
    corpus.write_text(
        "".join(f'{{"handle":"{handle}","values":[]}}\n' for handle in handles), "utf-8"
    )

    some, again, all_of_them = draw(corpus, 10), draw(corpus, 10), draw(corpus, 100)

    assert some.handles == again.handles
    assert len(set(some.handles)) == 10
    assert sorted(all_of_them.handles) == sorted(handle.encode() for handle in handles[1:])


def test_native_answer_with_the_public_values_is_taken() -> None:
    with _server(lambda _: _native()) as address:
        (exchange,) = learn_native(address, Sample((RECORD,)))

    assert exchange.request == native_request(b"88.118/x")
    assert exchange.tail == _native()[40:]


@pytest.mark.parametrize("answer", [_native(count=3), _native(product="曲轴")])
def test_native_answer_that_lacks_what_was_loaded_is_refused(answer: bytes) -> None:
    with _server(lambda _: answer) as address, pytest.raises(LearningError, match=r"88\.118/x"):
        learn_native(address, Sample((RECORD,)))


def test_native_answer_with_another_response_code_is_refused() -> None:
    with (
        _server(lambda _: _native(code=2)) as address,
        pytest.raises(ValueError, match="succeeded"),
    ):
        learn_native(address, Sample((RECORD,)))


def test_http_answer_with_the_public_values_is_taken_and_asked_for_without_the_query() -> None:
    asked: list[bytes] = []

    def answer(request: bytes) -> bytes:
        asked.append(request)
        return _http(BODY)

    with _server(answer) as address:
        (exchange,) = learn_http(address, Sample((RECORD,)))

    assert b"?auth&publicOnly HTTP/1.1" in asked[0]
    assert exchange.request.startswith(b"GET /api/handles/88.118/x HTTP/1.1\r\n")
    assert json.loads(exchange.tail) == BODY


@pytest.mark.parametrize(
    "body",
    [
        {**BODY, "handle": "88.118/X"},
        {**BODY, "responseCode": 200},
        {**BODY, "values": PUBLIC[:1]},
        {
            **BODY,
            "values": [*PUBLIC, {"index": 7, "type": "EMAIL", "data": {"value": "a@example.cn"}}],
        },
    ],
)
def test_http_answer_that_differs_from_what_was_loaded_is_refused(body: dict[str, Any]) -> None:
    with (
        _server(lambda _: _http(body)) as address,
        pytest.raises(LearningError, match=r"88\.118/x"),
    ):
        learn_http(address, Sample((RECORD,)))


def test_http_answer_with_another_status_is_refused() -> None:
    with (
        _server(lambda _: _http({}, "503 Busy")) as address,
        pytest.raises(LearningError, match="not 200"),
    ):
        learn_http(address, Sample((RECORD,)))


def test_another_server_may_write_the_same_json_otherwise_but_not_say_another_thing() -> None:
    with _server(lambda _: _http(BODY)) as address:
        known = learn_http(address, Sample((RECORD,)))
    spaced = json.dumps(BODY, indent=2, ensure_ascii=False).encode()
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(spaced), spaced)

    with _server(lambda _: answer) as address:
        (exchange,) = relearn_http(address, known)
    assert exchange.tail == spaced
    assert b"Host: %b:%d\r\n" % (address[0].encode(), address[1]) in exchange.request

    with _server(lambda _: _http({})) as address, pytest.raises(LearningError, match="instead of"):
        relearn_http(address, known)


def test_what_a_path_is() -> None:
    with _server(lambda _: _http(BODY)) as address:
        (plain,) = learn_http(address, Sample((RECORD,)))
    labelled = plain._replace(request=b"GET /api/handles/oid:1.2 HTTP/1.1\r\nHost: x%y\r\n\r\n")
    encoded = plain._replace(request=b"GET /api/handles/88.1/%E6 HTTP/1.1\r\nHost: x\r\n\r\n")

    assert (is_plain_path(plain), is_handle(plain)) == (True, True)
    assert (is_plain_path(labelled), is_handle(labelled)) == (True, False)
    assert (is_plain_path(encoded), is_handle(encoded)) == (False, True)


@pytest.mark.parametrize(
    ("url", "other"),
    [
        ("unix:///run/valkey.sock", "unix:///run/valkey.sock?db=3"),
        ("redis://:secret@host:6380/0", "redis://:secret@host:6380/3"),
        ("redis://host", "redis://host/3"),
    ],
)
def test_another_database_of_the_same_redis(url: str, other: str) -> None:
    assert database_of(url, 3) == other


@contextmanager
def _server(answer: Callable[[bytes], bytes]) -> Iterator[Address]:
    """A server that answers one read on one connection after the other."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            while True:
                connection, _ = listener.accept()
                with connection:
                    while request := connection.recv(65536):
                        if request == b"stop":
                            return
                        connection.sendall(answer(request))

        thread = threading.Thread(target=serve)
        thread.start()
        address: Address = listener.getsockname()
        try:
            yield address
        finally:
            with socket.create_connection(address) as last:
                last.sendall(b"stop")
                thread.join(5)
