"""What locust's users ask, what they hold to be right, and how they come and go; locust itself is never imported."""

import json
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from loadtest.baselines.echo import BODY
from loadtest.corpus import handles, object_count, record_at, records
from loadtest.exchange import native_request
from loadtest.users.connections import (
    Broken,
    HttpStream,
    NativeDatagrams,
    NativeStream,
    RequestPacker,
    campaign_headers,
    handle_path,
)
from loadtest.users.curves import BASE_SHARE, CURVES, users_at
from loadtest.users.questions import Questions, question, scheme_of
from loadtest.users.verdicts import Verdicts
from node.ledger.headers import of_block
from resolver.wire import (
    Envelope,
    ErrorAnswer,
    Header,
    Message,
    Opcode,
    ResolutionRequest,
    ResponseCode,
    decode_request,
    encode_resolution_answer,
    encode_values,
)
from tests.support.unruly import HTTP_BODY, echo, running_unruly

LINES = 2_000
KNOWN, UNKNOWN = question(5, is_known=True), question(10**6, is_known=False)


def test_nine_in_ten_are_known_popular_ones_often_and_of_several_schemes() -> None:
    questions = Questions(7, LINES)
    drawn = [questions.draw() for _ in range(4_000)]
    known = [each.handle for each in drawn if each.is_known]
    there = set(handles(LINES))

    assert 0.87 < len(known) / len(drawn) < 0.93
    assert there.issuperset(known)
    assert there.isdisjoint(each.handle for each in drawn if not each.is_known)
    assert max(known.count(each) for each in set(known)) > 20 * len(known) / object_count(LINES)
    assert {"handle", "doi", "ecode", "oid", "gs1", "did"} <= {scheme_of(each) for each in known}


def test_two_users_with_one_seed_ask_the_same() -> None:
    assert [Questions(3).draw() for _ in range(9)] == [Questions(3).draw() for _ in range(9)]


def test_a_record_is_the_one_of_the_corpus() -> None:
    lines = [line for line in records(300) if not str(line["handle"]).startswith("0.NA/")]

    assert [record_at(number) for number in range(len(lines))] == lines


def _said(number: int) -> dict[str, object]:
    """What a node says of a record over HTTP: its public values."""
    record = record_at(number)
    values = record["values"]
    assert isinstance(values, list)
    public = [
        {**each, "data": each["data"] if isinstance(each["data"], dict) else _text(each["data"])}
        for each in values
        if each.get("permissions", "1110")[2] == "1"
    ]
    public.sort(key=lambda value: value["index"])
    return {"responseCode": 1, "handle": record["handle"], "values": public}


def _text(data: str) -> dict[str, str]:
    return {"format": "string", "value": data}


def test_the_right_answer_is_right_also_when_it_is_known() -> None:
    verdicts, body = Verdicts(), json.dumps(_said(5)).encode()

    assert [verdicts.http(KNOWN, 200, body) for _ in range(2)] == ["", ""]


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, b""),
        (200, b"[]"),
        (200, b"\xff"),
        (200, json.dumps(_said(6)).encode()),
        (200, json.dumps({**_said(5), "values": []}).encode()),
        (404, b'{"responseCode":100}'),
        (503, b""),
        (0, b""),
    ],
)
def test_another_answer_is_wrong(status: int, body: bytes) -> None:
    assert Verdicts().http(KNOWN, status, body)


def test_what_was_right_for_one_identifier_is_not_for_another() -> None:
    verdicts, body = Verdicts(), json.dumps(_said(5)).encode()
    verdicts.http(KNOWN, 200, body)

    assert verdicts.http(question(6, is_known=True), 200, body)


@pytest.mark.parametrize(
    ("status", "body", "is_right"),
    [
        (404, b'{"responseCode":100}', True),
        (404, b'{"responseCode":200}', False),
        (404, b"not found", False),
        (200, json.dumps(_said(5)).encode(), False),
    ],
)
def test_an_unknown_identifier_is_said_to_be_unknown(
    status: int, body: bytes, *, is_right: bool
) -> None:
    assert (Verdicts().http(UNKNOWN, status, body) == "") == is_right


def _answer(request: bytes, code: ResponseCode, body: bytes) -> bytes:
    envelope = Message.decode(request).envelope
    return Message(envelope, Header(Opcode.RESOLUTION, code, expiration=2**31 - 1), body).encode()


def test_native_answers_are_judged_alike() -> None:
    verdicts, packer = Verdicts(), RequestPacker(2**31 - 2)
    known, unknown = packer.pack(KNOWN.handle), packer.pack(UNKNOWN.handle)
    missing = _answer(unknown, ResponseCode.HANDLE_NOT_FOUND, ErrorAnswer().encode())
    empty = encode_resolution_answer(KNOWN.handle.encode(), encode_values(()))
    hollow = _answer(known, ResponseCode.SUCCESS, empty)

    assert verdicts.native(UNKNOWN, unknown, missing) == ""
    assert "number of values" in verdicts.native(KNOWN, known, hollow)
    assert "response code" in verdicts.native(KNOWN, unknown, missing)
    assert "response code" in verdicts.native(UNKNOWN, known, hollow)
    assert "another request" in verdicts.native(UNKNOWN, known, missing)
    assert "another request" in verdicts.native(UNKNOWN, unknown, b"")


def test_requests_count_up_and_ask_for_the_handle() -> None:
    packer = RequestPacker(41)
    first, second = (Message.decode(packer.pack("88.118.8/x")) for _ in range(2))

    assert second.envelope.request_id == first.envelope.request_id + 1
    assert decode_request(first) == ResolutionRequest(b"88.118.8/x")


def test_the_echo_is_right_when_it_is_one() -> None:
    verdicts, request = Verdicts(is_echo=True), native_request(b"88.118.8/x")

    assert verdicts.http(KNOWN, 200, BODY) == verdicts.native(KNOWN, request, request) == ""
    assert verdicts.http(KNOWN, 200, BODY[:-1])
    assert verdicts.native(KNOWN, request, request[:-1] + b"?")


def test_connections_ask_again_after_a_break() -> None:
    with running_unruly("http", lambda number, answer: None if number == 1 else answer) as address:
        stream = HttpStream(address)
        assert stream.get(handle_path("88.118.8/x")) == (200, HTTP_BODY)
        with pytest.raises(Broken):
            stream.get(handle_path("88.118.8/x"))
        stream.let_go()
        assert stream.get(handle_path("88.118.8/x")) == (200, HTTP_BODY)
        stream.let_go()


@pytest.mark.parametrize("token", ["secret", ""])
def test_the_token_of_a_campaign_goes_with_each_question(token: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        stream = HttpStream(listener.getsockname(), campaign_headers(token))
        stream.send(b"")
        server, _ = listener.accept()
        with server, ThreadPoolExecutor(1) as threads:
            told = threads.submit(stream.get, "/x")
            request = server.recv(1 << 16)
            server.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
            assert told.result() == (200, b"")
        stream.let_go()

    assert of_block(request.partition(b"\r\n")[2]).token == token.encode()


def test_native_connections_return_whole_messages() -> None:
    request = RequestPacker(1).pack("88.118.8/x")
    with running_unruly("tcp", echo) as address:
        stream = NativeStream(address)
        assert [stream.ask(request) for _ in range(2)] == [request, request]
        stream.let_go()


def test_a_datagram_for_an_older_question_is_passed_over() -> None:
    older = Message(
        Envelope(2, 11, 2, 11, request_id=9), Header(Opcode.RESOLUTION, ResponseCode.SUCCESS), b""
    ).encode()
    request = RequestPacker(1).pack("88.118.8/x")
    with running_unruly("udp", lambda number, answer: answer if number else older) as address:
        way = NativeDatagrams(address)
        way.send(request)  # it is answered with the older one
        assert way.ask(request) == request
        way.close()


@pytest.mark.parametrize("name", CURVES)
def test_a_shape_stays_below_its_peak_and_ends(name: str) -> None:
    users = [users_at(CURVES[name], second, length=100, peak=50) for second in range(100)]

    assert users_at(CURVES[name], 100, length=100, peak=50) is None
    assert all(each is not None and 1 <= each <= 50 for each in users)
    assert max(each or 0 for each in users) == 50


def test_a_spike_begins_and_ends_small() -> None:
    users = [users_at(CURVES["spike"], second, length=100, peak=50) for second in (0, 50, 99)]

    assert users == [BASE_SHARE * 50, 50, BASE_SHARE * 50]


def test_what_tests_import_does_not_rebuild_sockets() -> None:
    """Only locustfiles import locust; all else of the load tests can be imported beside asyncio."""
    modules = ", ".join(
        f"loadtest.users.{name}" for name in ("connections", "curves", "questions", "verdicts")
    )
    code = f"import sys, {modules}, loadtest.locust_ceiling; print('gevent' in sys.modules)"

    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert told.stdout.strip() == "False"
