"""Writes as the load tests make them: requests, sessions, and a generator that takes no refusal for a write."""

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest

from loadtest.administrators import ADMIN
from loadtest.generator_writes import prepare_puts
from loadtest.http_writes import delete, indexes, put, read
from loadtest.native_session import NativeSession, name_body
from resolver.keys.cipher import check_mac, decrypt
from resolver.wire import Credential, Message, NameRequest, Opcode, signed_block, unwrap

KEY = bytes(range(32))
CREATED = b'HTTP/1.1 201 Created\r\nETag: "3"\r\nContent-Length: 18\r\n\r\n{"responseCode":1}'
REFUSED = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n"
SECONDS = 0.1


def test_a_put_has_its_length_and_whatever_headers_it_is_given() -> None:
    request = put("88.1/x", [(1, "a")], "If-Match: *", query="?overwrite=false")

    head, _, body = request.partition(b"\r\n\r\n")
    assert head.startswith(b"PUT /api/handles/88.1/x?overwrite=false HTTP/1.1\r\n")
    assert b"\r\nContent-Length: %d\r\n" % len(body) in head
    assert head.endswith(b"\r\nIf-Match: *")


def test_a_delete_names_the_values() -> None:
    request = delete("88.1/x", query=indexes((1, 20)))

    assert request.startswith(b"DELETE /api/handles/88.1/x?index=1&index=20 HTTP/1.1\r\n")


def test_an_answer_is_read() -> None:
    said = read(CREATED.replace(b"\r\nETag", b"\r\nIdempotent-Replayed: true\r\nETag"))

    assert said[:4] == (201, 1, 3, True)
    assert read(REFUSED)[:4] == (403, 0, 0, False)


def test_requests_of_a_session_are_counted_and_carry_its_mac() -> None:
    session = NativeSession(7, KEY)

    first, second = (
        Message.decode(session.pack(Opcode.DELETE_HANDLE, name_body("88.1/x"))) for _ in range(2)
    )

    assert NameRequest.decode(first.body).handle == b"88.1/x"
    credentials = [Credential.decode(each.credential) for each in (first, second)]
    assert [each.counter for each in credentials] == [1, 2]
    for message, credential in zip((first, second), credentials, strict=True):
        version, counter = message.envelope.version, credential.counter
        block = signed_block(version, message.envelope, counter, message.header_and_body)
        assert check_mac(KEY, block, credential.signature)


def test_a_sealed_request_is_the_same_encrypted() -> None:
    sealed = NativeSession(7, KEY).seal(Opcode.DELETE_HANDLE, name_body("88.1/x"))

    envelope, content = unwrap(sealed)
    assert (envelope.encrypted, envelope.session_id) == (True, 7)
    plain = Message.decode_content(replace(envelope, encrypted=False), decrypt(KEY, content))
    assert plain.header.opcode == Opcode.DELETE_HANDLE


def test_the_generator_counts_what_was_done() -> None:
    with _answering(CREATED) as address:
        run = prepare_puts(address, "n", ADMIN.header, connections=3, seconds=SECONDS)()

    assert run.answers > 3
    assert (run.wrong, len(run.latencies)) == (0, run.answers)


def test_the_generator_takes_a_refusal_for_a_fault() -> None:
    with _answering(REFUSED) as address:
        run = prepare_puts(address, "n", ADMIN.header, connections=1, seconds=SECONDS)()

    assert run.answers == 0
    assert "403" in run.faults[0]


@contextmanager
def _answering(answer: bytes) -> Iterator[tuple[str, int]]:
    """A server in a thread that answers every request alike."""
    owner = socket.create_server(("127.0.0.1", 0))
    loop = asyncio.new_event_loop()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(65_536):
            writer.write(answer)
        writer.close()

    async def serve() -> None:
        async with await asyncio.start_server(talk, sock=owner):
            await stop.wait()
            await asyncio.sleep(0.05)  # so that connections see their end

    stop = asyncio.Event()
    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    try:
        yield owner.getsockname()
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()
        loop.close()


@pytest.mark.parametrize("handle", ["88.1/a b", "88.1/棚"])
def test_a_handle_is_percent_encoded(handle: str) -> None:
    assert b" HTTP/1.1\r\n" in put(handle, [])
    assert put(handle, []).partition(b"\r\n")[0].count(b" ") == 2
