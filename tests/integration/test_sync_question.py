"""`/v1/status`: the top-level node asks how we are, and is the only one that is told."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from secrets import token_urlsafe
from time import time

import httpx
import pytest

from node.counters import Counters
from node.store.database import Database
from node.upstream.credentials import CredentialFiles
from node.web.routes import build_admin_app
from node.web.status import PATH, StatusApi, status_section
from resolver.keys.signing import SigningKey, SigningKind, load_verifying_keys
from resolver.observe import Tally
from sync.signature import Answer, Awaited, Request, sign, verify
from tests.support.outboxes import office_on

pytestmark = pytest.mark.db

PEER = SigningKey.make(SigningKind.ED25519)
NEW = SigningKey.make(SigningKind.SM2)
STRANGER = SigningKey.make(SigningKind.ED25519)
NONCE = "of-one-question-alone"


@pytest.fixture
def counters(tmp_path: Path) -> Iterator[Counters]:
    opened = Counters.open(tmp_path / "0")
    yield opened
    opened.close()


@pytest.fixture
def files(tmp_path: Path) -> CredentialFiles:
    (tmp_path / "peer.pub").write_bytes(PEER.public.pem + NEW.public.pem)
    return CredentialFiles(None, None, None, tmp_path / "sync-signing.pem", tmp_path / "peer.pub")


@asynccontextmanager
async def asking(
    files: CredentialFiles | None, database: Database, counters: Counters
) -> AsyncIterator[httpx.AsyncClient]:
    """Whoever asks."""
    api = StatusApi("88.118", files, database, lambda: [counters], sample_seconds=0.01)
    app = build_admin_app(bytes, list, sections=[status_section(api)])
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://idnode") as client:
        yield client


def signed(key: SigningKey, nonce: str = NONCE, *, path: str = PATH) -> dict[str, str]:
    return sign(Request("GET", path, b""), key, created=int(time()), nonce=nonce)


@pytest.mark.parametrize("key", [PEER, NEW], ids=["old", "new"])
async def test_top_level_node_is_told_in_a_signed_answer(
    files: CredentialFiles, database: Database, counters: Counters, tmp_path: Path, key: SigningKey
) -> None:
    await office_on(database).put("6", "a", b"{}")
    Tally(counters.cells).answered(0, 2_000_000)  # before it is asked: not of this second
    async with asking(files, database, counters) as client:
        answer = await client.get(PATH, headers=signed(key))
    assert answer.status_code == 200, answer.text
    ours = load_verifying_keys(tmp_path / "sync-signing.pub")
    said = Answer(200, answer.content)
    verify(said, answer.headers, ours, now=time(), seen=Awaited(NONCE))
    told = answer.json()
    assert (told["node_prefix"], told["serial"], told["acknowledged"]) == ("88.118", 1, 0)
    assert (told["pending"]["6"], told["pending"]["9"]) == (1, 0)
    assert (told["resolutions_per_second"], told["resolution_milliseconds"]) == (0.0, None)
    assert {"version", "uptime_seconds", "certificate_end", "session", "complete"} <= told.keys()


@pytest.mark.parametrize(
    ("headers", "why"),
    [
        ({}, "Content-Digest is missing"),
        (signed(STRANGER), "is not known here"),
        (signed(PEER, path="/v1/statu"), "is not the one of the key"),
    ],
)
async def test_nobody_else_is_told(
    files: CredentialFiles,
    database: Database,
    counters: Counters,
    headers: dict[str, str],
    why: str,
) -> None:
    async with asking(files, database, counters) as client:
        answer = await client.get(PATH, headers=headers)
    assert (answer.status_code, why in answer.json()["detail"]) == (401, True)


async def test_question_is_answered_once(
    files: CredentialFiles, database: Database, counters: Counters
) -> None:
    question, another = signed(PEER), signed(PEER, token_urlsafe(16))
    async with asking(files, database, counters) as client:
        given = [
            (await client.get(PATH, headers=each)).status_code
            for each in (question, question, another)
        ]
    assert given == [200, 401, 200]


async def test_node_without_keys_of_a_top_level_node_offers_nothing(
    files: CredentialFiles, database: Database, counters: Counters, tmp_path: Path
) -> None:
    broken = files._replace(peer_keys=tmp_path / "none.pub")
    for given in (None, files._replace(peer_keys=None), broken):
        async with asking(given, database, counters) as client:
            answer = await client.get(PATH, headers=signed(PEER))
        assert answer.status_code == 404
        assert str(tmp_path) not in answer.text
