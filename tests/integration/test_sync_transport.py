"""The way to the top-level node over real TLS: what goes wrong on it, and what operators are told of it."""

import asyncio
import gzip
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from secrets import token_urlsafe
from time import time

import httpx
import pytest

from resolver.keys.signing import SigningKey, SigningKind, VerifyingKey
from sync.change import START
from sync.message import MAX_MESSAGE_BYTES, Hello, PeerUnavailable, Welcome, encode
from sync.sender import Sender
from sync.signature import Fault
from sync.testing import MemoryOutbox
from sync.transport import HttpsTransport
from tests.support.https_peer import HttpsPeer, alerting
from tests.support.papers import OVER, Issuer
from tests.support.waiting import until

NODE_KEY = SigningKey.make(SigningKind.ED25519)
PEER_KEY = SigningKey.make(SigningKind.ED25519)
HELLO = Hello(7, "session-0", 0)
WELCOME = Welcome(7, "", 0, START)


@dataclass(slots=True)
class Ways:
    """How the node goes about it: its certificate, whom it believes, its key, the keys it wants of the peer."""

    certificate: Path
    authority: Path
    key: SigningKey = NODE_KEY
    peer_keys: dict[str, VerifyingKey] | None = None
    clock: Callable[[], float] = time
    seconds: float = 20.0

    @asynccontextmanager
    async def to(self, url: str) -> AsyncIterator[HttpsTransport]:
        """A transport while the block runs."""
        tls = ssl.create_default_context(cafile=self.authority)
        tls.load_cert_chain(self.certificate)
        transport = HttpsTransport(
            url,
            tls,
            self.key,
            clock=self.clock,
            nonce=lambda: token_urlsafe(16),
            peer_keys=self.peer_keys,
            exchange_seconds=self.seconds,
        )
        try:
            yield transport
        finally:
            await transport.close()


@pytest.fixture(scope="module")
def issuer(tmp_path_factory: pytest.TempPathFactory) -> Issuer:
    return Issuer.make(tmp_path_factory.mktemp("papers"))


@pytest.fixture
def ways(issuer: Issuer) -> Ways:
    return Ways(issuer.issue_client("node"), issuer.path)


@pytest.fixture
async def peer(issuer: Issuer) -> AsyncIterator[HttpsPeer]:
    peer = HttpsPeer({NODE_KEY.key_id: NODE_KEY.public}, PEER_KEY)
    async with peer.serving(issuer.issue_server("peer"), issuer.path):
        yield peer


async def trouble(ways: Ways, peer: HttpsPeer) -> str:
    """What is told of an exchange that fails."""
    async with ways.to(peer.url) as transport:
        with pytest.raises(PeerUnavailable) as caught:
            await transport.exchange(HELLO)
    return str(caught.value)


async def test_message_frame_and_heartbeat_arrive_signed(ways: Ways, peer: HttpsPeer) -> None:
    ways.peer_keys = {PEER_KEY.key_id: PEER_KEY.public}
    async with ways.to(peer.url) as transport:
        assert await transport.exchange(HELLO) == WELCOME
        assert await transport.epp(b"<hello/>") == b"<epp/>"
        await transport.heartbeat({"version": "1", "uptime_seconds": 5})
        assert transport.clocks is not None
        assert abs(transport.clocks.skew_seconds) <= transport.clocks.uncertain_seconds + 0.01
    assert peer.frames == [b"<hello/>"]
    assert peer.beats == [{"version": "1", "uptime_seconds": 5}]
    assert peer.refusals == []


async def test_all_rows_reach_the_peer_over_it(ways: Ways, peer: HttpsPeer) -> None:
    outbox = MemoryOutbox(most=3)
    for number in range(7):
        outbox.write(START._replace(table="9", key=f"88.1/{number}"), b"%d" % number)
    async with ways.to(peer.url) as transport, asyncio.TaskGroup() as tasks:
        sender = Sender(
            outbox, transport, random=lambda: 0.5, new_session=lambda: "x", poll_seconds=0.01
        )
        running = tasks.create_task(sender.run())
        await until(lambda: outbox.complete)
        running.cancel()
    assert peer.inbox.rows() == outbox.rows


@pytest.mark.parametrize("kind", [SigningKind.RSA, SigningKind.SM2])
async def test_other_kinds_of_keys_are_taken(
    ways: Ways, peer: HttpsPeer, kind: SigningKind
) -> None:
    ways.key = SigningKey.make(kind)
    peer.keys[ways.key.key_id] = ways.key.public  # two are valid at once
    async with ways.to(peer.url) as transport:
        assert await transport.exchange(HELLO) == WELCOME
    ways.key = NODE_KEY
    async with ways.to(peer.url) as transport:
        assert await transport.exchange(HELLO) == WELCOME


async def test_expired_certificate_of_the_peer_is_told(
    ways: Ways, peer: HttpsPeer, issuer: Issuer
) -> None:
    peer.show(issuer.issue_server("peer-over", OVER))
    said = await trouble(ways, peer)
    assert said == "the peer's certificate is not accepted: certificate has expired"


async def test_certificate_of_another_authority_is_told(
    ways: Ways, peer: HttpsPeer, tmp_path: Path
) -> None:
    peer.show(Issuer.make(tmp_path, "stranger").issue_server("peer"))
    assert "not accepted: unable to get local issuer" in await trouble(ways, peer)


async def test_peer_under_another_name_is_not_believed(ways: Ways, peer: HttpsPeer) -> None:
    peer.url = peer.url.replace("127.0.0.1", "localhost")
    assert "not accepted: Hostname mismatch" in await trouble(ways, peer)


@pytest.mark.parametrize(
    ("name", "words"),
    [("expired", "it has expired"), ("strange", "no authority that is known there issued it")],
)
async def test_our_certificate_that_is_refused_is_told(
    ways: Ways, issuer: Issuer, tmp_path: Path, name: str, words: str
) -> None:
    strange = Issuer.make(tmp_path, "stranger")
    expired, unknown = issuer.issue_client("over", OVER), strange.issue_client("node")
    ways.certificate = expired if name == "expired" else unknown
    with alerting(issuer.issue_server("blunt"), issuer.path) as url:
        said = await trouble(ways, HttpsPeer({}, url=url))
    assert said == f"the peer does not accept our certificate: {words}"


async def test_peer_that_refuses_our_certificate_without_a_word_is_understood(
    ways: Ways, peer: HttpsPeer, issuer: Issuer
) -> None:
    ways.certificate = issuer.issue_client("node-over", OVER)
    said = await trouble(ways, peer)
    assert said == "the peer ends TLS without a word: it may not accept our certificate"
    assert peer.requests == []


async def test_key_that_the_peer_does_not_know_is_told(ways: Ways, peer: HttpsPeer) -> None:
    ways.key = SigningKey.make(SigningKind.ED25519)
    said = await trouble(ways, peer)
    assert said.startswith("the peer answers 401: the key ")
    assert peer.refusals[0].fault is Fault.KEY
    assert peer.inbox.stands.session == ""


async def test_clock_of_ours_that_is_an_hour_off_is_told_with_the_skew(
    ways: Ways, peer: HttpsPeer
) -> None:
    ways.clock = lambda: time() - 3_600
    async with ways.to(peer.url) as transport:
        with pytest.raises(PeerUnavailable, match=r"401: the signer's clock is 360[01] s behind"):
            await transport.exchange(HELLO)
        assert transport.clocks is not None
        assert round(transport.clocks.skew_seconds) == 3_600


async def test_answers_of_a_peer_whose_clock_is_off_are_refused_where_they_are_checked(
    ways: Ways, peer: HttpsPeer
) -> None:
    peer.mischief.skew_seconds = 200.0
    ways.peer_keys = {PEER_KEY.key_id: PEER_KEY.public}
    async with ways.to(peer.url) as transport:
        assert await transport.exchange(HELLO) == WELCOME  # it is only told
        assert transport.clocks is not None
        assert round(transport.clocks.skew_seconds) == 200
    peer.mischief.skew_seconds = -400.0
    assert "the signer's clock is 40" in await trouble(ways, peer)


async def test_replayed_request_is_refused(ways: Ways, peer: HttpsPeer) -> None:
    async with ways.to(peer.url) as transport:
        await transport.exchange(HELLO)
    request, headers = peer.requests[0]
    tls = ssl.create_default_context(cafile=ways.authority)
    tls.load_cert_chain(ways.certificate)
    async with httpx.AsyncClient(verify=tls) as client:
        answer = await client.post(peer.url + request.path, content=request.body, headers=headers)
    assert answer.status_code == 401
    assert peer.refusals[0].fault is Fault.REPLAYED


async def test_answer_that_another_key_signed_is_refused(ways: Ways, peer: HttpsPeer) -> None:
    ways.peer_keys = {PEER_KEY.key_id: PEER_KEY.public}
    peer.mischief.signs_with = NODE_KEY
    assert "answer (200) is not rightly signed: the key" in await trouble(ways, peer)


async def test_answer_that_is_not_signed_is_refused(ways: Ways, peer: HttpsPeer) -> None:
    ways.peer_keys = {PEER_KEY.key_id: PEER_KEY.public}
    peer.key = None
    assert "the header Content-Digest is missing" in await trouble(ways, peer)


async def test_answer_to_an_earlier_request_is_refused(ways: Ways, peer: HttpsPeer) -> None:
    ways.peer_keys = {PEER_KEY.key_id: PEER_KEY.public}
    async with ways.to(peer.url) as transport:
        await transport.exchange(HELLO)
    peer.mischief.old_answer = peer.answers[0]
    assert "the nonce" in await trouble(ways, peer)


@pytest.mark.parametrize("garbage", [b"<html>", b"\xff\x00", b"{}", b'{"kind": "ack"}'])
async def test_garbage_is_no_answer(ways: Ways, peer: HttpsPeer, garbage: bytes) -> None:
    peer.mischief.garbage = garbage
    assert (await trouble(ways, peer)).startswith("the peer's answer cannot be read: ")


async def test_answer_that_is_too_long_is_not_read_to_its_end(ways: Ways, peer: HttpsPeer) -> None:
    peer.mischief.garbage = b"x" * (MAX_MESSAGE_BYTES + 1)
    assert "longer than 8000000 bytes" in await trouble(ways, peer)


@pytest.mark.parametrize("status", [400, 403, 413, 500, 503, 302])
async def test_status_is_told_with_the_words_of_the_peer(
    ways: Ways, peer: HttpsPeer, status: int
) -> None:
    peer.mischief.status = status
    assert await trouble(ways, peer) == f"the peer answers {status}: as told"


async def test_reset_connection_is_told(ways: Ways, peer: HttpsPeer) -> None:
    peer.mischief.resets = True
    assert (await trouble(ways, peer)).startswith("the connection broke: ")


async def test_silent_peer_is_waited_for_so_long_and_no_longer(ways: Ways, peer: HttpsPeer) -> None:
    peer.mischief.silent = True
    ways.seconds = 0.2
    assert await trouble(ways, peer) == "no answer within 0.2 seconds (ReadTimeout)"


async def test_peer_that_drips_is_waited_for_no_longer(ways: Ways, peer: HttpsPeer) -> None:
    peer.mischief.drips = True
    ways.seconds = 0.2
    assert await trouble(ways, peer) == "no whole answer within 0.4 seconds"


async def test_exchange_that_is_cancelled_in_the_handshake_leaves_no_connection(ways: Ways) -> None:
    came: asyncio.Queue[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = asyncio.Queue()
    silent = await asyncio.start_server(lambda *ends: came.put_nowait(ends), "127.0.0.1", 0)
    port = silent.sockets[0].getsockname()[1]
    async with silent, ways.to(f"https://127.0.0.1:{port}") as transport:
        exchange = asyncio.create_task(transport.exchange(HELLO))
        reader, writer = await came.get()
        await reader.read(1)  # of its first words; it waits for ours
        exchange.cancel()
        with pytest.raises(asyncio.CancelledError):
            await exchange
        async with asyncio.timeout(10):
            await reader.read()  # until it has closed
        writer.close()


async def test_answer_that_is_compressed_is_not_unpacked(ways: Ways, peer: HttpsPeer) -> None:
    peer.mischief.garbage = gzip.compress(encode(WELCOME))
    peer.mischief.encoding = "gzip"
    assert (await trouble(ways, peer)).startswith("the peer's answer cannot be read: ")
    assert peer.requests[0][1]["accept-encoding"] == "identity"


async def test_nobody_there_is_told(ways: Ways, peer: HttpsPeer, issuer: Issuer) -> None:
    other = HttpsPeer({})
    async with other.serving(issuer.issue_server("other"), issuer.path):
        pass
    assert (await trouble(ways, other)).startswith("no connection: ")


def test_url_without_tls_is_refused(ways: Ways) -> None:
    with pytest.raises(ValueError, match="https://"):
        HttpsTransport(
            "http://127.0.0.1", ssl.create_default_context(), NODE_KEY, clock=time, nonce=str
        )
