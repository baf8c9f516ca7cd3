"""Challenges, sessions and logins at a node of four workers: begun over one connection, gone on with over others."""

import json
import os
import signal
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from node.config import Settings
from resolver.handlejson import values_to_json
from resolver.keys.private import KeyKind, make_private, public_half
from resolver.sessions import slot_of
from resolver.wire import (
    Envelope,
    Flag,
    FrameBuffer,
    HandleValue,
    LoginRequest,
    Message,
    NamesAnswer,
    Opcode,
    ResolutionAnswer,
    ResolutionRequest,
    ResponseCode,
    ValuesRequest,
    decode_answer,
    encode_public_key,
)
from tests.support.exchange import Stream, asking, connected
from tests.support.fleet import admin, name
from tests.support.native import ID_POINTER, ID_SDK, Client, Identity
from tests.support.nodes import NodeProcess, eventually, node_in

pytestmark = pytest.mark.slow

PREFIX = b"0.NA/88.777.1"
WORKERS = 4
ADMIN = Identity(PREFIX, 301, b"secret of the administrator")
RSA = Identity(PREFIX, 302, make_private(KeyKind.RSA))
SM2 = Identity(PREFIX, 303, make_private(KeyKind.SM2))
URL = HandleValue(1, b"URL", b"https://example.org/1")
HIDDEN = HandleValue(2, b"EMAIL", b"a@example.org", permissions=0b1100)
ADMINS = tuple(admin(100 + number, PREFIX, 301 + number) for number in range(3))
RESTRICTED = ResolutionRequest(b"88.777.1/restricted").encode()
PUBLIC_ONLY = int(Flag.PUBLIC_ONLY)


def records() -> str:
    """Return a prefix with three administrators, and a record with a restricted value."""
    keys = [HandleValue(301, b"HS_SECKEY", b"secret of the administrator", permissions=0b1100)]
    for identity in (RSA, SM2):
        assert not isinstance(identity.key, bytes)
        data = encode_public_key(public_half(identity.key))
        keys.append(HandleValue(identity.index, b"HS_PUBKEY", data))
    lines = [(PREFIX, (*ADMINS, *keys)), (b"88.777.1/restricted", (URL, HIDDEN, *ADMINS))]
    return "".join(
        json.dumps({"handle": handle.decode(), "values": json.loads(values_to_json(values))}) + "\n"
        for handle, values in lines
    )


@pytest.fixture(scope="module")
def running() -> Iterator[NodeProcess]:
    with tempfile.TemporaryDirectory(prefix="idnode-", dir="/tmp") as made:
        Path(made).chmod(0o755)
        file = Path(made) / "records.ndjson"
        file.write_text(records(), "utf-8")
        with node_in(Path(made) / "data", IDNODE_WORKERS=str(WORKERS)) as lent:
            settings = lent.start()
            loaded = lent.run("load", str(file))
            assert loaded.returncode == 0, loaded.stderr
            eventually(lambda: all(is_known(settings) for _ in range(5 * WORKERS)))
            yield lent


@pytest.fixture(scope="module")
def settings(running: NodeProcess) -> Settings:
    return running.settings()


def is_known(settings: Settings) -> bool:
    with connected(settings.native_listen[0]) as stream:
        return code_of(ask(stream, Client(), Opcode.RESOLUTION, RESTRICTED, PUBLIC_ONLY)) == 1


def received(stream: Stream) -> bytes:
    data = stream.receive()
    assert data is not None
    return data


def ask(stream: Stream, client: Client, opcode: int, body: bytes, flags: int = 0) -> Message:
    stream.send(client.request(opcode, body, flags))
    return client.read(received(stream))


def code_of(message: Message) -> int:
    return message.header.response_code


def slot_at(stream: Stream) -> int:
    """Return the worker at the other end of a connection: that which makes a challenge."""
    challenge = ask(stream, Client(), Opcode.DELETE_HANDLE, name(b"88.777.1/none"))
    slot = slot_of(challenge.envelope.session_id)
    assert slot is not None
    return slot


def connections(settings: Settings, stack: ExitStack) -> dict[int, Stream]:
    """Return a connection to each worker."""
    found: dict[int, Stream] = {}
    while len(found) < WORKERS:
        stream = stack.enter_context(connected(settings.native_listen[0]))
        found.setdefault(slot_at(stream), stream)
    return found


def begun(settings: Settings, identity: Identity | None = ADMIN) -> Client:
    """Return a client with a session that was set up over UDP, as hdllib does it, and proven over TCP."""
    client = Client()
    with asking(settings.native_listen[0]) as asker:
        client.began(asker.ask(client.begin()))
    if identity is not None:
        with connected(settings.native_listen[0]) as stream:
            challenge = ask(stream, client, Opcode.DELETE_HANDLE, name(b"88.777.1/none"))
            assert code_of(challenge) == ResponseCode.AUTHENTICATION_NEEDED
            stream.send(client.prove(challenge, identity))
            assert code_of(client.read(received(stream))) == ResponseCode.HANDLE_NOT_FOUND
    return client


def create(handle: bytes) -> bytes:
    return ValuesRequest(handle, (URL, *ADMINS)).encode()


@pytest.mark.parametrize("identity", [ADMIN, RSA, SM2])
def test_challenge_of_one_worker_is_answered_at_every_other(
    settings: Settings, identity: Identity
) -> None:
    client = Client()
    with ExitStack() as stack:
        streams = connections(settings, stack)
        for slot, stream in streams.items():
            handle = b"88.777.1/challenge-%d-%d" % (identity.index, slot)
            challenge = ask(stream, client, Opcode.CREATE_HANDLE, create(handle))
            elsewhere = streams[(slot + 1) % WORKERS]
            elsewhere.send(client.prove(challenge, identity))
            answer = client.read(received(elsewhere))

            assert (answer.header.opcode, code_of(answer)) == (Opcode.CREATE_HANDLE, 1)
            assert answer.envelope.session_id == 0


def test_challenge_over_udp_is_answered_over_tcp_at_another_worker(settings: Settings) -> None:
    client = Client()
    with ExitStack() as stack:
        streams = connections(settings, stack)
        asker = stack.enter_context(asking(settings.native_listen[0]))
        challenge = client.read(asker.ask(client.request(Opcode.RESOLUTION, RESTRICTED)))
        slot = slot_of(challenge.envelope.session_id)
        assert slot is not None

        elsewhere = streams[(slot + 1) % WORKERS]
        elsewhere.send(client.prove(challenge, ADMIN))
        answer = decode_answer(client.read(received(elsewhere)))[1]

    assert isinstance(answer, ResolutionAnswer)
    assert HIDDEN.data in {value.data for value in answer.values}


def test_session_from_udp_is_used_over_tcp_at_every_worker_and_nothing_twice(
    settings: Settings,
) -> None:
    client = begun(settings)
    with ExitStack() as stack:
        streams = connections(settings, stack)
        for slot, stream in streams.items():
            request = client.request(
                Opcode.CREATE_HANDLE,
                create(b"88.777.1/session-%d" % slot),
                encrypt_it=slot % 2 == 1,
            )
            stream.send(request)
            reply = received(stream)
            assert Envelope.decode(reply).encrypted == (slot % 2 == 1)
            assert code_of(client.read(reply)) == ResponseCode.SUCCESS

            elsewhere = streams[(slot + 1) % WORKERS]
            elsewhere.send(request)
            assert code_of(client.read(received(elsewhere))) == 505
        hidden = ask(streams[0], client, Opcode.RESOLUTION, RESTRICTED)

    answer = decode_answer(hidden)[1]
    assert isinstance(answer, ResolutionAnswer)
    assert HIDDEN.data in {value.data for value in answer.values}


def test_session_goes_on_over_http_and_ends_everywhere(settings: Settings) -> None:
    client = begun(settings)
    host, port = settings.http_listen[0]

    def post(opcode: int, body: bytes) -> Message:
        answer = httpx.post(
            f"http://{host}:{port}/",
            content=client.request(opcode, body),
            headers={"Content-Type": "application/x-hdl-message"},
            trust_env=False,
        )
        return client.read(answer.content)

    created = post(Opcode.CREATE_HANDLE, create(b"88.777.1/over-http"))
    ended = post(Opcode.SESSION_TERMINATE, name(b""))
    after = post(Opcode.DELETE_HANDLE, name(b"88.777.1/over-http"))

    assert [code_of(each) for each in (created, ended, after)] == [1, 1, 500]


def test_handles_are_listed_in_several_messages_whoever_has_the_session(settings: Settings) -> None:
    client = begun(settings)
    wanted = {b"88.777.1/listed-%03d" % number for number in range(120)}
    host, port = settings.http_listen[0]
    with ExitStack() as stack:
        streams = connections(settings, stack)
        for handle in wanted:
            ask(streams[0], client, Opcode.CREATE_HANDLE, create(handle))
        for stream in streams.values():
            stream.send(client.request(Opcode.LIST_HANDLES, name(PREFIX)))
            found: set[bytes] = set()
            is_continued = True
            while is_continued:
                page = client.read(received(stream))
                found |= set(NamesAnswer.decode(page.body).names)
                is_continued = bool(page.header.flags & Flag.CONTINUOUS)
            assert wanted <= found
    posted = httpx.post(
        f"http://{host}:{port}/",
        content=client.request(Opcode.LIST_HANDLES, name(PREFIX)),
        headers={"Content-Type": "application/x-hdl-message"},
        trust_env=False,
    )
    frames = FrameBuffer()
    frames.feed(posted.content)
    pages = [client.read(frame) for frame in iter(frames.next_message, None)]
    assert wanted <= {each for page in pages for each in NamesAnswer.decode(page.body).names}


@pytest.mark.parametrize("versions", [ID_SDK, ID_POINTER])
@pytest.mark.parametrize("identity", [RSA, SM2])
def test_login_is_of_one_connection(
    settings: Settings, identity: Identity, versions: tuple[int, int, int, int]
) -> None:
    own_id = 10_001 if versions == ID_POINTER else 0
    client = Client(versions=versions, session_id=own_id)
    handle = b"88.777.1/login-%d-%d" % (identity.index, own_id)
    login = LoginRequest(PREFIX, identity.index).encode()
    endpoint = settings.native_listen[0]
    with connected(endpoint) as mine, connected(endpoint) as other:
        refused = ask(mine, client, Opcode.CREATE_HANDLE, create(handle))
        before = [ask(mine, client, Opcode.RESOLUTION, RESTRICTED) for _ in range(2)]
        challenge = ask(mine, client, Opcode.KEY_LOGIN, login, int(Flag.REQUEST_DIGEST))
        mine.send(client.prove(challenge, identity))
        logged_in = client.read(received(mine))
        elsewhere = ask(other, client, Opcode.CREATE_HANDLE, create(handle))
        created = ask(mine, client, Opcode.CREATE_HANDLE, create(handle))
        shown = ask(mine, client, Opcode.RESOLUTION, RESTRICTED)
        hidden = ask(other, client, Opcode.RESOLUTION, RESTRICTED)

    assert (logged_in.header.opcode, code_of(logged_in)) == (Opcode.KEY_LOGIN, 1)
    assert [code_of(each) for each in (refused, elsewhere, created)] == [401, 401, 1]
    assert HIDDEN.data in shown.body
    for public in (*before, hidden):  # the second of them was ready when the login came
        assert HIDDEN.data not in public.body


def test_administration_over_udp_is_refused_even_in_a_session(settings: Settings) -> None:
    client = begun(settings)
    with asking(settings.native_listen[0]) as asker:
        answer = client.read(
            asker.ask(client.request(Opcode.DELETE_HANDLE, name(b"88.777.1/restricted")))
        )

    assert code_of(answer) == ResponseCode.PROTOCOL_ERROR


def worker_process(running: NodeProcess, slot: int) -> int:
    """Return the newest process that a worker's slot is known to have."""
    found = 0
    for line in running.said().splitlines():
        if line.startswith("{") and f'"worker-{slot}"' in line and '"child ready"' in line:
            found = int(json.loads(line)["process_id"])
    assert found
    return found


def test_session_of_a_killed_worker_is_begun_anew(running: NodeProcess) -> None:
    settings = running.settings()
    client = begun(settings)
    slot = slot_of(client.session_id)
    assert slot is not None
    process = worker_process(running, slot)

    os.kill(process, signal.SIGKILL)
    eventually(lambda: worker_process(running, slot) != process)
    with connected(settings.native_listen[0]) as stream:
        lost = ask(stream, client, Opcode.CREATE_HANDLE, create(b"88.777.1/lost"))
    again = begun(settings)
    with connected(settings.native_listen[0]) as stream:
        found = ask(stream, again, Opcode.CREATE_HANDLE, create(b"88.777.1/found"))

    assert [code_of(lost), code_of(found)] == [ResponseCode.SESSION_TIMEOUT, 1]
    assert lost.envelope.session_id == client.session_id


def test_the_profile_of_the_settings_is_that_of_the_node(
    running: NodeProcess, tmp_path: Path
) -> None:
    shared = running.settings()
    servers = {"DATABASE_URL": shared.database_url, "REDIS_URL": shared.redis_url}
    with node_in(
        tmp_path / "other",
        IDNODE_NATIVE_PROFILE="login",
        IDNODE_SEALING_KEY=str(running.data_dir / "sealing.key"),
        **{f"IDNODE_{name}": url for name, url in servers.items()},
    ) as other:
        settings = other.start()
        with connected(settings.native_listen[0]) as stream:
            refused = ask(stream, Client(), Opcode.DELETE_HANDLE, name(b"88.777.1/restricted"))
            elsewhere = ask(stream, Client(), Opcode.RESOLUTION, ResolutionRequest(b"9/x").encode())

    assert [code_of(refused), code_of(elsewhere)] == [401, 100]
