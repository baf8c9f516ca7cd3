"""Native administration, in process: every operation, its flags, its lists in several messages, and what fails."""

import pytest

from resolver.observe import Protocol
from resolver.registrar import Operation
from resolver.responder import Origin, Reply
from resolver.wire import (
    CreateAnswer,
    EmptyAnswer,
    Flag,
    HandleValue,
    IndexesRequest,
    Message,
    NamesAnswer,
    Opcode,
    Reference,
    ResponseCode,
    ValuesRequest,
    decode_answer,
)
from tests.support.fleet import Fleet, admin, name
from tests.support.native import Client, Identity

PREFIX = b"0.NA/88.1"
ADMIN = Identity(PREFIX, 301, b"secret of the administrator")
URL = HandleValue(1, b"URL", b"https://example.org/1")
EMAIL = HandleValue(2, b"EMAIL", b"a@example.org")
HS_ADMIN = admin(100, PREFIX, 301)


def fleet(handles: int = 0) -> Fleet:
    made = Fleet(2, server_admins=(Reference(PREFIX, 301),))
    secret = HandleValue(301, b"HS_SECKEY", b"secret of the administrator", permissions=0b1100)
    made.store.put("0.NA/88.1", [HS_ADMIN, secret])
    made.store.put("88.1/x", [URL, HS_ADMIN])
    for number in range(handles):
        made.store.put(f"88.1/h{number:04}", [URL])
    return made


def code_of(message: Message) -> int:
    return message.header.response_code


async def frames(reply: Reply) -> list[Message]:
    """Return all messages of an answer."""
    more = [] if reply.more is None else [message async for message in reply.more]
    return [Message.decode(message) for message in (reply.message, *more)]


@pytest.mark.parametrize(
    ("opcode", "body", "values"),
    [
        (Opcode.ADD_VALUE, ValuesRequest(b"88.1/x", (EMAIL,)).encode(), {1, 2, 100}),
        (Opcode.REMOVE_VALUE, IndexesRequest(b"88.1/x", (1,)).encode(), {100}),
        (Opcode.MODIFY_VALUE, ValuesRequest(b"88.1/x", (URL,)).encode(), {1, 100}),
        (Opcode.DELETE_HANDLE, name(b"88.1/x"), set()),
    ],
)
async def test_a_change_is_carried_out_and_answered_with_nothing(
    opcode: int, body: bytes, values: set[int]
) -> None:
    node = fleet()
    client = await node.session(ADMIN)

    answer = client.read((await node.ask(client.request(opcode, body))).message)

    assert decode_answer(answer) == (None, EmptyAnswer())
    stored = node.store.values_by_key.get(b"88.1/X", ())
    assert {value.index for value in stored} == values


async def test_a_created_handle_is_named_as_it_was_asked_for() -> None:
    node = fleet()
    client = await node.session(ADMIN)
    body = ValuesRequest(b"88.1/New", (URL,)).encode()

    answer = client.read((await node.ask(client.request(Opcode.CREATE_HANDLE, body))).message)

    assert decode_answer(answer) == (None, CreateAnswer(b"88.1/New"))


@pytest.mark.parametrize(
    ("start", "minted"), [(b"88.1/", b"88.1/minted"), (b"88.1/pump-", b"88.1/pump-minted")]
)
async def test_a_minted_handle_is_named(start: bytes, minted: bytes) -> None:
    node = fleet()
    client = await node.session(ADMIN)
    body = ValuesRequest(start, (URL,)).encode()
    flags = int(Flag.MINT_SUFFIX)

    answer = client.read(
        (await node.ask(client.request(Opcode.CREATE_HANDLE, body, flags))).message
    )

    assert decode_answer(answer) == (None, CreateAnswer(minted))


@pytest.mark.parametrize(
    ("opcode", "flags", "code"),
    [
        (Opcode.CREATE_HANDLE, 0, 101),
        (Opcode.CREATE_HANDLE, Flag.OVERWRITE, 1),
        (Opcode.ADD_VALUE, 0, 201),
        (Opcode.ADD_VALUE, Flag.OVERWRITE, 1),
    ],
)
async def test_what_is_there_is_replaced_only_when_told_to(
    opcode: int, flags: int, code: int
) -> None:
    node = fleet()
    client = await node.session(ADMIN)
    body = ValuesRequest(b"88.1/x", (HandleValue(1, b"URL", b"other"), HS_ADMIN)).encode()

    answer = client.read((await node.ask(client.request(opcode, body, int(flags)))).message)

    assert code_of(answer) == code
    assert (node.store.values_by_key[b"88.1/X"][0].data == b"other") == (code == 1)


@pytest.mark.parametrize(
    ("count", "sizes"),
    [(0, [1]), (49, [50]), (50, [50, 1]), (149, [50, 50, 50]), (120, [50, 50, 21])],
)
@pytest.mark.parametrize("worker", [0, 1])
async def test_handles_are_listed_fifty_a_message(
    count: int, sizes: list[int], worker: int
) -> None:
    """At the worker that has the session, and at another one."""
    node = fleet(count)
    client = await node.session(ADMIN)

    listed = await frames(
        await node.ask(client.request(Opcode.LIST_HANDLES, name(PREFIX)), worker=worker)
    )

    pages = [NamesAnswer.decode(message.body).names for message in listed]
    assert [len(page) for page in pages if page] == sizes
    assert sum(pages, ()) == tuple(
        sorted([*(b"88.1/h%04d" % number for number in range(count)), b"88.1/x"])
    )
    *before, last = [bool(message.header.flags & Flag.CONTINUOUS) for message in listed]
    assert all(before)
    assert not last
    assert {message.envelope.session_id for message in listed} == {client.session_id}
    assert len({message.envelope.request_id for message in listed}) == 1


async def test_a_list_after_a_challenge_is_all_in_the_name_of_the_request() -> None:
    node, client = fleet(120), Client()
    request = client.request(Opcode.LIST_HANDLES, name(PREFIX))
    challenge = client.read((await node.ask(request)).message)

    listed = await frames(await node.ask(client.prove(challenge, ADMIN)))

    assert [message.header.opcode for message in listed] == [Opcode.LIST_HANDLES] * 3
    assert {message.envelope.session_id for message in listed} == {0}
    assert {message.envelope.request_id for message in listed} == {2}


async def test_a_list_that_breaks_off_does_not_look_whole() -> None:
    node = fleet(120)
    client = await node.session(ADMIN)
    reply = await node.ask(client.request(Opcode.LIST_HANDLES, name(PREFIX)))

    node.store.is_down = True
    first, last = await frames(reply)

    assert [code_of(first), code_of(last)] == [1, ResponseCode.SERVER_BUSY]
    assert first.header.flags & Flag.CONTINUOUS
    assert not last.header.flags & Flag.CONTINUOUS


async def test_a_prefix_is_homed_listed_and_unhomed() -> None:
    node = fleet()
    client = await node.session(ADMIN)

    async def ask(opcode: int, handle: bytes) -> Message:
        return client.read((await node.ask(client.request(opcode, name(handle)))).message)

    homed = await ask(Opcode.HOME_PREFIX, b"0.NA/99.5")
    listed = await ask(Opcode.LIST_HOMED_PREFIXES, b"")
    unhomed = await ask(Opcode.UNHOME_PREFIX, b"0.NA/99.5")

    assert [code_of(homed), code_of(unhomed)] == [1, 1]
    assert NamesAnswer.decode(listed.body).names == (b"0.NA/88.1", b"0.NA/99.5")
    assert node.store.homed == {b"88.1"}
    operations = [write.operation for write in node.registrar.writes]
    assert operations[-2:] == [Operation.HOME, Operation.UNHOME]


@pytest.mark.parametrize("opcode", [100, 101, 102, 103, 104, 105, 300, 301, 302])
async def test_a_database_that_is_away_is_busy(opcode: int) -> None:
    node = fleet()
    client = await node.session(ADMIN)
    node.store.is_down = True
    body = ValuesRequest(b"88.1/x", (EMAIL,)).encode()
    if opcode == Opcode.REMOVE_VALUE:
        body = IndexesRequest(b"88.1/x", (1,)).encode()
    if opcode not in (100, 102, 103, 104):
        body = name(PREFIX)

    answer = client.read((await node.ask(client.request(opcode, body))).message)

    assert code_of(answer) == ResponseCode.SERVER_BUSY


@pytest.mark.parametrize("opcode", [100, 101, 102, 103, 104, 105, 300, 301])
@pytest.mark.parametrize("handle", [b"", b"88.1/\xff", b"/x", b"88.1/" + b"x" * 3_000])
async def test_what_is_no_handle_is_an_invalid_one(opcode: int, handle: bytes) -> None:
    node = fleet()
    body = name(handle)
    if opcode in (100, 102, 104):
        body = ValuesRequest(handle, (URL,)).encode()
    if opcode == Opcode.REMOVE_VALUE:
        body = IndexesRequest(handle, (1,)).encode()

    answer = Message.decode((await node.ask(Client().request(opcode, body))).message)

    assert code_of(answer) == ResponseCode.INVALID_HANDLE


async def test_where_a_write_came_from_is_written_down() -> None:
    node = fleet()
    client = await node.session(ADMIN)
    request = client.request(Opcode.DELETE_HANDLE, name(b"88.1/x"))

    await node.ask(request, origin=Origin(Protocol.NATIVE_HTTP, "2001:db8::1"))

    assert node.registrar.writes[-1].origin == "native_http 2001:db8::1"
